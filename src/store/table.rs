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
