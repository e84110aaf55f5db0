//! What a replica needs of its disk. The disk itself is in [`disk`](crate::disk); here is only what must be written,
//! and when it must be durable.
//!
//! A replica tells its journal three things: every entry that it accepts and every tombstone that it forgets
//! ([`Accepted`]), and what it must remember of other nodes ([`Note`]). It asks for one: [`Journal::confirm`], before
//! it says CONFIRM to a peer. After that word the peers may forget deletes. If this node then came back without what it
//! has confirmed, with a value whose delete is forgotten everywhere, the value would spread again.
//!
//! A replica without a journal keeps everything in memory only, and loses it all at once: it comes back empty.
//! An empty node brings no old value.

use std::fmt;

use super::message::{Confirmation, Heard, StoreId};
use super::replica::Replica;
use crate::rules::Rule;
use crate::store::accepted::Accepted;
use crate::store::record::Record;
use crate::store::version::NodeId;

/// Something that a node must remember beside its entries, and what its last word about it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The node's own last confirmation.
    Confirmed(Confirmation),
    /// The last confirmation of another store.
    Heard(Heard),
    /// A node is a member.
    Member {
        /// Its name.
        name: String,
        /// Its number.
        node: NodeId,
    },
    /// A member's present store.
    MemberStore {
        /// The member's name.
        name: String,
        /// Its store.
        store: StoreId,
    },
    /// The configured address at which this node has reached a member.
    MemberAddress {
        /// The member's name.
        name: String,
        /// `host:port`.
        address: String,
    },
    /// The node with this name was dismissed: it is no longer a member.
    Dismissed(String),
    /// This store is refused: its node was dismissed.
    DismissedStore(StoreId),
    /// Deletes do not wait for a node at this configured address, as long as none was met there.
    DismissedAddress(String),
}

/// Why nothing can be made durable: the disk has failed. One line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFailed(pub String);

impl fmt::Display for DiskFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk has failed: {}", self.0)
    }
}

impl std::error::Error for DiskFailed {}

/// Where a replica writes what must outlive its process.
pub trait Journal: Accepted {
    /// Writes a note behind all that was written before. Must not wait for the disk.
    fn note(&self, note: &Note);

    /// The last confirmation that is durable; [`Confirmation::NONE`] for a store without a past.
    fn confirmation(&self) -> Confirmation;

    /// Makes everything durable that was written before this call, together with a confirmation that is one higher
    /// than the last. If nothing was accepted or forgotten since the last call in this life, that one is returned
    /// again.
    ///
    /// # Errors
    /// When the disk has failed. Then nothing may be confirmed.
    fn confirm(&self) -> Result<Confirmation, DiskFailed>;

    /// Whether the disk has failed, so that what was written since may be nowhere.
    fn has_failed(&self) -> bool;

    /// Called between the merges of a long round, and in a long sweep: writes what waits in memory, if it is much.
    fn relieve(&self);
}

impl Replica {
    /// Merges an entry that the disk remembers. Its clock counts as that of a message: an entry from far ahead does not
    /// move ours.
    pub fn restore_entry(&self, record: Record) {
        // One from far ahead was reported when it came.
        let _ = self.clock.observe(record.version().timestamp, self.wall());
        self.store().merge(record);
    }

    /// Takes up a note that the disk remembers.
    pub fn restore_note(&self, note: &Note) {
        match note {
            Note::Heard(heard) => self.stores.restore(*heard),
            note => self.members.restore(note),
        }
    }

    /// The disk was read.
    pub fn finish_restoring(&self) {
        self.stores.finish_restoring();
    }

    /// All that the node must remember of others.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        self.visit_notes(&mut |note| notes.push(note));
        notes
    }

    /// Visits all that the node must remember of others. Nothing else is noted about a thing while it is visited, so a
    /// visitor that writes the note again never overtakes a newer one.
    pub fn visit_notes(&self, visit: &mut dyn FnMut(Note)) {
        self.members.visit_notes(visit);
        self.stores.visit_notes(visit);
    }

    /// Makes everything durable that this replica holds now, so that it may be confirmed to a peer.
    pub(super) fn make_durable(&self) -> Result<Confirmation, DiskFailed> {
        match &self.journal {
            None => Ok(Confirmation::NONE),
            Some(journal) if self.rules().has(Rule::DurableConfirm) => journal.confirm(),
            Some(journal) => Ok(journal.confirmation()),
        }
    }
}
