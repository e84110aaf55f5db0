//! The lab, and README's chapter "Break it yourself": its lines are run as they stand there, with the rule and without.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, DEADLINE, eventually};

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

#[test]
fn tombstones() {
    shows_what_it_is_for("tombstones");
}

#[test]
fn the_tie_break() {
    shows_what_it_is_for("tie-break");
}

#[test]
fn the_hybrid_clock() {
    shows_what_it_is_for("hybrid-clock");
}

#[test]
fn the_stamp_bump() {
    shows_what_it_is_for("stamp-bump");
}

#[test]
fn propagation() {
    shows_what_it_is_for("propagation");
}

#[test]
fn anti_entropy() {
    shows_what_it_is_for("anti-entropy");
}

#[test]
fn digests() {
    shows_what_it_is_for("digests");
}

#[test]
fn confirmation() {
    shows_what_it_is_for("confirmation");
}

#[test]
fn the_ordered_link() {
    shows_what_it_is_for("ordered-link");
}

#[test]
fn durable_confirmations() {
    shows_what_it_is_for("durable-confirm");
}

#[test]
fn the_refusal_of_stale_disks() {
    shows_what_it_is_for("stale-disk");
}

#[test]
fn version_vectors() {
    shows_what_it_is_for("version-vectors");
}

#[test]
fn every_rule_is_shown_in_the_readme() {
    for rule in kvstore::rules::Rule::ALL {
        let Experiment { broken, kept } = experiment(rule.name());
        assert!(broken.iter().any(|line| line.command.contains(&format!("--without {rule}"))), "{rule}");
        assert!(!kept.is_empty(), "{rule}");
    }
}
