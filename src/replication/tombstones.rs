//! When a delete may be forgotten.
//!
//! **The problem.** A delete must be remembered, as a tombstone, or the first peer that has missed it brings the value
//! back. But a store that remembers every delete for ever fills up with what it no longer holds. When is it safe to
//! forget one?
//!
//! **The obvious answers.**
//! * *At once* (KeyDB keeps no tombstones). Node 2 is cut off or paused, a key is deleted on node 1, node 2 comes back
//!   with the value: it looks like a write that node 1 has missed, and the key is there again. (A node that was
//!   *killed* comes back empty, and brings nothing.)
//! * *After a grace period* (Cassandra: ten days). As before, if node 2 was away for eleven. And for ten days every
//!   delete costs memory, though mostly all peers knew it within a millisecond.
//! * *Never.* A queue that is filled and emptied a million times a day leaves a million tombstones a day.
//! * *When every peer has acknowledged the delete message.* Close, but not enough: the peer may lose its memory
//!   afterwards, and an older value may still be under way to another node, on another path.
//!
//! **The rule.**
//! 1. Every node numbers the entries that it accepts: its `arrivals`. The number is taken under the shard's lock, so a
//!    thread that has read a number n finds all entries up to n.
//! 2. At the end of a successful round the initiator holds everything that the responder held when it said its number n
//!    at the round's beginning, or something newer. It says so: CONFIRM n. The responder keeps n for that peer.
//! 3. At the start of a tick ([`Tick::run`]) a node notes the numbers of all members, which are all nodes that have
//!    ever spoken with it and were not dismissed. Then it runs its own rounds with all of them. If all succeed, and
//!    every member still has the incarnation that was noted, the tombstones up to the smallest noted number are
//!    *settled*: every node holds them. Tombstones that lie ahead of our clock are left out: a later write of ours
//!    could be stamped before such a delete, and must still find it.
//! 4. A settled tombstone leaves the digests and lists at once. It still wins over what is older, until [`TICKS_KEPT`]
//!    complete ticks have passed in which no peer listed it any more: then it is forgotten.
//! 5. *A new incarnation takes settling back.* When a member shows another incarnation, or its first, it has confirmed
//!    nothing. Every settled tombstone that is still here returns to the digests and lists, and waits again
//!    (`Replica::meet`).
//! 6. *One lock* is held around the check and the settling of rule 3, and around the change of incarnation and the
//!    taking back of rule 5; it is released before PEER is answered. The locks of the shards are not held that long: a
//!    million tombstones settle in small parts, and clients come between. What they write meanwhile arrives after every
//!    number that was noted.
//!
//! **Why rules 5 and 6.** A node that starts empty loads what its peers list. If a peer had settled a delete, it would
//! list nothing, and the node would never learn of it. If that node's clock is behind, its next write of the key gets a
//! smaller version than the delete has. It is acknowledged, and overruled a moment later by a delete that was made
//! before it. The lock closes the same hole where it is narrow: between the check and the settling, a member could
//! restart, be answered, and find nothing listed.
//!
//! **Why it is safe.** When a tombstone t settles here, every peer holds t or something newer, and was found alive with
//! its memory after it had said so. So nothing older *stands* anywhere. And nothing older is *under way*:
//! * the queues between nodes hold keys, not values; the value is looked up when nothing can be sent before it, so once
//!   t has arrived, t is sent, never what it replaced;
//! * a link is one ordered stream: what a peer has sent before its CONFIRM has been merged before it. What it has sent
//!   on an older connection is refused, because the newer one's PEER has revoked that, under the lock that each merge
//!   takes;
//! * what we have fetched ourselves is merged before the tick settles anything.
//!
//! **Why it ends.** Nodes settle at different times. If a node forgot t while another still lists it, it would be sent
//! t again, as a delete of nothing, and list it itself; of five nodes, two can go on reminding the others in turn for
//! ever. So t is kept, unlisted, while any peer lists it. A peer that lists t cannot settle it unseen: for that it
//! needs our CONFIRM, from a round in which it lists t to us. So when we forget t, no node lists it any more.
//!
//! **What holds it up.** A peer that is away confirms nothing, so every delete since then waits, on every node, until
//! it comes back (with its memory or without) or the operator says FORGET. The same for a configured peer that was
//! never met, and for a member that this node has no round with, because it is not among its peers. INFO shows how many
//! wait, and for which nodes ([`Holdup`]). This is the price: a peer can hold up the forgetting, but never the deletes.
//!
//! **What remains.** A node whose clock is more than a minute behind, and which could reach only peers that have
//! already forgotten a delete while another still holds it, can still lose a write to that delete.
//!
//! **With a disk.** A node that comes back from its disk has another incarnation all the same: it has confirmed
//! nothing. What it has confirmed in its last life, it still holds, because a confirmation waits for the disk
//! ([`journal`](super::journal)); and it cannot be an old copy of itself ([`old_copies`](super::old_copies)).
//!
//! **Left out.** Replacing a node under its old name without its starting empty. And FORGET is remembered only by the
//! node that was told: a node that is to be forgotten must be stopped for good first. To read on: the argument is a
//! small form of *causal stability* (Baquero, Almeida & Shoker, "Making Operation-based CRDTs Operation-based", 2014).

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::PeerError;
use super::holdup::Holdup;
use super::message::Incarnation;
use super::reconcile::{FailedRound, RoundReport};
use super::replica::{Member, Progress, Replica};
use crate::rules::Rule;
use crate::store::arrival::{Arrival, TickNumber};
use crate::store::clock::Timestamp;

/// For how many complete ticks a settled tombstone is kept after no peer lists it any more. Two are needed to see every
/// peer that lists it. One more absorbs what the argument leaves to the implementation, such as a reply that is being
/// written while the tombstone settles.
pub const TICKS_KEPT: u64 = 3;

/// One turn of the anti-entropy timer.
#[derive(Debug)]
pub struct Tick {
    /// How far arrivals had come here when the tick began.
    arrivals: Arrival,
    /// By name, how far each member had come when the tick began.
    noted: Vec<(String, Progress)>,
}

/// What a tick needs of the node that runs it: its rounds.
pub trait Rounds {
    /// Runs a round with each configured peer, and returns when all have ended. `None` if the node ends.
    fn run(&mut self) -> Option<Vec<PeerRound>>;

    /// Called between the check and the settling. They are one step, under the replica's lock, so that no member can
    /// show another incarnation here. The simulator tries to let that happen.
    fn about_to_settle(&mut self) {}
}

/// How the round of a tick with one configured peer has ended.
#[derive(Debug)]
pub struct PeerRound {
    /// Where the peer is configured to listen.
    pub address: String,
    /// The node that was last met there; `None` if none ever was.
    pub member: Option<Arc<Member>>,
    /// Whether the operator has dismissed the address, before a node was met there.
    pub dismissed: bool,
    /// What the round did, or why it failed.
    pub result: Result<RoundReport, FailedRound>,
}

impl PeerRound {
    /// Whether a node that starts must run this round again before it serves clients: the peer was reached, so it may
    /// hold what is not here yet.
    pub fn is_missed(&self) -> bool {
        self.result.as_ref().is_err_and(|failed| !matches!(failed.error, PeerError::Unreachable(_)))
    }

    /// How many entries the round brought, whether or not it succeeded.
    pub fn pulled(&self) -> u64 {
        self.result.as_ref().map_or_else(|failed| failed.pulled, |report| report.pulled)
    }
}

/// What a tick has done.
#[derive(Debug)]
pub struct TickReport {
    /// How the rounds have ended, in the order in which [`Rounds::run`] returned them.
    pub rounds: Vec<PeerRound>,
    /// How many tombstones were forgotten.
    pub forgotten: usize,
    /// How many wait though all members have confirmed them: they lie ahead of the clock.
    pub ahead: usize,
    /// The nodes for which deletes must wait. If there is none, the tick is complete.
    pub holdups: Vec<Holdup>,
}

impl Tick {
    /// Runs a tick: notes how far all members have come, runs the rounds, then settles and forgets what may be. `None`
    /// if the node ends meanwhile.
    pub fn run(replica: &Replica, rounds: &mut dyn Rounds) -> Option<TickReport> {
        let tick = Self::begin(replica);
        let ended = rounds.run()?;
        replica.finish_acquainting();
        let ((forgotten, ahead), holdups) = match tick.check(replica, &ended) {
            Ok(permit) => {
                rounds.about_to_settle();
                (permit.settle(), Vec::new())
            }
            Err(holdups) => ((0, 0), holdups),
        };
        Some(TickReport { rounds: ended, forgotten, ahead, holdups })
    }

    fn begin(replica: &Replica) -> Self {
        let arrivals = replica.store().arrivals();
        let noted = replica.members().iter().map(|member| (member.name.clone(), member.progress())).collect();
        Self { arrivals, noted }
    }

    /// Checks that all members have confirmed and live, after the rounds. If not, says for which nodes deletes must
    /// wait.
    fn check<'a>(&self, replica: &'a Replica, rounds: &[PeerRound]) -> Result<Permit<'a>, Vec<Holdup>> {
        // The clock moves only when it is read. A tombstone from ahead of it would otherwise wait for the next write.
        let (clock, no_new_incarnation) = (replica.advance_clock(), replica.settling.lock());
        let permit = |up_to| Permit { replica, up_to, clock, _no_new_incarnation: no_new_incarnation };
        if !replica.rules().has(Rule::Confirmation) {
            return Ok(permit(self.arrivals));
        }
        let mut confirmed = self.arrivals;
        let is_awaited = |round: &&PeerRound| round.member.is_none() && !round.dismissed && round.result.is_err();
        let mut holdups: Vec<Holdup> =
            rounds.iter().filter(is_awaited).map(|round| Holdup::NeverMet(round.address.clone())).collect();
        let has_failed = replica.journal.as_ref().is_some_and(|journal| journal.has_failed());
        holdups.extend(has_failed.then_some(Holdup::OwnDisk));
        for member in replica.members() {
            match self.confirmed_by(&member, rounds) {
                Ok(number) => confirmed = confirmed.min(number),
                Err(holdup) => holdups.push(holdup),
            }
        }
        if holdups.is_empty() { Ok(permit(confirmed)) } else { Err(holdups) }
    }

    /// Up to which number a member had confirmed when the tick began, if it has lived through the whole tick.
    fn confirmed_by(&self, member: &Member, rounds: &[PeerRound]) -> Result<Arrival, Holdup> {
        let name = || member.name.clone();
        let leads_to = |round: &&PeerRound| round.member.as_ref().is_some_and(|met| met.name == member.name);
        let mut rounds = rounds.iter().filter(leads_to);
        let (round, second) = (rounds.next().ok_or_else(|| Holdup::NotAPeer(name()))?, rounds.next());
        if second.is_some() {
            return Err(Holdup::Twice(name()));
        }
        let met: Option<Incarnation> = Some(round.result.as_ref().map_err(|_| Holdup::Away(name()))?.incarnation);
        let noted = self.noted.iter().find(|(known, _)| *known == member.name).map(|(_, progress)| progress);
        let lived_through =
            |noted: &&Progress| met == noted.incarnation && member.progress().incarnation == noted.incarnation;
        noted.filter(lived_through).map(|noted| noted.confirmed).ok_or_else(|| Holdup::JustMet(name()))
    }
}

/// The permission to settle. While it lives, no member can show another incarnation.
struct Permit<'a> {
    replica: &'a Replica,
    up_to: Arrival,
    clock: Timestamp,
    _no_new_incarnation: MutexGuard<'a, ()>,
}

impl Permit<'_> {
    /// Settles the tombstones that all members have confirmed, and forgets those that have been settled for long
    /// enough. Returns how many were forgotten, and how many must wait since they lie ahead of the clock.
    fn settle(self) -> (usize, usize) {
        let (replica, store) = (self.replica, self.replica.store());
        let (tick, ticks_kept) = match replica.rules().has(Rule::Confirmation) {
            true => (replica.current_tick(), TICKS_KEPT),
            false => (TickNumber(0), 0),
        };
        store.settle(self.up_to, self.clock, tick);
        let ahead = store.tombstones_after(Arrival::NONE).saturating_sub(store.tombstones_after(self.up_to));
        let forgotten = store.forget(TickNumber(tick.0.saturating_sub(ticks_kept)));
        replica.complete_tick(tick, forgotten);
        (forgotten, ahead)
    }
}
