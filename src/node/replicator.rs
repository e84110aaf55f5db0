//! The replicator: a thread for each peer that sends changed keys on as soon as they change.
//!
//! What it sends, keeps and sends again is decided in [`propagate`](crate::replication::propagate). Here is the
//! waiting: for keys, for the peer, and between attempts.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use log::{debug, warn};

use super::End;
use super::remote_peer::RemotePeer;
use super::shared::{PeerHandle, Shared, Stop};
use crate::limits::{MIN_RETRY_DELAY, PROPAGATION_BATCH};
use crate::replication::PeerError;
use crate::replication::propagate::Propagation;

/// Drains the queue of one peer until it is closed and empty, or the node's time to stop is over.
pub(super) fn run(node: &Shared, peer: &PeerHandle) {
    let PeerHandle { link, queue, .. } = peer;
    let mut propagation = Propagation::default();
    // A handle of its own: what stands beside the queue's gauge moves from core to core with every write.
    let keys = queue.keys().clone();
    while let Ok(first) = keys.recv() {
        propagation.take(first, (&keys, queue), PROPAGATION_BATCH, link.is_up());
        while propagation.is_under_way() {
            if link.is_drained() {
                let lost = propagation.under_way() + queue.len();
                warn!("{}: stops with {lost} changed keys undelivered to {}", node.name(), link.describe());
                return;
            }
            attempt(node, peer, &mut propagation);
        }
    }
}

/// Sends the batch once. If that fails, waits before the next attempt.
fn attempt(node: &Shared, peer: &PeerHandle, propagation: &mut Propagation) {
    let PeerHandle { link, queue, .. } = peer;
    match propagation.deliver(&node.replica, &mut RemotePeer::for_propagation(link, &node.replica), queue) {
        Ok(delivered) => {
            link.counters.propagated.fetch_add(delivered.keys as u64, Relaxed);
            peer.delays.delivered(queue.delivery());
            if delivered.caught_up {
                node.ask_for_round();
            }
        }
        Err(error) => {
            link.counters.retries.fetch_add(1, Relaxed);
            if let PeerError::OldCopy(why) = &error {
                node.end(End::OldCopy(why.clone()));
            }
            let delay = propagation.next_delay(fastrand::f64());
            link.report_lost(node.name(), &error, delay);
            debug!("{}: {} keys wait for {}", node.name(), propagation.under_way(), link.describe());
            wait(&node.stop, delay);
        }
    }
}

/// Waits before the next attempt; for a short time only if the node stops.
fn wait(stop: &Stop, delay: Duration) {
    if stop.wait(delay) {
        std::thread::sleep(delay.min(MIN_RETRY_DELAY));
    }
}
