//! The accept thread: a session thread for each connection.
//!
//! Clients have `--max-connections` places. Beyond these there are [`PEER_RESERVE`] places in which a connection may
//! show that it is a peer. A connection that shows nothing leaves such a place after [`RESERVE_PATIENCE`], or earlier
//! if all are taken and another connection comes. So clients that connect again as soon as they are turned away cannot
//! keep a peer out. On a node with a secret, connections that have not shown it keep no place that another needs: see
//! [`strangers`](super::strangers).
//!
//! [`RESERVE_PATIENCE`]: crate::limits::RESERVE_PATIENCE

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use log::warn;
use socket2::{SockRef, TcpKeepalive};

use super::Shared;
use super::clients::{Clients, Incoming};
use super::session::{self, TOO_MANY, Welcome};
use crate::limits::{
    ACCEPT_PAUSE, KEEPALIVE_AFTER, PEER_RESERVE, READ_ON_AFTER, SESSION_STACK_BYTES, TURNED_AWAY_AT_ONCE,
};
use crate::replication::queue::Outbox;
use crate::secret::Role;

/// Accepts connections until the node stops. Returns the threads of those that may still be open.
pub(super) fn run(node: &Arc<Shared>, listener: &TcpListener, outbox: &Outbox) -> Vec<JoinHandle<()>> {
    let mut reserve = Reserve::default();
    let mut sessions: Vec<JoinHandle<()>> = Vec::new();
    let mut prune_at = 64;
    let mut failing = false;
    let most = node.config.max_connections + PEER_RESERVE + TURNED_AWAY_AT_ONCE;
    loop {
        let accepted = listener.accept();
        if node.stop.is_stopping() {
            return sessions;
        }
        if accepted.is_ok() && node.clients.connected() >= most {
            node.clients.rejected.fetch_add(1, Relaxed);
            continue;
        }
        let served = accepted.and_then(|(stream, address)| serve(node, stream, address, outbox, &mut reserve));
        match served {
            Ok(session) => {
                sessions.push(session);
                failing = false;
            }
            // The machine is out of descriptors, memory or threads; later there will be some again. (A client that
            // hangs up while it waits in the backlog gives an error, too.)
            Err(error) => {
                if !failing {
                    warn!("{}: cannot accept a connection: {error}; retrying in {ACCEPT_PAUSE:?}", node.name());
                }
                failing = true;
                node.stop.wait(ACCEPT_PAUSE);
            }
        }
        if sessions.len() >= prune_at {
            sessions.retain(|session| !session.is_finished());
            prune_at = 64 + 2 * sessions.len();
        }
    }
}

/// Starts the session of one connection.
fn serve(
    node: &Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    outbox: &Outbox,
    reserve: &mut Reserve,
) -> io::Result<JoinHandle<()>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(READ_ON_AFTER))?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    let (client, connected) = node.clients.add(stream, address);
    let most = node.config.max_connections;
    if connected > most {
        node.report(&format!("all {most} places for connections are taken (--max-connections)"));
    }
    let welcome = match connected.saturating_sub(most) {
        0 => Welcome::Everybody,
        _ if node.clients.make_room() => Welcome::Everybody,
        beyond => reserve.admit(&client, beyond, &node.clients),
    };
    if node.config.secrets.role_of_strangers() == Role::Stranger && welcome == Welcome::Everybody {
        node.clients.add_stranger(&client);
    }
    let thread = thread::Builder::new().name(format!("{} session", node.name())).stack_size(SESSION_STACK_BYTES);
    let (shared, outbox, ended) = (Arc::clone(node), outbox.clone(), Arc::clone(&client));
    let spawned = thread.spawn(move || session::run(&shared, &client, outbox, welcome));
    spawned.inspect_err(|_| {
        node.clients.rejected.fetch_add(1, Relaxed);
        node.clients.remove(&ended);
    })
}

/// The connections that were given a place beyond `--max-connections`, oldest first. Not counted here: `Clients` counts
/// them, until their sessions have ended.
#[derive(Default)]
struct Reserve(VecDeque<Weak<Incoming>>);

impl Reserve {
    /// Gives a connection a place if there is one, or if an older connection makes room. It is number `beyond` of those
    /// beyond `--max-connections`.
    fn admit(&mut self, client: &Arc<Incoming>, beyond: usize, clients: &Clients) -> Welcome {
        if beyond > PEER_RESERVE && !self.make_room(clients) {
            return Welcome::Nobody;
        }
        self.0.retain(|open| open.strong_count() > 0);
        self.0.push_back(Arc::downgrade(client));
        Welcome::PeersOnly
    }

    /// Turns away the oldest connection that has not shown that it is a peer; returns whether there was one.
    fn make_room(&mut self, clients: &Clients) -> bool {
        let last_words = format!("-ERR {TOO_MANY}\r\n");
        while let Some(oldest) = self.0.pop_front() {
            if oldest.upgrade().is_some_and(|client| clients.turn_away(&client, last_words.as_bytes())) {
                return true;
            }
        }
        false
    }
}
