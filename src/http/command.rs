//! Runs a command line of the page as any client does: over a connection to the node. So every command works, and every
//! bound of clients holds.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::connections::Connections;
use super::reply::Refusal;
use crate::framing::resp::{write_array, write_bulk};
use crate::limits::{MAX_PAGE_ANSWER_BYTES, PAGE_COMMAND_PATIENCE, PEER_CONNECT_TIMEOUT};
use crate::node::threads::reachable;

/// What the node answers to a line, as text. `word` is the secret, if there is one.
pub(super) fn run(
    connections: &Connections,
    node: SocketAddr,
    word: Option<&str>,
    line: &str,
) -> Result<String, Refusal> {
    if line.contains(['\n', '\r', '\0']) {
        return Err(Refusal::new(400, "a command is one line"));
    }
    if line.trim_start().starts_with('*') {
        return Err(Refusal::new(
            400,
            "a line that begins with * begins a request of a Redis client; type a plain line",
        ));
    }
    let lost = |error: io::Error| Refusal::new(503, format!("the node does not answer: {error}"));
    let stream = TcpStream::connect_timeout(&reachable(node), PEER_CONNECT_TIMEOUT).map_err(lost)?;
    let _open = connections.watch(&stream).map_err(lost)?;
    let until = Instant::now() + PAGE_COMMAND_PATIENCE;
    // In RESP, which takes a secret with any bytes; what follows is answered as a plain line.
    let mut request = Vec::new();
    if let Some(word) = word {
        write_array(&mut request, 2);
        ["AUTH", word].iter().for_each(|word| write_bulk(&mut request, word.as_bytes()));
    }
    request.extend_from_slice(format!("{line}\nQUIT\n").as_bytes());
    stream.set_write_timeout(Some(PAGE_COMMAND_PATIENCE)).map_err(lost)?;
    (&stream).write_all(&request).map_err(lost)?;
    let (answer, why_cut) = read(&stream, until).map_err(lost)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let answer = if word.is_none() { &answer } else { answer.strip_prefix("+OK\r\n").unwrap_or(&answer) };
    Ok(match why_cut {
        None => answer.strip_suffix("OK\n").unwrap_or(answer).to_string(),
        Some(why) => format!("{answer}\n… {why}"),
    })
}

/// Reads until the end, the bound or the time; why it stopped before the end.
fn read(mut stream: &TcpStream, until: Instant) -> io::Result<(Vec<u8>, Option<&'static str>)> {
    let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((answer, Some("no more came within 10 s")));
        }
        if answer.len() >= MAX_PAGE_ANSWER_BYTES {
            answer.truncate(MAX_PAGE_ANSWER_BYTES);
            return Ok((answer, Some("the answer goes on; a client shows it whole")));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok((answer, None)),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if answer.is_empty() => return Err(error),
            Err(_) => return Ok((answer, Some("the connection was lost"))),
        }
    }
}
