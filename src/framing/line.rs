//! The plain form: one request is one line, as people type it into `nc`.
//!
//! Words are separated by spaces or tabs, and may be quoted. Some commands end with a text: the rest of the line as it
//! stands, so `SET greeting hello world` keeps both words. Only if the text is one quoted string, its quotes are
//! removed. The parser knows no commands: its owner tells it which ones end with a text. A line ends with `\n`, `\r\n`,
//! or the end of the input.
//!
//! A browser can be made to speak here: a page whose name is made to resolve to this machine (DNS rebinding) may have
//! it send `SET /x HTTP/1.1`, and header lines and a body after it; and in what a TLS client says first, bytes come
//! back that its server has chosen, `\nSET x 1\n` among them. These are plain lines. So the session ends, with an
//! error, at a line that no person types and every such client must send first: one that ends in ` HTTP/1.1` (of any
//! version), one that begins with `POST` or `Host:`, one with a control byte in its verb, and at the first byte of a
//! TLS record ([`TLS_RECORD`](super::TLS_RECORD)). Nothing behind it is looked at. It does not matter who speaks,
//! admitted or not. Peers and Redis clients send no plain lines, and what they send is not looked at. A value that ends
//! in ` HTTP/1.1` needs quotes in a plain line.

use std::ops::Range;

use super::quotes::{Unbalanced, decode_word, is_blank, is_quote};
use super::{Args, FrameError};
use crate::limits::{FIRST_BUFFER_BYTES, KEPT_ITEMS, MAX_LINE_BYTES};

/// Given the first word of a line: after how many words the rest of the line is one text; `None` if there is no text.
pub type WordsBeforeText = fn(&[u8]) -> Option<usize>;

/// Finds the words of one line that arrives in pieces.
#[derive(Debug)]
pub struct Parser {
    words_before_text: WordsBeforeText,
    /// How many bytes are known to hold no newline.
    searched: usize,
    /// Where the words lie: in the line itself, or in `decoded`.
    items: Vec<Range<usize>>,
    /// The words of a line with quotes, one behind the other. Empty if nothing had to be decoded.
    decoded: Vec<u8>,
    /// What is wrong with the quotes of the line.
    unbalanced: Option<Unbalanced>,
}

impl Default for Parser {
    /// A parser for lines without texts.
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl Parser {
    /// A parser for lines of which some end with a text.
    pub fn new(words_before_text: WordsBeforeText) -> Self {
        Self { words_before_text, searched: 0, items: Vec::new(), decoded: Vec::new(), unbalanced: None }
    }

    /// Reads on in the line at the start of `bytes`. Returns its length, with its end, once it is whole.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let newline = bytes[self.searched..].iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(bytes.len(), |at| self.searched + at);
        if end > MAX_LINE_BYTES {
            return Err(FrameError::LineTooLong);
        }
        self.searched = if newline.is_some() { 0 } else { end };
        if newline.is_none() {
            return Ok(None);
        }
        self.cut(bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]))?;
        Ok(Some(end + 1))
    }

    /// Reads all of `bytes` as a line whose newline is missing.
    pub fn parse_last(&mut self, bytes: &[u8]) -> Result<usize, FrameError> {
        self.searched = 0;
        self.cut(bytes.strip_suffix(b"\r").unwrap_or(bytes))?;
        Ok(bytes.len())
    }

    /// The words of the line that was found last at the start of `bytes`.
    pub(super) fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        let frame = if self.decoded.is_empty() { bytes } else { &self.decoded };
        Args { frame, items: &self.items, unbalanced: self.unbalanced }
    }

    /// Forgets the words, and gives their memory back where it is large.
    pub(super) fn shrink(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEPT_ITEMS);
        self.decoded.clear();
        self.decoded.shrink_to(FIRST_BUFFER_BYTES);
    }

    /// How many bytes the words of a line take here.
    pub(super) fn capacity(&self) -> usize {
        self.items.capacity() * size_of::<Range<usize>>() + self.decoded.capacity()
    }

    fn cut(&mut self, line: &[u8]) -> Result<(), FrameError> {
        let before_text = self.find_words(line);
        self.check_protocol(line)?;
        self.decoded.clear();
        self.unbalanced = None;
        if self.has_quotes(line, before_text)
            && let Err(unbalanced) = self.decode_words(line)
        {
            self.decoded.clear();
            self.unbalanced = Some(unbalanced);
        }
        Ok(())
    }

    /// Finds the words as they lie in the line, as if quotes were letters. Returns how many stand before the text, if
    /// the line has one.
    fn find_words(&mut self, line: &[u8]) -> Option<usize> {
        self.items.clear();
        let (mut at, mut before_text) = (0, None);
        while let Some(start) = word_start(line, at) {
            at = line[start..].iter().position(|&byte| is_blank(byte)).map_or(line.len(), |len| start + len);
            if self.items.is_empty() {
                before_text = (self.words_before_text)(&line[start..at]);
            }
            self.items.push(start..at);
            if Some(self.items.len()) == before_text {
                if at < line.len() {
                    self.items.push(at + 1..line.len());
                }
                break;
            }
        }
        before_text
    }

    /// Whether a word has a quote, or the text begins with one.
    fn has_quotes(&self, line: &[u8], before_text: Option<usize>) -> bool {
        let count = before_text.map_or(self.items.len(), |count| count.min(self.items.len()));
        let (words, text) = self.items.split_at(count);
        words.iter().any(|word| line[word.clone()].iter().any(|&byte| is_quote(byte)))
            || text.iter().any(|text| word_start(line, text.start).is_some_and(|start| is_quote(line[start])))
    }

    /// Finds the words of a line with quotes, and decodes them.
    fn decode_words(&mut self, line: &[u8]) -> Result<(), Unbalanced> {
        let Self { items, decoded, words_before_text, .. } = self;
        let mut words: Vec<Range<usize>> = Vec::new();
        let (mut at, mut before_text) = (0, None);
        while let Some(start) = word_start(line, at) {
            let begin = decoded.len();
            at = decode_word(line, start, decoded)?;
            if words.is_empty() {
                before_text = words_before_text(&decoded[begin..]);
            }
            words.push(begin..decoded.len());
            if Some(words.len()) == before_text {
                if at < line.len() {
                    let begin = decoded.len();
                    decode_text(&line[at + 1..], decoded);
                    words.push(begin..decoded.len());
                }
                break;
            }
        }
        *items = words;
        Ok(())
    }

    /// Refuses what belongs to another protocol: see the head of this file.
    fn check_protocol(&self, line: &[u8]) -> Result<(), FrameError> {
        let Some(verb) = self.items.first().map(|verb| &line[verb.clone()]) else { return Ok(()) };
        if let Some(&found) = verb.iter().find(|byte| byte.is_ascii_control()) {
            return Err(FrameError::Unexpected { expected: "a command's name", found });
        }
        let is_http = verb.eq_ignore_ascii_case(b"POST") || verb.eq_ignore_ascii_case(b"HOST:");
        if is_http || ends_with_version(line) { Err(FrameError::Http) } else { Ok(()) }
    }
}

/// Whether a line ends as the first one of an HTTP request does: with ` HTTP/1.1` or another version.
fn ends_with_version(line: &[u8]) -> bool {
    const LONGEST: usize = " HTTP/1.1".len();
    let line = line.trim_ascii_end();
    let end = &line[line.len().saturating_sub(LONGEST)..];
    let Some(blank) = end.iter().rposition(|&byte| is_blank(byte)) else { return false };
    let version = end[blank + 1..].strip_prefix(b"HTTP/");
    matches!(version, Some([b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9']))
}

/// Where the next word begins, from `at` on.
fn word_start(line: &[u8], at: usize) -> Option<usize> {
    line[at..].iter().position(|&byte| !is_blank(byte)).map(|skipped| at + skipped)
}

/// Writes a text to the end of `out`: without its quotes if it is one quoted string and nothing else, otherwise as it
/// stands.
fn decode_text(text: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let start = word_start(text, 0).filter(|&start| is_quote(text[start]));
    let end = start.and_then(|start| decode_word(text, start, out).ok());
    if end.is_none_or(|end| word_start(text, end).is_some()) {
        out.truncate(begin);
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A parser that knows two commands which end with a text.
    fn new_parser() -> Parser {
        Parser::new(|verb| match verb.to_ascii_uppercase().as_slice() {
            b"SET" => Some(2),
            b"ECHO" => Some(1),
            _ => None,
        })
    }

    fn words(line: &str) -> Vec<String> {
        let mut parser = new_parser();
        let bytes = format!("{line}\n");
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some(bytes.len())));
        let words = parser.args(bytes.as_bytes());
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn nothing_of_a_line_is_left_for_the_next_one() {
        let mut parser = new_parser();
        for (line, expected) in [
            (&b"MGET \"a b\" c\n"[..], Some(&[&b"MGET"[..], b"a b", b"c"][..])),
            (b"GET a\n", Some(&[b"GET", b"a"])),
            (b"GET \"a b\n", None),
            (b"GET b\n", Some(&[b"GET", b"b"])),
            (b"MGET 'a' \"b\n", None),
            (b"MGET 'c'\n", Some(&[b"MGET", b"c"])),
            (b"\n", Some(&[])),
        ] {
            assert_eq!(parser.parse(line), Ok(Some(line.len())));
            let words = parser.args(line);
            let found: Vec<&[u8]> = words.iter().collect();
            assert_eq!(words.unbalanced.is_some(), expected.is_none(), "{}", line.escape_ascii());
            assert!(expected.is_none_or(|expected| found == expected), "{}: {found:?}", line.escape_ascii());
        }
        assert_eq!(parser.parse(b"GET"), Ok(None));
        assert_eq!(parser.parse_last(b"GET a long key"), Ok(14));
        assert_eq!(parser.parse(b"\n"), Ok(Some(1)));
    }

    #[test]
    fn what_is_known_to_hold_no_newline_is_not_searched_again() {
        let mut parser = new_parser();
        for end in 1..=5 {
            assert_eq!(parser.parse(&b"GET a\n"[..end]), Ok(None));
            assert_eq!(parser.searched, end);
        }
        assert_eq!((parser.parse(b"GET a\n"), parser.searched), (Ok(Some(6)), 0));
    }

    #[test]
    fn the_memory_of_a_large_line_is_counted_and_given_back() {
        let long = format!("MGET {}\n", "'k' ".repeat(10_000));
        let mut parser = new_parser();
        assert_eq!(parser.parse(long.as_bytes()), Ok(Some(long.len())));
        assert!(parser.items.len() == 10_001 && parser.decoded.len() == 10_004);
        let items = parser.items.capacity() * size_of::<Range<usize>>();
        assert!(parser.capacity() >= items + 10_004, "the words themselves count, too");
        parser.shrink();
        let kept = KEPT_ITEMS * size_of::<Range<usize>>() + FIRST_BUFFER_BYTES;
        assert!(parser.capacity() <= 2 * kept, "{} bytes are kept", parser.capacity());
    }

    #[test]
    fn words_are_separated_by_spaces_and_tabs() {
        assert_eq!(words("GET a"), ["GET", "a"]);
        assert_eq!(words("  MGET   a  b "), ["MGET", "a", "b"]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words("   "), [""; 0]);
        assert_eq!(words("GET a\r"), ["GET", "a"]);
        assert_eq!(words("\tMGET\ta \t b\t"), ["MGET", "a", "b"]);
    }

    #[test]
    fn the_value_of_a_set_is_the_rest_of_the_line_as_it_stands() {
        assert_eq!(words("SET greeting hello world"), ["SET", "greeting", "hello world"]);
        assert_eq!(words("set k  two  spaces "), ["set", "k", " two  spaces "]);
        assert_eq!(words("SET k v\r"), ["SET", "k", "v"]);
        assert_eq!(words("SET k "), ["SET", "k", ""]);
        assert_eq!(words("SET k  "), ["SET", "k", " "]);
        assert_eq!(words("SET k"), ["SET", "k"]);
        assert_eq!(words("ECHO a  b"), ["ECHO", "a  b"]);
        assert_eq!(words("PING"), ["PING"]);
    }

    /// A word in double quotes, with escapes where a line needs them.
    fn quoted(word: &[u8]) -> String {
        let escaped = |&byte: &u8| match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02X}"),
        };
        format!("\"{}\"", word.iter().map(escaped).collect::<String>())
    }

    #[test]
    fn a_text_loses_its_quotes_only_if_it_is_one_quoted_string() {
        assert_eq!(words(r#"SET "a b" c d"#), ["SET", "a b", "c d"]);
        assert_eq!(words(r#"SET k "c d""#), ["SET", "k", "c d"]);
        assert_eq!(words(r#"SET "a b"  "c d" "#), ["SET", "a b", "c d"]);
        assert_eq!(words(r#"SET k "c" d"#), ["SET", "k", r#""c" d"#]);
        assert_eq!(words(r#"SET k "c"d"#), ["SET", "k", r#""c"d"#]);
        assert_eq!(words(r#"SET "k" say "hi""#), ["SET", "k", r#"say "hi""#]);
        assert_eq!(words("SET k it's"), ["SET", "k", "it's"]);
        assert_eq!(words(r#"SET "k" "#), ["SET", "k", ""]);
        assert_eq!(words(r#"SET "k""#), ["SET", "k"]);
        assert_eq!(words(r#""SET" k v w"#), ["SET", "k", "v w"]);
        assert_eq!(words(r#"ECHO 'a  b'"#), ["ECHO", "a  b"]);
        assert_eq!(words(r#""""#), [""]);
    }

    #[test]
    fn http_ends_the_session() {
        for line in [
            "GET / HTTP/1.1",
            "POST / HTTP/1.1",
            "OPTIONS /x HTTP/1.0",
            "Host: localhost:5008",
            "post",
            "POST /'\" HTTP/1.1",
            "SET /x HTTP/1.1",
            "SET version HTTP/1.1 ",
            "ECHO GET / HTTP/1.0",
            "FROB HTTP/2",
            "\"SET\" /x\tHTTP/1.1",
        ] {
            let bytes = format!("{line}\r\n");
            assert_eq!(new_parser().parse(bytes.as_bytes()), Err(FrameError::Http), "{line}");
        }
        assert_eq!(words("SET version \"HTTP/1.1\""), ["SET", "version", "HTTP/1.1"]);
        for line in ["SET version xHTTP/1.1", "SET version HTTP/1.1.", "SET v HTTP/", "HTTP/1.1"] {
            assert_eq!(words(line), line.split(' ').collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_control_byte_in_a_verb_ends_the_session() {
        for line in [&b"\x16\x03\x01\n"[..], b"GE\x00T a\n", b"  \x1b[A\n", b"GET\r a\n", b"\x7f\n"] {
            let refused = new_parser().parse(line);
            assert!(matches!(refused, Err(FrameError::Unexpected { .. })), "{refused:?}");
        }
        assert_eq!(words("SET k \u{1}"), ["SET", "k", "\u{1}"]);
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let mut parser = new_parser();
        let bytes = vec![b'x'; MAX_LINE_BYTES + 1];
        assert_eq!(parser.parse(&bytes[..MAX_LINE_BYTES]), Ok(None));
        assert_eq!(parser.parse(&bytes), Err(FrameError::LineTooLong));
    }

    proptest! {
        #[test]
        fn a_line_is_found_wherever_the_input_is_split(text in "[ -~]{0,40}", ending in "\r?\n") {
            let bytes = format!("MGET {text}{ending}");
            let mut parser = new_parser();
            for end in 0..bytes.len() {
                prop_assert_eq!(parser.parse(&bytes.as_bytes()[..end]), Ok(None));
            }
            let followed = format!("{bytes}GET x\n");
            prop_assert_eq!(parser.parse(followed.as_bytes()).unwrap(), Some(bytes.len()));
            if !text.contains(['"', '\'']) {
                prop_assert_eq!(parser.items.len(), 1 + text.split_whitespace().count());
            }
            let mut last = new_parser();
            prop_assert_eq!(last.parse_last(bytes.trim_end_matches('\n').as_bytes()).is_ok(), true);
            prop_assert_eq!((last.items, last.decoded), (parser.items, parser.decoded));
            prop_assert_eq!(last.unbalanced, parser.unbalanced);
        }

        #[test]
        fn any_words_can_be_quoted(expected in prop::collection::vec(any::<Vec<u8>>(), 0..5), blank in "[ \t]{1,3}") {
            let quoted: Vec<String> = expected.iter().map(|word| quoted(word)).collect();
            let line = format!("MGET{blank}{}\n", quoted.join(&blank));
            let mut parser = new_parser();
            prop_assert_eq!(parser.parse(line.as_bytes()), Ok(Some(line.len())));
            let words = parser.args(line.as_bytes()).from(1);
            prop_assert_eq!(words.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_key_and_value_can_be_quoted(key: Vec<u8>, value: Vec<u8>) {
            let line = format!("SET {} {}\n", quoted(&key), quoted(&value));
            let mut parser = new_parser();
            prop_assert_eq!(parser.parse(line.as_bytes()), Ok(Some(line.len())));
            prop_assert_eq!(parser.args(line.as_bytes()).iter().collect::<Vec<_>>(), [&b"SET"[..], &key, &value]);
        }

        #[test]
        fn a_line_without_quotes_is_not_copied(line in "[^\"'\n]{0,40}") {
            let mut parser = new_parser();
            let _ = parser.parse_last(line.as_bytes());
            prop_assert_eq!(parser.decoded.capacity(), 0);
        }

        #[test]
        fn any_bytes_can_be_set(mut value in prop::collection::vec(any::<u8>(), 0..50)) {
            value.retain(|&byte| byte != b'\n');
            prop_assume!(value.last() != Some(&b'\r'));
            prop_assume!(!value.trim_ascii_start().first().is_some_and(|&byte| is_quote(byte)));
            let bytes = [b"SET k ", &value[..], b"\n"].concat();
            let mut parser = new_parser();
            prop_assert_eq!(parser.parse(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(parser.args(&bytes).get(2), Some(&value[..]));
        }
    }
}
