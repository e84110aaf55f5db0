//! Clusters of three and five nodes, as processes over sockets: they agree, and every delete is forgotten in the end,
//! though nodes are killed on the way.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, DEADLINE, Links, Process, encode, eventually};

const INTERVAL: Duration = Duration::from_millis(500);

/// Starts a node of a cluster in a process of its own.
fn start(links: &Links, number: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(["--node", &number.to_string(), "--listen", "127.0.0.1:0", "--interval", "500ms"]);
    links.peers_of(number).iter().for_each(|peer| {
        command.args(["--peer", peer]);
    });
    let process = Process::run(&mut command);
    links.node_is_at(number, process.address);
    process
}

/// Sends a command for each number, without waiting for each answer.
fn for_each(client: &mut Client, numbers: std::ops::Range<usize>, command: impl Fn(usize) -> Vec<u8>) {
    let numbers: Vec<usize> = numbers.collect();
    for batch in numbers.chunks(1000) {
        client.send(batch.iter().flat_map(|&number| command(number)).collect::<Vec<u8>>());
        batch.iter().for_each(|_| drop(client.read_value()));
    }
}

#[test]
fn a_hundred_thousand_deletes_are_forgotten_by_three_nodes_though_one_is_killed_twice() {
    const KEYS: usize = 100_000;
    let key = |number: usize| format!("key:{number:06}").into_bytes();
    let links = Links::new(3);
    let (first, second, mut third) = (start(&links, 1), start(&links, 2), start(&links, 3));
    let mut client = first.client();
    client.wait_until_it_serves();
    let value = [b'x'; 100];
    let set_all = |client: &mut Client| {
        for_each(client, 0..KEYS, |number| encode(&[&b"SET"[..], &key(number), &value]));
    };
    set_all(&mut client);
    let full = client.count("used_memory");
    third.kill();
    for_each(&mut client, 0..KEYS / 2, |number| encode(&[&b"DEL"[..], &key(number)]));
    third = start(&links, 3);
    eventually("node 3 is back", DEADLINE, || {
        third.client().line("DBSIZE").parse::<usize>().is_ok_and(|keys| keys > 0)
    });
    third.kill();
    for_each(&mut client, KEYS / 2..KEYS, |number| encode(&[&b"DEL"[..], &key(number)]));
    third = start(&links, 3);

    let nodes = [&first, &second, &third];
    let done = Instant::now();
    let forgotten = || {
        nodes.iter().all(|node| {
            let mut client = node.client();
            client.line("DBSIZE") == "0" && client.count("tombstones") == 0
        })
    };
    eventually("every delete forgotten by all", DEADLINE, forgotten);
    println!(
        "forgotten after {:.1?}, which is {:.1} intervals",
        done.elapsed(),
        done.elapsed().div_duration_f64(INTERVAL)
    );
    let digests = nodes.map(|node| node.client().line("DIGEST"));
    assert!(digests.iter().all(|digest| digest == "0000000000000000"), "an empty store has digest 0: {digests:?}");
    // Only the buffers of the connections remain.
    let empty = client.count("used_memory");
    assert!(full > 10_000_000 && empty < full / 20, "{full} bytes when full, {empty} when empty");
    // The allocator does not return freed memory to the system. But it reuses it: the same keys need no more.
    let kept_kb = first.memory_kb("VmRSS");
    set_all(&mut client);
    let again_kb = first.memory_kb("VmRSS");
    assert!(again_kb < kept_kb + kept_kb / 2, "{kept_kb} KB when empty, {again_kb} KB when full again");
}

#[test]
fn three_nodes_go_on_while_one_is_dead_and_five_agree() {
    for count in [3, 5] {
        let mut cluster = Cluster::start(count);
        for number in 1..=count {
            assert_eq!(cluster.client(number).line(format!("SET from:{number} x")), "OK");
        }
        cluster.wait_until_it_agrees();
        cluster.stop(count);
        assert_eq!(cluster.client(1).line("SET while:away y"), "OK");
        assert_eq!(cluster.client(2).line("DEL from:1"), "OK");
        eventually("the others agree", DEADLINE, || cluster.agrees());
        let mut waiting = cluster.client(1);
        assert!(waiting.count("tombstones") > 0, "a node that is away holds the forgetting up");
        cluster.start_again(count, |_| {});
        cluster.client(count).wait_until_it_serves();
        cluster.wait_until_it_agrees();
        assert_eq!(cluster.client(count).line("GET while:away"), "y");
        assert_eq!(cluster.client(count).line("GET from:1"), "Key not found");
        eventually("the delete is forgotten", DEADLINE, || {
            (1..=count).all(|number| cluster.client(number).count("tombstones") == 0)
        });
    }
}

#[test]
fn forget_ends_the_waiting_for_a_node_that_never_returns() {
    let mut cluster = Cluster::start(3);
    assert_eq!(cluster.client(1).line("SET k v"), "OK");
    cluster.wait_until_it_agrees();
    cluster.stop(3);
    assert_eq!(cluster.client(1).line("DEL k"), "OK");
    eventually("node 2 has the delete", DEADLINE, || cluster.client(2).line("GET k") == "Key not found");
    assert!(cluster.client(1).line("FORGET nobody").starts_with("ERROR: no such member or peer"));
    for number in [1, 2] {
        let mut client = cluster.client(number);
        assert_eq!(client.count("tombstones"), 1);
        assert_eq!(client.line("FORGET node3"), "OK");
    }
    // Only when all remaining nodes have been told: one that still waits lists the tombstone to the others.
    eventually("the delete is forgotten", DEADLINE, || {
        [1, 2].iter().all(|&number| cluster.client(number).count("tombstones") == 0)
    });
    // Without its data it is a new incarnation, which is admitted.
    cluster.start_again(3, |_| {});
    cluster.client(3).wait_until_it_serves();
    assert_eq!(cluster.client(3).line("SET again 1"), "OK");
    cluster.wait_until_it_agrees();
}
