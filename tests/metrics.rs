//! The metrics, and the alert rules of the README, as Prometheus' own tools read them. Without the tools the tests say
//! that this part is skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process};

use crate::common::{Cluster, DEADLINE, Mode, eventually};
use kvstore::http::metrics;

/// A folder that is deleted when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("kvstore-metrics-{}-{name}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn rendered(cluster: &Cluster) -> String {
    metrics::render(&[1, 2].map(|number| cluster.node(number).stats()))
}

/// The number of one sample.
fn sample(text: &str, sample: &str) -> f64 {
    let number = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    number.unwrap_or_else(|| panic!("{sample} is not in {text}")).parse().expect("a number")
}

/// Runs a program with this input. Returns what it said, and whether all was well; nothing if it cannot be run.
fn run(command: &mut Command, input: &str) -> Option<(bool, String)> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().ok()?;
    // A program that does not read its input has ended, and says why.
    let _ = child.stdin.take().expect("is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn promtool() -> Option<Command> {
    let found = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then(|| Command::new("promtool"))
}

/// Python with the parser of Prometheus' own client, where the gate has installed it.
fn parser() -> Option<Command> {
    const PROGRAM: &str = "import sys; from prometheus_client.parser import text_string_to_metric_families as parse\n\
                           print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python");
    let python = |program| {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", program]);
        python
    };
    let (has_parser, _) = run(&mut python("import prometheus_client.parser"), "")?;
    has_parser.then(|| python(PROGRAM))
}

#[test]
fn the_metrics_are_what_prometheus_reads() {
    let scratch = Scratch::new("parsed");
    let cluster = Cluster::start_with(2, |config| config.data = Some(scratch.0.join(config.node.to_string())));
    let mut client = cluster.client(1);
    for n in 0..200 {
        assert_eq!(client.line(format!("SET k{n} v")), "OK");
    }
    cluster.wait_until_it_agrees();
    client.lines("SYNC");
    let text = rendered(&cluster);
    match promtool() {
        None => println!("skipped: promtool is not here"),
        Some(mut promtool) => {
            let (is_well, said) = run(promtool.args(["check", "metrics"]), &text).expect("it ran just now");
            assert!(is_well, "{said}");
        }
    }
    match parser() {
        None => println!("skipped: python3 has no prometheus-client here"),
        Some(mut parser) => {
            let (is_well, said) = run(&mut parser, &text).expect("it ran just now");
            let samples = text.lines().filter(|line| !line.starts_with('#')).count();
            assert!(is_well && said.trim() == samples.to_string(), "{samples} samples: {said}");
        }
    }
}

#[test]
fn what_takes_time_is_measured() {
    let scratch = Scratch::new("measured");
    let cluster = Cluster::start_with(2, |config| config.data = Some(scratch.0.join(config.node.to_string())));
    let mut client = cluster.client(1);
    for n in 0..200 {
        assert_eq!(client.line(format!("SET k{n} v")), "OK");
    }
    client.lines("SYNC");
    let of_node =
        |name: &str| sample(&rendered(&cluster), &format!("kvstore_{name}_duration_seconds_count{{node=\"node1\"}}"));
    assert!(of_node("command") >= 3.0, "one of 64 commands is measured");
    eventually("the log is synced", DEADLINE, || of_node("disk_sync") > 0.0);
    let peer = r#"{node="node1",peer="node2"}"#;
    let of_peer = |name: &str| sample(&rendered(&cluster), &format!("kvstore_{name}{peer}"));
    assert!(of_peer("round_duration_seconds_count") > 0.0);
    eventually("a write is measured", DEADLINE, || of_peer("propagation_delay_seconds_count") > 0.0);

    // A write that waits for its peer has the delay of the whole outage. The first one may come too soon after another
    // that was measured; when it is delivered, the next will be.
    eventually("the queue is empty", DEADLINE, || client.peer(1, "queued") == "0");
    let before = of_peer("propagation_delay_seconds_sum");
    for key in ["first", "second"] {
        cluster.links.set(Mode::Cut);
        assert_eq!(client.line(format!("SET {key} v")), "OK");
        let retries = of_peer("propagation_retries_total");
        eventually("it is tried again", DEADLINE, || of_peer("propagation_retries_total") >= retries + 2.0);
        cluster.links.heal();
        assert_eq!(client.line("WAIT 1 0"), "1");
    }
    eventually("it is measured", DEADLINE, || of_peer("propagation_delay_seconds_sum") > before + 0.02);
}

/// The block of YAML in the README.
fn alerts() -> String {
    let readme = include_str!("../README.md");
    let (_, block) = readme.split_once("```yaml\n").expect("the README has alert rules");
    block.split("```").next().expect("split has a first part").into()
}

#[test]
fn the_alert_rules_of_the_readme_are_about_metrics_that_there_are() {
    let scratch = Scratch::new("alerts");
    let cluster = Cluster::start_with(2, |config| config.data = Some(scratch.0.join(config.node.to_string())));
    let (alerts, text) = (alerts(), rendered(&cluster));
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let named: Vec<&str> = alerts.split(|char| !is_name(char)).filter(|word| word.starts_with("kvstore_")).collect();
    assert_eq!(named.len(), 5, "{named:?}");
    for name in named {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
    let file = scratch.0.join("alerts.yml");
    fs::write(&file, &alerts).expect("it is written");
    let Some(mut promtool) = promtool() else { return println!("skipped: promtool is not here") };
    let (is_well, said) = run(promtool.args(["check", "rules"]).arg(&file), "").expect("it ran just now");
    assert!(is_well && said.contains("5 rules found"), "{said}");
}
