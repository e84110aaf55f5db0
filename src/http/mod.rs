//! The page: a small HTTP server that shows what the nodes of this process do, and lets a learner try what they do when
//! something fails.
//!
//! ```text
//!   browser ── GET /, /events, POST /command ──▶ accept ──▶ a thread for each connection
//!                                                            │  ▲
//!                                  opens a page (bounded)    ▼  │ news, put into words once (bounded, never waits)
//!   nodes ── exchanges, keys (bounded, never wait) ───────▶ feed ◀── stats and stores, four times a second
//! ```
//!
//! | path | answers |
//! |---|---|
//! | `GET /` | the page: one file, without anything from elsewhere |
//! | `GET /events` | Server-Sent Events: the state, and the messages between nodes |
//! | `GET /branch?prefix=a3` | what lies below a branch of the digest tree, on each node |
//! | `GET /healthz`, `GET /readyz` | whether this process serves; whether no node is loading or stopped |
//! | `POST /command` | runs a command line on a node, as a client does: `{"node": …, "line": …}` |
//! | `POST /stop`, `POST /start` | stops a node, and starts it again: `{"node": …}` |
//!
//! Every answer ends its connection, which keeps the server small. A server for many users would keep connections open
//! and speak TLS; put a reverse proxy in front of it for that. `access.rs` says who may ask.
//!
//! To stop it ([`Server::stop`]): all sockets are shut down, which wakes the threads of the connections; the feed ends
//! when no page can be opened any more; all are joined.

mod access;
mod command;
mod connections;
mod differences;
mod feed;
pub mod metrics;
mod reply;
mod request;
mod state;
mod table;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use log::warn;
use parking_lot::Mutex;
use serde_json::Value;
use socket2::SockRef;

use crate::limits::{
    ACCEPT_PAUSE, HTTP_WRITE_TIMEOUT, MAX_HTTP_CONNECTIONS, MAX_PAGES, PAGE_QUEUE, PAGE_SEND_BUFFER_BYTES,
    SESSION_STACK_BYTES, WRONG_SECRET_DELAY,
};
use crate::node::cluster::{Cluster, Place};
use crate::node::watch::{Feed, Watch};
use crate::secret::Secret;
use crate::store::digest::Prefix;
use access::Access;
use connections::Connections;
use feed::News;
use reply::{Refusal, Reply, begin_events};
use request::Request;

/// The page, in which each `{nonce}` is replaced, and `{secret}` by whether there is one.
const PAGE: &str = include_str!("page.html");

/// The page's server, which listens, but does not answer yet.
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
}

impl BoundServer {
    /// Listens on an address, for those who know the secret if there is one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn bind(address: &str, secret: Option<Secret>) -> io::Result<Self> {
        let resolved = address.to_socket_addrs()?.next();
        let listener = TcpListener::bind(resolved.ok_or_else(|| io::Error::other("the name has no address"))?)?;
        let bound = listener.local_addr()?;
        Ok(Self { listener, address: bound, access: Access::new(address, bound, secret) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the server. `watch` and `feed` are those of the nodes.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(self, cluster: Arc<Cluster>, watch: Arc<Watch>, feed: Feed) -> io::Result<Server> {
        let Self { listener, address, access } = self;
        let (opened, pages) = bounded(MAX_PAGES);
        let (stopping, stop) = bounded(0);
        let shared = Arc::new(Shared {
            cluster: Arc::clone(&cluster),
            access,
            connections: Connections::default(),
            pages: AtomicUsize::new(0),
            opened: Mutex::new(Some(opened)),
            stop,
        });
        let tell = move || feed::run(&cluster, &watch, &feed, &pages);
        let feed = thread::Builder::new().name("page feed".into()).spawn(tell)?;
        let served = Arc::clone(&shared);
        let accept = thread::Builder::new().name("page accept".into()).spawn(move || accept(&served, &listener))?;
        Ok(Server { shared, address, stopping, accept, feed })
    }
}

/// The page's server.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Closed to stop the server.
    stopping: Sender<()>,
    accept: JoinHandle<Vec<JoinHandle<()>>>,
    feed: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and returns when every thread has ended. The nodes run on.
    pub fn stop(self) {
        let Self { shared, address, stopping, accept, feed } = self;
        drop(stopping);
        drop(shared.opened.lock().take());
        shared.connections.end();
        let connections = join(wake(accept, address));
        connections.into_iter().for_each(join);
        join(feed);
    }
}

/// What the threads of the server share.
struct Shared {
    cluster: Arc<Cluster>,
    access: Access,
    connections: Connections,
    /// How many pages are open.
    pages: AtomicUsize,
    /// Where a page is opened; `None` when the server stops.
    opened: Mutex<Option<Sender<Sender<News>>>>,
    /// Closed when the server stops.
    stop: Receiver<()>,
}

/// Counts one of something until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// `None` if there are `most` already.
    fn one_of(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let counted = count.fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1));
        counted.ok().map(|_| Self(count))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Accepts connections until the server stops. Returns the threads of those that may still be open.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) -> Vec<JoinHandle<()>> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if shared.stop.try_recv() == Err(TryRecvError::Disconnected) {
            return threads;
        }
        threads.retain(|thread| !thread.is_finished());
        let served = accepted.and_then(|(stream, _)| {
            if threads.len() >= MAX_HTTP_CONNECTIONS {
                // Not worth a thread: it is closed without a word.
                return Ok(None);
            }
            let shared = Arc::clone(shared);
            let thread = thread::Builder::new().name("page connection".into()).stack_size(SESSION_STACK_BYTES);
            thread.spawn(move || serve(&shared, &stream)).map(Some)
        });
        match served {
            Ok(thread) => threads.extend(thread),
            Err(error) => {
                warn!("the page: cannot accept a connection: {error}; retrying in {ACCEPT_PAUSE:?}");
                let _ = shared.stop.recv_timeout(ACCEPT_PAUSE);
            }
        }
    }
}

/// Serves one connection. What fails on the way is the other side's business: the connection ends.
fn serve(shared: &Shared, stream: &TcpStream) {
    let Ok(_watched) = shared.connections.watch(stream) else { return };
    if stream.set_write_timeout(Some(HTTP_WRITE_TIMEOUT)).is_err() {
        return;
    }
    let reply = match Request::read(stream) {
        Ok(None) => return,
        Ok(Some(request)) => match answer(shared, stream, &request) {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(refusal) => refusal.into(),
        },
        Err(refusal) => refusal.into(),
    };
    let _ = reply.send(stream);
}

/// Answers a request; `Ok(None)` if it has been answered.
fn answer(shared: &Shared, stream: &TcpStream, request: &Request) -> Result<Option<Reply>, Refusal> {
    let local = stream.local_addr().map_err(|error| Refusal::new(500, error.to_string()))?;
    shared.access.check_origin(request, local)?;
    let is_post = match request.path.as_str() {
        "/" | "/healthz" | "/readyz" | "/events" | "/branch" => false,
        "/command" | "/stop" | "/start" => true,
        _ => return Err(Refusal::new(404, "there is nothing here; the page is at /")),
    };
    match (request.method.as_str(), is_post) {
        ("GET", false) | ("POST", true) => {}
        (_, false) => return Err(Refusal::new(405, "only GET works here").with_header("Allow: GET\r\n")),
        (_, true) => return Err(Refusal::new(405, "only POST works here").with_header("Allow: POST\r\n")),
    }
    let word = match request.path.as_str() {
        "/" => return page(shared.access.needs_secret()).map(Some),
        "/healthz" => return Ok(Some(Reply::text("ok\n"))),
        "/readyz" => return Ok(Some(readiness(shared))),
        _ => shared.check_secret(request)?,
    };
    match request.path.as_str() {
        "/events" => return events(shared, stream).map(|()| None),
        "/branch" => return branch(shared, request).map(Some),
        _ => Access::check_post(request)?,
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::new(400, "the body is no JSON"))?;
    let place = shared.place(&body)?;
    let done = match request.path.as_str() {
        "/command" => {
            let line = body["line"].as_str().ok_or_else(|| Refusal::new(400, "line: the command is missing"))?;
            if !place.is_running() {
                return Err(Refusal::new(409, format!("{} is stopped: start it first", place.name())));
            }
            command::run(&shared.connections, place.address(), word, line)?
        }
        "/stop" if shared.cluster.stop_node(place) => format!("{} is stopped", place.name()),
        "/stop" => format!("{} was stopped already", place.name()),
        _ => match shared.cluster.start_node(place) {
            Ok(true) => format!("{} runs again", place.name()),
            Ok(false) => format!("{} runs already", place.name()),
            Err(why) => return Err(Refusal::new(500, format!("{} cannot start: {why}", place.name()))),
        },
    };
    Ok(Some(Reply::text(done)))
}

impl Shared {
    /// Checks the secret; returns the word that was said if one is needed. A wrong one is counted, and waits.
    fn check_secret<'r>(&self, request: &'r Request) -> Result<Option<&'r str>, Refusal> {
        let word = self.access.word_of(request)?;
        if word.is_none_or(|word| self.access.is_secret(word)) {
            return Ok(word);
        }
        if let Some(place) = self.cluster.places().iter().find(|place| place.is_running()) {
            place.with(crate::node::Node::count_wrong_secret);
        }
        let _ = self.stop.recv_timeout(WRONG_SECRET_DELAY);
        Err(Refusal::new(401, "this is not the secret").with_header("WWW-Authenticate: Bearer\r\n"))
    }

    /// The place of the node that a body names.
    fn place(&self, body: &Value) -> Result<&Place, Refusal> {
        let place = body["node"].as_str().and_then(|name| self.cluster.place(name));
        place.ok_or_else(|| {
            let names: Vec<&str> = self.cluster.places().iter().map(Place::name).collect();
            Refusal::new(404, format!("node: this process has {}", names.join(", ")))
        })
    }
}

/// The page, with a number that only this answer knows: what has crept in without it does not run.
fn page(needs_secret: bool) -> Result<Reply, Refusal> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Refusal::new(500, format!("no random numbers: {error}")))?;
    let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = if needs_secret { "yes" } else { "no" };
    Ok(Reply::page(PAGE.replace("{nonce}", &nonce).replace("{secret}", secret), &nonce))
}

fn readiness(shared: &Shared) -> Reply {
    let is_loading = |place: &&Place| place.with(|node| node.stats().loading).unwrap_or(true);
    let not_ready: Vec<&str> = shared.cluster.places().iter().filter(is_loading).map(Place::name).collect();
    match not_ready.is_empty() {
        true => Reply::text("ready\n"),
        false => Reply::text(format!("loading or stopped: {}\n", not_ready.join(", "))).with_status(503),
    }
}

fn branch(shared: &Shared, request: &Request) -> Result<Reply, Refusal> {
    let prefix = request.query_part("prefix").and_then(|prefix| Prefix::parse(prefix.as_bytes()));
    let told = prefix.and_then(|prefix| state::branch(&shared.cluster, prefix));
    let told = told.ok_or_else(|| Refusal::new(400, "prefix: give none, two or four hex digits, as in ?prefix=a3"))?;
    Ok(Reply::json(&told))
}

/// Tells a page what happens, until it goes or the server stops.
fn events(shared: &Shared, stream: &TcpStream) -> Result<(), Refusal> {
    let too_many = || Refusal::new(503, format!("{MAX_PAGES} pages are open already: close one"));
    let _counted = Counted::one_of(&shared.pages, MAX_PAGES).ok_or_else(too_many)?;
    let (told, news) = bounded::<News>(PAGE_QUEUE);
    let stopping = || Refusal::new(503, "the program is stopping");
    // Not worth an error: the page only loses events later.
    let _ = SockRef::from(stream).set_send_buffer_size(PAGE_SEND_BUFFER_BYTES);
    let _ = stream.set_nodelay(true);
    let opened = shared.opened.lock().clone().ok_or_else(stopping)?;
    opened.send(told).map_err(|_| stopping())?;
    drop(opened);
    let mut written = begin_events(stream);
    while written.is_ok() {
        let Ok(news) = news.recv() else { break };
        written = reply::write(stream, news.as_bytes());
    }
    Ok(())
}

/// Wakes the accept thread, which then sees that the server stops.
fn wake<T>(accept: JoinHandle<T>, address: SocketAddr) -> JoinHandle<T> {
    while !accept.is_finished() {
        // An error says that the thread woke by itself, and has closed the port already.
        let _ = TcpStream::connect_timeout(&command::reachable(address), ACCEPT_PAUSE);
        thread::yield_now();
    }
    accept
}

/// Waits for a thread's end. A panic in it was a bug of ours, and was printed when it happened. Stopping goes on.
fn join<T: Default>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_default()
}
