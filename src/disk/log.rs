//! The log: a buffer in memory, and behind it the file that is appended to.
//!
//! Three things happen to a frame, each in its own time. It is *appended* to the buffer, under the lock of its shard,
//! without a system call. It is *written* to the file, before a session answers. It is *synced*, every second or before
//! the answer. Positions count the bytes that were ever appended, so that a session can say up to where it must wait.
//!
//! Locks, in this order: `confirming`, the turn to sync (`SyncTurn`), `file`, `state`, `buffer`. A thread that appends
//! takes the last one only.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Instant;

use parking_lot::Mutex;

use super::SyncPolicy;
use super::confirming::Confirmed;
use super::figures::Figures;
use super::files::{Directory, File};
use super::frame::{self, Kind};
use super::health::State;
use crate::limits::KEPT_BUFFER_BYTES;
use crate::replication::journal::DiskFailed;
use crate::replication::message::{Confirmation, StoreId};

/// The disk of one node.
pub struct Log {
    pub(super) directory: Arc<dyn Directory>,
    /// The node's name, for messages.
    pub(super) node: String,
    pub(super) store: StoreId,
    /// Whether the directory was made in this life.
    pub(super) is_new: bool,
    pub(super) policy: SyncPolicy,
    /// The number of the current log.
    pub(super) number: AtomicU64,
    pub(super) buffer: Mutex<Buffer>,
    pub(super) file: Mutex<Current>,
    /// Everything up to this position is in the file.
    pub(super) written: AtomicU64,
    /// Everything up to this position is durable.
    pub(super) synced: AtomicU64,
    /// Whether a thread syncs for all that wait.
    is_syncing: AtomicBool,
    /// How many syncs have ended. Those that wait sleep until it changes. All are woken by one system call, and none of
    /// them needs a lock then; with a condition variable, each would have to take the lock from the one before.
    syncs_ended: AtomicU32,
    pub(super) confirming: Mutex<Confirmed>,
    /// The last confirmation that is durable.
    pub(super) durable: AtomicU64,
    /// A copy of "`state` is not [`State::Works`]" that is cheap to read.
    pub(super) is_failed: AtomicBool,
    pub(super) state: Mutex<State>,
    pub(super) figures: Figures,
}

/// What waits to be written.
pub(super) struct Buffer {
    /// Whether frames are taken. Not before the node has started, and not while the disk has failed.
    pub(super) is_open: bool,
    pub(super) bytes: Vec<u8>,
    /// The position behind the last frame.
    pub(super) end: u64,
    /// The position behind the last frame that changed the data.
    pub(super) changed: u64,
}

/// The file that is appended to.
pub(super) struct Current {
    pub(super) file: Option<Arc<dyn File>>,
    /// An empty buffer, for the next exchange with that of the frames.
    spare: Vec<u8>,
}

impl Log {
    /// A log that takes nothing yet.
    pub(super) fn new(
        directory: Arc<dyn Directory>,
        node: String,
        (store, is_new): (StoreId, bool),
        policy: SyncPolicy,
    ) -> Self {
        Self {
            directory,
            node,
            store,
            is_new,
            policy,
            number: AtomicU64::new(1),
            buffer: Mutex::new(Buffer { is_open: false, bytes: Vec::new(), end: 0, changed: 0 }),
            file: Mutex::new(Current { file: None, spare: Vec::new() }),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            is_syncing: AtomicBool::new(false),
            syncs_ended: AtomicU32::new(0),
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

    // ---- appending -------------------------------------------------------------------------------------------------

    pub(super) fn append(&self, kind: Kind, payload: &[&[u8]], is_change: bool) {
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

    // ---- writing and syncing ---------------------------------------------------------------------------------------

    /// Makes everything that was appended up to now as safe as an answer needs it: written, or synced with
    /// [`SyncPolicy::Always`].
    ///
    /// # Errors
    /// When the disk has failed. Then it is unknown what is on it.
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
        if self.written.load(Acquire) >= up_to { self.check_writable() } else { self.write_locked(&mut current) }
    }

    pub(super) fn write_locked(&self, current: &mut Current) -> Result<(), DiskFailed> {
        self.check_writable()?;
        let end = {
            let mut buffer = self.buffer.lock();
            mem::swap(&mut buffer.bytes, &mut current.spare);
            buffer.end
        };
        let file = current.file.as_ref().expect("a log that takes frames has a file");
        let result = file.write(&current.spare);
        let written = current.spare.len() as u64;
        current.spare.clear();
        current.spare.shrink_to(KEPT_BUFFER_BYTES);
        result.map_err(|error| self.fail(&format!("a write failed: {error}")))?;
        self.figures.log_bytes.fetch_add(written, Relaxed);
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
        let is_done = || self.synced.load(Acquire) >= up_to || self.check_writable().is_err();
        match self.take_turn_unless(is_done) {
            None => self.check_writable(),
            Some(_turn) => self.sync_now(),
        }
    }

    /// Waits until no other thread syncs, then takes its turn. Returns `None` if `is_done` before that.
    pub(super) fn take_turn_unless(&self, is_done: impl Fn() -> bool) -> Option<SyncTurn<'_>> {
        while !is_done() {
            let ended = self.syncs_ended.load(Acquire);
            if !self.is_syncing.swap(true, Acquire) {
                return Some(SyncTurn(self));
            }
            // Returns at once if the sync under way has ended since `ended` was read.
            atomic_wait::wait(&self.syncs_ended, ended);
        }
        None
    }

    /// Syncs all that was appended. The caller has the turn. Others write meanwhile.
    fn sync_now(&self) -> Result<(), DiskFailed> {
        let (file, written) = {
            let mut current = self.file.lock();
            self.write_locked(&mut current)?;
            (current.file.clone(), self.written.load(Acquire))
        };
        let file = file.expect("a log that takes frames has a file");
        let began = Instant::now();
        let result = file.sync();
        self.figures.syncs.observe(began.elapsed());
        result.map_err(|error| self.fail(&format!("a sync failed: {error}")))?;
        self.synced.store(written, Release);
        Ok(())
    }

    /// Whether everything up to this position is durable.
    pub fn is_synced(&self, up_to: u64) -> bool {
        self.synced.load(Acquire) >= up_to && !self.is_failed.load(Acquire)
    }

    /// Makes everything durable that was appended. Called every second, and at the end.
    ///
    /// # Errors
    /// As [`Log::before_answer`].
    pub fn sync_all(&self) -> Result<(), DiskFailed> {
        self.sync_out(self.end())
    }
}

/// The right to sync, of one thread at a time. When it is given back, all that wait look again.
pub(super) struct SyncTurn<'a>(&'a Log);

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        self.0.is_syncing.store(false, Release);
        self.0.syncs_ended.fetch_add(1, Release);
        atomic_wait::wake_all(&self.0.syncs_ended);
    }
}

/// What the CRCs of a store's files begin with.
pub(super) fn salt_of(store: StoreId) -> u32 {
    (store.0 >> 32) as u32 ^ store.0 as u32
}
