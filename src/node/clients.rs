//! The connections that are open, for CLIENT LIST, for INFO, and for the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use crate::commands::Listed;

/// Everybody who is connected.
#[derive(Default)]
pub(super) struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
    /// How many stand in `open`.
    connected: AtomicUsize,
    /// How many ever came; numbers them.
    accepted: AtomicU64,
    /// How many were turned away because too many were connected.
    pub(super) rejected: AtomicU64,
    /// How many commands were answered.
    pub(super) commands: AtomicU64,
}

/// One connection.
pub(super) struct Client {
    /// The number of the connection.
    pub(super) id: u64,
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    since: Instant,
    /// The name of the node whose connection this is, once it has said PEER.
    peer: OnceLock<String>,
    /// What the client calls itself.
    pub(super) name: Mutex<Vec<u8>>,
}

impl Clients {
    /// Notes a new connection, and returns it with how many there are now.
    pub(super) fn add(&self, stream: TcpStream, address: SocketAddr) -> (Arc<Client>, usize) {
        let id = self.accepted.fetch_add(1, Relaxed) + 1;
        let client = Arc::new(Client {
            id,
            stream,
            address,
            since: Instant::now(),
            peer: OnceLock::new(),
            name: Mutex::default(),
        });
        self.open.lock().insert(id, Arc::clone(&client));
        (client, self.connected.fetch_add(1, Relaxed) + 1)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, client: &Client) {
        if self.open.lock().remove(&client.id).is_some() {
            self.connected.fetch_sub(1, Relaxed);
        }
    }

    /// How many ever came.
    pub(super) fn received(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// How many are connected.
    pub(super) fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Notes that `client` is a connection of the node `peer`, and ends the older ones of that node, which it has revoked: nobody else may
    /// ever notice that they are dead.
    pub(super) fn end_older(&self, client: &Client, peer: &str) {
        if client.peer.set(peer.to_string()).is_err() {
            return;
        }
        let open = self.open.lock();
        let same_peer = |other: &&Arc<Client>| other.peer.get().is_some_and(|name| name == peer);
        for older in open.range(..client.id).map(|(_, other)| other).filter(same_peer) {
            let _ = older.stream.shutdown(Shutdown::Both);
        }
    }

    /// Turns a client away with these last words, to make room. Returns whether it did: not if it is a node's.
    pub(super) fn turn_away(&self, client: &Client, last_words: &[u8]) -> bool {
        if client.peer.get().is_some() {
            return false;
        }
        // If the session has turned it away already, this write fails, and the session has counted it.
        if (&client.stream).write_all(last_words).is_ok() {
            self.rejected.fetch_add(1, Relaxed);
        }
        let _ = client.stream.shutdown(Shutdown::Both);
        true
    }

    /// Ends all connections: whoever waits on one is woken.
    pub(super) fn shut_down(&self) {
        for client in self.open.lock().values() {
            // An error says that the client has gone already.
            let _ = client.stream.shutdown(Shutdown::Both);
        }
    }

    /// A line for each of these connections, as Redis writes them.
    pub(super) fn list(&self, which: &Listed) -> String {
        let is_listed = |client: &&Arc<Client>| match which {
            Listed::All => true,
            Listed::Ids(ids) => ids.contains(&client.id),
            Listed::Clients => client.peer.get().is_none(),
            Listed::Peers => client.peer.get().is_some(),
            Listed::Nothing => false,
        };
        let line = |client: &Arc<Client>| {
            let Client { id, address, since, name, .. } = &**client;
            let name = name.lock().escape_ascii().to_string();
            format!("id={id} addr={address} name={name} age={} db=0\n", since.elapsed().as_secs())
        };
        self.open.lock().values().filter(is_listed).map(line).collect()
    }
}
