//! The queue of changed keys before each peer's replicator: bounded by the number of its keys, and by their bytes.
//!
//! All queues share one copy of a key. The copy counts as memory in each queue in which it waits, so the count is never
//! too low. What the queues are for stands in [`propagate`](super::propagate).

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::delivery::Delivery;

/// A key that has changed.
pub type Key = Arc<[u8]>;

/// About what a waiting key takes beside its bytes: a place in the queue, the counts of its `Arc`, and an allocation's
/// header.
const KEY_OVERHEAD_BYTES: usize = 48;

pub(super) fn bytes_of(key: &Key) -> usize {
    key.len() + KEY_OVERHEAD_BYTES
}

// ---- the writers' side ---------------------------------------------------------------------------------------------

/// Where writers leave the keys that have changed: the near ends of all peers' queues. Each thread that may write has a
/// clone. When the last one is dropped, the queues are closed.
#[derive(Clone)]
pub struct Outbox {
    inlets: Arc<[Inlet]>,
    /// Whether every key is dropped.
    is_mute: bool,
}

/// The near end of one queue.
struct Inlet {
    keys: Sender<Key>,
    gauge: Arc<Gauge>,
}

/// How full a queue is, and what has become of the keys.
struct Gauge {
    /// How many bytes the keys take that are in the queue, or were taken from it and are not delivered yet.
    bytes: AtomicUsize,
    /// How many bytes these may be.
    most_bytes: usize,
    /// How many keys may be in the queue.
    most_keys: usize,
    delivery: Arc<Delivery>,
}

/// A queue for each of so many peers, with room for so many keys, which may take so many bytes; and the outbox before
/// them.
pub fn queues(peers: usize, most_keys: usize, most_bytes: usize) -> (Outbox, Vec<Queue>) {
    let queue = |_| {
        let (sender, receiver) = bounded(most_keys);
        let gauge = Arc::new(Gauge { bytes: AtomicUsize::new(0), most_bytes, most_keys, delivery: Arc::default() });
        (Inlet { keys: sender, gauge: Arc::clone(&gauge) }, Queue { keys: receiver, gauge })
    };
    let (inlets, queues): (Vec<Inlet>, Vec<Queue>) = (0..peers).map(queue).unzip();
    (Outbox { inlets: inlets.into(), is_mute: false }, queues)
}

impl Outbox {
    /// The same, but every key is dropped: peers learn of changes in rounds only.
    #[must_use]
    pub fn mute(self) -> Self {
        Self { is_mute: true, ..self }
    }

    /// Tells every replicator that `key` has changed, after it has changed. Never waits: a queue that is full drops the
    /// key.
    pub fn changed(&self, key: &[u8]) {
        if self.inlets.is_empty() {
            return;
        }
        if self.is_mute {
            return self.inlets.iter().for_each(|inlet| inlet.gauge.delivery.drop_one());
        }
        for (inlet, key) in self.inlets.iter().zip(iter::repeat_n(Key::from(key), self.inlets.len())) {
            inlet.put(key);
        }
    }
}

impl Inlet {
    fn put(&self, key: Key) {
        let (gauge, bytes) = (&self.gauge, bytes_of(&key));
        let fits = gauge.bytes.fetch_add(bytes, Relaxed) + bytes <= gauge.most_bytes;
        // Who has a place finds room in the channel: it is as large as there are places.
        if !fits || !gauge.delivery.put(gauge.most_keys) || self.keys.try_send(key).is_err() {
            gauge.bytes.fetch_sub(bytes, Relaxed);
            gauge.delivery.drop_one();
        }
    }
}

// ---- the replicator's side -----------------------------------------------------------------------------------------

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
        self.gauge.delivery.dropped()
    }

    /// What the peer is known to hold.
    pub fn delivery(&self) -> &Arc<Delivery> {
        &self.gauge.delivery
    }

    /// Notes that so many keys were taken from the channel.
    pub(super) fn taken(&self, keys: usize) {
        self.gauge.delivery.taken(keys);
    }

    /// Notes that so many keys are delivered, which took so many bytes.
    pub(super) fn delivered(&self, keys: usize, bytes: usize) {
        self.gauge.bytes.fetch_sub(bytes, Relaxed);
        self.gauge.delivery.delivered(keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
