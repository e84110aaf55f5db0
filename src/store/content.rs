//! What stands under a key: a value or a tombstone, and the version of the write that put it there.

use super::version::Version;

/// What a key holds: a value, or the fact that it was deleted.
///
/// A delete is kept as a tombstone, with a version like any write. If the key were simply absent, the first peer that
/// has missed the delete would bring the value back.
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
