//! The disk: what a node finds after its process was killed, after a power cut, after a bit has changed, and what it
//! does while writes fail. (Whole nodes: `persistence.rs`.)

#[path = "disk/failing.rs"]
mod failing;
#[path = "disk/life.rs"]
mod life;
#[path = "common/memory_disk.rs"]
#[allow(dead_code, reason = "the simulator uses other parts")]
mod memory_disk;
#[path = "disk/stage.rs"]
mod stage;

use kvstore::disk::files::Directory;
use kvstore::disk::frame::HEADER_BYTES;
use kvstore::disk::identity::Owner;
use kvstore::disk::{Log, StartError, SyncPolicy};
use kvstore::replication::journal::{Journal, Note};
use kvstore::replication::message::{Confirmation, Heard, Incarnation, StoreId};
use kvstore::store::content::Content;
use kvstore::store::version::NodeId;
use memory_disk::MemoryDirectory;
use stage::{Contents, STORE, Stage, owner};

/// A note that changes no data.
fn heard(confirmation: u64) -> Note {
    let (store, confirmation, incarnation) = (StoreId(9), Confirmation(confirmation), Incarnation(4));
    Note::Heard(Heard { store, confirmation, incarnation })
}

/// A log of a few frames of several kinds. Returns, for each frame, where it ends and what the store then held.
fn small_log(directory: &MemoryDirectory) -> Vec<(usize, Contents)> {
    let node = Stage::start(directory);
    let mut frames = vec![(HEADER_BYTES, Contents::new())];
    let steps: [&dyn Fn(); 7] = [
        &|| node.merge("a", 1, Content::Value(b"one")),
        &|| node.merge("b", 2, Content::Value(&[0, 0, 0, 5])),
        &|| node.merge("a", 3, Content::Tombstone),
        &|| node.settle_all(),
        &|| assert_eq!(node.forget_all(), 1),
        &|| node.log.note(&heard(7)),
        &|| node.merge("a", 2, Content::Value(b"older than the delete")),
    ];
    for step in steps {
        step();
        node.log.before_answer().expect("the disk works");
        frames.push((directory.bytes("1.log").expect("it is there").len(), node.contents()));
    }
    frames
}

// ---- torn ends and damage -------------------------------------------------------------------------------------------

#[test]
fn a_log_that_was_cut_at_any_byte_gives_its_whole_frames_and_the_rest_is_kept_aside() {
    let directory = MemoryDirectory::default();
    let frames = small_log(&directory);
    let bytes = directory.bytes("1.log").expect("it is there");
    for length in 0..=bytes.len() {
        let torn = directory.copy();
        torn.put("1.log", &bytes[..length]);
        let (end, contents) = frames.iter().rev().find(|(end, _)| *end <= length).unwrap_or(&frames[0]);
        let whole = if length < HEADER_BYTES { 0 } else { *end };
        let node = Stage::start(&torn);
        assert_eq!(node.contents(), *contents, "cut at {length}");
        match &node.loaded.torn {
            None => assert_eq!(whole, length, "cut at {length}"),
            Some(end) => {
                assert_eq!(
                    (end.kept_in.as_deref(), end.bytes),
                    (Ok("memory/1.log.torn"), length - whole),
                    "cut at {length}"
                );
                assert_eq!(torn.bytes("1.log.torn").as_deref(), Some(&bytes[whole..length]), "it is kept aside");
            }
        }
        node.merge("c", 9, Content::Value(b"after"));
        node.log.before_answer().expect("the disk works");
        let again = Stage::start(&torn.copy());
        assert_eq!((again.contents(), again.loaded.torn), (node.contents(), None), "cut at {length}");
    }
}

#[test]
fn any_changed_bit_of_a_log_is_noticed() {
    let directory = MemoryDirectory::default();
    let frames = small_log(&directory);
    let bytes = directory.bytes("1.log").expect("it is there");
    let last = frames[frames.len() - 2].0;
    for bit in 0..8 * bytes.len() {
        let damaged = directory.copy();
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged.put("1.log", &bytes);
        let frame = frames.iter().rev().find(|(end, _)| *end <= bit / 8).map_or(0, |(end, _)| *end);
        match Stage::try_start(&damaged, SyncPolicy::EverySecond) {
            Ok(node) => {
                assert_eq!(frame, last, "bit {bit}: only the last frame may be torn");
                assert_eq!(node.contents(), frames[frames.len() - 2].1, "bit {bit}");
                let torn = node.loaded.torn.unwrap_or_else(|| panic!("bit {bit} went unnoticed"));
                assert_eq!(torn.bytes, bytes.len() - last, "bit {bit}");
            }
            Err(StartError::Damaged { file, why }) => {
                assert_eq!(file, "memory/1.log", "bit {bit}");
                assert!(why.starts_with(&format!("byte {frame}: ")), "bit {bit} in the frame at {frame}: {why}");
            }
            Err(StartError::Newer { format, .. }) => assert!(format > 1 && (8..10).contains(&(bit / 8)), "bit {bit}"),
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn any_changed_bit_of_a_snapshot_and_any_missing_byte_is_refused() {
    let directory = MemoryDirectory::default();
    small_log(&directory);
    let node = Stage::start(&directory);
    node.log.rewrite(&node.replica, &|| true).expect("the disk works");
    let bytes = directory.bytes("2.snapshot").expect("it was written");
    assert_eq!(Stage::start(&directory.copy()).contents(), node.contents());
    let refused = |bytes: &[u8], what: &str| {
        let damaged = directory.copy();
        damaged.put("2.snapshot", bytes);
        match Stage::try_start(&damaged, SyncPolicy::EverySecond).err() {
            Some(StartError::Damaged { file, why }) => {
                assert!(file == "memory/2.snapshot" && why.contains("byte "), "{what}: {file}: {why}");
            }
            Some(StartError::Newer { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    };
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused(&bytes, &format!("bit {bit}"));
    }
    (0..bytes.len()).for_each(|length| refused(&bytes[..length], &format!("cut at {length}")));
    refused(&[&bytes[..], b"x"].concat(), "one byte more");
}

/// The first log of a store that holds some entries.
fn image_of_a_log(store: StoreId) -> Vec<u8> {
    let directory = MemoryDirectory::default();
    let log = Log::open(std::sync::Arc::new(directory.clone()), &owner(), store, SyncPolicy::EverySecond);
    assert!(log.is_ok());
    small_log(&directory);
    directory.bytes("1.log").expect("it is there")
}

#[test]
fn the_image_of_a_log_that_a_client_has_stored_is_no_frame() {
    for (store, is_torn) in [(StoreId(1), true), (STORE, false)] {
        let image = image_of_a_log(store);
        let directory = MemoryDirectory::default();
        let node = Stage::start(&directory);
        node.merge("a", 1, Content::Value(b"one"));
        node.log.before_answer().expect("the disk works");
        let before = directory.bytes("1.log").expect("it is there").len();
        node.merge("image", 2, Content::Value(&image));
        node.log.before_answer().expect("the disk works");
        let bytes = directory.bytes("1.log").expect("it is there");
        directory.put("1.log", &bytes[..bytes.len() - 1]);
        match Stage::try_start(&directory, SyncPolicy::EverySecond) {
            Ok(node) => {
                assert_eq!(node.value("a").as_deref(), Some("one"));
                assert!(is_torn && node.loaded.torn.is_some_and(|torn| torn.bytes == bytes.len() - 1 - before));
            }
            // No client can know the number of the store. With it, the image looks like whole frames.
            Err(error) => assert!(!is_torn && error.to_string().contains("whole ones stand behind it"), "{error}"),
        }
    }
}

// ---- whose directory it is ------------------------------------------------------------------------------------------

/// Why a node does not start.
#[track_caller]
fn complaint(directory: &MemoryDirectory) -> String {
    let error = Stage::try_start(directory, SyncPolicy::EverySecond).err().expect("should be refused").to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn a_directory_that_cannot_be_used_is_explained_in_one_line() {
    let directory = MemoryDirectory::default();
    small_log(&directory);
    let with = |name: &str, bytes: &[u8]| {
        let changed = directory.copy();
        changed.put(name, bytes);
        changed
    };
    let without = |name: &str| {
        let changed = directory.copy();
        changed.remove(name).expect("it is there");
        changed
    };
    let identity = String::from_utf8(directory.bytes("identity").expect("it is there")).expect("is text");
    let of = |from: &str, to: &str| with("identity", identity.replace(from, to).as_bytes());
    let whose = "--data memory: it belongs to node2 with the number 1, not to node1 with the number 1";
    assert_eq!(complaint(&of("name node1", "name node2")), whose);
    let whose = "--data memory: it belongs to node1 with the number 7, not to node1 with the number 1";
    assert_eq!(complaint(&of("node 1", "node 7")), whose);
    let newer = "--data memory: a newer version of kvstore has written it (format 2); start that version";
    assert_eq!(complaint(&of("format 1", "format 2")), newer);
    for damaged in [
        of("format 1", "format x"),
        of("node 1", "node x"),
        of("store 0", "store x"),
        of("store 0", "store 1"),
        of("check ", "check 0"),
        with("identity", b""),
        with("identity", b"\xff"),
    ] {
        assert!(complaint(&damaged).starts_with("memory/identity: is damaged; "));
    }
    assert!(complaint(&without("identity")).starts_with("memory/identity: is missing, but data is there; "));
    let log = directory.bytes("1.log").expect("it is there");
    let mut newer_log = log.clone();
    newer_log[9] += 1;
    assert_eq!(complaint(&with("1.log", &newer_log)), newer);
    let foreign = complaint(&with("1.log", &image_of_a_log(StoreId(1))));
    assert!(
        foreign.starts_with("memory/1.log: byte 0: this is not the beginning of a file of this store; "),
        "{foreign}"
    );

    // Logs and snapshots that are missing, or of which one is.
    let node = Stage::start(&directory);
    node.log.rewrite(&node.replica, &|| true).expect("the disk works");
    assert!(complaint(&without("2.log")).starts_with("memory/2.log: is missing; "));
    Stage::start(&with("01.log", &log));
    let gap = directory.copy();
    gap.put("4.log", &log);
    assert!(complaint(&gap).starts_with("memory/3.log: is missing; "));
    let only_later = without("2.snapshot");
    assert!(complaint(&only_later).starts_with("memory/2.snapshot: is missing, and so are the logs before it; "));
    only_later.remove("2.log").expect("it is there");
    assert!(complaint(&only_later).starts_with("memory/1.log: is missing; "), "an identity, but no log");
}

#[test]
fn another_node_does_not_change_a_directory() {
    let directory = MemoryDirectory::default();
    small_log(&directory);
    let steps = directory.steps();
    let other = Owner { name: "node2".into(), node: NodeId(2) };
    let opened = Log::open(std::sync::Arc::new(directory.clone()), &other, StoreId(1), SyncPolicy::EverySecond);
    assert!(matches!(opened.err(), Some(StartError::Foreign { .. })));
    assert_eq!(directory.steps(), steps);
}
