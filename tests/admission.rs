//! Which connections are admitted, and how much memory they get: the secret, the bound of the memory, idle clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, DEADLINE, Value, encode, eventually, peer_words};
use kvstore::limits::{FREE_BUFFER_BYTES, MAX_WRONG_SECRETS, WRONG_SECRET_DELAY};
use kvstore::secret::{Secret, Secrets};

fn secret(text: &str) -> Arc<Secrets> {
    Secrets::of(Secret::new(text.as_bytes()).expect("a good secret"))
}

/// A cluster of nodes with a secret each.
fn cluster_with_secrets(secrets: &[&str]) -> Cluster {
    let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
    Cluster::start_with(secrets.len() as u16, |config| {
        config.secrets = secret(&secrets[usize::from(config.node) - 1]);
    })
}

fn admitted(cluster: &Cluster, number: u16, secret: &str) -> Client {
    let mut client = cluster.client(number);
    assert_eq!(client.line(format!("AUTH {secret}")), "OK");
    client
}

#[test]
fn a_client_without_the_secret_gets_nothing_and_changes_nothing() {
    let cluster = cluster_with_secrets(&["open-sesame-open"]);
    let mut client = cluster.client(1);
    for request in [
        "SET k v",
        "GET k",
        "DEL k",
        "KEYS *",
        "INFO",
        "DIGEST",
        "SYNC",
        "SCAN 0",
        "CLIENT LIST",
        "CONFIG GET *",
        "FORGET x",
    ] {
        assert_eq!(client.line(request), "ERROR: Authentication required: type AUTH and the secret", "{request}");
        let words: Vec<&str> = request.split(' ').collect();
        assert_eq!(client.resp(&words).to_string(), "-NOAUTH Authentication required: type AUTH and the secret");
    }
    assert!(client.resp(&["HELLO", "2"]).to_string().starts_with("-NOAUTH"));
    assert_eq!(client.line("PING"), "PONG");
    assert_eq!(client.line("AUTH open-sesame-open"), "OK");
    assert_eq!(client.line("GET k"), "Key not found");
}

#[test]
fn the_secret_is_taken_in_every_form_that_redis_clients_have() {
    let cluster = cluster_with_secrets(&["open-sesame-open"]);
    for words in [
        &["AUTH", "open-sesame-open"][..],
        &["AUTH", "default", "open-sesame-open"],
        &["HELLO", "2", "AUTH", "default", "open-sesame-open"],
    ] {
        let mut client = cluster.client(1);
        assert!(!matches!(client.resp(words), Value::Error(_)), "{words:?}");
        assert_eq!(client.resp(&["SET", "k", "v"]).to_string(), "+OK");
    }
}

#[test]
fn a_wrong_secret_is_answered_late_counted_and_possible_only_a_few_times() {
    let cluster = cluster_with_secrets(&["open-sesame-open"]);
    let mut client = cluster.client(1);
    let started = Instant::now();
    for _ in 0..MAX_WRONG_SECRETS {
        assert!(client.resp(&["AUTH", "guess-and-guess-again"]).to_string().starts_with("-WRONGPASS "));
    }
    assert!(started.elapsed() >= MAX_WRONG_SECRETS * WRONG_SECRET_DELAY);
    assert_eq!(client.read_to_end(), b"");
    assert_eq!(admitted(&cluster, 1, "open-sesame-open").count("auth_failed"), u64::from(MAX_WRONG_SECRETS));
}

#[test]
fn a_connection_that_is_not_admitted_gets_only_a_small_buffer() {
    let cluster = cluster_with_secrets(&["open-sesame-open"]);
    let mut client = cluster.client(1);
    let _ = std::io::Write::write_all(&mut client.stream(), &encode(&["SET", "k", &"v".repeat(4 * FREE_BUFFER_BYTES)]));
    assert!(client.read_to_end().starts_with(b"-NOAUTH Authentication required before a request of this size"));
}

#[test]
fn nodes_with_the_same_secret_agree() {
    let cluster = cluster_with_secrets(&["open-sesame-open", "open-sesame-open"]);
    let (mut one, mut two) = (admitted(&cluster, 1, "open-sesame-open"), admitted(&cluster, 2, "open-sesame-open"));
    assert_eq!(one.line("SET a 1"), "OK");
    assert_eq!(two.line("SET b 2"), "OK");
    eventually("equal DIGESTs", DEADLINE, || one.line("DIGEST") == two.line("DIGEST"));
    assert_eq!(two.lines("MGET a b"), ["1", "2"]);
}

#[test]
fn a_node_with_another_secret_stays_outside() {
    let cluster = cluster_with_secrets(&["open-sesame-open", "guess-and-guess-again"]);
    let (mut one, mut two) =
        (admitted(&cluster, 1, "open-sesame-open"), admitted(&cluster, 2, "guess-and-guess-again"));
    assert_eq!(one.line("SET a 1"), "OK");
    assert_eq!(two.line("SET b 2"), "OK");
    eventually("rounds fail", DEADLINE, || one.count("rounds_failed") >= 2 && two.count("rounds_failed") >= 2);
    assert_eq!((one.line("GET b"), two.line("GET a")), ("Key not found".into(), "Key not found".into()));
    assert_eq!((one.peer(1, "link"), two.peer(1, "link")), ("down".into(), "down".into()));
}

#[test]
fn who_speaks_as_a_peer_without_a_proof_is_refused() {
    let cluster = cluster_with_secrets(&["open-sesame-open"]);
    let proof = [b"PEER".to_vec(), b"PROVE".to_vec(), b"nothing".to_vec()];
    let greeting = peer_words(b"other", b"9", b"00000000000000aa");
    for words in [&greeting[..], &proof, &[b"PEER".to_vec()]] {
        let mut client = cluster.client(1);
        assert!(client.resp(words).to_string().starts_with("-REFUSED "), "{words:?}");
        assert_eq!(client.read_to_end(), b"");
    }
    assert_eq!(admitted(&cluster, 1, "open-sesame-open").count("peers_refused"), 3);
}

#[test]
fn a_full_memory_takes_no_more_writes_but_reads_and_deletes() {
    let cluster = Cluster::start_with(2, |config| {
        config.interval = Duration::from_millis(20);
        if config.node == 1 {
            config.max_memory = 2 * 1024 * 1024;
        }
    });
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let value = "v".repeat(10_000);
    let mut written = 0;
    eventually("the memory is full", DEADLINE, || {
        let answer = one.line(format!("SET k{written} {value}"));
        assert!(answer == "OK" || answer.starts_with("ERROR: memory is full (--max-memory)"), "{answer}");
        written += usize::from(answer == "OK");
        answer != "OK"
    });
    assert!((100..210).contains(&written), "{written}");
    assert!(one.resp(&["MSET", "a", "1"]).to_string().starts_with("-OOM memory is full"));
    assert_eq!(one.line("GET k7"), value);
    assert!(one.count("used_memory") >= one.count("maxmemory") - 20_000);
    // If a node refused what another node has acknowledged, the nodes would differ.
    assert_eq!(two.line("SET from2 x"), "OK");
    eventually("a peer's write arrives", DEADLINE, || one.line("GET from2") == "x");

    for n in 0..written / 2 {
        assert_eq!(one.line(format!("DEL k{n}")), "OK");
    }
    eventually("there is room again", DEADLINE, || one.line("SET again x") == "OK");
    cluster.wait_until_it_agrees();
}

/// The buffer into which a pipeline is read may not grow then, and need not: each request fits.
#[test]
fn a_long_pipeline_is_answered_to_its_end_though_the_memory_is_full() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 2 * 1024 * 1024);
    let mut client = cluster.client(1);
    let value = "v".repeat(1000);
    let mut written = 0;
    eventually("the memory is full", DEADLINE, || {
        let is_full = client.line(format!("SET k{written} {value}")) != "OK";
        written += usize::from(!is_full);
        is_full
    });
    const COMMANDS: usize = 500;
    let reads: Vec<u8> = (0..COMMANDS).flat_map(|_| encode(&["GET", "k7"])).collect();
    let writes: Vec<u8> = (0..COMMANDS).flat_map(|n| encode(&["SET", &format!("new{n}"), &value])).collect();
    client.send(&reads);
    (0..COMMANDS).for_each(|n| assert_eq!(client.read_value().to_string(), format!("${value}"), "{n}"));
    client.send(&writes);
    (0..COMMANDS).for_each(|n| {
        let answer = client.read_value().to_string();
        assert!(answer.starts_with("-OOM memory is full"), "{n}: {answer}");
    });
    assert_eq!(client.line("GET k7"), value, "and the connection is still good");
}

/// What many keys take in a request is no write, and is how one gets out of a full memory.
#[test]
fn many_keys_can_be_read_and_deleted_at_once_though_the_memory_is_full() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 2 * 1024 * 1024);
    let mut client = cluster.client(1);
    let key = |number: usize| format!("a-key-of-some-length-{number}");
    let fill =
        |client: &mut Client| (0..).take_while(|&number| client.line(format!("SET {} v", key(number))) == "OK").count();
    let keys: Vec<String> = (0..fill(&mut client)).map(key).collect();
    let all = |verb: &'static str| [verb].into_iter().chain(keys.iter().take(2000).map(String::as_str)).collect();
    let (reads, deletes): (Vec<&str>, Vec<&str>) = (all("EXISTS"), all("DEL"));
    assert!(encode(&reads).len() > 3 * FREE_BUFFER_BYTES);
    assert_eq!(client.resp(&reads).to_string(), ":2000");
    assert_eq!(client.resp(&deletes).to_string(), ":2000");
    // Beyond its tenth a request finds no room, and is told so.
    let mut other = cluster.client(1);
    fill(&mut other);
    other.send(encode(&["SET", "k", &"v".repeat(1024 * 1024)]));
    let answer = other.read_value().to_string();
    assert!(answer.starts_with("-OOM memory is full (--max-memory), and this request is too long"), "{answer}");
}

#[test]
fn a_silent_client_is_ended_after_the_idle_timeout_and_a_peer_is_not() {
    let cluster = Cluster::start_with(2, |config| {
        config.idle_timeout = Some(Duration::from_millis(100));
        config.interval = Duration::from_secs(3600);
    });
    let mut silent = cluster.client(1);
    assert_eq!(silent.line("SET k v"), "OK");
    assert_eq!(silent.read_to_end(), b"");
    eventually("the value arrives", DEADLINE, || cluster.client(2).line("GET k") == "v");
    // The link was silent for at least as long.
    assert_eq!(cluster.client(1).line("SET k w"), "OK");
    eventually("the next value arrives", DEADLINE, || cluster.client(2).line("GET k") == "w");
    assert_eq!(cluster.client(1).peer(1, "retries"), "0");
}
