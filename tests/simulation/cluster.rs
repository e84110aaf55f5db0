//! The simulated cluster: real replicas, and around them what a node's threads would do, one step at a time.
//!
//! Everything runs in one thread. Where a node would wait for a message, [`network`](super::network) calls the
//! [`Director`], which may run any other activity of the cluster *inside* that wait: a write, a round of another node,
//! even a restart of the node that waits. So the director chooses the interleaving, and the same choices give the
//! same run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use kvstore::disk::SyncPolicy;
use kvstore::replication::PeerError;
use kvstore::replication::delivery;
use kvstore::replication::message::Request;
use kvstore::replication::reconcile::{FailedRound, RoundReport};
use kvstore::replication::tombstones::{PeerRound, Rounds, Tick};
use kvstore::rules::{Rule, Rules};
use kvstore::store::Counts;
use kvstore::store::content::Content;

use super::describe::what_is_wrong;
use super::disk::End;
use super::judge::Judge;
use super::network::{Connection, Traffic, Wire};
use super::node::{Life, Node};
use super::trace::Trace;

/// Decides what happens besides the activity that runs, and what becomes of each message.
pub(crate) trait Director {
    /// Called wherever `node` waits, so that other threads or nodes could do something. `sending` is what it is about
    /// to send; it holds the link's lock then.
    fn pause(&self, cluster: &Cluster, node: usize, sending: Option<&Request>);
    /// What becomes of a request. `cut` says that the link is cut in this direction, so that it cannot arrive now.
    fn fate(&self, cluster: &Cluster, from: usize, to: usize, request: &Request, cut: bool) -> Fate;
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out, and its reply arrives.
    Arrives,
    /// It is carried out twice, as if it had been sent again.
    Repeated,
    /// It never arrives, and the connection breaks.
    Lost,
    /// The sender gives up and the connection breaks; the request arrives when the director says so.
    Late,
    /// It is carried out, but the connection breaks before the reply arrives.
    ReplyLost,
}

/// The bounds of the queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many keys wait for a peer at most.
    pub(crate) queue: usize,
    /// How many keys a replicator takes at once.
    pub(crate) batch: usize,
}

/// In how many ticks a load may bring nothing before the node serves all the same.
const LOAD_PATIENCE_TICKS: usize = 3;

/// The nodes and the network between them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) director: Rc<dyn Director>,
    pub(crate) trace: Trace,
    /// Checks every step; `None` in the stories, where the reader does.
    pub(crate) judge: Option<RefCell<Judge>>,
    /// What has crossed the wire since it was last reset.
    pub(crate) traffic: Cell<Traffic>,
    /// Broken connections with requests that may still arrive.
    pub(crate) late: RefCell<Vec<Rc<Connection>>>,
    /// How many steps were taken: activities begun and requests carried out.
    pub(crate) steps: Cell<u64>,
    /// How many connections were opened.
    pub(crate) connections: Cell<u64>,
    /// `cuts[from][to]`: nothing arrives in this direction.
    cuts: RefCell<Vec<Vec<bool>>>,
    bounds: Bounds,
    rules: Rules,
}

impl Cluster {
    /// A cluster of empty nodes, connected and in time: one for each of `disks`, `None` for one without a disk.
    pub(crate) fn new(
        disks: &[Option<SyncPolicy>],
        rules: Rules,
        bounds: Bounds,
        director: Rc<dyn Director>,
        trace: Trace,
    ) -> Self {
        let count = disks.len();
        let node = |(number, &disk)| Node::new(number, count, rules, bounds.queue, disk);
        let nodes: Vec<Node> = disks.iter().enumerate().map(node).collect();
        nodes.iter().for_each(|node| node.life().serving.set(true));
        Self {
            nodes,
            director,
            trace,
            judge: None,
            traffic: Cell::default(),
            late: RefCell::default(),
            steps: Cell::new(0),
            connections: Cell::new(0),
            cuts: RefCell::new(vec![vec![false; count]; count]),
            bounds,
            rules,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    /// Whether `life` is what `node` is living now.
    pub(crate) fn alive(&self, node: usize, life: &Rc<Life>) -> bool {
        Rc::ptr_eq(&self.nodes[node].life(), life)
    }

    /// Every other node.
    pub(crate) fn peers(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes.len()).filter(move |&peer| peer != node)
    }

    // ---- clients ---------------------------------------------------------------------------------------------------

    /// A client's SET or DEL: applied, queued for each peer, acknowledged. If the disk fails in the middle of it, the
    /// client gets an error, and what it has written may stand or not.
    pub(crate) fn write(&self, node: usize, key: &[u8], content: Content<'_>) {
        self.step();
        let life = self.nodes[node].life();
        match content {
            Content::Value(_) | Content::Expiring(..) => life.replica.write(key, content),
            Content::Tombstone => drop(life.replica.delete(key)),
        }
        self.trace.wrote(self, node, key, content);
        self.has_written(node, &life, key, content);
    }

    /// A write was applied.
    pub(super) fn has_written(&self, node: usize, life: &Rc<Life>, key: &[u8], content: Content<'_>) {
        if let Some(judge) = &self.judge {
            judge.borrow_mut().acknowledged(self, node, key, content);
        }
        self.leave_for_peers(node, life, key);
    }

    /// A key has changed: it is queued for each peer, and the write is acknowledged.
    pub(super) fn leave_for_peers(&self, node: usize, life: &Rc<Life>, key: &[u8]) {
        let dropped = || life.links.iter().map(|link| link.queue.dropped());
        let before: Vec<u64> = dropped().collect();
        life.outbox.changed(key);
        let is_dropped = |peer: &usize| life.links[*peer].queue.dropped() > before[*peer];
        for peer in self.peers(node).filter(|peer| self.rules.has(Rule::Propagation) && is_dropped(peer)) {
            self.trace.note(node, || {
                format!("the queue for {} is full, this key does not wait there", self.nodes[peer].name)
            });
        }
        self.may_be_asked_about(node, key);
        self.observe(node);
        self.before_answer(node, life);
    }

    // ---- the threads of a node -------------------------------------------------------------------------------------

    /// The replicator: sends the next batch of changed keys to a peer, and keeps it if that fails.
    pub(crate) fn replicate(&self, node: usize, peer: usize) {
        let life = self.nodes[node].life();
        let link = &life.links[peer];
        if !link.has_work() {
            return;
        }
        self.step();
        let mut propagation = link.propagation.take().expect("a replicator at work has no other work");
        if !propagation.is_under_way() {
            let (keys, is_up) = (link.queue.keys(), link.connection.borrow().is_some());
            let first = keys.try_recv().expect("there is work");
            propagation.take(first, (keys, &link.queue), self.bounds.batch, is_up);
        }
        let delivered = Wire::open(self, node, peer, &life)
            .and_then(|mut wire| propagation.deliver(&life.replica, &mut wire, &link.queue));
        *link.propagation.borrow_mut() = Some(propagation);
        if let Err(error) = delivered {
            self.trace.note(node, || {
                let why = error.to_string();
                format!("keeps what it has for {}: {}", self.nodes[peer].name, what_is_wrong(&why))
            });
            self.end_if_old(node, &life, &error);
        }
    }

    /// Whether a tick may begin: the anti-entropy thread is idle, and no exchange that is waiting holds a link it
    /// needs.
    pub(crate) fn may_tick(&self, node: usize) -> bool {
        let life = self.nodes[node].life();
        !life.ticking.get() && life.links.iter().all(|link| !link.busy.get())
    }

    /// One tick of the anti-entropy thread: a round with every peer, then settling and forgetting. Returns whether all
    /// rounds succeeded.
    pub(crate) fn tick(&self, node: usize) -> bool {
        let life = self.nodes[node].life();
        self.step();
        if !self.rules.has(Rule::AntiEntropy) {
            life.serving.set(true);
            return true;
        }
        life.ticking.set(true);
        self.trace.note(node, || "tick begins".into());
        let tombstones = || if self.trace.is_on() { life.replica.store().counts() } else { Counts::default() };
        let before = Cell::new(Counts::default());
        let mut rounds = TickOf { cluster: self, node, life: &life, rounds_ended: || before.set(tombstones()) };
        let report = Tick::run(&life.replica, &mut rounds);
        life.ticking.set(false);
        let Some(report) = report else { return false };
        self.trace.tick_ended(node, before.get(), tombstones(), report.forgotten, report.holdups.is_empty());
        if let Some(judge) = &self.judge {
            judge.borrow_mut().tick_ended(self, node);
        }
        self.finish_loading(node, &life, &report.rounds);
        report.rounds.iter().all(|round| round.result.is_ok())
    }

    /// Runs the next round of the tick that is under way, if there is one. The rounds of a tick run side by side: while
    /// one waits, the director may begin another inside it.
    pub(crate) fn begin_round(&self, node: usize, life: &Rc<Life>) -> bool {
        let next = life.to_compare.borrow().iter().position(|&peer| !life.links[peer].busy.get());
        let Some(next) = next else { return false };
        let peer = life.to_compare.borrow_mut().remove(next);
        let result = self.round(node, peer, life);
        match &result {
            Ok(report) => self.trace.round_ended(node, report),
            Err(failed) => {
                self.trace.note(node, || {
                    let why = failed.error.to_string();
                    format!("round with {} failed: {}", self.nodes[peer].name, what_is_wrong(&why))
                });
            }
        }
        let address = self.nodes[peer].name.clone();
        let member = life.links[peer].met.borrow().clone();
        let error = result.as_ref().err().map(|failed| failed.error.clone());
        life.rounds.borrow_mut().push(PeerRound { address, member, dismissed: false, result });
        error.iter().for_each(|error| self.end_if_old(node, life, error));
        true
    }

    fn end_if_old(&self, node: usize, life: &Rc<Life>, error: &PeerError) {
        if matches!(error, PeerError::OldCopy(_)) {
            self.end_old_copy(node, life);
        }
    }

    /// Serves clients if the load is complete, or a peer is not waited for any longer.
    fn finish_loading(&self, node: usize, life: &Rc<Life>, rounds: &[PeerRound]) {
        if life.serving.get() {
            return;
        }
        let missed = || rounds.iter().filter(|round| round.is_missed());
        life.vain_ticks.set(if missed().any(|round| round.pulled() > 0) { 0 } else { life.vain_ticks.get() + 1 });
        let is_complete = missed().next().is_none();
        life.serving.set(is_complete || life.vain_ticks.get() >= LOAD_PATIENCE_TICKS);
        if let Some(judge) = self.judge.as_ref().filter(|_| is_complete) {
            judge.borrow_mut().begins_to_serve(self, node);
        }
    }

    /// One anti-entropy round with a peer.
    fn round(&self, node: usize, peer: usize, life: &Rc<Life>) -> Result<RoundReport, FailedRound> {
        let link = &life.links[peer];
        *link.compared_on.borrow_mut() = None;
        let mut wire = Wire::open(self, node, peer, life).map_err(|error| FailedRound { error, pulled: 0 })?;
        let connection = Rc::clone(&wire.connection);
        *link.compared_on.borrow_mut() = Some(Rc::clone(&connection));
        let report = delivery::repair(&life.replica, &mut wire, link.queue.delivery())?;
        *link.met.borrow_mut() = Some(Arc::clone(&report.peer));
        self.observe(node);
        if let Some(judge) = &self.judge {
            judge.borrow_mut().round_completed(node, connection.held.borrow().clone());
        }
        Ok(report)
    }

    // ---- what befalls a node ---------------------------------------------------------------------------------------

    /// Ends a node at once and starts it again with nothing in its memory, nor on its disk.
    pub(crate) fn restart(&self, node: usize) {
        self.end(node, &End::Empty);
    }

    /// Cuts the network from one node to another, or mends it.
    pub(crate) fn set_cut(&self, from: usize, to: usize, cut: bool) {
        self.cuts.borrow_mut()[from][to] = cut;
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.borrow()[from][to]
    }

    /// Lets time pass, as each node's clock shows it.
    pub(crate) fn pass(&self, millis: u64) {
        for node in &self.nodes {
            node.set_wall(node.wall() + millis * node.pace.get() / 1000);
        }
    }

    /// Lets the judge look at what a node holds now.
    pub(crate) fn observe(&self, node: usize) {
        if let Some(judge) = &self.judge {
            judge.borrow_mut().observe(self, node, false);
        }
    }

    /// Whether the judge has found a violation: the run ends.
    pub(crate) fn failed(&self) -> bool {
        self.judge.as_ref().is_some_and(|judge| judge.borrow().violation.is_some())
    }
}

/// A tick of one node, as [`Tick::run`] sees the node.
struct TickOf<'a, F: Fn()> {
    cluster: &'a Cluster,
    node: usize,
    life: &'a Rc<Life>,
    /// Called when all rounds have ended, before anything settles.
    rounds_ended: F,
}

impl<F: Fn()> Rounds for TickOf<'_, F> {
    /// The rounds run side by side: while one waits, the director may begin another inside it.
    fn run(&mut self) -> Option<Vec<PeerRound>> {
        let Self { cluster, node, life, .. } = *self;
        if let Some(judge) = &cluster.judge {
            cluster.peers(node).for_each(|peer| judge.borrow_mut().confirmed(cluster, node, peer));
        }
        life.to_compare.borrow_mut().extend(cluster.peers(node));
        while cluster.begin_round(node, life) {}
        let rounds = life.rounds.take();
        if !cluster.alive(node, life) {
            return None;
        }
        (0..cluster.nodes.len()).for_each(|node| cluster.observe(node));
        (self.rounds_ended)();
        Some(rounds)
    }

    /// What happens here would be a fault of the lock.
    fn about_to_settle(&mut self) {
        if !self.life.replica.is_settling() {
            self.cluster.director.pause(self.cluster, self.node, None);
        }
    }
}
