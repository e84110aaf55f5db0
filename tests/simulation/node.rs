//! A simulated node: a machine with a clock, and on it one life of the node after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use kvstore::replication::replica::{Identity, Member, Replica};
use kvstore::replication::tombstones::PeerRound;
use kvstore::rules::Rules;
use kvstore::store::clock::Timestamp;

use super::network::Connection;

/// When every simulated run begins: 2026-01-01T12:00:00Z, in milliseconds since the epoch.
pub(crate) const START_MS: u64 = 1_767_268_800_000;

/// A key as the queues hold it.
pub(crate) type Key = Box<[u8]>;

/// A machine: what outlives a restart of its node.
pub(crate) struct Node {
    pub(crate) name: String,
    /// The wall clock, in milliseconds since the epoch. The replica reads it; the director sets it.
    wall_ms: Arc<AtomicU64>,
    /// How many thousandths of a second the wall clock advances in a second. 0: it is frozen.
    pub(crate) pace: Cell<u64>,
    life: RefCell<Rc<Life>>,
    lives: Cell<u64>,
}

/// A node from a start with empty memory to its end. Activities hold on to the life they began in and end when it is over.
pub(crate) struct Life {
    pub(crate) replica: Replica,
    /// What the node has towards each node of the cluster; the one towards itself is not used.
    pub(crate) links: Vec<Link>,
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
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) connection: RefCell<Option<Rc<Connection>>>,
    /// The peer, once a round with it has succeeded.
    pub(crate) met: RefCell<Option<Arc<Member>>>,
    /// The connection of the last round; `None` if none could be opened.
    pub(crate) compared_on: RefCell<Option<Rc<Connection>>>,
    /// Whether an exchange holds the link's lock.
    pub(crate) busy: Cell<bool>,
    /// Whether the replicator is at work.
    pub(crate) replicating: Cell<bool>,
    pub(crate) queue: RefCell<VecDeque<Key>>,
    /// What the replicator has taken from the queue and not yet delivered.
    pub(crate) batch: RefCell<Vec<Key>>,
}

impl Link {
    /// How many keys wait in the queue, and in the replicator's batch.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.queue.borrow().len(), self.batch.borrow().len())
    }

    pub(crate) fn has_work(&self) -> bool {
        let (queued, taken) = self.waiting();
        queued + taken > 0 && !self.busy.get() && !self.replicating.get()
    }

    /// Drops the connection, if it still is this one.
    pub(crate) fn drop_connection(&self, connection: &Rc<Connection>) {
        if self.is_on(connection) {
            *self.connection.borrow_mut() = None;
        }
    }

    pub(crate) fn is_on(&self, connection: &Rc<Connection>) -> bool {
        self.connection.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, connection))
    }
}

impl Node {
    /// Node `number` of `count`, counted from 0, in its first life.
    pub(crate) fn new(number: usize, count: usize, rules: Rules) -> Self {
        let wall_ms = Arc::new(AtomicU64::new(START_MS));
        let life = RefCell::new(new_life(number, 1, count, rules, &wall_ms));
        Self { name: format!("node{}", number + 1), wall_ms, pace: Cell::new(1000), life, lives: Cell::new(1) }
    }

    /// Begins the node's next life.
    pub(crate) fn restart(&self, number: usize, count: usize, rules: Rules) {
        self.lives.set(self.lives.get() + 1);
        *self.life.borrow_mut() = new_life(number, self.lives.get(), count, rules, &self.wall_ms);
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

fn new_life(number: usize, life: u64, count: usize, rules: Rules, wall_ms: &Arc<AtomicU64>) -> Rc<Life> {
    let node = number as u16 + 1;
    let identity = Identity { name: format!("node{node}"), node, incarnation: (u64::from(node) << 32) + life };
    let wall_ms = Arc::clone(wall_ms);
    let replica = Replica::new(identity, rules, Box::new(move || Timestamp::from_millis(wall_ms.load(Relaxed))));
    let links = (0..count).map(|_| Link::default()).collect();
    Rc::new(Life {
        replica,
        links,
        ticking: Cell::new(false),
        to_compare: RefCell::default(),
        rounds: RefCell::default(),
        serving: Cell::new(false),
        vain_ticks: Cell::new(0),
    })
}
