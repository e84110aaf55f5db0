//! What two nodes must withstand from the network, the machines and the clocks, over real sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, Value, encode, eventually};
use kvstore::config::{Config, SharedWallClock};
use kvstore::framing::RequestParser;
use kvstore::limits::PEER_IO_TIMEOUT;
use kvstore::node::Node;
use kvstore::replication::message::{Differences, Greeting, Incarnation, Listed, Reply, Request};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::rules::{Rule, Rules};
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

/// After a heal, all nodes must agree within this time: the longest interval with jitter, and what a round may take on
/// a busy machine.
const ONE_INTERVAL: Duration = Duration::from_millis(220 + 1500);

/// Sends many requests on one connection without waiting for each answer. All answers must begin with `expected`.
#[track_caller]
fn pipeline(client: &mut Client, requests: impl Iterator<Item = Vec<u8>>, expected: &str) {
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let batch: Vec<Vec<u8>> = requests.by_ref().take(1000).collect();
        client.send(batch.concat());
        for _ in &batch {
            let answer = client.read_value().to_string();
            assert!(answer.starts_with(expected), "{answer}");
        }
    }
}

fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    encode(&[b"SET", key.as_ref(), value.as_ref()])
}

fn del(key: impl AsRef<[u8]>) -> Vec<u8> {
    encode(&[b"DEL", key.as_ref()])
}

// ---- a node is killed -----------------------------------------------------------------------------------------------

#[test]
fn a_killed_node_answers_only_after_it_has_caught_up_and_no_deleted_key_returns() {
    let links = Links::new(2);
    let first = Process::start(&links, 1, "200ms");
    let second = Process::start(&links, 2, "200ms");
    let mut client = first.client();
    client.wait_until_it_serves();
    pipeline(&mut client, (0..1000).map(|n| set(format!("old:{n}"), "old")), "+OK");
    let mut other = second.client();
    other.wait_until_it_serves();
    eventually("node 2 has the first keys", DEADLINE, || other.line("DBSIZE") == "1000");
    second.kill();

    pipeline(&mut client, (0..10_000).map(|n| set(format!("new:{n}"), format!("value {n}"))), "+OK");
    pipeline(&mut client, (0..1000).map(|n| del(format!("old:{n}"))), ":1");

    let second = Process::start(&links, 2, "200ms");
    let mut other = second.client();
    // It may say that it is loading, but never that it lacks a key that the cluster holds.
    eventually("node 2 serves clients", DEADLINE, || match other.line("GET new:9999").as_str() {
        "value 9999" => true,
        answer => {
            assert!(answer.starts_with("ERROR: loading"), "{answer}");
            false
        }
    });
    assert_eq!(other.line("DBSIZE"), "10000");
    assert_eq!(other.line("GET old:7"), "Key not found");
    assert_eq!(other.lines("KEYS old:*"), [""; 0]);
    eventually("equal DIGESTs", DEADLINE, || client.line("DIGEST") == other.line("DIGEST"));
}

#[test]
fn a_starting_node_says_that_it_is_loading_until_its_first_round_has_ended() {
    let mut cluster = Cluster::start(2);
    assert_eq!(cluster.client(1).line("SET k v"), "OK");
    cluster.stop(2);
    cluster.links.between(2, 1).set(Mode::Stalled);
    cluster.start_again(2, |_| {});
    let mut client = cluster.client(2);
    for request in ["GET k", "SET k w", "DEL k", "DBSIZE", "KEYS *", "SCAN 0", "DIGEST", "EXISTS k", "PING", "SYNC"] {
        assert!(client.line(request).starts_with("ERROR: loading"), "{request}");
    }
    assert!(client.resp(&["GET", "k"]).to_string().starts_with("-LOADING loading"));
    assert_eq!(client.info()["loading"], "1");
    assert_eq!(client.line("CLIENT SETNAME me"), "OK", "what says nothing about the data is answered");
    cluster.links.heal();
    client.wait_until_it_serves();
    assert_eq!(client.line("GET k"), "v");
    assert_eq!(client.info()["loading"], "0");
}

#[test]
fn a_node_whose_peers_are_all_away_serves_with_what_it_has() {
    let mut cluster = Cluster::start(2);
    cluster.stop(1);
    cluster.stop(2);
    cluster.start_again(2, |_| {});
    cluster.client(2).wait_until_it_serves();
    assert_eq!(cluster.client(2).line("SET k v"), "OK");
    assert_eq!(cluster.client(2).peer(1, "link"), "down");
}

// ---- the nodes cannot reach each other ------------------------------------------------------------------------------

/// The version of every key on one node: time, counter and node, in the order in which they count.
fn versions(client: &mut Client, keys: &[String]) -> BTreeMap<String, (String, u16, u16)> {
    let mut version = |key: &String| {
        let line = client.line(format!("VERSION {key}"));
        let mut words = line.split([' ', '+']);
        let time = words.next().expect("a date, which sorts as text").to_string();
        let mut number = || words.find_map(|word| word.parse::<u16>().ok()).expect("a counter and a node");
        (time, number(), number())
    };
    keys.iter().map(|key| (key.clone(), version(key))).collect()
}

/// Returns when every clock shows a later time than before.
fn a_millisecond_passes() {
    let now = || Timestamp::from(std::time::SystemTime::now());
    let before = now();
    eventually("the next millisecond", DEADLINE, || now() > before);
}

/// Both nodes write and delete the same and different keys while the network is in `mode`. Then it heals, and both
/// nodes must hold the greatest version of each key.
#[track_caller]
fn diverge_and_heal(mode: Mode) {
    let cluster = Cluster::start(2);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let keys: Vec<String> = ["shared", "first", "second", "gone"]
        .iter()
        .flat_map(|kind| (0..50).map(move |n| format!("{kind}:{n}")))
        .collect();
    pipeline(&mut one, keys.iter().map(|key| set(key, "before")), "+OK");
    cluster.wait_until_it_agrees();

    cluster.links.set(mode);
    for n in 0..50 {
        // The node that writes later changes from key to key.
        let (early, late) = if n % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        assert_eq!(early.line(format!("SET shared:{n} early")), "OK");
        assert_eq!(early.line(format!("SET gone:{n} early")), "OK");
        a_millisecond_passes();
        assert_eq!(late.line(format!("SET shared:{n} late")), "OK");
        assert_eq!(late.line(format!("DEL gone:{n}")), "OK");
        assert_eq!(one.line(format!("SET first:{n} one")), "OK");
        assert_eq!(two.line(format!("DEL second:{n}")), "OK");
        assert_eq!(two.line(format!("SET added:{n} two")), "OK");
    }
    assert!(!cluster.agrees());
    let (ones, twos) = (versions(&mut one, &keys), versions(&mut two, &keys));

    let healed = Instant::now();
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    let took = healed.elapsed();
    println!("{mode:?}: equal {took:?} after the heal");
    assert!(took < ONE_INTERVAL, "{took:?}");
    let greatest: BTreeMap<_, _> =
        keys.iter().map(|key| (key.clone(), ones[key].clone().max(twos[key].clone()))).collect();
    for client in [&mut one, &mut two] {
        assert!(versions(client, &keys) == greatest, "the greatest version of each key stands everywhere");
        for n in 0..50 {
            assert_eq!(client.line(format!("GET shared:{n}")), "late");
            assert_eq!(client.line(format!("GET gone:{n}")), "Key not found");
            assert_eq!(client.line(format!("GET first:{n}")), "one");
            assert_eq!(client.line(format!("GET second:{n}")), "Key not found");
            assert_eq!(client.line(format!("GET added:{n}")), "two");
        }
        assert_eq!(client.line("DBSIZE"), "150");
    }
}

#[test]
fn nodes_that_were_cut_off_from_each_other_agree_within_an_interval_of_the_heal() {
    diverge_and_heal(Mode::Cut);
}

#[test]
fn nodes_whose_messages_were_held_up_agree_within_an_interval_of_the_heal() {
    diverge_and_heal(Mode::Stalled);
}

#[test]
fn one_direction_of_a_link_is_enough_to_agree() {
    let cluster = Cluster::start(2);
    cluster.links.between(1, 2).set(Mode::Cut);
    assert_eq!(cluster.client(1).line("SET a 1"), "OK");
    assert_eq!(cluster.client(2).line("SET b 2"), "OK");
    cluster.wait_until_it_agrees();
    assert_eq!(cluster.client(1).line("GET b"), "2");
    assert_eq!(cluster.client(2).line("GET a"), "1");
}

#[test]
fn three_nodes_agree_although_two_of_them_never_reach_each_other() {
    let cluster = Cluster::start(3);
    cluster.links.between(1, 3).set(Mode::Cut);
    cluster.links.between(3, 1).set(Mode::Cut);
    for number in 1..=3 {
        a_millisecond_passes();
        assert_eq!(cluster.client(number).line(format!("SET from{number} x")), "OK");
        assert_eq!(cluster.client(number).line(format!("SET shared {number}")), "OK");
    }
    cluster.wait_until_it_agrees();
    for number in 1..=3 {
        assert_eq!(cluster.client(number).lines("MGET from1 from2 from3 shared"), ["x", "x", "x", "3"]);
    }
}

#[test]
fn a_delete_wins_over_the_value_of_a_peer_that_was_away_and_still_has_it() {
    assert_eq!(value_after_missed_delete(None), "Key not found");
}

#[test]
fn without_tombstones_a_deleted_key_comes_back() {
    assert_eq!(value_after_missed_delete(Some(Rule::Tombstones)), "v");
}

/// Node 1 deletes a key while it cannot reach node 2. Returns what node 1 answers for that key once they agree again.
fn value_after_missed_delete(without: Option<Rule>) -> String {
    let cluster = Cluster::start_with(2, |config| {
        config.rules = without.iter().fold(config.rules, |rules, &rule| rules.without(rule));
    });
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET k v"), "OK");
    cluster.wait_until_it_agrees();
    cluster.links.set(Mode::Cut);
    assert_eq!(one.line("DEL k"), "OK");
    assert_eq!(two.line("GET k"), "v");
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    assert_eq!(one.line("GET k"), two.line("GET k"));
    one.line("GET k")
}

#[test]
fn a_delete_is_forgotten_once_every_peer_holds_it_and_not_before() {
    let cluster = Cluster::start_with(2, |config| config.interval = Duration::from_millis(20));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET k v"), "OK");
    cluster.wait_until_it_agrees();
    cluster.links.set(Mode::Cut);
    assert_eq!(one.line("DEL k"), "OK");
    let rounds = one.count("rounds_failed");
    eventually("ten rounds fail", DEADLINE, || one.count("rounds_failed") > rounds + 10);
    assert_eq!(one.info()["tombstones"], "1", "it waits for node 2");
    assert_eq!(one.peer(1, "waiting"), "1");
    cluster.links.heal();
    eventually("both have forgotten it", DEADLINE, || one.count("tombstones") + two.count("tombstones") == 0);
    assert_eq!((one.line("VERSION k"), two.line("VERSION k")), ("Key not found".into(), "Key not found".into()));
    assert!(one.count("tombstones_forgotten") >= 1);
}

// ---- propagation ----------------------------------------------------------------------------------------------------

#[test]
fn a_write_reaches_the_peer_without_waiting_for_a_round() {
    let cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET k v"), "OK");
    eventually("the value arrives", DEADLINE, || two.line("GET k") == "v");
    assert_eq!(two.line("DEL k"), "OK");
    eventually("the delete arrives", DEADLINE, || one.line("GET k") == "Key not found");
    assert_eq!((one.count("propagated"), two.count("propagated")), (1, 1));
}

#[test]
fn without_propagation_a_write_waits_for_a_round() {
    let cluster = Cluster::start_with(2, |config| {
        config.interval = Duration::from_secs(3600);
        config.rules = config.rules.without(Rule::Propagation);
    });
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET k v"), "OK");
    assert_eq!(two.line("GET k"), "Key not found");
    assert!(two.lines("SYNC")[0].contains("pulled 1, pushed 0"));
    assert_eq!(two.line("GET k"), "v");
}

#[test]
fn a_full_queue_drops_keys_counts_them_and_the_next_round_repairs_them() {
    let cluster = Cluster::start_with(2, |config| config.propagation_queue = 8);
    cluster.links.set(Mode::Cut);
    let mut one = cluster.client(1);
    let started = Instant::now();
    pipeline(&mut one, (0..5000).map(|n| set(format!("k{n}"), "v")), "+OK");
    assert!(started.elapsed() < Duration::from_secs(5), "the client was slowed: {:?}", started.elapsed());
    let dropped: usize = one.peer(1, "dropped").parse().expect("a number");
    assert!((4000..5000).contains(&dropped), "{dropped}");
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    assert_eq!(cluster.client(2).line("DBSIZE"), "5000");
    let repaired = cluster.client(2).count("sync_pulled") + one.count("sync_pushed");
    assert!(repaired >= dropped as u64, "{repaired} of {dropped}");
}

#[test]
fn without_anti_entropy_what_a_full_queue_dropped_stays_lost() {
    let cluster = Cluster::start_with(2, |config| {
        config.propagation_queue = 8;
        config.rules = config.rules.without(Rule::AntiEntropy);
    });
    cluster.links.set(Mode::Cut);
    let mut one = cluster.client(1);
    pipeline(&mut one, (0..100).map(|n| set(format!("k{n}"), "v")), "+OK");
    cluster.links.heal();
    let queued = |client: &mut Client| client.peer(1, "queued") == "0" && client.count("propagated") > 0;
    eventually("what was queued is delivered", DEADLINE, || queued(&mut one));
    assert_eq!(one.line("SET last x"), "OK");
    eventually("a later write arrives", DEADLINE, || cluster.client(2).line("GET last") == "x");
    assert!(!cluster.agrees());
}

// ---- clocks ---------------------------------------------------------------------------------------------------------

const HOUR_MS: i64 = 3_600_000;

/// The machine's clock, wrong by this many milliseconds.
fn clock_off_by(ms: i64) -> SharedWallClock {
    Arc::new(move || {
        let now: Timestamp = std::time::SystemTime::now().into();
        Timestamp::from_millis(now.millis().saturating_add_signed(ms))
    })
}

/// Two nodes; the clock of the second is wrong by this many milliseconds.
fn cluster_with_wrong_clock(ms: i64, without: Option<Rule>) -> Cluster {
    Cluster::start_with(2, |config| {
        if config.node == 2 {
            config.wall_clock = clock_off_by(ms);
        }
        config.rules = without.iter().fold(config.rules, |rules, &rule| rules.without(rule));
    })
}

/// Each node in turn writes what follows the other's write, and deletes and sets it again.
#[track_caller]
fn later_writes_win(cluster: &Cluster) {
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    for n in 0..5 {
        for (writer, reader) in [(1, 2), (2, 1)] {
            let (mut writer, mut reader) = (cluster.client(writer), cluster.client(reader));
            let value = format!("{n} by {}", writer.info()["name"]);
            assert_eq!(writer.line(format!("SET k {value}")), "OK");
            eventually("the later write wins", DEADLINE, || reader.line("GET k") == value);
            assert_eq!(reader.line("DEL k"), "OK");
            eventually("the later delete wins", DEADLINE, || writer.line("GET k") == "Key not found");
        }
    }
    cluster.wait_until_it_agrees();
    assert_eq!(one.line("VERSION k"), two.line("VERSION k"));
}

#[test]
fn a_later_write_wins_although_the_other_nodes_clock_is_an_hour_ahead() {
    let cluster = cluster_with_wrong_clock(HOUR_MS, None);
    later_writes_win(&cluster);
    assert!(cluster.client(1).count("clock_drift_rejected") > 0, "node 1 has seen times far ahead of its own");
    assert_eq!(cluster.client(2).count("clock_drift_rejected"), 0);
}

#[test]
fn a_later_write_wins_although_the_other_nodes_clock_is_an_hour_behind() {
    let cluster = cluster_with_wrong_clock(-HOUR_MS, None);
    later_writes_win(&cluster);
    assert!(cluster.client(2).count("clock_drift_rejected") > 0, "node 2 has seen times far ahead of its own");
}

#[test]
fn the_clock_of_a_node_that_is_far_ahead_does_not_drag_the_others_along() {
    let cluster = cluster_with_wrong_clock(HOUR_MS, None);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(two.line("SET k v"), "OK");
    eventually("the value arrives", DEADLINE, || one.line("GET k") == "v");
    assert_eq!(one.line("SET other x"), "OK");
    let (ahead, now) = (one.line("VERSION k"), one.line("VERSION other"));
    assert!(now < ahead, "{now} is before {ahead}");
}

#[test]
fn without_the_stamp_bump_an_acknowledged_write_loses_against_what_it_replaces() {
    let cluster = cluster_with_wrong_clock(HOUR_MS, Some(Rule::StampBump));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(two.line("SET k early"), "OK");
    eventually("the value arrives", DEADLINE, || one.line("GET k") == "early");
    assert_eq!(one.line("SET k late"), "OK");
    assert_eq!(one.line("GET k"), "early", "it was acknowledged, and is not there");
}

#[test]
fn two_writes_at_the_same_instant_have_the_same_winner_everywhere() {
    // A clock that both nodes share, and that the test moves.
    let millis = Arc::new(AtomicU64::new(1_700_000_000_000));
    let cluster = Cluster::start_with(2, |config| {
        let millis = Arc::clone(&millis);
        config.wall_clock = Arc::new(move || Timestamp::from_millis(millis.load(Relaxed)));
    });
    cluster.links.set(Mode::Cut);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    for key in &keys {
        millis.fetch_add(1, Relaxed);
        assert_eq!(one.line(format!("SET {key} zzz by one")), "OK");
        assert_eq!(two.line(format!("SET {key} by two")), "OK");
    }
    let (ones, twos) = (versions(&mut one, &keys), versions(&mut two, &keys));
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    let mut ties = 0;
    for key in &keys {
        let value = one.line(format!("GET {key}"));
        assert_eq!(value, two.line(format!("GET {key}")));
        let ((time, counter, _), (other_time, other_counter, _)) = (&ones[key], &twos[key]);
        if (time, counter) == (other_time, other_counter) {
            assert_eq!(value, "by two", "the greater node number decides");
            ties += 1;
        }
    }
    // A node's clock also moves when it tries to reach its peer.
    assert!(ties > 50, "{ties}");
}

/// A fault can cause this, like two nodes with the same number that wrote before they met.
#[test]
fn two_contents_under_one_version_have_the_same_winner_everywhere() {
    let cluster = Cluster::start(2);
    let version = Version::new(Timestamp::from_millis(1_700_000_000_000), NodeId(9));
    cluster.links.set(Mode::Cut);
    for (number, contents) in
        [(1, [Content::Value(b"a"), Content::Tombstone]), (2, [Content::Value(b"b"), Content::Value(b"c")])]
    {
        for (key, content) in ["value", "gone"].iter().zip(contents) {
            cluster.node(number).replica().store().merge(Record::new(key.as_bytes(), Entry { version, content }));
        }
    }
    assert!(!cluster.agrees());
    cluster.links.heal();
    cluster.wait_until_it_agrees();
    for number in [1, 2] {
        assert_eq!(cluster.client(number).lines("MGET value gone"), ["b", "Key not found"]);
    }
}

// ---- a lot of data --------------------------------------------------------------------------------------------------

#[test]
fn an_empty_node_takes_over_a_large_store_in_bounded_memory_while_the_other_goes_on_answering() {
    const KEYS: usize = 1_000_000;
    const VALUE_BYTES: usize = 100;
    let patience = 4 * DEADLINE;
    let links = Links::new(2);
    let first = Process::start(&links, 1, "200ms");
    let mut client = first.client();
    client.wait_until_it_serves();
    pipeline(&mut client, (0..KEYS).map(|n| set(format!("key:{n}"), [b'x'; VALUE_BYTES])), "+OK");
    let filled_kb = first.memory_kb("VmHWM");

    let caught_up = Arc::new(AtomicBool::new(false));
    let (address, done) = (first.address, Arc::clone(&caught_up));
    let latencies = thread::spawn(move || {
        let (mut reader, mut worst, mut count) = (Client::connect(address), Duration::ZERO, 0_u32);
        while !done.load(Relaxed) {
            let started = Instant::now();
            assert_eq!(reader.resp(&["GET", "key:7"]), Value::Bulk(vec![b'x'; VALUE_BYTES]));
            worst = worst.max(started.elapsed());
            count += 1;
        }
        (worst, count)
    });

    let started = Instant::now();
    let second = Process::start(&links, 2, "200ms");
    let mut other = second.client();
    eventually("node 2 serves clients", patience, || other.line("PING") == "PONG");
    let took = started.elapsed();
    eventually("equal DIGESTs", patience, || client.line("DIGEST") == other.line("DIGEST"));
    caught_up.store(true, Relaxed);
    assert_eq!(other.line("DBSIZE"), KEYS.to_string());

    let (worst, count) = latencies.join().expect("every GET was answered");
    let (first_kb, second_kb, peak_kb) =
        (first.memory_kb("VmHWM"), second.memory_kb("VmRSS"), second.memory_kb("VmHWM"));
    println!("{KEYS} keys in {took:.1?}; the worst of {count} GETs on node 1 took {worst:.1?}");
    println!("node 1: {filled_kb} KB before, {first_kb} KB at most; node 2: {second_kb} KB, {peak_kb} KB at most");
    // What a round holds at a time does not grow with the store. The rest is for hash tables that grow, and the
    // allocator.
    let allowance_kb = 32 * 1024;
    assert!(first_kb < filled_kb + allowance_kb, "node 1 grew from {filled_kb} to {first_kb} KB");
    assert!(peak_kb < second_kb + allowance_kb, "node 2 needed {peak_kb} KB to hold {second_kb} KB");
    assert!(worst < Duration::from_secs(2), "{worst:?}");
}

#[test]
fn one_key_in_a_large_store_is_found_with_a_few_kilobytes() {
    let cluster = Cluster::start_with(2, |config| {
        config.interval = Duration::from_secs(3600);
        config.rules = config.rules.without(Rule::Propagation);
    });
    for n in 0..50_000 {
        cluster.node(1).replica().set(format!("k{n}").as_bytes(), b"v");
    }
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert!(two.lines("SYNC")[0].contains("pulled 50000, pushed 0"));
    assert!(cluster.agrees());
    let before = two.count("sync_bytes_sent") + two.count("sync_bytes_received");
    assert_eq!(one.line("SET k777 changed"), "OK");
    assert!(two.lines("SYNC")[0].contains("pulled 1, pushed 0"));
    assert_eq!(two.line("GET k777"), "changed");
    let spent = two.count("sync_bytes_sent") + two.count("sync_bytes_received") - before;
    assert!(spent < 2048, "{spent} bytes for one key");
}

#[test]
fn after_an_outage_a_round_finds_what_the_queue_had_no_room_for() {
    let cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    cluster.links.set(Mode::Cut);
    // Writes of one key fill the queue, and a batch of them is sent as one entry.
    pipeline(&mut one, (0..70_000).map(|n| set("same", n.to_string())), "+OK");
    pipeline(&mut one, (0..100).map(|n| set(format!("late:{n}"), "v")), "+OK");
    assert!(one.peer(1, "dropped").parse::<u64>().unwrap() > 100);
    let before = one.count("rounds");
    cluster.links.heal();
    eventually("node 2 has what the queue had no room for", DEADLINE, || two.line("DBSIZE") == "101");
    eventually("the round is over", DEADLINE, || one.count("rounds") > before);
    let rounds = one.count("rounds");
    for n in 0..100 {
        assert_eq!(one.line(format!("SET after:{n} v")), "OK");
        eventually("it arrives", DEADLINE, || two.line(format!("GET after:{n}")) == "v");
    }
    assert_eq!(one.count("rounds"), rounds, "one round was enough");
}

#[test]
fn after_an_outage_a_round_does_not_send_what_the_queue_holds() {
    let cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    cluster.links.set(Mode::Cut);
    pipeline(&mut one, (0..60_000).map(|n| set(format!("key:{n}"), "v")), "+OK");
    let rounds = one.count("rounds");
    cluster.links.heal();
    eventually("node 2 has all", DEADLINE, || two.line("DBSIZE") == "60000");
    eventually("the round is over", DEADLINE, || one.count("rounds") > rounds);
    assert_eq!(one.count("sync_pushed"), 0);
}

/// A peer: a replica behind a socket. While it is confused, it lists entries that it then does not send. Returns how
/// many connections it has accepted.
fn serve_confused_peer(listener: TcpListener, replica: Arc<Replica>, confused: Arc<AtomicBool>) -> Arc<AtomicU64> {
    let accepted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&accepted);
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counter.fetch_add(1, Relaxed);
            let (mut session, mut parser, mut bytes) = (PeerSession::default(), RequestParser::default(), Vec::new());
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                bytes.extend_from_slice(&piece[..count]);
                let mut answers = Vec::new();
                while let Ok(Some((form, length))) = parser.parse(&bytes) {
                    let request = Request::decode(parser.args(form, &bytes)).expect("the node speaks the protocol");
                    let reply = match request {
                        Request::Leaf(_) if confused.load(Relaxed) => {
                            let same = replica.store().record(b"k").expect("was written");
                            Reply::Leaf(Differences { listed: vec![Listed::from(&same)], ..Differences::default() })
                        }
                        Request::Fetch(_) if confused.load(Relaxed) => {
                            Reply::Entries { covered: 1, records: Vec::new() }
                        }
                        request => replica.handle(&mut session, request),
                    };
                    reply.encode(&mut answers);
                    bytes.drain(..length);
                }
                if stream.write_all(&answers).is_err() {
                    break;
                }
            }
        }
    });
    accepted
}

#[test]
fn a_link_whose_round_went_wrong_is_opened_anew_and_shown_as_up_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let identity = Identity::in_memory("confused", NodeId(9), Incarnation(9));
    let replica = Arc::new(Replica::new(identity, Rules::default(), Box::new(|| SystemTime::now().into())));
    replica.set(b"k", b"v");
    let mut config = Config::new(1, "127.0.0.1:0", vec![listener.local_addr().expect("it is bound").to_string()]);
    config.interval = Duration::from_millis(50);
    let confused = Arc::new(AtomicBool::new(true));
    let accepted = serve_confused_peer(listener, Arc::clone(&replica), Arc::clone(&confused));
    let node = Node::start(config).expect("a node starts");
    let mut client = Client::connect(node.address());
    eventually("a round went wrong", DEADLINE, || client.count("rounds_failed") > 0);
    assert_eq!(client.peer(1, "last_round"), "failed");
    eventually("the next round has a connection of its own", DEADLINE, || accepted.load(Relaxed) > 1);
    confused.store(false, Relaxed);
    eventually("the link is up again", DEADLINE, || client.peer(1, "link") == "up" && client.line("GET k") == "v");
    // If the link counts as lost, each write asks for a round.
    let rounds = client.count("rounds");
    (0..200).for_each(|n| assert_eq!(client.line(format!("SET k{n} v")), "OK"));
    eventually("the peer has it all", DEADLINE, || replica.store().counts().keys == 201);
    assert!(client.count("rounds") < rounds + 100, "no round for each write");
    node.stop();
}

// ---- a node starts again --------------------------------------------------------------------------------------------

#[test]
fn a_delete_that_a_peer_has_settled_does_not_undo_the_writes_of_a_node_that_starts_with_its_clock_behind() {
    const KEYS: usize = 200;
    let behind = |config: &mut Config| {
        if config.node == 2 {
            config.wall_clock = clock_off_by(-90_000);
        }
        // Only node 1 runs rounds, so only node 1 settles; nothing is forgotten before the restart.
        config.interval = Duration::from_secs(3600);
    };
    let mut cluster = Cluster::start_with(2, behind);
    let mut one = cluster.client(1);
    pipeline(&mut one, (0..KEYS).map(|n| set(format!("k{n}"), "early")), "+OK");
    pipeline(&mut one, (0..KEYS).map(|n| del(format!("k{n}"))), ":1");
    cluster.wait_until_it_agrees();
    eventually("node 1 has settled the deletes", DEADLINE, || {
        cluster.client(2).lines("SYNC");
        one.lines("SYNC");
        one.count("tombstones_settled") == KEYS as u64 || one.count("tombstones") == 0
    });
    assert_eq!(one.count("tombstones_forgotten"), 0, "node 1 still holds them, settled");

    cluster.stop(2);
    cluster.start_again(2, behind);
    let mut two = cluster.client(2);
    two.wait_until_it_serves();
    pipeline(&mut two, (0..KEYS).map(|n| set(format!("k{n}"), "late")), "+OK");
    eventually("node 1 has the later writes", DEADLINE, || {
        one.lines("SYNC");
        two.lines("SYNC");
        cluster.agrees()
    });
    for client in [&mut one, &mut two] {
        assert_eq!(client.line("DBSIZE"), KEYS.to_string(), "no write is undone by a delete that was made before it");
        assert_eq!(client.line("GET k7"), "late");
    }
}

#[test]
fn a_delete_that_was_settled_before_a_node_was_first_met_does_not_undo_its_writes() {
    let start = |number, peers, behind_ms: i64| {
        let mut config = Config::new(number, "127.0.0.1:0", peers);
        config.interval = Duration::from_secs(3600);
        config.wall_clock = clock_off_by(-behind_ms);
        Node::start(config).expect("a node starts")
    };
    let first = start(1, Vec::new(), 0);
    let mut one = Client::connect(first.address());
    one.wait_until_it_serves();
    assert_eq!((one.line("SET k early"), one.line("DEL k")), ("OK".into(), "OK".into()));
    one.lines("SYNC");
    assert_eq!((one.count("tombstones_settled"), one.count("tombstones_forgotten")), (1, 0));

    let second = start(2, vec![first.address().to_string()], 90_000);
    let mut two = Client::connect(second.address());
    two.wait_until_it_serves();
    assert_eq!(two.line("SET k late"), "OK");
    two.lines("SYNC");
    assert_eq!((one.line("GET k"), two.line("GET k")), ("late".into(), "late".into()));
    second.stop();
    first.stop();
}

#[test]
fn a_node_whose_load_breaks_on_the_way_does_not_serve_part_of_the_data() {
    const KEYS: usize = 200_000;
    let mut cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    cluster.stop(2);
    (0..KEYS).for_each(|n| cluster.node(1).replica().set(format!("key:{n}").as_bytes(), &[b'x'; 100]));
    cluster.links.between(2, 1).break_after(5_000_000);
    cluster.start_again(2, |config| config.interval = Duration::from_secs(3600));
    let mut two = cluster.client(2);
    eventually("node 2 serves clients", DEADLINE, || match two.line("DBSIZE").as_str() {
        answer if answer.starts_with("ERROR: loading") => false,
        count => {
            assert_eq!(count, KEYS.to_string(), "it serves all, or nothing");
            true
        }
    });
}

#[test]
fn a_peer_that_takes_connections_but_stays_silent_is_waited_for_only_so_long() {
    let mut cluster = Cluster::start(2);
    cluster.stop(2);
    cluster.links.between(2, 1).set(Mode::Stalled);
    let started = Instant::now();
    cluster.start_again(2, |config| config.load_patience = Duration::from_secs(8));
    let mut two = cluster.client(2);
    assert!(two.line("GET k").starts_with("ERROR: loading"));
    two.wait_until_it_serves();
    assert!(started.elapsed() > Duration::from_secs(7), "after {:?}", started.elapsed());
}

#[test]
fn a_short_load_patience_also_bounds_the_attempt_that_is_under_way() {
    let mut cluster = Cluster::start(2);
    cluster.stop(2);
    cluster.links.between(2, 1).set(Mode::Stalled);
    let started = Instant::now();
    cluster.start_again(2, |config| config.load_patience = Duration::from_millis(1500));
    cluster.client(2).wait_until_it_serves();
    let took = started.elapsed();
    assert!(took > Duration::from_secs(1) && took < PEER_IO_TIMEOUT - Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_peer_that_hangs_is_shown_as_down_when_the_first_exchange_has_timed_out() {
    // After the load the patience no longer counts, also for connections that were opened before.
    let cluster = Cluster::start_with(2, |config| config.load_patience = Duration::from_secs(1));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET k v"), "OK");
    eventually("the link is up", DEADLINE, || two.line("GET k") == "v" && one.peer(1, "link") == "up");
    cluster.links.set(Mode::Stalled);
    // Now the replicator and the rounds wait for the peer in turn.
    assert_eq!(one.line("SET k w"), "OK");
    let took = eventually("the link is down", DEADLINE, || one.peer(1, "link") == "down");
    assert!(took > Duration::from_secs(3), "{took:?}: the peer has the usual time");
    assert!(took < PEER_IO_TIMEOUT + Duration::from_secs(2), "{took:?}: no second exchange is waited for");
}

#[test]
fn a_peer_that_hangs_does_not_delay_the_rounds_between_the_others() {
    let cluster = Cluster::start_with(3, |config| config.rules = config.rules.without(Rule::Propagation));
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2)] {
        cluster.links.between(from, to).set(Mode::Stalled);
    }
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let started = Instant::now();
    for n in 0..10 {
        assert_eq!(one.line(format!("SET k {n}")), "OK");
        eventually("node 2 has it from a round", DEADLINE, || two.line("GET k") == n.to_string());
    }
    let took = started.elapsed();
    println!("ten repairs in {took:?}, at an interval of {:?}", crate::common::INTERVAL);
    assert!(took < Duration::from_secs(9), "{took:?}: a round with the hung peer takes 5 s by itself");
}

#[test]
fn a_peer_that_was_never_met_is_named_and_can_be_dismissed_by_its_address() {
    let absent = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let cluster = Cluster::start_with(2, |config| {
        config.interval = Duration::from_millis(20);
        config.peers.push(absent.to_string());
    });
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!((one.line("SET k v"), one.line("DEL k")), ("OK".into(), "OK".into()));
    let held_by = format!("{absent}=never-met");
    eventually("INFO names it", DEADLINE, || one.info()["tombstones_held_by"] == held_by);
    assert_eq!(one.count("tombstones"), 1);
    assert!(one.line("FORGET node9").contains(&absent.to_string()), "the error lists what FORGET takes");
    for client in [&mut one, &mut two] {
        assert_eq!(client.line(format!("FORGET {absent}")), "OK");
    }
    eventually("both have forgotten it", DEADLINE, || one.count("tombstones") + two.count("tombstones") == 0);
    assert_eq!(one.info()["tombstones_held_by"], "");
}

#[test]
fn deletes_that_lie_ahead_of_the_clock_are_named_as_what_holds_them_up() {
    let cluster = Cluster::start_with(2, |config| {
        config.interval = Duration::from_millis(20);
        config.lab = true;
    });
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let waiting = |client: &mut Client| {
        let info = client.info();
        let count = |field: &str| info[field].parse::<i64>().expect("a number");
        count("tombstones") - count("tombstones_settled")
    };
    for (ahead, held_by) in [("30s", ""), ("1h", "clocks=apart")] {
        assert!(one.line(format!("CLOCK +{ahead}")).starts_with("OK"));
        assert_eq!((one.line("SET k v"), one.line("DEL k")), ("OK".into(), "OK".into()));
        eventually("node 1 has settled or forgotten it", DEADLINE, || waiting(&mut one) == 0);
        let told = |two: &mut Client| (two.info()["tombstones_held_by"].clone(), waiting(two));
        let expected = (held_by.to_string(), i64::from(!held_by.is_empty()));
        eventually("INFO says why it waits", DEADLINE, || told(&mut two) == expected);
    }
}

#[test]
fn a_node_that_only_the_other_side_names_as_a_peer_is_named_as_what_holds_deletes_up() {
    let start = |number, peers| {
        let mut config = Config::new(number, "127.0.0.1:0", peers);
        config.interval = Duration::from_millis(20);
        Node::start(config).expect("a node starts")
    };
    let first = start(1, Vec::new());
    let second = start(2, vec![first.address().to_string()]);
    let mut one = Client::connect(first.address());
    eventually("INFO names it", DEADLINE, || one.info()["tombstones_held_by"] == "node2=not-a-peer");
    assert_eq!(one.line("FORGET node2"), "OK");
    eventually("nothing holds deletes up", DEADLINE, || one.info()["tombstones_held_by"].is_empty());
    assert_eq!(one.count("members"), 0, "a dismissed member frees its place");
    second.stop();
    first.stop();
}

#[test]
fn invented_names_keep_no_configured_peer_out() {
    let mut cluster = Cluster::start_with(2, |config| config.interval = Duration::from_millis(50));
    cluster.stop(2);
    cluster.stop(1);
    cluster.start_again(1, |config| config.interval = Duration::from_millis(50));
    let mut one = cluster.client(1);
    one.wait_until_it_serves();
    // One takes the name of a peer that has not connected yet, one takes its number.
    let names = (0..100).map(|n| (format!("stranger{n}"), 100 + n)).chain([("node2".into(), 77), ("other".into(), 2)]);
    let mut admitted = 0;
    for (name, number) in names {
        let mut greeting = Vec::new();
        let clock = Timestamp::from(SystemTime::now());
        Request::Peer(Greeting::in_memory(name, NodeId(number), Incarnation(5 + u64::from(number)), clock))
            .encode(&mut greeting);
        let mut stranger = cluster.client(1);
        stranger.send(greeting);
        admitted += u32::from(!stranger.read_line().starts_with('-'));
    }
    assert!(admitted < 20, "{admitted} strangers were admitted");
    cluster.start_again(2, |config| config.interval = Duration::from_millis(50));
    cluster.client(2).wait_until_it_serves();
    assert_eq!(one.line("SET k v"), "OK");
    eventually("node 2 is admitted, and has it", DEADLINE, || cluster.client(2).line("GET k") == "v");
    assert_eq!(cluster.client(2).line("SET back w"), "OK");
    eventually("and is heard", DEADLINE, || one.line("GET back") == "w");
}

// ---- the end of time ------------------------------------------------------------------------------------------------

#[test]
fn no_version_that_a_peer_sends_makes_a_key_unwritable() {
    let cluster = Cluster::start(2);
    let mut stranger = cluster.client(1);
    let mut bytes = Vec::new();
    Request::Peer(Greeting::in_memory("stranger", NodeId(9), Incarnation(9), Timestamp::ZERO)).encode(&mut bytes);
    stranger.send(bytes);
    assert!(!matches!(stranger.read_value(), Value::Error(_)), "without a secret any local program is admitted");
    let mut propagate = |key: &str, bits: u64| {
        let version = Version::new(Timestamp::from_bits(bits), NodeId(9));
        let record = Record::new(key.as_bytes(), Entry { version, content: Content::Value(b"from the end of time") });
        let mut bytes = Vec::new();
        Request::Propagate(record).encode(&mut bytes);
        stranger.send(bytes);
        stranger.read_line()
    };
    let in_2198 = Timestamp::YEAR_2199.to_bits() - ((30 * 24 * 3_600_000) << 16);
    for (key, bits, accepted) in [
        ("2198", in_2198, ":1"),
        ("last", Timestamp::YEAR_2199.to_bits() - 1, ":1"),
        ("2199", Timestamp::YEAR_2199.to_bits(), ":0"),
        ("just-below-2200", Timestamp::YEAR_2200.to_bits() - 1, ":0"),
    ] {
        assert_eq!(propagate(key, bits), accepted, "{key}");
        let mut one = cluster.client(1);
        for request in [format!("SET {key} v"), format!("DEL {key}"), format!("MSET {key} w")] {
            assert_eq!(one.line(&request), "OK", "{request}");
        }
        assert_eq!(one.line(format!("GET {key}")), "w");
    }
    let mut two = cluster.client(2);
    // A write of node 2 that has not seen node 1's would be stamped with the present time, and lose.
    eventually("node 2 has the write", DEADLINE, || two.line("GET 2198") == "w");
    assert_eq!(two.line("SET 2198 x"), "OK");
    eventually("node 1 has the later write", DEADLINE, || cluster.client(1).line("GET 2198") == "x");
}

#[test]
fn a_clock_beyond_the_end_of_time_harms_no_node() {
    let year_2300 = Arc::new(AtomicU64::new(0));
    let cluster = Cluster::start_with(2, |config| {
        if config.node == 2 {
            let year_2300 = Arc::clone(&year_2300);
            config.wall_clock = Arc::new(move || match year_2300.load(Relaxed) {
                0 => SystemTime::now().into(),
                millis => Timestamp::from_millis(millis),
            });
        }
    });
    year_2300.store(10_413_792_000_000, Relaxed);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    for n in 0..5 {
        assert_eq!(two.line(format!("SET k {n}")), "OK");
        eventually("node 1 has it", DEADLINE, || one.line("GET k") == n.to_string());
        assert_eq!(one.line("DEL k"), "OK");
        eventually("node 2 has the delete", DEADLINE, || two.line("GET k") == "Key not found");
    }
    cluster.wait_until_it_agrees();
}
