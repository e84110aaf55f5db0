//! A node's replica: its store, its clock, and what it knows of its peers. Here is the responder's side of the protocol; the
//! initiator's is in [`reconcile`](super::reconcile).

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use log::{info, warn};
use parking_lot::Mutex;

use super::message::{Differences, Greeting, Held, Reply, Request};
use crate::limits::{MAX_PEERS, REPLY_BYTES};
use crate::rules::Rules;
use crate::store::KeyValueStore;
use crate::store::clock::{HybridClock, Timestamp};
use crate::store::digest::{Digest, Prefix};
use crate::store::entry::Content;
use crate::store::record::Record;
use crate::store::version::Version;

/// Reads the wall clock. Part of what a replica is given, so that tests can set it.
pub type WallClock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's name, unique in the cluster.
    pub name: String,
    /// The node's number, unique in the cluster.
    pub node: u16,
    /// Random, drawn anew whenever the node starts without its old data.
    pub incarnation: u64,
}

/// One node's share in the cluster's state. All methods may be called from any thread.
pub struct Replica {
    identity: Identity,
    rules: Rules,
    store: KeyValueStore,
    clock: HybridClock,
    wall: WallClock,
    /// Every node that has ever spoken with us, by name. Only grows, to [`MAX_PEERS`] at most.
    members: Mutex<BTreeMap<String, Arc<Member>>>,
    /// How many entries came from too far in the future to move our clock.
    clock_drift_rejected: AtomicU64,
    /// How many ticks were complete; see [`tombstones`](super::tombstones).
    pub(super) complete_ticks: AtomicU64,
    /// How many tombstones were forgotten.
    pub(super) forgotten: AtomicU64,
}

/// What a replica knows of one other node.
#[derive(Debug)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The node's number.
    pub node: u16,
    /// Whoever merges what this node sends holds this lock, so that a connection can be revoked between two entries.
    progress: Mutex<Progress>,
}

/// How far one other node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The node's incarnation when it last spoke with us.
    pub incarnation: u64,
    /// The node holds everything that arrived here up to this number, or something newer. 0 at first and after each change of
    /// the incarnation, otherwise only grows.
    pub confirmed: u64,
    /// The number of the node's newest connection to us. Requests on older ones are refused. Only grows, with each new
    /// connection and each new incarnation.
    connection: u64,
    /// The operator said that this incarnation will never return.
    pub dismissed: bool,
    /// Whether this incarnation was reported for a clock that is too far ahead.
    drift_reported: bool,
}

impl Member {
    /// How far the node has come.
    pub fn progress(&self) -> Progress {
        *self.progress.lock()
    }
}

/// What the responder keeps about one connection.
#[derive(Debug, Default)]
pub struct PeerSession {
    /// Who speaks, and the number of its connection. `None` until PEER.
    member: Option<(Arc<Member>, u64)>,
}

impl PeerSession {
    /// The name of the node that speaks, once it has said it.
    pub fn peer(&self) -> Option<&str> {
        self.member.as_ref().map(|(member, _)| member.name.as_str())
    }
}

type Refusal = String;

impl Replica {
    /// A replica that holds nothing yet.
    pub fn new(identity: Identity, rules: Rules, wall: WallClock) -> Self {
        Self {
            identity,
            rules,
            store: KeyValueStore::new(rules),
            clock: HybridClock::default(),
            wall,
            members: Mutex::default(),
            clock_drift_rejected: AtomicU64::new(0),
            complete_ticks: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// Who this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What it holds.
    pub fn store(&self) -> &KeyValueStore {
        &self.store
    }

    /// The rules in force.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The clock's last timestamp.
    pub fn clock(&self) -> Timestamp {
        self.clock.last()
    }

    /// The number of the tick that is under way, or comes next; see [`tombstones`](super::tombstones).
    pub(super) fn current_tick(&self) -> u64 {
        self.complete_ticks.load(Relaxed) + 1
    }

    /// Moves the clock up to the wall clock, and returns it: whatever is written here from now on is later.
    pub(super) fn advance_clock(&self) -> Timestamp {
        self.clock.now((self.wall)())
    }

    /// How many entries came from too far in the future to move the clock.
    pub fn clock_drift_rejected(&self) -> u64 {
        self.clock_drift_rejected.load(Relaxed)
    }

    /// How many tombstones were forgotten since the start.
    pub fn tombstones_forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }

    /// Every node that has ever spoken with this one, in the order of their names.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.members.lock().values().cloned().collect()
    }

    /// The node with this name, if it has ever spoken with this one.
    pub fn member(&self, name: &str) -> Option<Arc<Member>> {
        self.members.lock().get(name).cloned()
    }

    // ---- what clients write -------------------------------------------------------------------------------------------

    /// Stores a value.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        self.store.write(key, Content::Value(value), |replaced| self.stamp(replaced));
    }

    /// Deletes a key, whether or not this replica holds it: a peer may hold a value that has not arrived here, and must lose
    /// it. Returns whether this replica held a value.
    pub fn delete(&self, key: &[u8]) -> bool {
        self.store.write(key, Content::Tombstone, |replaced| self.stamp(replaced)).held_value
    }

    /// The version of a write that replaces `replaced`: now, but later than that in any case.
    fn stamp(&self, replaced: Option<Version>) -> Version {
        let wall = (self.wall)();
        let now = if self.rules.hybrid_clock { self.clock.now(wall) } else { wall };
        let timestamp = match replaced {
            Some(replaced) if self.rules.stamp_bump => now.max(replaced.timestamp.next()),
            _ => now,
        };
        Version::new(timestamp, self.identity.node)
    }

    // ---- both sides ---------------------------------------------------------------------------------------------------

    /// Who we are, for the other side.
    pub fn greeting(&self) -> Greeting {
        let Identity { name, node, incarnation } = self.identity.clone();
        Greeting { name, node, incarnation, clock: self.clock.last() }
    }

    /// Takes note of who the other side is: checks that it belongs to us, merges its clock, and notices if its memory is gone.
    pub(super) fn meet(&self, other: &Greeting) -> Result<Arc<Member>, Refusal> {
        let own = &self.identity;
        if other.name == own.name || other.node == own.node {
            return Err(format!("{} has the name or the number ({}) of {} itself", other.name, other.node, own.name));
        }
        let member = self.register(other)?;
        let mut progress = member.progress.lock();
        if progress.incarnation != other.incarnation {
            if progress.incarnation != 0 {
                info!("{}: {} has started again without its data", own.name, member.name);
            }
            // Nothing that the former incarnation has sent may count for this one: its connections are revoked.
            let connection = progress.connection + 1;
            *progress = Progress { incarnation: other.incarnation, connection, ..Progress::default() };
        }
        if progress.dismissed {
            return Err(format!("{} was dismissed by FORGET: start it again without its data", member.name));
        }
        self.observe(other.clock, &member, &mut progress);
        drop(progress);
        Ok(member)
    }

    fn register(&self, other: &Greeting) -> Result<Arc<Member>, Refusal> {
        let mut members = self.members.lock();
        if let Some(member) = members.get(&other.name) {
            if member.node == other.node {
                return Ok(Arc::clone(member));
            }
            if !member.progress.lock().dismissed {
                return Err(format!(
                    "{} has the number {}, but was known with {}",
                    other.name, other.node, member.node
                ));
            }
        }
        let same_number = members.values().find(|member| member.node == other.node && member.name != other.name);
        match same_number {
            Some(twin) if !twin.progress.lock().dismissed => {
                return Err(format!("{} has the number {} of {}", other.name, other.node, twin.name));
            }
            _ => {}
        }
        if members.len() >= MAX_PEERS {
            return Err(format!("there are {MAX_PEERS} peers already"));
        }
        let member = Arc::new(Member { name: other.name.clone(), node: other.node, progress: Mutex::default() });
        members.insert(other.name.clone(), Arc::clone(&member));
        Ok(member)
    }

    fn observe(&self, timestamp: Timestamp, sender: &Member, progress: &mut Progress) {
        let Err(too_far) = self.clock.observe(timestamp, (self.wall)()) else { return };
        self.clock_drift_rejected.fetch_add(1, Relaxed);
        if !progress.drift_reported {
            progress.drift_reported = true;
            warn!(
                "{}: {} sent something from {} ms ahead of our clock; check the clocks of both (reported once)",
                self.identity.name, sender.name, too_far.by_ms
            );
        }
    }

    /// Merges an entry that `sender` has sent, and returns it if what stands here is newer or the same. The sender's lock is held.
    fn merge_locked(&self, sender: &Member, progress: &mut Progress, record: Record) -> Option<Record> {
        self.observe(record.version().timestamp, sender, progress);
        self.store.merge(record).rejected
    }

    /// Merges entries that `sender` has answered in a round; returns those for which something newer, or the same, stands here.
    pub(super) fn merge_all(&self, sender: &Member, records: Vec<Record>) -> Vec<Record> {
        let mut progress = sender.progress.lock();
        records.into_iter().filter_map(|record| self.merge_locked(sender, &mut progress, record)).collect()
    }

    /// Dismisses a node that will never return, so that deletes no longer wait for it. Its present incarnation is refused for as long as
    /// this replica lives. What only that node holds is lost; if it starts again without its data, it is welcome.
    /// Returns whether the name is known.
    ///
    /// The node must have been stopped for good. This replica does not tell the others, and a replica that starts anew does not know:
    /// it would take back, from a dismissed node that still lives, what was deleted and forgotten meanwhile.
    pub fn dismiss(&self, name: &str) -> bool {
        let member = self.member(name);
        member.inspect(|member| member.progress.lock().dismissed = true).is_some()
    }

    // ---- the responder ------------------------------------------------------------------------------------------------

    /// Answers one request of a peer. After [`Reply::Refused`] the connection must be ended.
    pub fn handle(&self, session: &mut PeerSession, request: Request) -> Reply {
        let answer = match (request, &session.member) {
            (Request::Peer(greeting), _) => self.on_peer(session, &greeting),
            (_, None) => Err("say PEER first".into()),
            (Request::Propagate(record), Some((member, connection))) => self.on_propagate(member, *connection, record),
            (Request::Confirm(arrivals), Some((member, connection))) => self.on_confirm(member, *connection, arrivals),
            (Request::Root, _) => Ok(Reply::Root(self.store.root())),
            (Request::Digest(nodes), _) => {
                Ok(Reply::Children(nodes.iter().map(|&node| self.store.children(node)).collect()))
            }
            (Request::Leaf(nodes), _) => Ok(self.on_leaf(&nodes)),
            (Request::Fetch(keys), _) => Ok(self.on_fetch(&keys)),
        };
        answer.unwrap_or_else(Reply::Refused)
    }

    /// The first PEER of a connection makes it the peer's only one. The initiator waits for the answer before it sends anything
    /// else, so a PEER that arrives late has nothing behind it.
    fn on_peer(&self, session: &mut PeerSession, greeting: &Greeting) -> Result<Reply, Refusal> {
        let member = self.meet(greeting)?;
        let mut progress = member.progress.lock();
        match &session.member {
            Some((known, connection)) => {
                if known.name != member.name {
                    return Err(format!("this connection belongs to {}", known.name));
                }
                self.check_not_revoked(&progress, *connection)?;
            }
            None => {
                progress.connection += 1;
                session.member = Some((Arc::clone(&member), progress.connection));
            }
        }
        Ok(Reply::Peer { greeting: self.greeting(), arrivals: self.store.arrivals() })
    }

    fn on_propagate(&self, sender: &Member, connection: u64, record: Record) -> Result<Reply, Refusal> {
        let mut progress = sender.progress.lock();
        self.check_not_revoked(&progress, connection)?;
        Ok(Reply::Merged(self.merge_locked(sender, &mut progress, record).is_none()))
    }

    fn on_confirm(&self, sender: &Member, connection: u64, arrivals: u64) -> Result<Reply, Refusal> {
        let mut progress = sender.progress.lock();
        self.check_not_revoked(&progress, connection)?;
        if arrivals > self.store.arrivals() {
            return Err(format!("{} confirms {arrivals} entries, but not as many have arrived here", sender.name));
        }
        progress.confirmed = progress.confirmed.max(arrivals);
        Ok(Reply::Ok)
    }

    fn check_not_revoked(&self, progress: &Progress, connection: u64) -> Result<(), Refusal> {
        if self.rules.ordered_link && progress.connection != connection {
            return Err("this connection was revoked by a newer one".into());
        }
        Ok(())
    }

    /// Tells how this replica differs from what the initiator holds below some nodes of the tree: of as many as fit in one reply.
    fn on_leaf(&self, held: &[Held]) -> Reply {
        let nodes: Vec<Prefix> = held.iter().map(|held| held.node).collect();
        // By digest, below which of the nodes the initiator holds it.
        let mut lacking: HashMap<Digest, usize> = HashMap::new();
        for (index, held) in held.iter().enumerate() {
            lacking.extend(held.digests.iter().map(|&digest| (digest, index)));
        }
        let (mut news, mut listed, mut bytes) = (Vec::new(), Vec::new(), 0);
        let covered = self.store.visit_below(&nodes, |index, record| {
            if lacking.remove(&record.digest()).is_some() {
                return ControlFlow::Continue(());
            }
            if bytes > REPLY_BYTES {
                return ControlFlow::Break(());
            }
            let is_later = record.version().timestamp > held[index].newest;
            if is_later && bytes + record.bytes() <= REPLY_BYTES {
                bytes += record.bytes();
                news.push(record.clone());
            } else {
                bytes += record.key().len() + Record::HEADER_BYTES;
                listed.push(record.into());
            }
            ControlFlow::Continue(())
        });
        let mut lacking: Vec<Digest> =
            lacking.into_iter().filter(|&(_, index)| index < covered).map(|(digest, _)| digest).collect();
        lacking.sort_unstable();
        Reply::Leaf(Differences { covered, news, listed, lacking })
    }

    /// Sends what stands under some keys: under as many as fit in one reply.
    fn on_fetch(&self, keys: &[Box<[u8]>]) -> Reply {
        let (mut covered, mut bytes, mut records) = (0, 0, Vec::new());
        for key in keys {
            let record = self.store.record(key);
            bytes += record.as_ref().map_or(0, Record::bytes);
            if covered > 0 && bytes > REPLY_BYTES {
                break;
            }
            covered += 1;
            records.extend(record);
        }
        Reply::Entries { covered, records }
    }
}
