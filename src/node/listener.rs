//! The accept thread: a session thread for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};

use log::warn;
use socket2::{SockRef, TcpKeepalive};

use super::Shared;
use super::session::{self, Welcome};
use crate::limits::{
    ACCEPT_PAUSE, KEEPALIVE_AFTER, PEER_RESERVE, READ_ON_AFTER, SESSION_STACK_BYTES, TURNED_AWAY_AT_ONCE,
};
use crate::replication::propagate::Outbox;

/// Accepts connections until the node stops; returns the threads of those that may still be open.
pub(super) fn run(node: &Arc<Shared>, listener: &TcpListener, outbox: &Outbox) -> Vec<JoinHandle<()>> {
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
        let served = accepted.and_then(|(stream, address)| serve(node, stream, address, outbox));
        match served {
            Ok(session) => {
                sessions.push(session);
                failing = false;
            }
            // Out of descriptors, memory or threads, all of which come back. A client that hangs up while it waits is none.
            Err(error) => {
                if !failing {
                    warn!("{}: cannot accept a connection: {error}; trying on", node.name());
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
    address: std::net::SocketAddr,
    outbox: &Outbox,
) -> io::Result<JoinHandle<()>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(READ_ON_AFTER))?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER))?;
    let (client, connected) = node.clients.add(stream, address);
    let welcome = match connected.saturating_sub(node.config.max_connections) {
        0 => Welcome::Everybody,
        1..=PEER_RESERVE => Welcome::PeersOnly,
        _ => Welcome::Nobody,
    };
    let thread = thread::Builder::new().name(format!("{} session", node.name())).stack_size(SESSION_STACK_BYTES);
    let (shared, outbox, ended) = (Arc::clone(node), outbox.clone(), Arc::clone(&client));
    let spawned = thread.spawn(move || session::run(&shared, &client, outbox, welcome));
    spawned.inspect_err(|_| {
        node.clients.rejected.fetch_add(1, Relaxed);
        node.clients.remove(&ended);
    })
}
