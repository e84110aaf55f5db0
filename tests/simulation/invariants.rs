//! What must hold in every run, whatever is lost, delayed, repeated, restarted or mistimed. The
//! [`Judge`](super::judge::Judge) checks it.

use std::fmt;

/// The keys of a run: few, so that everything meets. The first two share a leaf of the digest tree.
pub(crate) const KEYS: [&str; 6] = ["k379", "k653", "k1", "k3", "k33", "k58"];

/// The invariants. Each one's text completes "violated: …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// No message and no clock makes a node panic.
    NoPanic,
    /// SET and DEL take effect before they are acknowledged, whatever the clocks say.
    WriteStands,
    /// A write that follows what its node has seen has a greater version: of the key at any time, and of every other
    /// key as long as the clocks are within the drift that is allowed.
    WriteIsNewer,
    /// A node that has completed a round with a peer writes nothing older than what that peer held when the round
    /// began: so nothing that stood there can undo an acknowledged write later, settled tombstones included.
    NewerThanLoaded,
    /// A node that begins to serve holds all that the peers held that have answered it.
    LoadIsWhole,
    /// While a node lives, what stands under a key only becomes greater.
    NeverBack,
    /// What stands under a version was written under it, or is the tombstone of what has expired; and two writes get
    /// the same version only if their node has lost its memory, and its clock was put back.
    OneContent,
    /// A node that has confirmed a number holds everything that arrived up to there, or something newer.
    TrueConfirmation,
    /// When a tombstone settles, every peer holds it or something newer.
    SettledEverywhere,
    /// Where a tombstone was forgotten, nothing ever stands that was written before it settled.
    NoResurrection,
    /// A node starts from whatever a kill, a power cut or a copy leaves on its disk.
    StartsAgain,
    /// After a kill a node's disk has all that the node had when it last answered. After a power cut it has all that
    /// was synced: with `always` that is the same. And what it has confirmed to a peer.
    Durable,
    /// What was deleted, and whose delete has settled somewhere, comes to no node again once no node holds the delete
    /// any more; except what [`past`](super::past) excuses.
    NoDeletedKeyReturns,
    /// No node is said to have an old copy of its disk that has none.
    NoFalseAlarm,
    /// Of two writes of which neither writer had seen the other, some node lists the one that is thrown away; see
    /// [`losses`](super::losses).
    NoSilentLoss,
    /// A node lists no conflict of two writes of which one had seen the other, or that say the same, and none in which
    /// what is lost has expired.
    NoFalseConflict,
    /// Once the nodes agree and all messages have arrived, no node notices another conflict.
    NoLateConflict,
    /// What WAIT counts is there.
    HeldIsThere,
    /// A value reads as present up to its deadline by the clock of its node, and not after.
    ReadsByDeadline,
    /// A sweep replaces what is past its deadline by the clock of its node, all of it and nothing else.
    SweptInTime,
    /// At the end nothing stands there that is past its deadline.
    AllExpired,
    /// A counter is what its base says, and what the base's writer had not seen of what its node holds; see
    /// [`counters`](super::counters).
    SumIsRight,
    /// At the end every acknowledged increment is held everywhere, unless it is lost with a memory, or has ended with
    /// something that was forgotten.
    EveryIncrementCounts,
    /// The digest is that of the entries.
    DigestOfEntries,
    /// The store counts its values as they are, and those with a deadline.
    CountsOfEntries,
    /// The store's output is told of every accepted entry, before it is acknowledged: these entries, merged in any
    /// order, give the same store.
    OutputIsWhole,
    /// No queue grows beyond its bound.
    QueueBounds,
    /// At the end all nodes hold the same.
    Agreement,
    /// What survives is the greatest of what was acknowledged and not lost with a memory.
    GreatestSurvives,
    /// At the end no tombstone is left.
    AllForgotten,
    /// After agreement no entry crosses the wire any more.
    Silence,
    /// A round between nodes that agree costs at most 300 bytes.
    CheapRound,
    /// A write reaches a connected peer without waiting for a tick.
    PromptPropagation,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPanic => "no message and no clock makes a node panic",
            Self::WriteStands => "an acknowledged write stands on its node",
            Self::WriteIsNewer => "a write is newer than what its node has seen",
            Self::NewerThanLoaded => "a write is newer than what the peers held from whom its node has loaded",
            Self::LoadIsWhole => "a node that serves holds what the peers held that it could reach",
            Self::NeverBack => "a key never goes back to an older version",
            Self::OneContent => "a version has one content, the one that was written",
            Self::TrueConfirmation => "a peer holds what it has confirmed",
            Self::SettledEverywhere => "a settled tombstone is held by every peer",
            Self::NoResurrection => "nothing older stands where a tombstone was forgotten",
            Self::StartsAgain => "a node starts from its disk",
            Self::Durable => "a disk keeps what was answered, synced or confirmed",
            Self::NoDeletedKeyReturns => "what was deleted does not come back",
            Self::NoFalseAlarm => "only an old copy of a disk is called one",
            Self::NoSilentLoss => "no write is lost in silence",
            Self::NoFalseConflict => "a conflict is one: neither write had seen the other",
            Self::NoLateConflict => "after agreement no conflict is noticed",
            Self::HeldIsThere => "a peer holds what WAIT counts",
            Self::ReadsByDeadline => "a value reads as present up to its deadline, and not after",
            Self::SweptInTime => "a sweep replaces what is past its deadline, and nothing else",
            Self::AllExpired => "in the end nothing is past its deadline",
            Self::SumIsRight => "a counter is its base, and what the base's writer had not seen",
            Self::EveryIncrementCounts => "every acknowledged increment counts",
            Self::CountsOfEntries => "the counts are those of the entries",
            Self::DigestOfEntries => "the digest is that of the entries",
            Self::OutputIsWhole => "the store's output is told of every accepted entry",
            Self::QueueBounds => "queues stay within their bounds",
            Self::Agreement => "in the end all nodes hold the same",
            Self::GreatestSurvives => "the greatest acknowledged write survives",
            Self::AllForgotten => "in the end all tombstones are forgotten",
            Self::Silence => "after agreement no entry crosses the wire",
            Self::CheapRound => "a round between equal nodes costs 300 bytes",
            Self::PromptPropagation => "a write reaches its peers without a tick",
        })
    }
}

/// An invariant that did not hold, and how.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) details: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "violated: {}. {}", self.invariant, self.details)
    }
}
