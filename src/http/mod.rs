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
//! Every answer ends its connection, which keeps the server small. A server for many users would keep connections open
//! and speak TLS; put a reverse proxy in front of it for that. `routes.rs` lists what may be asked, `access.rs` who may
//! ask.
//!
//! To stop it ([`Server::stop`]): all sockets are shut down, which wakes the threads of the connections; the feed ends
//! when no page can be opened any more; all are joined.

mod access;
mod command;
mod connections;
mod differences;
mod feed;
pub mod metrics;
mod page;
mod reply;
mod request;
mod routes;
mod state;
mod table;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use log::warn;
use parking_lot::Mutex;

use crate::limits::{ACCEPT_PAUSE, HTTP_WRITE_TIMEOUT, MAX_HTTP_CONNECTIONS, MAX_PAGES, SESSION_STACK_BYTES};
use crate::node::cluster::Cluster;
use crate::node::guesses::Guesses;
use crate::node::threads::{join, wake};
use crate::node::watch::{Feed, Watch};
use crate::secret::Secrets;
use access::Access;
use connections::Connections;
use feed::News;
use request::Request;

/// The page's server, which listens, but does not answer yet.
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
    access: Access,
}

impl BoundServer {
    /// Listens on an address, for those who know a secret if there is one.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn bind(address: &str, secrets: Arc<Secrets>) -> io::Result<Self> {
        let resolved = address.to_socket_addrs()?.next();
        let listener = TcpListener::bind(resolved.ok_or_else(|| io::Error::other("the name has no address"))?)?;
        let bound = listener.local_addr()?;
        Ok(Self { listener, address: bound, access: Access::new(address, bound, secrets) })
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
            guesses: Guesses::default(),
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
    /// The secrets that were said while no node runs.
    guesses: Guesses,
    /// Where a page is opened; `None` when the server stops.
    opened: Mutex<Option<Sender<Sender<News>>>>,
    /// Closed when the server stops.
    stop: Receiver<()>,
}

/// Accepts connections until the server stops. Returns the threads of those that may still be open.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) -> Vec<JoinHandle<()>> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let mut failing = false;
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
            Ok(thread) => {
                threads.extend(thread);
                failing = false;
            }
            Err(error) => {
                if !failing {
                    warn!("the page: cannot accept a connection: {error}; retrying in {ACCEPT_PAUSE:?}");
                }
                failing = true;
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
        Ok(Some(request)) => match routes::answer(shared, stream, &request) {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(refusal) => refusal.into(),
        },
        Err(refusal) => refusal.into(),
    };
    let _ = reply.send(stream);
}
