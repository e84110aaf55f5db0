//! How an old copy of a disk is recognised.
//!
//! **The problem.** Node 1 keeps its data on a disk. Its operator takes a copy of the directory. Then keys are deleted;
//! node 1 confirms that it holds the deletes, and all nodes forget them. Now the disk breaks, and the operator puts the
//! copy back. Node 1 starts with the values from before the deletes. No node remembers that they were deleted, so they
//! spread to all. A disk that loses what it has synced does the same.
//!
//! **The obvious answers.** *Wait for a grace period* and refuse a node that was away for longer (Cassandra): a copy
//! may be younger than that. *Compare clocks*: a copy has no clock.
//!
//! **The rule.** A node that confirms something to a peer numbers the confirmation, one higher each time that it
//! confirms more. The number is on its disk before CONFIRM is sent ([`Journal::confirm`]). A peer remembers the
//! greatest number of each store, on its own disk, if it has one, before it forgets any delete that rests on it. PEER
//! shows the number on the disk. If that is smaller than the one that is remembered, something was confirmed which this
//! disk does not hold: it is an old copy. The peer refuses it, and the node stops.
//!
//! * Numbers are compared *only at the first contact with an incarnation*. Later, a CONFIRM on one connection can
//!   overtake a PEER on the other. The verdict holds for the whole incarnation: an old copy that goes on confirming
//!   elsewhere must not grow into a number that looks right.
//! * What is remembered says which incarnation has confirmed it. A smaller number from the same one is no old copy, but
//!   an old message: a new node may learn from others of a confirmation, before a PEER arrives that was sent earlier.
//!   The same happens when a late PEER of the previous incarnation arrives in between: the node then meets this
//!   incarnation a second time.
//! * PEER never shows a number that is not durable. A node that loses its unsynced tail would be taken for a copy.
//! * A node that starts empty remembers nothing. So the first greeting on each connection carries what its sender
//!   remembers, and a new node takes that over. Until its first tick has reached
//!   every peer that it can, it refuses a store that has a past and that no greeting has named.
//! * If two nodes find each other old, both were put back. Neither is refused, or the cluster would be lost. They
//!   merge, and warn that deletes made since may be undone. So a node that finds another old first looks into the
//!   other's greeting: does it remember more of us than we can show?
//!
//! **What remains.** A store that no living node remembers is accepted: all others started empty, or it is older than
//! [`MAX_HEARD`] other stores. And a new node that can reach only the old copy cannot know. Suppose an old copy was
//! accepted and goes on confirming. Its numbers then reach those of the lost disk. An older copy, put back later, can
//! show a number that looks right.
//!
//! To read on: Active Directory has had this trouble under the name *USN rollback*, and cures it in the same way.
//!
//! [`Journal::confirm`]: super::journal::Journal::confirm

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::journal::{Journal, Note};
use super::member::Refusal;
use super::message::{Confirmation, Greeting, Heard, Incarnation, StoreId};
use crate::limits::{MAX_DISMISSED, MAX_HEARD};

/// What a node remembers of the stores of others. Locked after any member's progress.
pub(super) struct Stores {
    journal: Option<Arc<dyn Journal>>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Each store once, the one that has confirmed last at the end. At most [`MAX_HEARD`].
    heard: Vec<Heard>,
    /// The incarnations that were found old, the oldest verdict first. At most [`MAX_DISMISSED`].
    old: VecDeque<Incarnation>,
    /// Whether the node remembers all that it can: it has a past itself, or has asked every peer that it can reach.
    is_acquainted: bool,
}

impl Stores {
    /// Nothing is remembered yet.
    pub(super) fn new(journal: Option<Arc<dyn Journal>>) -> Self {
        Self { journal, table: Mutex::default() }
    }

    /// All that is remembered.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.table.lock().heard.clone()
    }

    /// Visits all that is remembered, while nothing else is.
    pub(super) fn visit_notes(&self, visit: &mut dyn FnMut(Note)) {
        self.table.lock().heard.iter().for_each(|&heard| visit(Note::Heard(heard)));
    }

    /// The node has spoken with every peer that it can reach.
    pub(super) fn finish_acquainting(&self) {
        self.table.lock().is_acquainted = true;
    }

    /// A member has confirmed something. Remembered before the number is used.
    pub(super) fn hear(&self, heard: Heard) {
        let mut table = self.table.lock();
        if heard.confirmation > table.of(heard.store) {
            self.remember(&mut table, heard);
        }
    }

    /// Notes what the disk remembers of another store.
    pub(super) fn restore(&self, heard: Heard) {
        self.table.lock().set(heard);
    }

    /// The disk was read. A store that has confirmed something has spoken with a peer, and remembers what it must.
    pub(super) fn finish_restoring(&self) {
        self.table.lock().is_acquainted = self.confirmation() > Confirmation::UNCONFIRMED;
    }

    /// This node's own last confirmation that is durable.
    pub(super) fn confirmation(&self) -> Confirmation {
        self.journal.as_ref().map_or(Confirmation::NONE, |journal| journal.confirmation())
    }

    /// Judges an incarnation at its first contact.
    /// `report` logs a line.
    pub(super) fn judge(&self, own: (&str, StoreId), other: &Greeting, report: impl Fn(&str)) -> Result<(), Refusal> {
        let Greeting { name, incarnation, store, confirmation, heard, .. } = other;
        let mut table = self.table.lock();
        if !table.is_acquainted {
            heard.iter().filter(|heard| heard.store != own.1).for_each(|&heard| {
                if heard.confirmation > table.of(heard.store) {
                    self.remember(&mut table, heard);
                }
            });
            if *confirmation != Confirmation::NONE && table.of(*store) == Confirmation::NONE {
                return Err(Refusal::NotYet(format!(
                    "{} is new, and still asks its peers whether they know the disk of {name}",
                    own.0
                )));
            }
        }
        let remembered = table.of(*store);
        let is_judged = table.old.contains(incarnation);
        let is_its_own = table.heard.iter().any(|known| known.store == *store && known.incarnation == *incarnation);
        if (*confirmation >= remembered || is_its_own) && !is_judged {
            return Ok(());
        }
        let ours = self.confirmation();
        let thinks_us_old = heard.iter().any(|heard| heard.store == own.1 && heard.confirmation > ours);
        if thinks_us_old && !is_judged {
            report(&format!(
                "the disk of {name} is an old copy, and so is ours: they are merged, and deletes made since the copies \
                 were taken may be undone"
            ));
            let (store, confirmation, incarnation) = (*store, *confirmation, *incarnation);
            self.remember(&mut table, Heard { store, confirmation, incarnation });
            return Ok(());
        }
        if !is_judged {
            table.old.push_back(*incarnation);
            let excess = table.old.len().saturating_sub(MAX_DISMISSED);
            table.old.drain(..excess);
        }
        Err(Refusal::OldCopy(format!(
            "the disk of {name} is an old copy: it knows of {confirmation} confirmations, {} has heard {remembered}; \
             move its data directory away and start {name} again: it starts empty, and its peers fill it",
            own.0
        )))
    }

    fn remember(&self, table: &mut Table, heard: Heard) {
        table.set(heard);
        if let Some(journal) = &self.journal {
            journal.note(&Note::Heard(heard));
        }
    }
}

impl Table {
    fn of(&self, store: StoreId) -> Confirmation {
        self.heard.iter().find(|heard| heard.store == store).map_or(Confirmation::NONE, |heard| heard.confirmation)
    }

    fn set(&mut self, heard: Heard) {
        self.heard.retain(|known| known.store != heard.store);
        let excess = (self.heard.len() + 1).saturating_sub(MAX_HEARD);
        self.heard.drain(..excess);
        self.heard.push(heard);
    }
}
