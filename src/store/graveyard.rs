//! The tombstones of one shard: those that wait until every peer holds them, and those that are settled.
//!
//! Nothing here decides when a tombstone may settle or be forgotten; [`tombstones`](crate::replication::tombstones)
//! does.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::arrival::{Arrival, TickNumber};
use super::row::Row;
use crate::limits::TOMBSTONE_STEP;

/// Where a tombstone stands in its shard: its arrival number, which it carries, and the hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grave {
    pub(super) arrival: Arrival,
    pub(super) hash: u64,
}

/// A settled tombstone: the hash of its key, and the tick in which it settled or a peer last listed it.
#[derive(Clone, Copy, Debug)]
struct Settled {
    hash: u64,
    tick: TickNumber,
}

/// The tombstones of a shard, by arrival number. Each stands in exactly one of the two.
///
/// Whatever is done with many of them is done in steps of [`TOMBSTONE_STEP`] at most, since the shard is locked
/// meanwhile.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    waiting: Row,
    settled: BTreeMap<Arrival, Settled>,
}

impl Graveyard {
    /// Adds a tombstone that has just been accepted.
    pub(super) fn bury(&mut self, grave: Grave) {
        self.waiting.insert(grave);
    }

    /// Removes a tombstone that was replaced.
    pub(super) fn remove(&mut self, arrival: Arrival) {
        let was_here = self.waiting.remove(arrival) || self.settled.remove(&arrival).is_some();
        debug_assert!(was_here, "every tombstone of the shard has a grave");
    }

    /// The waiting tombstones that arrived after `after` and up to `up_to`.
    pub(super) fn waiting_between(&self, after: Arrival, up_to: Arrival) -> impl Iterator<Item = Grave> {
        self.waiting.after(after).take_while(move |grave| grave.arrival <= up_to)
    }

    /// How many waiting tombstones arrived after `arrival`.
    pub(super) fn waiting_after(&self, arrival: Arrival) -> usize {
        self.waiting.count_after(arrival)
    }

    /// Notes that a waiting tombstone is settled.
    pub(super) fn settle(&mut self, grave: Grave, tick: TickNumber) {
        let was_waiting = self.waiting.remove(grave.arrival);
        debug_assert!(was_waiting, "only a waiting tombstone settles");
        self.settled.insert(grave.arrival, Settled { hash: grave.hash, tick });
    }

    /// Lets some settled tombstones wait again; returns them. None are left if there are fewer than in a step.
    pub(super) fn take_back_settled(&mut self) -> Vec<Grave> {
        let first = std::iter::from_fn(|| self.settled.pop_first()).take(TOMBSTONE_STEP);
        let graves: Vec<Grave> = first.map(|(arrival, Settled { hash, .. })| Grave { arrival, hash }).collect();
        graves.iter().for_each(|&grave| self.bury(grave));
        graves
    }

    /// Notes that a peer has listed a tombstone in this tick, if it is settled here.
    pub(super) fn keep_settled(&mut self, arrival: Arrival, tick: TickNumber) {
        if let Some(settled) = self.settled.get_mut(&arrival) {
            settled.tick = tick;
        }
    }

    /// Looks at some tombstones that arrived after `after`, and removes those that settled, and were last listed by a
    /// peer, at `tick` or before. Returns these, and up to which number it has looked; `None` if at all.
    pub(super) fn forget(&mut self, after: Arrival, tick: TickNumber) -> (Vec<Grave>, Option<Arrival>) {
        let looked = self.settled.range((Bound::Excluded(after), Bound::Unbounded)).take(TOMBSTONE_STEP);
        let (mut graves, mut count, mut last) = (Vec::new(), 0, None);
        for (&arrival, &Settled { hash, tick: settled }) in looked {
            (count, last) = (count + 1, Some(arrival));
            if settled <= tick {
                graves.push(Grave { arrival, hash });
            }
        }
        for grave in &graves {
            self.settled.remove(&grave.arrival);
        }
        (graves, last.filter(|_| count == TOMBSTONE_STEP))
    }

    /// How many tombstones wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many tombstones are settled.
    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }
}
