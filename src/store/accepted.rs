//! The store's output: where an entry goes that wins.
//!
//! There is one output, [`Accepted`]. Every accepted entry passes it, whatever way the entry came: from a client, by
//! propagation, in a round. Merging does not depend on order or repetition. So these entries, merged into an empty
//! store in any order, give the same store again, except that tombstones stand there that were forgotten meanwhile.

use super::arrival::Arrival;
use super::record::Record;

/// Is told of each accepted entry.
pub trait Accepted: Send + Sync {
    /// An entry was accepted under this number. The shard of its key is locked for writing: so of two entries of one
    /// key, the later one comes later. The call must be short, must not wait, and must not use the store.
    fn accepted(&self, record: &Record, arrival: Arrival);
}
