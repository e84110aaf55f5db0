//! How much memory the data and the connections take, against a limit.
//!
//! Counted are the bytes of records with their places in the tables, the keys that wait for peers, and the buffers of
//! the connections. Not counted are threads' stacks and what the allocator keeps.
//!
//! Beyond the limit clients can read and delete, but not write. Requests with many keys need large buffers, so these
//! have a tenth of the limit in any case ([`Memory::request_reserve`]); a connection whose request would need more is
//! ended. A delete of a key that is not held here costs as much as a write, and has a limit of its own: see
//! [`Memory::delete_limit`]. Peers are not limited: if this node refused writes that another node has acknowledged, the
//! nodes would no longer agree.
//!
//! # Answers
//!
//! Answers that are not read yet have a budget of their own, so that clients can read when the memory is full: see
//! [`Memory::answer_limit`]. A client that asks for much and reads nothing takes of it what others need. So:
//!
//! 1. Up to [`FREE_BUFFER_BYTES`], an answer always has room. A connection has such a buffer in any case.
//! 2. *There is always something left.* A larger answer must leave an eighth of the budget, or, when there is less
//!    already, half of what is left. So one client can take most of a budget that no one uses, and of the last eighth
//!    the first gets at most half, the next at most a quarter. It is checked before an answer is made; one without room
//!    fails with OOM, and nothing is done.
//! 3. *Who does not read goes when others need the room.* While more than three quarters of the budget are taken, a
//!    client whose answers wait (more than [`FREE_BUFFER_BYTES`] of them) must take them at
//!    [`HURRIED_BYTES_A_SECOND`], with [`HURRIED_PATIENCE`] before. Otherwise its connection is ended. So clients that
//!    do not read hold the room for some seconds, however many they are (what the kernel takes for them counts as
//!    read); in calm times they have [`CLIENT_WRITE_TIMEOUT`](crate::limits::CLIENT_WRITE_TIMEOUT).
//!
//! A stranger who has not shown the secret gets answers of the first kind only. An admitted client is bound by all
//! three. A peer asks for bounded replies, is refused none, and is never hurried: the rounds must go on over slow
//! lines.
//!
//! [`HURRIED_BYTES_A_SECOND`]: crate::limits::HURRIED_BYTES_A_SECOND
//! [`HURRIED_PATIENCE`]: crate::limits::HURRIED_PATIENCE

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Shared;
use crate::limits::{
    FREE_BUFFER_BYTES, MAX_CONFLICT_BYTES, MAX_VALUE_BYTES, MAX_WAITING_ANSWER_BYTES, PROPAGATION_QUEUE_BYTES,
};

/// The memory of one node's connections, and the limits. All in bytes.
#[derive(Debug)]
pub(super) struct Memory {
    /// For the data and the requests' buffers together. CONFIG SET changes it.
    limit: AtomicUsize,
    /// The capacity of all requests' buffers.
    requests: AtomicUsize,
    /// The length of all unread answers, except small ones.
    answers: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), requests: AtomicUsize::new(0), answers: AtomicUsize::new(0) }
    }

    /// How many bytes the data and the requests' buffers may take together.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Changes that. The limits that follow from it change too, except that of the peers' queues.
    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// How many bytes the requests' buffers have.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// How many bytes all buffers together have.
    pub(super) fn buffers(&self) -> usize {
        self.requests.load(Relaxed) + self.answers.load(Relaxed)
    }

    /// Up to how many bytes a client may delete keys that are not held here: a tenth more than the limit, so that
    /// writes are refused first. Each such delete leaves a tombstone.
    pub(super) fn delete_limit(&self) -> usize {
        self.limit().saturating_add(self.limit() / 10)
    }

    /// How many bytes the requests' buffers may take though the memory is full: a tenth of the limit. Otherwise nobody
    /// could delete, or read, many keys at once.
    fn request_reserve(&self) -> usize {
        self.limit() / 10
    }

    /// How many bytes the queue of one peer may take if there are so many peers. All queues together get at most an
    /// eighth of the limit: the rest stays for clients, however many peers are away.
    pub(super) fn queue_limit(&self, peers: usize) -> usize {
        (self.limit() / 8 / peers.max(1)).min(PROPAGATION_QUEUE_BYTES)
    }

    /// How many bytes the conflicts that are kept may take: at most an eighth of the limit.
    pub(super) fn conflict_limit(&self) -> usize {
        (self.limit() / 8).min(MAX_CONFLICT_BYTES)
    }

    /// How many bytes all unread answers may take, in addition to the limit: an eighth of it, but at least two of the
    /// largest values.
    fn answer_limit(&self) -> usize {
        (self.limit() / 8).max(2 * MAX_VALUE_BYTES)
    }

    /// How many bytes of answers one connection may have more than now. Something must be left for others.
    fn answer_growth(&self) -> usize {
        let limit = self.answer_limit();
        let left = limit.saturating_sub(self.answers.load(Relaxed));
        left - (left / 2).min(limit / 8)
    }
}

/// What one connection takes of the memory; given back when it is dropped.
pub(super) struct Usage {
    memory: Arc<Memory>,
    request: usize,
    /// What the client has queued since MULTI, and the keys that it watches. Counts as a request.
    queued: usize,
    answer: usize,
}

impl Usage {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), request: 0, queued: 0, answer: 0 }
    }

    /// Whether the buffers for a request may have this many bytes; if so, they are counted.
    pub(super) fn may_request(&mut self, bytes: usize, node: &Shared) -> bool {
        let growth = bytes.saturating_sub(self.request);
        let reserve = self.memory.request_reserve().saturating_sub(self.memory.requests());
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= node.memory_left().max(reserve);
        if may {
            self.set_request(bytes);
        }
        may
    }

    /// Whether what the client has queued and watches may take this many bytes; if so, they are counted.
    pub(super) fn may_queue(&mut self, bytes: usize, node: &Shared) -> bool {
        let growth = bytes.saturating_sub(self.queued);
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= node.memory_left();
        if may {
            self.set_queued(bytes);
        }
        may
    }

    /// Whether the unread answers may have this many bytes; if so, they are counted.
    pub(super) fn may_answer(&mut self, bytes: usize) -> bool {
        let growth = bytes.saturating_sub(self.answer);
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= self.memory.answer_growth();
        if may {
            self.set_answer(if bytes <= FREE_BUFFER_BYTES { 0 } else { bytes });
        }
        may
    }

    /// Counts answers of this many bytes that wait. Returns whether the session may read on meanwhile. Waiting answers
    /// get only half of the budget: a client that does not read must not cause the answers of others to be refused.
    pub(super) fn may_wait(&mut self, bytes: usize) -> bool {
        self.set_answer(if bytes <= FREE_BUFFER_BYTES { 0 } else { bytes });
        let all = self.memory.answers.load(Relaxed);
        bytes <= FREE_BUFFER_BYTES || (bytes <= MAX_WAITING_ANSWER_BYTES && all <= self.memory.answer_limit() / 2)
    }

    /// Whether the client must hurry to take its answers: they take room, and there is little left for others.
    pub(super) fn must_hurry(&self) -> bool {
        let limit = self.memory.answer_limit();
        self.answer > FREE_BUFFER_BYTES && self.memory.answers.load(Relaxed) > limit - limit / 4
    }

    /// Counts that the buffers for a request have this many bytes now.
    pub(super) fn set_request(&mut self, bytes: usize) {
        adjust(&self.memory.requests, &mut self.request, bytes);
    }

    /// Counts that what the client has queued and watches takes this many bytes now.
    pub(super) fn set_queued(&mut self, bytes: usize) {
        adjust(&self.memory.requests, &mut self.queued, bytes);
    }

    /// Counts that this many bytes of answers wait now.
    pub(super) fn set_answer(&mut self, bytes: usize) {
        adjust(&self.memory.answers, &mut self.answer, bytes);
    }
}

/// Replaces one part of a total.
fn adjust(total: &AtomicUsize, part: &mut usize, bytes: usize) {
    if bytes != *part {
        // For a smaller part this wraps around, which subtracts.
        total.fetch_add(bytes.wrapping_sub(*part), Relaxed);
        *part = bytes;
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.set_request(0);
        self.set_queued(0);
        self.set_answer(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_take_most_of_the_budget_but_there_is_always_something_left() {
        let memory = Arc::new(Memory::new(0));
        let budget = 2 * MAX_VALUE_BYTES;
        let mut first = Usage::new(&memory);
        assert!(!first.may_answer(budget * 7 / 8 + 1) && first.may_answer(budget * 7 / 8) && first.must_hurry());
        let mut greedy: Vec<Usage> = Vec::new();
        for _ in 0..4 {
            let mut one = Usage::new(&memory);
            let left = budget - memory.answers.load(Relaxed);
            assert!(!one.may_answer(left / 2 + 1) && one.may_answer(left / 2));
            greedy.push(one);
        }
        let mut small = Usage::new(&memory);
        assert!(small.may_answer(64 * 1024) && small.must_hurry());
        drop((first, greedy));
        assert!(!small.must_hurry() && small.may_answer(budget / 2));
    }

    #[test]
    fn what_connections_take_is_counted_and_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut a, mut b) = (Usage::new(&memory), Usage::new(&memory));
        a.set_request(10);
        b.set_request(20);
        a.set_request(3);
        a.set_answer(2);
        assert_eq!(memory.buffers(), 25);
        drop(b);
        assert_eq!(memory.buffers(), 5);
    }
}
