//! A node's disk: how it is opened, and the thread that syncs it, rewrites it, and heals it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use log::{debug, info, warn};

use super::Shared;
use super::faulty_disk::FaultyDirectory;
use super::late::LateAnswers;
use crate::config::Config;
use crate::disk::files::{Directory, RealDirectory};
use crate::disk::identity::Owner;
use crate::disk::{Log, StartError, SyncPolicy};
use crate::limits::{HEAL_INTERVAL, MAX_REPLAY_THREADS, MIN_REWRITE_BYTES, RETRY_SAVE_AFTER, SYNC_INTERVAL};
use crate::replication::message::StoreId;
use crate::replication::replica::Replica;
use crate::store::version::NodeId;

/// The disk of a node that has one.
pub(super) struct Disk {
    pub(super) log: Arc<Log>,
    /// With `--sync always`: the answers that wait for the disk without their sessions.
    pub(super) late: Option<LateAnswers>,
    /// The same directory as the log's, if there is a lab: its power can be cut.
    pub(super) faulty: Option<FaultyDirectory>,
    /// Where a snapshot is asked for. The disk thread has the other end.
    saves: Sender<()>,
    asked: Receiver<()>,
    /// Keeps other processes out of the directory.
    _lock: fs::File,
}

impl Disk {
    /// Opens the directory that the configuration names, if it names one.
    pub(super) fn open(config: &Config, new: StoreId) -> Result<Option<Self>, StartError> {
        let Some(path) = &config.data else { return Ok(None) };
        let describe = || path.display().to_string();
        let error = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => StartError::InUse { directory: describe() },
            _ => StartError::Io {
                file: format!("--data {}: cannot be used as a directory", describe()),
                why: error.to_string(),
            },
        };
        let directory = RealDirectory::create(path).map_err(error)?;
        let lock = directory.lock("lock").map_err(error)?;
        let owner = Owner { name: config.name.clone(), node: NodeId(config.node) };
        let mut faulty = None;
        let directory: Arc<dyn Directory> = match config.lab {
            false => Arc::new(directory),
            true => Arc::new(faulty.insert(FaultyDirectory::new(directory)).clone()),
        };
        let log = Log::open(directory, &owner, new, config.sync)?;
        let (saves, asked) = bounded(1);
        let late = (config.sync == SyncPolicy::Always).then(LateAnswers::default);
        Ok(Some(Self { log: Arc::new(log), late, faulty, saves, asked, _lock: lock }))
    }

    /// Reads everything into a replica that holds nothing yet.
    pub(super) fn load(&self, replica: &Replica) -> Result<(), StartError> {
        let (name, begun) = (&replica.identity().name, Instant::now());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let loaded = self.log.load_with(replica, cores.min(MAX_REPLAY_THREADS))?;
        if let Some(torn) = loaded.torn {
            let kept = match torn.kept_in {
                Ok(file) => format!("and are kept in {file}"),
                Err(why) => format!("and could not be kept: {why}"),
            };
            warn!("{name}: the log had a torn end, as after a power cut: {} bytes were cut off, {kept}", torn.bytes);
        }
        let keys = replica.store().counts().keys;
        info!("{name}: loaded {keys} keys from {} in {:.1?}", self.log.stats().directory, begun.elapsed());
        Ok(())
    }

    /// Asks for a snapshot. If one was asked for already, that will do.
    pub(super) fn ask_for_save(&self) {
        let _ = self.saves.try_send(());
    }
}

/// The thread that sends the answers that wait for the disk.
pub(super) fn send_late(_: &Shared, disk: &Disk) {
    if let Some(late) = &disk.late {
        late.run(&disk.log);
    }
}

/// The disk thread. At the end of the node the log is synced once more, when nothing can write any more.
pub(super) fn run(node: &Shared, disk: &Disk) {
    let mut last_attempt = None;
    loop {
        let is_asked = select! {
            recv(disk.asked) -> _ => true,
            recv(node.stop.receiver()) -> _ => return,
            default(SYNC_INTERVAL) => false,
        };
        let waited = |time| last_attempt.is_none_or(|last: Instant| last.elapsed() >= time);
        let is_due = match disk.log.failure() {
            Some(_) => waited(HEAL_INTERVAL),
            // A failure is reported where it is found.
            None => {
                let _ = disk.log.sync_all();
                let has_grown = disk.log.is_due(&node.replica, MIN_REWRITE_BYTES);
                is_asked || (has_grown && (!disk.log.stats().last_save_failed || waited(RETRY_SAVE_AFTER)))
            }
        };
        if is_due {
            save(node, disk);
            last_attempt = Some(Instant::now());
        }
    }
}

fn save(node: &Shared, disk: &Disk) {
    let (had_failed, begun) = (disk.log.failure().is_some(), Instant::now());
    match disk.log.rewrite(&node.replica, &|| !node.stop.is_stopping()) {
        Ok(()) if had_failed => info!("{}: the disk works again", node.name()),
        Ok(()) => debug!("{}: wrote a snapshot in {:.1?}", node.name(), begun.elapsed()),
        Err(_) if node.stop.is_stopping() => {}
        Err(error) if had_failed => debug!("{}: {error}; trying again in {HEAL_INTERVAL:?}", node.name()),
        Err(error) => warn!("{}: {error}; the log goes on", node.name()),
    }
}
