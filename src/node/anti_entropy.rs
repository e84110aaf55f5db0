//! The anti-entropy manager: the timer thread that compares this node with its peers.
//!
//! A tick takes one round with each peer, one after the other: at the start, at every interval, and when somebody asks. Then it
//! forgets the deletes that may be forgotten. The jitter of the interval keeps the nodes of a cluster from ticking in step.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};
use log::{debug, info};
use parking_lot::Mutex;

use super::Shared;
use super::link::PeerLink;
use crate::replication::message::{Reply, Request};
use crate::replication::reconcile::{RoundReport, reconcile};
use crate::replication::tombstones::Tick;
use crate::replication::{Peer, PeerError};

/// Somebody wants a tick now, and perhaps to be told what it did: a line for each peer.
pub(super) type Ask = Option<Sender<Vec<String>>>;

/// How the rounds with one peer went, for INFO.
#[derive(Default)]
pub(super) struct RoundLog(Mutex<RoundTotals>);

/// The totals of the rounds with one peer. All counters only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTotals {
    pub(super) rounds: u64,
    pub(super) failed: u64,
    pub(super) pulled: u64,
    pub(super) pushed: u64,
    /// When the last round ended, and whether it succeeded.
    pub(super) last: Option<(Instant, bool)>,
}

impl RoundLog {
    pub(super) fn totals(&self) -> RoundTotals {
        *self.0.lock()
    }

    fn record(&self, result: &Result<RoundReport, PeerError>) {
        let mut totals = self.0.lock();
        totals.rounds += 1;
        totals.last = Some((Instant::now(), result.is_ok()));
        match result {
            Ok(report) => {
                totals.pulled += report.pulled;
                totals.pushed += report.pushed;
            }
            Err(_) => totals.failed += 1,
        }
    }
}

/// Ticks until the node stops.
pub(super) fn run(node: &Shared, asks: &Receiver<Ask>) {
    let mut waiting: Vec<Ask> = Vec::new();
    while !node.stop.is_stopping() {
        let lines = tick(node);
        node.finish_loading();
        for ask in waiting.drain(..).flatten() {
            // Whoever asked may have gone.
            let _ = ask.try_send(lines.clone());
        }
        select! {
            recv(asks) -> ask => waiting.extend(ask),
            recv(node.stop.receiver()) -> _ => return,
            default(jittered(node.config.interval)) => {}
        }
        waiting.extend(asks.try_iter());
    }
}

/// One round with every peer, then the settling. Returns what it did, a line for each peer.
fn tick(node: &Shared) -> Vec<String> {
    if !node.config.rules.anti_entropy {
        return vec!["anti-entropy is switched off".into()];
    }
    let tick = Tick::begin(&node.replica);
    let mut reports = Some(Vec::new());
    let mut lines = Vec::new();
    for (link, log) in node.links.iter().zip(&node.rounds) {
        if node.stop.is_stopping() {
            return lines;
        }
        let (line, report) = round(node, link, log);
        lines.push(line);
        let dismissed = link.peer().is_some_and(|peer| peer.progress().dismissed);
        match report {
            Some(report) => reports.iter_mut().for_each(|reports| reports.push(report.clone())),
            // Nobody waits for a peer that the operator has dismissed.
            None if dismissed => {}
            None => reports = None,
        }
    }
    let forgotten = tick.end(&node.replica, reports.as_deref());
    if forgotten > 0 {
        info!("{}: tombstones forgotten that every peer holds: {forgotten}", node.name());
    }
    lines
}

/// A round with one peer: what it did in words, and its report if it succeeded.
fn round(node: &Shared, link: &PeerLink, log: &RoundLog) -> (String, Option<RoundReport>) {
    let started = Instant::now();
    let mut peer = Stoppable { node, peer: link.for_round(&node.replica) };
    let result = reconcile(&node.replica, &mut peer);
    log.record(&result);
    let took = started.elapsed();
    match result {
        Ok(report) => {
            let line = format!("{}: pulled {}, pushed {} in {took:.1?}", link.describe(), report.pulled, report.pushed);
            if report.pulled + report.pushed > 0 {
                info!("{}: round with {line}", node.name());
            } else {
                debug!("{}: round with {line}", node.name());
            }
            (line, Some(report))
        }
        Err(error) => {
            let line = format!("{}: failed: {error}", link.describe());
            peer.peer.abandon();
            if !node.stop.is_stopping() {
                link.report_lost(node.name(), &error, node.config.interval);
            }
            (line, None)
        }
    }
}

/// A peer that is not asked anything more once the node stops: a round may be long.
struct Stoppable<'a, P> {
    node: &'a Shared,
    peer: P,
}

impl<P: Peer> Peer for Stoppable<'_, P> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        if self.node.stop.is_stopping() {
            return Err(PeerError::Lost("this node is stopping".into()));
        }
        self.peer.exchange(prepare)
    }
}

/// The interval, up to a tenth shorter or longer.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() / 5.0)
}
