//! Quotes in a plain line, as in Redis' inline commands: `"…"` may hold `\n \r \t \b \a \\ \" \xHH`, `'…'` may hold
//! `\'`. A quote begins anywhere in a word, and where it closes, the word must end.

/// Why the quotes of a line mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbalanced {
    /// A quote that nothing closes.
    Open,
    /// Something stands right behind a closing quote.
    NotAtTheEnd,
}

impl Unbalanced {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Open => r#"a quote has no end; to have one in a word, type "it's" or "say \"hi\"""#,
            Self::NotAtTheEnd => "a space or the end of the line must follow a closing quote",
        }
    }
}

/// Whether a byte stands between words.
pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether a byte begins or ends a quoted string.
pub(super) fn is_quote(byte: u8) -> bool {
    byte == b'"' || byte == b'\''
}

/// Writes the word that begins at `at` to the end of `out`, without its quotes; returns where it ends.
pub(super) fn decode_word(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, Unbalanced> {
    while let Some(&byte) = line.get(at).filter(|&&byte| !is_blank(byte)) {
        at += 1;
        if is_quote(byte) {
            return decode_string(line, at, byte, out);
        }
        out.push(byte);
    }
    Ok(at)
}

/// As [`decode_word`], for the string behind an opening quote.
fn decode_string(line: &[u8], mut at: usize, quote: u8, out: &mut Vec<u8>) -> Result<usize, Unbalanced> {
    loop {
        let (byte, length) = match line[at..] {
            [] => return Err(Unbalanced::Open),
            [end, next, ..] if end == quote && !is_blank(next) => return Err(Unbalanced::NotAtTheEnd),
            [end, ..] if end == quote => return Ok(at + 1),
            [b'\\', b'x', high, low, ..] if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(high) << 4 | hex(low), 4)
            }
            [b'\\', escaped, ..] if quote == b'"' => (unescaped(escaped), 2),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (byte, 1),
        };
        out.push(byte);
        at += length;
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        itself => itself,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        letter => letter.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(word: &str) -> Result<(Vec<u8>, usize), Unbalanced> {
        let mut out = Vec::new();
        decode_word(word.as_bytes(), 0, &mut out).map(|end| (out, end))
    }

    #[test]
    fn the_escapes_are_those_of_redis() {
        for (word, expected) in [
            (r#""\n\r\t\b\a\\\"\'\q""#, &b"\n\r\t\x08\x07\\\"'q"[..]),
            (r#""\x41\xfF\x4\xzz""#, b"A\xffx4xzz"),
            (r"'\'\n\x41'", b"'\\n\\x41"),
            (r#"plain"quoted""#, b"plainquoted"),
            (r"back\slash", b"back\\slash"),
        ] {
            assert_eq!(decoded(word), Ok((expected.to_vec(), word.len())), "{word}");
        }
        assert_eq!(decoded(r#""a b" c"#), Ok((b"a b".to_vec(), 5)));
    }

    #[test]
    fn quotes_that_do_not_fit_are_named() {
        for open in [r#"""#, "'", r#""a"#, r#"a'b"#, r#""a\"#, r#""a\""#, r"'a\'"] {
            assert_eq!(decoded(open), Err(Unbalanced::Open), "{open}");
        }
        for not_at_the_end in [r#""a"b"#, r#""a""b""#, "'a'b"] {
            assert_eq!(decoded(not_at_the_end), Err(Unbalanced::NotAtTheEnd), "{not_at_the_end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_quoted(bytes: Vec<u8>) {
            let quoted: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            prop_assert_eq!(decoded(&format!("\"{quoted}\"")), Ok((bytes, quoted.len() + 2)));
        }

        #[test]
        fn text_can_be_quoted_in_both_ways(text in "[^\\\\]*") {
            let (double, single) = (text.replace('"', "\\\""), text.replace('\'', "\\'"));
            prop_assert_eq!(decoded(&format!("\"{double}\"")), Ok((text.clone().into_bytes(), double.len() + 2)));
            prop_assert_eq!(decoded(&format!("'{single}'")), Ok((text.into_bytes(), single.len() + 2)));
        }

        #[test]
        fn rubbish_does_not_panic_and_a_word_ends_before_a_blank_or_with_the_line(
            line in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\"'\\ x"[..])], 0..40)
        ) {
            if let Ok(end) = decode_word(&line, 0, &mut Vec::new()) {
                prop_assert!(line.get(end).is_none_or(|&byte| is_blank(byte)));
            }
        }
    }
}
