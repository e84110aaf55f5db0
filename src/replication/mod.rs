//! How nodes agree. As pure as the store: no sockets, threads, chance or time of day; these come in as arguments.
//!
//! In reading order: [`message`] is the specification of what nodes say to each other, [`replica`] a node's state,
//! [`responder`] what it answers. [`propagate`] sends each write to the peers at once, [`reconcile`] makes two nodes
//! equal whatever was lost, and [`tombstones`] is the rule by which deletes are forgotten. Then the plumbing:
//! [`journal`] is what must outlive the process, [`confirmation`] and [`old_copies`] how an old copy of a disk is
//! recognised, [`steps`] how several writes become one step, [`member`] one of the other nodes, `members.rs` the table
//! of all, [`queue`] what waits for a peer, [`delivery`] what a peer is known to hold, [`waits`] who waits for it,
//! [`conflicts`] what was overruled by a write that had not seen it, [`holdup`] what keeps deletes from being
//! forgotten, `branches.rs` what a round names and looks up, [`wire`] and `greeting.rs` turn messages into bytes,
//! [`describe`] into words.
//!
//! Because nothing here waits or looks at a clock, the same code runs behind sockets in [`node`](crate::node), and
//! under a simulator that loses, delays and repeats messages as a seed says.

mod branches;
pub mod confirmation;
pub mod conflicts;
pub mod delivery;
pub mod describe;
mod greeting;
pub mod holdup;
pub mod journal;
pub mod member;
mod members;
pub mod message;
pub mod old_copies;
pub mod propagate;
pub mod queue;
pub mod reconcile;
pub mod replica;
pub mod responder;
pub mod steps;
pub mod tombstones;
pub mod waits;
pub mod wire;

use std::fmt;

use crate::framing::printable_text;
use message::{Reply, Request};

/// A peer as the asking side sees it: something that takes requests in order and answers them.
///
/// There are two: a TCP connection, and a simulated one.
pub trait Peer {
    /// Sends the requests that `prepare` makes and returns their replies, one for each, in order. Nothing else travels
    /// to this peer between the call of `prepare` and the last reply. That makes it safe to look entries up in
    /// `prepare`: nothing newer can be confirmed to the peer before they are sent.
    ///
    /// After an error, any of the requests may have been carried out. All may be repeated.
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
    /// No connection could be made on which the peer accepts us: the peer is down, the network is, or the peer refuses
    /// us.
    Unreachable(String),
    /// The peer is connected, but does not answer in time: it hangs, or the network does.
    Silent(String),
    /// The connection broke: the network's fault, or the peer has just ended.
    Lost(String),
    /// The peer refuses to speak with us, and says why. One side's configuration is wrong, or we were dismissed.
    Refused(String),
    /// This node is new, and does not know yet whether it may speak with the peer. Its next tick will show.
    NotYet(String),
    /// The peer says that our disk is an old copy. This node must stop.
    OldCopy(String),
    /// What came does not follow the protocol: a fault of the peer's, or another program stands there.
    Malformed(String),
}

impl PeerError {
    /// The same error, where it came before the connection was open for use. Then the peer was not reached, unless it
    /// has accepted the connection and stays silent, or it is this node that is not ready.
    #[must_use]
    pub fn while_connecting(self) -> Self {
        match self {
            Self::Silent(_) | Self::NotYet(_) | Self::OldCopy(_) => self,
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Silent(why) | Self::Lost(why) | Self::NotYet(why) | Self::OldCopy(why) => {
                f.write_str(why)
            }
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Malformed(why) => write!(f, "not a kvstore peer: {why}"),
        }
    }
}

impl std::error::Error for PeerError {}

/// The error of a reply that does not answer the request.
fn unexpected(reply: Reply) -> PeerError {
    match reply {
        Reply::Refused(why) => PeerError::Refused(why),
        Reply::OldCopy(why) => PeerError::OldCopy(why),
        other => {
            let shown = printable_text(other.to_string().as_bytes());
            PeerError::Malformed(format!("the reply does not match the request: {shown}"))
        }
    }
}
