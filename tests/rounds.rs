//! Anti-entropy rounds between replicas in one process: whatever stands on both sides, one round makes them equal. What
//! is said is encoded and decoded, and so has the bounds of what travels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::store::visited;
use kvstore::framing::{RequestParser, resp};
use kvstore::limits::{LEAF_REQUEST_ENTRIES, MAX_LEAF_REQUEST_ENTRIES, MAX_VALUE_BYTES, REPLY_BYTES};
use kvstore::replication::journal::{DiskFailed, Journal, Note};
use kvstore::replication::message::{Confirmation, Differences, Held, Incarnation, Listed, Reply, Request};
use kvstore::replication::reconcile::{RoundReport, reconcile};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::replication::{Peer, PeerError};
use kvstore::rules::{Rule, Rules};
use kvstore::store::accepted::Accepted;
use kvstore::store::arrival::{Arrival, TickNumber};
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::digest::{Digest, Prefix};
use kvstore::store::merge::merge;
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};
use proptest::collection::vec;
use proptest::prelude::*;

/// A peer in the same process. What is said to it is encoded and decoded, and so has the bounds of what travels.
struct Near<'a> {
    replica: &'a Replica,
    session: PeerSession,
    /// The longest reply so far, in bytes.
    longest: usize,
    /// How many LEAF requests there were.
    leaf_requests: usize,
    /// How many entries one of them has named at most.
    most_named: usize,
}

impl Peer for Near<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let mut answer = |request: Request| {
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            request.encode(&mut sent);
            let mut parser = RequestParser::default();
            let (form, _) = parser.parse(&sent).expect("well-formed").expect("whole");
            let arrived = Request::decode(parser.args(form, &sent))?;
            if let Request::Leaf(held) = &arrived {
                self.leaf_requests += 1;
                self.most_named = self.most_named.max(held.iter().map(|held| held.digests.len()).sum());
            }
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
    Near { replica, session: PeerSession::default(), longest: 0, leaf_requests: 0, most_named: 0 }
}

fn replica(node: u16, rules: Rules) -> Replica {
    let incarnation = Incarnation(u64::from(node));
    let identity = Identity::in_memory(format!("node{node}"), NodeId(node), incarnation);
    Replica::new(identity, rules, Box::new(|| Timestamp::from_millis(1_800_000_000_000)))
}

/// Runs a round, and checks that both are equal afterwards. Returns its report, the length of the longest reply, and
/// the number of LEAF requests.
fn round(ours: &Replica, theirs: &Replica) -> (RoundReport, usize, usize) {
    let mut peer = near(theirs);
    let report = reconcile(ours, &mut peer).expect("nothing goes wrong here");
    assert_eq!(ours.store().root(), theirs.store().root());
    (report, peer.longest, peer.leaf_requests)
}

/// What a node has written.
fn written_by(node: u16, key: &[u8]) -> Record {
    let version = Version::new(Timestamp::from_millis(1_790_000_000_000), NodeId(node));
    Record::new(key, Entry { version, content: Content::Value(b"v") })
}

/// Keys of `len` bytes that stand below one branch of the digest tree.
fn keys_below(branch: Prefix, len: usize) -> impl Iterator<Item = Vec<u8>> {
    let key = move |number: u32| [&number.to_be_bytes()[..], &vec![b'k'; len - 4]].concat();
    let stands = move |key: &Vec<u8>| {
        let leaf = Prefix::leaf_of(Placement::default().hash(key)).leaves().start;
        branch.leaves().contains(&leaf)
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
fn a_branch_with_more_than_a_reply_holds_comes_in_parts() {
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

/// Somebody who computes for a while has as many keys below one leaf as he likes, where there is no secret. Here it is
/// a shard, which takes less time.
#[test]
fn a_branch_that_is_too_full_for_any_message_is_compared_in_parts() {
    let rules = Rules::default().without(Rule::Digests);
    let crowded = Prefix::ROOT.child(3).child(5);
    let keys: Vec<_> = keys_below(crowded, 12).take(MAX_LEAF_REQUEST_ENTRIES + 10_000).collect();
    type Holds = fn(usize) -> bool;
    let (all, none): (Holds, Holds) = (|_| true, |_| false);
    let (most, others): (Holds, Holds) = (|number| number % 10_000 != 1, |number| number % 10_000 != 2);
    for (here, there) in [(most, others), (none, all), (all, none)] {
        let (ours, theirs) = (replica(1, rules), replica(2, rules));
        for (number, key) in keys.iter().enumerate() {
            let holders = [(&ours, here), (&theirs, there)].into_iter().filter(|(_, holds)| holds(number));
            holders.for_each(|(holder, _)| _ = holder.store().merge(written_by(3, key)));
        }
        ours.set(b"elsewhere", b"ours");
        let mut peer = near(&theirs);
        reconcile(&ours, &mut peer).expect("every part fits");
        assert_eq!(ours.store().root(), theirs.store().root());
        assert_eq!(ours.store().counts().keys, keys.len() + 1);
        assert!(peer.longest < 2 * REPLY_BYTES, "{} bytes in one reply", peer.longest);
        assert!(peer.most_named <= MAX_LEAF_REQUEST_ENTRIES, "{} entries in one request", peer.most_named);
    }
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
    assert!(error.error.to_string().contains("more than a message holds below the one hash"), "{error:?}");
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
    let settled_at = TickNumber(0);
    assert_eq!(ours.store().settle(Arrival(u64::MAX), Timestamp::YEAR_2200, settled_at), 60);
    let mut peer = near(&theirs);
    let report = reconcile(&ours, &mut peer).expect("an honest peer");
    assert_eq!((report.pulled, report.pushed), (0, 0));
    assert!(peer.leaf_requests >= 4, "60 keys of 60,000 bytes do not fit in {} replies", peer.leaf_requests);
    assert_eq!(theirs.member("node1").expect("it has spoken").progress().confirmed, Arrival(60));
    // All of them were seen in the peer's list, and are kept.
    assert_eq!(ours.store().forget(settled_at), 0);
}

#[test]
fn what_only_one_side_has_counted_reaches_the_other_whichever_version_is_greater() {
    for ours_is_greater in [false, true] {
        let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
        let (smaller, greater) = if ours_is_greater { (&theirs, &ours) } else { (&ours, &theirs) };
        let keys: Vec<_> = keys_below(Prefix::leaf(7), 16).take(2).collect();
        smaller.increment(&keys[0], 1).expect("a number");
        (0..3).for_each(|_| greater.set(&keys[0], b"10"));
        greater.increment(&keys[0], 20).expect("a number");
        // Later than all, so that nothing of theirs is certainly news.
        (0..100).for_each(|_| ours.set(&keys[1], b"last"));
        // It checks that both are equal then.
        round(&ours, &theirs);
    }
}

#[test]
fn what_could_not_be_made_durable_is_not_confirmed_and_the_round_succeeds() {
    /// A disk that has failed.
    struct Failed;
    impl Accepted for Failed {
        fn accepted(&self, _: &Record, _: Arrival) {}
        fn learned(&self, _: &Record) {}
        fn forgotten(&self, _: &[u8], _: Version) {}
    }
    impl Journal for Failed {
        fn note(&self, _: &Note) {}
        fn confirmation(&self) -> Confirmation {
            Confirmation(1)
        }
        fn confirm(&self) -> Result<Confirmation, DiskFailed> {
            Err(DiskFailed("no space".into()))
        }
        fn has_failed(&self) -> bool {
            true
        }
        fn relieve(&self) {}
    }
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(1));
    let wall = Box::new(|| Timestamp::from_millis(1_800_000_000_000));
    let ours = Replica::with_journal(identity, Rules::default(), wall, Placement::default(), Some(Arc::new(Failed)));
    ours.finish_restoring();
    let theirs = replica(2, Rules::default());
    theirs.finish_acquainting();
    theirs.set(b"k", b"v");
    let (report, ..) = round(&ours, &theirs);
    assert_eq!((report.pulled, report.pushed), (1, 0));
    let progress = theirs.member("node1").expect("it has spoken").progress();
    assert_eq!((progress.confirmed, progress.durable), (Arrival::NONE, None));
}

#[test]
fn one_bad_leaf_fails_alone() {
    /// As `Near`, but it never gets beyond one key.
    struct Stuck<'a>(Near<'a>, u64);
    impl Peer for Stuck<'_> {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let mut requests = prepare();
            match &mut requests[..] {
                [Request::Leaf(held)] => {
                    held.truncate(held.iter().take_while(|held| !held.branch.hashes().contains(&self.1)).count());
                    if held.is_empty() {
                        return Ok(vec![Reply::Leaf(Differences::default())]);
                    }
                }
                [Request::Confirm(..)] => panic!("this side does not hold all"),
                _ => {}
            }
            self.0.exchange(&mut || std::mem::take(&mut requests))
        }
    }
    for rules in [Rules::default(), Rules::default().without(Rule::Digests)] {
        let (ours, theirs) = (replica(1, rules), replica(2, rules));
        let keys: Vec<String> = (0..2000).map(|number| format!("key {number}")).collect();
        for (number, key) in keys.iter().enumerate() {
            if number % 2 == 0 { &ours } else { &theirs }.set(key.as_bytes(), b"v");
        }
        let bad = Placement::default().hash(keys[1].as_bytes());
        let error = reconcile(&ours, &mut Stuck(near(&theirs), bad)).unwrap_err();
        assert!(error.error.to_string().contains("more than a message holds below the one hash"), "{error:?}");
        let leaf = |key: &String| Prefix::leaf_of(Placement::default().hash(key.as_bytes()));
        for key in keys.iter().filter(|key| leaf(key) != leaf(&keys[1])) {
            let (here, there) = (ours.store().version(key.as_bytes()), theirs.store().version(key.as_bytes()));
            assert!(here.is_some() && here == there, "{key}: {here:?}, {there:?}, {rules:?}");
        }
        assert_eq!(ours.store().version(keys[1].as_bytes()), None);
    }
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
    assert!(error.error.to_string().contains("more than a message holds below the one hash"), "{error:?}");
}

// ---- whatever was written ------------------------------------------------------------------------------------------

/// A replica whose wall clock stands at the beginning of time, so that only versions decide.
fn early_replica(node: u16) -> Replica {
    let incarnation = Incarnation(u64::from(node));
    let identity = Identity::in_memory(format!("node{node}"), NodeId(node), incarnation);
    Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1)))
}

/// A write of a client, or an entry from elsewhere. Keys, versions and contents are few, so that they meet.
#[derive(Clone, Debug)]
enum Operation {
    Write { key: u8, value: Option<u8> },
    Merge(Record),
}

/// A failing case is printed in its smallest form; no file is kept of it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn key(number: u8) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn records() -> impl Strategy<Value = Record> {
    (0u8..40, prop::option::of(0u8..3), 1u64..6, 1u16..4).prop_map(|(number, value, time, node)| {
        let value = value.map(|value| [value]);
        let content = value.as_ref().map_or(Content::Tombstone, |value| Content::Value(value));
        let version = Version::new(Timestamp::from_bits(time), NodeId(node));
        Record::new(&key(number), Entry { version, content })
    })
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (0u8..40, prop::option::of(0u8..3)).prop_map(|(key, value)| Operation::Write { key, value }),
        records().prop_map(Operation::Merge),
    ]
}

/// An operation on one of three replicas.
fn steps() -> impl Strategy<Value = (usize, Operation)> {
    (0usize..3, operations())
}

fn take(replica: &Replica, operation: &Operation) {
    match operation {
        Operation::Write { key: number, value: Some(value) } => replica.set(&key(*number), &[*value]),
        Operation::Write { key: number, value: None } => drop(replica.delete(&key(*number))),
        Operation::Merge(record) => drop(replica.store().merge(record.clone())),
    }
}

proptest! {
    #![proptest_config(cases(256))]
    #[test]
    fn one_round_makes_two_replicas_equal_and_loses_nothing(steps in vec(steps(), 1..150)) {
        let replicas = [early_replica(1), early_replica(2)];
        steps.iter().for_each(|(at, operation)| take(&replicas[at % 2], operation));
        let mut greatest: BTreeMap<Vec<u8>, Record> = BTreeMap::new();
        for number in 0..40 {
            for replica in &replicas {
                let Some(record) = replica.store().record(&key(number)) else { continue };
                let kept = greatest.entry(key(number)).or_insert_with(|| record.clone());
                merge(kept, record, Rules::default());
            }
        }
        let report = reconcile(&replicas[0], &mut near(&replicas[1])).expect("nothing can fail");
        for replica in &replicas {
            prop_assert_eq!(replica.store().root(), greatest.values().map(Record::digest).sum());
            prop_assert_eq!(replica.store().rebuilt_root(), replica.store().root());
        }
        let again = reconcile(&replicas[1], &mut near(&replicas[0])).expect("nothing can fail");
        prop_assert_eq!((again.pulled, again.pushed), (0, 0), "after {} and {}", report.pulled, report.pushed);
    }

    #[test]
    fn replicas_that_take_rounds_in_any_order_end_equal(
        steps in vec(steps(), 1..100),
        rounds in vec((0usize..3, 1usize..3), 0..6),
    ) {
        let replicas = [early_replica(1), early_replica(2), early_replica(3)];
        let round = |from: usize, to: usize| {
            reconcile(&replicas[from], &mut near(&replicas[to])).expect("nothing can fail")
        };
        let mut rounds = rounds.into_iter();
        for (at, operation) in &steps {
            take(&replicas[*at], operation);
            if at % 5 == 0 && let Some((from, step)) = rounds.next() {
                round(from, (from + step) % 3);
            }
        }
        // Once around, and around again: what is left of anybody reaches everybody.
        [(0, 1), (1, 2), (2, 0), (0, 1)].into_iter().for_each(|(from, to)| { round(from, to); });
        let roots: BTreeSet<u64> = replicas.iter().map(|replica| replica.store().root().to_bits()).collect();
        prop_assert_eq!(roots.len(), 1);
        prop_assert_eq!(visited(replicas[0].store(), Timestamp::ZERO), visited(replicas[1].store(), Timestamp::ZERO));
        prop_assert_eq!(visited(replicas[0].store(), Timestamp::ZERO), visited(replicas[2].store(), Timestamp::ZERO));
    }

    #[test]
    fn a_write_wins_over_all_that_its_replica_has_seen(records in vec(records(), 1..60), deletes: bool) {
        let replica = early_replica(2);
        for record in records {
            let (key, theirs) = (record.key().to_vec(), record.version());
            replica.store().merge(record.clone());
            if deletes {
                replica.delete(&key);
            } else {
                replica.set(&key, b"mine");
            }
            let mine = replica.store().record(&key).expect("was written just now");
            prop_assert!(mine.version() > theirs);
            prop_assert_eq!(mine.content().value(), (!deletes).then_some(&b"mine"[..]));
            prop_assert!(replica.store().merge(record).rejected().is_some(), "what is older loses when it comes again");
        }
    }
}

#[test]
fn an_entry_that_has_come_on_another_way_before_its_fetch_counts_as_not_pulled() {
    /// As `Near`, but what the reply to FETCH brings is here before it.
    struct Overtaken<'a>(Near<'a>, &'a Replica);
    impl Peer for Overtaken<'_> {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let replies = self.0.exchange(prepare)?;
            if let Reply::Entries { records, .. } = &replies[0] {
                records.iter().for_each(|record| drop(self.1.store().merge(record.clone())));
            }
            Ok(replies)
        }
    }
    let rules = Rules::default().without(Rule::Digests);
    let (ours, theirs) = (replica(1, rules), replica(2, rules));
    let keys: Vec<_> = keys_below(Prefix::ROOT.child(3).child(5), 16).take(2).collect();
    theirs.set(&keys[0], b"v");
    // Later than all of theirs, so that their entry is listed and not sent in full.
    (0..3).for_each(|_| ours.set(&keys[1], b"later"));
    let report = reconcile(&ours, &mut Overtaken(near(&theirs), &ours)).expect("an honest peer");
    assert_eq!((report.pulled, report.pushed), (0, 1));
}

#[test]
fn a_reply_to_fetch_holds_as_much_as_a_reply_may() {
    let theirs = replica(2, Rules::default());
    let beside = Record::HEADER_BYTES + 1;
    for (excess, covered) in [(0, 2), (1, 1)] {
        theirs.set(b"a", &vec![b'v'; REPLY_BYTES / 2 - beside]);
        theirs.set(b"b", &vec![b'v'; REPLY_BYTES / 2 - beside + excess]);
        let fetch = Request::Fetch(vec![b"a"[..].into(), b"b"[..].into()]);
        let mut peer = near(&theirs);
        let greeting = replica(1, Rules::default()).greeting(true);
        peer.ask(Request::Peer(greeting)).expect("is admitted");
        match peer.ask(fetch).expect("is answered") {
            Reply::Entries { covered: now, records } => assert_eq!((now, records.len()), (covered, covered)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reply_to_leaf_holds_as_much_as_a_reply_may_and_names_what_it_leaves_out() {
    let (ours, theirs) = (replica(1, Rules::default()), replica(2, Rules::default()));
    let keys: Vec<_> = keys_below(Prefix::leaf(7), 16).take(3).collect();
    keys.iter().for_each(|key| theirs.set(key, &vec![b'v'; REPLY_BYTES / 4 * 3]));
    let mut peer = near(&theirs);
    peer.ask(Request::Peer(ours.greeting(true))).expect("is admitted");
    let held = Held { branch: Prefix::leaf(7), newest: Timestamp::ZERO, digests: Vec::new() };
    match peer.ask(Request::Leaf(vec![held])).expect("is answered") {
        Reply::Leaf(told) => assert_eq!((told.covered, told.news.len(), told.listed.len()), (1, 1, 2)),
        other => panic!("{other:?}"),
    }
    assert!(peer.longest < REPLY_BYTES, "{} bytes in one reply", peer.longest);
}
