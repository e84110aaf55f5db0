//! How long writes take to reach a peer: from the write to the peer's reply.
//!
//! To note a time for every key in the queue would cost each write a reading of the clock, and memory. So one write at
//! a time is watched: the next one is when the peer has acknowledged this one. Where writes are rare, that is each of
//! them; where they are many, one or more of each batch.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use crate::histogram::Histogram;
use crate::replication::delivery::{Delivery, Mark};

/// Measures the delays of one peer.
#[derive(Default)]
pub(super) struct Delays {
    /// A copy of "`watched` is there" that is cheap to read: every write asks.
    is_watching: AtomicBool,
    /// The write that is watched, and when it was made.
    watched: Mutex<Option<(Mark, Instant)>>,
    pub(super) seen: Histogram,
}

impl Delays {
    /// A key was put into the peer's queue just now.
    pub(super) fn wrote(&self, delivery: &Delivery) {
        if self.is_watching.load(Relaxed) || self.is_watching.swap(true, Relaxed) {
            return;
        }
        *self.watched.lock() = Some((delivery.mark(), Instant::now()));
        // The key may have been delivered before it was watched.
        self.delivered(delivery);
    }

    /// The peer has acknowledged some keys.
    pub(super) fn delivered(&self, delivery: &Delivery) {
        let mut watched = self.watched.lock();
        if let Some((mark, since)) = *watched
            && delivery.is_delivered(mark)
        {
            self.seen.observe(since.elapsed());
            *watched = None;
            self.is_watching.store(false, Relaxed);
        }
    }
}
