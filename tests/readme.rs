//! The transcripts of the README are real: the test runs every `console` block, which must print what the README shows.
//! Only times may differ.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// Waits where a reader types slowly. `await` waits until a node that was just started answers, `agree` until both
/// nodes hold the same. If that does not happen, the script ends and says what is wrong.
const PAUSES: &str = r#"
ask() { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf '%s\nQUIT\n' "$2" >&3 && head -n 1 <&3; }
answers() { [[ $(ask "$1" PING) == PONG ]]; }
digest() { [[ $(ask "$1" DIGEST) =~ ^[0-9a-f]{16}$ ]] && echo "${BASH_REMATCH[0]}"; }
are_equal() { local first; first=$(digest "$1") && [[ $first == "$(digest "$2")" ]]; }
poll() {
  for ((i = 0; i < 1000; i++)); do ("$@") 2>/dev/null && return; sleep 0.02; done
  echo "never comes true: $*"
  exit 1
}
await() { poll answers "$1"; }
agree() { poll are_equal "$1" "$2"; }
"#;

#[test]
fn every_transcript_in_the_readme_is_what_happens() {
    let transcripts = transcripts();
    assert!(transcripts.len() >= 5, "the README shows nc, redis-cli, a node that heals, a lock, and a conflict");
    if tools_are_missing() {
        return;
    }
    for transcript in transcripts {
        let run = Run::of(&transcript, "");
        run.must_have_printed(&run.expected);
    }
}

/// A transcript that comes out the same without the rule would show nothing about it.
#[test]
fn what_the_readme_shows_about_deletes_is_the_work_of_tombstones() {
    let transcripts = transcripts();
    let heals = transcripts.iter().find(|transcript| transcript.contains("DEL shape")).expect("it stands there");
    if tools_are_missing() {
        return;
    }
    let run = Run::of(heals, "--without tombstones");
    run.must_have_printed(&run.expected.replace("Key not found", "round"));
}

#[test]
fn what_the_readme_shows_about_conflicts_is_the_work_of_version_vectors() {
    let transcripts = transcripts();
    let lost = transcripts.iter().find(|transcript| transcript.contains("was lost")).expect("it stands there");
    if tools_are_missing() {
        return;
    }
    let run = Run::of(lost, "--without version-vectors");
    let is_about_what_was_seen = |line: &&str| line.contains("was lost") || line.contains("\"lost_value\"");
    assert_eq!(run.expected.lines().filter(is_about_what_was_seen).count(), 2);
    assert_eq!(run.printed.lines().filter(is_about_what_was_seen).count(), 0, "{}", run.printed);
    assert!(run.printed.contains("pears\nEND\nOK\n") && run.printed.contains("(empty array)"), "{}", run.printed);
}

fn transcripts() -> Vec<String> {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("there is a README");
    let blocks = readme.split("```console\n").skip(1);
    blocks.map(|rest| rest.split("```").next().expect("split has a first part").to_string()).collect()
}

fn tools_are_missing() -> bool {
    let is_missing = |tool: &&str| {
        Command::new("which").arg(tool).stdout(Stdio::null()).status().map_or(true, |status| !status.success())
    };
    let missing = ["bash", "nc", "redis-cli"].into_iter().find(is_missing);
    missing.inspect(|tool| println!("skipped: {tool} is not installed")).is_some()
}

/// A transcript that was run.
struct Run {
    /// What the README says that its commands print.
    expected: String,
    /// What they have printed.
    printed: String,
    /// The script for bash, and its errors.
    script: String,
    errors: String,
}

impl Run {
    /// Runs the commands of a transcript, on free ports, with these options for each node.
    fn of(transcript: &str, options: &str) -> Self {
        let [first, second] = free_ports();
        let node = |binary: &str, own: u16, peer: u16| {
            format!("{binary} --listen 127.0.0.1:{own} --peer 127.0.0.1:{peer} {options}")
        };
        let as_run_here = |text: &str| {
            text.replace("5008", &first.to_string())
                .replace("5009", &second.to_string())
                .replace("./node1", &node(env!("CARGO_BIN_EXE_node1"), first, second))
                .replace("./node2", &node(env!("CARGO_BIN_EXE_node2"), second, first))
                // The form that it prints to a terminal, not the one for a program.
                .replace("redis-cli ", "redis-cli --no-raw ")
        };
        let (mut script, mut expected) =
            (format!("set -m\ntrap 'kill -9 $(jobs -p); cat ./*.log >&2' EXIT\n{PAUSES}"), String::new());
        // Which nodes run. If both do, the script waits until they agree.
        let mut run = [!transcript.contains("./node1"); 2];
        if run == [true; 2] {
            script += &as_run_here("./node1 >/dev/null &\n./node2 >/dev/null &\nawait 5008\nawait 5009\n");
        }
        for line in transcript.lines() {
            let Some(command) = line.strip_prefix("$ ") else {
                expected += &format!("{line}\n");
                continue;
            };
            // A reader sleeps until the nodes agree. The test asks them.
            if !command.starts_with("sleep") {
                script += &as_run_here(&format!("{command}\n"));
            }
            for (node, (start, port)) in [("./node1", "5008"), ("./node2", "5009")].into_iter().enumerate() {
                if command.starts_with(start) {
                    script += &as_run_here(&format!("await {port}\n"));
                    run[node] = true;
                } else if command.starts_with("kill -CONT") {
                    run[node] = true;
                } else if command.starts_with("kill")
                    && (command.contains(&format!("%{}", node + 1)) || command.contains("jobs"))
                {
                    run[node] = false;
                }
            }
            // A reader types slowly enough for a killed node to end: its port is free again.
            if let Some(job) = command.strip_prefix("kill -9 ") {
                script += &format!("wait {job} 2>/dev/null\n");
            }
            if run == [true; 2] {
                script += &as_run_here("agree 5008 5009\n");
            }
        }
        // The nodes write their logs to the directory in which the commands run.
        let directory = std::env::temp_dir().join(format!("kvstore-readme-{}-{first}", std::process::id()));
        fs::create_dir_all(&directory).expect("there is room for the logs");
        let bash = Command::new("bash").arg("-c").arg(&script).current_dir(&directory).stdin(Stdio::null()).output();
        fs::remove_dir_all(&directory).expect("it is ours");
        let output = bash.expect("bash runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { expected, printed: text(&output.stdout), script, errors: text(&output.stderr) }
    }

    #[track_caller]
    fn must_have_printed(&self, expected: &str) {
        let (printed, expected) = (without_times(&self.printed), without_times(expected));
        assert_eq!(printed, expected, "\n--- script\n{}\n--- stderr\n{}", self.script, self.errors);
    }
}

/// The text with a 0 for each digit of a time, which has two colons: `00:00:00.000`, `0000-00-00T00:00:00.000Z+0`.
fn without_times(text: &str) -> String {
    let is_of_a_time = |char: char| char.is_ascii_digit() || ":.-+TZ".contains(char);
    let words = text.split_inclusive(|char| !is_of_a_time(char));
    let is_time = |word: &str| word.matches(':').count() == 2;
    let zeros = |word: &str| word.replace(|char: char| char.is_ascii_digit(), "0");
    words.map(|word| if is_time(word) { zeros(word) } else { word.into() }).collect()
}

/// Two ports that are free at the moment.
fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("loopback has free ports").port())
}
