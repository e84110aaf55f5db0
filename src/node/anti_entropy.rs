//! The anti-entropy manager: the timer thread that compares this node with its peers.
//!
//! A tick runs a round with each peer: at the start, at every interval, and when asked. The rounds run side by side,
//! each in a thread of its own, so that a peer that hangs delays no other peer's repair. When all have ended, the tick
//! settles and forgets the deletes that may be forgotten. The jitter of the interval keeps the nodes of a cluster from
//! ticking in step.
//!
//! The first ticks are the load: a node that starts serves clients when it has completed a round with every peer that
//! it can reach.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use log::{debug, info, warn};

use super::link::Link;
use super::remote_peer::RemotePeer;
use super::shared::{PeerHandle, TickRequest};
use super::{End, Shared};
use crate::commands::stats::{Moved, RoundSummary};
use crate::replication::delivery::repair;
use crate::replication::holdup::Holdup;
use crate::replication::message::{Reply, Request};
use crate::replication::propagate::Backoff;
use crate::replication::reconcile::{FailedRound, RoundReport};
use crate::replication::tombstones::{PeerRound, Rounds, Tick};
use crate::replication::{Peer, PeerError};
use crate::rules::Rule;

/// Ticks until the node stops.
pub(super) fn run(node: &Shared, asked: &Receiver<TickRequest>) {
    load(node);
    let mut requests: Vec<TickRequest> = Vec::new();
    while !node.stop.is_stopping() {
        select! {
            recv(asked) -> request => requests.extend(request),
            recv(node.stop.receiver()) -> _ => return,
            default(jittered(node.config.interval)) => {}
        }
        requests.extend(asked.try_iter());
        let rounds = tick(node);
        let summaries = summaries(node, &rounds);
        for request in requests.drain(..) {
            if let TickRequest::Report(report) = request {
                // The client may have gone.
                let _ = report.try_send(summaries.clone());
            }
        }
    }
}

/// Ticks until every peer that can be reached has told all that it holds, then serves clients. A peer that is reached
/// but brings nothing new for the time of `--load-patience` is waited for no longer. A node that stops meanwhile, as
/// one with an old copy of its disk does, never serves.
fn load(node: &Shared) {
    let (mut backoff, mut last_progress) = (Backoff::default(), Instant::now());
    loop {
        let mut missed = tick(node);
        missed.retain(PeerRound::is_missed);
        if node.stop.is_stopping() {
            return;
        }
        if missed.is_empty() {
            break;
        }
        if missed.iter().any(|round| round.pulled() > 0) {
            (backoff, last_progress) = (Backoff::default(), Instant::now());
        }
        let delay = backoff.next_delay(fastrand::f64());
        if last_progress.elapsed() + delay > node.config.load_patience {
            let names: Vec<&str> = missed.iter().map(|round| round.address.as_str()).collect();
            warn!("{}: serves clients without all that these peers hold: {}", node.name(), names.join(", "));
            break;
        }
        debug!("{}: the load is not complete; another tick in {delay:.0?}", node.name());
        node.stop.wait(delay);
    }
    node.finish_loading();
}

/// Runs a tick; returns how its rounds have ended.
fn tick(node: &Shared) -> Vec<PeerRound> {
    if !node.config.rules.has(Rule::AntiEntropy) {
        return Vec::new();
    }
    let Some(report) = Tick::run(&node.replica, &mut SideBySide { node }) else { return Vec::new() };
    if report.forgotten > 0 {
        info!("{}: tombstones forgotten that every peer holds: {}", node.name(), report.forgotten);
    }
    let clocks = (report.ahead > 0).then_some(Holdup::Clocks);
    node.holdups.note(node.name(), report.holdups.into_iter().chain(clocks).collect());
    node.replica.report_conflicts();
    report.rounds
}

/// Runs the rounds of a tick side by side: a thread for each peer.
struct SideBySide<'a> {
    node: &'a Shared,
}

impl Rounds for SideBySide<'_> {
    fn run(&mut self) -> Option<Vec<PeerRound>> {
        let node = self.node;
        // Closes when no peer's first round is still under way.
        let (under_way, all_ended) = bounded::<()>(0);
        let run_rounds = |peer, under_way: Sender<()>| {
            let mut round = run_round(node, peer);
            drop(under_way);
            // While another peer keeps the tick waiting, this one is compared at every interval all the same.
            while all_ended.recv_timeout(jittered(node.config.interval)) == Err(RecvTimeoutError::Timeout) {
                round = run_round(node, peer);
            }
            round
        };
        let rounds: Vec<PeerRound> = thread::scope(|scope| {
            let (run_rounds, under_way) = (&run_rounds, under_way);
            let begin = |peer| {
                let (under_way, name) = (under_way.clone(), format!("{} round", node.name()));
                (peer, thread::Builder::new().name(name).spawn_scoped(scope, move || run_rounds(peer, under_way)))
            };
            let begun: Vec<_> = node.peers.iter().map(begin).collect();
            drop(under_way);
            let ended =
                begun.into_iter().map(|(peer, thread)| (peer, thread.ok().and_then(|thread| thread.join().ok())));
            ended.map(|(peer, round)| round.unwrap_or_else(|| no_round(node, &peer.link))).collect()
        });
        (!node.stop.is_stopping()).then_some(rounds)
    }
}

/// A round with one peer.
fn run_round(node: &Shared, handle: &PeerHandle) -> PeerRound {
    let link = &handle.link;
    let started = Instant::now();
    let mut peer = Stoppable { node, peer: RemotePeer::for_round(link, &node.replica) };
    let result = repair(&node.replica, &mut peer, handle.queue.delivery());
    handle.rounds.record(started, &result);
    match &result {
        Ok(report) => {
            let level = if report.pulled + report.pushed > 0 { log::Level::Info } else { log::Level::Debug };
            let (took, RoundReport { pulled, pushed, .. }) = (started.elapsed(), report);
            log::log!(
                level,
                "{}: round with {}: pulled {pulled}, pushed {pushed} in {took:.1?}",
                node.name(),
                link.describe()
            );
        }
        Err(failed) => {
            peer.peer.abandon();
            match &failed.error {
                PeerError::OldCopy(why) => node.end(End::OldCopy(why.clone())),
                error if !node.stop.is_stopping() => link.report_lost(node.name(), error, node.config.interval),
                _ => {}
            }
        }
    }
    ended(node, link, result)
}

/// How a round has ended.
fn ended(node: &Shared, link: &Link, result: Result<RoundReport, FailedRound>) -> PeerRound {
    let address = link.address.clone();
    let member = result.as_ref().map_or_else(|_| node.member_behind(link), |report| Some(report.peer.clone()));
    let dismissed = node.replica.is_address_dismissed(&address);
    PeerRound { address, member, dismissed, result }
}

/// A round that could not be run, because the machine has no thread left for it.
fn no_round(node: &Shared, link: &Link) -> PeerRound {
    let error = PeerError::Lost("this machine has no thread left".into());
    ended(node, link, Err(FailedRound { error, pulled: 0 }))
}

/// What the rounds of a tick did, for SYNC.
fn summaries(node: &Shared, rounds: &[PeerRound]) -> Vec<RoundSummary> {
    let summary = |(round, peer): (&PeerRound, &PeerHandle)| RoundSummary {
        peer: peer.link.describe(),
        took: peer.rounds.totals().took,
        result: match &round.result {
            Ok(report) => Ok(Moved { pulled: report.pulled, pushed: report.pushed }),
            Err(failed) => Err(failed.error.clone()),
        },
    };
    rounds.iter().zip(&node.peers).map(summary).collect()
}

/// A peer that is not asked anything more once the node stops: a round may be long.
struct Stoppable<'a> {
    node: &'a Shared,
    peer: RemotePeer<'a>,
}

impl Peer for Stoppable<'_> {
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
