//! A disk that works: what a start finds is what was there, whatever was written, forgotten and rewritten, by however
//! many threads, and in whatever order.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use kvstore::disk::files::RealDirectory;
use kvstore::disk::{Log, SyncPolicy};
use kvstore::limits::{JOURNAL_RELIEF_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, SNAPSHOT_WRITE_BYTES};
use kvstore::replication::journal::Journal;
use kvstore::replication::message::{Confirmation, Greeting, Incarnation, Reply, Request};
use kvstore::replication::replica::Identity;
use kvstore::replication::responder::PeerSession;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use super::heard;
use super::memory_disk::{Fault, MemoryDirectory};
use super::stage::{Contents, STORE, Stage, owner, replica_on};

// ---- any history ----------------------------------------------------------------------------------------------------

/// What happens to a node.
#[derive(Clone, Debug)]
enum Event {
    /// An entry arrives: key, time, node, and the value if it is none that deletes.
    Arrives(u8, u64, u16, Option<u8>),
    Forgets,
    Hears(u64),
    Syncs,
    Rewrites,
    IsKilled,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..4u8, 1..6u64, 1..3u16, proptest::option::of(0..3u8))
            .prop_map(|(key, time, node, value)| Event::Arrives(key, time, node, value)),
        2 => Just(Event::Forgets),
        1 => (2..9u64).prop_map(Event::Hears),
        1 => Just(Event::Syncs),
        1 => Just(Event::Rewrites),
        1 => Just(Event::IsKilled),
    ]
}

/// By key: version, whether it deletes (which wins if versions are equal), value. The greater one stands.
type Model = BTreeMap<u8, (u64, u16, bool, Option<u8>)>;

fn contents_of(model: &Model) -> Contents {
    let entry = |(&key, &(time, node, _, value)): (&u8, &(u64, u16, bool, Option<u8>))| {
        let record = record_of(key, time, node, value);
        (record.key().into(), record.encode().into())
    };
    model.iter().map(entry).collect()
}

fn record_of(key: u8, time: u64, node: u16, value: Option<u8>) -> Record {
    let version = Version::new(Timestamp::from_millis(time), NodeId(node));
    let value = value.map(|value| [value]);
    let content = value.as_ref().map_or(Content::Tombstone, |value| Content::Value(value));
    Record::new(&[key], Entry { version, content })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_start_finds_what_was_there_after_any_history(events in vec(event(), 1..60)) {
        let mut directory = MemoryDirectory::default();
        let (mut node, mut model, mut greatest) = (Stage::start(&directory), Model::new(), Confirmation::NONE);
        for event in events.iter().chain([&Event::IsKilled]) {
            match *event {
                Event::Arrives(key, time, node_number, value) => {
                    node.replica.store().merge(record_of(key, time, node_number, value));
                    let entry = (time, node_number, value.is_none(), value);
                    model.entry(key).and_modify(|stands| *stands = entry.max(*stands)).or_insert(entry);
                }
                Event::Forgets => {
                    let forgotten = model.len();
                    model.retain(|_, (_, _, deletes, _)| !*deletes);
                    prop_assert_eq!(node.forget_all(), forgotten - model.len());
                }
                Event::Hears(confirmation) => node.log.note(&heard(confirmation)),
                Event::Syncs => greatest = node.log.confirm().expect("the disk works"),
                Event::Rewrites => node.log.rewrite(&node.replica, &|| true).expect("the disk works"),
                Event::IsKilled => {
                    node.log.before_answer().expect("the disk works");
                    directory = directory.copy();
                    let held = node.whole_contents();
                    node = Stage::start(&directory);
                    prop_assert_eq!(node.whole_contents(), held, "what was seen is on the disk, too");
                    prop_assert!(node.log.confirmation() >= greatest && node.loaded.torn.is_none());
                }
            }
            prop_assert_eq!(node.contents(), contents_of(&model));
        }
    }
}

// ---- a snapshot while others write ----------------------------------------------------------------------------------

const WRITERS: usize = 4;
const WRITES: usize = 60;

/// What a thread has written: for each write, after how many steps it was answered, its key, and its value.
type Written = Vec<(u64, String, Option<String>)>;

/// Writes and deletes its own keys, and forgets everybody's deletes.
fn write(node: &Stage, directory: &MemoryDirectory, writer: usize) -> Written {
    let mut chance = fastrand::Rng::with_seed(writer as u64);
    let write = |n: usize| {
        let key = format!("{writer}-{}", chance.usize(..3));
        let value = (chance.usize(..3) > 0).then(|| n.to_string());
        match &value {
            Some(value) => node.replica.set(key.as_bytes(), value.as_bytes()),
            None => drop(node.replica.delete(key.as_bytes()).then(|| node.forget_all())),
        }
        node.log.before_answer().expect("the disk works");
        (directory.steps(), key, value)
    };
    (0..WRITES).map(write).collect()
}

/// Four threads write while snapshots are written; returns what they have written.
fn write_while_rewriting(node: &Stage, directory: &MemoryDirectory) -> Vec<Written> {
    let writing = AtomicUsize::new(WRITERS);
    thread::scope(|scope| {
        let begin = |writer| {
            let writing = &writing;
            scope.spawn(move || {
                let written = write(node, directory, writer);
                writing.fetch_sub(1, Relaxed);
                written
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(begin).collect();
        while writing.load(Relaxed) > 0 {
            node.log.rewrite(&node.replica, &|| true).expect("the disk works");
        }
        writers.into_iter().map(|writer| writer.join().expect("a writer ends")).collect()
    })
}

/// Whether a node that was stopped after so many steps holds what was answered by then, or something newer.
#[track_caller]
fn check(node: &Stage, written: &[Written], steps: u64) {
    for written in written {
        let keys: BTreeSet<&String> = written.iter().map(|(_, key, _)| key).collect();
        for key in keys {
            let mine: Vec<_> = written.iter().filter(|(_, of, _)| of == key).collect();
            let answered = mine.iter().filter(|(at, ..)| *at <= steps).count();
            let found = node.value(key);
            let is_good = (answered == 0 && found.is_none())
                || mine[answered.saturating_sub(1)..].iter().any(|(_, _, value)| *value == found);
            assert!(is_good, "after {steps} steps {key} is {found:?}, of {mine:?} {answered} were answered");
        }
    }
}

fn snapshots_while_others_write(policy: SyncPolicy, power_cuts: bool) {
    let directory = MemoryDirectory::default();
    let node = Stage::try_start(&directory, policy).expect("the disk works");
    // So a snapshot needs more than one write.
    let large = vec![b'v'; SNAPSHOT_WRITE_BYTES];
    node.replica.set(b"large", &large);
    node.log.sync_all().expect("the disk works");
    let before = directory.steps();
    match power_cuts {
        true => directory.record_power_cuts(1),
        false => directory.record(),
    }
    let written = write_while_rewriting(&node, &directory);
    let copies = directory.recorded();
    assert!(copies.len() as u64 >= directory.steps() - before);
    for (step, copy) in copies.iter().enumerate() {
        let steps = before + 1 + step as u64;
        let again = Stage::try_start(copy, policy).unwrap_or_else(|error| panic!("after {steps} steps: {error}"));
        check(&again, &written, steps);
        assert!(again.replica.get(b"large", |value| value == Some(&large[..])));
    }
    let again = Stage::start(&directory.copy());
    check(&again, &written, u64::MAX);
}

#[test]
fn a_kill_at_any_step_of_a_snapshot_loses_nothing_that_others_were_answered_meanwhile() {
    snapshots_while_others_write(SyncPolicy::EverySecond, false);
}

#[test]
fn a_power_cut_at_any_step_of_a_snapshot_loses_nothing_that_was_answered_after_a_sync() {
    snapshots_while_others_write(SyncPolicy::Always, true);
}

#[test]
fn what_must_be_remembered_of_others_stands_in_the_log_and_in_the_snapshot() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    node.replica.dismiss_address("127.0.0.1:5010");
    let peer = Greeting::in_memory("node2", NodeId(2), Incarnation(7), Timestamp::ZERO);
    let greeted = node.replica.handle(&mut PeerSession::default(), Request::Peer(peer));
    assert!(matches!(greeted, Reply::Peer { .. }), "{greeted:?}");
    assert!(node.replica.dismiss("node2"));
    let peer = Greeting::in_memory("node3", NodeId(3), Incarnation(8), Timestamp::ZERO);
    let mut session = PeerSession::default();
    let greeted = node.replica.handle(&mut session, Request::Peer(peer));
    assert!(matches!(greeted, Reply::Peer { .. }), "{greeted:?}");
    let confirmed = node.replica.handle(&mut session, Request::Confirm(Arrival::NONE, Confirmation(5)));
    assert_eq!(confirmed, Reply::Ok);
    let confirmation = node.log.confirm().expect("the disk works");
    let notes = node.replica.notes();
    assert_eq!(notes.len(), 5, "a member, its store, a dismissed store and address, what was heard: {notes:?}");
    for _ in 0..3 {
        let again = Stage::start(&directory.copy());
        assert_eq!((again.replica.notes(), again.log.confirmation()), (notes.clone(), confirmation));
        node.log.rewrite(&node.replica, &|| true).expect("the disk works");
    }
}

#[test]
fn a_snapshot_without_a_delete_has_the_confirmation_that_let_it_be_forgotten() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    for n in 0..100 {
        node.replica.set(format!("value{n}").as_bytes(), &vec![b'v'; SNAPSHOT_WRITE_BYTES / 10]);
        node.merge(&format!("deleted{n}"), 1, Content::Tombstone);
    }
    let is_asked = Cell::new(false);
    let peer_confirms = || {
        // The rest of the snapshot lacks the deletes. The log that has both is not synced for a while.
        if !is_asked.replace(true) {
            node.log.note(&heard(5));
            node.forget_all();
        }
        true
    };
    node.log.rewrite(&node.replica, &peer_confirms).expect("the disk works");
    let again = Stage::start(&directory.power_cut(|_| 0));
    assert!(again.replica.store().counts().tombstones < 100, "some were forgotten");
    assert!(again.replica.notes().contains(&heard(5)), "so what a peer has confirmed is remembered");
}

// ---- confirmations --------------------------------------------------------------------------------------------------

#[test]
fn a_confirmation_has_a_new_number_if_it_covers_something_new() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    let confirm = |node: &Stage| node.log.confirm().expect("the disk works").0;
    assert_eq!(node.log.confirmation(), Confirmation::NONE, "the store has no past");
    assert_eq!((confirm(&node), confirm(&node)), (2, 2));
    node.log.note(&heard(5));
    assert_eq!(confirm(&node), 2, "what was heard of others is nothing that this node holds");
    node.merge("a", 2, Content::Tombstone);
    assert_eq!((confirm(&node), confirm(&node)), (3, 3));
    node.merge("a", 1, Content::Value(b"older"));
    assert_eq!(confirm(&node), 3, "it was not accepted");
    node.forget_all();
    assert_eq!((confirm(&node), node.log.confirmation().0), (4, 4));
    node.log.rewrite(&node.replica, &|| true).expect("the disk works");
    assert_eq!(confirm(&node), 4, "the same data in other files");
    let again = Stage::start(&directory.copy());
    assert_eq!(again.log.confirmation().0, 4);
    assert_eq!((confirm(&again), confirm(&again)), (5, 5), "the first of each life is new");
}

#[test]
fn a_store_that_has_a_past_but_has_confirmed_nothing_shows_that() {
    let directory = MemoryDirectory::default();
    drop(Stage::start(&directory));
    let again = Stage::start(&directory.copy());
    assert_eq!(again.log.confirmation(), Confirmation(1));
    assert_eq!(again.log.confirm(), Ok(Confirmation(2)));
}

#[test]
fn a_confirmation_is_shown_only_when_it_is_durable() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    assert_eq!(node.log.confirm(), Ok(Confirmation(2)));
    node.merge("a", 1, Content::Value(b"one"));
    // The write of the next one succeeds, its sync fails.
    directory.fail_after(1, Fault::Once);
    node.log.confirm().expect_err("the sync fails");
    assert_eq!(node.log.confirmation(), Confirmation(2));
    let killed = Stage::start(&directory.copy());
    assert_eq!((killed.log.confirmation(), killed.value("a").as_deref()), (Confirmation(3), Some("one")));
    let cut = Stage::start(&directory.power_cut(|_| 0));
    assert_eq!((cut.log.confirmation(), cut.value("a")), (Confirmation(2), None));
}

// ---- large, and over real files -------------------------------------------------------------------------------------

/// A directory for temporary files. Dropping it removes it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kvstore-disk-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn start(&self) -> Stage {
        let directory = RealDirectory::create(&self.0).expect("a writable directory for temporary files");
        Stage::start_from(Arc::new(directory), SyncPolicy::EverySecond).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("a name").file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn no_delete_that_was_forgotten_comes_back() {
    const KEYS: usize = 100_000;
    let scratch = Scratch::new("forgotten");
    let node = scratch.start();
    (0..KEYS).for_each(|n| node.replica.set(format!("key{n}").as_bytes(), b"value"));
    node.log.before_answer().expect("the disk works");
    assert_eq!(scratch.start().replica.store().counts().keys, KEYS);
    (0..KEYS).for_each(|n| assert!(node.replica.delete(format!("key{n}").as_bytes())));
    node.log.before_answer().expect("the disk works");
    assert_eq!(scratch.start().replica.store().counts().tombstones, KEYS);
    assert_eq!(node.forget_all(), KEYS);
    node.log.before_answer().expect("the disk works");
    let again = scratch.start();
    assert_eq!(
        (again.contents().len(), again.loaded.frames),
        (0, 4 * KEYS as u64),
        "a value, a delete, the word that all have seen it, and that it is forgotten"
    );
    again.log.rewrite(&again.replica, &|| true).expect("the disk works");
    let again = scratch.start();
    assert_eq!((again.contents().len(), again.loaded.frames), (0, 1), "its last confirmation");
}

#[test]
fn real_files_are_rewritten_cut_and_read_again() {
    let scratch = Scratch::new("files");
    let node = scratch.start();
    let bytes = "v".repeat(1000);
    (0..1000).for_each(|n| node.replica.set(format!("key{n}").as_bytes(), bytes.as_bytes()));
    node.log.rewrite(&node.replica, &|| true).expect("the disk works");
    assert_eq!(scratch.names(), ["2.log", "2.snapshot", "identity"]);
    assert!(node.log.stats().snapshot_bytes > 1_000_000 && node.log.stats().log_bytes < 1000);
    node.replica.set(b"late", b"1");
    node.replica.set(b"later", b"2");
    node.log.sync_all().expect("the disk works");
    let expected = node.contents();
    drop(node);
    assert_eq!(scratch.start().contents(), expected);
    let log = scratch.0.join("2.log");
    let length = std::fs::metadata(&log).expect("it is there").len();
    std::fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(length - 1)).expect("it is cut");
    let again = scratch.start();
    assert_eq!((again.value("late").as_deref(), again.value("later")), (Some("1"), None));
    assert_eq!(scratch.names(), ["2.log", "2.log.torn", "2.snapshot", "identity"]);
    again.replica.set(b"later", b"3");
    again.log.before_answer().expect("the disk works");
    let again = scratch.start();
    assert_eq!((again.value("later").as_deref(), again.loaded.torn), (Some("3"), None));
}

#[test]
fn the_largest_entry_and_a_load_on_several_threads_come_back_whole() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    node.replica.set(&vec![b'k'; MAX_KEY_BYTES], &vec![b'v'; MAX_VALUE_BYTES]);
    for n in 0..2_000 {
        node.replica.set(format!("key{}", n % 700).as_bytes(), format!("value{n}").as_bytes());
        node.replica.delete(format!("key{}", (n * 7) % 700).as_bytes());
    }
    node.log.before_answer().expect("the disk works");
    for threads in [0, 1, 3, 4] {
        let copy = directory.copy();
        let log = Arc::new(Log::open(Arc::new(copy), &owner(), STORE, SyncPolicy::EverySecond).expect("it is ours"));
        let identity = Identity::in_memory("node1", NodeId(1), Incarnation(9));
        let replica = replica_on(&log, identity);
        let loaded = log.load_with(&replica, threads).expect("nothing is damaged");
        assert_eq!((loaded.frames, loaded.torn.clone()), (4_001, None), "{threads} threads");
        let again = Stage { log, replica, loaded };
        assert_eq!(again.contents(), node.contents(), "{threads} threads");
    }
}

/// A round merges many entries before anything waits for the log.
#[test]
fn what_waits_in_memory_is_written_when_it_is_much() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    let in_file = || directory.bytes("1.log").map_or(0, |bytes| bytes.len());
    let empty = in_file();
    let value = vec![b'v'; JOURNAL_RELIEF_BYTES / 2 - 100];
    node.replica.set(b"a", &value);
    node.log.relieve();
    assert_eq!(in_file(), empty, "half of what may wait");
    node.replica.set(b"b", &value);
    node.log.relieve();
    assert_eq!(in_file(), empty, "nearly as much as may wait");
    node.replica.set(b"c", &[b'v'; 400]);
    node.log.relieve();
    assert!(in_file() > empty + JOURNAL_RELIEF_BYTES, "more than may wait");
}
