//! What is remembered of rounds and ticks: for INFO, and for the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use crate::histogram::Histogram;
use crate::limits::HELD_TICKS;
use crate::replication::holdup::Holdup;
use crate::replication::reconcile::{FailedRound, RoundReport};

/// How the rounds with one peer went, for INFO.
#[derive(Default)]
pub(super) struct RoundLog {
    totals: Mutex<RoundTotals>,
    /// How long rounds took, the failed ones included.
    pub(super) durations: Histogram,
}

/// The totals of the rounds with one peer. All counters only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTotals {
    pub(super) rounds: u64,
    pub(super) failed: u64,
    pub(super) pulled: u64,
    pub(super) pushed: u64,
    /// When the last round ended, and whether it succeeded.
    pub(super) last: Option<(Instant, bool)>,
    /// How long it took.
    pub(super) took: Duration,
}

impl RoundLog {
    pub(super) fn totals(&self) -> RoundTotals {
        *self.totals.lock()
    }

    pub(super) fn record(&self, began: Instant, result: &Result<RoundReport, FailedRound>) {
        let took = began.elapsed();
        self.durations.observe(took);
        let mut totals = self.totals.lock();
        totals.rounds += 1;
        totals.last = Some((Instant::now(), result.is_ok()));
        totals.took = took;
        match result {
            Ok(report) => {
                totals.pulled += report.pulled;
                totals.pushed += report.pushed;
            }
            Err(failed) => {
                totals.failed += 1;
                totals.pulled += failed.pulled;
            }
        }
    }
}

/// For which nodes the deletes could not be forgotten in the last tick, and in how many ticks before it.
#[derive(Default)]
pub(super) struct Holdups(Mutex<BTreeMap<Holdup, u32>>);

impl Holdups {
    pub(super) fn list(&self) -> Vec<Holdup> {
        self.0.lock().keys().cloned().collect()
    }

    /// Takes note of a tick's holdups. A configuration that can never work is reported, once, when it has lasted for
    /// some ticks.
    pub(super) fn note(&self, node: &str, holdups: Vec<Holdup>) {
        let mut lasting = self.0.lock();
        let count = |holdup: Holdup| {
            let ticks = lasting.get(&holdup).copied().unwrap_or_default().saturating_add(1);
            (holdup, ticks)
        };
        let now: BTreeMap<Holdup, u32> = holdups.into_iter().map(count).collect();
        for (holdup, _) in now.iter().filter(|&(_, &ticks)| ticks == HELD_TICKS) {
            let why = match holdup {
                Holdup::Away(_) | Holdup::JustMet(_) | Holdup::OwnDisk | Holdup::Clocks => continue,
                Holdup::NeverMet(address) => {
                    format!("no node was ever met at {address}; start it, correct --peer, or type FORGET {address}")
                }
                Holdup::NotAPeer(name) => format!(
                    "{name} speaks with this node, but is not among its peers; \
                     add it with --peer, or type FORGET {name}"
                ),
                Holdup::Twice(name) => format!("two of the peers (--peer) are {name}; remove one of them"),
            };
            warn!("{node}: deletes are not forgotten: {why}");
        }
        *lasting = now;
    }
}
