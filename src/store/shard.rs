//! One shard of the store: what changes together, under one lock.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use hashbrown::hash_table::Entry as Slot;

use super::SHARDS;
use super::accepted::Accepted;
use super::arrival::{Arrival, TickNumber};
use super::clock::Timestamp;
use super::counter;
use super::deadline::Deadlines;
use super::digest::{Digest, LEAVES, Prefix};
use super::graveyard::{Grave, Graveyard};
use super::merge::{Effect, Outcome, merge};
use super::placement::{Place, Placement};
use super::record::Record;
use super::table::Table;
use super::version::Version;
use crate::limits::TOMBSTONE_STEP;
use crate::rules::{Rule, Rules};

/// How many leaves of the digest tree one shard covers.
pub(super) const LEAVES_PER_SHARD: usize = LEAVES / SHARDS;

/// A part of the keys, with the part of the digest tree that covers them, and the queues of their tombstones.
///
/// Invariants, which hold whenever no thread has the lock for writing:
/// * `sums[leaf]` is the sum of the digests of the records of that leaf that are not settled, `total` the sum of
///   `sums`.
/// * `live` counts the values. Every tombstone has its grave, and nothing else has one.
/// * Every deadline of a value stands in `deadlines`. (Of two keys with one hash and one deadline, only one does.)
pub(super) struct Shard {
    records: Table,
    sums: Box<[Digest; LEAVES_PER_SHARD]>,
    total: Digest,
    live: usize,
    graveyard: Graveyard,
    deadlines: Deadlines,
}

/// What was done with some of a shard's tombstones while it was locked.
pub(super) struct Part {
    /// How many were changed.
    pub(super) changed: usize,
    /// The last one that was looked at, behind which the next part begins; `None` if there are no more.
    pub(super) last: Option<Arrival>,
}

/// What all shards have in common.
pub(super) struct Ledger {
    pub(super) rules: Rules,
    /// Where accepted entries go.
    pub(super) output: Option<Arc<dyn Accepted>>,
    /// The number of the last accepted entry. Only grows.
    pub(super) arrivals: AtomicU64,
    /// How many bytes the records take, with what tables and queues take for each.
    pub(super) bytes: AtomicUsize,
    /// How many accepted sums were no 64-bit numbers. Only grows.
    pub(super) saturated: AtomicU64,
}

impl Ledger {
    /// Numbers an accepted entry and hands it to the output. The shard is locked for writing: so a thread that has read
    /// a number finds every entry up to it, if it waits for the locks.
    fn accept(&self, record: &mut Record) -> Arrival {
        let arrival = Arrival(self.arrivals.fetch_add(1, Relaxed)).next();
        record.set_arrival(arrival);
        if let Some(output) = &self.output {
            output.accepted(record, arrival);
        }
        arrival
    }

    /// Tells the output that more is known of an entry. The shard is locked for writing.
    fn learned(&self, record: &Record) {
        if let Some(output) = &self.output {
            output.learned(record);
        }
    }
}

/// About what the table and the allocator take for a record beside its bytes: a slot of 17 bytes in a table that is 45
/// to 88 % full, and an allocation's header.
const TABLE_BYTES: usize = 40;

/// About what a tombstone takes in its queue.
const GRAVE_BYTES: usize = 24;

/// About what a deadline takes in its queue.
const DEADLINE_BYTES: usize = 28;

/// How many bytes are counted for a record.
pub(super) fn bytes_of(record: &Record) -> usize {
    let queued = match (record.is_tombstone(), record.deadline()) {
        (true, _) => GRAVE_BYTES,
        (false, Some(_)) => DEADLINE_BYTES,
        (false, None) => 0,
    };
    record.bytes() + TABLE_BYTES + queued
}

impl Shard {
    pub(super) fn new(placement: Placement) -> Self {
        Self {
            records: Table::new(placement),
            sums: Box::new([Digest::default(); LEAVES_PER_SHARD]),
            total: Digest::default(),
            live: 0,
            graveyard: Graveyard::default(),
            deadlines: Deadlines::default(),
        }
    }

    pub(super) fn find(&self, place: Place, key: &[u8]) -> Option<&Record> {
        self.records.find(place, |record| record.key() == key)
    }

    /// The only way in: merges an entry with what stands under its key.
    pub(super) fn merge(&mut self, place: Place, incoming: Record, ledger: &Ledger) -> Outcome {
        let (hash, key_bytes) = (place.hash, incoming.key().len());
        debug_assert_eq!(hash, self.records.hash(incoming.key()), "this is the place of another key");
        let slot = self.records.entry(place, incoming.key());
        let is_vacant = matches!(slot, Slot::Vacant(_));
        let (outcome, survivor) = match slot {
            Slot::Vacant(slot) => (Outcome::NEW, slot.insert(incoming).into_mut()),
            Slot::Occupied(slot) => {
                let current = slot.into_mut();
                let before = current.bytes();
                let outcome = merge(current, incoming, ledger.rules);
                if outcome.has_learned {
                    ledger.bytes.fetch_add(current.bytes() - before, Relaxed);
                    ledger.learned(current);
                }
                (outcome, current)
            }
        };
        if let Effect::Replaced(replaced) = &outcome.effect {
            let arrival = ledger.accept(survivor);
            if survivor.is_counted() && counter::is_saturated(survivor) {
                ledger.saturated.fetch_add(1, Relaxed);
            }
            let (digest, is_tombstone, bytes) = (survivor.digest(), survivor.is_tombstone(), bytes_of(survivor));
            let deadline = survivor.deadline();
            ledger.bytes.fetch_add(bytes, Relaxed);
            if is_vacant {
                self.records.added(place, key_bytes);
            }
            self.list(hash, digest);
            match is_tombstone {
                true => self.graveyard.bury(Grave { arrival, hash }),
                false => self.live += 1,
            }
            replaced.iter().for_each(|replaced| self.uncount(hash, replaced, ledger));
            // After that of what was replaced was removed: it may be the same.
            deadline.iter().for_each(|&deadline| self.deadlines.add(deadline, hash));
            if is_tombstone && !ledger.rules.has(Rule::Tombstones) {
                let tombstone = self.remove(Grave { arrival, hash });
                self.uncount(hash, &tombstone, ledger);
            }
        }
        outcome
    }

    /// Takes a record that has left the table out of sums, counts and queues.
    fn uncount(&mut self, hash: u64, record: &Record, ledger: &Ledger) {
        ledger.bytes.fetch_sub(bytes_of(record), Relaxed);
        if !record.is_settled() {
            self.unlist(hash, record.digest());
        }
        match record.arrival() {
            None => {
                self.live -= 1;
                record.deadline().iter().for_each(|&deadline| self.deadlines.remove(deadline, hash));
            }
            Some(arrival) => self.graveyard.remove(arrival),
        }
    }

    /// Adds an entry to the digests.
    fn list(&mut self, hash: u64, digest: Digest) {
        self.sums[leaf_index(hash)].add(digest);
        self.total.add(digest);
    }

    /// Takes an entry out of the digests.
    fn unlist(&mut self, hash: u64, digest: Digest) {
        self.sums[leaf_index(hash)].remove(digest);
        self.total.remove(digest);
    }

    // ---- tombstones ------------------------------------------------------------------------------------------------

    /// Looks at some waiting tombstones that arrived after `after` and up to `up_to`, and settles those that do not lie
    /// ahead of `clock`.
    pub(super) fn settle(
        &mut self,
        (after, up_to): (Arrival, Arrival),
        clock: Timestamp,
        tick: TickNumber,
        ledger: &Ledger,
    ) -> Part {
        let graves: Vec<Grave> = self.graveyard.waiting_between(after, up_to).take(TOMBSTONE_STEP).collect();
        let mut settled = 0;
        for &grave in &graves {
            let tombstone = self.tombstone_mut(grave);
            if tombstone.version().timestamp > clock {
                continue;
            }
            tombstone.set_settled(true);
            if ledger.rules.has(Rule::VersionVectors) && !tombstone.is_seen_by_all() {
                tombstone.set_seen_by_all();
                ledger.learned(tombstone);
            }
            let digest = tombstone.digest();
            self.unlist(grave.hash, digest);
            self.graveyard.settle(grave, tick);
            settled += 1;
        }
        let last = graves.get(TOMBSTONE_STEP - 1).map(|grave| grave.arrival);
        Part { changed: settled, last }
    }

    /// Returns some settled tombstones to the digests and lists, to wait again.
    pub(super) fn take_back_settled(&mut self) -> Part {
        let graves = self.graveyard.take_back_settled();
        for &grave in &graves {
            let tombstone = self.tombstone_mut(grave);
            tombstone.set_settled(false);
            let digest = tombstone.digest();
            self.list(grave.hash, digest);
        }
        Part { changed: graves.len(), last: graves.get(TOMBSTONE_STEP - 1).map(|grave| grave.arrival) }
    }

    /// Keeps a settled tombstone as if it had settled at `tick`. Does nothing for any other record.
    pub(super) fn keep_settled(&mut self, place: Place, key: &[u8], tick: TickNumber) {
        if let Some(arrival) = self.find(place, key).and_then(Record::arrival) {
            self.graveyard.keep_settled(arrival, tick);
        }
    }

    /// Looks at some settled tombstones that arrived after `after`, and forgets those that settled at `tick` or before.
    pub(super) fn forget(&mut self, after: Arrival, tick: TickNumber, ledger: &Ledger) -> Part {
        let (graves, last) = self.graveyard.forget(after, tick);
        for &grave in &graves {
            let tombstone = self.remove(grave);
            ledger.bytes.fetch_sub(bytes_of(&tombstone), Relaxed);
            if let Some(output) = &ledger.output {
                output.forgotten(tombstone.key(), tombstone.version());
            }
        }
        Part { changed: graves.len(), last }
    }

    /// Forgets the tombstone of this version, if it stands there, settled or not: it was forgotten before.
    pub(super) fn forget_again(&mut self, place: Place, key: &[u8], version: Version, ledger: &Ledger) {
        let tombstone = self.find(place, key).filter(|record| record.version() == version);
        if let Some(arrival) = tombstone.and_then(Record::arrival) {
            let tombstone = self.remove(Grave { arrival, hash: place.hash });
            self.uncount(place.hash, &tombstone, ledger);
        }
    }

    // ---- deadlines -------------------------------------------------------------------------------------------------

    /// Replaces values that are past their deadline by tombstones; at most so many. Returns how many.
    pub(super) fn sweep(&mut self, now: Timestamp, most: usize, ledger: &Ledger) -> usize {
        let past = self.deadlines.past(now, most);
        for &(deadline, hash) in &past {
            let is_it =
                |record: &Record| record.deadline() == Some(deadline) && self.records.hash(record.key()) == hash;
            let place = self.records.place_of(hash);
            let expired = self.records.find(place, is_it).map(Record::expired);
            expired.into_iter().for_each(|tombstone| drop(self.merge(place, tombstone, ledger)));
            // Without the tie-break, the value stays.
            self.deadlines.remove(deadline, hash);
        }
        past.len()
    }

    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    fn tombstone_mut(&mut self, grave: Grave) -> &mut Record {
        let place = self.records.place_of(grave.hash);
        let found = self.records.find_mut(place, |record| record.arrival() == Some(grave.arrival));
        found.expect("a tombstone that is replaced loses its grave at once")
    }

    fn remove(&mut self, grave: Grave) -> Record {
        let place = self.records.place_of(grave.hash);
        let removed = self.records.remove(place, |record| record.arrival() == Some(grave.arrival));
        removed.expect("a tombstone that is replaced loses its grave at once")
    }

    // ---- what is here ----------------------------------------------------------------------------------------------

    /// A step of a walk: see [`Table::step`].
    pub(super) fn step<'t>(
        &'t self,
        from: u64,
        visit: impl FnMut(&'t Record) -> ControlFlow<()>,
    ) -> (usize, Option<u64>) {
        self.records.step(from, visit)
    }

    /// The entries that count in the digests, all but the settled tombstones, in the tables that hold some of these
    /// hashes.
    pub(super) fn unsettled_near(&self, hashes: &RangeInclusive<u64>) -> impl Iterator<Item = &Record> {
        self.records.near(hashes).filter(|record| !record.is_settled())
    }

    /// All entries that count in the digests.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| !record.is_settled())
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

    pub(super) fn graveyard(&self) -> &Graveyard {
        &self.graveyard
    }

    /// The latest timestamp of a tombstone that waits; `None` if none does.
    pub(super) fn latest_waiting(&self) -> Option<Timestamp> {
        let stamp = |grave: &Grave| {
            let is_it = |record: &Record| record.arrival() == Some(grave.arrival);
            let tombstone = self.records.find(self.records.place_of(grave.hash), is_it)?;
            Some(tombstone.version().timestamp)
        };
        self.graveyard.waiting_between(Arrival::NONE, Arrival(u64::MAX)).filter_map(|grave| stamp(&grave)).max()
    }
}

/// The number of a hash's leaf within its shard: the second byte.
pub(super) fn leaf_index(hash: u64) -> usize {
    Prefix::leaf_of(hash).leaves().start % LEAVES_PER_SHARD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::content::{Content, Entry};
    use crate::store::version::NodeId;

    #[test]
    fn tombstones_settle_return_and_are_forgotten_a_few_at_a_time() {
        const TOMBSTONES: usize = 5 * TOMBSTONE_STEP / 2;
        let (arrivals, bytes, saturated) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        let ledger = Ledger { rules: Rules::default(), output: None, arrivals, bytes, saturated };
        let (mut shard, version) =
            (Shard::new(Placement::default()), Version::new(Timestamp::from_millis(1), NodeId(1)));
        for key in (0..TOMBSTONES).map(|number| number.to_string()) {
            let record = Record::new(key.as_bytes(), Entry { version, content: Content::Tombstone });
            shard.merge(Placement::default().place(key.as_bytes()), record, &ledger);
        }
        let (all, tick) = (Arrival(u64::MAX), TickNumber(1));
        let parts = |shard: &mut Shard, part: &dyn Fn(&mut Shard, Arrival) -> Part| {
            let (mut changed, mut after) = (Vec::new(), Some(Arrival::NONE));
            while let Some(from) = after {
                let done = part(shard, from);
                changed.push(done.changed);
                after = done.last;
            }
            changed
        };
        let ledger = &ledger;
        let settle = |clock| move |shard: &mut Shard, after| shard.settle((after, all), clock, tick, ledger);
        let expected = vec![TOMBSTONE_STEP, TOMBSTONE_STEP, TOMBSTONE_STEP / 2];
        assert_eq!(parts(&mut shard, &settle(Timestamp::ZERO)), [0; 3], "they are ahead of the clock");
        let settle = settle(Timestamp::YEAR_2200);
        assert_eq!(parts(&mut shard, &settle), expected);
        assert_eq!(parts(&mut shard, &|shard, _| shard.take_back_settled()), expected);
        assert_eq!(parts(&mut shard, &settle), expected);
        assert_eq!(parts(&mut shard, &|shard, after| shard.forget(after, TickNumber(0), ledger)), [0; 3]);
        assert_eq!(parts(&mut shard, &|shard, after| shard.forget(after, tick, ledger)), expected);
        assert_eq!((shard.graveyard.waiting(), shard.graveyard.settled()), (0, 0));
    }
}
