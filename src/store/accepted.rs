//! What happens to an entry that wins: it gets an arrival number, and goes to the store's output.
//!
//! The store has one output, [`Accepted`]. Every accepted entry passes it, whatever way the entry came: from a client,
//! by propagation, in a round. A log on disk can be written from it alone: merging cares for neither order nor
//! repetition, so whoever merges these entries into an empty store, in any order, gets the same store again.

use std::fmt;

use super::record::Record;

/// The number under which a node accepts an entry, its own writes included. Counted from 1; 0 stands for "none yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(pub u64);

impl Arrival {
    /// Before the first entry.
    pub const NONE: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The store's output: what is told of each accepted entry.
pub trait Accepted: Send + Sync {
    /// An entry was accepted under this number. The shard of its key is locked for writing: so of two entries of one
    /// key, the later one comes later. The call must be short, must not wait, and must not use the store.
    fn accepted(&self, record: &Record, arrival: Arrival);
}
