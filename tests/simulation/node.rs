//! A simulated node: a machine with a clock, and on it one life of the node after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use kvstore::disk::{Log, StartError, SyncPolicy};
use kvstore::replication::journal::{DiskFailed, Journal, Note};
use kvstore::replication::message::{Confirmation, Incarnation, StoreId};
use kvstore::replication::propagate::Propagation;
use kvstore::replication::queue::{Outbox, Queue, queues};
use kvstore::replication::replica::{Identity, Member, Replica};
use kvstore::replication::tombstones::PeerRound;
use kvstore::rules::{Rule, Rules};
use kvstore::store::accepted::Accepted;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

use super::disk::{self, Disk};
use super::held::Awaited;
use super::network::Connection;

/// When every simulated run begins: 2026-01-01T12:00:00Z, in milliseconds since the epoch.
pub(crate) const START_MS: u64 = 1_767_268_800_000;

/// A machine: what outlives a restart of its node.
pub(crate) struct Node {
    pub(crate) name: String,
    /// The wall clock, in milliseconds since the epoch. The replica reads it; the director sets it.
    wall_ms: Arc<AtomicU64>,
    /// How many thousandths of a second the wall clock advances in a second. 0: it is frozen.
    pub(crate) pace: Cell<u64>,
    /// Its disk, if it has one.
    pub(crate) disk: Option<Disk>,
    setting: Setting,
    life: RefCell<Rc<Life>>,
    lives: Cell<u64>,
}

/// What every life of a node has in common.
#[derive(Clone, Copy)]
struct Setting {
    /// Counted from 0.
    number: usize,
    /// How many nodes there are.
    count: usize,
    rules: Rules,
    /// How many keys wait for a peer at most.
    queue: usize,
}

/// A node from a start to its end. Activities hold on to the life they began in and end when it is over.
pub(crate) struct Life {
    pub(crate) replica: Replica,
    /// What it writes to its disk, if it has one.
    pub(crate) log: Option<Arc<Log>>,
    /// Whether a snapshot is being written.
    pub(crate) saving: Cell<bool>,
    /// Every entry that the replica has accepted, in the order in which its store's output told of them.
    pub(crate) accepted: Arc<AcceptedEntries>,
    /// Where changed keys are left for the peers.
    pub(crate) outbox: Outbox,
    /// What the node has towards each node of the cluster; the one towards itself is not used.
    pub(crate) links: Vec<Link>,
    /// What its clients may ask about.
    pub(crate) awaited: RefCell<VecDeque<Awaited>>,
    /// Whether the anti-entropy thread is in the middle of a tick.
    pub(crate) ticking: Cell<bool>,
    /// The peers whose round of this tick has yet to begin. The rounds run side by side.
    pub(crate) to_compare: RefCell<Vec<usize>>,
    /// The rounds of this tick that have ended.
    pub(crate) rounds: RefCell<Vec<PeerRound>>,
    /// Whether clients are served: not before the load is complete.
    pub(crate) serving: Cell<bool>,
    /// In how many ticks the load was not complete, and brought nothing.
    pub(crate) vain_ticks: Cell<usize>,
}

/// The one connection to a peer, and what waits to be propagated on it.
pub(crate) struct Link {
    pub(crate) connection: RefCell<Option<Rc<Connection>>>,
    /// The peer, once a round with it has succeeded.
    pub(crate) met: RefCell<Option<Arc<Member>>>,
    /// The connection of the last round; `None` if none could be opened.
    pub(crate) compared_on: RefCell<Option<Rc<Connection>>>,
    /// Whether an exchange holds the link's lock.
    pub(crate) busy: Cell<bool>,
    /// What waits for the replicator.
    pub(crate) queue: Queue,
    /// What the replicator keeps between its steps. Taken out while it is at work.
    pub(crate) propagation: RefCell<Option<Propagation>>,
}

impl Link {
    /// A link that was never used, with the queue for its peer.
    pub(crate) fn new(queue: Queue) -> Self {
        Self {
            connection: RefCell::default(),
            met: RefCell::default(),
            compared_on: RefCell::default(),
            busy: Cell::new(false),
            queue,
            propagation: RefCell::new(Some(Propagation::default())),
        }
    }

    /// How many keys wait in the queue, and in the batch of a replicator that is not at work.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.propagation.borrow().as_ref().map_or(0, Propagation::under_way))
    }

    pub(crate) fn has_work(&self) -> bool {
        let (queued, under_way) = self.waiting();
        queued + under_way > 0 && !self.busy.get() && self.propagation.borrow().is_some()
    }

    /// Drops the connection, if it still is this one.
    pub(crate) fn drop_connection(&self, connection: &Rc<Connection>) {
        if self.is_on(connection) {
            *self.connection.borrow_mut() = None;
            self.queue.delivery().closed();
        }
    }

    pub(crate) fn is_on(&self, connection: &Rc<Connection>) -> bool {
        self.connection.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, connection))
    }
}

/// What the output of a store has told. All of it goes on to the disk, if there is one.
#[derive(Default)]
pub(crate) struct AcceptedEntries {
    entries: Mutex<Vec<(Record, Arrival)>>,
    forgotten: Mutex<Vec<(Vec<u8>, Version)>>,
    log: Option<Arc<Log>>,
}

impl AcceptedEntries {
    pub(crate) fn last(&self) -> Option<Record> {
        self.entries.lock().expect("no run panics while it is locked").last().map(|(record, _)| record.clone())
    }

    /// Those that were told of after the first `count`.
    pub(crate) fn since(&self, count: usize) -> Vec<Record> {
        let entries = self.entries.lock().expect("no run panics while it is locked");
        entries[count..].iter().map(|(record, _)| record.clone()).collect()
    }

    /// What was forgotten after the first `count`.
    pub(crate) fn forgotten_since(&self, count: usize) -> Vec<(Vec<u8>, Version)> {
        self.forgotten.lock().expect("no run panics while it is locked")[count..].to_vec()
    }

    pub(crate) fn all(&self) -> Vec<(Record, Arrival)> {
        self.entries.lock().expect("no run panics while it is locked").clone()
    }
}

impl Accepted for AcceptedEntries {
    fn accepted(&self, record: &Record, arrival: Arrival) {
        self.entries.lock().expect("no run panics while it is locked").push((record.clone(), arrival));
        self.log.iter().for_each(|log| log.accepted(record, arrival));
    }

    fn learned(&self, record: &Record) {
        self.log.iter().for_each(|log| log.learned(record));
    }

    fn forgotten(&self, key: &[u8], version: Version) {
        self.forgotten.lock().expect("no run panics while it is locked").push((key.to_vec(), version));
        self.log.iter().for_each(|log| log.forgotten(key, version));
    }
}

impl Journal for AcceptedEntries {
    fn note(&self, note: &Note) {
        self.log.iter().for_each(|log| log.note(note));
    }

    fn confirmation(&self) -> Confirmation {
        self.log.as_ref().map_or(Confirmation::NONE, |log| log.confirmation())
    }

    fn confirm(&self) -> Result<Confirmation, DiskFailed> {
        self.log.as_ref().map_or(Ok(Confirmation::NONE), |log| log.confirm())
    }

    fn has_failed(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.has_failed())
    }

    fn relieve(&self) {
        self.log.iter().for_each(|log| log.relieve());
    }
}

impl Node {
    /// Node `number` of `count`, counted from 0, in its first life. A disk has the policy given.
    pub(crate) fn new(number: usize, count: usize, rules: Rules, queue: usize, disk: Option<SyncPolicy>) -> Self {
        let wall_ms = Arc::new(AtomicU64::new(START_MS));
        let (setting, disk) = (Setting { number, count, rules, queue }, disk.map(Disk::new));
        let life = new_life(setting, 1, &wall_ms, disk.as_ref()).expect("an empty disk has no faults");
        Self {
            name: format!("node{}", number + 1),
            wall_ms,
            pace: Cell::new(1000),
            disk,
            setting,
            life: RefCell::new(life),
            lives: Cell::new(1),
        }
    }

    /// Begins the node's next life, with what its disk has.
    pub(crate) fn start_again(&self) -> Result<(), StartError> {
        self.lives.set(self.lives.get() + 1);
        let life = new_life(self.setting, self.lives.get(), &self.wall_ms, self.disk.as_ref())?;
        *self.life.borrow_mut() = life;
        Ok(())
    }

    pub(crate) fn life(&self) -> Rc<Life> {
        Rc::clone(&self.life.borrow())
    }

    pub(crate) fn wall(&self) -> u64 {
        self.wall_ms.load(Relaxed)
    }

    pub(crate) fn set_wall(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Relaxed);
    }

    pub(crate) fn lives(&self) -> u64 {
        self.lives.get()
    }
}

fn new_life(
    setting: Setting,
    life: u64,
    wall_ms: &Arc<AtomicU64>,
    disk: Option<&Disk>,
) -> Result<Rc<Life>, StartError> {
    let Setting { number, count, rules, queue } = setting;
    let node = number as u16 + 1;
    let incarnation = Incarnation((u64::from(node) << 32) + life);
    let mut identity = Identity::in_memory(format!("node{node}"), NodeId(node), incarnation);
    let log = disk.map(|disk| disk::open(disk, &identity, StoreId(incarnation.0))).transpose()?;
    if let Some(log) = &log {
        identity.store = log.store();
    }
    let wall_ms = Arc::clone(wall_ms);
    let accepted = Arc::new(AcceptedEntries { log: log.clone(), ..AcceptedEntries::default() });
    let wall = Box::new(move || Timestamp::from_millis(wall_ms.load(Relaxed)));
    let replica = Replica::with_journal(identity, rules, wall, Placement::default(), Some(accepted.clone()));
    if let Some(log) = &log {
        log.load(&replica)?;
    }
    // The node has a queue towards itself, too, which nothing drains: it has no bound that matters.
    let (outbox, queues) = queues(count, queue, usize::MAX);
    Ok(Rc::new(Life {
        replica,
        log,
        saving: Cell::new(false),
        accepted,
        outbox: if rules.has(Rule::Propagation) { outbox } else { outbox.mute() },
        links: queues.into_iter().map(Link::new).collect(),
        awaited: RefCell::default(),
        ticking: Cell::new(false),
        to_compare: RefCell::default(),
        rounds: RefCell::default(),
        serving: Cell::new(false),
        vain_ticks: Cell::new(0),
    }))
}
