//! What a node stores. Nothing here knows of sockets, threads, chance or the time of day.
//!
//! In reading order: [`clock`] and [`version`] say what "newer" means, [`content`] what stands under a key,
//! [`mod@merge`] holds the one rule that follows, [`causality`] tells what the rule throws away, [`deadline`] how
//! values expire, [`counter`] how counts add up. [`placement`] says where a key stands, [`digest`] is how two stores
//! find out where they differ. Then the plumbing: [`record`] is how an entry lies in memory, [`arrival`] how a node
//! counts them, [`accepted`] where one goes that wins, [`graveyard`] the queues of tombstones (`row.rs`: those that
//! wait, counted), `shard.rs` what changes together under one lock, `table.rs` where it stands, `scan.rs` lists it.
//! [`KeyValueStore`] puts them together.

pub mod accepted;
pub mod arrival;
pub mod causality;
pub mod clock;
pub mod content;
pub mod counter;
pub mod deadline;
pub mod digest;
pub mod graveyard;
pub mod merge;
pub mod placement;
pub mod record;
mod row;
mod scan;
mod shard;
mod table;
pub mod version;

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::rules::{Rule, Rules};
use accepted::Accepted;
use arrival::{Arrival, TickNumber};
use causality::seen_after;
use clock::Timestamp;
use content::{Content, Entry};
use counter::CannotCount;
use deadline::Deadline;
use digest::{DEPTH, Digest, FANOUT, LEAVES, Prefix};
use merge::Outcome;
use placement::{Place, Placement};
use record::Record;
use scan::LEAVES_PER_PART;
use shard::{LEAVES_PER_SHARD, Ledger, Part, Shard};
use version::Version;

/// How many shards there are, each with a lock of its own: one for each first byte of a hash.
const SHARDS: usize = 256;

/// How many bits of a hash lie behind those that name its shard.
const SHARD_SHIFT: u32 = u64::BITS - SHARDS.ilog2();

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys with a value; those that have expired count until they are swept.
    pub keys: usize,
    /// How many of these have a deadline.
    pub expiring: usize,
    /// Deleted keys whose tombstone some peer may not hold yet.
    pub tombstones: usize,
    /// Deleted keys whose tombstone every peer holds; they are about to be forgotten.
    pub settled: usize,
}

/// What [`KeyValueStore::update`] makes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'v> {
    /// It stays as it is.
    Nothing,
    /// It has this value, until the deadline if there is one.
    Value(Cow<'v, [u8]>, Option<Deadline>),
    /// It is deleted.
    Delete,
}

/// A concurrent map from keys to entries, with a digest of itself.
///
/// Reads share the lock of one of 256 shards, writes hold it alone, and no lock is held while anything outside the
/// store happens. Every way in ends in the same merge, so the store never goes back to an older version of a key.
pub struct KeyValueStore {
    shards: Box<[RwLock<Shard>]>,
    placement: Placement,
    ledger: Ledger,
}

impl KeyValueStore {
    /// An empty store.
    pub fn new(rules: Rules) -> Self {
        Self::with_output(rules, Placement::default(), None)
    }

    /// An empty store that tells `output` of each entry that it accepts.
    pub fn with_output(rules: Rules, placement: Placement, output: Option<Arc<dyn Accepted>>) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::new(placement))).collect();
        let (arrivals, bytes, saturated) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Self { shards, placement, ledger: Ledger { rules, output, arrivals, bytes, saturated } }
    }

    /// How the keys are placed.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The leaf of the digest tree in which a key stands.
    pub fn leaf_of(&self, key: &[u8]) -> Prefix {
        Prefix::leaf_of(self.hash(key))
    }

    /// The hash of a key, the same on all nodes.
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.placement.hash(key)
    }

    /// Where a key stands.
    fn place(&self, key: &[u8]) -> Place {
        self.placement.place(key)
    }

    /// Calls `read` with the value of `key`, if it has one that is not past its deadline, and returns what that
    /// returns. The value is not copied: `read` runs while the shard is locked for reading, so it must be short, and
    /// must not come back to the store. The clock is read only if there is a deadline.
    pub fn get<R>(&self, key: &[u8], now: impl FnOnce() -> Timestamp, read: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let place = self.place(key);
        let shard = self.shard(place.hash).read();
        match shard.find(place, key) {
            Some(record) if record.is_counted() => read(record.value(now).as_ref().map(|(value, _)| &**value)),
            record => {
                let content = record.map(Record::content).filter(|content| content.is_live(now));
                read(content.and_then(Content::value))
            }
        }
    }

    /// A copy of what stands under `key`, tombstones included.
    pub fn record(&self, key: &[u8]) -> Option<Record> {
        let place = self.place(key);
        self.shard(place.hash).read().find(place, key).cloned()
    }

    /// Calls `look` with what stands under `key`, tombstones included. Nothing is copied: as [`KeyValueStore::get`].
    pub fn look<R>(&self, key: &[u8], look: impl FnOnce(Option<&Record>) -> R) -> R {
        let place = self.place(key);
        look(self.shard(place.hash).read().find(place, key))
    }

    /// How many bytes are counted for `key`, if it has a value at `now`; see [`KeyValueStore::bytes`].
    pub fn value_bytes(&self, key: &[u8], now: Timestamp) -> Option<usize> {
        let place = self.place(key);
        let shard = self.shard(place.hash).read();
        shard.find(place, key).filter(|record| record.is_live(|| now)).map(shard::bytes_of)
    }

    /// The version of what stands under `key`, tombstones included.
    pub fn version(&self, key: &[u8]) -> Option<Version> {
        let place = self.place(key);
        self.shard(place.hash).read().find(place, key).map(Record::version)
    }

    /// Writes `content` under `key`. `stamp` gives its version; it is called with the version that is being replaced,
    /// while the shard is locked, so that nothing can come between. The write has seen what it replaces.
    pub fn write(&self, key: &[u8], content: Content<'_>, stamp: impl FnOnce(Option<Version>) -> Version) -> Outcome {
        let place = self.place(key);
        let mut shard = self.shard(place.hash).write();
        let record = self.written(key, content, shard.find(place, key), stamp);
        shard.merge(place, record, &self.ledger)
    }

    /// Changes what stands under `key`, as `change` says. That is called with what stands there, unless it is deleted
    /// or past its deadline at `now`, while the shard is locked, so that nothing can come between. It must be short,
    /// and must not come back to the store. Returns whether it has changed something, and what it returns.
    pub fn update<'v, R>(
        &self,
        key: &[u8],
        now: Timestamp,
        stamp: impl FnOnce(Option<Version>) -> Version,
        change: impl FnOnce(Option<Content<'_>>) -> (Change<'v>, R),
    ) -> (bool, R) {
        let place = self.place(key);
        let mut shard = self.shard(place.hash).write();
        let replaced = shard.find(place, key);
        let value = replaced.and_then(|replaced| replaced.value(|| now));
        let (change, result) = change(value.as_ref().map(|(value, deadline)| Content::until(value, *deadline)));
        let content = match &change {
            Change::Nothing => return (false, result),
            Change::Value(value, deadline) => Content::until(value, *deadline),
            Change::Delete => Content::Tombstone,
        };
        let record = self.written(key, content, replaced, stamp);
        shard.merge(place, record, &self.ledger);
        (true, result)
    }

    /// Adds `by` to the number under `key`, as [`counter`] says: in the share of this life of the node. `now` is the
    /// wall clock; `stamp` gives the present timestamp, later than the one that it is given. Returns the new value.
    ///
    /// # Errors
    /// When it cannot be counted. Nothing has changed then.
    pub fn increment(
        &self,
        key: &[u8],
        by: i64,
        (life, now): (u64, Timestamp),
        stamp: impl FnOnce(Timestamp) -> Timestamp,
    ) -> Result<i64, CannotCount> {
        let place = self.place(key);
        let mut shard = self.shard(place.hash).write();
        let never = || Cow::Owned(Record::never_written(key));
        let record = shard.find(place, key).map_or_else(never, Cow::Borrowed);
        let (shares, sum) = counter::increment(&record, by, (life, now), stamp)?;
        let record = record.with_shares(&shares);
        shard.merge(place, record, &self.ledger);
        Ok(sum)
    }

    /// The record of a write that replaces `replaced`, and has seen it.
    fn written(
        &self,
        key: &[u8],
        content: Content<'_>,
        replaced: Option<&Record>,
        stamp: impl FnOnce(Option<Version>) -> Version,
    ) -> Record {
        let version = stamp(replaced.map(Record::version));
        let counted = replaced.filter(|replaced| replaced.is_counted());
        let replaced = replaced.filter(|_| self.ledger.rules.has(Rule::VersionVectors));
        let entry = Entry { version, content };
        let record = match replaced.and_then(|replaced| seen_after(replaced, version.node)) {
            None => Record::new(key, entry),
            Some(seen) => Record::with_seen(key, entry, &seen),
        };
        match counted {
            None => record,
            Some(counted) => record.with_shares(&counter::seen(counted.shares())),
        }
    }

    /// Merges an entry that was written elsewhere.
    pub fn merge(&self, record: Record) -> Outcome {
        let place = self.place(record.key());
        self.shard(place.hash).write().merge(place, record, &self.ledger)
    }

    /// The number of the last entry that was accepted. A thread that looks after this call finds every entry that was
    /// accepted under this number or a smaller one.
    pub fn arrivals(&self) -> Arrival {
        Arrival(self.ledger.arrivals.load(Relaxed))
    }

    /// The digest of the whole store.
    pub fn root(&self) -> Digest {
        self.shards.iter().map(|shard| shard.read().total()).sum()
    }

    /// The digest of one branch or leaf of the tree.
    pub fn digest(&self, prefix: Prefix) -> Digest {
        let leaves = prefix.leaves();
        if leaves.len() >= LEAVES_PER_SHARD {
            let shards = leaves.start / LEAVES_PER_SHARD..leaves.end / LEAVES_PER_SHARD;
            return self.shards[shards].iter().map(|shard| shard.read().total()).sum();
        }
        let (shard, leaves) = self.shard_of(leaves);
        shard.read().sums()[leaves].iter().copied().sum()
    }

    /// The digests of the children of a branch, which must not be a leaf.
    pub fn children(&self, prefix: Prefix) -> [Digest; FANOUT] {
        std::array::from_fn(|digit| self.digest(prefix.child(digit)))
    }

    /// Visits the entries below some branches, except settled tombstones: calls `visit` with the index of the branch
    /// and the entry, while the shard is locked for reading. Returns how many branches were visited completely: all,
    /// unless `visit` breaks off.
    ///
    /// The branches (or leaves, or parts of leaves) have two digits at least, stand in ascending order, and none below
    /// another.
    pub fn visit_below(&self, branches: &[Prefix], mut visit: impl FnMut(usize, &Record) -> ControlFlow<()>) -> usize {
        // Leaves that may share a table are visited together, each part of a leaf by itself.
        let together = |branch: &Prefix| (branch.len() <= DEPTH).then_some(branch.leaves().start / LEAVES_PER_PART);
        let mut visited = 0;
        for group in branches.chunk_by(|a, b| together(a).is_some() && together(a) == together(b)) {
            let hashes = *group[0].hashes().start()..=*group[group.len() - 1].hashes().end();
            for record in self.shard(*hashes.start()).read().unsettled_near(&hashes) {
                let hash = self.hash(record.key());
                let index = group.partition_point(|branch| *branch.hashes().end() < hash);
                if group.get(index).is_some_and(|branch| branch.hashes().contains(&hash))
                    && visit(visited + index, record).is_break()
                {
                    return visited;
                }
            }
            visited += group.len();
        }
        visited
    }

    /// How many leaves hold about `entries` entries together; at least 1.
    pub fn leaves_for(&self, entries: usize) -> usize {
        let Counts { keys, tombstones, settled, .. } = self.counts();
        (entries * LEAVES / (keys + tombstones + settled).max(1)).clamp(1, LEAVES)
    }

    /// How much is stored.
    pub fn counts(&self) -> Counts {
        self.shards.iter().fold(Counts::default(), |counts, shard| {
            let shard = shard.read();
            Counts {
                keys: counts.keys + shard.live(),
                expiring: counts.expiring + shard.deadlines().len(),
                tombstones: counts.tombstones + shard.graveyard().waiting(),
                settled: counts.settled + shard.graveyard().settled(),
            }
        })
    }

    /// About how many bytes all that is stored takes.
    pub fn bytes(&self) -> usize {
        self.ledger.bytes.load(Relaxed)
    }

    /// How many times a counter has become a sum that is no 64-bit number: readers get the nearest one.
    pub fn saturated(&self) -> u64 {
        self.ledger.saturated.load(Relaxed)
    }

    /// How many unsettled tombstones arrived after `arrival`: those that wait for a peer that has confirmed up to
    /// there.
    pub fn tombstones_after(&self, arrival: Arrival) -> usize {
        self.shards.iter().map(|shard| shard.read().graveyard().waiting_after(arrival)).sum()
    }

    /// The latest timestamp of a tombstone that waits; `None` if none does. It looks at each of them.
    pub fn latest_waiting(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(|shard| shard.read().latest_waiting()).max()
    }

    /// Settles the tombstones that arrived up to `up_to` and do not lie ahead of `clock`: from now on they count in no
    /// digest and stand in no list. They still win over what is older. Returns how many.
    pub fn settle(&self, up_to: Arrival, clock: Timestamp, tick: TickNumber) -> usize {
        self.in_parts(|shard, after| shard.settle((after, up_to), clock, tick, &self.ledger))
    }

    /// Takes settling back: every settled tombstone that has not been forgotten returns to the digests and lists, and
    /// waits again. Returns how many.
    pub fn take_back_settled(&self) -> usize {
        self.in_parts(|shard, _| shard.take_back_settled())
    }

    /// Keeps the settled tombstone of a key as if it had settled at `tick`. Nothing if there is none.
    pub fn keep_settled(&self, key: &[u8], tick: TickNumber) {
        let place = self.place(key);
        self.shard(place.hash).write().keep_settled(place, key, tick);
    }

    /// Forgets the tombstones that settled at `tick` or before. Returns how many.
    pub fn forget(&self, tick: TickNumber) -> usize {
        self.in_parts(|shard, after| shard.forget(after, tick, &self.ledger))
    }

    /// Goes through the tombstones of all shards: calls `part` with each shard and the number behind which it is to go
    /// on, until the shard has no more. The shard is locked for one call at a time, and threads that wait for it come
    /// first. Returns how many tombstones were changed.
    fn in_parts(&self, part: impl Fn(&mut Shard, Arrival) -> Part) -> usize {
        let (mut changed, mut after) = (0, Arrival::NONE);
        for shard in &self.shards {
            loop {
                let mut locked = shard.write();
                let done = part(&mut locked, after);
                RwLockWriteGuard::unlock_fair(locked);
                changed += done.changed;
                after = done.last.unwrap_or(Arrival::NONE);
                if done.last.is_none() {
                    break;
                }
            }
        }
        changed
    }

    /// Forgets the tombstone of this version under a key if it stands there: it was forgotten before, and comes from
    /// the disk. The output is not told.
    pub fn forget_again(&self, key: &[u8], version: Version) {
        let place = self.place(key);
        self.shard(place.hash).write().forget_again(place, key, version, &self.ledger);
    }

    /// Replaces values that are past their deadline at `now` by tombstones of the same version: in each shard at most
    /// `most` at a time, so that nobody waits long for its lock. Calls `between` after each time, while no shard is
    /// locked. Returns how many.
    pub fn sweep(&self, now: Timestamp, most: usize, between: impl Fn()) -> usize {
        let sweep = |shard: &RwLock<Shard>| {
            let is_past = || shard.read().deadlines().first().is_some_and(|first| first.is_past(now));
            let mut swept = 0;
            while is_past() {
                let mut locked = shard.write();
                swept += locked.sweep(now, most, &self.ledger);
                RwLockWriteGuard::unlock_fair(locked);
                between();
            }
            swept
        };
        self.shards.iter().map(sweep).sum()
    }

    /// The digest of the whole store, computed from the entries. For tests: it must always equal
    /// [`KeyValueStore::root`].
    pub fn rebuilt_root(&self) -> Digest {
        let shards = self.shards.iter().map(|shard| shard.read());
        shards.map(|shard| shard.unsettled().map(Record::digest).sum()).sum()
    }

    /// The shard in which some leaves stand, all of one shard, and their numbers within it.
    fn shard_of(&self, leaves: Range<usize>) -> (&RwLock<Shard>, Range<usize>) {
        let first = leaves.start % LEAVES_PER_SHARD;
        (&self.shards[leaves.start / LEAVES_PER_SHARD], first..first + leaves.len())
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[(hash >> SHARD_SHIFT) as usize]
    }

    /// The first hash of the shard behind that in which a hash stands; `None` after the last.
    fn next_shard(&self, hash: u64) -> Option<u64> {
        (hash | ((1 << SHARD_SHIFT) - 1)).checked_add(1)
    }
}
