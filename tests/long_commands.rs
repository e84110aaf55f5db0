//! Commands that look at much of what a node holds: each has a bound, or ends when it is not wanted any more, and other
//! clients go on meanwhile.

use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, encode, eventually};
use kvstore::limits::{MAX_KEY_BYTES, MAX_PATTERN_BYTES, MAX_SCAN_BYTES, TRANSACTION_WALK_TIME};
use socket2::SockRef;

/// What takes longer is not bounded: without its bound, each command here would take minutes.
const SOON: Duration = Duration::from_secs(5);

/// A pattern that takes as long as one can, and matches no key that has no `z`.
fn hostile_pattern(bytes: usize) -> String {
    "*".to_string() + &"?".repeat(bytes - 2) + "z"
}

/// A node with so many keys of the greatest length.
fn node_with_long_keys(count: usize) -> Cluster {
    let cluster = Cluster::start(1);
    for number in 0..count {
        cluster.node(1).replica().set(format!("{number:0>MAX_KEY_BYTES$}").as_bytes(), b"v");
    }
    cluster
}

/// A client that has sent more such requests than can be answered in a minute. The node is at work on them.
fn client_that_keeps_a_session_busy(cluster: &Cluster, request: &[&str]) -> Client {
    const REQUESTS: usize = 400;
    let memory = || cluster.node(1).stats().used_memory;
    let (before, mut client, request) = (memory(), cluster.client(1), encode(request));
    client.send(request.repeat(REQUESTS));
    eventually("its buffer has grown for them", SOON, || memory() > before + request.len());
    client
}

#[test]
fn a_pattern_has_a_bound_wherever_a_command_takes_one() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let (longest, longer) = ("p".repeat(MAX_PATTERN_BYTES), "p".repeat(MAX_PATTERN_BYTES + 1));
    for command in [
        &["KEYS"][..],
        &["SCAN", "0", "MATCH"],
        &["CONFIG", "GET", "save"],
        &["COMMAND", "LIST", "FILTERBY", "PATTERN"],
    ] {
        let refused = client.resp(&[command, &[&*longer]].concat()).to_string();
        let expected = format!("-ERR a pattern has at most {MAX_PATTERN_BYTES} bytes, this one has {}", longer.len());
        assert_eq!(refused, expected, "{command:?}");
        let answer = client.resp(&[command, &[&*longest]].concat()).to_string();
        assert!(!answer.starts_with('-'), "{command:?}: {answer}");
    }
}

#[test]
fn keys_and_scan_end_when_the_client_hangs_up_or_the_node_stops_and_let_transactions_come_between() {
    let mut cluster = node_with_long_keys(100);
    let (mut other, pattern) = (cluster.client(1), hostile_pattern(MAX_PATTERN_BYTES));
    for request in [&["KEYS", &*pattern][..], &["SCAN", "0", "MATCH", &pattern, "COUNT", "10000"]] {
        let busy = client_that_keeps_a_session_busy(&cluster, request);
        let started = Instant::now();
        assert_eq!([other.line("MULTI"), other.line("SET k v"), other.line("EXEC")], ["OK", "QUEUED", "OK"]);
        assert_eq!(other.read_line(), "END");
        assert_eq!(cluster.client(1).line("GET k"), "v");
        assert!(started.elapsed() < SOON, "{request:?}: a transaction took {:?}", started.elapsed());
        SockRef::from(busy.stream()).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
        drop(busy);
        eventually("its session ends", SOON, || other.count("connected_clients") == 1);
    }
    let _busy = client_that_keeps_a_session_busy(&cluster, &["KEYS", &pattern]);
    let started = Instant::now();
    cluster.stop(1);
    assert!(started.elapsed() < SOON, "it took {:?} to stop", started.elapsed());
}

#[test]
fn a_scan_ends_after_so_many_bytes_of_keys() {
    let count = 2 * MAX_SCAN_BYTES / MAX_KEY_BYTES;
    let cluster = node_with_long_keys(count);
    let mut client = cluster.client(1);
    let (mut cursor, mut pages) = ("0".to_string(), Vec::new());
    while pages.is_empty() || cursor != "0" {
        let mut lines = client.lines(format!("SCAN {cursor} COUNT 10000"));
        cursor = lines.remove(0);
        pages.push(lines.len());
    }
    assert_eq!(pages.iter().sum::<usize>(), count);
    assert!(pages.iter().all(|keys| keys * MAX_KEY_BYTES <= MAX_SCAN_BYTES + MAX_KEY_BYTES), "{pages:?}");
}

#[test]
fn a_transaction_looks_through_the_keys_for_a_moment_only() {
    let cluster = node_with_long_keys(30);
    let (mut client, pattern) = (cluster.client(1), hostile_pattern(MAX_PATTERN_BYTES));
    client.send(encode(&["MULTI"]));
    (0..1000).for_each(|_| client.send(encode(&["KEYS", &pattern])));
    (0..1001).for_each(|_| drop(client.read_value()));
    let started = Instant::now();
    let answers = client.resp(&["EXEC"]).to_string();
    assert!(started.elapsed() < TRANSACTION_WALK_TIME + SOON, "{:?}", started.elapsed());
    assert!(
        answers.starts_with("(()") && answers.contains("-ERR a transaction may look through the keys for a moment")
    );
}
