//! `PeerLink`: the connection on which this node speaks to a peer.
//!
//! A pair of nodes has two connections, one for each direction: on its own, each node sends requests and reads the replies. What
//! the peer asks arrives on the connection that the peer has opened, and a session answers it there.
//!
//! Everything that this node asks of a peer travels on its one connection, in order; the rule for forgetting deletes rests on that.
//! The replicator and the anti-entropy rounds share it: a thread locks it, sends its requests, and waits for the replies before
//! another thread may use it. It is opened when it is needed.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use parking_lot::Mutex;

use super::auth;
use super::buffer::ReadBuffer;
use crate::framing::resp::{self, Frame};
use crate::limits::{DRAIN_CONNECT_TIMEOUT, MAX_ADDRESSES, PEER_CONNECT_TIMEOUT, PEER_IO_TIMEOUT};
use crate::replication::message::{Reply, Request};
use crate::replication::reconcile::greet;
use crate::replication::replica::{Member, Replica};
use crate::replication::{Peer, PeerError};
use crate::secret::Secret;

/// The link to one configured peer.
pub(super) struct PeerLink {
    /// Where the peer listens, as it was configured.
    pub(super) address: String,
    secret: Option<Secret>,
    connection: Mutex<Option<Connection>>,
    /// The socket of the connection, so that it can be shut down while somebody waits on it.
    socket: Mutex<Option<Arc<TcpStream>>>,
    state: Mutex<LinkState>,
    /// Once the node stops: until when something may still be said.
    drain_until: OnceLock<Instant>,
    /// Whether that time is over. No connection is opened any more.
    closed: AtomicBool,
    /// Whether the operator said FORGET with this address, before a node was met here.
    dismissed: AtomicBool,
    /// How many connections were opened; numbers them.
    opened: AtomicU64,
    /// What INFO tells.
    pub(super) counters: LinkCounters,
}

/// What INFO tells about a link. Every counter only grows.
#[derive(Default)]
pub(super) struct LinkCounters {
    /// Failed attempts to deliver what was queued.
    pub(super) retries: AtomicU64,
    /// Entries that were sent at once after their write.
    pub(super) propagated: AtomicU64,
    /// Bytes that rounds sent, and received.
    pub(super) sync_sent: AtomicU64,
    pub(super) sync_received: AtomicU64,
}

/// Whether the peer answers, as far as is known.
struct LinkState {
    /// `None` until the first attempt.
    up: Option<bool>,
    /// When that last changed.
    since: Instant,
    /// The peer, once it has said its name.
    peer: Option<Arc<Member>>,
}

impl PeerLink {
    pub(super) fn new(address: String, secret: Option<Secret>) -> Self {
        Self {
            address,
            secret,
            connection: Mutex::new(None),
            socket: Mutex::new(None),
            state: Mutex::new(LinkState { up: None, since: Instant::now(), peer: None }),
            drain_until: OnceLock::new(),
            closed: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            counters: LinkCounters::default(),
        }
    }

    /// The peer behind this link for one round, which must stay on one connection.
    pub(super) fn for_round<'a>(&'a self, replica: &'a Replica) -> LinkPeer<'a> {
        LinkPeer { link: self, replica, round: Some(None) }
    }

    /// The peer behind this link for messages that may travel on any connection.
    pub(super) fn for_propagation<'a>(&'a self, replica: &'a Replica) -> LinkPeer<'a> {
        LinkPeer { link: self, replica, round: None }
    }

    /// The peer, once it has said its name.
    pub(super) fn peer(&self) -> Option<Arc<Member>> {
        self.state.lock().peer.clone()
    }

    /// Dismisses the address, so that deletes no longer wait for a node that was never met here. If one is met later, they wait for it.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Relaxed);
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Relaxed)
    }

    /// Whether the peer has answered the last request.
    pub(super) fn is_up(&self) -> bool {
        self.state.lock().up == Some(true)
    }

    /// What to call the peer in the log: its name and address, or the address while the name is not known.
    pub(super) fn describe(&self) -> String {
        match self.peer() {
            Some(peer) => format!("{} ({})", peer.name, self.address),
            None => self.address.clone(),
        }
    }

    /// Takes note that the peer did not answer as it should, and that it is tried again in `retry`. Tells it once for each loss, and
    /// not at all if another connection was opened meanwhile.
    pub(super) fn report_lost(&self, node: &str, error: &PeerError, retry: Duration) {
        let peer = self.describe();
        let connection = self.connection.lock();
        if connection.is_some() {
            debug!("{node}: lost a connection to {peer}, but has another: {error}");
            return;
        }
        let mut state = self.state.lock();
        match state.up {
            None => info!("{node}: no answer from {peer}: {error}; retrying at least every {retry:.0?}"),
            Some(true) => warn!("{node}: link to {peer} lost: {error}; retrying in {retry:.0?}"),
            Some(false) => {
                debug!("{node}: still no answer from {peer}: {error}; retrying in {retry:.0?}");
                return;
            }
        }
        (state.up, state.since) = (Some(false), Instant::now());
    }

    /// The node stops: from now on whoever connects hurries, and gives up at `drain_until`.
    pub(super) fn hurry(&self, drain_until: Instant) {
        self.drain_until.get_or_init(|| drain_until);
    }

    /// Whether the node stops and nothing more may be said.
    pub(super) fn is_drained(&self) -> bool {
        self.drain_until.get().is_some_and(|&until| Instant::now() > until)
    }

    /// Shuts the connection down, also under somebody who waits on it, for good.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        if let Some(socket) = self.socket.lock().take() {
            // An error says that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn connect(&self, replica: &Replica) -> Result<Connection, PeerError> {
        self.open(replica).map_err(PeerError::while_connecting)
    }

    fn open(&self, replica: &Replica) -> Result<Connection, PeerError> {
        let lost = |why: io::Error| PeerError::Lost(why.to_string());
        let (mut connect_timeout, mut io_timeout) = (PEER_CONNECT_TIMEOUT, PEER_IO_TIMEOUT);
        if let Some(until) = self.drain_until.get() {
            // A timeout of 0 would mean none.
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            (connect_timeout, io_timeout) = (left.min(DRAIN_CONNECT_TIMEOUT), left);
        }
        let stream = dial(self.address.to_socket_addrs().map_err(lost)?, connect_timeout).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        stream.set_read_timeout(Some(io_timeout)).map_err(lost)?;
        stream.set_write_timeout(Some(io_timeout)).map_err(lost)?;
        let stream = Arc::new(stream);
        *self.socket.lock() = Some(Arc::clone(&stream));
        // Looked at after the socket stands there for `close` to find: one of the two notices the other.
        if self.closed.load(SeqCst) {
            return Err(PeerError::Lost("this node is stopping".into()));
        }
        let number = self.opened.fetch_add(1, Relaxed) + 1;
        let mut connection = Connection::new(stream, number);
        let proven = match &self.secret {
            Some(secret) => Some(auth::introduce(secret, replica.identity(), |request| connection.call(&request))?),
            None => None,
        };
        let met = greet(replica, &mut connection)?;
        let peer = met.member;
        if proven.is_some_and(|proven| proven != (peer.name.clone(), met.incarnation)) {
            return Err(PeerError::Refused(format!(
                "{} has proved itself under another name or incarnation",
                peer.name
            )));
        }
        self.report_up(&replica.identity().name, peer);
        Ok(connection)
    }

    fn report_up(&self, node: &str, peer: Arc<Member>) {
        let mut state = self.state.lock();
        if state.up != Some(true) {
            let gap = state.since.elapsed();
            match state.peer {
                None => info!("{node}: link to {} ({}) is up", peer.name, self.address),
                Some(_) => info!("{node}: link to {} ({}) is back after {gap:.1?}", peer.name, self.address),
            }
            (state.up, state.since) = (Some(true), Instant::now());
        }
        state.peer = Some(peer);
    }
}

/// Connects to the first of a name's addresses that answers: `localhost`, say, may have two, and the peer listen on one of them.
fn dial(addresses: impl Iterator<Item = SocketAddr>, timeout: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::other("the name has no address");
    for address in addresses.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A link as the replication code sees it.
pub(super) struct LinkPeer<'a> {
    link: &'a PeerLink,
    replica: &'a Replica,
    /// For a round, the number of the connection on which it began.
    round: Option<Option<u64>>,
}

impl LinkPeer<'_> {
    /// Ends the connection of a round that has failed, if that did not end it already: whatever has gone wrong, it begins anew.
    pub(super) fn abandon(self) {
        let began_on = self.round.flatten();
        self.link.connection.lock().take_if(|connection| Some(connection.number) == began_on);
    }
}

impl Peer for LinkPeer<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let mut slot = self.link.connection.lock();
        let began_on = self.round.flatten();
        if began_on.is_some_and(|number| slot.as_ref().is_none_or(|connection| connection.number != number)) {
            return Err(PeerError::Lost("the connection broke during the round".into()));
        }
        if slot.is_none() {
            *slot = Some(self.link.connect(self.replica)?);
        }
        let connection = slot.as_mut().expect("was opened just now");
        let (sent, received) = (connection.sent, connection.received);
        let result = connection.exchange(prepare);
        if let Some(began_on) = &mut self.round {
            *began_on = Some(connection.number);
            self.link.counters.sync_sent.fetch_add(connection.sent - sent, Relaxed);
            self.link.counters.sync_received.fetch_add(connection.received - received, Relaxed);
        }
        let refused = |replies: &Vec<Reply>| replies.iter().any(|reply| matches!(reply, Reply::Refused(_)));
        if result.as_ref().map_or(true, refused) {
            *slot = None;
        }
        result
    }
}

/// An open connection.
struct Connection {
    stream: Arc<TcpStream>,
    number: u64,
    input: ReadBuffer,
    parser: resp::Parser,
    out: Vec<u8>,
    /// Bytes sent and received so far.
    sent: u64,
    received: u64,
}

impl Connection {
    fn new(stream: Arc<TcpStream>, number: u64) -> Self {
        let (parser, out) = (resp::Parser::default(), Vec::new());
        Self { stream, number, input: ReadBuffer::new(), parser, out, sent: 0, received: 0 }
    }

    /// Sends a request that comes before the protocol's, and returns the items of the reply; none for `+OK`.
    fn call(&mut self, request: &[u8]) -> Result<Vec<Vec<u8>>, PeerError> {
        (&*self.stream).write_all(request).map_err(|error| lost(&error))?;
        self.read(|frame| match frame {
            Frame::Array(items) => Ok(items.iter().map(<[u8]>::to_vec).collect()),
            Frame::Simple(_) => Ok(Vec::new()),
            Frame::Error(why) => Err(PeerError::Refused(String::from_utf8_lossy(why).into_owned())),
            other => Err(PeerError::Malformed(format!("{other:?}"))),
        })
    }

    /// Reads one reply and has it decoded.
    fn read<T>(&mut self, decode: impl FnOnce(Frame<'_>) -> Result<T, PeerError>) -> Result<T, PeerError> {
        loop {
            let parsed = self.parser.parse_reply(self.input.unused());
            if let Some((frame, length)) = parsed.map_err(|error| PeerError::Malformed(error.to_string()))? {
                let reply = decode(frame)?;
                self.input.consume(length);
                return Ok(reply);
            }
            match self.input.fill(&mut &*self.stream) {
                Ok(0) => return Err(PeerError::Lost("the peer has closed the connection".into())),
                Ok(count) => self.received += count as u64,
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

impl Peer for Connection {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let requests = prepare();
        self.out.clear();
        requests.iter().for_each(|request| request.encode(&mut self.out));
        (&*self.stream).write_all(&self.out).map_err(|error| lost(&error))?;
        self.sent += self.out.len() as u64;
        self.out.shrink_to(crate::limits::KEPT_BUFFER_BYTES);
        requests.iter().map(|request| self.read(|frame| Ok(Reply::decode(frame, request)?))).collect()
    }
}

/// A read or write that failed, in words.
fn lost(error: &std::io::Error) -> PeerError {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    match error.kind() {
        WouldBlock | TimedOut => PeerError::Silent(format!("no answer for {PEER_IO_TIMEOUT:?}")),
        _ => PeerError::Lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn the_first_address_that_answers_is_taken() {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listener = listen();
        let (here, nobody) =
            (listener.local_addr().expect("it is bound"), listen().local_addr().expect("it was bound"));
        let timeout = PEER_CONNECT_TIMEOUT;
        assert_eq!(dial([nobody, here].into_iter(), timeout).and_then(|stream| stream.peer_addr()).ok(), Some(here));
        assert_eq!(dial([nobody].into_iter(), timeout).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial([].into_iter(), timeout).unwrap_err().to_string(), "the name has no address");
    }
}
