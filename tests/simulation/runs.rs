//! One run: a seed, a number of nodes and the rules in force make a cluster's whole life.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use kvstore::rules::Rules;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::record::Record;

use super::cluster::{Bounds, Cluster};
use super::counters::COUNTERS;
use super::faults::Chance;
use super::invariants::{Invariant, KEYS, Violation};
use super::judge::Judge;
use super::network::Traffic;
use super::node::Node;
use super::trace::{Style, Trace};

/// How many activities a run has before everything heals, not counting those inside others: with many nodes each of
/// them takes longer.
const fn activities(nodes: usize) -> usize {
    if nodes > 3 { 80 } else { 120 }
}

/// How many ticks every node gets to reach agreement and forget all tombstones.
const HEALING_TICKS: usize = 12;

/// How many ticks every node gets before that, if a tombstone lies ahead of a clock. A wall clock at the end of time
/// stands still for its node: the clock then moves by one a tick, and each delete that was written there lies one
/// further ahead.
const PASSING_TICKS: usize = 1_000;

/// How many ticks nothing may cross the wire after that. By then the nodes have agreed for ten ticks or so.
const SILENT_TICKS: usize = 3;

/// What the bytes of a round are bounded by when nothing differs.
const CHEAP_ROUND_BYTES: u64 = 300;

/// How a run has ended.
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) steps: u64,
    pub(crate) lost_with_memory: u64,
    pub(crate) reissued: u64,
    pub(crate) after_forgotten: u64,
    pub(crate) held_counted: u64,
    pub(crate) expired: u64,
    pub(crate) trace: Vec<String>,
}

/// Takes one run.
pub(crate) fn run(seed: u64, nodes: usize, rules: Rules, style: Style) -> Outcome {
    let chance = Rc::new(Chance::new(seed, nodes));
    let mut cluster =
        Cluster::new(chance.disks(), rules, Bounds { queue: 4, batch: 3 }, chance.clone(), Trace::new(style));
    cluster.judge = Some(RefCell::new(Judge::new(nodes, rules)));
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| live(&cluster, &chance))) {
        let details = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "see above".into());
        let mut judge = cluster
            .judge
            .as_ref()
            .expect("was set above")
            .try_borrow_mut()
            .unwrap_or_else(|_| panic::resume_unwind(panic));
        judge.violate(Invariant::NoPanic, details);
    }
    let judge = cluster.judge.take().expect("was set above").into_inner();
    Outcome {
        violation: judge.violation,
        steps: cluster.steps.get(),
        lost_with_memory: judge.lost_with_memory,
        reissued: judge.reissued,
        after_forgotten: judge.after_forgotten,
        held_counted: judge.held_counted,
        expired: judge.expired,
        trace: cluster.trace.take(),
    }
}

/// Faults, then healing.
fn live(cluster: &Cluster, chance: &Chance) {
    for _ in 0..activities(cluster.nodes.len()) {
        if cluster.failed() {
            break;
        }
        chance.act(cluster);
    }
    let phases = [heal, deliver_what_is_late, write_once_more, stay_silent];
    for phase in phases {
        if !cluster.failed() {
            phase(cluster, chance);
        }
    }
}

fn judge(cluster: &Cluster) -> std::cell::RefMut<'_, Judge> {
    cluster.judge.as_ref().expect("every run has a judge").borrow_mut()
}

fn sweep_all(cluster: &Cluster, chance: &Chance) {
    if chance.has_deadlines() && !cluster.failed() {
        (0..cluster.nodes.len()).for_each(|node| cluster.sweep(node));
    }
}

/// Every node sweeps, syncs and ticks, in an order that chance gives.
fn tick_all(cluster: &Cluster, chance: &Chance) {
    sweep_all(cluster, chance);
    let first = chance.below(cluster.nodes.len());
    for step in 0..cluster.nodes.len() {
        if !cluster.failed() {
            let node = (first + step) % cluster.nodes.len();
            cluster.sync(node);
            cluster.tick(node);
        }
    }
    cluster.pass(5_000);
}

/// All faults end. After a bounded number of ticks the nodes agree, and have forgotten every tombstone.
fn heal(cluster: &Cluster, chance: &Chance) {
    cluster.trace.note(0, || "everything heals".into());
    chance.heal(cluster);
    // What is swept now may lie ahead of a clock, too.
    sweep_all(cluster, chance);
    for _ in 0..PASSING_TICKS {
        if cluster.failed() || !has_tombstone_ahead(cluster) {
            break;
        }
        tick_all(cluster, chance);
    }
    for _ in 0..HEALING_TICKS {
        tick_all(cluster, chance);
    }
    if !cluster.failed() {
        judge(cluster).finished(cluster);
    }
}

/// Whether a tombstone on some node lies ahead of some node's clock, however the wall clocks stand.
fn has_tombstone_ahead(cluster: &Cluster) -> bool {
    let lives: Vec<_> = cluster.nodes.iter().map(Node::life).collect();
    let keys = || KEYS.into_iter().chain(COUNTERS);
    let tombstones = lives.iter().flat_map(|life| keys().map(|key| life.replica.store().record(key.as_bytes())));
    let latest = tombstones.flatten().filter(Record::is_tombstone).map(|tombstone| tombstone.version().timestamp).max();
    let slowest = cluster.nodes.iter().map(|node| {
        let wall = Timestamp::from_millis(node.wall()).min(Timestamp::LATEST_WALL);
        node.life().replica.clock().max(wall)
    });
    latest > slowest.min()
}

/// What is still under way on old connections arrives at last: it changes nothing.
fn deliver_what_is_late(cluster: &Cluster, chance: &Chance) {
    while !cluster.late.borrow().is_empty() && !cluster.failed() {
        chance.deliver_late(cluster);
    }
    // A late PEER may have revoked a connection: one tick finds out, the next one works.
    for _ in 0..2 {
        tick_all(cluster, chance);
    }
    for node in 0..cluster.nodes.len() {
        for peer in cluster.peers(node) {
            // What the queues still hold is sent in vain.
            while cluster.nodes[node].life().links[peer].has_work() && !cluster.failed() {
                cluster.replicate(node, peer);
            }
        }
    }
    if !cluster.failed() {
        judge(cluster).finished(cluster);
        judge(cluster).all_have_met();
    }
}

/// A write on any node is on all others before the next tick.
fn write_once_more(cluster: &Cluster, _chance: &Chance) {
    for (node, key) in (0..cluster.nodes.len()).zip(KEYS) {
        cluster.write(node, key.as_bytes(), Content::Value(b"the last"));
        cluster.peers(node).for_each(|peer| cluster.replicate(node, peer));
        for peer in cluster.peers(node) {
            let value = cluster.nodes[peer].life().replica.get(key.as_bytes(), |value| value.map(<[u8]>::to_vec));
            if value.as_deref() != Some(b"the last") {
                let details = format!("{key} from node{} has not reached node{}", node + 1, peer + 1);
                judge(cluster).violate(Invariant::PromptPropagation, details);
            }
        }
    }
}

/// Between nodes that agree, rounds are cheap and carry no entries.
fn stay_silent(cluster: &Cluster, chance: &Chance) {
    tick_all(cluster, chance);
    cluster.traffic.set(Traffic::default());
    for _ in 0..SILENT_TICKS {
        tick_all(cluster, chance);
    }
    let traffic = cluster.traffic.get();
    let rounds = (SILENT_TICKS * cluster.nodes.len() * (cluster.nodes.len() - 1)) as u64;
    if traffic.bytes > rounds * CHEAP_ROUND_BYTES {
        judge(cluster).violate(Invariant::CheapRound, format!("{} bytes in {rounds} rounds", traffic.bytes));
    } else if traffic.entries > 0 {
        judge(cluster).violate(Invariant::Silence, format!("{} entries", traffic.entries));
    }
    if !cluster.failed() {
        judge(cluster).finished(cluster);
    }
}
