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

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::message::{Differences, Held, Listed, Reply, Request};
use super::replica::{Contact, Member, Replica};
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

/// A round that did not come to its end. What was exchanged until then stays, and is merged already.
#[derive(Clone, Debug)]
pub struct FailedRound {
    /// Why it ended.
    pub error: PeerError,
    /// How many entries had come from the peer by then and were newer than ours.
    pub pulled: u64,
}

/// Runs one round with a peer.
///
/// # Errors
/// When the peer does not answer as it should.
pub fn reconcile(replica: &Replica, peer: &mut dyn Peer) -> Result<RoundReport, FailedRound> {
    let (member, incarnation, arrivals) = greet(replica, peer).map_err(|error| FailedRound { error, pulled: 0 })?;
    let mut report = RoundReport { peer: member, incarnation, pulled: 0, pushed: 0 };
    match exchange_differences(replica, peer, arrivals, &mut report) {
        Ok(()) => Ok(report),
        Err(error) => Err(FailedRound { error, pulled: report.pulled }),
    }
}

/// Makes both sides equal, and confirms that this one holds what the peer held when it had accepted `arrivals` entries.
fn exchange_differences(
    replica: &Replica,
    peer: &mut dyn Peer,
    arrivals: u64,
    report: &mut RoundReport,
) -> Result<(), PeerError> {
    let differing = if replica.rules().digests { find_differing_leaves(replica, peer)? } else { whole_tree() };
    let (mut rest, mut seen) = (differing.as_slice(), BTreeSet::new());
    while !rest.is_empty() {
        let covered = reconcile_leaves(replica, peer, rest, &mut seen, report)?;
        rest = &rest[covered..];
    }
    match peer.ask(Request::Confirm(arrivals))? {
        Reply::Ok => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Introduces us to a peer: first on each connection, and at the start of each round. Returns the peer, its incarnation, and
/// how many entries it has accepted.
pub fn greet(replica: &Replica, peer: &mut dyn Peer) -> Result<(Arc<Member>, u64, u64), PeerError> {
    match peer.ask(Request::Peer(replica.greeting()))? {
        Reply::Peer { greeting, arrivals } => {
            let member = replica.meet(&greeting, Contact::Dialed).map_err(PeerError::Refused)?;
            Ok((member, greeting.incarnation, arrivals))
        }
        other => Err(unexpected(other)),
    }
}

/// Sends the entries of some keys as they are now; returns how many were newer than what the peer held. The replicator and
/// the rounds both send entries in this way only.
pub fn push(replica: &Replica, peer: &mut dyn Peer, keys: &[impl AsRef<[u8]>]) -> Result<u64, PeerError> {
    let mut won = 0;
    let mut rest = keys.iter();
    while rest.len() > 0 {
        // Looked up only now, when nothing can be sent before it: see `Peer::exchange`.
        let replies = peer.exchange(&mut || {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < PROPAGATION_BATCH && bytes < PUSH_BATCH_BYTES {
                let Some(key) = rest.next() else { break };
                let record = replica.store().record(key.as_ref());
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
///
/// `seen` has the digests of what the peer has told of the first node that we hold as well, though we had not named it. While
/// the first node is told in parts, it is named with the rest, so that each part tells something new.
fn reconcile_leaves(
    replica: &Replica,
    peer: &mut dyn Peer,
    nodes: &[Prefix],
    seen: &mut BTreeSet<Digest>,
    report: &mut RoundReport,
) -> Result<usize, PeerError> {
    let mut held = first_held(replica.store(), nodes);
    held[0].digests.extend(&*seen);
    let Differences { covered, news, mut listed, lacking } = match peer.ask(Request::Leaf(held))? {
        Reply::Leaf(differences) => differences,
        other => return Err(unexpected(other)),
    };
    let before = (report.pulled, report.pushed, seen.len());
    let told = news.len();
    let rejected = replica.merge_all(&report.peer, news);
    report.pulled += (told - rejected.len()) as u64;
    // What has come on another way meanwhile, and settled tombstones, which we have not named.
    listed.extend(rejected.iter().map(Listed::from));

    let (mut to_pull, mut to_push) = (Vec::new(), Vec::new());
    let mut lacking: BTreeSet<Digest> = lacking.into_iter().collect();
    for theirs in listed {
        // A settled tombstone is kept while a peer lists what it has settled.
        replica.store().keep_settled(&theirs.key, replica.current_tick());
        let Some(ours) = replica.store().record(&theirs.key) else {
            to_pull.push(theirs.key);
            continue;
        };
        lacking.remove(&ours.digest());
        match ours.version().cmp(&theirs.version) {
            Ordering::Less => to_pull.push(theirs.key),
            Ordering::Greater => to_push.push(theirs.key),
            Ordering::Equal if ours.check() == theirs.check => {
                seen.insert(ours.digest());
            }
            // Different contents under one version go both ways, and the merge rule decides on both sides.
            Ordering::Equal => {
                to_pull.push(theirs.key.clone());
                to_push.push(theirs.key);
            }
        }
    }
    // In an order that does not depend on that of a table.
    to_pull.sort_unstable();
    report.pulled += pull(replica, peer, &report.peer, to_pull)?;

    // What else the peer lacks. Looked up after the pulling: what has just been replaced here is no longer found.
    if !lacking.is_empty() {
        replica.store().visit_below(&nodes[..covered], |_, ours| {
            if lacking.contains(&ours.digest()) {
                to_push.push(ours.key().into());
            }
            ControlFlow::Continue(())
        });
    }
    to_push.sort_unstable();
    report.pushed += push(replica, peer, &to_push)?;

    if covered > 0 {
        seen.clear();
    } else if before == (report.pulled, report.pushed, seen.len()) {
        return Err(PeerError::Malformed("what it tells of a leaf comes to no end".into()));
    }
    Ok(covered)
}

/// What we hold below the first of some nodes of the tree, of as many as one request should name.
fn first_held(store: &KeyValueStore, nodes: &[Prefix]) -> Vec<Held> {
    let affordable = store.leaves_for(LEAF_REQUEST_ENTRIES);
    let mut leaves = 0;
    let fitting = nodes.iter().take(LEAF_BATCH).take_while(|node| {
        leaves += node.leaves().len();
        leaves <= affordable
    });
    let nodes = &nodes[..fitting.count().max(1)];
    let mut held: Vec<Held> =
        nodes.iter().map(|&node| Held { node, newest: Timestamp::ZERO, digests: Vec::new() }).collect();
    store.visit_below(nodes, |index, record| {
        let held = &mut held[index];
        held.newest = held.newest.max(record.version().timestamp);
        held.digests.push(record.digest());
        ControlFlow::Continue(())
    });
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

#[cfg(test)]
mod tests {
    use super::super::replica::{Identity, PeerSession};
    use super::*;
    use crate::framing::RequestParser;
    use crate::framing::resp;
    use crate::limits::{MAX_VALUE_BYTES, REPLY_BYTES};
    use crate::rules::{Rule, Rules};

    /// A peer in the same process. What is said to it is encoded and decoded, and so has the bounds of what travels.
    struct Near<'a> {
        replica: &'a Replica,
        session: PeerSession,
        /// The longest reply so far, in bytes.
        longest: usize,
        /// How many LEAF requests there were.
        leaf_requests: usize,
    }

    impl Peer for Near<'_> {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let mut answer = |request: Request| {
                let (mut sent, mut received) = (Vec::new(), Vec::new());
                request.encode(&mut sent);
                let mut parser = RequestParser::default();
                let (form, _) = parser.parse(&sent).expect("well-formed").expect("whole");
                let arrived = Request::decode(parser.args(form, &sent))?;
                self.leaf_requests += usize::from(matches!(arrived, Request::Leaf(_)));
                self.replica.handle(&mut self.session, arrived).encode(&mut received);
                self.longest = self.longest.max(received.len());
                let mut parser = resp::Parser::default();
                let (frame, _) = parser.parse_reply(&received).expect("within the bounds").expect("whole");
                Ok(Reply::decode(frame, &request)?)
            };
            prepare().into_iter().map(&mut answer).collect()
        }
    }

    fn near(replica: &Replica) -> Near<'_> {
        Near { replica, session: PeerSession::default(), longest: 0, leaf_requests: 0 }
    }

    fn replica(node: u16, rules: Rules) -> Replica {
        let identity = Identity { name: format!("node{node}"), node, incarnation: u64::from(node) };
        Replica::new(identity, rules, Box::new(|| Timestamp::from_millis(1_800_000_000_000)))
    }

    /// Takes a round, after which both must be equal; returns what it did, the longest reply, and how many LEAF requests it took.
    fn round(ours: &Replica, theirs: &Replica) -> (RoundReport, usize, usize) {
        let mut peer = near(theirs);
        let report = reconcile(ours, &mut peer).expect("nothing goes wrong here");
        assert_eq!(ours.store().root(), theirs.store().root());
        (report, peer.longest, peer.leaf_requests)
    }

    /// Keys of `len` bytes that stand below one node of the tree.
    fn keys_below(node: Prefix, len: usize) -> impl Iterator<Item = Vec<u8>> {
        let key = move |number: u32| [&number.to_be_bytes()[..], &vec![b'k'; len - 4]].concat();
        let stands = move |key: &Vec<u8>| {
            let leaf = Prefix::leaf_of(xxhash_rust::xxh3::xxh3_64(key)).leaves().start;
            node.leaves().contains(&leaf)
        };
        (0..).map(key).filter(stands)
    }

    #[test]
    fn the_largest_values_of_one_leaf_arrive_though_no_reply_can_hold_two() {
        let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
        let value = vec![b'v'; MAX_VALUE_BYTES];
        keys_below(Prefix::leaf(7), 16).take(4).for_each(|key| theirs.set(&key, &value));
        let (report, longest, _) = round(&ours, &theirs);
        assert_eq!((report.pulled, report.pushed), (4, 0));
        assert!(longest < MAX_VALUE_BYTES + REPLY_BYTES, "{longest} bytes in one reply");
    }

    #[test]
    fn a_node_of_the_tree_with_more_than_a_reply_holds_comes_in_parts() {
        let rules = Rules::default().without(Rule::Digests);
        let (ours, theirs) = (replica(1, rules), replica(2, rules));
        let shard = Prefix::ROOT.child(3).child(5);
        let keys: Vec<_> = keys_below(shard, 60_000).take(60).collect();
        keys.iter().for_each(|key| theirs.set(key, b"1"));
        // Later than what the other side holds: it cannot know what we lack, and lists its keys.
        keys.iter().step_by(2).for_each(|key| {
            ours.set(key, b"2");
            ours.set(key, b"3");
        });
        let (report, longest, leaf_requests) = round(&ours, &theirs);
        assert_eq!((report.pulled, report.pushed), (30, 30));
        assert!(longest < 2 * REPLY_BYTES, "{longest} bytes in one reply");
        assert!(leaf_requests >= 4, "60 keys of 60,000 bytes do not fit in {leaf_requests} replies");
    }

    #[test]
    fn many_entries_are_named_in_many_requests() {
        let rules = Rules::default().without(Rule::Digests);
        let (ours, theirs) = (replica(1, rules), replica(2, rules));
        for number in 0..4 * LEAF_REQUEST_ENTRIES {
            let key = number.to_string();
            if number % 3 > 0 {
                ours.set(key.as_bytes(), b"ours");
            }
            if number % 3 < 2 {
                theirs.set(key.as_bytes(), b"theirs");
            }
        }
        let (report, _, leaf_requests) = round(&ours, &theirs);
        assert_eq!(ours.store().counts().keys, 4 * LEAF_REQUEST_ENTRIES);
        assert!(report.pulled > 0 && report.pushed > 0);
        assert!((3..10).contains(&leaf_requests), "{leaf_requests}");
    }

    #[test]
    fn an_entry_that_stands_on_one_side_travels_once() {
        let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
        for number in 0..200 {
            let key = format!("key{number}");
            [&ours, &theirs][number % 2].set(key.as_bytes(), b"v");
        }
        let (report, _, leaf_requests) = round(&ours, &theirs);
        assert_eq!((report.pulled, report.pushed, leaf_requests), (100, 100, 1));
        let (report, _, leaf_requests) = round(&ours, &theirs);
        assert_eq!((report.pulled, report.pushed, leaf_requests), (0, 0, 0));
    }

    #[test]
    fn a_peer_that_only_repeats_itself_ends_the_round() {
        /// Says that it differs, and again the same.
        struct Repeats<'a>(&'a Replica, PeerSession);
        impl Peer for Repeats<'_> {
            fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
                let same = self.0.store().record(b"k").expect("was written");
                let answer = |request| match request {
                    Request::Leaf(_) => {
                        Reply::Leaf(Differences { listed: vec![Listed::from(&same)], ..Differences::default() })
                    }
                    Request::Root => Reply::Root(Digest::default()),
                    other => self.0.handle(&mut self.1, other),
                };
                Ok(prepare().into_iter().map(answer).collect())
            }
        }
        let rules = Rules::default().without(Rule::Digests);
        let (ours, theirs) = (replica(1, rules), replica(2, rules));
        theirs.set(b"k", b"v");
        round(&ours, &theirs);
        let error = reconcile(&ours, &mut Repeats(&theirs, PeerSession::default())).unwrap_err();
        assert!(error.error.to_string().contains("comes to no end"), "{error:?}");
    }

    #[test]
    fn a_part_that_only_pulls_or_only_pushes_is_progress() {
        let shard = Prefix::ROOT.child(3).child(5);
        let keys: Vec<_> = keys_below(shard, 60_000).take(41).collect();
        for ours_are_later in [false, true] {
            let rules = Rules::default().without(Rule::Digests);
            let (ours, theirs) = (replica(1, rules), replica(2, rules));
            for key in &keys[1..] {
                let (earlier, later) = if ours_are_later { (&theirs, &ours) } else { (&ours, &theirs) };
                earlier.set(key, b"1");
                later.set(key, b"2");
                later.set(key, b"3");
            }
            // Later than all, so that nothing of theirs is certainly news.
            (0..100).for_each(|_| ours.set(&keys[0], b"last"));
            let (report, ..) = round(&ours, &theirs);
            assert_eq!((report.pulled, report.pushed), if ours_are_later { (0, 41) } else { (40, 1) });
        }
    }

    #[test]
    fn a_large_value_that_has_come_on_another_way_meanwhile_does_not_fail_the_round() {
        /// As `Near`, but what the reply to LEAF tells is here before it.
        struct Overtaken<'a>(Near<'a>, &'a Replica);
        impl Peer for Overtaken<'_> {
            fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
                let replies = self.0.exchange(prepare)?;
                if matches!(replies[0], Reply::Leaf(_)) {
                    self.1.store().merge(self.0.replica.store().record(b"k").expect("was written"));
                }
                Ok(replies)
            }
        }
        for bytes in [1, REPLY_BYTES, MAX_VALUE_BYTES] {
            let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
            theirs.set(b"k", &vec![b'v'; bytes]);
            let report = reconcile(&ours, &mut Overtaken(near(&theirs), &ours)).expect("an honest peer");
            assert_eq!((report.pulled, report.pushed), (0, 0));
        }
    }

    #[test]
    fn settled_tombstones_beyond_a_reply_hold_no_round_up() {
        let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
        for key in keys_below(Prefix::ROOT.child(3).child(5).child(7), 60_000).take(60) {
            ours.delete(&key);
            theirs.store().merge(ours.store().record(&key).expect("was written"));
        }
        // At first contact nothing is settled.
        round(&ours, &theirs);
        assert_eq!(ours.store().settle(u64::MAX, Timestamp::YEAR_2200, 1), 60);
        let mut peer = near(&theirs);
        let report = reconcile(&ours, &mut peer).expect("an honest peer");
        assert_eq!((report.pulled, report.pushed), (0, 0));
        assert!(peer.leaf_requests >= 4, "60 keys of 60,000 bytes do not fit in {} replies", peer.leaf_requests);
        assert_eq!(theirs.member("node1").expect("it has spoken").progress().confirmed, 60);
        // All of them were seen in the peer's list, and are kept.
        assert_eq!(ours.store().forget(0), 0);
    }

    #[test]
    fn a_peer_that_lists_what_it_does_not_bring_ends_the_round() {
        struct Lies<'a>(&'a Replica, PeerSession);
        impl Peer for Lies<'_> {
            fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
                let same = self.0.store().record(b"k").expect("was written");
                let listed = vec![Listed { key: b"nothing"[..].into(), ..Listed::from(&same) }];
                let answer = |request| match request {
                    Request::Leaf(_) => Reply::Leaf(Differences { listed: listed.clone(), ..Differences::default() }),
                    Request::Fetch(_) => Reply::Entries { covered: 1, records: Vec::new() },
                    other => self.0.handle(&mut self.1, other),
                };
                Ok(prepare().into_iter().map(answer).collect())
            }
        }
        let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
        theirs.set(b"k", b"v");
        let error = reconcile(&ours, &mut Lies(&theirs, PeerSession::default())).unwrap_err();
        assert!(error.error.to_string().contains("comes to no end"), "{error:?}");
    }
}
