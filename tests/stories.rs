//! The stories in `tests/stories/`: what the nodes say to each other, one situation a file.
//!
//! A story is plain text. A line that begins with `> ` is a command, lines that are indented by four spaces after it are what it
//! shows, everything else is for the reader. The test runs the commands and compares. With `UPDATE_STORIES=1` in the
//! environment it writes what they show into the files instead; read the difference before you commit it.

#[path = "simulation/cluster.rs"]
#[allow(dead_code, reason = "a story needs only a part of the simulator")]
mod cluster;
#[path = "simulation/cost.rs"]
mod cost;
#[path = "simulation/invariants.rs"]
#[allow(dead_code, reason = "the reader of a story is its judge")]
mod invariants;
#[path = "simulation/judge.rs"]
#[allow(dead_code, reason = "nothing is judged here: the reader does that")]
mod judge;
#[path = "simulation/network.rs"]
#[allow(dead_code, reason = "a story needs only a part of the simulator")]
mod network;
#[path = "simulation/node.rs"]
#[allow(dead_code, reason = "only a part of the simulator is needed here")]
mod node;
#[path = "simulation/script.rs"]
mod script;
#[path = "simulation/trace.rs"]
#[allow(dead_code, reason = "a story is told in arrows")]
mod trace;

use std::path::{Path, PathBuf};
use std::{env, fs};

use script::Stage;

/// What a shown line is indented by.
const INDENT: &str = "    ";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

fn stories() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).expect("the folder is there").map(|file| file.expect("can be listed").path());
    let mut stories: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "story")).collect();
    stories.sort();
    stories
}

/// The story as it should stand in its file: its commands with what they show now.
fn told_again(story: &str) -> String {
    let mut stage = Stage::default();
    let mut told = String::new();
    for line in story.lines().filter(|line| !line.starts_with(INDENT)) {
        told += &format!("{line}\n");
        if let Some(command) = line.strip_prefix("> ") {
            stage.run(command).iter().for_each(|shown| told += &format!("{INDENT}{shown}\n"));
        }
    }
    told
}

#[test]
fn every_story_goes_as_it_is_told() {
    let update = env::var_os("UPDATE_STORIES").is_some();
    let mut wrong = Vec::new();
    for path in stories() {
        let recorded = fs::read_to_string(&path).expect("a story is text");
        let told = told_again(&recorded);
        if update {
            fs::write(&path, told).expect("a story can be written");
        } else if told != recorded {
            let differs = told.lines().zip(recorded.lines()).enumerate().find(|(_, (now, then))| now != then);
            wrong.push(format!("{}: {differs:?}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "not as told (to record anew: UPDATE_STORIES=1 cargo test --test stories):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_reading_order_names_every_story() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("the folder has a README");
    for path in stories() {
        let name = path.file_name().expect("is a file").to_string_lossy().into_owned();
        assert!(readme.contains(&name), "the README does not name {name}");
    }
}

#[test]
fn the_cost_of_agreement_stays_within_its_limits() {
    let small = cost::measure(10_000, &[0, 1, 100], true);
    let large = cost::measure(1_000_000, &[0, 1, 100], true);
    for (cost, limit) in small.iter().chain(&large).zip([300, 2_000, 120_000].into_iter().cycle()) {
        assert!(cost.bytes <= limit, "{cost}: more than {limit} bytes");
    }
}
