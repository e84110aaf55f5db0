//! What the threads of a node share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select};
use log::{info, warn};
use parking_lot::Mutex;

use super::End;
use super::clients::Clients;
use super::delay::Delays;
use super::disk::Disk;
use super::guesses::Guesses;
use super::lab::Faults;
use super::link::Link;
use super::memory::Memory;
use super::origin::Origin;
use super::round_log::{Holdups, RoundLog};
use super::stats::Counted;
use super::waiting::Waiters;
use crate::commands::host::Attempt;
use crate::commands::stats::RoundSummary;
use crate::config::Config;
use crate::framing::Args;
use crate::limits::SYNC_PATIENCE;
use crate::replication::journal::Journal;
use crate::replication::message::Incarnation;
use crate::replication::queue::{Outbox, Queue, queues};
use crate::replication::replica::{Identity, Member, Replica};
use crate::reports::Reports;
use crate::rules::Rule;
use crate::store::placement::Placement;
use crate::store::version::NodeId;

/// What the threads of a node share.
pub(super) struct Shared {
    pub(super) config: Config,
    /// Where the node listens.
    pub(super) address: SocketAddr,
    pub(super) started: Instant,
    pub(super) replica: Replica,
    /// The node's disk, if it has one.
    pub(super) disk: Option<Disk>,
    pub(super) clients: Clients,
    /// The clients that wait for something.
    pub(super) waiters: Waiters,
    /// The configured peers, in the order of the configuration.
    pub(super) peers: Vec<PeerHandle>,
    pub(super) holdups: Holdups,
    /// Where ticks are asked for. The anti-entropy thread has the other end.
    ticks: Sender<TickRequest>,
    /// When a tick was last asked for only to settle tombstones.
    settle_asked: Mutex<Option<Instant>>,
    loading: AtomicBool,
    pub(super) memory: Arc<Memory>,
    /// How many wrong secrets clients have said.
    pub(super) auth_failed: AtomicU64,
    /// What INFO leaves out of its counts.
    pub(super) counted_before: Mutex<Counted>,
    /// How many connections of peers were refused.
    pub(super) peers_refused: AtomicU64,
    /// The secrets that were said lately.
    pub(super) guesses: Guesses,
    /// What is logged of strangers, and of peers that are refused.
    pub(super) reports: Reports,
    /// Of addresses from which too many wrong secrets come: apart, so that nobody who guesses hides among the others.
    guessers: Reports,
    pub(super) stop: Stop,
    /// Where a thread says why the whole node must end.
    fatal: Sender<End>,
    /// The faults that clients may ask for; `None` without `--lab`.
    pub(super) faults: Option<Faults>,
}

/// A configured peer.
pub(super) struct PeerHandle {
    pub(super) link: Link,
    /// The changed keys that wait for the peer: the far end of its queue. The [`Outbox`] has the near end.
    pub(super) queue: Queue,
    /// How long writes take to reach the peer.
    pub(super) delays: Delays,
    /// How the rounds with the peer went.
    pub(super) rounds: RoundLog,
}

/// A request for a tick before its time.
pub(super) enum TickRequest {
    /// No thread waits for the tick.
    Soon,
    /// A session waits to be told what the round with each peer did.
    Report(Sender<Vec<RoundSummary>>),
}

impl Shared {
    /// The state of a node that has not started any thread yet; and the queues' ends for those that write.
    ///
    /// # Errors
    /// When the machine has no descriptor left.
    pub(super) fn new(
        config: Config,
        address: SocketAddr,
        disk: Option<Disk>,
        ticks: Sender<TickRequest>,
        (stop, fatal): (Stop, Sender<End>),
    ) -> io::Result<(Self, Outbox)> {
        let memory = Memory::new(config.max_memory);
        let count = config.peers.len();
        let (outbox, queues) = queues(count, config.propagation_queue, memory.queue_limit(count));
        let outbox = if config.rules.has(Rule::Propagation) { outbox } else { outbox.mute() };
        let handle = |(peer, queue): (&String, Queue)| {
            let delivery = Arc::clone(queue.delivery());
            let link = Link::new(peer, &config, delivery);
            PeerHandle { link, queue, delays: Delays::default(), rounds: RoundLog::default() }
        };
        let peers = config.peers.iter().zip(queues).map(handle).collect();
        let incarnation = Incarnation(fastrand::u64(1..));
        let mut identity = Identity::in_memory(&config.name, NodeId(config.node), incarnation);
        identity.store = disk.as_ref().map_or(identity.store, |disk| disk.log.store());
        let journal = disk.as_ref().map(|disk| Arc::clone(&disk.log) as Arc<dyn Journal>);
        let faults = config.lab.then(|| Faults::new(disk.as_ref().and_then(|disk| disk.faulty.clone())));
        let machine = Arc::clone(&config.wall_clock);
        let wall_clock = faults.as_ref().map_or(Arc::clone(&machine), |faults| faults.clock(machine));
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let placement = Placement::new(config.secrets.placement_key(), seed);
        let shared = Self {
            address,
            started: Instant::now(),
            replica: Replica::with_journal(identity, config.rules, Box::new(move || wall_clock()), placement, journal),
            disk,
            clients: Clients::default(),
            waiters: Waiters::new()?,
            peers,
            holdups: Holdups::default(),
            ticks,
            settle_asked: Mutex::default(),
            loading: AtomicBool::new(true),
            memory: Arc::new(memory),
            auth_failed: AtomicU64::new(0),
            counted_before: Mutex::default(),
            peers_refused: AtomicU64::new(0),
            guesses: Guesses::default(),
            reports: Reports::new(1),
            guessers: Reports::new(1),
            stop,
            fatal,
            faults,
            config,
        };
        shared.replica.conflicts().limit(shared.memory.conflict_limit());
        Ok((shared, outbox))
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether the node is still in its first rounds. Until they have ended, commands that need the data are refused.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.load(Relaxed)
    }

    pub(super) fn finish_loading(&self) {
        self.peers.iter().for_each(|peer| peer.link.finish_loading());
        if self.loading.swap(false, Relaxed) {
            info!("{}: serves clients on {} ({} keys)", self.name(), self.address, self.replica.store().counts().keys);
        }
    }

    /// How many bytes the data takes, with the conflicts that are kept and what waits for peers.
    pub(super) fn data_bytes(&self) -> usize {
        let replica = &self.replica;
        replica.store().bytes()
            + replica.conflicts().bytes()
            + self.peers.iter().map(|peer| peer.queue.bytes()).sum::<usize>()
    }

    /// How many bytes are left of what the data and requests may take; 0 if the memory is full.
    pub(super) fn memory_left(&self) -> usize {
        self.memory.limit().saturating_sub(self.data_bytes() + self.memory.requests())
    }

    /// Whether there is memory to delete these keys. A tombstone takes as much as a write, unless it replaces an entry.
    pub(super) fn may_delete(&self, keys: Args<'_>) -> bool {
        let has_room = self.data_bytes() + self.memory.requests() < self.memory.delete_limit();
        has_room || keys.iter().all(|key| self.replica.store().version(key).is_some())
    }

    /// Logs what a stranger or a refused peer has caused, at a limited rate.
    pub(super) fn report(&self, what: &str) {
        self.report_in(&self.reports, what);
    }

    fn report_in(&self, reports: &Reports, what: &str) {
        if reports.is_news(what, self.uptime_ms()) {
            warn!("{}: {what}", self.name());
        }
    }

    /// Logs how many lines were left out, from time to time.
    pub(super) fn report_left_out(&self) {
        if let Some(count) = self.reports.left_out(self.uptime_ms()) {
            warn!("{}: {count} more lines about strangers and refused peers were not logged", self.name());
        }
        if let Some(count) = self.guessers.left_out(self.uptime_ms()) {
            warn!("{}: {count} more lines about addresses with wrong secrets were not logged", self.name());
        }
        self.replica.report_left_out();
    }

    fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Compares a secret that somebody at `address` has said, if one may still come from there.
    pub(super) fn try_secret(&self, address: IpAddr, is_right: impl FnOnce() -> bool) -> Attempt {
        let origin = Origin::of(address);
        let attempt = self.guesses.attempt(origin, Instant::now(), is_right);
        if attempt == Attempt::Refused {
            let what = format!("too many wrong secrets from {origin}: for now, none from there is compared");
            self.report_in(&self.guessers, &what);
        }
        attempt
    }

    /// The whole node must end, and this is why. The first reason counts.
    pub(super) fn end(&self, why: End) {
        let _ = self.fatal.try_send(why);
    }

    /// The member that was last reached on a link, in this life or before.
    pub(super) fn member_behind(&self, link: &Link) -> Option<Arc<Member>> {
        link.peer().or_else(|| self.replica.member_at(&link.address))
    }

    /// Asks for a tick, soon. If the channel is full, the ticks that others have asked for will do.
    pub(super) fn ask_for_round(&self) {
        let _ = self.ticks.try_send(TickRequest::Soon);
    }

    /// Called when a peer has confirmed something. If every peer has confirmed every tombstone now, a tick settles them
    /// soon, so that they leave the digests of all nodes at about the same time. At most once in an interval: under
    /// steady deletes the nodes must not keep triggering each other's ticks.
    pub(super) fn settle_soon(&self) {
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

    /// Asks for a tick now, and waits for its report.
    pub(super) fn sync(&self) -> Result<Vec<RoundSummary>, &'static str> {
        if !self.config.rules.has(Rule::AntiEntropy) {
            return Err("anti-entropy is switched off (--without anti-entropy)");
        }
        let (report, reported) = bounded(1);
        let asked = self.ticks.try_send(TickRequest::Report(report));
        asked.map_err(|_| "too many are waiting for a round already: try again later")?;
        select! {
            recv(reported) -> rounds => rounds.map_err(|_| "this node is stopping"),
            recv(self.stop.receiver()) -> _ => Err("this node is stopping"),
            default(SYNC_PATIENCE) => Err("the round still runs: type INFO to see how it goes"),
        }
    }
}

/// Tells all threads of a node that it stops: nothing is ever sent on the channel, it is closed.
pub(super) struct Stop(Receiver<()>);

impl Stop {
    /// What stops when the other end of `channel` is dropped.
    pub(super) fn new(channel: Receiver<()>) -> Self {
        Self(channel)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Waits; returns true at once if the node stops.
    pub(super) fn wait(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }

    /// Closed when the node stops, for use in a `select!`.
    pub(super) fn receiver(&self) -> &Receiver<()> {
        &self.0
    }
}
