//! The hash tree over the keys: how two nodes find the few entries in which they differ among millions.
//!
//! To compare all entries, two nodes would have to send them. A hash over the whole store says in eight bytes whether
//! anything differs, but not what. So hashes are kept for parts of the store too: a tree (Merkle, 1987) in which a
//! branch is named by the first hex digits of the keys' hashes. The root covers all keys, its child `a` those whose
//! hash begins with `a`, that one's child `a3` those with `a3`, down to 65,536 leaves of four digits. Two nodes compare
//! the root; where it differs, its 16 children; where one of these differs, its own 16; and name single entries only
//! for the leaves at the end.
//!
//! ```text
//!            root           1 branch
//!          0 1 … f         16
//!     00 01 … … … ff      256     one per shard
//!    000 … … … … … fff  4,096
//!  0000 … … … … … ffff 65,536     the leaves
//! ```
//!
//! The digest of a set is the *sum* of the hashes of its entries, where a Merkle tree would hash the concatenation of
//! the children's hashes. A sum can be changed by one entry without reading the others: subtract what was replaced, add
//! what replaces it. So the leaves are updated with each write, for a few nanoseconds, never rebuilt, and need no
//! order.
//!
//! A leaf has no digests below it, but a hash goes on for twelve more digits. Where a leaf is too full to be listed at
//! once (somebody has chosen its keys), it is listed in parts, which are named by more digits: `a3f07`.
//!
//! What the sum costs: an adversary who chooses entries can give two different sets the same sum. Against accidents a
//! sum is as good as any 64 bits: one difference in 2^64 goes unseen until the next write. A store that must compare
//! itself with adversaries uses a cryptographic set hash (LtHash, Bellare & Micciancio, 1997), at a hundred times the
//! price.
//!
//! Cassandra builds its trees anew for each repair, by reading everything. Riak updates its trees with each write
//! ("active anti-entropy"), as this store does. Riak's data and trees are on disk, so it also builds the trees anew
//! from time to time, to find what the disk has damaged.

use std::fmt;
use std::iter::Sum;
use std::ops::{Range, RangeInclusive};

/// How many children a branch has: one for each hex digit.
pub const FANOUT: usize = 16;

/// How many levels lie below the root; the last are the leaves.
pub const DEPTH: u8 = 4;

/// How many hex digits a hash has.
pub const DIGITS: u8 = 16;

/// How many leaves the tree has.
pub const LEAVES: usize = FANOUT.pow(DEPTH as u32);

/// The sum, modulo 2^64, of the hashes of a set of entries. Equal digests prove equal sets, as far as 64 bits can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The 64 bits.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`Digest::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Adds an entry's hash, or a whole set's digest.
    pub fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Takes away what was added.
    pub fn remove(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl Sum for Digest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::default(), |sum, digest| Self(sum.0.wrapping_add(digest.0)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A branch of the tree, a leaf, or a part of a leaf: the first hex digits of a key's hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The digits as a number; less than `FANOUT.pow(len)`.
    digits: u64,
    /// How many digits: 0 is the root, [`DEPTH`] a leaf, more are a part of one; at most [`DIGITS`].
    len: u8,
}

impl Prefix {
    /// The root: no digits, all keys.
    pub const ROOT: Self = Self { digits: 0, len: 0 };

    /// The leaf with this number, from 0 to 65,535.
    pub const fn leaf(number: u16) -> Self {
        Self { digits: number as u64, len: DEPTH }
    }

    /// The leaf in which a key with this hash stands.
    pub const fn leaf_of(hash: u64) -> Self {
        Self::leaf((hash >> 48) as u16)
    }

    /// The number of digits.
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether this is the root.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Whether this is a leaf, which has no children.
    pub const fn is_leaf(self) -> bool {
        self.len == DEPTH
    }

    /// The child with this digit, below [`FANOUT`]; of a leaf, this part. Not for a whole hash.
    #[must_use]
    pub fn child(self, digit: usize) -> Self {
        assert!(self.len < DIGITS && digit < FANOUT, "a hash has {DIGITS} digits, and each is one of {FANOUT}");
        Self { digits: self.digits * FANOUT as u64 + digit as u64, len: self.len + 1 }
    }

    /// All children, in ascending order; none of a whole hash.
    pub fn children(self) -> impl DoubleEndedIterator<Item = Self> {
        let digits = if self.len < DIGITS { 0..FANOUT } else { 0..0 };
        digits.map(move |digit| self.child(digit))
    }

    /// The hashes that begin with these digits.
    pub fn hashes(self) -> RangeInclusive<u64> {
        let bits = u32::from(self.len) * 4;
        let first = self.digits.checked_shl(u64::BITS - bits).unwrap_or(0);
        first..=first | u64::MAX.checked_shr(bits).unwrap_or(0)
    }

    /// The numbers of the leaves below this branch; that of the leaf itself, if it is one or a part of one.
    pub fn leaves(self) -> Range<usize> {
        let (first, last) = self.hashes().into_inner();
        let leaf = |hash: u64| (hash >> 48) as usize;
        leaf(first)..leaf(last) + 1
    }

    /// The branch or leaf with the name `text`: up to four hex digits; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::parse_part(text).filter(|prefix| prefix.len <= DEPTH)
    }

    /// As [`Prefix::parse`], also for a part of a leaf: up to 16 digits.
    pub fn parse_part(text: &[u8]) -> Option<Self> {
        if text.len() > usize::from(DIGITS) {
            return None;
        }
        text.iter().try_fold(Self::ROOT, |prefix, &digit| {
            let digit = char::from(digit).to_digit(FANOUT as u32)?;
            Some(prefix.child(digit as usize))
        })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            0 => Ok(()),
            len => write!(f, "{:0width$x}", self.digits, width = usize::from(len)),
        }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_named_by_its_digits() {
        for name in ["", "a", "a3", "00f", "ffff"] {
            assert_eq!(Prefix::parse(name.as_bytes()).expect(name).to_string(), name);
        }
        for rubbish in ["g", "12345", "-1", "+1", " "] {
            assert_eq!(Prefix::parse(rubbish.as_bytes()), None, "{rubbish}");
        }
        assert_eq!(Prefix::parse(b"A3"), Prefix::parse(b"a3"));
    }

    #[test]
    fn a_part_of_a_leaf_has_more_digits_down_to_a_whole_hash() {
        let part = Prefix::parse_part(b"a3f07").expect("a part");
        assert_eq!((part.to_string(), part.leaves()), ("a3f07".into(), Prefix::leaf(0xa3f0).leaves()));
        assert_eq!(part.hashes(), 0xa3f0_7000_0000_0000..=0xa3f0_7fff_ffff_ffff);
        assert_eq!(part.children().count(), FANOUT);
        let whole = Prefix::parse_part(b"a3f0700000000001").expect("a hash");
        assert_eq!((whole.hashes(), whole.children().count()), (0xa3f0_7000_0000_0001..=0xa3f0_7000_0000_0001, 0));
        assert_eq!(Prefix::ROOT.hashes(), 0..=u64::MAX);
        assert_eq!(Prefix::parse_part(b"a3f07000000000010"), None);
    }

    #[test]
    fn the_children_of_a_branch_share_its_leaves_among_them() {
        for name in ["", "7", "7b", "7b0"] {
            let branch = Prefix::parse(name.as_bytes()).expect(name);
            let below: Vec<usize> = (0..FANOUT).flat_map(|digit| branch.child(digit).leaves()).collect();
            assert_eq!(below, branch.leaves().collect::<Vec<_>>());
        }
        assert_eq!(Prefix::ROOT.leaves(), 0..LEAVES);
        assert_eq!(Prefix::leaf_of(0xa3b4_0000_0000_0000).to_string(), "a3b4");
    }
}
