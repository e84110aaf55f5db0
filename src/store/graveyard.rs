//! The tombstones of one shard: those that wait until every peer holds them, and those that are settled.
//!
//! Nothing here decides when a tombstone may settle or be forgotten; [`tombstones`](crate::replication::tombstones)
//! does.

use std::collections::BTreeMap;

use super::arrival::{Arrival, TickNumber};

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

/// The tombstones of a shard, by arrival number. Each stands in exactly one of the two maps.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    waiting: BTreeMap<Arrival, u64>,
    settled: BTreeMap<Arrival, Settled>,
}

impl Graveyard {
    /// Adds a tombstone that has just been accepted.
    pub(super) fn bury(&mut self, grave: Grave) {
        self.waiting.insert(grave.arrival, grave.hash);
    }

    /// Removes a tombstone that was replaced.
    pub(super) fn remove(&mut self, arrival: Arrival) {
        let was_here = self.waiting.remove(&arrival).is_some() || self.settled.remove(&arrival).is_some();
        debug_assert!(was_here, "every tombstone of the shard has a grave");
    }

    /// The waiting tombstones that arrived up to `up_to`.
    pub(super) fn waiting_up_to(&self, up_to: Arrival) -> Vec<Grave> {
        self.waiting.range(..=up_to).map(|(&arrival, &hash)| Grave { arrival, hash }).collect()
    }

    /// How many waiting tombstones arrived after `arrival`.
    pub(super) fn waiting_after(&self, arrival: Arrival) -> usize {
        self.waiting.range(arrival.next()..).count()
    }

    /// Notes that a waiting tombstone is settled.
    pub(super) fn settle(&mut self, grave: Grave, tick: TickNumber) {
        let was_waiting = self.waiting.remove(&grave.arrival).is_some();
        debug_assert!(was_waiting, "only a waiting tombstone settles");
        self.settled.insert(grave.arrival, Settled { hash: grave.hash, tick });
    }

    /// Lets all settled tombstones wait again; returns them.
    pub(super) fn take_back_settled(&mut self) -> Vec<Grave> {
        let settled = std::mem::take(&mut self.settled).into_iter();
        let taken_back: Vec<Grave> = settled.map(|(arrival, Settled { hash, .. })| Grave { arrival, hash }).collect();
        taken_back.iter().for_each(|&grave| self.bury(grave));
        taken_back
    }

    /// Notes that a peer has listed a tombstone in this tick, if it is settled here.
    pub(super) fn keep_settled(&mut self, arrival: Arrival, tick: TickNumber) {
        if let Some(settled) = self.settled.get_mut(&arrival) {
            settled.tick = tick;
        }
    }

    /// Removes the tombstones that settled, and were last listed by a peer, at `tick` or before; returns them.
    pub(super) fn forget(&mut self, tick: TickNumber) -> Vec<Grave> {
        let is_due = |settled: &Settled| settled.tick <= tick;
        let graves = self.settled.iter().filter(|(_, settled)| is_due(settled));
        let forgotten: Vec<Grave> = graves.map(|(&arrival, &Settled { hash, .. })| Grave { arrival, hash }).collect();
        self.settled.retain(|_, settled| !is_due(settled));
        forgotten
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
