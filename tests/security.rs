//! What the secret of a cluster keeps out, and what a node does with peers that misbehave. The nodes run as an operator
//! starts them; the strangers know the protocol. (What clients see of the secret: `admission.rs`.)

#[path = "security/strangers.rs"]
mod strangers;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::common::{Client, DEADLINE, File, Process, Value, encode, eventually, output_of, peer_words, with_word};
use kvstore::commands;
use kvstore::config::Config;
use kvstore::framing::resp::write_bulk;
use kvstore::limits::{MAX_ARGS, MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_WRONG_SECRETS, WRONG_SECRET_DELAY};
use kvstore::node::Node;
use kvstore::secret::{Secret, Secrets};
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};
use parking_lot::Mutex;

const SECRET: &str = "a-secret-that-is-easy-to-find-in-a-haystack";

// ---- what the tests share -------------------------------------------------------------------------------------------

/// Starts a node that logs everything.
fn start(number: u16, peer: SocketAddr, secret_file: Option<&Path>) -> Process {
    // `Process` clears RUST_LOG; the shell sets it again, and is replaced by the node.
    let mut command = Command::new("sh");
    command.args(["-c", "RUST_LOG=trace exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_node1")]);
    command.args(["--node", &number.to_string(), "--listen", "127.0.0.1:0", "--interval", "100ms"]);
    command.args(["--peer", &peer.to_string()]);
    secret_file.into_iter().for_each(|file| {
        command.arg("--secret-file").arg(file);
    });
    Process::run(&mut command)
}

/// An address at which no process listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound")
}

fn admitted(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert_eq!(client.line(format!("AUTH {SECRET}")), "OK");
    client
}

/// Forwards connections to a node, and records what both sides send.
struct Recorder {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// What both sides sent on one connection.
#[derive(Clone, Default)]
struct Heard {
    by_initiator: Vec<u8>,
    by_responder: Vec<u8>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (target, heard) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(Vec::new())));
        let recorder = Self { address, target: Arc::clone(&target), heard: Arc::clone(&heard) };
        // Ends with the process, as do its connections.
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Some(far) = target.lock().and_then(|target| TcpStream::connect(target).ok()) else { continue };
                let number = heard.lock().len();
                heard.lock().push(Heard::default());
                let (near, far) = (Arc::new(near), Arc::new(far));
                for (from, to, initiator) in [(&near, &far, true), (&far, &near, false)] {
                    let (from, to, heard) = (Arc::clone(from), Arc::clone(to), Arc::clone(&heard));
                    thread::spawn(move || {
                        record(&from, &to, |bytes| {
                            let mut heard = heard.lock();
                            let heard = &mut heard[number];
                            let said = if initiator { &mut heard.by_initiator } else { &mut heard.by_responder };
                            said.extend_from_slice(bytes);
                        });
                    });
                }
            }
        });
        recorder
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock() = Some(target);
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }
}

fn record(mut from: &TcpStream, mut to: &TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        note(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

/// Two nodes with the secret, each of which reaches the other through a recorder: node 1, node 2, the links from 1 to 2
/// and back.
fn recorded_pair(secret_file: &Path) -> (Process, Process, Recorder, Recorder) {
    let (to_two, to_one) = (Recorder::start(), Recorder::start());
    let one = start(1, to_two.address, Some(secret_file));
    to_one.lead_to(one.address);
    let two = start(2, to_one.address, Some(secret_file));
    to_two.lead_to(two.address);
    (one, two, to_two, to_one)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A client that knows the protocol of the nodes, and perhaps the secret.
struct Stranger {
    client: Client,
    name: &'static str,
    incarnation: u64,
    /// Once both have proved themselves: what seals requests, and how many there were.
    seal: Option<([u8; 32], u64)>,
}

impl Stranger {
    fn new(address: SocketAddr, name: &'static str, incarnation: u64) -> Self {
        Self { client: Client::connect(address), name, incarnation, seal: None }
    }

    /// How it introduces itself: name, number, incarnation, challenge.
    fn party(&self) -> [Vec<u8>; 4] {
        let (name, incarnation) = (self.name.as_bytes().to_vec(), self.incarnation.to_be_bytes().to_vec());
        [name, vec![0, 9], incarnation, vec![7; 32]]
    }

    /// Introduces itself; returns how the node introduces itself.
    fn introduce(&mut self) -> Vec<u8> {
        let words = [&[b"PEER".to_vec(), b"AUTH".to_vec()][..], &self.party()].concat();
        let items = bulks(self.client.resp(&words));
        assert_eq!(items.len(), 4, "as it introduces itself, and nothing with which to try secrets at home");
        framed(&items)
    }

    /// Proves that it knows `secret`; returns the node's own proof, or why the node refused.
    fn prove(&mut self, secret: &str) -> Result<Vec<u8>, String> {
        let responder = self.introduce();
        let secret = Secret::new(secret.as_bytes()).expect("a good secret");
        let party = framed(&self.party());
        let transcript = |role: &str| {
            let mut transcript = Vec::new();
            write_bulk(&mut transcript, role.as_bytes());
            [&transcript[..], &party, &responder].concat()
        };
        let proof = secret.prove(&transcript("initiator"));
        match self.client.resp(&[&b"PEER"[..], b"PROVE", &proof]) {
            Value::Error(why) => Err(why),
            answer => {
                let [proof, _placement] = <[Vec<u8>; 2]>::try_from(bulks(answer)).expect("a proof");
                assert!(secret.verifies(&proof, &transcript("responder")), "the node proves itself too");
                self.seal = Some((secret.key_for(&transcript("seal requests")), 0));
                Ok(proof)
            }
        }
    }

    /// Says PEER, sealed if both have proved themselves; returns the answer, without its seal.
    fn greet(&mut self, name: &str, number: &str, incarnation: u64) -> Value {
        let words = peer_words(name.as_bytes(), number.as_bytes(), format!("{incarnation:016x}").as_bytes());
        self.say(&words)
    }

    fn say(&mut self, words: &[Vec<u8>]) -> Value {
        let message = encode(words);
        if let Some(tag) = self.seal_for(&message) {
            self.client.send(encode(&[b"SEAL", &tag[..]]));
            self.client.send(message);
            let Value::Bulk(seal) = self.client.read_value() else { panic!("no seal before the answer") };
            assert_eq!(seal.len(), 16);
            return self.client.read_value();
        }
        self.client.send(message);
        self.client.read_value()
    }

    /// The seal for the next request.
    fn seal_for(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (key, count) = self.seal.as_mut()?;
        let tag = hmac(key, &[&count.to_be_bytes(), message].concat());
        *count += 1;
        Some(tag[..16].to_vec())
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn framed(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    items.iter().for_each(|item| write_bulk(&mut out, item));
    out
}

fn bulks(answer: Value) -> Vec<Vec<u8>> {
    let Value::Array(items) = answer else { panic!("no array: {answer}") };
    items.into_iter().map(|item| if let Value::Bulk(bytes) = item { bytes } else { panic!("no bulk string") }).collect()
}

fn greet(client: &mut Client, name: &str, number: &str, incarnation: u64) -> Value {
    client.resp(&peer_words(name.as_bytes(), number.as_bytes(), format!("{incarnation:016x}").as_bytes()))
}

/// A node of this process that has the secret, and no peers.
fn guarded_node() -> Node {
    let mut config = Config::new(1, "127.0.0.1:0", Vec::new());
    config.secrets = Secrets::of(Secret::new(SECRET.as_bytes()).expect("a good secret"));
    let node = Node::start(config).expect("a node starts");
    admitted(node.address()).wait_until_it_serves();
    node
}

// ---- clients --------------------------------------------------------------------------------------------------------

#[test]
fn before_the_secret_only_five_verbs_are_answered() {
    let node = guarded_node();
    for spec in commands::shown(false).filter(|spec| !["AUTH", "HELLO", "PING", "QUIT", "RESET"].contains(&spec.name)) {
        for more in [0, 1] {
            let argument = match spec.name {
                "CLIENT" => "LIST",
                "CONFIG" => "GET",
                _ => "0",
            };
            let mut words = vec![spec.name, argument];
            words.resize(spec.arity.unsigned_abs() as usize + more, "0");
            let answer = Client::connect(node.address()).resp(&words).to_string();
            assert!(answer.starts_with("-NOAUTH "), "{words:?}: {answer}");
        }
    }
    let mut client = Client::connect(node.address());
    for line in ["FROB", "GET", "MULTI", "EXEC"] {
        assert!(client.line(line).starts_with("ERROR: Authentication required"), "{line}: what there is, is not told");
    }
    assert_eq!(client.line("PING"), "PONG");
    assert_eq!(client.line("QUIT"), "OK");
    assert_eq!(admitted(node.address()).line("DBSIZE"), "0");
    node.stop();
}

#[test]
fn wrong_secrets_are_slow_also_for_one_who_asks_for_many_at_once() {
    let node = guarded_node();
    let started = Instant::now();
    let mut client = Client::connect(node.address());
    client.send(encode(&["AUTH", "guess"]).repeat(100));
    client.send(encode(&["AUTH", SECRET]));
    let answers = client.read_to_end();
    assert_eq!(
        answers.iter().filter(|&&byte| byte == b'\n').count() as u32,
        MAX_WRONG_SECRETS,
        "the third was the last"
    );
    assert!(started.elapsed() >= WRONG_SECRET_DELAY * MAX_WRONG_SECRETS);
    assert_eq!(admitted(node.address()).count("auth_failed"), u64::from(MAX_WRONG_SECRETS));
    node.stop();
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

#[test]
fn the_secret_never_stands_on_the_wire_or_in_the_log() {
    let file = File::new("wire", format!("{SECRET}\n").as_bytes());
    let (one, two, to_two, to_one) = recorded_pair(&file.0);
    let (mut client, mut other) = (admitted(one.address), admitted(two.address));
    client.wait_until_it_serves();
    other.wait_until_it_serves();
    assert_eq!(client.line("SET colour red"), "OK");
    assert_eq!(other.line("SET shape round"), "OK");
    eventually("both have both", DEADLINE, || client.line("GET shape") == "round" && other.line("GET colour") == "red");
    let mut stranger = Client::connect(one.address);
    assert!(stranger.line("AUTH a-wrong-guess").contains("not the secret"));

    let heard: Vec<u8> = [to_two.heard(), to_one.heard()]
        .concat()
        .iter()
        .flat_map(|heard| [heard.by_initiator.clone(), heard.by_responder.clone()].concat())
        .collect();
    assert!(contains(&heard, b"colour") && contains(&heard, b"PROVE"), "the recorders work");
    assert!(!contains(&heard, SECRET.as_bytes()));
    let log = [one.log(), two.log()].concat().join("\n");
    assert!(log.contains("link to node2"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains("a-wrong-guess"), "{log}");
    let info = client.lines("INFO").join("\n");
    assert!(!info.contains(SECRET) && !client.lines("CONFIG GET *").join("\n").contains(SECRET));
}

#[test]
fn a_handshake_that_was_overheard_opens_nothing() {
    let file = File::new("replay", SECRET.as_bytes());
    let (one, two, to_two, _to_one) = recorded_pair(&file.0);
    let (mut client, mut other) = (admitted(one.address), admitted(two.address));
    client.wait_until_it_serves();
    other.wait_until_it_serves();
    // A write may be fetched over the other link before it is sent on this one: then the test makes another.
    let mut heard = None;
    eventually("a write travels on this link", DEADLINE, || {
        assert_eq!(client.line("SET colour red"), "OK");
        heard = to_two.heard().into_iter().find(|heard| contains(&heard.by_initiator, b"colour"));
        heard.is_some()
    });
    let heard = heard.expect("was awaited");
    // The delete must have seen the last of these writes, or it may be older than that.
    assert_eq!(client.line("WAIT 1 20000"), "1");
    assert_eq!(other.line("GET colour"), "red");
    assert_eq!(other.line("DEL colour"), "OK");
    let refused = other.count("peers_refused");

    // Everything that the initiator sent, once more.
    let mut replayer = Client::connect(two.address);
    replayer.send(&heard.by_initiator);
    let answer = replayer.read_to_end();
    assert!(contains(&answer, b"-REFUSED node1 does not know the secret"), "{}", answer.escape_ascii());
    assert!(!contains(&answer, b"red"));
    assert_eq!(other.count("peers_refused"), refused + 1);
    eventually("it is told once", DEADLINE, || two.told("refused the peer") == 1);
    assert_eq!(other.line("GET colour"), "Key not found");

    // Everything that the responder sent, to a node that dials its peer.
    let impostor = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = impostor.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = impostor.accept() {
            let _ = stream.write_all(&heard.by_responder);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let three = start(3, address, Some(&file.0));
    eventually("it is named in the log", DEADLINE, || three.told("node2 does not know our secret") > 0);
    let mut third = admitted(three.address);
    third.wait_until_it_serves();
    assert_eq!(third.line("DBSIZE"), "0");
}

#[test]
fn a_node_with_another_secret_or_none_is_named_counted_and_gets_nothing() {
    let (ours, theirs) = (File::new("ours", SECRET.as_bytes()), File::new("theirs", b"another-secret-of-others"));
    for secret_file in [Some(theirs.0.as_path()), None] {
        let (to_two, to_one) = (Recorder::start(), Recorder::start());
        let one = start(1, to_two.address, Some(&ours.0));
        to_one.lead_to(one.address);
        let mut client = admitted(one.address);
        client.wait_until_it_serves();
        assert_eq!(client.line("SET colour red"), "OK");
        let two = start(2, to_one.address, secret_file);
        to_two.lead_to(two.address);
        let mut other = Client::connect(two.address);
        if secret_file.is_some() {
            assert_eq!(other.line("AUTH another-secret-of-others"), "OK");
        }
        other.wait_until_it_serves();
        assert_eq!(other.line("SET shape round"), "OK");
        eventually("rounds fail on both sides", DEADLINE, || {
            client.count("rounds_failed") >= 2 && other.count("rounds_failed") >= 2
        });
        match secret_file {
            Some(_) => {
                let wrong = |name: &str| format!("{name} does not know the secret of this cluster's nodes");
                eventually("node 2 is named", DEADLINE, || one.told(&wrong("node2")) > 0);
                eventually("node 1 is named", DEADLINE, || two.told(&wrong("node1")) > 0);
                assert!(client.count("peers_refused") > 0 && other.count("peers_refused") > 0);
            }
            None => {
                eventually("node 1 is counted", DEADLINE, || other.count("peers_refused") > 0);
                eventually("node 2 is counted", DEADLINE, || client.count("peers_refused") > 0);
                eventually("each tells the other", DEADLINE, || {
                    two.told("the nodes of this cluster have a secret: start with --peer-secret-file, or --secret-file")
                        > 0
                        && one.told("this node was given no secret, and you have one") > 0
                });
                assert!(one.told("refused the peer node2 (127.0.0.1): ") > 0, "{:?}", one.log());
            }
        }
        assert_eq!(
            (client.line("GET shape"), other.line("GET colour")),
            ("Key not found".into(), "Key not found".into())
        );
        let heard = [to_two.heard(), to_one.heard()].concat();
        assert!(
            !heard.iter().any(|heard| contains(&heard.by_responder, b"red") || contains(&heard.by_initiator, b"red"))
        );
    }
}

#[test]
fn who_knows_the_secret_may_speak_as_himself_only() {
    let node = guarded_node();
    let mut friend = Stranger::new(node.address(), "node9", 5);
    friend.prove(SECRET).expect("the secret is right");
    assert!(matches!(friend.greet("node9", "9", 5), Value::Array(_)));
    for (name, incarnation) in [("node8", 5), ("node9", 6), ("node1", 5)] {
        let mut stranger = Stranger::new(node.address(), "node9", 5);
        stranger.prove(SECRET).expect("the secret is right");
        let answer = stranger.greet(name, "9", incarnation).to_string();
        assert_eq!(answer, format!("-REFUSED {name} is not who has proved itself"));
        assert_eq!(stranger.client.read_to_end(), b"");
    }
    assert_eq!(admitted(node.address()).count("peers_refused"), 3);
    node.stop();
}

#[test]
fn nothing_but_a_proof_opens_a_peers_connection() {
    let node = guarded_node();
    assert_eq!(admitted(node.address()).line("SET k v"), "OK");
    let mut wrong = Stranger::new(node.address(), "node9", 5);
    assert_eq!(
        wrong.prove("guess-and-guess-again"),
        Err("REFUSED node9 does not know the secret of this cluster's nodes".into())
    );
    assert_eq!(wrong.client.read_to_end(), b"");

    // The node's own proof, sent back to it.
    let proof = Stranger::new(node.address(), "node9", 5).prove(SECRET).expect("the secret is right");
    let mut mirror = Stranger::new(node.address(), "node9", 5);
    mirror.introduce();
    let answer = mirror.client.resp(&[&b"PEER"[..], b"PROVE", &proof]).to_string();
    assert!(answer.starts_with("-REFUSED "), "{answer}");

    let version = Version::new(Timestamp::from_millis(1_700_000_000_000), NodeId(9));
    let entry = Record::new(b"k", Entry { version, content: Content::Value(b"forged") });
    let unproved = peer_words(b"node9", b"9", b"0000000000000005");
    for words in [
        &[&b"PROPAGATE"[..], entry.encode()][..],
        &[b"FETCH", b"k"],
        &[b"DIGEST"],
        &[b"GET", b"k"],
        &[b"AUTH", SECRET.as_bytes()],
        &unproved.each_ref().map(Vec::as_slice),
        &[b"PEER", b"AUTH", b"node9", &[0; 8], &[7; 32]],
    ] {
        let mut stranger = Stranger::new(node.address(), "node9", 5);
        stranger.introduce();
        let answer = stranger.client.resp(words).to_string();
        assert!(answer.starts_with("-REFUSED "), "{answer}");
        assert_eq!(stranger.client.read_to_end(), b"");
    }
    let mut client = admitted(node.address());
    assert_eq!(client.line("GET k"), "v");
    assert_eq!(client.count("peers_refused"), 9);
    node.stop();
}

// ---- peers that misbehave -------------------------------------------------------------------------------------------

#[test]
fn a_peer_that_misbehaves_is_cut_off_named_and_counted() {
    let node = start(1, closed_port(), None);
    let mut client = node.client();
    client.wait_until_it_serves();
    assert_eq!(client.line("SET k v"), "OK");

    let entry = |content: Content<'_>| {
        let version = Version::new(Timestamp::from_millis(1_700_000_000_000), NodeId(9));
        Record::new(b"k", Entry { version, content }).encode().to_vec()
    };
    let (value, delete) = (entry(Content::Value(b"forged")), entry(Content::Tombstone));
    let beyond_2200 = |entry: &[u8]| [&[0xff; 8], &entry[8..]].concat();
    let of_no_node = [&value[..8], &[0, 0], &value[10..]].concat();
    let with_a_value = [&delete[..], b"v"].concat();
    let (long_key, zero) = (vec![b'k'; MAX_KEY_BYTES + 1], [0; 8]);
    let peer = |name: &[u8], node: &[u8]| peer_words(name, node, b"00000000000000aa");
    let with = |index: usize, word: &[u8]| with_word(peer(b"node9", b"9"), index, word);
    let another_name = peer(b"node8", b"8");
    let (own_name, own_number) = (peer(b"node1", b"9"), peer(b"node9", b"1"));
    let (too_long_name, too_late) = (peer(&[b'n'; MAX_NAME_BYTES + 1], b"9"), with(5, &[255; 8]));
    let (another_protocol, no_store, half_heard) = (with(1, b"999"), with(6, b"no"), with(8, &[0; 8]));
    fn words(words: &[Vec<u8>; 9]) -> [&[u8]; 9] {
        words.each_ref().map(Vec::as_slice)
    }
    let bad: &[(&str, &[&[u8]])] = &[
        ("a client's command", &[b"GET", b"k"]),
        ("no command at all", &[b"\x00\xff"]),
        ("a version from beyond 2200", &[b"PROPAGATE", &beyond_2200(&value)]),
        ("a delete from beyond 2200", &[b"PROPAGATE", &beyond_2200(&delete)]),
        ("a version of no node", &[b"PROPAGATE", &of_no_node]),
        ("a short version", &[b"PROPAGATE", &value[..9]]),
        ("a key of which a part is missing", &[b"PROPAGATE", &value[..13]]),
        ("a delete with a value", &[b"PROPAGATE", &with_a_value]),
        ("a fetch of a key that is too long", &[b"FETCH", &long_key]),
        ("a fetch of nothing", &[b"FETCH"]),
        ("prefixes in no order", &[b"LEAF", b"b0", &[0; 8], b"a0", &[0; 8]]),
        ("a malformed prefix", &[b"DIGEST", b"xyz"]),
        ("more arrivals than there were", &[b"CONFIRM", b"99999", b"0"]),
        ("arrivals that are no number", &[b"CONFIRM", b"-1", b"0"]),
        ("a confirmation that is no number", &[b"CONFIRM", b"0", b"-1"]),
        ("nothing that is confirmed", &[b"CONFIRM"]),
        ("another name", &words(&another_name)),
        ("our own name", &words(&own_name)),
        ("our own number", &words(&own_number)),
        ("a name that is too long", &words(&too_long_name)),
        ("a clock from beyond 2200", &words(&too_late)),
        ("another protocol", &words(&another_protocol)),
        ("a store that is no number", &words(&no_store)),
        ("half of what was heard", &words(&half_heard)),
        ("a proof that was not asked for", &[b"PEER", b"PROVE", &zero]),
    ];
    let mut accepted = Vec::new();
    for (index, (what, words)) in bad.iter().enumerate() {
        let mut peer = Client::connect(node.address);
        assert!(matches!(greet(&mut peer, "node9", "9", 0xaa), Value::Array(_)));
        let answer = peer.resp(words).to_string();
        if !answer.starts_with("-REFUSED ") {
            accepted.push(format!("{what}: {answer}"));
            continue;
        }
        assert_eq!(peer.read_to_end(), b"", "{what}: the connection ends");
        let refused = (1 + index - accepted.len()) as u64;
        assert_eq!(client.count("peers_refused"), refused, "{what}: is counted");
        let told = format!("refused the peer node9 (127.0.0.1): {}", answer.trim_start_matches("-REFUSED "));
        eventually("it is named in the log, with the reason", DEADLINE, || node.told(&told) == 1);
    }
    assert_eq!(accepted, [""; 0], "what was not refused");
    assert_eq!(client.line("GET k"), "v");
    assert_eq!(client.line("DBSIZE"), "1");
}

#[test]
fn a_refusal_is_short_whatever_was_said() {
    let node = start(1, closed_port(), None);
    node.client().wait_until_it_serves();
    let long = vec![b'\xff'; 1_000_000];
    let greeting = peer_words(&long, b"9", b"aa");
    for words in [&[&long[..]][..], &greeting.each_ref().map(Vec::as_slice), &[b"CONFIRM", &long, b"0"]] {
        let mut peer = Client::connect(node.address);
        assert!(matches!(greet(&mut peer, "node9", "9", 0xaa), Value::Array(_)));
        let _ = peer.stream().write_all(&encode(words));
        let answer = peer.read_to_end();
        assert!(answer.len() < 1000, "{} bytes", answer.len());
    }
    eventually("the last is in the log", DEADLINE, || node.told("refused the peer node9 (127.0.0.1): ") == 3);
    let longest = node.log().iter().map(String::len).max();
    assert!(longest < Some(1000), "a line of {longest:?} bytes in the log");
}

#[test]
fn a_peer_whose_frames_are_none_is_cut_off_and_the_node_goes_on() {
    let node = start(1, closed_port(), None);
    node.client().wait_until_it_serves();
    let too_many = format!("*{}\r\n", MAX_ARGS + 1);
    for bytes in ["*-x\r\n", "*1\r\n$-5\r\n", "*1\r\n:1\r\n", "*1\r\n$3\r\nabcd\r\n", "*2\r\n$999999999\r\n", &too_many]
    {
        let mut peer = Client::connect(node.address);
        assert!(matches!(greet(&mut peer, "node9", "9", 0xaa), Value::Array(_)));
        peer.send(bytes);
        let answer = peer.read_to_end();
        assert!(answer.starts_with(b"-"), "{bytes:?}: {}", answer.escape_ascii());
        assert_eq!(node.client().line("PING"), "PONG");
    }
}

#[test]
fn a_peer_with_malformed_replies_is_named_and_costs_no_client_an_answer() {
    for rubbish in
        ["HTTP/1.1 200 OK\r\n\r\n", "*99999999\r\n", "$-1\r\n", "+OK\r\n", "*1\r\n$1\r\nx\r\n", ":1\r\n", "\0\0\0\0"]
    {
        let peer = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = peer.local_addr().expect("it is bound");
        thread::spawn(move || {
            while let Ok((mut stream, _)) = peer.accept() {
                let _ = stream.write_all(rubbish.as_bytes());
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let node = start(1, address, None);
        let mut client = node.client();
        client.wait_until_it_serves();
        assert_eq!(client.line("SET k v"), "OK");
        eventually("rounds fail", DEADLINE, || client.count("rounds_failed") >= 2);
        assert_eq!(node.told(&format!(" node1: no link to {address} yet: ")), 1, "once: {:?}", node.log());
        assert_eq!(client.line("GET k"), "v");
    }
}

// ---- starting -------------------------------------------------------------------------------------------------------

fn fails_to_start(arguments: &[&str], secret: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(arguments).env_remove("KVSTORE_SECRET");
    secret.into_iter().for_each(|secret| {
        command.env("KVSTORE_SECRET", secret);
    });
    let output = output_of(&mut command);
    assert!(output.status.code().is_some_and(|code| code != 0), "{arguments:?}: {output:?}");
    output
}

/// The error, in one line. The parser of options may add the usage.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().next().unwrap_or_default().to_string();
    assert!(line.starts_with("error: ") && !said.contains("panicked") && output.stdout.is_empty(), "{said}");
    line
}

#[test]
fn a_node_without_a_secret_listens_where_others_reach_it_only_if_told_to() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let output = fails_to_start(&["--listen", listen], None);
        assert!(complaint(&output).contains("give --secret-file, or --insecure"));
        assert_eq!(output.stderr.iter().filter(|&&byte| byte == b'\n').count(), 1, "one line");
    }
    let file = File::new("open", SECRET.as_bytes());
    let file = file.0.display().to_string();
    for arguments in [&["--insecure"][..], &["--secret-file", &file]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        let node = Process::run(command.args(["--listen", "0.0.0.0:0"]).args(arguments));
        let mut client = Client::connect(([127, 0, 0, 1], node.address.port()).into());
        assert_eq!(client.line("QUIT"), "OK");
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_explained_in_one_line_without_showing_it() {
    let empty = File::new("empty", b"\n");
    let spaces = File::new("spaces", b"two words");
    let long = File::new("long", [b'x'; 5000]);
    for (path, why) in [
        (&empty.0, "a secret has 1 to 4096 bytes and no spaces"),
        (&spaces.0, "a secret has 1 to 4096 bytes and no spaces"),
        (&long.0, "a secret has 1 to 4096 bytes and no spaces"),
        (&std::env::temp_dir().join("kvstore-no-such-file"), "No such file"),
        (&std::env::temp_dir(), "directory"),
    ] {
        let path = path.display().to_string();
        let complaint = complaint(&fails_to_start(&["--listen", "127.0.0.1:0", "--secret-file", &path], None));
        assert!(complaint.contains(&path) && complaint.contains(why), "{complaint}");
        assert!(!complaint.contains("two words") && !complaint.contains("xxxx"), "{complaint}");
    }
    for secret in ["", "two words"] {
        let complaint = complaint(&fails_to_start(&["--listen", "127.0.0.1:0"], Some(secret)));
        assert!(complaint.contains("KVSTORE_SECRET") && !complaint.contains("two words"), "{complaint}");
    }
    assert!(complaint(&fails_to_start(&["--secret", SECRET], None)).contains("--secret"), "never an argument");
}

#[test]
fn the_secret_may_stand_in_the_environment() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.env("KVSTORE_SECRET", SECRET).args(["--listen", "127.0.0.1:0", "--peer", &closed_port().to_string()]);
    let node = Process::run(&mut command);
    assert!(node.client().line("DBSIZE").contains("Authentication required"));
    let mut client = admitted(node.address);
    eventually("it serves", Duration::from_secs(10), || client.line("DBSIZE") == "0");
}
