//! The log: a buffer in memory, and behind it the file that is appended to.
//!
//! Three things happen to a frame, each in its own time. It is *appended* to the buffer, under the lock of its shard,
//! without a system call. It is *written* to the file, before a session answers. It is *synced*, every second or before
//! the answer. Positions count the bytes that were ever appended, so that a session can say up to where it must wait.
//!
//! Locks, in this order: `confirming`, the lead ([`Lead`]), `file`, `state`, `buffer`. Whoever appends takes the last one only.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use log::error;
use parking_lot::Mutex;

use super::SyncPolicy;
use super::files::{Directory, File};
use super::frame::{self, Kind};
use crate::limits::{JOURNAL_RELIEF_BYTES, KEPT_BUFFER_BYTES};
use crate::replication::journal::{DiskFailed, Journal, Note};
use crate::replication::message::{Confirmation, StoreId};
use crate::store::accepted::Accepted;
use crate::store::arrival::Arrival;
use crate::store::record::Record;
use crate::store::version::Version;

/// The disk of one node.
pub struct Log {
    pub(super) directory: Arc<dyn Directory>,
    /// The node's name, for messages.
    pub(super) node: String,
    pub(super) store: StoreId,
    policy: SyncPolicy,
    buffer: Mutex<Buffer>,
    pub(super) file: Mutex<Current>,
    /// Everything up to this position is in the file.
    written: AtomicU64,
    /// Everything up to this position is durable.
    synced: AtomicU64,
    /// Whether a thread syncs for all that wait.
    is_led: AtomicBool,
    /// How often that has ended. Those that wait sleep until it changes. All are woken by one system call, and none of
    /// them needs a lock then; with a condition variable, each would have to take the lock from the one before.
    ended: AtomicU32,
    confirming: Mutex<Confirmed>,
    /// The last confirmation that is durable.
    durable: AtomicU64,
    /// Whether `state` is anything but [`State::Works`]: for those who ask often.
    is_failed: AtomicBool,
    state: Mutex<State>,
    pub(super) figures: Figures,
}

/// What waits to be written.
struct Buffer {
    /// Whether frames are taken. Not before the node has started, and not while the disk has failed.
    is_open: bool,
    bytes: Vec<u8>,
    /// The position behind the last frame.
    end: u64,
    /// The position behind the last frame that changed the data.
    changed: u64,
}

/// The file that is appended to.
pub(super) struct Current {
    pub(super) file: Option<Arc<dyn File>>,
    /// An empty buffer, for the next exchange with that of the frames.
    spare: Vec<u8>,
}

/// What was confirmed last.
struct Confirmed {
    confirmation: Confirmation,
    /// The position behind the last change that it covers; `None` before the first confirmation of this life, and after
    /// the disk was healed. The next one gets a new number in any case: it is not known whether the last number covers
    /// all that the disk holds.
    changed: Option<u64>,
}

/// Whether the disk works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Works,
    /// Nothing is written.
    Failed(DiskFailed),
    /// A new log and snapshot are being written. What is appended goes to the new log, but counts for nothing yet.
    Heals(DiskFailed),
}

/// What INFO shows. All in bytes, but the numbers and times.
#[derive(Default)]
pub(super) struct Figures {
    /// The number of the current log.
    pub(super) number: AtomicU64,
    /// All logs that are needed beside the last snapshot.
    pub(super) log_bytes: AtomicU64,
    pub(super) snapshot_bytes: AtomicU64,
    /// When the last snapshot was complete, in seconds since 1970; 0: none was.
    pub(super) saved_at: AtomicU64,
    pub(super) is_saving: AtomicBool,
    pub(super) last_save_failed: AtomicBool,
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
    /// The last confirmation that is durable.
    pub confirmation: Confirmation,
}

impl Log {
    /// A log that takes nothing yet.
    pub(super) fn new(directory: Arc<dyn Directory>, node: String, store: StoreId, policy: SyncPolicy) -> Self {
        Self {
            directory,
            node,
            store,
            policy,
            buffer: Mutex::new(Buffer { is_open: false, bytes: Vec::new(), end: 0, changed: 0 }),
            file: Mutex::new(Current { file: None, spare: Vec::new() }),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            is_led: AtomicBool::new(false),
            ended: AtomicU32::new(0),
            confirming: Mutex::new(Confirmed { confirmation: Confirmation::NONE, changed: None }),
            durable: AtomicU64::new(0),
            is_failed: AtomicBool::new(false),
            state: Mutex::new(State::Works),
            figures: Figures::default(),
        }
    }

    /// The number of the store.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// What the CRCs of the store's files begin with: a part of its number, which no client can know.
    pub(super) fn salt(&self) -> u32 {
        salt_of(self.store)
    }

    /// Begins to take frames: they go to `file`. `confirmation` is the last one that the disk remembers.
    pub(super) fn begin(&self, file: Arc<dyn File>, confirmation: Confirmation) {
        self.file.lock().file = Some(file);
        self.confirming.lock().confirmation = confirmation;
        self.durable.store(confirmation.0, Release);
        self.buffer.lock().is_open = true;
    }

    // ---- appending
    // ----------------------------------------------------------------------------------------------------

    fn append(&self, kind: Kind, payload: &[&[u8]], is_change: bool) {
        let head = frame::head(self.salt(), kind, payload);
        let mut buffer = self.buffer.lock();
        if !buffer.is_open {
            return;
        }
        let before = buffer.bytes.len();
        buffer.bytes.extend_from_slice(&head);
        payload.iter().for_each(|part| buffer.bytes.extend_from_slice(part));
        buffer.end += (buffer.bytes.len() - before) as u64;
        if is_change {
            buffer.changed = buffer.end;
        }
    }

    /// The position behind everything that was appended.
    pub fn end(&self) -> u64 {
        self.buffer.lock().end
    }

    // ---- writing and syncing
    // ------------------------------------------------------------------------------------------

    /// Makes everything that was appended up to now as safe as an answer needs it: written, or synced with
    /// [`SyncPolicy::Always`].
    ///
    /// # Errors
    /// When the disk has failed. Then nobody knows what is on it.
    pub fn before_answer(&self) -> Result<(), DiskFailed> {
        match self.policy {
            SyncPolicy::EverySecond => self.write_out(self.end())?,
            SyncPolicy::Always => self.sync_out(self.end())?,
        }
        self.check_works()
    }

    /// Writes the buffer to the file, unless everything up to this position was written already.
    ///
    /// # Errors
    /// As [`Log::before_answer`].
    pub fn write_out(&self, up_to: u64) -> Result<(), DiskFailed> {
        if self.written.load(Acquire) >= up_to && !self.is_failed.load(Acquire) {
            return Ok(());
        }
        let mut current = self.file.lock();
        if self.written.load(Acquire) >= up_to { self.check() } else { self.write_locked(&mut current) }
    }

    pub(super) fn write_locked(&self, current: &mut Current) -> Result<(), DiskFailed> {
        self.check()?;
        let end = {
            let mut buffer = self.buffer.lock();
            mem::swap(&mut buffer.bytes, &mut current.spare);
            buffer.end
        };
        let file = current.file.as_ref().expect("a log that takes frames has a file");
        let result = file.write(&current.spare);
        self.figures.log_bytes.fetch_add(current.spare.len() as u64, Relaxed);
        current.spare.clear();
        current.spare.shrink_to(KEPT_BUFFER_BYTES);
        result.map_err(|error| self.fail(&format!("a write failed: {error}")))?;
        self.written.store(end, Release);
        Ok(())
    }

    /// Makes everything up to this position durable.
    ///
    /// # Errors
    /// As [`Log::before_answer`].
    pub fn sync_out(&self, up_to: u64) -> Result<(), DiskFailed> {
        if self.synced.load(Acquire) >= up_to && !self.is_failed.load(Acquire) {
            return Ok(());
        }
        let is_done = || self.synced.load(Acquire) >= up_to || self.check().is_err();
        match self.lead_unless(is_done) {
            None => self.check(),
            Some(_lead) => self.sync_now(),
        }
    }

    /// Waits until no other thread syncs, and then lets nobody else. If `is_done` before that, returns `None`.
    fn lead_unless(&self, is_done: impl Fn() -> bool) -> Option<Lead<'_>> {
        while !is_done() {
            let ended = self.ended.load(Acquire);
            if !self.is_led.swap(true, Acquire) {
                return Some(Lead(self));
            }
            // Returns at once if the thread that leads has ended since `ended` was read.
            atomic_wait::wait(&self.ended, ended);
        }
        None
    }

    /// Syncs all that was appended. The caller leads. Others write meanwhile.
    fn sync_now(&self) -> Result<(), DiskFailed> {
        let (file, written) = {
            let mut current = self.file.lock();
            self.write_locked(&mut current)?;
            (current.file.clone(), self.written.load(Acquire))
        };
        let file = file.expect("a log that takes frames has a file");
        file.sync().map_err(|error| self.fail(&format!("a sync failed: {error}")))?;
        self.synced.store(written, Release);
        Ok(())
    }

    /// Makes everything durable that was appended. Called every second, and at the end.
    ///
    /// # Errors
    /// As [`Log::before_answer`].
    pub fn sync_all(&self) -> Result<(), DiskFailed> {
        self.sync_out(self.end())
    }

    // ---- failing and healing
    // ------------------------------------------------------------------------------------------

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

    /// Whether what was written counts. If the disk has failed since it was appended, it may be lost, and only a complete
    /// snapshot has it.
    fn check_works(&self) -> Result<(), DiskFailed> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Whether anything may be written.
    fn check(&self) -> Result<(), DiskFailed> {
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
        let _lead = self.lead_unless(|| false);
        let mut current = self.file.lock();
        let mut state = self.state.lock();
        if let State::Failed(why) = state.clone() {
            if !heals {
                return Err(why);
            }
            *state = State::Heals(why);
            let mut buffer = self.buffer.lock();
            buffer.is_open = true;
            // Nobody waits for what is lost: the snapshot has it.
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
        self.check()?;
        let (mut last, mut state) = (self.confirming.lock(), self.state.lock());
        if let State::Heals(_) = *state {
            *state = State::Works;
            self.is_failed.store(false, Release);
            // What was accepted while nothing was appended counts as a change, too.
            last.changed = None;
        }
        Ok(())
    }

    /// The snapshot could not be written: a disk that was to be healed has failed again.
    pub(super) fn not_healed(&self, why: &DiskFailed) {
        if matches!(*self.state.lock(), State::Heals(_)) {
            self.fail(&why.0);
        }
    }

    /// The last confirmation, durable or not, for a snapshot that begins now.
    pub(super) fn last_confirmation(&self) -> Confirmation {
        self.confirming.lock().confirmation
    }

    /// The state of the disk at this moment.
    pub fn stats(&self) -> LogStats {
        let Figures { log_bytes, snapshot_bytes, saved_at, is_saving, last_save_failed, .. } = &self.figures;
        LogStats {
            directory: self.directory.describe(),
            policy: self.policy,
            failure: self.failure().map(|failed| failed.0),
            log_bytes: log_bytes.load(Relaxed),
            snapshot_bytes: snapshot_bytes.load(Relaxed),
            is_saving: is_saving.load(Relaxed),
            saved_at: saved_at.load(Relaxed),
            last_save_failed: last_save_failed.load(Relaxed),
            confirmation: self.confirmation(),
        }
    }
}

/// The right to sync, of one thread at a time. When it is given back, all that wait look again.
struct Lead<'a>(&'a Log);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.is_led.store(false, Release);
        self.0.ended.fetch_add(1, Release);
        atomic_wait::wake_all(&self.0.ended);
    }
}

/// What the CRCs of a store's files begin with.
pub(super) fn salt_of(store: StoreId) -> u32 {
    (store.0 >> 32) as u32 ^ store.0 as u32
}

impl Accepted for Log {
    fn accepted(&self, record: &Record, _arrival: Arrival) {
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
        // The first number is 2: a store that shows 1 has a past, but has confirmed nothing.
        let confirmation = Confirmation(last.confirmation.0.max(1) + 1);
        *last = Confirmed { confirmation, changed: Some(changed) };
        self.note(&Note::Confirmed(confirmation));
        self.sync_out(self.end())?;
        self.check_works()?;
        self.durable.store(confirmation.0, Release);
        Ok(confirmation)
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
