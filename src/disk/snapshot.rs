//! Rewriting: a new log, then a snapshot of everything, then what is older is removed.
//!
//! The order of the steps makes a crash between any two harmless:
//!
//! 1. `N+1.log` is created. From the switch on, what is accepted goes there; what was accepted before is durable in
//!    `N.log`.
//! 2. `N+1.snapshot.new` is written, part by part, while writes go on, and synced. What a part misses was accepted
//!    after the switch, so it is in `N+1.log`.
//! 3. `N+1.log` is synced: so it is at least as new as the snapshot.
//! 4. `N+1.snapshot.new` is renamed to `N+1.snapshot`. Only now a start uses it.
//! 5. Everything with a smaller number is removed. A start ignores it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use log::warn;

use super::files::{Directory, File, create_whole};
use super::frame::{self, AFTER_FAILURE, Kind};
use super::log::Log;
use crate::limits::{SNAPSHOT_SYNC_BYTES, SNAPSHOT_WRITE_BYTES, SYNC_INTERVAL};
use crate::replication::journal::{DiskFailed, Journal, Note};
use crate::replication::replica::Replica;
use crate::store::KeyValueStore;

/// The name of a log.
pub(super) fn log_name(number: u64) -> String {
    format!("{number}.log")
}

/// The name of a snapshot.
pub(super) fn snapshot_name(number: u64) -> String {
    format!("{number}.snapshot")
}

/// The number in a file's name, if it ends like this.
pub(super) fn number_in(name: &str, ending: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(ending)?.parse().ok()?;
    (format!("{number}{ending}") == name).then_some(number)
}

impl Log {
    /// Whether the logs have grown enough: larger than `least`, and than all that is alive.
    pub fn is_due(&self, replica: &Replica, least: u64) -> bool {
        self.figures.log_bytes.load(Relaxed) > least.max(replica.store().bytes() as u64)
    }

    /// Writes a snapshot and begins a new log. Heals a disk that has failed. `goes_on` is asked after every part of the
    /// store.
    ///
    /// # Errors
    /// Why it could not be written. The logs are still good, unless the disk has failed.
    pub fn rewrite(&self, replica: &Replica, goes_on: &dyn Fn() -> bool) -> Result<(), DiskFailed> {
        self.figures.is_saving.store(true, Relaxed);
        let result = self.try_rewrite(replica, goes_on);
        if let Err(why) = &result {
            self.not_healed(why);
        }
        self.figures.last_save_failed.store(result.is_err(), Relaxed);
        self.figures.is_saving.store(false, Relaxed);
        result
    }

    fn try_rewrite(&self, replica: &Replica, goes_on: &dyn Fn() -> bool) -> Result<(), DiskFailed> {
        let number = self.number.load(Relaxed) + 1;
        let had_failed = self.failure().is_some();
        let failed = |error: std::io::Error| DiskFailed(format!("cannot write a snapshot: {error}"));
        let log = self.begin_log(number, if had_failed { AFTER_FAILURE } else { 0 }).map_err(failed)?;
        self.switch_to(log, had_failed)?;
        if had_failed {
            // What was noted while nothing was written: what is forgotten from now on may rest on it.
            replica.visit_notes(&mut |note| self.note(&note));
        }
        let before = self.figures.log_bytes.load(Relaxed);
        // A disk that heals has no use for the logs before; their number may be used again.
        if !had_failed {
            self.number.store(number, Relaxed);
        }
        let new = format!("{}.new", snapshot_name(number));
        let written = self.write_snapshot(&new, replica, goes_on).map_err(failed).and_then(|bytes| {
            self.sync_all()?;
            self.directory.rename(&new, &snapshot_name(number)).map_err(failed)?;
            self.directory.sync().map_err(failed)?;
            Ok(bytes)
        });
        let bytes = written.inspect_err(|_| drop(self.directory.remove(&new)))?;
        self.healed()?;
        self.number.store(number, Relaxed);
        self.figures.snapshot_bytes.store(bytes, Relaxed);
        self.figures.log_bytes.fetch_sub(before, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.figures.saved_at.store(now.as_secs(), Relaxed);
        if let Err(error) = remove_older(&*self.directory, number) {
            warn!("{}: cannot remove files that are no longer needed: {error}", self.node);
        }
        Ok(())
    }

    /// Creates a log that is durable. It has its name only once its header is whole.
    pub(super) fn begin_log(&self, number: u64, flags: u16) -> std::io::Result<Arc<dyn File>> {
        create_whole(&*self.directory, &log_name(number), &frame::header(self.salt(), flags))
    }

    /// Writes all that the replica holds to a file; returns how long that is.
    fn write_snapshot(&self, name: &str, replica: &Replica, goes_on: &dyn Fn() -> bool) -> std::io::Result<u64> {
        let mut out =
            Out { log: self, file: self.directory.create(name)?, bytes: 0, unsynced: 0, last: Instant::now() };
        let (salt, mut buffer, mut frames) = (self.salt(), frame::header(self.salt(), 0), 0);
        let confirmed = Some(Note::Confirmed(self.last_confirmation()));
        for note in confirmed.into_iter().chain(replica.notes()) {
            let (kind, payload) = frame::of_note(&note);
            frame::write(&mut buffer, salt, kind, &[&payload]);
            frames += 1;
        }
        for part in 0..KeyValueStore::PARTS {
            replica.store().visit_part(part, |record| {
                frame::write(&mut buffer, salt, Kind::Entry, &[record.encode()]);
                frames += 1;
            });
            if buffer.len() >= SNAPSHOT_WRITE_BYTES {
                out.write(&mut buffer)?;
            }
            if !goes_on() {
                return Err(std::io::Error::other("the node is stopping"));
            }
        }
        frame::write(&mut buffer, salt, Kind::End, &[&u64::to_be_bytes(frames)]);
        out.write(&mut buffer)?;
        out.file.sync()?;
        Ok(out.bytes)
    }
}

/// A snapshot that is being written.
struct Out<'a> {
    log: &'a Log,
    file: Arc<dyn File>,
    bytes: u64,
    unsynced: usize,
    /// When the log was last synced.
    last: Instant,
}

impl Out<'_> {
    /// Writes what has gathered. Syncs in small steps, so that the disk has no long queue before it when the log must
    /// be synced, and syncs the log every second.
    fn write(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        self.file.write(buffer)?;
        self.bytes += buffer.len() as u64;
        self.unsynced += buffer.len();
        buffer.clear();
        if self.unsynced >= SNAPSHOT_SYNC_BYTES {
            self.file.sync()?;
            self.unsynced = 0;
        }
        if self.last.elapsed() >= SYNC_INTERVAL {
            // A failure is reported, and found again before the snapshot is used.
            let _ = self.log.sync_all();
            self.last = Instant::now();
        }
        Ok(())
    }
}

/// Removes the logs and snapshots below a number, and those that were not completed.
pub(super) fn remove_older(directory: &dyn Directory, number: u64) -> std::io::Result<()> {
    for name in directory.list()? {
        let found = [".log", ".snapshot"].iter().find_map(|ending| number_in(&name, ending));
        let is_unfinished = [".log.new", ".snapshot.new"].iter().any(|ending| number_in(&name, ending).is_some());
        if found.is_some_and(|found| found < number) || is_unfinished {
            directory.remove(&name)?;
        }
    }
    directory.sync()
}
