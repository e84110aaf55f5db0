//! The programs as an operator starts and stops them.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Client, Cluster, DEADLINE, File, Links, Mode, Process, Value, encode, eventually, two_free_ports};
use kvstore::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// A node that is told to stop must have ended within this time.
const STOPPED: Duration = Duration::from_secs(2);

/// So long that no tick runs during a test.
const NEVER: &str = "1h";

const PROGRAMS: [&str; 3] = [env!("CARGO_BIN_EXE_kvstore"), env!("CARGO_BIN_EXE_node1"), env!("CARGO_BIN_EXE_node2")];

// ---- stopping -------------------------------------------------------------------------------------------------------

/// Clients that write without pause until they are cut off.
fn under_load(address: std::net::SocketAddr) -> (Vec<thread::JoinHandle<()>>, Arc<AtomicU64>) {
    let answered = Arc::new(AtomicU64::new(0));
    let writers = (0..8).map(|writer| {
        let answered = Arc::clone(&answered);
        thread::spawn(move || {
            use std::io::{Read, Write};
            let client = Client::connect(address);
            let mut answers = [0; 5 * 100];
            for n in 0.. {
                let batch: Vec<u8> =
                    (0..100).flat_map(|m| encode(&["SET", &format!("{writer}:{}", n * 100 + m), "v"])).collect();
                if client.stream().write_all(&batch).is_err() || client.stream().read_exact(&mut answers).is_err() {
                    return;
                }
                answered.fetch_add(100, Relaxed);
            }
        })
    });
    (writers.collect(), answered)
}

#[track_caller]
fn stops_under_load(signal: &str) {
    let links = Links::new(2);
    let (mut first, second) = (Process::start(&links, 1, "200ms"), Process::start(&links, 2, "200ms"));
    first.client().wait_until_it_serves();
    second.client().wait_until_it_serves();
    // Some clients that do nothing, and one that has sent half a command.
    let mut idle: Vec<Client> = (0..10).map(|_| first.client()).collect();
    idle[0].send("SET half");
    let (writers, answered) = under_load(first.address);
    eventually("the load runs", DEADLINE, || answered.load(Relaxed) > 20_000);
    first.signal(signal);
    let (status, took) = first.wait();
    assert_eq!(status.code(), Some(0), "{:?}", first.log());
    assert!(took < STOPPED, "{took:?}");
    eventually("it says so", DEADLINE, || first.told("stopped") == 1);
    assert_eq!(first.told("panicked"), 0, "{:?}", first.log());
    writers.into_iter().for_each(|writer| writer.join().expect("a writer ends with its connection"));
}

#[test]
fn sigterm_under_load_ends_a_node_in_time_with_code_0() {
    stops_under_load("TERM");
}

#[test]
fn ctrl_c_under_load_ends_a_node_in_time_with_code_0() {
    stops_under_load("INT");
}

#[test]
fn a_node_stops_in_time_wherever_it_listens() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        if listen.starts_with('[') && TcpListener::bind(listen).is_err() {
            println!("skipped: this machine has no {listen}");
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        let mut node = Process::run(command.args(["--insecure", "--listen", listen]));
        node.signal("TERM");
        let (status, took) = node.wait();
        assert!(status.success() && took < STOPPED, "{listen}: {status} after {took:?}");
    }
}

#[test]
fn a_node_that_stops_delivers_what_is_queued_for_its_peers() {
    let links = Links::new(2);
    let (mut first, second) = (Process::start(&links, 1, NEVER), Process::start(&links, 2, NEVER));
    let (mut client, mut other) = (first.client(), second.client());
    client.wait_until_it_serves();
    other.wait_until_it_serves();
    assert_eq!(client.line("SET k v"), "OK");
    eventually("the link is up", DEADLINE, || other.line("GET k") == "v");

    links.between(1, 2).set(Mode::Stalled);
    for n in 0..5000 {
        client.send(format!("SET k{n} v\n"));
    }
    for _ in 0..5000 {
        assert_eq!(client.read_line(), "OK");
    }
    assert_eq!(other.line("DBSIZE"), "1");
    first.signal("TERM");
    links.between(1, 2).set(Mode::Open);
    let (status, took) = first.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < STOPPED, "{took:?}");
    assert_eq!(other.line("DBSIZE"), "5001", "{:?}", first.log());
}

#[test]
fn a_node_stops_in_time_although_its_peer_takes_everything_and_answers_nothing() {
    let mut cluster = Cluster::start(2);
    cluster.links.set(Mode::Stalled);
    let mut client = cluster.client(1);
    for n in 0..2000 {
        assert_eq!(client.line(format!("SET k{n} v")), "OK");
    }
    let started = Instant::now();
    cluster.stop(1);
    assert!(started.elapsed() < STOPPED, "{:?}", started.elapsed());
}

#[test]
fn a_node_stops_in_time_although_a_client_waits_for_a_round_that_hangs() {
    let mut cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    cluster.links.set(Mode::Stalled);
    let mut client = cluster.client(1);
    client.send("SYNC\n");
    let mut other = cluster.client(1);
    eventually("SYNC has been read", DEADLINE, || {
        other.count("connected_clients") >= 2 && other.line("PING") == "PONG"
    });
    let started = Instant::now();
    cluster.stop(1);
    assert!(started.elapsed() < STOPPED, "{:?}", started.elapsed());
    client.read_to_end();
}

#[test]
fn a_node_stops_in_time_although_its_peer_is_gone_and_writes_wait_for_it() {
    let mut cluster = Cluster::start(2);
    cluster.links.set(Mode::Cut);
    assert_eq!(cluster.client(1).line("SET k v"), "OK");
    let started = Instant::now();
    cluster.stop(1);
    assert!(started.elapsed() < STOPPED, "{:?}", started.elapsed());
}

#[test]
fn a_node_stops_in_time_in_the_middle_of_a_large_round() {
    let mut cluster = Cluster::start(2);
    cluster.stop(2);
    for n in 0..300_000 {
        cluster.node(1).replica().set(format!("k{n}").as_bytes(), b"v");
    }
    cluster.start_again(2, |_| {});
    let mut client = cluster.client(2);
    eventually("the round has begun", DEADLINE, || client.count("keys") > 0);
    let started = Instant::now();
    cluster.stop(2);
    assert!(started.elapsed() < STOPPED, "{:?}", started.elapsed());
}

#[test]
fn a_node_stops_in_time_while_clients_come_and_go() {
    let mut cluster = Cluster::start(1);
    let (address, done) = (cluster.address(1), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let _ = Client::try_connect(address)
                        .map(|client| std::io::Write::write_all(&mut client.stream(), b"PING\n"));
                }
            });
        }
        let mut client = cluster.client(1);
        eventually("some have come", DEADLINE, || client.count("total_commands_processed") > 100);
        let started = Instant::now();
        cluster.stop(1);
        done.store(true, Relaxed);
        assert!(started.elapsed() < STOPPED, "{:?}", started.elapsed());
    });
}

// ---- starting -------------------------------------------------------------------------------------------------------

/// Runs a program that should end by itself; kills it after a while if it does not.
fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new("timeout").arg("10").arg(program).args(arguments).output().expect("the program was built")
}

#[test]
fn one_command_starts_two_nodes_that_agree_and_says_what_to_type() {
    let port = two_free_ports();
    let mut command = Command::new(PROGRAMS[0]);
    let mut cluster = Process::run(command.args(["--port", &port.to_string(), "--interval", "200ms"]));
    assert_eq!(cluster.address.port(), port);
    let mut client = cluster.client();
    let mut other = Client::connect(([127, 0, 0, 1], port + 1).into());
    client.wait_until_it_serves();
    other.wait_until_it_serves();
    assert_eq!(client.line("SET greeting hello world"), "OK");
    eventually("the other node has it", DEADLINE, || other.line("GET greeting") == "hello world");
    cluster.signal("INT");
    let (status, took) = cluster.wait();
    assert_eq!(status.code(), Some(0), "{:?}", cluster.log());
    assert!(took < STOPPED, "{took:?}");
    eventually("both have said so", DEADLINE, || cluster.told("stopped") == 2);
}

#[test]
fn a_cluster_whose_output_is_not_read_goes_on() {
    let port = two_free_ports();
    let (reader, output) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(PROGRAMS[0]);
    command.args(["--port", &port.to_string()]).stdout(output).stderr(Stdio::null());
    let mut cluster = command.spawn().expect("the program was built");
    let serves = |port: u16| {
        let client = Client::try_connect(([127, 0, 0, 1], port).into());
        client.and_then(|mut client| client.try_line("PING")).is_ok_and(|answer| answer == "PONG")
    };
    let mut status = None;
    eventually("both serve, or it has ended", DEADLINE, || {
        status = cluster.try_wait().expect("it is our child");
        status.is_some() || (serves(port) && serves(port + 1))
    });
    let _ = Command::new("kill").args(["-s", "TERM", &cluster.id().to_string()]).status();
    assert_eq!(cluster.wait().expect("it is our child").code(), Some(0));
}

#[test]
fn help_names_every_option() {
    for (program, options) in [
        (PROGRAMS[0], &["--nodes", "--port", "--interval", "--max-connections", "--without"][..]),
        (PROGRAMS[1], &["--node", "--name", "--listen", "127.0.0.1:5008", "--peer", "--interval", "--max-connections"]),
        (PROGRAMS[2], &["--node", "--name", "--listen", "127.0.0.1:5009", "--peer", "--interval", "--max-connections"]),
    ] {
        let output = run(program, &["--help"]);
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success());
        for option in options.iter().chain(&["RUST_LOG"]) {
            assert!(help.contains(option), "{option} in {help}");
        }
    }
}

#[test]
fn a_start_that_cannot_work_is_explained_in_one_line_and_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    for (arguments, why) in [
        (&["--listen", &taken][..], "cannot listen on 127.0.0.1:"),
        (&["--listen", &taken], "; choose another port with --listen"),
        (&["--listen", "127.0.0.1:1999", "--peer", "127.0.0.1:1999"], "is this node itself"),
        (&["--listen", "nowhere"], "host:port"),
        (&["--listen", "127.0.0.1:0", "--peer", "5009"], "host:port"),
        (&["--listen", "127.0.0.1:0", "--peer", "a:1", "--peer", "a:1"], "given twice"),
        (&["--listen", "127.0.0.1:0", "--name", "two words"], "letters, digits"),
        (&["--node", "x"], "invalid value 'x' for '--node"),
        (&["--node", "0"], "invalid value '0' for '--node <NUMBER>': a node's number is from 1 to 65535"),
        (&["--node", "70000"], "invalid value '70000' for '--node <NUMBER>': a node's number is from 1 to 65535"),
        (&["--alone", "--peer", "127.0.0.1:5009"], "'--alone' cannot be used with '--peer <[NAME@]HOST:PORT>'"),
        (&["--max-memory", "10"], "give at least 32MiB"),
        (&["--max-memory", "10TB?"], "such as 500MB or 2GiB"),
        (&["--interval", "5"], "such as 5s or 200ms"),
        (&["--interval", "0s"], "from 10ms to"),
        (&["--max-connections", "0"], "from 1 to"),
        (&["--without", "nothing"], "no rule is called `nothing`"),
        (&["--frob"], "--frob"),
        (&["word"], "word"),
    ] {
        let output = run(PROGRAMS[1], arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} was accepted");
        assert!(output.status.code().is_some(), "{arguments:?} crashed");
        let line = said.lines().next().unwrap_or_default();
        assert!(line.starts_with("error: ") && line.contains(why), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn the_exit_code_tells_a_wrong_command_line_from_a_start_that_failed() {
    let file = File::new("empty-secret", "\n");
    let file = file.0.to_str().expect("a plain path");
    for program in PROGRAMS {
        for (arguments, code) in [(&["--help"][..], 0), (&["--version"], 0), (&["--frob"], 2)] {
            assert_eq!(run(program, arguments).status.code(), Some(code), "{program} {arguments:?}");
        }
        let output = run(program, &["--secret-file", file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("error: --secret-file {file}: line 1: a secret has 1 to")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let output = run(PROGRAMS[0], &["--port", "65535"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: --port 65535: there are not 2 ports"));
}

#[test]
fn a_cluster_whose_port_is_taken_says_which_option_picks_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let output = run(PROGRAMS[0], &["--port", &port, "--nodes", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.starts_with(&format!("error: cannot listen on 127.0.0.1:{port}: ")), "{said}");
    assert!(said.ends_with("; choose another port with --port\n") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_node_that_is_alone_looks_for_no_peer_and_holds_no_delete_up() {
    for program in &PROGRAMS[1..] {
        let mut command = Command::new(program);
        let node = Process::run(command.args(["--alone", "--listen", "127.0.0.1:0", "--interval", "10ms"]));
        let mut client = node.client();
        client.wait_until_it_serves();
        assert_eq!(client.line("SET k v"), "OK");
        assert_eq!(client.line("DEL k"), "OK");
        eventually("the delete is forgotten", DEADLINE, || client.count("tombstones_forgotten") == 1);
        assert!(!client.info().contains_key("peer1"));
        assert_eq!(node.told("no answer"), 0, "{:?}", node.log());
    }
}

#[test]
fn the_smallest_memory_has_room_for_the_largest_value() {
    let mut command = Command::new(PROGRAMS[1]);
    let node = Process::run(command.args(["--alone", "--listen", "127.0.0.1:0", "--max-memory", "32MiB"]));
    let mut client = node.client();
    client.wait_until_it_serves();
    let (key, value) = (vec![b'k'; MAX_KEY_BYTES], vec![b'v'; MAX_VALUE_BYTES]);
    for _ in 0..3 {
        assert_eq!(client.resp(&[&b"SET"[..], &key, &value]).to_string(), "+OK");
    }
    assert!(client.resp(&[&b"GET"[..], &key]) == Value::Bulk(value));
}

#[test]
fn two_nodes_of_one_number_refuse_each_other_and_say_why() {
    let links = Links::new(2);
    let first = Process::start(&links, 1, "200ms");
    let mut command = Command::new(PROGRAMS[1]);
    command.args(["--listen", "127.0.0.1:0", "--name", "impostor", "--interval", "200ms"]);
    let second = Process::run(command.args(["--peer", &links.peers_of(2)[0]]));
    links.node_is_at(2, second.address);
    eventually("it is in the log", DEADLINE, || second.told("has the name or the number (1) of ") > 0);
    first.client().wait_until_it_serves();
    second.client().wait_until_it_serves();
    assert_eq!(second.client().line("SET k v"), "OK");
    assert_eq!(first.client().line("GET k"), "Key not found");
}
