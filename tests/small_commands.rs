//! The small commands of Redis: each answers as a real redis-server does (where one is installed), on all nodes.

use std::collections::BTreeSet;

use crate::common::redis::Redis;
use crate::common::{Client, Cluster, DEADLINE, Value, encode, eventually};
use kvstore::commands;

// ---- beside a real server -------------------------------------------------------------------------------------------

/// Requests to which both give the same answer. What an error says behind Redis' words may differ.
const SAME: &[&str] = &[
    "MSET a v n 12 edge 12345678901234567890123456789012345678901234",
    "SET long 123456789012345678901234567890123456789012345",
    "TYPE a",
    "TYPE none",
    "TYPE",
    "TOUCH a n none a",
    "TOUCH",
    "OBJECT ENCODING a",
    "OBJECT ENCODING n",
    "OBJECT ENCODING long",
    "OBJECT ENCODING edge",
    "OBJECT ENCODING none",
    "OBJECT REFCOUNT a",
    "OBJECT REFCOUNT none",
    "OBJECT FREQ a",
    "OBJECT FREQ none",
    "OBJECT",
    "OBJECT FROB a",
    "OBJECT ENCODING",
    "MEMORY USAGE none",
    "MEMORY USAGE none SAMPLES 0",
    "MEMORY USAGE a SAMPLES x",
    "MEMORY USAGE a SAMPLES -1",
    "MEMORY USAGE a SAMPLES",
    "MEMORY USAGE a FROB 1",
    "MEMORY USAGE",
    "COPY a b",
    "COPY a b",
    "COPY n b",
    "GET b",
    "COPY n b REPLACE",
    "GET b",
    "COPY n b DB 0",
    "COPY n b DB 0 REPLACE",
    "COPY none b REPLACE",
    "COPY a a",
    "COPY none none",
    "COPY a b DB x",
    "COPY a b DB",
    "COPY a b FROB",
    "COPY a",
    "RENAME b c",
    "EXISTS b c",
    "GET c",
    "RENAME b c",
    "RENAME c c",
    "RENAME a",
    "RENAMENX c a",
    "RENAMENX c c",
    "RENAMENX c d",
    "RENAMENX c e",
    "GET d",
    "RENAMENX d",
    "UNLINK d none",
    "UNLINK",
    "EXISTS d",
    "SCAN 0 TYPE hash COUNT 100",
    "SCAN 0 TYPE string MATCH long COUNT 100",
    "SCAN 0 TYPE",
    "SCAN x",
    "FLUSHALL FROB",
    "FLUSHDB ASYNC SYNC",
    "DBSIZE",
    "FLUSHDB ASYNC",
    "DBSIZE",
    "RANDOMKEY",
    "RANDOMKEY x",
    "SET k v",
    "RANDOMKEY",
    "FLUSHALL",
    "FLUSHALL SYNC",
    "DBSIZE",
    "TIME x",
    "SELECT 0",
    "SELECT 99",
    "SELECT -1",
    "SELECT x",
    "CLIENT KILL 127.0.0.1:1",
    "CLIENT KILL ID 999",
    "CLIENT KILL ID 0",
    "CLIENT KILL ID x",
    "CLIENT KILL TYPE normal",
    "CLIENT KILL TYPE pubsub",
    "CLIENT KILL TYPE frob",
    "CLIENT KILL ADDR 127.0.0.1:1 LADDR 127.0.0.1:1",
    "CLIENT KILL SKIPME maybe",
    "CLIENT KILL USER frob",
    "CLIENT KILL ID 1 FROB x",
    "CLIENT KILL ID 1 ADDR",
    "CLIENT KILL ADDR",
    "CLIENT KILL",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT frob",
    "CLIENT NO-EVICT",
    "CLIENT REPLY frob",
    "CLIENT REPLY ON",
    "CLIENT LIST ID 0",
    "CLIENT LIST ID x",
    "CLIENT LIST ID",
    "CLIENT LIST TYPE frob",
    "CLIENT LIST FROB",
    "CLIENT FROB",
    "CLIENT",
    "COMMAND LIST FROB",
    "COMMAND LIST FILTERBY",
    "COMMAND LIST FILTERBY FROB x",
    "COMMAND LIST FILTERBY MODULE frob",
    "COMMAND LIST FILTERBY PATTERN RANDOM*",
    "COMMAND GETKEYS MSET a 1 b 2",
    "COMMAND GETKEYS RENAME a b",
    "COMMAND GETKEYS COPY a b REPLACE",
    "COMMAND GETKEYS OBJECT ENCODING a",
    "COMMAND GETKEYS MEMORY USAGE a",
    "COMMAND GETKEYS OBJECT HELP",
    "COMMAND GETKEYS PING x",
    "COMMAND GETKEYS FROB a",
    "COMMAND GETKEYS GET a b",
    "COMMAND GETKEYS",
    "COMMAND COUNT x",
    "COMMAND FROB",
    "CONFIG SET databases 3",
    "CONFIG SET frob 3",
    "CONFIG SET maxmemory x",
    "CONFIG SET maxmemory -1",
    "CONFIG SET maxmemory 100mb maxmemory 100mb",
    "CONFIG SET maxmemory 100mb",
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory 1g",
    "CONFIG GET maxmemory",
    "CONFIG SET save",
    "CONFIG SET maxmemory 100mb save",
    "CONFIG GET save",
    "CONFIG GET",
    "CONFIG RESETSTAT",
    "CONFIG RESETSTAT x",
    "CONFIG REWRITE",
    "CONFIG FROB",
    "RESET",
];

/// Whether the second answer is the first one, or an error that begins with its words.
fn is_like(redis: &Value, answer: &Value) -> bool {
    match (redis, answer) {
        // A full stop, or what follows it, is no part of what clients compare.
        (Value::Error(redis), Value::Error(answer)) => {
            let words = redis.split(". Please").next().unwrap_or(redis);
            answer.starts_with(words)
        }
        (redis, answer) => redis == answer,
    }
}

#[test]
fn the_answers_are_those_of_redis_in_both_protocols() {
    let Some(redis) = Redis::start() else { return };
    for hello in ["HELLO 2", "HELLO 3"] {
        let cluster = Cluster::start(1);
        let (mut theirs, mut ours) = (Client::connect(redis.address), cluster.client(1));
        ask(&mut theirs, hello);
        ask(&mut ours, hello);
        for request in SAME {
            let (expected, answer) = (ask(&mut theirs, request), ask(&mut ours, request));
            assert!(is_like(&expected, &answer), "{hello}, {request}: {answer}\nRedis: {expected}");
        }
    }
}

#[test]
fn every_command_of_redis_is_offered_or_refused_with_a_reason() {
    /// What is neither: each is answered as an unknown name.
    const UNKNOWN: &[&str] = &[
        "APPEND",
        "EXPIRE",
        "EXPIREAT",
        "EXPIRETIME",
        "GETDEL",
        "GETEX",
        "GETRANGE",
        "GETSET",
        "LCS",
        "LOLWUT",
        "MSETNX",
        "PERSIST",
        "PEXPIRE",
        "PEXPIREAT",
        "PEXPIRETIME",
        "PSETEX",
        "PTTL",
        "SETEX",
        "SETNX",
        "SETRANGE",
        "SUBSTR",
        "TTL",
        "UNWATCH",
        "WATCH",
    ];
    let Some(redis) = Redis::start() else { return };
    let Value::Array(names) = Client::connect(redis.address).resp(&["COMMAND", "LIST"]) else { panic!("no list") };
    let names = names.iter().map(|name| name.to_string()[1..].to_ascii_uppercase());
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let is_unknown = |name: &String| {
        let offered = commands::find(name.as_bytes()).is_some();
        !offered && !client.line(name).starts_with(&format!("ERROR: {name} is not offered: "))
    };
    let unknown: Vec<String> = names.filter(|name| !name.contains('|')).filter(is_unknown).collect();
    let surprising: Vec<&String> = unknown.iter().filter(|name| !UNKNOWN.contains(&name.as_str())).collect();
    assert_eq!(surprising, [""; 0]);
}

#[track_caller]
fn ask(client: &mut Client, request: &str) -> Value {
    client.resp(&request.split(' ').collect::<Vec<_>>())
}

// ---- between nodes --------------------------------------------------------------------------------------------------

#[test]
fn a_key_that_is_renamed_or_copied_is_so_on_the_peer() {
    let cluster = Cluster::start(2);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("MSET a 1 b 2 c 3"), "OK");
    assert_eq!(one.line("RENAME a x"), "OK");
    assert_eq!(one.line("RENAMENX b y"), "1");
    assert_eq!(one.line("COPY c z"), "1");
    let expected = ["Key not found", "Key not found", "3", "1", "2", "3"];
    eventually("it is the same there", DEADLINE, || two.lines("MGET a b c x y z") == expected);
}

#[test]
fn a_flush_deletes_what_this_node_holds_on_all_nodes_and_is_repaired_where_a_peer_was_away() {
    const KEYS: usize = 5000;
    let cluster = Cluster::start(2);
    for n in 0..KEYS {
        cluster.node(1).replica().set(format!("k{n}").as_bytes(), b"v");
    }
    cluster.client(1).lines("SYNC");
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(two.line("DBSIZE"), KEYS.to_string());
    cluster.links.set(crate::common::Mode::Cut);
    assert_eq!(one.line("SET late v"), "OK");
    assert_eq!(two.line("FLUSHALL"), "OK");
    assert_eq!(two.line("DBSIZE"), "0");
    assert_eq!(two.line("RANDOMKEY"), "There are no keys");
    cluster.links.set(crate::common::Mode::Open);
    eventually("what node 2 had not seen is left, on both", DEADLINE, || {
        [&mut one, &mut two].into_iter().all(|client| client.line("DBSIZE") == "1" && client.line("GET late") == "v")
    });
}

#[test]
fn a_deadline_goes_along_with_its_value_and_what_has_expired_is_not_there() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let replica = cluster.node(1).replica();
    let in_millis = |millis: u64| kvstore::store::deadline::Deadline::from_millis(replica.wall().millis() + millis);
    let write = |key: &str, millis| {
        replica.write(key.as_bytes(), kvstore::store::content::Content::until(b"v", in_millis(millis)));
    };
    let deadline = |key: &str| replica.store().record(key.as_bytes()).and_then(|record| record.deadline());
    write("k", 100_000);
    let expected = deadline("k").expect("it has one");
    assert_eq!(client.line("COPY k l"), "1");
    assert_eq!(client.line("RENAME k m"), "OK");
    assert_eq!([deadline("l"), deadline("m"), deadline("k")], [Some(expected), Some(expected), None]);
    assert_eq!(client.line("RENAMENX m k"), "1");
    assert_eq!(deadline("k"), Some(expected));
    let keyspace = client.lines("INFO keyspace").join("\n");
    assert!(keyspace.contains("db0:keys=2,expires=2,avg_ttl=0"), "{keyspace}");

    assert_eq!(client.line("FLUSHALL"), "OK");
    // The millisecond of a deadline still belongs to the value.
    let past = kvstore::store::deadline::Deadline::from_millis(replica.wall().millis() - 1);
    replica.write(b"gone", kvstore::store::content::Content::until(b"v", past));
    assert_eq!(client.line("RANDOMKEY"), "There are no keys");
    assert_eq!(client.line("TYPE gone"), "none");
    assert_eq!(client.line("TOUCH gone"), "0");
    assert_eq!(client.line("COPY gone k"), "0");
    assert_eq!(client.line("RENAME gone k"), "ERROR: no such key");
    assert_eq!(client.line("OBJECT ENCODING gone"), "Key not found");
    assert_eq!(client.line("MEMORY USAGE gone"), "Key not found");
    assert_eq!(client.line("SET kept v"), "OK");
    assert_eq!(client.line("RENAMENX kept gone"), "1", "what has expired is not in the way");
    eventually("INFO counts what was swept", DEADLINE, || client.count("expired_keys") == 0);
    write("gone too", 0);
    eventually("INFO counts what was swept", DEADLINE, || client.count("expired_keys") == 1);
    assert_eq!(client.line("CONFIG RESETSTAT"), "OK");
    assert_eq!(client.count("expired_keys"), 0);
}

// ---- one node -------------------------------------------------------------------------------------------------------

#[test]
fn every_key_can_be_the_random_one() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for keys in [1, 3, 40] {
        let all: BTreeSet<String> = (0..keys).map(|n| format!("k{n}")).collect();
        all.iter().for_each(|key| cluster.node(1).replica().set(key.as_bytes(), b"v"));
        let mut seen = BTreeSet::new();
        eventually("each has come up", DEADLINE, || {
            seen.insert(client.line("RANDOMKEY"));
            seen == all
        });
    }
}

#[test]
fn the_memory_of_a_key_is_what_used_memory_grows_by() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let store = cluster.node(1).replica().store();
    assert_eq!(client.line("SET k 0123456789"), "OK");
    assert_eq!(client.line("MEMORY USAGE k"), store.bytes().to_string());
    assert_eq!(client.line("MEMORY USAGE k SAMPLES 0"), store.bytes().to_string());
}

#[test]
fn a_change_of_max_memory_is_in_force_at_once() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let megabyte = "x".repeat(1 << 20);
    for n in 0..40 {
        assert_eq!(client.resp(&["SET", &format!("k{n}"), &megabyte]), Value::Simple("OK".into()));
    }
    assert_eq!(client.line("CONFIG SET maxmemory 32mb"), "OK");
    assert!(client.line("SET k v").starts_with("ERROR: memory is full"));
    assert!(client.line("COPY k0 k").starts_with("ERROR: memory is full"));
    assert_eq!(client.line("CONFIG SET maxmemory 64mb maxmemory-policy noeviction"), "OK");
    assert_eq!(client.line("SET k v"), "OK");
    assert_eq!(client.info()["maxmemory"], (64 << 20).to_string());
    let refused = client.line("CONFIG SET maxmemory 32mb maxmemory-policy allkeys-lru");
    assert!(refused.contains("'maxmemory-policy') - can't set immutable config"), "{refused}");
    assert_eq!(client.line("SET k v"), "OK", "nothing of it was applied");
}

#[test]
fn resetstat_counts_anew() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    (0..10).for_each(|_| drop(cluster.client(1).line("PING")));
    assert!(client.count("total_connections_received") > 10 && client.count("total_commands_processed") >= 10);
    assert_eq!(client.line("CONFIG RESETSTAT"), "OK");
    assert_eq!(client.count("total_connections_received"), 0);
    assert!(client.count("total_commands_processed") < 10);
    let id: u64 = cluster.client(1).line("CLIENT ID").parse().expect("a number");
    assert!(id > 10, "numbers of connections are not given twice");
}

#[test]
fn a_client_gets_the_answers_that_it_wants() {
    let cluster = Cluster::start(1);
    for hello in ["HELLO 2", "HELLO 3"] {
        let mut client = cluster.client(1);
        ask(&mut client, hello);
        for request in ["SET k 1", "CLIENT REPLY SKIP", "SET k 2", "GET k", "CLIENT REPLY OFF", "GET k", "FROB", "GET"]
        {
            client.send(encode(&request.split(' ').collect::<Vec<_>>()));
        }
        for request in ["CLIENT REPLY SKIP", "SET k 3", "LPUSH k 1", "CLIENT REPLY ON", "GET k"] {
            client.send(encode(&request.split(' ').collect::<Vec<_>>()));
        }
        for expected in ["+OK", "$2", "+OK", "$3"] {
            assert_eq!(client.read_value().to_string(), expected);
        }
        client.send(encode(&["CLIENT", "REPLY", "SKIP"]));
        assert_eq!(ask(&mut client, "CLIENT REPLY ON").to_string(), "+OK");
        client.send(encode(&["CLIENT", "REPLY", "OFF"]));
        assert_eq!(ask(&mut client, "RESET").to_string(), "+RESET", "it takes OFF back, too");
        assert_eq!(ask(&mut client, "GET k").to_string(), "$3");
    }
}

#[test]
fn a_client_can_end_another_one_and_a_peer_comes_back() {
    let cluster = Cluster::start(2);
    let mut client = cluster.client(1);
    let address = |client: &Client| client.stream().local_addr().expect("is connected").to_string();
    let peer_id = |client: &mut Client| {
        let listed = client.lines("CLIENT LIST TYPE replica");
        assert!(listed.iter().all(|line| line.contains(" name=node2 ") && line.contains(" flags=S ")), "{listed:?}");
        listed.first().and_then(|line| line.strip_prefix("id=")?.split(' ').next().map(str::to_string))
    };
    eventually("the peer is connected", DEADLINE, || peer_id(&mut client).is_some());
    let peer = peer_id(&mut client).expect("it was there just now");

    let mut other = cluster.client(1);
    assert_eq!(other.line("PING"), "PONG");
    assert_eq!(client.line(format!("CLIENT KILL {}", address(&other))), "OK");
    assert_eq!(other.read_to_end(), b"");

    let mut other = cluster.client(1);
    let id = other.line("CLIENT ID");
    assert_eq!(client.line(format!("CLIENT KILL ID {id} ADDR 127.0.0.1:1")), "0", "all options must hold");
    assert_eq!(client.line(format!("CLIENT KILL ID {id} ADDR {} TYPE normal", address(&other))), "1");
    assert_eq!(other.read_to_end(), b"");

    let mut waiting = cluster.client(1);
    waiting.send("WAITFOR k \"2100-01-01T00:00:00.000Z+0 node 2\" 0\n");
    eventually("it waits", DEADLINE, || client.count("blocked_clients") == 1);
    assert_eq!(client.line("CLIENT KILL TYPE normal"), "1", "its own connection is spared");
    eventually("it waits no more", DEADLINE, || client.count("blocked_clients") == 0);

    assert_eq!(client.line(format!("CLIENT KILL ID {peer}")), "1");
    eventually("the peer has connected again", DEADLINE, || peer_id(&mut client).is_some_and(|id| id != peer));

    let own = address(&client);
    assert_eq!(client.line(format!("CLIENT KILL ADDR {own}")), "0");
    assert_eq!(client.line(format!("CLIENT KILL ADDR {own} SKIPME no")), "1");
    assert_eq!(client.read_to_end(), b"", "its own connection ends after the answer");
    let mut client = cluster.client(1);
    assert_eq!(client.line(format!("CLIENT KILL {}", address(&client))), "OK");
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn the_clock_is_that_of_the_node() {
    let cluster = Cluster::start(1);
    let lines = cluster.client(1).lines("TIME");
    let [seconds, micros] = [0, 1].map(|index| lines[index].parse::<u64>().expect("a number"));
    let now = cluster.node(1).replica().wall().millis();
    assert!((seconds * 1000 + micros / 1000).abs_diff(now) < 10_000);
}
