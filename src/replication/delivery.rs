//! Which writes a peer is known to hold: what WAIT counts.
//!
//! **The problem.** A write is answered before any peer has it. A client that wants to be sure must learn when a peer
//! holds *its* writes. "The peer has acknowledged a later write" does not say that: a queue may have dropped an earlier
//! one. "The peer has acknowledged this write" does not say it either: it may have started again since, without its
//! data.
//!
//! **The rule.** Each key that is put into a peer's queue gets a place in it; what the peer acknowledges comes out in
//! the same order. So all that was written before a [`Mark`] is held by the peer if
//! 1. as many keys were delivered as had a place when the mark was made;
//! 2. a round with the peer has succeeded since a key was last dropped, before the mark: it finds what is missing;
//! 3. the peer is connected, and has lost no memory since its first contact, or a round has succeeded since: what
//!    another incarnation had acknowledged counts for nothing.
//!
//! A round counts from the moment in which the peer has introduced itself: at its end the peer holds all that stood
//! here then. A write stands in the store before its key is put into the queue, or dropped.
//!
//! What this cannot know: that a peer has just lost its memory, and nobody has noticed yet.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;

use super::message::{Incarnation, Reply, Request};
use super::reconcile::{FailedRound, RoundReport, reconcile};
use super::replica::Replica;
use super::waits::{Waiting, Waits, Wake};
use super::{Peer, PeerError};

/// What is known of one peer. All methods may be called from any thread.
#[derive(Default)]
pub struct Delivery {
    /// How many keys have a place in the queue. Only grows.
    put: AtomicU64,
    /// How many of these were taken out of it. Only grows.
    taken: AtomicU64,
    /// How many of these the peer has acknowledged. Only grows.
    delivered: AtomicU64,
    /// How many keys found no place. Only grows.
    dropped: AtomicU64,
    contact: Mutex<Contact>,
    /// Those that wait until so many keys are delivered.
    deliveries: Waits<u64>,
    /// Those that wait for a round, or for the peer.
    repairs: Waits<()>,
}

/// The contact with a peer.
#[derive(Debug, Default)]
struct Contact {
    /// Whether it is connected now.
    is_open: bool,
    /// How many connections there were. Only grows.
    connections: u64,
    /// Its incarnation when it last was.
    incarnation: Option<Incarnation>,
    /// What has gone wrong.
    losses: Losses,
    /// What had gone wrong when the last successful round began.
    repaired: Losses,
}

/// What has gone wrong with a peer up to some moment: what only a round can repair. Every counter only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many keys found no place in the queue.
    dropped: u64,
    /// How often the peer has shown another incarnation.
    memories: u64,
}

/// A moment: all that was written before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    put: u64,
    dropped: u64,
}

impl Delivery {
    // ---- the queue -------------------------------------------------------------------------------------------------

    /// Gives a key its place in the queue, if fewer than `most` keys are in it. A place that was given must be used.
    pub(super) fn put(&self, most: usize) -> bool {
        // `put` may be old by now, and all of it taken.
        let has_room = |put: u64| put.saturating_sub(self.taken.load(SeqCst)) < most as u64;
        self.put.fetch_update(SeqCst, SeqCst, |put| has_room(put).then_some(put + 1)).is_ok()
    }

    /// A key has found no place. It stands in the store already.
    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, SeqCst);
    }

    /// So many keys were taken out of the queue.
    pub(super) fn taken(&self, keys: usize) {
        self.taken.fetch_add(keys as u64, SeqCst);
    }

    /// The peer has acknowledged so many of those that were taken out.
    pub(super) fn delivered(&self, keys: usize) {
        let delivered = self.delivered.fetch_add(keys as u64, SeqCst) + keys as u64;
        self.deliveries.wake(..=(delivered, u64::MAX));
    }

    /// How many keys found no place. Only grows.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(SeqCst)
    }

    // ---- the peer --------------------------------------------------------------------------------------------------

    /// The peer is connected, in this incarnation. Called before anything is sent to it on the connection.
    pub fn opened(&self, incarnation: Incarnation) {
        {
            let mut contact = self.contact.lock();
            if contact.incarnation.is_some_and(|known| known != incarnation) {
                contact.losses.memories += 1;
            }
            contact.connections += 1;
            (contact.is_open, contact.incarnation) = (true, Some(incarnation));
        }
        self.repairs.wake(..);
    }

    /// The connection is lost.
    pub fn closed(&self) {
        self.contact.lock().is_open = false;
    }

    /// How many connections there were so far, this one included.
    pub fn connections(&self) -> u64 {
        self.contact.lock().connections
    }

    /// The connection with this number is lost. Another one may be there already.
    pub fn lost(&self, connection: u64) {
        let mut contact = self.contact.lock();
        contact.is_open &= contact.connections != connection;
    }

    /// What has gone wrong until now: asked when the peer has introduced itself at the beginning of a round.
    pub fn losses(&self) -> Losses {
        Losses { dropped: self.dropped(), memories: self.contact.lock().losses.memories }
    }

    /// A round has succeeded, at whose beginning this had gone wrong.
    pub fn repaired(&self, before: Losses) {
        {
            let repaired = &mut self.contact.lock().repaired;
            repaired.dropped = repaired.dropped.max(before.dropped);
            repaired.memories = repaired.memories.max(before.memories);
        }
        self.repairs.wake(..);
    }

    // ---- those that wait -------------------------------------------------------------------------------------------

    /// Marks this moment. All that the calling thread has written before it stands in the store, and its keys have
    /// their places.
    pub fn mark(&self) -> Mark {
        Mark { put: self.put.load(SeqCst), dropped: self.dropped() }
    }

    /// Whether the peer is known to hold all that was written before a mark.
    pub fn holds(&self, mark: Mark) -> bool {
        self.is_delivered(mark) && self.is_sure(mark)
    }

    /// Whether the peer has acknowledged every key that had a place in the queue at a mark. It may have lost them
    /// since.
    pub fn is_delivered(&self, mark: Mark) -> bool {
        self.delivered.load(SeqCst) >= mark.put
    }

    /// Whether what was delivered before a mark is there still, and nothing was dropped that no round has repaired.
    fn is_sure(&self, mark: Mark) -> bool {
        let contact = self.contact.lock();
        let Contact { is_open, losses, repaired, .. } = &*contact;
        *is_open && repaired.memories == losses.memories && repaired.dropped >= mark.dropped
    }

    /// Calls `wake` when the peer may hold all that was written before a mark. `None` if it does already.
    pub fn wait(&self, mark: Mark, wake: &Wake) -> Option<Awaited<'_>> {
        // Registered first, looked at second: what comes between the two is seen or told.
        let delivery = self.deliveries.register(mark.put, Wake::clone(wake));
        if !self.is_delivered(mark) {
            return Some(Awaited::Delivery { _waiting: delivery });
        }
        let repair = self.repairs.register((), Wake::clone(wake));
        (!self.is_sure(mark)).then_some(Awaited::Repair { _waiting: repair })
    }
}

/// Runs one round with a peer, and notes what it repairs.
///
/// # Errors
/// As [`reconcile`].
pub fn repair(replica: &Replica, peer: &mut dyn Peer, delivery: &Delivery) -> Result<RoundReport, FailedRound> {
    let mut peer = PeerInRound { peer, delivery, losses: None };
    let report = reconcile(replica, &mut peer)?;
    peer.losses.into_iter().for_each(|losses| delivery.repaired(losses));
    Ok(report)
}

/// A peer in a round: notes what had gone wrong when it had introduced itself.
struct PeerInRound<'a> {
    peer: &'a mut dyn Peer,
    delivery: &'a Delivery,
    losses: Option<Losses>,
}

impl Peer for PeerInRound<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let replies = self.peer.exchange(prepare)?;
        self.losses.get_or_insert_with(|| self.delivery.losses());
        Ok(replies)
    }
}

/// What is waited for, as long as this lives.
pub enum Awaited<'a> {
    /// That the queue is delivered.
    Delivery {
        /// The place among those that wait.
        _waiting: Waiting<'a, u64>,
    },
    /// That a round succeeds, or that the peer is there again.
    Repair {
        /// The place among those that wait.
        _waiting: Waiting<'a, ()>,
    },
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const FIRST: Incarnation = Incarnation(1);
    const SECOND: Incarnation = Incarnation(2);

    fn connected() -> Delivery {
        let delivery = Delivery::default();
        delivery.opened(FIRST);
        delivery
    }

    fn write(delivery: &Delivery) {
        if !delivery.put(2) {
            delivery.drop_one();
        }
    }

    fn deliver(delivery: &Delivery, keys: usize) {
        delivery.taken(keys);
        delivery.delivered(keys);
    }

    /// A round that succeeds.
    fn round(delivery: &Delivery) {
        delivery.repaired(delivery.losses());
    }

    #[test]
    fn a_write_is_held_when_all_before_it_is_delivered() {
        let delivery = connected();
        assert!(delivery.holds(delivery.mark()), "nothing was written");
        write(&delivery);
        let first = delivery.mark();
        write(&delivery);
        let second = delivery.mark();
        assert!(!delivery.holds(first) && !delivery.holds(second));
        deliver(&delivery, 1);
        assert!(delivery.holds(first) && !delivery.holds(second));
        deliver(&delivery, 1);
        assert!(delivery.holds(second));
    }

    #[test]
    fn what_was_dropped_is_held_after_a_round_that_began_later() {
        let delivery = connected();
        let before = delivery.losses();
        (0..3).for_each(|_| write(&delivery));
        let mark = delivery.mark();
        deliver(&delivery, 2);
        assert!(!delivery.holds(mark), "the third found no place");
        delivery.repaired(before);
        assert!(!delivery.holds(mark), "that round began before");
        round(&delivery);
        assert!(delivery.holds(mark));
        (0..3).for_each(|_| write(&delivery));
        assert!(delivery.holds(mark), "what is dropped later does not matter to it");
        assert!(!delivery.holds(delivery.mark()));
    }

    #[test]
    fn another_incarnation_holds_nothing_until_a_round_with_it_has_succeeded() {
        let delivery = connected();
        write(&delivery);
        let mark = delivery.mark();
        deliver(&delivery, 1);
        let under_way = delivery.losses();
        delivery.closed();
        assert!(!delivery.holds(mark), "nobody knows what has become of the peer");
        delivery.opened(FIRST);
        assert!(delivery.holds(mark), "it was only the connection");
        delivery.lost(1);
        assert!(delivery.holds(mark), "that one was lost before");
        delivery.lost(2);
        assert!(!delivery.holds(mark));
        delivery.closed();
        delivery.opened(SECOND);
        assert!(!delivery.holds(mark), "its memory is lost");
        delivery.repaired(under_way);
        assert!(!delivery.holds(mark), "that round was with the life before");
        round(&delivery);
        assert!(delivery.holds(mark));
    }

    #[test]
    fn who_waits_is_woken_by_what_is_missing_and_by_nothing_else() {
        let delivery = connected();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let wake: Wake = Arc::new(move || _ = count.fetch_add(1, SeqCst));
        let woken = || woken.swap(0, SeqCst);
        assert!(delivery.wait(delivery.mark(), &wake).is_none(), "nothing is missing");
        (0..3).for_each(|_| write(&delivery));
        let mark = delivery.mark();
        let waiting = delivery.wait(mark, &wake).expect("two are not delivered");
        deliver(&delivery, 1);
        round(&delivery);
        assert_eq!(woken(), 0);
        deliver(&delivery, 1);
        assert_eq!(woken(), 1);
        drop(waiting);
        assert!(delivery.wait(mark, &wake).is_none());
        (0..3).for_each(|_| write(&delivery));
        deliver(&delivery, 2);
        let mark = delivery.mark();
        let waiting = delivery.wait(mark, &wake).expect("one was dropped");
        write(&delivery);
        deliver(&delivery, 1);
        assert_eq!(woken(), 0, "that is not what is missing");
        round(&delivery);
        assert_eq!(woken(), 1);
        drop(waiting);
        round(&delivery);
        assert_eq!(woken(), 0, "it does not wait any more");
    }
}
