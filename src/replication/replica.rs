//! A node's replica: its store, its clock, and what it knows of its peers. Here is the responder's side of the protocol; the
//! initiator's is in [`reconcile`](super::reconcile).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use log::{info, warn};
use parking_lot::Mutex;

use super::message::{Differences, Greeting, Held, Reply, Request};
use crate::limits::{MAX_DISMISSED, MAX_GUESTS, MAX_MEMBERS, REPLY_BYTES};
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
    /// Whether an impossible time of the wall clock was reported.
    wall_reported: AtomicBool,
    /// Every node that has ever spoken with us and was not dismissed, by name: [`MAX_MEMBERS`] at most.
    members: Mutex<BTreeMap<String, Arc<Member>>>,
    /// The incarnations that were dismissed last, the oldest first: [`MAX_DISMISSED`] at most. They are refused.
    dismissed: Mutex<VecDeque<u64>>,
    /// Held while tombstones are checked and settled, and while a member shows another incarnation and settling is taken back: rule 6
    /// in [`tombstones`](super::tombstones). Locked before `members` and before any member's progress.
    pub(super) settling: Mutex<()>,
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
    /// Whether this replica has reached it by itself, as one of its configured peers. Otherwise it is a guest.
    dialed: AtomicBool,
    /// The thread that merges what this node sends holds this lock, so that a connection can be revoked between two entries.
    progress: Mutex<Progress>,
}

/// Which side has opened the connection on which two nodes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// This one: the other is a configured peer.
    Dialed,
    /// The other.
    Accepted,
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
    /// The operator said that this incarnation will never return. It has left the table of members.
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
            wall_reported: AtomicBool::new(false),
            members: Mutex::default(),
            dismissed: Mutex::default(),
            settling: Mutex::default(),
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

    /// The wall clock's time. A clock that shows an impossible one stands still for us, and is reported once: stamps taken from it would
    /// leave no room for later writes.
    fn wall(&self) -> Timestamp {
        let wall = (self.wall)();
        if wall > Timestamp::LATEST_WALL && !self.wall_reported.swap(true, Relaxed) {
            warn!("{}: this machine's clock shows a time after 2190; set it right (reported once)", self.identity.name);
        }
        wall.min(Timestamp::LATEST_WALL)
    }

    /// Moves the clock up to the wall clock, and returns it: whatever is written here from now on is later.
    pub(super) fn advance_clock(&self) -> Timestamp {
        self.clock.now(self.wall())
    }

    /// Whether a thread is checking and settling tombstones, or a member is shown with another incarnation, at this moment.
    pub fn is_settling(&self) -> bool {
        self.settling.is_locked()
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
        let wall = self.wall();
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

    /// Takes note of who the other side is: checks that it belongs to us, merges its clock, and notices if it is met for the first time
    /// or its memory is gone. Then it has confirmed nothing, and every settled tombstone that is still here waits again.
    pub(super) fn meet(&self, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
        let own = &self.identity;
        if other.name == own.name || other.node == own.node {
            return Err(format!("{} has the name or the number ({}) of {} itself", other.name, other.node, own.name));
        }
        if self.dismissed.lock().contains(&other.incarnation) {
            return Err(format!("{} was dismissed by FORGET: start it again without its data", other.name));
        }
        let _nothing_settles = self.settling.lock();
        let member = self.register(other, contact)?;
        let mut progress = member.progress.lock();
        if progress.dismissed {
            return Err(format!("{} is being dismissed", member.name));
        }
        if progress.incarnation != other.incarnation {
            if progress.incarnation != 0 {
                info!("{}: {} has started again without its data", own.name, member.name);
            }
            // Nothing that the former incarnation has sent may count for this one: its connections are revoked.
            let connection = progress.connection + 1;
            *progress = Progress { incarnation: other.incarnation, connection, ..Progress::default() };
            self.store.take_back_settled();
        }
        self.observe(other.clock, &member, &mut progress);
        drop(progress);
        Ok(member)
    }

    /// The member with the name and number of this greeting. A configured peer finds a place also where strangers have taken its name,
    /// its number, or all places for guests.
    fn register(&self, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
        let mut members = self.members.lock();
        let clashing = |member: &&Arc<Member>| (member.name == other.name) != (member.node == other.node);
        while let Some(clash) = members.values().find(clashing).cloned() {
            if contact == Contact::Accepted || clash.dialed.load(Relaxed) {
                let Member { name, node, .. } = &*clash;
                return Err(format!(
                    "{} has the number {}, but {name} with the number {node} is a member: both must be unique",
                    other.name, other.node
                ));
            }
            warn!("{}: {} takes the place of the stranger {}", self.identity.name, other.name, clash.name);
            self.retire(&mut members, &clash);
        }
        let member = match members.get(&other.name) {
            Some(member) => Arc::clone(member),
            None => {
                let guests = members.values().filter(|member| !member.dialed.load(Relaxed)).count();
                if contact == Contact::Accepted && guests >= MAX_GUESTS {
                    return Err(format!(
                        "{MAX_GUESTS} nodes are here already that are not among the peers of this one (--peer)"
                    ));
                }
                if members.len() >= MAX_MEMBERS {
                    return Err(format!(
                        "{MAX_MEMBERS} nodes have spoken with this one already: type FORGET for those that are gone"
                    ));
                }
                let (name, node) = (other.name.clone(), other.node);
                let member =
                    Arc::new(Member { name, node, dialed: AtomicBool::new(false), progress: Mutex::default() });
                members.insert(other.name.clone(), Arc::clone(&member));
                member
            }
        };
        member.dialed.fetch_or(contact == Contact::Dialed, Relaxed);
        Ok(member)
    }

    /// Takes a member out of the table, and refuses its present incarnation from now on.
    fn retire(&self, members: &mut BTreeMap<String, Arc<Member>>, member: &Member) {
        let mut progress = member.progress.lock();
        progress.dismissed = true;
        // What is open is revoked.
        progress.connection += 1;
        let mut dismissed = self.dismissed.lock();
        dismissed.push_back(progress.incarnation);
        let excess = dismissed.len().saturating_sub(MAX_DISMISSED);
        dismissed.drain(..excess);
        members.remove(&member.name);
    }

    fn observe(&self, timestamp: Timestamp, sender: &Member, progress: &mut Progress) {
        let Err(too_far) = self.clock.observe(timestamp, self.wall()) else { return };
        self.clock_drift_rejected.fetch_add(1, Relaxed);
        if !progress.drift_reported {
            progress.drift_reported = true;
            warn!(
                "{}: {} sent something from {} ms ahead of our clock; check the clocks of both (reported once)",
                self.identity.name, sender.name, too_far.by_ms
            );
        }
    }

    /// Merges an entry that `sender` has sent, and returns it if what stands here is newer or the same, or its version is impossible. The
    /// sender's lock is held.
    fn merge_locked(&self, sender: &Member, progress: &mut Progress, record: Record) -> Option<Record> {
        self.observe(record.version().timestamp, sender, progress);
        if record.version().timestamp >= Timestamp::YEAR_2199 {
            return Some(record);
        }
        self.store.merge(record).rejected
    }

    /// Merges entries that `sender` has answered in a round; returns those for which something newer, or the same, stands here.
    pub(super) fn merge_all(&self, sender: &Member, records: Vec<Record>) -> Vec<Record> {
        let mut progress = sender.progress.lock();
        records.into_iter().filter_map(|record| self.merge_locked(sender, &mut progress, record)).collect()
    }

    /// Dismisses a node that will never return, so that deletes no longer wait for it. It leaves the table of members, and its present
    /// incarnation is refused for as long as this replica lives. What only that node holds is lost; if it starts again without its data, it is welcome.
    /// Returns whether the name is known.
    ///
    /// The node must have been stopped for good. This replica does not tell the others, and a replica that starts anew does not know:
    /// it would take back, from a dismissed node that still lives, what was deleted and forgotten meanwhile.
    pub fn dismiss(&self, name: &str) -> bool {
        let mut members = self.members.lock();
        let member = members.get(name).cloned();
        member.inspect(|member| self.retire(&mut members, member)).is_some()
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
        let member = self.meet(greeting, Contact::Accepted)?;
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
