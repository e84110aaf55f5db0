//! Propagation: a write goes to every peer at once. The queue, the batch and the retries, without the threads.
//!
//! The obvious way is to send the written value to each peer before the client is answered. Then the slowest peer sets
//! the pace of every write, and one that hangs stops them all. The next idea, a queue of values, fills the memory while
//! a peer is away. It is also wrong: a value that has waited can arrive after the peer has confirmed something newer,
//! and after the delete that overruled it was forgotten.
//!
//! So a write puts its *key* on the bounded queue of each peer ([`Outbox::changed`]), and never waits. Each peer's
//! replicator takes what has gathered as a batch ([`Propagation::take`]), looks each entry up as it is by then, sends
//! it, and waits for the replies ([`Propagation::deliver`]). A key that was written a thousand times while it waited
//! goes out once. When that fails, the batch is kept and sent again, with exponential backoff, and with jitter so that
//! nodes do not retry in step.
//!
//! When a queue is full, the key is dropped and counted: the next round finds what differs. If the peer was away, that
//! round comes as soon as the queue is delivered. What came from a peer is not propagated: its own node sends it to
//! all.
//!
//! A queue is bounded by the number of its keys and by their bytes. All queues share one copy of a key. The copy counts
//! as memory in each queue in which it waits, so the count is never too low.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::message::{Reply, Request};
use super::replica::Replica;
use super::{Peer, PeerError, unexpected};
use crate::limits::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, PROPAGATION_BATCH, PUSH_BATCH_BYTES};
use crate::store::record::Record;

/// A key that has changed.
pub type Key = Arc<[u8]>;

/// About what a waiting key takes beside its bytes: a place in the queue, the counts of its `Arc`, and an allocation's
/// header.
const KEY_OVERHEAD_BYTES: usize = 48;

fn bytes_of(key: &Key) -> usize {
    key.len() + KEY_OVERHEAD_BYTES
}

// ---- the writers' side
// -------------------------------------------------------------------------------------------------

/// Where writers leave the keys that have changed: the near ends of all peers' queues. Each thread that may write has a
/// clone. When the last one is dropped, the queues are closed.
#[derive(Clone)]
pub struct Outbox(Arc<[Inlet]>);

/// The near end of one queue.
struct Inlet {
    keys: Sender<Key>,
    gauge: Arc<Gauge>,
}

/// How full a queue is.
#[derive(Debug)]
struct Gauge {
    /// How many bytes the keys take that are in the queue, or were taken from it and are not delivered yet.
    bytes: AtomicUsize,
    /// How many bytes these may be.
    most_bytes: usize,
    /// How many keys found the queue full. Only grows.
    dropped: AtomicU64,
}

/// A queue for each of so many peers, with room for so many keys, which may take so many bytes; and the outbox before
/// them.
pub fn queues(peers: usize, most_keys: usize, most_bytes: usize) -> (Outbox, Vec<Queue>) {
    let queue = |_| {
        let (sender, receiver) = bounded(most_keys);
        let gauge = Arc::new(Gauge { bytes: AtomicUsize::new(0), most_bytes, dropped: AtomicU64::new(0) });
        (Inlet { keys: sender, gauge: Arc::clone(&gauge) }, Queue { keys: receiver, gauge })
    };
    let (inlets, queues): (Vec<Inlet>, Vec<Queue>) = (0..peers).map(queue).unzip();
    (Outbox(inlets.into()), queues)
}

impl Outbox {
    /// An outbox without any queue.
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// Tells every replicator that `key` has changed. Never waits: a queue that is full drops the key.
    pub fn changed(&self, key: &[u8]) {
        for (inlet, key) in self.0.iter().zip(iter::repeat_n(Key::from(key), self.0.len())) {
            inlet.put(key);
        }
    }
}

impl Inlet {
    fn put(&self, key: Key) {
        let (gauge, bytes) = (&self.gauge, bytes_of(&key));
        let fits = gauge.bytes.fetch_add(bytes, Relaxed) + bytes <= gauge.most_bytes;
        if !fits || self.keys.try_send(key).is_err() {
            gauge.bytes.fetch_sub(bytes, Relaxed);
            gauge.dropped.fetch_add(1, Relaxed);
        }
    }
}

// ---- the replicator's side
// ---------------------------------------------------------------------------------------------

/// What waits for one peer: the far end of its queue.
pub struct Queue {
    keys: Receiver<Key>,
    gauge: Arc<Gauge>,
}

impl Queue {
    /// The channel on which the replicator waits.
    pub fn keys(&self) -> &Receiver<Key> {
        &self.keys
    }

    /// How many keys wait. Those that were taken as a batch do not count.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many bytes all keys take that are not delivered.
    pub fn bytes(&self) -> usize {
        self.gauge.bytes.load(Relaxed)
    }

    /// How many keys found the queue full. Only grows.
    pub fn dropped(&self) -> u64 {
        self.gauge.dropped.load(Relaxed)
    }
}

/// What one peer's replicator keeps between its steps.
///
/// Invariant: what was taken from the queue stands in `batch` until it is delivered.
#[derive(Debug, Default)]
pub struct Propagation {
    /// The keys under way, sorted, each once.
    batch: Vec<Key>,
    /// How many keys were taken from the queue for the batch, and how many bytes they take.
    taken: usize,
    taken_bytes: usize,
    /// Whether the peer was away when the batch was taken, or since.
    was_away: bool,
    /// After the peer was away: how many of the keys that waited are still to be sent.
    backlog: Option<usize>,
    backoff: Backoff,
}

/// What a delivery has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How many keys were sent.
    pub keys: usize,
    /// Whether all is delivered that had waited while the peer was away. Now is the time for a round: it finds what the
    /// queue had no room for. A round before that would send the same as the queue.
    pub caught_up: bool,
}

impl Propagation {
    /// Whether a batch is under way.
    pub fn is_under_way(&self) -> bool {
        !self.batch.is_empty()
    }

    /// How many keys are under way.
    pub fn under_way(&self) -> usize {
        self.batch.len()
    }

    /// Begins a batch of at most `most` keys: `first`, and what has gathered behind it. `keys` is the queue's channel.
    pub fn take(&mut self, first: Key, keys: &Receiver<Key>, most: usize, peer_is_up: bool) {
        assert!(!self.is_under_way(), "the last batch is delivered before the next is taken");
        self.batch.reserve(1 + keys.len().min(most));
        self.batch.push(first);
        self.batch.extend(keys.try_iter().take(most - 1));
        (self.taken, self.taken_bytes) = (self.batch.len(), self.batch.iter().map(bytes_of).sum());
        self.batch.sort_unstable();
        self.batch.dedup();
        self.was_away = !peer_is_up;
    }

    /// Sends the batch.
    ///
    /// # Errors
    /// When the peer did not take all of it. Then the batch is still under way.
    pub fn deliver(&mut self, replica: &Replica, peer: &mut dyn Peer, queue: &Queue) -> Result<Delivered, PeerError> {
        if let Err(error) = push(replica, peer, &self.batch) {
            self.was_away = true;
            return Err(error);
        }
        queue.gauge.bytes.fetch_sub(self.taken_bytes, Relaxed);
        let keys = self.batch.len();
        self.batch.clear();
        self.backoff = Backoff::default();
        self.backlog = match self.was_away {
            true => Some(queue.len()),
            false => self.backlog.map(|left| left.saturating_sub(self.taken)),
        };
        let caught_up = self.backlog == Some(0);
        self.backlog = self.backlog.filter(|&left| left > 0);
        Ok(Delivered { keys, caught_up })
    }

    /// How long to wait before the next attempt. `chance` is a random number from 0 to 1.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        self.backoff.next_delay(chance)
    }
}

/// Sends the entries of some keys as they are now; returns how many were newer than what the peer held. The replicators
/// and the rounds send entries in this way only.
pub(super) fn push(replica: &Replica, peer: &mut dyn Peer, keys: &[impl AsRef<[u8]>]) -> Result<u64, PeerError> {
    let mut won = 0;
    let mut rest = keys.iter();
    while rest.len() > 0 {
        // Looked up only now, when nothing can be sent before it: see `Peer::exchange`.
        let replies = peer.exchange(&mut || {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < PROPAGATION_BATCH && bytes < PUSH_BATCH_BYTES {
                let Some(key) = rest.next() else { break };
                let record = replica.store().record(key.as_ref());
                bytes += record.as_ref().map_or(0, Record::bytes);
                batch.extend(record.map(Request::Propagate));
            }
            batch
        })?;
        for reply in replies {
            match reply {
                Reply::Merged(newer) => won += u64::from(newer),
                other => return Err(unexpected(other)),
            }
        }
    }
    Ok(won)
}

/// The waits between attempts: each up to twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: MIN_RETRY_DELAY }
    }
}

impl Backoff {
    /// Between half of the ceiling and all of it, as `chance` says, a random number from 0 to 1; then the ceiling
    /// doubles.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        let delay = self.ceiling.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        self.ceiling = (self.ceiling * 2).min(MAX_RETRY_DELAY);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_their_bound() {
        let (mut low, mut high) = (Backoff::default(), Backoff::default());
        let mut ceiling = MIN_RETRY_DELAY;
        for _ in 0..20 {
            assert_eq!((low.next_delay(0.0), high.next_delay(1.0)), (ceiling / 2, ceiling));
            ceiling = (ceiling * 2).min(MAX_RETRY_DELAY);
        }
        assert_eq!(ceiling, MAX_RETRY_DELAY);
    }

    #[test]
    fn a_queue_is_bounded_in_keys_and_in_bytes_and_counts_what_it_drops() {
        let (outbox, queues) = queues(1, 2, 1_000);
        ["a", "b", "c"].iter().for_each(|key| outbox.changed(key.as_bytes()));
        assert_eq!((queues[0].len(), queues[0].dropped()), (2, 1));
        assert_eq!(queues[0].bytes(), 2 * (1 + KEY_OVERHEAD_BYTES));
        let most = 3 + KEY_OVERHEAD_BYTES;
        for (len, fits) in [(3, true), (4, false)] {
            let (outbox, queues) = super::queues(1, 10, most);
            outbox.changed(&vec![b'k'; len]);
            assert_eq!((queues[0].len(), queues[0].dropped()), (usize::from(fits), u64::from(!fits)));
            assert_eq!(queues[0].bytes(), if fits { most } else { 0 });
        }
    }
}
