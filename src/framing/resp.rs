//! RESP, the Redis serialization protocol: requests are arrays of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`.
//!
//! Everything is announced by its length, so any bytes may stand in a key or value. A length is a claim: it is checked
//! against a limit, and nothing is allocated for it until its bytes are there. Replies use the same arrays and three
//! more forms, of which peers need but a few; what clients are sent is written in [`answer`](crate::commands::answer).
//!
//! Specification: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::ops::Range;

use super::{Args, FrameError};
use crate::limits::{KEPT_ITEMS, MAX_ARGS, MAX_FRAME_BYTES, MAX_VALUE_BYTES};

/// The longest bulk string: a value, or a peer's record with its key and header.
const MAX_BULK_BYTES: usize = MAX_VALUE_BYTES + 128 * 1024;

/// The longest line of digits with its sign, type and end: `*-9223372036854775808\r\n`.
const MAX_LENGTH_LINE: usize = 24;

/// The longest line of text in a peer's reply.
const MAX_STATUS_LINE: usize = 1024;

/// Finds the items of one RESP array that arrives in pieces.
#[derive(Debug, Default)]
pub struct Parser {
    /// How many bytes of the array have been read. 0: a new array begins.
    at: usize,
    /// How many items the array still lacks.
    missing: usize,
    /// Where the items lie.
    items: Vec<Range<usize>>,
}

impl Parser {
    /// Reads on in the array at the start of `bytes`. Returns its length once it is whole.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        if self.at == 0 {
            let Some((count, at)) = length(bytes, 0, b'*', MAX_ARGS)? else {
                return Ok(None);
            };
            (self.at, self.missing) = (at, count);
            self.items.clear();
        }
        while self.missing > 0 {
            let Some((len, start)) = length(bytes, self.at, b'$', MAX_BULK_BYTES)? else {
                return Ok(None);
            };
            let end = start + len;
            if end + 2 > MAX_FRAME_BYTES {
                return Err(FrameError::FrameTooLong);
            }
            if bytes.len() < end + 2 {
                return Ok(None);
            }
            if bytes[end..end + 2] != *b"\r\n" {
                let found = if bytes[end] == b'\r' { bytes[end + 1] } else { bytes[end] };
                return Err(FrameError::Unexpected { expected: "the end of a bulk string", found });
            }
            self.items.push(start..end);
            self.at = end + 2;
            self.missing -= 1;
        }
        Ok(Some(std::mem::take(&mut self.at)))
    }

    /// Where the items of the array lie that was found last.
    pub(super) fn items(&self) -> &[Range<usize>] {
        &self.items
    }

    /// Forgets the items, and gives their room back where it is large.
    pub(super) fn shrink(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEPT_ITEMS);
    }

    /// How many bytes the items of an array take here.
    pub(super) fn capacity(&self) -> usize {
        self.items.capacity() * size_of::<Range<usize>>()
    }

    /// Finds one reply at the start of `bytes`: itself and its length, once it is whole.
    pub fn parse_reply<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, FrameError> {
        let Some(&kind) = bytes.first() else { return Ok(None) };
        match kind {
            b'*' => {
                let length = self.parse(bytes)?;
                Ok(length.map(|length| (Frame::Array(Args::new(bytes, &self.items)), length)))
            }
            b'$' => {
                let Some((len, start)) = length(bytes, 0, b'$', MAX_BULK_BYTES)? else {
                    return Ok(None);
                };
                let whole = bytes.len() >= start + len + 2;
                Ok(whole.then(|| (Frame::Bulk(&bytes[start..start + len]), start + len + 2)))
            }
            b'+' | b'-' | b':' => {
                let Some(end) = line_end(bytes, 0, MAX_STATUS_LINE)? else { return Ok(None) };
                let text = &bytes[1..end];
                let frame = match kind {
                    b'+' => Frame::Simple(text),
                    b'-' => Frame::Error(text),
                    _ => {
                        Frame::Integer(number(text).ok_or(FrameError::BadLength { of: "integer", limit: usize::MAX })?)
                    }
                };
                Ok(Some((frame, end + 2)))
            }
            found => Err(FrameError::Unexpected { expected: "a reply", found }),
        }
    }
}

/// A peer's reply.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// `+OK`
    Simple(&'a [u8]),
    /// `-ERR what is wrong`
    Error(&'a [u8]),
    /// `:1`; peers send no negative ones.
    Integer(usize),
    /// `$3`, then three bytes.
    Bulk(&'a [u8]),
    /// `*3`, then three bulk strings.
    Array(Args<'a>),
}

/// The length line at `at`: its number, and where it ends. Nearly all are short, and those are read here.
#[inline(always)]
fn length(bytes: &[u8], at: usize, kind: u8, limit: usize) -> Result<Option<(usize, usize)>, FrameError> {
    match bytes.get(at..).and_then(|rest| short_line(rest, kind)) {
        Some((length, line)) if length <= limit => Ok(Some((length, at + line))),
        _ => any_length(bytes, at, kind, limit),
    }
}

/// The number in a line of this kind and few digits, and the length of that line: found in one go.
fn short_line(bytes: &[u8], kind: u8) -> Option<(usize, usize)> {
    match *bytes {
        [first, a @ b'0'..=b'9', b'\r', b'\n', ..] if first == kind => Some((usize::from(a - b'0'), 4)),
        [first, a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] if first == kind => {
            Some((10 * usize::from(a - b'0') + usize::from(b - b'0'), 5))
        }
        _ => None,
    }
}

/// As [`length`], of any line: one that is long, cut off or wrong.
#[inline(never)]
fn any_length(bytes: &[u8], at: usize, kind: u8, limit: usize) -> Result<Option<(usize, usize)>, FrameError> {
    let (expected, of) = if kind == b'*' { ("an array ('*')", "array") } else { ("a bulk string ('$')", "bulk") };
    match bytes.get(at) {
        None => return Ok(None),
        Some(&found) if found != kind => return Err(FrameError::Unexpected { expected, found }),
        Some(_) => {}
    }
    let bad = FrameError::BadLength { of, limit };
    let end = match line_end(bytes, at, MAX_LENGTH_LINE) {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(None),
        Err(_) => return Err(bad),
    };
    let text = &bytes[at + 1..end];
    if kind == b'*' && text.strip_prefix(b"-").and_then(number).is_some() {
        // Redis takes an array of less than nothing for an empty one.
        return Ok(Some((0, end + 2)));
    }
    match number(text) {
        Some(length) if length <= limit => Ok(Some((length, end + 2))),
        _ => Err(bad),
    }
}

/// Where the line at `at` has its `\r\n`, which must come within `limit` bytes.
fn line_end(bytes: &[u8], at: usize, limit: usize) -> Result<Option<usize>, FrameError> {
    let window = &bytes[at..bytes.len().min(at + limit)];
    match window.iter().position(|&byte| byte == b'\r') {
        Some(end) if end + 1 < window.len() => match window[end + 1] {
            b'\n' => Ok(Some(at + end)),
            found => Err(FrameError::Unexpected { expected: "the end of a line", found }),
        },
        _ if window.len() == limit => Err(FrameError::LineTooLong),
        _ => Ok(None),
    }
}

/// A number of digits alone.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| usize::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Writes the head of an array of `len` items.
pub fn write_array(out: &mut Vec<u8>, len: usize) {
    write_length(out, b'*', len as u64);
}

/// Writes the head of a RESP3 map of `len` pairs.
pub fn write_map(out: &mut Vec<u8>, len: usize) {
    write_length(out, b'%', len as u64);
}

/// Writes a bulk string.
pub fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, b'$', bytes.len() as u64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes a text for people. In RESP3 only.
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    const FORMAT: &[u8] = b"txt:";
    write_length(out, b'=', (FORMAT.len() + text.len()) as u64);
    out.extend_from_slice(FORMAT);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Writes an integer.
pub fn write_integer(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.extend_from_slice(format!(":{number}\r\n").as_bytes());
    } else {
        write_length(out, b':', number as u64);
    }
}

/// Writes a type, a number and the end of the line, without the detour over the formatter that it would take.
fn write_length(out: &mut Vec<u8>, kind: u8, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(kind);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        write_array(&mut out, words.len());
        words.iter().for_each(|word| write_bulk(&mut out, word));
        out
    }

    fn words(parser: &Parser, bytes: &[u8]) -> Vec<Vec<u8>> {
        parser.items().iter().map(|item| bytes[item.clone()].to_vec()).collect()
    }

    proptest! {
        #[test]
        fn an_array_is_found_wherever_the_input_is_split(
            expected in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6)
        ) {
            let bytes = encoded(&expected);
            let mut parser = Parser::default();
            for end in 0..bytes.len() {
                prop_assert_eq!(parser.parse(&bytes[..end]), Ok(None), "at {}", end);
            }
            prop_assert_eq!(parser.parse(&bytes), Ok(Some(bytes.len())));
            prop_assert_eq!(words(&parser, &bytes), expected.clone());
            let followed = [&bytes[..], b"*1\r\n"].concat();
            prop_assert_eq!(parser.parse(&followed), Ok(Some(bytes.len())), "what follows is left alone");
            prop_assert_eq!(words(&parser, &followed), expected);
        }

        #[test]
        fn rubbish_does_not_panic(bytes: Vec<u8>) {
            let _ = Parser::default().parse(&[b"*", &bytes[..]].concat());
            let _ = Parser::default().parse_reply(&bytes);
        }

        #[test]
        fn numbers_are_written_as_the_formatter_would(number: i64) {
            let mut out = Vec::new();
            write_integer(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!(":{number}\r\n"));
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_allocated_for_them() {
        let bad = [
            "*-\r\n",
            "*1000000000\r\n",
            "*x\r\n",
            "*\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$99999999999\r\n",
            "*+1\r\n",
            "*18446744073709551617\r\n",
        ];
        for bytes in bad {
            let mut parser = Parser::default();
            let error = parser.parse(bytes.as_bytes()).expect_err(bytes);
            assert!(matches!(error, FrameError::BadLength { .. }), "{bytes}: {error}");
            assert_eq!(parser.items.capacity(), 0);
        }
        let endless = [b"*".as_slice(), &[b'1'; 100]].concat();
        assert!(Parser::default().parse(&endless).is_err());
    }

    #[test]
    fn an_array_in_an_array_and_a_wrong_length_are_refused() {
        for bytes in ["*1\r\n*1\r\n$1\r\na\r\n", "*1\r\n$1\r\nab\r\n", "*1\r\n:1\r\n"] {
            let error = Parser::default().parse(bytes.as_bytes()).expect_err(bytes);
            assert!(matches!(error, FrameError::Unexpected { .. }), "{bytes}: {error}");
        }
    }

    #[test]
    fn a_frame_of_allowed_parts_is_refused_when_they_are_too_long_together() {
        let value = vec![b'x'; MAX_VALUE_BYTES];
        let bytes = encoded(&[value.clone(), value.clone(), value]);
        assert_eq!(Parser::default().parse(&bytes), Err(FrameError::FrameTooLong));
    }

    #[test]
    fn a_reply_is_found_once_it_is_whole() {
        for reply in ["+OK\r\n", "-ERR no\r\n", ":12\r\n", "$2\r\nab\r\n", "$0\r\n\r\n", "*1\r\n$1\r\na\r\n"] {
            let mut parser = Parser::default();
            for end in 0..reply.len() {
                let found = parser.parse_reply(&reply.as_bytes()[..end]).expect("well formed");
                assert!(found.is_none(), "{:?} of {reply:?}", &reply[..end]);
            }
            let (_, length) = parser.parse_reply(reply.as_bytes()).expect("well formed").expect("whole");
            assert_eq!(length, reply.len());
        }
    }

    #[test]
    fn a_line_ends_with_both_its_bytes_within_its_bound() {
        for bytes in ["*1\rx", "*111\rx", "$1\rx", "+OK\rx", "+O\rK\r\n"] {
            assert!(Parser::default().parse_reply(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        let line = |len: usize| format!("+{}\r\n", "x".repeat(len - 3));
        assert!(Parser::default().parse_reply(line(MAX_STATUS_LINE).as_bytes()).is_ok());
        let endless = Parser::default().parse_reply(line(MAX_STATUS_LINE + 1).as_bytes()).map(|_| ());
        assert_eq!(endless, Err(FrameError::LineTooLong));
    }

    #[test]
    fn the_memory_of_a_large_array_is_counted_and_given_back() {
        let bytes = encoded(&vec![b"k".to_vec(); 10_000]);
        let mut parser = Parser::default();
        assert_eq!(parser.parse(&bytes), Ok(Some(bytes.len())));
        assert!(parser.capacity() >= 10_000 * size_of::<Range<usize>>());
        parser.shrink();
        let kept = KEPT_ITEMS * size_of::<Range<usize>>();
        assert!(parser.capacity() <= 2 * kept, "{} bytes are kept", parser.capacity());
    }
}
