//! Walks over all keys, for clients that list them, and over all entries, for the disk.

use super::KeyValueStore;
use super::clock::Timestamp;
use super::digest::{LEAVES, Prefix};
use super::record::Record;
use super::shard::LEAVES_PER_TABLE;

/// How many bits of a key's hash a scan's cursor has: few enough for a client that keeps it in a floating-point number.
const CURSOR_BITS: u32 = 48;

impl KeyValueStore {
    /// Calls `visit` with every key that has a value at `now`, in no particular order, a shard at a time.
    pub fn visit_keys(&self, now: Timestamp, mut visit: impl FnMut(&[u8])) {
        for shard in &self.shards {
            for record in shard.read().records().filter(|record| record.is_live(|| now)) {
                visit(record.key());
            }
        }
    }

    /// Into how many parts the store is divided for [`KeyValueStore::visit_part`].
    pub const PARTS: usize = LEAVES / LEAVES_PER_TABLE;

    /// The part of the store in which a key stands.
    pub fn part_of(&self, key: &[u8]) -> usize {
        self.leaf_of(key).leaves().start / LEAVES_PER_TABLE
    }

    /// Visits every entry of one part, settled tombstones included, while its shard is locked for reading. `visit` must
    /// be short.
    pub fn visit_part(&self, part: usize, visit: impl FnMut(&Record)) {
        let (shard, leaves) = self.shard_of(part * LEAVES_PER_TABLE..(part + 1) * LEAVES_PER_TABLE);
        shard.read().records_near(leaves.start).for_each(visit);
    }

    /// About `count` keys with a value at `now` that follow a place in the order of a scan, with those at its beginning
    /// behind those at its end; all keys if there are not so many. Every number is a place.
    pub fn keys_near(&self, now: Timestamp, place: u64, count: usize) -> Vec<Box<[u8]>> {
        let first = place >> (u64::BITS - CURSOR_BITS);
        let (next, mut keys) = self.scan(now, first, count);
        if next == 0 && first > 0 {
            let from_the_beginning = self.scan(now, 0, count - keys.len().min(count)).1;
            keys.extend(from_the_beginning);
            keys.sort_unstable();
            keys.dedup();
        }
        keys
    }

    /// Some keys with a value at `now`, about `count` of them, from `cursor` on, and the cursor for the next call. A
    /// scan begins with cursor 0, and has ended when 0 comes back.
    ///
    /// Keys come in the order of their hashes, so a scan misses no key that stands in the store from its beginning to
    /// its end, and shows none twice, whatever is written meanwhile.
    pub fn scan(&self, now: Timestamp, cursor: u64, count: usize) -> (u64, Vec<Box<[u8]>>) {
        let position = |record: &Record| self.hash(record.key()) >> (u64::BITS - CURSOR_BITS);
        let first_table = Prefix::leaf_of(cursor << (u64::BITS - CURSOR_BITS)).leaves().start / LEAVES_PER_TABLE;
        let (mut keys, mut last) = (Vec::new(), None);
        for table in first_table..LEAVES / LEAVES_PER_TABLE {
            let (shard, leaves) = self.shard_of(table * LEAVES_PER_TABLE..(table + 1) * LEAVES_PER_TABLE);
            let shard = shard.read();
            if shard.live() == 0 {
                continue;
            }
            let values = shard.unsettled_near(leaves).filter(|record| record.is_live(|| now));
            let mut ahead: Vec<(u64, &Record)> = values.map(|record| (position(record), record)).collect();
            ahead.sort_unstable_by_key(|&(position, _)| position);
            for (position, record) in ahead.into_iter().filter(|&(position, _)| position >= cursor) {
                // Keys that share a position stay together: the cursor could not tell them apart.
                if keys.len() >= count.max(1) && last != Some(position) {
                    return (position, keys);
                }
                keys.push(record.key().into());
                last = Some(position);
            }
        }
        (0, keys)
    }
}
