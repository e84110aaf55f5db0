//! What stands under a key: a value or a tombstone, and the version of the write that put it there.

use super::clock::Timestamp;
use super::deadline::Deadline;
use super::version::Version;

/// What a key holds: a value, or the fact that it was deleted.
///
/// A delete is kept as a tombstone, with a version like any write. If the key were simply absent, the first peer that
/// has missed the delete would bring the value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The value's bytes, possibly none.
    Value(&'a [u8]),
    /// A value until its deadline; from then on the key is deleted.
    Expiring(&'a [u8], Deadline),
    /// The key was deleted.
    Tombstone,
}

impl<'a> Content<'a> {
    /// A value with this deadline, or without one.
    pub fn until(value: &'a [u8], deadline: Option<Deadline>) -> Self {
        deadline.map_or(Self::Value(value), |deadline| Self::Expiring(value, deadline))
    }

    /// The value, if it is one, expired or not.
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Self::Value(value) | Self::Expiring(value, _) => Some(value),
            Self::Tombstone => None,
        }
    }

    /// The deadline of the value, if it has one.
    pub fn deadline(self) -> Option<Deadline> {
        match self {
            Self::Expiring(_, deadline) => Some(deadline),
            Self::Value(_) | Self::Tombstone => None,
        }
    }

    /// Whether it is a value that is not past its deadline. The clock is read only if there is a deadline.
    pub fn is_live(self, now: impl FnOnce() -> Timestamp) -> bool {
        match self {
            Self::Value(_) => true,
            Self::Expiring(_, deadline) => !deadline.is_past(now()),
            Self::Tombstone => false,
        }
    }

    /// Whether the key was deleted.
    pub fn is_tombstone(self) -> bool {
        self == Self::Tombstone
    }
}

/// What stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When and by which node it was written.
    pub version: Version,
    /// What was written.
    pub content: Content<'a>,
}
