//! The judge's part about disks: what a node must still hold when it has started again, and who may bring back what was
//! deleted.
//!
//! The judge has a model of its own, made of what the nodes have said: for each node, what it had when it last answered
//! and when it last synced, what it has confirmed, and what it has heard of other stores. Two kinds of values may come
//! back although their delete has settled. They are *excused*, value by value:
//!
//! * A node's disk has lost a delete that was never durable there. Nobody was told that it was, so all other nodes keep
//!   the delete until they hear from this one. If all of them lose their memory first, the delete is lost.
//! * An old copy of a disk was accepted by a node that could not know. `old_copies.rs` says when, under "What remains":
//!   the node had started empty and could reach no node that remembers, or both were old copies, or a copy from before
//!   was put back after an older one had been accepted.

use std::collections::{HashMap, HashSet};
use std::mem;

use kvstore::disk::StartError;
use kvstore::replication::journal::Journal;
use kvstore::replication::message::{Confirmation, Greeting, Incarnation, StoreId};
use kvstore::store::clock::Timestamp;

use super::cluster::Cluster;
use super::invariants::{Invariant, KEYS};
use super::judge::{Holdings, Judge, Rank, rank, show};

/// What a node's store has been through, up to some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// What stood there.
    stood: Holdings,
    /// The greatest that ever stood there.
    known: Holdings,
    /// The greatest confirmation of each other store.
    heard: HashMap<StoreId, Confirmation>,
    /// Whether the node has a past, or had completed a tick: it had asked every peer that it could reach.
    acquainted: bool,
    /// Counts how often an older copy of this machine's disk was put back before.
    line: u64,
}

/// How a node has come to its present life.
pub(crate) enum Start<'a> {
    /// With nothing.
    Empty,
    /// With all that was written.
    Killed,
    /// With all that was synced, and perhaps some of the rest.
    PowerCut,
    /// With a copy of the directory from then.
    PutBack(&'a Past),
}

/// What the judge knows of one node and its disk.
#[derive(Clone, Default)]
pub(super) struct Node {
    now: Past,
    /// At its last answer.
    written: Past,
    /// At its last sync.
    durable: Past,
    /// The greatest that its store has confirmed to a peer.
    promised: Holdings,
    /// By number, the incarnation of each other node that this life has met last.
    met: HashMap<usize, Incarnation>,
    /// If its disk is an older copy: what that shows.
    old: Option<OldCopy>,
}

/// An older copy of a disk that was put back.
#[derive(Clone)]
struct OldCopy {
    /// The last confirmation on it.
    number: Confirmation,
    /// What stood there.
    stood: Holdings,
    /// Whether another older copy was put back since it was taken: then its number may be greater than what the store
    /// has confirmed since.
    is_fork: bool,
}

/// What the judge knows of all disks.
#[derive(Default)]
pub(super) struct Disks {
    nodes: Vec<Node>,
    /// By key, the values that may come back although their delete has settled.
    excused: [HashSet<Rank>; KEYS.len()],
    /// The greatest confirmation that each store has made.
    numbers: HashMap<StoreId, Confirmation>,
    /// Whether a node is being started: what appears there comes from its disk.
    pub(super) is_loading: bool,
}

impl Disks {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Node::default(); nodes], ..Self::default() }
    }

    pub(super) fn is_excused(&self, k: usize, rank: &Rank) -> bool {
        self.excused[k].contains(rank)
    }
}

impl Judge {
    // ---- while nodes live ------------------------------------------------------------------------------------------

    /// Everything that a node has accepted is in its log now, or durable.
    pub(crate) fn is_written(&mut self, cluster: &Cluster, node: usize, is_durable: bool) {
        self.observe(cluster, node, false);
        let past = self.past(node);
        let disk = &mut self.disks.nodes[node];
        if is_durable {
            disk.durable = past.clone();
        }
        disk.written = past;
    }

    fn past(&mut self, node: usize) -> Past {
        let stood = self.stands(node);
        let high: Holdings = std::array::from_fn(|k| self.seen[node][k].high.clone());
        let now = &mut self.disks.nodes[node].now;
        now.known = greater(now.known.clone(), high);
        now.stood = stood;
        now.clone()
    }

    fn stands(&self, node: usize) -> Holdings {
        std::array::from_fn(|k| self.seen[node][k].last.as_ref().map(rank))
    }

    /// What a copy of a node's directory has that is taken now, at least.
    pub(crate) fn past_of_copy(&self, node: usize) -> Past {
        self.disks.nodes[node].written.clone()
    }

    /// A node has confirmed to a peer that it holds this.
    pub(super) fn promises(&mut self, node: usize, k: usize, held: &Rank) {
        let promised = &mut self.disks.nodes[node].promised[k];
        *promised = promised.take().max(Some(held.clone()));
    }

    /// A node has received a confirmation of a store.
    pub(crate) fn has_heard(&mut self, node: usize, store: StoreId, confirmation: Confirmation) {
        if confirmation != Confirmation::NONE {
            let heard = self.disks.nodes[node].now.heard.entry(store).or_default();
            *heard = confirmation.max(*heard);
        }
    }

    /// A node has received a greeting. At the first contact, a new node takes over what the other remembers.
    pub(crate) fn is_told(&mut self, node: usize, by: usize, greeting: &Greeting) {
        let disk = &self.disks.nodes[node];
        if !disk.now.acquainted && disk.met.get(&by) != Some(&greeting.incarnation) {
            greeting.heard.iter().for_each(|heard| self.has_heard(node, heard.store, heard.confirmation));
        }
    }

    /// A node has completed a tick: it has asked all that it can reach.
    pub(super) fn is_acquainted(&mut self, node: usize) {
        self.disks.nodes[node].now.acquainted = true;
    }

    /// A node speaks with another. Could it know, if that is an old copy?
    pub(crate) fn has_met(&mut self, cluster: &Cluster, node: usize, other: usize, incarnation: Incarnation) {
        let is_first = self.disks.nodes[node].met.insert(other, incarnation) != Some(incarnation);
        let Some(old) = self.disks.nodes[other].old.clone().filter(|_| is_first) else { return };
        let store_of = |node: usize| cluster.nodes[node].life().replica.identity().store;
        let [here, there] = [node, other].map(|node| self.past(node));
        let remembered = |past: &Past, store| past.heard.get(&store).copied().unwrap_or_default();
        // "A store that no living node remembers is accepted", by a node that has asked all that it can reach.
        // A new node does not ask further once one of its peers has told it of the store.
        let heard = remembered(&here, store_of(other));
        let is_ignorant = (here.acquainted || heard != Confirmation::NONE) && heard <= old.number;
        // "If two nodes find each other old, both were put back. Neither is refused."
        let own = self.disks.nodes[node].old.as_ref().map(|old| old.number);
        let are_both_old = own.is_some_and(|own| remembered(&there, store_of(node)) > own);
        for (k, stood) in old.stood.into_iter().enumerate() {
            // A node that has known the delete, or something newer, and has not lost it, has forgotten it because of
            // what it has heard.
            let has_forgotten = here.known[k] > stood && !old.is_fork;
            if are_both_old || (is_ignorant && !has_forgotten) {
                self.disks.excused[k].extend(stood);
            }
        }
    }

    /// A node is told, or said, to have an old copy.
    pub(crate) fn is_called_old(&mut self, cluster: &Cluster, node: usize, why: &str) {
        if self.disks.nodes[node].old.is_none() {
            let details = format!("the disk of {} is none: {why}", cluster.nodes[node].name);
            self.violate(Invariant::NoFalseAlarm, details);
        }
    }

    /// The delete that has settled since this was written, if there is one, and it is not excused.
    pub(super) fn settled_since(&self, k: usize, now: &Rank) -> Option<Rank> {
        let written = self.writes[k].get(now).filter(|_| !self.disks.is_excused(k, now))?;
        let later = self.settled[k].iter().filter(|&(delete, &at)| delete > now && written.step <= at);
        later.map(|(delete, _)| delete).max().cloned()
    }

    /// Something appears on a node that has come from another one. It may not have been deleted: not for good. As long
    /// as the delete stands on a node, it will arrive.
    pub(super) fn must_not_be_deleted(&mut self, cluster: &Cluster, node: usize, k: usize, now: &Rank) {
        let Some(delete) = self.settled_since(k, now).filter(|_| !now.1 && !self.disks.is_loading) else { return };
        let stands = |record: &kvstore::store::record::Record| record.is_tombstone() && rank(record) > *now;
        if !self.seen.iter().any(|seen| seen[k].last.as_ref().is_some_and(stands)) {
            let name = &cluster.nodes[node].name;
            let details = format!("{} on {name}: {} is there, but {} has settled", KEYS[k], show(now), show(&delete));
            self.violate(Invariant::NoDeletedKeyReturns, details);
        }
    }

    // ---- when they start again -------------------------------------------------------------------------------------

    pub(crate) fn does_not_start(&mut self, name: &str, error: &StartError) {
        self.violate(Invariant::StartsAgain, format!("{name}: {error}"));
    }

    /// A node has started again. `before` is its store before, and the last confirmation of that.
    pub(crate) fn started_again(
        &mut self,
        cluster: &Cluster,
        node: usize,
        before: Option<(StoreId, Confirmation)>,
        start: Start<'_>,
    ) {
        if let Some((store, number)) = before {
            let greatest = self.disks.numbers.entry(store).or_default();
            *greatest = number.max(*greatest);
        }
        self.look_at_what_was_loaded(cluster, node);
        if matches!(start, Start::PutBack(_)) {
            self.brings_back(node);
        }
        let Node { now, written, durable, promised, old, .. } = mem::take(&mut self.disks.nodes[node]);
        let life = cluster.nodes[node].life();
        let store = life.replica.identity().store;
        let number = life.log.as_ref().map_or(Confirmation::NONE, |log| log.confirmation());
        let mut is_older = number < self.disks.numbers.get(&store).copied().unwrap_or_default();
        let mut line = now.line;
        // Once an older copy was put back, and goes on confirming, numbers say nothing about copies from before.
        let is_fork = matches!(start, Start::PutBack(past) if past.line != line);
        if matches!(start, Start::PutBack(_)) {
            is_older |= is_fork;
            line += u64::from(is_older);
        }
        let (floors, old) = match start {
            Start::Empty => (vec![], None),
            Start::Killed => (vec![durable, written], old),
            Start::PowerCut => (vec![durable], old),
            Start::PutBack(past) => {
                (vec![past.clone()], is_older.then(|| OldCopy { number, stood: self.stands(node), is_fork }))
            }
        };
        let is_same_disk = matches!(start, Start::Killed | Start::PowerCut);
        if let Some((_, before)) = before.filter(|&(_, before)| is_same_disk && number < before) {
            let name = &cluster.nodes[node].name;
            self.violate(Invariant::Durable, format!("the disk of {name} shows confirmation {number}, not {before}"));
        }
        // A copy with the last confirmation must have what was confirmed, too.
        let is_same_store = before.is_some_and(|(before, _)| before == store);
        let keeps_promises = is_same_disk || (is_same_store && !is_older);
        let promised = if keeps_promises { promised } else { Holdings::default() };
        self.must_have_kept(cluster, node, floors.iter().map(|past| &past.stood).chain([&promised]));
        self.excuse_what_was_not_durable(node, old.as_ref());
        let known = floors.iter().map(|past| past.known.clone()).fold(self.stands(node), greater);
        // "A store with a past remembers what it must."
        let acquainted = number != Confirmation::NONE;
        let heard = floors.into_iter().next_back().map(|past| past.heard).unwrap_or_default();
        let now = Past { stood: self.stands(node), known, heard, acquainted, line };
        let (written, durable) = (now.clone(), now.clone());
        self.disks.nodes[node] = Node { now, written, durable, promised, old, ..Node::default() };
        self.count_lost();
    }

    /// The node has lost what it remembered in its memory, and has loaded what is on its disk.
    fn look_at_what_was_loaded(&mut self, cluster: &Cluster, node: usize) {
        self.seen[node] = Default::default();
        self.loaded[node] = Default::default();
        self.clocks[node] = Timestamp::ZERO;
        self.lives_again(node);
        self.disks.is_loading = true;
        self.observe(cluster, node, false);
        self.disks.is_loading = false;
    }

    /// All this stands on the node, or something newer; or it was deleted and forgotten, or what has come back replaced
    /// it.
    fn must_have_kept<'a>(&mut self, cluster: &Cluster, node: usize, kept: impl Iterator<Item = &'a Holdings>) {
        for holdings in kept {
            for (k, kept) in holdings.iter().enumerate() {
                let Some(kept) = kept else { continue };
                let stands = self.seen[node][k].last.as_ref().map(rank);
                let is_later =
                    |at| stands.as_ref().and_then(|rank| self.writes[k].get(rank)).is_none_or(|write| write.step > at);
                let is_forgotten = self.settled[k].iter().any(|(delete, &at)| delete >= kept && is_later(at));
                let is_excused = stands.as_ref().is_some_and(|stands| self.disks.is_excused(k, stands));
                if stands.as_ref() < Some(kept) && !is_forgotten && !is_excused {
                    let stands = stands.as_ref().map_or("nothing".into(), show);
                    let name = &cluster.nodes[node].name;
                    let details = format!("{} on {name}: {stands} stands there, not {}", KEYS[k], show(kept));
                    return self.violate(Invariant::Durable, details);
                }
            }
        }
    }

    /// What stands on this disk is there by right, whatever was deleted: a delete that it does not have was neither
    /// confirmed nor durable. Except what comes from an older copy.
    fn excuse_what_was_not_durable(&mut self, node: usize, old: Option<&OldCopy>) {
        for (k, stands) in self.stands(node).into_iter().enumerate() {
            if old.is_some_and(|old| old.stood[k] == stands) {
                continue;
            }
            if let Some(stands) = stands.filter(|stands| self.settled_since(k, stands).is_some()) {
                self.disks.excused[k].insert(stands);
            }
        }
    }

    fn count_lost(&mut self) {
        for k in 0..KEYS.len() {
            let remembered = self.greatest(k);
            let forgotten =
                self.writes[k].iter_mut().filter(|(rank, write)| !write.lost && Some(*rank) > remembered.as_ref());
            self.lost_with_memory += forgotten.map(|(_, write)| write.lost = true).count() as u64;
        }
    }
}

/// Of each key the greater.
fn greater(one: Holdings, other: Holdings) -> Holdings {
    let mut other = other.into_iter();
    one.map(|one| one.max(other.next().flatten()))
}
