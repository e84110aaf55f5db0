//! A node's replica: its store, its clock, and its members. What a node *is*, without sockets and threads.
//!
//! Clients write here, peers' entries are merged here, and members are met here. The two sides of the peer protocol
//! stand in files of their own: [`reconcile`](super::reconcile) is the initiator, [`responder`](super::responder) the
//! responder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use log::{Level, log, log_enabled, trace, warn};
use parking_lot::{Mutex, RwLock};

use super::conflicts::Conflicts;
use super::describe::{decision, without_day};
use super::journal::Journal;
use super::member::{Contact, Refusal};
pub use super::member::{Identity, Member, Progress};
use super::members::Members;
use super::message::Greeting;
use super::old_copies::Stores;
use super::waits::ReplicaWaits;
use crate::limits::{MAX_REPEATS, SWEEP_KEYS};
use crate::reports::Reports;
use crate::rules::{Rule, Rules};
use crate::store::accepted::Accepted;
use crate::store::arrival::TickNumber;
use crate::store::causality::Write;
use crate::store::clock::{HybridClock, Timestamp};
use crate::store::content::Content;
use crate::store::counter::{self, CannotCount};
use crate::store::merge::{Effect, Outcome};
use crate::store::placement::Placement;
use crate::store::record::Record;
use crate::store::version::Version;
use crate::store::{Change, KeyValueStore};

/// Reads the wall clock. A replica is given one, so that tests can set the time.
pub type WallClock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// One node's part of the cluster's state. All methods may be called from any thread.
pub struct Replica {
    identity: Identity,
    rules: Rules,
    store: KeyValueStore,
    pub(super) clock: HybridClock,
    wall: WallClock,
    /// Whether an impossible time of the wall clock was reported.
    wall_reported: AtomicBool,
    /// The node's disk, if it has one.
    pub(super) journal: Option<Arc<dyn Journal>>,
    pub(super) members: Members,
    /// What is remembered of the members' stores.
    pub(super) stores: Stores,
    /// Held while tombstones are checked and settled, and while a member shows another incarnation and settling is
    /// taken back: rule 6 in [`tombstones`](super::tombstones). Locked before the table of members and any member's
    /// progress.
    pub(super) settling: Mutex<()>,
    /// How many entries came from too far in the future to move our clock.
    clock_drift_rejected: AtomicU64,
    /// What makes several writes one step; see [`steps`](super::steps).
    pub(super) steps: RwLock<()>,
    /// What was overruled here by a write that had not seen it.
    conflicts: Conflicts,
    pub(super) waits: ReplicaWaits,
    /// How many ticks were complete; see [`tombstones`](super::tombstones).
    complete_ticks: AtomicU64,
    /// How many keys have expired, and were swept.
    expired: AtomicU64,
    /// How many tombstones were forgotten.
    forgotten: AtomicU64,
    /// What is logged of members: a program may speak as a peer, and start again a thousand times a second.
    reports: Reports,
}

impl Replica {
    /// A replica that holds nothing yet.
    pub fn new(identity: Identity, rules: Rules, wall: WallClock) -> Self {
        Self::with_journal(identity, rules, wall, Placement::default(), None)
    }

    /// A replica that holds nothing yet, and writes to `journal` what must outlive its process.
    pub fn with_journal(
        identity: Identity,
        rules: Rules,
        wall: WallClock,
        placement: Placement,
        journal: Option<Arc<dyn Journal>>,
    ) -> Self {
        let output = journal.clone().map(|journal| journal as Arc<dyn Accepted>);
        Self {
            identity,
            rules,
            store: KeyValueStore::with_output(rules, placement, output),
            clock: HybridClock::default(),
            wall,
            wall_reported: AtomicBool::new(false),
            members: Members::new(journal.clone()),
            stores: Stores::new(journal.clone()),
            journal,
            settling: Mutex::default(),
            clock_drift_rejected: AtomicU64::new(0),
            steps: RwLock::default(),
            conflicts: Conflicts::default(),
            waits: ReplicaWaits::default(),
            complete_ticks: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            reports: Reports::new(MAX_REPEATS),
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

    // ---- what clients write ----------------------------------------------------------------------------------------

    /// Calls `read` with the value of a key, if it has one now, and returns what that returns. `read` must be short,
    /// and must not come back to the store.
    pub fn get<R>(&self, key: &[u8], read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        self.store.get(key, || self.wall(), read)
    }

    /// Stores a value.
    pub fn set(&self, key: &[u8], value: &[u8]) {
        self.write(key, Content::Value(value));
    }

    /// Stores what a client has written.
    pub fn write(&self, key: &[u8], content: Content<'_>) {
        self.store.write(key, content, |replaced| self.stamp(replaced));
        self.tell_changed(key);
    }

    /// Changes a key in one step: `change` is called with its value and deadline, if it has a value now. Returns
    /// whether it has changed something, and what it returns. It must be short, and must not come back to the store.
    pub fn update<'v, R>(&self, key: &[u8], change: impl FnOnce(Option<Content<'_>>) -> (Change<'v>, R)) -> (bool, R) {
        let (has_changed, result) = self.store.update(key, self.wall(), |replaced| self.stamp(replaced), change);
        if has_changed {
            self.tell_changed(key);
        }
        (has_changed, result)
    }

    /// Adds `by` to the number under a key; returns the new one.
    ///
    /// # Errors
    /// When it cannot be counted. Nothing has changed then.
    pub fn increment(&self, key: &[u8], by: i64) -> Result<i64, CannotCount> {
        if !self.rules.has(Rule::Shares) {
            return self.read_and_write(key, by);
        }
        let (life, now) = (self.identity.incarnation.0, self.wall());
        let sum = self.store.increment(key, by, (life, now), |last| self.clock.now(now).max(last.next()))?;
        self.tell_changed(key);
        Ok(sum)
    }

    /// What every other store does for an increment: it writes the sum, and the later write wins.
    fn read_and_write(&self, key: &[u8], by: i64) -> Result<i64, CannotCount> {
        let add = |content: Option<Content<'_>>| match counter::add(content.and_then(Content::value), by) {
            Ok(sum) => {
                let deadline = content.and_then(Content::deadline);
                (Change::Value(sum.to_string().into_bytes().into(), deadline), Ok(sum))
            }
            Err(why) => (Change::Nothing, Err(why)),
        };
        self.update(key, add).1
    }

    /// Deletes a key, whether or not this replica holds it: a peer may hold a value that has not arrived here, and that
    /// value must lose. Returns whether the delete has replaced a value.
    pub fn delete(&self, key: &[u8]) -> bool {
        let outcome = self.store.write(key, Content::Tombstone, |replaced| self.stamp(replaced));
        self.tell_changed(key);
        let is_live = |replaced: &Record| replaced.is_live(|| self.wall());
        matches!(outcome.effect, Effect::Replaced(Some(replaced)) if is_live(&replaced))
    }

    /// Deletes what is past its deadline, for good: every node does that for itself. Returns how many keys that were.
    pub fn sweep(&self) -> usize {
        // A million keys may have the same deadline: what is to be written must not gather in memory.
        let swept = self.store.sweep(self.wall(), SWEEP_KEYS, || self.relieve());
        self.expired.fetch_add(swept as u64, Relaxed);
        swept
    }

    /// Writes to the disk what waits for it in memory, if that is much. Called between the parts of a long change.
    pub fn relieve(&self) {
        if let Some(journal) = &self.journal {
            journal.relieve();
        }
    }

    /// How many keys were swept since the start.
    pub fn expired(&self) -> u64 {
        self.expired.load(Relaxed)
    }

    /// The version of a write that replaces `replaced`: now, but later than that in any case.
    fn stamp(&self, replaced: Option<Version>) -> Version {
        let wall = self.wall();
        let now = if self.rules.has(Rule::HybridClock) { self.clock.now(wall) } else { wall };
        let timestamp = match replaced {
            Some(replaced) if self.rules.has(Rule::StampBump) => now.max(replaced.timestamp.next()),
            _ => now,
        };
        Version::new(timestamp, self.identity.node)
    }

    /// The wall clock's time. An impossible one counts as the latest possible, and is reported once: versions stamped
    /// from it would leave no room for later writes.
    pub fn wall(&self) -> Timestamp {
        let wall = (self.wall)();
        if wall > Timestamp::LATEST_WALL && !self.wall_reported.swap(true, Relaxed) {
            warn!("{}: this machine's clock shows a time after 2190; set it right (reported once)", self.identity.name);
        }
        wall.min(Timestamp::LATEST_WALL)
    }

    /// Moves the clock up to the wall clock, and returns it: what is written here from now on is later.
    pub(super) fn advance_clock(&self) -> Timestamp {
        self.clock.now(self.wall())
    }

    // ---- what members send -----------------------------------------------------------------------------------------

    /// Merges entries that `sender` has sent in a round; returns those for which something newer, or the same, stands
    /// here, or something that says more.
    pub(super) fn merge_all(&self, sender: &Member, records: Vec<Record>) -> Vec<Record> {
        let shared = self.share_step();
        let mut progress = sender.lock();
        let merge = |record| self.merge_locked(sender, &mut progress, record).rejected();
        let rejected = records.into_iter().filter_map(merge).collect();
        drop(progress);
        drop(shared);
        self.relieve();
        rejected
    }

    /// Merges an entry that `sender` has sent. It is not accepted if its version is impossible. The caller is in a
    /// shared step, and holds the sender's lock.
    pub(super) fn merge_locked(&self, sender: &Member, progress: &mut Progress, record: Record) -> Outcome {
        self.observe(record.version().timestamp, sender, progress);
        if record.latest() >= Timestamp::YEAR_2199 {
            return Outcome::refused(record);
        }
        let key = self.key_if_awaited(&record);
        let told = log_enabled!(Level::Trace).then(|| record.to_string());
        let mut outcome = self.store.merge(record);
        if let Some(incoming) = told {
            let text = format!("{incoming} from {} {}", sender.name, decision(&outcome));
            trace!("{}: {}", self.identity.name, without_day(&text, self.wall()));
        }
        self.tell_merged(key);
        let has_expired = |lost: &Write| lost.deadline.is_some_and(|deadline| deadline.is_past(self.wall()));
        if let Some(conflict) = outcome.conflict.take().filter(|conflict| !has_expired(&conflict.lost)) {
            self.conflicts.notice(*conflict, self.wall(), &self.identity.name);
        }
        outcome
    }

    /// Moves the clock past a timestamp that `sender` has sent. One that is too far ahead is counted, and its sender
    /// logged.
    fn observe(&self, timestamp: Timestamp, sender: &Member, progress: &mut Progress) {
        let Err(too_far) = self.clock.observe(timestamp, self.wall()) else { return };
        self.clock_drift_rejected.fetch_add(1, Relaxed);
        if !progress.drift_reported {
            progress.drift_reported = true;
            let (name, by) = (&sender.name, Duration::from_millis(too_far.by_ms));
            let what = format!("{name} sent something from {by:.0?} ahead of our clock");
            let whose = "ours is behind, its own is ahead, or it has replaced a write of a clock that is";
            self.report(Level::Warn, &format!("{what}: {whose} (reported once)"));
        }
    }

    /// Logs what a member has caused, at a limited rate.
    fn report(&self, level: Level, what: &str) {
        if self.reports.is_news(what, self.wall().millis()) {
            log!(level, "{}: {what}", self.identity.name);
        }
    }

    /// Logs how many lines about members were left out, if it is time to.
    pub fn report_left_out(&self) {
        if let Some(count) = self.reports.left_out(self.wall().millis()) {
            warn!("{}: {count} more lines about members were not logged", self.identity.name);
        }
    }

    /// What was overruled here by a write that had not seen it.
    pub fn conflicts(&self) -> &Conflicts {
        &self.conflicts
    }

    /// How many entries came from too far in the future to move the clock.
    pub fn clock_drift_rejected(&self) -> u64 {
        self.clock_drift_rejected.load(Relaxed)
    }

    // ---- members ---------------------------------------------------------------------------------------------------

    /// Who we are, for the other side. The first greeting on a connection says what we have heard of other stores.
    pub fn greeting(&self, is_first: bool) -> Greeting {
        let Identity { name, node, incarnation, store } = self.identity.clone();
        let confirmation = self.stores.confirmation();
        let heard = if is_first { self.stores.heard() } else { Vec::new() };
        Greeting { name, node, incarnation, clock: self.clock.last(), store, confirmation, heard }
    }

    /// Meets the node that has sent this greeting: checks that it belongs to the cluster, and merges its clock. A node
    /// that is met for the first time, or that has lost its memory, has confirmed nothing: every settled tombstone that
    /// is still here waits again.
    pub(super) fn meet(&self, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
        let _nothing_settles = self.settling.lock();
        let member = self.members.register(&self.identity, other, contact)?;
        let mut progress = member.lock();
        if progress.dismissed {
            return Err(Refusal::Wrong(format!("{} is being dismissed", member.name)));
        }
        if progress.incarnation != Some(other.incarnation) {
            if self.rules.has(Rule::StaleDisk) {
                let report = |line: &str| self.report(Level::Warn, line);
                self.stores.judge((&self.identity.name, self.identity.store), other, report)?;
            }
            if progress.incarnation.is_some() {
                let without = if progress.store == Some(other.store) { "" } else { " without its data" };
                self.report(Level::Info, &format!("{} has started again{without}", member.name));
            }
            let has_new_store = progress.store != Some(other.store);
            progress.begin(other.incarnation, other.store);
            if has_new_store {
                self.members.note_store(&member, other.store);
            }
            self.store.take_back_settled();
        }
        self.observe(other.clock, &member, &mut progress);
        drop(progress);
        Ok(member)
    }

    /// Every node that has ever spoken with this one and was not dismissed, in the order of their names.
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.members.all()
    }

    /// The member with this name.
    pub fn member(&self, name: &str) -> Option<Arc<Member>> {
        self.members.named(name)
    }

    /// The member that was last reached at this configured address, in this life or before.
    pub fn member_at(&self, address: &str) -> Option<Arc<Member>> {
        self.members.at_address(address)
    }

    /// A member was reached at this configured address.
    pub fn reached(&self, member: &Member, address: &str) {
        self.members.reached(member, address);
    }

    /// Dismisses a node that will never return, so that deletes no longer wait for it. It leaves the table of members,
    /// and its present store is refused. What only that node holds is lost. If it starts again without its data, it is
    /// admitted again. Returns whether there is a member with this name.
    ///
    /// The node must have been stopped for good. This replica does not tell the others, and a replica that starts
    /// without its data does not know: it would take back, from a dismissed node that still runs, what was deleted and
    /// forgotten meanwhile.
    pub fn dismiss(&self, name: &str) -> bool {
        self.members.dismiss(name)
    }

    /// Dismisses a configured address, so that deletes no longer wait for a node that was never met there. If one is
    /// met later, they wait for it.
    pub fn dismiss_address(&self, address: &str) {
        self.members.dismiss_address(address);
    }

    /// Whether a configured address was dismissed.
    pub fn is_address_dismissed(&self, address: &str) -> bool {
        self.members.is_address_dismissed(address)
    }

    /// The node has spoken with every peer that it can reach, so it knows what these have heard of other stores; see
    /// [`old_copies`](super::old_copies).
    pub fn finish_acquainting(&self) {
        self.stores.finish_acquainting();
    }

    // ---- ticks -----------------------------------------------------------------------------------------------------

    /// Tells the log of conflicts that it was not told of yet. Called after each tick.
    pub fn report_conflicts(&self) {
        self.conflicts.report(self.wall(), &self.identity.name);
    }

    /// The number of the tick that is under way, or comes next; see [`tombstones`](super::tombstones).
    pub(super) fn current_tick(&self) -> TickNumber {
        TickNumber(self.complete_ticks.load(Relaxed) + 1)
    }

    /// Notes that a tick is complete, and has forgotten so many tombstones.
    pub(super) fn complete_tick(&self, tick: TickNumber, forgotten: usize) {
        self.complete_ticks.store(tick.0, Relaxed);
        self.forgotten.fetch_add(forgotten as u64, Relaxed);
    }

    /// Whether a thread is checking and settling tombstones, or meeting a member, at this moment.
    pub fn is_settling(&self) -> bool {
        self.settling.is_locked()
    }

    /// How many tombstones were forgotten since the start.
    pub fn tombstones_forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }
}
