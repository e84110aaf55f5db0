//! The cost of agreement: what one round between two nodes sends, by how many keys they hold and how many differ.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use kvstore::replication::message::Request;
use kvstore::rules::{Rule, Rules};
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

use super::cluster::{Bounds, Cluster, Director, Fate};
use super::network::Traffic;
use super::node::START_MS;
use super::trace::{Style, Trace};

/// How many keys differ, in the rows of a table.
pub(crate) const DIFFERING: [usize; 6] = [0, 1, 10, 100, 1_000, 10_000];

/// How many bytes each value has. They do not count in the cost.
const VALUE: [u8; 100] = [b'v'; 100];

/// A network in which nothing goes wrong.
struct Calm;

impl Director for Calm {
    fn pause(&self, _cluster: &Cluster, _node: usize, _sending: Option<&Request>) {}

    fn fate(&self, _cluster: &Cluster, _from: usize, _to: usize, _request: &Request, _cut: bool) -> Fate {
        Fate::Arrives
    }
}

/// What one round sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) keys: usize,
    pub(crate) differing: usize,
    /// Requests; each has one reply.
    pub(crate) requests: u64,
    /// Bytes both ways together, without those of the values.
    pub(crate) bytes: u64,
    /// How long both sides took together. Only this field differs from run to run.
    #[allow(dead_code, reason = "only the bench shows it")]
    pub(crate) time: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {:>9} {:>9} {:>11}", self.keys, self.differing, self.requests, self.bytes)
    }
}

/// The head of a table of [`Cost`]s.
pub(crate) const HEAD: &str = "     keys differing  requests       bytes";

/// Gives some nodes the same `keys` keys of 16 bytes. A later `written_ms` makes the first keys newer.
pub(crate) fn fill(cluster: &Cluster, nodes: &[usize], keys: usize, written_ms: u64) {
    let version = Version::new(Timestamp::from_millis(written_ms), NodeId(9));
    for number in 0..keys {
        let record =
            Record::new(format!("key-{number:012}").as_bytes(), Entry { version, content: Content::Value(&VALUE) });
        for &node in nodes {
            cluster.nodes[node].life().replica.store().merge(record.clone());
        }
    }
}

/// Two nodes between which nothing goes wrong.
fn calm_pair(rules: Rules) -> Cluster {
    Cluster::new(&[None; 2], rules, Bounds { queue: 0, batch: 0 }, Rc::new(Calm), Trace::new(Style::Off))
}

/// Runs a round for each number of differing keys. Node 2 holds newer entries of these keys than node 1.
pub(crate) fn measure(keys: usize, differing: &[usize], with_digests: bool) -> Vec<Cost> {
    let rules = if with_digests { Rules::default() } else { Rules::default().without(Rule::Digests) };
    let cluster = calm_pair(rules);
    fill(&cluster, &[0, 1], keys, START_MS);
    // The connection is opened before anything is counted: in a running cluster it is mostly open.
    assert!(cluster.tick(0), "nothing goes wrong here");
    let mut written_ms = START_MS;
    let rows = differing.iter().map(|&differing| {
        written_ms += 1;
        fill(&cluster, &[1], differing, written_ms);
        cluster.traffic.set(Traffic::default());
        let begin = Instant::now();
        assert!(cluster.tick(0), "nothing goes wrong here");
        let time = begin.elapsed();
        let stores = [0, 1].map(|node| cluster.nodes[node].life().replica.store().root());
        assert_eq!(stores[0], stores[1], "one round makes both equal");
        let traffic = cluster.traffic.get();
        let bytes = traffic.bytes - (differing * VALUE.len()) as u64;
        Cost { keys, differing, requests: traffic.requests, bytes, time }
    });
    rows.collect()
}

/// Runs a round between nodes of which the second has counted all of `keys` counters once more; or, without counting,
/// has written all of as many values of eight bytes.
#[allow(dead_code, reason = "only the bench shows it")]
pub(crate) fn measure_counters(keys: usize, are_counted: bool) -> Cost {
    let cluster = calm_pair(Rules::default());
    let change_all = |value: &[u8; 8]| {
        let life = cluster.nodes[1].life();
        for number in 0..keys {
            let key = format!("key-{number:012}");
            match are_counted {
                true => _ = life.replica.increment(key.as_bytes(), 1).expect("it is a small number"),
                false => life.replica.set(key.as_bytes(), value),
            }
        }
    };
    change_all(b"00000001");
    assert!(cluster.tick(0), "nothing goes wrong here");
    change_all(b"00000002");
    cluster.traffic.set(Traffic::default());
    let begin = Instant::now();
    assert!(cluster.tick(0), "nothing goes wrong here");
    let time = begin.elapsed();
    let stores = [0, 1].map(|node| cluster.nodes[node].life().replica.store().root());
    assert_eq!(stores[0], stores[1], "one round makes both equal");
    let Traffic { requests, bytes, .. } = cluster.traffic.get();
    Cost { keys, differing: keys, requests, bytes, time }
}
