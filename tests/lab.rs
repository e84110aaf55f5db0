//! The lab, and README's chapter "Break it yourself": its lines are run as they stand there, with the rule and without.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, Cluster, DEADLINE, Process, eventually};
use kvstore::rules::Rule;

/// How long a line that the rule keeps from coming true is asked again.
const IN_VAIN: Duration = Duration::from_secs(3);

/// How long everything else may take. Some lines wait for a message that is 20 seconds late.
const PATIENCE: Duration = Duration::from_secs(60);

// ---- README's chapter -----------------------------------------------------------------------------------------------

/// What README shows of one rule.
struct Experiment {
    /// Without the rule.
    broken: Vec<Line>,
    /// The lines that end it otherwise with the rule.
    kept: Vec<Line>,
}

/// A command, and what it prints.
struct Line {
    command: String,
    prints: String,
}

impl Line {
    /// Whether it changes nothing, so that it can be asked again.
    fn only_asks(&self) -> bool {
        [" GET ", " INFO ", " DBSIZE", " CONFLICTS ", "grep "].iter().any(|asks| self.command.contains(asks))
    }
}

fn experiment(rule: &str) -> Experiment {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("it is there");
    let (_, chapter) = readme.split_once("### Break it yourself").expect("the chapter is there");
    let heading = format!("**`{rule}`.**");
    let (_, section) = chapter.split_once(&heading).unwrap_or_else(|| panic!("README shows nothing for {rule}"));
    let blocks = section.split("```console lab\n").skip(1).take(2);
    let mut blocks = blocks.map(|rest| lines(rest.split("```").next().unwrap_or_default()));
    let (broken, kept) = (blocks.next().expect("a first block"), blocks.next().expect("a second block"));
    Experiment { broken, kept }
}

fn lines(block: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), lines.last_mut()) {
            (Some(command), _) => lines.push(Line { command: command.into(), prints: String::new() }),
            (None, Some(last)) => last.prints += &format!("{line}\n"),
            (None, None) => panic!("a block begins with a command, not with {line}"),
        }
    }
    lines
}

/// A shell in a directory of its own, and the nodes that its commands talk with.
struct Stage {
    directory: PathBuf,
    ports: u16,
    nodes: Option<Child>,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Stage {
    fn new() -> Self {
        let ports = three_free_ports();
        let directory = std::env::temp_dir().join(format!("kvstore-lab-{}-{ports}", std::process::id()));
        fs::create_dir_all(&directory).expect("there is room");
        let mut shell = Command::new("bash");
        shell.arg("--norc").current_dir(&directory).env_remove("RUST_LOG");
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash is there");
        let (input, output) = (shell.stdin.take().expect("piped"), shell.stdout.take().expect("piped"));
        let mut stage = Self { directory, ports, nodes: None, shell, input, output: BufReader::new(output) };
        stage.run("exec 2>&1; set -m; trap 'kill -9 $(jobs -p)' EXIT");
        stage
    }

    /// Runs a command as it stands in the README; returns what it prints.
    fn run(&mut self, command: &str) -> String {
        if let Some(options) = command.strip_prefix("cargo run --release --") {
            self.start_cluster(&options.split_whitespace().collect::<Vec<_>>());
            return String::new();
        }
        let command = self.as_run_here(command);
        writeln!(self.input, "{command}\necho; echo that was all").expect("the shell runs");
        let mut printed = String::new();
        while !printed.ends_with("\nthat was all\n") {
            assert!(self.output.read_line(&mut printed).expect("the shell runs") > 0, "the shell has ended: {printed}");
        }
        let printed = printed.trim_end_matches("that was all\n").replace('\r', "");
        // redis-cli says how long a command has taken, if that was long.
        let lines: Vec<&str> = printed.trim_end().lines().filter(|line| !line.ends_with("s)")).collect();
        let printed = lines.join("\n");
        for number in 1..=2 {
            if command.contains(&format!("node{number} --listen")) {
                self.wait_until_it_serves(number);
            }
        }
        // What bash says about its jobs is not shown.
        if printed.is_empty() || command.starts_with("kill") { String::new() } else { printed + "\n" }
    }

    /// The command with this test's ports and programs.
    fn as_run_here(&self, command: &str) -> String {
        let port = |number: u16| (self.ports + number - 1).to_string();
        let node = |program: &str, own: u16, peer: u16| {
            format!("{program} --listen 127.0.0.1:{} --peer 127.0.0.1:{}", port(own), port(peer))
        };
        command
            .replace("5008", &port(1))
            .replace("5009", &port(2))
            .replace("5010", &port(3))
            .replace("./node1", &node(env!("CARGO_BIN_EXE_node1"), 1, 2))
            .replace("./node2", &node(env!("CARGO_BIN_EXE_node2"), 2, 1))
            // A reader types slowly, so that the message must be later than here.
            .replace("DELAY node1 20000", "DELAY node1 8000")
            // What it prints to a terminal.
            .replace("redis-cli ", "redis-cli --no-raw ")
    }

    fn start_cluster(&mut self, options: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvstore"));
        command.args(options).args(["--port", &self.ports.to_string(), "--http", "off"]);
        if !options.contains(&"--interval") {
            command.args(["--interval", "200ms"]);
        }
        let log = fs::File::create(self.directory.join("cluster.log")).expect("there is room");
        command.env_remove("RUST_LOG").current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log);
        self.nodes = Some(command.spawn().expect("the program was built"));
        let nodes = if options.contains(&"--nodes") { 3 } else { 2 };
        (1..=nodes).for_each(|number| self.wait_until_it_serves(number));
    }

    /// Waits until a node serves clients; or until it cannot any more, as one whose disk is an old copy.
    fn wait_until_it_serves(&self, number: u16) {
        let (address, log) = (([127, 0, 0, 1], self.ports + number - 1).into(), format!("node{number}.log"));
        eventually("the node serves or has ended", DEADLINE, || {
            let has_ended = || fs::read_to_string(self.directory.join(&log)).is_ok_and(|log| log.contains("error: "));
            let serves = Client::try_connect(address).and_then(|mut client| client.try_line("DBSIZE"));
            serves.is_ok_and(|answer| !answer.starts_with("ERROR")) || has_ended()
        });
    }

    /// Runs a line, again and again if it only asks. Returns whether it has printed what it should.
    fn comes_true(&mut self, line: &Line, patience: Duration) -> Result<(), String> {
        let until = Instant::now() + patience;
        loop {
            let printed = self.run(&line.command);
            if printed == line.prints {
                return Ok(());
            }
            if !line.only_asks() || Instant::now() > until {
                let log = fs::read_to_string(self.directory.join("cluster.log")).unwrap_or_default();
                return Err(format!("$ {}\n{printed}--- instead of\n{}---\n{log}", line.command, line.prints));
            }
            thread::yield_now();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            let _ = (nodes.kill(), nodes.wait());
        }
        // Its trap ends the nodes that it has started.
        let _ = writeln!(self.input, "exit");
        let _ = (self.shell.wait(), fs::remove_dir_all(&self.directory));
    }
}

/// Three ports, one after the other, that are free for now.
fn three_free_ports() -> u16 {
    let mut first = 0;
    eventually("three free ports", DEADLINE, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        first = listener.local_addr().expect("it is bound").port();
        first < u16::MAX - 1 && (1..3).all(|next| TcpListener::bind(("127.0.0.1", first + next)).is_ok())
    });
    first
}

/// Runs README's lines about a rule: without the rule, then with it.
#[track_caller]
fn shows_what_it_is_for(rule: &str) {
    let is_missing = |tool: &&str| {
        Command::new("which").arg(tool).stdout(Stdio::null()).status().map_or(true, |status| !status.success())
    };
    if let Some(tool) = ["bash", "redis-cli"].into_iter().find(is_missing) {
        return println!("skipped: {tool} is not installed");
    }
    let Experiment { broken, kept } = experiment(rule);

    let mut stage = Stage::new();
    for line in &broken {
        stage.comes_true(line, PATIENCE).unwrap_or_else(|why| panic!("without {rule}: {why}"));
    }
    drop(stage);

    let (_, first) = broken.split_last().expect("there is a line");
    let mut stage = Stage::new();
    for Line { command, prints } in first {
        let command = command.replace(&format!("--without {rule}"), "");
        // Whether it prints the same is not what matters: some lines show the very thing that the rule prevents.
        let _ = stage.comes_true(&Line { command, prints: prints.clone() }, IN_VAIN);
    }
    for line in &kept {
        stage.comes_true(line, PATIENCE).unwrap_or_else(|why| panic!("with {rule}: {why}"));
    }
}

/// All at once: most of the time each of them waits.
#[test]
fn each_rule_keeps_in_real_nodes_what_readme_shows_to_break_without_it() {
    thread::scope(|scope| {
        let experiments = Rule::ALL.map(|rule| scope.spawn(move || shows_what_it_is_for(rule.name())));
        let failed = experiments.into_iter().zip(Rule::ALL).filter_map(|(ran, rule)| ran.join().err().map(|_| rule));
        let failed: Vec<Rule> = failed.collect();
        assert!(failed.is_empty(), "{failed:?}: see above");
    });
}

#[test]
fn every_rule_is_shown_in_the_readme() {
    for rule in Rule::ALL {
        let Experiment { broken, kept } = experiment(rule.name());
        assert!(broken.iter().any(|line| line.command.contains(&format!("--without {rule}"))), "{rule}");
        assert!(!kept.is_empty(), "{rule}");
    }
}

// ---- the commands ---------------------------------------------------------------------------------------------------

fn cluster() -> Cluster {
    Cluster::start_with(2, |config| config.lab = true)
}

#[test]
fn without_a_lab_its_commands_are_refused_and_not_shown() {
    let (with, without) = (cluster(), Cluster::start(1));
    let (mut with, mut without) = (with.client(1), without.client(1));
    for command in ["CUT node2", "MEND node2", "DELAY node2 1", "CLOCK", "CLOCK +1h", "POWERCUT"] {
        let name = command.split(' ').next().expect("a name");
        let refused = format!("ERROR: {name} makes a fault, which only a node for learning does: start it with --lab");
        assert_eq!(without.line(command), refused);
    }
    let shows = |client: &mut Client| client.lines("HELP").iter().any(|line| line.trim_start().starts_with("CUT peer"));
    assert!(shows(&mut with) && !shows(&mut without));
    let count = |client: &mut Client| client.line("COMMAND COUNT").parse::<u32>().expect("a number");
    assert_eq!(count(&mut with), count(&mut without) + 5);
    let says = |client: &mut Client| [client.info()["lab"].clone(), client.info()["not_for_data"].clone()];
    assert_eq!(says(&mut with), ["1", "1"]);
    assert_eq!(says(&mut without), ["0", "0"]);
    assert_eq!(without.line("PING"), "PONG");
}

#[test]
fn a_node_without_a_rule_says_that_it_is_not_for_data() {
    let mut node = Process::run(Command::new(env!("CARGO_BIN_EXE_node1")).args([
        "--listen",
        "127.0.0.1:0",
        "--alone",
        "--without",
        "digests",
    ]));
    let info = node.client().info();
    assert_eq!([&*info["lab"], &info["not_for_data"], &info["rules_off"]], ["0", "1", "digests"]);
    node.signal("TERM");
    node.wait();
}

#[test]
fn a_cut_holds_in_both_directions_until_it_is_mended() {
    let cluster = cluster();
    let (mut first, mut second) = (cluster.client(1), cluster.client(2));
    assert_eq!(first.line("CUT node2"), "OK");
    assert_eq!(first.line("SET from1 a"), "OK");
    assert_eq!(second.line("SET from2 b"), "OK");
    for client in [&mut first, &mut second] {
        eventually("it has tried again and again", DEADLINE, || {
            client.peer(1, "retries").parse::<u32>().expect("a number") > 3
        });
        assert_eq!(client.peer(1, "link"), "down");
    }
    assert_eq!(first.line("GET from2"), "Key not found");
    assert_eq!(second.line("GET from1"), "Key not found");
    assert_eq!(first.line("MEND node2"), "OK");
    cluster.wait_until_it_agrees();
    assert_eq!((first.line("GET from2"), second.line("GET from1")), ("b".into(), "a".into()));
}

#[test]
fn a_delay_holds_for_each_batch_and_does_not_hold_up_the_end() {
    const DELAY: Duration = Duration::from_millis(400);
    let mut cluster = cluster();
    let (mut first, mut second) = (cluster.client(1), cluster.client(2));
    assert_eq!(second.line(format!("DELAY node1 {}", DELAY.as_millis())), "OK");
    let began = Instant::now();
    let sets: String = (0..200).map(|key| format!("SET key{key} v\n")).collect();
    first.send(sets);
    (0..200).for_each(|_| assert_eq!(first.read_line(), "OK"));
    assert_eq!(first.line("WAIT 1 30000"), "1");
    let took = began.elapsed();
    assert!((DELAY..50 * DELAY).contains(&took), "{took:?}");

    assert_eq!(second.line("DELAY node1 60000"), "OK");
    assert_eq!(first.line("SET late v"), "OK");
    eventually("it is on its way", DEADLINE, || first.peer(1, "queued") == "0");
    let began = Instant::now();
    cluster.stop(2);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_clock_can_be_moved_for_all_that_a_node_does() {
    let cluster = cluster();
    let mut client = cluster.client(1);
    assert_eq!(client.line("SETEX key 1800 v"), "OK");
    assert_eq!(client.line("CLOCK +1h"), "OK");
    assert!(client.line("CLOCK").ends_with(", 3600000 ms ahead of the machine's"));
    assert_eq!(client.line("GET key"), "Key not found");
    assert_eq!(client.line("SET other v"), "OK");
    let hour = |text: &str| text.split_once('T').expect("a time").1[..2].parse::<u32>().expect("an hour");
    let ahead = hour(&client.line("VERSION other"));
    assert_eq!(client.line("CLOCK real"), "OK");
    let real = client.line("CLOCK");
    assert!(real.ends_with(", 0 ms ahead of the machine's"), "{real}");
    assert!([1, 2].contains(&((24 + ahead - hour(&real)) % 24)), "{ahead} and {real}");
}

#[test]
fn what_the_lab_cannot_do_is_said() {
    let cluster = cluster();
    let mut client = cluster.client(1);
    for (command, answer) in [
        ("CUT node9", "ERROR: no such peer: type one of [node2]"),
        ("MEND node1", "ERROR: no such peer: type one of [node2]"),
        ("DELAY disk 5", "ERROR: no such peer: type one of [node2]"),
        ("DELAY node2 60001", "ERROR: a delay has at most 60000 ms"),
        ("DELAY node2 -1", "ERROR: value is not an integer or out of range"),
        ("CLOCK tomorrow", "ERROR: type CLOCK +1h, CLOCK -90s, CLOCK +1h30m, or CLOCK real"),
        ("CLOCK -100years", "ERROR: no node runs with a clock before 2020 or after 2189"),
        ("CLOCK +1000years", "ERROR: no node runs with a clock before 2020 or after 2189"),
    ] {
        assert_eq!(client.line(command), answer, "{command}");
    }
    assert_eq!(client.line("CLOCK +163years"), "OK");
    assert_eq!(client.line("SET key v"), "OK");
}

// ---- the trace ------------------------------------------------------------------------------------------------------

/// The lines of a log that have these words, without the time and the level.
fn told(process: &Process, words: &str) -> Vec<String> {
    let lines = process.log().into_iter().filter(|line| line.contains(words));
    lines.map(|line| line.split_once("] ").map_or(line.clone(), |(_, text)| text.to_string())).collect()
}

/// A line with a 0 for each digit of a time.
fn without_times(line: &str) -> String {
    let zeros = |word: &str| match word.matches(':').count() {
        2 => word.split('@').next().unwrap_or_default().replace(|char: char| char.is_ascii_digit(), "0"),
        _ => word.into(),
    };
    line.split(' ').map(zeros).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_trace_of_one_process_shows_each_message_once_and_what_the_merge_decided() {
    let ports = three_free_ports();
    let process = Process::run(
        Command::new(env!("CARGO_BIN_EXE_kvstore"))
            .args(["--port", &ports.to_string(), "--interval", "1h", "--http", "off"])
            .env("RUST_LOG", "trace"),
    );
    let mut client = process.client();
    client.wait_until_it_serves();
    assert_eq!(client.line("SET color red"), "OK");
    eventually("the merge is told", DEADLINE, || !told(&process, "is new here").is_empty());
    eventually("the reply is told", DEADLINE, || !told(&process, "1 (won)").is_empty());
    let lines = |words| told(&process, words).iter().map(|line| without_times(line)).collect::<Vec<_>>();
    assert_eq!(lines("PROPAGATE"), ["node1 ──▶ node2  PROPAGATE SET color red 00:00:00.000+0"]);
    assert_eq!(lines("is new here"), ["node2: SET color red 00:00:00.000+0 from node1 is new here"]);
    assert_eq!(lines("(won)"), ["node1 ◀── node2  1 (won)"]);
    assert!(!lines("DIGEST").is_empty() && !lines("CONFIRM").is_empty());
}

#[test]
fn the_trace_of_one_node_shows_what_it_asks_and_what_it_is_asked() {
    let second = Cluster::start(1);
    let address = second.address(1).to_string();
    let process = Process::run(
        Command::new(env!("CARGO_BIN_EXE_node2"))
            .args(["--listen", "127.0.0.1:0", "--peer", &address, "--interval", "1h"])
            .env("RUST_LOG", "trace"),
    );
    process.client().wait_until_it_serves();
    eventually("what it asks", DEADLINE, || !told(&process, "node2 ──▶ node1  CONFIRM").is_empty());
    assert!(!told(&process, &format!("node2 ──▶ {address}  PEER node2")).is_empty());
    // The first node does not dial this one. This is a peer that does.
    let mut guest = process.client();
    guest.resp(&common::peer_words(b"guest", b"9", b"77"));
    eventually("what it answers", DEADLINE, || !told(&process, "guest ◀── node2  node2 incarnation").is_empty());
    assert!(!told(&process, "guest ──▶ node2  PEER guest").is_empty());
}
