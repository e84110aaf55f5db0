//! Strangers reach the port, and know no secret. What they may take, and what they never keep from others.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kvstore::config::Config;
use kvstore::limits::{GUESS_INTERVAL, GUESSES_AT_ONCE, MAX_REPORTS};
use kvstore::node::Node;
use kvstore::secret::{Secret, Secrets};

use super::{SECRET, Stranger, admitted, greet, start};
use crate::common::{Client, DEADLINE, File, Process, Value, encode, eventually};

/// A node with the secret, no peers, and this many places.
fn node_with_places(places: usize) -> Node {
    let mut config = Config::new(1, "127.0.0.1:0", Vec::new());
    config.secrets = Secrets::of(Secret::new(SECRET.as_bytes()).expect("a good secret"));
    config.max_connections = places;
    let node = Node::start(config).expect("a node starts");
    admitted(node.address()).wait_until_it_serves();
    eventually("the place of that client is free again", DEADLINE, || node.stats().connected == 0);
    node
}

/// The `number`th of the addresses of this machine that no other test uses.
fn loopback(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 7, number).into()
}

fn silent(count: usize, from: IpAddr, address: SocketAddr) -> Vec<Client> {
    (0..count).map(|_| Client::connect_from(from, address)).collect()
}

// ---- places ---------------------------------------------------------------------------------------------------------

#[test]
fn a_client_with_the_secret_finds_a_place_although_strangers_hold_all_of_them() {
    let node = node_with_places(4);
    let strangers = silent(100, loopback(1), node.address());
    let mut clients: Vec<Client> = (0..4).map(|_| admitted(node.address())).collect();
    let more = silent(100, loopback(1), node.address());
    for client in &mut clients {
        assert_eq!(client.line("PING"), "PONG", "an admitted client makes room for nobody");
    }
    let mut fifth = Client::connect(node.address());
    assert_eq!(fifth.line(format!("AUTH {SECRET}")), "ERROR: max number of clients reached");
    drop((strangers, more));
    node.stop();
}

#[test]
fn strangers_from_one_address_push_out_none_from_another() {
    let node = node_with_places(8);
    let mut slow = Client::connect_from(loopback(1), node.address());
    let mut crowd = silent(40, loopback(2), node.address());
    let oldest = crowd.remove(0).read_to_end();
    assert_eq!(oldest.escape_ascii().to_string(), "-ERR too many connections have not said the secret\\r\\n");
    assert_eq!(slow.line(format!("AUTH {SECRET}")), "OK");
    node.stop();
}

#[test]
fn where_no_address_has_more_strangers_than_another_the_oldest_makes_room() {
    let node = node_with_places(4);
    let mut strangers: Vec<Client> =
        (11..=20).map(|number| Client::connect_from(loopback(number), node.address())).collect();
    for ended in strangers.drain(..6).collect::<Vec<_>>().iter_mut() {
        assert!(ended.read_to_end().starts_with(b"-ERR too many connections"));
    }
    // One place may have been that of the client that has started the node.
    for alive in &mut strangers[1..] {
        assert_eq!(alive.line("PING"), "PONG");
    }
    node.stop();
}

#[test]
fn a_stranger_in_a_place_for_peers_has_a_second() {
    let node = node_with_places(1);
    let mut client = Client::connect(node.address());
    eventually("the only place is free, and taken", DEADLINE, || {
        client.try_line(&format!("AUTH {SECRET}")).is_ok_and(|answer| answer == "OK") || {
            client = Client::connect(node.address());
            false
        }
    });
    let mut stranger = Client::connect(node.address());
    let began = Instant::now();
    assert!(stranger.read_to_end().starts_with(b"-ERR max number of clients reached"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}, as if it had a place", began.elapsed());
    node.stop();
}

#[test]
fn a_client_that_gives_its_admission_back_is_a_stranger_from_then_on() {
    let node = node_with_places(2);
    let mut client = admitted(node.address());
    assert_eq!(client.line("RESET"), "RESET");
    assert_eq!(client.line(format!("AUTH {SECRET}")), "OK");
    assert_eq!(client.line("RESET"), "RESET");
    let others: Vec<Client> = (0..2).map(|_| admitted(node.address())).collect();
    assert!(client.read_to_end().starts_with(b"-ERR too many connections"));
    drop(others);
    node.stop();
}

// ---- guessing -------------------------------------------------------------------------------------------------------

/// Tries the right secret from an address until it is compared again.
fn is_admitted_soon(from: IpAddr, address: SocketAddr) -> Duration {
    eventually("the right secret is compared again", DEADLINE, || {
        Client::connect_from(from, address).line(format!("AUTH {SECRET}")) == "OK"
    })
}

/// Guesses from an address until the right secret is refused from there. At the first try, unless the test was held up.
fn wait_until_it_is_refused(from: IpAddr, address: SocketAddr, guess: &[&str]) {
    let mut guessing = Vec::new();
    eventually("the right secret is refused unread", DEADLINE, || {
        let mut client = Client::connect_from(from, address);
        client.send(encode(guess));
        guessing.push(client);
        Client::connect_from(from, address).line(format!("AUTH {SECRET}")).contains("too many wrong secrets")
    });
}

#[test]
fn wrong_secrets_are_counted_for_each_address_and_beyond_a_bound_none_from_there_is_compared() {
    let node = node_with_places(1000);
    let (guesser, other) = (loopback(3), loopback(4));
    let mut known = Client::connect_from(guesser, node.address());
    assert_eq!(known.line(format!("AUTH {SECRET}")), "OK");
    let mut crowd = silent(100, guesser, node.address());
    crowd.iter_mut().for_each(|client| client.send(encode(&["AUTH", "guess"])));
    let refused = "-ERR too many wrong secrets have come from this address: try again in a moment";
    let mut answers: Vec<String> = crowd.iter_mut().map(|client| client.read_value().to_string()).collect();
    answers.retain(|answer| answer == refused);
    assert!(answers.len() > 100 - 2 * GUESSES_AT_ONCE as usize, "{} were refused unread", answers.len());
    assert_eq!(known.count("auth_failed"), 100 - answers.len() as u64, "these were compared");

    wait_until_it_is_refused(guesser, node.address(), &["HELLO", "2", "AUTH", "default", "guess"]);
    assert_eq!(Client::connect_from(other, node.address()).line(format!("AUTH {SECRET}")), "OK");
    assert_eq!(known.line("PING"), "PONG", "an admitted client sees nothing of it");
    let took = is_admitted_soon(guesser, node.address());
    assert!(took < 10 * GUESS_INTERVAL, "after {took:?}");
    node.stop();
}

#[test]
fn wrong_proofs_of_peers_count_as_wrong_secrets_do() {
    let node = node_with_places(1000);
    let from = loopback(5);
    let stranger =
        || Stranger { client: Client::connect_from(from, node.address()), name: "node9", incarnation: 5, seal: None };
    let mut crowd: Vec<Stranger> = (0..3 * GUESSES_AT_ONCE).map(|_| stranger()).collect();
    for stranger in &mut crowd {
        stranger.introduce();
        stranger.client.send(encode(&[&b"PEER"[..], b"PROVE", b"guess"]));
    }
    let last = crowd.last_mut().expect("there are some").client.read_value().to_string();
    assert_eq!(last, "-REFUSED too many wrong secrets have come from this address: try again in a moment");
    wait_until_it_is_refused(from, node.address(), &["AUTH", "guess"]);
    eventually("a right proof is refused, too", DEADLINE, || {
        stranger().client.send(encode(&["AUTH", "guess"]));
        stranger().prove(SECRET).is_err_and(|why| why.contains("too many wrong secrets"))
    });
    is_admitted_soon(from, node.address());
    stranger().prove(SECRET).expect("the secret is right");
    node.stop();
}

// ---- the log --------------------------------------------------------------------------------------------------------

#[test]
fn what_others_cause_is_logged_at_a_limited_rate() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    let node = Process::run(command.args(["--listen", "127.0.0.1:0", "--http", "off"]));
    node.client().wait_until_it_serves();
    for incarnation in 1..=100 {
        let mut peer = Client::connect(node.address);
        assert!(matches!(greet(&mut peer, "node9", "9", incarnation), Value::Array(_)));
    }
    eventually("it is logged", DEADLINE, || node.told("node9 has started again") > 0);
    assert!(node.log().len() < 20, "{:?}", node.log());
    for number in 0..2 * MAX_REPORTS {
        let answer = Client::connect(node.address).resp(&["PEER", &format!("x{number}"), "y"]).to_string();
        assert!(answer.starts_with("-REFUSED "), "{answer}");
    }
    assert!(node.log().len() < 20 + MAX_REPORTS, "{} lines", node.log().len());
}

/// A peer that answers whatever it is asked with these bytes. Ends with the process.
fn parrot(says: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let says = says.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) && stream.write_all(&says).is_ok() {}
            });
        }
    });
    address
}

#[test]
fn what_a_peer_says_is_made_printable_and_cut_before_it_is_logged_or_answered() {
    let file = File::new("parrot", SECRET.as_bytes());
    let hostile = b"-REFUSED \x1b[2Jerased\x08\xe2\x80\xaeright to left, and on".to_vec();
    let long = [&hostile[..], &[b'x'; 900], b"\r\n"].concat();
    let value = [&b"$1000000\r\n"[..], &[0; 1_000_000], b"\r\n"].concat();
    for (says, secret_file) in [(&long, None), (&long, Some(&*file.0)), (&value, None), (&value, Some(&*file.0))] {
        let node = start(1, parrot(says.clone()), secret_file);
        let mut client = if secret_file.is_some() { admitted(node.address) } else { node.client() };
        client.wait_until_it_serves();
        let answer = client.lines("SYNC").join("\n");
        assert!(answer.contains(": failed: "), "{answer}");
        eventually("it is logged", DEADLINE, || node.told(" no link to ") > 0);
        for said in node.log().iter().chain([&answer]) {
            let is_bad = |char: char| char != '\n' && (char.is_control() || char == '\u{202e}');
            assert!(!said.contains(is_bad) && said.len() < 1000, "{} bytes: {said:.2000?}", said.len());
        }
        if *says == long {
            assert!(answer.contains(r"\u{1b}[2Jerased\u{8}\u{202e}right to left, and on"), "{answer}");
        }
    }
}
