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
//!    LEAF a3f0 hashes … ────────────────▶   the hashes of our entries in the leaves that differ
//!    ◀──────────────── entries, keys, hashes   what is newer there; other keys that differ; our hashes that it lacks
//!    FETCH key … ───────────────────────▶   of these keys, what turns out to be newer there; merged here
//!    PROPAGATE … ───────────────────────▶   what it lacks; merged there
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

use std::collections::BTreeSet;
use std::sync::Arc;

use super::message::{Differences, Held, Listed, Reply, Request};
use super::replica::{Member, Replica};
use super::{Peer, PeerError};
use crate::limits::{DIGEST_BATCH, LEAF_BATCH, LEAF_REQUEST_ENTRIES, PROPAGATION_BATCH, PUSH_BATCH_BYTES};
use crate::store::KeyValueStore;
use crate::store::clock::Timestamp;
use crate::store::digest::{DEPTH, Digest, FANOUT, Prefix};
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
        let covered = reconcile_leaves(replica, peer, rest, &mut report)?;
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

/// Makes both sides equal below the first of some nodes of the tree; returns below how many.
fn reconcile_leaves(
    replica: &Replica,
    peer: &mut dyn Peer,
    nodes: &[Prefix],
    report: &mut RoundReport,
) -> Result<usize, PeerError> {
    let Differences { covered, news, mut listed, lacking } =
        match peer.ask(Request::Leaf(first_held(replica.store(), nodes)))? {
            Reply::Leaf(differences) => differences,
            other => return Err(unexpected(other)),
        };
    let told = news.len();
    let rejected = replica.merge_all(&report.peer, news);
    let mut exchanged = (told - rejected.len()) as u64;
    report.pulled += exchanged;
    // What was written here meanwhile, and settled tombstones, which we have not named.
    listed.extend(rejected.iter().map(Listed::from));

    let (mut to_pull, mut to_push) = (Vec::new(), Vec::new());
    for theirs in listed {
        // A settled tombstone is kept while a peer lists what it has settled.
        replica.store().keep_settled(&theirs.key, replica.current_tick());
        let ours = replica.store().record(&theirs.key);
        let our_version = ours.as_ref().map(Record::version);
        // Different contents under one version go both ways, and the merge rule decides on both sides.
        let tie = our_version == Some(theirs.version) && ours.is_some_and(|ours| ours.check() != theirs.check);
        if our_version > Some(theirs.version) || tie {
            to_push.push(theirs.key.clone());
        }
        if our_version < Some(theirs.version) || tie {
            to_pull.push(theirs.key);
        }
    }
    // In an order that does not depend on that of a table.
    to_pull.sort_unstable();
    exchanged += to_pull.len() as u64;
    report.pulled += pull(replica, peer, &report.peer, to_pull)?;

    // Looked up after the pulling: what has just been replaced here is no longer found.
    let lacking: BTreeSet<Digest> = lacking.into_iter().collect();
    for &node in nodes[..covered].iter().filter(|_| !lacking.is_empty()) {
        replica.store().visit_below(node, |ours| {
            if lacking.contains(&ours.digest()) {
                to_push.push(ours.key().into());
            }
        });
    }
    to_push.sort_unstable();
    to_push.dedup();
    exchanged += to_push.len() as u64;
    report.pushed += push(replica, peer, &to_push)?;
    if covered == 0 && exchanged == 0 {
        return Err(PeerError::Malformed("a leaf that comes to no end".into()));
    }
    Ok(covered)
}

/// What we hold below the first of some nodes of the tree, of as many as one request may name.
fn first_held(store: &KeyValueStore, nodes: &[Prefix]) -> Vec<Held> {
    let (mut held, mut entries) = (Vec::new(), 0);
    for &node in nodes.iter().take(LEAF_BATCH) {
        let (mut newest, mut digests) = (Timestamp::ZERO, Vec::new());
        store.visit_below(node, |record| {
            newest = newest.max(record.version().timestamp);
            digests.push(record.digest());
        });
        entries += digests.len();
        held.push(Held { node, newest, digests });
        if entries >= LEAF_REQUEST_ENTRIES {
            break;
        }
    }
    held
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
        let fetched = records.len();
        won += (fetched - replica.merge_all(from, records).len()) as u64;
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
