//! What makes one write of a key newer than another.

use std::fmt;

use super::clock::Timestamp;

/// The number of a node, unique in the cluster: 1 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of an entry: when it was written, and by which node.
///
/// Versions are ordered by time, then by node number, so that two nodes that write in the same instant agree on the
/// winner without a message. A node never gives out a version twice for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// When the entry was written. Compared first.
    pub timestamp: Timestamp,
    /// The node that took the write. Compared second: an arbitrary order, but the same one everywhere.
    pub node: NodeId,
}

impl Version {
    /// The bytes of an encoded version: the timestamp's eight, then the node's two, both big-endian. So the order of
    /// the bytes is the order of the versions.
    pub const ENCODED_BYTES: usize = 10;

    /// The version of a key that was never written: earlier than all others. No node's clock stands there.
    pub const NEVER: Self = Self { timestamp: Timestamp::ZERO, node: NodeId(1) };

    /// The version of a write by `node` at `timestamp`.
    pub const fn new(timestamp: Timestamp, node: NodeId) -> Self {
        Self { timestamp, node }
    }

    /// The version as bytes.
    pub fn encode(self) -> [u8; Self::ENCODED_BYTES] {
        let mut bytes = [0; Self::ENCODED_BYTES];
        bytes[..8].copy_from_slice(&self.timestamp.to_bits().to_be_bytes());
        bytes[8..].copy_from_slice(&self.node.0.to_be_bytes());
        bytes
    }

    /// The version in `bytes`. `None` unless these are exactly [`Version::ENCODED_BYTES`], show a time before
    /// [`Timestamp::YEAR_2200`], and name a node other than 0. Whether a node of that number exists is not checked: an
    /// entry outlives the node that took it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::ENCODED_BYTES] = bytes.try_into().ok()?;
        let (timestamp, node) = bytes.split_at(8);
        let timestamp = Timestamp::from_bits(u64::from_be_bytes(timestamp.try_into().ok()?));
        let node = u16::from_be_bytes(node.try_into().ok()?);
        (timestamp < Timestamp::YEAR_2200 && node > 0).then_some(Self { timestamp, node: NodeId(node) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NEVER => f.write_str("never"),
            Self { timestamp, node } => write!(f, "{timestamp}@{node}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn versions() -> impl Strategy<Value = Version> {
        let parts = (0..Timestamp::YEAR_2200.to_bits(), 1..u16::MAX);
        parts.prop_map(|(bits, node)| Version::new(Timestamp::from_bits(bits), NodeId(node)))
    }

    proptest! {
        #[test]
        fn encoding_keeps_value_and_order(a in versions(), b in versions()) {
            prop_assert_eq!(Version::decode(&a.encode()), Some(a));
            prop_assert_eq!(a.encode().cmp(&b.encode()), a.cmp(&b));
        }
    }

    #[test]
    fn time_decides_before_the_node_number() {
        let early = Timestamp::from_millis(1);
        assert!(Version::new(early, NodeId(9)) < Version::new(early.next(), NodeId(1)));
        assert!(Version::new(early, NodeId(1)) < Version::new(early, NodeId(2)));
    }

    #[test]
    fn a_version_from_beyond_2200_of_no_node_or_of_another_length_is_refused() {
        let beyond = Version::new(Timestamp::YEAR_2200, NodeId(1)).encode();
        assert_eq!(Version::decode(&beyond), None);
        assert_eq!(Version::decode(&beyond[..9]), None);
        assert_eq!(Version::decode(&Version::new(Timestamp::ZERO, NodeId(0)).encode()), None);
    }
}
