//! Patterns for keys, as Redis has them: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before a character that stands for
//! itself.
//!
//! Keys are bytes, and a client chooses both the pattern and the keys. The obvious matcher, which goes back to the last
//! star after a mismatch, takes the pattern's length times the key's, and reads a set again for every byte that it is
//! compared with. (The crates that we looked at match text only, or a hostile pattern makes them take exponential
//! time.)
//!
//! So a pattern is compiled once. Without its stars it is a row of *elements*, of which each matches one byte. A match
//! goes through the text once, and keeps the set of all places in the row up to which the text can have come: one bit
//! for each place, so 64 elements are compared at a time. For each of the 256 bytes, `matching` says which elements
//! match it. A byte moves the places before these elements on by one, and a star lets its place stay.

/// A pattern, compiled.
pub struct Pattern {
    /// How many elements there are: the last place is behind them all.
    elements: usize,
    /// How many words of 64 bits hold a set of places, from 0 to `elements`.
    words: usize,
    /// For each byte, the places before the elements that match it.
    matching: Vec<u64>,
    /// The places at which a star stands.
    stars: Vec<u64>,
}

/// Whether all of `text` matches `pattern`. A pattern that is used more than once should be compiled once.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Pattern::new(pattern).matches(text)
}

impl Pattern {
    /// Compiles a pattern. It may be of any length: a command that takes one from a client must bound it.
    pub fn new(pattern: &[u8]) -> Self {
        let (mut elements, mut stars, mut rest) = (Vec::new(), Vec::new(), pattern);
        while let Some((&first, behind)) = rest.split_first() {
            let bytes;
            (bytes, rest) = match (first, behind) {
                (b'*', _) => {
                    stars.push(elements.len());
                    rest = behind;
                    continue;
                }
                (b'?', _) => (Bytes::all(), behind),
                (b'[', _) => set(behind),
                (b'\\', &[escaped, ref behind @ ..]) => (Bytes::one(escaped), behind),
                (literal, _) => (Bytes::one(literal), behind),
            };
            elements.push(bytes);
        }
        Self::compile(&elements, &stars)
    }

    fn compile(elements: &[Bytes], stars: &[usize]) -> Self {
        let words = elements.len() / BITS + 1;
        let mut compiled =
            Self { elements: elements.len(), words, matching: vec![0; BYTES * words], stars: vec![0; words] };
        stars.iter().for_each(|&place| add(&mut compiled.stars, place));
        for (place, bytes) in elements.iter().enumerate() {
            for byte in (0..BYTES).filter(|&byte| has(&bytes.0, byte)) {
                add(&mut compiled.matching[byte * words..], place);
            }
        }
        compiled
    }

    /// Whether all of `text` matches. Takes about a nanosecond for each byte of the text and 64 of the pattern.
    pub fn matches(&self, text: &[u8]) -> bool {
        let mut places = vec![0; self.words];
        add(&mut places, 0);
        for &byte in text {
            let matching = &self.matching[usize::from(byte) * self.words..];
            let (mut carry, mut any) = (0, 0);
            for ((places, matching), stars) in places.iter_mut().zip(matching).zip(&self.stars) {
                let moved = *places & matching;
                *places = (moved << 1) | carry | (*places & stars);
                carry = moved >> (BITS - 1);
                any |= *places;
            }
            if any == 0 {
                return false;
            }
        }
        has(&places, self.elements)
    }
}

/// How many places a word holds.
const BITS: usize = u64::BITS as usize;

/// How many different bytes there are.
const BYTES: usize = 256;

/// The bytes that an element matches, a bit for each.
#[derive(Clone, Copy)]
struct Bytes([u64; BYTES / BITS]);

impl Bytes {
    fn all() -> Self {
        Self([u64::MAX; BYTES / BITS])
    }

    fn one(byte: u8) -> Self {
        let mut bytes = Self([0; BYTES / BITS]);
        add(&mut bytes.0, byte.into());
        bytes
    }
}

/// The bytes in the set at the beginning of `rest`, behind its bracket, and what follows it. As in Redis: a set that is
/// not closed ends with the pattern, and any byte may end a range, a bracket too (but one behind `\` begins none).
fn set(mut rest: &[u8]) -> (Bytes, &[u8]) {
    let is_negated = rest.first() == Some(&b'^');
    rest = &rest[usize::from(is_negated)..];
    let mut bytes = Bytes([0; BYTES / BITS]);
    loop {
        let (low, high);
        (low, high, rest) = match *rest {
            [] => break,
            [b']', ref behind @ ..] => {
                rest = behind;
                break;
            }
            [b'\\', escaped, ref behind @ ..] => (escaped, escaped, behind),
            [low, b'-', high, ref behind @ ..] => (low, high, behind),
            [low, ref behind @ ..] => (low, low, behind),
        };
        (low.min(high)..=low.max(high)).for_each(|byte| add(&mut bytes.0, byte.into()));
    }
    let flip = |word: u64| if is_negated { !word } else { word };
    (Bytes(bytes.0.map(flip)), rest)
}

fn add(bits: &mut [u64], index: usize) {
    bits[index / BITS] |= 1 << (index % BITS);
}

fn has(bits: &[u64], index: usize) -> bool {
    bits[index / BITS] & (1 << (index % BITS)) != 0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{Pattern, matches};

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
            ("[a-]", "^"),
            (r"[\a-c]", "-"),
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
            ("[a-]", "-"),
            (r"[\a-c]", "b"),
        ];
        for (pattern, text) in others {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} should not match {text}");
        }
    }

    /// A pattern of the bytes that mean something in one, and of few others; or of any bytes.
    fn patterns() -> impl Strategy<Value = Vec<u8>> {
        let telling = prop::sample::select(&b"**??[[]]^--\\\\abc\xff\0"[..]);
        prop_oneof![4 => vec(telling.clone(), 0..12), 1 => vec(telling, 60..140), 1 => vec(any::<u8>(), 0..9)]
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![8 => prop::sample::select(&b"abc-^]\\\xff\0"[..]), 1 => any::<u8>()], 0..10)
    }

    proptest! {
        #[test]
        fn a_compiled_pattern_means_what_one_means_that_is_read_again_for_each_byte(
            pattern in patterns(),
            texts in vec(texts(), 1..20),
        ) {
            let compiled = Pattern::new(&pattern);
            for text in texts {
                prop_assert_eq!(compiled.matches(&text), going_back::matches(&pattern, &text), "{:?}", text);
            }
        }

        #[test]
        fn a_pattern_of_many_words_finds_what_it_was_made_from(
            parts in vec(vec(prop::sample::select(&b"ab"[..]), 0..50), 1..6),
            between in vec(any::<u8>(), 0..5),
        ) {
            let text = parts.join(&between[..]);
            let pattern = parts.join(&b"*"[..]);
            prop_assert!(matches(&pattern, &text));
            prop_assert_eq!(matches(&pattern, &text[1.min(text.len())..]),
                going_back::matches(&pattern, &text[1.min(text.len())..]));
        }
    }

    #[test]
    fn a_set_is_read_once_and_not_again_for_each_byte() {
        let pattern = Pattern::new(&[b"*[", &vec![b'b'; 1_000_000][..]].concat());
        let started = Instant::now();
        assert!(!pattern.matches(&vec![b'a'; 60_000]));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    /// The matcher that reads the pattern itself, and goes back to the last star on a mismatch.
    mod going_back {
        /// Whether all of `text` matches `pattern`.
        ///
        /// On a mismatch it goes back to the last `*` only, which is enough: a later star can take whatever an earlier
        /// one could.
        pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
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

        /// Whether `byte` is in the set that begins at `p`, behind its bracket, and where the set ends. As in Redis, a
        /// set that is not closed ends with the pattern.
        fn match_set(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
            let negated = pattern.get(p) == Some(&b'^');
            p += usize::from(negated);
            let mut found = false;
            while p < pattern.len() && pattern[p] != b']' {
                let (mut low, mut high) = (pattern[p], pattern[p]);
                if low == b'\\' && p + 1 < pattern.len() {
                    p += 1;
                    (low, high) = (pattern[p], pattern[p]);
                } else if pattern.get(p + 1) == Some(&b'-') && p + 2 < pattern.len() {
                    high = pattern[p + 2];
                    p += 2;
                }
                found |= (low.min(high)..=low.max(high)).contains(&byte);
                p += 1;
            }
            (found != negated, (p + 1).min(pattern.len()))
        }
    }
}
