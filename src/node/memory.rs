//! How much memory the data and the connections take, against a limit.
//!
//! Counted are the bytes of records with what the table takes for each, the keys that wait for peers, and the buffers of the
//! connections. Not counted are threads' stacks and what the allocator keeps. Beyond the limit clients can read and delete, but not
//! write, and a connection whose request would need a larger buffer is ended. A delete of a key that is not here costs as much as a
//! write, and has a limit as well: see [`Memory::delete_limit`]. Peers go on: refusing what another node has acknowledged would take the nodes apart.
//! Answers have a budget of their own, so that reading goes on when the memory is full: see [`Memory::answer_limit`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Shared;
use crate::limits::{FREE_BUFFER_BYTES, MAX_VALUE_BYTES, MAX_WAITING_ANSWER_BYTES, PROPAGATION_QUEUE_BYTES};

/// The memory of one node's connections, and the limits. All in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    /// For the data and the requests' buffers together.
    pub(super) limit: usize,
    /// The capacity of all requests' buffers.
    requests: AtomicUsize,
    /// The length of all answers that are not written yet, of those that are not small.
    answers: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, requests: AtomicUsize::new(0), answers: AtomicUsize::new(0) }
    }

    /// How many bytes the requests' buffers have.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// How many bytes all buffers together have.
    pub(super) fn buffers(&self) -> usize {
        self.requests.load(Relaxed) + self.answers.load(Relaxed)
    }

    /// Up to how much keys that are not here can be deleted, each of which leaves a tombstone: a tenth more than the limit, so that
    /// writes are refused first.
    pub(super) fn delete_limit(&self) -> usize {
        self.limit + self.limit / 10
    }

    /// How much the keys that wait for one of so many peers may take. All together have an eighth of the limit at most, so
    /// that peers that are away cost the clients no more of it.
    pub(super) fn queue_limit(&self, peers: usize) -> usize {
        (self.limit / 8 / peers.max(1)).min(PROPAGATION_QUEUE_BYTES)
    }

    /// How much all answers together may take beside the limit: an eighth of it, and two of the largest values at least.
    fn answer_limit(&self) -> usize {
        (self.limit / 8).max(2 * MAX_VALUE_BYTES)
    }
}

/// One connection's part in the count; given back when it is dropped.
pub(super) struct Share {
    memory: Arc<Memory>,
    request: usize,
    answer: usize,
}

impl Share {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), request: 0, answer: 0 }
    }

    /// Whether the buffers for a request may have this many bytes; if so, it is noted.
    pub(super) fn may_request(&mut self, bytes: usize, node: &Shared) -> bool {
        let growth = bytes.saturating_sub(self.request);
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= node.memory_left();
        if may {
            self.set_request(bytes);
        }
        may
    }

    /// Whether an answer may have this many bytes; if so, it is noted.
    pub(super) fn may_answer(&mut self, bytes: usize) -> bool {
        let growth = bytes.saturating_sub(self.answer);
        let left = self.memory.answer_limit().saturating_sub(self.memory.answers.load(Relaxed));
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= left;
        if may {
            self.set_answer(if bytes <= FREE_BUFFER_BYTES { 0 } else { bytes });
        }
        may
    }

    /// Notes that answers of this many bytes wait; returns whether the session may read on meanwhile. Half of the room
    /// is left to answers that are being made: those of other clients must not be refused because one does not read.
    pub(super) fn may_wait(&mut self, bytes: usize) -> bool {
        self.set_answer(if bytes <= FREE_BUFFER_BYTES { 0 } else { bytes });
        let all = self.memory.answers.load(Relaxed);
        bytes <= FREE_BUFFER_BYTES || (bytes <= MAX_WAITING_ANSWER_BYTES && all <= self.memory.answer_limit() / 2)
    }

    /// Notes how many bytes the buffers for a request have now.
    pub(super) fn set_request(&mut self, bytes: usize) {
        adjust(&self.memory.requests, &mut self.request, bytes);
    }

    /// Notes how many bytes of answers wait now.
    pub(super) fn set_answer(&mut self, bytes: usize) {
        adjust(&self.memory.answers, &mut self.answer, bytes);
    }
}

/// Replaces one part of a total.
fn adjust(total: &AtomicUsize, part: &mut usize, bytes: usize) {
    if bytes != *part {
        // Wraps around for a smaller part, as it should.
        total.fetch_add(bytes.wrapping_sub(*part), Relaxed);
        *part = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set_request(0);
        self.set_answer(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_and_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut a, mut b) = (Share::new(&memory), Share::new(&memory));
        a.set_request(10);
        b.set_request(20);
        a.set_request(3);
        a.set_answer(2);
        assert_eq!(memory.buffers(), 25);
        drop(b);
        assert_eq!(memory.buffers(), 5);
    }
}
