//! One TCP connection to a peer: how it is dialed, how both sides introduce themselves, how requests and replies
//! travel.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;

use super::auth::{self, Introduced, Seals};
use super::buffer::ReadBuffer;
use super::seal::Tag;
use super::watch::Teller;
use crate::framing::printable_text;
use crate::framing::resp::{self, Frame};
use crate::limits::{KEPT_BUFFER_BYTES, MAX_ADDRESSES};
use crate::replication::message::{Reply, Request};
use crate::replication::reconcile::{Met, greet};
use crate::replication::replica::Replica;
use crate::replication::{Peer, PeerError};
use crate::secret::Secret;

/// How long a connection waits for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// For the peer to accept the connection; for each of its addresses.
    pub(super) connect: Duration,
    /// For the peer to send or take anything.
    pub(super) io: Duration,
}

/// Connects to a peer: `host:port`.
pub(super) fn dial(address: &str, timeouts: Timeouts) -> io::Result<TcpStream> {
    let stream = first_that_answers(address.to_socket_addrs()?, timeouts.connect)?;
    stream.set_nodelay(true)?;
    set_timeout(&stream, timeouts.io)?;
    Ok(stream)
}

fn set_timeout(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))
}

/// Connects to the first of a name's addresses that answers. `localhost`, say, may have two, and the peer may listen on
/// only one of them.
pub(crate) fn first_that_answers(
    addresses: impl Iterator<Item = SocketAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let mut failed = io::Error::other("the name has no address");
    for address in addresses.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Which of a link's connections this is: 1 for the first, then 2, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionNumber(pub(super) u64);

/// An open connection.
pub(super) struct Connection {
    pub(super) number: ConnectionNumber,
    stream: Arc<TcpStream>,
    teller: Teller,
    /// How long a read or write waits.
    io_timeout: Duration,
    input: ReadBuffer,
    parser: resp::Parser,
    out: Vec<u8>,
    /// What makes each message known as the sender's, once both sides have proved themselves; `None` if there is no
    /// secret.
    seals: Option<Seals>,
    /// Bytes sent and received so far.
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Connection {
    /// A connection over a stream from [`dial`]. `teller` tells what is said on it.
    pub(super) fn new(number: ConnectionNumber, stream: Arc<TcpStream>, teller: Teller, io_timeout: Duration) -> Self {
        let (input, parser, out) = (ReadBuffer::new(), resp::Parser::default(), Vec::new());
        Self { number, stream, teller, io_timeout, input, parser, out, seals: None, sent: 0, received: 0 }
    }

    /// From now on reads and writes wait for this long.
    pub(super) fn set_io_timeout(&mut self, timeout: Duration) -> Result<(), PeerError> {
        if timeout != self.io_timeout {
            set_timeout(&self.stream, timeout).map_err(|error| self.lost(&error))?;
            self.io_timeout = timeout;
        }
        Ok(())
    }

    /// Introduces this node to the peer and the peer to this node. If there is a secret, both prove first that they
    /// know it. `expected` is the name that the peer must have, if the operator has said one.
    pub(super) fn introduce(
        &mut self,
        replica: &Replica,
        secret: Option<&Secret>,
        expected: Option<&str>,
    ) -> Result<Met, PeerError> {
        let mut proven = None;
        if let Some(secret) = secret {
            let Introduced { peer, seals, places_alike } =
                auth::introduce(secret, replica, |request| self.call(&request))?;
            self.seals = Some(seals);
            proven = Some((peer, places_alike));
        }
        let is_it = |name: &str| match expected {
            Some(expected) if expected != name => {
                Err(PeerError::Refused(format!("{name} listens there, where {expected} should")))
            }
            _ => Ok(()),
        };
        proven.iter().try_for_each(|(peer, _)| is_it(&peer.name))?;
        let met = greet(replica, self, |greeting| {
            is_it(&greeting.name)?;
            match proven.as_ref().is_none_or(|(peer, _)| peer.fits(greeting)) {
                true => Ok(()),
                false => Err(PeerError::Refused(format!("{} is not who has proved itself", greeting.name))),
            }
        })?;
        self.teller.to = met.member.name.clone();
        if proven.is_some_and(|(_, places_alike)| !places_alike) {
            warn!(
                "{}: {} places keys by another secret, so a round that finds a difference compares all of them, \
                 until both have started with the same one",
                replica.identity().name,
                met.member.name
            );
        }
        Ok(met)
    }

    /// Sends a request that comes before the peer protocol's, and returns the items of the reply; none for `+OK`.
    fn call(&mut self, request: &[u8]) -> Result<Vec<Vec<u8>>, PeerError> {
        self.write(request)?;
        self.read(|frame| match frame {
            Frame::Array(items) => Ok(items.iter().map(<[u8]>::to_vec).collect()),
            Frame::Simple(_) => Ok(Vec::new()),
            Frame::Error(why) => {
                let why = printable_text(why);
                Err(PeerError::Refused(why.strip_prefix("REFUSED ").unwrap_or(&why).to_string()))
            }
            Frame::Bulk(_) | Frame::Integer(_) => Err(PeerError::Malformed("it does not prove itself".into())),
        })
    }

    /// Sends requests, and reads the reply to each.
    fn send(&mut self, requests: &[Request]) -> Result<Vec<Reply>, PeerError> {
        self.out.clear();
        for request in requests {
            match &mut self.seals {
                Some(seals) => seals.sent.write_request(&mut self.out, |out| request.encode(out)),
                None => request.encode(&mut self.out),
            }
        }
        self.write(&self.out)?;
        self.sent += self.out.len() as u64;
        self.out.shrink_to(KEPT_BUFFER_BYTES);
        let reply = |request| {
            let reply = self.read_sealed(|frame| Ok(Reply::decode(frame, request)?))?;
            self.teller.answered(&reply);
            Ok(reply)
        };
        requests.iter().map(reply).collect()
    }

    fn write(&self, bytes: &[u8]) -> Result<(), PeerError> {
        (&*self.stream).write_all(bytes).map_err(|error| self.lost(&error))
    }

    /// Reads one reply, and has it decoded if it is the peer's.
    fn read_sealed<T>(&mut self, decode: impl FnOnce(Frame<'_>) -> Result<T, PeerError>) -> Result<T, PeerError> {
        if self.seals.is_none() {
            return self.read(decode);
        }
        let tag: Tag = self.read(|frame| match frame {
            Frame::Bulk(tag) => tag.try_into().map_err(|_| PeerError::Malformed("a seal of another length".into())),
            // Perhaps not the peer has said it. It ends the connection, and changes nothing else.
            Frame::Error(why) => Err(PeerError::Lost(printable_text(why))),
            _ => Err(PeerError::Malformed("a reply without a seal".into())),
        })?;
        let mut seals = self.seals.take();
        let reply = self.read_raw(|frame, raw| {
            let is_theirs = seals.as_mut().is_some_and(|seals| seals.received.fits_reply(&tag, raw));
            if is_theirs {
                decode(frame)
            } else {
                Err(PeerError::Refused("a reply that the peer has not sealed".into()))
            }
        });
        self.seals = seals;
        reply
    }

    /// Reads one reply and has it decoded.
    fn read<T>(&mut self, decode: impl FnOnce(Frame<'_>) -> Result<T, PeerError>) -> Result<T, PeerError> {
        self.read_raw(|frame, _| decode(frame))
    }

    /// As [`Connection::read`]; `decode` also gets the reply's bytes.
    fn read_raw<T>(&mut self, decode: impl FnOnce(Frame<'_>, &[u8]) -> Result<T, PeerError>) -> Result<T, PeerError> {
        loop {
            let bytes = self.input.unused();
            let parsed = self.parser.parse_reply(bytes);
            if let Some((frame, length)) = parsed.map_err(|error| PeerError::Malformed(error.to_string()))? {
                let reply = decode(frame, &bytes[..length])?;
                self.input.consume(length);
                return Ok(reply);
            }
            match self.input.fill(&mut &*self.stream) {
                Ok(0) => return Err(PeerError::Lost("the peer has closed the connection".into())),
                Ok(count) => self.received += count as u64,
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// What a read or write that failed says about the peer.
    fn lost(&self, error: &io::Error) -> PeerError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                PeerError::Silent(format!("no answer for {:?}", self.io_timeout))
            }
            _ => PeerError::Lost(error.to_string()),
        }
    }
}

impl Peer for Connection {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let (requests, began) = (prepare(), self.teller.watch.is_on().then(Instant::now));
        self.teller.asked(&requests);
        let replies = self.send(&requests);
        began.iter().for_each(|&began| self.teller.exchanged(&requests, &replies, began));
        replies
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PEER_CONNECT_TIMEOUT;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn the_first_address_that_answers_is_taken() {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listener = listen();
        let here = listener.local_addr().expect("it is bound");
        let nobody = listen().local_addr().expect("it was bound");
        let first = |addresses: &[SocketAddr]| first_that_answers(addresses.iter().copied(), PEER_CONNECT_TIMEOUT);
        assert_eq!(first(&[nobody, here]).and_then(|stream| stream.peer_addr()).ok(), Some(here));
        assert_eq!(first(&[nobody]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first(&[]).unwrap_err().to_string(), "the name has no address");
    }
}
