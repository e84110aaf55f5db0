//! A simulated machine's disk, and what a node's threads do with it.
//!
//! The files are in memory; what writes and reads them is the real [`Log`]. When a node ends, the disk shows what is
//! left: all that was written after a kill, less after a power cut, something older if a copy is put back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use kvstore::disk::identity::Owner;
use kvstore::disk::{Log, StartError, SyncPolicy};
use kvstore::replication::journal::Journal;
use kvstore::replication::message::StoreId;
use kvstore::replication::replica::Identity;

use super::cluster::Cluster;
use super::judge::Judge;
use super::memory_disk::{Fault, MemoryDirectory};
use super::node::Life;
use super::past::{Past, Start};

/// In how many parts a snapshot is written, with a pause before each.
const SNAPSHOT_PAUSES: usize = 8;

/// After how many parts of the store a snapshot pauses.
const PARTS_BETWEEN_PAUSES: usize = kvstore::store::KeyValueStore::PARTS / SNAPSHOT_PAUSES;

/// The disk of one machine.
pub(crate) struct Disk {
    policy: SyncPolicy,
    directory: RefCell<MemoryDirectory>,
    /// Copies of the directory, the oldest first.
    copies: RefCell<Vec<Backup>>,
}

/// A copy of a directory.
#[derive(Clone)]
pub(crate) struct Backup {
    directory: MemoryDirectory,
    /// What the judge knows of it.
    past: Past,
}

/// What becomes of a machine when its node ends.
pub(crate) enum End<'a> {
    /// Its memory is gone, and its disk is new.
    Empty,
    /// The process is killed: everything that was written is there.
    Kill,
    /// The power is cut. Of what was not synced, chance keeps a part: it gets the most that can be kept.
    PowerCut(&'a dyn Fn(usize) -> usize),
    /// An older copy of the disk is put back.
    PutBack(&'a Backup),
}

impl Disk {
    pub(crate) fn new(policy: SyncPolicy) -> Self {
        Self { policy, directory: RefCell::default(), copies: RefCell::default() }
    }

    /// How many copies there are.
    pub(crate) fn copies(&self) -> usize {
        self.copies.borrow().len()
    }

    pub(crate) fn copy(&self, index: usize) -> Backup {
        self.copies.borrow()[index].clone()
    }

    /// After so many more operations the disk is full.
    pub(crate) fn fill_up(&self, operations: u64) {
        self.directory.borrow().fail_after(operations, Fault::Full);
    }

    /// There is room again.
    pub(crate) fn mend(&self) {
        self.directory.borrow().mend();
    }

    /// What the next life finds.
    fn leave(&self, end: &End<'_>) {
        let mut directory = self.directory.borrow_mut();
        *directory = match end {
            End::Empty => MemoryDirectory::default(),
            End::Kill => directory.copy(),
            End::PowerCut(choose) => directory.power_cut(choose),
            // The copy may be put back again.
            End::PutBack(backup) => backup.directory.copy(),
        };
    }
}

/// Opens the disk for a new life. A new directory gets the store `new`.
pub(crate) fn open(disk: &Disk, identity: &Identity, new: StoreId) -> Result<Arc<Log>, StartError> {
    let owner = Owner { name: identity.name.clone(), node: identity.node };
    Log::open(Arc::new(disk.directory.borrow().clone()), &owner, new, disk.policy).map(Arc::new)
}

impl Cluster {
    /// Whether clients may write: not while the disk has failed.
    pub(crate) fn takes_writes(&self, node: usize) -> bool {
        let life = self.nodes[node].life();
        life.serving.get() && life.log.as_ref().is_none_or(|log| log.failure().is_none())
    }

    /// What a session does before it answers: all that it has changed is written, or synced.
    pub(crate) fn before_answer(&self, node: usize, life: &Rc<Life>) {
        let Some((log, disk)) = life.log.as_ref().zip(self.nodes[node].disk.as_ref()) else { return };
        if log.before_answer().is_ok() {
            self.is_written(node, log, disk.policy == SyncPolicy::Always);
        }
    }

    /// What the disk thread does every second: it syncs, or heals a disk that has failed.
    pub(crate) fn sync(&self, node: usize) {
        let life = self.nodes[node].life();
        let Some(log) = &life.log else { return };
        self.step();
        if log.failure().is_some() {
            return self.save(node);
        }
        match log.sync_all() {
            Ok(()) => {
                self.trace.note(node, || "syncs its disk".into());
                self.is_written(node, log, true);
            }
            Err(failed) => self.trace.note(node, || failed.to_string()),
        }
    }

    /// What the disk thread does when the logs have grown: it begins a new log and writes a snapshot, while the others
    /// go on.
    pub(crate) fn save(&self, node: usize) {
        let life = self.nodes[node].life();
        let Some(log) = life.log.as_ref().filter(|_| !life.saving.replace(true)) else { return };
        self.step();
        self.trace.note(node, || "begins a snapshot".into());
        let parts = Cell::new(0_usize);
        let goes_on = || {
            if parts.replace(parts.get() + 1).is_multiple_of(PARTS_BETWEEN_PAUSES) {
                self.director.pause(self, node, None);
            }
            self.alive(node, &life) && !self.failed()
        };
        let result = log.rewrite(&life.replica, &goes_on);
        life.saving.set(false);
        match result {
            Ok(()) => {
                self.trace.note(node, || "has written a snapshot".into());
                self.is_written(node, log, true);
            }
            Err(failed) => self.trace.note(node, || failed.to_string()),
        }
    }

    /// Everything that this node has accepted is in its log, or durable. Not so while a snapshot is being written after
    /// a failure.
    fn is_written(&self, node: usize, log: &Log, is_durable: bool) {
        if let Some(judge) = self.judge.as_ref().filter(|_| log.failure().is_none()) {
            judge.borrow_mut().is_written(self, node, is_durable);
        }
    }

    /// The operator copies the directory of a node that runs.
    pub(crate) fn back_up(&self, node: usize) {
        let Some(disk) = &self.nodes[node].disk else { return };
        self.step();
        let directory = disk.directory.borrow().copy();
        let past = self.judge.as_ref().map_or_else(Past::default, |judge| judge.borrow().past_of_copy(node));
        disk.copies.borrow_mut().push(Backup { directory, past });
        self.trace.note(node, || format!("copy {} of its disk is taken", disk.copies()));
    }

    /// Ends a node at once, and starts it again with what is left.
    pub(crate) fn end(&self, node: usize, end: &End<'_>) {
        self.step();
        let machine = &self.nodes[node];
        let before = machine.life().log.as_ref().map(|log| (log.store(), log.confirmation()));
        let counted = self.judge.as_ref().map(|judge| {
            let mut judge = judge.borrow_mut();
            judge.look_at_losses(self, node);
            (judge.counted_by_one(self, node), Judge::knows_seen_by_all(self, node))
        });
        machine.disk.iter().for_each(|disk| disk.leave(end));
        self.trace.note(node, || match (end, &machine.disk) {
            (End::Empty, None) => "starts again, its memory is gone".into(),
            (End::Empty, Some(_)) => "starts again, its memory and its disk are gone".into(),
            (End::Kill, _) => "is killed, and starts again".into(),
            (End::PowerCut(_), _) => "loses its power, and starts again".into(),
            (End::PutBack(_), _) => "starts again with an old copy of its disk".into(),
        });
        if let Err(error) = machine.start_again() {
            let judge = self.judge.as_ref().unwrap_or_else(|| panic!("{error}"));
            return judge.borrow_mut().does_not_start(&machine.name, &error);
        }
        if let Some((judge, (counted, known))) = self.judge.as_ref().zip(counted) {
            judge.borrow_mut().counts_again(self, node, counted);
            let start = match end {
                _ if machine.disk.is_none() => Start::Empty,
                End::Empty => Start::Empty,
                End::Kill => Start::Killed,
                End::PowerCut(_) => Start::PowerCut,
                End::PutBack(backup) => Start::PutBack(&backup.past),
            };
            judge.borrow_mut().started_again(self, node, before, start);
            judge.borrow_mut().knows_no_more(self, node, &known);
        }
    }

    /// The node has learned that its disk is an old copy: it ends, and its operator moves the directory away.
    pub(crate) fn end_old_copy(&self, node: usize, life: &Rc<Life>) {
        if self.alive(node, life) {
            self.trace.note(node, || "ends: its disk is an old copy".into());
            self.end(node, &End::Empty);
        }
    }
}
