//! A client's connection to a node, or to Redis or Valkey: requests out, answers in, both in RESP2.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use crate::framing::resp::{write_array, write_bulk};
use crate::limits::{EXPORT_CONNECT_TIMEOUT, EXPORT_IO_TIMEOUT, MAX_ARGS, MAX_EXPORT_LINE, MAX_EXPORTED_BYTES};
use crate::node::connection::first_that_answers;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Status(Vec<u8>),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

/// How deep arrays may stand in arrays: the answer to SCAN has one in another.
const MAX_DEPTH: u32 = 2;

pub(super) struct Connection {
    input: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to the first of the address' machines that answers.
    pub(super) fn dial(address: &str) -> io::Result<Self> {
        let stream = first_that_answers(address.to_socket_addrs()?, EXPORT_CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(EXPORT_IO_TIMEOUT))?;
        stream.set_write_timeout(Some(EXPORT_IO_TIMEOUT))?;
        Ok(Self { input: BufReader::new(stream) })
    }

    /// Sends requests. The answers come in their order.
    pub(super) fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.input.get_ref().write_all(requests).map_err(explain)
    }

    /// Reads the next answer.
    pub(super) fn read(&mut self) -> io::Result<Reply> {
        self.read_nested(MAX_DEPTH).map_err(explain)
    }

    /// Sends one request, and reads its answer.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut request = Vec::new();
        write_request(&mut request, words);
        self.send(&request)?;
        self.read()
    }

    fn read_nested(&mut self, depth: u32) -> io::Result<Reply> {
        let line = self.read_line()?;
        let (kind, text) = line.split_first().ok_or_else(|| malformed("an empty line"))?;
        let length = |most: usize| match parse_integer(text)? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= most => Ok(Some(length)),
                _ => Err(malformed("a length that is out of range")),
            },
        };
        Ok(match kind {
            b'+' => Reply::Status(text.to_vec()),
            b'-' => Reply::Error(String::from_utf8_lossy(text).into_owned()),
            b':' => Reply::Integer(parse_integer(text)?),
            b'$' => match length(MAX_EXPORTED_BYTES)? {
                None => Reply::Nil,
                Some(length) => Reply::Bulk(self.read_bulk(length)?),
            },
            b'*' if depth == 0 => return Err(malformed("too many arrays in each other")),
            b'*' => match length(MAX_ARGS)? {
                None => Reply::Nil,
                Some(length) => {
                    Reply::Array((0..length).map(|_| self.read_nested(depth - 1)).collect::<Result<_, _>>()?)
                }
            },
            _ => return Err(malformed("an answer that is not RESP2")),
        })
    }

    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.input).take(MAX_EXPORT_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let whole = line.strip_suffix(b"\r\n").ok_or_else(|| malformed("a line without its end"))?;
        Ok(whole.to_vec())
    }

    /// The length is a claim: memory is taken for what arrives.
    fn read_bulk(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(length as u64 + 2).read_to_end(&mut bytes)?;
        if bytes.len() < length + 2 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match bytes.split_off(length).as_slice() {
            b"\r\n" => Ok(bytes),
            _ => Err(malformed("a value without its end")),
        }
    }
}

/// Writes a request behind those that stand in `out`.
pub(super) fn write_request(out: &mut Vec<u8>, words: &[&[u8]]) {
    write_array(out, words.len());
    words.iter().for_each(|word| write_bulk(out, word));
}

fn parse_integer(text: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| malformed("a number that is none"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("it has sent {what}"))
}

/// What the system calls a timeout, and the end of a connection, in words that say what has happened.
fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("it has been silent for {EXPORT_IO_TIMEOUT:?}"))
        }
        ErrorKind::UnexpectedEof => io::Error::new(ErrorKind::UnexpectedEof, "it has closed the connection"),
        _ => error,
    }
}
