//! The table of members: which nodes a replica admits, and what becomes of their connections.

use kvstore::limits::{MAX_DISMISSED, MAX_GUESTS, MAX_MEMBERS};
use kvstore::replication::message::{Confirmation, Greeting, Incarnation, Reply, Request};
use kvstore::replication::reconcile::greet;
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::replication::{Peer, PeerError};
use kvstore::rules::Rules;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::version::NodeId;

fn replica() -> Replica {
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(1));
    Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_800_000_000_000)))
}

fn greeting(name: &str, node: u16, incarnation: u64) -> Greeting {
    Greeting::in_memory(name, NodeId(node), Incarnation(incarnation), Timestamp::from_millis(5))
}

/// A node connects and says PEER. Returns its session, or why it is refused.
fn connects(replica: &Replica, name: &str, node: u16, incarnation: u64) -> Result<PeerSession, String> {
    let mut session = PeerSession::default();
    match replica.handle(&mut session, Request::Peer(greeting(name, node, incarnation))) {
        Reply::Peer { .. } => Ok(session),
        Reply::Refused(why) => Err(why),
        other => panic!("not a reply to PEER: {other:?}"),
    }
}

/// This replica dials a configured peer, which answers with this greeting.
fn dials(replica: &Replica, name: &str, node: u16, incarnation: u64) -> Result<(), PeerError> {
    struct Answers(Greeting);
    impl Peer for Answers {
        fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
            let answer = |_| Reply::Peer { greeting: self.0.clone(), arrivals: Arrival::NONE };
            Ok(prepare().into_iter().map(answer).collect())
        }
    }
    greet(replica, &mut Answers(greeting(name, node, incarnation))).map(drop)
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
