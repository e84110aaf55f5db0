//! Propagation: a write goes to every peer at once. The batches and the retries, without the threads.
//!
//! The obvious way is to send the written value to each peer before the client is answered. Then the slowest peer sets
//! the pace of every write, and one that hangs stops them all. The next idea, a queue of values, fills the memory while
//! a peer is away. It is also wrong: a value that has waited can arrive after the peer has confirmed something newer,
//! and after the delete that overruled it was forgotten.
//!
//! So a write puts its *key* on the bounded [queue](super::queue) of each peer, and never waits. Each peer's
//! replicator takes what has gathered as a batch ([`Propagation::take`]), looks each entry up as it is by then, sends
//! it, and waits for the replies ([`Propagation::deliver`]). A key that was written a thousand times while it waited
//! goes out once. When that fails, the batch is kept and sent again, with exponential backoff, and with jitter so that
//! nodes do not retry in step.
//!
//! When a queue is full, the key is dropped and counted: the next round finds what differs. If the peer was away, that
//! round comes as soon as the queue is delivered. What came from a peer is not propagated: its own node sends it to
//! all.

use std::time::Duration;

use crossbeam_channel::Receiver;

use super::message::{Reply, Request};
use super::queue::{Key, Queue, bytes_of};
use super::replica::Replica;
use super::{Peer, PeerError, unexpected};
use crate::limits::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, PROPAGATION_BATCH, PUSH_BATCH_BYTES};
use crate::store::record::Record;

/// What one peer's replicator keeps between its steps.
///
/// Invariant: what was taken from the queue stands in `batch` until it is delivered.
#[derive(Debug, Default)]
pub struct Propagation {
    /// The keys under way, sorted, each once.
    batch: Vec<Key>,
    /// How many keys were taken from the queue for the batch, and how many bytes they take.
    taken: usize,
    taken_bytes: usize,
    /// Whether the peer was away when the batch was taken, or since.
    was_away: bool,
    /// After the peer was away: how many of the keys that waited are still to be sent.
    backlog: Option<usize>,
    backoff: Backoff,
}

/// What a delivery has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How many keys were sent.
    pub keys: usize,
    /// Whether all is delivered that had waited while the peer was away. Now is the time for a round: it finds what the
    /// queue had no room for. A round before that would send the same as the queue.
    pub caught_up: bool,
}

impl Propagation {
    /// Whether a batch is under way.
    pub fn is_under_way(&self) -> bool {
        !self.batch.is_empty()
    }

    /// How many keys are under way.
    pub fn under_way(&self) -> usize {
        self.batch.len()
    }

    /// Begins a batch of at most `most` keys: `first`, and what has gathered behind it in the queue. `keys` is its
    /// channel.
    pub fn take(&mut self, first: Key, (keys, queue): (&Receiver<Key>, &Queue), most: usize, peer_is_up: bool) {
        assert!(!self.is_under_way(), "the last batch is delivered before the next is taken");
        self.batch.reserve(1 + keys.len().min(most));
        self.batch.push(first);
        self.batch.extend(keys.try_iter().take(most - 1));
        (self.taken, self.taken_bytes) = (self.batch.len(), self.batch.iter().map(bytes_of).sum());
        queue.taken(self.taken);
        self.batch.sort_unstable();
        self.batch.dedup();
        self.was_away = !peer_is_up;
    }

    /// Sends the batch.
    ///
    /// # Errors
    /// When the peer did not take all of it. Then the batch is still under way.
    pub fn deliver(&mut self, replica: &Replica, peer: &mut dyn Peer, queue: &Queue) -> Result<Delivered, PeerError> {
        if let Err(error) = push(replica, peer, &self.batch) {
            self.was_away = true;
            return Err(error);
        }
        queue.delivered(self.taken, self.taken_bytes);
        let keys = self.batch.len();
        self.batch.clear();
        self.backoff = Backoff::default();
        self.backlog = match self.was_away {
            true => Some(queue.len()),
            false => self.backlog.map(|left| left.saturating_sub(self.taken)),
        };
        let caught_up = self.backlog == Some(0);
        self.backlog = self.backlog.filter(|&left| left > 0);
        Ok(Delivered { keys, caught_up })
    }

    /// How long to wait before the next attempt. `chance` is a random number from 0 to 1.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        self.backoff.next_delay(chance)
    }
}

/// Sends the entries of some keys as they are now; returns how many were newer than what the peer held. The replicators
/// and the rounds send entries in this way only.
pub(super) fn push(replica: &Replica, peer: &mut dyn Peer, keys: &[impl AsRef<[u8]>]) -> Result<u64, PeerError> {
    let mut won = 0;
    let mut rest = keys.iter();
    while rest.len() > 0 {
        // Looked up only now, when nothing can be sent before it: see `Peer::exchange`.
        let replies = peer.exchange(&mut || {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < PROPAGATION_BATCH && bytes < PUSH_BATCH_BYTES {
                let Some(key) = rest.next() else { break };
                let record = replica.store().record(key.as_ref());
                bytes += record.as_ref().map_or(0, Record::bytes);
                batch.extend(record.map(Request::Propagate));
            }
            batch
        })?;
        for reply in replies {
            match reply {
                Reply::Merged(newer) => won += u64::from(newer),
                other => return Err(unexpected(other)),
            }
        }
    }
    Ok(won)
}

/// The waits between attempts: each up to twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: MIN_RETRY_DELAY }
    }
}

impl Backoff {
    /// Between half of the ceiling and all of it, as `chance` says, a random number from 0 to 1; then the ceiling
    /// doubles.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        let delay = self.ceiling.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        self.ceiling = (self.ceiling * 2).min(MAX_RETRY_DELAY);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_their_bound() {
        let (mut low, mut high) = (Backoff::default(), Backoff::default());
        let mut ceiling = MIN_RETRY_DELAY;
        for _ in 0..20 {
            assert_eq!((low.next_delay(0.0), high.next_delay(1.0)), (ceiling / 2, ceiling));
            ceiling = (ceiling * 2).min(MAX_RETRY_DELAY);
        }
        assert_eq!(ceiling, MAX_RETRY_DELAY);
    }
}
