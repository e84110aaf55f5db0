//! What a node knows of the other nodes of its cluster: the table of members.
//!
//! A member is every node that has ever spoken with this one, and was not dismissed. Deletes wait for each of them, so
//! the table is bounded, and strangers (without a secret, every local program) can take only a few of its places.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use log::warn;
use parking_lot::{Mutex, MutexGuard};

use super::message::{Greeting, Incarnation};
use crate::limits::{MAX_DISMISSED, MAX_GUESTS, MAX_MEMBERS, MAX_NAME_BYTES};
use crate::store::arrival::Arrival;
use crate::store::version::NodeId;

/// Why a node does not speak with another: a sentence for its operator.
pub(super) type Refusal = String;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's name, unique in the cluster.
    pub name: String,
    /// The node's number, unique in the cluster.
    pub node: NodeId,
    /// The present life of the node's memory.
    pub incarnation: Incarnation,
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
    dialed: AtomicBool,
    /// The thread that merges what this node sends holds this lock. So a connection can be revoked between two entries.
    progress: Mutex<Progress>,
}

/// How far one other node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The node's incarnation when it last spoke with us; `None` until it is admitted for the first time.
    pub incarnation: Option<Incarnation>,
    /// The node holds everything that arrived here up to this number, or something newer. [`Arrival::NONE`] at first
    /// and after each change of the incarnation, otherwise only grows.
    pub confirmed: Arrival,
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
    pub(super) fn begin(&mut self, incarnation: Incarnation) {
        *self = Self { incarnation: Some(incarnation), connection: self.connection + 1, ..Self::default() };
    }
}

impl Member {
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

/// The table of members, by name. Locked before any member's progress.
#[derive(Default)]
pub(super) struct Members {
    /// At most [`MAX_MEMBERS`], of which at most [`MAX_GUESTS`] are guests.
    table: Mutex<BTreeMap<String, Arc<Member>>>,
    /// The incarnations that were dismissed last, the oldest first: at most [`MAX_DISMISSED`]. They are refused.
    dismissed: Mutex<VecDeque<Incarnation>>,
}

impl Members {
    /// All members, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Member>> {
        self.table.lock().values().cloned().collect()
    }

    /// The member with this name.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Member>> {
        self.table.lock().get(name).cloned()
    }

    /// The member with the name and number of this greeting; a new one gets a place. A configured peer finds one even
    /// where guests have taken its name, its number, or all places for guests.
    pub(super) fn register(&self, own: &Identity, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
        if other.name == own.name || other.node == own.node {
            return Err(format!("{} has the name or the number ({}) of {} itself", other.name, other.node, own.name));
        }
        if self.dismissed.lock().contains(&other.incarnation) {
            return Err(format!("{} was dismissed by FORGET: start it again without its data", other.name));
        }
        let mut table = self.table.lock();
        let clashing = |member: &&Arc<Member>| (member.name == other.name) != (member.node == other.node);
        while let Some(clash) = table.values().find(clashing).cloned() {
            if contact == Contact::Accepted || clash.dialed.load(Relaxed) {
                let Member { name, node, .. } = &*clash;
                return Err(format!(
                    "{} has the number {}, but {name} with the number {node} is a member: both must be unique",
                    other.name, other.node
                ));
            }
            warn!("{}: {} takes the place of the stranger {}", own.name, other.name, clash.name);
            self.retire(&mut table, &clash);
        }
        let member = match table.get(&other.name) {
            Some(member) => Arc::clone(member),
            None => add(&mut table, other, contact)?,
        };
        member.dialed.fetch_or(contact == Contact::Dialed, Relaxed);
        Ok(member)
    }

    /// Takes the member with this name out of the table, and refuses its present incarnation from now on. Returns
    /// whether there is one.
    pub(super) fn dismiss(&self, name: &str) -> bool {
        let mut table = self.table.lock();
        let member = table.get(name).cloned();
        member.inspect(|member| self.retire(&mut table, member)).is_some()
    }

    fn retire(&self, table: &mut BTreeMap<String, Arc<Member>>, member: &Member) {
        let mut progress = member.lock();
        progress.dismissed = true;
        // Its open connections are revoked.
        progress.connection += 1;
        let mut dismissed = self.dismissed.lock();
        dismissed.extend(progress.incarnation);
        let excess = dismissed.len().saturating_sub(MAX_DISMISSED);
        dismissed.drain(..excess);
        table.remove(&member.name);
    }
}

/// Gives a new member its place.
fn add(table: &mut BTreeMap<String, Arc<Member>>, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
    let guests = table.values().filter(|member| !member.dialed.load(Relaxed)).count();
    if contact == Contact::Accepted && guests >= MAX_GUESTS {
        return Err(format!("{MAX_GUESTS} nodes are here already that are not among the peers of this one (--peer)"));
    }
    if table.len() >= MAX_MEMBERS {
        return Err(format!(
            "{MAX_MEMBERS} nodes have spoken with this one already: type FORGET for those that are gone"
        ));
    }
    let (name, node) = (other.name.clone(), other.node);
    let member = Arc::new(Member { name, node, dialed: AtomicBool::new(false), progress: Mutex::default() });
    table.insert(other.name.clone(), Arc::clone(&member));
    Ok(member)
}
