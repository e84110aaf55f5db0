//! The rules that keep the nodes in agreement. Each can be switched off, to see what it is for.
//!
//! `--without RULE` switches one off in a running node. A simulated cluster does the same, to prove that its invariants
//! notice. In the code each rule is one `if`.

use std::fmt;
use std::str::FromStr;

/// One rule. Its document says what breaks without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A delete leaves a tombstone. Without: the key is only removed, and comes back from the first peer that missed
    /// the delete.
    Tombstones,
    /// Of two contents with the same version the greater wins everywhere. Without: each node keeps what came first, and
    /// the nodes differ for ever.
    TieBreak,
    /// Versions come from the hybrid logical clock. Without: from the wall clock, so that a write can be older than
    /// what its node has already seen.
    HybridClock,
    /// A write is stamped past the version that it replaces. Without: it can be acknowledged, and still lose against
    /// what it replaces.
    StampBump,
    /// A write is sent to the peers at once. Without: they learn of it in the next anti-entropy round.
    Propagation,
    /// The nodes compare their state periodically. Without: what propagation has lost stays lost.
    AntiEntropy,
    /// A round compares digests first. Without: it lists all keys each time, as the simplest full sync would.
    Digests,
    /// A tombstone is forgotten when every peer has confirmed it. Without: after one tick, and a peer that was away
    /// brings the deleted value back.
    Confirmation,
    /// A peer's new connection revokes its older ones. Without: something old can arrive after the peer has confirmed
    /// something newer.
    OrderedLink,
    /// A node confirms to a peer what it holds when that is on its disk. Without: a power cut can take it back, and a
    /// value whose delete all others have forgotten is there again.
    DurableConfirm,
    /// A peer whose disk is an old copy is refused. Without: what was deleted and forgotten since is there again.
    StaleDisk,
    /// A write carries what its writer had seen. Without: of two writes that did not know of each other, one is thrown
    /// away in silence.
    VersionVectors,
    /// Each life of a node counts in a share of its own. Without: an increment reads and writes the sum, and of two
    /// increments on two nodes one is lost.
    Shares,
}

impl Rule {
    /// Every rule, in the order in which a reader meets them.
    pub const ALL: [Self; 13] = [
        Self::Tombstones,
        Self::TieBreak,
        Self::HybridClock,
        Self::StampBump,
        Self::Propagation,
        Self::AntiEntropy,
        Self::Digests,
        Self::Confirmation,
        Self::OrderedLink,
        Self::DurableConfirm,
        Self::StaleDisk,
        Self::VersionVectors,
        Self::Shares,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tombstones => "tombstones",
            Self::TieBreak => "tie-break",
            Self::HybridClock => "hybrid-clock",
            Self::StampBump => "stamp-bump",
            Self::Propagation => "propagation",
            Self::AntiEntropy => "anti-entropy",
            Self::Digests => "digests",
            Self::Confirmation => "confirmation",
            Self::OrderedLink => "ordered-link",
            Self::DurableConfirm => "durable-confirm",
            Self::StaleDisk => "stale-disk",
            Self::VersionVectors => "version-vectors",
            Self::Shares => "shares",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|rule| rule.name() == name)
            .ok_or_else(|| format!("no rule is called `{name}`; the rules are {}", known()))
    }
}

/// Which rules are in force: all of them, unless some were switched off. A set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The bits of the rules that are switched off.
    off: u32,
}

impl Rules {
    /// Whether a rule is in force.
    pub const fn has(self, rule: Rule) -> bool {
        self.off & rule.bit() == 0
    }

    /// These rules, with one of them switched off.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self { off: self.off | rule.bit() }
    }

    /// The rules that are switched off.
    pub fn off(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |&rule| !self.has(rule))
    }
}
