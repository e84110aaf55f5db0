//! Everything that goes wrong, as a seed says.
//!
//! Each seed draws its own rate for each fault, zero for some: a run in which everything fails at once finds less than
//! runs in which two or three things fail often.

use std::cell::{Cell, RefCell};

use fastrand::Rng;
use kvstore::disk::SyncPolicy;
use kvstore::replication::message::Request;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;
use kvstore::store::record::Record;
use kvstore::store::version::Version;

use super::cluster::{Cluster, Director, Fate};
use super::counters::COUNTERS;
use super::disk::End;
use super::invariants::KEYS;
use super::node::{Node, START_MS};

/// How many activities may stand inside each other.
const MAX_DEPTH: usize = 4;

/// After this many steps nothing is begun inside anything else any more, so that every run ends.
const NESTING_BUDGET: u64 = 3_000;

/// How many ticks every node takes while an activity waits for very long: enough to settle a tombstone and forget it.
const STALLED_TICKS: usize = 7;

const MINUTE_MS: u64 = 60_000;

const YEAR_MS: u64 = 365 * 24 * 60 * MINUTE_MS;

/// How far a clock can jump that is badly broken: beyond the last time that can be stamped.
const CENTURIES: u64 = 300;

/// What the disks of a run are drawn with: a generator of their own, so that a run without disks is what it was before
/// there were any.
const DISKS_SEED: u64 = 0xd15c;

/// What deadlines are drawn with: a generator of their own, as for disks.
const DEADLINES_SEED: u64 = 0xdead;

/// What counters are drawn with: a generator of their own, as for disks.
const COUNTERS_SEED: u64 = 0xc0de;

/// How long a value lives at most. The last one outlives every run: its deadline may pass only by a clock that jumps.
const TIMES_TO_LIVE_MS: [u64; 4] = [20, 5_000, MINUTE_MS, 2 * YEAR_MS];

/// How often what happens: weights of activities, and probabilities of a message's fates.
#[derive(Clone, Debug)]
struct Rates {
    write: u32,
    /// Of the writes, how many in a hundred are deletes.
    delete_percent: u32,
    replicate: u32,
    tick: u32,
    deliver_late: u32,
    time: u32,
    cut: u32,
    mend: u32,
    restart: u32,
    clock: u32,
    /// The probability that something happens while an activity waits.
    nest: f64,
    /// The probability that an activity waits for very long.
    stall: f64,
    lost: f64,
    late: f64,
    reply_lost: f64,
    repeated: f64,
    /// How many keys are written to.
    keys: usize,
}

impl Rates {
    fn draw(rng: &mut Rng) -> Self {
        // A third of the faults do not happen at all, the others up to their most, small rates being likelier.
        let rate = |rng: &mut Rng, most: f64| if rng.u8(..3) == 0 { 0.0 } else { most * rng.f64() * rng.f64() };
        let weight = |rng: &mut Rng, most: u32| rate(rng, f64::from(most)).ceil() as u32;
        Self {
            write: rng.u32(10..60),
            delete_percent: rng.u32(10..70),
            replicate: rng.u32(1..60),
            tick: rng.u32(4..40),
            deliver_late: rng.u32(1..15),
            time: rng.u32(1..30),
            cut: weight(rng, 10),
            mend: rng.u32(1..10),
            restart: weight(rng, 6),
            clock: weight(rng, 10),
            nest: rate(rng, 0.5),
            stall: rate(rng, 0.05),
            lost: rate(rng, 0.2),
            late: rate(rng, 0.3),
            reply_lost: rate(rng, 0.2),
            repeated: rate(rng, 0.2),
            keys: rng.usize(1..=KEYS.len()),
        }
    }
}

/// How often what happens to disks: weights of activities, all 0 in a run without disks.
#[derive(Clone, Debug, Default)]
struct DiskRates {
    sync: u32,
    save: u32,
    kill: u32,
    power_cut: u32,
    back_up: u32,
    put_back: u32,
    fill_up: u32,
    mend: u32,
}

impl DiskRates {
    fn draw(rng: &mut Rng) -> Self {
        let mut weight = |most: u32| if rng.u8(..3) == 0 { 0 } else { rng.u32(1..=most) };
        Self {
            sync: weight(12),
            save: weight(4),
            kill: weight(4),
            power_cut: weight(4),
            back_up: weight(4),
            put_back: weight(4),
            fill_up: weight(2),
            mend: 4,
        }
    }
}

/// Which machines have a disk, and when an answered write is durable there: none, some, or all of them.
fn draw_disks(rng: &mut Rng, nodes: usize) -> Vec<Option<SyncPolicy>> {
    let which = rng.u8(..3);
    let policy = if rng.bool() { SyncPolicy::Always } else { SyncPolicy::EverySecond };
    (0..nodes).map(|_| Some(policy).filter(|_| which == 2 || (which == 1 && rng.bool()))).collect()
}

/// How often what happens to deadlines: weights of activities, all 0 in a run without deadlines.
#[derive(Clone, Debug, Default)]
struct DeadlineRates {
    expire: u32,
    sweep: u32,
    /// Of the values, how many in a hundred are written with a deadline.
    percent: u32,
    /// Of the deadlines, the longest, as an index of [`TIMES_TO_LIVE_MS`].
    longest: usize,
}

impl DeadlineRates {
    fn draw(rng: &mut Rng) -> Self {
        if rng.bool() {
            return Self::default();
        }
        Self {
            expire: rng.u32(0..20),
            sweep: rng.u32(1..20),
            percent: rng.u32(10..100),
            longest: rng.usize(..TIMES_TO_LIVE_MS.len()),
        }
    }
}

/// How often what happens to counters: weights of activities, all 0 in a run without counters.
#[derive(Clone, Debug, Default)]
struct CounterRates {
    count: u32,
    write: u32,
    delete: u32,
    expire: u32,
}

impl CounterRates {
    fn draw(rng: &mut Rng) -> Self {
        if rng.bool() {
            return Self::default();
        }
        Self { count: rng.u32(5..40), write: rng.u32(0..8), delete: rng.u32(0..8), expire: rng.u32(0..8) }
    }
}

/// Chance, from one seed. It is the only source of it in a run.
pub(crate) struct Chance {
    rng: RefCell<Rng>,
    rates: Rates,
    disk_rates: DiskRates,
    disks: Vec<Option<SyncPolicy>>,
    deadline_rates: DeadlineRates,
    deadlines_rng: RefCell<Rng>,
    counter_rates: CounterRates,
    counters_rng: RefCell<Rng>,
    depth: Cell<usize>,
    /// Whether everything has healed: messages arrive, and nothing happens by itself.
    healed: Cell<bool>,
    /// Counts the values written, so that each is another.
    values: Cell<u64>,
    /// Who has written to what, and when (if it was the first in its millisecond): for machines that are put back to
    /// then.
    written: RefCell<Vec<(usize, &'static str, u64)>>,
    /// The latest time of any version.
    latest_ms: Cell<u64>,
}

impl Chance {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rates = Rates::draw(&mut rng);
        let mut disks_rng = Rng::with_seed(seed ^ DISKS_SEED);
        let disks = draw_disks(&mut disks_rng, nodes);
        let has_disks = disks.iter().any(Option::is_some);
        let disk_rates = if has_disks { DiskRates::draw(&mut disks_rng) } else { DiskRates::default() };
        let mut deadlines_rng = Rng::with_seed(seed ^ DEADLINES_SEED);
        let deadline_rates = DeadlineRates::draw(&mut deadlines_rng);
        let mut counters_rng = Rng::with_seed(seed ^ COUNTERS_SEED);
        let counter_rates = CounterRates::draw(&mut counters_rng);
        Self {
            rng: RefCell::new(rng),
            rates,
            disk_rates,
            disks,
            deadline_rates,
            deadlines_rng: RefCell::new(deadlines_rng),
            counter_rates,
            counters_rng: RefCell::new(counters_rng),
            depth: Cell::new(0),
            healed: Cell::new(false),
            values: Cell::new(0),
            written: RefCell::default(),
            latest_ms: Cell::new(START_MS),
        }
    }

    /// The disks of the machines.
    pub(crate) fn disks(&self) -> &[Option<SyncPolicy>] {
        &self.disks
    }

    /// Whether values expire in this run.
    pub(crate) fn has_deadlines(&self) -> bool {
        self.deadline_rates.sweep > 0
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.rng.borrow_mut().usize(..end)
    }

    fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && self.rng.borrow_mut().f64() < probability
    }

    fn other_than(&self, node: usize, count: usize) -> usize {
        (node + 1 + self.below(count - 1)) % count
    }

    /// From now on messages arrive, and nothing happens by itself.
    pub(crate) fn heal(&self, cluster: &Cluster) {
        self.healed.set(true);
        for from in 0..cluster.nodes.len() {
            cluster.peers(from).for_each(|to| cluster.set_cut(from, to, false));
        }
        // The clocks agree again, and show what they will show one day: a time later than all that was written.
        let latest_ms = cluster.nodes.iter().map(|node| node.wall()).max().max(Some(self.latest_ms.get()));
        // What expires soon has expired then, and the rest stays.
        let longer_ms = if self.has_deadlines() { 2 * MINUTE_MS } else { 1_000 };
        for node in &cluster.nodes {
            node.disk.iter().for_each(|disk| disk.mend());
            node.pace.set(1000);
            node.set_wall(latest_ms.unwrap_or(START_MS) + longer_ms);
        }
    }

    /// Something happens.
    pub(crate) fn act(&self, cluster: &Cluster) {
        let (rates, disk_rates) = (&self.rates, &self.disk_rates);
        let (deadline_rates, counter_rates) = (&self.deadline_rates, &self.counter_rates);
        let weights = [
            rates.write,
            rates.replicate,
            rates.tick,
            rates.deliver_late,
            rates.time,
            rates.cut,
            rates.mend,
            rates.restart,
            rates.clock,
            disk_rates.sync,
            disk_rates.save,
            disk_rates.kill,
            disk_rates.power_cut,
            disk_rates.back_up,
            disk_rates.put_back,
            disk_rates.fill_up,
            disk_rates.mend,
            deadline_rates.expire,
            deadline_rates.sweep,
            counter_rates.count,
            counter_rates.write,
            counter_rates.delete,
            counter_rates.expire,
        ];
        let mut chosen = self.rng.borrow_mut().u32(..weights.iter().sum::<u32>());
        let activity = weights.iter().position(|&weight| {
            let is_it = chosen < weight;
            chosen = chosen.saturating_sub(weight);
            is_it
        });
        let count = cluster.nodes.len();
        let node = self.below(count);
        match activity.expect("the weights add up") {
            0 => self.write(cluster, node),
            1 => self.replicate(cluster, node),
            2 if cluster.may_tick(node) => _ = cluster.tick(node),
            2 => _ = cluster.begin_round(node, &cluster.nodes[node].life()),
            3 => self.deliver_late(cluster),
            4 => self.time(cluster),
            5 => self.cut(cluster, node, true),
            6 => self.cut(cluster, node, false),
            7 => self.restart(cluster, node),
            8 => self.clock(cluster, node),
            9 => cluster.sync(node),
            10 => cluster.save(node),
            11 => self.each(cluster, node, |node| cluster.end(node, &End::Kill)),
            12 => self.each(cluster, node, |node| cluster.end(node, &End::PowerCut(&|most| self.below(most + 1)))),
            13 => self.each(cluster, node, |node| cluster.back_up(node)),
            14 => self.put_disk_back(cluster, node),
            15 => cluster.nodes[node].disk.iter().for_each(|disk| disk.fill_up(self.below(8) as u64)),
            16 => cluster.nodes[node].disk.iter().for_each(|disk| disk.mend()),
            17 => self.expire(cluster, node),
            18 => cluster.sweep(node),
            counting => self.count(cluster, node, counting - 19),
        }
    }

    /// A client counts, or does something else with a counter.
    fn count(&self, cluster: &Cluster, node: usize, what: usize) {
        if !cluster.takes_writes(node) {
            return;
        }
        let (key, number) = {
            let mut rng = self.counters_rng.borrow_mut();
            (COUNTERS[rng.usize(..COUNTERS.len())], rng.i64(-5..100))
        };
        let deadline = || self.draw_deadline(&cluster.nodes[node]);
        let text = number.to_string();
        match what {
            0 => cluster.count(node, key.as_bytes(), number),
            1 if number % 7 == 0 => cluster.write_counter(node, key.as_bytes(), Content::Value(b"no number")),
            1 => cluster.write_counter(node, key.as_bytes(), Content::until(text.as_bytes(), deadline())),
            2 => cluster.write_counter(node, key.as_bytes(), Content::Tombstone),
            _ => cluster.expire_counter(node, key.as_bytes(), deadline()),
        }
        self.note_time(cluster, node, key);
    }

    /// Notes the time of what stands under a counter, so that the clocks show a later one in the end.
    fn note_time(&self, cluster: &Cluster, node: usize, key: &str) {
        let record = cluster.nodes[node].life().replica.store().record(key.as_bytes());
        let version = record.as_ref().map(|record| record.version().timestamp);
        let shares = record.iter().flat_map(Record::shares).map(|share| share.counted.at);
        let latest = shares.chain(version).map(Timestamp::millis).max().unwrap_or_default();
        self.latest_ms.set(self.latest_ms.get().max(latest));
    }

    /// An activity waits for so long that everybody else has time to forget what it is about.
    fn stall(&self, cluster: &Cluster) {
        cluster.trace.note(0, || "something waits for long".into());
        (0..6).for_each(|_| self.act(cluster));
        self.tick_all(cluster);
    }

    /// Every node that can takes so many ticks that deletes are forgotten.
    fn tick_all(&self, cluster: &Cluster) {
        for _ in 0..STALLED_TICKS {
            (0..cluster.nodes.len()).filter(|&node| cluster.may_tick(node)).for_each(|node| _ = cluster.tick(node));
        }
    }

    fn write(&self, cluster: &Cluster, node: usize) {
        if !cluster.takes_writes(node) {
            return;
        }
        self.write_to(cluster, node, KEYS[self.below(self.rates.keys)]);
    }

    fn write_to(&self, cluster: &Cluster, node: usize, key: &'static str) {
        self.values.set(self.values.get() + 1);
        // The greater value is not always the later one.
        let value = format!("{}{}", ['a', 'b', 'c'][self.below(3)], self.values.get());
        let is_delete = self.below(100) < self.rates.delete_percent as usize;
        let deadline = self.draw_deadline(&cluster.nodes[node]).filter(|_| !is_delete);
        let value = (!is_delete).then_some(value.as_bytes());
        cluster.write(node, key.as_bytes(), value.map_or(Content::Tombstone, |value| Content::until(value, deadline)));
        self.note_written(cluster, node, key);
    }

    /// A client gives a value a deadline, another one, or none.
    fn expire(&self, cluster: &Cluster, node: usize) {
        if cluster.takes_writes(node) {
            let key = KEYS[self.below(self.rates.keys)];
            cluster.expire(node, key.as_bytes(), self.draw_deadline(&cluster.nodes[node]));
            self.note_written(cluster, node, key);
        }
    }

    /// The deadline of a value that is written now on this machine, if it gets one.
    fn draw_deadline(&self, machine: &Node) -> Option<Deadline> {
        let DeadlineRates { percent, longest, .. } = self.deadline_rates;
        let mut rng = self.deadlines_rng.borrow_mut();
        let has_one = self.has_deadlines() && rng.u32(..100) < percent;
        let most_ms = TIMES_TO_LIVE_MS[if has_one { rng.usize(..=longest) } else { 0 }];
        has_one.then(|| machine.deadline_in(rng.u64(..most_ms)))
    }

    fn note_written(&self, cluster: &Cluster, node: usize, key: &'static str) {
        let version = cluster.nodes[node].life().replica.store().version(key.as_bytes());
        if let Some(Version { timestamp, .. }) = version {
            self.latest_ms.set(self.latest_ms.get().max(timestamp.millis()));
            if timestamp.counter() == 0 {
                self.written.borrow_mut().push((node, key, timestamp.millis()));
            }
        }
    }

    /// A replicator that has work goes to work.
    fn replicate(&self, cluster: &Cluster, node: usize) {
        let peer = self.other_than(node, cluster.nodes.len());
        cluster.replicate(node, peer);
    }

    /// Something that is under way on a broken connection arrives.
    pub(crate) fn deliver_late(&self, cluster: &Cluster) {
        let connections = cluster.late.borrow().len();
        if connections > 0 {
            cluster.deliver_late(self.below(connections));
        }
    }

    fn time(&self, cluster: &Cluster) {
        let millis = [0, 1, 20, 5_000][self.below(4)];
        cluster.pass(millis);
    }

    fn cut(&self, cluster: &Cluster, node: usize, cut: bool) {
        let peer = self.other_than(node, cluster.nodes.len());
        let both = self.below(2) == 0;
        cluster.set_cut(node, peer, cut);
        if both || !cut {
            cluster.set_cut(peer, node, cut);
        }
        let (verb, ways) = (if cut { "cut" } else { "mended" }, if both || !cut { "both ways" } else { "one way" });
        cluster.trace.note(node, || format!("network to node{} {verb} {ways}", peer + 1));
    }

    fn restart(&self, cluster: &Cluster, node: usize) {
        match self.below(8) {
            0 => (0..cluster.nodes.len()).for_each(|step| {
                // All of them, one after the other, each with its ticks in between.
                let node = (node + step) % cluster.nodes.len();
                cluster.restart(node);
                (0..cluster.nodes.len()).filter(|&node| cluster.may_tick(node)).for_each(|node| _ = cluster.tick(node));
            }),
            1..=4 => self.put_back(cluster, node),
            _ => cluster.restart(node),
        }
    }

    /// A machine is put back to a snapshot: its memory is gone, and its clock shows what it has shown before. Until the
    /// network is back it serves clients alone, and they write again what they wrote then, or something else.
    fn put_back(&self, cluster: &Cluster, node: usize) {
        let last = self.written.borrow().iter().rfind(|(writer, ..)| *writer == node).copied();
        let (_, key, millis) = last.unwrap_or((node, KEYS[0], START_MS));
        let machine = &cluster.nodes[node];
        machine.set_wall(millis);
        cluster.restart(node);
        if self.below(2) == 0 {
            cluster.peers(node).for_each(|peer| cluster.set_cut(node, peer, true));
            machine.life().serving.set(true);
            self.write_to(cluster, node, key);
        }
    }

    /// Something befalls one machine, or all at once.
    fn each(&self, cluster: &Cluster, node: usize, befalls: impl Fn(usize)) {
        match self.below(4) {
            0 => (0..cluster.nodes.len()).for_each(befalls),
            _ => befalls(node),
        }
    }

    /// A machine's disk is lost, and one of its copies is put back: any copy, or the last one, after the nodes had time
    /// to delete what it holds, and to forget the deletes.
    fn put_disk_back(&self, cluster: &Cluster, node: usize) {
        if self.below(3) == 0 {
            return self.each(cluster, node, |node| {
                let copies = cluster.nodes[node].disk.as_ref().map_or(0, |disk| disk.copies());
                if copies > 0 {
                    self.put_copy_back(cluster, node, self.below(copies));
                }
            });
        }
        let Some(disk) = &cluster.nodes[node].disk else { return };
        let copy = disk.copies();
        cluster.back_up(node);
        (0..6).for_each(|_| self.write(cluster, self.below(cluster.nodes.len())));
        self.tick_all(cluster);
        // Do the others still know?
        let other = self.other_than(node, cluster.nodes.len());
        match self.below(6) {
            0 => cluster.end(other, &End::Kill),
            1 => cluster.end(other, &End::PowerCut(&|most| self.below(most + 1))),
            2 => cluster.restart(other),
            _ => {}
        }
        self.put_copy_back(cluster, node, copy);
    }

    fn put_copy_back(&self, cluster: &Cluster, node: usize, copy: usize) {
        let copy = cluster.nodes[node].disk.as_ref().map(|disk| disk.copy(copy));
        copy.iter().for_each(|copy| cluster.end(node, &End::PutBack(copy)));
    }

    fn clock(&self, cluster: &Cluster, node: usize) {
        let machine = &cluster.nodes[node];
        let now = machine.wall();
        let step = [10, 1_000, 30_000, MINUTE_MS, 5 * MINUTE_MS][self.below(5)];
        match self.below(9) {
            0 | 1 => machine.set_wall(now - step),
            2 => machine.set_wall(now + step),
            3 => machine.pace.set(0),
            4 => machine.pace.set([900, 990, 1010, 1100][self.below(4)]),
            5 => machine.pace.set(1000),
            6 => machine.set_wall(now + [60 * MINUTE_MS, YEAR_MS, CENTURIES * YEAR_MS][self.below(3)]),
            // All show the same, and stand still: every write is a tie of times.
            7 => cluster.nodes.iter().for_each(|node| {
                node.set_wall(now);
                node.pace.set(0);
            }),
            _ => cluster.nodes.iter().for_each(|node| {
                node.set_wall(now);
                node.pace.set(1000);
            }),
        }
        cluster.trace.note(node, || {
            format!("clock: {} ms, pace {}", machine.wall() as i64 - START_MS as i64, machine.pace.get())
        });
    }
}

impl Director for Chance {
    fn pause(&self, cluster: &Cluster, _node: usize, _sending: Option<&Request>) {
        let busy = self.depth.get() >= MAX_DEPTH || cluster.steps.get() >= NESTING_BUDGET;
        if busy || self.healed.get() || cluster.failed() {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() == 1 && self.happens(self.rates.stall) {
            self.stall(cluster);
        } else if self.happens(self.rates.nest) {
            (0..=self.below(3)).for_each(|_| self.act(cluster));
        }
        self.depth.set(self.depth.get() - 1);
    }

    fn fate(&self, _cluster: &Cluster, _from: usize, _to: usize, _request: &Request, cut: bool) -> Fate {
        if self.healed.get() {
            return Fate::Arrives;
        }
        let rates = &self.rates;
        if cut {
            return if self.below(2) == 0 { Fate::Lost } else { Fate::Late };
        }
        let faults = [
            (rates.lost, Fate::Lost),
            (rates.late, Fate::Late),
            (rates.reply_lost, Fate::ReplyLost),
            (rates.repeated, Fate::Repeated),
        ];
        let fate = faults.into_iter().find(|&(probability, _)| self.happens(probability));
        fate.map_or(Fate::Arrives, |(_, fate)| fate)
    }
}
