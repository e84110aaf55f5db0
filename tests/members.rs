//! The table of members: which nodes a replica admits, and what becomes of their connections.

use std::sync::{Arc, Mutex, PoisonError};

use kvstore::limits::{MAX_DISMISSED, MAX_GUESTS, MAX_HEARD, MAX_MEMBERS};
use kvstore::replication::journal::{DiskFailed, Journal, Note};
use kvstore::replication::message::{Confirmation, Greeting, Heard, Incarnation, Reply, Request, StoreId};
use kvstore::replication::reconcile::greet;
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::replication::{Peer, PeerError};
use kvstore::rules::{Rule, Rules};
use kvstore::store::accepted::Accepted;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

fn replica() -> Replica {
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(1));
    Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_800_000_000_000)))
}

fn greeting(name: &str, node: u16, incarnation: u64) -> Greeting {
    Greeting::in_memory(name, NodeId(node), Incarnation(incarnation), Timestamp::from_millis(5))
}

/// A node connects and says PEER. Returns its session, or why it is refused.
fn connects(replica: &Replica, name: &str, node: u16, incarnation: u64) -> Result<PeerSession, String> {
    greets(replica, greeting(name, node, incarnation)).map_err(|reply| match reply {
        Reply::Refused(why) => why,
        other => panic!("not a reply to PEER: {other:?}"),
    })
}

/// A node connects with this greeting. Returns its session, or the refusal.
fn greets(replica: &Replica, greeting: Greeting) -> Result<PeerSession, Reply> {
    let mut session = PeerSession::default();
    match replica.handle(&mut session, Request::Peer(greeting)) {
        Reply::Peer { .. } => Ok(session),
        refusal => Err(refusal),
    }
}

/// This replica dials a configured peer, which answers with this greeting.
fn dials(replica: &Replica, name: &str, node: u16, incarnation: u64) -> Result<(), PeerError> {
    dials_one_that_says(replica, greeting(name, node, incarnation))
}

fn dials_one_that_says(replica: &Replica, greeting: Greeting) -> Result<(), PeerError> {
    struct Answers(Greeting);
    impl Peer for Answers {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let answer = |_| Reply::Peer { greeting: self.0.clone(), arrivals: Arrival::NONE };
            Ok(prepare().into_iter().map(answer).collect())
        }
    }
    greet(replica, &mut Answers(greeting), |_| Ok(())).map(drop)
}

/// Whether requests on a connection are still served: it confirms what it has confirmed before.
fn is_served(replica: &Replica, session: &mut PeerSession) -> bool {
    replica.handle(session, Request::Confirm(Arrival::NONE, Confirmation::NONE)) == Reply::Ok
}

fn names(replica: &Replica) -> Vec<String> {
    replica.members().iter().map(|member| member.name.clone()).collect()
}

#[track_caller]
fn refused<T>(result: Result<T, impl ToString>, why: &str) {
    let said = result.err().expect("should be refused").to_string();
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_name_and_a_number_belong_to_one_member() {
    let replica = replica();
    connects(&replica, "node2", 2, 7).expect("is admitted");
    connects(&replica, "node2", 2, 7).expect("is admitted again");
    refused(connects(&replica, "node3", 2, 7), "both must be unique");
    refused(connects(&replica, "node2", 3, 7), "both must be unique");
    connects(&replica, "node3", 3, 7).expect("is another node");
    assert_eq!(names(&replica), ["node2", "node3"]);
}

#[test]
fn a_node_does_not_admit_its_own_name_or_number() {
    let replica = replica();
    refused(connects(&replica, "node1", 9, 7), "of node1 itself");
    refused(connects(&replica, "node9", 1, 7), "of node1 itself");
    refused(dials(&replica, "node1", 9, 7), "of node1 itself");
    assert_eq!(names(&replica), [""; 0]);
}

#[test]
fn guests_have_a_few_places_and_a_configured_peer_always_has_one() {
    let replica = replica();
    for guest in 0..MAX_GUESTS as u16 {
        connects(&replica, &format!("guest{guest}"), 100 + guest, 7).expect("there is a place");
    }
    refused(connects(&replica, "late", 99, 7), "not among the peers of this one");
    dials(&replica, "node2", 2, 7).expect("a configured peer has its own place");
    refused(connects(&replica, "late", 99, 7), "not among the peers of this one");
    connects(&replica, "guest0", 100, 8).expect("a guest keeps its place over a restart");
    // A guest that turns out to be a configured peer frees its place.
    dials(&replica, "guest0", 100, 8).expect("is a peer");
    connects(&replica, "late", 99, 7).expect("there is a place again");
}

#[test]
fn a_configured_peer_takes_its_name_and_number_from_strangers_but_not_from_peers() {
    let replica = replica();
    let mut by_name = connects(&replica, "node2", 99, 5).expect("a stranger with the peer's name");
    let mut by_number = connects(&replica, "stranger", 2, 6).expect("a stranger with the peer's number");
    assert!(is_served(&replica, &mut by_name) && is_served(&replica, &mut by_number));
    dials(&replica, "node2", 2, 7).expect("the peer takes both");
    assert_eq!(names(&replica), ["node2"]);
    assert!(!is_served(&replica, &mut by_name) && !is_served(&replica, &mut by_number), "both are revoked");
    refused(connects(&replica, "elsewhere", 98, 5), "was dismissed by FORGET");
    refused(dials(&replica, "node3", 2, 7), "both must be unique");
    refused(dials(&replica, "node2", 3, 7), "both must be unique");
}

#[test]
fn the_table_of_members_is_bounded() {
    let replica = replica();
    let dial = |number: u16| dials(&replica, &format!("peer{number}"), number, u64::from(number));
    (2..2 + MAX_MEMBERS as u16).for_each(|number| dial(number).expect("there is a place"));
    refused(dial(1_000), "type FORGET for those that are gone");
    assert!(replica.dismiss("peer2"));
    dial(1_000).expect("there is a place again");
    assert_eq!(names(&replica).len(), MAX_MEMBERS);
}

#[test]
fn a_dismissed_member_is_refused_until_it_starts_again_without_its_data() {
    let replica = replica();
    let mut session = connects(&replica, "node2", 2, 7).expect("is admitted");
    assert!(!replica.dismiss("node3"), "nobody has this name");
    assert!(replica.dismiss("node2"));
    assert!(!replica.dismiss("node2"), "it has left the table");
    assert!(!is_served(&replica, &mut session), "its connection is revoked");
    refused(connects(&replica, "node2", 2, 7), "was dismissed by FORGET");
    let mut session = connects(&replica, "node2", 2, 8).expect("it has started again");
    assert!(is_served(&replica, &mut session));
}

#[test]
fn the_last_dismissed_incarnations_are_remembered() {
    let replica = replica();
    let dismissed = MAX_DISMISSED as u64 + 1;
    for incarnation in 1..=dismissed {
        connects(&replica, "node2", 2, incarnation).expect("is admitted");
        assert!(replica.dismiss("node2"));
    }
    refused(connects(&replica, "node2", 2, 2), "was dismissed by FORGET");
    refused(connects(&replica, "node2", 2, dismissed), "was dismissed by FORGET");
    connects(&replica, "node2", 2, 1).expect("the oldest is forgotten");
}

#[test]
fn a_newer_connection_and_a_new_incarnation_revoke_what_is_older() {
    let replica = replica();
    replica.set(b"k", b"v");
    let mut first = connects(&replica, "node2", 2, 7).expect("is admitted");
    assert_eq!(replica.handle(&mut first, Request::Confirm(Arrival(1), Confirmation::NONE)), Reply::Ok);
    let progress = || replica.member("node2").expect("is a member").progress();
    assert_eq!((progress().incarnation, progress().confirmed), (Some(Incarnation(7)), Arrival(1)));
    let mut second = connects(&replica, "node2", 2, 7).expect("is admitted");
    assert!(!is_served(&replica, &mut first) && is_served(&replica, &mut second));
    let again = replica.handle(&mut first, Request::Peer(greeting("node2", 2, 7)));
    let is_revoked = |reply: &Reply| matches!(reply, Reply::Refused(why) if why.contains("revoked by a newer one"));
    assert!(is_revoked(&again), "{again:?}");
    let old = Entry { version: Version::new(Timestamp::from_millis(5), NodeId(2)), content: Content::Value(b"old") };
    let late = replica.handle(&mut first, Request::Propagate(Record::new(b"late", old)));
    assert!(is_revoked(&late) && replica.store().record(b"late").is_none(), "{late:?}");
    let in_time = replica.handle(&mut second, Request::Propagate(Record::new(b"late", old)));
    assert_eq!(in_time, Reply::Merged(true));
    assert!(is_served(&replica, &mut second));
    assert_eq!(progress().confirmed, Arrival(1), "its memory is the same");
    // The replica learns of the restart on its own connection to the peer.
    dials(&replica, "node2", 2, 8).expect("is the same peer");
    assert_eq!((progress().incarnation, progress().confirmed), (Some(Incarnation(8)), Arrival::NONE));
    assert!(!is_served(&replica, &mut second));
}

#[test]
fn a_connection_begins_with_peer_and_belongs_to_one_node() {
    let replica = replica();
    let mut session = PeerSession::default();
    assert!(matches!(replica.handle(&mut session, Request::Root), Reply::Refused(_)));
    assert_eq!(session.peer(), None);
    let mut session = connects(&replica, "node2", 2, 7).expect("is admitted");
    assert_eq!(session.peer(), Some("node2"));
    let again = replica.handle(&mut session, Request::Peer(greeting("node2", 2, 7)));
    assert!(matches!(again, Reply::Peer { .. }), "at the start of each round");
    let other = replica.handle(&mut session, Request::Peer(greeting("node3", 3, 7)));
    assert!(matches!(other, Reply::Refused(_)), "{other:?}");
    // Also if the other's newest connection has the same number.
    connects(&replica, "node4", 4, 7).expect("is admitted");
    let other = replica.handle(&mut session, Request::Peer(greeting("node4", 4, 7)));
    assert_eq!(other, Reply::Refused("this connection belongs to node2".into()));
}

#[test]
fn a_peer_confirms_no_more_than_has_arrived_and_its_number_only_grows() {
    let replica = replica();
    replica.set(b"k", b"v");
    replica.set(b"l", b"v");
    let confirmed = || replica.member("node2").expect("is a member").progress().confirmed;
    for (number, is_good, expected) in [(1, true, 1), (2, true, 2), (1, true, 2), (3, false, 2)] {
        let mut session = connects(&replica, "node2", 2, 7).expect("is admitted");
        let reply = replica.handle(&mut session, Request::Confirm(Arrival(number), Confirmation::NONE));
        assert_eq!(reply == Reply::Ok, is_good, "{number}: {reply:?}");
        assert_eq!(confirmed(), Arrival(expected));
    }
}

#[test]
fn what_a_peer_has_on_its_disk_is_told_apart_and_only_grows_too() {
    let replica = replica();
    [b"k", b"l", b"m"].into_iter().for_each(|key| replica.set(key, b"v"));
    let mut session = connects(&replica, "node2", 2, 7).expect("is admitted");
    let steps = [(1, 0, None), (2, 5, Some(2)), (3, 0, Some(2)), (1, 6, Some(2)), (3, 7, Some(3))];
    for (number, confirmation, durable) in steps {
        let confirm = Request::Confirm(Arrival(number), Confirmation(confirmation));
        assert_eq!(replica.handle(&mut session, confirm), Reply::Ok);
        let progress = replica.member("node2").expect("is a member").progress();
        assert_eq!(progress.durable, durable.map(Arrival), "after {number} with {confirmation}");
    }
}

#[test]
fn a_node_that_the_caller_refuses_is_not_remembered() {
    struct Answers;
    impl Peer for Answers {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let answer = |_| Reply::Peer { greeting: greeting("node3", 3, 7), arrivals: Arrival::NONE };
            Ok(prepare().into_iter().map(answer).collect())
        }
    }
    let replica = replica();
    let another = |_: &Greeting| Err(PeerError::Refused("node3 listens there".into()));
    refused(greet(&replica, &mut Answers, another).map(drop), "node3 listens there");
    assert_eq!(names(&replica), [""; 0]);
}

// ---- old copies of a disk -------------------------------------------------------------------------------------------

/// A disk that only remembers notes. Its last confirmation is what the test says.
struct Notes {
    notes: Mutex<Vec<Note>>,
    confirmation: Confirmation,
}

impl Notes {
    fn with(confirmation: u64) -> Arc<Self> {
        Arc::new(Self { notes: Mutex::default(), confirmation: Confirmation(confirmation) })
    }

    fn written(&self) -> Vec<Note> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Accepted for Notes {
    fn accepted(&self, _: &Record, _: Arrival) {}
    fn learned(&self, _: &Record) {}

    fn forgotten(&self, _: &[u8], _: Version) {}
}

impl Journal for Notes {
    fn note(&self, note: &Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note.clone());
    }

    fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    fn confirm(&self) -> Result<Confirmation, DiskFailed> {
        Ok(self.confirmation)
    }

    fn has_failed(&self) -> bool {
        false
    }

    fn relieve(&self) {}
}

/// The store of the replica under test, of its peer, and of another node.
const OURS: StoreId = StoreId(100);
const THEIRS: StoreId = StoreId(200);
const OTHERS: StoreId = StoreId(300);

/// A replica with a disk, whose last confirmation is this. It has just read the disk.
fn with_disk(confirmation: u64) -> (Replica, Arc<Notes>) {
    with_rules(confirmation, Rules::default())
}

fn with_rules(confirmation: u64, rules: Rules) -> (Replica, Arc<Notes>) {
    let notes = Notes::with(confirmation);
    let identity = Identity { store: OURS, ..Identity::in_memory("node1", NodeId(1), Incarnation(1)) };
    let wall = Box::new(|| Timestamp::from_millis(1_800_000_000_000));
    let replica = Replica::with_journal(identity, rules, wall, Placement::default(), Some(notes.clone()));
    replica.finish_restoring();
    (replica, notes)
}

fn heard(store: StoreId, confirmation: u64) -> Heard {
    heard_from(store, confirmation, 1)
}

fn heard_from(store: StoreId, confirmation: u64, incarnation: u64) -> Heard {
    Heard { store, confirmation: Confirmation(confirmation), incarnation: Incarnation(incarnation) }
}

/// The greeting of node 2 with a disk.
fn greeting_with(incarnation: u64, confirmation: u64, heard: Vec<Heard>) -> Greeting {
    let greeting = greeting("node2", 2, incarnation);
    Greeting { store: THEIRS, confirmation: Confirmation(confirmation), heard, ..greeting }
}

fn confirms(replica: &Replica, session: &mut PeerSession, confirmation: u64) {
    let reply = replica.handle(session, Request::Confirm(Arrival::NONE, Confirmation(confirmation)));
    assert_eq!(reply, Reply::Ok);
}

#[track_caller]
fn is_old_copy(result: Result<PeerSession, Reply>) {
    match result {
        Err(Reply::OldCopy(why)) => assert!(why.starts_with("the disk of node2 is an old copy: it knows of "), "{why}"),
        other => panic!("should be refused as an old copy: {:?}", other.err()),
    }
}

#[test]
fn an_old_copy_is_found_at_the_first_contact_with_an_incarnation_only() {
    let (replica, _) = with_disk(2);
    let mut session = greets(&replica, greeting_with(7, 5, Vec::new())).expect("it was never heard of");
    confirms(&replica, &mut session, 9);
    // A PEER that was on its way while the CONFIRM on the other connection arrived.
    greets(&replica, greeting_with(7, 8, Vec::new())).expect("the incarnation is known");
    dials_one_that_says(&replica, greeting_with(7, 8, Vec::new())).expect("the incarnation is known");
    greets(&replica, greeting_with(8, 9, Vec::new())).expect("its disk has all that it has confirmed");
    is_old_copy(greets(&replica, greeting_with(9, 8, Vec::new())));
    greets(&replica, greeting_with(10, 9, Vec::new())).expect("the true disk is admitted");
    // A node that starts empty has another store.
    let empty = Greeting { store: OTHERS, confirmation: Confirmation::NONE, ..greeting_with(11, 0, Vec::new()) };
    greets(&replica, empty).expect("an empty node is no copy");
    refused(dials_one_that_says(&replica, greeting_with(12, 8, Vec::new())), "the disk of node2 is an old copy");
}

#[test]
fn the_verdict_about_an_old_copy_holds_for_its_incarnation() {
    let (replica, _) = with_disk(2);
    let mut session = greets(&replica, greeting_with(7, 5, Vec::new())).expect("it was never heard of");
    confirms(&replica, &mut session, 9);
    is_old_copy(greets(&replica, greeting_with(8, 8, Vec::new())));
    // It has confirmed more to others meanwhile. That makes it no better.
    is_old_copy(greets(&replica, greeting_with(8, 20, Vec::new())));
    is_old_copy(greets(&replica, greeting_with(8, 20, vec![heard(OURS, 50)])));
    greets(&replica, greeting_with(9, 9, Vec::new())).expect("another incarnation is judged anew");
}

#[test]
fn without_its_rule_an_old_copy_is_admitted() {
    let (replica, _) = with_rules(1, Rules::default().without(Rule::StaleDisk));
    let mut session = greets(&replica, greeting_with(7, 5, Vec::new())).expect("it was never heard of");
    confirms(&replica, &mut session, 9);
    greets(&replica, greeting_with(8, 8, Vec::new())).expect("nothing is compared");
}

#[test]
fn two_nodes_that_find_each_other_old_are_merged() {
    let (replica, notes) = with_disk(4);
    let mut session = greets(&replica, greeting_with(7, 5, Vec::new())).expect("it was never heard of");
    confirms(&replica, &mut session, 9);
    is_old_copy(greets(&replica, greeting_with(8, 8, vec![heard(OURS, 4)])));
    greets(&replica, greeting_with(9, 8, vec![heard(OURS, 5)])).expect("it has heard more of us than our disk knows");
    assert_eq!(
        notes.written().last(),
        Some(&Note::Heard(heard_from(THEIRS, 8, 9))),
        "this is what it has confirmed now"
    );
    greets(&replica, greeting_with(10, 8, Vec::new())).expect("from now on its disk is good");
    is_old_copy(greets(&replica, greeting_with(11, 7, Vec::new())));
}

#[test]
fn a_new_node_takes_over_what_its_peers_have_heard_before_it_admits_a_store_with_a_past() {
    let (replica, notes) = with_disk(0);
    let why = "node1 is new, and still asks its peers whether they know the disk of node2";
    assert_eq!(greets(&replica, greeting_with(7, 5, Vec::new())).err(), Some(Reply::Refused(why.into())));
    let not_yet = dials_one_that_says(&replica, greeting_with(7, 5, Vec::new()));
    assert!(matches!(not_yet, Err(PeerError::NotYet(_))), "{not_yet:?}");
    // A third node is new, too, but has heard of both.
    let third = Greeting { heard: vec![heard(OURS, 3), heard(THEIRS, 6)], ..greeting("node3", 3, 7) };
    greets(&replica, third).expect("a node without a past is admitted");
    let told: Vec<Note> = notes.written().into_iter().filter(|note| matches!(note, Note::Heard(_))).collect();
    assert_eq!(told, [Note::Heard(heard(THEIRS, 6))], "nothing about our own store");
    is_old_copy(greets(&replica, greeting_with(7, 5, Vec::new())));
    greets(&replica, greeting_with(8, 6, Vec::new())).expect("the third node knows this one");
    // After its first tick nothing more is taken over, and unknown stores are admitted.
    replica.finish_acquainting();
    let third = Greeting { heard: vec![heard(THEIRS, 60)], ..greeting("node3", 3, 8) };
    greets(&replica, third).expect("a node without a past is admitted");
    greets(&replica, greeting_with(9, 6, Vec::new())).expect("what the third node says now does not count");
    let other = Greeting { name: "node4".into(), node: NodeId(4), store: OTHERS, ..greeting_with(10, 5, Vec::new()) };
    greets(&replica, other).expect("its disk is not known anywhere");
}

#[test]
fn a_smaller_confirmation_of_the_incarnation_that_was_heard_is_an_old_message() {
    let (replica, _) = with_disk(0);
    let third = Greeting { heard: vec![heard_from(THEIRS, 6, 7)], ..greeting("node3", 3, 7) };
    greets(&replica, third).expect("a node without a past is admitted");
    greets(&replica, greeting_with(7, 5, Vec::new())).expect("it has sent this before it confirmed 6");
    is_old_copy(greets(&replica, greeting_with(8, 5, Vec::new())));
}

#[test]
fn a_node_with_a_past_judges_at_once() {
    let (replica, notes) = with_disk(2);
    greets(&replica, greeting_with(7, 5, vec![heard(OTHERS, 9)])).expect("it was never heard of");
    assert!(!notes.written().contains(&Note::Heard(heard(OTHERS, 9))), "nothing is taken over");
}

#[test]
fn the_first_greeting_on_a_connection_tells_what_was_heard() {
    let (replica, _) = with_disk(2);
    let mut session = greets(&replica, greeting_with(7, 5, Vec::new())).expect("it was never heard of");
    confirms(&replica, &mut session, 9);
    assert_eq!(replica.greeting(true).heard, [heard_from(THEIRS, 9, 7)]);
    assert_eq!(replica.greeting(false).heard, []);
    let mut other = PeerSession::default();
    for expected in [vec![heard_from(THEIRS, 9, 7)], Vec::new()] {
        match replica.handle(&mut other, Request::Peer(greeting("node3", 3, 7))) {
            Reply::Peer { greeting, .. } => assert_eq!(greeting.heard, expected),
            refusal => panic!("should be admitted: {refusal:?}"),
        }
    }
}

#[test]
fn the_stores_heard_of_last_are_remembered() {
    let (replica, _) = with_disk(2);
    for store in 1..=MAX_HEARD as u64 + 1 {
        let peer = Greeting { store: StoreId(store), ..greeting_with(store, 5, Vec::new()) };
        let mut session = greets(&replica, peer).expect("it was never heard of");
        confirms(&replica, &mut session, 5);
        if store == 2 {
            // The first one confirms again.
            let peer = Greeting { store: StoreId(1), ..greeting_with(10_001, 5, Vec::new()) };
            confirms(&replica, &mut greets(&replica, peer).expect("it is known"), 6);
        }
    }
    let known = replica.greeting(true).heard;
    assert_eq!(known.len(), MAX_HEARD);
    assert!(known.contains(&heard_from(StoreId(1), 6, 10_001)) && !known.iter().any(|heard| heard.store == StoreId(2)));
}

// ---- what the disk remembers ----------------------------------------------------------------------------------------

/// A replica that takes up these notes.
fn restored(notes: &[Note]) -> Replica {
    let (replica, written) = with_disk(2);
    notes.iter().for_each(|note| replica.restore_note(note));
    assert_eq!(written.written(), [], "nothing is written again");
    replica
}

/// A replica to which all has happened that is noted.
fn with_a_past() -> (Replica, Arc<Notes>) {
    let (replica, notes) = with_disk(2);
    dials(&replica, "node2", 2, 7).expect("is a peer");
    connects(&replica, "node3", 3, 8).expect("is a guest");
    connects(&replica, "node4", 4, 9).expect("is a guest");
    assert!(replica.dismiss("node4"));
    connects(&replica, "stranger", 5, 10).expect("is a guest");
    dials(&replica, "node5", 5, 11).expect("takes the stranger's place");
    replica.dismiss_address("127.0.0.1:5010");
    let mut session = greets(&replica, greeting_with(12, 5, Vec::new())).expect("is the peer, with its disk");
    confirms(&replica, &mut session, 6);
    confirms(&replica, &mut session, 8);
    (replica, notes)
}

#[test]
fn what_was_noted_gives_the_same_members_again() {
    let (replica, notes) = with_a_past();
    // As from a log, which has each note in the order of events; and as from a snapshot.
    for notes in [notes.written(), replica.notes()] {
        let again = restored(&notes);
        assert_eq!(names(&again), ["node2", "node3", "node5"]);
        assert_eq!(again.notes(), replica.notes());
        refused(connects(&again, "node4", 4, 9), "was dismissed by FORGET");
        refused(connects(&again, "stranger", 6, 10), "was dismissed by FORGET");
        refused(connects(&again, "node9", 3, 12), "both must be unique");
        assert!(again.is_address_dismissed("127.0.0.1:5010") && !again.is_address_dismissed("127.0.0.1:5011"));
        assert_eq!(again.greeting(true).heard, [heard_from(THEIRS, 8, 12)]);
        is_old_copy(greets(&again, greeting_with(13, 7, Vec::new())));
    }
}

#[test]
fn a_member_that_the_disk_remembers_is_waited_for() {
    let (replica, _) = with_a_past();
    let again = restored(&replica.notes());
    for member in again.members() {
        assert_eq!((member.progress().incarnation, member.progress().confirmed), (None, Arrival::NONE));
    }
}

#[test]
fn more_dismissals_than_are_remembered_give_the_same_again() {
    let (replica, notes) = with_disk(2);
    for incarnation in 1..=MAX_DISMISSED as u64 + 1 {
        connects(&replica, "node2", 2, incarnation).expect("is admitted");
        assert!(replica.dismiss("node2"));
    }
    let again = restored(&notes.written());
    assert_eq!(again.notes(), replica.notes());
    connects(&again, "node2", 2, 1).expect("the oldest is forgotten");
}
