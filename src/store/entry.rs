//! What stands under a key, and the one rule that decides between two entries.

use super::version::Version;

/// What a key holds: a value, or the fact that it was deleted.
///
/// A delete is kept as a tombstone because nothing says "newer" louder than a version: a key that is merely absent would
/// be brought back by the first peer that has not heard of the delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The value's bytes, possibly none.
    Value(&'a [u8]),
    /// The key was deleted.
    Tombstone,
}

impl<'a> Content<'a> {
    /// The value, if it is one.
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::Value(value) => Some(value),
            Self::Tombstone => None,
        }
    }

    /// What decides between contents of the same version: a tombstone wins over every value, then the greater bytes.
    fn rank(self) -> (bool, &'a [u8]) {
        (self == Self::Tombstone, self.value().unwrap_or_default())
    }
}

/// What stands under a key: its content, and the version of the write that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When and by whom it was written.
    pub version: Version,
    /// What was written.
    pub content: Content<'a>,
}

/// Which of two entries [`merge`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The entry that stands in the store.
    Current,
    /// The entry that has arrived.
    Incoming,
}

/// The merge rule of this store, the only one: a last-write-wins register (Shapiro et al., "A comprehensive study of
/// Convergent and Commutative Replicated Data Types", 2011).
///
/// The greater version survives; on equal versions a tombstone over a value, then the greater bytes. That order is total
/// over everything that differs, so merging is commutative, associative and idempotent: nodes that have seen the
/// same entries hold the same state, in whatever order, and however often, they came.
///
/// Two different contents can only meet under one version after a fault (two nodes with the same number, a clock put back
/// over a restart). `tie_break` false turns the second half of the rule off, as [`Rules`](crate::rules::Rules) explains.
pub fn merge(current: Entry<'_>, incoming: Entry<'_>, tie_break: bool) -> Survivor {
    let incoming_wins = match incoming.version.cmp(&current.version) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => tie_break && incoming.content.rank() > current.content.rank(),
        std::cmp::Ordering::Less => false,
    };
    if incoming_wins { Survivor::Incoming } else { Survivor::Current }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Timestamp;
    use super::*;
    use proptest::prelude::*;

    /// Entries from so few versions and contents that ties and tombstones are common.
    fn entries() -> impl Strategy<Value = Entry<'static>> {
        let content = prop_oneof![
            Just(Content::Tombstone),
            Just(Content::Value(b"")),
            Just(Content::Value(b"a")),
            Just(Content::Value(b"b")),
        ];
        (0u64..3, 1u16..3, content).prop_map(|(time, node, content)| Entry {
            version: Version::new(Timestamp::from_bits(time), node),
            content,
        })
    }

    fn merged<'a>(current: Entry<'a>, incoming: Entry<'a>) -> Entry<'a> {
        match merge(current, incoming, true) {
            Survivor::Current => current,
            Survivor::Incoming => incoming,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn merge_is_commutative(a in entries(), b in entries()) {
            prop_assert_eq!(merged(a, b), merged(b, a));
        }

        #[test]
        fn merge_is_associative(a in entries(), b in entries(), c in entries()) {
            prop_assert_eq!(merged(merged(a, b), c), merged(a, merged(b, c)));
        }

        #[test]
        fn merge_is_idempotent_and_says_so(a in entries()) {
            prop_assert_eq!(merge(a, a, true), Survivor::Current);
        }

        #[test]
        fn the_greater_version_always_survives(a in entries(), b in entries()) {
            prop_assert_eq!(merged(a, b).version, a.version.max(b.version));
        }
    }

    #[test]
    fn on_a_tie_a_tombstone_wins_over_a_value_then_the_greater_bytes() {
        let version = Version::new(Timestamp::from_bits(1), 1);
        let entry = |content| Entry { version, content };
        let (gone, a, b) = (entry(Content::Tombstone), entry(Content::Value(b"a")), entry(Content::Value(b"b")));
        assert_eq!(merge(b, gone, true), Survivor::Incoming);
        assert_eq!(merge(gone, b, true), Survivor::Current);
        assert_eq!(merge(a, b, true), Survivor::Incoming);
        assert_eq!(merge(b, a, true), Survivor::Current);
        assert_eq!(merge(a, b, false), Survivor::Current, "without the rule whoever came first stays");
    }
}
