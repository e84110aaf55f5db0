//! The peer protocol. The two enums are its specification; [`wire`](super::wire) turns them into bytes and back.
//!
//! A node that wants something from a peer opens one connection to it, sends [`Request`]s and reads a [`Reply`] to
//! each, in order. Requests are RESP arrays on the port that clients use. After its first PEER, a connection speaks
//! this protocol only. Numbers are decimal text; digests, versions and timestamps are big-endian bytes. An entry has
//! one encoding everywhere, [`Record::encode`].
//!
//! In a cluster with a secret each message stands behind its seal, and who speaks has proved himself before the first
//! PEER: `auth.rs` and `seal.rs` of the node.
//!
//! Every request may be lost, or its reply may, and then it is sent again on a new connection. So each is idempotent.
//!
//! | request | sent by | when | if lost | if repeated or late |
//! |---|---|---|---|---|
//! | `PEER` | initiator | first on a connection; at the start of a round | no connection, or no round | merges the clock again; a *new* connection revokes older ones |
//! | `PROPAGATE` | replicator, round | after a write; for what the peer lacks | the key is kept and sent again; the next round finds it | loses against what stands there: same version |
//! | `DIGEST` | round | while the digests differ | the round fails | only reads |
//! | `LEAF` | round | for the leaves that differ | the round fails | only reads |
//! | `FETCH` | round | for what the peer has newer | the round fails | only reads |
//! | `CONFIRM` | round | when all of the above has succeeded and is durable | tombstones wait for the next round | the numbers only grow; on a revoked connection it is refused |

use std::fmt;

pub use super::confirmation::{Confirmation, Heard, StoreId};
use crate::store::arrival::Arrival;
use crate::store::clock::Timestamp;
use crate::store::digest::{Digest, FANOUT, Prefix};
use crate::store::record::Record;
use crate::store::version::{NodeId, Version};

/// The version of this protocol. A node refuses every other version: nodes that mix them could break what they agree
/// on.
pub const PROTOCOL: u16 = 7;

/// One life of a node's memory: a random number above 0, drawn when the node starts without its old data. Another
/// number says that the node's memory is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who a node is, what time it has, and how far its disk has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The node's name, unique in the cluster: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The node's number, unique in the cluster. It decides between writes of the same instant.
    pub node: NodeId,
    /// The node's present incarnation.
    pub incarnation: Incarnation,
    /// The last timestamp of the node's clock.
    pub clock: Timestamp,
    /// The node's store.
    pub store: StoreId,
    /// The last confirmation that is on the node's disk; see [`old_copies`](super::old_copies).
    pub confirmation: Confirmation,
    /// What the node has heard of other stores, in the first greeting on a connection; nothing in later ones.
    pub heard: Vec<Heard>,
}

impl Greeting {
    /// Whether it says what that of a node without a disk says, which has heard of no other store.
    pub fn is_in_memory(&self) -> bool {
        self.store.0 == self.incarnation.0 && self.confirmation == Confirmation::NONE && self.heard.is_empty()
    }

    /// The greeting of a node without a disk.
    pub fn in_memory(name: impl Into<String>, node: NodeId, incarnation: Incarnation, clock: Timestamp) -> Self {
        let (store, confirmation, heard) = (StoreId(incarnation.0), Confirmation::NONE, Vec::new());
        Self { name: name.into(), node, incarnation, clock, store, confirmation, heard }
    }
}

/// What an initiator asks of a responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `PEER protocol name number incarnation clock [store confirmation heard]`: who I am. A node without a disk that
    /// has heard of no other store says nothing of stores. Answered by [`Reply::Peer`], or refused: another protocol
    /// version, the responder's own name or number, or an old copy of a disk.
    Peer(Greeting),
    /// `PROPAGATE entry`: an entry as I hold it now. Answered by [`Reply::Merged`].
    Propagate(Record),
    /// `DIGEST`: the digest of all that you hold. Answered by [`Reply::Root`].
    Root,
    /// `DIGEST prefix…`: the digests of the children of these branches. Answered by [`Reply::Children`].
    Digest(Vec<Prefix>),
    /// `LEAF prefix held…`: what I hold below these branches; now tell me how you differ. The branches have two digits
    /// at least (more than four name a part of a leaf), stand in ascending order, and none below another. Answered by
    /// [`Reply::Leaf`], perhaps for the first of them only.
    Leaf(Vec<Held>),
    /// `FETCH key…`: the entries of these keys. Answered by [`Reply::Entries`], perhaps for the first of them only.
    Fetch(Vec<Box<[u8]>>),
    /// `CONFIRM arrival [confirmation]`: I now hold everything, or something newer, that you held when you said that
    /// number in your reply to PEER on this connection. It is on my disk, if I have one, and so is this confirmation.
    /// Answered by [`Reply::Ok`].
    Confirm(Arrival, Confirmation),
}

/// What a responder answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `*6` or `*9`: the words of a greeting, and a number. Who the responder is, and how far its arrivals have come:
    /// the number for CONFIRM.
    Peer {
        /// The responder's own greeting.
        greeting: Greeting,
        /// The number of the last entry that the responder has accepted.
        arrivals: Arrival,
    },
    /// `:1` or `:0`: whether the entry was accepted.
    Merged(bool),
    /// `$8`: the digest of the whole store.
    Root(Digest),
    /// `*n`: for each branch that was asked for, the 16 digests of its children, one behind the other.
    Children(Vec<[Digest; FANOUT]>),
    /// `*(3 + n + m)`: how the responder differs from what the initiator holds. The items are the number
    /// [`covered`](Differences::covered), the digests in [`lacking`](Differences::lacking) one behind the other, the
    /// number n, then n entries, [`news`](Differences::news), then the m items of [`listed`](Differences::listed).
    Leaf(Differences),
    /// `*(1 + n)`: a number, then n entries. The entries of the first `covered` of the keys that were asked for, as
    /// they are now; none for a key that is gone.
    Entries {
        /// At least 1; the initiator asks again for the rest.
        covered: usize,
        /// In the order of the keys.
        records: Vec<Record>,
    },
    /// `+OK`: done.
    Ok,
    /// `-REFUSED why`: the responder ends the connection.
    Refused(String),
    /// `-OLDCOPY why`: the initiator's disk is an old copy. The responder ends the connection, and never speaks with
    /// this incarnation; the initiator must stop.
    OldCopy(String),
}

/// What an initiator holds below one branch. An entry is named by its digest: eight bytes instead of key, version and
/// value. In a message: the timestamp, then the digests, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The branch, the leaf, or the part of a leaf.
    pub branch: Prefix,
    /// The latest of the entries, by [`Record::latest`]; zero if there are none.
    pub newest: Timestamp,
    /// [`Record::digest`] of each entry, in no particular order.
    pub digests: Vec<Digest>,
}

/// How a responder differs from what an initiator [`Held`]. Every entry that the responder holds below the first
/// `covered` branches is among the initiator's digests, in `news`, or in `listed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// How many branches this covers. The initiator asks again for the rest. 0 if the first branch alone does not fit
    /// in one reply; then `news` or `listed` may have some of it, and the initiator asks for its children.
    pub covered: usize,
    /// Entries in full, as many as fit in a reply: those that are later than all that the initiator named below the
    /// same branch. So the initiator lacks them, unless they have just reached it on another way, or it holds them as
    /// settled tombstones, which it does not name.
    pub news: Vec<Record>,
    /// Other entries that the initiator did not name: it does not hold them, or in another version.
    pub listed: Vec<Listed>,
    /// The digests of the initiator's entries that the responder does not hold, below the branches that are covered.
    pub lacking: Vec<Digest>,
}

/// An entry as a LEAF reply lists it. In a message: the version, the check, 1 or 0, the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: Box<[u8]>,
    /// The entry's version.
    pub version: Version,
    /// [`Record::check`] of the entry.
    pub check: u32,
    /// Whether it was counted. Then it may say something that a greater version does not.
    pub is_counted: bool,
}

impl From<&Record> for Listed {
    fn from(record: &Record) -> Self {
        Self {
            key: record.key().into(),
            version: record.version(),
            check: record.check(),
            is_counted: record.is_counted(),
        }
    }
}

impl Request {
    /// The entries in it.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Propagate(record) => std::slice::from_ref(record),
            _ => &[],
        }
    }
}

impl Reply {
    /// The entries in it.
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Leaf(Differences { news: records, .. }) | Self::Entries { records, .. } => records,
            _ => &[],
        }
    }
}
