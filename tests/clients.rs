//! Redis clients, as people have them. Whichever is not installed is skipped, and said to be.

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::common::{Cluster, DEADLINE, eventually};

/// Runs a program, which must end well; returns what it said. `None`, with a word on it, if it cannot be had.
fn run(command: &mut Command) -> Option<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        println!("skipped: {name} is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Some(said)
}

/// Whether a program can do something, such as load a package.
fn can(program: &str, arguments: &[&str]) -> bool {
    let status =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: `{program} {}` fails here", arguments.join(" "));
    }
    can
}

fn redis_cli(address: SocketAddr, arguments: &[&str]) -> Option<String> {
    run(Command::new("redis-cli").args(["-p", &address.port().to_string()]).args(arguments))
}

#[test]
fn redis_cli_works() {
    let cluster = Cluster::start(1);
    let address = cluster.address(1);
    for (arguments, expected) in [
        (&["PING"][..], "PONG\n"),
        (&["SET", "greeting", "hello world"], "OK\n"),
        (&["GET", "greeting"], "hello world\n"),
        (&["GET", "nothing"], "\n"),
        (&["MSET", "a", "1", "b", "2"], "OK\n"),
        (&["DEL", "a", "nothing"], "1\n"),
        (&["DBSIZE"], "2\n"),
        (&["--scan", "--pattern", "gree*"], "greeting\n"),
        (&["EXISTS", "b", "b", "nothing"], "2\n"),
    ] {
        let Some(said) = redis_cli(address, arguments) else { return };
        assert_eq!(said, expected, "{arguments:?}");
    }
    let info = redis_cli(address, &["INFO"]).unwrap_or_default();
    assert!(info.contains("connected_clients:1\r\n") && info.contains("root_digest:"), "{info}");
    let refused = Command::new("redis-cli").args(["-e", "-p", &address.port().to_string(), "FROB"]).output();
    let refused = refused.expect("was there just now");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&refused.stderr).trim(), "ERR unknown command 'FROB': type HELP for the list");
}

#[test]
fn redis_cli_works_with_resp3() {
    let cluster = Cluster::start(1);
    let address = cluster.address(1);
    for (arguments, expected) in [
        (&["-3", "SET", "k", "v"][..], "OK\n"),
        (&["-3", "MGET", "k", "nothing"], "v\n\n"),
        (&["-3", "CONFIG", "GET", "databases"], "databases 1\n"),
    ] {
        let Some(said) = redis_cli(address, arguments) else { return };
        assert_eq!(said, expected, "{arguments:?}");
    }
}

#[test]
fn redis_cli_shows_help_from_what_the_node_says_of_its_commands() {
    let cluster = Cluster::start(1);
    let Some(strings) = redis_cli(cluster.address(1), &["help", "@string"]) else { return };
    for text in ["MSET", "key value [key value ...]", "since:", "1.0.1"] {
        assert!(strings.contains(text), "{text} is not in {strings}");
    }
    let scan = redis_cli(cluster.address(1), &["help", "scan"]).unwrap_or_default();
    assert!(scan.contains("cursor [MATCH pattern] [COUNT n]"), "{scan}");
}

#[test]
fn redis_cli_is_refused_a_dump_and_leaves_no_file() {
    let cluster = Cluster::start(1);
    let port = cluster.address(1).port().to_string();
    let file = std::env::temp_dir().join(format!("kvstore-no-dump-{}.rdb", std::process::id()));
    let mut command = Command::new("timeout");
    let output = command.args(["20", "redis-cli", "-p", &port, "--rdb"]).arg(&file).stdin(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.code() != Some(127)) else {
        println!("skipped: redis-cli is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("SYNC with master failed: -ERR this is no Redis master"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!file.exists());
}

#[test]
fn redis_cli_watches_the_node() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line("MSET a 1 b 2 c 3"), "OK");
    let mut command = Command::new("redis-cli");
    command.args(["-p", &cluster.address(1).port().to_string(), "--stat", "-i", "0.01"]);
    let Ok(mut watching) = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else {
        println!("skipped: redis-cli is not installed");
        return;
    };
    let lines = std::io::BufRead::lines(BufReader::new(watching.stdout.take().expect("is piped")));
    // Two lines of titles, and then each second or so: keys, memory, clients, blocked, requests, connections.
    let shown: Vec<String> = lines.map_while(Result::ok).skip(2).take(2).collect();
    let _ = (watching.kill(), watching.wait());
    let clients = client.count("connected_clients").to_string();
    for line in shown {
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert!(matches!(columns[..], ["3", _, _, "0", ..]) && !line.contains("-9223"), "{line}; {clients} clients");
    }
}

#[test]
fn redis_cli_works_interactively() {
    if !can("sh", &["-c", "command -v script && command -v redis-cli && command -v timeout"]) {
        return;
    }
    let cluster = Cluster::start(1);
    let command = format!("stty cols 80 rows 24; redis-cli -p {}", cluster.address(1).port());
    let mut terminal = Command::new("timeout")
        .args(["20", "script", "-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("was there just now");
    let mut keyboard = terminal.stdin.take().expect("is piped");
    let mut screen = BufReader::new(terminal.stdout.take().expect("is piped")).bytes();
    let mut wait_for = |text: &str| {
        let mut shown = Vec::new();
        while !shown.ends_with(text.as_bytes()) {
            let Some(Ok(byte)) = screen.next() else { panic!("{text} did not come:\n{}", shown.escape_ascii()) };
            shown.push(byte);
        }
    };
    // What is typed before the prompt is there gets lost; behind it the terminal is raw, where Enter is `\r`.
    let prompt = format!("{}> ", cluster.address(1));
    wait_for(&prompt);
    for (typed, answer) in [
        ("SET greeting \"hello world\"", "\nOK"),
        ("get greeting", "\n\"hello world\""),
        ("GET nothing", "\n(nil)"),
        ("DEL greeting", "\n(integer) 1"),
        ("SCAN 0", "2) (empty array)"),
        ("FROB", "\n(error) ERR unknown command"),
    ] {
        write!(keyboard, "{typed}\r").expect("it reads");
        wait_for(answer);
        wait_for(&prompt);
    }
    write!(keyboard, "quit\r").expect("it reads");
    assert!(terminal.wait().expect("it ends").success());
}

#[test]
fn redis_benchmark_runs_cleanly() {
    let cluster = Cluster::start(2);
    let port = cluster.address(1).port().to_string();
    for arguments in [
        &["-t", "set,get", "-P", "16", "-n", "20000", "-r", "1000", "-q"][..],
        &["-t", "ping_mbulk,mset", "-n", "2000", "-q"],
    ] {
        let Some(said) = run(Command::new("redis-benchmark").args(["-p", &port]).args(arguments)) else { return };
        assert!(said.contains("requests per second"), "{said}");
        assert!(!said.to_ascii_lowercase().contains("err") && !said.contains("WARN"), "{said}");
    }
    cluster.wait_until_it_agrees();
}

/// A program in the language of the client, which is given the port, and prints `done` at its end.
const PYTHON: &str = r#"
import sys, redis
port = int(sys.argv[1])
r = redis.Redis(port=port, client_name="test", decode_responses=True)
assert r.ping()
assert r.set("greeting", "hello world")
assert r.get("greeting") == "hello world"
assert r.get("nothing") is None
assert r.mset({"a": "1", "b": "2"})
assert r.mget("a", "nothing", "b") == ["1", None, "2"]
assert r.exists("a", "b", "nothing") == 2
assert r.delete("a", "nothing") == 1
assert sorted(r.keys("*")) == ["b", "greeting"]
assert sorted(r.scan_iter("*", count=1)) == ["b", "greeting"]
assert r.dbsize() == 2
assert r.echo("x") == "x"
assert r.client_getname() == "test"
assert r.client_id() > 0
assert len(r.client_list()) >= 1
assert r.info()["keys"] == 2
assert r.info("server")["node"] == 1
assert r.config_get("save") == {"save": ""}
assert r.command_count() > 10
pipe = r.pipeline(transaction=False)
for n in range(100):
    pipe.set(f"k{n}", n).get(f"k{n}")
assert pipe.execute()[1::2] == [str(n) for n in range(100)]
assert r.pipeline().set("in-one-step", "v").get("in-one-step").execute() == [True, "v"]
raw = redis.Redis(port=port)
every_byte = bytes(range(256))
assert raw.set(every_byte, every_byte) and raw.get(every_byte) == every_byte
try:
    r.execute_command("FROB")
    raise SystemExit("FROB was taken")
except redis.ResponseError as error:
    assert "HELP" in str(error)
print("done", redis.__version__)
"#;

#[test]
fn redis_py_works() {
    if !can("python3", &["-c", "import redis"]) {
        return;
    }
    let cluster = Cluster::start(1);
    let said = run(Command::new("python3").args(["-c", PYTHON, &cluster.address(1).port().to_string()]));
    assert!(said.is_some_and(|said| said.starts_with("done")));
}

const NODE: &str = r#"
const { createClient } = require("redis");
const assert = require("assert");
(async () => {
  const client = createClient({ url: `redis://127.0.0.1:${process.argv[1]}`, name: "test" });
  client.on("error", (error) => { throw error; });
  await client.connect();
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.set("greeting", "hello world"), "OK");
  assert.equal(await client.get("greeting"), "hello world");
  assert.equal(await client.get("nothing"), null);
  await client.mSet({ a: "1", b: "2" });
  assert.deepEqual(await client.mGet(["a", "nothing", "b"]), ["1", null, "2"]);
  assert.equal(await client.del(["a", "nothing"]), 1);
  assert.deepEqual((await client.keys("*")).sort(), ["b", "greeting"]);
  const seen = [];
  for await (const keys of client.scanIterator({ COUNT: 1 })) seen.push(...[].concat(keys));
  assert.deepEqual(seen.sort(), ["b", "greeting"]);
  assert.equal(await client.dbSize(), 2);
  assert.equal(await client.clientGetName(), "test");
  assert((await client.info()).includes("root_digest:"));
  const many = await Promise.all([...Array(100).keys()].map((n) => client.set(`k${n}`, `${n}`)));
  assert(many.every((answer) => answer === "OK"));
  await assert.rejects(client.sendCommand(["FROB"]), /HELP/);
  await (client.close ?? client.quit).call(client);
  console.log("done");
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn node_redis_works() {
    if !can("node", &["-e", "require('redis')"]) {
        return;
    }
    let cluster = Cluster::start(1);
    let said = run(Command::new("node").args(["-e", NODE, &cluster.address(1).port().to_string()]));
    assert!(said.is_some_and(|said| said.contains("done")));
}

#[test]
fn nc_works() {
    if !can("sh", &["-c", "command -v nc"]) {
        return;
    }
    let cluster = Cluster::start(2);
    let pipe = |number: u16, said: &str| {
        let port = cluster.address(number).port();
        run(Command::new("sh").args(["-c", &format!("printf '{said}' | nc 127.0.0.1 {port}")])).unwrap_or_default()
    };
    assert_eq!(pipe(1, "SET greeting hello world\\nQUIT\\n"), "OK\nOK\n");
    eventually("node 2 has it", DEADLINE, || pipe(2, "GET greeting\\nQUIT\\n") == "hello world\nOK\n");
}

#[test]
fn the_redis_crate_works() {
    let cluster = Cluster::start(2);
    let client = redis::Client::open(format!("redis://{}/", cluster.address(1))).expect("a well-formed address");
    let mut connection = client.get_connection().expect("connects without a special setting");
    let mut ask = |words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut connection);
    let text = |text: &str| redis::Value::BulkString(text.as_bytes().to_vec());
    assert_eq!(ask(&["SET", "k", "v"]), Ok(redis::Value::Okay));
    assert_eq!(ask(&["GET", "k"]), Ok(text("v")));
    assert_eq!(ask(&["GET", "nothing"]), Ok(redis::Value::Nil));
    assert_eq!(ask(&["MGET", "k", "nothing"]), Ok(redis::Value::Array(vec![text("v"), redis::Value::Nil])));
    assert_eq!(ask(&["DEL", "k", "nothing"]), Ok(redis::Value::Int(1)));
    assert!(ask(&["FROB"]).is_err());
}
