//! What must hold for any bytes at all.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use kvstore::commands::bare::Bare;
use kvstore::commands::{Flow, words_before_text};
use kvstore::config::Config;
use kvstore::framing::{Form, FrameError, RequestParser, resp};
use kvstore::node::Node;
use kvstore::replication::message::{Confirmation, Greeting, Held, Incarnation, Reply, Request};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::replication::responder::PeerSession;
use kvstore::rules::Rules;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::digest::{Digest, Prefix};
use kvstore::store::version::NodeId;

// ---- parsers --------------------------------------------------------------------------------------------------------

/// A request as it was cut: its form and words.
type Cut = (Form, Vec<Vec<u8>>);

/// Plain lines: cut the same however they arrive, and answered.
pub fn line(bytes: &[u8]) {
    let bytes: Vec<u8> = bytes.iter().map(|&byte| if byte == b'*' { b'+' } else { byte }).collect();
    requests(&bytes);
    conversation(&bytes);
    let mut parser = RequestParser::new(words_before_text);
    if let Ok(Some((_, length))) = parser.parse_last(&bytes) {
        assert_eq!(length, bytes.len(), "the last line is all that is left");
    }
}

/// RESP arrays, as clients send them, and replies, as peers do.
pub fn resp(bytes: &[u8]) {
    requests(bytes);
    requests(&[b"*", bytes].concat());
    conversation(bytes);
    let whole = resp::Parser::default().parse_reply(bytes).map(|found| found.map(|(_, length)| length));
    assert!(!matches!(whole, Ok(Some(length)) if length > bytes.len()), "a reply ends where its bytes end");
    let mut slowly = resp::Parser::default();
    for end in 0..=bytes.len() {
        match slowly.parse_reply(&bytes[..end]).map(|found| found.map(|(_, length)| length)) {
            Ok(None) => assert!(end < bytes.len() || whole == Ok(None), "a whole reply was not found"),
            Ok(Some(length)) => {
                assert_eq!((length, &whole), (end, &Ok(Some(end))), "a reply is found with its last byte");
                return;
            }
            Err(error) => {
                assert_eq!(Err(error), whole, "the same error, however the bytes arrive");
                return;
            }
        }
    }
}

/// Cuts a stream of requests in several ways; all must give the same requests and the same error.
fn requests(bytes: &[u8]) {
    let at_once = cut(bytes, bytes.len().max(1));
    for step in [1, 3, 64] {
        assert_eq!(cut(bytes, step), at_once, "in pieces of {step}");
    }
}

/// Cuts a stream that arrives in pieces of `step` bytes, as a session does.
fn cut(bytes: &[u8], step: usize) -> (Vec<Cut>, Option<FrameError>) {
    let mut parser = RequestParser::new(words_before_text);
    let (mut start, mut end, mut found) = (0, 0, Vec::new());
    loop {
        match parser.parse(&bytes[start..end]) {
            Ok(Some((form, length))) => {
                assert!(length > 0 && start + length <= end, "a request of {length} bytes in {}", end - start);
                let args = parser.args(form, &bytes[start..end]);
                found.push((form, args.iter().map(<[u8]>::to_vec).collect()));
                start += length;
            }
            Ok(None) if end == bytes.len() => return (found, None),
            Ok(None) => end = (end + step).min(bytes.len()),
            Err(error) => {
                assert!(error.to_string().len() < 1000, "an error is a short line");
                return (found, Some(error));
            }
        }
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------

/// Executes every request of a stream on a replica without a node. Each is answered, and the replica's digests stay
/// right.
fn conversation(bytes: &[u8]) {
    let (mut parser, mut rest) = (RequestParser::new(words_before_text), bytes);
    let mut bare = Bare::new(replica());
    while let Ok(Some((form, length))) = parser.parse(rest) {
        let words = parser.args(form, rest);
        if !words.is_empty() {
            let mut answer = Vec::new();
            let flow = bare.execute(form, words, &mut answer);
            let end: &[u8] = if form == Form::Plain { b"\n" } else { b"\r\n" };
            // After REPLCONF, plain lines are answered in RESP too.
            assert!(answer.ends_with(end) || answer.ends_with(b"\r\n"), "{words:?}: {}", answer.escape_ascii());
            assert!(answer.len() <= (1 + bytes.len()) * MAX_BARE_ANSWER_PER_BYTE, "{words:?}: {} bytes", answer.len());
            match flow {
                Flow::Continue => {}
                Flow::End => break,
                Flow::NoRoomYet => panic!("{words:?}: no earlier answer takes room"),
            }
        }
        rest = &rest[length..];
    }
    let store = bare.replica().store();
    assert_eq!(store.root(), store.rebuilt_root(), "the digest is that of the entries");
}

/// The longest answer of a bare replica per byte of the stream: all that the stream can have stored, or the table of
/// all commands.
const MAX_BARE_ANSWER_PER_BYTE: usize = 64 * 1024;

// ---- peers ----------------------------------------------------------------------------------------------------------

/// What a peer says, as requests to a replica and as replies to each kind of request.
pub fn peer(bytes: &[u8]) {
    as_requests(bytes);
    as_reply(bytes);
}

/// Whatever is taken for a request survives another trip over the wire; its reply is short enough, and fits it.
fn as_requests(bytes: &[u8]) {
    let (mut parser, mut rest) = (RequestParser::default(), bytes);
    let replica = replica();
    let mut session = PeerSession::default();
    let greeting = Greeting::in_memory("node2", NodeId(2), Incarnation(7), Timestamp::from_millis(1_700_000_000_000));
    replica.handle(&mut session, Request::Peer(greeting));
    while let Ok(Some((form, length))) = parser.parse(rest) {
        if let Ok(request) = Request::decode(parser.args(form, rest)) {
            let again = reread(&request);
            assert_eq!(again.as_ref(), Some(&request), "a request means the same when it is sent on");
            let reply = replica.handle(&mut session, request.clone());
            let mut wire = Vec::new();
            reply.encode(&mut wire);
            let mut parser = resp::Parser::default();
            let (frame, length) = parser.parse_reply(&wire).expect("our own reply").expect("a whole reply");
            assert_eq!(length, wire.len());
            let read = Reply::decode(frame, &request).expect("a reply fits its request");
            // Compared by their bytes: a record also knows its place in the order of arrivals, which does not travel.
            let mut again = Vec::new();
            read.encode(&mut again);
            assert_eq!(again, wire, "a reply means the same when it is sent on");
        }
        rest = &rest[length..];
    }
}

fn reread(request: &Request) -> Option<Request> {
    let mut wire = Vec::new();
    request.encode(&mut wire);
    let mut parser = RequestParser::default();
    let (form, _) = parser.parse(&wire).ok()??;
    Request::decode(parser.args(form, &wire)).ok()
}

fn as_reply(bytes: &[u8]) {
    let prefixes = |names: &[&str]| names.iter().filter_map(|name| Prefix::parse(name.as_bytes())).collect::<Vec<_>>();
    let greeting = Greeting::in_memory("node1", NodeId(1), Incarnation(9), Timestamp::from_millis(5));
    let held = |branch| Held { branch, newest: Timestamp::from_millis(5), digests: vec![Digest::default()] };
    let asked = [
        Request::Peer(greeting),
        Request::Root,
        Request::Digest(prefixes(&["", "a"])),
        Request::Leaf(prefixes(&["00", "a3f"]).into_iter().map(held).collect()),
        Request::Fetch(vec![b"k"[..].into(), b"l"[..].into()]),
        Request::Confirm(Arrival(3), Confirmation::NONE),
    ];
    for request in &asked {
        let mut parser = resp::Parser::default();
        let Ok(Some((frame, _))) = parser.parse_reply(bytes) else { return };
        let decoded = Reply::decode(frame, request);
        // A refusal is for people: what is no text in it is replaced, and it is never sent on.
        if let Some(reply) = decoded.ok().filter(|reply| !matches!(reply, Reply::Refused(_))) {
            let mut wire = Vec::new();
            reply.encode(&mut wire);
            let mut parser = resp::Parser::default();
            let (frame, _) = parser.parse_reply(&wire).expect("our own reply").expect("a whole reply");
            let mut again = Vec::new();
            Reply::decode(frame, request).expect("it fitted before").encode(&mut again);
            assert_eq!(again, wire, "a reply means the same when it is sent on");
        }
    }
}

fn replica() -> Replica {
    let identity = Identity::in_memory("node1", NodeId(1), Incarnation(9));
    let replica = Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_700_000_000_000)));
    replica.set(b"k", b"value");
    replica.delete(b"gone");
    replica
}

// ---- a whole session ------------------------------------------------------------------------------------------------

/// The memory of a node under test: small, so that no answer is long.
const MAX_MEMORY: usize = 64 * 1024;

/// After how many sessions the node is started anew: what peers send is not bounded by its memory.
const SESSIONS: usize = 500;

/// The longest answer per byte of a request: `KEYS *` answers with all that the node holds.
const MAX_ANSWER_PER_BYTE: usize = 4 * MAX_MEMORY;

/// A node that strangers speak with, over sockets.
pub struct Target {
    node: Option<Node>,
    control: TcpStream,
    sessions: usize,
}

impl Default for Target {
    fn default() -> Self {
        let mut config = Config::new(1, "127.0.0.1:0", Vec::new());
        config.max_memory = MAX_MEMORY;
        config.interval = Duration::from_millis(50);
        let node = Node::start(config).expect("a node without peers starts");
        let control = connect(node.address());
        let mut target = Self { node: Some(node), control, sessions: 0 };
        while !target.ping().starts_with(b"PONG") {}
        target
    }
}

impl Target {
    /// Says some bytes to a bare replica and to the node, and hears both out: the answer is bounded, the session ends,
    /// and the node still answers others.
    pub fn session(&mut self, bytes: &[u8]) {
        conversation(bytes);
        if self.sessions == SESSIONS {
            *self = Self::default();
        }
        self.sessions += 1;
        let mut stream = connect(self.node.as_ref().expect("it runs").address());
        // The node may end the session before it has heard everything.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = 0;
        let mut buffer = [0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => answer += count,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("the session does not end: {error}"),
            }
            assert!(answer <= (1 + bytes.len()) * MAX_ANSWER_PER_BYTE, "{answer} bytes of answer");
        }
        assert_eq!(self.ping(), b"PONG\n", "another client is served");
    }

    fn ping(&mut self) -> Vec<u8> {
        self.control.write_all(b"PING\n").expect("the node reads");
        let mut line = Vec::new();
        // One byte at a time, by a reader that goes on after the fuzzer's signals: nothing of the next answer is taken.
        BufReader::with_capacity(1, &self.control).read_until(b'\n', &mut line).expect("the node answers");
        line
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.node.take().into_iter().for_each(Node::stop);
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the node listens");
    stream.set_nodelay(true).expect("is connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("is connected");
    stream
}
