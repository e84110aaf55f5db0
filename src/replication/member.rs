//! One node, as itself and as another node knows it: its identity, and how far it has come.

use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, MutexGuard};

use super::message::{Incarnation, StoreId};
use crate::limits::MAX_NAME_BYTES;
use crate::store::arrival::Arrival;
use crate::store::version::NodeId;

/// Why a node does not speak with another: a sentence for its operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The other does not belong to the cluster, or its configuration is wrong.
    Wrong(String),
    /// The other's disk is an old copy.
    OldCopy(String),
    /// This node is new, and does not know enough yet to judge. The next tick will do.
    NotYet(String),
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's name, unique in the cluster.
    pub name: String,
    /// The node's number, unique in the cluster.
    pub node: NodeId,
    /// The present life of the node's memory.
    pub incarnation: Incarnation,
    /// The node's store: its data directory, if it has one.
    pub store: StoreId,
}

impl Identity {
    /// A node without a disk: its store lives as long as its memory.
    pub fn in_memory(name: impl Into<String>, node: NodeId, incarnation: Incarnation) -> Self {
        Self { name: name.into(), node, incarnation, store: StoreId(incarnation.0) }
    }
}

/// Whether a node may have this name; the error says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, dots, dashes or underscores"));
    }
    Ok(())
}

/// One other node.
#[derive(Debug)]
pub struct Member {
    /// The node's name.
    pub name: String,
    /// The node's number.
    pub node: NodeId,
    /// Whether this node has reached it by itself, as one of its configured peers. Otherwise it is a guest.
    pub(super) dialed: AtomicBool,
    /// The configured address at which this node has reached it, in this life or before.
    pub(super) address: Mutex<Option<String>>,
    /// The thread that merges what this node sends holds this lock. So a connection can be revoked between two entries.
    progress: Mutex<Progress>,
}

/// How far one other node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The node's incarnation when it last spoke with us; `None` until it is admitted for the first time.
    pub incarnation: Option<Incarnation>,
    /// The store of that incarnation; of the last one that the disk remembers, before that.
    pub(super) store: Option<StoreId>,
    /// The node holds everything that arrived here up to this number, or something newer. [`Arrival::NONE`] at first
    /// and after each change of the incarnation, otherwise only grows.
    pub confirmed: Arrival,
    /// As `confirmed`, for what is on the node's disk; `None` as long as it has confirmed nothing of the kind.
    pub durable: Option<Arrival>,
    /// The number of the node's newest connection to us. Requests on older ones are refused. Only grows, with each new
    /// connection and each new incarnation.
    pub(super) connection: u64,
    /// The operator said that this incarnation will never return. It has left the table.
    pub dismissed: bool,
    /// Whether this incarnation was reported for a clock that is too far ahead.
    pub(super) drift_reported: bool,
}

impl Progress {
    /// The node has another incarnation: it has confirmed nothing, and its older connections are revoked.
    pub(super) fn begin(&mut self, incarnation: Incarnation, store: StoreId) {
        let (incarnation, store) = (Some(incarnation), Some(store));
        *self = Self { incarnation, store, connection: self.connection + 1, ..Self::default() };
    }
}

impl Member {
    pub(super) fn new(name: String, node: NodeId) -> Self {
        let (dialed, address) = (AtomicBool::new(false), Mutex::default());
        Self { name, node, dialed, address, progress: Mutex::default() }
    }

    /// How far the node has come.
    pub fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// The same, locked: nothing that this node sends is merged meanwhile.
    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock()
    }
}

/// Which side has opened the connection on which two nodes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// This one: the other is a configured peer.
    Dialed,
    /// The other.
    Accepted,
}
