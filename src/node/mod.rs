//! A node: the threads and sockets around a [`Replica`].
//!
//! ```text
//!   clients, peers                                                                  peers
//!        │  connect                                                                   ▲
//!        ▼                                                                            │ one connection each
//!    ┌────────┐ spawns ┌─────────┐ keys that changed  ╔═══════╗ drains ┌────────────┐ │
//!    │ accept │ ─────▶ │ session │ ─────────────────▶ ║ queue ║ ─────▶ │ replicator │─┤ PeerLink
//!    └────────┘        └────┬────┘   (try_send)       ╚═══════╝        └─────┬──────┘ │ (a mutex)
//!     1 thread      1 per connection                 1 per peer         1 per peer    │
//!                           │ reads, writes                    looks up │             │
//!                           ▼                                           ▼             │
//!                     ┌──────────────────────────────────────────────────────┐  ┌─────┴────────┐
//!                     │                     Replica                          │◀─│ anti-entropy │ ◀─ timer, SYNC
//!                     └──────────────────────────────────────────────────────┘  └──────────────┘
//!                                                                           1 thread, 1 per peer in a tick
//! ```
//!
//! No lock of the store is held while a thread waits for a socket. To stop a node ([`Node::stop`]), each thread is woken from what it
//! blocks on: the accept thread by a connection, the sessions by the shutdown of their sockets, the anti-entropy thread by the stop
//! channel. When the last thread that could write is gone, the queues close by themselves; the replicators have
//! [`DRAIN_TIME`] to deliver what is in them, and then the links are shut down under whoever still waits.

mod answers;
mod anti_entropy;
mod auth;
mod buffer;
mod clients;
mod dialogue;
mod execute;
mod info;
mod link;
mod listener;
mod memory;
mod refusals;
mod replicator;
mod session;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select};
use log::{info, warn};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Config;
use crate::framing::Args;
use crate::limits::{
    ACCEPT_BACKLOG, ACCEPT_PAUSE, DRAIN_TIME, LINK_DESCRIPTORS, OWN_DESCRIPTORS, PEER_RESERVE, SYNC_PATIENCE,
    SYNC_QUEUE, TURNED_AWAY_AT_ONCE,
};
use crate::replication::message::Incarnation;
use crate::replication::propagate::{self, Outbox, Queue};
use crate::replication::replica::{Identity, Replica};
use crate::rules::Rule;
use crate::store::version::NodeId;
use anti_entropy::{Ask, Holdups, RoundLog};
use clients::Clients;
use link::PeerLink;
use memory::Memory;
use refusals::Refusals;

/// What the threads of a node share.
struct Shared {
    config: Config,
    address: SocketAddr,
    started: Instant,
    replica: Replica,
    clients: Clients,
    /// A link to each configured peer; `rounds` and `queues` have the same order.
    links: Vec<PeerLink>,
    rounds: Vec<RoundLog>,
    holdups: Holdups,
    /// What waits for each peer: the other ends of the outboxes' queues.
    queues: Vec<Queue>,
    asks: Sender<Ask>,
    /// When a tick was last asked for only to settle tombstones.
    settle_asked: Mutex<Option<Instant>>,
    loading: AtomicBool,
    memory: Arc<Memory>,
    /// How often somebody said a wrong secret.
    auth_failed: AtomicU64,
    /// How often a peer's connection was refused.
    peers_refused: AtomicU64,
    refusals: Refusals,
    stop: Stop,
}

impl Shared {
    fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether the node has yet to take its first rounds before it answers clients.
    fn is_loading(&self) -> bool {
        self.loading.load(Relaxed)
    }

    fn finish_loading(&self) {
        if self.loading.swap(false, Relaxed) {
            info!("{}: serves clients on {} ({} keys)", self.name(), self.address, self.replica.store().counts().keys);
        }
    }

    /// How many bytes the data takes, with what waits for peers.
    fn data_bytes(&self) -> usize {
        self.replica.store().bytes() + self.queues.iter().map(Queue::bytes).sum::<usize>()
    }

    /// How many bytes are left of what the data and requests may take; 0 if the memory is full.
    fn memory_left(&self) -> usize {
        self.memory.limit.saturating_sub(self.data_bytes() + self.memory.requests())
    }

    /// Whether there is memory to delete these keys. A tombstone needs as much as a write, but not if it takes the place of something.
    fn may_delete(&self, keys: Args<'_>) -> bool {
        let has_room = self.data_bytes() + self.memory.requests() < self.memory.delete_limit();
        has_room || keys.iter().all(|key| self.replica.store().version(key).is_some())
    }

    /// Asks for a tick, soon. If many have asked already, theirs will do.
    fn ask_for_round(&self) {
        let _ = self.asks.try_send(None);
    }

    /// A peer has confirmed something. If all tombstones are confirmed by all now, a tick settles them soon, so that they leave the
    /// digests of all nodes at about the same time. At most once in an interval: under steady deletes this must not
    /// become a race.
    fn settle_soon(&self) {
        let members = self.replica.members();
        let confirmed = members.iter().map(|member| member.progress().confirmed).min().unwrap_or_default();
        let store = self.replica.store();
        if store.counts().tombstones == 0 || store.tombstones_after(confirmed) > 0 {
            return;
        }
        let mut last = self.settle_asked.lock();
        if last.is_none_or(|last| last.elapsed() >= self.config.interval) {
            *last = Some(Instant::now());
            self.ask_for_round();
        }
    }

    /// Has a tick taken now and waits for it: what it did, a line for each peer.
    fn sync(&self) -> Result<Vec<String>, &'static str> {
        let (tell, told) = bounded(1);
        self.asks.try_send(Some(tell)).map_err(|_| "too many are waiting for a round already: try again later")?;
        select! {
            recv(told) -> lines => lines.map_err(|_| "this node is stopping"),
            recv(self.stop.receiver()) -> _ => Err("this node is stopping"),
            default(SYNC_PATIENCE) => Err("the round still runs: type INFO to see how it goes"),
        }
    }
}

/// Tells all threads of a node that it stops: nothing is ever sent on the channel, it is closed.
struct Stop(Receiver<()>);

impl Stop {
    fn is_stopping(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits; returns true at once if the node stops.
    fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }

    fn receiver(&self) -> &Receiver<()> {
        &self.0
    }
}

/// A node that listens, but does not answer yet.
pub struct BoundNode {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundNode {
    /// Takes the node's address.
    ///
    /// # Errors
    /// When the configuration cannot work, or the address cannot be had; the message says which, in one line.
    pub fn bind(config: Config) -> io::Result<Self> {
        config.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (listener, address) = listen(&config.listen)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", config.listen)))?;
        Ok(Self { config, listener, address })
    }

    /// Where it listens: the configured address, with the port that was taken for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keeps the node within so many file descriptors. If need be, it serves fewer clients than it was told to, so that they never
    /// take the descriptors of its peers, its links and its files.
    ///
    /// # Errors
    /// When there would be none for a single client.
    pub fn keep_within(mut self, descriptors: usize) -> io::Result<Self> {
        let (name, most) = (&self.config.name, self.config.max_connections);
        let links = LINK_DESCRIPTORS * self.config.peers.len();
        let kept = PEER_RESERVE + TURNED_AWAY_AT_ONCE + OWN_DESCRIPTORS + links;
        let left = descriptors.saturating_sub(kept);
        if left == 0 {
            let why = format!("{name} may have {descriptors} open files (ulimit -n), but needs more than {kept}");
            return Err(io::Error::other(why));
        }
        if left < most {
            warn!(
                "{name}: at most {left} clients are served, not {most} (--max-connections): it may have {descriptors} open files \
                 (ulimit -n)"
            );
            self.config.max_connections = left;
        }
        Ok(self)
    }

    /// Starts the node's threads. It takes a round with every peer that answers before it serves clients.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(self) -> io::Result<Node> {
        Node::run(self)
    }
}

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    /// Closed to stop the node.
    stopping: Sender<()>,
    accept: JoinHandle<Vec<JoinHandle<()>>>,
    /// Those that speak with peers: the replicators and the anti-entropy thread.
    peer_threads: Vec<JoinHandle<()>>,
    /// Closes when the last of `peer_threads` ends.
    peer_threads_end: Receiver<()>,
}

impl Node {
    /// Starts a node: [`BoundNode::bind`] and [`BoundNode::start`].
    ///
    /// # Errors
    /// As these.
    pub fn start(config: Config) -> io::Result<Self> {
        BoundNode::bind(config)?.start()
    }

    fn run(bound: BoundNode) -> io::Result<Self> {
        let BoundNode { config, listener, address } = bound;
        let (stopping, stop) = bounded(0);
        let (asks, asked) = bounded(SYNC_QUEUE);
        let memory = Memory::new(config.max_memory);
        let queue_limit = memory.queue_limit(config.peers.len());
        let (mut outbox, queues) = propagate::queues(config.peers.len(), config.propagation_queue, queue_limit);
        if !config.rules.has(Rule::Propagation) {
            outbox = Outbox::none();
        }
        let incarnation = Incarnation(fastrand::u64(1..));
        let identity = Identity { name: config.name.clone(), node: NodeId(config.node), incarnation };
        let wall_clock = Arc::clone(&config.wall_clock);
        let shared = Arc::new(Shared {
            address,
            started: Instant::now(),
            replica: Replica::new(identity, config.rules, Box::new(move || wall_clock())),
            clients: Clients::default(),
            links: config.peers.iter().map(|peer| PeerLink::new(peer.clone(), config.secret.clone())).collect(),
            rounds: config.peers.iter().map(|_| RoundLog::default()).collect(),
            holdups: Holdups::default(),
            queues,
            asks,
            settle_asked: Mutex::default(),
            loading: AtomicBool::new(true),
            memory: Arc::new(memory),
            auth_failed: AtomicU64::new(0),
            peers_refused: AtomicU64::new(0),
            refusals: Refusals::default(),
            stop: Stop(stop),
            config,
        });
        for rule in shared.config.rules.off() {
            warn!("{}: the rule `{rule}` is switched off: this node is for learning, not for data", shared.name());
        }

        let (alive, peer_threads_end) = bounded::<()>(0);
        let spawn = |what: String, work: Box<dyn FnOnce(&Shared) + Send>| {
            let (shared, alive) = (Arc::clone(&shared), alive.clone());
            thread::Builder::new().name(format!("{} {what}", shared.name())).spawn(move || {
                work(&shared);
                drop(alive);
            })
        };
        let mut peer_threads = Vec::new();
        for index in 0..shared.links.len() {
            let work = move |shared: &Shared| replicator::run(shared, &shared.links[index], &shared.queues[index]);
            peer_threads.push(spawn(format!("replicator {}", index + 1), Box::new(work))?);
        }
        peer_threads.push(spawn("anti-entropy".into(), Box::new(move |shared| anti_entropy::run(shared, &asked)))?);

        let node = Arc::clone(&shared);
        let accept = thread::Builder::new()
            .name(format!("{} accept", shared.name()))
            .spawn(move || listener::run(&node, &listener, &outbox))?;
        Ok(Self { shared, stopping, accept, peer_threads, peer_threads_end })
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// The node's replica, for whoever runs a node inside another program.
    pub fn replica(&self) -> &Replica {
        &self.shared.replica
    }

    /// Stops the node: ends all connections, delivers what is queued for the peers if they take it within [`DRAIN_TIME`], and
    /// returns when every thread has ended.
    pub fn stop(self) {
        let Self { shared, stopping, accept, peer_threads, peer_threads_end } = self;
        drop(stopping);
        let drain_until = Instant::now() + DRAIN_TIME;
        shared.links.iter().for_each(|link| link.hurry(drain_until));
        shared.clients.shut_down();
        let sessions = join(wake(accept, shared.address));
        // Those that were accepted just before.
        shared.clients.shut_down();
        sessions.into_iter().for_each(join);

        let drained = peer_threads_end.recv_deadline(drain_until);
        debug_assert!(drained.is_err(), "nothing is ever sent on it");
        shared.links.iter().for_each(PeerLink::close);
        peer_threads.into_iter().for_each(join);
        info!("{}: stopped", shared.name());
    }
}

/// Wakes the accept thread, which finds that it is to stop.
fn wake<T>(accept: JoinHandle<T>, mut address: SocketAddr) -> JoinHandle<T> {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    while !accept.is_finished() {
        // It may also be waking by itself, and have closed the port already.
        let _ = TcpStream::connect_timeout(&address, ACCEPT_PAUSE);
        thread::yield_now();
    }
    accept
}

/// Waits for a thread's end. A panic in it was a fault of ours, and was printed where it happened; stopping goes on.
fn join<T: Default>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_default()
}

/// A listening socket with a backlog of our own choice.
fn listen(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let mut addresses = address.to_socket_addrs()?;
    let address = addresses.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A node that was killed can start again at once, although its old connections have not timed out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}
