//! The one rule that decides between two entries of a key.
//!
//! Two nodes take a write of the same key in the same second. Whatever the network does, both nodes must end with the
//! same entry, without a vote and without a lock. The obvious answer, "what comes later replaces what was there",
//! fails: each node receives the other's write later than its own, so the two swap their values and differ for ever.
//!
//! The answer is to make the winner a property of the entries themselves, never of the order in which they arrive: a
//! last-write-wins register (Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data
//! Types", 2011). The greater [`Version`](super::version::Version) survives; on equal versions a tombstone wins over a
//! value, then the greater bytes. This order is total over everything that differs, and so merging is
//!
//! * *commutative*: entries may arrive in any order;
//! * *associative*: a third node may have merged some of them first;
//! * *idempotent*: an entry may arrive again.
//!
//! Nodes that have received the same entries therefore hold the same state.
//!
//! Two contents meet under one version after a fault: two nodes were given the same number, or a node has restarted
//! with its clock put back. And on purpose where a value expires: see [`deadline`](super::deadline). What
//! last-write-wins costs: of two writes that did not know of each other, one is lost. Dynamo (DeCandia et al., 2007)
//! keeps both and lets the client choose. This store keeps one, and tells what it has thrown away:
//! [`causality`](super::causality).

use std::cmp::Ordering;
use std::mem;

use super::causality::{Conflict, is_one_chain};
use super::counter::{supersedes, together};
use super::deadline::Deadline;
use super::record::Record;
use crate::rules::{Rule, Rules};

/// What [`merge`] has made of an incoming entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which entry stands there now.
    pub effect: Effect,
    /// Whether the entry that stood there before, and still does, has seen more now.
    pub has_learned: bool,
    /// What was thrown away without its successor's having known of it.
    pub conflict: Option<Box<Conflict>>,
    /// The incoming entry again, if it was accepted, but what stands there now says more: it has shares that the
    /// incoming one had not.
    pub joined: Option<Box<Record>>,
}

/// Which of two entries stands there after they have met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something greater stands there. Here is the incoming entry again.
    Stale(Record),
    /// The same entry stands there already. Here is the incoming one again.
    Same(Record),
    /// The incoming entry was accepted, and stands there now. Here is what it has replaced; `None` for a key that had
    /// no entry.
    Replaced(Option<Record>),
}

impl Outcome {
    /// Whether the incoming entry was accepted.
    pub fn is_accepted(&self) -> bool {
        matches!(self.effect, Effect::Replaced(_))
    }

    /// The incoming entry, unless what stands there now is just that.
    pub fn rejected(self) -> Option<Record> {
        match self.effect {
            Effect::Stale(incoming) | Effect::Same(incoming) => Some(incoming),
            Effect::Replaced(_) => self.joined.map(|incoming| *incoming),
        }
    }

    /// An entry that is not even compared.
    pub(crate) fn refused(incoming: Record) -> Self {
        Self { effect: Effect::Stale(incoming), has_learned: false, conflict: None, joined: None }
    }

    /// An entry has come to a place where none stood.
    pub(super) const NEW: Self =
        Self { effect: Effect::Replaced(None), has_learned: false, conflict: None, joined: None };
}

/// Merges an incoming entry into the one that stands under its key. Whichever survives has then seen what the other had
/// seen, and the other.
pub fn merge(current: &mut Record, mut incoming: Record, rules: Rules) -> Outcome {
    if current.is_counted() || incoming.is_counted() {
        return merge_counted(current, incoming, rules);
    }
    let order = order(&incoming, current, rules);
    let (mut has_learned, mut conflict) = (false, None);
    // Most keys are written by one node, and there is nothing to learn.
    if rules.has(Rule::VersionVectors) && !is_one_chain(current, &incoming) {
        (has_learned, conflict) = learn(order, current, &mut incoming);
    }
    let effect = match order {
        Ordering::Less => Effect::Stale(incoming),
        Ordering::Equal => Effect::Same(incoming),
        Ordering::Greater => Effect::Replaced(Some(mem::replace(current, incoming))),
    };
    Outcome { effect, has_learned, conflict, joined: None }
}

/// The same for entries with shares: the greater base stays, and of each share the later copy
/// ([`counter`](super::counter)). What stands there afterwards may be neither of the two.
#[inline(never)]
fn merge_counted(current: &mut Record, mut incoming: Record, rules: Rules) -> Outcome {
    let order = order(&incoming, current, rules);
    // What a node counts itself: nothing is joined, and nothing is to be learned.
    let know_the_same = current.is_seen_by_all() == incoming.is_seen_by_all() && current.seen().eq(incoming.seen());
    if order == Ordering::Equal && know_the_same && supersedes(&incoming, current) {
        let effect = Effect::Replaced(Some(mem::replace(current, incoming)));
        return Outcome { effect, has_learned: false, conflict: None, joined: None };
    }
    let shares = match order {
        Ordering::Greater => together(&incoming, current, false),
        order => together(current, &incoming, order == Ordering::Equal),
    };
    let (has_all, has_all_here) =
        (incoming.shares().eq(shares.iter().copied()), current.shares().eq(shares.iter().copied()));
    let (before, sent) = (current.clone(), incoming.clone());
    let (has_learned, conflict) = match rules.has(Rule::VersionVectors) {
        true => learn(order, current, &mut incoming),
        false => (false, None),
    };
    let (effect, joined) = match order {
        Ordering::Greater => {
            *current = if has_all { incoming } else { incoming.with_shares(&shares) };
            (Effect::Replaced(Some(before)), !has_all)
        }
        Ordering::Equal if has_all && has_all_here => (Effect::Same(sent.clone()), false),
        _ if has_all_here => (Effect::Stale(sent.clone()), false),
        order => {
            *current = current.with_shares(&shares);
            (Effect::Replaced(Some(before)), !has_all || order == Ordering::Less)
        }
    };
    let has_learned = has_learned && has_all_here;
    Outcome { effect, has_learned, conflict, joined: joined.then(|| Box::new(sent)) }
}

/// Lets the survivor of two entries learn from the other. Returns whether the current one has, and what was lost.
#[inline(never)]
fn learn(order: Ordering, current: &mut Record, incoming: &mut Record) -> (bool, Option<Box<Conflict>>) {
    match order {
        Ordering::Equal => (current.learn(incoming), None),
        Ordering::Less => {
            let conflict = Conflict::between(current, incoming);
            (current.learn(incoming), conflict)
        }
        Ordering::Greater => {
            let conflict = Conflict::between(incoming, current);
            incoming.learn(current);
            (false, conflict)
        }
    }
}

/// The order in which the greater entry survives.
fn order(a: &Record, b: &Record, rules: Rules) -> Ordering {
    a.version().cmp(&b.version()).then_with(|| match rules.has(Rule::TieBreak) {
        true => rank(a).cmp(&rank(b)),
        false => Ordering::Equal,
    })
}

/// What decides between contents of one version: a tombstone wins over every value, that of a delete over that of a
/// value that has expired; then the greater bytes, then the later deadline.
fn rank(record: &Record) -> (bool, bool, &[u8], Option<Deadline>) {
    let (is_tombstone, expired_at) = (record.has_tombstone(), record.expired_at());
    let is_delete = is_tombstone && expired_at.is_none();
    (is_tombstone, is_delete, record.content().value().unwrap_or_default(), expired_at.or(record.deadline()))
}

#[cfg(test)]
mod tests {
    use super::super::clock::Timestamp;
    use super::super::content::{Content, Entry};
    use super::super::counter::{Count, Share, Writer};
    use super::super::version::{NodeId, Version};
    use super::*;
    use proptest::prelude::*;

    fn record(time: u64, node: u16, content: Content<'_>) -> Record {
        Record::new(b"k", Entry { version: Version::new(Timestamp::from_bits(time), NodeId(node)), content })
    }

    /// Entries of so few versions and contents that ties and tombstones are common. They have seen only what is older,
    /// as all that is written.
    fn records() -> impl Strategy<Value = Record> {
        let contents = [Content::Tombstone, Content::Value(b""), Content::Value(b"a"), Content::Value(b"b")];
        (0u64..4, 1u16..4, prop::sample::select(contents.to_vec()), [0u64..5, 0..5, 0..5]).prop_map(
            |(time, node, content, seen)| {
                let version = |(index, time)| Version::new(Timestamp::from_bits(time), NodeId(index as u16 + 1));
                let is_older = |seen: &Version| seen.node.0 != node && seen.timestamp.to_bits() < time;
                let seen: Vec<Version> = seen.into_iter().enumerate().map(version).filter(is_older).collect();
                Record::with_seen(b"k", record(time, node, content).entry(), &seen)
            },
        )
    }

    /// Counts that were made one after the other: of each writer the later one has the later time.
    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let count = |at: u64| Count { at: Timestamp::from_bits(at), sum: (at * at) as i64 };
        let share = move |(life, (counted, seen)): (usize, (u64, u64))| Share {
            writer: Writer { life: life as u64, began: Timestamp::from_bits(1) },
            counted: count(counted + 1),
            seen: count(seen.min(counted + 1)),
        };
        prop::collection::vec((0u64..4, 0u64..4), 0..4)
            .prop_map(move |counts| counts.into_iter().enumerate().map(share).collect())
    }

    /// Entries that may be counted. Of one base, all copies have seen the same: here nothing.
    fn counted() -> impl Strategy<Value = Record> {
        (records(), shares(), 0usize..3).prop_map(|(record, shares, skipped)| {
            let seen = record.version().timestamp.to_bits() as i64;
            let seen = |share: Share| Share {
                seen: if seen % 2 == 0 {
                    Count::default()
                } else {
                    share.seen.min(Count { at: Timestamp::from_bits(1), sum: 1 })
                },
                ..share
            };
            record.with_shares(&shares.into_iter().skip(skipped).map(seen).collect::<Vec<_>>())
        })
    }

    fn merged(current: &Record, incoming: &Record) -> Record {
        let mut survivor = current.clone();
        merge(&mut survivor, incoming.clone(), Rules::default());
        survivor
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn merge_is_commutative(a in records(), b in records()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        }

        #[test]
        fn merge_is_associative(a in records(), b in records(), c in records()) {
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }

        #[test]
        fn merging_counts_is_commutative_and_associative(a in counted(), b in counted(), c in counted()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }

        #[test]
        fn merging_counts_is_idempotent_and_says_what_has_become_of_them(a in counted(), b in counted()) {
            prop_assert_eq!(merge(&mut a.clone(), a.clone(), Rules::default()).effect, Effect::Same(a.clone()));
            let mut survivor = a.clone();
            let outcome = merge(&mut survivor, b.clone(), Rules::default());
            let same = |one: &Record, other: &Record| one.entry() == other.entry() && one.shares().eq(other.shares());
            prop_assert_eq!(outcome.is_accepted(), !same(&survivor, &a));
            prop_assert_eq!(outcome.rejected().is_none(), !same(&survivor, &a) && same(&survivor, &b));
            prop_assert_eq!(Record::decode(survivor.encode()), Some(survivor));
        }

        #[test]
        fn merge_is_idempotent_and_says_so(a in records()) {
            prop_assert_eq!(merge(&mut a.clone(), a.clone(), Rules::default()).effect, Effect::Same(a));
        }

        #[test]
        fn what_one_of_them_had_seen_the_survivor_has_seen_and_the_other_too(a in records(), b in records()) {
            let survivor = merged(&a, &b);
            for seen in a.seen().chain(b.seen()).chain([a.version(), b.version()]) {
                if seen == Version::NEVER {
                    continue;
                }
                let at = |version: &Version| version.node == seen.node;
                let known = survivor.seen().chain([survivor.version()]).find(at);
                prop_assert!(known >= Some(seen), "{known:?} {seen:?}");
            }
        }

        #[test]
        fn the_greater_version_always_survives(a in records(), b in records()) {
            prop_assert_eq!(merged(&a, &b).version(), a.version().max(b.version()));
        }
    }

    #[test]
    fn the_outcome_says_what_was_replaced_or_not_accepted() {
        let (old, new) = (record(1, 1, Content::Value(b"a")), record(2, 1, Content::Tombstone));
        let mut current = old.clone();
        assert_eq!(merge(&mut current, new.clone(), Rules::default()).effect, Effect::Replaced(Some(old.clone())));
        assert_eq!(current, new);
        assert_eq!(merge(&mut current, old.clone(), Rules::default()).effect, Effect::Stale(old));
        assert_eq!(current, new);
    }

    #[test]
    fn on_a_tie_a_tombstone_wins_over_a_value_then_the_greater_bytes() {
        let [gone, a, b] = [Content::Tombstone, Content::Value(b"a"), Content::Value(b"b")].map(|it| record(1, 1, it));
        for (smaller, greater) in [(&b, &gone), (&a, &gone), (&a, &b)] {
            assert_eq!(&merged(smaller, greater), greater);
            assert_eq!(&merged(greater, smaller), greater);
        }
        let mut first = a.clone();
        merge(&mut first, b, Rules::default().without(Rule::TieBreak));
        assert_eq!(first, a, "without the rule, what came first stays");
    }
}
