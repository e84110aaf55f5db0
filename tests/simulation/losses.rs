//! The judge's part about what last write wins throws away: nothing goes in silence, and nothing is reported that is no
//! conflict.
//!
//! The judge has a history of its own, made of what was acknowledged and of what the stores' outputs have told. It
//! looks at no version vector. Of each write it knows which others its writer *had seen*:
//!
//! * every write of the key that the writing node had accepted in that life, what it loaded from its disk included,
//! * whatever the writers of those had seen,
//! * and the earlier writes of the same node, in whatever life: `causality.rs` says so under "What remains".
//!
//! A write that is overruled by one that had not seen it must have been listed by some node, by then. Six kinds need
//! not be:
//!
//! * A third write had seen it, so it has replaced it on purpose, and has met the write that overrules it. Then the
//!   third one is listed, or is of one of these kinds itself.
//! * It is a delete that has settled: every node has held it. It may be forgotten, so a node may not know it any more.
//! * It is a value that was past its deadline by the clock of some node: what has expired is not lost.
//! * Another write that had not seen it says the same: two deletes, or a delete and a value that has expired.
//! * Its node has written past it in a later life. A node has seen what it wrote itself.
//! * Its node has lost its memory and its clock was put back, and in an earlier life it has given out a version that is
//!   not less. What others had seen of the node then covers this write, too.
//!
//! A write may also be lost with a memory or a disk before it has met any other. At the end of a run nothing else is
//! missing.
//!
//! A conflict is false if a writer had seen the other write, if both say the same, or if the one that is lost has
//! expired: it is past its deadline by the clock of the node that lists it, or a tombstone that no client has
//! written. Three things excuse it: an old copy of a disk was accepted, which brings back what the others have
//! forgotten; see [`past`](super::past). A node came back with a delete of which it does not know any more that all
//! have seen it: its disk had failed before that was written. Or a node that has lost its memory has given out the same
//! version twice.
//!
//! A node lists 10,000 conflicts, more than a run has writes: none is pushed out.

use std::collections::HashMap;
use std::rc::Rc;

use kvstore::replication::conflicts::{Noticed, Sentence};
use kvstore::store::causality;
use kvstore::store::clock::Timestamp;
use kvstore::store::record::Record;
use kvstore::store::version::Version;

use super::cluster::Cluster;
use super::counters::counter_of;
use super::invariants::{Invariant, KEYS};
use super::judge::{Judge, Rank, rank, show};
use super::node::{Life, Node};

/// A set of writes of one key, by their numbers.
#[derive(Clone, Debug, Default)]
struct Set(Vec<u64>);

impl Set {
    fn insert(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    fn unite(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }
}

/// An acknowledged write.
struct Write {
    rank: Rank,
    /// In which life of its node it was written.
    life: u64,
    /// What its writer had seen.
    seen: Set,
}

/// All acknowledged writes of one key, numbered in their order.
#[derive(Default)]
struct History {
    writes: Vec<Write>,
    numbers: HashMap<Rank, usize>,
    /// By version, those with a deadline.
    expiries: HashMap<Version, usize>,
    /// Those that the writer of another one had seen.
    seen: Set,
    /// Those that some writer had seen whose own write has met another one: what survives then knows of them, too.
    passed_on: Set,
    /// Those that some node has listed as lost.
    listed: Set,
    /// Those that stood on a node when it ended, and on no other node.
    lost_with_memory: Set,
    /// Those that a copy of a disk has brought back.
    brought_back: Set,
    /// Those that some node has swept.
    expired: Set,
    /// Those whose version was given out twice, by two lives of a node whose memory was lost and whose clock stood
    /// still or was put back. Which of the two a tombstone is, the judge cannot tell.
    twins: Set,
}

/// What the judge knows of one node in its present life.
#[derive(Default)]
struct At {
    /// How many of the entries were looked at that its output has told of.
    read: usize,
    /// How many conflicts of those that it has noticed.
    noticed: u64,
    /// By key, what stands there. A tombstone may be forgotten meanwhile.
    stands: [Option<usize>; KEYS.len()],
    /// By key, what a write has seen that is written there now.
    known: [Set; KEYS.len()],
}

/// What was written, seen and listed.
#[derive(Default)]
pub(super) struct Losses {
    keys: [History; KEYS.len()],
    nodes: Vec<At>,
    /// The latest time that any clock has shown.
    latest: Timestamp,
    /// How many conflicts were noticed by all nodes.
    noticed: u64,
    /// How many of them before the nodes agreed.
    noticed_before_agreement: Option<u64>,
}

impl Losses {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| At::default()).collect(), ..Self::default() }
    }
}

impl History {
    /// The write that an entry comes from. If it is no client's delete, a tombstone comes from the value of its version
    /// that has expired.
    fn number(&self, rank: &Rank) -> Option<usize> {
        let expired = |rank: &&Rank| rank.1;
        self.numbers.get(rank).or_else(|| self.expiries.get(&Some(rank).filter(expired)?.0)).copied()
    }

    /// The write that one side of a conflict names. The values of a run are so short that a conflict keeps all of them.
    fn number_of(&self, side: &causality::Write) -> Option<usize> {
        let Some(value) = &side.value else { return self.number(&(side.version, true, Vec::new(), None)) };
        let is_it = |Write { rank, .. }: &Write| rank.0 == side.version && !rank.1 && *rank.2 == *value.bytes;
        self.writes.iter().rposition(is_it)
    }

    /// Whether some node has swept it.
    fn has_expired(&self, rank: &Rank) -> bool {
        self.numbers.get(rank).is_some_and(|&number| self.expired.contains(number))
    }

    /// Whether the writer of `one` had seen `other`.
    fn has_seen(&self, one: usize, other: usize) -> bool {
        one == other || self.writes[one].seen.contains(other)
    }

    /// The earlier writes of the node that writes `rank` now.
    fn chain(&self, rank: &Rank) -> Vec<usize> {
        let is_earlier = |write: &Write| write.rank.0.node == rank.0.node && write.rank.0 <= rank.0;
        (0..self.writes.len()).filter(|&number| is_earlier(&self.writes[number])).collect()
    }

    /// Whether another write knows of this one: its writer had seen it, or the two have met.
    fn is_known(&self, write: usize) -> bool {
        self.seen.contains(write) || self.listed.contains(write) || self.is_said_again(write)
    }

    /// Whether another write knows a version that the node of this one has given out in an earlier life, and that is
    /// not less. It may know one that is past its deadline at `latest` without having listed it.
    fn is_put_back(&self, write: usize, latest: Timestamp) -> bool {
        let Write { rank, life, .. } = &self.writes[write];
        let is_ahead = |other: &Write| other.rank.0.node == rank.0.node && other.rank.0 >= rank.0;
        let mut before = self.writes[..write].iter().enumerate();
        let is_past = |other: &Write| other.rank.3.is_some_and(|deadline| deadline.is_past(latest));
        before.any(|(number, other)| is_ahead(other) && other.life < *life && (self.is_known(number) || is_past(other)))
    }

    /// Whether another write that did not know this one, and is later, says the same. What has expired says the same as
    /// a delete.
    fn is_said_again(&self, write: usize) -> bool {
        let (version, is_delete, value, deadline) = &self.writes[write].rank;
        let says_it = |other: &Write| {
            let is_same = (other.rank.1, &other.rank.2, &other.rank.3) == (*is_delete, value, deadline);
            other.rank.0 > *version && (is_same || (*is_delete && self.has_expired(&other.rank)))
        };
        self.writes.iter().any(|other| says_it(other) && !other.seen.contains(write))
    }
}

impl Judge {
    /// Looks at what a node has accepted, and which conflicts it has noticed, since the last time.
    pub(super) fn look_at_losses(&mut self, cluster: &Cluster, node: usize) {
        let life = cluster.nodes[node].life();
        self.losses.latest =
            cluster.nodes.iter().map(Node::now).max().max(Some(self.losses.latest)).unwrap_or_default();
        self.look_at_conflicts(&life, node);
        let told = life.accepted.since(self.losses.nodes[node].read);
        told.iter().for_each(|record| self.reads(cluster, node, record));
    }

    /// A client's write was acknowledged. It is the last that the output has told of.
    pub(super) fn writes(&mut self, cluster: &Cluster, node: usize, k: usize, written: &Rank) {
        let life = cluster.nodes[node].life();
        let mut before = life.accepted.since(self.losses.nodes[node].read);
        before.pop();
        before.iter().for_each(|record| self.reads(cluster, node, record));
        let history = &mut self.losses.keys[k];
        let known = &self.losses.nodes[node].known[k];
        let mut seen = known.clone();
        for earlier in history.chain(written) {
            seen.insert(earlier);
            if !known.contains(earlier) {
                history.passed_on.unite(&history.writes[earlier].seen);
            }
        }
        history.seen.unite(&seen);
        let number = history.writes.len();
        for twin in (0..number).filter(|&twin| history.writes[twin].rank.0 == written.0) {
            history.twins.insert(twin);
            history.twins.insert(number);
        }
        history.numbers.insert(written.clone(), number);
        if written.3.is_some() {
            history.expiries.insert(written.0, number);
        }
        history.writes.push(Write { rank: written.clone(), life: cluster.nodes[node].lives(), seen });
        self.look_at_losses(cluster, node);
    }

    /// A node's output has told of the next entry.
    fn reads(&mut self, cluster: &Cluster, node: usize, record: &Record) {
        self.losses.nodes[node].read += 1;
        if counter_of(record.key()).is_some() {
            return;
        }
        self.accepted(cluster, node, key_of(record.key()), &rank(record));
    }

    /// A node has accepted an entry.
    fn accepted(&mut self, cluster: &Cluster, node: usize, k: usize, rank: &Rank) {
        let history = &self.losses.keys[k];
        // What no client has written violates another invariant.
        let Some(now) = history.number(rank) else { return };
        let at = &mut self.losses.nodes[node];
        at.known[k].unite(&history.writes[now].seen);
        at.known[k].insert(now);
        let before = at.stands[k].replace(now);
        // A node that starts loads the older of two entries first. Nothing is lost by that.
        let Some(before) = before.filter(|_| !self.disks.is_loading) else { return };
        // Something smaller follows only a tombstone that was forgotten.
        if history.writes[before].rank > *rank || history.has_seen(now, before) {
            return;
        }
        // A node has seen what it wrote itself, whatever life it was.
        if history.writes[before].rank.0.node == rank.0.node {
            let history = &mut self.losses.keys[k];
            history.passed_on.unite(&history.writes[before].seen);
            return history.seen.insert(before);
        }
        if !self.is_accounted_for(k, before, false) {
            // It may be listed on a node that was not looked at yet.
            for node in 0..cluster.nodes.len() {
                self.look_at_conflicts(&cluster.nodes[node].life(), node);
            }
        }
        if !self.is_accounted_for(k, before, false) {
            let lost = show(&self.losses.keys[k].writes[before].rank);
            let (key, name) = (KEYS[k], &cluster.nodes[node].name);
            let details = format!("{key} on {name}: {} has replaced {lost}, and no node lists that", show(rank));
            self.violate(Invariant::NoSilentLoss, details);
        }
    }

    /// Whether a write that was overruled by another went for a reason, or was listed. At the end it is enough that any
    /// writer had seen it.
    fn is_accounted_for(&self, k: usize, write: usize, is_end: bool) -> bool {
        let history = &self.losses.keys[k];
        if history.listed.contains(write) || history.passed_on.contains(write) {
            return true;
        }
        let is_settled = |write: usize| self.settled[k].contains_key(&history.writes[write].rank);
        let is_past = |write: usize| {
            let deadline = history.writes[write].rank.3;
            deadline.is_some_and(|deadline| history.expired.contains(write) || deadline.is_past(self.losses.latest))
        };
        let is_silent = |write| {
            is_settled(write)
                || is_past(write)
                || history.is_said_again(write)
                || history.is_put_back(write, self.losses.latest)
        };
        let had_seen = |other: &usize| history.writes[*other].seen.contains(write);
        let mut others = (0..history.writes.len()).filter(had_seen);
        is_silent(write) || (is_end && history.seen.contains(write)) || others.any(is_silent)
    }

    /// Looks at the conflicts that a node has noticed since the last time.
    fn look_at_conflicts(&mut self, life: &Rc<Life>, node: usize) {
        let conflicts = life.replica.conflicts();
        let noticed = conflicts.counts().noticed;
        let news = noticed - self.losses.nodes[node].noticed;
        if news == 0 {
            return;
        }
        self.losses.nodes[node].noticed = noticed;
        self.losses.noticed += news;
        for listed in conflicts.newest(usize::try_from(news).expect("a run is short")).iter().rev() {
            if let Some(why) = self.is_listed(listed) {
                let name = &life.replica.identity().name;
                let details = format!("{name} lists {}, but {why}", Sentence::whole(listed));
                self.violate(Invariant::NoFalseConflict, details);
            }
        }
    }

    /// A node lists a conflict. Returns why it is none, in words.
    fn is_listed(&mut self, listed: &Noticed) -> Option<&'static str> {
        if counter_of(&listed.conflict.key).is_some() {
            return None;
        }
        let k = key_of(&listed.conflict.key);
        let history = &mut self.losses.keys[k];
        let [Some(kept), Some(lost)] =
            [&listed.conflict.kept, &listed.conflict.lost].map(|side| history.number_of(side))
        else {
            return Some("no client has written that");
        };
        let lost_deadline = history.writes[lost].rank.3;
        let has_expired = lost_deadline.is_some_and(|deadline| deadline.is_past(listed.at))
            || (listed.conflict.lost.value.is_none() && !history.writes[lost].rank.1);
        let sides = [kept, lost].map(|side| history.writes[side].rank.clone());
        history.listed.insert(lost);
        history.passed_on.unite(&history.writes[lost].seen);
        let [kept_rank, lost_rank] = &sides;
        let is_excused = history.brought_back.contains(lost)
            || history.twins.contains(kept)
            || history.twins.contains(lost)
            || sides.iter().any(|side| self.disks.is_excused(k, side));
        match () {
            () if has_expired => Some("what is lost has expired"),
            () if kept_rank.1 == lost_rank.1 && (&kept_rank.2, kept_rank.3) == (&lost_rank.2, lost_rank.3) => {
                Some("both say the same")
            }
            () if kept_rank <= lost_rank => Some("what is lost is the later one"),
            () if is_excused => None,
            () if history.has_seen(kept, lost) => Some("the one that survives had seen the other"),
            () if history.has_seen(lost, kept) => Some("the one that is lost had seen the other"),
            () => None,
        }
    }

    /// A node has swept the value of this version.
    pub(super) fn expires(&mut self, k: usize, value: &Rank) {
        let history = &mut self.losses.keys[k];
        let number = history.numbers.get(value).copied();
        number.iter().for_each(|&number| history.expired.insert(number));
    }

    /// A node has started with a copy of its disk.
    pub(super) fn brings_back(&mut self, node: usize) {
        for (history, stands) in self.losses.keys.iter_mut().zip(self.losses.nodes[node].stands) {
            stands.iter().for_each(|&number| history.brought_back.insert(number));
        }
    }

    /// For each key, whether a node knows that all have seen what stands there: a marked tombstone, or one that it has
    /// forgotten.
    pub(super) fn knows_seen_by_all(cluster: &Cluster, node: usize) -> [bool; KEYS.len()] {
        let life = cluster.nodes[node].life();
        KEYS.map(|key| life.replica.store().record(key.as_bytes()).is_none_or(|record| record.is_seen_by_all()))
    }

    /// A node has started again. Of some tombstones it does not know any more what it has `known`: its disk had failed,
    /// or lost what was not synced.
    pub(super) fn knows_no_more(&mut self, cluster: &Cluster, node: usize, known: &[bool; KEYS.len()]) {
        let (life, knows) = (cluster.nodes[node].life(), Self::knows_seen_by_all(cluster, node));
        let is_tombstone =
            |k: usize| life.replica.store().look(KEYS[k].as_bytes(), |it| it.is_some_and(Record::is_tombstone));
        let is_back = |&(k, _): &(usize, _)| known[k] && !knows[k] && is_tombstone(k);
        for (k, stands) in self.losses.nodes[node].stands.iter().enumerate().filter(is_back) {
            stands.iter().for_each(|&number| self.losses.keys[k].brought_back.insert(number));
        }
    }

    /// A node has ended, and has started again with what it has loaded.
    pub(super) fn lives_again(&mut self, node: usize) {
        let stood = std::mem::take(&mut self.losses.nodes[node]).stands;
        for (k, stood) in stood.into_iter().enumerate() {
            let stands = |number: usize| self.losses.nodes.iter().any(|at| at.stands[k] == Some(number));
            if let Some(number) = stood.filter(|&number| !stands(number)) {
                self.losses.keys[k].lost_with_memory.insert(number);
            }
        }
    }

    /// The nodes agree, and nothing is under way: whatever could meet has met.
    pub(crate) fn all_have_met(&mut self) {
        self.losses.noticed_before_agreement = Some(self.losses.noticed);
    }

    /// Each acknowledged write stands, or went for a reason, or was listed.
    pub(super) fn nothing_is_lost_in_silence(&mut self, cluster: &Cluster) {
        (0..cluster.nodes.len()).for_each(|node| self.look_at_losses(cluster, node));
        if let Some(before) = self.losses.noticed_before_agreement.filter(|&before| before < self.losses.noticed) {
            let details = format!("{before} were noticed before it, {} now", self.losses.noticed);
            return self.violate(Invariant::NoLateConflict, details);
        }
        for (k, key) in KEYS.iter().enumerate() {
            let history = &self.losses.keys[k];
            let stands = |number| self.losses.nodes.iter().any(|at| at.stands[k] == Some(number));
            let is_missing = |&number: &usize| {
                !history.lost_with_memory.contains(number) && !stands(number) && !self.is_accounted_for(k, number, true)
            };
            if let Some(missing) = (0..history.writes.len()).find(is_missing) {
                let details = format!("{key}: {} is gone, and no node lists it", show(&history.writes[missing].rank));
                return self.violate(Invariant::NoSilentLoss, details);
            }
        }
    }
}

fn key_of(key: &[u8]) -> usize {
    KEYS.iter().position(|known| known.as_bytes() == key).expect("one of the keys of the run")
}
