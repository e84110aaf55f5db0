//! Several writes in one step.
//!
//! The store locks one shard at a time, so that clients do not wait for each other. So two writes are two steps, and a
//! reader can come between them. A transaction must be one step. It could lock all shards that it touches, in a fixed
//! order. But then every command would have to name its keys before it begins, and SCAN would have to lock all.
//!
//! Instead there is one lock above the shards. Clients' commands and the merging of peers' entries share it, a
//! transaction takes it alone. A session shares it once for all requests that it has read, so clients that use no
//! transactions pay for one lock a batch. A transaction is paid for by the others: they wait as long as it runs.
//!
//! **Order.** A thread takes this lock before every other. It does not hold it while it waits for a disk, a socket or
//! another thread: once a transaction waits for the lock, no new step begins, so all clients would wait too. And it
//! does not share it twice: a transaction that begins to wait between the two would wait for the first share, and the
//! second share for the transaction.
//!
//! What a node does for itself takes no part: it settles and forgets tombstones, sweeps expired values, and tells peers
//! what has changed. None of that changes what a key reads as.

use parking_lot::RwLockReadGuard;

use super::replica::Replica;

/// A step that may run beside others of its kind. It ends when this is dropped.
pub type SharedStep<'a> = RwLockReadGuard<'a, ()>;

impl Replica {
    /// Calls `step` while no client's command is carried out and no peer's entry is merged. So several writes become
    /// visible at once, and what is read stays true until `step` returns. That holds on this node: peers learn of each
    /// write by itself. `step` must be short, and the thread must not be in a shared step.
    pub fn in_one_step<R>(&self, step: impl FnOnce() -> R) -> R {
        let _alone = self.steps.write();
        step()
    }

    /// Begins a step that may run beside others, but not beside [`Replica::in_one_step`]. A client's commands and the
    /// merging of a peer's entries are such steps. A thread must not begin two: a transaction that waits between them
    /// would block both for ever.
    pub fn share_step(&self) -> SharedStep<'_> {
        self.steps.read()
    }
}
