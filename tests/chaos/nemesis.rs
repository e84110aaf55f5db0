//! The nemesis: draws faults from a seed, injects them, and keeps a log of them.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kvstore::limits::PEER_IO_TIMEOUT;

use crate::cluster::{Cluster, SECRET};
use crate::common::Client;
use crate::wire::Way;

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connections from one node to another are reset, and refused for a time.
    Cut(u16, u16),
    /// The same for all connections from and to a node.
    Isolate(u16),
    /// Bytes are accepted, but not forwarded for a time.
    Stall(u16, u16, Way),
    /// Bytes are forwarded slowly for a time.
    Slow(u16, u16),
    /// A frame is cut in two, and the connection is reset.
    Truncate(u16, u16, Way),
    /// The connections are reset.
    Reset(u16, u16),
    /// SIGKILL: the node's memory is gone. It starts again after a time.
    Kill(u16),
    /// SIGSTOP, and SIGCONT after a time.
    Pause(u16),
    /// SIGKILL of all nodes at once. They have disks, and start again after a time.
    KillAll,
    /// SIGKILL, and what was written last is cut off the node's log. It starts again after a time.
    CutPower(u16),
    /// The node's disk has no room for a time.
    FillDisk(u16),
}

/// How many kinds of faults there are for nodes in memory, and how many more for those with disks.
pub(crate) const KINDS: usize = 8;
pub(crate) const KINDS_OF_DISKS: usize = 3;

/// A power cut takes at most what was written so long before: the log is synced every second.
pub(crate) const UNSYNCED: Duration = Duration::from_millis(2500);

/// A disk that was full works again after so long at most: it is tried every 5 seconds.
const HEALS: Duration = Duration::from_secs(10);

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) fault: Fault,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

impl Logged {
    pub(crate) fn kind(&self) -> &'static str {
        match self.fault {
            Fault::Cut(..) => "cut",
            Fault::Isolate(..) => "isolate",
            Fault::Stall(..) => "stall",
            Fault::Slow(..) => "slow",
            Fault::Truncate(..) => "truncate",
            Fault::Reset(..) => "reset",
            Fault::Kill(..) => "kill",
            Fault::Pause(..) => "pause",
            Fault::KillAll => "kill all",
            Fault::CutPower(..) => "cut power",
            Fault::FillDisk(..) => "fill disk",
        }
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} for {:.1?}", self.fault, self.until - self.from)
    }
}

/// How long after the last fault the next one comes, which it is, and how long it lasts. Determined by the seed.
struct Schedule {
    rng: Rng,
    size: u16,
    has_disks: bool,
}

impl Iterator for Schedule {
    type Item = (Duration, Fault, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        let rng = &mut self.rng;
        let pause = Duration::from_millis(rng.u64(200..1000));
        let from = rng.u16(1..=self.size);
        let to = (from + rng.u16(1..self.size) - 1) % self.size + 1;
        let way = if rng.bool() { Way::Requests } else { Way::Answers };
        let fault = match rng.u8(0..100) {
            0..20 => Fault::Cut(from, to),
            20..28 => Fault::Isolate(from),
            28..46 => Fault::Stall(from, to, way),
            46..58 => Fault::Slow(from, to),
            58..70 => Fault::Truncate(from, to, way),
            70..80 => Fault::Reset(from, to),
            80..90 => Fault::Kill(from),
            _ => Fault::Pause(from),
        };
        let fault = match (self.has_disks).then(|| rng.u8(0..100)) {
            Some(0..14) => Fault::KillAll,
            Some(14..28) => Fault::CutPower(from),
            Some(28..42) => Fault::FillDisk(from),
            _ => fault,
        };
        let lasts = match (fault, rng.u8(0..20)) {
            (Fault::Truncate(..) | Fault::Reset(..), _) => Duration::ZERO,
            // Now and then longer than a node waits for a reply.
            (Fault::Stall(..) | Fault::Pause(_), 0) => PEER_IO_TIMEOUT + Duration::from_millis(rng.u64(200..1500)),
            _ => Duration::from_millis(rng.u64(100..1500)),
        };
        Some((pause, fault, lasts))
    }
}

pub(crate) struct Nemesis {
    cluster: Arc<Cluster>,
    schedule: Schedule,
    log: Vec<Logged>,
    /// The restarts and SIGCONTs that are due, and when.
    undo: Vec<(Instant, Fault)>,
}

impl Nemesis {
    pub(crate) fn new(cluster: &Arc<Cluster>, seed: u64) -> Self {
        let size = *cluster.numbers().end();
        let rng = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(u64::from(size)));
        Self {
            cluster: Arc::clone(cluster),
            schedule: Schedule { rng, size, has_disks: cluster.has_disks() },
            log: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// Injects faults for a time, then heals everything. Returns the log.
    pub(crate) fn torment(mut self, time: Duration) -> Vec<Logged> {
        let end = Instant::now() + time;
        loop {
            let (pause, fault, lasts) = self.schedule.next().expect("it never ends");
            let at = Instant::now() + pause;
            if at >= end {
                break;
            }
            self.rest_until(at);
            self.strike(fault, lasts);
        }
        self.rest_until(end);
        self.cluster.heal_wires();
        let now = Instant::now();
        self.log.iter_mut().for_each(|logged| logged.until = logged.until.min(now));
        while let Some((_, fault)) = self.undo.pop() {
            self.make_undone(fault);
        }
        self.log
    }

    /// Waits, and carries out the restarts and SIGCONTs that become due.
    fn rest_until(&mut self, time: Instant) {
        loop {
            self.undo.sort_by_key(|(due, _)| std::cmp::Reverse(*due));
            match self.undo.pop_if(|(due, _)| *due <= time) {
                Some((due, fault)) => {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    self.make_undone(fault);
                }
                None => return thread::sleep(time.saturating_duration_since(Instant::now())),
            }
        }
    }

    fn strike(&mut self, fault: Fault, lasts: Duration) {
        let (cluster, mut from) = (&self.cluster, Instant::now());
        let mut until = from + lasts;
        match fault {
            Fault::Cut(a, b) => cluster.wire(a, b).cut(until),
            Fault::Isolate(node) => cluster.wires_of(node).for_each(|wire| wire.cut(until)),
            Fault::Stall(a, b, way) => cluster.wire(a, b).stall(way, until),
            Fault::Slow(a, b) => cluster.wire(a, b).slow(until),
            Fault::Truncate(a, b, way) => cluster.wire(a, b).truncate(way),
            Fault::Reset(a, b) => cluster.wire(a, b).cut(from),
            Fault::KillAll | Fault::CutPower(_) | Fault::FillDisk(_) => return self.strike_disks(fault, lasts),
            Fault::Kill(node) | Fault::Pause(node) => {
                let is_down = |other: &Fault| matches!(other, Fault::Kill(_) | Fault::KillAll | Fault::CutPower(_));
                let busy = |other: &Fault| is_down(other) || *other == Fault::Pause(node);
                let is_pause = matches!(fault, Fault::Pause(_));
                // Only one node is down at a time, and only if another node holds what it holds: a store in memory
                // cannot survive the loss of all copies.
                let is_spared = || is_pause || cluster.has_disks() || self.is_spared_by_others(node);
                if self.undo.iter().any(|(_, other)| busy(other)) || !is_spared() {
                    return;
                }
                if is_pause {
                    cluster.signal(node, "STOP");
                } else {
                    cluster.kill(node);
                }
                // Looking at the others has taken time, and the node may have answered clients until now.
                from = Instant::now();
                until = from + lasts;
                self.undo.push((until, fault));
            }
        }
        self.log.push(Logged { fault, from, until });
    }

    /// The faults of disks. Each waits until the nodes run and no other fault of a disk has an effect: what only a full
    /// disk's node holds in memory must not be lost elsewhere.
    fn strike_disks(&mut self, fault: Fault, lasts: Duration) {
        let is_recent = |logged: &&Logged| logged.until + HEALS > Instant::now();
        let mut full = self.log.iter().filter(|logged| matches!(logged.fault, Fault::FillDisk(_)));
        let is_full = full.any(|logged| is_recent(&logged));
        let is_busy = self.undo.iter().any(|(_, other)| !matches!(other, Fault::FillDisk(_)));
        if is_busy || (is_full && !matches!(fault, Fault::KillAll)) {
            return;
        }
        match fault {
            Fault::FillDisk(node) if !self.cluster.fill_disk(node, true) => return,
            Fault::KillAll => self.cluster.kill_all(),
            Fault::CutPower(node) => {
                let synced = self.cluster.log_length(node);
                thread::sleep(UNSYNCED);
                self.cluster.cut_power(node, synced);
            }
            _ => {}
        }
        let from = Instant::now();
        self.undo.push((from + lasts, fault));
        self.log.push(Logged { fault, from, until: from + lasts });
    }

    fn make_undone(&mut self, fault: Fault) {
        match fault {
            Fault::Pause(node) => self.cluster.signal(node, "CONT"),
            Fault::Kill(node) | Fault::CutPower(node) => self.cluster.start_node(node),
            Fault::KillAll => self.cluster.numbers().for_each(|node| self.cluster.start_node(node)),
            Fault::FillDisk(node) => drop(self.cluster.fill_disk(node, false)),
            other => unreachable!("{other:?} ends by itself"),
        }
        let last = self.log.iter_mut().rfind(|logged| logged.fault == fault);
        last.into_iter().for_each(|logged| logged.until = Instant::now());
    }

    /// Whether another node holds about as much as this one.
    fn is_spared_by_others(&self, node: u16) -> bool {
        let Some(keys) = self.keys(node) else { return false };
        let mut others = self.cluster.numbers().filter(|&other| other != node);
        others.any(|other| self.keys(other).is_some_and(|held| held * 20 >= keys * 19))
    }

    fn keys(&self, node: u16) -> Option<usize> {
        let (address, _) = self.cluster.whereabouts(node)?;
        let mut client = Client::try_connect(address).ok()?;
        client.stream().set_read_timeout(Some(Duration::from_millis(200))).ok()?;
        client.try_line(&format!("AUTH {SECRET}")).ok()?;
        client.try_line("DBSIZE").ok()?.parse().ok()
    }
}
