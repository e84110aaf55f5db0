//! Where the records of one shard stand: in hash tables, each for a range of hashes, none of them large.
//!
//! At first every 16 leaves, a branch of three digits, have a table of their own. So a leaf is listed without a look at
//! the whole shard, and a table that grows moves few records at a time. (With a table for each leaf, a GET of a key
//! that is in no cache takes 1.3 to 2 times as long: the 65,536 tables and their contents do not fit in there either.
//! `cargo bench --bench store -- get`)
//!
//! A table that becomes too large is split in sixteen by the next digit of the hashes, and so on (extendible hashing,
//! Fagin et al., 1979, without the sharing). That happens in a store of some ten million keys, and where somebody has
//! chosen keys that belong below one leaf. So whoever looks through a table, to list a part of a leaf or the next ten
//! keys of a scan, looks at a bounded number of records, and holds the lock for a bounded time.

use std::mem;
use std::ops::{ControlFlow, RangeInclusive};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use super::SHARD_SHIFT;
use super::digest::FANOUT;
use super::placement::{Place, Placement};
use super::record::Record;
use super::scan::REST_BITS;
use crate::limits::{MAX_TABLE_KEY_BYTES, MAX_TABLE_RECORDS};

/// The records of one shard.
pub(super) struct Table {
    placement: Placement,
    parts: [Part; FANOUT],
}

/// The records of all hashes that begin with the same digits.
enum Part {
    /// All in one table.
    Whole(Records),
    /// Those of each further digit.
    Split(Box<[Part; FANOUT]>),
}

/// One table, and how many bytes its keys have together.
#[derive(Default)]
struct Records {
    table: HashTable<Record>,
    key_bytes: usize,
}

impl Table {
    pub(super) fn new(placement: Placement) -> Self {
        Self { placement, parts: empty_parts() }
    }

    /// The hash of a key.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.placement.hash(key)
    }

    /// The place of all keys with this hash.
    pub(super) fn place_of(&self, hash: u64) -> Place {
        self.placement.place_of(hash)
    }

    /// The record in a place for which `is_it` holds.
    pub(super) fn find(&self, place: Place, is_it: impl FnMut(&Record) -> bool) -> Option<&Record> {
        self.around(place.hash).0.table.find(place.spread, is_it)
    }

    /// As [`Table::find`]. The key must stay what it is.
    pub(super) fn find_mut(&mut self, place: Place, is_it: impl FnMut(&Record) -> bool) -> Option<&mut Record> {
        let (records, _) = around_mut(&mut self.parts, place.hash);
        records.table.find_mut(place.spread, is_it)
    }

    /// The slot of the key that stands in this place: its record, or where to put one.
    pub(super) fn entry(&mut self, place: Place, key: &[u8]) -> Slot<'_, Record> {
        self.make_room(place.hash, key.len());
        let (records, _) = around_mut(&mut self.parts, place.hash);
        records.table.entry(place.spread, |record| record.key() == key, rehash(&self.placement))
    }

    /// Notes that a record with a key of this length was put where [`Table::entry`] has said.
    pub(super) fn added(&mut self, place: Place, key_bytes: usize) {
        around_mut(&mut self.parts, place.hash).0.key_bytes += key_bytes;
    }

    /// Removes the record in a place for which `is_it` holds. A table that is nearly empty becomes smaller.
    pub(super) fn remove(&mut self, place: Place, is_it: impl FnMut(&Record) -> bool) -> Option<Record> {
        let (records, _) = around_mut(&mut self.parts, place.hash);
        let (record, _) = records.table.find_entry(place.spread, is_it).ok()?.remove();
        records.key_bytes -= record.key().len();
        if records.table.len() < records.table.capacity() / 4 {
            records.table.shrink_to(records.table.len() * 2, rehash(&self.placement));
        }
        Some(record)
    }

    /// Visits the records of the one table in which a hash stands, from there on, in the order of their hashes, until
    /// `visit` breaks off. Returns how many were looked at, and the hash from which to go on, perhaps in the next
    /// shard; `None` after the last. Records whose hashes only differ in the bits that the cursor of a scan leaves out
    /// are visited together.
    pub(super) fn step<'t>(
        &'t self,
        from: u64,
        mut visit: impl FnMut(&'t Record) -> ControlFlow<()>,
    ) -> (usize, Option<u64>) {
        let (records, last) = self.around(from);
        let hashed = records.table.iter().map(|record| (self.hash(record.key()), record));
        let mut ahead: Vec<(u64, &Record)> = hashed.filter(|&(hash, _)| hash >= from).collect();
        ahead.sort_unstable_by_key(|&(hash, _)| hash);
        let (looked, mut over_at) = (records.table.len().max(1), None);
        for (hash, record) in ahead {
            let place = hash >> REST_BITS;
            if over_at.is_some_and(|over| over != place) {
                return (looked, Some(hash));
            }
            if visit(record).is_break() {
                over_at = Some(place);
            }
        }
        (looked, last.checked_add(1))
    }

    /// All records in the tables that hold some of these hashes, smaller hashes first, but in no order within a table.
    pub(super) fn near(&self, hashes: &RangeInclusive<u64>) -> impl Iterator<Item = &Record> {
        let (mut tables, mut from) = (Vec::new(), *hashes.start());
        loop {
            let (records, last) = self.around(from);
            tables.push(&records.table);
            if last >= *hashes.end() {
                return tables.into_iter().flatten();
            }
            from = last + 1;
        }
    }

    /// All records, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        let (mut tables, mut parts): (Vec<_>, Vec<&Part>) = (Vec::new(), self.parts.iter().collect());
        while let Some(part) = parts.pop() {
            match part {
                Part::Whole(records) => tables.push(&records.table),
                Part::Split(split) => parts.extend(split.iter()),
            }
        }
        tables.into_iter().flatten()
    }

    /// The table in which a hash stands, and the last hash that stands there.
    fn around(&self, hash: u64) -> (&Records, u64) {
        let (mut parts, mut shift) = (&self.parts, SHARD_SHIFT - 4);
        loop {
            match &parts[digit(hash, shift)] {
                Part::Whole(records) => return (records, hash | ((1 << shift) - 1)),
                Part::Split(split) => (parts, shift) = (&**split, shift - 4),
            }
        }
    }

    /// Splits the table in which a hash stands if it has no room for another key of this length.
    fn make_room(&mut self, hash: u64, key_bytes: usize) {
        let (records, shift) = around_mut(&mut self.parts, hash);
        let is_full = records.table.len() >= MAX_TABLE_RECORDS || records.key_bytes + key_bytes > MAX_TABLE_KEY_BYTES;
        if !is_full || records.table.len() < 2 || shift == 0 {
            return;
        }
        let mut split = empty_parts();
        for record in mem::take(&mut records.table) {
            let place = self.placement.place(record.key());
            let Part::Whole(part) = &mut split[digit(place.hash, shift - 4)] else { unreachable!("all are new") };
            part.key_bytes += record.key().len();
            part.table.insert_unique(place.spread, record, rehash(&self.placement));
        }
        self.replace(hash, shift, Part::Split(Box::new(split)));
        self.make_room(hash, key_bytes);
    }

    /// Puts another part in the place of the table in which a hash stands, behind whose digits are so many bits.
    fn replace(&mut self, hash: u64, at: u32, by: Part) {
        let (mut parts, mut shift) = (&mut self.parts, SHARD_SHIFT - 4);
        while shift > at {
            let Part::Split(split) = &mut parts[digit(hash, shift)] else { unreachable!("it was found there") };
            (parts, shift) = (split, shift - 4);
        }
        parts[digit(hash, shift)] = by;
    }
}

fn empty_parts() -> [Part; FANOUT] {
    std::array::from_fn(|_| Part::Whole(Records::default()))
}

/// The table in which a hash stands, and the number of bits behind the table's digits.
fn around_mut(parts: &mut [Part; FANOUT], hash: u64) -> (&mut Records, u32) {
    let (mut parts, mut shift) = (parts, SHARD_SHIFT - 4);
    loop {
        match &mut parts[digit(hash, shift)] {
            Part::Whole(records) => return (records, shift),
            Part::Split(split) => (parts, shift) = (split, shift - 4),
        }
    }
}

/// The digit of a hash behind which there are so many bits.
fn digit(hash: u64, shift: u32) -> usize {
    (hash >> shift) as usize % FANOUT
}

/// The hash of a record as a table gets it, for a table that grows or shrinks.
fn rehash(placement: &Placement) -> impl Fn(&Record) -> u64 {
    |record| placement.place(record.key()).spread
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_KEY_BYTES;
    use crate::store::content::{Content, Entry};
    use crate::store::version::Version;

    /// Different keys of this length whose hashes have 0 for the first digit behind those of the shard.
    fn keys_of_one_part(len: usize) -> impl Iterator<Item = Vec<u8>> {
        let key = move |number: u32| [&number.to_be_bytes()[..], &vec![b'k'; len - 4]].concat();
        let is_here = |key: &Vec<u8>| digit(Placement::default().hash(key), SHARD_SHIFT - 4) == 0;
        (0..).map(key).filter(is_here)
    }

    fn add(table: &mut Table, key: &[u8]) {
        let place = Placement::default().place(key);
        let record = Record::new(key, Entry { version: Version::NEVER, content: Content::Tombstone });
        let Slot::Vacant(slot) = table.entry(place, key) else { panic!("it is there already") };
        slot.insert(record);
        table.added(place, key.len());
    }

    fn remove(table: &mut Table, key: &[u8]) {
        let removed = table.remove(Placement::default().place(key), |record| record.key() == key);
        assert!(removed.is_some_and(|record| record.key() == key));
    }

    /// How many records and bytes of keys stand in each table of the part with the digit 0; and that all are found.
    fn tables(table: &Table, keys: &[Vec<u8>]) -> Vec<(usize, usize)> {
        let holds =
            |key: &&Vec<u8>| table.find(Placement::default().place(key), |record| record.key() == **key).is_some();
        assert_eq!((keys.iter().filter(holds).count(), table.iter().count()), (keys.len(), keys.len()));
        let (mut tables, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from.filter(|&at| digit(at, SHARD_SHIFT - 4) == 0) {
            let (mut records, mut bytes) = (0, 0);
            let (looked, next) = table.step(at, |record| {
                (records, bytes) = (records + 1, bytes + record.key().len());
                ControlFlow::Continue(())
            });
            assert_eq!(looked, records.max(1), "a step looks at one table, all of it");
            tables.push((records, bytes));
            from = next;
        }
        tables
    }

    #[test]
    fn a_table_is_split_when_it_is_full_and_its_parts_are_when_they_are() {
        let mut table = Table::new(Placement::default());
        let keys: Vec<_> = keys_of_one_part(8).take(20 * MAX_TABLE_RECORDS).collect();
        keys[..MAX_TABLE_RECORDS].iter().for_each(|key| add(&mut table, key));
        assert_eq!(tables(&table, &keys[..MAX_TABLE_RECORDS]).len(), 1);
        add(&mut table, &keys[MAX_TABLE_RECORDS]);
        assert_eq!(tables(&table, &keys[..=MAX_TABLE_RECORDS]).len(), FANOUT);
        keys[MAX_TABLE_RECORDS + 1..].iter().for_each(|key| add(&mut table, key));
        let split_twice = tables(&table, &keys);
        assert!(split_twice.len() > FANOUT && split_twice.iter().all(|&(records, _)| records <= MAX_TABLE_RECORDS));
    }

    #[test]
    fn a_table_is_split_when_its_keys_are_too_long_together() {
        let mut table = Table::new(Placement::default());
        let fitting = MAX_TABLE_KEY_BYTES / MAX_KEY_BYTES;
        let keys: Vec<_> = keys_of_one_part(MAX_KEY_BYTES).take(2 * fitting).collect();
        let (first, second) = keys.split_at(fitting);
        first.iter().for_each(|key| add(&mut table, key));
        assert_eq!(tables(&table, first), [(fitting, fitting * MAX_KEY_BYTES)]);
        // What was removed counts no more.
        first.iter().for_each(|key| remove(&mut table, key));
        second.iter().for_each(|key| add(&mut table, key));
        assert_eq!(tables(&table, second), [(fitting, fitting * MAX_KEY_BYTES)]);
        add(&mut table, &first[0]);
        let split = tables(&table, &[second, &first[..1]].concat());
        assert!(split.len() == FANOUT && split.iter().all(|&(_, bytes)| bytes < MAX_TABLE_KEY_BYTES), "{split:?}");
    }

    #[test]
    fn a_table_that_is_nearly_empty_becomes_smaller() {
        let mut table = Table::new(Placement::default());
        let keys: Vec<_> = keys_of_one_part(8).take(1000).collect();
        keys.iter().for_each(|key| add(&mut table, key));
        keys[10..].iter().for_each(|key| remove(&mut table, key));
        tables(&table, &keys[..10]);
        assert!(table.around(0).0.table.capacity() < 100, "{}", table.around(0).0.table.capacity());
    }

    #[test]
    fn who_asks_for_some_hashes_gets_the_records_of_their_tables_only() {
        let mut table = Table::new(Placement::default());
        let keys: Vec<_> = keys_of_one_part(8).take(2 * MAX_TABLE_RECORDS).collect();
        keys.iter().for_each(|key| add(&mut table, key));
        // The first two of the sixteen tables into which the first was split.
        let (from, to) = (0, (2 << (SHARD_SHIFT - 8)) - 1);
        let near: Vec<&[u8]> = table.near(&(from..=to)).map(Record::key).collect();
        let are_there = |key: &&Vec<u8>| digit(table.hash(key), SHARD_SHIFT - 8) < 2;
        assert_eq!(near.len(), keys.iter().filter(are_there).count());
        assert!(near.iter().all(|key| digit(table.hash(key), SHARD_SHIFT - 8) < 2));
    }
}
