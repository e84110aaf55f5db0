//! The plain form: one request is one line, as somebody types it into `nc`.
//!
//! Words are separated by spaces. The value of a SET and the text of an ECHO are the rest of the line as it stands,
//! so `SET greeting hello world` keeps both words. A line ends with `\n`, `\r\n`, or the end of the input.

use std::ops::Range;

use super::FrameError;
use crate::limits::{KEPT_ITEMS, MAX_LINE_BYTES};

/// Finds the words of one line that arrives in pieces.
#[derive(Debug, Default)]
pub struct Parser {
    /// How many bytes are known to hold no newline.
    searched: usize,
    /// Where the words lie.
    items: Vec<Range<usize>>,
}

impl Parser {
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

    /// Takes all of `bytes` for a line whose newline is missing.
    pub fn parse_last(&mut self, bytes: &[u8]) -> Result<usize, FrameError> {
        self.searched = 0;
        self.cut(bytes.strip_suffix(b"\r").unwrap_or(bytes))?;
        Ok(bytes.len())
    }

    /// Where the words of the line lie that was found last.
    pub(super) fn items(&self) -> &[Range<usize>] {
        &self.items
    }

    /// Forgets the items, and gives their room back where it is large.
    pub(super) fn shrink(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEPT_ITEMS);
    }

    /// For how many items there is room.
    pub(super) fn items_capacity(&self) -> usize {
        self.items.capacity()
    }

    fn cut(&mut self, line: &[u8]) -> Result<(), FrameError> {
        self.items.clear();
        let mut at = 0;
        while let Some(start) = line[at..].iter().position(|&byte| byte != b' ').map(|skipped| at + skipped) {
            at = line[start..].iter().position(|&byte| byte == b' ').map_or(line.len(), |len| start + len);
            self.items.push(start..at);
            if self.items.len() == self.words_before_text(line) {
                if at < line.len() {
                    self.items.push(at + 1..line.len());
                }
                break;
            }
        }
        if self.is_http(line) { Err(FrameError::Http) } else { Ok(()) }
    }

    /// How many words of this line stand before a text that reaches to its end.
    fn words_before_text(&self, line: &[u8]) -> usize {
        match self.items.first().map(|verb| &line[verb.clone()]) {
            Some(verb) if verb.eq_ignore_ascii_case(b"SET") => 2,
            Some(verb) if verb.eq_ignore_ascii_case(b"ECHO") => 1,
            _ => usize::MAX,
        }
    }

    /// Whether this is the first line of an HTTP request, or one of its headers. No browser can be made to send `SET` as its
    /// method without asking first, so a value may well be `HTTP/1.1`.
    fn is_http(&self, line: &[u8]) -> bool {
        let Some(verb) = self.items.first().map(|verb| &line[verb.clone()]) else { return false };
        let version = self.items.get(2).is_some_and(|word| line[word.clone()].starts_with(b"HTTP/"));
        verb.eq_ignore_ascii_case(b"POST")
            || verb.eq_ignore_ascii_case(b"HOST:")
            || (version && self.items.len() == 3 && !verb.eq_ignore_ascii_case(b"SET"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        let mut parser = Parser::default();
        let bytes = format!("{line}\n");
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some(bytes.len())));
        parser.items().iter().map(|item| bytes[item.clone()].to_string()).collect()
    }

    #[test]
    fn words_are_separated_by_spaces() {
        assert_eq!(words("GET a"), ["GET", "a"]);
        assert_eq!(words("  MGET   a  b "), ["MGET", "a", "b"]);
        assert_eq!(words(""), [""; 0]);
        assert_eq!(words("   "), [""; 0]);
        assert_eq!(words("GET a\r"), ["GET", "a"]);
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

    #[test]
    fn http_ends_the_session() {
        for line in ["GET / HTTP/1.1", "POST / HTTP/1.1", "OPTIONS /x HTTP/1.0", "Host: localhost:5008", "post"] {
            let bytes = format!("{line}\r\n");
            assert_eq!(Parser::default().parse(bytes.as_bytes()), Err(FrameError::Http), "{line}");
        }
        assert_eq!(words("SET version HTTP/1.1"), ["SET", "version", "HTTP/1.1"]);
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_limit() {
        let mut parser = Parser::default();
        let bytes = vec![b'x'; MAX_LINE_BYTES + 1];
        assert_eq!(parser.parse(&bytes[..MAX_LINE_BYTES]), Ok(None));
        assert_eq!(parser.parse(&bytes), Err(FrameError::LineTooLong));
    }

    proptest! {
        #[test]
        fn a_line_is_found_wherever_the_input_is_split(text in "[ -~]{0,40}", ending in "\r?\n") {
            let bytes = format!("MGET {text}{ending}");
            let mut parser = Parser::default();
            for end in 0..bytes.len() {
                prop_assert_eq!(parser.parse(&bytes.as_bytes()[..end]), Ok(None));
            }
            let followed = format!("{bytes}GET x\n");
            prop_assert_eq!(parser.parse(followed.as_bytes()).unwrap(), Some(bytes.len()));
            prop_assert_eq!(parser.items().len(), 1 + text.split_whitespace().count());
            let mut last = Parser::default();
            prop_assert_eq!(last.parse_last(bytes.trim_end_matches('\n').as_bytes()).is_ok(), true);
            prop_assert_eq!(last.items(), parser.items());
        }

        #[test]
        fn any_bytes_can_be_set(value in prop::collection::vec(any::<u8>().prop_filter("newline", |byte| *byte != b'\n'), 0..50)) {
            prop_assume!(value.last() != Some(&b'\r'));
            let bytes = [b"SET k ", &value[..], b"\n"].concat();
            let mut parser = Parser::default();
            prop_assert_eq!(parser.parse(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(&bytes[parser.items()[2].clone()], &value[..]);
        }
    }
}
