//! All figures of a node at one moment.

use std::time::Duration;

use crate::disk::figures::LogStats;
use crate::histogram::Durations;
use crate::replication::PeerError;
use crate::replication::conflicts::ConflictCounts;
use crate::replication::message::Incarnation;
use crate::replication::replica::Replica;
use crate::rules::Rule;
use crate::store::arrival::Arrival;
use crate::store::clock::Timestamp;
use crate::store::digest::Digest;
use crate::store::version::NodeId;

/// A snapshot of a node: who it is, what it holds, who is connected, and how its peers are. INFO renders it.
///
/// Figures of different groups are read one after the other, so they need not fit each other while clients write.
#[derive(Clone, Debug)]
pub struct Stats {
    /// The node's number.
    pub node: NodeId,
    /// The node's name.
    pub name: String,
    /// The present life of the node's memory.
    pub incarnation: Incarnation,
    /// The operating system's number of the process.
    pub process_id: u32,
    /// The port on which it listens.
    pub port: u16,
    /// The address and port on which it listens; empty if nothing is around the replica.
    pub address: String,
    /// Since when the node runs.
    pub uptime: Duration,
    /// Whether it still takes over what its peers hold.
    pub loading: bool,
    /// The names of the rules that are switched off.
    pub rules_off: Vec<&'static str>,
    /// Whether clients may ask for faults.
    pub lab: bool,

    /// How many clients and peers are connected.
    pub connected: usize,
    /// How many may be.
    pub max_connections: usize,
    /// After how much silence a client's connection is ended; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Clients that wait for what others do.
    pub blocked: usize,
    /// How many connections were accepted since the start.
    pub connections_received: u64,
    /// How many of them were turned away because too many were connected.
    pub connections_rejected: u64,
    /// How many commands of clients were answered.
    pub commands: u64,
    /// How long some of the commands took: one of [`COMMANDS_PER_SAMPLE`](crate::limits::COMMANDS_PER_SAMPLE).
    pub command_durations: Durations,
    /// How many wrong secrets clients have said.
    pub auth_failed: u64,
    /// How many connections of peers were refused.
    pub peers_refused: u64,

    /// The processor time of the process; `None` if the system does not tell it.
    pub cpu: Option<CpuTime>,

    /// Keys that have a value.
    pub keys: usize,
    /// How many of these have a deadline.
    pub expiring: usize,
    /// How many keys have expired here, and were swept.
    pub expired: u64,
    /// Tombstones, settled ones included.
    pub tombstones: usize,
    /// Tombstones that every peer holds and that are soon forgotten.
    pub tombstones_settled: usize,
    /// Tombstones that were forgotten since the start.
    pub tombstones_forgotten: u64,
    /// Writes that were overruled by one that had not seen them.
    pub conflicts: ConflictCounts,
    /// How many times a counter has become a sum that is no 64-bit number.
    pub counters_saturated: u64,
    /// Bytes of the data, of what waits for peers, and of the connections' buffers.
    pub used_memory: usize,
    /// `--max-memory`, in bytes.
    pub max_memory: usize,
    /// The digest of the whole store.
    pub root_digest: Digest,
    /// The clock's last timestamp.
    pub clock: Timestamp,
    /// The machine's clock.
    pub wall: Timestamp,
    /// Entries that came from too far in the future to move the clock.
    pub clock_drift_rejected: u64,

    /// The node's disk; `None` if it keeps its data in memory only.
    pub disk: Option<LogStats>,

    /// The configured peers, in their order.
    pub peers: Vec<PeerStats>,
    /// How many members the node knows.
    pub members: usize,
    /// Why deletes could not be forgotten in the last tick, a line for each node in the way.
    pub tombstones_held_by: Vec<String>,
}

impl Stats {
    /// Whether the node may lose data on purpose.
    pub fn is_for_learning(&self) -> bool {
        self.lab || !self.rules_off.is_empty()
    }

    /// The figures of a replica, as if nothing were around it.
    pub fn of(replica: &Replica) -> Self {
        let (identity, store, counts) = (replica.identity(), replica.store(), replica.store().counts());
        Self {
            node: identity.node,
            name: identity.name.clone(),
            incarnation: identity.incarnation,
            process_id: std::process::id(),
            port: 0,
            address: String::new(),
            uptime: Duration::ZERO,
            loading: false,
            rules_off: replica.rules().off().map(Rule::name).collect(),
            lab: false,

            connected: 0,
            max_connections: 0,
            idle_timeout: None,
            blocked: 0,
            connections_received: 0,
            connections_rejected: 0,
            commands: 0,
            command_durations: Durations::default(),
            auth_failed: 0,
            peers_refused: 0,

            cpu: None,

            keys: counts.keys,
            expiring: counts.expiring,
            expired: replica.expired(),
            tombstones: counts.tombstones + counts.settled,
            tombstones_settled: counts.settled,
            tombstones_forgotten: replica.tombstones_forgotten(),
            conflicts: replica.conflicts().counts(),
            counters_saturated: store.saturated(),
            used_memory: store.bytes(),
            max_memory: 0,
            root_digest: store.root(),
            clock: replica.clock(),
            wall: replica.wall(),
            clock_drift_rejected: replica.clock_drift_rejected(),

            disk: None,

            peers: Vec::new(),
            members: replica.members().len(),
            tombstones_held_by: Vec::new(),
        }
    }
}

/// The figures of one configured peer. Every counter only grows.
#[derive(Clone, Debug)]
pub struct PeerStats {
    /// Its name; `None` until the peer is met for the first time.
    pub name: Option<String>,
    /// Where it is configured to listen.
    pub address: String,
    /// Whether it has answered the last request.
    pub is_up: bool,
    /// For how long it has been up or down.
    pub link_age: Duration,
    /// Its incarnation when it last spoke with this node; `None` before that.
    pub incarnation: Option<Incarnation>,
    /// Whether a CUT of this node keeps it away.
    pub is_cut: bool,
    /// How much later what it sends is handled, by a DELAY.
    pub delay: Duration,
    /// Changed keys that wait for it.
    pub queued: usize,
    /// Changed keys for which its queue had no room.
    pub dropped: u64,
    /// Failed attempts to deliver what was queued.
    pub retries: u64,
    /// Up to which arrival it has confirmed to hold everything.
    pub confirmed: Arrival,
    /// Tombstones that wait for it to confirm them.
    pub tombstones_waiting: usize,
    /// How its last round ended; `None` before the first.
    pub last_round: Option<LastRound>,
    /// Entries that were sent at once after their write.
    pub propagated: u64,
    /// How long some of the writes took to reach it: from the write to its reply.
    pub propagation_delays: Durations,
    /// Rounds that have ended.
    pub rounds: u64,
    /// How long rounds took, the failed ones included.
    pub round_durations: Durations,
    /// Rounds that have failed.
    pub rounds_failed: u64,
    /// Entries that rounds have brought here.
    pub pulled: u64,
    /// Entries that rounds have sent there.
    pub pushed: u64,
    /// Bytes that rounds have sent.
    pub sync_bytes_sent: u64,
    /// Bytes that rounds have received.
    pub sync_bytes_received: u64,
}

/// How the last round with a peer ended.
#[derive(Clone, Copy, Debug)]
pub struct LastRound {
    /// Whether it was completed.
    pub ok: bool,
    /// How long ago it ended.
    pub age: Duration,
}

/// The processor time that a process has used.
#[derive(Clone, Copy, Debug)]
pub struct CpuTime {
    /// In the kernel.
    pub system: Duration,
    /// Outside of it.
    pub user: Duration,
}

/// What one round with a configured peer did. SYNC shows it.
#[derive(Clone, Debug)]
pub struct RoundSummary {
    /// What to call the peer: its name and address.
    pub peer: String,
    /// How long the round took.
    pub took: Duration,
    /// How many entries it moved, or why it failed.
    pub result: Result<Moved, PeerError>,
}

/// How many entries a round moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Entries that were newer there, and came here.
    pub pulled: u64,
    /// Entries that were newer here, and went there.
    pub pushed: u64,
}
