//! Bytes to words and back. No sockets here, and no commands: a buffer comes in, words or an error come out.
//!
//! One port takes two ways to speak, told apart by the first byte of each request: `*` begins a RESP array ([`resp`]),
//! anything else is a plain line ([`mod@line`]). Both are cut into the same [`Args`].

pub mod line;
pub mod owned;
mod quotes;
pub mod resp;

use std::fmt;
use std::ops::Range;

use crate::limits::{MAX_ARGS, MAX_FRAME_BYTES, MAX_LINE_BYTES, MAX_PEER_TEXT_BYTES};
use quotes::Unbalanced;

/// With which byte a TLS connection begins. No plain line begins so.
pub const TLS_RECORD: u8 = 0x16;

/// How a request was written, and so how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line of text, for people and shell scripts.
    Plain,
    /// A RESP array of bulk strings, for Redis clients and peers, answered in RESP2.
    Resp,
    /// The same, from a client that has asked for RESP3 with HELLO 3.
    Resp3,
}

impl Form {
    /// The form of the request that begins with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.first() == Some(&b'*') { Self::Resp } else { Self::Plain }
    }
}

/// The words of a request (or the items of a peer's reply), where they lie in the buffer; those of a line with quotes,
/// where they were decoded.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    frame: &'a [u8],
    items: &'a [Range<usize>],
    /// What is wrong with the quotes of a plain line; its words are then what stands between blanks.
    unbalanced: Option<Unbalanced>,
}

impl<'a> Args<'a> {
    fn new(frame: &'a [u8], items: &'a [Range<usize>]) -> Self {
        Self { frame, items, unbalanced: None }
    }

    /// How many words there are.
    pub fn len(self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.items.is_empty()
    }

    /// The word at `index`, counted from 0.
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.items.get(index).map(|item| &self.frame[item.clone()])
    }

    /// All words in their order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.items.iter().map(move |item| &self.frame[item.clone()])
    }

    /// What is wrong with the quotes of a plain line, if they mean nothing.
    pub fn unbalanced(self) -> Option<&'static str> {
        self.unbalanced.map(Unbalanced::why)
    }

    /// The words from `index` on.
    #[must_use]
    pub fn from(self, index: usize) -> Self {
        Self { items: self.items.get(index..).unwrap_or_default(), ..self }
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|word| word.escape_ascii().to_string())).finish()
    }
}

/// Why a stream of requests cannot be read on. After any of these it is unknown where the next request begins, so the
/// session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A length that is no number, or is beyond a limit, or is that of a bulk string and negative.
    BadLength {
        /// What the length was for.
        of: &'static str,
        /// The greatest length that would have been taken.
        limit: usize,
    },
    /// A byte that cannot stand where it stands.
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: u8,
    },
    /// A frame whose parts are within their limits, but not together.
    FrameTooLong,
    /// A plain line that does not end within the limit.
    LineTooLong,
    /// A web browser or another HTTP client. It is not served, lest a web page slip commands in.
    Http,
    /// A client that begins to speak TLS, which would slip commands in, too.
    Tls,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength { of, limit } => {
                write!(f, "Protocol error: invalid {of} length, expected a number from 0 to {limit}")
            }
            Self::Unexpected { expected, found } => {
                write!(f, "Protocol error: expected {expected}, got '{}'", found.escape_ascii())
            }
            Self::FrameTooLong => {
                write!(f, "Protocol error: a request has at most {MAX_FRAME_BYTES} bytes and {MAX_ARGS} words")
            }
            Self::LineTooLong => {
                write!(f, "a line has at most {MAX_LINE_BYTES} bytes; use a Redis client for longer values")
            }
            Self::Http => f.write_str(
                "this is not a web server; type HELP with a newline, or use a Redis client \
                 (a value that ends in HTTP/1.1 needs quotes in a line)",
            ),
            Self::Tls => f.write_str("this port does not speak TLS; put a TLS proxy before it, or connect without TLS"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Cuts a stream of requests into words. Keeps its place in a request that has not arrived whole, so each byte is
/// looked at once, however slowly it comes.
#[derive(Debug, Default)]
pub struct RequestParser {
    resp: resp::Parser,
    line: line::Parser,
}

impl RequestParser {
    /// A parser for a client's requests, some of whose plain lines end with a text. (That of a peer, the default, needs
    /// none: peers send no plain lines.)
    pub fn new(words_before_text: line::WordsBeforeText) -> Self {
        Self { line: line::Parser::new(words_before_text), ..Self::default() }
    }

    /// Looks for a whole request at the start of `bytes`, which must begin where the last request ended. Returns its
    /// form and its length in bytes; `None` if more bytes are needed. [`RequestParser::args`] then gives its words.
    pub fn parse(&mut self, bytes: &[u8]) -> Result<Option<(Form, usize)>, FrameError> {
        let (form, length) = match bytes.first() {
            None => return Ok(None),
            Some(b'*') => (Form::Resp, self.resp.parse(bytes)?),
            Some(&TLS_RECORD) => return Err(FrameError::Tls),
            Some(_) => (Form::Plain, self.line.parse(bytes)?),
        };
        Ok(length.map(|length| (form, length)))
    }

    /// Takes what is left of `bytes` at the end of the input for a plain line whose newline is missing. A RESP array
    /// that has not arrived whole is no request.
    pub fn parse_last(&mut self, bytes: &[u8]) -> Result<Option<(Form, usize)>, FrameError> {
        match bytes.first() {
            None | Some(b'*') => Ok(None),
            Some(&TLS_RECORD) => Err(FrameError::Tls),
            Some(_) => self.line.parse_last(bytes).map(|length| Some((Form::Plain, length))),
        }
    }

    /// How many bytes the parser takes for what it remembers of a request.
    pub fn capacity(&self) -> usize {
        self.resp.capacity() + self.line.capacity()
    }

    /// Gives back what a long request has taken. Between requests only.
    pub fn shrink(&mut self) {
        self.resp.shrink();
        self.line.shrink();
    }

    /// The words of the request that was found in `bytes`.
    pub fn args<'a>(&'a self, form: Form, bytes: &'a [u8]) -> Args<'a> {
        match form {
            Form::Plain => self.line.args(bytes),
            Form::Resp | Form::Resp3 => Args::new(bytes, self.resp.items()),
        }
    }
}

/// A peer's own words as the log and an answer can show them: on one line, without control characters, and not at
/// length. What nodes say to each other stays as it is.
pub fn printable_text(text: &[u8]) -> String {
    let cut = &text[..text.len().min(MAX_PEER_TEXT_BYTES)];
    let mut shown = String::new();
    for char in String::from_utf8_lossy(cut).chars() {
        match char {
            ' '..='~' | '…' => shown.push(char),
            other => shown.extend(other.escape_unicode()),
        }
    }
    shown + if cut.len() < text.len() { "…" } else { "" }
}

/// A word from outside as an error message can show it: without control characters, and not at length.
pub fn printable(word: &[u8]) -> String {
    printable_start(word, 64)
}

/// As [`printable`], with at most so many bytes.
pub fn printable_start(word: &[u8], most: usize) -> String {
    let dots = if word.len() > most { "…" } else { "" };
    format!("{}{dots}", word[..word.len().min(most)].escape_ascii())
}
