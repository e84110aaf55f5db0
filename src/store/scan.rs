//! Walks over all keys, for clients that list them, and over all entries, for the disk. A lock is held while one table
//! is looked at, which is [never large](super::table), and no longer.

use std::ops::ControlFlow;

use super::KeyValueStore;
use super::clock::Timestamp;
use super::digest::{FANOUT, LEAVES, Prefix};
use super::record::Record;
use crate::limits::{MAX_SCAN_BYTES, MAX_SCAN_LOOKS, WALK_BYTES};

/// How many bits of a key's hash a scan's cursor has: few enough for a client that keeps it in a floating-point number.
const CURSOR_BITS: u32 = 48;

/// How many bits it leaves out.
pub(super) const REST_BITS: u32 = u64::BITS - CURSOR_BITS;

/// How many leaves each part has of [`KeyValueStore::visit_part`]: a branch of three digits.
pub(super) const LEAVES_PER_PART: usize = FANOUT;

impl KeyValueStore {
    /// Into how many parts the store is divided for [`KeyValueStore::visit_part`].
    pub const PARTS: usize = LEAVES / LEAVES_PER_PART;

    /// How many cursors of [`KeyValueStore::scan`] there are: every smaller number is one.
    pub const CURSORS: u64 = 1 << CURSOR_BITS;

    /// The part of the store in which a key stands.
    pub fn part_of(&self, key: &[u8]) -> usize {
        self.leaf_of(key).leaves().start / LEAVES_PER_PART
    }

    /// Visits every entry of one part, settled tombstones included: those that stand there from the beginning to the
    /// end, and some of the others. The shard is locked for reading meanwhile, but let go every [`WALK_BYTES`]. `visit`
    /// must be short.
    pub fn visit_part(&self, part: usize, mut visit: impl FnMut(&Record)) {
        let hash_of_leaf = |leaf: usize| (leaf as u64) << (u64::BITS - LEAVES.ilog2());
        let first = hash_of_leaf(part * LEAVES_PER_PART);
        let is_here = |hash: &u64| (Prefix::leaf_of(*hash).leaves().start / LEAVES_PER_PART) == part;
        let mut from = Some(first);
        while let Some(at) = from.filter(is_here) {
            let mut bytes = 0;
            let visit = |record: &Record| {
                visit(record);
                bytes += record.bytes();
                if bytes < WALK_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            (_, from) = self.shard(at).read().step(at, visit);
        }
    }

    /// Some keys with a value at `now`, from `cursor` on, and the cursor for the next call. A scan begins with cursor
    /// 0, and has ended when 0 comes back. There are about `count` keys; fewer if they are long, or if many entries
    /// without a value come before, so that a call takes a bounded time.
    ///
    /// Keys come in the order of their hashes, so a scan misses no key that stands in the store from its beginning to
    /// its end, and shows none twice, whatever is written meanwhile. The order is the same on all nodes.
    pub fn scan(&self, now: Timestamp, cursor: u64, count: usize) -> (u64, Vec<Box<[u8]>>) {
        let (mut keys, mut bytes, mut looked) = (Vec::<Box<[u8]>>::new(), 0, 0);
        // Every number is a cursor; those that no scan returns are behind the end.
        let mut from = (cursor < Self::CURSORS).then_some(cursor << REST_BITS);
        while let Some(at) = from {
            if keys.len() >= count.max(1) || bytes >= MAX_SCAN_BYTES || looked >= count + MAX_SCAN_LOOKS {
                return (at >> REST_BITS, keys);
            }
            let shard = self.shard(at).read();
            if shard.live() == 0 {
                (from, looked) = (self.next_shard(at), looked + 1);
                continue;
            }
            let (step, next) = shard.step(at, |record| {
                if record.is_live(|| now) {
                    bytes += record.key().len();
                    keys.push(record.key().into());
                }
                let has_room = keys.len() < count && bytes < MAX_SCAN_BYTES;
                if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            (from, looked) = (next, looked + step);
        }
        (0, keys)
    }
}
