//! Reads one HTTP request from a connection, within bounds: the head, the body, and the time that both may take.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::reply::Refusal;
use crate::limits::{HTTP_REQUEST_TIMEOUT, MAX_HTTP_BODY_BYTES, MAX_HTTP_HEAD_BYTES, MAX_HTTP_HEADERS};

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path, without what follows a `?`.
    pub(super) path: String,
    /// What follows the `?`, as it came.
    pub(super) query: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// Reads a request. `Ok(None)`: the connection has ended before one began.
    pub(super) fn read(stream: &TcpStream) -> Result<Option<Self>, Refusal> {
        let mut input = Input { stream, bytes: Vec::new(), until: Instant::now() + HTTP_REQUEST_TIMEOUT };
        let (mut request, head) = loop {
            if let Some(parsed) = parse_head(&input.bytes)? {
                break parsed;
            }
            if input.bytes.len() >= MAX_HTTP_HEAD_BYTES {
                return Err(Refusal::new(431, "the head of a request has at most 8 KiB"));
            }
            if !input.read_some()? {
                return if input.bytes.is_empty() { Ok(None) } else { Err(Refusal::new(400, "half a request")) };
            }
        };
        let length = request.body_length()?;
        while input.bytes.len() < head + length {
            if !input.read_some()? {
                return Err(Refusal::new(400, "the body is shorter than its Content-Length"));
            }
        }
        request.body = input.bytes[head..head + length].to_vec();
        Ok(Some(request))
    }

    /// The value of a header that may be there once; an error if it is there more often, or is no text.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let Some((_, value)) = values.next() else { return Ok(None) };
        let value = std::str::from_utf8(value).ok().filter(|_| values.next().is_none());
        value.map(Some).ok_or_else(|| Refusal::new(400, format!("{name}: give it once, in plain text")))
    }

    /// A part of the query, such as `a3` for `prefix` in `prefix=a3`. Nothing in it is decoded: no name or prefix needs
    /// that.
    pub(super) fn query_part(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }

    fn body_length(&self) -> Result<usize, Refusal> {
        if self.header("Transfer-Encoding")?.is_some() {
            return Err(Refusal::new(411, "send the body whole, with a Content-Length"));
        }
        let length = match self.header("Content-Length")? {
            None if self.method == "POST" => return Err(Refusal::new(411, "a POST needs a Content-Length")),
            None => return Ok(0),
            Some(length) => length.parse::<u64>().map_err(|_| Refusal::new(400, "the Content-Length is no number"))?,
        };
        let bounded = usize::try_from(length).ok().filter(|length| *length <= MAX_HTTP_BODY_BYTES);
        bounded.ok_or_else(|| Refusal::new(413, "the body of a request has at most 64 KiB"))
    }
}

/// The request without its body, and where that begins; `None` if the head is not whole yet.
fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HTTP_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) if head <= MAX_HTTP_HEAD_BYTES => head,
        Ok(httparse::Status::Complete(_)) => {
            return Err(Refusal::new(431, "the head of a request has at most 8 KiB"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::new(431, "too many headers")),
        Err(error) => return Err(Refusal::new(400, format!("malformed request: {error}"))),
    };
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: parsed.method.unwrap_or_default().into(),
        path: path.into(),
        query: query.into(),
        headers: parsed.headers.iter().map(|header| (header.name.into(), header.value.into())).collect(),
        body: Vec::new(),
    };
    Ok(Some((request, head)))
}

/// What has arrived so far, and until when the rest must.
struct Input<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
    until: Instant,
}

impl Input<'_> {
    /// Reads what is there; false at the end of the stream.
    fn read_some(&mut self) -> Result<bool, Refusal> {
        let late = || Refusal::new(408, "the request took too long to arrive");
        let left = self.until.saturating_duration_since(Instant::now());
        if left < Duration::from_millis(1) {
            return Err(late());
        }
        let mut buffer = [0; 4096];
        // An error other than the end of the time is the end of the connection: nobody reads what it is told.
        self.stream.set_read_timeout(Some(left)).map_err(|_| late())?;
        let count = (&mut &*self.stream).read(&mut buffer).map_err(|_| late())?;
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}
