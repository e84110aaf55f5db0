//! Memory, time and descriptors under attack. Attackers keep what they get; the operator has set the bound. Each node
//! is a process of its own, so that its memory can be measured.
//!
//! `HOSTILE_CONNECTIONS` sets how many attack at once: 200 by default.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, DEADLINE, Links, Mode, Process, encode, eventually, two_free_ports};
use kvstore::limits::{
    ACCEPT_PAUSE, CLIENT_WRITE_TIMEOUT, FREE_BUFFER_BYTES, KEPT_BUFFER_BYTES, MAPS_A_CONNECTION, MAX_ARGS,
    MAX_KEY_BYTES, MAX_VALUE_BYTES,
};

const MIB: u64 = 1024 * 1024;

/// The bound of the nodes under attack.
const MAX_MEMORY: u64 = 64 * MIB;

/// What a connection takes besides its buffers: the pages of its stack that were touched, the thread itself, the
/// socket.
const CONNECTION_KB: u64 = 64;

fn connections() -> usize {
    std::env::var("HOSTILE_CONNECTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// A node with little memory, and these further options.
fn start(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(["--listen", "127.0.0.1:0", "--max-memory", &MAX_MEMORY.to_string()]);
    for (option, default) in [("--interval", "200ms"), ("--peer", &closed_port().to_string())] {
        if !arguments.contains(&option) {
            command.args([option, default]);
        }
    }
    let node = Process::run(command.args(arguments));
    node.client().wait_until_it_serves();
    node
}

/// An address at which no process listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound")
}

/// The most memory that the process may use, with what it used before: `slack` times its bound. The node counts the
/// sizes that it asks for. An allocator that serves many threads has gaps, and keeps much of what is freed.
#[track_caller]
fn assert_within_bound(node: &Process, before_kb: u64, attackers: usize, slack: f64) {
    let allowed = (MAX_MEMORY / 1024) as f64 * slack;
    let bound = before_kb + allowed as u64 + attackers as u64 * CONNECTION_KB;
    let most = node.memory_kb("VmHWM:");
    println!("{attackers} attackers: {before_kb} KB before, {most} KB at most, {bound} KB allowed");
    assert!(most <= bound, "{most} KB of memory were in use, of {bound} KB");
}

/// The most that INFO may count: each connection has a small buffer that is always granted, and each may have been
/// granted one growth just before.
fn most_counted(attackers: usize) -> u64 {
    MAX_MEMORY * 5 / 4 + (attackers * FREE_BUFFER_BYTES) as u64
}

// ---- requests that never end ----------------------------------------------------------------------------------------

/// A client that announces something large and sends it bit by bit.
struct Attacker {
    stream: TcpStream,
    /// What is sent again and again after the announcement.
    filling: Vec<u8>,
    sent: usize,
    most: usize,
}

impl Attacker {
    fn new(address: SocketAddr, number: usize) -> Self {
        let (announcement, filling, most) = match number % 4 {
            0 => (
                format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${MAX_VALUE_BYTES}\r\n"),
                vec![b'v'; 16 * 1024],
                MAX_VALUE_BYTES - 1,
            ),
            1 => (
                format!(
                    "*3\r\n$3\r\nSET\r\n${MAX_KEY_BYTES}\r\n{}\r\n${MAX_VALUE_BYTES}\r\n",
                    "k".repeat(MAX_KEY_BYTES)
                ),
                vec![b'v'; 16 * 1024],
                MAX_VALUE_BYTES - 1,
            ),
            // The smallest words: they need the most memory beside their bytes.
            2 => (format!("*{MAX_ARGS}\r\n$3\r\nDEL\r\n"), b"$0\r\n\r\n".repeat(2048), (MAX_ARGS - 2) * 6),
            _ => (format!("*{MAX_ARGS}\r\n$4\r\nMSET\r\n"), b"$1\r\nx\r\n".repeat(2048), (MAX_ARGS - 2) * 7),
        };
        let mut stream = TcpStream::connect(address).expect("the node listens");
        stream.set_nodelay(true).expect("is connected");
        stream.set_write_timeout(Some(DEADLINE)).expect("is connected");
        stream.write_all(announcement.as_bytes()).expect("an announcement is taken");
        Self { stream, filling, sent: 0, most }
    }

    /// Sends a little more. Returns false once there is no more to send, or the node has ended the connection.
    fn go_on(&mut self) -> bool {
        let count = self.filling.len().min(self.most - self.sent);
        self.sent += count;
        count > 0 && self.stream.write_all(&self.filling[..count]).is_ok()
    }
}

#[test]
fn requests_that_never_end_take_no_more_memory_than_there_is() {
    let node = start(&[]);
    let mut client = node.client();
    assert_eq!(client.line("SET small value"), "OK");
    let (before_kb, before) = (node.memory_kb("VmRSS:"), client.count("used_memory"));

    let count = connections();
    let mut attackers: Vec<Attacker> = (0..count).map(|number| Attacker::new(node.address, number)).collect();
    eventually("all are connected", DEADLINE, || client.count("connected_clients") as usize > count);
    // Claims alone cost nothing.
    assert!(client.count("used_memory") <= before + (count * (FREE_BUFFER_BYTES + 2 * MAX_KEY_BYTES)) as u64);
    assert!(node.memory_kb("VmRSS:") <= before_kb + count as u64 * (CONNECTION_KB + 2 * MAX_KEY_BYTES as u64 / 1024));

    let (mut ended, mut most) = (0, 0);
    let deadline = Instant::now() + DEADLINE;
    while !attackers.is_empty() && Instant::now() < deadline {
        let mut going_on = Vec::new();
        for mut attacker in attackers {
            let is_done = attacker.sent == attacker.most;
            if is_done || attacker.go_on() {
                going_on.push(attacker);
            } else {
                ended += 1;
            }
        }
        most = most.max(client.count("used_memory"));
        assert!(most <= most_counted(count), "{most} bytes are counted");
        assert_eq!(client.line("GET small"), "value", "reads go on");
        attackers = going_on;
        if attackers.iter().all(|attacker| attacker.sent == attacker.most) {
            break;
        }
    }
    println!("{ended} of {count} were ended, {most} bytes counted at most");
    assert!(ended > count / 2, "most are ended: {ended}");
    assert_eq!(client.line("DEL small"), "OK", "deletes go on");
    assert_within_bound(&node, before_kb, count, 1.5);

    drop(attackers);
    eventually("the memory is given back", DEADLINE, || client.count("used_memory") < before + MIB);
    assert_eq!(client.line("SET again value"), "OK");

    // The next attacks reuse most of that memory: it does not add up.
    for _ in 0..4 {
        let mut attackers: Vec<Attacker> = (0..count).map(|number| Attacker::new(node.address, number)).collect();
        for _ in 0..20 {
            attackers.retain_mut(Attacker::go_on);
        }
        assert_eq!(client.line("GET again"), "value");
        drop(attackers);
        eventually("the memory is given back", DEADLINE, || client.count("used_memory") < before + MIB);
        println!("{} KB are in use after it", node.memory_kb("VmRSS:"));
    }
    assert_within_bound(&node, before_kb, count, 3.0);
}

#[test]
fn a_client_that_is_cut_off_is_told_that_the_memory_is_full() {
    let node = start(&[]);
    let value = vec![b'v'; MAX_VALUE_BYTES];
    let mut client = node.client();
    for key in 0.. {
        let answer = client.resp(&[b"SET", format!("k{key}").as_bytes(), &value]).to_string();
        if answer != "+OK" {
            assert!(answer.starts_with("-OOM memory is full"), "{answer}");
            break;
        }
        assert!(key < 8, "more than there is memory for was taken");
    }
    // Fills what is left with small ones.
    let mut client = node.client();
    let small = "v".repeat(10_000);
    eventually("a small write is refused too", DEADLINE, || {
        let answer = client.line(format!("SET small{} {small}", fastrand::u64(..)));
        assert!(answer == "OK" || answer.starts_with("ERROR: memory is full"), "{answer}");
        answer != "OK"
    });
    assert!(client.resp(&["SET", "k", "v"]).to_string().starts_with("-OOM "));
    assert_eq!(client.resp(&["GET", "k0"]), common::Value::Bulk(value));
    assert_eq!(client.line("DEL k0"), "OK");
    eventually("there is room again", DEADLINE, || client.line("SET k v") == "OK");
}

#[test]
fn peers_go_on_while_the_memory_is_full() {
    let links = Links::new(2);
    let peer = links.peers_of(1)[0].clone();
    let one = start(&["--peer", &peer]);
    links.node_is_at(1, one.address);
    let two = Process::start(&links, 2, "200ms");
    let (mut client, mut other) = (one.client(), two.client());
    other.wait_until_it_serves();
    let mut attackers: Vec<Attacker> = (0..16).map(|_| Attacker::new(one.address, 0)).collect();
    eventually("the memory is full", DEADLINE, || {
        attackers.retain_mut(Attacker::go_on);
        client.line("SET filling x").starts_with("ERROR: memory is full") || {
            let small = "v".repeat(50_000);
            client.line(format!("SET filling{} {small}", fastrand::u64(..))).starts_with("ERROR: memory is full")
        }
    });
    let large = "v".repeat(500_000);
    assert_eq!(other.line(format!("SET from2 {large}")), "OK");
    eventually("a peer's write arrives", DEADLINE, || client.line("GET from2") == large);
    assert_eq!(client.line("DEL from2"), "OK");
    eventually("a delete reaches the peer", DEADLINE, || other.line("GET from2") == "Key not found");
    drop(attackers);
    eventually("they agree", DEADLINE, || client.line("DIGEST") == other.line("DIGEST"));
}

// ---- deletes, and what waits for a peer -----------------------------------------------------------------------------

/// The length of the keys that attackers delete. A request of this length fits in a buffer even if the memory is full.
const KEY_BYTES: usize = FREE_BUFFER_BYTES / 4;

/// The key with this number, of this length.
fn long_key(number: usize, bytes: usize) -> Vec<u8> {
    format!("{number:k<bytes$}").into_bytes()
}

/// Deletes of absent keys cost the attacked node and its peer a tombstone each.
#[test]
fn deletes_of_keys_that_are_not_here_take_no_more_memory_than_there_is() {
    let links = Links::new(2);
    // No tombstone is forgotten meanwhile, which would make room for more.
    let one = start(&["--peer", &links.peers_of(1)[0], "--interval", "1h"]);
    links.node_is_at(1, one.address);
    let two = Process::start(&links, 2, "1h");
    two.client().wait_until_it_serves();
    let mut client = one.client();
    assert_eq!(client.line("MSET held value also value"), "OK");
    let before_kb = one.memory_kb("VmRSS:").max(two.memory_kb("VmRSS:"));

    let (mut refused, mut most) = (0, 0);
    for number in 0..2 * MAX_MEMORY as usize / KEY_BYTES {
        let answer = client.resp(&[b"DEL", &long_key(number, KEY_BYTES)[..]]).to_string();
        assert!(answer == ":0" || answer.starts_with("-OOM memory is full (--max-memory)"), "{answer}");
        refused += usize::from(answer != ":0");
        if number % 256 == 0 {
            most = most.max(client.count("used_memory"));
        }
    }
    println!("{refused} deletes were refused, {most} bytes counted at most");
    assert!(refused > 0 && most <= MAX_MEMORY * 5 / 4, "{refused} refused, {most} bytes");
    assert_within_bound(&one, before_kb, 0, 1.5);
    assert_within_bound(&two, before_kb, 0, 1.5);
}

#[test]
fn in_a_full_memory_a_delete_that_frees_some_goes_on_and_one_that_needs_some_does_nothing() {
    let node = start(&[]);
    let mut client = node.client();
    assert_eq!(client.line("MSET held value also value more value"), "OK");
    assert_eq!(client.line("DEL deleted"), "Key not found");
    // Its peer is away: nothing is forgotten.
    let most = 2 * MAX_MEMORY as usize / KEY_BYTES;
    let full = (0..most).find(|&number| {
        let answer = client.resp(&[b"DEL", &long_key(number, KEY_BYTES)[..]]).to_string();
        assert!(answer == ":0" || answer.starts_with("-OOM "), "{answer}");
        answer != ":0"
    });
    assert!(full.is_some(), "{most} deletes of keys that are not here were not too many");
    assert!(client.count("used_memory") >= MAX_MEMORY * 11 / 10 - 2 * KEY_BYTES as u64);
    let refused =
        "ERROR: memory is full (--max-memory): only keys that this node holds can be deleted, and others be read";
    for request in ["DEL missing", "DEL held missing", "DEL missing held"] {
        assert_eq!(client.line(request), refused, "{request}");
    }
    assert_eq!(client.line("GET held"), "value", "all or nothing");
    assert_eq!(client.line("SET k v"), "ERROR: memory is full (--max-memory): only reads and deletes are possible");
    assert_eq!(client.line("DEL held"), "OK");
    assert_eq!(client.line("DEL also more"), "2");
    assert_eq!(client.line("DEL held deleted"), "0", "what is deleted already needs no memory");
}

#[test]
fn what_waits_for_a_peer_counts_as_memory_has_a_bound_and_stands_there_once() {
    const PEERS: usize = 3;
    let peers: Vec<String> = (0..PEERS).map(|_| closed_port().to_string()).collect();
    let node = start(&["--peer", &peers[0], "--peer", &peers[1], "--peer", &peers[2]]);
    let mut client = node.client();
    let key = long_key(0, MAX_KEY_BYTES);
    let mut set = || assert_eq!(client.resp(&[&b"SET"[..], &key, b"v"]).to_string(), "+OK");
    set();
    let mut other = node.client();
    let (before, before_kb) = (other.count("used_memory"), node.memory_kb("VmRSS:"));
    // The replicators have taken these from their queues, and cannot deliver them.
    const FEW: usize = 20;
    (0..FEW).for_each(|_| set());
    let counted = other.count("used_memory") - before;
    assert!(counted >= (FEW * MAX_KEY_BYTES) as u64, "{counted} bytes for {FEW} keys");
    (0..2000).for_each(|_| set());
    let counted = other.count("used_memory") - before;
    assert!(counted <= MAX_MEMORY / 8 + MIB, "{counted} bytes are counted");
    for peer in 1..=PEERS as u16 {
        assert!(other.peer(peer, "dropped").parse::<u64>().is_ok_and(|dropped| dropped > 1000));
    }
    let (grown_kb, allowed_kb) = (node.memory_kb("VmHWM:") - before_kb, MAX_MEMORY / 8 / 1024);
    assert!(grown_kb <= allowed_kb, "{grown_kb} KB");
}

#[test]
fn what_was_delivered_to_a_peer_no_longer_counts() {
    let links = Links::new(2);
    let one = start(&["--peer", &links.peers_of(1)[0]]);
    links.node_is_at(1, one.address);
    let mut client = one.client();
    let before = client.count("used_memory");
    let key = long_key(0, MAX_KEY_BYTES);
    (0..50).for_each(|_| assert_eq!(client.resp(&[&b"SET"[..], &key, b"v"]).to_string(), "+OK"));
    assert!(client.count("used_memory") - before >= 50 * MAX_KEY_BYTES as u64);
    let two = Process::start(&links, 2, "200ms");
    two.client().wait_until_it_serves();
    eventually("it is delivered", DEADLINE, || client.count("used_memory") - before < MIB);
    assert_eq!(client.peer(1, "dropped"), "0");
}

// ---- answers that are not read --------------------------------------------------------------------------------------

#[test]
fn answers_that_are_not_read_take_no_more_memory_than_the_bound() {
    let node = start(&[]);
    let mut client = node.client();
    let value = vec![b'v'; MAX_VALUE_BYTES];
    assert_eq!(client.resp(&[b"SET", &b"large"[..], &value]).to_string(), "+OK");
    assert_eq!(client.line("SET small value"), "OK");
    drop(client);
    let before_kb = node.memory_kb("VmRSS:");

    // Each would have an answer of 8 or 24 MiB.
    let count = connections().min(50);
    let attack = |request: Vec<u8>| {
        let stream = TcpStream::connect(node.address).expect("the node listens");
        stream.set_nonblocking(true).expect("is connected");
        // As much as the node takes.
        let _ = (&stream).write_all(&request);
        stream
    };
    let (get, mget) = (encode(&["GET", "large"]), encode(&["MGET", "large", "large", "large"]));
    let attackers: Vec<TcpStream> =
        (0..count).map(|number| attack(if number % 2 == 0 { get.repeat(20) } else { mget.repeat(20) })).collect();
    let mut client = node.client();
    let (mut most, started) = (0, Instant::now());
    eventually("the answers pile up", DEADLINE, || {
        most = most.max(client.count("used_memory"));
        assert_eq!(client.line("GET small"), "value", "others are served");
        // (That they are cut off in the end is shown in `hostile_clients.rs`.)
        started.elapsed() > CLIENT_WRITE_TIMEOUT / 4
    });
    println!("{most} bytes counted at most");
    assert!(most <= most_counted(count), "{most} bytes are counted");
    assert_within_bound(&node, before_kb, count, 1.5);
    drop(attackers);
    eventually("the memory is given back", DEADLINE, || client.count("used_memory") < 10 * MIB);
}

#[test]
fn one_who_has_grown_a_buffer_does_not_keep_it_while_he_is_silent() {
    let node = start(&[]);
    let mut client = node.client();
    let value = vec![b'v'; MAX_VALUE_BYTES / 4];
    let mut silent: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = node.client();
            let echoed = client.resp(&[b"ECHO", &value[..]]);
            assert!(echoed == common::Value::Bulk(value.clone()), "there is room: {:.80}", echoed.to_string());
            client
        })
        .collect();
    // 20 of these would be 80 MB.
    let most = (silent.len() * 2 * KEPT_BUFFER_BYTES) as u64 + 2 * MIB;
    eventually("what silent clients have", DEADLINE, || client.count("used_memory") <= most);
    silent.iter_mut().for_each(|client| assert_eq!(client.line("PING"), "PONG"));
}

// ---- silence --------------------------------------------------------------------------------------------------------

#[test]
fn the_idle_timeout_ends_the_silent_also_in_the_middle_of_a_request_but_not_the_busy() {
    let node = start(&["--idle-timeout", "500ms"]);
    let mut in_between = node.client();
    assert_eq!(in_between.line("PING"), "PONG");
    let mut in_the_middle = node.client();
    in_the_middle.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nand then");
    let mut never = node.client();
    let mut busy = node.client();
    let started = Instant::now();
    let mut ended = 0;
    for silent in [&mut in_between, &mut in_the_middle, &mut never] {
        silent.stream().set_nonblocking(true).expect("is connected");
        eventually("the silent are ended", DEADLINE, || {
            assert_eq!(busy.line("PING"), "PONG", "the busy are not");
            !matches!((&mut silent.stream()).read(&mut [0; 100]), Err(error) if error.kind() == ErrorKind::WouldBlock)
        });
        ended += 1;
    }
    assert_eq!(ended, 3);
    assert!(started.elapsed() >= Duration::from_millis(400), "after the time, and not before");
    eventually("their places are free", DEADLINE, || busy.count("connected_clients") == 1);
}

// ---- descriptors ----------------------------------------------------------------------------------------------------

/// One of the nodes of `links`, started by a shell that has limited its descriptors, and with these options too.
fn start_limited(ulimit: &str, links: &Links, number: u16, arguments: &[&str]) -> Process {
    let program = if number == 1 { env!("CARGO_BIN_EXE_node1") } else { env!("CARGO_BIN_EXE_node2") };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{ulimit} && exec \"$0\" \"$@\""), program]);
    command.args(["--listen", "127.0.0.1:0", "--interval", "200ms", "--peer", &links.peers_of(number)[0]]);
    let node = Process::run(command.args(arguments));
    links.node_is_at(number, node.address);
    node.client().wait_until_it_serves();
    node
}

/// Clients that connect and say nothing.
fn idle_crowd(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    rlimit::increase_nofile_limit(u64::MAX).expect("the tests have as many descriptors as they may");
    (0..count).map(|_| TcpStream::connect(address).expect("the machine takes it")).collect()
}

#[test]
fn idle_clients_that_take_every_place_keep_no_peer_out() {
    const DESCRIPTORS: usize = 256;
    let start = |links: &Links, number| start_limited(&format!("ulimit -n {DESCRIPTORS}"), links, number, &[]);
    let links = Links::new(2);
    let (one, two) = (start(&links, 1), start(&links, 2));
    let (mut client, mut other) = (one.client(), two.client());
    let crowds = [idle_crowd(one.address, 2 * DESCRIPTORS), idle_crowd(two.address, 2 * DESCRIPTORS)];
    links.set(Mode::Cut);
    eventually("the links are down", DEADLINE, || client.peer(1, "link") == "down" && other.peer(1, "link") == "down");
    assert_eq!((client.line("SET from1 x"), other.line("SET from2 y")), ("OK".into(), "OK".into()));
    links.heal();
    eventually("the peers are back, in both directions", DEADLINE, || {
        client.peer(1, "link") == "up" && other.peer(1, "link") == "up"
    });
    eventually("each has what the other wrote", DEADLINE, || {
        (client.line("GET from2"), other.line("GET from1")) == ("y".into(), "x".into())
    });
    two.kill();
    let two = start(&links, 2);
    assert_eq!(two.client().lines("MGET from1 from2"), ["x", "y"], "a peer that starts again gets the data");

    let places = client.count("maxclients");
    assert!(places < DESCRIPTORS as u64, "{places} clients");
    assert!(client.count("connected_clients") >= places, "the crowd is still there");
    assert_eq!(client.lines("CONFIG GET maxclients"), ["maxclients", &places.to_string()]);
    assert_eq!(one.told(&format!("at most {places} clients are served, not 10000 (--max-connections)")), 1);
    assert_eq!(one.told("cannot accept"), 0, "{:?}", one.log());
    drop(crowds);
}

#[test]
fn a_node_takes_as_many_descriptors_as_it_may() {
    const CLIENTS: usize = 300;
    let options = ["--max-connections", &CLIENTS.to_string()];
    let node = start_limited("ulimit -Sn 256", &Links::new(2), 1, &options);
    let mut clients: Vec<Client> = (0..CLIENTS - 1).map(|_| node.client()).collect();
    assert!(clients.iter_mut().all(|client| client.line("PING") == "PONG"));
    assert_eq!(clients[0].count("maxclients"), CLIENTS as u64);
    assert_eq!(node.told("WARN"), 0, "{:?}", node.log());
}

#[test]
fn more_connections_than_the_machine_has_memory_maps_for_are_told_at_the_start() {
    let node = start(&["--max-connections", "1000000"]);
    let maps = || std::fs::read_to_string(format!("/proc/{}/maps", node.id())).expect("Linux").lines().count();
    let (mut client, before) = (node.client(), maps());
    let crowd: Vec<Client> = (0..100).map(|_| node.client()).collect();
    eventually("all are served", DEADLINE, || client.count("connected_clients") > 100);
    let taken = maps() - before;
    assert!(taken <= 100 * MAPS_A_CONNECTION + 100, "{taken} maps for 100 connections");
    let allowed = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux");
    let allowed: usize = allowed.trim().parse().expect("a number");
    // Fewer than a million if this process may not have so many open files.
    let needed = client.count("maxclients") as usize * MAPS_A_CONNECTION;
    let told = node.told(&format!("memory maps, and this machine allows {allowed}: sysctl -w vm.max_map_count="));
    assert_eq!(told, usize::from(needed > allowed), "{needed} of {allowed}: {:?}", node.log());
    drop(crowd);
}

#[test]
fn the_nodes_of_one_process_share_its_descriptors() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 512 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kvstore"), "--port"]);
    let cluster = Process::run(command.arg(two_free_ports().to_string()));
    let other = SocketAddr::from(([127, 0, 0, 1], cluster.address.port() + 1));
    let crowd = idle_crowd(cluster.address, 600);
    let (mut late, mut one) = (Client::connect(other), Client::connect(other));
    late.wait_until_it_serves();
    assert!(one.count("maxclients") < 256);
    assert_eq!(late.line("SET k v"), "OK", "the crowd of one node takes nothing from the other");
    drop(crowd);
}

#[test]
fn so_few_descriptors_that_no_client_gets_one_are_refused_in_one_line() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec timeout 10 \"$0\" --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_node1")]);
    let output = command.output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    assert!(said.contains("64 open files") && said.contains("ulimit -n"), "{said}");
}

/// How many descriptors a running node has left.
const FEW: u64 = 64;
/// The CPU time of a process, in units of 10 ms.
fn computed(node: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.id())).expect("Linux has /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[test]
fn without_descriptors_accepting_waits_and_serving_goes_on() {
    let node = start(&[]);
    let mut client = node.client();
    assert_eq!(client.line("SET k v"), "OK");
    // As if other processes of the machine held them.
    rlimit::prlimit(node.id() as i32, rlimit::Resource::NOFILE, Some((FEW, FEW)), None).expect("it is our child");

    for episode in 1..=2 {
        let crowd = idle_crowd(node.address, 3 * FEW as usize);
        eventually("the descriptors are gone", DEADLINE, || node.told("cannot accept a connection") >= episode);
        let (before, started) = (computed(&node), Instant::now());
        eventually("time to try again a few times", DEADLINE, || {
            assert_eq!(client.line("GET k"), "v", "a connected client is served");
            thread::sleep(ACCEPT_PAUSE / 10);
            started.elapsed() >= 5 * ACCEPT_PAUSE
        });
        let ticks = computed(&node) - before;
        assert!(ticks <= 25, "{ticks} ticks of 10 ms were computed in {:?}: it does not spin", started.elapsed());
        assert!(node.told("cannot accept a connection") <= 2 * episode, "it does not fill the log: {:?}", node.log());
        drop(crowd);
        let mut late = node.client();
        eventually("new clients are served again", DEADLINE, || late.line("GET k") == "v");
        eventually("the crowd has gone", DEADLINE, || client.count("connected_clients") == 2);
    }
}
