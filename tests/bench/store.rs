//! The speed of single parts: the store, the parsers, and a whole round, without sockets.
//!
//! `cargo bench --bench store` takes about two minutes; `-- get` runs what has `get` in its name.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use kvstore::framing::RequestParser;
use kvstore::framing::resp::{self, write_array, write_bulk};
use kvstore::replication::message::{Incarnation, Reply, Request};
use kvstore::replication::reconcile::reconcile;
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::replication::{Peer, PeerError};
use kvstore::rules::Rules;
use kvstore::store::KeyValueStore;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

/// How many keys there are, as long as redis-benchmark's: `key:000000000042`.
const KEYS: u64 = 1_000_000;

const VALUE: [u8; 100] = [b'x'; 100];

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    bench_store(&mut criterion);
    bench_writers(&mut criterion);
    bench_parsers(&mut criterion);
    bench_round(&mut criterion);
    criterion.final_summary();
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// The version of the `count`-th write.
fn version(count: u64) -> Version {
    Version::new(Timestamp::from_bits(count), NodeId(1))
}

// ---- the store ------------------------------------------------------------------------------------------------------

fn bench_store(criterion: &mut Criterion) {
    let store = KeyValueStore::new(Rules::default());
    let writes = AtomicU64::new(1);
    let next = || version(writes.fetch_add(1, Relaxed));
    (0..KEYS).for_each(|number| {
        store.write(&key(number), Content::Value(&VALUE), |_| next());
    });
    let mut group = criterion.benchmark_group("store");
    for threads in [1, 2] {
        group.throughput(Throughput::Elements(threads));
        let mut bench = |name: &str, work: &(dyn Fn([u8; 16]) + Sync)| {
            let name = format!("{name}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            group.bench_function(name, |bencher| bencher.iter_custom(|count| time_in_threads(threads, count, work)));
        };
        bench("get", &|key| {
            store.get(&key, || Timestamp::ZERO, |value| black_box(value.map(<[u8]>::len)));
        });
        bench("set", &|key| {
            store.write(&key, Content::Value(&VALUE), |_| next());
        });
        bench("merge", &|key| {
            store.merge(Record::new(&key, Entry { version: next(), content: Content::Value(&VALUE) }));
        });
    }
    group.finish();
}

/// What it costs to know what the writer of a key had seen: nothing while one node writes it.
fn bench_writers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys that several nodes write");
    for writers in [1, 2, 5] {
        let store = KeyValueStore::new(Rules::default());
        let writes = AtomicU64::new(1);
        let mut random = fastrand::Rng::with_seed(1);
        let mut write = |number: u64| {
            let node = NodeId(random.u16(1..=writers));
            let timestamp = Timestamp::from_bits(writes.fetch_add(1, Relaxed));
            store.write(&key(number), Content::Value(&VALUE), |_| Version::new(timestamp, node));
        };
        (0..20 * KEYS / 10).for_each(|write_number| write(write_number % (KEYS / 10)));
        println!("keys that {writers} nodes write: {} bytes a key", store.bytes() as u64 / (KEYS / 10));
        let mut numbers = fastrand::Rng::with_seed(2);
        group.bench_function(format!("set, {writers} nodes"), |bencher| {
            bencher.iter(|| write(numbers.u64(..KEYS / 10)));
        });
    }
    group.finish();
}

/// How long some threads take until each has done the work `count` times, with random keys.
fn time_in_threads(threads: u64, count: u64, work: &(dyn Fn([u8; 16]) + Sync)) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                (0..count).for_each(|_| work(key(random.u64(..KEYS))));
            });
        }
    });
    started.elapsed()
}

// ---- the parsers ----------------------------------------------------------------------------------------------------

fn bench_parsers(criterion: &mut Criterion) {
    const REQUESTS: usize = 64;
    let mut resp = Vec::new();
    write_array(&mut resp, 3);
    [b"SET".as_slice(), &key(42), &VALUE].iter().for_each(|word| write_bulk(&mut resp, word));
    let line = [b"SET ".as_slice(), &key(42), b" ", &VALUE, b"\n"].concat();

    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    for (name, request) in [("RESP", resp), ("plain lines", line)] {
        let bytes = request.repeat(REQUESTS);
        let mut parser = RequestParser::default();
        group.bench_function(format!("{REQUESTS} SETs of 100 bytes, {name}"), |bencher| {
            bencher.iter(|| {
                let mut rest = bytes.as_slice();
                while let Some((form, length)) = parser.parse(rest).expect("the requests are well formed") {
                    black_box(parser.args(form, rest).len());
                    rest = &rest[length..];
                }
                assert!(rest.is_empty(), "all requests are whole");
            });
        });
    }
    group.finish();
}

// ---- a round --------------------------------------------------------------------------------------------------------

fn bench_round(criterion: &mut Criterion) {
    let (ours, theirs) = (replica(1), replica(2));
    for number in 0..KEYS {
        let entry = Entry { version: version(number + 1), content: Content::Value(&VALUE) };
        let record = Record::new(&key(number), entry);
        ours.store().merge(record.clone());
        theirs.store().merge(record);
    }
    let mut peer = MemoryPeer::new(&theirs);
    let mut random = fastrand::Rng::with_seed(1);
    let mut group = criterion.benchmark_group("round over 1,000,000 keys");
    for differences in [0, 1, 1000] {
        group.bench_function(format!("{differences} differ"), |bencher| {
            let change = || {
                for nth in 0..differences {
                    let side = if nth % 2 == 0 { &ours } else { &theirs };
                    side.set(&key(random.u64(..KEYS)), &VALUE);
                }
            };
            let round = |()| reconcile(&ours, &mut peer).expect("a peer in memory does not fail");
            bencher.iter_batched(change, round, BatchSize::PerIteration);
        });
        assert_eq!(ours.store().root(), theirs.store().root(), "a round makes them equal");
    }
    group.finish();
}

fn replica(node: u16) -> Replica {
    let incarnation = Incarnation(u64::from(node));
    let identity = Identity::in_memory(format!("node{node}"), NodeId(node), incarnation);
    Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1)))
}

/// A peer in this process. Requests and replies are encoded and decoded as on a wire.
struct MemoryPeer<'a> {
    replica: &'a Replica,
    session: PeerSession,
    parser: RequestParser,
    replies: resp::Parser,
}

impl<'a> MemoryPeer<'a> {
    fn new(replica: &'a Replica) -> Self {
        let (parser, replies) = (RequestParser::default(), resp::Parser::default());
        Self { replica, session: PeerSession::default(), parser, replies }
    }

    fn carry(&mut self, request: &Request) -> Result<Reply, PeerError> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        let (form, _) = self.parser.parse(&bytes).expect("what is encoded is well formed").expect("and whole");
        let reply = self.replica.handle(&mut self.session, Request::decode(self.parser.args(form, &bytes))?);
        bytes.clear();
        reply.encode(&mut bytes);
        let (frame, _) = self.replies.parse_reply(&bytes).expect("what is encoded is well formed").expect("and whole");
        Ok(Reply::decode(frame, request)?)
    }
}

impl Peer for MemoryPeer<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        prepare().iter().map(|request| self.carry(request)).collect()
    }
}
