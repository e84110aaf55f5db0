//! What a replica holds below some branches of the digest tree: what the initiator of a round names, and looks up.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::message::Held;
use crate::limits::{LEAF_BATCH, LEAF_REQUEST_ENTRIES};
use crate::store::KeyValueStore;
use crate::store::clock::Timestamp;
use crate::store::digest::{Digest, FANOUT, Prefix};

/// All shards: what a round compares without the rule of digests.
pub(super) fn whole_tree() -> Vec<Prefix> {
    (0..FANOUT).flat_map(|a| (0..FANOUT).map(move |b| Prefix::ROOT.child(a).child(b))).collect()
}

/// As many of some branches, from the first on, as one LEAF should name.
pub(super) fn affordable<'b>(store: &KeyValueStore, branches: &'b [Prefix]) -> &'b [Prefix] {
    let most = store.leaves_for(LEAF_REQUEST_ENTRIES);
    let mut leaves = 0;
    let fitting = branches.iter().take(LEAF_BATCH).take_while(|branch| {
        leaves += branch.leaves().len();
        leaves <= most
    });
    &branches[..fitting.count().max(1)]
}

/// What we hold below some branches.
pub(super) fn held_below(store: &KeyValueStore, branches: &[Prefix]) -> Vec<Held> {
    let nothing = |&branch: &Prefix| Held { branch, newest: Timestamp::ZERO, digests: Vec::new() };
    let mut held: Vec<Held> = branches.iter().map(nothing).collect();
    store.visit_below(branches, |index, record| {
        let held = &mut held[index];
        held.newest = held.newest.max(record.version().timestamp);
        held.digests.push(record.digest());
        ControlFlow::Continue(())
    });
    held
}

/// The keys of the entries below some branches that have these digests.
pub(super) fn keys_of(store: &KeyValueStore, branches: &[Prefix], digests: &BTreeSet<Digest>) -> Vec<Box<[u8]>> {
    let mut keys = Vec::new();
    if !digests.is_empty() {
        store.visit_below(branches, |_, record| {
            if digests.contains(&record.digest()) {
                keys.push(record.key().into());
            }
            ControlFlow::Continue(())
        });
    }
    keys
}
