//! When a delete may be forgotten.
//!
//! **The problem.** A delete must be remembered, as a tombstone, or the first peer that has missed it brings the value back. But a
//! store that remembers every delete for ever fills up with what it no longer holds. When is it safe to forget one?
//!
//! **The obvious answers.**
//! * *At once* (KeyDB keeps no tombstones). Node 2 is down, a key is deleted on node 1, node 2 comes back with the value: it looks
//!   like a write that node 1 has missed, and the key is there again.
//! * *After a grace period* (Cassandra: ten days). As before, if node 2 was away for eleven. And for ten days every
//!   delete costs memory, though mostly all peers knew it within a millisecond.
//! * *Never.* A queue that is filled and emptied a million times a day leaves a million tombstones a day.
//! * *When every peer has acknowledged the delete message.* Close, but not enough: the peer may lose its memory afterwards,
//!   and an older value may still be under way to somebody, on another path.
//!
//! **The rule.**
//! 1. Every node numbers the entries that it accepts: its `arrivals`. The number is taken under the shard's lock, so
//!    whoever has read a number n finds all entries up to n.
//! 2. At the end of a successful round the initiator holds everything that the responder held when it said its number n at
//!    the round's beginning, or something newer. It says so: CONFIRM n. The responder keeps n for that peer, and puts it back
//!    to 0 when the peer shows another incarnation, which means that its memory is gone.
//! 3. At the start of a tick a node notes the numbers of all peers, which are all nodes that have ever spoken with it
//!    ([`Tick::begin`]). Then it takes its own rounds with all of
//!    them. If all succeed, and every peer still has the incarnation that was noted ([`Tick::end`]), the tombstones
//!    up to the smallest noted number are *settled*: everybody holds them. Except those that lie ahead of our clock: a later
//!    write of ours could be stamped before such a delete, and must still find it.
//! 4. A settled tombstone leaves the digests and lists at once. It still wins over what is older, until [`TICKS_KEPT`]
//!    complete ticks have passed in which no peer listed it any more: then it is forgotten.
//!
//! **Why it is safe.** When a tombstone t settles here, every peer holds t or something newer, and was found alive with
//! its memory after it had said so. So nothing older *stands* anywhere. And nothing older is *under way*:
//! * the queues between nodes hold keys, not values; the value is looked up when nothing can be sent before it, so after t has
//!   come it is t that is sent;
//! * a link is one ordered stream: what a peer has sent before its CONFIRM has been merged before it. What it has sent on
//!   an older connection is refused, because the newer one's PEER has revoked that, under the lock that each merge takes;
//! * what we have fetched ourselves is merged in the thread that settles, before it settles anything.
//!
//! **Why it ends.** Nodes settle at different times. If a node forgot t while another still lists it, it would be sent t again, as a
//! delete of nothing, and list it itself; of five nodes, two can go on reminding the others in turn for ever. So t is
//! kept, unlisted, while any peer lists it. A peer that lists t cannot settle it unseen: for that it needs our CONFIRM, from a
//! round in which it lists t to us. So when we forget t, nobody lists it any more.
//!
//! **What holds it up.** A peer that is away confirms nothing, so every delete since then waits, on every node, until it
//! comes back (with its memory or without) or the operator says FORGET. INFO shows how many wait, and for whom. This is the price: a
//! peer can hold up the forgetting, but never the deletes.
//!
//! **Left out.** Replacing a node under its old name without its starting empty. And FORGET is remembered by the node that was told, only
//! while it lives: a node that is to be forgotten must be stopped for good first. To read on: the argument is a small form of *causal stability* (Baquero, Almeida &
//! Shoker, "Making Operation-based CRDTs Operation-based", 2014).

use std::sync::atomic::Ordering::Relaxed;

use super::reconcile::RoundReport;
use super::replica::{Progress, Replica};

/// For how many complete ticks a settled tombstone is kept after no peer lists it any more. Two are needed to see every peer that
/// lists it; one more absorbs what the argument leaves to the implementation, such as an answer that is being
/// written while the tombstone settles.
pub const TICKS_KEPT: u64 = 3;

/// One turn of the anti-entropy timer: from the noting of the numbers to the settling, with the rounds in between.
#[derive(Debug)]
pub struct Tick {
    /// How many entries had arrived here when the tick began.
    arrivals: u64,
    /// By name, how far each known node had come when the tick began.
    noted: Vec<(String, Progress)>,
}

impl Tick {
    /// Notes how far every peer has come. Before the rounds.
    pub fn begin(replica: &Replica) -> Self {
        let arrivals = replica.store().arrivals();
        let noted = replica.members().iter().map(|member| (member.name.clone(), member.progress())).collect();
        Self { arrivals, noted }
    }

    /// Settles and forgets what may be. After the rounds: `rounds` are the reports of those with all peers, or `None` if one of
    /// them has failed. Returns how many tombstones were forgotten.
    pub fn end(self, replica: &Replica, rounds: Option<&[RoundReport]>) -> usize {
        // A clock that nobody reads stands still. A tombstone from ahead of it would then wait for the next write.
        let (store, clock) = (replica.store(), replica.advance_clock());
        if !replica.rules().confirmation {
            store.settle(self.arrivals, clock, 0);
            return Self::count(replica, store.forget(0));
        }
        let Some(rounds) = rounds else { return 0 };
        let Some(settled_up_to) = self.confirmed_by_all(replica, rounds) else { return 0 };
        let tick = replica.current_tick();
        replica.complete_ticks.store(tick, Relaxed);
        store.settle(settled_up_to, clock, tick);
        Self::count(replica, store.forget(tick.saturating_sub(TICKS_KEPT)))
    }

    /// Up to which number every node has confirmed; `None` if one of them was not met in its noted incarnation.
    fn confirmed_by_all(&self, replica: &Replica, rounds: &[RoundReport]) -> Option<u64> {
        let mut confirmed = self.arrivals;
        for member in replica.members() {
            let now = member.progress();
            if now.dismissed {
                continue;
            }
            let (_, noted) = self.noted.iter().find(|(name, _)| *name == member.name)?;
            let mut rounds = rounds.iter().filter(|round| round.peer.name == member.name);
            // Two nodes that go by one name: neither can be told from the other.
            let (Some(met), None) = (rounds.next(), rounds.next()) else { return None };
            if noted.incarnation != met.incarnation || noted.incarnation != now.incarnation {
                return None;
            }
            confirmed = confirmed.min(noted.confirmed);
        }
        Some(confirmed)
    }

    fn count(replica: &Replica, forgotten: usize) -> usize {
        replica.forgotten.fetch_add(forgotten as u64, Relaxed);
        forgotten
    }
}
