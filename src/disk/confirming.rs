//! What the log is to its replica: where entries and notes go, and what makes a confirmation durable.

use std::sync::atomic::Ordering::{Acquire, Release};

use super::frame::{self, Kind};
use super::log::Log;
use crate::limits::JOURNAL_RELIEF_BYTES;
use crate::replication::journal::{DiskFailed, Journal, Note};
use crate::replication::message::Confirmation;
use crate::store::accepted::Accepted;
use crate::store::arrival::Arrival;
use crate::store::record::Record;
use crate::store::version::Version;

/// What was confirmed last.
pub(super) struct Confirmed {
    pub(super) confirmation: Confirmation,
    /// The position behind the last change that it covers; `None` before the first confirmation of this life, and after
    /// the disk was healed. The next one gets a new number in any case: it is not known whether the last number covers
    /// all that the disk holds.
    pub(super) changed: Option<u64>,
}

impl Accepted for Log {
    fn accepted(&self, record: &Record, _arrival: Arrival) {
        self.append(Kind::Entry, &[record.encode()], true);
    }

    fn learned(&self, record: &Record) {
        self.append(Kind::Entry, &[record.encode()], true);
    }

    fn forgotten(&self, key: &[u8], version: Version) {
        self.append(Kind::Forgotten, &[&version.encode(), key], true);
    }
}

impl Journal for Log {
    fn note(&self, note: &Note) {
        let (kind, payload) = frame::of_note(note);
        self.append(kind, &[&payload], false);
    }

    fn confirmation(&self) -> Confirmation {
        Confirmation(self.durable.load(Acquire))
    }

    fn confirm(&self) -> Result<Confirmation, DiskFailed> {
        self.check_works()?;
        let mut last = self.confirming.lock();
        let changed = self.buffer.lock().changed;
        if last.changed == Some(changed) && last.confirmation == self.confirmation() {
            return Ok(last.confirmation);
        }
        let confirmation = Confirmation(last.confirmation.max(Confirmation::UNCONFIRMED).0 + 1);
        *last = Confirmed { confirmation, changed: Some(changed) };
        self.note(&Note::Confirmed(confirmation));
        self.sync_out(self.end())?;
        self.check_works()?;
        self.durable.store(confirmation.0, Release);
        Ok(confirmation)
    }

    fn has_failed(&self) -> bool {
        self.check_works().is_err()
    }

    fn relieve(&self) {
        let (waiting, end) = {
            let buffer = self.buffer.lock();
            (buffer.bytes.len(), buffer.end)
        };
        if waiting > JOURNAL_RELIEF_BYTES {
            // A failure is reported, and what follows from it is up to others.
            let _ = self.write_out(end);
        }
    }
}

impl Log {
    /// The last confirmation, durable or not, for a snapshot that begins now.
    pub(super) fn last_confirmation(&self) -> Confirmation {
        self.confirming.lock().confirmation
    }
}
