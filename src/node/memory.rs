//! How much memory the data and the connections take, against a limit.
//!
//! Counted are the bytes of records with what the table takes for each, and the buffers of the connections. Not counted are
//! threads' stacks and the allocator's slack, some tenth of the rest. Beyond the limit clients can read and delete, but not write, and a
//! connection whose request would need a larger buffer is ended. Peers go on: refusing what another node has acknowledged would
//! take the nodes apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::Shared;
use crate::limits::FREE_BUFFER_BYTES;

/// The memory of one node's connections, and the limit for these and the data together.
#[derive(Debug)]
pub(super) struct Memory {
    /// In bytes.
    pub(super) limit: usize,
    /// The capacity of all buffers.
    buffers: AtomicUsize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, buffers: AtomicUsize::new(0) }
    }

    /// How many bytes all buffers together have.
    pub(super) fn buffers(&self) -> usize {
        self.buffers.load(Relaxed)
    }
}

/// One connection's part in the count; given back when it is dropped.
pub(super) struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Share {
    pub(super) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// Whether the connection may have this many bytes; if so, it is noted.
    pub(super) fn may_grow(&mut self, bytes: usize, node: &Shared) -> bool {
        let growth = bytes.saturating_sub(self.bytes);
        let may = growth == 0 || bytes <= FREE_BUFFER_BYTES || growth <= node.memory_left();
        if may {
            self.set(bytes);
        }
        may
    }

    /// Notes how many bytes the connection has now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            // Wraps around for a smaller share, as it should.
            self.memory.buffers.fetch_add(bytes.wrapping_sub(self.bytes), Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_and_given_back() {
        let memory = Arc::new(Memory::new(100));
        let (mut a, mut b) = (Share::new(&memory), Share::new(&memory));
        a.set(10);
        b.set(20);
        a.set(5);
        assert_eq!(memory.buffers(), 25);
        drop(b);
        assert_eq!(memory.buffers(), 5);
    }
}
