//! Patterns for keys, as Redis has them: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before a character that stands for
//! itself.
//!
//! Keys are bytes, and no match may take longer than the length of the pattern times that of the key. The crates that
//! we looked at match text only, or a hostile pattern makes them take exponential time.

/// Whether all of `text` matches `pattern`.
///
/// On a mismatch it goes back to the last `*` only, which is enough: a later star can take whatever an earlier one
/// could.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to continue after a mismatch: behind the last star, one character of the text further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        match text.get(t) {
            None => return p == pattern.len(),
            Some(&byte) => {
                if let Some(next) = match_one(pattern, p, byte) {
                    (p, t) = (next, t + 1);
                } else if let Some((after_star, from)) = retry {
                    (p, t) = (after_star, from + 1);
                    retry = Some((p, t));
                } else {
                    return false;
                }
            }
        }
    }
}

/// Where the pattern continues if its element at `p` matches `byte`.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (matched, next) = match_set(pattern, p + 1, byte);
            matched.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Whether `byte` is in the set that begins at `p`, behind its bracket, and where the set ends. As in Redis, a set that
/// is not closed ends with the pattern.
fn match_set(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    while p < pattern.len() && pattern[p] != b']' {
        if pattern[p] == b'\\' && p + 1 < pattern.len() {
            p += 1;
        }
        let low = pattern[p];
        let mut high = low;
        if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() && pattern[p + 2] != b']' {
            high = pattern[p + 2];
            p += 2;
        }
        found |= (low.min(high)..=low.max(high)).contains(&byte);
        p += 1;
    }
    (found != negated, (p + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        let matching = [
            ("*", ""),
            ("*", "anything"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hbllo"),
            (r"\*", "*"),
            (r"[\]]", "]"),
            ("a*b*c", "aXbYbZc"),
            ("user:*:name", "user:1:2:name"),
            ("[abc", "b"),
            ("", ""),
        ];
        for (pattern, text) in matching {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should match {text}");
        }
        let others = [
            ("", "a"),
            ("?", ""),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            (r"\*", "a"),
            ("a*b", "abc"),
            ("a", "A"),
        ];
        for (pattern, text) in others {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_pattern_times_text() {
        let pattern = "a*".repeat(1000) + "b";
        let text = "a".repeat(20_000);
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
    }
}
