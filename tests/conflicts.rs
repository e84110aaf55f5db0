//! What last write wins throws away: nodes that could not reach each other take writes of the same keys, and CONFLICTS
//! tells afterwards what was lost. (How one conflict is noticed, without sockets: the stories and the simulator.)

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, Value, encode, eventually};
use kvstore::commands::glob;
use kvstore::config::Config;
use kvstore::limits::{CONFLICT_KEPT_BYTES, CONFLICT_LOST_BYTES, CONFLICT_REPORT_INTERVAL, MAX_CONFLICTS};
use kvstore::rules::{Rule, Rules};

// ---- what CONFLICTS answers -----------------------------------------------------------------------------------------

/// A conflict as a program reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    key: String,
    lost_version: String,
    /// `None` for a delete.
    lost: Option<Vec<u8>>,
    lost_length: i64,
    kept: Option<Vec<u8>>,
    kept_length: i64,
}

impl Listed {
    /// From a map of RESP3, or from the flat array that stands for one in RESP2.
    fn from(value: Value) -> Self {
        let pairs: Vec<(Value, Value)> = match value {
            Value::Map(pairs) => pairs,
            Value::Array(items) => items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            other => panic!("no conflict: {other}"),
        };
        let names: Vec<String> = pairs.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(
            names.join(" "),
            "$key $noticed $kept_version $lost_version $kept_value $kept_length $lost_value $lost_length"
        );
        let fields: HashMap<String, Value> =
            pairs.into_iter().map(|(name, value)| (name.to_string()[1..].into(), value)).collect();
        let bytes = |name: &str| match &fields[name] {
            Value::Bulk(bytes) => Some(bytes.clone()),
            Value::Nil => None,
            other => panic!("{name}: {other}"),
        };
        let text = |name: &str| String::from_utf8(bytes(name).expect("never nil")).expect("it is text");
        let number = |name: &str| if let Value::Integer(number) = fields[name] { number } else { panic!("{name}") };
        assert!(glob::matches(b"????-??-??T??:??:??.???Z", text("noticed").as_bytes()), "{}", text("noticed"));
        for name in ["kept_version", "lost_version"] {
            assert!(glob::matches(b"????-??-??T??:??:??.???Z+* node ?", text(name).as_bytes()), "{}", text(name));
        }
        Self {
            key: text("key"),
            lost_version: text("lost_version"),
            lost: bytes("lost_value"),
            lost_length: number("lost_length"),
            kept: bytes("kept_value"),
            kept_length: number("kept_length"),
        }
    }
}

fn listed(client: &mut Client, words: &[&str]) -> Vec<Listed> {
    let Value::Array(all) = client.resp(words) else { panic!("CONFLICTS is a list") };
    all.into_iter().map(Listed::from).collect()
}

/// What these nodes list together: a program asks every node, and takes away what it has twice.
fn of_all_nodes(clients: &mut [Client]) -> Vec<Listed> {
    let mut all: Vec<Listed> = clients.iter_mut().flat_map(|client| listed(client, &["CONFLICTS", "-1"])).collect();
    all.sort_by(|a, b| (&a.key, &a.lost_version).cmp(&(&b.key, &b.lost_version)));
    all.dedup_by(|a, b| (&a.key, &a.lost_version) == (&b.key, &b.lost_version));
    all
}

/// How many conflicts each of these nodes has noticed since its start.
fn noticed(clients: &mut [Client]) -> Vec<u64> {
    clients.iter_mut().map(|client| client.count("conflicts")).collect()
}

// ---- clusters -------------------------------------------------------------------------------------------------------

/// Sets all links of a node, in both directions.
fn set_links_of(links: &Links, node: u16, others: &[u16], mode: Mode) {
    for &other in others {
        links.between(node, other).set(mode);
        links.between(other, node).set(mode);
    }
}

/// Only a round carries anything, and only a client begins one: then it is certain which node notices a conflict.
fn by_hand(config: &mut Config) {
    config.interval = Duration::from_secs(3600);
    config.rules = Rules::default().without(Rule::Propagation);
}

/// Runs a round with each peer, which must succeed.
fn sync(client: &mut Client) {
    let mut answer = Vec::new();
    eventually("a complete round", DEADLINE, || {
        answer = client.lines("SYNC");
        !answer.is_empty() && answer.iter().all(|line| line.contains("pulled"))
    });
}

/// Returns when every clock shows a later time than before.
fn a_moment_passes() {
    thread::sleep(Duration::from_millis(2));
}

/// Sends the requests without waiting for each answer. None may be an error.
fn all(client: &mut Client, requests: &[Vec<u8>]) {
    for batch in requests.chunks(500) {
        client.send(batch.concat());
        for _ in batch {
            let answer = client.read_value();
            assert!(matches!(answer, Value::Simple(_) | Value::Integer(_)), "{answer}");
        }
    }
}

// ---- a cut under load -----------------------------------------------------------------------------------------------

const KEYS: usize = 10_000;
const THREADS: usize = 20;

/// For how long node 3 is cut off, at least. Every key is written within a fraction of it; a longer cut, with many
/// rounds that fail, is for CONFLICTS_CUT_SECONDS.
const CUT: Duration = Duration::from_secs(1);

fn cut() -> Duration {
    std::env::var("CONFLICTS_CUT_SECONDS").map_or(CUT, |text| Duration::from_secs(text.parse().expect("a number")))
}

/// What is written of a key on one side of a cut, or before it. A write that is empty is a delete.
struct Life {
    before: bool,
    on_node_1: &'static [&'static str],
    /// After what node 1 was told has arrived here.
    on_node_2: &'static [&'static str],
    on_node_3: &'static [&'static str],
    is_conflict: bool,
}

/// The lives of the keys; key `n` has that at `n` modulo their number.
const LIVES: [Life; 12] = [
    life(false, &["apples"], &[], &["pears"], true),
    life(true, &["apples"], &[], &["pears"], true),
    life(true, &["apples", "more apples"], &[], &["pears", "", "more pears"], true),
    life(true, &[""], &[], &["pears"], true),
    life(true, &["apples"], &[], &[""], true),
    life(false, &["apples"], &["plums"], &["pears"], true),
    life(true, &["apples"], &["plums"], &[], false),
    life(true, &[], &[], &["", "pears"], false),
    life(false, &[""], &[], &[], false),
    life(false, &["the same"], &[], &["the same"], false),
    life(true, &[""], &[], &[""], false),
    life(true, &[], &[], &[], false),
];

const fn life(
    before: bool,
    on_node_1: &'static [&'static str],
    on_node_2: &'static [&'static str],
    on_node_3: &'static [&'static str],
    is_conflict: bool,
) -> Life {
    Life { before, on_node_1, on_node_2, on_node_3, is_conflict }
}

fn key(number: usize) -> String {
    format!("key:{number:05}")
}

/// A write of a key. Values differ from key to key.
fn request(number: usize, write: &str) -> Vec<u8> {
    match value_of(number, write) {
        Some(value) => encode(&[b"SET", key(number).as_bytes(), &value]),
        None => encode(&["DEL", &key(number)]),
    }
}

fn value_of(number: usize, write: &str) -> Option<Vec<u8>> {
    (!write.is_empty()).then(|| format!("{write} of {number}").into_bytes())
}

/// The writes that one thread sends to a node: of every 20th key.
fn share(thread: usize, writes: impl Fn(&Life) -> &[&'static str]) -> Vec<Vec<u8>> {
    let numbers = (thread..KEYS).step_by(THREADS);
    numbers.flat_map(|n| writes(&LIVES[n % LIVES.len()]).iter().map(move |write| request(n, write))).collect()
}

/// Runs `work` on 20 client threads.
fn on_all_threads(work: impl Fn(usize) + Sync) {
    let work = &work;
    thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(move || work(thread)))));
}

#[test]
fn after_a_cut_exactly_the_keys_that_both_sides_wrote_are_listed_with_what_was_lost() {
    let cluster = Cluster::start(3);
    on_all_threads(|thread| {
        let before = share(thread, |life| if life.before { &["before"] } else { &[] });
        all(&mut cluster.client(1 + thread as u16 % 3), &before);
    });
    cluster.wait_until_it_agrees();

    let started = Instant::now();
    set_links_of(&cluster.links, 3, &[1, 2], Mode::Cut);
    on_all_threads(|thread| {
        let (mut one, mut three) = (cluster.client(1), cluster.client(3));
        let ones = share(thread, |life| life.on_node_1);
        let threes = share(thread, |life| life.on_node_3);
        // Each side writes half of the keys later than the other.
        if thread % 2 == 0 {
            all(&mut one, &ones);
            a_moment_passes();
            all(&mut three, &threes);
        } else {
            all(&mut three, &threes);
            a_moment_passes();
            all(&mut one, &ones);
        }
    });
    let one_and_two_agree = || cluster.client(1).line("DIGEST") == cluster.client(2).line("DIGEST");
    eventually("node 2 has what node 1 was told", DEADLINE, one_and_two_agree);
    on_all_threads(|thread| all(&mut cluster.client(2), &share(thread, |life| life.on_node_2)));
    eventually("node 1 has what node 2 was told", DEADLINE, one_and_two_agree);
    eventually("the cut has lasted", cut() + DEADLINE, || started.elapsed() >= cut());
    let mut clients: Vec<Client> = (1..=3).map(|number| cluster.client(number)).collect();
    assert_eq!(noticed(&mut clients), [0; 3], "until the sides meet, nothing is lost");

    cluster.links.heal();
    wait_until_all_has_arrived(&cluster);
    must_list_what_was_lost(&mut clients);

    // What was noticed once is not noticed again.
    let before = noticed(&mut clients);
    set_links_of(&cluster.links, 3, &[1, 2], Mode::Cut);
    eventually("node 3 is cut off", DEADLINE, || clients[2].peer(1, "link") == "down");
    cluster.links.heal();
    eventually("node 3 is back", DEADLINE, || clients[2].peer(1, "link") == "up");
    clients.iter_mut().for_each(sync);
    wait_until_all_has_arrived(&cluster);
    assert_eq!(noticed(&mut clients), before);
    must_list_what_was_lost(&mut clients);
}

/// Waits until all nodes hold the same, and nothing is under way any more that was sent before. What a node had queued
/// for another may still arrive, and be noticed, after both hold the same.
fn wait_until_all_has_arrived(cluster: &Cluster) {
    cluster.wait_until_it_agrees();
    // It goes through each queue behind everything else.
    (1..=3).for_each(|number| assert_eq!(cluster.client(number).line(format!("SET last:{number} x")), "OK"));
    cluster.wait_until_it_agrees();
}

/// Each key that both sides wrote is listed once. What was lost is what the side that does not survive wrote last.
#[track_caller]
fn must_list_what_was_lost(clients: &mut [Client]) {
    let mut expected = BTreeMap::new();
    let mut lost_on_node_3 = 0;
    for number in 0..KEYS {
        let life = &LIVES[number % LIVES.len()];
        if !life.is_conflict {
            continue;
        }
        let last = |writes: &[&str]| value_of(number, writes.last().expect("this side wrote the key"));
        let near = last(if life.on_node_2.is_empty() { life.on_node_1 } else { life.on_node_2 });
        let far = last(life.on_node_3);
        let survives = match clients[0].resp(&["GET", &key(number)]) {
            Value::Bulk(value) => Some(value),
            _ => None,
        };
        let lost = if survives == far { near } else { far.clone() };
        lost_on_node_3 += usize::from(survives != far);
        expected.insert(key(number), (lost, survives));
    }
    let listed = of_all_nodes(clients);
    assert_eq!(listed.len(), expected.len(), "each conflict is listed once, and nothing else is");
    for conflict in listed {
        let (lost, survives) = &expected[&conflict.key];
        assert_eq!((&conflict.lost, &conflict.kept), (lost, survives), "{}", conflict.key);
    }
    assert!(lost_on_node_3 > 0 && lost_on_node_3 < expected.len(), "both sides have lost something");
}

// ---- what a conflict looks like -------------------------------------------------------------------------------------

/// Two nodes that have written `cart`, node 2 later than node 1. Node 1 has noticed it.
fn apples_and_pears(configure: impl Fn(&mut Config)) -> Cluster {
    let cluster = Cluster::start_with(2, |config| {
        by_hand(config);
        configure(config);
    });
    assert_eq!(cluster.client(1).line("SET cart apples"), "OK");
    a_moment_passes();
    assert_eq!(cluster.client(2).line("SET cart pears"), "OK");
    sync(&mut cluster.client(1));
    cluster
}

#[test]
fn a_person_reads_one_line_for_each_conflict() {
    let cluster = apples_and_pears(|_| {});
    let mut client = cluster.client(1);
    let lines = client.lines("CONFLICTS");
    // A time is shown with its date if that is another one than that of the line.
    let form = "????-??-??T??:??:??.???Z cart: node 2's value \"pears\" (*??:??:??.???*, 5 bytes) survives, \
                node 1's value \"apples\" (*??:??:??.???*, 6 bytes) was lost";
    assert!(lines.len() == 1 && glob::matches(form.as_bytes(), lines[0].as_bytes()), "{lines:?}");
    let version = client.line("VERSION cart");
    let form = "* node 2 value of 5 bytes written by node 2, which had seen node 1 up to ????-??-??T??:??:??.???Z+*";
    assert!(glob::matches(form.as_bytes(), version.as_bytes()), "{version}");

    assert_eq!(client.line("SET bag x"), "OK");
    a_moment_passes();
    assert_eq!(cluster.client(2).line("SET bag y"), "OK");
    sync(&mut client);
    assert_eq!(client.line("CONFLICTS LEN"), "2");
    let newest = client.lines("CONFLICTS 1");
    assert!(newest.len() == 1 && newest[0].contains("Z bag: "), "the newest comes first: {newest:?}");
    assert_eq!(client.lines("CONFLICTS KEY cart"), lines);
    assert_eq!(client.lines("CONFLICTS KEY other"), [""; 0]);
    assert_eq!(client.line("CONFLICTS RESET"), "OK");
    assert_eq!(client.lines("CONFLICTS"), [""; 0]);
    assert_eq!((client.count("conflicts"), client.count("conflicts_kept")), (2, 0), "what is counted stays counted");
    assert_eq!(client.count("conflicts_forgotten"), 0, "what was reset was not pushed out");
}

#[test]
fn a_program_reads_maps_in_which_a_lost_delete_is_nil_and_a_long_value_is_cut() {
    let cluster = Cluster::start_with(2, by_hand);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    assert_eq!(one.line("SET undone before"), "OK");
    sync(&mut one);
    let long = vec![b'x'; CONFLICT_LOST_BYTES + 10];
    assert_eq!(one.resp(&[&b"SET"[..], b"long", &long]).to_string(), "+OK");
    assert_eq!(one.line("DEL undone"), "OK");
    assert_eq!(one.line("SET removed value"), "OK");
    a_moment_passes();
    assert_eq!(two.resp(&[&b"SET"[..], b"long", &long[1..]]).to_string(), "+OK");
    assert_eq!(two.line("SET undone after"), "OK");
    assert_eq!(two.line("DEL removed"), "Key not found");
    sync(&mut one);

    let in_2 = listed(&mut one, &["CONFLICTS"]);
    let by_key: HashMap<&str, &Listed> = in_2.iter().map(|conflict| (conflict.key.as_str(), conflict)).collect();
    assert_eq!((in_2.len(), by_key.len()), (3, 3), "{:?}", by_key.keys());
    let undone = by_key["undone"];
    assert_eq!((&undone.lost, undone.lost_length), (&None, 0), "a delete has no value");
    assert_eq!((undone.kept.as_deref(), undone.kept_length), (Some(&b"after"[..]), 5));
    let removed = by_key["removed"];
    assert_eq!((&removed.kept, removed.kept_length), (&None, 0));
    assert_eq!((removed.lost.as_deref(), removed.lost_length), (Some(&b"value"[..]), 5));
    let cut = by_key["long"];
    assert_eq!(cut.lost.as_deref(), Some(&long[..CONFLICT_LOST_BYTES]), "the beginning of a long value");
    assert_eq!(cut.lost_length as usize, long.len(), "and its whole length");
    assert_eq!(cut.kept.as_deref(), Some(&long[..CONFLICT_KEPT_BYTES]), "what survives stands in the store");
    assert_eq!(cut.kept_length as usize, long.len() - 1);

    assert!(matches!(one.resp(&["HELLO", "3"]), Value::Map(_)));
    let Value::Array(maps) = one.resp(&["CONFLICTS"]) else { panic!("a list in RESP3, too") };
    assert!(maps.iter().all(|map| matches!(map, Value::Map(_))), "maps in RESP3");
    assert_eq!(maps.into_iter().map(Listed::from).collect::<Vec<_>>(), in_2);
}

#[test]
fn more_conflicts_than_are_kept_push_out_the_oldest_and_are_counted() {
    const MORE: usize = 50;
    let cluster = Cluster::start_with(2, by_hand);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    let sets = |value: &str, numbers: std::ops::Range<usize>| -> Vec<Vec<u8>> {
        numbers.map(|number| encode(&["SET", &key(number), value])).collect()
    };
    // One round for those that must go, one for the others.
    for numbers in [0..MORE, MORE..MAX_CONFLICTS + MORE] {
        all(&mut one, &sets("apples", numbers.clone()));
        a_moment_passes();
        all(&mut two, &sets("pears", numbers));
        sync(&mut one);
    }
    let counts = ["conflicts", "conflicts_kept", "conflicts_forgotten"].map(|field| one.count(field) as usize);
    assert_eq!(counts, [MAX_CONFLICTS + MORE, MAX_CONFLICTS, MORE]);
    let listed = listed(&mut one, &["CONFLICTS", "-1"]);
    assert_eq!(listed.len(), MAX_CONFLICTS);
    assert!(listed.iter().all(|conflict| conflict.key >= key(MORE)), "the oldest were pushed out");
}

#[test]
fn the_log_tells_of_conflicts_about_once_a_second() {
    const EACH_CUT: usize = 20;
    let links = Links::new(2);
    let nodes = [Process::start(&links, 1, "100ms"), Process::start(&links, 2, "100ms")];
    let mut clients: Vec<Client> = nodes.iter().map(Process::client).collect();
    clients.iter_mut().for_each(Client::wait_until_it_serves);
    let mut writes = 0;
    let started = Instant::now();
    // Many small cuts, so that conflicts are noticed all the time.
    while started.elapsed() < 2 * CONFLICT_REPORT_INTERVAL && writes < MAX_CONFLICTS {
        links.set(Mode::Cut);
        for (client, value) in clients.iter_mut().zip(["apples", "pears"]) {
            let requests: Vec<_> = (writes..writes + EACH_CUT).map(|n| encode(&["SET", &key(n), value])).collect();
            all(client, &requests);
        }
        writes += EACH_CUT;
        links.heal();
        eventually("equal DIGESTs", DEADLINE, || clients[0].line("DIGEST") == clients[1].line("DIGEST"));
    }
    assert_eq!(of_all_nodes(&mut clients).len(), writes);
    for (node, client) in nodes.iter().zip(&mut clients) {
        // What a node had queued for the other may still arrive, and be noticed, after both hold the same.
        eventually("the log has told of every conflict", DEADLINE, || told(node) == client.count("conflicts"));
        let seconds = started.elapsed().as_secs() as usize;
        let lines = node.told("two writes at once: ");
        assert!(lines <= seconds + 2, "{lines} lines in {seconds} s");
    }
}

/// How many conflicts the log has told of: each line names one, and says how many came before it.
fn told(node: &Process) -> u64 {
    let log = node.log();
    let lines = log.iter().filter(|line| line.contains("two writes at once: "));
    let others = |line: &String| {
        let (text, _) = line.rsplit_once(" more before it)")?;
        text.rsplit('(').next()?.parse::<u64>().ok()
    };
    lines.map(|line| 1 + others(line).unwrap_or(0)).sum()
}

#[test]
fn without_version_vectors_nothing_is_listed() {
    let cluster = apples_and_pears(|config| config.rules = config.rules.without(Rule::VersionVectors));
    for number in [1, 2] {
        let mut client = cluster.client(number);
        assert_eq!(client.line("GET cart"), "pears", "the later write wins all the same");
        assert_eq!(client.lines("CONFLICTS -1"), [""; 0]);
        assert_eq!(client.count("conflicts"), 0);
        assert!(!client.line("VERSION cart").contains("seen"));
    }
    assert_eq!(cluster.client(1).info()["rules_off"], "propagation,version-vectors");
}

// ---- a restart ------------------------------------------------------------------------------------------------------

/// Three nodes with disks. Dropping it kills them and removes their directories.
struct Trio {
    links: Links,
    scratch: PathBuf,
    nodes: [Option<Process>; 3],
}

impl Trio {
    fn start(name: &str, options: &[&str]) -> Self {
        let scratch = std::env::temp_dir().join(format!("kvstore-conflicts-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).expect("a writable directory for temporary files");
        let mut trio = Self { links: Links::new(3), scratch, nodes: [None, None, None] };
        (1..=3).for_each(|number| trio.launch(number, options));
        trio
    }

    /// Starts a node with its disk, and waits until it serves clients.
    fn launch(&mut self, number: u16, options: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args(["--node", &number.to_string(), "--listen", "127.0.0.1:0"]).args(options);
        command.arg("--data").arg(self.scratch.join(format!("data{number}")));
        self.links.peers_of(number).iter().for_each(|peer| {
            command.args(["--peer", peer]);
        });
        let process = Process::run(&mut command);
        self.links.node_is_at(number, process.address);
        process.client().wait_until_it_serves();
        self.nodes[usize::from(number) - 1] = Some(process);
    }

    fn client(&self, number: u16) -> Client {
        self.nodes[usize::from(number) - 1].as_ref().expect("the node runs").client()
    }

    /// Stops a node in an orderly way, and starts it again with these options.
    fn restart(&mut self, number: u16, options: &[&str]) {
        let mut node = self.nodes[usize::from(number) - 1].take().expect("the node runs");
        node.signal("TERM");
        assert_eq!(node.wait().0.code(), Some(0), "{:?}", node.log());
        self.launch(number, options);
    }

    /// How many conflicts each node has noticed since its start.
    fn noticed(&self) -> Vec<u64> {
        noticed(&mut [1, 2, 3].map(|number| self.client(number)))
    }

    /// Node 1 writes apples, of which node 3 hears; node 2, which does not, writes pears. No node can reach another.
    fn write_apples_and_pears(&self, tell_node_3: impl Fn(&mut Client)) {
        set_links_of(&self.links, 2, &[1, 3], Mode::Cut);
        let (mut one, mut three) = (self.client(1), self.client(3));
        assert_eq!(one.line("SET cart apples"), "OK");
        tell_node_3(&mut one);
        eventually("node 3 has the apples", DEADLINE, || three.line("GET cart") == "apples");
        a_moment_passes();
        assert_eq!(self.client(2).line("SET cart pears"), "OK");
        self.links.set(Mode::Cut);
    }

    /// The node holds pears that have met the apples of node 1 before its restart. Now the apples of node 3 meet them.
    #[track_caller]
    fn node_3_must_learn_of_the_pears_without_a_conflict(&self, number: u16) {
        let mut client = self.client(number);
        assert_eq!(client.line("GET cart"), "pears");
        assert_eq!(client.line("CONFLICTS LEN"), "0", "the list is not kept over a restart");
        set_links_of(&self.links, 3, &[number], Mode::Open);
        sync_with_one(&mut client);
        assert_eq!(self.client(3).line("GET cart"), "pears");
        let noticed = self.noticed();
        assert_eq!((noticed[2], noticed[usize::from(number) - 1]), (0, 0), "what was noticed is not noticed again");
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        self.nodes = [None, None, None];
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Runs rounds until one with a peer that can be reached was complete.
fn sync_with_one(client: &mut Client) {
    eventually("a complete round", DEADLINE, || client.lines("SYNC").iter().any(|line| line.contains("pulled")));
}

#[test]
fn what_a_write_learned_when_it_arrived_outlives_a_restart() {
    let options = ["--interval", "1h", "--without", "propagation"];
    let mut trio = Trio::start("arrived", &options);
    trio.write_apples_and_pears(sync_with_one);
    set_links_of(&trio.links, 1, &[2], Mode::Open);
    sync_with_one(&mut trio.client(1));
    assert_eq!(trio.noticed(), [1, 0, 0], "the pears have arrived on node 1");
    trio.restart(1, &options);
    assert_eq!(trio.noticed(), [0; 3], "reading the disk makes no conflict");
    trio.node_3_must_learn_of_the_pears_without_a_conflict(1);
}

#[test]
fn what_a_write_learned_where_it_stood_outlives_a_restart() {
    let options = ["--interval", "1h"];
    let mut trio = Trio::start("stood", &options);
    // Node 1 only sends what it was told, and does not hear of the pears.
    trio.restart(1, &["--without", "anti-entropy"]);
    trio.write_apples_and_pears(|_| {});
    trio.links.between(1, 2).set(Mode::Open);
    eventually("node 1's apples are sent to node 2", DEADLINE, || trio.noticed() == [0, 1, 0]);
    trio.restart(2, &options);
    trio.node_3_must_learn_of_the_pears_without_a_conflict(2);
}
