//! Who speaks on a connection.

use std::time::Duration;

use super::Shared;
use super::client::ClientSide;
use super::clients::Incoming;
use super::peer_session::PeerSide;

/// The other side of a connection.
pub(super) enum Speaker<'a> {
    /// A client. Every connection counts as a client's until it says PEER.
    Client(ClientSide<'a>),
    /// Another node.
    Peer(PeerSide<'a>),
}

impl<'a> Speaker<'a> {
    /// From here on the other side is a peer, if it was not before.
    pub(super) fn become_peer(&mut self, node: &'a Shared, incoming: &'a Incoming) {
        if !self.is_peer() {
            *self = Self::Peer(PeerSide::new(node, incoming));
        }
    }

    /// Before the session waits for anything: ends the step that a client's commands share, or the batch of a peer.
    pub(super) fn let_go(&mut self) {
        match self {
            Self::Client(client) => client.let_go(),
            Self::Peer(peer) => peer.end_batch(),
        }
    }

    pub(super) fn is_peer(&self) -> bool {
        matches!(self, Self::Peer(_))
    }

    /// Whether a client has said the secret, or a peer has proved it, or there is none.
    pub(super) fn is_admitted(&self) -> bool {
        match self {
            Self::Client(client) => client.is_admitted(),
            Self::Peer(peer) => peer.is_admitted(),
        }
    }

    /// How long the other side may be silent; `None`: for ever. A peer is silent for as long as nothing changes.
    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        match self {
            Self::Client(client) => client.idle_timeout(),
            Self::Peer(_) => None,
        }
    }
}
