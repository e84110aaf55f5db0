//! Counters: the arithmetic of Redis on one node, sums that are exact on several, whatever befalls them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use crate::common::redis::Redis;
use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, eventually};
use kvstore::limits::MAX_WRITERS;

/// Requests that a real redis-server answers in the same way, but for what an error says behind Redis' words.
const SAME: &[&str] = &[
    "INCR new",
    "INCR new",
    "INCRBY new 40",
    "DECR new",
    "DECRBY new 1",
    "GET new",
    "STRLEN new",
    "GETRANGE new 1 1",
    "MGET new none new",
    "TYPE new",
    "OBJECT ENCODING new",
    "INCR",
    "INCR a b",
    "INCRBY new",
    "INCRBY new x",
    "INCRBY new 1.5",
    "INCRBY new 9223372036854775808",
    "DECRBY new 9223372036854775808",
    "DECRBY new -9223372036854775808",
    "INCRBY new -9223372036854775808",
    "GET new",
    "SET text hello",
    "INCR text",
    "GET text",
    "SET empty \"\"",
    "INCR empty",
    "SET zeros 007",
    "INCR zeros",
    "SET plus +7",
    "INCR plus",
    "SET minus -0",
    "INCR minus",
    "SET space \" 7\"",
    "INCR space",
    "SET negative -7",
    "INCR negative",
    "SET most 9223372036854775807",
    "INCR most",
    "GET most",
    "DECR most",
    "SET least -9223372036854775808",
    "DECR least",
    "INCR least",
    "SET large 9223372036854775808",
    "INCR large",
    "SET new 100",
    "INCR new",
    "GETSET new 5",
    "INCR new",
    "APPEND new 0",
    "INCR new",
    "SETRANGE new 0 9",
    "INCR new",
    "EXPIRE new 1000",
    "INCR new",
    "TTL new",
    "PERSIST new",
    "INCR new",
    "TTL new",
    "RENAME new other",
    "INCR other",
    "GET new",
    "INCR new",
    "COPY other new REPLACE",
    "INCR new",
    "GET other",
    "GETDEL new",
    "INCR new",
    "DEL new",
    "GET new",
    "EXISTS new",
    "INCR new",
    "DBSIZE",
    "SETNX new 7",
    "SET new 8 XX GET",
    "INCR new",
    "MULTI",
    "INCR new",
    "INCR text",
    "DECR new",
    "EXEC",
    "WATCH new",
    "INCR new",
    "MULTI",
    "INCR new",
    "EXEC",
    "GET new",
];

/// The words of a request; some have quotes.
fn words(request: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, part) in request.split('"').enumerate() {
        match index % 2 {
            1 => words.push(part.into()),
            _ => words.extend(part.split_whitespace().map(String::from)),
        }
    }
    words
}

#[test]
fn one_node_counts_as_redis_does() {
    let Some(redis) = Redis::start() else { return };
    let cluster = Cluster::start(1);
    let (mut theirs, mut ours) = (Client::connect(redis.address), cluster.client(1));
    for request in SAME {
        let words = words(request);
        let [theirs, ours] = [&mut theirs, &mut ours].map(|client| client.resp(&words).to_string());
        assert!(
            ours == theirs || (theirs.starts_with('-') && ours.starts_with(&theirs)),
            "{request}: {ours}, not {theirs}"
        );
    }
}

#[test]
fn a_sum_of_floating_point_numbers_is_refused_with_the_reason() {
    let cluster = Cluster::start(1);
    let answer = cluster.client(1).line("INCRBYFLOAT key 0.1");
    assert!(answer.starts_with("ERROR: INCRBYFLOAT is not offered: ") && answer.contains("order"), "{answer}");
}

#[test]
fn what_was_counted_on_both_sides_of_a_cut_adds_up_and_no_conflict_is_listed() {
    let cluster = Cluster::start(2);
    let (mut first, mut second) = (cluster.client(1), cluster.client(2));
    assert_eq!(first.line("INCRBY visits 5"), "5");
    cluster.wait_until_it_agrees();
    cluster.links.set(Mode::Cut);
    assert_eq!(first.line("INCRBY visits 2"), "7");
    assert_eq!(second.line("DECRBY visits 1"), "4");
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    for client in [&mut first, &mut second] {
        assert_eq!(client.line("GET visits"), "6");
        assert_eq!(client.line("CONFLICTS LEN"), "0");
    }
    let version = first.line("VERSION visits");
    assert!(version.starts_with("never written counted "), "{version}");
    // In the order of the lives, which are random numbers.
    assert!(version.contains(" +7 by life ") && version.contains(" -1 by life "), "{version}");
}

#[test]
fn a_write_resets_what_its_node_had_seen_and_only_that() {
    let cluster = Cluster::start(2);
    let (mut first, mut second) = (cluster.client(1), cluster.client(2));
    let deadline = "EXPIRE visits 1000";
    for (write, after) in [("SET visits 100", "103"), ("DEL visits", "3"), (deadline, "8"), ("APPEND visits 0", "53")] {
        assert_eq!(first.line("SET visits 0"), "OK");
        assert_eq!(first.line("INCRBY visits 5"), "5");
        cluster.wait_until_it_agrees();
        cluster.links.set(Mode::Cut);
        assert_eq!(second.line("INCRBY visits 3"), "8");
        assert!(!first.line(write).starts_with("ERROR"));
        cluster.links.heal();
        cluster.wait_until_it_agrees();
        for client in [&mut first, &mut second] {
            assert_eq!(client.line("GET visits"), after, "{write}");
        }
        assert_eq!(second.line("TTL visits") == "-1", write != deadline, "{write}");
    }
    assert_eq!(first.line("CONFLICTS LEN"), "0");
    assert_eq!(first.line("SET a 1"), "OK");
    cluster.wait_until_it_agrees();
    cluster.links.set(Mode::Cut);
    assert_eq!((first.line("SET a 2"), second.line("SET a 3")), ("OK".into(), "OK".into()));
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    let listed = || cluster.client(1).count("conflicts") + cluster.client(2).count("conflicts") > 0;
    eventually("a conflict of two SETs is one as ever", DEADLINE, listed);
}

#[test]
fn a_sum_that_no_share_is_but_all_together_are_too_large_is_the_nearest_number_and_is_counted() {
    let cluster = Cluster::start(2);
    let (mut first, mut second) = (cluster.client(1), cluster.client(2));
    cluster.links.set(Mode::Cut);
    assert_eq!(first.line("INCRBY visits 9223372036854775807"), "9223372036854775807");
    assert_eq!(second.line("INCRBY visits 10"), "10");
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    for client in [&mut first, &mut second] {
        assert_eq!(client.line("GET visits"), "9223372036854775807");
        assert!(client.count("counters_saturated") > 0);
        assert_eq!(client.line("INCR visits"), "ERROR: increment or decrement would overflow");
    }
    assert_eq!(first.line("DECRBY visits 20"), "9223372036854775797");
}

#[test]
fn the_lives_that_count_a_key_are_bounded_and_a_delete_that_is_forgotten_clears_them() {
    let mut cluster = Cluster::start(2);
    let mut refused = 0;
    for life in 1..=300 {
        cluster.stop(2);
        cluster.start_again(2, |_| {});
        let mut client = cluster.client(2);
        client.wait_until_it_serves();
        match client.line("INCR visits") {
            sum if life <= MAX_WRITERS => assert_eq!(sum, life.to_string()),
            why => {
                let expected = "ERROR: nodes have started 256 times since this key was first counted: DEL it, wait";
                assert!(why.starts_with(expected), "{why}");
                refused += 1;
            }
        }
        assert_eq!(client.line("WAIT 1 30000"), "1");
    }
    assert_eq!(refused, 300 - MAX_WRITERS);
    let mut client = cluster.client(1);
    assert_eq!(client.line("GET visits"), MAX_WRITERS.to_string());
    assert_eq!(client.line("SET visits 7"), "OK", "it can still be written");
    assert_eq!(client.line("DEL visits"), "OK");
    eventually("the delete is forgotten", DEADLINE, || {
        [1, 2].iter().all(|&number| cluster.client(number).count("tombstones") == 0)
    });
    assert_eq!(client.line("INCR visits"), "1");
    assert_eq!(client.line("VERSION visits").matches("by life").count(), 1);
}

// ---- three nodes, killed and cut ------------------------------------------------------------------------------------

const KEYS: usize = 100;
const CLIENTS: usize = 60;
const NODES: u16 = 3;

/// By key, the sum of what was acknowledged, and of what was sent besides and may count or not.
struct Sent {
    acknowledged: [AtomicU64; KEYS],
    in_doubt: [AtomicU64; KEYS],
}

/// Three nodes with disks that sync before every answer.
struct Machines {
    links: Links,
    directory: PathBuf,
    nodes: BTreeMap<u16, Process>,
}

impl Machines {
    fn launch(&mut self, number: u16) -> SocketAddr {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args(["--node", &number.to_string(), "--listen", "127.0.0.1:0", "--interval", "200ms"]);
        command.args(["--sync", "always", "--data"]).arg(self.directory.join(number.to_string()));
        self.links.peers_of(number).iter().for_each(|peer| {
            command.args(["--peer", peer]);
        });
        let process = Process::run(&mut command);
        self.links.node_is_at(number, process.address);
        let address = process.address;
        self.nodes.insert(number, process);
        address
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.nodes.clear();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Counts on one node until it is gone, or the test is over.
fn count_on(address: SocketAddr, sent: &Sent, is_over: &AtomicBool) {
    let Ok(mut client) = Client::try_connect(address) else { return };
    while !is_over.load(Relaxed) {
        let (key, by) = (fastrand::usize(..KEYS), fastrand::u64(1..10));
        match client.try_line(&format!("INCRBY key{key} {by}")) {
            Ok(sum) if sum.parse::<i64>().is_ok() => _ = sent.acknowledged[key].fetch_add(by, Relaxed),
            // It is still loading: nothing was counted.
            Ok(why) if why.starts_with("ERROR: loading") => {}
            _ => {
                sent.in_doubt[key].fetch_add(by, Relaxed);
                return;
            }
        }
    }
}

#[test]
fn the_sums_are_exact_after_cuts_and_kills_with_a_disk_that_syncs_before_every_answer() {
    let directory = std::env::temp_dir().join(format!("kvstore-counters-{}", std::process::id()));
    let mut machines = Machines { links: Links::new(NODES), directory, nodes: BTreeMap::new() };
    let addresses: [parking_lot::Mutex<SocketAddr>; NODES as usize] =
        std::array::from_fn(|index| parking_lot::Mutex::new(machines.launch(index as u16 + 1)));
    for process in machines.nodes.values() {
        process.client().wait_until_it_serves();
    }
    let none = || std::array::from_fn(|_| AtomicU64::new(0));
    let (sent, is_over) = (Sent { acknowledged: none(), in_doubt: none() }, AtomicBool::new(false));
    let count = |sent: &Sent| sent.acknowledged.iter().map(|sum| sum.load(Relaxed)).sum::<u64>();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (sent, is_over, addresses) = (&sent, &is_over, &addresses);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    let address = *addresses[client % addresses.len()].lock();
                    count_on(address, sent, is_over);
                    thread::yield_now();
                }
            });
        }
        for fault in 0..9_u16 {
            let so_far = count(&sent);
            eventually("the clients count", DEADLINE, || count(&sent) > so_far + 5_000);
            let node = fault % NODES + 1;
            match fault % 2 {
                0 => {
                    machines.nodes.remove(&node).expect("it runs").kill();
                    *addresses[usize::from(node) - 1].lock() = machines.launch(node);
                }
                _ => {
                    let peer = node % NODES + 1;
                    machines.links.between(node, peer).set(Mode::Cut);
                    machines.links.between(peer, node).set(Mode::Cut);
                    let so_far = count(&sent);
                    eventually("the clients count during the cut", DEADLINE, || count(&sent) > so_far + 5_000);
                    machines.links.heal();
                }
            }
        }
        is_over.store(true, Relaxed);
    });
    let digests = || machines.nodes.values().map(|node| node.client().line("DIGEST")).collect::<Vec<_>>();
    eventually("all nodes hold the same", DEADLINE, || digests().windows(2).all(|pair| pair[0] == pair[1]));
    let mut in_doubt = 0;
    for (number, node) in &machines.nodes {
        let mut client = node.client();
        for key in 0..KEYS {
            let sum: u64 = client.line(format!("GET key{key}")).parse().expect("a number");
            let least = sent.acknowledged[key].load(Relaxed);
            let most = least + sent.in_doubt[key].load(Relaxed);
            assert!((least..=most).contains(&sum), "key{key} on node {number} is {sum}, not from {least} to {most}");
            in_doubt += most - least;
        }
        assert_eq!(client.line("CONFLICTS LEN"), "0");
    }
    println!("{} were acknowledged, {} were in doubt", count(&sent), in_doubt / u64::from(NODES));
}
