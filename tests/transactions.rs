//! Transactions: MULTI, EXEC, DISCARD, WATCH and UNWATCH, on real nodes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use crate::common::{Client, Cluster, DEADLINE, Mode, Process, Value, encode, eventually};
use kvstore::commands::glob;
use kvstore::limits::{MAX_TRANSACTION_COMMANDS, MAX_WATCHED_KEYS};

/// How often each thread of a test does what it does.
const ROUNDS: u64 = 300;

/// Sends requests in one piece; returns what they are answered.
#[track_caller]
fn pipeline(client: &mut Client, requests: &[&[&str]]) -> Vec<Value> {
    client.send(requests.iter().flat_map(|words| encode(words)).collect::<Vec<u8>>());
    requests.iter().map(|_| client.read_value()).collect()
}

/// A transaction in one piece; returns what EXEC answers.
#[track_caller]
fn transaction(client: &mut Client, commands: &[&[&str]]) -> Value {
    let requests: Vec<&[&str]> = [&["MULTI"][..]].into_iter().chain(commands.iter().copied()).collect();
    let answers = pipeline(client, &[&requests, &[&["EXEC"][..]][..]].concat());
    answers.into_iter().next_back().expect("EXEC is answered")
}

/// Tells the threads of a test to end when it is dropped, also by a failure.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Sets keys at a node, one after the other, until the test ends. `between` is called after each.
fn keep_setting((mut client, ends): (Client, &AtomicBool), key: impl Fn(u64) -> String, mut between: impl FnMut()) {
    for number in 0.. {
        if ends.load(Relaxed) {
            return;
        }
        client.resp(&["SET", &key(number), &number.to_string()]);
        between();
    }
}

// ---- one step -------------------------------------------------------------------------------------------------------

/// Writers keep many counters equal with MULTI. Neither MGET, nor the GETs of another transaction, ever see them
/// differ. A peer writes to other keys of the same node all the while.
#[test]
fn what_a_transaction_writes_is_seen_at_once() {
    let cluster = Cluster::start(2);
    let (address, peer) = (cluster.address(1), cluster.address(2));
    let keys: Vec<String> = (0..100).map(|number| format!("count{number}")).collect();
    let set_all = |client: &mut Client, value: &str| {
        let sets: Vec<[&str; 3]> = keys.iter().map(|key| ["SET", key, value]).collect();
        let done = transaction(client, &sets.iter().map(<[&str; 3]>::as_slice).collect::<Vec<_>>());
        assert_eq!(done.to_string().matches("+OK").count(), keys.len());
    };
    let gets: Vec<[&str; 2]> = keys.iter().map(|key| ["GET", key]).collect();
    let gets: Vec<&[&str]> = gets.iter().map(<[&str; 2]>::as_slice).collect();
    let mget: Vec<&str> = ["MGET"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    set_all(&mut cluster.client(1), "0");
    let ends = AtomicBool::new(false);
    let write = |writer: u64| {
        let mut client = Client::connect(address);
        (0..ROUNDS).for_each(|round| set_all(&mut client, &(2 * round + writer).to_string()));
    };
    let read = |all: &dyn Fn(&mut Client) -> Value| {
        let (mut client, mut seen) = (Client::connect(address), BTreeSet::new());
        while !ends.load(Relaxed) {
            let Value::Array(values) = all(&mut client) else { panic!("no list") };
            assert!(values.len() == keys.len() && values.iter().all(|value| *value == values[0]), "{values:?}");
            seen.insert(values[0].to_string());
        }
        assert!(seen.len() > 1, "it has read while others wrote");
    };
    thread::scope(|scope| {
        let ending = Ends(&ends);
        scope.spawn(|| keep_setting((Client::connect(peer), &ends), |number| format!("k{}", number % 100), || ()));
        let with_mget = scope.spawn(|| read(&|client| client.resp(&mget)));
        let with_multi = scope.spawn(|| read(&|client| transaction(client, &gets)));
        let writers = [scope.spawn(|| write(0)), scope.spawn(|| write(1))];
        writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
        drop(ending);
        with_mget.join().expect("MGET sees no difference");
        with_multi.join().expect("a transaction sees no difference");
    });
    cluster.wait_until_it_agrees();
}

/// A transaction reads a key that a peer writes, many times over: every time the same.
#[test]
fn no_entry_of_a_peer_comes_between_the_commands_of_a_transaction() {
    let cluster = Cluster::start(2);
    let (ends, peer) = (AtomicBool::new(false), cluster.address(2));
    let reads: Vec<&[&str]> = vec![&["GET", "k"]; 2000];
    thread::scope(|scope| {
        let (ends, _ending) = (&ends, Ends(&ends));
        scope.spawn(move || keep_setting((Client::connect(peer), ends), |_| "k".into(), || ()));
        let mut client = cluster.client(1);
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let Value::Array(answers) = transaction(&mut client, &reads) else { panic!("no list") };
            assert_eq!(answers.len(), reads.len());
            assert!(answers.iter().all(|answer| *answer == answers[0]), "the key has changed inside of EXEC");
            seen.insert(answers[0].to_string());
        }
        assert!(seen.len() > 10, "the peer has written meanwhile");
    });
}

/// The same with what a round brings: node 1 hears nothing of node 2 but in rounds.
#[test]
fn no_round_comes_between_the_commands_of_a_transaction() {
    let cluster = Cluster::start(2);
    let reads: Vec<&[&str]> = vec![&["GET", "k"]; 2000];
    let ends = AtomicBool::new(false);
    cluster.links.between(2, 1).set(Mode::Cut);
    thread::scope(|scope| {
        let (ends, _ending) = (&ends, Ends(&ends));
        let (there, mut here) = (cluster.client(2), cluster.client(1));
        scope.spawn(move || keep_setting((there, ends), |_| "k".into(), || _ = here.lines("SYNC")));
        let (mut client, mut seen) = (cluster.client(1), BTreeSet::new());
        let started = Instant::now();
        while seen.len() < 20 {
            assert!(started.elapsed() < DEADLINE, "the rounds bring something");
            let Value::Array(answers) = transaction(&mut client, &reads) else { panic!("no list") };
            assert!(answers.iter().all(|answer| *answer == answers[0]), "the key has changed inside of EXEC");
            seen.insert(answers[0].to_string());
        }
    });
}

/// Clients at three nodes move keys with transactions, also while nodes are cut off. In the end every node holds the
/// last write of each client: each has keys of its own.
#[test]
fn three_nodes_lose_no_write_of_a_transaction() {
    let cluster = Cluster::start(3);
    thread::scope(|scope| {
        for writer in 0..6_u64 {
            let mut client = cluster.client(writer as u16 % 3 + 1);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let (one, two, value) =
                        (format!("{writer}:{}", round % 20), format!("{writer}:last"), format!("{round}"));
                    let done = transaction(&mut client, &[&["SET", &one, &value], &["SET", &two, &value]]);
                    assert_eq!(done.to_string(), "(+OK, +OK)");
                }
            });
        }
        for _ in 0..5 {
            cluster.links.set(Mode::Cut);
            thread::yield_now();
            cluster.links.heal();
            cluster.client(1).lines("SYNC");
        }
    });
    cluster.wait_until_it_agrees();
    for node in 1..=3 {
        let mut client = cluster.client(node);
        for writer in 0..6 {
            assert_eq!(client.line(format!("GET {writer}:last")), (ROUNDS - 1).to_string());
            for slot in 0..20 {
                assert_eq!(client.line(format!("GET {writer}:{slot}")), (ROUNDS - 20 + slot).to_string());
            }
        }
    }
}

/// Transactions, waiting commands and ordinary pipelines, all at once: nobody waits for ever for the common lock.
#[test]
fn a_transaction_and_a_client_that_waits_do_not_block_each_other() {
    let cluster = Cluster::start(2);
    cluster.links.set(Mode::Cut);
    let mut waiting = cluster.client(1);
    waiting.send("SET k v\nWAIT 1 0\n");
    let mut also_waiting = cluster.client(1);
    also_waiting.send("PING\nWAITFOR nothing \"2100-01-01T00:00:00.000Z+0 node 1\" 600000\n");
    assert_eq!((waiting.read_line(), also_waiting.read_line()), ("OK".into(), "PONG".into()));
    let started = Instant::now();
    let mut client = cluster.client(1);
    for commands in [&[&["SET", "a", "1"][..], &["WAIT", "1", "0"]][..], &[&["GET", "a"], &["WAITAOF", "0", "1", "0"]]]
    {
        assert!(matches!(transaction(&mut client, commands), Value::Array(_)));
    }
    let never = "2100-01-01T00:00:00.000Z+0 node 1";
    assert_eq!(transaction(&mut client, &[&["WAITFOR", "a", never, "0"]]).to_string(), "(:0)");
    assert!(started.elapsed() < DEADLINE / 2, "nothing in EXEC waits, nor for those who wait");
    cluster.links.heal();
    assert_eq!(waiting.read_line(), "1");
}

// ---- watching -------------------------------------------------------------------------------------------------------

/// Every client adds 1 to a key, by reading and writing it; WATCH makes those begin again that were too late.
#[test]
fn with_watch_no_increment_of_a_node_is_lost() {
    let cluster = Cluster::start(1);
    let address = cluster.address(1);
    let conflicts = AtomicU64::new(0);
    assert_eq!(cluster.client(1).line("SET count 0"), "OK");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                let mut done = 0;
                while done < ROUNDS / 3 {
                    assert_eq!(client.resp(&["WATCH", "count"]).to_string(), "+OK");
                    let Value::Bulk(count) = client.resp(&["GET", "count"]) else { panic!("a count") };
                    let count: u64 = String::from_utf8_lossy(&count).parse().expect("a number");
                    match transaction(&mut client, &[&["SET", "count", &(count + 1).to_string()]]) {
                        Value::Nil => _ = conflicts.fetch_add(1, Relaxed),
                        done_now => {
                            assert_eq!(done_now.to_string(), "(+OK)");
                            done += 1;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(cluster.client(1).line("GET count"), (4 * (ROUNDS / 3)).to_string());
    assert!(conflicts.load(Relaxed) > 0, "some were too late");
}

#[test]
fn a_watched_key_that_anybody_has_written_stops_exec_once() {
    let cluster = Cluster::start(2);
    let (mut client, mut other, mut peer) = (cluster.client(1), cluster.client(1), cluster.client(2));
    let exec = |client: &mut Client| transaction(client, &[&["SET", "out", "v"]]).to_string();
    for write in ["SET k 1", "SET k 1", "DEL k", "DEL k", "MSET j 1 k 2"] {
        assert_eq!(client.line("WATCH k unwritten"), "OK");
        assert!(other.line(write).starts_with(|answer: char| answer.is_ascii_alphanumeric()), "{write}");
        assert_eq!(exec(&mut client), "nil", "{write} of another client");
        assert_eq!(exec(&mut client), "(+OK)", "EXEC has ended the watch");

        assert_eq!(client.line("WATCH k"), "OK");
        client.line(write);
        assert_eq!(exec(&mut client), "nil", "{write} of the same client");
    }
    cluster.wait_until_it_agrees();
    assert_eq!(client.line("WATCH k"), "OK");
    assert_eq!(peer.line("SET k from-the-peer"), "OK");
    eventually("it is here", DEADLINE, || other.line("GET k") == "from-the-peer");
    assert_eq!(exec(&mut client), "nil", "a peer's write");

    assert_eq!(client.line("WATCH k"), "OK");
    assert_eq!(other.lines("MGET k j").len() + usize::from(other.line("SET j 3") == "OK"), 3);
    assert_eq!(exec(&mut client), "(+OK)", "reading it changes nothing, nor does writing another");
}

#[test]
fn watching_ends_with_unwatch_exec_discard_and_reset() {
    let cluster = Cluster::start(1);
    let (mut client, mut other) = (cluster.client(1), cluster.client(1));
    let ends: [&[&[&str]]; 6] = [
        &[&["UNWATCH"]],
        &[&["MULTI"], &["DISCARD"]],
        &[&["MULTI"], &["EXEC"]],
        &[&["MULTI"], &["FROB"], &["EXEC"]],
        &[&["RESET"]],
        &[&["MULTI"], &["RESET"]],
    ];
    for end in ends {
        assert_eq!(client.line("WATCH k"), "OK");
        pipeline(&mut client, end);
        assert_eq!(other.line("SET k v"), "OK");
        assert_eq!(transaction(&mut client, &[&["GET", "k"]]).to_string(), "($v)", "{end:?}");
    }
    assert_eq!(client.line("WATCH k"), "OK");
    assert_eq!(other.line("SET k v"), "OK");
    assert_eq!(
        transaction(&mut client, &[&["UNWATCH"], &["GET", "k"]]).to_string(),
        "nil",
        "UNWATCH in it is too late"
    );
}

/// What was written and has expired since counts as changed; what had expired before does not.
#[test]
fn a_watched_key_that_expires_stops_exec() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    if client.resp(&["SET", "k", "v", "PX", "50"]).to_string() != "+OK" {
        println!("skipped: SET takes no PX yet");
        return;
    }
    assert_eq!(client.line("WATCH k"), "OK");
    eventually("it expires", DEADLINE, || cluster.client(1).line("EXISTS k") == "0");
    assert_eq!(transaction(&mut client, &[&["SET", "out", "v"]]).to_string(), "nil");
    assert_eq!(client.line("WATCH k"), "OK");
    eventually("it is swept", DEADLINE, || cluster.client(1).line("DBSIZE") == "0");
    assert_eq!(transaction(&mut client, &[&["SET", "out", "v"]]).to_string(), "(+OK)");
}

// ---- what is refused ------------------------------------------------------------------------------------------------

#[test]
fn an_error_while_queueing_makes_exec_apply_nothing() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let wrong: [(&[&str], &str); 6] = [
        (&["FROB"], "-ERR unknown command*"),
        (&["GET"], "-ERR wrong number of arguments*"),
        (&["DISCARD", "x"], "-ERR wrong number of arguments*"),
        (&["SYNC"], "-ERR Command not allowed inside a transaction"),
        (&["AUTH", "x"], "-ERR Command not allowed inside a transaction"),
        (&["PSYNC", "?", "-1"], "-ERR Command not allowed inside a transaction"),
    ];
    for (words, expected) in wrong {
        let answers = pipeline(&mut client, &[&["MULTI"], &["SET", "k", "v"], words, &["SET", "k", "w"], &["EXEC"]]);
        let answers: Vec<String> = answers.iter().map(Value::to_string).collect();
        assert_eq!((&*answers[1], &*answers[3]), ("+QUEUED", "+QUEUED"), "{words:?}");
        assert!(glob::matches(expected.as_bytes(), answers[2].as_bytes()), "{words:?}: {}", answers[2]);
        assert!(answers[4].starts_with("-EXECABORT "), "{words:?}: {}", answers[4]);
        assert_eq!(client.line("EXISTS k"), "0", "{words:?}");
        assert_eq!(client.line("EXEC"), "ERROR: EXEC without MULTI", "the first has ended it");
    }
}

#[test]
fn what_fails_in_exec_has_its_error_in_its_place() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let long = "k".repeat(70_000);
    let answers = transaction(&mut client, &[&["SET", "a", "1"], &["GET", &long], &["WAIT", "x", "0"], &["GET", "a"]]);
    let expected = "(+OK, -ERR a key has at most*, -ERR value is not an integer or out of range, $1)";
    assert!(glob::matches(expected.as_bytes(), answers.to_string().as_bytes()), "{answers}");
}

#[test]
fn a_transaction_begins_and_ends_as_in_redis() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for (words, expected) in [
        (&["EXEC"][..], "-ERR EXEC without MULTI"),
        (&["DISCARD"], "-ERR DISCARD without MULTI"),
        (&["MULTI"], "+OK"),
        (&["MULTI"], "-ERR MULTI calls can not be nested"),
        (&["WATCH", "k"], "-ERR WATCH inside MULTI is not allowed"),
        (&["SET", "k", "v"], "+QUEUED"),
        (&["EXEC"], "(+OK)"),
        (&["MULTI"], "+OK"),
        (&["EXEC"], "()"),
        (&["MULTI"], "+OK"),
        (&["DEL", "k"], "+QUEUED"),
        (&["DISCARD"], "+OK"),
        (&["GET", "k"], "$v"),
        (&["MULTI"], "+OK"),
        (&["DEL", "k"], "+QUEUED"),
        (&["RESET"], "+RESET"),
        (&["EXEC"], "-ERR EXEC without MULTI"),
        (&["GET", "k"], "$v"),
        (&["MULTI"], "+OK"),
        (&["DEL", "k"], "+QUEUED"),
        (&["QUIT"], "+OK"),
    ] {
        assert_eq!(client.resp(words).to_string(), expected, "{words:?}");
    }
    assert_eq!(client.read_to_end(), b"");
    let mut unfinished = cluster.client(1);
    assert_eq!(unfinished.line("MULTI") + &unfinished.line("DEL k"), "OKQUEUED");
    drop(unfinished);
    eventually("it is gone", DEADLINE, || client_count(&cluster) == 1);
    assert_eq!(cluster.client(1).line("GET k"), "v", "the end of a connection drops what it has queued");
}

fn client_count(cluster: &Cluster) -> u64 {
    cluster.client(1).count("connected_clients")
}

#[test]
fn no_exec_with_nil_in_resp3_is_an_empty_value() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    client.resp(&["HELLO", "3"]);
    client.resp(&["WATCH", "k"]);
    client.resp(&["SET", "k", "v"]);
    client.send(encode(&["MULTI"]));
    client.send(encode(&["EXEC"]));
    assert_eq!((client.read_line(), client.read_line()), ("+OK".into(), "_".into()));
    client.resp(&["RESET"]);
    client.resp(&["WATCH", "k"]);
    client.resp(&["SET", "k", "v"]);
    client.resp(&["MULTI"]);
    client.send(encode(&["EXEC"]));
    assert_eq!(client.read_line(), "*-1");
}

#[test]
fn a_transaction_can_be_typed() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for (line, answer) in
        [("MULTI", "OK"), ("SET k hello world", "QUEUED"), ("get k", "QUEUED"), ("MGET k no", "QUEUED")]
    {
        assert_eq!(client.line(line), answer);
    }
    client.send("EXEC\n");
    assert_eq!(client.read_until_end(), ["OK", "hello world", "hello world", "Key not found"], "MGET's own END");
    assert_eq!(client.read_until_end(), [""; 0]);
    assert_eq!(client.line("WATCH k"), "OK");
    assert_eq!(client.line("SET k v"), "OK");
    assert_eq!(client.line("MULTI") + &client.line("GET k"), "OKQUEUED");
    assert_eq!(client.line("EXEC"), "Nothing applied: a watched key has changed");
    assert_eq!(client.line("MULTI") + &client.line("SET k \"'"), "OKQUEUED", "a value may have any quotes");
    assert!(client.line("GET \"k").starts_with("ERROR: unbalanced quotes"));
    assert!(client.line("EXEC").starts_with("ERROR: Transaction discarded because of previous errors"));
}

// ---- bounds ---------------------------------------------------------------------------------------------------------

#[test]
fn a_transaction_has_at_most_so_many_commands_and_a_client_watches_at_most_so_many_keys() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line("MULTI"), "OK");
    client.send(encode(&["PING"]).repeat(MAX_TRANSACTION_COMMANDS));
    for _ in 0..MAX_TRANSACTION_COMMANDS {
        assert_eq!(client.read_line(), "+QUEUED");
    }
    assert!(client.line("PING").starts_with("ERROR: a transaction has at most"));
    assert!(client.line("EXEC").starts_with("ERROR: Transaction discarded"));

    let keys: Vec<String> = (0..=MAX_WATCHED_KEYS).map(|number| number.to_string()).collect();
    let words = |keys: &[String]| [&["WATCH".to_string()], keys].concat();
    assert_eq!(client.resp(&words(&keys[1..])).to_string(), "+OK");
    assert_eq!(client.resp(&words(&keys[1..])).to_string(), "+OK", "they are watched already");
    assert!(client.resp(&words(&keys[..1])).to_string().starts_with("-ERR a client watches at most"));
}

/// What is queued counts as memory, is refused beyond it, and is given back.
#[test]
fn what_is_queued_counts_as_memory() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 32 * 1024 * 1024);
    let mut client = cluster.client(1);
    let value = "v".repeat(1024 * 1024);
    assert_eq!(client.line("MULTI"), "OK");
    let mut queued = 0;
    loop {
        match client.resp(&["SET", &format!("k{queued}"), &value]).to_string() {
            answer if answer == "+QUEUED" => queued += 1,
            refused => {
                assert!(refused.starts_with("-OOM "), "{refused}");
                break;
            }
        }
    }
    assert!((20..32).contains(&queued), "{queued} MiB of 32");
    assert!(client.resp(&["EXEC"]).to_string().starts_with("-EXECABORT "));
    let set: Vec<Vec<&str>> = (0..20).map(|_| vec!["SET", "k", &value]).collect();
    let set: Vec<&[&str]> = set.iter().map(Vec::as_slice).collect();
    for _ in 0..3 {
        assert_eq!(transaction(&mut client, &set).to_string().matches("+OK").count(), 20, "the memory was given back");
    }
    let mut other = cluster.client(1);
    for number in 0..20 {
        assert_eq!(other.resp(&["SET", &format!("k{number}"), &value]).to_string(), "+OK", "nor is it counted");
    }
}

/// When the memory has become full since a write was queued, EXEC applies nothing.
#[test]
fn exec_is_refused_when_the_memory_has_become_full() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 32 * 1024 * 1024);
    let (mut client, mut other) = (cluster.client(1), cluster.client(1));
    for line in ["MULTI", "DEL k", "SET small v"] {
        client.line(line);
    }
    let value = "v".repeat(8192);
    let refused = |n: &u64| other.resp(&["SET", &format!("k{n}"), &value]).to_string().starts_with("-OOM ");
    assert!((0..8192).find(refused).is_some(), "the memory is full");
    assert!(client.line("EXEC").starts_with("ERROR: memory is full"));
    assert_eq!(client.line("EXISTS small"), "0");
    assert_eq!(client.line("EXEC"), "ERROR: EXEC without MULTI");
}

/// An EXEC that only reads waits until earlier answers are read. One that has written cannot begin again: what has no
/// room has its error in its place.
#[test]
fn an_exec_of_large_answers_waits_for_earlier_ones_to_be_read() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 64 * 1024 * 1024);
    let mut client = cluster.client(1);
    let value = "v".repeat(11 * 256 * 1024);
    assert_eq!(client.resp(&["SET", "k", &value]).to_string(), "+OK");
    // Those of EXEC fit into the 14 MiB that one client may have of the 16 MiB of all, but not beside the earlier ones.
    let gets: [&[&str]; 5] = [&["GET", "k"]; 5];
    let requests: Vec<&[&str]> = [&gets[..2], &[&["MULTI"]], &gets, &[&["EXEC"]]].concat();
    let mut other = cluster.client(1);
    let before = other.count("total_commands_processed");
    client.send(requests.iter().flat_map(|words| encode(words)).collect::<Vec<u8>>());
    // When all before EXEC are counted, their answers are on their way.
    let mut asked = 0;
    eventually("EXEC is reached", DEADLINE, || {
        asked += 1;
        other.count("total_commands_processed") - before >= 8 + asked
    });
    let answers: Vec<Value> = requests.iter().map(|_| client.read_value()).collect();
    let Value::Array(answers) = &answers[8] else { panic!("no list") };
    assert!(answers.iter().all(|answer| *answer == Value::Bulk(value.clone().into())), "all have found room");
    assert_eq!(client.line("SET out v"), "OK");
    let many: Vec<&[&str]> = [&["DEL", "out"][..]].into_iter().chain([&["GET", "k"][..]; 8]).collect();
    let Value::Array(answers) = transaction(&mut client, &many) else { panic!("no list") };
    assert_eq!(answers[0].to_string(), ":1", "what was written is written once");
    assert!(answers[8].to_string().starts_with("-OOM too many large answers"));
    assert_eq!(client.line("PING"), "PONG", "the answers are still in step");
}

// ---- the disk -------------------------------------------------------------------------------------------------------

#[test]
fn exec_is_refused_when_the_disk_has_failed_since() {
    let data = std::env::temp_dir().join(format!("kvstore-exec-{}", std::process::id()));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(["--listen", "127.0.0.1:0", "--sync", "always", "--data"]).arg(&data);
    let node = Process::run(&mut command);
    let mut client = Client::connect(node.address);
    client.wait_until_it_serves();
    assert_eq!(transaction(&mut client, &[&["SET", "kept", "1"], &["SET", "k", "1"]]).to_string(), "(+OK, +OK)");
    for line in ["MULTI", "SET k 2"] {
        client.line(line);
    }
    if !node.limit_files("64") {
        println!("skipped: there is no prlimit");
        return;
    }
    let mut other = Client::connect(node.address);
    eventually("the disk has failed", DEADLINE, || other.line("SET other v").contains("disk has failed"));
    assert!(client.line("EXEC").contains("disk has failed"));
    assert_eq!(client.line("GET k"), "1", "nothing was applied");
    let answers = pipeline(&mut client, &[&["MULTI"], &["SET", "k", "3"], &["EXEC"]]);
    assert!(answers[1].to_string().starts_with("-MISCONF ") && answers[2].to_string().starts_with("-EXECABORT "));
    assert_eq!(transaction(&mut client, &[&["GET", "k"], &["GET", "kept"]]).to_string(), "($1, $1)", "reads go on");
    node.kill();
    let _ = std::fs::remove_dir_all(&data);
}

#[test]
fn nobody_on_this_node_sees_half_of_an_mset() {
    let cluster = Cluster::start(1);
    let keys: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = cluster.client(1);
            for number in 0.. {
                let pairs: Vec<String> = keys.iter().map(|key| format!("{key} {number}")).collect();
                assert_eq!(writer.line(format!("MSET {}", pairs.join(" "))), "OK");
                if stop.load(Relaxed) {
                    return;
                }
            }
        });
        let mut reader = cluster.client(1);
        let seen: Vec<Vec<String>> = (0..2_000).map(|_| reader.lines(format!("MGET {}", keys.join(" ")))).collect();
        stop.store(true, Relaxed);
        let is_whole = |values: &Vec<String>| values.iter().all(|value| *value == values[0]);
        assert!(seen.iter().all(is_whole), "half of an MSET was seen");
    });
}

#[test]
fn a_transaction_does_not_wait_for_the_end_of_a_flushall() {
    const KEYS: usize = 200_000;
    let cluster = Cluster::start(1);
    let mut flusher = cluster.client(1);
    let replica = cluster.node(1).replica();
    (0..KEYS).for_each(|n| replica.set(format!("k{n}").as_bytes(), b"v"));
    let mut other = cluster.client(1);
    flusher.send("FLUSHALL\n");
    eventually("it has begun", DEADLINE, || replica.store().counts().keys < KEYS);
    assert_eq!(other.line("MSET a 1 b 2"), "OK");
    let left = replica.store().counts().keys;
    assert!(left > KEYS / 10, "only {left} keys were left when the transaction came in");
    assert_eq!(flusher.read_line(), "OK");
}
