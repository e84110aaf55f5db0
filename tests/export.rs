//! `kvstore export`: what a node holds goes into Redis, and what Redis holds into a node.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::redis::Redis;
use crate::common::{Client, Cluster, File, Value};
use kvstore::export::{Counts, Failed, Source, export};
use kvstore::limits::{EXPORT_SCAN_COUNT, MAX_VALUE_BYTES};
use kvstore::secret::{Secret, Secrets};

/// The program, about to export from this address.
fn exporter(address: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvstore"));
    command.args(["export", &address.to_string()]).env_remove("KVSTORE_SECRET").stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `kvstore export FROM | redis-cli --pipe`; returns what the export said in the end.
fn move_all(from: SocketAddr, to: SocketAddr) -> String {
    let mut export = exporter(from).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    let commands = export.stdout.take().expect("is piped");
    let (host, port) = (to.ip().to_string(), to.port().to_string());
    let load = Command::new("redis-cli").args(["-h", &host, "-p", &port, "--pipe"]).stdin(commands).output();
    let load = load.expect("redis-cli stands beside redis-server");
    let said = String::from_utf8_lossy(&load.stdout).into_owned();
    assert!(load.status.success() && said.contains("errors: 0,"), "{said}{}", stderr(&load));
    let export = export.wait_with_output().expect("it ends");
    assert!(export.status.success(), "{}", stderr(&export));
    stderr(&export)
}

/// A value with its deadline, -1 for none.
type Entry = (Value, Value);

/// Every key with its value and its deadline, as a client of the server reads them.
fn everything(server: SocketAddr) -> BTreeMap<Vec<u8>, Entry> {
    let mut client = Client::connect(server);
    let Value::Array(keys) = client.resp(&["KEYS", "*"]) else { panic!("KEYS is a list") };
    let mut read = |key| {
        let Value::Bulk(key) = key else { panic!("a key is a bulk string") };
        let value = client.resp(&[b"GET", &key[..]]);
        let deadline = client.resp(&[b"PEXPIRETIME", &key[..]]);
        (key, (value, deadline))
    };
    keys.into_iter().map(&mut read).collect()
}

fn deadline_in(time: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    (now + time).as_millis().to_string()
}

/// Fills a server with all kinds of keys; returns how many there are.
fn fill(server: SocketAddr) -> usize {
    let mut client = Client::connect(server);
    let plain = 2 * EXPORT_SCAN_COUNT + 7;
    for n in 0..plain {
        assert_eq!(client.resp(&["SET", &format!("key:{n}"), &format!("value {n}")]).to_string(), "+OK");
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![0xff; MAX_VALUE_BYTES];
    let special: [[&[u8]; 2]; 4] =
        [[&every_byte, &every_byte], [b"\r\n$3\r\n", b"*1\r\n$8\r\nFLUSHALL\r\n"], [b"empty", b""], [b"large", &large]];
    for [key, value] in special {
        assert_eq!(client.resp(&[b"SET", key, value]).to_string(), "+OK");
    }
    let (hour, year) = (deadline_in(Duration::from_secs(3600)), deadline_in(Duration::from_secs(365 * 86_400)));
    for [key, deadline] in [["in an hour", &hour], ["in a year", &year]] {
        assert_eq!(client.resp(&["SET", key, "v", "PXAT", deadline]).to_string(), "+OK");
    }
    assert_eq!(client.resp(&["SET", "gone", "v"]).to_string(), "+OK");
    assert_eq!(client.resp(&["DEL", "gone"]), Value::Integer(1));
    plain + special.len() + 2
}

#[test]
fn all_keys_move_to_redis_and_back() {
    let Some(redis) = Redis::start() else { return };
    let (first, second) = (Cluster::start(2), Cluster::start(1));
    let keys = fill(first.address(1));
    first.wait_until_it_agrees();
    assert_eq!(move_all(first.address(2), redis.address), format!("exported {keys} keys from {}\n", first.address(2)));
    let moved = everything(redis.address);
    assert_eq!(moved.len(), keys);
    assert!(moved == everything(first.address(1)), "keys, values and deadlines are the same in Redis");

    move_all(redis.address, second.address(1));
    assert!(moved == everything(second.address(1)), "and on the way back");
}

#[test]
fn what_is_no_string_stays_in_redis_and_is_counted() {
    let Some(redis) = Redis::start() else { return };
    let node = Cluster::start(1);
    let mut client = Client::connect(redis.address);
    assert_eq!(client.resp(&["RPUSH", "list", "a"]), Value::Integer(1));
    assert_eq!(client.resp(&["HSET", "hash", "a", "b"]), Value::Integer(1));
    assert_eq!(client.resp(&["SET", "string", "a"]).to_string(), "+OK");
    let said = move_all(redis.address, node.address(1));
    assert_eq!(said, format!("exported 1 key (skipped 2 that are no strings) from {}\n", redis.address));
    assert_eq!(node.client(1).line("GET string"), "a");
}

/// Redis before version 7 has no PEXPIRETIME.
#[test]
fn deadlines_move_from_an_old_redis_too() {
    let Some(redis) = Redis::start_with(&["--rename-command", "PEXPIRETIME", ""]) else { return };
    let node = Cluster::start(1);
    let mut client = Client::connect(redis.address);
    let deadline = deadline_in(Duration::from_secs(3600));
    assert_eq!(client.resp(&["SET", "late", "v", "PXAT", &deadline]).to_string(), "+OK");
    assert_eq!(client.resp(&["SET", "never", "v"]).to_string(), "+OK");
    move_all(redis.address, node.address(1));
    let mut client = node.client(1);
    assert_eq!(client.line("PEXPIRETIME never"), "-1");
    let (moved, deadline): (i64, i64) =
        (client.line("PEXPIRETIME late").parse().expect("a number"), deadline.parse().expect("a number"));
    assert!(moved.abs_diff(deadline) < 1_000, "{moved}, not {deadline}");
}

#[test]
fn the_secret_is_said_and_asked_for() {
    let secret = b"a-word-of-the-cluster";
    let node = Cluster::start_with(1, |config| config.secrets = Secrets::of(Secret::new(secret).expect("a secret")));
    let mut client = node.client(1);
    assert_eq!(client.line("AUTH a-word-of-the-cluster"), "OK");
    assert_eq!(client.line("SET k v"), "OK");
    let refused = exporter(node.address(1)).output().expect("it ends");
    let why = format!(
        "error: {}: it wants a secret: give --secret-file FILE, or the variable KVSTORE_SECRET\n",
        node.address(1)
    );
    assert_eq!((refused.status.code(), stderr(&refused)), (Some(1), why));

    let file = File::new("export-secret", secret);
    let with_file = exporter(node.address(1)).arg("--secret-file").arg(&file.0).output().expect("it ends");
    let with_variable =
        exporter(node.address(1)).env("KVSTORE_SECRET", "a-word-of-the-cluster").output().expect("it ends");
    for output in [with_file, with_variable] {
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
    }
    let wrong = exporter(node.address(1)).env("KVSTORE_SECRET", "another").output().expect("it ends");
    let said = stderr(&wrong);
    assert!(wrong.status.code() == Some(1) && said.contains("it answers AUTH with: WRONGPASS"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn where_no_node_listens_one_line_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let output = exporter(address).output().expect("it ends");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("error: {address}: ")) && said.contains("refused"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn an_output_that_is_closed_ends_it_without_a_word() {
    let node = Cluster::start(1);
    let large = vec![b'x'; MAX_VALUE_BYTES];
    assert_eq!(node.client(1).resp(&[b"SET", &b"large"[..], &large]).to_string(), "+OK");
    let mut export =
        exporter(node.address(1)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    let mut output = export.stdout.take().expect("is piped");
    output.read_exact(&mut [0; 4]).expect("it begins");
    drop(output);
    let output = export.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(1), String::new()));
}

/// Exports from a server that gives these answers, whatever it is asked.
fn export_from(answers: &'static str) -> (Result<Counts, Failed>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it connects");
        stream.write_all(answers.as_bytes()).expect("it reads");
        // Until the other side is done.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut commands = Vec::new();
    let result = export(&Source { address, secret: None }, &mut commands);
    server.join().expect("it ends");
    (result, String::from_utf8(commands).expect("it is text"))
}

#[test]
fn a_key_that_is_gone_when_it_is_read_is_left_out() {
    let (result, commands) = export_from(concat!(
        ":2\r\n:-2\r\n*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ":-2\r\n$-1\r\n:-2\r\n",
        ":-1\r\n$1\r\nv\r\n:-1\r\n",
    ));
    assert_eq!(result.expect("it is complete"), Counts { copied: 1, other_types: 0, gone: 1 });
    assert_eq!(commands, "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nv\r\n");
}

/// SCAN tells only the keys that the node itself has.
#[test]
fn a_node_of_a_redis_cluster_can_be_read() {
    let (result, commands) = export_from(concat!(
        ":1\r\n-MOVED 12539 127.0.0.1:7103\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n",
        ":-1\r\n$1\r\nv\r\n:-1\r\n",
    ));
    assert_eq!(result.expect("it is complete"), Counts { copied: 1, other_types: 0, gone: 0 });
    assert_eq!(commands, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nv\r\n");
}

/// Otherwise the old value could be copied with the new deadline.
#[test]
fn a_key_whose_deadline_changes_while_it_is_read_is_read_again() {
    let (result, commands) = export_from(concat!(
        ":2\r\n:-2\r\n*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
        ":-1\r\n$3\r\nold\r\n:1790000000000\r\n",
        ":-1\r\n$1\r\nv\r\n:-1\r\n",
        ":1790000000000\r\n$3\r\nnew\r\n:1790000000000\r\n",
    ));
    assert_eq!(result.expect("it is complete"), Counts { copied: 2, other_types: 0, gone: 0 });
    let a = "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nnew\r\n$4\r\nPXAT\r\n$13\r\n1790000000000\r\n";
    assert_eq!(commands, format!("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nv\r\n{a}"));
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    for (answers, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n", "it has sent an answer that is not RESP2"),
        ("-LOADING the node is starting\r\n", "it answers DBSIZE with: LOADING the node is starting"),
        (":2\r\n:-2\r\n*2\r\n$1\r\n0\r\n*1\r\n*1\r\n*1\r\n", "it has sent too many arrays in each other"),
        (":2\r\n:-2\r\n*-7\r\n", "it has sent a length that is out of range"),
        (":2\r\n:-2\r\n$999999999999\r\n", "it has sent a length that is out of range"),
        (":2\r\n:-2\r\n$1\r\nxyz\r\n", "it has sent a value without its end"),
        (":2\r\n:-2\r\n:1\r\n", "the answer to SCAN is malformed"),
        (":x\r\n", "it has sent a number that is none"),
    ] {
        match export_from(answers) {
            (Err(Failed::Source(why)), _) => assert_eq!(why, expected),
            (other, _) => panic!("{answers:?}: {other:?}"),
        }
    }
}
