//! What the page's address answers, with the headers that keep a browser from doing anything else with it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use crate::limits::{LINGER_TIME, MAX_HTTP_BODY_BYTES};

/// Headers of every answer: it is what it says it is, it is not kept, and no other page learns that it was asked for.
const ALWAYS: &str = "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n";

/// What anything but the page may do in a browser: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    kind: &'static str,
    policy: String,
    /// One more header line, or nothing.
    header: String,
    body: Vec<u8>,
}

/// A request that is not carried out: the status, and why, in a sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    why: String,
    header: &'static str,
}

impl Refusal {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), header: "" }
    }

    /// With one more header line, which ends with CRLF.
    pub(super) fn with_header(self, header: &'static str) -> Self {
        Self { header, ..self }
    }
}

impl From<Refusal> for Reply {
    fn from(Refusal { status, why, header }: Refusal) -> Self {
        Self { status, header: header.into(), ..Self::text(why + "\n") }
    }
}

impl Reply {
    /// Plain text.
    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::of("text/plain; charset=utf-8", text.into())
    }

    /// Metrics, in the text format of Prometheus.
    pub(super) fn metrics(text: String) -> Self {
        Self::of("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self::of("application/json", value.to_string().into_bytes())
    }

    /// A page whose script and style carry this nonce. Nothing else in it runs, and it speaks with its own address
    /// only.
    pub(super) fn page(html: String, nonce: &str) -> Self {
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src \
             data:; require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'none'"
        );
        Self { policy, ..Self::of("text/html; charset=utf-8", html.into_bytes()) }
    }

    fn of(kind: &'static str, body: Vec<u8>) -> Self {
        Self { status: 200, kind, policy: NOTHING.into(), header: String::new(), body }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Writes the answer, and closes the connection once the other side has read it, or after a moment.
    pub(super) fn send(&self, stream: &TcpStream) -> io::Result<()> {
        let Self { status, kind, policy, header, body } = self;
        let mut bytes = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: \
             {policy}\r\n{ALWAYS}{header}\r\n",
            reason(*status),
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        write(stream, &bytes)?;
        linger(stream)
    }
}

/// Begins an answer that goes on: Server-Sent Events.
pub(super) fn begin_events(stream: &TcpStream) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Security-Policy: {NOTHING}\r\n{ALWAYS}\r\n"
    );
    write(stream, head.as_bytes())
}

/// Writes all bytes. The stream has a write timeout.
pub(super) fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

/// Reads what the other side still sends, so that closing the connection does not reset it, which would take away what
/// it has not read yet.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + LINGER_TIME;
    let (mut buffer, mut most) = ([0; 4096], 2 * MAX_HTTP_BODY_BYTES);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut buffer)?;
        most = most.saturating_sub(count);
        if count == 0 || most == 0 {
            return Ok(());
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
