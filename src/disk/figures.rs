//! The figures of a disk, for INFO.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::SyncPolicy;
use super::log::Log;
use crate::histogram::{Durations, Histogram};
use crate::replication::journal::Journal;
use crate::replication::message::Confirmation;

/// What INFO shows.
#[derive(Default)]
pub(super) struct Figures {
    /// All logs that are needed beside the last snapshot, in bytes.
    pub(super) log_bytes: AtomicU64,
    /// The last snapshot, in bytes.
    pub(super) snapshot_bytes: AtomicU64,
    /// When the last snapshot was complete, in seconds since 1970; 0: none was.
    pub(super) saved_at: AtomicU64,
    pub(super) is_saving: AtomicBool,
    pub(super) last_save_failed: AtomicBool,
    /// How long syncs of the log took, those that failed included.
    pub(super) syncs: Histogram,
}

/// The state of a disk at one moment.
#[derive(Clone, Debug)]
pub struct LogStats {
    /// Where it is.
    pub directory: String,
    /// When an answered write is durable.
    pub policy: SyncPolicy,
    /// Why nothing is written, if so.
    pub failure: Option<String>,
    /// All logs that are needed beside the last snapshot, in bytes.
    pub log_bytes: u64,
    /// The last snapshot, in bytes.
    pub snapshot_bytes: u64,
    /// Whether a snapshot is being written.
    pub is_saving: bool,
    /// When the last snapshot was complete, in seconds since 1970; 0: none was.
    pub saved_at: u64,
    /// Whether the last snapshot could not be written.
    pub last_save_failed: bool,
    /// How long syncs of the log took.
    pub syncs: Durations,
    /// The last confirmation that is durable.
    pub confirmation: Confirmation,
}

impl LogStats {
    /// Whether every answer waits for the sync.
    pub fn syncs_always(&self) -> bool {
        self.policy == SyncPolicy::Always
    }
}

impl Log {
    /// The state of the disk at this moment.
    pub fn stats(&self) -> LogStats {
        let Figures { log_bytes, snapshot_bytes, saved_at, is_saving, last_save_failed, syncs } = &self.figures;
        LogStats {
            directory: self.directory.describe(),
            policy: self.policy,
            failure: self.failure().map(|failed| failed.0),
            log_bytes: log_bytes.load(Relaxed),
            snapshot_bytes: snapshot_bytes.load(Relaxed),
            is_saving: is_saving.load(Relaxed),
            saved_at: saved_at.load(Relaxed),
            last_save_failed: last_save_failed.load(Relaxed),
            syncs: syncs.durations(),
            confirmation: self.confirmation(),
        }
    }
}
