//! What a node knows of the other nodes of its cluster: the table of members.
//!
//! A member is every node that has ever spoken with this one, and was not dismissed. Deletes wait for each of them, so
//! the table is bounded, and strangers (without a secret, every local program) can take only a few of its places.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use log::warn;
use parking_lot::Mutex;

use super::journal::{Journal, Note};
use super::member::{Contact, Identity, Member, Refusal};
use super::message::{Greeting, StoreId};
use crate::limits::{MAX_DISMISSED, MAX_GUESTS, MAX_MEMBERS};

/// The table of members, by name. Locked before any member's progress.
#[derive(Default)]
pub(super) struct Members {
    /// At most [`MAX_MEMBERS`], of which at most [`MAX_GUESTS`] are guests.
    table: Mutex<BTreeMap<String, Arc<Member>>>,
    /// The stores whose nodes were dismissed last, the oldest first: at most [`MAX_DISMISSED`]. They are refused. (A
    /// node without a disk has another one in each life.)
    dismissed: Mutex<VecDeque<StoreId>>,
    /// The configured addresses that were dismissed: deletes do not wait for a node there, as long as none was met.
    addresses: Mutex<BTreeSet<String>>,
    /// Where the table is written, so that it outlives the process.
    journal: Option<Arc<dyn Journal>>,
}

impl Members {
    pub(super) fn new(journal: Option<Arc<dyn Journal>>) -> Self {
        Self { journal, ..Self::default() }
    }

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
            let Greeting { name, node, .. } = other;
            return wrong(format!("{name} has the name or the number ({node}) of {} itself", own.name));
        }
        if self.dismissed.lock().contains(&other.store) {
            return wrong(format!("{} was dismissed by FORGET: start it again without its data", other.name));
        }
        let mut table = self.table.lock();
        let clashing = |member: &&Arc<Member>| (member.name == other.name) != (member.node == other.node);
        while let Some(clash) = table.values().find(clashing).cloned() {
            if contact == Contact::Accepted || clash.dialed.load(Relaxed) {
                let Member { name, node, .. } = &*clash;
                return wrong(format!(
                    "{} has the number {}, but {name} with the number {node} is a member: both must be unique",
                    other.name, other.node
                ));
            }
            warn!("{}: {} takes the place of the stranger {}", own.name, other.name, clash.name);
            self.retire(&mut table, &clash);
        }
        let member = match table.get(&other.name) {
            Some(member) => Arc::clone(member),
            None => {
                let member = add(&mut table, other, contact)?;
                self.note(|| Note::Member { name: other.name.clone(), node: other.node });
                member
            }
        };
        member.dialed.fetch_or(contact == Contact::Dialed, Relaxed);
        Ok(member)
    }

    /// Takes the member with this name out of the table, and refuses its present store from now on. Returns
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
        if let Some(store) = progress.store {
            let mut dismissed = self.dismissed.lock();
            remember(&mut dismissed, store);
            self.note(|| Note::DismissedStore(store));
        }
        self.note(|| Note::Dismissed(member.name.clone()));
        table.remove(&member.name);
    }

    /// Dismisses a configured address, so that deletes no longer wait for a node that was never met there. If one is
    /// met later, they wait for it.
    pub(super) fn dismiss_address(&self, address: &str) {
        let mut addresses = self.addresses.lock();
        addresses.insert(address.to_string());
        self.note(|| Note::DismissedAddress(address.to_string()));
    }

    pub(super) fn is_address_dismissed(&self, address: &str) -> bool {
        self.addresses.lock().contains(address)
    }

    fn note(&self, note: impl FnOnce() -> Note) {
        if let Some(journal) = &self.journal {
            journal.note(&note());
        }
    }

    /// Notes what the disk remembers. Nothing is written.
    pub(super) fn restore(&self, note: &Note) {
        match note {
            Note::Member { name, node } => {
                self.table.lock().insert(name.clone(), Arc::new(Member::new(name.clone(), *node)));
            }
            Note::MemberStore { name, store } => {
                self.named(name).iter().for_each(|member| member.lock().store = Some(*store));
            }
            Note::MemberAddress { name, address } => set_address(&self.table.lock(), name, address),
            Note::Dismissed(name) => drop(self.table.lock().remove(name)),
            Note::DismissedStore(store) => remember(&mut self.dismissed.lock(), *store),
            Note::DismissedAddress(address) => drop(self.addresses.lock().insert(address.clone())),
            Note::Confirmed(_) | Note::Heard(_) => {}
        }
    }

    /// Visits all that must outlive the process, each thing under the lock under which it changes.
    pub(super) fn visit_notes(&self, visit: &mut dyn FnMut(Note)) {
        for member in self.table.lock().values() {
            let (name, node) = (&member.name, member.node);
            visit(Note::Member { name: name.clone(), node });
            let progress = member.lock();
            progress.store.into_iter().for_each(|store| visit(Note::MemberStore { name: name.clone(), store }));
            let address = member.address.lock().clone();
            address.into_iter().for_each(|address| visit(Note::MemberAddress { name: name.clone(), address }));
        }
        self.dismissed.lock().iter().for_each(|&store| visit(Note::DismissedStore(store)));
        self.addresses.lock().iter().for_each(|address| visit(Note::DismissedAddress(address.clone())));
    }

    /// A member has shown a store that is not its last one. The caller has locked its progress.
    pub(super) fn note_store(&self, member: &Member, store: StoreId) {
        self.note(|| Note::MemberStore { name: member.name.clone(), store });
    }

    /// A member was reached at this configured address.
    pub(super) fn reached(&self, member: &Member, address: &str) {
        if member.address.lock().as_deref() != Some(address) {
            let table = self.table.lock();
            set_address(&table, &member.name, address);
            self.note(|| Note::MemberAddress { name: member.name.clone(), address: address.into() });
        }
    }

    /// The member that was last reached at this configured address, in this life or before.
    pub(super) fn at_address(&self, address: &str) -> Option<Arc<Member>> {
        self.table.lock().values().find(|member| member.address.lock().as_deref() == Some(address)).cloned()
    }
}

/// An address leads to one member at a time.
fn set_address(table: &BTreeMap<String, Arc<Member>>, name: &str, address: &str) {
    for member in table.values() {
        let mut known = member.address.lock();
        if member.name == name {
            *known = Some(address.into());
        } else if known.as_deref() == Some(address) {
            *known = None;
        }
    }
}

/// Adds a dismissed store. The oldest makes room.
fn remember(dismissed: &mut VecDeque<StoreId>, store: StoreId) {
    dismissed.retain(|&known| known != store);
    dismissed.push_back(store);
    let excess = dismissed.len().saturating_sub(MAX_DISMISSED);
    dismissed.drain(..excess);
}

fn wrong<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::Wrong(why))
}

/// Gives a new member its place.
fn add(table: &mut BTreeMap<String, Arc<Member>>, other: &Greeting, contact: Contact) -> Result<Arc<Member>, Refusal> {
    let guests = table.values().filter(|member| !member.dialed.load(Relaxed)).count();
    if contact == Contact::Accepted && guests >= MAX_GUESTS {
        return wrong(format!("{MAX_GUESTS} nodes are here already that are not among the peers of this one (--peer)"));
    }
    if table.len() >= MAX_MEMBERS {
        return wrong(format!(
            "{MAX_MEMBERS} nodes have spoken with this one already: type FORGET for those that are gone"
        ));
    }
    let member = Arc::new(Member::new(other.name.clone(), other.node));
    table.insert(other.name.clone(), Arc::clone(&member));
    Ok(member)
}
