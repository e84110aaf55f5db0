//! WAIT, WAITAOF and WAITFOR, with real nodes: what counts as held, what does not, and what waiting costs.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, Value, eventually};
use kvstore::config::Config;
use kvstore::limits::WAIT_AFTER_HANG_UP;
use kvstore::rules::Rule;
use socket2::SockRef;

/// So long that no tick runs during a test, but that of the start.
fn no_ticks(config: &mut Config) {
    config.interval = Duration::from_secs(3600);
}

/// What WAIT answers.
#[track_caller]
fn wait(client: &mut Client, peers: usize, millis: u64) -> usize {
    client.line(format!("WAIT {peers} {millis}")).parse().expect("a number")
}

/// How long to wait for what must not come.
const MOMENT_MS: u64 = 200;

/// How long to wait for what must come, at most.
const LONG_MS: u64 = 20_000;

// ---- WAIT -----------------------------------------------------------------------------------------------------------

#[test]
fn what_wait_counts_is_there() {
    let cluster = Cluster::start_with(3, no_ticks);
    let mut client = cluster.client(1);
    let mut peers = [2, 3].map(|number| cluster.client(number));
    assert_eq!(wait(&mut client, 2, LONG_MS), 2, "all peers hold nothing of it");
    for number in 0..200 {
        assert_eq!(client.line(format!("SET key{number} {number}")), "OK");
        assert_eq!(wait(&mut client, 2, LONG_MS), 2);
        for peer in &mut peers {
            assert_eq!(peer.line(format!("GET key{number}")), number.to_string());
        }
    }
    assert_eq!(client.line("DEL key1"), "OK");
    assert_eq!(wait(&mut client, 2, 0), 2, "0 is for ever");
    assert_eq!(peers[0].line("GET key1"), "Key not found");
    let started = Instant::now();
    assert_eq!(wait(&mut client, 3, MOMENT_MS), 2, "there are only two");
    assert!(started.elapsed() >= Duration::from_millis(MOMENT_MS));
}

#[test]
fn a_peer_that_is_cut_off_or_silent_does_not_count() {
    for mode in [Mode::Cut, Mode::Stalled] {
        let cluster = Cluster::start_with(3, no_ticks);
        let mut client = cluster.client(1);
        cluster.links.between(1, 3).set(mode);
        assert_eq!(client.line("SET k v"), "OK");
        assert_eq!(wait(&mut client, 1, LONG_MS), 1);
        assert_eq!(wait(&mut client, 2, MOMENT_MS), 1, "{mode:?}");
        assert_eq!(cluster.client(3).line("GET k"), "Key not found");
        client.send("WAIT 2 0\n");
        let blocked = || cluster.client(1).count("blocked_clients") == 1;
        eventually("it waits", DEADLINE, blocked);
        cluster.links.heal();
        assert_eq!(client.read_line(), "2");
        assert_eq!(cluster.client(3).line("GET k"), "v");
        assert_eq!(cluster.client(1).count("blocked_clients"), 0);
    }
}

#[test]
fn a_write_that_a_full_queue_has_dropped_counts_after_a_round_only() {
    let cluster = Cluster::start_with(2, |config| {
        no_ticks(config);
        config.propagation_queue = 4;
    });
    let mut client = cluster.client(1);
    cluster.links.set(Mode::Cut);
    (0..100).for_each(|number| assert_eq!(client.line(format!("SET key{number} v")), "OK"));
    assert!(client.peer(1, "dropped").parse::<u64>().unwrap() > 90);
    assert_eq!(wait(&mut client, 1, MOMENT_MS), 0);
    cluster.links.heal();
    assert_eq!(wait(&mut client, 1, LONG_MS), 1);
    assert_eq!(cluster.client(2).line("DBSIZE"), "100", "all are there when WAIT says so");
}

#[test]
fn without_propagation_only_rounds_count() {
    let cluster = Cluster::start_with(2, |config| {
        no_ticks(config);
        config.rules = config.rules.without(Rule::Propagation);
    });
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET k v"), "OK");
    assert_eq!(wait(&mut client, 1, MOMENT_MS), 0);
    cluster.client(1).lines("SYNC");
    assert_eq!(wait(&mut client, 1, LONG_MS), 1);
    assert_eq!(cluster.client(2).line("GET k"), "v");
    assert_eq!(client.line("SET k w"), "OK");
    assert_eq!(wait(&mut client, 1, MOMENT_MS), 0, "that round was before the write");
}

#[test]
fn what_a_peer_held_before_it_lost_its_memory_does_not_count() {
    let never_asks = |config: &mut Config| {
        no_ticks(config);
        config.rules = config.rules.without(Rule::AntiEntropy);
    };
    let mut cluster = Cluster::start_with(2, no_ticks);
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET first v"), "OK");
    assert_eq!(wait(&mut client, 1, LONG_MS), 1);
    cluster.stop(2);
    assert_eq!(wait(&mut client, 1, MOMENT_MS), 0, "nobody knows what has become of it");
    // It takes over nothing by itself. That node 1 delivers what is written now is not enough.
    cluster.start_again(2, never_asks);
    cluster.client(2).wait_until_it_serves();
    assert_eq!(client.line("SET second v"), "OK");
    assert_eq!(wait(&mut client, 1, LONG_MS), 1);
    let mut peer = cluster.client(2);
    assert_eq!((peer.line("GET first"), peer.line("GET second")), ("v".into(), "v".into()));
}

#[test]
fn a_client_waits_for_its_own_writes_only_and_gets_earlier_answers_first() {
    let cluster = Cluster::start_with(2, no_ticks);
    let (mut reader, mut writer) = (cluster.client(1), cluster.client(1));
    cluster.links.between(1, 2).set(Mode::Stalled);
    writer.send("SET k v\nGET k\nWAIT 1 0\nGET k\n");
    assert_eq!((writer.read_line(), writer.read_line()), ("OK".into(), "v".into()));
    eventually("it waits", DEADLINE, || reader.count("blocked_clients") == 1);
    assert_eq!(wait(&mut reader, 1, 0), 1, "it has written nothing");
    cluster.links.heal();
    assert_eq!((writer.read_line(), writer.read_line()), ("1".into(), "v".into()));
}

// ---- clients that go ------------------------------------------------------------------------------------------------

#[test]
fn who_hangs_up_waits_no_longer_and_who_only_sends_no_more_gets_an_answer() {
    let cluster = Cluster::start(2);
    cluster.links.set(Mode::Cut);
    let mut other = cluster.client(1);
    let waiting = || {
        let mut client = cluster.client(1);
        client.send("SET k v\nWAIT 1 0\n");
        assert_eq!(client.read_line(), "OK");
        client
    };
    let blocked = |number: u64, other: &mut Client| {
        eventually("as many wait as should", WAIT_AFTER_HANG_UP + DEADLINE, || other.count("blocked_clients") == number)
    };
    let reset = waiting();
    blocked(1, &mut other);
    SockRef::from(reset.stream()).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
    drop(reset);
    assert!(blocked(0, &mut other) < WAIT_AFTER_HANG_UP, "a reset is noticed at once");

    let mut half = waiting();
    half.finish();
    let gone = waiting();
    blocked(2, &mut other);
    drop(gone);
    let mut patient = cluster.client(1);
    patient.send("SET k v\nWAIT 1 300\n");
    patient.finish();
    assert_eq!((patient.read_line(), patient.read_line()), ("OK".into(), "0".into()), "as `nc -N` does");
    assert_eq!(half.read_line(), "0", "it gets an answer after a while");
    blocked(0, &mut other);
}

#[test]
fn a_node_stops_although_clients_wait() {
    let mut cluster = Cluster::start(2);
    cluster.links.set(Mode::Cut);
    let mut clients: Vec<Client> = (0..20).map(|_| cluster.client(1)).collect();
    clients.iter_mut().for_each(|client| client.send("SET k v\nWAIT 1 0\n"));
    let mut other = cluster.client(1);
    eventually("they wait", DEADLINE, || other.count("blocked_clients") == 20);
    let started = Instant::now();
    cluster.stop(1);
    assert!(started.elapsed() < WAIT_AFTER_HANG_UP, "it took {:?}", started.elapsed());
}

/// How often the threads of a process have gone to sleep so far.
fn sleeps(process: &Process) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).expect("the process runs");
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
    let count = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:").map(str::to_owned));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.flatten().map(status).map(count).sum()
}

#[test]
fn a_thousand_clients_that_wait_cost_no_polling() {
    const CLIENTS: usize = 1_000;
    let links = Links::new(2);
    let (first, second) = (Process::start(&links, 1, "1h"), Process::start(&links, 2, "1h"));
    [&first, &second].iter().for_each(|node| node.client().wait_until_it_serves());
    links.set(Mode::Stalled);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| first.client()).collect();
    clients.iter_mut().for_each(|client| client.send("SET k v\nWAIT 1 0\n"));
    let mut other = first.client();
    eventually("all wait", DEADLINE, || other.count("blocked_clients") == CLIENTS as u64);
    let before = sleeps(&first);
    thread::sleep(Duration::from_secs(1));
    let slept = sleeps(&first) - before;
    assert!(slept < CLIENTS as u64 / 4, "{slept} times a thread went to sleep in a second");
    links.heal();
    for mut client in clients {
        assert_eq!((client.read_line(), client.read_line()), ("OK".into(), "1".into()));
    }
}

// ---- WAITFOR --------------------------------------------------------------------------------------------------------

/// What VERSION says of a key: the token for WAITFOR.
fn token(client: &mut Client, key: &str) -> String {
    match client.resp(&["VERSION", key]) {
        Value::Bulk(version) => String::from_utf8(version).expect("text"),
        other => panic!("{other:?}"),
    }
}

fn waitfor(client: &mut Client, key: &str, token: &str, millis: u64) -> bool {
    client.resp(&["WAITFOR", key, token, &millis.to_string()]) == Value::Integer(1)
}

#[test]
fn a_client_that_changes_nodes_reads_what_it_wrote() {
    let cluster = Cluster::start_with(2, no_ticks);
    let (mut here, mut there) = (cluster.client(1), cluster.client(2));
    for number in 0..200 {
        assert_eq!(here.line(format!("SET k {number}")), "OK");
        let version = token(&mut here, "k");
        assert!(waitfor(&mut there, "k", &version, LONG_MS));
        assert_eq!(there.line("GET k"), number.to_string());
    }
    cluster.links.set(Mode::Cut);
    assert_eq!(here.line("DEL k"), "OK");
    let version = token(&mut here, "k");
    assert!(waitfor(&mut here, "k", &version, 0), "it is here");
    assert!(!waitfor(&mut there, "k", &version, MOMENT_MS));
    assert!(!waitfor(&mut there, "other", &version, MOMENT_MS));
    // A newer one will do; also one that is written there.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waitfor(&mut there, "k", &version, LONG_MS));
        let mut other = cluster.client(2);
        eventually("it waits", DEADLINE, || other.count("blocked_clients") == 1);
        thread::sleep(Duration::from_millis(5));
        assert_eq!(other.line("SET k newer"), "OK");
        assert!(waiting.join().unwrap());
    });
    let plain = here.line(format!("WAITFOR k \"{version}\" 1"));
    assert_eq!(plain, "1", "in quotes, as a plain line needs them");
}

// ---- WAITAOF --------------------------------------------------------------------------------------------------------

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kvstore-waiting-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a writable directory for temporary files");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn waitaof_counts_what_is_on_disks() {
    let scratch = Scratch::new("disks");
    let cluster = Cluster::start_with(3, |config| {
        config.data = (config.node < 3).then(|| scratch.0.join(config.node.to_string()));
    });
    let ask = |client: &mut Client, request: &str| match client.resp(&request.split(' ').collect::<Vec<_>>()) {
        Value::Array(items) => items,
        other => panic!("{other:?}"),
    };
    let numbers = |local, peers| vec![Value::Integer(local), Value::Integer(peers)];
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET k v"), "OK");
    assert_eq!(ask(&mut client, "WAITAOF 1 0 0"), numbers(1, 0), "no round was long enough ago");
    assert_eq!(ask(&mut client, &format!("WAITAOF 1 1 {LONG_MS}")), numbers(1, 1), "node 2 has a disk");
    assert_eq!(ask(&mut client, &format!("WAITAOF 0 2 {MOMENT_MS}")), numbers(1, 1), "node 3 has none");
    let mut third = cluster.client(3);
    assert_eq!(third.line("SET k w"), "OK");
    assert_eq!(ask(&mut third, &format!("WAITAOF 0 2 {LONG_MS}")), numbers(0, 2));
    cluster.links.set(Mode::Cut);
    assert_eq!(client.line("SET k x"), "OK");
    assert_eq!(ask(&mut client, &format!("WAITAOF 1 1 {MOMENT_MS}")), numbers(1, 0));
}

// ---- the writer dies ------------------------------------------------------------------------------------------------

#[test]
fn a_write_for_which_wait_has_said_one_outlives_its_node() {
    const KILLS: usize = 200;
    let links = Links::new(2);
    let second = Process::start(&links, 2, "1h");
    let mut reader = second.client();
    for kill in 0..KILLS {
        let first = Process::start(&links, 1, "1h");
        let mut client = first.client();
        client.wait_until_it_serves();
        // Others write, too, so that it does not wait behind an empty queue.
        let mut other = first.client();
        let noise: String = (0..kill % 50 * 20).map(|number| format!("SET noise{number} {kill}\n")).collect();
        other.send(&noise);
        client.send(format!("SET key{kill} {kill}\nDEL key{}\nWAIT 1 {LONG_MS}\n", kill / 2));
        let _ = client.stream().flush();
        assert_eq!([client.read_line(), client.read_line(), client.read_line()][2], "1");
        first.kill();
        let deleted = reader.line(format!("GET key{}", kill / 2));
        assert_eq!(deleted, "Key not found", "kill {kill}");
        let expected = if kill / 2 == kill { "Key not found".into() } else { kill.to_string() };
        assert_eq!(reader.line(format!("GET key{kill}")), expected, "kill {kill}");
    }
}

#[test]
fn a_peer_that_is_configured_twice_is_one_node() {
    let scratch = Scratch::new("twice");
    let cluster = Cluster::start_with(2, |config| {
        config.data = Some(scratch.0.join(config.node.to_string()));
        if config.node == 1 {
            config.peers.push(config.peers[0].replace("127.0.0.1", "localhost"));
        }
    });
    let mut client = cluster.client(1);
    let disks = Value::Array(vec![Value::Integer(1), Value::Integer(1)]);
    for number in 0..50 {
        assert_eq!(client.line(format!("SET k {number}")), "OK");
        assert!(wait(&mut client, 2, 10) < 2);
    }
    assert_eq!(client.resp(&["WAITAOF", "1", "1", &LONG_MS.to_string()]), disks);
    assert_eq!(client.resp(&["WAITAOF", "1", "2", "1"]), disks);
}
