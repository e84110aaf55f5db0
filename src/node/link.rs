//! The link to one configured peer: all that this node says to it, in order.
//!
//! A link has at most one connection, which it opens when it is needed. A pair of nodes has two links, one for each
//! direction: on its own, each node sends requests and reads the replies. What the peer asks arrives on the connection
//! that the peer has opened, and a session answers it there.
//!
//! Everything that this node asks of a peer travels on this one connection, in order; the rule for forgetting deletes
//! rests on that. The replicator and the anti-entropy rounds share it: a thread locks it, sends its requests, and waits
//! for the replies before another thread may use it.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use nix::libc::{MSG_DONTWAIT, MSG_PEEK};
use parking_lot::Mutex;
use socket2::SockRef;

use super::connection::{Connection, ConnectionNumber, Timeouts, dial};
use super::lab::LinkFaults;
use super::watch::{Teller, Watch};
use crate::config::{Config, parse_peer};
use crate::limits::{DRAIN_CONNECT_TIMEOUT, PEER_CONNECT_TIMEOUT, PEER_IO_TIMEOUT};
use crate::replication::PeerError;
use crate::replication::delivery::Delivery;
use crate::replication::reconcile::Met;
use crate::replication::replica::{Member, Replica};
use crate::secret::Secrets;

/// The link to one configured peer.
pub(super) struct Link {
    /// Where the peer listens, as it was configured.
    pub(super) address: String,
    /// What the peer must be called, if the operator has said it.
    name: Option<String>,
    secrets: Arc<Secrets>,
    /// Who is told what is said.
    watch: Arc<Watch>,
    /// What the peer is known to hold.
    delivery: Arc<Delivery>,
    /// The open connection. Locked for a whole exchange: up to [`PEER_IO_TIMEOUT`].
    pub(super) connection: Mutex<Option<Connection>>,
    /// The socket of the connection, so that it can be shut down while a thread waits on it.
    socket: Mutex<Option<Arc<TcpStream>>>,
    /// How many connections were opened; numbers them.
    opened: AtomicU64,
    state: Mutex<LinkState>,
    /// Once the node stops: until when something may still be said.
    drain_until: OnceLock<Instant>,
    /// Whether that time is over. No connection is opened any more.
    closed: AtomicBool,
    /// What INFO shows.
    pub(super) counters: LinkCounters,
    /// What the lab does to it.
    pub(super) faults: LinkFaults,
}

/// What INFO shows about a link. Every counter only grows.
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

/// What is known of the peer.
struct LinkState {
    status: Status,
    /// The connection that is open and introduced. Kept here too, so that a thread that only asks for it need not wait
    /// for the exchange in progress.
    open: Option<ConnectionNumber>,
    /// When `status` last changed.
    since: Instant,
    /// The peer, once it has said its name.
    peer: Option<Arc<Member>>,
    /// Why the two nodes refuse each other, if they did the last time.
    refused: Option<String>,
    /// How long the peer may take to send or take anything: [`PEER_IO_TIMEOUT`], but less during the load.
    io_timeout: Duration,
}

/// Whether the peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// No attempt has ended yet.
    Untried,
    /// The peer has answered the last request.
    Up,
    /// The last request or connection failed.
    Down,
}

impl Link {
    /// The link of a node that is loading, to a peer as it was configured.
    pub(super) fn new(peer: &str, config: &Config, delivery: Arc<Delivery>) -> Self {
        let (name, address) = parse_peer(peer);
        let io_timeout = config.load_patience.clamp(PEER_CONNECT_TIMEOUT, PEER_IO_TIMEOUT);
        let (status, since) = (Status::Untried, Instant::now());
        Self {
            address: address.to_string(),
            name: name.map(str::to_string),
            secrets: Arc::clone(&config.secrets),
            watch: Arc::clone(&config.watch),
            delivery,
            connection: Mutex::new(None),
            socket: Mutex::new(None),
            opened: AtomicU64::new(0),
            state: Mutex::new(LinkState { status, open: None, since, peer: None, refused: None, io_timeout }),
            drain_until: OnceLock::new(),
            closed: AtomicBool::new(false),
            counters: LinkCounters::default(),
            faults: LinkFaults::default(),
        }
    }

    /// The peer, once it has said its name.
    pub(super) fn peer(&self) -> Option<Arc<Member>> {
        self.state.lock().peer.clone()
    }

    /// What to call the peer in the log: its name and address, or the address while the name is not known.
    pub(super) fn describe(&self) -> String {
        match self.peer() {
            Some(peer) => format!("{} ({})", peer.name, self.address),
            None => self.address.clone(),
        }
    }

    /// Whether the peer has answered the last request.
    pub(super) fn is_up(&self) -> bool {
        self.state.lock().status == Status::Up
    }

    /// For how long the link has been as it is: up, or not.
    pub(super) fn state_age(&self) -> Duration {
        self.state.lock().since.elapsed()
    }

    /// Notes that the peer did not answer as it should, and that it is tried again in `retry`. Logs each loss once, and
    /// does not log it if another connection was opened meanwhile.
    pub(super) fn report_lost(&self, node: &str, error: &PeerError, retry: Duration) {
        let peer = self.describe();
        let mut state = self.state.lock();
        if state.open.is_some() {
            debug!("{node}: lost a connection to {peer}, but has another: {error}");
            return;
        }
        match state.status {
            Status::Untried => info!("{node}: no link to {peer} yet: {error}; retrying at least every {retry:.0?}"),
            Status::Up => warn!("{node}: link to {peer} lost: {error}; retrying in {retry:.0?}"),
            Status::Down => {
                debug!("{node}: still no link to {peer}: {error}; retrying in {retry:.0?}");
                return;
            }
        }
        (state.status, state.since) = (Status::Down, Instant::now());
    }

    /// Notes why the two nodes refuse each other. Warns of each reason once. How a link ends is told by
    /// [`report_lost`](Link::report_lost), and so is how the first attempt has failed; but that is no warning, since a
    /// node that has just started may be refused for a moment. So the second attempt warns.
    fn report_refusal(&self, node: &str, error: &PeerError) {
        let PeerError::Refused(why) = error else { return };
        let mut state = self.state.lock();
        match state.status {
            Status::Untried => return,
            Status::Down if state.refused.as_ref() != Some(why) => {
                warn!("{node}: no link to {}: {error}", self.address)
            }
            Status::Up | Status::Down => {}
        }
        state.refused = Some(why.clone());
    }

    fn report_up(&self, node: &str, peer: Arc<Member>, number: ConnectionNumber) {
        let mut state = self.state.lock();
        (state.open, state.refused) = (Some(number), None);
        if state.status != Status::Up {
            let gap = state.since.elapsed();
            match state.peer {
                None => info!("{node}: link to {} ({}) is up", peer.name, self.address),
                Some(_) => info!("{node}: link to {} ({}) is back after {gap:.1?}", peer.name, self.address),
            }
            (state.status, state.since) = (Status::Up, Instant::now());
        }
        state.peer = Some(peer);
    }

    /// The node stops: from now on a thread that connects waits for a short time only, and never beyond `drain_until`.
    pub(super) fn hurry(&self, drain_until: Instant) {
        self.drain_until.get_or_init(|| drain_until);
    }

    /// Whether the node stops and nothing more may be said.
    pub(super) fn is_drained(&self) -> bool {
        self.drain_until.get().is_some_and(|&until| Instant::now() > until)
    }

    /// Shuts the connection down for good, also while a thread waits on it.
    pub(super) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.interrupt();
    }

    /// Shuts the connection down, also while a thread waits on it. The next exchange opens another one.
    pub(super) fn interrupt(&self) {
        if let Some(socket) = self.socket.lock().take() {
            // An error says that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Opens a connection: dials, and introduces the nodes to each other.
    pub(super) fn open(&self, replica: &Replica) -> Result<Connection, PeerError> {
        let timeouts = self.timeouts();
        let stream = dial(&self.address, timeouts).map_err(|error| PeerError::Lost(error.to_string()))?;
        let stream = Arc::new(stream);
        *self.socket.lock() = Some(Arc::clone(&stream));
        // Checked after the socket is stored for `close` to find. So either this thread sees `closed`, or `close` sees
        // the socket.
        if self.closed.load(SeqCst) {
            return Err(PeerError::Lost("this node is stopping".into()));
        }
        let number = ConnectionNumber(self.opened.fetch_add(1, Relaxed) + 1);
        let from = replica.identity().name.clone();
        let teller = Teller { watch: Arc::clone(&self.watch), from, to: self.address.clone() };
        let mut connection = Connection::new(number, stream, teller, timeouts.io);
        let secret = self.secrets.of_peers().map(|accepted| accepted.said);
        let met = connection.introduce(replica, secret.as_ref(), self.name.as_deref());
        let met = met.inspect_err(|error| self.report_refusal(&replica.identity().name, error))?;
        let Met { member: peer, incarnation, .. } = met;
        replica.reached(&peer, &self.address);
        self.report_up(&replica.identity().name, peer, number);
        // Last: it wakes those that wait, and they ask which node it is.
        self.delivery.opened(incarnation);
        Ok(connection)
    }

    /// Ends a connection if it is still open. Then it waits for the exchange in progress.
    pub(super) fn end(&self, number: ConnectionNumber) {
        if self.state.lock().open == Some(number) {
            let mut slot = self.connection.lock();
            if slot.as_ref().is_some_and(|connection| connection.number == number) {
                self.end_locked(&mut slot);
            }
        }
    }

    /// Ends the connection in `slot`, which the caller has locked.
    pub(super) fn end_locked(&self, slot: &mut Option<Connection>) {
        *slot = None;
        self.delivery.closed();
        self.state.lock().open = None;
    }

    /// Whether the peer has ended the connection, as a process does that is killed, and nothing was sent since that
    /// would show it.
    pub(super) fn was_ended_by_peer(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peek =
            |socket: &Arc<TcpStream>| SockRef::from(&**socket).recv_with_flags(&mut byte, MSG_PEEK | MSG_DONTWAIT);
        match self.socket.lock().as_ref().map(peek) {
            None | Some(Ok(1..)) => false,
            Some(Ok(0)) => true,
            Some(Err(error)) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// The load is over: the peer may take its time.
    pub(super) fn finish_loading(&self) {
        self.state.lock().io_timeout = PEER_IO_TIMEOUT;
    }

    /// How long to wait for the peer now.
    pub(super) fn timeouts(&self) -> Timeouts {
        match self.drain_until.get() {
            None => Timeouts { connect: PEER_CONNECT_TIMEOUT, io: self.state.lock().io_timeout },
            Some(until) => {
                // A timeout of 0 would mean none.
                let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                Timeouts { connect: left.min(DRAIN_CONNECT_TIMEOUT), io: left }
            }
        }
    }
}
