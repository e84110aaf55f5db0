//! How a node comes back from its disk.
//!
//! The newest snapshot is read, then the logs numbered from it on, in their order, all through the same merge. What is
//! numbered below that snapshot is removed: an old log without its successor would bring back what was deleted and
//! forgotten. The incarnation is a new one, so all that the peers believe about the last one counts no more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use super::SyncPolicy;
use super::files::{Directory, File};
use super::frame::{AFTER_FAILURE, Frame, HEADER_BYTES, header};
use super::identity::{self, Owner};
use super::log::Log;
use super::reader::{Broken, Reader};
use super::replay::Replay;
use super::snapshot::{log_name, number_in, remove_older, snapshot_name};
use super::start_error::StartError;
use crate::replication::journal::Note;
use crate::replication::message::{Confirmation, StoreId};
use crate::replication::replica::Replica;

/// What a node has found on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many frames were read.
    pub frames: u64,
    /// The end of the last log that was cut off, if it was torn.
    pub torn: Option<TornEnd>,
}

/// The torn end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornEnd {
    /// How many bytes it has.
    pub bytes: usize,
    /// The file that keeps it, or why it could not be kept.
    pub kept_in: Result<String, String>,
}

impl Log {
    /// Opens a directory: a new one gets the store `new`. Nothing is read yet but whose it is.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(
        directory: Arc<dyn Directory>,
        owner: &Owner,
        new: StoreId,
        policy: SyncPolicy,
    ) -> Result<Self, StartError> {
        let (store, is_new) = identity::store_of(&*directory, owner, new)?;
        Ok(Self::new(directory, owner.name.clone(), (store, is_new), policy))
    }

    /// Reads everything into a replica that holds nothing yet, and whose journal this is. From then on, what it accepts
    /// is written.
    ///
    /// # Errors
    /// When something is damaged, or the operating system reports an error. Then the node must not start.
    pub fn load(&self, replica: &Replica) -> Result<Loaded, StartError> {
        self.load_with(replica, 1)
    }

    /// As [`Log::load`], with so many threads that merge. Then the arrival numbers depend on chance.
    ///
    /// # Errors
    /// As [`Log::load`].
    pub fn load_with(&self, replica: &Replica, threads: usize) -> Result<Loaded, StartError> {
        let directory = &*self.directory;
        let io = |error: io::Error| StartError::io(directory, ".", &error);
        let (first, logs) = self.needed()?;
        let (confirmation, loaded, has_failed) = thread::scope(|scope| {
            let (confirmation, loaded, has_failed) = (Confirmation::NONE, Loaded::default(), false);
            let replay = Replay::start(scope, replica, threads);
            let mut loading = Loading { log: self, replica, replay, confirmation, loaded, has_failed };
            first.map_or(Ok(()), |number| loading.read_snapshot(&snapshot_name(number)))?;
            loading.read_logs(&logs)?;
            Ok((loading.confirmation, loading.loaded, loading.has_failed))
        })?;

        // After a process was killed, what was read may not be durable yet; and it may be confirmed from now on.
        let synced = |&number: &u64| {
            let file = directory.append(&log_name(number)).and_then(|file| file.sync().map(|()| (number, file)));
            file.map_err(|error| StartError::io(directory, &log_name(number), &error))
        };
        let files: Vec<(u64, Arc<dyn File>)> = logs.iter().map(synced).collect::<Result<_, _>>()?;
        directory.sync().map_err(io)?;
        remove_older(directory, first.unwrap_or(0)).map_err(io)?;
        let (number, file) = files.into_iter().next_back().expect("a directory without logs is damaged");
        self.number.store(number, Relaxed);
        self.begin(file, if self.is_new { confirmation } else { confirmation.max(Confirmation::UNCONFIRMED) });
        replica.finish_restoring();
        if has_failed {
            // The kernel may show what it could not write, as if it were on the disk. Only a snapshot is sure to be.
            self.fail("it had failed before this start");
            // If this fails, the node starts without its disk, and tries again.
            let _ = self.rewrite(replica, &|| true);
        }
        Ok(loaded)
    }

    /// The number of the newest snapshot, if there is one, and those of all logs from there on.
    fn needed(&self) -> Result<(Option<u64>, Vec<u64>), StartError> {
        let directory = &*self.directory;
        let names = directory.list().map_err(|error| StartError::io(directory, ".", &error))?;
        let numbers = |ending: &str| names.iter().filter_map(|name| number_in(name, ending)).collect::<Vec<u64>>();
        let snapshot = numbers(".snapshot").into_iter().max();
        let mut logs = numbers(".log");
        logs.retain(|&number| number >= snapshot.unwrap_or(0));
        logs.sort_unstable();
        let mut expected = snapshot.unwrap_or(1)..;
        let missing = match logs.iter().zip(&mut expected).find(|(found, expected)| *found != expected) {
            None if logs.is_empty() => expected.next(),
            found => found.map(|(_, missing)| missing),
        };
        match missing {
            Some(1) if !logs.is_empty() => {
                let first = snapshot_name(logs[0]);
                Err(StartError::damaged(directory, &first, "is missing, and so are the logs before it"))
            }
            Some(number) => Err(StartError::damaged(directory, &log_name(number), "is missing")),
            None => Ok((snapshot, logs)),
        }
    }
}

/// A directory that is being read.
struct Loading<'a> {
    log: &'a Log,
    replica: &'a Replica,
    replay: Replay,
    confirmation: Confirmation,
    loaded: Loaded,
    /// Whether a log was begun because the disk had failed, and no snapshot has healed it.
    has_failed: bool,
}

impl Loading<'_> {
    /// Reads a snapshot. It was synced before it got its name, so it must be whole.
    fn read_snapshot(&mut self, name: &str) -> Result<(), StartError> {
        let mut reader = self.open(name).map_err(|broken| self.explain(name, broken))?;
        loop {
            let before = self.loaded.frames;
            match reader.next_frame() {
                Ok(Some(Frame::End(frames))) if frames == before && matches!(reader.next_frame(), Ok(None)) => break,
                Ok(Some(Frame::End(_)) | None) => {
                    let why = format!("is not complete (byte {})", reader.position());
                    return Err(StartError::damaged(&*self.log.directory, name, why));
                }
                Ok(Some(frame)) => self.apply(frame),
                Err(broken) => return Err(self.explain(name, broken)),
            }
        }
        self.log.figures.snapshot_bytes.store(reader.position(), Relaxed);
        Ok(())
    }

    /// Reads the logs. Only the last one to which anything was written may have a torn end, or one after which the disk
    /// had failed.
    fn read_logs(&mut self, numbers: &[u64]) -> Result<(), StartError> {
        for (index, &number) in numbers.iter().enumerate() {
            let (name, later) = (log_name(number), &numbers[index + 1..]);
            // The snapshot of the same number has healed what the first one follows.
            self.has_failed |= index > 0 && self.follows_failure(number);
            let Err(broken) = self.read_log(&name) else { continue };
            match broken {
                Broken::Torn { at, .. } if later.first().is_some_and(|&next| self.follows_failure(next)) => {
                    self.log.figures.log_bytes.fetch_add(at, Relaxed);
                }
                // A log that has no frames was begun, but the node died before it switched to it.
                Broken::Torn { at, rest } if later.iter().all(|&later| self.is_unused(later)) => {
                    self.cut_off(&name, at, &rest)?;
                }
                broken => return Err(self.explain(&name, broken)),
            }
        }
        Ok(())
    }

    fn read_log(&mut self, name: &str) -> Result<(), Broken> {
        let mut reader = self.open(name)?;
        while let Some(frame) = reader.next_frame()? {
            self.apply(frame);
        }
        self.log.figures.log_bytes.fetch_add(reader.position(), Relaxed);
        Ok(())
    }

    fn open(&self, name: &str) -> Result<Reader<Box<dyn io::Read>>, Broken> {
        Reader::open(self.log.directory.read(name)?, self.log.salt())
    }

    fn follows_failure(&self, number: u64) -> bool {
        self.open(&log_name(number)).is_ok_and(|reader| reader.flags() & AFTER_FAILURE != 0)
    }

    fn is_unused(&self, number: u64) -> bool {
        self.open(&log_name(number)).is_ok_and(|mut reader| matches!(reader.next_frame(), Ok(None)))
    }

    /// Keeps the torn end of a log in a file of its own, and cuts it off.
    fn cut_off(&mut self, name: &str, at: u64, rest: &[u8]) -> Result<(), StartError> {
        let directory = &*self.log.directory;
        let kept_in = format!("{name}.torn");
        let keep = || -> io::Result<()> {
            let file = directory.create(&kept_in)?;
            file.write(rest)?;
            file.sync()
        };
        // On a full disk it cannot be kept. It was not answered, so a start is worth more.
        let kept = keep().inspect_err(|_| drop(directory.remove(&kept_in)));
        let cut = || -> io::Result<()> {
            directory.truncate(name, at)?;
            if at < HEADER_BYTES as u64 {
                let file = directory.append(name)?;
                file.write(&header(self.log.salt(), 0))?;
                file.sync()?;
            }
            directory.sync()
        };
        cut().map_err(|error| StartError::io(directory, name, &error))?;
        let kept_in = kept.map(|()| format!("{}/{kept_in}", directory.describe())).map_err(|error| error.to_string());
        self.loaded.torn = Some(TornEnd { bytes: rest.len(), kept_in });
        self.log.figures.log_bytes.fetch_add(at.max(HEADER_BYTES as u64), Relaxed);
        Ok(())
    }

    fn apply(&mut self, frame: Frame) {
        self.loaded.frames += 1;
        match frame {
            Frame::Entry(ref record) => {
                self.replay.apply(self.replica.store().part_of(record.key()), record.bytes(), frame)
            }
            Frame::Forgotten { ref key, .. } => self.replay.apply(self.replica.store().part_of(key), key.len(), frame),
            Frame::Note(Note::Confirmed(confirmation)) => self.confirmation = self.confirmation.max(confirmation),
            Frame::Note(note) => self.replica.restore_note(&note),
            Frame::End(_) => {}
        }
    }

    fn explain(&self, name: &str, broken: Broken) -> StartError {
        let directory = &*self.log.directory;
        match broken {
            Broken::Torn { at, .. } => {
                StartError::damaged(directory, name, format!("ends in the middle of a frame, at byte {at}"))
            }
            Broken::Damaged { at, why } => StartError::damaged(directory, name, format!("byte {at}: {why}")),
            Broken::Newer(format) => StartError::Newer { directory: directory.describe(), format },
            Broken::Io(error) => StartError::io(directory, name, &error),
        }
    }
}
