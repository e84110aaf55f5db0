//! A node: the threads and sockets around a [`Replica`].
//!
//! ```text
//!   clients, peers                                                                  peers
//!        │  connect                                                                   ▲
//!        ▼                                                                            │ one connection each
//!    ┌────────┐ spawns ┌─────────┐ keys that changed  ╔═══════╗ drains ┌────────────┐ │
//!    │ accept │ ─────▶ │ session │ ─────────────────▶ ║ queue ║ ─────▶ │ replicator │─┤ Link
//!    └────────┘        └────┬────┘   (try_send)       ╚═══════╝        └─────┬──────┘ │ (a mutex)
//!     1 thread      1 per connection                 1 per peer         1 per peer    │
//!                           │ reads, writes                    looks up │             │
//!                           ▼                                           ▼             │
//!                     ┌──────────────────────────────────────────────────────┐  ┌─────┴────────┐
//!                     │                     Replica                          │◀─│ anti-entropy │ ◀─ timer, SYNC
//!                     └─────┬────────────────────────────────────────────────┘  └──────────────┘
//!                           │ what was accepted                             1 thread, 1 per peer in a tick
//!                           ▼
//!                     ┌───────────┐ syncs, rewrites, heals ┌──────┐
//!      sessions write │    Log    │ ◀───────────────────── │ disk │  1 thread with `--data`; with `--sync always`
//!      before answers └───────────┘                        └──────┘  one more that sends answers
//! ```
//!
//! One more thread notices when clients hang up while they wait (`waiting.rs`), and one deletes what has expired
//! (`threads.rs`). What can be watched from outside is in [`watch`], the faults that clients may ask for in `lab.rs`,
//! and the nodes of one process in [`cluster`].
//!
//! No lock of the store is held while a thread waits for a socket. To stop a node ([`Node::stop`]), each thread is
//! woken from what it blocks on: the accept thread by a connection, the sessions by the shutdown of their sockets
//! (those that wait, too: the thread for hang-ups tells them), the anti-entropy thread by the stop channel. When the
//! last thread that could write has ended, the queues close by themselves. The replicators have [`DRAIN_TIME`] to
//! deliver what is in them. Then the links are shut down, which wakes the threads that still wait for a peer. When
//! nothing can write any more, the disk is synced a last time.

mod anti_entropy;
mod auth;
mod buffer;
mod client;
mod clients;
pub mod cluster;
pub(crate) mod connection;
mod delay;
mod disk;
mod faulty_disk;
pub(crate) mod guesses;
mod lab;
mod late;
mod link;
mod listener;
mod maps;
mod memory;
pub(crate) mod origin;
mod output;
mod peer_session;
mod remote_peer;
mod replicator;
mod round_log;
mod seal;
mod session;
mod shared;
mod speaker;
mod stats;
mod strangers;
pub(crate) mod threads;
mod unread;
mod waiting;
pub mod watch;
mod written;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{info, warn};
use socket2::{Domain, Protocol, Socket, Type};

use crate::commands::host::Attempt;
use crate::commands::stats::Stats;
use crate::config::Config;
use crate::limits::{
    ACCEPT_BACKLOG, DRAIN_TIME, LINK_DESCRIPTORS, OWN_DESCRIPTORS, PEER_RESERVE, SYNC_QUEUE, TURNED_AWAY_AT_ONCE,
};
use crate::replication::message::StoreId;
use crate::replication::replica::Replica;
use disk::Disk;
use lab::Faults;
use shared::{Shared, Stop};
use threads::{join, start_disk_threads, start_hang_up_thread, start_peer_threads, start_sweeper, wake};

/// A node that listens, but does not answer yet.
pub struct BoundNode {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundNode {
    /// Checks the configuration and listens on the node's address.
    ///
    /// # Errors
    /// When the configuration cannot work, or the node cannot listen there; the message says which, in one line.
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

    /// Keeps the node within this many file descriptors. If they are too few, it serves fewer clients than it was told
    /// to, so that clients never take the descriptors of its peers, its links and its files.
    ///
    /// # Errors
    /// When not even one client could be served.
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
                "{name}: at most {left} clients are served, not {most} (--max-connections): it may have {descriptors} \
                 open files (ulimit -n)"
            );
            self.config.max_connections = left;
        }
        Ok(self)
    }

    /// Starts the node's threads. The node runs a round with every peer that answers before it serves clients.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(self) -> io::Result<Node> {
        Node::run(self)
    }
}

/// Why a node must end by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A peer has found that its disk is an old copy. The sentence says so.
    OldCopy(String),
    /// The lab has cut its power. It may start again.
    LostPower,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldCopy(why) => f.write_str(why),
            Self::LostPower => f.write_str("the lab has cut its power"),
        }
    }
}

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    /// Closed to stop the node.
    stopping: Sender<()>,
    /// Why the node must end by itself.
    fatal: Receiver<End>,
    accept: JoinHandle<Vec<JoinHandle<()>>>,
    /// The threads that speak with peers: the replicators and the anti-entropy thread.
    peer_threads: Vec<JoinHandle<()>>,
    /// Closes when the last of `peer_threads` ends.
    peer_threads_end: Receiver<()>,
    /// The threads of the disk, if the node has one.
    disk: Vec<JoinHandle<()>>,
    /// The thread that notices when clients hang up while they wait.
    hang_ups: JoinHandle<()>,
    /// The thread that deletes what has expired.
    sweeper: JoinHandle<()>,
}

impl Node {
    /// Starts a node: [`BoundNode::bind`] and [`BoundNode::start`].
    ///
    /// # Errors
    /// As those two.
    pub fn start(config: Config) -> io::Result<Self> {
        BoundNode::bind(config)?.start()
    }

    fn run(bound: BoundNode) -> io::Result<Self> {
        let BoundNode { config, listener, address } = bound;
        let (stopping, stop) = bounded(0);
        let (ticks, ticks_asked) = bounded(SYNC_QUEUE);
        let (end, fatal) = bounded(1);
        let disk = Disk::open(&config, StoreId(fastrand::u64(1..))).map_err(io::Error::other)?;
        let (shared, outbox) = Shared::new(config, address, disk, ticks, (Stop::new(stop), end))?;
        if let Some(disk) = &shared.disk {
            disk.load(&shared.replica).map_err(io::Error::other)?;
        }
        let shared = Arc::new(shared);
        for rule in shared.config.rules.off() {
            warn!("{}: the rule `{rule}` is switched off: this node is for learning, not for data", shared.name());
        }
        let (peer_threads, peer_threads_end) = start_peer_threads(&shared, ticks_asked)?;
        let disk = start_disk_threads(&shared)?;
        let hang_ups = start_hang_up_thread(&shared)?;
        let sweeper = start_sweeper(&shared)?;
        let node = Arc::clone(&shared);
        let accept = thread::Builder::new()
            .name(format!("{} accept", shared.name()))
            .spawn(move || listener::run(&node, &listener, &outbox))?;
        Ok(Self { shared, stopping, fatal, accept, peer_threads, peer_threads_end, disk, hang_ups, sweeper })
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// Gets a message when the node must end by itself.
    pub fn fatal(&self) -> &Receiver<End> {
        &self.fatal
    }

    /// The node's replica, for programs that embed a node.
    pub fn replica(&self) -> &Replica {
        &self.shared.replica
    }

    /// All figures of the node at this moment.
    pub fn stats(&self) -> Stats {
        stats::gather(&self.shared)
    }

    /// Has a secret compared that somebody has said to the page, unless too many wrong ones have come from there.
    pub fn try_secret(&self, address: IpAddr, is_right: impl FnOnce() -> bool) -> Attempt {
        let attempt = self.shared.try_secret(address, is_right);
        if attempt == Attempt::Wrong {
            self.shared.auth_failed.fetch_add(1, Relaxed);
        }
        attempt
    }

    /// Stops the node: ends all connections, delivers what is queued for the peers if they take it within
    /// [`DRAIN_TIME`], and returns when every thread has ended.
    pub fn stop(self) {
        let Self { shared, stopping, accept, peer_threads, peer_threads_end, disk, hang_ups, sweeper, .. } = self;
        drop(stopping);
        let drain_until = Instant::now() + DRAIN_TIME;
        shared.faults.iter().for_each(Faults::stop);
        shared.peers.iter().for_each(|peer| peer.link.hurry(drain_until));
        shared.clients.shut_down();
        let sessions = join(wake(accept, shared.address));
        // Again, for connections that were accepted after the first time.
        shared.clients.shut_down();
        sessions.into_iter().for_each(join);
        shared.waiters.end();
        join(hang_ups);
        join(sweeper);
        if let Some(late) = shared.disk.as_ref().and_then(|disk| disk.late.as_ref()) {
            late.end();
        }

        let drained = peer_threads_end.recv_deadline(drain_until);
        debug_assert!(drained.is_err(), "nothing is ever sent on it");
        shared.peers.iter().for_each(|peer| peer.link.close());
        peer_threads.into_iter().for_each(join);
        disk.into_iter().for_each(join);
        if let Some(disk) = &shared.disk {
            // A failure was reported when it was found.
            let _ = disk.log.sync_all();
        }
        info!("{}: stopped", shared.name());
    }
}

/// A listening socket with a backlog of [`ACCEPT_BACKLOG`].
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
