//! What a replica holds below some branches of the digest tree: what the initiator of a round names, and looks up.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use super::message::Held;
use crate::limits::{LEAF_BATCH, LEAF_REQUEST_ENTRIES, MAX_LEAF_REQUEST_ENTRIES};
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

/// The hashes of the keys of entries that were named by their digests.
pub(super) type Named = HashMap<Digest, u64>;

/// What we hold below the first of some branches, to be named to a peer; and of which keys it is. Below as many as one
/// LEAF can name; none if the first alone holds more.
pub(super) fn held_below(store: &KeyValueStore, branches: &[Prefix]) -> (Vec<Held>, Named) {
    let nothing = |&branch: &Prefix| Held { branch, newest: Timestamp::ZERO, digests: Vec::new() };
    let (mut held, mut named): (Vec<Held>, Named) = (branches.iter().map(nothing).collect(), Named::new());
    let complete = store.visit_below(branches, |index, record| {
        if named.len() >= MAX_LEAF_REQUEST_ENTRIES {
            return ControlFlow::Break(());
        }
        let (held, digest) = (&mut held[index], record.digest());
        held.newest = held.newest.max(record.latest());
        held.digests.push(digest);
        named.insert(digest, store.hash(record.key()));
        ControlFlow::Continue(())
    });
    held.truncate(complete);
    (held, named)
}

/// The keys below some branches that have these hashes, and something stands under them.
pub(super) fn keys_of(store: &KeyValueStore, branches: &[Prefix], hashes: &BTreeSet<u64>) -> Vec<Box<[u8]>> {
    let mut keys = Vec::new();
    if !hashes.is_empty() {
        store.visit_below(branches, |_, record| {
            if hashes.contains(&store.hash(record.key())) {
                keys.push(record.key().into());
            }
            ControlFlow::Continue(())
        });
    }
    keys
}
