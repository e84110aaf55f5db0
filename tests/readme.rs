//! The transcripts of the README are what really happens: every `console` block is run, and must print what stands there.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a README block starts with `./node1 &`, it may use at once: waits until the port that is named after it answers.
const WAIT_UNTIL_IT_ANSWERS: &str = r#"
answers() { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'PING\nQUIT\n' >&3 && grep -q PONG <&3; }
await() { for ((i = 0; i < 1000; i++)); do (answers "$1") 2>/dev/null && return; sleep 0.01; done; echo "no answer from $1"; exit 1; }
"#;

#[test]
fn every_transcript_in_the_readme_is_what_happens() {
    for tool in ["bash", "nc", "redis-cli"] {
        if Command::new("which").arg(tool).stdout(Stdio::null()).status().map_or(true, |status| !status.success()) {
            println!("skipped: {tool} is not installed");
            return;
        }
    }
    let directory = std::env::temp_dir().join(format!("kvstore-readme-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "the README shows nc, redis-cli, and a node that heals");
    for block in blocks {
        let ports = free_ports();
        let real_names = |text: &str| {
            let ports_replaced = text.replace("5008", &ports[0].to_string()).replace("5009", &ports[1].to_string());
            let node = |binary: &str, own: u16, peer: u16| {
                format!("{binary} --listen 127.0.0.1:{own} --peer 127.0.0.1:{peer}")
            };
            ports_replaced
                .replace("./node1", &node(env!("CARGO_BIN_EXE_node1"), ports[0], ports[1]))
                .replace("./node2", &node(env!("CARGO_BIN_EXE_node2"), ports[1], ports[0]))
        };
        let starts_its_own = block.contains("./node1");
        let mut script = format!("set -m; trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT\n{WAIT_UNTIL_IT_ANSWERS}");
        if !starts_its_own {
            script += &real_names("./node1 2>/dev/null >&2 &\n./node2 2>/dev/null >&2 &\nawait 5008; await 5009\n");
        }
        let mut expected = String::new();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                script += &real_names(command);
                script += "\n";
                for (node, port) in [("./node1", "5008"), ("./node2", "5009")] {
                    if command.starts_with(node) {
                        script += &real_names(&format!("await {port}\n"));
                    }
                }
            } else {
                expected += line;
                expected += "\n";
            }
        }
        let output = Command::new("bash").arg("-c").arg(&script).current_dir(&directory).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let printed: String =
            printed.lines().filter(|line| !line.contains("listens on")).map(|line| format!("{line}\n")).collect();
        assert_eq!(
            printed,
            expected,
            "\n--- script\n{script}\n--- stderr\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// Two ports that nobody uses at the moment.
fn free_ports() -> [u16; 2] {
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("loopback has free ports").port())
}
