//! A disk that fails at any step, once or because it is full, and a node that is killed, or loses its power, after any
//! step.

use std::cell::Cell;
use std::collections::BTreeMap;

use kvstore::disk::SyncPolicy;
use kvstore::limits::SNAPSHOT_WRITE_BYTES;
use kvstore::replication::holdup::Holdup;
use kvstore::replication::journal::Journal;
use kvstore::replication::message::Confirmation;
use kvstore::replication::tombstones::{PeerRound, Rounds, Tick};
use kvstore::store::content::Content;

use super::heard;
use super::memory_disk::{Fault, MemoryDirectory};
use super::stage::{Contents, Stage, record};

/// What clients and peers know of a node that lives through a scenario.
#[derive(Clone, Default)]
struct Witness {
    /// By key, all that stood there, in order; `None` once it was forgotten.
    history: BTreeMap<String, Vec<Option<Box<[u8]>>>>,
    /// How many of these the node must not lose any more.
    safe: BTreeMap<String, usize>,
    /// The last confirmation that the node has given.
    confirmed: Confirmation,
    /// Whether something was accepted or forgotten since.
    has_news: bool,
}

impl Witness {
    fn note(&mut self, key: &str, entry: Option<Box<[u8]>>) {
        self.history.entry(key.into()).or_default().push(entry);
        self.has_news = true;
    }

    fn all_is_safe(&mut self) {
        self.safe = self.history.iter().map(|(key, entries)| (key.clone(), entries.len())).collect();
    }

    /// Checks what a node has found on its disk. `self` is what was known when it was killed, `later` at the end.
    fn check(&self, later: &Self, found: &Contents, when: &str) {
        for (key, entries) in &later.history {
            let safe = self.safe.get(key).copied().unwrap_or(0);
            let found = found.get(key.as_bytes());
            let is_good = match safe {
                0 => found.is_none() || entries.iter().flatten().any(|entry| Some(entry) == found),
                safe => entries[safe - 1..].iter().any(|entry| entry.as_ref() == found),
            };
            assert!(is_good, "{when}: {key} is {found:?}, of {entries:?} the first {safe} were safe");
        }
    }
}

/// A node in a scenario.
struct Life {
    node: Stage,
    directory: MemoryDirectory,
    policy: SyncPolicy,
    /// Whether an answer counts although only the process may die after it.
    answers_count: bool,
    time: u64,
    known: Witness,
    /// What was known after so many steps.
    moments: Vec<(u64, Witness)>,
}

impl Life {
    fn remember(&mut self) {
        self.moments.push((self.directory.steps(), self.known.clone()));
    }

    fn merge(&mut self, key: &str, content: Content<'_>) {
        self.time += 1;
        let entry = record(key, self.time, content);
        self.known.note(key, Some(entry.encode().into()));
        self.node.replica.store().merge(entry);
    }

    /// What a session does before it answers.
    fn answer(&mut self) {
        let had_failed = self.node.log.failure().is_some();
        let steps = self.directory.steps();
        let answered = self.node.log.before_answer();
        if had_failed {
            assert!(answered.is_err(), "nothing is answered while the disk has failed");
            assert_eq!(self.directory.steps(), steps, "a failed file is left alone");
        } else if answered.is_ok() && (self.answers_count || self.policy == SyncPolicy::Always) {
            self.known.all_is_safe();
        }
        self.remember();
    }

    /// A client writes. It is refused if the disk has failed.
    fn client(&mut self, key: &str, content: Content<'_>) {
        if self.node.log.failure().is_none() {
            self.merge(key, content);
            self.answer();
        }
    }

    /// A peer sends an entry, which is accepted in any case.
    fn peer(&mut self, key: &str, content: Content<'_>) {
        self.merge(key, content);
        self.answer();
    }

    /// A peer confirms something.
    fn hear(&mut self, confirmation: u64) {
        self.node.log.note(&heard(confirmation));
        self.answer();
    }

    fn forget(&mut self) {
        let held = self.node.contents();
        self.node.forget_all();
        let left = self.node.contents();
        let forgotten = held.keys().filter(|key| !left.contains_key(*key));
        forgotten.for_each(|key| self.known.note(&String::from_utf8_lossy(key), None));
        self.answer();
    }

    fn confirm(&mut self) {
        let (had_failed, steps) = (self.node.log.failure().is_some(), self.directory.steps());
        match self.node.log.confirm() {
            Err(_) => assert!(!had_failed || self.directory.steps() == steps, "a failed file is left alone"),
            Ok(confirmation) => {
                assert!(!had_failed, "nothing is confirmed while the disk has failed");
                let is_new = confirmation > self.known.confirmed;
                assert_eq!(is_new, self.known.has_news || self.known.confirmed == Confirmation::NONE);
                assert_eq!(self.node.log.confirmation(), confirmation, "it is durable");
                (self.known.confirmed, self.known.has_news) = (confirmation, false);
                self.known.all_is_safe();
            }
        }
        self.remember();
    }

    fn rewrite(&mut self) {
        let _ = self.node.log.rewrite(&self.node.replica, &|| true);
        self.remember();
    }

    fn scenario(&mut self) {
        self.client("a", Content::Value(b"1"));
        self.client("b", Content::Value(b"1"));
        self.client("a", Content::Tombstone);
        self.confirm();
        self.confirm();
        self.forget();
        self.peer("c", Content::Value(b"1"));
        self.hear(3);
        self.peer("b", Content::Tombstone);
        self.rewrite();
        self.client("d", Content::Value(b"1"));
        self.hear(4);
        self.peer("a", Content::Value(b"2"));
        self.confirm();
        self.forget();
        self.rewrite();
        self.client("b", Content::Value(b"3"));
        self.hear(5);
        self.confirm();
        self.hear(6);
        self.peer("f", Content::Value(b"1"));
    }

    /// The disk works again, or has room: the node heals it by itself, and all is as before.
    fn heal(&mut self) {
        self.directory.mend();
        self.rewrite();
        assert_eq!(self.node.log.failure(), None, "it is healed");
        self.confirm();
        assert_eq!(self.moments.last().map(|(_, known)| known.has_news), Some(false), "it is confirmed");
        self.client("e", Content::Value(b"1"));
        assert!(!self.answers_count || self.known.safe.contains_key("e"), "writes are answered again");
        self.forget();
        self.confirm();
    }
}

/// Lives through the scenario with a fault after so many steps; checks what a start finds after each step. Returns
/// whether the fault was met.
fn lives_through(after: u64, fault: Fault, policy: SyncPolicy, power_cuts: Option<u64>) -> bool {
    let directory = MemoryDirectory::default();
    match power_cuts {
        None => directory.record(),
        Some(seed) => directory.record_power_cuts(seed),
    }
    directory.fail_after(after, fault);
    let node = match Stage::try_start(&directory, policy) {
        Ok(node) => node,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "one line: {error}");
            directory.mend();
            Stage::try_start(&directory, policy).unwrap_or_else(|error| panic!("after step {after}: {error}"))
        }
    };
    let (known, moments, answers_count) = (Witness::default(), Vec::new(), power_cuts.is_none());
    let mut life = Life { node, directory, policy, answers_count, time: 0, known, moments };
    life.remember();
    life.scenario();
    let is_met = life.directory.steps() > after;
    life.heal();
    for (step, copy) in life.directory.recorded().into_iter().enumerate() {
        let steps = step as u64 + 1;
        let when = format!("{fault:?} after {after} steps, {policy:?}, power cuts {power_cuts:?}, ended after {steps}");
        let known = life.moments.iter().rev().find(|(at, _)| *at <= steps).map(|(_, known)| known.clone());
        let known = known.unwrap_or_default();
        let again = Stage::try_start(&copy, policy).unwrap_or_else(|error| panic!("{when}: {error}"));
        known.check(&life.known, &again.contents(), &when);
        let shown = again.log.confirmation();
        assert!(shown >= known.confirmed, "{when}: {shown} where {} was confirmed", known.confirmed);
        let next = again.log.confirm().expect("the copy works");
        assert!(next > known.confirmed, "{when}: the first confirmation of a life is a new one");
    }
    is_met
}

fn after_every_step(fault: Fault) {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::Always] {
        for has_power_cuts in [false, true] {
            let lives = |after: &u64| lives_through(*after, fault, policy, has_power_cuts.then_some(*after));
            let last = (0..).find(|after| !lives(after));
            assert!(last > Some(30), "the scenario has more steps than {last:?}");
        }
    }
}

#[test]
fn a_disk_that_fails_once_at_any_step_loses_nothing_that_was_answered_or_confirmed() {
    after_every_step(Fault::Once);
}

#[test]
fn a_disk_that_is_full_from_any_step_on_loses_nothing_that_was_answered_or_confirmed() {
    after_every_step(Fault::Full);
}

#[test]
fn nothing_is_answered_or_confirmed_while_a_disk_heals() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    (0..3).for_each(|n| node.merge(&format!("k{n}"), 1, Content::Value(&vec![b'v'; SNAPSHOT_WRITE_BYTES])));
    node.log.before_answer().expect("the disk works");
    // A client's write stands in the buffer when a write of another session fails.
    node.merge("late", 2, Content::Value(b"v"));
    directory.fail_after(0, Fault::Once);
    node.log.before_answer().expect_err("the disk fails");
    let asked = Cell::new(0);
    let result = node.log.rewrite(&node.replica, &|| {
        asked.set(asked.get() + 1);
        node.merge("from a peer", asked.get(), Content::Value(b"v"));
        assert!(node.log.before_answer().is_err(), "the snapshot is not complete, so the write is not on the disk");
        assert!(node.log.confirm().is_err());
        asked.get() < 2
    });
    assert!(result.is_err() && asked.get() == 2, "the node was stopped");
    // The log that failed has a torn end, and the next one has what peers have sent meanwhile.
    let killed = Stage::start(&directory.copy());
    assert_eq!((killed.value("late"), killed.value("from a peer").as_deref()), (None, Some("v")));
    node.log.rewrite(&node.replica, &|| true).expect("the disk works again");
    node.log.before_answer().expect("the snapshot has it");
    assert_eq!(Stage::start(&directory.copy()).value("late").as_deref(), Some("v"));
}

#[test]
fn a_log_that_heals_forgets_no_delete_without_the_confirmation_that_let_it() {
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    node.merge("large", 1, Content::Value(&vec![b'v'; SNAPSHOT_WRITE_BYTES]));
    node.merge("deleted", 1, Content::Tombstone);
    node.log.before_answer().expect("the disk works");
    directory.fail_after(0, Fault::Once);
    node.merge("other", 1, Content::Tombstone);
    node.log.before_answer().expect_err("the disk fails");
    // A peer confirms while nothing is written. What rests on that is forgotten while a new log and snapshot are.
    node.replica.restore_note(&heard(5));
    node.log.note(&heard(5));
    let forget = || {
        node.forget_all();
        node.log.before_answer().expect_err("the snapshot is not complete");
        false
    };
    node.log.rewrite(&node.replica, &forget).expect_err("the node was stopped");
    let killed = Stage::start(&directory.copy());
    assert!(killed.loaded.torn.is_none(), "the log after the torn one is not empty");
    let is_forgotten = killed.replica.store().record(b"deleted").is_none();
    assert!(!is_forgotten || killed.replica.notes().contains(&heard(5)));
}

/// Otherwise the node would not know, when it starts again, that all others may have forgotten the delete: what they
/// write afterwards would look as if they had never seen it.
#[test]
fn a_node_without_its_disk_settles_no_delete() {
    /// The ticks of a node that has no peers.
    struct Alone;
    impl Rounds for Alone {
        fn run(&mut self) -> Option<Vec<PeerRound>> {
            Some(Vec::new())
        }
    }
    let directory = MemoryDirectory::default();
    let node = Stage::start(&directory);
    node.merge("deleted", 1, Content::Tombstone);
    let tick = || Tick::run(&node.replica, &mut Alone).expect("the node goes on").holdups;
    let settled = || node.replica.store().counts().settled;
    directory.fail_after(0, Fault::Once);
    node.log.before_answer().expect_err("the disk fails");
    assert_eq!((tick(), settled()), (vec![Holdup::OwnDisk], 0));
    node.log.rewrite(&node.replica, &|| true).expect("the disk works again");
    assert_eq!((tick(), settled()), (vec![], 1));
}
