//! What the tests over real sockets share: clusters with proxies between their nodes, processes, and small clients.
//!
//! Nothing here waits for a guessed time: [`eventually`] polls for a condition until a deadline, and is the only place
//! that sleeps. Every port is chosen by the system.

#![allow(dead_code, reason = "each test file uses its share")]

pub(crate) mod redis;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kvstore::config::Config;
use kvstore::disk::frame::Frame;
use kvstore::disk::reader::Reader;
use kvstore::framing::resp::{write_array, write_bulk};
use kvstore::node::{BoundNode, Node};
use kvstore::replication::journal::Note;
use kvstore::replication::message::PROTOCOL;
use parking_lot::{Condvar, Mutex};
use socket2::{Domain, SockRef, Socket, Type};

/// How often each node of a test runs a tick.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// After this time a condition counts as failed: far longer than it takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Polls until `condition` holds. Fails with `what` at the deadline. Returns how long it took.
#[track_caller]
pub(crate) fn eventually(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}");
        thread::sleep(Duration::from_millis(3));
    }
    started.elapsed()
}

// ---- clusters in this process ---------------------------------------------------------------------------------------

/// Nodes that reach each other through proxies. Dropping it stops them.
pub(crate) struct Cluster {
    pub(crate) links: Links,
    nodes: Vec<Option<Node>>,
}

impl Cluster {
    /// A cluster of nodes, numbered from 1 on. All of them serve clients.
    pub(crate) fn start(nodes: u16) -> Self {
        Self::start_with(nodes, |_| {})
    }

    /// A cluster of nodes with changed configurations.
    pub(crate) fn start_with(nodes: u16, configure: impl Fn(&mut Config)) -> Self {
        let links = Links::new(nodes);
        let bound: Vec<BoundNode> = (1..=nodes).map(|number| bind(&links, number, &configure)).collect();
        let nodes = bound.into_iter().map(|node| Some(node.start().expect("a node starts"))).collect();
        let cluster = Self { links, nodes };
        for number in 1..=cluster.nodes.len() as u16 {
            cluster.client(number).wait_until_it_serves();
        }
        cluster
    }

    pub(crate) fn node(&self, number: u16) -> &Node {
        self.nodes[usize::from(number) - 1].as_ref().expect("the node runs")
    }

    pub(crate) fn address(&self, number: u16) -> SocketAddr {
        self.node(number).address()
    }

    pub(crate) fn client(&self, number: u16) -> Client {
        Client::connect(self.address(number))
    }

    pub(crate) fn stop(&mut self, number: u16) {
        self.nodes[usize::from(number) - 1].take().expect("the node runs").stop();
    }

    /// Starts a node that was stopped, without its data. It may not serve clients yet.
    pub(crate) fn start_again(&mut self, number: u16, configure: impl Fn(&mut Config)) {
        let node = bind(&self.links, number, &configure).start().expect("a node starts");
        self.nodes[usize::from(number) - 1] = Some(node);
    }

    /// Whether the DIGESTs of all nodes are equal.
    pub(crate) fn agrees(&self) -> bool {
        let digests: Vec<String> =
            self.nodes.iter().flatten().map(|node| Client::connect(node.address()).line("DIGEST")).collect();
        digests.iter().all(|digest| *digest == digests[0] && !digest.starts_with("ERROR"))
    }

    /// Waits until all nodes hold the same; returns how long it took.
    #[track_caller]
    pub(crate) fn wait_until_it_agrees(&self) -> Duration {
        eventually("equal DIGESTs", DEADLINE, || self.agrees())
    }
}

fn bind(links: &Links, number: u16, configure: impl Fn(&mut Config)) -> BoundNode {
    let mut config = Config::new(number, "127.0.0.1:0", links.peers_of(number));
    config.interval = INTERVAL;
    configure(&mut config);
    let node = BoundNode::bind(config).expect("a free port");
    links.node_is_at(number, node.address());
    node
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.links.heal();
        thread::scope(|scope| {
            self.nodes.iter_mut().filter_map(Option::take).for_each(|node| {
                scope.spawn(|| node.stop());
            })
        });
    }
}

// ---- the network between nodes --------------------------------------------------------------------------------------

/// A proxy for each direction of each link of a cluster.
pub(crate) struct Links(HashMap<(u16, u16), Proxy>);

impl Links {
    pub(crate) fn new(nodes: u16) -> Self {
        let pairs = (1..=nodes).flat_map(|from| (1..=nodes).map(move |to| (from, to)));
        Self(pairs.filter(|(from, to)| from != to).map(|pair| (pair, Proxy::start())).collect())
    }

    /// The addresses that a node gets for its peers.
    pub(crate) fn peers_of(&self, number: u16) -> Vec<String> {
        let mut others: Vec<_> = self.0.iter().filter(|((from, _), _)| *from == number).collect();
        others.sort_by_key(|(pair, _)| **pair);
        others.into_iter().map(|(_, proxy)| proxy.address.to_string()).collect()
    }

    pub(crate) fn node_is_at(&self, number: u16, address: SocketAddr) {
        self.0.iter().filter(|((_, to), _)| *to == number).for_each(|(_, proxy)| proxy.lead_to(address));
    }

    /// The connections that node `from` opens to node `to`.
    pub(crate) fn between(&self, from: u16, to: u16) -> &Proxy {
        &self.0[&(from, to)]
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.0.values().for_each(|proxy| proxy.set(mode));
    }

    pub(crate) fn heal(&self) {
        self.set(Mode::Open);
    }
}

/// What a proxy does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// It accepts connections and bytes, and delivers none until the proxy is open again.
    Stalled,
    /// It resets all connections, open and new ones.
    Cut,
}

/// Accepts connections, and forwards their bytes to its target.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: Arc<Wire>,
    accept: Option<JoinHandle<()>>,
}

struct Wire {
    state: Mutex<WireState>,
    changed: Condvar,
}

struct WireState {
    target: Option<SocketAddr>,
    mode: Mode,
    /// After how many bytes in one direction a connection is reset.
    breaks_after: usize,
    open: Vec<Arc<TcpStream>>,
    ending: bool,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state =
            WireState { target: None, mode: Mode::Open, breaks_after: usize::MAX, open: Vec::new(), ending: false };
        let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
        let served = Arc::clone(&wire);
        Self { address, wire, accept: Some(thread::spawn(move || served.accept(&listener))) }
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.wire.state.lock().target = Some(target);
    }

    /// From now on each new connection is reset after so many bytes.
    pub(crate) fn break_after(&self, bytes: usize) {
        self.wire.state.lock().breaks_after = bytes;
    }

    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.wire.state.lock();
        state.mode = mode;
        if mode == Mode::Cut {
            state.open.drain(..).for_each(|stream| reset(&stream));
        }
        self.wire.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Cut);
        self.wire.state.lock().ending = true;
        // Wakes the accept thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.accept.take().map(JoinHandle::join);
    }
}

impl Wire {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((near, _)) = listener.accept() {
            let mut state = self.state.lock();
            if state.ending {
                return;
            }
            let target = state.target.filter(|_| state.mode != Mode::Cut);
            let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) else {
                reset(&near);
                continue;
            };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near, far) = (Arc::new(near), Arc::new(far));
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (wire, from, to) = (Arc::clone(self), Arc::clone(from), Arc::clone(to));
                thread::spawn(move || wire.carry(&from, &to));
            }
            state.open.retain(|stream| Arc::strong_count(stream) > 1);
            state.open.extend([near, far]);
        }
    }

    fn carry(&self, from: &TcpStream, to: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        let (mut from, mut to) = (from, to);
        let mut left = self.state.lock().breaks_after;
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if count > left {
                return [from, to].into_iter().for_each(reset);
            }
            left -= count;
            if !self.wait_while_stalled() || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        self.wait_while_stalled();
        let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
    }

    fn wait_while_stalled(&self) -> bool {
        let mut state = self.state.lock();
        while state.mode == Mode::Stalled {
            self.changed.wait(&mut state);
        }
        state.mode == Mode::Open
    }
}

fn reset(stream: &TcpStream) {
    // With no time to linger, closing sends RST.
    let _ = (SockRef::from(stream).set_linger(Some(Duration::ZERO)), stream.shutdown(Shutdown::Both));
}

// ---- nodes as processes ---------------------------------------------------------------------------------------------

/// Two ports, one after the other, that are free for now; returns the first.
pub(crate) fn two_free_ports() -> u16 {
    let mut first = 0;
    eventually("two free ports", DEADLINE, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        first = listener.local_addr().expect("it is bound").port();
        first < u16::MAX && TcpListener::bind(("127.0.0.1", first + 1)).is_ok()
    });
    first
}

/// A node in a process of its own. Dropping it kills the process.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts `node1` or `node2` with this interval, and tells its peers its address.
    pub(crate) fn start(links: &Links, number: u16, interval: &str) -> Self {
        let program = if number == 1 { env!("CARGO_BIN_EXE_node1") } else { env!("CARGO_BIN_EXE_node2") };
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--interval", interval]);
        links.peers_of(number).iter().for_each(|peer| {
            command.args(["--peer", peer]);
        });
        let process = Self::run(&mut command);
        links.node_is_at(number, process.address);
        process
    }

    /// Runs a program of this crate, and waits for the line that says where it listens.
    pub(crate) fn run(command: &mut Command) -> Self {
        if command.get_envs().all(|(name, _)| name != "RUST_LOG") {
            command.env_remove("RUST_LOG");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().expect("is piped"), Arc::clone(&log));
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| lines.lock().push(line))
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("is piped"));
        let mut line = String::new();
        let _ = stdout.read_line(&mut line);
        // A thread goes on reading what else the process prints.
        thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}; it said {:?}", log.lock()));
        Self { child, address, log }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// The log lines that contain `text`.
    pub(crate) fn told(&self, text: &str) -> usize {
        self.log.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// Files of the process may have so many bytes from now on: `unlimited`, or fewer than they have, as on a full
    /// disk. The limit that others could lift again is left alone. Returns whether that is possible here.
    pub(crate) fn limit_files(&self, bytes: &str) -> bool {
        let limit = format!("--fsize={bytes}:");
        let status = Command::new("prlimit").args(["--pid", &self.id().to_string(), &limit]).status();
        status.is_ok_and(|status| status.success())
    }

    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// Waits until it has ended; returns how and when.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let mut status = None;
        let took = eventually("the process ends", DEADLINE, || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        (status.expect("it has ended"), took)
    }

    /// A line of /proc/PID/status, in kilobytes: `VmRSS` is the memory in use, `VmHWM` its peak.
    pub(crate) fn memory_kb(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("Linux has /proc");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of status");
        line.trim_matches(|char: char| !char.is_ascii_digit()).parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("{} has said:\n{}", self.address, self.log().join("\n"));
        }
    }
}

/// What a program says that must end by itself.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program was built");
    let started = Instant::now();
    while child.try_wait().expect("it is ours").is_none() && started.elapsed() < DEADLINE {
        thread::sleep(Duration::from_millis(3));
    }
    let has_ended = child.try_wait().expect("it is ours").is_some();
    let _ = child.kill();
    let output = child.wait_with_output().expect("it has ended");
    assert!(has_ended, "it does not end: {}", String::from_utf8_lossy(&output.stderr));
    output
}

// ---- data directories -----------------------------------------------------------------------------------------------

/// A file with some bytes, which nobody else may read. Dropping it removes the file.
pub(crate) struct File(pub(crate) PathBuf);

impl File {
    pub(crate) fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("kvstore-{}-{name}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes.as_ref())).expect("a writable directory for temporary files");
        Self(path)
    }

    /// Has it other bytes from now on.
    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) {
        fs::write(&self.0, bytes).expect("it is ours");
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The newest log in a data directory.
pub(crate) fn newest_log(data: &Path) -> PathBuf {
    let names = fs::read_dir(data).expect("it is there").map(|entry| entry.expect("a name").path());
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let logs = names.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max_by_key(number).expect("there is a log")
}

/// Cuts the newest log of a node that was killed at a random byte, as a power cut may do. What stands before `from`,
/// and the last confirmation, are kept: they were synced.
pub(crate) fn cut_log(data: &Path, from: u64) {
    let log = newest_log(data);
    let length = fs::metadata(&log).expect("it is there").len();
    let durable = last_confirmation(data, &log).max(from);
    let length = fastrand::u64(durable..=length.max(durable));
    OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(length)).expect("it is cut");
}

/// Where the last confirmation in a log ends.
fn last_confirmation(data: &Path, log: &Path) -> u64 {
    let identity = fs::read_to_string(data.join("identity")).expect("it is there");
    let store = identity.lines().find_map(|line| line.strip_prefix("store ")).expect("a line of the file");
    let store = u64::from_str_radix(store, 16).expect("a number");
    let salt = (store >> 32) as u32 ^ store as u32;
    let mut reader = Reader::open(fs::File::open(log).expect("it is there"), salt).unwrap_or_else(|e| panic!("{e:?}"));
    let mut last = reader.position();
    while let Ok(Some(frame)) = reader.next_frame() {
        if matches!(frame, Frame::Note(Note::Confirmed(_))) {
            last = reader.position();
        }
    }
    last
}

// ---- clients --------------------------------------------------------------------------------------------------------

/// A client of one node, for both forms of the protocol. It waits for an answer until the deadline.
pub(crate) struct Client {
    input: BufReader<TcpStream>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the node listens")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Connects from one of the addresses of this machine.
    #[track_caller]
    pub(crate) fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
        socket.connect(&address.into()).expect("the node listens");
        Self::over(socket.into()).expect("a socket")
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { input: BufReader::new(stream) })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream().write_all(bytes.as_ref()).expect("the node reads");
    }

    /// Closes this client's sending side. It can still read.
    pub(crate) fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).expect("is connected");
    }

    /// Sends a plain line; returns the line that answers it, empty if the connection ends.
    #[track_caller]
    pub(crate) fn line(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send([request.as_ref(), b"\n"].concat());
        self.read_line()
    }

    /// As [`Client::line`], for a connection that the node may have closed.
    pub(crate) fn try_line(&mut self, request: &str) -> io::Result<String> {
        self.stream().write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.trim_end().into())
    }

    /// Reads a one-line answer of a connection that the node may have closed; whether there is a whole one.
    pub(crate) fn try_read_answer(&mut self) -> io::Result<bool> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.ends_with('\n'))
    }

    /// Sends a plain line; returns the answer's lines before END.
    #[track_caller]
    pub(crate) fn lines(&mut self, request: impl AsRef<[u8]>) -> Vec<String> {
        self.send([request.as_ref(), b"\n"].concat());
        self.read_until_end()
    }

    #[track_caller]
    pub(crate) fn read_until_end(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let is_over = loop {
                match self.input.fill_buf() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    filled => break filled.expect("an answer in time").is_empty(),
                }
            };
            let line = self.read_line();
            assert!(!is_over && !line.starts_with("ERROR"), "{line:?} after {lines:?}");
            if line == "END" {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Sends a RESP array; returns the answer.
    #[track_caller]
    pub(crate) fn resp<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.send(encode(words));
        self.read_value()
    }

    #[track_caller]
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).expect("an answer in time");
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
    }

    #[track_caller]
    pub(crate) fn read_value(&mut self) -> Value {
        let line = self.read_line();
        let (kind, text) = line.split_at(line.len().min(1));
        let number = || text.parse::<i64>().expect("a number");
        match kind {
            "+" => Value::Simple(text.into()),
            "-" => Value::Error(text.into()),
            ":" => Value::Integer(number()),
            "$" | "*" if text == "-1" => Value::Nil,
            "$" => Value::Bulk(self.read_bulk(number() as usize)),
            "=" => Value::Text(self.read_bulk(number() as usize)),
            "*" => Value::Array((0..number()).map(|_| self.read_value()).collect()),
            "_" => Value::Nil,
            "%" => Value::Map((0..number()).map(|_| (self.read_value(), self.read_value())).collect()),
            _ => panic!("no RESP value: {line:?}"),
        }
    }

    fn read_bulk(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length + 2];
        self.input.read_exact(&mut bytes).expect("as many bytes as were announced");
        assert_eq!(bytes.split_off(length), b"\r\n");
        bytes
    }

    #[track_caller]
    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) {
        self.input.read_exact(bytes).expect("as many bytes in time");
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.input.read_to_end(&mut bytes) {
            Ok(_) => {}
            // The node closed it while this client was still sending.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection does not end: {error}, after {}", bytes.escape_ascii()),
        }
        bytes
    }

    #[track_caller]
    pub(crate) fn wait_until_it_serves(&mut self) {
        eventually("the node serves clients", DEADLINE, || self.line("PING") == "PONG");
    }

    /// The fields of INFO.
    #[track_caller]
    pub(crate) fn info(&mut self) -> HashMap<String, String> {
        let lines = self.lines("INFO");
        lines.iter().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// A number in INFO.
    #[track_caller]
    pub(crate) fn count(&mut self, field: &str) -> u64 {
        self.info()[field].parse().expect("a number")
    }

    /// A field of the line about a peer in INFO.
    #[track_caller]
    pub(crate) fn peer(&mut self, peer: u16, field: &str) -> String {
        let line = self.info()[&format!("peer{peer}")].clone();
        let fields = line.split(',').filter_map(|pair| pair.split_once('='));
        fields.into_iter().find(|(name, _)| *name == field).expect("a field of the peer's line").1.to_string()
    }
}

/// The words of the request PEER by a node without a disk, in the present protocol. Its clock stands at zero.
pub(crate) fn peer_words(name: &[u8], node: &[u8], incarnation: &[u8]) -> [Vec<u8>; 9] {
    let protocol = PROTOCOL.to_string();
    [b"PEER", protocol.as_bytes(), name, node, incarnation, &[0; 8], b"aa", b"0", b""].map(<[u8]>::to_vec)
}

/// The same words, with another one in this place.
pub(crate) fn with_word(mut words: [Vec<u8>; 9], index: usize, word: &[u8]) -> [Vec<u8>; 9] {
    words[index] = word.to_vec();
    words
}

/// A RESP array of bulk strings.
pub(crate) fn encode<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_array(&mut bytes, words.len());
    words.iter().for_each(|word| write_bulk(&mut bytes, word.as_ref()));
    bytes
}

/// An answer in RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// In RESP3 only.
    Text(Vec<u8>),
    Nil,
    Array(Vec<Value>),
    /// In RESP3 only.
    Map(Vec<(Value, Value)>),
}

impl fmt::Display for Value {
    /// As it is on the wire, in one line: `+OK`, `-ERR no`, `:1`, `$value`, `=text`, `nil`, `(…, …)`, `{…: …}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(number) => write!(f, ":{number}"),
            Self::Bulk(bytes) => write!(f, "${}", bytes.escape_ascii()),
            Self::Text(bytes) => write!(f, "={}", bytes.escape_ascii()),
            Self::Nil => f.write_str("nil"),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "({})", items.join(", "))
            }
            Self::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                write!(f, "{{{}}}", pairs.join(", "))
            }
        }
    }
}
