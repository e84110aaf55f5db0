//! What holds up the forgetting of deletes.

use std::fmt;

/// A node for which deletes cannot be forgotten, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holdup {
    /// The round with this member failed: it is away. The name.
    Away(String),
    /// This member was met in this tick for the first time, or in another incarnation than before. The next tick can
    /// settle. The name.
    JustMet(String),
    /// No node was ever met at this configured address.
    NeverMet(String),
    /// This member speaks with us, but is not among our peers, so no round tells whether it lives. The name.
    NotAPeer(String),
    /// Two of the configured addresses lead to this member. The name.
    Twice(String),
    /// The disk of this node has failed: what settles now would not be known as settled after a restart.
    OwnDisk,
}

impl fmt::Display for Holdup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(name) => write!(f, "{name}=away"),
            Self::JustMet(name) => write!(f, "{name}=just-met"),
            Self::NeverMet(address) => write!(f, "{address}=never-met"),
            Self::NotAPeer(name) => write!(f, "{name}=not-a-peer"),
            Self::Twice(name) => write!(f, "{name}=configured-twice"),
            Self::OwnDisk => f.write_str("own-disk=failed"),
        }
    }
}
