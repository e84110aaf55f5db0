//! One anti-entropy round, the initiator's side: makes two replicas equal, whatever has happened to them.
//!
//! Propagation alone does not keep replicas equal: a queue overflows, a peer is down for an hour, a node starts empty. So
//! each node compares itself with each peer from time to time (Demers et al., "Epidemic Algorithms for Replicated
//! Database Maintenance", 1987). The simplest way, to send everything, costs as much as the store is large. This one costs
//! as much as the stores *differ*:
//!
//! ```text
//! initiator                            responder
//!    PEER ──────────────────────────────▶   who I am, my clock
//!    ◀────────────────────── who, arrivals  remembered for the end
//!    DIGEST ────────────────────────────▶   equal roots: nothing differs, skip to CONFIRM
//!    DIGEST "" / a / a3 / a3f ──────────▶   where they differ, their children: four levels down
//!    LEAF a3f0 … ───────────────────────▶   the keys and versions of the leaves that differ
//!    FETCH key … ───────────────────────▶   what the responder has newer; merged here
//!    PROPAGATE … ───────────────────────▶   what we have newer; merged there
//!    CONFIRM arrivals ──────────────────▶   "I hold everything that you held back then"
//! ```
//!
//! Both stores go on changing meanwhile, so no two answers show the same instant. That is harmless. Where two digests are equal, this
//! replica holds (at the moment in which its own was read) everything that the responder held there (at the moment in
//! which it read its), and its versions only grow. Where they differ, the walk goes on. So at the end this replica
//! holds all that the responder held when it said `arrivals`, or something newer, and may say so.
//!
//! That sentence is worth nothing if it reaches another responder than the one that said the number: one
//! that has lost its memory in between, say. So a round must stay on one connection, and fails when that breaks.
//!
//! Memory is bounded: at most a level of the tree (some hundred kilobytes) and one batch of leaves are held at a time.

use std::collections::HashMap;
use std::sync::Arc;

use super::message::{Listed, Reply, Request};
use super::replica::{Member, Replica};
use super::{Peer, PeerError};
use crate::limits::{DIGEST_BATCH, LEAF_BATCH, PROPAGATION_BATCH, PUSH_BATCH_BYTES};
use crate::store::digest::{DEPTH, FANOUT, Prefix};
use crate::store::record::Record;

/// What a round did.
#[derive(Clone, Debug)]
pub struct RoundReport {
    /// The peer with which it was.
    pub peer: Arc<Member>,
    /// The peer's incarnation during the whole round.
    pub incarnation: u64,
    /// How many entries came from the peer and were newer than ours.
    pub pulled: u64,
    /// How many entries went to the peer and were newer than its own.
    pub pushed: u64,
}

/// Takes one round with a peer.
///
/// # Errors
/// When the peer does not answer as it should. What was exchanged until then stays, and is merged already.
pub fn reconcile(replica: &Replica, peer: &mut dyn Peer) -> Result<RoundReport, PeerError> {
    let (member, incarnation, arrivals) = greet(replica, peer)?;
    let mut report = RoundReport { peer: member, incarnation, pulled: 0, pushed: 0 };
    let differing = if replica.rules().digests { find_differing_leaves(replica, peer)? } else { whole_tree() };
    let mut rest = differing.as_slice();
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(LEAF_BATCH)];
        let covered = reconcile_leaves(replica, peer, batch, &mut report)?;
        rest = &rest[covered..];
    }
    match peer.ask(Request::Confirm(arrivals))? {
        Reply::Ok => Ok(report),
        other => Err(unexpected(other)),
    }
}

/// Introduces us to a peer: first on each connection, and at the start of each round. Returns the peer, its incarnation, and
/// how many entries it has accepted.
pub fn greet(replica: &Replica, peer: &mut dyn Peer) -> Result<(Arc<Member>, u64, u64), PeerError> {
    match peer.ask(Request::Peer(replica.greeting()))? {
        Reply::Peer { greeting, arrivals } => {
            let member = replica.meet(&greeting).map_err(PeerError::Refused)?;
            Ok((member, greeting.incarnation, arrivals))
        }
        other => Err(unexpected(other)),
    }
}

/// Sends the entries of some keys as they are now; returns how many were newer than what the peer held. The replicator and
/// the rounds both send entries in this way only.
pub fn push(replica: &Replica, peer: &mut dyn Peer, keys: &[Box<[u8]>]) -> Result<u64, PeerError> {
    let mut won = 0;
    let mut rest = keys.iter();
    while rest.len() > 0 {
        // Looked up only now, when nothing can be sent before it: see `Peer::exchange`.
        let replies = peer.exchange(&mut || {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < PROPAGATION_BATCH && bytes < PUSH_BATCH_BYTES {
                let Some(key) = rest.next() else { break };
                let record = replica.store().record(key);
                bytes += record.as_ref().map_or(0, Record::bytes);
                batch.extend(record.map(Request::Propagate));
            }
            batch
        })?;
        for reply in replies {
            match reply {
                Reply::Merged(newer) => won += u64::from(newer),
                other => return Err(unexpected(other)),
            }
        }
    }
    Ok(won)
}

/// Walks down the two trees, a level a request, and returns the leaves that differ, in ascending order.
fn find_differing_leaves(replica: &Replica, peer: &mut dyn Peer) -> Result<Vec<Prefix>, PeerError> {
    let root = match peer.ask(Request::Root)? {
        Reply::Root(root) => root,
        other => return Err(unexpected(other)),
    };
    let mut differing = if root == replica.store().root() { Vec::new() } else { vec![Prefix::ROOT] };
    for _level in 0..DEPTH {
        let mut children = Vec::new();
        for nodes in differing.chunks(DIGEST_BATCH) {
            let theirs = match peer.ask(Request::Digest(nodes.to_vec()))? {
                Reply::Children(theirs) => theirs,
                other => return Err(unexpected(other)),
            };
            for (node, theirs) in nodes.iter().zip(theirs) {
                let ours = replica.store().children(*node);
                let differ = (0..FANOUT).filter(|&digit| ours[digit] != theirs[digit]);
                children.extend(differ.map(|digit| node.child(digit)));
            }
        }
        differing = children;
    }
    Ok(differing)
}

/// All shards: what a round looks at that knows no digests.
fn whole_tree() -> Vec<Prefix> {
    (0..FANOUT).flat_map(|a| (0..FANOUT).map(move |b| Prefix::ROOT.child(a).child(b))).collect()
}

/// Makes both sides equal in the first of some leaves; returns in how many.
fn reconcile_leaves(
    replica: &Replica,
    peer: &mut dyn Peer,
    leaves: &[Prefix],
    report: &mut RoundReport,
) -> Result<usize, PeerError> {
    let (covered, listed) = match peer.ask(Request::Leaf(leaves.to_vec()))? {
        Reply::Leaf { covered, entries } => (covered, entries),
        other => return Err(unexpected(other)),
    };
    let mut theirs: HashMap<Box<[u8]>, Listed> =
        listed.into_iter().map(|listed| (listed.key.clone(), listed)).collect();
    let (mut to_pull, mut to_push) = (Vec::new(), Vec::new());
    let mut compare = |ours: Option<&Record>, theirs: &Listed| {
        let our_version = ours.map(Record::version);
        // Different contents under one version go both ways, and the merge rule decides on both sides.
        let tie = our_version == Some(theirs.version) && ours.is_some_and(|ours| ours.check() != theirs.check);
        if our_version < Some(theirs.version) || tie {
            to_pull.push(theirs.key.clone());
        }
        if our_version > Some(theirs.version) || tie {
            to_push.push(theirs.key.clone());
        }
    };
    let mut unlisted: Vec<Box<[u8]>> = Vec::new();
    replica.store().visit_below(&leaves[..covered], |ours| match theirs.remove(ours.key()) {
        Some(theirs) => compare(Some(ours), &theirs),
        None => unlisted.push(ours.key().into()),
    });
    for theirs in theirs.into_values() {
        // We list nothing under this key. But we may hold a settled tombstone there: lists leave these out. It is kept while
        // a peer lists what it has settled.
        replica.store().keep_settled(&theirs.key, replica.current_tick());
        compare(replica.store().record(&theirs.key).as_ref(), &theirs);
    }
    to_push.append(&mut unlisted);
    // In an order that does not depend on a hash map's chance.
    to_pull.sort_unstable();
    to_push.sort_unstable();
    report.pulled += pull(replica, peer, &report.peer, to_pull)?;
    report.pushed += push(replica, peer, &to_push)?;
    Ok(covered)
}

/// Fetches the entries of some keys and merges them; returns how many were newer than ours.
fn pull(replica: &Replica, peer: &mut dyn Peer, from: &Member, mut keys: Vec<Box<[u8]>>) -> Result<u64, PeerError> {
    let mut won = 0;
    while !keys.is_empty() {
        let mut bytes = 0;
        let fitting = keys.iter().take_while(|key| {
            bytes += key.len();
            bytes <= PUSH_BATCH_BYTES
        });
        let asked: Vec<_> = keys[..fitting.count()].to_vec();
        let (covered, records) = match peer.ask(Request::Fetch(asked))? {
            Reply::Entries { covered, records } => (covered, records),
            other => return Err(unexpected(other)),
        };
        won += replica.merge_fetched(from, records);
        keys.drain(..covered);
    }
    Ok(won)
}

fn unexpected(reply: Reply) -> PeerError {
    match reply {
        Reply::Refused(why) => PeerError::Refused(why),
        other => PeerError::Malformed(format!("a reply of another kind: {other:?}")),
    }
}
