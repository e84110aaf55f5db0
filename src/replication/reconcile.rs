//! One anti-entropy round, the initiator's side: makes two replicas equal, whatever has happened to them.
//!
//! Propagation alone does not keep replicas equal: a queue overflows, a peer is down for an hour, a node starts empty.
//! So each node compares itself with each peer from time to time (Demers et al., "Epidemic Algorithms for Replicated
//! Database Maintenance", 1987). The simplest way, to send everything, costs as much as the store is large. This one
//! costs as much as the stores *differ*:
//!
//! ```text
//! initiator                            responder
//!    PEER ──────────────────────────────▶   who I am, my clock
//!    ◀────────────────────── who, arrivals  remembered for the end
//!    DIGEST ────────────────────────────▶   equal roots: nothing differs, skip to CONFIRM
//!    DIGEST "" / a / a3 / a3f ──────────▶   where they differ, their children: four levels down
//!    LEAF a3f0 hashes … ────────────────▶   the hashes of our entries in the leaves that differ
//!    ◀──────────────── entries, keys, hashes   what is newer there; other keys that differ; our hashes that it lacks
//!    FETCH key … ───────────────────────▶   of these keys, what turns out to be newer there; merged here
//!    PROPAGATE … ───────────────────────▶   what it lacks; merged there
//!                                           what was merged is made durable here, if there is a disk
//!    CONFIRM arrivals ──────────────────▶   "I hold everything that you held back then"
//! ```
//!
//! Both stores go on changing meanwhile, so no two answers show the same instant. That is harmless. Where two digests
//! are equal, this replica holds (at the moment in which its own was read) everything that the responder held there (at
//! the moment in which it read its), and its versions only grow. Where they differ, the walk goes on. So at the end
//! this replica holds all that the responder held when it said `arrivals`, or something newer, and may say so.
//!
//! That sentence is worth nothing if it reaches another responder than the one that said the number: one that has lost
//! its memory in between, say. So a round must stay on one connection, and fails when that breaks.
//!
//! Memory is bounded: at most a level of the tree (some hundred kilobytes) and one batch of leaves are held at a time.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::branches::{Named, affordable, held_below, keys_of, whole_tree};
use super::member::{Contact, Member, Refusal};
use super::message::{Differences, Greeting, Held, Incarnation, Listed, Reply, Request};
use super::propagate::push;
use super::replica::Replica;
use super::{Peer, PeerError, unexpected};
use crate::limits::{DIGEST_BATCH, LEAF_BATCH, MAX_BAD_LEAVES, PUSH_BATCH_BYTES};
use crate::rules::Rule;
use crate::store::arrival::Arrival;
use crate::store::digest::{DEPTH, DIGITS, FANOUT, Prefix};

/// What a round did.
#[derive(Clone, Debug)]
pub struct RoundReport {
    /// The peer with which it was.
    pub peer: Arc<Member>,
    /// The peer's incarnation during the whole round.
    pub incarnation: Incarnation,
    /// How many entries came from the peer and were newer than ours.
    pub pulled: u64,
    /// How many entries went to the peer and were newer than its own.
    pub pushed: u64,
}

/// A round that failed. What was exchanged until then is merged already, and stays.
#[derive(Clone, Debug)]
pub struct FailedRound {
    /// Why it failed.
    pub error: PeerError,
    /// How many entries had come from the peer by then and were newer than ours.
    pub pulled: u64,
}

/// What a peer has said in its reply to PEER.
#[derive(Clone, Debug)]
pub struct Met {
    /// The peer.
    pub member: Arc<Member>,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// How far its arrivals have come.
    pub arrivals: Arrival,
}

/// Introduces us to a peer, first on each connection. `check` may refuse the node that answers, before that node is
/// remembered.
///
/// # Errors
/// When the peer does not answer as it should, or does not belong to our cluster.
pub fn greet(
    replica: &Replica,
    peer: &mut dyn Peer,
    check: impl FnOnce(&Greeting) -> Result<(), PeerError>,
) -> Result<Met, PeerError> {
    say_peer(replica, peer, true, check)
}

/// Says PEER: on each connection first, and at the start of each round.
fn say_peer(
    replica: &Replica,
    peer: &mut dyn Peer,
    is_first: bool,
    check: impl FnOnce(&Greeting) -> Result<(), PeerError>,
) -> Result<Met, PeerError> {
    match peer.ask(Request::Peer(replica.greeting(is_first)))? {
        Reply::Peer { greeting, arrivals } => {
            check(&greeting)?;
            let member = replica.meet(&greeting, Contact::Dialed).map_err(|refusal| match refusal {
                Refusal::Wrong(why) | Refusal::OldCopy(why) => PeerError::Refused(why),
                Refusal::NotYet(why) => PeerError::NotYet(why),
            })?;
            Ok(Met { member, incarnation: greeting.incarnation, arrivals })
        }
        other => Err(unexpected(other)),
    }
}

/// Runs one round with a peer.
///
/// # Errors
/// When the peer does not answer as it should.
pub fn reconcile(replica: &Replica, peer: &mut dyn Peer) -> Result<RoundReport, FailedRound> {
    let met = say_peer(replica, peer, false, |_| Ok(())).map_err(|error| FailedRound { error, pulled: 0 })?;
    let report = RoundReport { peer: met.member, incarnation: met.incarnation, pulled: 0, pushed: 0 };
    let mut round = Round { replica, peer, report };
    match round.run(met.arrivals) {
        Ok(()) => Ok(round.report),
        Err(error) => Err(FailedRound { error, pulled: round.report.pulled }),
    }
}

/// A round under way.
struct Round<'a> {
    replica: &'a Replica,
    peer: &'a mut dyn Peer,
    report: RoundReport,
}

impl Round<'_> {
    /// Makes both sides equal. Then confirms that this side holds what the peer held when it had said `arrivals`.
    fn run(&mut self, arrivals: Arrival) -> Result<(), PeerError> {
        let has_digests = self.replica.rules().has(Rule::Digests);
        let differing = if has_digests { self.find_differing_leaves()? } else { whole_tree() };
        self.reconcile_all(differing)?;
        // Without its disk a node confirms nothing, but the round has succeeded: both sides are equal.
        let Ok(confirmation) = self.replica.make_durable() else { return Ok(()) };
        match self.peer.ask(Request::Confirm(arrivals, confirmation))? {
            Reply::Ok => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Walks down the two trees, a level a request, and returns the leaves that differ, in ascending order.
    fn find_differing_leaves(&mut self) -> Result<Vec<Prefix>, PeerError> {
        let store = self.replica.store();
        let root = match self.peer.ask(Request::Root)? {
            Reply::Root(root) => root,
            other => return Err(unexpected(other)),
        };
        let mut differing = if root == store.root() { Vec::new() } else { vec![Prefix::ROOT] };
        for _level in 0..DEPTH {
            let mut children = Vec::new();
            for branches in differing.chunks(DIGEST_BATCH) {
                let theirs = match self.peer.ask(Request::Digest(branches.to_vec()))? {
                    Reply::Children(theirs) => theirs,
                    other => return Err(unexpected(other)),
                };
                for (branch, theirs) in branches.iter().zip(theirs) {
                    let ours = store.children(*branch);
                    let differ = (0..FANOUT).filter(|&digit| ours[digit] != theirs[digit]);
                    children.extend(differ.map(|digit| branch.child(digit)));
                }
            }
            differing = children;
        }
        Ok(differing)
    }

    /// Makes both sides equal below some branches, in ascending order: below several at a time, and below one that is
    /// too full for a message in parts. A leaf in which that does not end is left out; the round fails when the others
    /// are done.
    fn reconcile_all(&mut self, branches: Vec<Prefix>) -> Result<(), PeerError> {
        let (store, mut most) = (self.replica.store(), LEAF_BATCH);
        let mut rest: VecDeque<Prefix> = branches.into();
        let mut bad: Vec<Prefix> = Vec::new();
        while let Some(&first) = rest.front() {
            let next = most.min(rest.len());
            let asked: Vec<Prefix> = affordable(store, &rest.make_contiguous()[..next]).to_vec();
            let (held, named) = held_below(store, &asked);
            let covered = if held.is_empty() { 0 } else { self.compare(held, &named, &asked)? };
            rest.drain(..covered);
            match (covered, asked.len()) {
                // The crowd ends with its leaf.
                (1.., _) if rest.front().is_none_or(|next| next.len() <= DEPTH) => most = LEAF_BATCH,
                (1.., _) => {}
                // All together hold too much; perhaps half of them do not.
                (0, 2..) => most = asked.len() / 2,
                // This leaf alone fails.
                (0, _) if first.len() == DIGITS => {
                    let is_here = |next: &Prefix| next.len() >= DEPTH && next.leaves() == first.leaves();
                    while rest.front().is_some_and(is_here) {
                        rest.pop_front();
                    }
                    bad.push(first);
                    most = LEAF_BATCH;
                    if bad.len() == MAX_BAD_LEAVES {
                        break;
                    }
                }
                (0, _) => {
                    rest.pop_front();
                    first.children().rev().for_each(|part| rest.push_front(part));
                }
            }
        }
        match bad.first() {
            None => Ok(()),
            Some(hash) => Err(PeerError::Malformed(format!("more than a message holds below the one hash {hash}"))),
        }
    }

    /// Compares with the peer what we hold below some branches, and makes both sides equal there. Returns below how
    /// many of them that is done; 0 if the peer has more to tell of the first than one reply holds.
    fn compare(&mut self, held: Vec<Held>, named: &Named, branches: &[Prefix]) -> Result<usize, PeerError> {
        let differences = self.ask_leaf(held)?;
        let covered = differences.covered;
        self.settle_differences(differences, named, &branches[..covered])?;
        Ok(covered)
    }

    fn ask_leaf(&mut self, held: Vec<Held>) -> Result<Differences, PeerError> {
        match self.peer.ask(Request::Leaf(held))? {
            Reply::Leaf(differences) => Ok(differences),
            other => Err(unexpected(other)),
        }
    }

    /// Takes over what the peer has newer, and sends what it lacks. `named` is what we have named, `below` are the
    /// branches that the differences cover.
    fn settle_differences(
        &mut self,
        differences: Differences,
        named: &Named,
        below: &[Prefix],
    ) -> Result<(), PeerError> {
        let Differences { news, mut listed, lacking, .. } = differences;
        let store = self.replica.store();
        let told = news.len();
        // What has been replaced here since we named it, the peer lacks all the more. So this goes by keys.
        let mut lacking: BTreeSet<u64> = lacking.iter().filter_map(|digest| named.get(digest)).copied().collect();
        news.iter().for_each(|entry| _ = lacking.remove(&store.hash(entry.key())));
        let rejected = self.replica.merge_all(&self.report.peer, news);
        self.report.pulled += (told - rejected.len()) as u64;
        // What has come on another way meanwhile, and settled tombstones, which we have not named.
        listed.extend(rejected.iter().map(Listed::from));

        let (mut to_pull, mut to_push) = (Vec::new(), Vec::new());
        for theirs in listed {
            lacking.remove(&store.hash(&theirs.key));
            // A settled tombstone is kept while a peer lists what it has settled.
            store.keep_settled(&theirs.key, self.replica.current_tick());
            let Some(ours) = store.record(&theirs.key) else {
                to_pull.push(theirs.key);
                continue;
            };
            let order = ours.version().cmp(&theirs.version);
            if order == Ordering::Equal && ours.check() == theirs.check {
                continue;
            }
            // The smaller version may have counted what the greater one does not know of. Different contents under one
            // version go both ways, and the merge rule decides on both sides.
            if order != Ordering::Greater || theirs.is_counted {
                to_pull.push(theirs.key.clone());
            }
            if order != Ordering::Less || ours.is_counted() {
                to_push.push(theirs.key);
            }
        }
        self.pull(to_pull)?;
        to_push.extend(keys_of(store, below, &lacking));
        // In an order that does not depend on that of a table.
        to_push.sort_unstable();
        self.report.pushed += push(self.replica, self.peer, &to_push)?;
        Ok(())
    }

    /// Fetches the entries of some keys and merges them.
    fn pull(&mut self, mut keys: Vec<Box<[u8]>>) -> Result<(), PeerError> {
        keys.sort_unstable();
        while !keys.is_empty() {
            let mut bytes = 0;
            let fitting = keys.iter().take_while(|key| {
                bytes += key.len();
                bytes <= PUSH_BATCH_BYTES
            });
            let asked: Vec<_> = keys[..fitting.count()].to_vec();
            let (covered, records) = match self.peer.ask(Request::Fetch(asked))? {
                Reply::Entries { covered, records } => (covered, records),
                other => return Err(unexpected(other)),
            };
            let fetched = records.len();
            self.report.pulled += (fetched - self.replica.merge_all(&self.report.peer, records).len()) as u64;
            keys.drain(..covered);
        }
        Ok(())
    }
}
