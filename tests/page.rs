//! The page: who may ask what, what it tells, and that neither it nor those who look at it can hold up a node. The last
//! tests drive a browser; where there is none, they say so and are skipped.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Client, DEADLINE, Links, Process, eventually};
use kvstore::config::Config;
use kvstore::http::{BoundServer, Server};
use kvstore::limits::{
    GUESSES_AT_ONCE, HTTP_REQUEST_TIMEOUT, MAX_HTTP_BODY_BYTES, MAX_HTTP_CONNECTIONS, MAX_HTTP_HEAD_BYTES, MAX_PAGES,
    WRONG_SECRET_DELAY,
};
use kvstore::node::cluster::Cluster;
use kvstore::node::watch::Watch;
use kvstore::node::{BoundNode, Node};
use kvstore::rules::{Rule, Rules};
use kvstore::secret::{Secret, Secrets};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// What is said to be seen at once must be there within this time, once in three times at least: the machine may be
/// busy.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What waits for nobody has ended within this time, also on a busy machine. The shortest timeout is longer.
const SOON: Duration = Duration::from_secs(4);

// ---- a cluster with a page ------------------------------------------------------------------------------------------

/// The nodes of one process, and their page. Dropping it stops them.
struct Stage {
    cluster: Arc<Cluster>,
    server: Option<Server>,
    address: SocketAddr,
    _links: Links,
}

impl Stage {
    fn new(nodes: u16) -> Self {
        Self::with(nodes, |_| {})
    }

    fn with(nodes: u16, configure: impl Fn(&mut Config)) -> Self {
        let links = Links::new(nodes);
        let (watch, feed) = Watch::new((1..=nodes).map(|number| format!("node{number}")).collect());
        let config = |number| {
            let mut config = Config::new(number, "127.0.0.1:0", links.peers_of(number));
            config.interval = Duration::from_millis(500);
            config.lab = true;
            config.watch = Arc::clone(&watch);
            configure(&mut config);
            config
        };
        let secrets = config(1).secrets;
        let bind = |number| {
            let node = BoundNode::bind(config(number)).expect("a free port");
            links.node_is_at(number, node.address());
            node
        };
        let bound = (1..=nodes).map(bind).collect();
        let cluster = Arc::new(Cluster::start(bound, usize::MAX).expect("nodes start"));
        let server = BoundServer::bind("127.0.0.1:0", secrets).expect("a free port");
        let address = server.address();
        let server = server.start(Arc::clone(&cluster), watch, feed).expect("it starts");
        let stage = Self { cluster, server: Some(server), address, _links: links };
        eventually("the nodes serve", DEADLINE, || stage.get("/readyz").status == 200);
        stage
    }

    /// A client of a node, as any other.
    fn client(&self, number: usize) -> Client {
        Client::connect(self.node(number))
    }

    fn node(&self, number: usize) -> SocketAddr {
        self.cluster.places()[number - 1].address()
    }

    /// Sends bytes; returns the answer.
    fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = connect(self.address);
        stream.write_all(request.as_ref()).expect("it reads");
        Answer::read(stream)
    }

    fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// Sends what a script of the page sends.
    fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.post_with(path, body, "X-Kvstore: page\r\nContent-Type: application/json\r\n"))
    }

    fn post_with(&self, path: &str, body: &str, headers: &str) -> String {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {length}\r\n\r\n{body}", self.address)
    }

    fn command(&self, node: &str, line: &str) -> Answer {
        self.post("/command", &serde_json::json!({"node": node, "line": line}).to_string())
    }

    /// Writes something that cannot reach node 2, and waits until node 1 has noticed.
    fn write_in_vain(&self) {
        let mut client = self.client(1);
        assert_eq!(client.line("SET in vain"), "OK");
        eventually("node 1 has noticed", DEADLINE, || client.peer(1, "link") == "down");
    }

    /// Cuts node 1 off from node 2, when they have met: a peer that was never met has no name yet.
    fn cut(&self) {
        let is_up = |node: &Node| node.stats().peers.iter().all(|peer| peer.is_up);
        let are_up = || self.cluster.places().iter().all(|place| place.with(is_up) == Some(true));
        eventually("the links are up", DEADLINE, are_up);
        assert_eq!(self.command("node1", "CUT node2").body, "OK\n");
    }

    fn events(&self) -> Events {
        Events::open(self.address, "")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.take().into_iter().for_each(Server::stop);
        self.cluster.stop();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    stream
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).expect("answers are text");
        assert!(ended.is_ok(), "{ended:?} after {text:?}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.into(), body: body.into() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What a page is told.
struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    fn open(address: SocketAddr, headers: &str) -> Self {
        let mut stream = connect(address);
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut events = Self { lines: BufReader::new(stream) };
        let head = events.line();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line in time");
        line.trim_end().into()
    }

    /// The next event of this name.
    fn next(&mut self, name: &str) -> Value {
        let until = Instant::now() + DEADLINE;
        let begins = format!("event: {name}");
        while self.line() != begins {
            assert!(Instant::now() < until, "no event {name}");
        }
        serde_json::from_str(self.line().strip_prefix("data: ").expect("data")).expect("JSON")
    }

    /// The first state that fits.
    fn state(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let state = self.next("state");
            if fits(&state) {
                return state;
            }
            assert!(Instant::now() < until, "never: {what}; now {state}");
        }
    }
}

fn row<'s>(state: &'s Value, key: &str) -> Option<&'s Value> {
    state["rows"].as_array()?.iter().find(|row| row["key"] == key)
}

// ---- who may ask ----------------------------------------------------------------------------------------------------

#[test]
fn only_the_names_of_this_address_are_answered() {
    let stage = Stage::new(1);
    let (port, own) = (stage.address.port(), stage.address.to_string());
    let asked = |headers: &str| stage.send(format!("GET /branch?prefix= HTTP/1.1\r\n{headers}\r\n")).status;
    for host in [&*own, &format!("localhost:{port}"), &format!("LocalHost:{port}"), &format!("[::1]:{port}")] {
        assert_eq!(asked(&format!("Host: {host}\r\n")), 200, "{host}");
        assert_eq!(asked(&format!("Host: {host}\r\nOrigin: http://{host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", &format!("evil.example:{port}"), "localhost", "127.0.0.1:1", ""] {
        assert_eq!(asked(&format!("Host: {host}\r\n")), 403, "{host:?}");
    }
    assert_eq!(asked(""), 403, "no Host at all");
    assert_eq!(asked(&format!("Host: {own}\r\nHost: {own}\r\n")), 400, "two of them");
    for origin in ["http://evil.example", "null", &format!("https://{own}"), "http://localhost", ""] {
        assert_eq!(asked(&format!("Host: {own}\r\nOrigin: {origin}\r\n")), 403, "{origin:?}");
    }
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        assert_eq!(asked(&format!("Host: {own}\r\nSec-Fetch-Site: {site}\r\n")), status, "{site}");
    }
    // A link on another page may lead here.
    let link = format!("GET / HTTP/1.1\r\nHost: {own}\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    assert_eq!(stage.send(link).status, 200);
}

#[test]
fn a_post_needs_headers_that_no_form_can_send() {
    let stage = Stage::new(1);
    let body = r#"{"node": "node1", "line": "SET k v"}"#;
    let asked = |headers: &str| stage.send(stage.post_with("/command", body, headers)).status;
    for missing in [
        "",
        "X-Kvstore: page\r\n",
        "Content-Type: application/json\r\n",
        "X-Kvstore: page\r\nContent-Type: text/plain\r\n",
        "X-Kvstore: other\r\nContent-Type: application/json\r\n",
    ] {
        assert_eq!(asked(missing), 403, "{missing:?}");
    }
    assert_eq!(stage.client(1).line("EXISTS k"), "0", "nothing was done");
    assert_eq!(asked("x-kvstore: page\r\nContent-Type: application/json; charset=utf-8\r\n"), 200);
    assert_eq!(stage.client(1).line("EXISTS k"), "1");
}

#[test]
fn with_a_secret_all_but_the_page_and_its_health_need_it() {
    let secrets = || Secrets::of(Secret::new(b"open-sesame-open-sesame").expect("it is one"));
    let stage = Stage::with(1, |config| config.secrets = secrets());
    for open in ["/", "/healthz", "/readyz"] {
        assert_eq!(stage.get(open).status, 200, "{open}");
    }
    let own = stage.address;
    for path in ["/events", "/metrics", "/branch?prefix=", "/branch?prefix=&Authorization=open-sesame-open-sesame"] {
        let refused = stage.get(path);
        assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")), "{path}");
    }
    assert_eq!(stage.command("node1", "PING").status, 401);

    let with = |word: &str| {
        let began = Instant::now();
        let asked = format!("GET /branch?prefix= HTTP/1.1\r\nHost: {own}\r\nAuthorization: {word}\r\n\r\n");
        (stage.send(asked).status, began.elapsed())
    };
    assert_eq!(with("Bearer open-sesame-open-sesame").0, 200);
    for wrong in ["Bearer open-sesam", "Bearer OPEN-SESAME"] {
        let (status, took) = with(wrong);
        assert!(status == 401 && took >= WRONG_SECRET_DELAY, "{wrong}: {status} after {took:?}");
    }
    assert_eq!(with("Basic open-sesame-open-sesame").0, 401);
    let counted = stage.cluster.places()[0].with(|node| node.stats().auth_failed);
    assert_eq!(counted, Some(2), "those that said a word");

    assert_eq!(stage.client(1).line("AUTH open-sesame-open-sesame"), "OK");
    let mut guesses: Vec<Client> = (0..2 * GUESSES_AT_ONCE).map(|_| stage.client(1)).collect();
    guesses.iter_mut().for_each(|client| client.send("AUTH guess\n"));
    eventually("those that clients say count here, too", DEADLINE, || with("Bearer open-sesame-open-sesame").0 == 429);
    let is_refused = |client: &mut Client| client.read_line().contains("too many wrong secrets");
    assert!(guesses.iter_mut().any(is_refused));
    eventually("it is compared again", DEADLINE, || with("Bearer open-sesame-open-sesame").0 == 200);

    let headers =
        "X-Kvstore: page\r\nContent-Type: application/json\r\nAuthorization: Bearer open-sesame-open-sesame\r\n";
    let done = stage.send(stage.post_with("/command", r#"{"node": "node1", "line": "PING"}"#, headers));
    assert_eq!((done.status, done.body.as_str()), (200, "PONG\n"));
    Events::open(own, "Authorization: Bearer open-sesame-open-sesame\r\n").state("a state", |_| true);
}

// ---- what is no request ---------------------------------------------------------------------------------------------

#[test]
fn what_is_not_there_and_what_is_too_large_is_refused() {
    let stage = Stage::new(1);
    let own = stage.address;
    assert_eq!(stage.get("/favicon.ico").status, 404);
    assert_eq!(stage.get("/../etc/passwd").status, 404);
    assert_eq!(stage.post("/nothing", "{}").status, 404);
    for (path, allowed) in [("/", "GET"), ("/events", "GET"), ("/command", "POST"), ("/stop", "POST")] {
        let method = if allowed == "GET" { "DELETE" } else { "GET" };
        let refused = stage.send(format!("{method} {path} HTTP/1.1\r\nHost: {own}\r\n\r\n"));
        assert_eq!((refused.status, refused.header("Allow")), (405, Some(allowed)), "{path}");
    }
    let head = |size: usize| format!("GET / HTTP/1.1\r\nHost: {own}\r\nX-Much: {}\r\n\r\n", "x".repeat(size));
    assert_eq!(stage.send(head(MAX_HTTP_HEAD_BYTES - 200)).status, 200);
    assert_eq!(stage.send(head(MAX_HTTP_HEAD_BYTES)).status, 431);
    let many = format!("GET / HTTP/1.1\r\nHost: {own}\r\n{}\r\n", "X: y\r\n".repeat(100));
    assert_eq!(stage.send(many).status, 431);

    let headers = "X-Kvstore: page\r\nContent-Type: application/json\r\n";
    let post = |more: &str| format!("POST /command HTTP/1.1\r\nHost: {own}\r\n{headers}{more}\r\n");
    assert_eq!(stage.send(post("")).status, 411);
    assert_eq!(stage.send(post("Transfer-Encoding: chunked\r\n") + "2\r\n{}\r\n0\r\n\r\n").status, 411);
    assert_eq!(stage.send(post(&format!("Content-Length: {}\r\n", MAX_HTTP_BODY_BYTES + 1))).status, 413);
    for length in ["99999999999999999999999", "-1", "many"] {
        assert_eq!(stage.send(post(&format!("Content-Length: {length}\r\n"))).status, 400, "{length}");
    }
    for rubbish in ["*1\r\n$4\r\nPING\r\n", "GET\r\n\r\n", "\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        assert_eq!(stage.send(rubbish).status, 400, "{rubbish:?}");
    }
    for (body, status) in [("", 400), ("[]", 404), ("{", 400), (r#"{"node": "node9"}"#, 404), (r#"{"node": 1}"#, 404)] {
        assert_eq!(stage.post("/stop", body).status, status, "{body}");
    }
    assert_eq!(stage.post("/command", r#"{"node": "node1"}"#).status, 400);
    assert_eq!(stage.command("node1", "PING\nFLUSHALL").status, 400);
    assert_eq!(stage.command("node1", "*1").status, 400);
    for bad in ["", "?prefix=a", "?prefix=xyz", "?prefix=a3b", "?prefix=a3b4c"] {
        assert_eq!(stage.get(&format!("/branch{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_request_that_trickles_in_is_given_up() {
    let stage = Stage::new(1);
    let (mut stream, began) = (connect(stage.address), Instant::now());
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("it is a socket");
    let mut answer = [0; 16];
    let count = loop {
        // A byte now and then would keep a timeout between bytes from ever ending it.
        let _ = stream.write_all(b"G");
        match stream.read(&mut answer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(began.elapsed() < 2 * HTTP_REQUEST_TIMEOUT, "it waits for ever");
            }
            ended => break ended.expect("an answer"),
        }
    };
    assert!(answer[..count].starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&answer));
    assert!(began.elapsed() >= HTTP_REQUEST_TIMEOUT);
}

#[test]
fn the_page_may_do_nothing_but_what_it_is_for() {
    let stage = Stage::new(1);
    let (first, second) = (stage.get("/"), stage.get("/"));
    let nonce = |answer: &Answer| {
        let policy = answer.header("Content-Security-Policy").expect("a policy").to_string();
        for part in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
        nonce.expect("a nonce").to_string()
    };
    assert_ne!(nonce(&first), nonce(&second), "it can be used once");
    assert!(first.body.contains(&format!("<script nonce=\"{}\">", nonce(&first))));
    assert!(!first.body.contains("{nonce}") && !first.body.contains("{secret}"));
    for word in ["http://", "https://", "innerHTML", "eval(", " onclick=", "document.write"] {
        let found = first.body.replace("http://www.w3.org/2000/svg", "").contains(word);
        assert!(!found, "the page contains {word}");
    }
    for path in ["/", "/healthz", "/nothing"] {
        let answer = stage.get(path);
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"), "{path}");
    }
}

// ---- what it tells --------------------------------------------------------------------------------------------------

#[test]
fn a_write_is_told_at_once_with_what_each_node_holds() {
    let stage = Stage::new(2);
    stage.client(1).line("SET before 1");
    let mut events = stage.events();
    events.state("a page shows what was there before it was opened", |state| row(state, "before").is_some());
    let mut state = Value::Null;
    let mut see = |value: &str| {
        let began = Instant::now();
        stage.client(1).line(format!("SET greeting {value}"));
        state = events.state("both hold it", |state| {
            row(state, "greeting").is_some_and(|row| row["cells"][1]["value"] == value && row["differs"] == false)
        });
        began.elapsed()
    };
    let took = ["hello", "again", "and again"].map(&mut see);
    assert!(took.iter().any(|took| *took < AT_ONCE), "{took:?}");
    let row = row(&state, "greeting").expect("it was there");
    assert_eq!(
        (&row["differs"], &row["cells"][0]["wins"], &row["cells"][1]["by"]),
        (&false.into(), &true.into(), &1.into())
    );
    let told = events.next("exchanges");
    assert!(told["list"].as_array().is_some_and(|list| !list.is_empty()), "{told}");
}

#[test]
fn keys_that_differ_are_counted_and_their_branches_are_not_equal() {
    let stage = Stage::new(2);
    let mut events = stage.events();
    stage.client(1).line("SET shared 1");
    events.state("it is on both", |state| row(state, "shared").is_some_and(|row| row["differs"] == false));
    stage.cut();
    stage.client(1).line("SET a 1");
    stage.client(1).line("DEL shared");
    stage.client(2).line("SET b 2");
    let state = events.state("three keys differ", |state| state["differing"]["keys"] == 3);
    let digests = |state: &Value, node: usize| state["nodes"][node]["digests"].as_str().map(String::from);
    assert_ne!(digests(&state, 0), digests(&state, 1));
    let shared = row(&state, "shared").expect("it was written");
    assert_eq!((&shared["cells"][0]["kind"], &shared["cells"][1]["kind"]), (&"deleted".into(), &"value".into()));
    assert_eq!(state["nodes"][0]["peers"][0]["waiting"], 1, "a tombstone waits for node2");
    assert_eq!(state["nodes"][0]["peers"][0]["cut"], true);

    let leaf = row(&state, "a").and_then(|row| row["leaf"].as_str()).expect("a leaf").to_string();
    let below: Value = serde_json::from_str(&stage.get(&format!("/branch?prefix={}", &leaf[..2])).body).expect("JSON");
    let digests_below = |node: &str| below["nodes"][node].as_str().map(str::len);
    assert_eq!((digests_below("node1"), digests_below("node2")), (Some(256 * 16), Some(256 * 16)));
    let there: Value = serde_json::from_str(&stage.get(&format!("/branch?prefix={leaf}")).body).expect("JSON");
    assert_eq!(there["nodes"]["node1"][0]["key"], "a");
    assert_eq!(there["nodes"]["node2"], Value::Array(Vec::new()));

    assert_eq!(stage.command("node1", "MEND node2").body, "OK\n");
    let state = events.state("no key differs", |state| state["differing"]["keys"] == 0 && row(state, "b").is_some());
    assert_eq!(digests(&state, 0), digests(&state, 1));
}

#[test]
fn a_node_is_stopped_and_started_and_is_not_ready_meanwhile() {
    let stage = Stage::new(2);
    stage.client(1).line("SET k v");
    let mut events = stage.events();
    events.state("it is on both", |state| row(state, "k").is_some_and(|row| row["differs"] == false));
    assert_eq!(stage.post("/stop", r#"{"node": "node2"}"#).body, "node2 is stopped");
    assert_eq!(stage.post("/stop", r#"{"node": "node2"}"#).body, "node2 was stopped already");
    assert!(TcpStream::connect(stage.node(2)).is_err(), "its port is closed");
    assert_eq!((stage.get("/healthz").status, stage.get("/readyz").status), (200, 503));
    assert_eq!(stage.command("node2", "PING").status, 409);
    let state = events.state("it is told", |state| state["nodes"][1]["running"] == false);
    assert_eq!(row(&state, "k").expect("node1 has it")["cells"][1]["kind"], "stopped");
    assert_eq!(stage.post("/start", r#"{"node": "node2"}"#).body, "node2 runs again");
    assert_eq!(stage.post("/start", r#"{"node": "node2"}"#).body, "node2 runs already");
    eventually("it is ready", DEADLINE, || stage.get("/readyz").status == 200);
    assert_eq!(stage.client(2).line("GET k"), "v", "it came back empty, and took over what node1 holds");
}

#[test]
fn a_long_answer_is_cut_and_a_long_command_is_given_up() {
    let stage = Stage::new(2);
    let value = "x".repeat(200_000);
    stage.client(1).line(format!("SET long {value}"));
    let answer = stage.command("node1", "GET long").body;
    assert!(answer.len() < 70_000 && answer.ends_with("a client shows it whole"), "{}", answer.len());
    assert_eq!(stage.command("node1", "QUIT").body, "");
    assert_eq!(stage.command("node1", "FROB").status, 200, "what a node says is no error of the page");
    stage.cut();
    stage.write_in_vain();
    let began = Instant::now();
    let answer = stage.command("node1", "WAIT 1 60000").body;
    assert!(answer.contains("no more came within 10 s"), "{answer} after {:?}", began.elapsed());
}

#[test]
fn the_figures_of_all_nodes_are_there_for_prometheus() {
    let stage = Stage::new(2);
    let told = stage.get("/metrics");
    assert_eq!(told.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for node in ["node1", "node2"] {
        assert!(told.body.contains(&format!("kvstore_loading{{node=\"{node}\"}} 0\n")), "{}", told.body);
    }
}

// ---- it holds up nobody ---------------------------------------------------------------------------------------------

#[test]
fn there_are_only_so_many_pages() {
    let stage = Stage::new(1);
    let mut pages: Vec<Events> = (0..MAX_PAGES).map(|_| stage.events()).collect();
    pages.iter_mut().for_each(|page| drop(page.next("state")));
    let one_more = || {
        let mut stream = connect(stage.address);
        let asked = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", stage.address);
        let mut status = [0; 12];
        stream.write_all(asked.as_bytes()).and_then(|()| stream.read_exact(&mut status)).expect("an answer");
        String::from_utf8_lossy(&status).into_owned()
    };
    assert_eq!(one_more(), "HTTP/1.1 503");
    let refused = stage.get("/events");
    assert!(refused.body.contains("close one"), "{}", refused.body);
    assert_eq!(stage.get("/healthz").status, 200, "short requests have places of their own");
    pages.pop();
    eventually("a place is free again", DEADLINE, || one_more() == "HTTP/1.1 200");
}

#[test]
fn more_connections_than_it_serves_are_closed() {
    let stage = Stage::new(1);
    let idle: Vec<TcpStream> = (0..MAX_HTTP_CONNECTIONS).map(|_| connect(stage.address)).collect();
    let mut beyond = connect(stage.address);
    assert!(matches!(beyond.read(&mut [0; 1]), Ok(0) | Err(_)), "it is closed without an answer");
    drop(idle);
    eventually("there is room again", DEADLINE, || {
        let mut stream = connect(stage.address);
        let asked = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", stage.address);
        let mut answer = Vec::new();
        stream.write_all(asked.as_bytes()).and_then(|()| stream.read_to_end(&mut answer)).is_ok_and(|count| count > 0)
    });
}

#[test]
fn a_page_that_does_not_read_loses_events_and_holds_up_no_node() {
    let stage = Stage::new(2);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("it is a socket");
    socket.connect(&stage.address.into()).expect("it listens");
    let mut slow = TcpStream::from(socket);
    slow.set_read_timeout(Some(DEADLINE)).expect("it is a socket");
    let asked = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", stage.address);
    slow.write_all(asked.as_bytes()).expect("it reads");
    let mut other = stage.events();

    let (mut client, began, mut slowest) = (stage.client(1), Instant::now(), Duration::ZERO);
    for n in 0.. {
        let asked = Instant::now();
        assert_eq!(client.line(format!("SET key:{} {}", n % 1000, "x".repeat(200))), "OK");
        slowest = slowest.max(asked.elapsed());
        if began.elapsed() > Duration::from_secs(6) {
            break;
        }
    }
    assert!(slowest < SOON, "a write took {slowest:?}");
    other.state("other pages are told", |state| row(state, "key:1").is_some() || state["nodes"][0]["keys"] == 1000);

    let mut slow = Events { lines: BufReader::new(slow) };
    let missed = slow.next("missed");
    assert!(missed["count"].as_u64().is_some_and(|count| count > 0), "{missed}");
    slow.state("and then it is right again", |state| state["nodes"][1]["keys"] == 1000);
}

#[test]
fn nothing_is_told_when_no_page_is_open() {
    let (watch, feed) = Watch::new(vec!["node1".into()]);
    let config = Config { watch: Arc::clone(&watch), ..Config::new(1, "127.0.0.1:0", Vec::new()) };
    let cluster = Arc::new(Cluster::start(vec![BoundNode::bind(config).expect("a free port")], 1000).expect("starts"));
    let server = BoundServer::bind("127.0.0.1:0", Secrets::none()).expect("a free port");
    let (address, keys) = (server.address(), feed.keys.clone());
    let server = server.start(Arc::clone(&cluster), watch, feed).expect("it starts");
    let mut client = Client::connect(cluster.places()[0].address());
    client.wait_until_it_serves();
    client.line("SET k v");
    assert_eq!(keys.len(), 0, "nobody looks");
    let mut page = Events::open(address, "");
    page.next("state");
    client.line("SET seen v");
    page.state("it is told", |state| row(state, "seen").is_some());
    drop(page);
    eventually("the node tells nothing again", DEADLINE, || {
        client.line("SET k v");
        keys.is_empty()
    });
    server.stop();
    cluster.stop();
}

#[test]
fn stopping_the_server_ends_all_that_waits() {
    let mut stage = Stage::new(2);
    let mut page = stage.events();
    page.next("state");
    let mut half = connect(stage.address);
    half.write_all(b"GET / HT").expect("it reads");
    stage.cut();
    stage.write_in_vain();
    let mut waiting = connect(stage.address);
    let headers = "X-Kvstore: page\r\nContent-Type: application/json\r\n";
    let command = stage.post_with("/command", r#"{"node": "node1", "line": "WAIT 1 60000"}"#, headers);
    waiting.write_all(command.as_bytes()).expect("it reads");
    let clients = || stage.cluster.places()[0].with(|node| node.stats().blocked);
    eventually("the command waits", DEADLINE, || clients() == Some(1));

    let began = Instant::now();
    stage.server.take().expect("it runs").stop();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(TcpStream::connect(stage.address).is_err(), "its port is closed");
    for mut stream in [half, waiting] {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(stage.client(1).line("PING"), "PONG", "the nodes run on");
}

// ---- the programs ---------------------------------------------------------------------------------------------------

/// Runs `kvstore` with one node until it serves, and stops it. Returns what it has printed.
fn output_of_kvstore(args: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvstore"));
    command.args(["--nodes", "1", "--port", "0"]).args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    let mut stderr = BufReader::new(child.stderr.take().expect("is piped"));
    let mut log = String::new();
    while !log.contains("serves clients") && stderr.read_line(&mut log).expect("text") > 0 {}
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = stderr.read_to_string(&mut log);
    let output = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&output.stdout).into_owned(), log)
}

#[test]
fn kvstore_says_where_its_page_is_unless_it_has_none() {
    let (said, log) = output_of_kvstore(&["--http", "127.0.0.1:0"]);
    assert!(said.contains("The page shows what the nodes do: http://127.0.0.1:"), "{said}{log}");
    let (said, log) = output_of_kvstore(&["--http", "off"]);
    assert!(!said.contains("http://") && !log.contains("page"), "{said}{log}");
}

#[test]
fn a_port_that_is_taken_is_an_error_only_if_it_was_asked_for() {
    // If this fails, another program has the port, which is as good.
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 5080));
    let (said, log) = output_of_kvstore(&[]);
    assert!(said.contains("node1 listens on") && !said.contains("http://"), "{said}{log}");
    assert!(log.contains("there is no page: 127.0.0.1:5080: "), "{log}");
    let (said, log) = output_of_kvstore(&["--http", "127.0.0.1:5080"]);
    assert!(said.is_empty() && log.contains("error: the page cannot listen on 127.0.0.1:5080: "), "{said}{log}");
    assert!(log.contains("choose another port with --http HOST:PORT"), "{log}");
}

#[test]
fn others_reach_the_page_only_with_a_secret() {
    let (said, log) = output_of_kvstore(&["--http", "0.0.0.0:0", "--insecure"]);
    assert!(said.is_empty() && log.contains("give --secret-file, or --http 127.0.0.1:0"), "{said}{log}");
}

#[test]
fn a_program_with_pages_open_ends_in_time() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    command.args(["--listen", "127.0.0.1:0", "--alone"]);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut process = Process::run(command.arg("--http").arg(port.to_string()));
    let mut pages: Vec<Events> = (0..3).map(|_| Events::open(port, "")).collect();
    let state = pages[0].state("a state", |_| true);
    assert_eq!((&state["nodes"][0]["name"], &state["differing"]), (&"node1".into(), &Value::Null));
    process.signal("TERM");
    let (status, took) = process.wait();
    assert!(status.success() && took < SOON, "{status} after {took:?}: {:?}", process.log());
}

// ---- in a browser ---------------------------------------------------------------------------------------------------

/// A browser that playwright-core can drive, if both are here.
fn browser() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/node/node_modules");
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH")?;
    let found =
        std::env::split_paths(&paths).flat_map(|path| names.map(|name| path.join(name))).find(|path| path.is_file());
    let runs = |program: &str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    match (found, modules.join("playwright-core").is_dir() && runs("node")) {
        (Some(browser), true) => Some(browser),
        (found, _) => {
            println!("skipped: chromium is {found:?}, and playwright-core should be in {}", modules.display());
            None
        }
    }
}

/// Drives a browser through one of the scenes of `tests/page/page.mjs`.
fn play(scene: &str, stage: &Stage) {
    let Some(browser) = browser() else { return };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ports = stage.cluster.places().iter().map(|place| place.address().port().to_string());
    let mut command = Command::new("node");
    command.env("NODE_PATH", here.join("target/clients/node/node_modules")).stdin(Stdio::null());
    command.arg(here.join("tests/page/page.mjs")).arg(browser).arg(scene).arg(format!("http://{}/", stage.address));
    let output = command.args(ports).output().expect("node is here");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("done"), "{scene}: {}\n{said}", output.status);
}

#[test]
fn the_page_shows_writes_cuts_and_hostile_keys() {
    play("shows", &Stage::new(2));
}

#[test]
fn the_page_works_by_keyboard_alone_small_and_dark() {
    play("keyboard", &Stage::new(2));
}

#[test]
fn the_five_experiments_run_to_their_end() {
    play("experiments", &Stage::new(2));
}

#[test]
fn the_experiments_run_with_three_nodes() {
    play("experiments", &Stage::new(3));
}

#[test]
fn without_tombstones_the_experiment_shows_the_delete_undone() {
    let rules = Rules::default().without(Rule::Tombstones);
    play("forgetful", &Stage::with(2, |config| config.rules = rules));
}

#[test]
fn an_experiment_that_runs_again_tells_of_this_run_only() {
    play("again", &Stage::new(2));
}

#[test]
fn the_page_asks_for_the_secret() {
    let secrets = || Secrets::of(Secret::new(b"open-sesame-open-sesame").expect("it is one"));
    play("secret", &Stage::with(2, |config| config.secrets = secrets()));
}

#[test]
fn a_thousand_writes_a_second_stay_readable() {
    play("load", &Stage::new(2));
}

/// With `PAGE_SCREENSHOT=1` it makes the picture.
#[test]
fn the_page_shows_what_the_picture_in_the_readme_does() {
    play("picture", &Stage::with(2, |config| config.interval = Duration::from_secs(3)));
}

#[test]
fn the_page_of_one_node_shows_its_peers_as_elsewhere() {
    let stage = Stage::new(1);
    play("alone", &stage);
}
