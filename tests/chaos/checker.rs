//! The checker: after everything has healed, do the nodes hold every acknowledged write?
//!
//! An acknowledged write may be missing for one reason: all nodes that held it were killed before another node received
//! it. A test cannot look into a node that was killed. But the log of faults says when each wire and each node worked,
//! and a write takes a bounded time when they work. So the log says which nodes *certainly* held a write at which time.
//! A loss is explained if the last certain holder was killed. A write that is missing without such a kill is a bug.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use kvstore::limits::{MAX_RETRY_DELAY, PEER_IO_TIMEOUT};

use crate::clients::{Connection, History, Outcome, Seen, Wrote, by_key, parse_version, tag};
use crate::cluster::{Cluster, INTERVAL};
use crate::nemesis::{Fault, Logged, UNSYNCED};

/// How long a write may take over a wire that works: a thousand times what it takes on an idle machine.
const DELIVERED: Duration = Duration::from_secs(2);

/// What stands under a key at the end: version, whether it is deleted, and the value without its padding.
type Final = (Option<Seen>, Option<String>);

pub(crate) struct Report {
    finals: BTreeMap<String, Final>,
    checked: usize,
    losses: Vec<Loss>,
}

/// A write that is missing, and why.
struct Loss {
    write: String,
    kill: String,
    /// How long before the kill it was acknowledged.
    age: Duration,
}

impl Report {
    pub(crate) fn describe(&self) -> String {
        let mut text = format!(
            "{} writes checked on all nodes; {} lost with the only node that certainly held them",
            self.checked,
            self.losses.len()
        );
        let mut kills: BTreeMap<&str, Vec<&Loss>> = BTreeMap::new();
        self.losses.iter().for_each(|loss| kills.entry(&loss.kill).or_default().push(loss));
        for (kill, losses) in kills {
            let oldest = losses.iter().map(|loss| loss.age).max().unwrap_or_default();
            text += &format!(
                "\nchaos:   {}: {kill}, at most {oldest:.2?} after, such as {}",
                losses.len(),
                losses[0].write
            );
        }
        text
    }
}

/// Compares what was acknowledged with what all nodes hold.
pub(crate) fn check(cluster: &Cluster, history: &History, faults: &[Logged], seed: u64) -> Report {
    assert!(history.stale.is_empty(), "clients did not read their own writes (seed {seed}): {:#?}", history.stale);
    let keys = by_key(&history.writes);
    let finals = read_all(cluster, &keys, seed);
    check_reads(history, &keys, seed);
    let faults_by_time = Faults::new(faults, cluster);
    let (mut checked, mut losses, mut wrong) = (0, Vec::new(), Vec::new());
    for (key, writes) in &keys {
        let (seen, value) = &finals[*key];
        if let Some(value) = value {
            let known =
                writes.iter().any(|write| write.value.as_ref() == Some(value) && write.outcome != Outcome::Refused);
            if !known {
                wrong.push(format!("{key} has the value {value}, which no client wrote"));
            }
        }
        for write in writes {
            let Outcome::Done(at_once) = write.outcome else { continue };
            checked += 1;
            if is_there(write, at_once, *seen, value.as_deref(), writes) {
                continue;
            }
            match faults_by_time.last_holder_killed(write) {
                Some((kill, age)) => losses.push(Loss { write: write.to_string(), kill, age }),
                None => wrong.push(format!("{write} is missing: {key} is {seen:?} {value:?}")),
            }
        }
    }
    let log: Vec<String> = faults.iter().map(|fault| format!("{:?} {fault}", fault.from)).collect();
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}\nfaults: {log:#?}");
    Report { finals, checked, losses }
}

/// Whether the nodes hold an acknowledged write, or something newer.
fn is_there(write: &Wrote, at_once: Option<Seen>, seen: Option<Seen>, value: Option<&str>, all: &[&Wrote]) -> bool {
    let may_be_deleted = || all.iter().any(|other| other.value.is_none() && other.outcome != Outcome::Refused);
    match (at_once, seen) {
        // No node knows the key: it was deleted, and all nodes have forgotten it.
        (Some((_, deleted)), None) => deleted || newer_delete(write, at_once, all),
        (None, None) => write.value.is_none() || may_be_deleted(),
        (Some((version, _)), Some((stands, _))) if stands != version => stands > version,
        // Exactly this version: only this write, or one that was carried out late, can have it.
        (Some(_), Some((_, is_deleted))) => {
            let late = all.iter().any(|other| {
                other.value.as_deref() == value
                    && (other.outcome == Outcome::Unknown || other.key.starts_with("shared"))
            });
            (write.value.as_deref() == value && write.value.is_none() == is_deleted) || late
        }
        // The node died before it told the version. The outcome is known only if no other client wrote the key.
        (None, Some(_)) => all.len() > 1 || write.value.as_deref() == value,
    }
}

/// Whether a delete may have come after a write whose key is gone: one whose version was greater, or is not known.
fn newer_delete(write: &Wrote, at_once: Option<Seen>, all: &[&Wrote]) -> bool {
    all.iter().any(|other| match other.outcome {
        Outcome::Refused => false,
        Outcome::Unknown => other.value.is_none(),
        Outcome::Done(None) => other.value.is_none() && other.until >= write.from,
        Outcome::Done(Some((version, deleted))) => deleted && Some(version) > at_once.map(|(version, _)| version),
    })
}

/// Every value that was read must have been written to that key.
fn check_reads(history: &History, keys: &BTreeMap<&str, Vec<&Wrote>>, seed: u64) {
    let written: HashSet<(&str, &str)> = keys
        .iter()
        .flat_map(|(key, writes)| writes.iter().map(move |write| (*key, write)))
        .filter_map(|(key, write)| Some((key, write.value.as_deref()?)))
        .collect();
    for (key, value) in &history.reads {
        assert!(
            written.contains(&(key.as_str(), value.as_str())),
            "{value} was read from {key}, but never written (seed {seed})"
        );
    }
}

/// What the nodes hold under each key. It must be the same on all nodes.
fn read_all(cluster: &Cluster, keys: &BTreeMap<&str, Vec<&Wrote>>, seed: u64) -> BTreeMap<String, Final> {
    let mut finals: Option<BTreeMap<String, Final>> = None;
    for number in cluster.numbers() {
        let read = read_node(cluster, number, keys.keys().copied());
        let first = finals.get_or_insert_with(|| read.clone());
        for (key, (seen, value)) in &read {
            let (first_seen, first_value) = &first[key];
            let same_version =
                seen == first_seen || [seen, first_seen].iter().all(|seen| seen.is_none_or(|seen| seen.1));
            assert!(
                value == first_value && same_version,
                "{key} is {seen:?} {value:?} on node {number}, {first_seen:?} {first_value:?} on node 1 (seed {seed})"
            );
        }
    }
    finals.expect("there is a node")
}

fn read_node<'a>(cluster: &Cluster, number: u16, keys: impl Iterator<Item = &'a str>) -> BTreeMap<String, Final> {
    let (address, _) = cluster.whereabouts(number).expect("the node runs");
    let mut connection = Connection::open(address).expect("the node listens");
    let mut ask = |request: String| connection.ask(&request).expect("the node answers");
    let mut read = |key: &str| {
        let value = Some(ask(format!("GET {key}\n"))).filter(|value| value != "Key not found");
        let seen = parse_version(&ask(format!("VERSION {key}\n")));
        (key.to_string(), (seen, value.as_deref().map(tag)))
    };
    keys.map(&mut read).collect()
}

/// After all tombstones are forgotten, the nodes hold the same values as before, and no others.
pub(crate) fn nothing_returns(cluster: &Cluster, report: &Report, seed: u64) {
    let values = report.finals.values().filter(|(_, value)| value.is_some()).count();
    for number in cluster.numbers() {
        let now = read_node(cluster, number, report.finals.keys().map(String::as_str));
        for (key, (_, value)) in &now {
            assert_eq!(*value, report.finals[key].1, "{key} on node {number} (seed {seed})");
        }
        assert_eq!(cluster.client(number).line("DBSIZE"), values.to_string(), "on node {number} (seed {seed})");
    }
}

// ---- who held a write when ------------------------------------------------------------------------------------------

/// The log of faults, in the form that the search for certain holders needs.
struct Faults<'a> {
    log: &'a [Logged],
    size: u16,
    kills: Vec<Kill>,
    /// For the wire from one node to another, the spans in which it or one of its ends did not work: ascending,
    /// disjoint.
    trouble: BTreeMap<(u16, u16), Vec<(Instant, Instant)>>,
}

/// A node has lost what it held, or the latest part of it.
struct Kill {
    at: Instant,
    node: u16,
    /// What was written to it up to this time is still there; `None`: nothing is.
    kept: Option<Instant>,
    what: String,
}

/// How a node came by a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// From a client: it sends the write to its peers at once.
    Written,
    /// From another node: it passes the write on in rounds.
    Received,
}

impl<'a> Faults<'a> {
    fn new(log: &'a [Logged], cluster: &Cluster) -> Self {
        let size = *cluster.numbers().end();
        let kills = log.iter().filter_map(|logged| {
            let (node, kept) = match logged.fault {
                // A disk has all that was answered.
                Fault::Kill(node) if !cluster.has_disks() => (node, None),
                Fault::CutPower(node) => (node, Some(logged.from - UNSYNCED)),
                _ => return None,
            };
            Some(Kill { at: logged.from, node, kept, what: format!("{logged}") })
        });
        let mut trouble = BTreeMap::new();
        for from in 1..=size {
            for to in (1..=size).filter(|to| *to != from) {
                let here = |fault: Fault| match fault {
                    Fault::Cut(a, b)
                    | Fault::Stall(a, b, _)
                    | Fault::Slow(a, b)
                    | Fault::Truncate(a, b, _)
                    | Fault::Reset(a, b) => (a, b) == (from, to),
                    Fault::Isolate(node) | Fault::Kill(node) | Fault::Pause(node) | Fault::CutPower(node) => {
                        node == from || node == to
                    }
                    Fault::KillAll => true,
                    // Peers are served in any case.
                    Fault::FillDisk(_) => false,
                };
                let mut spans: Vec<(Instant, Instant)> = log
                    .iter()
                    .filter(|logged| here(logged.fault))
                    .map(|logged| match logged.fault {
                        // The fault takes effect with the next bytes.
                        Fault::Truncate(..) => (logged.from, logged.from + 2 * INTERVAL),
                        // A node that has started again first loads what the others hold.
                        Fault::Kill(_) | Fault::KillAll | Fault::CutPower(_) => {
                            (logged.from, logged.until + Duration::from_secs(1))
                        }
                        _ => (logged.from, logged.until),
                    })
                    .collect();
                spans.sort();
                trouble.insert((from, to), merge(&spans));
            }
        }
        Self { log, size, kills: kills.collect(), trouble }
    }

    /// The kill or power cut that took a write from the last node that certainly held it, and how long after its
    /// acknowledgement; `None` if there was always one.
    fn last_holder_killed(&self, write: &Wrote) -> Option<(String, Duration)> {
        let mut holders = BTreeMap::from([(write.node, (write.from, Held::Written))]);
        for Kill { at, node, kept, what } in self.kills.iter().filter(|kill| kill.at >= write.from) {
            self.spread(&mut holders, *at);
            let is_kept = |&(since, held): &(Instant, Held)| match held {
                Held::Written => kept.is_some_and(|kept| write.until <= kept),
                // What a round brings is written to the log when the round ends.
                Held::Received => kept.is_some_and(|kept| since + DELIVERED <= kept),
            };
            if !holders.get(node).is_some_and(is_kept) {
                holders.remove(node);
            }
            if holders.is_empty() {
                return Some((
                    format!("{what}{}", self.meanwhile(*node, *at)),
                    at.saturating_duration_since(write.until),
                ));
            }
        }
        None
    }

    /// Which other faults a node and its wires had within a second before the kill.
    fn meanwhile(&self, node: u16, killed: Instant) -> String {
        let touches = |fault: Fault| match fault {
            Fault::Cut(a, b)
            | Fault::Stall(a, b, _)
            | Fault::Slow(a, b)
            | Fault::Truncate(a, b, _)
            | Fault::Reset(a, b) => a == node || b == node,
            // If all wires of another node are cut, so is its wire to this one.
            _ => true,
        };
        let recent = |logged: &&Logged| logged.from < killed && logged.until + Duration::from_secs(1) > killed;
        let others = self.log.iter().filter(recent).filter(|logged| touches(logged.fault));
        let others: Vec<String> = others.map(|logged| format!("{:?}", logged.fault)).collect();
        if others.is_empty() { String::new() } else { format!(" (before it {})", others.join(", ")) }
    }

    /// Adds the nodes that certainly hold it at a time.
    fn spread(&self, holders: &mut BTreeMap<u16, (Instant, Held)>, at: Instant) {
        loop {
            let before = holders.len();
            let reached = (1..=self.size).filter(|node| !holders.contains_key(node)).filter_map(|node| {
                let times = holders.iter().filter_map(|(&holder, &(since, held))| {
                    let sent = (held == Held::Written).then(|| self.well(holder, node, since, DELIVERED, at)).flatten();
                    // A round with another peer that does not answer delays the next tick.
                    let others = PEER_IO_TIMEOUT * u32::from(self.size - 2);
                    let round = DELIVERED + 2 * INTERVAL + others;
                    let pushed = self.well(holder, node, since, round, at);
                    let pulled = self.well(node, holder, since, round, at);
                    [sent, pushed, pulled].into_iter().flatten().min()
                });
                times.min().map(|time| (node, (time, Held::Received)))
            });
            let reached: Vec<_> = reached.collect();
            holders.extend(reached);
            if holders.len() == before {
                return;
            }
        }
    }

    /// When a wire has worked for `needed` without a break, after `since` and before `by`.
    fn well(&self, from: u16, to: u16, since: Instant, needed: Duration, by: Instant) -> Option<Instant> {
        let mut start = since;
        for &(troubled, clear) in &self.trouble[&(from, to)] {
            if clear <= start {
                continue;
            }
            if start + needed <= troubled {
                break;
            }
            start = clear;
        }
        Some(start + needed).filter(|&done| done <= by)
    }
}

/// Spans of trouble, each lengthened by how long a node then waits before it tries again, and merged where they touch.
fn merge(spans: &[(Instant, Instant)]) -> Vec<(Instant, Instant)> {
    let mut merged: Vec<(Instant, Instant)> = Vec::new();
    let lengthened = |from: Instant, until: Instant| {
        // The waits double, so the last is about as long as all before it together. A delayed request times out.
        let tried = (until - from) * 2;
        until
            + tried.min(MAX_RETRY_DELAY)
            + if until - from > PEER_IO_TIMEOUT / 2 { PEER_IO_TIMEOUT } else { Duration::ZERO }
    };
    let mut ends: Vec<Instant> = Vec::new();
    for &(from, until) in spans {
        match (merged.last_mut(), ends.last_mut()) {
            (Some(last), Some(end)) if from <= last.1 => {
                *end = (*end).max(until);
                last.1 = lengthened(last.0, *end);
            }
            _ => {
                merged.push((from, lengthened(from, until)));
                ends.push(until);
            }
        }
    }
    merged
}
