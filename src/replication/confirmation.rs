//! The numbers by which stores and their confirmations are known. What they are for: [`old_copies`](super::old_copies).

use std::fmt;

use super::message::Incarnation;

/// The number of a store: random, drawn when a data directory is made. It stays the same over restarts. A node without
/// a disk draws one at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Counts what a store has confirmed to its peers: one higher whenever it confirms more than before. It is on the disk
/// before it is sent. So a disk that shows a smaller number than a peer has heard is an old copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confirmation(pub u64);

impl Confirmation {
    /// The store has no past: it was made in this life of its node. So it cannot be an old copy.
    pub const NONE: Self = Self(0);

    /// The store has a past, but has confirmed nothing yet.
    pub const UNCONFIRMED: Self = Self(1);
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The greatest confirmation that a node has heard of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The store.
    pub store: StoreId,
    /// Never [`Confirmation::NONE`].
    pub confirmation: Confirmation,
    /// The incarnation that has made it. A smaller number from the same one is only an older message.
    pub incarnation: Incarnation,
}

impl Heard {
    /// How many bytes an encoded one has.
    pub(crate) const BYTES: usize = 24;

    /// The three numbers, on the wire as on the disk.
    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.store.0, self.confirmation.0, self.incarnation.0];
        bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = number.to_be_bytes());
        bytes
    }

    /// The numbers in these bytes.
    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| u64::from_be_bytes(bytes.as_chunks().0[at]);
        Self { store: StoreId(number(0)), confirmation: Confirmation(number(1)), incarnation: Incarnation(number(2)) }
    }
}
