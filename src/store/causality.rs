//! Which of two writes had seen the other, if any: version vectors.
//!
//! **The problem.** Two clients write one key on two nodes, and both are told OK. One of the two writes survives, the
//! other is thrown away. When is that what the clients wanted, and when is something lost that nobody knew of?
//!
//! **The obvious answers.**
//! * *By the time of the writes.* A version says which write is later, and the later one survives. But "later" is not
//!   "in knowledge of": when node 2 writes `pear` at 10:00:01, it may have known node 1's `apple` of 10:00:00, and then
//!   the client has replaced it on purpose. Or the two nodes were cut off from each other since 9:59, and then an
//!   apple was lost. Both look the same: two versions, one greater.
//! * *By what was replaced.* Each write carries the version that it has replaced. But a chain breaks: node 1 writes a,
//!   then b upon it, and node 2, which has seen both, writes c. A node that still holds a receives c, which says only
//!   that it replaced b. Where the losers of earlier conflicts are left out, too, it is worse. (In a model of this
//!   store, a third of the lost writes went unseen in this way, and thousands of others were reported without reason.)
//! * *By the whole history.* Right, and never ends.
//!
//! **The vector.** The writes of one key by one node are a chain: a node has seen what it wrote itself. So it is enough
//! to know, for each node, *how far* its chain was seen: a version vector (Parker et al., "Detection of Mutual
//! Inconsistency in Distributed Systems", 1983). An entry carries one, [`Record::seen`]: for each *other* node, the
//! latest version that the writer of this entry had seen from it. How far it had seen its own node is said by its own
//! version. This is the *dotted* form (Preguiça et al., "Dotted Version Vectors", 2010): the write itself, the dot, is
//! kept apart from what it had seen. A plain vector, in which the writer counts itself up, could not say of two writes
//! that one node took at the same time from two clients that neither had seen the other. Here no such two exist, since
//! a node's writes of a key are one chain; what the form gives this store is that the version is there already, and
//! that a key that only one node writes carries nothing else.
//!
//! **The rule.**
//! * An entry a *covers* b if b's node is a's node and b is not later, or if a had seen b's node up to b or further.
//! * A local write takes over what the entry had seen that it replaces, and adds that entry's version.
//! * When two entries meet, the greater version survives, whatever they had seen ([`mod@merge`](super::merge)). If
//!   neither covers the other, they are *concurrent*: the writer of the one that survives did not know the one that is
//!   lost. That is a [`Conflict`], unless both say the same.
//! * Afterwards the survivor has seen whatever the loser had seen, and the loser itself. So the same pair is a conflict
//!   once, and what somebody writes upon the survivor is none.
//!
//! Content by a total order, `seen` by the maximum for each node: both are semilattices, so merging stays commutative,
//! associative and idempotent.
//!
//! **What is not compared.** `seen` is not in the digest. Two nodes that hold the same write may have seen different
//! losers meet it. That harms nobody, and costs no exchange: `seen` travels with its entry, and is united where
//! two copies meet.
//!
//! **Deletes.** A tombstone is an entry like any other: a delete that a concurrent write undoes is a conflict, and so
//! is a value that a concurrent delete removes. But tombstones are [forgotten](crate::replication::tombstones). A node
//! that has forgotten one writes the key anew, and does not know any more what it had seen. Before that, every node had
//! held the tombstone. So from the moment in which it settles, a tombstone is marked as *seen by all*, wherever a copy
//! of it goes, and everything that survives it covers it. Not so if the tombstone survives: then the other write is
//! lost, and its writer may be a node that has lost its memory, and whose clock is behind.
//!
//! **Values that expire.** Their tombstones are no deletes: what has expired is not lost. So such a tombstone is marked
//! ([`Record::is_expired`]), and what overrules it is no conflict, nor what overrules a value that is past its deadline
//! by the clock of the node that notices it. What it overrules itself is a conflict: the value has overruled it.
//!
//! **What is pruned.** Nothing, by age: an entry that has lost a part of what it had seen would be reported as the
//! conflict of two writes of which one had seen the other. A vector has one version for each node that ever wrote the
//! key, [`MAX_SEEN`] at most; beyond that the oldest is dropped. A system with thousands of writers cannot do that.
//! Where every *client* is a writer, as in the first Dynamo (DeCandia et al., 2007), vectors are pruned by age and
//! length, and false conflicts accepted. Riak counts servers instead, as this store does. Where the servers of a key
//! are thousands, too, one keeps whole sets of versions apart (dotted version vector sets, Almeida et al., 2014), or
//! gives every key a small group of nodes that write it, which is the usual way.
//!
//! **What remains.** A node that has lost its memory has still "seen what it wrote itself": what it wrote before, and
//! what only others hold of it, is covered by what it writes afterwards. And if its clock was put back as well, what it
//! writes can pass for something that others had seen.
//!
//! An [old copy](crate::replication::old_copies) of a disk can be accepted, and bring back a write that was replaced on
//! purpose. If the others have forgotten the delete that followed, they report that write as lost. A node whose disk
//! fails when a delete has just settled, and which starts again, does not know of it that all have seen it, and may
//! report that a write undoes it, though its writer knew.

use std::cmp::Reverse;

use super::content::Content;
use super::deadline::Deadline;
use super::record::Record;
use super::version::{NodeId, Version};
use crate::limits::{CONFLICT_KEPT_BYTES, CONFLICT_LOST_BYTES, MAX_SEEN};

/// Whether the writer of `a` had seen `b`.
pub fn covers(a: &Record, b: &Record) -> bool {
    has_seen(a, b.version()) || b.is_seen_by_all() || b.version() == Version::NEVER
}

/// Whether the writer of `entry` had seen the write with this version, or has written it itself.
fn has_seen(entry: &Record, version: Version) -> bool {
    let from_its_node = |seen: &Version| seen.node == version.node;
    from_its_node(&entry.version()) && version <= entry.version()
        || entry.seen().find(from_its_node).is_some_and(|seen| version <= seen)
}

/// Whether one node has written both, and neither says anything else: then the later one covers the other, and
/// nothing is to be learned.
#[inline]
pub(super) fn is_one_chain(a: &Record, b: &Record) -> bool {
    a.node() == b.node() && a.is_plain() && b.is_plain()
}

/// What a write by `writer` has seen that replaces `replaced`. `None` if that is nothing but its own writes.
#[inline]
pub(super) fn seen_after(replaced: &Record, writer: NodeId) -> Option<Vec<Version>> {
    let is_own_chain = replaced.node() == writer && replaced.has_seen_nothing();
    (!is_own_chain && replaced.version() != Version::NEVER)
        .then(|| united(replaced.seen().chain([replaced.version()]), writer))
}

/// What `survivor` has seen after it has met `other`, another entry of its key, or another copy of itself. `None` if
/// that is nothing new.
pub(super) fn seen_together(survivor: &Record, other: &Record) -> Option<Vec<Version>> {
    let writer = survivor.version().node;
    let is_new = |version: &Version| version.node != writer && !has_seen(survivor, *version);
    let is_other =
        survivor.version() != other.version() && !other.is_seen_by_all() && other.version() != Version::NEVER;
    let news: Vec<Version> = other.seen().chain(is_other.then(|| other.version())).filter(is_new).collect();
    if news.is_empty() {
        return None;
    }
    let united = united(survivor.seen().chain(news), writer);
    // What finds no room among MAX_SEEN is no news.
    (!survivor.seen().eq(united.iter().copied())).then_some(united)
}

/// For each node but `writer` the latest of these versions, in the order of the nodes; of [`MAX_SEEN`] nodes at most.
fn united(versions: impl Iterator<Item = Version>, writer: NodeId) -> Vec<Version> {
    let mut seen: Vec<Version> = versions.filter(|version| version.node != writer).collect();
    // Of each node the latest one comes first, and stays.
    seen.sort_unstable_by_key(|version| (version.node, Reverse(version.timestamp)));
    seen.dedup_by_key(|version| version.node);
    if seen.len() > MAX_SEEN {
        seen.sort_unstable_by_key(|&version| Reverse(version));
        seen.truncate(MAX_SEEN);
        seen.sort_unstable_by_key(|version| version.node);
    }
    seen
}

/// Two writes of one key that did not know of each other, and said different things. One of them was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Box<[u8]>,
    /// The write that survives. Of its value only the beginning is kept here: it stands in the store.
    pub kept: Write,
    /// The write that was thrown away.
    pub lost: Write,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When and by which node it was written.
    pub version: Version,
    /// The value; `None` for a delete.
    pub value: Option<Excerpt>,
    /// When the value expires, if it does.
    pub deadline: Option<Deadline>,
}

/// A value, or the beginning of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The bytes that are kept.
    pub bytes: Box<[u8]>,
    /// How long the whole value was.
    pub length: usize,
}

impl Excerpt {
    /// Whether something was cut off.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.length
    }
}

impl Conflict {
    /// What was lost when `kept` and `lost` met; `None` if one writer had seen the other's write, if both said the
    /// same, or if what is lost has expired.
    pub(super) fn between(kept: &Record, lost: &Record) -> Option<Box<Self>> {
        // That a surviving tombstone was seen by all says nothing about a write that it overrules: its writer may have
        // started empty since, with its clock behind.
        let is_known = covers(kept, lost) || has_seen(lost, kept.version());
        if is_known || lost.is_expired() || kept.content() == lost.content() {
            return None;
        }
        let write = |record: &Record, most: usize| Write {
            version: record.version(),
            deadline: record.deadline(),
            value: match record.content() {
                Content::Value(value) | Content::Expiring(value, _) => {
                    Some(Excerpt { bytes: value[..value.len().min(most)].into(), length: value.len() })
                }
                Content::Tombstone => None,
            },
        };
        let (key, kept, lost) = (kept.key().into(), write(kept, CONFLICT_KEPT_BYTES), write(lost, CONFLICT_LOST_BYTES));
        Some(Box::new(Self { key, kept, lost }))
    }

    /// How many bytes key and values take.
    pub fn bytes(&self) -> usize {
        let length = |write: &Write| write.value.as_ref().map_or(0, |value| value.bytes.len());
        self.key.len() + length(&self.kept) + length(&self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Timestamp;
    use super::super::content::Entry;
    use super::*;

    fn record(millis: u64, node: u16, content: Content<'_>) -> Record {
        Record::new(b"k", Entry { version: Version::new(Timestamp::from_millis(millis), NodeId(node)), content })
    }

    #[test]
    fn a_tombstone_that_was_seen_by_all_is_covered_by_what_survives_it_and_not_by_what_it_overrules() {
        let mut tombstone = record(5, 1, Content::Tombstone);
        tombstone.set_seen_by_all();
        let (older, later) = (record(4, 2, Content::Value(b"a")), record(6, 2, Content::Value(b"a")));
        assert_eq!(Conflict::between(&later, &tombstone), None);
        assert!(Conflict::between(&tombstone, &older).is_some());
    }

    #[test]
    fn of_too_many_nodes_the_oldest_are_dropped_and_that_is_no_news_the_next_time() {
        let writer = MAX_SEEN as u16 + 2;
        let mut survivor = record(10_000, writer, Content::Value(b"a"));
        for node in 1..=MAX_SEEN as u16 {
            assert!(survivor.learn(&record(100 + u64::from(node), node, Content::Value(b"b"))));
        }
        let full: Vec<Version> = survivor.seen().collect();
        assert_eq!(full.len(), MAX_SEEN);
        let one_more = |millis| record(millis, writer - 1, Content::Value(b"b"));
        assert!(!survivor.learn(&one_more(50)), "it is the oldest");
        assert_eq!(survivor.seen().collect::<Vec<_>>(), full);
        assert!(survivor.learn(&one_more(500)));
        let nodes: Vec<u16> = survivor.seen().map(|version| version.node.0).collect();
        assert_eq!(nodes, (2..writer).collect::<Vec<_>>(), "that of node 1 was the oldest");
        assert_eq!(Record::decode(survivor.encode()), Some(survivor));
    }

    #[test]
    fn what_has_expired_is_not_lost_but_what_it_has_overruled_is() {
        let deadline = Deadline::from_millis(9).expect("is early");
        let value = record(5, 1, Content::Expiring(b"a", deadline));
        let (older, later) = (record(4, 2, Content::Value(b"b")), record(6, 2, Content::Value(b"b")));
        assert!(Conflict::between(&later, &value).is_some());
        assert_eq!(Conflict::between(&later, &value.expired()), None);
        assert!(Conflict::between(&value.expired(), &older).is_some());
    }
}
