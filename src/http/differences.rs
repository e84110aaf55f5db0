//! Which keys differ now between nodes of this process. It finds them as a round does: by the digests, so that what is
//! equal is not read.

use std::collections::HashMap;

use crate::limits::{MAX_COUNTED_ENTRIES, MAX_COUNTED_LEAVES};
use crate::store::KeyValueStore;
use crate::store::digest::{Digest, FANOUT, Prefix};
use crate::store::record::Record;
use crate::store::version::Version;

/// The keys that differ.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) keys: Vec<Box<[u8]>>,
    /// Whether there are more, in branches that were not read.
    pub(super) are_more: bool,
}

impl Differences {
    /// Compares stores.
    pub(super) fn between(stores: &[&KeyValueStore]) -> Self {
        let mut leaves = Vec::new();
        let mut are_more = !collect_leaves(stores, Prefix::ROOT, &mut leaves);
        let mut found: HashMap<Box<[u8]>, Found> = HashMap::new();
        let mut visited = leaves.len();
        for (number, store) in stores.iter().enumerate() {
            let mut left = MAX_COUNTED_ENTRIES;
            let whole = store.visit_below(&leaves, |leaf, record| {
                let nothing = || Found { leaf, digests: vec![None; stores.len()] };
                found.entry(record.key().into()).or_insert_with(nothing).digests[number] = Some(record.digest());
                left -= 1;
                if left == 0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
            });
            visited = visited.min(whole);
        }
        are_more |= visited < leaves.len();
        let differs =
            |Found { leaf, digests }: &Found| *leaf < visited && digests.iter().any(|digest| *digest != digests[0]);
        let differing = found.into_iter().filter(|(_, found)| differs(found));
        // The stores were read one after the other. What was on its way in between does not differ any more.
        let still = |key: &[u8]| {
            let first = identity_in(stores[0], key);
            stores[1..].iter().any(|store| identity_in(store, key) != first)
        };
        let keys = differing.map(|(key, _)| key).filter(|key| still(key)).collect();
        Self { keys, are_more }
    }
}

/// A key of a leaf that differs.
struct Found {
    /// The number of the leaf among those that differ.
    leaf: usize,
    /// What the key adds to the digest of each store.
    digests: Vec<Option<Digest>>,
}

/// Adds the leaves below `branch` that differ. Returns false if there are more than are looked at.
fn collect_leaves(stores: &[&KeyValueStore], branch: Prefix, leaves: &mut Vec<Prefix>) -> bool {
    let first = match stores.first() {
        Some(first) => first.digest(branch),
        None => return true,
    };
    if stores[1..].iter().all(|store| store.digest(branch) == first) {
        return true;
    }
    if branch.is_leaf() {
        leaves.push(branch);
        return leaves.len() < MAX_COUNTED_LEAVES;
    }
    (0..FANOUT).all(|digit| collect_leaves(stores, branch.child(digit), leaves))
}

/// What makes two entries of a key the same: the version, and what tells contents of one version apart. `None` for
/// nothing, and for what all have agreed to forget.
pub(super) fn identity(record: Option<&Record>) -> Option<(Version, u32)> {
    record.filter(|record| !record.is_settled()).map(|record| (record.version(), record.check()))
}

fn identity_in(store: &KeyValueStore, key: &[u8]) -> Option<(Version, u32)> {
    store.look(key, identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::message::Incarnation;
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::Rules;
    use crate::store::clock::Timestamp;
    use crate::store::version::NodeId;

    fn replica(number: u16) -> Replica {
        let identity = Identity::in_memory(format!("node{number}"), NodeId(number), Incarnation(number.into()));
        Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_700_000_000_000)))
    }

    fn differing(a: &Replica, b: &Replica) -> (Vec<String>, bool) {
        let found = Differences::between(&[a.store(), b.store()]);
        let mut keys: Vec<_> = found.keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        keys.sort_unstable();
        (keys, found.are_more)
    }

    #[test]
    fn keys_differ_when_one_node_lacks_them_or_has_another_version() {
        let (a, b) = (replica(1), replica(2));
        assert_eq!(differing(&a, &b), (vec![], false));
        for n in 0..1000 {
            a.set(format!("same{n}").as_bytes(), b"v");
        }
        for part in 0..KeyValueStore::PARTS {
            a.store().visit_part(part, |record| drop(b.store().merge(record.clone())));
        }
        assert_eq!(differing(&a, &b), (vec![], false));
        a.set(b"only here", b"1");
        a.set(b"same7", b"newer");
        b.delete(b"same8");
        assert_eq!(differing(&a, &b), (["only here", "same7", "same8"].map(String::from).into(), false));
    }

    #[test]
    fn of_very_many_differences_some_are_found() {
        let (a, b) = (replica(1), replica(2));
        for n in 0..3000 {
            a.set(format!("key{n}").as_bytes(), b"v");
        }
        let (keys, are_more) = differing(&a, &b);
        assert!(are_more && keys.len() >= MAX_COUNTED_LEAVES && keys.len() < 3000, "{}", keys.len());
    }
}
