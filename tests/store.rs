//! What must hold for every store, whatever is written, in whatever order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread;

use kvstore::limits::{MAX_SCAN_LOOKS, MAX_TABLE_RECORDS};
use kvstore::rules::{Rule, Rules};
use kvstore::store::accepted::Accepted;
use kvstore::store::arrival::{Arrival, TickNumber};
use kvstore::store::clock::{HybridClock, Timestamp};
use kvstore::store::content::{Content, Entry};
use kvstore::store::deadline::Deadline;
use kvstore::store::digest::{DEPTH, Digest, FANOUT, LEAVES, Prefix};
use kvstore::store::merge::{Effect, merge};
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};
use kvstore::store::{Change, KeyValueStore};
use proptest::collection::vec;
use proptest::prelude::*;

/// What may happen to a store. Keys, versions and contents are few, so that they meet.
#[derive(Clone, Debug)]
enum Operation {
    Write {
        key: u8,
        value: Option<u8>,
        wall: u64,
    },
    Merge(Record),
    /// Settles the tombstones that arrived in this share of all arrivals, in sixteenths.
    Settle {
        share: u64,
        clock: u64,
        tick: u64,
    },
    Forget {
        tick: u64,
    },
    Sweep {
        now: u64,
    },
}

/// A failing case is printed in its smallest form; no file is kept of it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn key(number: u8) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn record(key_number: u8, value: Option<u8>, time: u64, node: u16) -> Record {
    let bytes = value.map(|value| [value % 3]);
    let content = content_of(value, &bytes);
    Record::new(&key(key_number), Entry { version: Version::new(Timestamp::from_bits(time), NodeId(node)), content })
}

/// A tombstone, or the value in `bytes`; from 3 on with a deadline.
fn content_of(value: Option<u8>, bytes: &Option<[u8; 1]>) -> Content<'_> {
    let deadline = value.filter(|&value| value >= 3).and_then(|value| Deadline::from_millis(value.into()));
    bytes.as_ref().map_or(Content::Tombstone, |bytes| Content::until(bytes, deadline))
}

fn records() -> impl Strategy<Value = Record> {
    (0u8..40, prop::option::of(0u8..7), 1u64..6, 1u16..4)
        .prop_map(|(key, value, time, node)| record(key, value, time, node))
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0u8..40, prop::option::of(0u8..7), 0u64..9)
            .prop_map(|(key, value, wall)| Operation::Write { key, value, wall }),
        4 => records().prop_map(Operation::Merge),
        1 => (0u64..=16, 0u64..12, 0u64..4).prop_map(|(share, clock, tick)| Operation::Settle { share, clock, tick }),
        1 => (0u64..4).prop_map(|tick| Operation::Forget { tick }),
        1 => (0u64..9).prop_map(|now| Operation::Sweep { now }),
    ]
}

fn apply(store: &KeyValueStore, operation: &Operation) {
    match operation {
        Operation::Write { key: number, value, wall } => {
            let bytes = value.map(|value| [value % 3]);
            store.write(&key(*number), content_of(*value, &bytes), |replaced| {
                let next = replaced.map_or(Timestamp::ZERO, |replaced| replaced.timestamp.next());
                Version::new(next.max(Timestamp::from_bits(*wall)), NodeId(1))
            });
        }
        Operation::Merge(record) => {
            store.merge(record.clone());
        }
        Operation::Settle { share, clock, tick } => {
            let up_to = Arrival(store.arrivals().0 * share / 16);
            store.settle(up_to, Timestamp::from_bits(*clock), TickNumber(*tick));
        }
        Operation::Forget { tick } => {
            store.forget(TickNumber(*tick));
        }
        Operation::Sweep { now } => {
            store.sweep(Timestamp::from_millis(*now), 2, || {});
            visited(store, Timestamp::ZERO);
        }
    }
}

/// Every branch below `branch` whose digest is not that of the empty set, and every one near the root.
fn check_tree(store: &KeyValueStore, branch: Prefix) {
    if branch.is_leaf() || (branch.len() > 2 && store.digest(branch) == Digest::default()) {
        return;
    }
    let children = store.children(branch);
    assert_eq!(children.iter().copied().sum::<Digest>(), store.digest(branch), "below {branch:?}");
    for (digit, digest) in children.into_iter().enumerate() {
        assert_eq!(store.digest(branch.child(digit)), digest);
        check_tree(store, branch.child(digit));
    }
}

/// All keys that have a value at this time.
pub(crate) fn visited(store: &KeyValueStore, now: Timestamp) -> BTreeSet<Vec<u8>> {
    let (mut keys, mut cursor) = (BTreeSet::new(), 0);
    loop {
        let (next, found) = store.scan(now, cursor, 100);
        found.into_iter().for_each(|key| assert!(keys.insert(key.into()), "a key was visited twice"));
        if next == 0 {
            return keys;
        }
        cursor = next;
    }
}

proptest! {
    #![proptest_config(cases(256))]
    #[test]
    fn the_digest_equals_one_rebuilt_from_scratch_after_every_operation(operations in vec(operations(), 1..120)) {
        let store = KeyValueStore::new(Rules::default());
        for operation in &operations {
            apply(&store, operation);
            prop_assert_eq!(store.root(), store.rebuilt_root(), "after {:?}", operation);
        }
        prop_assert_eq!(store.digest(Prefix::ROOT), store.root());
    }

    #[test]
    fn the_counts_equal_what_is_visited(operations in vec(operations(), 1..120)) {
        let store = KeyValueStore::new(Rules::default());
        operations.iter().for_each(|operation| apply(&store, operation));
        let counts = store.counts();
        prop_assert_eq!(visited(&store, Timestamp::ZERO).len(), counts.keys);
        let shard = |n| Prefix::ROOT.child(n / FANOUT).child(n % FANOUT);
        let shards: Vec<Prefix> = (0..FANOUT * FANOUT).map(shard).collect();
        let mut unsettled = 0;
        let visited = store.visit_below(&shards, |_, _| {
            unsettled += 1;
            ControlFlow::Continue(())
        });
        prop_assert_eq!(visited, shards.len());
        prop_assert_eq!(unsettled, counts.keys + counts.tombstones);
        prop_assert_eq!(store.tombstones_after(Arrival::NONE), counts.tombstones);
        prop_assert_eq!(store.tombstones_after(store.arrivals()), 0);
    }

    #[test]
    fn without_forgetting_a_store_holds_the_greatest_of_what_came(records in vec(records(), 1..120)) {
        let store = KeyValueStore::new(Rules::default());
        let mut model: BTreeMap<Vec<u8>, Record> = BTreeMap::new();
        for record in records {
            let greatest = model.entry(record.key().to_vec()).or_insert_with(|| record.clone());
            merge(greatest, record.clone(), Rules::default());
            store.merge(record);
        }
        for (key, greatest) in &model {
            prop_assert_eq!(store.record(key).map(|record| record.encode().to_vec()), Some(greatest.encode().to_vec()));
            let value = store.get(key, || Timestamp::ZERO, |value| value.map(<[u8]>::to_vec));
            prop_assert_eq!(value, greatest.content().value().map(<[u8]>::to_vec));
        }
        prop_assert_eq!(store.root(), model.values().map(Record::digest).sum());
    }

    #[test]
    fn stores_that_get_the_same_in_any_order_and_number_are_equal(
        (records, shuffled) in vec(records(), 1..120)
            .prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
        repeated in 0usize..20,
    ) {
        let (one, two) = (KeyValueStore::new(Rules::default()), KeyValueStore::new(Rules::default()));
        records.iter().for_each(|record| { one.merge(record.clone()); });
        shuffled.iter().chain(shuffled.iter().take(repeated)).for_each(|record| { two.merge(record.clone()); });
        prop_assert_eq!(one.root(), two.root());
        prop_assert_eq!(one.counts(), two.counts());
        prop_assert_eq!(visited(&one, Timestamp::ZERO), visited(&two, Timestamp::ZERO));
    }

    #[test]
    fn a_scan_visits_every_key_once_whatever_its_count(operations in vec(operations(), 1..120), count in 0usize..50) {
        let store = KeyValueStore::new(Rules::default());
        operations.iter().for_each(|operation| apply(&store, operation));
        let (mut cursor, mut scanned) = (0, BTreeSet::new());
        loop {
            let (next, keys) = store.scan(Timestamp::ZERO, cursor, count);
            for key in keys {
                prop_assert!(scanned.insert(key.to_vec()), "a key was shown twice");
            }
            prop_assert!(next == 0 || next > cursor);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        prop_assert_eq!(scanned, visited(&store, Timestamp::ZERO));
    }
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn every_digest_is_the_sum_of_its_childrens(operations in vec(operations(), 1..120)) {
        let store = KeyValueStore::new(Rules::default());
        operations.iter().for_each(|operation| apply(&store, operation));
        check_tree(&store, Prefix::ROOT);
        prop_assert_eq!((0..LEAVES).map(|leaf| store.digest(Prefix::leaf(leaf as u16))).sum::<Digest>(), store.root());
    }
}

#[test]
fn a_tree_has_as_many_leaves_as_its_depth_says() {
    assert_eq!(LEAVES, FANOUT.pow(u32::from(DEPTH)));
}

#[test]
fn without_the_tie_break_the_order_of_arrival_shows() {
    let rules = Rules::default().without(Rule::TieBreak);
    let (one, two) = (KeyValueStore::new(rules), KeyValueStore::new(rules));
    let (a, b) = (record(1, Some(1), 1, 1), record(1, Some(2), 1, 1));
    for (store, records) in [(&one, [&a, &b]), (&two, [&b, &a])] {
        records.into_iter().for_each(|record| {
            store.merge(record.clone());
        });
    }
    assert_ne!(one.root(), two.root());
}

/// An entry that node 1 wrote at the beginning of time.
fn early(key: &[u8], content: Content<'_>) -> Record {
    Record::new(key, Entry { version: Version::new(Timestamp::from_millis(1), NodeId(1)), content })
}

#[test]
fn a_scan_that_stops_within_a_leaf_goes_on_there() {
    let store = KeyValueStore::new(Rules::default());
    let leaf = |key: &[u8]| Placement::default().hash(key) >> 48;
    let keys = (0u32..).map(|n| n.to_string()).filter(|key| leaf(key.as_bytes()) == 7).take(12);
    let keys: BTreeSet<Vec<u8>> = keys.map(String::into_bytes).collect();
    keys.iter().for_each(|key| {
        store.merge(early(key, Content::Value(b"v")));
    });
    let (mut cursor, mut scanned) = (0, Vec::new());
    loop {
        let (next, page) = store.scan(Timestamp::ZERO, cursor, 1);
        scanned.extend(page.into_iter().map(Vec::from));
        assert!(next == 0 || next > cursor, "a scan moves on: {next} after {cursor}");
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(scanned.len(), keys.len());
    assert_eq!(scanned.into_iter().collect::<BTreeSet<_>>(), keys);
}

#[test]
fn a_scan_shows_keys_together_that_its_cursor_cannot_tell_apart() {
    let store = KeyValueStore::new(Rules::default());
    // Found by trying: the upper 48 bits of their hashes are the same.
    let position = |key: &[u8]| Placement::default().hash(key) >> 16;
    let twins = [&b"15714065"[..], b"29099779"];
    assert_eq!(position(twins[0]), position(twins[1]));
    twins.iter().for_each(|key| {
        store.merge(early(key, Content::Value(b"v")));
    });
    let (cursor, keys) = store.scan(Timestamp::ZERO, 0, 1);
    assert_eq!(keys.len(), 2);
    assert_eq!(store.scan(Timestamp::ZERO, cursor, 1), (0, Vec::new()));
}

#[test]
fn a_scan_passes_a_bounded_number_of_entries_that_it_does_not_show() {
    const VALUES: u32 = 1000;
    let store = KeyValueStore::new(Rules::default());
    for number in 0..4 * MAX_SCAN_LOOKS as u32 {
        let content = if number < VALUES { Content::Value(b"v") } else { Content::Tombstone };
        store.merge(early(&number.to_be_bytes(), content));
    }
    let (mut cursor, mut pages) = (0, Vec::new());
    while pages.is_empty() || cursor != 0 {
        let (next, keys) = store.scan(Timestamp::ZERO, cursor, VALUES as usize);
        pages.push(keys.len());
        cursor = next;
    }
    assert_eq!(pages.iter().sum::<usize>(), VALUES as usize);
    assert!((4..=8).contains(&pages.len()), "{pages:?}");
}

/// Somebody has chosen the keys: all stand below one leaf. (It takes a while to find them; these were.)
#[test]
fn keys_below_one_leaf_are_found_listed_and_removed_like_others() {
    let (store, placement) = (KeyValueStore::new(Rules::default()), Placement::default());
    let crowd = Prefix::ROOT.child(4).child(2).child(0);
    let keys = (0u32..).map(u32::to_be_bytes).filter(|key| crowd.hashes().contains(&placement.hash(key)));
    let keys: Vec<[u8; 4]> = keys.take(MAX_TABLE_RECORDS + 500).collect();
    for (number, key) in keys.iter().enumerate() {
        let content = if number % 2 == 0 { Content::Value(b"v") } else { Content::Tombstone };
        store.merge(early(key, content));
        assert_eq!(store.get(key, || Timestamp::ZERO, |value| value.is_some()), number % 2 == 0);
    }
    let values: BTreeSet<Box<[u8]>> = keys.iter().step_by(2).map(|key| key[..].into()).collect();
    let (mut cursor, mut scanned, mut pages) = (0, Vec::new(), 0);
    while pages == 0 || cursor != 0 {
        let (next, keys) = store.scan(Timestamp::ZERO, cursor, 100);
        assert!(keys.len() <= 100);
        (cursor, pages) = (next, pages + 1);
        scanned.extend(keys);
    }
    assert_eq!(scanned.len(), values.len());
    assert_eq!(scanned.into_iter().collect::<BTreeSet<_>>(), values);
    let mut visited = 0;
    (0..KeyValueStore::PARTS).for_each(|part| store.visit_part(part, |_| visited += 1));
    assert_eq!(visited, keys.len());
    let mut below = [0; 16];
    let leaves: Vec<Prefix> = crowd.children().collect();
    let complete = store.visit_below(&leaves, |index, record| {
        assert!(leaves[index].hashes().contains(&placement.hash(record.key())));
        below[index] += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((complete, below.iter().sum::<usize>()), (16, keys.len()));
    let parts: Vec<Prefix> = leaves[3].children().collect();
    let mut below_parts = 0;
    store.visit_below(&parts, |_, _| {
        below_parts += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(below_parts, below[3]);
    store.settle(Arrival(u64::MAX), Timestamp::from_millis(2), TickNumber(1));
    assert_eq!(store.forget(TickNumber(1)), keys.len() / 2);
    assert_eq!((store.root(), store.counts().keys), (store.rebuilt_root(), values.len()));
}

#[test]
fn what_is_forgotten_counts_in_no_bytes() {
    let store = KeyValueStore::new(Rules::default());
    (0..100u32).for_each(|number| {
        store.merge(early(&number.to_be_bytes(), Content::Tombstone));
    });
    assert!(store.bytes() > 0);
    store.settle(Arrival(u64::MAX), Timestamp::from_millis(2), TickNumber(1));
    assert_eq!(store.forget(TickNumber(1)), 100);
    assert_eq!(store.bytes(), 0);
}

#[test]
fn the_outcome_says_what_an_entry_has_replaced() {
    let store = KeyValueStore::new(Rules::default());
    let (old, new) = (record(1, Some(1), 1, 1), record(1, None, 2, 1));
    assert_eq!(store.merge(old.clone()).effect, Effect::Replaced(None));
    assert_eq!(store.merge(old.clone()).effect, Effect::Same(old.clone()));
    assert_eq!(store.merge(new.clone()).effect, Effect::Replaced(Some(old.clone())));
    assert_eq!(store.merge(old.clone()).effect, Effect::Stale(old));
    assert_eq!(store.arrivals(), Arrival(2));
}

// ---- the output ----------------------------------------------------------------------------------------------------

/// Keeps what the store's output is told.
#[derive(Default)]
struct Told(Mutex<Vec<(Record, Arrival)>>);

impl Accepted for Told {
    fn accepted(&self, record: &Record, arrival: Arrival) {
        self.0.lock().expect("no test panics while it is locked").push((record.clone(), arrival));
    }

    fn learned(&self, _: &Record) {}

    fn forgotten(&self, _: &[u8], _: Version) {}
}

fn store_with_output() -> (KeyValueStore, Arc<Told>) {
    let told = Arc::<Told>::default();
    (KeyValueStore::with_output(Rules::default(), Placement::default(), Some(told.clone())), told)
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn what_the_output_is_told_gives_the_same_store_in_any_order(
        records in vec(records(), 1..120),
        order in Just((0..120).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let (store, told) = store_with_output();
        records.into_iter().for_each(|record| { store.merge(record); });
        let told = told.0.lock().unwrap();
        prop_assert!(told.iter().map(|(_, arrival)| arrival.0).eq(1..=told.len() as u64));
        prop_assert_eq!(store.arrivals(), Arrival(told.len() as u64));
        let copy = KeyValueStore::new(Rules::default());
        for (record, _) in order.into_iter().filter_map(|index| told.get(index)) {
            copy.merge(record.clone());
        }
        prop_assert_eq!((copy.root(), copy.counts()), (store.root(), store.counts()));
    }
}

#[test]
fn threads_that_write_one_key_reach_the_output_in_the_order_in_which_they_won() {
    let (store, told) = store_with_output();
    thread::scope(|scope| {
        for node in 1..=4 {
            let store = &store;
            scope.spawn(move || (1..2_000).for_each(|time| drop(store.merge(record(1, Some(1), time, node)))));
        }
    });
    let told = told.0.lock().unwrap();
    let order: Vec<(Version, Arrival)> = told.iter().map(|(record, arrival)| (record.version(), *arrival)).collect();
    assert!(order.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "an entry was told after the one that replaced it");
    assert_eq!(store.record(&key(1)).map(|record| record.version()), order.last().map(|last| last.0));
}

#[test]
fn a_store_knows_in_how_many_leaves_some_entries_stand() {
    let store = KeyValueStore::new(Rules::default());
    assert_eq!(store.leaves_for(1), LEAVES, "an empty store has no entries in all of its leaves");
    (0..1_000u32).for_each(|number| drop(store.merge(early(&number.to_be_bytes(), Content::Tombstone))));
    assert_eq!(store.leaves_for(0), 1, "at least one");
    assert_eq!(store.leaves_for(10), 10 * LEAVES / 1_000);
    assert_eq!(store.leaves_for(1_000), LEAVES);
    assert_eq!(store.leaves_for(2_000), LEAVES, "at most all");
    (0..1_000u32).for_each(|number| drop(store.merge(early(&(number + 1_000).to_be_bytes(), Content::Value(b"v")))));
    assert_eq!(store.leaves_for(10), 10 * LEAVES / 2_000, "values and tombstones count");
    store.settle(Arrival(u64::MAX), Timestamp::from_millis(2), TickNumber(1));
    assert_eq!(store.leaves_for(10), 10 * LEAVES / 2_000, "settled tombstones too");
}

#[test]
fn settled_tombstones_are_counted_until_they_are_forgotten() {
    let store = KeyValueStore::new(Rules::default());
    (0..10u32).for_each(|number| drop(store.merge(early(&number.to_be_bytes(), Content::Tombstone))));
    assert_eq!((store.counts().tombstones, store.counts().settled), (10, 0));
    assert_eq!(store.settle(Arrival(4), Timestamp::from_millis(2), TickNumber(1)), 4);
    assert_eq!((store.counts().tombstones, store.counts().settled), (6, 4));
    assert_eq!((store.forget(TickNumber(0)), store.forget(TickNumber(1))), (0, 4));
    assert_eq!((store.counts().tombstones, store.counts().settled), (6, 0));
    assert_eq!(store.settle(Arrival(10), Timestamp::from_millis(2), TickNumber(2)), 6);
    assert_eq!(store.take_back_settled(), 6);
    assert_eq!((store.counts().tombstones, store.counts().settled), (6, 0));
}

/// A store with one value of each of these deadlines, in milliseconds.
fn expiring(deadlines: std::ops::Range<u64>) -> KeyValueStore {
    let store = KeyValueStore::new(Rules::default());
    for millis in deadlines {
        let content = Content::until(b"value", Deadline::from_millis(millis));
        store.merge(early(&millis.to_be_bytes(), content));
    }
    store
}

#[test]
fn a_value_is_absent_when_its_deadline_is_over_and_a_tombstone_of_its_version_once_it_is_swept() {
    let (store, key) = (expiring(100..200), 150u64.to_be_bytes());
    let held_at = |now| store.get(&key, || Timestamp::from_millis(now), |value| value.is_some());
    assert_eq!((held_at(150), held_at(151)), (true, false));
    let count = |now| {
        let count = visited(&store, Timestamp::from_millis(now)).len();
        assert_eq!(store.scan(Timestamp::from_millis(now), 0, 1_000).1.len(), count);
        count
    };
    assert_eq!((count(0), count(150), count(200)), (100, 50, 0));
    let version = store.version(&key);
    assert_eq!(store.sweep(Timestamp::from_millis(150), 7, || {}), 50, "however few at a time");
    assert_eq!(store.record(&key).map(|record| record.is_tombstone()), Some(false), "not yet");
    assert_eq!(store.sweep(Timestamp::from_millis(151), 7, || {}), 1);
    assert_eq!(store.record(&key).map(|record| (record.is_tombstone(), Some(record.version()))), Some((true, version)));
    let counts = store.counts();
    assert_eq!((counts.keys, counts.expiring, counts.tombstones), (49, 49, 51));
    assert_eq!(store.sweep(Timestamp::from_millis(151), 7, || {}), 0);
}

#[test]
fn an_expired_value_arrives_in_vain_where_it_was_swept_and_the_tombstone_wins_where_it_was_not() {
    let (swept, other) = (expiring(1..50), expiring(1..50));
    let value = other.record(&7u64.to_be_bytes()).expect("it is there");
    swept.sweep(Timestamp::from_millis(60), 100, || {});
    let outcome = swept.merge(value);
    assert!(!outcome.is_accepted() && outcome.conflict.is_none());
    for millis in 1u64..50 {
        let tombstone = swept.record(&millis.to_be_bytes()).expect("it is there");
        let outcome = other.merge(tombstone);
        assert!(outcome.is_accepted() && outcome.conflict.is_none(), "expiry is no conflict");
    }
    assert_eq!(swept.root(), other.root());
    assert_eq!(other.counts().expiring, 0);
}

#[test]
fn what_replaces_a_value_takes_its_deadline_away() {
    let store = expiring(5..6);
    let key = 5u64.to_be_bytes();
    let write = |time, content| {
        store.write(&key, content, |_| Version::new(Timestamp::from_millis(time), NodeId(1)));
        store.counts().expiring
    };
    let with = |millis| Content::until(b"v", Deadline::from_millis(millis));
    assert_eq!(write(2, with(5)), 1, "the same deadline again");
    assert_eq!(write(3, with(9)), 1);
    assert_eq!(store.sweep(Timestamp::from_millis(8), 10, || {}), 0);
    assert_eq!(write(4, Content::Value(b"v")), 0);
    assert_eq!(store.sweep(Timestamp::from_millis(1_000), 10, || {}), 0);
    assert!(store.get(&key, || Timestamp::from_millis(1_000), |value| value.is_some()));
    assert_eq!((write(5, with(9)), write(6, Content::Tombstone)), (1, 0));
}

#[test]
fn a_deadline_takes_at_most_forty_bytes() {
    let (with, without) = (expiring(1..1_000), KeyValueStore::new(Rules::default()));
    (1..1_000u64).for_each(|millis| drop(without.merge(early(&millis.to_be_bytes(), Content::Value(b"value")))));
    let more = (with.bytes() - without.bytes()) / 999;
    assert!(more <= 40, "{more} bytes");
    with.sweep(Timestamp::from_millis(5_000), 100, || {});
    with.settle(with.arrivals(), Timestamp::YEAR_2200, TickNumber(1));
    with.forget(TickNumber(1));
    assert_eq!(with.bytes(), 0, "all that was counted is given back");
}

#[test]
fn a_change_in_one_step_sees_what_is_there_now() {
    let store = expiring(5..6);
    let key = 5u64.to_be_bytes();
    let stamp = |replaced: Option<Version>| {
        Version::new(replaced.map_or(Timestamp::ZERO, |replaced| replaced.timestamp).next(), NodeId(1))
    };
    let see = |now| {
        let seen = |content: Option<Content<'_>>| (Change::Nothing, content.map(|content| content.deadline()));
        store.update(&key, Timestamp::from_millis(now), stamp, seen)
    };
    assert_eq!(see(5), (false, Some(Deadline::from_millis(5))));
    assert_eq!(see(6), (false, None));
    let arrivals = store.arrivals();
    let change = |change: Change<'static>| store.update(&key, Timestamp::ZERO, stamp, |_| (change, ())).0;
    assert!(change(Change::Value(b"w".to_vec().into(), None)));
    assert!(store.get(&key, || Timestamp::ZERO, |value| value == Some(b"w")));
    assert!(change(Change::Delete) && !change(Change::Nothing));
    assert_eq!(store.arrivals().0, arrivals.0 + 2);
}

#[test]
fn a_wall_clock_before_the_epoch_or_far_beyond_is_bounded() {
    use std::time::{Duration, UNIX_EPOCH};
    let last_ms = u64::MAX >> 16;
    assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::ZERO);
    assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_millis(7)), Timestamp::from_millis(7));
    assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_millis(last_ms + 5)), Timestamp::from_millis(last_ms));
}

#[test]
fn records_and_prefixes_show_what_they_are() {
    assert_eq!(format!("{:?}", Prefix::leaf(0xa3)), "Prefix(00a3)");
    let shown = format!("{:?}", record(1, Some(1), 1, 1));
    assert!(shown.starts_with("key 1=") && shown.contains("Value"), "{shown}");
}

#[test]
fn threads_never_get_the_same_timestamp_twice() {
    let clock = HybridClock::default();
    let wall = Timestamp::from_millis(1);
    let mut all: Vec<Timestamp> = thread::scope(|scope| {
        let take = || (0..10_000).map(|_| clock.now(wall)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("does not panic")).collect()
    });
    let taken = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), taken);
}
