//! The stories in `tests/stories/`: what the nodes say to each other, one situation a file.
//!
//! The test runs the commands of every story and compares what they show with what its file records. With
//! `UPDATE_STORIES=1` in the environment it writes what they show into the files instead. Read the difference before
//! you commit it.

#[path = "stories/simulator.rs"]
#[allow(dead_code, reason = "a story needs only a part of the simulator")]
mod simulator;
#[path = "stories/telling.rs"]
mod telling;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fmt, fs};

use simulator::script::COMMANDS;
use simulator::{cost, script};
use telling::{difference, tell};

/// What is wrong with the stories, a line each. A test that returns it prints it as it is, without a backtrace.
struct Wrong(Vec<String>);

impl fmt::Debug for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every story's file, named from the repository's root.
fn stories() -> Vec<PathBuf> {
    let folder = Path::new("tests/stories");
    let files = fs::read_dir(root().join(folder)).expect("the folder is there");
    let names = files.map(|file| folder.join(file.expect("can be listed").file_name()));
    let mut stories: Vec<PathBuf> = names.filter(|path| path.extension() == Some(OsStr::new("story"))).collect();
    stories.sort();
    stories
}

/// Tells a story and compares it with its file, or records it there.
fn check(path: &Path, record: bool) -> Result<(), String> {
    let (name, file) = (path.to_string_lossy(), root().join(path));
    let recorded = fs::read_to_string(&file).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let told = tell(&name, &recorded);
    if let Some(mistake) = told.mistake {
        return Err(mistake);
    }
    match difference(&name, &told.text, &recorded) {
        Some(_) if record => fs::write(&file, told.text).map_err(|error| format!("{name}: cannot be written: {error}")),
        Some(difference) => Err(difference),
        None => Ok(()),
    }
}

#[test]
fn every_story_goes_as_it_is_told() -> Result<(), Wrong> {
    let record = env::var_os("UPDATE_STORIES").is_some();
    let mut wrong: Vec<String> = stories().iter().filter_map(|path| check(path, record).err()).collect();
    if wrong.iter().any(|wrong| wrong.contains(": differs\n")) {
        wrong.push("if it is meant to differ, record it: UPDATE_STORIES=1 cargo test --test stories".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(Wrong(wrong)) }
}

/// A new file just runs. Only numbered stories, like `01-a-write-travels.story`, belong to the reading order.
#[test]
fn the_reading_order_names_every_numbered_story() {
    let readme = readme();
    for path in stories() {
        let name = path.file_name().expect("is a file").to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default();
        let is_numbered = number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit());
        assert!(!is_numbered || readme.contains(&name), "tests/stories/README.md does not name {name} in its order");
    }
}

fn readme() -> String {
    fs::read_to_string(root().join("tests/stories/README.md")).expect("the folder has a README")
}

#[test]
fn the_readme_has_the_table_of_commands() {
    let row = |command: &script::Command| format!("| `{}` | {} |\n", command.forms.join("`, `"), command.about);
    let table: String = COMMANDS.iter().map(row).collect();
    assert!(readme().contains(&table), "put this table into tests/stories/README.md:\n{table}");
}

#[test]
fn a_mistake_is_one_line_that_says_what_to_type() {
    let story = |line: &str| format!("A story.\n\n> cluster 2\n> {line}\n");
    for (line, says) in [
        ("clock node1 soon", "give a time like +1h, -5s or =node2"),
        ("clock node1 -1000000h", "a wall clock must stay between the years 2020 and 2190"),
        ("set node1 color", "type `set node1 KEY VALUE [for TIME]`"),
        ("set node1 color red for long", "give a time like 5s, 10ms, 2m or 1h"),
        ("expire node1 color", "type `expire node1 KEY TIME`"),
        ("set node3 color red", "no node is called node3; the cluster has node1 to node2"),
        ("propagate node1 node1", "give two different nodes"),
        ("tick all", "type `tick node1` or `tick all TIMES`"),
        ("conflicts", "type `conflicts node1`"),
        ("tick all 0", "give a number of ticks from 1 to 1000"),
        ("tik node1", "no such command; did you mean `tick`?"),
        ("pass 5", "give a time like 5s, 10ms, 2m or 1h"),
        (
            "next HELLO node1 node2 lost",
            "no request is called HELLO; give one of PEER, PROPAGATE, DIGEST, LEAF, FETCH, CONFIRM",
        ),
        ("next LEAF node1 node2 gone", "give one of lost, delayed, reply-lost, twice"),
        ("before LEAF node1 node2 pass soon", "give a time like 5s, 10ms, 2m or 1h"),
        ("quietly cluster 2", "`cluster` stands on a line of its own"),
        ("quietly", "type `quietly COMMAND`"),
        ("dismiss node2 on node1", "node1 has not met node2 yet: let one of them tick first"),
        ("cluster none", "give a number of nodes from 1 to 9"),
        ("cluster 2 with", "type `cluster COUNT [with disks] [without RULE…]`"),
        ("sync node1", "node1 has no disk: begin with `cluster 2 with disks`"),
        ("kill", "type `kill node1`"),
    ] {
        assert_eq!(tell("x", &story(line)).mistake, Some(format!("x:4: {line}: {says}")));
    }
    for (story, says) in [
        ("> set node1 a 1\n", "x:1: set node1 a 1: there is no cluster yet: begin with `cluster 2`"),
        ("Hello.\n", "x: has no command; a command is a line like `> cluster 2`"),
        (">cluster 2\n", "x:1: >cluster 2: put a space after `>`"),
        (
            "> cluster 2 with disks\n> put-back node2\n",
            "x:2: put-back node2: no copy was taken: type `backup node2` first",
        ),
        ("    hello\n", "x:1: hello: only what a command shows is indented by four spaces; indent this by less"),
    ] {
        assert_eq!(tell("x", story).mistake.as_deref(), Some(says));
    }
    let rule = tell("x", "> cluster 2 without luck\n").mistake.expect("there is no such rule");
    assert!(
        rule.starts_with("x:1: cluster 2 without luck: no rule is called `luck`; the rules are tombstones"),
        "{rule}"
    );
    let unknown = tell("x", "> dance\n").mistake.expect("there is no such command");
    assert!(unknown.starts_with("x:1: dance: no such command; the commands are cluster, set, del"), "{unknown}");
}

#[test]
fn a_mistake_in_a_command_that_runs_later_is_reported_too() {
    let story = "> cluster 2\n> set node1 a 1\n> before PROPAGATE node1 node2 tick node1\n> propagate node1\n";
    let says = "x:4: propagate node1: (tick node1) node1 waits for a reply, so its timer cannot tick now";
    assert_eq!(tell("x", story).mistake.as_deref(), Some(says));
}

#[test]
fn a_new_story_is_told_how_to_record_and_a_difference_shows_both_lines() {
    let new = "> cluster 2\n> digests\n";
    let told = tell("x", new).text;
    assert_eq!(
        difference("x", &told, new).as_deref(),
        Some(
            "x: nothing is recorded yet; to record what its commands show, type: \
             UPDATE_STORIES=1 cargo test --test stories"
        )
    );
    assert_eq!(difference("x", &told, &told), None);
    let other = told.replace("node2: root 0", "node2: root 1");
    assert_eq!(
        difference("x", &told, &other).as_deref(),
        Some("x:4: differs\n  told now: node2: root 0000000000000000\n  recorded: node2: root 1000000000000000")
    );
}

/// Runs the example `story` with some arguments and some input. `cargo test --test stories` alone does not build
/// examples, so this builds it first, beside the test that asks for it.
fn example(arguments: &[&str], input: &str) -> Output {
    let own = env::current_exe().expect("a test has a file");
    let built = own.parent().and_then(Path::parent).expect("it lies in target/PROFILE/deps");
    let profile = match built.file_name().and_then(OsStr::to_str).expect("a profile has a name") {
        "debug" => "dev",
        other => other,
    };
    let target = built.parent().expect("it lies in target");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--example", "story", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(root())
        .status();
    assert!(build.expect("cargo runs").success(), "the example does not build");
    let mut story = Command::new(built.join("examples/story"))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    // The whole input fits in the pipe. Dropping its end tells the example that nothing follows.
    story.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("the example reads");
    story.wait_with_output().expect("the example ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("is text")
}

#[test]
fn the_example_tells_a_file() {
    let name = "tests/stories/01-a-write-travels.story";
    let told = example(&[name], "");
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert_eq!(text(&told.stdout), fs::read_to_string(root().join(name)).expect("the story is there"));
    let missing = example(&["no/such.story"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).starts_with("story: no/such.story: "), "{}", text(&missing.stderr));
}

#[test]
fn the_example_has_a_prompt() {
    let told = example(&[], "help\ncluster 2\nset node1 a 1\nset node1\n\n> show a\nquit\nshow a\n");
    assert!(told.status.success());
    assert_eq!(text(&told.stderr), "set node1: type `set node1 KEY VALUE [for TIME]`\n");
    let (help, shown) = text(&told.stdout).split_once("    node1: SET").expect("the write is shown");
    COMMANDS.iter().flat_map(|command| command.forms).for_each(|form| assert!(help.contains(form), "{form}: {help}"));
    assert_eq!(
        shown,
        " a 1: version 12:00:00.000+0@1\n    a on node1: 1  (version 12:00:00.000+0@1)\n    a on node2: nothing\n"
    );
}

#[test]
fn the_cost_of_agreement_stays_within_its_limits() {
    let small = cost::measure(10_000, &[0, 1, 100], true);
    let large = cost::measure(1_000_000, &[0, 1, 100], true);
    for (cost, limit) in small.iter().chain(&large).zip([300, 2_000, 120_000].into_iter().cycle()) {
        assert!(cost.bytes <= limit, "{cost}: more than {limit} bytes");
    }
}
