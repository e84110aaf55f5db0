//! Keys that expire, on real nodes: in this process with clocks that the test sets, and as processes whose clock
//! libfaketime moves. (What all interleavings do: `simulation.rs`. What the commands answer: `commands.rs`.)

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, Value, encode, eventually};
use kvstore::config::{Config, SharedWallClock};
use kvstore::limits::SWEEP_KEYS;
use kvstore::replication::journal::{DiskFailed, Journal, Note};
use kvstore::replication::message::{Confirmation, Incarnation};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::rules::Rules;
use kvstore::store::accepted::Accepted;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

/// How many keys expire in the same second, unless `EXPIRY_KEYS` says otherwise.
const KEYS: usize = 100_000;

/// What a client reads of an absent key.
const ABSENT: Value = Value::Nil;

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since_epoch.as_millis()).expect("it is not so late")
}

/// The machine's clock, wrong by as many milliseconds as the test says.
fn clock_off_by(ms: &Arc<AtomicI64>) -> SharedWallClock {
    let ms = Arc::clone(ms);
    Arc::new(move || Timestamp::from_millis(now_ms().saturating_add_signed(ms.load(Relaxed))))
}

fn set_until(client: &mut Client, key: &str, value: &str, at_ms: u64) {
    let answer = client.resp(&["SET", key, value, "PXAT", &at_ms.to_string()]);
    assert_eq!(answer, Value::Simple("OK".into()), "{key}");
}

fn get(client: &mut Client, key: &str) -> Value {
    client.resp(&["GET", key])
}

/// Waits until no node has a key, and every tombstone is forgotten.
fn wait_until_nothing_is_left(clients: &mut [Client]) -> Duration {
    eventually("the tombstones are forgotten", 4 * DEADLINE, || {
        clients.iter_mut().all(|client| {
            let info = client.info();
            client.line("DBSIZE") == "0" && info["tombstones"] == "0" && info["tombstones_settled"] == "0"
        })
    })
}

// ---- in this process ------------------------------------------------------------------------------------------------

/// A client reads the value until its deadline and never after, whether or not it was swept; both nodes sweep within a
/// second or so, and forget it.
#[test]
fn a_key_expires_on_both_nodes_at_its_deadline() {
    let cluster = Cluster::start(2);
    let mut clients = [1, 2].map(|number| cluster.client(number));
    let deadline = now_ms() + 1_500;
    set_until(&mut clients[0], "k", "v", deadline);
    eventually("the value arrives", DEADLINE, || get(&mut clients[1], "k") != ABSENT || now_ms() > deadline);
    let mut seen = BTreeSet::new();
    while now_ms() <= deadline + 200 {
        for client in &mut clients {
            let before = now_ms();
            let is_there = get(client, "k") != ABSENT;
            let after = now_ms();
            assert!(is_there || after > deadline, "it is gone {} ms early", deadline - after);
            assert!(!is_there || before <= deadline, "it is there {} ms late", before - deadline);
            seen.insert(is_there);
        }
    }
    assert_eq!(seen.len(), 2, "it was there, and it has gone");
    let swept = eventually("both nodes sweep", DEADLINE, || clients.iter_mut().all(|it| it.line("DBSIZE") == "0"));
    println!("swept {swept:?} after 200 ms past the deadline");
    wait_until_nothing_is_left(&mut clients);
}

#[test]
fn a_node_whose_clock_is_ahead_lets_keys_expire_early_for_all() {
    let ahead = Arc::new(AtomicI64::new(30_000));
    let cluster = Cluster::start_with(2, |config| {
        if config.node == 2 {
            config.wall_clock = clock_off_by(&ahead);
        }
    });
    let mut clients = [1, 2].map(|number| cluster.client(number));
    // By the clock of node 1 there are 29 s left.
    let deadline = now_ms() + 29_000;
    set_until(&mut clients[0], "k", "v", deadline);
    assert_eq!(get(&mut clients[0], "k"), Value::Bulk(b"v".to_vec()));
    eventually("node 1 has lost it, too", DEADLINE, || get(&mut clients[0], "k") == ABSENT);
    assert!(now_ms() < deadline, "it was no early end: {} ms late", now_ms() - deadline);
    // A clock that is put right again, or far back, brings nothing back.
    ahead.store(-60_000, Relaxed);
    cluster.wait_until_it_agrees();
    assert_eq!(clients.each_mut().map(|client| get(client, "k")), [ABSENT, ABSENT]);
    assert_eq!(clients[0].line("CONFLICTS LEN"), "0");
}

#[test]
fn what_is_written_after_an_expiry_stands_though_the_nodes_were_cut_off() {
    let cluster = Cluster::start(2);
    let mut clients = [1, 2].map(|number| cluster.client(number));
    let deadline = now_ms() + 1_000;
    for key in ["gone", "again"] {
        set_until(&mut clients[0], key, "v", deadline);
    }
    cluster.wait_until_it_agrees();
    cluster.links.set(Mode::Cut);
    eventually("both expire", DEADLINE, || clients.iter_mut().all(|client| client.line("DBSIZE") == "0"));
    assert_eq!(clients[1].resp(&["SET", "again", "new"]), Value::Simple("OK".into()));
    cluster.links.heal();
    eventually("the new value arrives", DEADLINE, || get(&mut clients[0], "again") == Value::Bulk(b"new".to_vec()));
    cluster.wait_until_it_agrees();
    for client in &mut clients {
        assert_eq!((get(client, "gone"), client.line("CONFLICTS LEN")), (ABSENT, "0".into()));
        assert_eq!(get(client, "again"), Value::Bulk(b"new".to_vec()));
    }
}

/// Directories of nodes, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("kvstore-expiry-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a writable directory for temporary files");
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_deadline_outlives_a_restart_and_passes_while_the_node_is_down() {
    let scratch = Scratch::new("restart");
    let configure = |config: &mut Config| config.data = Some(scratch.0.join(config.node.to_string()));
    let mut cluster = Cluster::start_with(2, configure);
    let (soon, late) = (now_ms() + 1_000, now_ms() + 3_600_000);
    let mut client = cluster.client(1);
    set_until(&mut client, "soon", "v", soon);
    set_until(&mut client, "late", "v", late);
    assert_eq!(client.resp(&["SET", "kept", "v", "PXAT", &soon.to_string()]), Value::Simple("OK".into()));
    assert_eq!(client.resp(&["PERSIST", "kept"]), Value::Integer(1));
    drop(client);
    // Nobody could fill it: what node 1 has comes from its own disk.
    cluster.stop(2);
    cluster.stop(1);
    eventually("the deadline passes", DEADLINE, || now_ms() > soon);
    cluster.start_again(1, configure);
    let mut client = cluster.client(1);
    client.wait_until_it_serves();
    assert_eq!(get(&mut client, "soon"), ABSENT, "before any sweep, too");
    assert_eq!(client.resp(&["PEXPIRETIME", "late"]), Value::Integer(i64::try_from(late).expect("fits")));
    assert_eq!(client.resp(&["PTTL", "kept"]), Value::Integer(-1));
    cluster.start_again(2, configure);
    cluster.client(2).wait_until_it_serves();
    cluster.wait_until_it_agrees();
    assert_eq!(get(&mut cluster.client(2), "soon"), ABSENT);
    assert_eq!(get(&mut cluster.client(2), "late"), Value::Bulk(b"v".to_vec()));
}

/// A journal that counts how much waits in memory.
#[derive(Default)]
struct Waiting {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Accepted for Waiting {
    fn accepted(&self, _record: &Record, _arrival: Arrival) {
        self.most.fetch_max(self.now.fetch_add(1, Relaxed) + 1, Relaxed);
    }

    fn learned(&self, _record: &Record) {}

    fn forgotten(&self, _key: &[u8], _version: Version) {}
}

impl Journal for Waiting {
    fn note(&self, _note: &Note) {}

    fn confirmation(&self) -> Confirmation {
        Confirmation::NONE
    }

    fn confirm(&self) -> Result<Confirmation, DiskFailed> {
        Ok(Confirmation::NONE)
    }

    fn has_failed(&self) -> bool {
        false
    }

    fn relieve(&self) {
        self.now.store(0, Relaxed);
    }
}

#[test]
fn what_a_long_sweep_writes_to_the_disk_does_not_gather_in_memory() {
    let (journal, now) = (Arc::new(Waiting::default()), Arc::new(AtomicI64::new(1_000)));
    let clock = Arc::clone(&now);
    let wall = move || Timestamp::from_millis(clock.load(Relaxed).unsigned_abs());
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(1));
    let replica =
        Replica::with_journal(identity, Rules::default(), Box::new(wall), Placement::default(), Some(journal.clone()));
    let deadline = Deadline::from_millis(2_000).expect("is early");
    for number in 0..50_000 {
        replica.write(format!("k{number}").as_bytes(), Content::Expiring(b"v", deadline));
        journal.relieve();
    }
    now.store(2_001, Relaxed);
    assert_eq!(replica.sweep(), 50_000);
    assert!(journal.most.load(Relaxed) <= SWEEP_KEYS, "{} entries at once", journal.most.load(Relaxed));
}

// ---- many at once ---------------------------------------------------------------------------------------------------

/// Sets so many keys that all expire at the same moment.
fn set_many(client: &mut Client, keys: usize, deadline: u64) {
    let at = deadline.to_string();
    for first in (0..keys).step_by(1_000) {
        let batch = first..keys.min(first + 1_000);
        let command = |number| encode(&["SET", &format!("session:{number}"), "0123456789abcdef", "PXAT", &at]);
        client.send(batch.clone().flat_map(command).collect::<Vec<u8>>());
        for _ in batch {
            assert_eq!(client.read_value(), Value::Simple("OK".into()));
        }
    }
}

/// Reads and writes one key after the other until told to stop; returns the longest wait.
fn longest_wait(address: SocketAddr, is_over: &AtomicBool) -> Duration {
    let mut client = Client::connect(address);
    let mut longest = Duration::ZERO;
    for number in 0.. {
        let started = Instant::now();
        client.resp(&["SET", &format!("other:{}", number % 1_000), "v"]);
        get(&mut client, "session:1");
        longest = longest.max(started.elapsed());
        if is_over.load(Relaxed) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    longest
}

/// Tells the other client to stop, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn many_keys_expire_in_the_same_second() {
    let keys = env::var("EXPIRY_KEYS").map_or(KEYS, |keys| keys.parse().expect("a number of keys"));
    let cluster = Cluster::start_with(2, |config| config.propagation_queue = keys + 1);
    let mut clients = [1, 2].map(|number| cluster.client(number));
    let empty = clients[0].count("used_memory");
    // As long as writing takes here, with room.
    let deadline = now_ms() + 4_000 + keys as u64 / 20;
    set_many(&mut clients[0], keys, deadline);
    eventually("node 2 has all", 4 * DEADLINE, || clients[1].line("DBSIZE") == keys.to_string());
    let full = clients[0].count("used_memory");
    assert!(now_ms() < deadline, "this machine is too slow: {} ms late", now_ms() - deadline);
    let (is_over, address) = (AtomicBool::new(false), cluster.address(1));
    let (agreed, waited) = thread::scope(|scope| {
        let waits = scope.spawn(|| longest_wait(address, &is_over));
        let stop = Stop(&is_over);
        eventually("the deadline passes", 8 * DEADLINE, || now_ms() > deadline);
        let is_swept = |client: &mut Client| client.resp(&["EXISTS", "session:0"]) == Value::Integer(0);
        assert!(clients.iter_mut().all(is_swept), "all are absent at once");
        let agreed = eventually("all are swept, and the nodes agree", 4 * DEADLINE, || {
            let left = |client: &mut Client| client.line("DBSIZE").parse::<usize>().expect("a number");
            clients.iter_mut().all(|client| left(client) <= 1_000) && cluster.agrees()
        });
        drop(stop);
        (agreed, waits.join().expect("the other client gets its answers"))
    });
    println!("{keys} keys: swept, and the nodes agree, after {agreed:?}; the longest wait of a client was {waited:?}");
    for number in 0..1_000 {
        clients[0].resp(&["DEL", &format!("other:{number}")]);
    }
    let forgotten = wait_until_nothing_is_left(&mut clients);
    let left = clients[0].count("used_memory");
    println!("forgotten after {forgotten:?}; memory: {empty} bytes when empty, {full} full, {left} afterwards");
    assert!(left < empty + (full - empty) / 2, "memory falls");
    assert_eq!(clients.each_mut().map(|client| client.line("CONFLICTS LEN")), ["0", "0"]);
}

// ---- processes with clocks that jump --------------------------------------------------------------------------------

/// What must be in a process's environment, so that its clock is what the file says; `None` where faketime is not
/// installed.
fn fake_clock(file: &Path) -> Option<Vec<(String, String)>> {
    let shown = Command::new("faketime").args(["-m", "-f", "+0s", "env"]).output().ok()?;
    let shown = String::from_utf8(shown.stdout).ok()?;
    let preload = shown.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="))?.to_string();
    let file = file.to_str()?.to_string();
    let settings = [
        ("LD_PRELOAD", preload),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", "1".into()),
        // Timers go on as they are.
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ];
    Some(settings.map(|(name, value)| (name.to_string(), value)).to_vec())
}

/// A process of node 2 with a disk, whose clock the file moves.
fn node2(links: &Links, data: &Path, clock: &[(String, String)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node2"));
    command.args(["--listen", "127.0.0.1:0", "--interval", "100ms", "--data"]).arg(data);
    links.peers_of(2).iter().for_each(|peer| {
        command.args(["--peer", peer]);
    });
    let process = Process::run(command.envs(clock.iter().cloned()));
    links.node_is_at(2, process.address);
    process
}

/// The clock of one process jumps ahead, its keys expire for all; it jumps back, is killed and starts again there, and
/// nothing returns.
#[test]
fn a_process_whose_clock_jumps_ahead_and_back_brings_nothing_back() {
    let scratch = Scratch::new("faketime");
    let clock_file = scratch.0.join("clock");
    let set_clock = |offset: &str| fs::write(&clock_file, format!("{offset}\n")).expect("a writable file");
    set_clock("+0s");
    let Some(clock) = fake_clock(&clock_file) else {
        return println!("skipped: faketime is not installed");
    };
    let links = Links::new(2);
    let (one, two) = (Process::start(&links, 1, "100ms"), node2(&links, &scratch.0.join("data2"), &clock));
    let mut clients = [one.client(), two.client()];
    clients.iter_mut().for_each(Client::wait_until_it_serves);
    set_until(&mut clients[0], "hour", "v", now_ms() + 3_600_000);
    set_until(&mut clients[0], "day", "v", now_ms() + 24 * 3_600_000);
    eventually("node 2 has both", DEADLINE, || clients[1].line("DBSIZE") == "2");

    set_clock("+2h");
    eventually("the hour is over for node 2", DEADLINE, || get(&mut clients[1], "hour") == ABSENT);
    eventually("so it is for node 1", DEADLINE, || get(&mut clients[0], "hour") == ABSENT);
    assert_eq!(get(&mut clients[0], "day"), Value::Bulk(b"v".to_vec()));

    set_clock("-1h");
    assert_eq!(get(&mut clients[1], "hour"), ABSENT);
    two.kill();
    let two = node2(&links, &scratch.0.join("data2"), &clock);
    clients[1] = two.client();
    clients[1].wait_until_it_serves();
    assert_eq!(clients.each_mut().map(|client| get(client, "hour")), [ABSENT, ABSENT]);
    assert_eq!(get(&mut clients[1], "day"), Value::Bulk(b"v".to_vec()));
    // What is written there now stands, although its clock is behind the expiry.
    assert_eq!(clients[1].resp(&["SET", "hour", "new"]), Value::Simple("OK".into()));
    eventually("the new value arrives", DEADLINE, || get(&mut clients[0], "hour") == Value::Bulk(b"new".to_vec()));
    eventually("they agree", DEADLINE, || clients[0].line("DIGEST") == clients[1].line("DIGEST"));
    assert_eq!(get(&mut clients[1], "hour"), Value::Bulk(b"new".to_vec()));
}
