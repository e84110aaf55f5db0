//! Whether the disk works: how it fails, and how it is healed.
//!
//! ```text
//!   works ──── a write or sync fails ────▶ failed ◀───────────────────────┐
//!     ▲                                      │ a new log was begun        │ anything fails
//!     │                                      ▼                            │
//!     └────── the snapshot is complete ──── heals ────────────────────────┘
//! ```
//!
//! While the disk heals, what is accepted goes to the new log. It counts only when the snapshot is complete. The
//! snapshot has what was accepted while nothing was written.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use log::error;

use super::files::File;
use super::log::Log;
use crate::replication::journal::DiskFailed;

/// Whether the disk works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Works,
    /// Nothing is written.
    Failed(DiskFailed),
    /// A new log and snapshot are being written. What is appended goes to the new log, but counts for nothing yet.
    Heals(DiskFailed),
}

impl Log {
    /// Why client writes must be refused, if they must.
    pub fn failure(&self) -> Option<DiskFailed> {
        if !self.is_failed.load(Acquire) {
            return None;
        }
        match &*self.state.lock() {
            State::Works => None,
            State::Failed(why) | State::Heals(why) => Some(why.clone()),
        }
    }

    /// Whether what was written counts. If the disk has failed since it was appended, it may be lost, and only a
    /// complete snapshot has it.
    pub(super) fn check_works(&self) -> Result<(), DiskFailed> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Whether anything may be written.
    pub(super) fn check_writable(&self) -> Result<(), DiskFailed> {
        if !self.is_failed.load(Acquire) {
            return Ok(());
        }
        match &*self.state.lock() {
            State::Works | State::Heals(_) => Ok(()),
            State::Failed(why) => Err(why.clone()),
        }
    }

    /// From now on nothing is written, until a snapshot heals the disk.
    pub(super) fn fail(&self, why: &str) -> DiskFailed {
        let failed = DiskFailed(why.to_string());
        let mut state = self.state.lock();
        if *state == State::Works {
            error!("{}: {failed}; client writes are refused until it works again", self.node);
        }
        *state = State::Failed(failed.clone());
        self.is_failed.store(true, Release);
        let mut buffer = self.buffer.lock();
        buffer.is_open = false;
        buffer.bytes = Vec::new();
        failed
    }

    /// From now on frames go to this file. If the disk works, all that was written before is durable then. `heals` says
    /// that it was begun because the disk had failed.
    pub(super) fn switch_to(&self, file: Arc<dyn File>, heals: bool) -> Result<(), DiskFailed> {
        let _turn = self.take_turn_unless(|| false);
        let mut current = self.file.lock();
        let mut state = self.state.lock();
        if let State::Failed(why) = state.clone() {
            if !heals {
                return Err(why);
            }
            *state = State::Heals(why);
            let mut buffer = self.buffer.lock();
            buffer.is_open = true;
            // No thread waits for what is lost: the snapshot will have it.
            self.written.store(buffer.end, Release);
            self.synced.store(buffer.end, Release);
        } else {
            drop(state);
            self.write_locked(&mut current)?;
            let old = current.file.as_ref().expect("a log that takes frames has a file");
            old.sync().map_err(|error| self.fail(&format!("a sync failed: {error}")))?;
            self.synced.store(self.written.load(Acquire), Release);
        }
        current.file = Some(file);
        Ok(())
    }

    /// The snapshot is complete: if the disk had failed, it works again.
    pub(super) fn healed(&self) -> Result<(), DiskFailed> {
        let (mut last, mut state) = (self.confirming.lock(), self.state.lock());
        match &*state {
            State::Works => {}
            State::Failed(why) => return Err(why.clone()),
            State::Heals(_) => {
                *state = State::Works;
                self.is_failed.store(false, Release);
                // What was accepted while nothing was appended counts as a change, too.
                last.changed = None;
            }
        }
        Ok(())
    }

    /// The snapshot could not be written: a disk that was to be healed has failed again.
    pub(super) fn not_healed(&self, why: &DiskFailed) {
        if matches!(*self.state.lock(), State::Heals(_)) {
            self.fail(&why.0);
        }
    }
}
