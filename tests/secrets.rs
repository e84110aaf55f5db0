//! Who may speak as whom: what somebody between two nodes can do, what clients, nodes and operators may, and how their
//! secrets are replaced while the nodes run.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use crate::common::{Client, DEADLINE, File, Process, encode, eventually, output_of};
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};
use parking_lot::Mutex;

const CLIENTS: &str = "a-word-that-clients-say";
const PEERS: &str = "a-word-that-nodes-prove";
const OPERATORS: &str = "a-word-that-operators-say";
const NEW: &str = "a-word-that-replaces-another";

// ---- somebody in between --------------------------------------------------------------------------------------------

/// What somebody in between does with bytes that pass: those of the initiator (true), or of the responder.
type Tamper = dyn Fn(bool, &mut Vec<u8>) + Send + Sync;

/// Somebody on the port where a node once listened. He passes on to another node what he gets, and what he likes.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    open: Arc<Mutex<Vec<Arc<TcpStream>>>>,
}

impl Relay {
    fn start(tamper: impl Fn(bool, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let target = Arc::new(Mutex::new(None));
        let open: Arc<Mutex<Vec<Arc<TcpStream>>>> = Arc::default();
        let (leads_to, opened, tamper): (_, _, Arc<Tamper>) =
            (Arc::clone(&target), Arc::clone(&open), Arc::new(tamper));
        // Ends with the process, as do its connections.
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Some(far) = leads_to.lock().and_then(|target| TcpStream::connect(target).ok()) else { continue };
                let (near, far) = (Arc::new(near), Arc::new(far));
                opened.lock().push(Arc::clone(&near));
                for (from, to, is_initiator) in [(&near, &far, true), (&far, &near, false)] {
                    let (from, to, tamper) = (Arc::clone(from), Arc::clone(to), Arc::clone(&tamper));
                    thread::spawn(move || pass(&from, &to, |bytes| tamper(is_initiator, bytes)));
                }
            }
        });
        Self { address, target, open }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock() = Some(target);
    }

    /// Ends the open connections; returns how many there were.
    fn cut(&self) -> usize {
        let open = self.open.lock().split_off(0);
        open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count()
    }
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, tamper: impl Fn(&mut Vec<u8>)) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut bytes = buffer[..count].to_vec();
        tamper(&mut bytes);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Starts a node with these arguments.
fn node(number: u16, peer: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(["--node", &number.to_string(), "--listen", "127.0.0.1:0", "--interval", "100ms", "--peer", peer]);
    Process::run(command.args(arguments))
}

fn client(node: &Process, word: &str) -> Client {
    let mut client = node.client();
    assert_eq!(client.line(format!("AUTH {word}")), "OK");
    client
}

fn path(file: &File) -> String {
    file.0.display().to_string()
}

/// Node 1, which reaches node 3 through somebody in between, and node 3, which reaches nobody.
fn pair_with(relay: &Relay, secrets: &File) -> (Process, Process) {
    let file = path(secrets);
    let one = node(1, &relay.address.to_string(), &["--secret-file", &file]);
    let three = node(3, &closed_port(), &["--secret-file", &file]);
    (one, three)
}

/// An address at which nobody listens.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").to_string()
}

/// A request that would store a value at whoever believes it.
fn forged() -> Vec<u8> {
    let version = Version::new(kvstore::store::clock::Timestamp::from_millis(1_790_000_000_000), NodeId(1));
    let record = Record::new(b"forged", Entry { version, content: Content::Value(b"by the one in between") });
    encode(&[&b"PROPAGATE"[..], record.encode()])
}

#[test]
fn who_passes_a_handshake_on_cannot_speak_himself_afterwards() {
    let secret = File::new("relay-speaks", CLIENTS);
    let relay = Relay::start(|is_initiator, bytes| {
        // Behind the first request that comes after the proof.
        if is_initiator && find(bytes, b"SEAL").is_some() && find(bytes, b"\r\nPEER\r\n").is_some() {
            bytes.extend(forged());
        }
    });
    let (_one, three) = pair_with(&relay, &secret);
    relay.lead_to(three.address);
    let mut client = client(&three, CLIENTS);
    eventually("he is refused", DEADLINE, || client.count("peers_refused") > 0);
    client.wait_until_it_serves();
    assert_eq!(client.line("GET forged"), "Key not found");
    let refused =
        "refused the peer node1 (127.0.0.1): this message was not sealed by the node that has proved itself here";
    eventually("it is told", DEADLINE, || three.told(refused) == 1);
}

#[test]
fn who_sits_in_between_cannot_change_what_nodes_say() {
    for (is_request, what, instead) in
        [(true, &b"red"[..], &b"bad"[..]), (false, b"red", b"bad"), (false, b"+OK", b"+KO")]
    {
        let secret = File::new(&format!("relay-changes-{is_request}-{}", what.len() + instead[1] as usize), CLIENTS);
        let relay = Relay::start(move |is_initiator, bytes| {
            while let Some(at) = find(bytes, what).filter(|_| is_initiator == is_request) {
                bytes[at..at + what.len()].copy_from_slice(instead);
            }
        });
        let (one, three) = pair_with(&relay, &secret);
        let (mut near, mut far) = (client(&one, CLIENTS), client(&three, CLIENTS));
        [&mut near, &mut far].into_iter().for_each(Client::wait_until_it_serves);
        assert_eq!(if is_request { &mut near } else { &mut far }.line("SET colour red"), "OK");
        relay.lead_to(three.address);
        eventually("rounds fail", DEADLINE, || near.count("rounds_failed") > 2);
        let other = if is_request { far.line("GET colour") } else { near.line("GET colour") };
        assert!(other == "Key not found" || other == "red", "{other}");
    }
}

#[test]
fn a_node_that_reaches_itself_through_another_refuses_its_own_name() {
    let (secret, relay) = (File::new("mirror", CLIENTS), Relay::start(|_, _| {}));
    let one = node(1, &relay.address.to_string(), &["--secret-file", &path(&secret)]);
    relay.lead_to(one.address);
    eventually("it is told", DEADLINE, || one.told("refused the peer node1 (127.0.0.1): node1 is my own name") == 1);
}

#[test]
fn a_peer_that_was_given_with_its_name_can_be_no_other() {
    let relay = Relay::start(|_, _| {});
    let secret = File::new("pinned", CLIENTS);
    for arguments in [&["--secret-file", &path(&secret)][..], &[]] {
        let named = format!("node2@{}", relay.address);
        let (one, three) = (node(1, &named, arguments), node(3, &closed_port(), arguments));
        relay.lead_to(three.address);
        eventually("it is told", DEADLINE, || one.told("node3 listens there, where node2 should") > 0);
        let two = node(2, &closed_port(), arguments);
        relay.lead_to(two.address);
        eventually("the right one is taken", DEADLINE, || one.told("link to node2") == 1);
    }
}

/// The first attempt alone is no warning: a node that has just started may be refused for a moment.
#[test]
fn a_node_that_is_refused_from_the_start_warns_of_it() {
    let three = node(3, &closed_port(), &[]);
    let one = node(1, &format!("node2@{}", three.address), &[]);
    let why = "refused: node3 listens there, where node2 should";
    eventually("it warns", DEADLINE, || one.told(&format!("WARN ] node1: no link to {}: {why}", three.address)) == 1);
    assert_eq!(one.told(&format!("INFO ] node1: no link to {} yet: {why}; retrying", three.address)), 1);
}

// ---- clients, nodes, operators --------------------------------------------------------------------------------------

#[test]
fn nodes_with_a_secret_of_their_own_do_not_believe_who_knows_that_of_clients() {
    let (clients, peers) = (File::new("of-clients", CLIENTS), File::new("of-peers", PEERS));
    let relay = Relay::start(|_, _| {});
    let both = ["--secret-file", &path(&clients), "--peer-secret-file", &path(&peers)];
    let (one, two) = (node(1, &relay.address.to_string(), &both), node(2, &closed_port(), &both));
    relay.lead_to(two.address);
    let (mut near, mut far) = (client(&one, CLIENTS), client(&two, CLIENTS));
    [&mut near, &mut far].into_iter().for_each(Client::wait_until_it_serves);
    assert_eq!(near.line("SET colour red"), "OK");
    eventually("they agree", DEADLINE, || far.line("GET colour") == "red");
    assert!(one.client().line(format!("AUTH {PEERS}")).contains("not the secret"), "nor do clients say that of nodes");
    // A node that was given the secret of clients only.
    let impostor = node(9, &two.address.to_string(), &["--secret-file", &path(&clients)]);
    eventually("it is told", DEADLINE, || {
        two.told("refused the peer node9 (127.0.0.1): node9 does not know the secret of this cluster's nodes") == 1
    });
    let mut outside = client(&impostor, CLIENTS);
    outside.wait_until_it_serves();
    assert_eq!(outside.line("DBSIZE"), "0");
}

#[test]
fn what_burdens_the_whole_node_is_for_operators_if_they_have_a_secret() {
    let (clients, operators) = (File::new("as-client", CLIENTS), File::new("as-operator", OPERATORS));
    let arguments = ["--secret-file", &path(&clients), "--operator-secret-file", &path(&operators), "--lab"];
    let node = node(1, &closed_port(), &arguments);
    let (mut reader, mut operator) = (client(&node, CLIENTS), client(&node, OPERATORS));
    operator.wait_until_it_serves();
    assert_eq!(reader.line("SET k v"), "OK");
    let lines = [
        "KEYS *",
        "SYNC",
        "FORGET node9",
        "FLUSHALL",
        "CONFIG SET maxmemory 1gb",
        "CONFIG RESETSTAT",
        "CLIENT KILL 1.2.3.4:5",
        "CLIENT KILL ID 77",
        "CONFLICTS RESET",
        "BGSAVE",
        "CLOCK real",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let refused = "-NOPERM this needs the secret of operators: type AUTH and that secret";
        assert_eq!(reader.resp(&words).to_string(), refused, "{line}");
        assert!(!operator.resp(&words).to_string().starts_with("-NOPERM"), "{line}");
    }
    for line in ["SET k v", "SCAN 0", "CONFIG GET maxmemory", "CLIENT LIST", "INFO", "CONFLICTS LEN"] {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(!reader.resp(&words).to_string().starts_with('-'), "{line}");
    }
    assert_eq!(reader.line(format!("AUTH {OPERATORS}")), "OK");
    assert_eq!(reader.line("RESET"), "RESET");
    assert!(reader.line("KEYS *").contains("Authentication required"), "RESET takes the role back");
    assert!(node.client().line("GET k").contains("Authentication required"));
}

#[test]
fn without_a_secret_of_clients_that_of_operators_guards_what_is_theirs() {
    let operators = File::new("operators-only", OPERATORS);
    let node = node(1, &closed_port(), &["--operator-secret-file", &path(&operators)]);
    let mut client = node.client();
    client.wait_until_it_serves();
    assert_eq!(client.line("SET k v"), "OK");
    assert!(client.line("KEYS *").contains("needs the secret of operators"));
    assert_eq!(client.line(format!("AUTH {OPERATORS}")), "OK");
    assert_eq!(client.line("KEYS *"), "k");
}

// ---- replacing secrets ----------------------------------------------------------------------------------------------

#[test]
fn a_secret_is_replaced_while_nodes_and_clients_go_on() {
    let files = [File::new("rotate-1", CLIENTS), File::new("rotate-2", CLIENTS)];
    let (to_two, to_one) = (Relay::start(|_, _| {}), Relay::start(|_, _| {}));
    let one = node(1, &to_two.address.to_string(), &["--secret-file", &path(&files[0])]);
    let two = node(2, &to_one.address.to_string(), &["--secret-file", &path(&files[1])]);
    to_two.lead_to(two.address);
    to_one.lead_to(one.address);
    let nodes = [&one, &two];
    let mut clients = nodes.map(|node| client(node, CLIENTS));
    clients.iter_mut().for_each(Client::wait_until_it_serves);
    let steps = [format!("{CLIENTS}\n{NEW}\n"), format!("{NEW}\n{CLIENTS}\n"), format!("{NEW}\n")];
    for (number, step) in steps.iter().enumerate() {
        for (node, file) in nodes.iter().zip(&files) {
            file.write(step);
            node.signal("HUP");
            eventually("it was read", DEADLINE, || node.told("SIGHUP: the secrets were read again") == number + 1);
            // Now the two nodes are told different things. New connections are made all the same.
            eventually("their links are cut", DEADLINE, || to_two.cut() > 0);
            eventually("their links are cut", DEADLINE, || to_one.cut() > 0);
            let value = format!("{number} at {}", node.address);
            assert_eq!(clients[1].line(format!("SET step {value}")), "OK");
            eventually("node 2 reaches node 1", DEADLINE, || clients[0].line("GET step") == value);
            assert_eq!(clients[0].line(format!("SET step back from {value}")), "OK");
            eventually("node 1 reaches node 2", DEADLINE, || clients[1].line("GET step").starts_with("back"));
        }
    }
    assert!(one.client().line(format!("AUTH {CLIENTS}")).contains("not the secret"), "the old one is out");
    assert_eq!(one.client().line(format!("AUTH {NEW}")), "OK");
    let refused = [one.told("refused the peer"), two.told("refused the peer")];
    assert_eq!(refused, [0, 0], "{:?}", one.log());
}

#[test]
fn what_cannot_be_read_again_changes_nothing() {
    let secret = File::new("bad-reload", CLIENTS);
    let filter = File::new("filter", "warn");
    let arguments = ["--secret-file", &path(&secret), "--log-filter-file", &path(&filter)];
    let node = node(1, &closed_port(), &arguments);
    assert_eq!(node.told("no link to"), 0, "the log tells warnings only");
    secret.write("short");
    filter.write("info,kvstore=debug");
    node.signal("HUP");
    eventually("it is told", DEADLINE, || node.told("SIGHUP: the secrets are what they were: --secret-file") == 1);
    let mut client = client(&node, CLIENTS);
    eventually("the log tells more", DEADLINE, || node.told("DEBUG") + node.told("still no answer") > 0);
    filter.write("inof");
    secret.write(NEW);
    node.signal("HUP");
    let why = "SIGHUP: the log tells as much as before: --log-filter-file";
    eventually("it is told", DEADLINE, || node.told(why) == 1 && node.told("\"inof\" is neither a level") == 1);
    eventually("it is told", DEADLINE, || node.told("SIGHUP: the secrets were read again") == 1);
    assert!(client.line("PING") == "PONG", "who was admitted stays so");
}

#[test]
fn a_terminal_that_is_closed_ends_a_node_that_has_nothing_to_read_again() {
    for secret in [None, Some(CLIENTS)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args(["--listen", "127.0.0.1:0", "--alone"]).envs(secret.map(|secret| ("KVSTORE_SECRET", secret)));
        let mut node = Process::run(&mut command);
        node.signal("HUP");
        assert!(node.wait().0.success(), "a variable does not change");
    }
}

#[test]
fn a_file_that_hangs_keeps_no_node_from_ending() {
    let secret = File::new("hangs", CLIENTS);
    let mut node = node(1, &closed_port(), &["--secret-file", &path(&secret)]);
    fs::remove_file(&secret.0).expect("it is ours");
    let made = Command::new("mkfifo").args(["-m", "600", &path(&secret)]).status();
    assert!(made.is_ok_and(|status| status.success()), "a pipe into which nobody writes");
    node.signal("HUP");
    node.signal("TERM");
    assert!(node.wait().0.success());
}

#[test]
fn one_secret_does_not_let_two_kinds_in() {
    let secret = File::new("twice", CLIENTS);
    for option in ["--peer-secret-file", "--operator-secret-file"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args(["--listen", "127.0.0.1:0", "--secret-file", &path(&secret), option, &path(&secret)]);
        let output = output_of(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        let why = format!("error: {option} {}: this secret lets others in, too: give each its own\n", path(&secret));
        assert_eq!((said.as_ref(), output.status.success()), (why.as_str(), false));
    }
}

#[test]
fn the_connection_of_a_node_is_ended_by_client_kill_and_comes_back_with_the_secret_that_counts() {
    let files = [File::new("killed-1", CLIENTS), File::new("killed-2", CLIENTS)];
    let relay = Relay::start(|_, _| {});
    let one = node(1, &closed_port(), &["--secret-file", &path(&files[0])]);
    let two = node(2, &relay.address.to_string(), &["--secret-file", &path(&files[1])]);
    relay.lead_to(one.address);
    let mut client = client(&one, CLIENTS);
    eventually("node 2 is here", DEADLINE, || client.lines("CLIENT LIST TYPE replica").len() == 1);
    files[0].write(NEW);
    one.signal("HUP");
    eventually("it was read", DEADLINE, || one.told("SIGHUP: the secrets were read again") == 1);
    assert_eq!(client.line("CLIENT KILL TYPE replica"), "1");
    let refused = "refused the peer node2 (127.0.0.1): node2 does not know the secret of this cluster's nodes";
    eventually("it is out", DEADLINE, || one.told(refused) == 1);
    drop(two);
}

#[test]
fn a_secret_that_others_could_read_or_change_is_refused() {
    let secret = File::new("open-to-others", CLIENTS);
    for (mode, is_private) in
        [(0o644, false), (0o606, false), (0o620, false), (0o604, false), (0o640, true), (0o400, true)]
    {
        fs::set_permissions(&secret.0, Permissions::from_mode(mode)).expect("it is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args(["--listen", "127.0.0.1:0", "--alone", "--secret-file", &path(&secret)]);
        if is_private {
            Process::run(&mut command).kill();
            continue;
        }
        let output = output_of(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        let expected =
            format!("error: --secret-file {0}: others can read or change it: chmod 600 {0}\n", path(&secret));
        assert_eq!((said.as_ref(), output.status.success()), (expected.as_str(), false), "mode {mode:o}");
    }
}
