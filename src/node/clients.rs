//! The accepted connections that are open, for CLIENT LIST, for INFO, and for the end.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::libc::MSG_DONTWAIT;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;
use socket2::SockRef;

use super::late::Late;
use super::strangers::Strangers;
use crate::commands::host::ConnectionInfo;
use crate::histogram::Histogram;

/// Said to a stranger that makes room.
const TOO_MANY_STRANGERS: &str = "too many connections have not said the secret";

/// All open connections, clients' and peers'.
#[derive(Default)]
pub(super) struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Incoming>>>,
    /// Those that have not shown the secret yet, if there is one.
    strangers: Strangers,
    /// How many stand in `open`.
    connected: AtomicUsize,
    /// How many were accepted since the start; the next one's number is one more.
    accepted: AtomicU64,
    /// How many were turned away because too many were connected.
    pub(super) rejected: AtomicU64,
    /// How many commands were answered.
    pub(super) commands: AtomicU64,
    /// How long one of so many commands took ([`COMMANDS_PER_SAMPLE`](crate::limits::COMMANDS_PER_SAMPLE)).
    pub(super) durations: Histogram,
}

/// One accepted connection, a client's or a peer's.
pub(super) struct Incoming {
    /// The number of the connection.
    pub(super) id: u64,
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Where the node took it.
    local: Option<SocketAddr>,
    since: Instant,
    /// The name of the node whose connection this is, once it has said PEER.
    peer: OnceLock<String>,
    /// What the client calls itself.
    pub(super) name: Mutex<Vec<u8>>,
    /// Whether an answer waits for the disk without its session.
    pub(super) late: Late,
}

impl Incoming {
    /// Waits, until the node ends the connection: then its place is needed. What the client sends does not count, nor
    /// that it has said that it sends nothing more.
    pub(super) fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Without any flag, a socket that was shut down is all that is told.
            let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            if left.is_zero() || poll(&mut polled, timeout).is_ok_and(|ended| ended > 0) {
                return;
            }
        }
    }
}

impl Clients {
    /// Notes a new connection, and returns it with how many there are now.
    pub(super) fn add(&self, stream: TcpStream, address: SocketAddr) -> (Arc<Incoming>, usize) {
        let id = self.accepted.fetch_add(1, Relaxed) + 1;
        let incoming = Arc::new(Incoming {
            id,
            local: stream.local_addr().ok(),
            stream,
            address,
            since: Instant::now(),
            peer: OnceLock::new(),
            name: Mutex::default(),
            late: Late::default(),
        });
        self.open.lock().insert(id, Arc::clone(&incoming));
        (incoming, self.connected.fetch_add(1, Relaxed) + 1)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, incoming: &Incoming) {
        if self.open.lock().remove(&incoming.id).is_some() {
            self.connected.fetch_sub(1, Relaxed);
            self.strangers.remove(incoming);
        }
    }

    /// A connection has yet to show the secret, or has given its admission back.
    pub(super) fn add_stranger(&self, incoming: &Arc<Incoming>) {
        self.strangers.add(incoming);
    }

    /// A connection has shown the secret.
    pub(super) fn admit(&self, incoming: &Incoming) {
        self.strangers.remove(incoming);
    }

    /// Ends a stranger's connection to make room for another. Returns whether there was one.
    pub(super) fn make_room(&self) -> bool {
        let last_words = format!("-ERR {TOO_MANY_STRANGERS}\r\n");
        while let Some(stranger) = self.strangers.take_one() {
            if self.turn_away(&stranger, last_words.as_bytes()) {
                return true;
            }
        }
        false
    }

    /// How many were accepted since the start.
    pub(super) fn received(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// How many are connected.
    pub(super) fn connected(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Notes that `incoming` is a connection of the node `peer`, and ends that node's older connections. The new one
    /// has revoked them, and if their other end is dead, nothing else would ever end them.
    pub(super) fn end_older(&self, incoming: &Incoming, peer: &str) {
        if incoming.peer.set(peer.to_string()).is_err() {
            return;
        }
        let open = self.open.lock();
        let same_peer = |other: &&Arc<Incoming>| other.peer.get().is_some_and(|name| name == peer);
        for older in open.range(..incoming.id).map(|(_, other)| other).filter(same_peer) {
            let _ = older.stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections of a node.
    pub(super) fn end_all_of(&self, peer: &str) {
        for incoming in
            self.open.lock().values().filter(|incoming| incoming.peer.get().is_some_and(|name| name == peer))
        {
            let _ = incoming.stream.shutdown(Shutdown::Both);
        }
    }

    /// Turns a client away with these last words, to make room. Returns whether it did: not if it is a peer's
    /// connection.
    pub(super) fn turn_away(&self, incoming: &Incoming, last_words: &[u8]) -> bool {
        if incoming.peer.get().is_some() {
            return false;
        }
        // If the session has turned it away already, this write fails, and the session has counted it. One whose socket
        // takes no more does not read either: it is not waited for.
        if SockRef::from(&incoming.stream).send_with_flags(last_words, MSG_DONTWAIT).is_ok() {
            self.rejected.fetch_add(1, Relaxed);
        }
        let _ = incoming.stream.shutdown(Shutdown::Both);
        true
    }

    /// Ends the connection with this number. Returns whether there was one. A peer connects again, and must prove the
    /// secret that counts by then.
    pub(super) fn end(&self, id: u64) -> bool {
        let ended = self.open.lock().get(&id).cloned();
        // An error says that the other side has gone already.
        ended.inspect(|incoming| drop(incoming.stream.shutdown(Shutdown::Both))).is_some()
    }

    /// Ends all connections, and so wakes the threads that wait on them.
    pub(super) fn shut_down(&self) {
        for incoming in self.open.lock().values() {
            // An error says that the other side has gone already.
            let _ = incoming.stream.shutdown(Shutdown::Both);
        }
    }

    /// Up to so many connections, in the order in which they came, from the one with this number on. They are described
    /// without the lock: no connection is accepted and none ends while it is held.
    pub(super) fn list(&self, from: u64, most: usize) -> Vec<ConnectionInfo> {
        let some: Vec<Arc<Incoming>> =
            self.open.lock().range(from..).take(most).map(|(_, one)| Arc::clone(one)).collect();
        let info = |incoming: &Arc<Incoming>| ConnectionInfo {
            id: incoming.id,
            address: incoming.address,
            local: incoming.local,
            name: incoming.peer.get().map_or_else(|| incoming.name.lock().clone(), |peer| peer.clone().into_bytes()),
            age: incoming.since.elapsed(),
            is_peer: incoming.peer.get().is_some(),
        };
        some.iter().map(info).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    /// After so long something has failed.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// A connection that a node has taken, and its other end.
    fn connect(clients: &Clients) -> (Arc<Incoming>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let far = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (near, address) = listener.accept().expect("it has connected");
        (clients.add(near, address).0, far)
    }

    /// What was said on a connection before it was ended.
    fn last_words(mut far: &TcpStream) -> String {
        far.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let mut said = String::new();
        far.read_to_string(&mut said).expect("it is ended");
        said
    }

    /// Whether nothing was said on a connection, and it was not ended.
    fn is_untouched(mut far: &TcpStream) -> bool {
        far.set_nonblocking(true).expect("a socket");
        let read = far.read(&mut [0]);
        far.set_nonblocking(false).expect("a socket");
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    #[test]
    fn a_peers_new_connection_ends_its_older_ones_and_no_others() {
        let clients = Clients::default();
        let [client, other, oldest, old, newest, later] = [(); 6].map(|()| connect(&clients));
        clients.end_older(&other.0, "node3");
        clients.end_older(&oldest.0, "node2");
        clients.end_older(&old.0, "node2");
        clients.end_older(&later.0, "node2");
        // Its number is smaller than that of a connection that has greeted before.
        clients.end_older(&newest.0, "node2");
        [&oldest, &old].into_iter().for_each(|(_, far)| assert_eq!(last_words(far), ""));
        assert!([&client, &other, &newest, &later].into_iter().all(|(_, far)| is_untouched(far)));
        clients.end_all_of("node2");
        [&newest, &later].into_iter().for_each(|(_, far)| assert_eq!(last_words(far), ""));
        assert!(is_untouched(&client.1) && is_untouched(&other.1));
    }

    #[test]
    fn a_peer_makes_room_for_nobody_and_a_client_is_told_why() {
        let clients = Clients::default();
        let (client, peer) = (connect(&clients), connect(&clients));
        clients.end_older(&peer.0, "node2");
        assert!(!clients.turn_away(&peer.0, b"-ERR no room\r\n") && is_untouched(&peer.1));
        assert_eq!(clients.rejected.load(Relaxed), 0);
        assert!(clients.turn_away(&client.0, b"-ERR no room\r\n"));
        assert_eq!((last_words(&client.1).as_str(), clients.rejected.load(Relaxed)), ("-ERR no room\r\n", 1));
    }

    #[test]
    fn a_client_that_reads_nothing_is_turned_away_at_once() {
        let clients = Arc::new(Clients::default());
        let (client, far) = connect(&clients);
        client.stream.set_nonblocking(true).expect("a socket");
        while (&client.stream).write(&[0; 64 * 1024]).is_ok() {}
        client.stream.set_nonblocking(false).expect("a socket");
        let (done, is_done) = mpsc::channel();
        thread::spawn({
            let clients = Arc::clone(&clients);
            move || done.send(clients.turn_away(&client, b"-ERR no room\r\n"))
        });
        assert_eq!(is_done.recv_timeout(DEADLINE), Ok(true), "it waits for a client that does not read");
        assert_eq!(clients.rejected.load(Relaxed), 0, "it was told nothing");
        drop(far);
    }

    #[test]
    fn only_strangers_make_room() {
        let clients = Clients::default();
        let [admitted, gone, peer, stranger] = [(); 4].map(|()| connect(&clients));
        [&admitted, &gone, &peer, &stranger].into_iter().for_each(|(incoming, _)| clients.add_stranger(incoming));
        clients.admit(&admitted.0);
        clients.remove(&gone.0);
        clients.end_older(&peer.0, "node2");
        assert_eq!(clients.connected(), 3);
        assert!(clients.make_room());
        assert_eq!(last_words(&stranger.1), format!("-ERR {TOO_MANY_STRANGERS}\r\n"));
        assert!(!clients.make_room(), "there is no other");
        assert!(is_untouched(&admitted.1) && is_untouched(&peer.1));
        clients.add_stranger(&admitted.0);
        assert!(clients.make_room(), "one that has given its admission back");
    }

    #[test]
    fn a_list_has_so_many_from_a_number_on() {
        let clients = Clients::default();
        let open = [(); 5].map(|()| connect(&clients));
        clients.end_older(&open[2].0, "node2");
        clients.remove(&open[1].0);
        let listed = |from, most| -> Vec<(u64, bool)> {
            clients.list(from, most).iter().map(|info| (info.id, info.is_peer)).collect()
        };
        assert_eq!(listed(0, 2), [(1, false), (3, true)]);
        assert_eq!(listed(2, 10), [(3, true), (4, false), (5, false)]);
        assert!(listed(6, 10).is_empty());
        assert!(clients.end(5));
        assert_eq!(last_words(&open[4].1), "");
        assert!(!clients.end(2) && !clients.end(6), "there is none of this number");
    }

    #[test]
    fn who_waits_does_so_until_the_node_ends_the_connection_whatever_the_client_does() {
        let clients = Clients::default();
        let (client, far) = connect(&clients);
        (&far).write_all(b"more").expect("a socket");
        far.shutdown(Shutdown::Write).expect("a socket");
        let began = Instant::now();
        client.wait(Duration::from_millis(100));
        assert!(began.elapsed() >= Duration::from_millis(100), "what the client sends does not end it");
        let (done, is_done) = mpsc::channel();
        thread::spawn({
            let client = Arc::clone(&client);
            move || {
                client.wait(Duration::from_secs(3600));
                done.send(())
            }
        });
        assert!(clients.end(client.id));
        assert_eq!(is_done.recv_timeout(DEADLINE), Ok(()));
    }
}
