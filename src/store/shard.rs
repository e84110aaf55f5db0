//! One shard of the store: what changes together, under one lock.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::clock::Timestamp;
use super::digest::{Digest, FANOUT, LEAVES, Prefix};
use super::entry::{Content, Survivor, merge};
use super::record::Record;
use super::{SHARDS, hash_key};
use crate::rules::Rules;

/// How many leaves of the digest tree one shard covers.
pub(super) const LEAVES_PER_SHARD: usize = LEAVES / SHARDS;

/// How many of these share a table.
pub(super) const LEAVES_PER_TABLE: usize = FANOUT;

const TABLES: usize = LEAVES_PER_SHARD / LEAVES_PER_TABLE;

/// Part of the keys, with their share of the digest tree and the queues of their tombstones.
///
/// Every 16 leaves, a node of three digits, have a table of their own. So a leaf is listed without looking at the whole shard, and
/// a table that grows moves few records at a time. (With a table for each leaf, a GET of a key that is in no cache takes 1.3 to 2
/// times as long: the 65,536 tables and their contents do not fit in there either. `cargo bench --bench store -- get`)
///
/// Invariants, which hold whenever nobody has the lock for writing:
/// * `sums[leaf]` is the sum of the digests of the records of that leaf that are not settled, `total` the sum of `sums`.
/// * `live` counts the values. Every tombstone's arrival number stands in `waiting` or, if it is settled, in `settled`,
///   and nothing else stands there.
pub(super) struct Shard {
    tables: [HashTable<Record>; TABLES],
    sums: Box<[Digest; LEAVES_PER_SHARD]>,
    total: Digest,
    live: usize,
    /// The tombstones that some peer may not hold yet: by arrival number, the hash of the key.
    waiting: BTreeMap<u64, u64>,
    /// The tombstones that every peer holds: by arrival number, the hash of the key and the tick at which it settled, or was
    /// last seen in a peer's list.
    settled: BTreeMap<u64, (u64, u64)>,
}

/// What all shards count together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// How many entries were accepted. Only grows.
    pub(super) arrivals: AtomicU64,
    /// How many bytes the records take, with the table's share for each.
    pub(super) bytes: AtomicUsize,
}

impl Totals {
    fn add(&self, record: &Record) {
        self.bytes.fetch_add(record.bytes() + TABLE_BYTES, Relaxed);
    }

    fn remove(&self, record: &Record) {
        self.bytes.fetch_sub(record.bytes() + TABLE_BYTES, Relaxed);
    }
}

/// About what the table and the allocator take for a record beside its bytes: a slot of 17 bytes in a table that is 45 to 88 %
/// full, and an allocation's header.
const TABLE_BYTES: usize = 40;

/// What became of an entry that was offered to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The entry, if it was not accepted: what stands in the store is newer or the same.
    pub rejected: Option<Record>,
    /// Whether the key held a value before.
    pub held_value: bool,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            tables: [const { HashTable::new() }; TABLES],
            sums: Box::new([Digest::default(); LEAVES_PER_SHARD]),
            total: Digest::default(),
            live: 0,
            waiting: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<&Record> {
        self.tables[table_index(hash)].find(spread(hash), |record| record.key() == key)
    }

    /// The only way in: offers an entry to the merge rule, and keeps it if it wins.
    pub(super) fn merge(&mut self, hash: u64, mut incoming: Record, totals: &Totals, rules: Rules) -> Merged {
        let same_key = |record: &Record| record.key() == incoming.key();
        let table = &mut self.tables[table_index(hash)];
        let slot = table.entry(spread(hash), same_key, |record| spread(hash_key(record.key())));
        let current = match &slot {
            Slot::Occupied(slot) => Some(slot.get()),
            Slot::Vacant(_) => None,
        };
        let held_value = current.is_some_and(|record| record.content() != Content::Tombstone);
        let loses = current
            .is_some_and(|current| merge(current.entry(), incoming.entry(), rules.tie_break) == Survivor::Current);
        if loses {
            return Merged { rejected: Some(incoming), held_value };
        }

        // The number is taken inside the lock: whoever reads it finds every entry up to it by waiting for the locks.
        let arrival = totals.arrivals.fetch_add(1, Relaxed) + 1;
        incoming.set_arrival(arrival);
        let is_value = incoming.content() != Content::Tombstone;
        if !is_value && !rules.tombstones {
            if let Slot::Occupied(slot) = slot {
                let (gone, _) = slot.remove();
                self.uncount(hash, &gone, totals);
            }
            return Merged { rejected: None, held_value };
        }
        let digest = incoming.digest();
        totals.add(&incoming);
        match slot {
            Slot::Occupied(mut slot) => {
                let replaced = mem::replace(slot.get_mut(), incoming);
                self.uncount(hash, &replaced, totals);
            }
            Slot::Vacant(slot) => {
                slot.insert(incoming);
            }
        }
        self.sums[leaf_index(hash)].add(digest);
        self.total.add(digest);
        if is_value {
            self.live += 1;
        } else {
            self.waiting.insert(arrival, hash);
        }
        Merged { rejected: None, held_value }
    }

    /// Takes a record that leaves the table out of sums, counts and queues.
    fn uncount(&mut self, hash: u64, record: &Record, totals: &Totals) {
        totals.remove(record);
        if !record.is_settled() {
            let digest = record.digest();
            self.sums[leaf_index(hash)].remove(digest);
            self.total.remove(digest);
        }
        match record.arrival() {
            None => self.live -= 1,
            Some(arrival) => {
                let queued = self.waiting.remove(&arrival).is_some() || self.settled.remove(&arrival).is_some();
                debug_assert!(queued, "every tombstone waits in one of the queues");
            }
        }
    }

    /// Settles the waiting tombstones that arrived up to `up_to` and do not lie ahead of `clock`; returns how many.
    pub(super) fn settle(&mut self, up_to: u64, clock: Timestamp, tick: u64) -> usize {
        let due: Vec<(u64, u64)> = self.waiting.range(..=up_to).map(|(&arrival, &hash)| (arrival, hash)).collect();
        let mut settled = 0;
        for (arrival, hash) in due {
            let tombstone = self.tables[table_index(hash)]
                .find_mut(spread(hash), |record| record.arrival() == Some(arrival))
                .expect("a tombstone that is replaced leaves the queue at once");
            if tombstone.version().timestamp > clock {
                continue;
            }
            let digest = tombstone.digest();
            tombstone.set_settled(true);
            self.sums[leaf_index(hash)].remove(digest);
            self.total.remove(digest);
            self.waiting.remove(&arrival);
            self.settled.insert(arrival, (hash, tick));
            settled += 1;
        }
        settled
    }

    /// Returns all settled tombstones to the digests and lists, to wait again; returns how many.
    pub(super) fn take_back_settled(&mut self) -> usize {
        let settled = mem::take(&mut self.settled);
        for (&arrival, &(hash, _)) in &settled {
            let tombstone = self.tables[table_index(hash)]
                .find_mut(spread(hash), |record| record.arrival() == Some(arrival))
                .expect("a settled tombstone that is replaced leaves the queue at once");
            tombstone.set_settled(false);
            let digest = tombstone.digest();
            self.sums[leaf_index(hash)].add(digest);
            self.total.add(digest);
            self.waiting.insert(arrival, hash);
        }
        settled.len()
    }

    /// Keeps a settled tombstone as if it had settled at `tick`. Nothing for any other record.
    pub(super) fn keep_settled(&mut self, hash: u64, key: &[u8], tick: u64) {
        let arrival = self.find(hash, key).and_then(Record::arrival);
        if let Some((_, settled_at)) = arrival.and_then(|arrival| self.settled.get_mut(&arrival)) {
            *settled_at = tick;
        }
    }

    /// Forgets the tombstones that settled at `tick` or before; returns how many.
    pub(super) fn forget(&mut self, tick: u64, totals: &Totals) -> usize {
        let before = self.settled.len();
        self.settled.retain(|&arrival, &mut (hash, settled_at)| {
            if settled_at > tick {
                return true;
            }
            let table = &mut self.tables[table_index(hash)];
            let slot = table.find_entry(spread(hash), |record| record.arrival() == Some(arrival));
            let (tombstone, _) = slot.expect("a settled tombstone that is replaced leaves the queue at once").remove();
            totals.remove(&tombstone);
            if table.len() < table.capacity() / 4 {
                table.shrink_to(table.len() * 2, |record| spread(hash_key(record.key())));
            }
            false
        });
        before - self.settled.len()
    }

    /// All records, those of smaller hashes first, but in no order within each 16 leaves.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.tables.iter().flatten()
    }

    /// The entries that count in the digests, of all leaves that share a table with some: all but the settled tombstones.
    pub(super) fn unsettled_near(&self, leaves: Range<usize>) -> impl Iterator<Item = &Record> {
        let tables = &self.tables[leaves.start / LEAVES_PER_TABLE..leaves.end.div_ceil(LEAVES_PER_TABLE)];
        tables.iter().flatten().filter(|record| !record.is_settled())
    }

    /// The digests of the shard's leaves.
    pub(super) fn sums(&self) -> &[Digest; LEAVES_PER_SHARD] {
        &self.sums
    }

    /// The digest of the whole shard.
    pub(super) fn total(&self) -> Digest {
        self.total
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn waiting(&self) -> &BTreeMap<u64, u64> {
        &self.waiting
    }

    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }
}

/// The number of a hash's leaf within its shard: the second byte.
pub(super) fn leaf_index(hash: u64) -> usize {
    Prefix::leaf_of(hash).leaves().start % LEAVES_PER_SHARD
}

/// The number of a hash's table within its shard.
fn table_index(hash: u64) -> usize {
    leaf_index(hash) / LEAVES_PER_TABLE
}

/// The hash as a table gets it. A table tells records apart by the topmost bits first, and within a table these are all the same:
/// so bits from further down are mixed in.
fn spread(hash: u64) -> u64 {
    hash ^ (hash << 32)
}
