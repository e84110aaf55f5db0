//! How long writes take to reach a peer: from the write to the peer's reply.
//!
//! To note a time for every key in the queue would cost each write a reading of the clock, and memory. So one write at
//! a time is watched, and after one the next is not watched before some time has passed: what is measured a thousand
//! times a second says as much as a million.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use crate::histogram::Histogram;
use crate::limits::DELAY_SAMPLE_INTERVAL;
use crate::replication::delivery::{Delivery, Mark};
use crate::replication::queue::Queue;

/// Measures the delays of one peer.
#[derive(Default)]
pub(super) struct Delays {
    /// Whether the next write is not to be watched. Every write asks, so this is all that a write reads.
    is_busy: AtomicBool,
    watch: Mutex<Watch>,
    pub(super) seen: Histogram,
}

/// What is watched. Behind `is_busy`: it is set before a watch begins, and cleared when the rest is over.
#[derive(Clone, Copy, Default)]
enum Watch {
    /// Nothing: the next write will be.
    #[default]
    Nothing,
    /// The write at this mark, which was made then.
    Write(Mark, Instant),
    /// Nothing for a while: a write that was made then has been measured.
    Rest(Instant),
}

impl Delays {
    /// A key was put into this queue, the peer's, just now.
    pub(super) fn wrote(&self, queue: &Queue) {
        if self.is_busy.load(Relaxed) || self.is_busy.swap(true, Relaxed) {
            return;
        }
        // Looked up only here: it stands beside counters that move from core to core with every write.
        let delivery = queue.delivery();
        *self.watch.lock() = Watch::Write(delivery.mark(), Instant::now());
        // The key may have been delivered before it was watched.
        self.delivered(delivery);
    }

    /// The peer has acknowledged some keys.
    pub(super) fn delivered(&self, delivery: &Delivery) {
        let mut watch = self.watch.lock();
        if let Watch::Write(mark, since) = *watch
            && delivery.is_delivered(mark)
        {
            self.seen.observe(since.elapsed());
            *watch = Watch::Rest(since);
        }
        if let Watch::Rest(since) = *watch
            && since.elapsed() >= DELAY_SAMPLE_INTERVAL
        {
            *watch = Watch::Nothing;
            self.is_busy.store(false, Relaxed);
        }
    }
}
