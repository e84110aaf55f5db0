//! What holds up the forgetting of deletes.

use std::fmt;

/// Why deletes cannot be forgotten; mostly a node that they wait for.
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
    /// Some deletes lie ahead of this node's clock, by more than it follows: it is behind, or the clock was ahead
    /// that has stamped them. They wait until their time has come.
    Clocks,
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
            Self::Clocks => f.write_str("clocks=apart"),
        }
    }
}
