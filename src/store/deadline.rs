//! Values that expire, and the queue of those that one shard holds.
//!
//! A deadline is a part of what was written, so it belongs to a version as the value does: a SET without one removes
//! it, and EXPIRE is a write like any other. What is past its deadline reads as absent at once, on each node by its own
//! clock. The obvious next step, to remove it, brings it back from the first peer that still holds it; and to write a
//! delete of it would make a later write of it, by each node at another time.
//!
//! So *an expired value is a tombstone of its own version*. A node that finds one ([`KeyValueStore::sweep`]) replaces
//! it by a tombstone of the same version. Of one version, a tombstone wins ([`mod@merge`](super::merge)), wherever it
//! arrives. Nobody needs to agree on the instant, nothing new is stamped, and the tombstone settles and is forgotten as
//! others are. A node whose clock is ahead lets values expire early for all, by as much as it is ahead.
//!
//! [`KeyValueStore::sweep`]: super::KeyValueStore::sweep

use std::collections::BTreeSet;
use std::fmt;

use super::clock::Timestamp;

/// When a value expires, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(u64);

impl Deadline {
    /// The bytes of an encoded deadline: big-endian.
    pub const ENCODED_BYTES: usize = 8;

    /// The latest one, as Redis has it: 292 million years from now.
    pub const LATEST: Self = Self(i64::MAX as u64);

    /// The deadline at so many milliseconds since 1970; `None` beyond [`Deadline::LATEST`].
    pub fn from_millis(millis: u64) -> Option<Self> {
        (millis <= Self::LATEST.0).then_some(Self(millis))
    }

    /// The milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0
    }

    /// Whether it is over when the clock shows this time. The millisecond that it names still belongs to the value, as
    /// in Redis.
    pub fn is_past(self, now: Timestamp) -> bool {
        now.millis() > self.0
    }

    /// The deadline as bytes.
    pub fn encode(self) -> [u8; Self::ENCODED_BYTES] {
        self.0.to_be_bytes()
    }

    /// The deadline in these bytes; `None` if they hold none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_be_bytes).and_then(Self::from_millis)
    }
}

impl fmt::Display for Deadline {
    /// RFC 3339 with milliseconds, as far as timestamps reach.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millis(self.0.min(Timestamp::YEAR_2200.millis())) {
            Timestamp::YEAR_2200 => f.write_str("after 2200"),
            time => f.write_str(&time.rfc3339()),
        }
    }
}

/// The deadlines of a shard, the earliest first, each with the hash of its key.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Deadline, u64)>);

impl Deadlines {
    pub(super) fn add(&mut self, deadline: Deadline, hash: u64) {
        self.0.insert((deadline, hash));
    }

    pub(super) fn remove(&mut self, deadline: Deadline, hash: u64) {
        self.0.remove(&(deadline, hash));
    }

    /// Some that are over at this time; at most so many.
    pub(super) fn past(&self, now: Timestamp, most: usize) -> Vec<(Deadline, u64)> {
        self.0.iter().take_while(|(deadline, _)| deadline.is_past(now)).take(most).copied().collect()
    }

    /// The earliest, and how many there are.
    pub(super) fn first(&self) -> Option<Deadline> {
        self.0.first().map(|&(deadline, _)| deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
