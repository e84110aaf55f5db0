//! Values that expire: what clients and sweeps do with them, and the judge's part about it.
//!
//! A write with a deadline is a write like any other. When a node sweeps it, the judge checks that this node's clock is
//! past the deadline, and notes a second content under its version: the tombstone, as old as the write. From there on
//! the other invariants do the work. The tombstone is greater than the value. So where it has stood, the value does not
//! return, in this life ([`NeverBack`](Invariant::NeverBack), [`NoResurrection`](Invariant::NoResurrection)), nor at
//! the end ([`GreatestSurvives`](Invariant::GreatestSurvives)); and a tombstone that no node had a right to write
//! violates [`OneContent`](Invariant::OneContent).

use std::borrow::Cow;

use kvstore::rules::Rule;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;
use kvstore::store::{Change, KeyValueStore};

use super::cluster::Cluster;
use super::counters::COUNTERS;
use super::invariants::{Invariant, KEYS};
use super::judge::{Judge, Write, rank, show};
use super::node::Node;

impl Node {
    /// The wall clock as the replica reads it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall()).min(Timestamp::LATEST_WALL)
    }

    /// The deadline so many milliseconds from now, by the wall clock of this node.
    pub(crate) fn deadline_in(&self, millis: u64) -> Deadline {
        Deadline::from_millis(self.now().millis() + millis).expect("a run ends before the last deadline")
    }
}

impl Cluster {
    /// A client's EXPIRE, or PERSIST if there is no deadline. Returns whether there was a value.
    pub(crate) fn expire(&self, node: usize, key: &[u8], deadline: Option<Deadline>) -> bool {
        self.step();
        let life = self.nodes[node].life();
        let (has_changed, value) = life.replica.update(key, |content| match content.and_then(Content::value) {
            Some(value) => (Change::Value(Cow::Owned(value.to_vec()), deadline), Some(value.to_vec())),
            None => (Change::Nothing, None),
        });
        if let Some(value) = &value {
            self.trace.expires(self, node, key, deadline);
            self.has_written(node, &life, key, Content::until(value, deadline));
        }
        has_changed
    }

    /// What a node does every second: it replaces what has expired.
    pub(crate) fn sweep(&self, node: usize) {
        self.step();
        self.observe(node);
        let swept = self.nodes[node].life().replica.sweep();
        self.trace.note(node, || match swept {
            1 => "sweeps: 1 key has expired".into(),
            _ => format!("sweeps: {swept} keys have expired"),
        });
        if let Some(judge) = &self.judge {
            judge.borrow_mut().swept(self, node);
        }
        self.observe(node);
    }
}

impl Judge {
    /// A node has swept. The judge has looked at it just before.
    fn swept(&mut self, cluster: &Cluster, node: usize) {
        let (machine, life) = (&cluster.nodes[node], cluster.nodes[node].life());
        for (k, key) in KEYS.iter().enumerate() {
            let Some(before) = self.seen[node][k].last.as_ref().map(rank) else { continue };
            let record = life.replica.store().record(key.as_bytes());
            let is_expired =
                record.as_ref().is_some_and(|record| record.is_tombstone() && record.version() == before.0);
            let is_past = before.3.is_some_and(|deadline| deadline.is_past(machine.now()));
            let has_changed = record.as_ref().map(rank).as_ref() != Some(&before);
            if is_past && is_expired {
                self.note_expiry(k, &before);
            } else if has_changed || (is_past && cluster.rules().has(Rule::TieBreak)) {
                let details = format!("{key} on {}: {} was there, {record:?} is", machine.name, show(&before));
                return self.violate(Invariant::SweptInTime, details);
            }
        }
    }

    /// From now on the tombstone of this version may stand anywhere. It is as old as the value.
    fn note_expiry(&mut self, k: usize, value: &super::judge::Rank) {
        // What no client has written violates another invariant.
        let Some(&Write { step, .. }) = self.writes[k].get(value) else { return };
        let tombstone = (value.0, true, Vec::new(), None);
        self.writes[k].entry(tombstone).or_insert(Write { step, lost: false });
        self.expired += 1;
        self.expires(k, value);
    }

    /// Does a client of this node read what it should?
    pub(super) fn look_at_reads(&mut self, cluster: &Cluster, node: usize) {
        let (machine, life) = (&cluster.nodes[node], cluster.nodes[node].life());
        for key in KEYS {
            let record = life.replica.store().record(key.as_bytes());
            let expected = record.as_ref().map(rank).filter(|rank| {
                let is_past = rank.3.is_some_and(|deadline| deadline.is_past(machine.now()));
                !rank.1 && !is_past
            });
            let read = life.replica.get(key.as_bytes(), |value| value.map(<[u8]>::to_vec));
            if read != expected.map(|rank| rank.2) {
                let details = format!("{key} on {}: a client reads {read:?} of {record:?}", machine.name);
                return self.violate(Invariant::ReadsByDeadline, details);
            }
        }
    }

    /// All nodes have swept, and a while has passed: nothing stands there that had expired before.
    pub(super) fn nothing_expired_is_left(&mut self, machine: &Node, store: &KeyValueStore) {
        for record in KEYS.iter().filter_map(|key| store.record(key.as_bytes())) {
            if record.content().deadline().is_some_and(|deadline| deadline.is_past(machine.now())) {
                return self.violate(Invariant::AllExpired, format!("{record:?} on {}", machine.name));
            }
        }
    }

    /// The store counts as many values, and as many with a deadline, as there are.
    pub(super) fn check_counts(&mut self, store: &KeyValueStore, name: &str) {
        let keys = KEYS.iter().chain(&COUNTERS);
        let records: Vec<_> = keys.filter_map(|key| store.record(key.as_bytes())).collect();
        let values = records.iter().filter(|record| !record.is_tombstone()).count();
        let expiring = records.iter().filter(|record| record.content().deadline().is_some()).count();
        let counts = store.counts();
        // Without the tie-break, what was swept stays, and has left the queue of deadlines.
        let is_right = counts.expiring == expiring || !self.rules.has(Rule::TieBreak);
        if counts.keys != values || !is_right {
            let details = format!("{name} counts {counts:?}, not {values} values and {expiring} deadlines");
            self.violate(Invariant::CountsOfEntries, details);
        }
    }
}
