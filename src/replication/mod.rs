//! How nodes agree. As pure as the store: no sockets, threads, chance or time of day; these come in as arguments.
//!
//! In reading order: [`message`] is the specification of what nodes say to each other, [`replica`] a node's state and what it
//! answers, [`reconcile`] the side that asks, and [`tombstones`] the rule by which deletes are forgotten.
//!
//! Because nothing here waits or looks at a clock, the same code runs behind sockets in [`node`](crate::node), and under a
//! simulator that loses, delays and repeats messages as a seed says.

pub mod message;
pub mod reconcile;
pub mod replica;
pub mod tombstones;

use std::fmt;

use message::{Reply, Request};

/// A peer as the asking side sees it: something that takes requests in order and answers them.
///
/// There are two: a TCP connection, and a simulated one.
pub trait Peer {
    /// Sends the requests that `prepare` makes and returns their replies, one for each, in order. Nothing else travels to this
    /// peer between the call of `prepare` and the last reply. That makes it safe to look entries up in `prepare`: nobody can
    /// confirm anything newer to the peer before they are sent.
    ///
    /// After an error nobody knows which of the requests were carried out. All may be repeated.
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError>;

    /// Sends one request and returns its reply.
    fn ask(&mut self, request: Request) -> Result<Reply, PeerError> {
        let mut request = Some(request);
        let mut replies = self.exchange(&mut || request.take().into_iter().collect())?;
        replies.pop().ok_or_else(|| PeerError::Malformed("no reply".into()))
    }
}

/// Why a peer did not answer as it should. The state of both nodes is good in every case; all are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerError {
    /// No connection could be made on which the peer accepts us: the peer is down, the network is, or the peer refuses us.
    Unreachable(String),
    /// The peer is connected, but does not answer in time: it hangs, or the network does.
    Silent(String),
    /// The connection broke: the network's fault, or the peer has just ended.
    Lost(String),
    /// The peer does not want to speak with us; it says why. Somebody's configuration is wrong, or we were cut off for long.
    Refused(String),
    /// What came is no reply to what was asked: a fault of the peer's, or another program stands there.
    Malformed(String),
}

impl PeerError {
    /// The same trouble, where it came before the connection was open for use. Then the peer was not reached; but one that takes a
    /// connection and stays silent was.
    #[must_use]
    pub fn while_connecting(self) -> Self {
        match self {
            Self::Silent(why) => Self::Silent(why),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Silent(why) | Self::Lost(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Malformed(why) => write!(f, "not a kvstore peer: {why}"),
        }
    }
}

impl std::error::Error for PeerError {}
