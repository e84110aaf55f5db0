//! The replicator: a thread for each peer that sends changed keys on as soon as they change.
//!
//! A write puts its *key* on the bounded queue of each peer, and never waits. The replicator takes what has gathered as a batch,
//! looks each entry up as it is by then, sends, and waits for the replies. A key that was written a thousand times while
//! it waited goes out once. On failure it keeps the batch and tries again, with exponential backoff and jitter (so that
//! nodes do not come back in step). When the queue is full, keys are dropped and counted: the next round finds them. If the peer
//! was away, that round comes as soon as the queue is delivered.
//!
//! A queue has a bound for the number of its keys and one for their bytes. All queues share one copy of a key. It counts as
//! memory in each queue in which it waits, so the count is never too low.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{debug, warn};

use super::link::PeerLink;
use super::{Shared, Stop};
use crate::limits::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, PROPAGATION_BATCH};
use crate::replication::reconcile::push;

/// A key that has changed.
pub(super) type Key = Arc<[u8]>;

/// About what a waiting key takes beside its bytes: a place in the queue, the counts of its `Arc`, and an allocation's header.
const KEY_OVERHEAD_BYTES: usize = 48;

fn bytes(key: &Key) -> usize {
    key.len() + KEY_OVERHEAD_BYTES
}

/// What waits for one peer, as everybody sees it but those who write.
pub(super) struct Queue {
    keys: Receiver<Key>,
    /// How many bytes the keys take that are in the queue, or were taken from it and are not delivered yet.
    bytes: AtomicUsize,
    /// How many bytes these may be.
    most_bytes: usize,
}

impl Queue {
    /// A queue for so many keys, which may take so many bytes; and its end for the [`Outbox`].
    pub(super) fn new(most_keys: usize, most_bytes: usize) -> (Sender<Key>, Self) {
        let (sender, keys) = bounded(most_keys);
        (sender, Self { keys, bytes: AtomicUsize::new(0), most_bytes })
    }

    /// How many keys wait. Those that are under way do not count.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many bytes all keys take that are not delivered.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Puts a key in if there is room for it; returns whether there was. Never waits.
    fn try_send(&self, sender: &Sender<Key>, key: Key) -> bool {
        let bytes = bytes(&key);
        let fits = self.bytes.fetch_add(bytes, Relaxed) + bytes <= self.most_bytes && sender.try_send(key).is_ok();
        if !fits {
            self.bytes.fetch_sub(bytes, Relaxed);
        }
        fits
    }
}

/// Where those who write leave the keys that have changed: a queue for each peer. Whoever may write has one; when the last is
/// dropped, the replicators finish.
#[derive(Clone)]
pub(super) struct Outbox(Vec<Sender<Key>>);

impl Outbox {
    pub(super) fn new(queues: Vec<Sender<Key>>) -> Self {
        Self(queues)
    }

    /// Tells every replicator that `key` has changed. Never waits.
    pub(super) fn changed(&self, node: &Shared, key: &[u8]) {
        if !node.config.rules.propagation {
            return;
        }
        let copies = iter::repeat_n(Key::from(key), self.0.len());
        for (((key, sender), queue), link) in copies.zip(&self.0).zip(&node.queues).zip(&node.links) {
            if !queue.try_send(sender, key) {
                link.counters.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Drains the queue of one peer until it is closed and empty, or the node's time to stop is over.
pub(super) fn run(node: &Shared, link: &PeerLink, queue: &Queue) {
    // After the peer was away: how many of the keys that waited are still to be sent.
    let mut backlog: Option<usize> = None;
    // A handle of its own: what stands beside `queue.bytes` moves from core to core with every write.
    let waiting = queue.keys.clone();
    while let Ok(first) = waiting.recv() {
        let mut keys: Vec<Key> = Vec::with_capacity(1 + queue.len().min(PROPAGATION_BATCH));
        keys.push(first);
        keys.extend(waiting.try_iter().take(PROPAGATION_BATCH - 1));
        let (taken, taken_bytes) = (keys.len(), keys.iter().map(bytes).sum());
        keys.sort_unstable();
        keys.dedup();
        let Some(was_away) = deliver(node, link, &keys) else {
            let lost = keys.len() + queue.len();
            warn!("{}: stops with {lost} changed keys undelivered to {}", node.name(), link.describe());
            return;
        };
        queue.bytes.fetch_sub(taken_bytes, Relaxed);
        // What the queue had no room for is found by a round. That comes after the queue, or both would send the same.
        backlog = if was_away { Some(queue.len()) } else { backlog.map(|left| left.saturating_sub(taken)) };
        if backlog == Some(0) {
            backlog = None;
            node.ask_for_round();
        }
    }
}

/// Sends a batch, however often it takes. Returns whether the peer had been away; `None` if the node stops before it succeeds.
fn deliver(node: &Shared, link: &PeerLink, keys: &[Key]) -> Option<bool> {
    let (mut backoff, mut was_away) = (Backoff::new(), !link.is_up());
    loop {
        if link.is_drained() {
            return None;
        }
        match push(&node.replica, &mut link.for_propagation(&node.replica), keys) {
            Ok(_) => {
                link.counters.propagated.fetch_add(keys.len() as u64, Relaxed);
                return Some(was_away);
            }
            Err(error) => {
                was_away = true;
                link.counters.retries.fetch_add(1, Relaxed);
                let delay = backoff.next_delay();
                link.report_lost(node.name(), &error, delay);
                debug!("{}: {} keys wait for {}", node.name(), keys.len(), link.describe());
                wait(&node.stop, delay);
            }
        }
    }
}

/// Waits before the next attempt; for a short time only if the node stops.
fn wait(stop: &Stop, delay: Duration) {
    if stop.wait(delay) {
        std::thread::sleep(delay.min(MIN_RETRY_DELAY));
    }
}

/// The waits between attempts: each up to twice as long as the one before.
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { ceiling: MIN_RETRY_DELAY }
    }

    /// Between half of the ceiling and all of it; then the ceiling doubles.
    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = self.ceiling.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.ceiling = (self.ceiling * 2).min(MAX_RETRY_DELAY);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_their_bound() {
        let mut backoff = Backoff::new();
        let mut ceiling = MIN_RETRY_DELAY;
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} of {ceiling:?}");
            ceiling = (ceiling * 2).min(MAX_RETRY_DELAY);
        }
        assert_eq!(ceiling, MAX_RETRY_DELAY);
    }
}
