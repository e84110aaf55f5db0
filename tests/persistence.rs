//! Nodes with disks, as processes: killed, with logs that were cut, with old copies, with a full disk. (What the disk
//! does at each step, without processes: `disk.rs`.)

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::common::{Client, DEADLINE, Links, Process, Value, cut_log, encode, eventually, newest_log, output_of};

/// So long that no tick runs during a test, but that of the start.
const NEVER: &str = "1h";

/// How often a tick runs otherwise.
const SOON: &str = "50ms";

// ---- two nodes ------------------------------------------------------------------------------------------------------

/// Two nodes with disks. Dropping it kills them and removes their directories.
struct Pair {
    links: Links,
    scratch: PathBuf,
    interval: &'static str,
    options: Vec<&'static str>,
    nodes: [Option<Process>; 2],
}

impl Pair {
    fn start(name: &str, interval: &'static str, options: &[&'static str]) -> Self {
        let scratch = std::env::temp_dir().join(format!("kvstore-persistence-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).expect("a writable directory for temporary files");
        let mut pair = Self { links: Links::new(2), scratch, interval, options: options.to_vec(), nodes: [None, None] };
        pair.start_both();
        pair
    }

    fn start_both(&mut self) {
        [1, 2].into_iter().for_each(|number| self.launch(number));
        [1, 2].into_iter().for_each(|number| self.client(number).wait_until_it_serves());
    }

    fn data(&self, number: u16) -> PathBuf {
        self.scratch.join(format!("data{number}"))
    }

    /// Starts a node with its disk. It may not serve clients yet.
    fn launch(&mut self, number: u16) {
        let mut command = self.command(number);
        command.arg("--data").arg(self.data(number));
        self.run(number, &mut command);
    }

    fn command(&self, number: u16) -> Command {
        let mut command = Command::new(program(number));
        command.args(["--listen", "127.0.0.1:0", "--interval", self.interval]).args(&self.options);
        self.links.peers_of(number).iter().for_each(|peer| {
            command.args(["--peer", peer]);
        });
        command
    }

    fn run(&mut self, number: u16, command: &mut Command) {
        let process = Process::run(command);
        self.links.node_is_at(number, process.address);
        self.nodes[usize::from(number) - 1] = Some(process);
    }

    fn node(&self, number: u16) -> &Process {
        self.nodes[usize::from(number) - 1].as_ref().expect("the node runs")
    }

    fn client(&self, number: u16) -> Client {
        self.node(number).client()
    }

    fn take(&mut self, number: u16) -> Process {
        self.nodes[usize::from(number) - 1].take().expect("the node runs")
    }

    /// Kills both at once.
    fn kill_both(&mut self) {
        let both = [self.take(1), self.take(2)];
        let ids = both.each_ref().map(|node| node.id().to_string());
        let status = Command::new("kill").args(["-s", "KILL"]).args(&ids).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s KILL {ids:?}");
        both.into_iter().for_each(Process::kill);
    }

    /// Ends a node in an orderly way.
    fn stop(&mut self, number: u16) {
        let mut node = self.take(number);
        node.signal("TERM");
        assert_eq!(node.wait().0.code(), Some(0), "{:?}", node.log());
    }

    fn wait_until_they_agree(&self) {
        let digest = |number| self.client(number).line("DIGEST");
        eventually("equal DIGESTs", DEADLINE, || digest(1) == digest(2));
    }

    fn forgets_all_deletes(&self) {
        for number in [1, 2] {
            let mut client = self.client(number);
            eventually("all deletes are forgotten", DEADLINE, || client.count("tombstones") == 0);
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.nodes = [None, None];
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

fn program(number: u16) -> &'static str {
    if number == 1 { env!("CARGO_BIN_EXE_node1") } else { env!("CARGO_BIN_EXE_node2") }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").len()
}

/// Sends requests, and reads as many answers.
fn all(client: &mut Client, requests: impl Iterator<Item = String>) -> Vec<String> {
    let requests: Vec<String> = requests.collect();
    client.send(requests.concat());
    requests.iter().map(|_| client.read_line()).collect()
}

fn all_are_ok(client: &mut Client, requests: impl Iterator<Item = String>) {
    let answers = all(client, requests);
    assert!(answers.iter().all(|answer| answer == "OK"), "{:?}", answers.iter().find(|answer| *answer != "OK"));
}

// ---- killed under load ----------------------------------------------------------------------------------------------

/// By key, the values that were sent, in order (`None`: a delete), and how many of these were answered.
type Sent = BTreeMap<String, (Vec<Option<String>>, usize)>;

/// How many requests a client sends before it reads the answers.
const PIPELINE: usize = 32;

/// Writes and deletes its own keys until the node is gone. Returns what was sent and answered.
fn write_until_killed(address: SocketAddr, writer: usize, life: usize) -> Sent {
    let (mut client, mut sent) = (Client::connect(address), Sent::new());
    for batch in 0.. {
        let mut keys = Vec::new();
        let mut requests = Vec::new();
        for n in 0..PIPELINE {
            let key = format!("{writer}:{}", fastrand::u32(..500));
            let value = (fastrand::u8(..3) > 0).then(|| format!("{life}-{batch}-{n}"));
            requests.extend(match &value {
                Some(value) => encode(&["SET", &key, value]),
                None => encode(&["DEL", &key]),
            });
            sent.entry(key.clone()).or_default().0.push(value);
            keys.push(key);
        }
        if client.stream().write_all(&requests).is_err() {
            return sent;
        }
        // Two writes of one key may stand in a batch: the answers come in order, so each counts for the next one.
        for key in keys {
            if !client.try_read_answer().is_ok_and(|is_whole| is_whole) {
                return sent;
            }
            let (values, answered) = sent.get_mut(&key).expect("it was sent");
            *answered += 1;
            debug_assert!(*answered <= values.len());
        }
    }
    sent
}

#[test]
fn what_was_answered_is_there_after_both_nodes_were_killed_at_once_again_and_again() {
    let mut pair = Pair::start("killed", SOON, &[]);
    // By key, what may stand there.
    let mut expected: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for life in 0..5 {
        let addresses = [pair.node(1).address, pair.node(2).address];
        let writers: Vec<_> = (0..4)
            .map(|writer| thread::spawn(move || write_until_killed(addresses[writer % 2], writer, life)))
            .collect();
        let mut client = pair.client(1);
        let commands = client.count("total_commands_processed");
        eventually("the load runs", DEADLINE, || client.count("total_commands_processed") > commands + 20_000);
        pair.kill_both();
        for writer in writers {
            for (key, (values, answered)) in writer.join().expect("a writer ends with its connection") {
                let before = expected.entry(key).or_insert_with(|| vec![None]);
                if answered > 0 {
                    before.clear();
                }
                before.extend_from_slice(&values[answered.saturating_sub(1)..]);
            }
        }
        pair.start_both();
        pair.wait_until_they_agree();
        for number in [1, 2] {
            let mut client = pair.client(number);
            let found = all(&mut client, expected.keys().map(|key| format!("GET {key}\n")));
            for ((key, expected), found) in expected.iter_mut().zip(found) {
                let found = Some(found).filter(|found| found != "Key not found");
                assert!(expected.contains(&found), "{key} is {found:?} on node {number}, not of {expected:?}");
                *expected = vec![found];
            }
        }
    }
    pair.forgets_all_deletes();
}

// ---- logs that were cut ---------------------------------------------------------------------------------------------

#[test]
fn with_sync_always_every_answered_write_survives_a_log_that_is_cut_anywhere_behind_it() {
    let mut pair = Pair::start("always", NEVER, &["--sync", "always"]);
    let mut known = 0;
    for life in 0..3 {
        let (from, to) = (known, known + 200);
        let mut clients = [pair.client(1), pair.client(2)];
        for n in from..to {
            assert_eq!(clients[n % 2].line(format!("SET k{n} {n}")), "OK");
        }
        known = to;
        let lengths = [1, 2].map(|number| length(&newest_log(&pair.data(number))));
        // Writes whose answers nobody reads.
        clients.iter_mut().for_each(|client| (0..500).for_each(|n| client.send(format!("SET late{n} {life}\n"))));
        pair.kill_both();
        for (number, length) in [1, 2].into_iter().zip(lengths) {
            cut_log(&pair.data(number), length);
        }
        pair.start_both();
        for number in [1, 2] {
            let found = all(&mut pair.client(number), (0..known).map(|n| format!("GET k{n}\n")));
            assert!(found.into_iter().eq((0..known).map(|n| n.to_string())), "on node {number}");
        }
    }
}

#[test]
fn what_a_power_cut_has_taken_comes_back_from_the_peer() {
    let mut pair = Pair::start("cut", NEVER, &[]);
    all_are_ok(&mut pair.client(1), (0..1000).map(|n| format!("SET k{n} early\n")));
    pair.client(2).lines("SYNC");
    pair.client(1).lines("SYNC");
    all_are_ok(&mut pair.client(1), (0..1000).map(|n| format!("SET k{n} late\n")));
    let mut other = pair.client(2);
    eventually("node 2 has the last one", DEADLINE, || other.line("GET k999") == "late");
    pair.take(1).kill();
    cut_log(&pair.data(1), 0);
    pair.launch(1);
    pair.client(1).wait_until_it_serves();
    let found = all(&mut pair.client(1), (0..1000).map(|n| format!("GET k{n}\n")));
    assert!(found.iter().all(|value| value == "late"));
    assert_eq!(pair.client(1).line("DIGEST"), pair.client(2).line("DIGEST"));
}

// ---- old copies -----------------------------------------------------------------------------------------------------

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable directory");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("a name").path();
        fs::copy(&path, to.join(path.file_name().expect("a file"))).expect("it is copied");
    }
}

/// Copies the directory of node 2, deletes 1,000 keys, lets all nodes forget them, and puts the copy back. Node 2 is
/// started again, but may not serve.
fn with_an_old_copy(name: &str, options: &[&'static str]) -> Pair {
    let mut pair = Pair::start(name, SOON, options);
    all_are_ok(&mut pair.client(1), (0..1000).map(|n| format!("SET k{n} v\n")));
    pair.wait_until_they_agree();
    pair.stop(2);
    let backup = pair.scratch.join("backup");
    copy(&pair.data(2), &backup);
    pair.launch(2);
    pair.client(2).wait_until_it_serves();
    all_are_ok(&mut pair.client(2), (0..1000).map(|n| format!("DEL k{n}\n")));
    pair.wait_until_they_agree();
    pair.forgets_all_deletes();
    assert_eq!(pair.client(1).line("DBSIZE"), "0");
    pair.stop(2);
    fs::remove_dir_all(pair.data(2)).expect("it is removed");
    fs::rename(backup, pair.data(2)).expect("the copy is put back");
    pair.launch(2);
    pair
}

#[test]
fn an_old_copy_is_refused_and_the_cluster_fills_an_empty_node() {
    let mut pair = with_an_old_copy("copy", &[]);
    let mut refused = pair.take(2);
    let (status, _) = refused.wait();
    assert_eq!(status.code(), Some(1));
    eventually("it says why", DEADLINE, || refused.told("error: ") == 1);
    let log = refused.log();
    let why = log.iter().find(|line| line.starts_with("error: ")).expect("a sentence");
    assert!(why.contains("the disk of node2 is an old copy: it knows of "), "{why}");
    assert!(why.contains("move its data directory away and start node2 again"), "{why}");
    assert_eq!(refused.told("serves clients"), 0, "{log:?}");
    assert_eq!(pair.node(1).told("refused the peer node2"), 1, "{:?}", pair.node(1).log());
    assert_eq!(pair.client(1).line("DBSIZE"), "0");

    all_are_ok(&mut pair.client(1), (0..10).map(|n| format!("SET new{n} v\n")));
    fs::rename(pair.data(2), pair.scratch.join("moved-away")).expect("it is moved");
    pair.launch(2);
    pair.client(2).wait_until_it_serves();
    assert_eq!(pair.client(2).line("DBSIZE"), "10", "it has what is alive, and no deleted key");
    pair.wait_until_they_agree();
    assert_eq!(pair.client(1).line("DBSIZE"), "10");
}

#[test]
fn without_its_rule_an_old_copy_brings_back_what_was_deleted() {
    let pair = with_an_old_copy("revived", &["--without", "stale-disk"]);
    pair.client(2).wait_until_it_serves();
    pair.wait_until_they_agree();
    assert_eq!((pair.client(1).line("DBSIZE"), pair.client(2).line("DBSIZE")), ("1000".into(), "1000".into()));
}

// ---- a full disk ----------------------------------------------------------------------------------------------------

#[test]
fn a_full_disk_refuses_writes_and_confirms_nothing_until_it_has_room() {
    fill_the_disk("full", &[]);
}

#[test]
fn a_full_disk_refuses_writes_also_if_answers_wait_for_the_disk() {
    fill_the_disk("full-always", &["--sync", "always"]);
}

fn fill_the_disk(name: &str, options: &[&'static str]) {
    let mut pair = Pair::start(name, SOON, options);
    let (mut one, mut two) = (pair.client(1), pair.client(2));
    all_are_ok(&mut one, (0..100).map(|n| format!("SET k{n} v\n")));
    pair.wait_until_they_agree();
    if !pair.node(1).limit_files("64") {
        println!("skipped: no prlimit");
        return;
    }
    // A client that wants no answer to a write is not told that it failed either.
    let mut muted = pair.client(1);
    muted.send("CLIENT REPLY OFF\nSET k0 full\nCLIENT REPLY ON\n");
    let on = muted.read_line();
    assert!(on == "OK" || on.starts_with("ERROR: the disk has failed"), "{on}");
    assert_eq!(muted.line("PING"), "PONG");
    // A confirmation may be under way, whose write fails first.
    let refused = one.line("SET k0 full");
    assert!(refused.starts_with("ERROR: the disk has failed: a write failed: File too large"), "{refused}");
    let Value::Error(refused) = one.resp(&["SET", "k0", "full"]) else { panic!("should be refused") };
    assert!(refused.starts_with("MISCONF the disk has failed: "), "{refused}");
    assert!(one.resp(&["DEL", "k0"]).to_string().starts_with("-MISCONF "));
    let info = one.info();
    assert_eq!(info["aof_last_write_status"], "err");
    assert!(info["disk_error"].starts_with("a write failed: "), "{info:?}");

    // Reads and peers go on, in both directions.
    assert_eq!(one.line("GET k1"), "v");
    assert_eq!(two.line("SET from2 v"), "OK");
    assert_eq!(two.line("DEL k2"), "OK");
    eventually("what node 2 writes arrives", DEADLINE, || {
        one.line("GET from2") == "v" && one.line("GET k2") == "Key not found"
    });
    let rounds = two.count("rounds");
    eventually("rounds go on", DEADLINE, || two.count("rounds") > rounds + 10);
    assert_eq!(one.info()["disk_confirmation"], info["disk_confirmation"], "nothing is confirmed");
    assert_eq!((one.count("tombstones_forgotten"), two.count("tombstones_forgotten")), (0, 0));
    assert_eq!(pair.node(1).told("client writes are refused until it works again"), 1, "{:?}", pair.node(1).log());

    assert!(pair.node(1).limit_files("unlimited"));
    eventually("writes are answered again", Duration::from_secs(10), || one.line("SET k3 room") == "OK");
    eventually("it says so", DEADLINE, || pair.node(1).told("node1: the disk works again") == 1);
    assert_eq!(one.info()["disk_error"], "");
    pair.forgets_all_deletes();
    assert!(one.count("disk_confirmation") > info["disk_confirmation"].parse().expect("a number"));

    pair.kill_both();
    pair.start_both();
    for number in [1, 2] {
        let mut client = pair.client(number);
        assert_eq!((client.line("GET from2"), client.line("GET k3")), ("v".into(), "room".into()));
        assert_eq!((client.line("GET k2"), client.line("DBSIZE")), ("Key not found".into(), "100".into()));
    }
}

/// Short answers wait for the disk without their session, and others with it: they must not overtake each other.
#[test]
fn with_sync_always_answers_keep_their_order_however_requests_arrive() {
    let mut pair = Pair::start("order", NEVER, &["--sync", "always"]);
    let mut clients: Vec<Client> = (0..4).map(|_| pair.client(1)).collect();
    let long = "long".repeat(500);
    // Each request is sent by itself, and nothing is read meanwhile.
    for number in 0..500 {
        for (client, key) in clients.iter_mut().zip('a'..) {
            client.send(format!("SET {key} {number}\n"));
            client.send(format!("GET {key}\n"));
            client.send(format!("SET {key}2 {number}{long}\nGET {key}2\n"));
        }
    }
    for number in 0..500 {
        for client in &mut clients {
            let answers: Vec<String> = (0..4).map(|_| client.read_line()).collect();
            assert_eq!(answers, ["OK".to_string(), number.to_string(), "OK".to_string(), format!("{number}{long}")]);
        }
    }
    // A last answer arrives although the connection ends, and a node stops although answers are waited for.
    clients[0].send("SET last 1\nQUIT\n");
    assert_eq!(clients[0].read_to_end(), b"OK\nOK\n");
    clients.iter_mut().skip(1).for_each(|client| client.send("SET last 2\n"));
    pair.stop(1);
    pair.launch(1);
    let mut client = pair.client(1);
    client.wait_until_it_serves();
    assert_eq!(client.line("GET a"), "499");
    assert_ne!(client.line("GET last"), "Key not found");
}

// ---- starting -------------------------------------------------------------------------------------------------------

/// The error of a node that does not start, in one line.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|code| code != 0), "{said}");
    assert!(said.starts_with("error: ") && said.lines().count() == 1 && output.stdout.is_empty(), "{said}");
    said.trim_end().into()
}

fn fails_to_start(number: u16, data: &Path) -> String {
    let mut command = Command::new(program(number));
    command.args(["--listen", "127.0.0.1:0", "--alone", "--data"]).arg(data).env_remove("RUST_LOG");
    complaint(&output_of(&mut command))
}

#[test]
fn a_directory_that_cannot_be_used_is_explained_in_one_line() {
    let mut pair = Pair::start("directory", NEVER, &[]);
    let data = pair.data(1);
    let shown = data.display().to_string();
    assert_eq!(fails_to_start(1, &data), format!("error: --data {shown}: another process uses it"));
    assert_eq!(pair.client(1).line("SET k v"), "OK", "the first one goes on");
    pair.kill_both();
    assert_eq!(
        fails_to_start(2, &data),
        format!("error: --data {shown}: it belongs to node1 with the number 1, not to node2 with the number 2")
    );
    let identity = data.join("identity");
    let text = fs::read_to_string(&identity).expect("it is there");
    fs::write(&identity, text.replace("format 1", "format 9")).expect("is writable");
    assert!(fails_to_start(1, &data).contains("a newer version of kvstore has written it (format 9)"));
    fs::write(&identity, text).expect("is writable");

    let log = newest_log(&pair.data(1));
    let mut bytes = fs::read(&log).expect("it is there");
    bytes[20] ^= 1;
    fs::write(&log, bytes).expect("is writable");
    let damaged = fails_to_start(1, &data);
    assert!(damaged.starts_with(&format!("error: {}: byte 16: ", log.display())), "{damaged}");

    let file = pair.scratch.join("file");
    fs::write(&file, "").expect("is writable");
    for path in [&file, &file.join("below")] {
        assert!(fails_to_start(1, path).starts_with(&format!("error: --data {}: ", path.display())));
    }
    let closed = pair.scratch.join("closed");
    fs::create_dir(&closed).expect("is writable");
    let mut permissions = fs::metadata(&closed).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&closed, permissions).expect("it is ours");
    match fs::write(closed.join("probe"), "") {
        Ok(()) => println!("skipped: permissions mean nothing to this user"),
        Err(_) => assert!(fails_to_start(1, &closed).contains("Permission denied")),
    }
}

// ---- members --------------------------------------------------------------------------------------------------------

#[test]
fn a_dismissed_member_stays_dismissed_over_a_restart() {
    let mut pair = Pair::start("forget", SOON, &[]);
    pair.wait_until_they_agree();
    let mut one = pair.client(1);
    eventually("the link is up", DEADLINE, || one.peer(1, "name") == "node2");
    assert_eq!(one.line("FORGET node2"), "OK");
    assert_eq!(one.line("SET k v"), "OK");
    assert_eq!(one.line("DEL k"), "OK");
    pair.take(1).kill();
    pair.launch(1);
    let mut one = pair.client(1);
    one.wait_until_it_serves();
    let refused = "was dismissed by FORGET: start it again without its data";
    eventually("its old life is refused", DEADLINE, || pair.node(1).told(refused) > 0);
    eventually("deletes do not wait for it", DEADLINE, || one.count("tombstones") == 0);
    assert_eq!((one.count("members"), one.info()["tombstones_held_by"].as_str()), (0, ""));
    assert_eq!(one.line("SET l v"), "OK");
    assert_eq!(pair.client(2).line("GET l"), "Key not found");

    // Nothing listens at its address either, and deletes do not wait for that.
    pair.take(2).kill();
    pair.take(1).kill();
    pair.launch(1);
    let mut one = pair.client(1);
    one.wait_until_it_serves();
    assert_eq!(one.line("DEL l"), "OK");
    eventually("deletes do not wait for its address", DEADLINE, || one.count("tombstones") == 0);

    fs::remove_dir_all(pair.data(2)).expect("it is removed");
    pair.launch(2);
    eventually("it is a member again", DEADLINE, || one.count("members") == 1);
    pair.client(2).wait_until_it_serves();
    pair.wait_until_they_agree();
}

/// The node comes back with the disk that it had when it was dismissed: it does not know of what was deleted since. The
/// node that is told has met it in this life, or only in the one before.
#[test]
fn a_node_that_was_dismissed_is_refused_with_its_old_disk() {
    for has_restarted in [false, true] {
        let mut pair = Pair::start(if has_restarted { "dismissed-later" } else { "dismissed" }, SOON, &[]);
        let mut one = pair.client(1);
        // What node 1 notes of node 2's address is written with what it answers afterwards.
        eventually("node 1 has reached node 2", DEADLINE, || one.peer(1, "name") == "node2");
        assert_eq!(one.line("SET ghost boo"), "OK");
        pair.wait_until_they_agree();
        pair.kill_both();
        if !has_restarted {
            pair.start_both();
            let mut one = pair.client(1);
            eventually("they have met", DEADLINE, || one.peer(1, "name") == "node2");
            pair.take(2).kill();
        } else {
            pair.launch(1);
        }
        let mut one = pair.client(1);
        one.wait_until_it_serves();
        assert_eq!((one.line("FORGET node2"), one.line("DEL ghost")), ("OK".into(), "OK".into()));
        eventually("the delete is forgotten", DEADLINE, || one.count("tombstones_forgotten") == 1);
        pair.launch(2);
        let refused = "was dismissed by FORGET: start it again without its data";
        eventually("it is refused", DEADLINE, || pair.node(1).told(refused) > 0);
        assert_eq!((one.line("GET ghost"), one.count("members")), ("Key not found".into(), 0));
    }
}

#[test]
fn a_member_is_remembered_over_a_restart_and_deletes_wait_for_it() {
    let mut pair = Pair::start("members", SOON, &[]);
    let mut one = pair.client(1);
    // Once the link is up, the address of the member is noted; the answer to SET comes when that is in the log.
    eventually("it is a member", DEADLINE, || one.count("members") == 1 && one.peer(1, "link") == "up");
    assert_eq!(one.line("SET k v"), "OK");
    pair.wait_until_they_agree();
    pair.kill_both();
    pair.launch(1);
    let mut one = pair.client(1);
    one.wait_until_it_serves();
    assert_eq!(one.count("members"), 1);
    assert_eq!(one.line("DEL k"), "OK");
    eventually("it is away", DEADLINE, || one.info()["tombstones_held_by"] == "node2=away");
    assert_eq!(one.count("tombstones"), 1);
    pair.launch(2);
    pair.client(2).wait_until_it_serves();
    assert_eq!(pair.client(2).line("GET k"), "Key not found");
    pair.forgets_all_deletes();
}

// ---- commands -------------------------------------------------------------------------------------------------------

#[test]
fn a_snapshot_can_be_asked_for_and_is_shown() {
    let mut pair = Pair::start("commands", SOON, &["--sync", "always"]);
    let mut client = pair.client(1);
    assert_eq!(client.resp(&["CONFIG", "GET", "appendonly"]).to_string(), "($appendonly, $yes)");
    assert_eq!(client.resp(&["LASTSAVE"]), Value::Integer(0));
    all_are_ok(&mut client, (0..100).map(|n| format!("SET k{n} v\n")));
    let before = client.info();
    assert_eq!((before["aof_enabled"].as_str(), before["aof_base_size"].as_str()), ("1", "0"));
    assert_eq!((before["disk_sync"].as_str(), before["aof_last_write_status"].as_str()), ("always", "ok"));
    assert_eq!(before["disk_directory"], pair.data(1).display().to_string());
    assert!(before["aof_current_size"].parse::<u64>().is_ok_and(|bytes| bytes > 100 * 20), "{before:?}");
    assert_eq!(client.resp(&["BGSAVE"]).to_string(), "+Background saving started");
    eventually("it is saved", DEADLINE, || client.resp(&["LASTSAVE"]) != Value::Integer(0));
    let after = client.info();
    assert_eq!(after["rdb_last_bgsave_status"], "ok");
    assert!(after["aof_base_size"].parse::<u64>().is_ok_and(|bytes| bytes > 100 * 20), "{after:?}");
    eventually("the snapshot replaces the log", DEADLINE, || {
        let names = fs::read_dir(pair.data(1)).expect("it is there").map(|entry| entry.expect("a name").file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names == ["2.log", "2.snapshot", "identity", "lock"]
    });
    assert_eq!(client.line("SET k0 later"), "OK");
    pair.kill_both();
    pair.start_both();
    let mut client = pair.client(1);
    assert_eq!((client.line("GET k0"), client.line("DBSIZE")), ("later".into(), "100".into()));
}
