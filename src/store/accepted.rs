//! The store's output: where an entry goes that wins.
//!
//! There is one output, [`Accepted`]. Every accepted entry passes it, whatever way the entry came: from a client, by
//! propagation, in a round. Merging does not depend on order or repetition. So these entries, merged into an empty
//! store in any order, give the same store again, except that tombstones stand there that were forgotten meanwhile. So
//! the output is told of those, too. Then the order matters: a tombstone is forgotten, and afterwards a node that knew
//! nothing may write something older. Told in the order of the calls, all of it gives the same store again.

use super::arrival::Arrival;
use super::record::Record;
use super::version::Version;

/// Is told of each accepted entry, and of each forgotten tombstone.
pub trait Accepted: Send + Sync {
    /// An entry was accepted under this number. The shard of its key is locked for writing: so of two entries of one
    /// key, the later one comes later. The call must be short, must not wait, and must not use the store.
    fn accepted(&self, record: &Record, arrival: Arrival);

    /// More is known of what the writer of this entry had seen, or who has seen it; see
    /// [`causality`](super::causality). It was accepted before, and stands there still. The same holds for this call.
    fn learned(&self, record: &Record);

    /// The tombstone of this version was forgotten: no entry stands under the key now. The same holds for this call.
    fn forgotten(&self, key: &[u8], version: Version);
}
