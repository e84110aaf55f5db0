//! Counters: what clients do with them, and the judge's part about it.
//!
//! Counters have keys of their own, so that the rest of the judge need not know of them. The judge keeps a history of
//! what was acknowledged: each increment with its stamp, and each other write with the increments that its writer had
//! *seen*: those that its node held at that moment. A node holds an increment if its record has the increment's share,
//! as far or further. That is all that the judge takes from the code. What a record amounts to, it works out from the
//! history:
//!
//! * The base's number, and every increment that the node holds and that the base's writer had not seen. That is what
//!   clients must read, on every node, at every step ([`SumIsRight`](Invariant::SumIsRight)).
//! * With a base that is past its deadline all ends that its writers had begun before the deadline: a writer that has
//!   not heard of it goes on, and what it counts meanwhile ends, too.
//! * What WAIT would count, the peer holds ([`HeldIsThere`](Invariant::HeldIsThere)).
//! * At the end every acknowledged increment is held by all nodes
//!   ([`EveryIncrementCounts`](Invariant::EveryIncrementCounts)). Two kinds need not be: one that only nodes held which
//!   lost their memory or disk, and one that ended with something that was forgotten: a delete that had seen it, or a
//!   value that has expired.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use kvstore::replication::delivery::Mark;
use kvstore::rules::Rule;
use kvstore::store::Change;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::counter::{Share, Writer};
use kvstore::store::deadline::Deadline;
use kvstore::store::record::Record;
use kvstore::store::version::Version;

use super::cluster::Cluster;
use super::invariants::Invariant;
use super::judge::Judge;

/// The keys of the counters of a run.
pub(crate) const COUNTERS: [&str; 2] = ["c1", "c2"];

/// The place of a counter among [`COUNTERS`].
pub(crate) fn counter_of(key: &[u8]) -> Option<usize> {
    COUNTERS.iter().position(|known| known.as_bytes() == key)
}

/// An acknowledged increment.
struct Increment {
    writer: Writer,
    /// When its writer began to count.
    began: Timestamp,
    at: Timestamp,
    by: i64,
    /// Whether at some time no node held it. It may still arrive late.
    is_lost: bool,
}

/// An acknowledged write of a counter that is no increment.
struct Base {
    version: Version,
    /// `None` for a delete.
    value: Option<Vec<u8>>,
    deadline: Option<Deadline>,
    /// The increments that its writer had seen, by their numbers.
    seen: HashSet<usize>,
    /// Whether it was forgotten on some node.
    is_forgotten: bool,
}

/// What was acknowledged of one counter.
#[derive(Default)]
struct History {
    increments: Vec<Increment>,
    bases: Vec<Base>,
    /// Whether two lives of a node have stamped the same version of the same content, and had not seen the same: its
    /// memory was lost, and its clock put back. Which of the two a record is, the judge cannot tell.
    has_twins: bool,
}

/// What was acknowledged of all counters.
#[derive(Default)]
pub(super) struct Counted {
    counters: [History; COUNTERS.len()],
    /// By node, how much of what was forgotten was looked at.
    forgotten: Vec<usize>,
    /// The increments that clients may ask about, the oldest first.
    awaited: VecDeque<Awaited>,
    /// By node, what the judge has looked at last: the same need not be worked out again.
    looked_at: HashMap<(usize, usize), Looked>,
}

/// What the value of a counter on a node depends on: its record, the time, and how many increments and other writes
/// there are.
type Looked = (Option<Record>, Timestamp, usize, usize);

/// About how many increments clients may ask at the same time.
const ASKED_ABOUT: usize = 8;

/// An increment that a client may ask about: who holds it?
struct Awaited {
    node: usize,
    counter: usize,
    number: usize,
    /// For each peer.
    marks: Vec<Mark>,
}

impl History {
    fn base_of(&self, record: &Record) -> Option<&Base> {
        let (content, expired_at) = (record.content(), record.expired_at());
        self.bases.iter().find(|base| {
            let is_it = match expired_at {
                Some(deadline) => base.deadline == Some(deadline),
                None => base.value.as_deref() == content.value() && base.deadline == content.deadline(),
            };
            base.version == record.version() && is_it
        })
    }

    /// The increments that a record has, by their numbers.
    fn held(&self, record: Option<&Record>) -> HashSet<usize> {
        let shares: Vec<Share> = record.into_iter().flat_map(Record::shares).collect();
        let is_held = |increment: &Increment| {
            shares.iter().any(|share| share.writer == increment.writer && share.counted.at >= increment.at)
        };
        (0..self.increments.len()).filter(|&number| is_held(&self.increments[number])).collect()
    }

    /// Adds an increment; returns its number.
    fn add(&mut self, writer: Writer, at: Timestamp, by: i64) -> usize {
        let first = self.increments.iter().find(|increment| increment.writer == writer);
        let began = first.map_or(at, |increment| increment.began);
        self.increments.push(Increment { writer, began, at, by, is_lost: false });
        self.increments.len() - 1
    }

    /// What the writer of a base that replaces this record has seen.
    fn seen_by_writer_of_next(&self, record: Option<&Record>) -> HashSet<usize> {
        let mut seen = self.held(record);
        seen.extend(record.and_then(|record| self.base_of(record)).iter().flat_map(|base| &base.seen));
        seen
    }

    /// What clients must read of this record; `Err` if nobody has written its base.
    fn value(&self, record: &Record, now: Timestamp) -> Result<Option<Vec<u8>>, String> {
        let nothing =
            Base { version: Version::NEVER, value: None, deadline: None, seen: HashSet::new(), is_forgotten: false };
        let base = match self.base_of(record) {
            Some(base) => base,
            None if record.version() == Version::NEVER => &nothing,
            None => return Err(format!("no client has written {record:?}")),
        };
        let expired = base.deadline.filter(|deadline| record.expired_at().is_some() || deadline.is_past(now));
        let counts = |number: &usize| {
            let is_over = expired.is_some_and(|deadline| !deadline.is_past(self.increments[*number].began));
            !base.seen.contains(number) && !is_over
        };
        let counting: Vec<usize> = self.held(Some(record)).into_iter().filter(counts).collect();
        let sum: i64 = counting.iter().map(|&number| self.increments[number].by).sum();
        let value = base.value.as_deref().filter(|_| expired.is_none());
        Ok(match (value, value.and_then(|value| std::str::from_utf8(value).ok()?.parse::<i64>().ok())) {
            (Some(_), Some(number)) => Some((number + sum).to_string().into_bytes()),
            (Some(text), None) => Some(text.to_vec()),
            (None, _) if counting.is_empty() => None,
            (None, _) => Some(sum.to_string().into_bytes()),
        })
    }

    /// Whether an increment may be gone: what had seen it, or the deadline that it had come before, was forgotten.
    fn may_be_gone(&self, number: usize) -> bool {
        let increment = &self.increments[number];
        increment.is_lost
            || self.bases.iter().filter(|base| base.is_forgotten).any(|base| {
                base.seen.contains(&number) || base.deadline.is_some_and(|deadline| !deadline.is_past(increment.began))
            })
    }
}

impl Cluster {
    /// A client's INCRBY.
    pub(crate) fn count(&self, node: usize, key: &[u8], by: i64) {
        self.step();
        let life = self.nodes[node].life();
        let before = life.replica.store().record(key);
        let counted = life.replica.increment(key, by);
        self.trace.note(node, || match counted {
            Ok(sum) => format!("INCRBY {} {by}: {sum}", key.escape_ascii()),
            Err(why) => format!("INCRBY {} {by}: {why:?}", key.escape_ascii()),
        });
        let Ok(sum) = counted else { return };
        if let Some(judge) = &self.judge {
            judge.borrow_mut().has_counted(self, node, (key, before.as_ref()), by, sum);
        }
        self.leave_for_peers(node, &life, key);
        if let Some(judge) = &self.judge {
            judge.borrow_mut().may_be_asked_about(self, node, key);
        }
    }

    /// A client's write of a counter that is no increment.
    pub(crate) fn write_counter(&self, node: usize, key: &[u8], content: Content<'_>) {
        self.step();
        let life = self.nodes[node].life();
        let before = life.replica.store().record(key);
        match content {
            Content::Tombstone => drop(life.replica.delete(key)),
            content => life.replica.write(key, content),
        }
        self.trace.wrote(self, node, key, content);
        self.has_written_counter(node, key, before.as_ref());
    }

    /// A client's EXPIRE of a counter, or PERSIST.
    pub(crate) fn expire_counter(&self, node: usize, key: &[u8], deadline: Option<Deadline>) {
        self.step();
        let life = self.nodes[node].life();
        let before = life.replica.store().record(key);
        let change = |content: Option<Content<'_>>| match content.and_then(Content::value) {
            Some(value) => (Change::Value(Cow::Owned(value.to_vec()), deadline), ()),
            None => (Change::Nothing, ()),
        };
        if life.replica.update(key, change).0 {
            self.trace.expires(self, node, key, deadline);
            self.has_written_counter(node, key, before.as_ref());
        }
    }

    fn has_written_counter(&self, node: usize, key: &[u8], before: Option<&Record>) {
        if let Some(judge) = &self.judge {
            judge.borrow_mut().has_written_counter(self, node, key, before);
        }
        self.leave_for_peers(node, &self.nodes[node].life(), key);
    }
}

impl Judge {
    fn has_counted(
        &mut self,
        cluster: &Cluster,
        node: usize,
        (key, before): (&[u8], Option<&Record>),
        by: i64,
        sum: i64,
    ) {
        let k = counter_of(key).expect("one of the counters");
        let life = cluster.nodes[node].life();
        let record = life.replica.store().record(key).expect("it was counted just now");
        if !self.rules.has(Rule::Shares) {
            // An increment is a write like any other, that has seen itself.
            let history = &mut self.counted.counters[k];
            let writer = Writer { life: u64::MAX, began: Timestamp::ZERO };
            let at = Timestamp::from_bits(history.increments.len() as u64);
            let number = history.add(writer, at, by);
            self.has_written_counter(cluster, node, key, before);
            let base = self.counted.counters[k].bases.last_mut().expect("was pushed just now");
            base.seen.insert(number);
            return;
        }
        let own = record.shares().filter(|share| share.writer.life == life.replica.identity().incarnation.0);
        let Some(share) = own.max_by_key(|share| share.counted.at) else {
            let details =
                format!("{} has counted {}, but has no share: {record:?}", cluster.nodes[node].name, COUNTERS[k]);
            return self.violate(Invariant::EveryIncrementCounts, details);
        };
        self.counted.counters[k].add(share.writer, share.counted.at, by);
        let read = life.replica.get(key, |value| value.map(<[u8]>::to_vec));
        if read != Some(sum.to_string().into_bytes()) {
            let details =
                format!("{} was told {sum} for {}, but reads {read:?}", cluster.nodes[node].name, COUNTERS[k]);
            return self.violate(Invariant::SumIsRight, details);
        }
        self.look_at_counters(cluster, node);
    }

    fn has_written_counter(&mut self, cluster: &Cluster, node: usize, key: &[u8], before: Option<&Record>) {
        let k = counter_of(key).expect("one of the counters");
        let life = cluster.nodes[node].life();
        let Some(record) = life.replica.store().record(key) else { return };
        let history = &mut self.counted.counters[k];
        let (content, seen) = (record.content(), history.seen_by_writer_of_next(before));
        let (value, deadline) = (content.value().map(<[u8]>::to_vec), content.deadline());
        match history
            .bases
            .iter_mut()
            .find(|base| base.version == record.version() && base.value == value && base.deadline == deadline)
        {
            // After a restart with the clock put back.
            Some(same) => {
                history.has_twins |= same.seen != seen;
                same.seen.extend(seen);
            }
            None => history.bases.push(Base { version: record.version(), value, deadline, seen, is_forgotten: false }),
        }
        self.look_at_counters(cluster, node);
    }

    /// Do clients of this node read what they should?
    pub(super) fn look_at_counters(&mut self, cluster: &Cluster, node: usize) {
        let (machine, life) = (&cluster.nodes[node], cluster.nodes[node].life());
        (0..cluster.nodes.len()).for_each(|node| self.look_at_what_was_forgotten(cluster, node));
        if self.counted.counters.iter().all(|history| history.increments.is_empty() && history.bases.is_empty()) {
            return;
        }
        self.look_at_held_increments(cluster, node);
        for (k, key) in COUNTERS.iter().enumerate() {
            let record = life.replica.store().record(key.as_bytes());
            let history = &self.counted.counters[k];
            let looked = (record.clone(), machine.now(), history.increments.len(), history.bases.len());
            if self.counted.looked_at.get(&(node, k)) == Some(&looked) {
                continue;
            }
            self.counted.looked_at.insert((node, k), looked);
            let history = &self.counted.counters[k];
            if history.has_twins {
                continue;
            }
            let expected = record.as_ref().map_or(Ok(None), |record| history.value(record, machine.now()));
            let read = life.replica.get(key.as_bytes(), |value| value.map(<[u8]>::to_vec));
            let show = |value: &Option<Vec<u8>>| value.as_ref().map(|value| value.escape_ascii().to_string());
            match expected {
                Ok(expected) if expected == read => {}
                Ok(expected) => {
                    let (read, expected) = (show(&read), show(&expected));
                    let details =
                        format!("{key} on {}: a client reads {read:?}, not {expected:?}, of {record:?}", machine.name);
                    return self.violate(Invariant::SumIsRight, details);
                }
                Err(why) => return self.violate(Invariant::SumIsRight, format!("{key} on {}: {why}", machine.name)),
            }
        }
    }

    fn may_be_asked_about(&mut self, cluster: &Cluster, node: usize, key: &[u8]) {
        let counter = counter_of(key).expect("one of the counters");
        let marks = cluster.nodes[node].life().links.iter().map(|link| link.queue.delivery().mark()).collect();
        let number = self.counted.counters[counter].increments.len() - 1;
        let awaited = &mut self.counted.awaited;
        awaited.push_back(Awaited { node, counter, number, marks });
        let excess = awaited.len().saturating_sub(ASKED_ABOUT);
        awaited.drain(..excess);
    }

    /// Whatever WAIT would count now of the increments of this node, the peer holds it.
    fn look_at_held_increments(&mut self, cluster: &Cluster, node: usize) {
        let life = cluster.nodes[node].life();
        let is_counted = |awaited: &Awaited, peer: usize| {
            let link = &life.links[peer];
            let is_heard = link.connection.borrow().as_ref().is_some_and(|connection| connection.is_heard(cluster));
            is_heard && link.queue.delivery().holds(awaited.marks[peer])
        };
        for awaited in self.counted.awaited.iter().filter(|awaited| awaited.node == node) {
            let (history, key) = (&self.counted.counters[awaited.counter], COUNTERS[awaited.counter]);
            for peer in cluster.peers(node).filter(|&peer| is_counted(awaited, peer)) {
                let record = cluster.nodes[peer].life().replica.store().record(key.as_bytes());
                let is_there = history.seen_by_writer_of_next(record.as_ref()).contains(&awaited.number);
                if !is_there && !history.may_be_gone(awaited.number) {
                    let (writer, peer) = (&cluster.nodes[node].name, &cluster.nodes[peer].name);
                    let details = format!("{writer} counts {peer} for an increment of {key}, which holds {record:?}");
                    return self.violate(Invariant::HeldIsThere, details);
                }
            }
        }
    }

    fn look_at_what_was_forgotten(&mut self, cluster: &Cluster, node: usize) {
        let life = cluster.nodes[node].life();
        self.counted.forgotten.resize(cluster.nodes.len(), 0);
        for (key, version) in life.accepted.forgotten_since(self.counted.forgotten[node]) {
            self.counted.forgotten[node] += 1;
            if let Some(k) = counter_of(&key) {
                let bases = self.counted.counters[k].bases.iter_mut();
                bases.filter(|base| base.version == version).for_each(|base| base.is_forgotten = true);
            }
        }
    }

    /// A node is about to end: what does it hold that no other node holds?
    pub(super) fn counted_by_one(&mut self, cluster: &Cluster, node: usize) -> [HashSet<usize>; COUNTERS.len()] {
        self.look_at_what_was_forgotten(cluster, node);
        std::array::from_fn(|k| self.held_by(cluster, k, |other| other == node))
    }

    /// A node has started again. Before, it held this.
    pub(super) fn counts_again(&mut self, cluster: &Cluster, node: usize, before: [HashSet<usize>; COUNTERS.len()]) {
        self.counted.forgotten[node] = 0;
        self.counted.awaited.retain(|awaited| awaited.node != node);
        for (k, before) in before.into_iter().enumerate() {
            let held = self.held_by(cluster, k, |_| true);
            let increments = &mut self.counted.counters[k].increments;
            before.difference(&held).for_each(|&number| increments[number].is_lost = true);
        }
    }

    fn held_by(&self, cluster: &Cluster, k: usize, is_asked: impl Fn(usize) -> bool) -> HashSet<usize> {
        let nodes = cluster.nodes.iter().enumerate().filter(|&(node, _)| is_asked(node));
        let held = |life: &super::node::Life| {
            self.counted.counters[k].held(life.replica.store().record(COUNTERS[k].as_bytes()).as_ref())
        };
        nodes.flat_map(|(_, node)| held(&node.life())).collect()
    }

    /// Everything has healed: is every increment held, or was it seen by what stands there?
    pub(super) fn every_increment_counts(&mut self, cluster: &Cluster) {
        for (k, key) in COUNTERS.iter().enumerate() {
            let record = cluster.nodes[0].life().replica.store().record(key.as_bytes());
            let history = &self.counted.counters[k];
            let seen = history.seen_by_writer_of_next(record.as_ref());
            let is_missing = |number: &usize| !seen.contains(number) && !history.may_be_gone(*number);
            if let Some(missing) = (0..history.increments.len()).find(is_missing) {
                let Increment { writer, at, by, .. } = &history.increments[missing];
                let details = format!("{key}: {by:+} at {at} by {writer:?} is not in {record:?}");
                return self.violate(Invariant::EveryIncrementCounts, details);
            }
            let is_past =
                |record: &Record| record.deadline().is_some_and(|deadline| deadline.is_past(cluster.nodes[0].now()));
            if let Some(record) = record.filter(|record| record.is_tombstone() || is_past(record)) {
                return self.violate(Invariant::AllForgotten, format!("{key}: {record:?}"));
            }
        }
    }
}
