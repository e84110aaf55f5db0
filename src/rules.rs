//! The rules that keep the nodes in agreement, each of which can be switched off to see what it is for.
//!
//! `--without RULE` switches one off in a running node; a simulated cluster does it to prove that its checks would notice.
//! In the code each rule is one `if`.

use std::fmt;
use std::str::FromStr;

/// Which rules are in force: all of them, unless somebody wants to see what breaks.
///
/// Each field's doc says what happens without the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A delete leaves a tombstone. Without: the key is just removed, and comes back from the first peer that missed it.
    pub tombstones: bool,
    /// Of two contents with the same version the greater wins everywhere. Without: each node keeps what came first, and the
    /// nodes differ for ever.
    pub tie_break: bool,
    /// Versions come from the hybrid logical clock. Without: from the wall clock, so that a write can be older than what its
    /// node has already seen.
    pub hybrid_clock: bool,
    /// A write is stamped past the version it replaces. Without: it can be acknowledged and yet lose against what it replaces.
    pub stamp_bump: bool,
    /// A write is sent to the peers at once. Without: they learn of it in the next anti-entropy round.
    pub propagation: bool,
    /// The nodes compare their state periodically. Without: what propagation has lost stays lost.
    pub anti_entropy: bool,
    /// A round compares digests first. Without: it lists all keys each time, as the simplest full sync would.
    pub digests: bool,
    /// A tombstone is forgotten when every peer has confirmed it. Without: after one tick, and the delete is undone by a
    /// peer that was away.
    pub confirmation: bool,
    /// A peer's new connection revokes its older ones. Without: something old can arrive after the peer has confirmed
    /// something newer.
    pub ordered_link: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tombstones: true,
            tie_break: true,
            hybrid_clock: true,
            stamp_bump: true,
            propagation: true,
            anti_entropy: true,
            digests: true,
            confirmation: true,
            ordered_link: true,
        }
    }
}

impl Rules {
    /// The rules with one of them switched off.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        *rule.field(&mut self) = false;
        self
    }

    /// The rules that are switched off.
    pub fn off(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| !*rule.field(&mut self.clone()))
    }
}

/// The name of one of the [`Rules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described at the field of Rules with its name")]
pub enum Rule {
    Tombstones,
    TieBreak,
    HybridClock,
    StampBump,
    Propagation,
    AntiEntropy,
    Digests,
    Confirmation,
    OrderedLink,
}

impl Rule {
    /// Every rule, in the order in which a reader meets them.
    pub const ALL: [Self; 9] = [
        Self::Tombstones,
        Self::TieBreak,
        Self::HybridClock,
        Self::StampBump,
        Self::Propagation,
        Self::AntiEntropy,
        Self::Digests,
        Self::Confirmation,
        Self::OrderedLink,
    ];

    /// The name used on the command line.
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
        }
    }

    fn field(self, rules: &mut Rules) -> &mut bool {
        match self {
            Self::Tombstones => &mut rules.tombstones,
            Self::TieBreak => &mut rules.tie_break,
            Self::HybridClock => &mut rules.hybrid_clock,
            Self::StampBump => &mut rules.stamp_bump,
            Self::Propagation => &mut rules.propagation,
            Self::AntiEntropy => &mut rules.anti_entropy,
            Self::Digests => &mut rules.digests,
            Self::Confirmation => &mut rules.confirmation,
            Self::OrderedLink => &mut rules.ordered_link,
        }
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
