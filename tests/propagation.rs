//! Propagation without threads: what a batch takes, what is sent, what is kept when that fails.

use kvstore::limits::{MAX_VALUE_BYTES, PROPAGATION_BATCH, PUSH_BATCH_BYTES};
use kvstore::replication::message::{Incarnation, Reply, Request};
use kvstore::replication::propagate::{Delivered, Propagation};
use kvstore::replication::queue::{Outbox, Queue, queues};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::{Peer, PeerError};
use kvstore::rules::Rules;
use kvstore::store::clock::Timestamp;
use kvstore::store::record::Record;
use kvstore::store::version::NodeId;

fn replica() -> Replica {
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(1));
    Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_800_000_000_000)))
}

/// A peer that notes what is sent to it, an exchange at a time.
#[derive(Default)]
struct Notes {
    exchanges: Vec<Vec<Record>>,
    /// Whether it is away: every exchange fails.
    is_away: bool,
}

impl Notes {
    fn keys(&self) -> Vec<String> {
        let sent = self.exchanges.iter().flatten();
        sent.map(|record| String::from_utf8_lossy(record.key()).into_owned()).collect()
    }
}

impl Peer for Notes {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        if self.is_away {
            return Err(PeerError::Unreachable("it is away".into()));
        }
        let sent: Vec<Record> = prepare()
            .into_iter()
            .map(|request| match request {
                Request::Propagate(record) => record,
                other => panic!("only entries are propagated: {other:?}"),
            })
            .collect();
        let replies = sent.iter().map(|_| Reply::Merged(true)).collect();
        self.exchanges.push(sent);
        Ok(replies)
    }
}

/// A replica, and the queue for its one peer.
struct Side {
    replica: Replica,
    outbox: Outbox,
    queue: Queue,
    propagation: Propagation,
}

impl Side {
    fn new(most_keys: usize) -> Self {
        let (outbox, mut queues) = queues(1, most_keys, usize::MAX);
        let queue = queues.pop().expect("there is one");
        Self { replica: replica(), outbox, queue, propagation: Propagation::default() }
    }

    fn write(&self, key: &str, value: &[u8]) {
        self.replica.set(key.as_bytes(), value);
        self.outbox.changed(key.as_bytes());
    }

    /// Takes a batch of at most `most` keys.
    fn take(&mut self, most: usize, peer_is_up: bool) {
        let first = self.queue.keys().try_recv().expect("a key waits");
        self.propagation.take(first, (self.queue.keys(), &self.queue), most, peer_is_up);
    }

    fn deliver(&mut self, peer: &mut Notes) -> Result<Delivered, PeerError> {
        self.propagation.deliver(&self.replica, peer, &self.queue)
    }
}

#[test]
fn a_batch_has_at_most_so_many_keys_each_once_and_the_entries_of_now() {
    let (mut side, mut peer) = (Side::new(100), Notes::default());
    for key in ["b", "a", "b", "c"] {
        side.write(key, b"old");
    }
    side.take(3, true);
    assert_eq!((side.propagation.under_way(), side.queue.len()), (2, 1), "b, a and b are two keys");
    side.replica.set(b"a", b"new");
    assert_eq!(side.deliver(&mut peer), Ok(Delivered { keys: 2, caught_up: false }));
    assert_eq!(peer.keys(), ["a", "b"]);
    assert_eq!(peer.exchanges[0][0].content().value(), Some(&b"new"[..]));
    side.take(3, true);
    assert_eq!(side.deliver(&mut peer), Ok(Delivered { keys: 1, caught_up: false }));
    assert_eq!((side.queue.len(), side.queue.bytes()), (0, 0));
}

#[test]
fn what_fails_is_kept_counted_and_sent_again() {
    let (mut side, mut peer) = (Side::new(100), Notes { is_away: true, ..Notes::default() });
    side.write("a", b"v");
    let bytes = side.queue.bytes();
    side.take(10, true);
    assert!(side.deliver(&mut peer).is_err() && side.deliver(&mut peer).is_err());
    assert!(side.propagation.is_under_way());
    assert_eq!(side.queue.bytes(), bytes, "a batch under way still takes memory");
    peer.is_away = false;
    assert_eq!(side.deliver(&mut peer), Ok(Delivered { keys: 1, caught_up: true }));
    assert!(!side.propagation.is_under_way());
    assert_eq!((peer.keys(), side.queue.bytes()), (vec!["a".to_string()], 0));
}

#[test]
fn after_a_peer_was_away_it_has_caught_up_when_all_that_waited_then_is_delivered() {
    for failed_first in [false, true] {
        let (mut side, mut peer) = (Side::new(100), Notes::default());
        (0..6).for_each(|number| side.write(&format!("key{number}"), b"v"));
        side.take(2, failed_first);
        if failed_first {
            peer.is_away = true;
            side.deliver(&mut peer).expect_err("it is away");
            peer.is_away = false;
        }
        let mut caught_up = |side: &mut Side| side.deliver(&mut peer).expect("it is back").caught_up;
        assert!(!caught_up(&mut side), "four keys wait");
        side.take(2, true);
        assert!(!caught_up(&mut side), "two of them wait");
        // What is written now does not count: it did not wait while the peer was away.
        (6..9).for_each(|number| side.write(&format!("key{number}"), b"v"));
        side.take(2, true);
        assert!(caught_up(&mut side));
        side.take(10, true);
        assert!(!caught_up(&mut side), "only once");
    }
}

#[test]
fn an_exchange_is_bounded_in_entries_and_in_bytes() {
    let (mut side, mut peer) = (Side::new(10_000), Notes::default());
    let keys = 2 * PROPAGATION_BATCH + 1;
    (0..keys).for_each(|number| side.write(&format!("key{number}"), b"v"));
    side.take(keys, true);
    side.deliver(&mut peer).expect("it takes all");
    let lengths: Vec<usize> = peer.exchanges.iter().map(Vec::len).collect();
    assert_eq!(lengths, [PROPAGATION_BATCH, PROPAGATION_BATCH, 1]);

    let (mut side, mut peer) = (Side::new(10), Notes::default());
    side.write("a", &vec![b'v'; PUSH_BATCH_BYTES - 100]);
    side.write("b", &[b'v'; 200]);
    side.write("c", &vec![b'v'; MAX_VALUE_BYTES]);
    side.write("d", b"v");
    side.take(10, true);
    side.deliver(&mut peer).expect("it takes all");
    let lengths: Vec<usize> = peer.exchanges.iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 1, 1], "an exchange ends with the entry that fills it");
}

#[test]
fn a_key_that_is_gone_is_sent_to_nobody() {
    let (mut side, mut peer) = (Side::new(10), Notes::default());
    side.outbox.changed(b"never written");
    side.write("a", b"v");
    side.take(10, true);
    assert_eq!(side.deliver(&mut peer), Ok(Delivered { keys: 2, caught_up: false }));
    assert_eq!(peer.keys(), ["a"]);
}

#[test]
fn a_queue_is_closed_when_the_last_writer_is_gone() {
    let (outbox, queues) = queues(2, 10, usize::MAX);
    let other = outbox.clone();
    outbox.changed(b"k");
    drop(outbox);
    assert!(queues[0].keys().try_recv().is_ok() && !queues[1].is_empty());
    assert_eq!(queues[0].keys().try_recv().map_err(|error| error.is_disconnected()), Err(false));
    drop(other);
    assert_eq!(queues[0].keys().try_recv().map_err(|error| error.is_disconnected()), Err(true));
}
