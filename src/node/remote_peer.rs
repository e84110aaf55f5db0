//! The peer at the other end of a link, as the replication code sees it.

use std::sync::atomic::Ordering::Relaxed;

use super::connection::ConnectionNumber;
use super::link::Link;
use crate::replication::message::{Reply, Request};
use crate::replication::replica::Replica;
use crate::replication::{Peer, PeerError};

/// The peer at the other end of a link, as the replication code sees it.
pub(super) struct RemotePeer<'a> {
    link: &'a Link,
    replica: &'a Replica,
    purpose: Purpose,
}

/// What a thread uses a link for.
enum Purpose {
    /// Messages that may travel on any connection.
    Propagation,
    /// A round, which must stay on the connection of its first exchange.
    Round { began_on: Option<ConnectionNumber> },
}

impl<'a> RemotePeer<'a> {
    /// The peer for one round, which must stay on one connection.
    pub(super) fn for_round(link: &'a Link, replica: &'a Replica) -> Self {
        Self { link, replica, purpose: Purpose::Round { began_on: None } }
    }

    /// The peer for messages that may travel on any connection.
    pub(super) fn for_propagation(link: &'a Link, replica: &'a Replica) -> Self {
        Self { link, replica, purpose: Purpose::Propagation }
    }

    /// Ends the connection of a round that has failed, if that did not end it already. The next round starts on a new
    /// one, whatever went wrong on this.
    pub(super) fn abandon(self) {
        if let Some(number) = self.began_on() {
            self.link.end(number);
        }
    }

    fn began_on(&self) -> Option<ConnectionNumber> {
        match self.purpose {
            Purpose::Propagation => None,
            Purpose::Round { began_on } => began_on,
        }
    }
}

impl Peer for RemotePeer<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        let mut slot = self.link.connection.lock();
        if self.link.faults.is_cut() {
            self.link.end_locked(&mut slot);
            return Err(PeerError::Lost("the link is cut; MEND mends it".into()));
        }
        let open = slot.as_ref().map(|connection| connection.number);
        if self.began_on().is_some_and(|number| open != Some(number)) {
            return Err(PeerError::Lost("the connection broke during the round".into()));
        }
        let connection = match &mut *slot {
            Some(connection) => connection,
            None => slot.insert(self.link.open(self.replica).map_err(PeerError::while_connecting)?),
        };
        let (sent, received) = (connection.sent, connection.received);
        let io_timeout = self.link.timeouts().io;
        let result = connection.set_io_timeout(io_timeout).and_then(|()| connection.exchange(prepare));
        if let Purpose::Round { began_on } = &mut self.purpose {
            *began_on = Some(connection.number);
            self.link.counters.sync_sent.fetch_add(connection.sent - sent, Relaxed);
            self.link.counters.sync_received.fetch_add(connection.received - received, Relaxed);
        }
        let refused = |replies: &Vec<Reply>| replies.iter().any(|reply| matches!(reply, Reply::Refused(_)));
        if result.as_ref().map_or(true, refused) {
            self.link.end_locked(&mut slot);
        }
        result
    }
}
