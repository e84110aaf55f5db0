//! A key and its entry, packed into one allocation.
//!
//! A store of small values pays mostly for its bookkeeping: a key, a value and a version in three objects cost three
//! allocations and three pointers. A [`Record`] is one byte string, and the same bytes serve four purposes: they stand
//! in the store's table, they are hashed for the digest, they travel to peers, and what comes from a peer is put into
//! the table as it is.
//!
//! ```text
//!   0         10       12      13       13 + key
//!   | version | length | flags | key …  | seen … | deadline | shares … | value …          a value
//!                                       | seen … | deadline | shares … | arrival (8) | settled (1)   a tombstone
//!
//!   seen      | count (1) | version (10) | version (10) | …                    only if a flag says so
//!   deadline  | milliseconds (8) |                                             only if a flag says so
//!   shares    | count (2) | share (48) | share (48) | …                        only if a flag says so
//! ```
//!
//! The length is the key's, big-endian. Arrival and settled belong to the node that holds the tombstone: they are
//! neither hashed nor sent. What the writer had seen travels with the entry, but is not hashed: see
//! [`causality`](super::causality).
//!
//! The flags say what the record consists of: whether it is a tombstone, whether there are the parts *seen*, *deadline*
//! and *shares* ([`counter`]). A tombstone has two marks besides: whether it was seen by all, and whether it stands for
//! a value that has expired; then it has that value's deadline. The marks are not hashed either. The other bits are
//! room for more parts, a bit for each. A record with a flag that this node does not know is malformed: a node that
//! cannot read a part must not accept the entry without it.

use std::borrow::Cow;
use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::arrival::Arrival;
use super::causality::seen_together;
use super::clock::Timestamp;
use super::content::{Content, Entry};
use super::counter::{self, Share};
use super::deadline::Deadline;
use super::digest::Digest;
use super::version::{NodeId, Version};
use crate::limits::{MAX_KEY_BYTES, MAX_MERGED_WRITERS, MAX_SEEN, MAX_VALUE_BYTES};

const LENGTH_AT: usize = Version::ENCODED_BYTES;
const FLAGS_AT: usize = LENGTH_AT + 2;
const KEY_AT: usize = FLAGS_AT + 1;
const ARRIVAL_BYTES: usize = 8;
const NOTE_BYTES: usize = ARRIVAL_BYTES + 1;

/// The flags of a value without optional parts.
const VALUE: u8 = 0;
/// The flag of a tombstone.
const TOMBSTONE: u8 = 1;
/// The flag of a record with a part *seen*.
const SEEN: u8 = 2;
/// The flag of a tombstone that was seen by all.
const SEEN_BY_ALL: u8 = 4;
/// The flag of a value with a deadline.
const DEADLINE: u8 = 8;
/// The flag of a tombstone that stands for a value that has expired.
const EXPIRED: u8 = 16;
/// The flag of a record with shares.
const COUNTED: u8 = 32;
/// What may be marked on a tombstone.
const MARKS: u8 = SEEN_BY_ALL | EXPIRED;

/// A key and what stands under it.
///
/// Invariants: the key has at most [`MAX_KEY_BYTES`], the value at most [`MAX_VALUE_BYTES`]; the version can be
/// decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Box<[u8]>);

impl Record {
    /// How many bytes an encoded record has beside key and value.
    pub const HEADER_BYTES: usize = KEY_AT;

    /// How many bytes the part *seen* has at most.
    pub const MAX_SEEN_BYTES: usize = 1 + MAX_SEEN * Version::ENCODED_BYTES;

    /// How many bytes the shares take at most.
    pub const MAX_SHARES_BYTES: usize = 2 + MAX_MERGED_WRITERS * Share::BYTES;

    /// How many bytes the largest encoded record has.
    pub const MAX_BYTES: usize = KEY_AT
        + MAX_KEY_BYTES
        + Self::MAX_SEEN_BYTES
        + Deadline::ENCODED_BYTES
        + Self::MAX_SHARES_BYTES
        + MAX_VALUE_BYTES;

    /// Packs a key and its entry, whose writer had seen no other node's write of the key. A tombstone has no arrival
    /// number until a store accepts it.
    ///
    /// # Panics
    /// If key or value are longer than they may be: every way in checks that first.
    pub fn new(key: &[u8], entry: Entry<'_>) -> Self {
        let (kind, payload): (u8, &[u8]) = match entry.content {
            Content::Value(value) => (VALUE, value),
            Content::Expiring(value, _) => (DEADLINE, value),
            Content::Tombstone => (TOMBSTONE, &[0; NOTE_BYTES]),
        };
        assert!(key.len() <= MAX_KEY_BYTES && payload.len() <= MAX_VALUE_BYTES, "lengths are checked on arrival");
        let deadline = entry.content.deadline();
        let deadline_bytes = if deadline.is_some() { Deadline::ENCODED_BYTES } else { 0 };
        let mut bytes = Vec::with_capacity(KEY_AT + key.len() + deadline_bytes + payload.len());
        bytes.extend_from_slice(&entry.version.encode());
        bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(key);
        deadline.iter().for_each(|deadline| bytes.extend_from_slice(&deadline.encode()));
        bytes.extend_from_slice(payload);
        Self(bytes.into_boxed_slice())
    }

    /// Packs a key, its entry, and what its writer had seen: for each other node the latest version, in the order of
    /// the nodes, of [`MAX_SEEN`] nodes at most.
    ///
    /// # Panics
    /// As [`Record::new`].
    pub fn with_seen(key: &[u8], entry: Entry<'_>, seen: &[Version]) -> Self {
        let mut record = Self::new(key, entry);
        record.set_seen(seen);
        record
    }

    /// Replaces what the writer had seen.
    fn set_seen(&mut self, seen: &[Version]) {
        let (seen_at, after_seen) = (self.seen_at(), self.after_seen());
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + seen.len() * Version::ENCODED_BYTES);
        bytes.extend_from_slice(&self.0[..seen_at]);
        bytes[FLAGS_AT] &= !SEEN;
        if !seen.is_empty() {
            bytes[FLAGS_AT] |= SEEN;
            bytes.push(u8::try_from(seen.len()).expect("MAX_SEEN fits in a byte"));
            seen.iter().for_each(|version| bytes.extend_from_slice(&version.encode()));
        }
        bytes.extend_from_slice(&self.0[after_seen..]);
        self.0 = bytes.into_boxed_slice();
    }

    /// A record of a key that was counted, but never written.
    pub(super) fn never_written(key: &[u8]) -> Self {
        Self::new(key, Entry { version: Version::NEVER, content: Content::Tombstone })
    }

    /// The same record with these shares, in the order of their writers.
    #[must_use]
    pub(super) fn with_shares(&self, shares: &[Share]) -> Self {
        let (shares_at, payload_at) = (self.shares_at(), self.payload_at());
        let length = shares_at + 2 + shares.len() * Share::BYTES + self.0.len() - payload_at;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&self.0[..shares_at]);
        bytes[FLAGS_AT] &= !COUNTED;
        if !shares.is_empty() {
            bytes[FLAGS_AT] |= COUNTED;
            bytes.extend_from_slice(&u16::try_from(shares.len()).expect("MAX_MERGED_WRITERS fits").to_be_bytes());
            shares.iter().for_each(|share| bytes.extend_from_slice(&share.encode()));
        }
        match self.has_tombstone() {
            true => bytes.extend_from_slice(&[0; NOTE_BYTES]),
            false => bytes.extend_from_slice(&self.0[payload_at..]),
        }
        Self(bytes.into_boxed_slice())
    }

    /// Whether any node has counted this key.
    #[inline]
    pub fn is_counted(&self) -> bool {
        self.0[FLAGS_AT] & COUNTED != 0
    }

    /// What each writer has counted, in the order of the writers.
    pub fn shares(&self) -> impl Iterator<Item = Share> {
        let shares = self.0[self.shares_at()..self.payload_at()].get(2..).unwrap_or_default();
        let decode = |bytes| Share::decode(bytes).expect("every way in has checked the shares");
        shares.as_chunks().0.iter().map(decode)
    }

    /// The value that the key has, if it has one, and its deadline. The clock is read only if there is a deadline.
    #[inline]
    pub fn value(&self, now: impl FnOnce() -> Timestamp) -> Option<(Cow<'_, [u8]>, Option<Deadline>)> {
        if self.is_counted() {
            return self.counted_value(now());
        }
        let content = Some(self.content()).filter(|content| content.is_live(now))?;
        Some((Cow::Borrowed(content.value()?), content.deadline()))
    }

    #[inline(never)]
    fn counted_value(&self, now: Timestamp) -> Option<(Cow<'_, [u8]>, Option<Deadline>)> {
        let deadline = self.deadline().filter(|deadline| !deadline.is_past(now));
        Some((counter::value(self, now)?, deadline))
    }

    /// Whether the key has a value. The clock is read only if there is a deadline.
    pub fn is_live(&self, now: impl FnOnce() -> Timestamp) -> bool {
        match self.is_counted() {
            false => self.content().is_live(now),
            true => self.counted_value(now()).is_some(),
        }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.0[KEY_AT..self.seen_at()]
    }

    /// The version of the write that made it.
    pub fn version(&self) -> Version {
        Version::decode(&self.0[..LENGTH_AT]).expect("every way in has checked the version")
    }

    /// When something was last written or counted in it.
    #[inline]
    pub fn latest(&self) -> Timestamp {
        if !self.is_counted() {
            return self.version().timestamp;
        }
        self.shares().map(|share| share.counted.at).chain([self.version().timestamp]).max().unwrap_or_default()
    }

    /// The node that has written it.
    #[inline]
    pub(super) fn node(&self) -> NodeId {
        NodeId(u16::from_be_bytes([self.0[LENGTH_AT - 2], self.0[LENGTH_AT - 1]]))
    }

    /// Whether it is nothing but version and content: its writer had seen no other node's write, and it has no mark.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.0[FLAGS_AT] & (SEEN | MARKS) == 0
    }

    /// What was written under the key: the base, if it was counted.
    pub fn content(&self) -> Content<'_> {
        if self.has_tombstone() {
            return Content::Tombstone;
        }
        Content::until(&self.0[self.payload_at()..], self.deadline())
    }

    /// Version and content.
    pub fn entry(&self) -> Entry<'_> {
        Entry { version: self.version(), content: self.content() }
    }

    /// When the value expires, if it does.
    #[inline]
    pub fn deadline(&self) -> Option<Deadline> {
        if self.0[FLAGS_AT] & (DEADLINE | TOMBSTONE) == DEADLINE { self.read_deadline() } else { None }
    }

    /// When the value has expired for which this tombstone stands.
    pub fn expired_at(&self) -> Option<Deadline> {
        if self.0[FLAGS_AT] & (DEADLINE | TOMBSTONE) == DEADLINE | TOMBSTONE { self.read_deadline() } else { None }
    }

    #[inline(never)]
    fn read_deadline(&self) -> Option<Deadline> {
        let at = self.after_seen();
        Deadline::decode(&self.0[at..at + Deadline::ENCODED_BYTES])
    }

    /// What the entry becomes when its deadline is over: the tombstone of its version, with a mark.
    pub(super) fn expired(&self) -> Self {
        let seen: Vec<Version> = self.seen().collect();
        let entry = Entry { version: self.version(), content: Content::Tombstone };
        let deadline = self.deadline().expect("only a value with a deadline expires");
        let mut tombstone = Self::with_seen(self.key(), entry, &seen);
        tombstone.set_expired_at(deadline);
        match self.is_counted() {
            true => tombstone.with_shares(&self.shares().collect::<Vec<_>>()),
            false => tombstone,
        }
    }

    /// Marks a delete as what has become of a value with this deadline.
    fn set_expired_at(&mut self, deadline: Deadline) {
        let at = self.after_seen();
        let mut bytes = self.0[..at].to_vec();
        bytes[FLAGS_AT] |= EXPIRED | DEADLINE;
        bytes.extend_from_slice(&deadline.encode());
        bytes.extend_from_slice(&self.0[at..]);
        self.0 = bytes.into_boxed_slice();
    }

    /// Whether this is a tombstone that no client has written: a value has expired.
    pub fn is_expired(&self) -> bool {
        self.0[FLAGS_AT] & EXPIRED != 0
    }

    /// Whether the key was deleted, and nothing was counted that the delete had not seen.
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.has_tombstone() && (!self.is_counted() || !counter::has_counted(self, Timestamp::ZERO))
    }

    /// Whether what was written is a delete.
    #[inline]
    pub(super) fn has_tombstone(&self) -> bool {
        self.0[FLAGS_AT] & TOMBSTONE != 0
    }

    /// For each other node, the latest version of the key that the writer had seen from it, in the order of the nodes.
    pub fn seen(&self) -> impl Iterator<Item = Version> {
        let versions = self.0[self.seen_at()..self.after_seen()].get(1..).unwrap_or_default();
        let decode = |bytes| Version::decode(bytes).expect("every way in has checked the versions");
        versions.chunks(Version::ENCODED_BYTES).map(decode)
    }

    /// Whether the writer had seen no other node's write of the key.
    #[inline]
    pub fn has_seen_nothing(&self) -> bool {
        self.0[FLAGS_AT] & SEEN == 0
    }

    /// Whether this is a tombstone that every node has held, or something newer.
    pub fn is_seen_by_all(&self) -> bool {
        self.0[FLAGS_AT] & SEEN_BY_ALL != 0
    }

    /// Takes over what `other` says about who has seen what: another entry of the key that has lost against this one,
    /// or another copy of it. Returns whether it was new.
    pub(super) fn learn(&mut self, other: &Self) -> bool {
        let is_same = self.version() == other.version() && self.has_tombstone();
        let mut is_news = false;
        if is_same && other.is_seen_by_all() && !self.is_seen_by_all() {
            self.set_seen_by_all();
            is_news = true;
        }
        let Some(seen) = seen_together(self, other) else { return is_news };
        self.set_seen(&seen);
        true
    }

    /// What this entry adds to the digest of its leaf: the hash of key, version and content.
    pub fn digest(&self) -> Digest {
        let hash = if self.is_plain() { xxh3_64(self.encode()) } else { self.hash_without_seen() };
        Digest::from_bits(hash)
    }

    /// The hash that the record has without what was seen, and without marks. Not inlined: the state of this hash is
    /// large.
    #[inline(never)]
    fn hash_without_seen(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&self.0[..FLAGS_AT]);
        hash.update(&[self.0[FLAGS_AT] & (TOMBSTONE | DEADLINE | COUNTED)]);
        hash.update(self.key());
        hash.update(&self.encode()[self.after_seen()..]);
        hash.digest()
    }

    /// The record as it travels: without what only this node knows.
    pub fn encode(&self) -> &[u8] {
        if self.has_tombstone() { &self.0[..self.payload_at()] } else { &self.0 }
    }

    /// The record in `bytes`; `None` if they do not hold exactly one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(KEY_AT)?;
        let version = Version::decode(&header[..LENGTH_AT])?;
        let key_len = usize::from(u16::from_be_bytes([header[LENGTH_AT], header[LENGTH_AT + 1]]));
        let (key, rest) = rest.split_at_checked(key_len)?;
        let flags = header[FLAGS_AT];
        let (seen, payload) = if flags & SEEN == 0 { (Vec::new(), rest) } else { decode_seen(rest, version)? };
        let (deadline, payload) = if flags & DEADLINE == 0 { (None, payload) } else { decode_deadline(payload)? };
        let (shares, payload) = if flags & COUNTED == 0 { (Vec::new(), payload) } else { decode_shares(payload)? };
        let content = match flags & !(SEEN | DEADLINE | COUNTED) {
            VALUE if payload.len() <= MAX_VALUE_BYTES => Content::until(payload, deadline),
            flags if flags & !MARKS == TOMBSTONE && payload.is_empty() => Content::Tombstone,
            _ => return None,
        };
        let mut record = Self::with_seen(key, Entry { version, content }, &seen);
        if content.is_tombstone() {
            match (deadline, flags & EXPIRED != 0) {
                (Some(deadline), true) if deadline.millis() < Timestamp::YEAR_2199.millis() => {
                    record.set_expired_at(deadline);
                }
                (None, false) => {}
                _ => return None,
            }
            record.0[FLAGS_AT] |= flags & MARKS;
        }
        Some(if shares.is_empty() { record } else { record.with_shares(&shares) })
    }

    /// How many bytes the record holds.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Tells contents apart that stand under one version. Half of the digest is enough: it takes a fault for two
    /// contents to have the same version.
    pub fn check(&self) -> u32 {
        (self.digest().to_bits() >> 32) as u32
    }

    /// Whether this is a tombstone that every peer is known to hold.
    pub fn is_settled(&self) -> bool {
        self.has_tombstone() && self.0.last() == Some(&1)
    }

    /// The number under which the store accepted this tombstone; `None` for a value.
    pub(super) fn arrival(&self) -> Option<Arrival> {
        if !self.is_tombstone() {
            return None;
        }
        let at = self.payload_at();
        let bytes = self.0[at..at + ARRIVAL_BYTES].try_into().expect("a tombstone has room for its arrival number");
        Some(Arrival(u64::from_be_bytes(bytes)))
    }

    /// Notes the number under which the store accepts this tombstone, which is not settled. A value has no room for it.
    pub(super) fn set_arrival(&mut self, arrival: Arrival) {
        if self.is_tombstone() {
            let at = self.payload_at();
            self.0[at..at + ARRIVAL_BYTES].copy_from_slice(&arrival.0.to_be_bytes());
            self.0[at + ARRIVAL_BYTES] = 0;
        }
    }

    /// Notes that every node has held this tombstone, or something newer. That is never taken back.
    pub(super) fn set_seen_by_all(&mut self) {
        self.0[FLAGS_AT] |= SEEN_BY_ALL;
    }

    /// Notes whether every peer is known to hold this tombstone.
    pub(super) fn set_settled(&mut self, settled: bool) {
        assert!(self.is_tombstone() && self.is_settled() != settled, "only a tombstone settles, and only once");
        let at = self.payload_at() + ARRIVAL_BYTES;
        self.0[at] = u8::from(settled);
    }

    fn seen_at(&self) -> usize {
        KEY_AT + usize::from(u16::from_be_bytes([self.0[LENGTH_AT], self.0[LENGTH_AT + 1]]))
    }

    fn payload_at(&self) -> usize {
        let shares_at = self.shares_at();
        match self.is_counted() {
            false => shares_at,
            true => {
                let count = u16::from_be_bytes([self.0[shares_at], self.0[shares_at + 1]]);
                shares_at + 2 + usize::from(count) * Share::BYTES
            }
        }
    }

    fn shares_at(&self) -> usize {
        let has_deadline = self.0[FLAGS_AT] & DEADLINE != 0;
        self.after_seen() + if has_deadline { Deadline::ENCODED_BYTES } else { 0 }
    }

    fn after_seen(&self) -> usize {
        let seen_at = self.seen_at();
        match self.has_seen_nothing() {
            true => seen_at,
            false => seen_at + 1 + usize::from(self.0[seen_at]) * Version::ENCODED_BYTES,
        }
    }
}

/// The part *seen* of a write with this version, and what follows it: one version or more, each of another node than
/// the one before, and none of the writer's own. All are smaller than the write's, since a write is stamped after all
/// that it has seen. A greater one would cover writes that do not exist yet, and their loss would go unseen.
fn decode_seen(bytes: &[u8], write: Version) -> Option<(Vec<Version>, &[u8])> {
    let (&count, rest) = bytes.split_first()?;
    let (seen, rest) = rest.split_at_checked(usize::from(count) * Version::ENCODED_BYTES)?;
    let seen: Option<Vec<Version>> = seen.chunks(Version::ENCODED_BYTES).map(Version::decode).collect();
    let seen = seen.filter(|seen| seen.is_sorted_by(|a, b| a.node < b.node) && !seen.is_empty())?;
    seen.iter().all(|&version| version.node != write.node && version < write).then_some((seen, rest))
}

/// A deadline, and what follows it.
fn decode_deadline(bytes: &[u8]) -> Option<(Option<Deadline>, &[u8])> {
    let (deadline, rest) = bytes.split_at_checked(Deadline::ENCODED_BYTES)?;
    Some((Some(Deadline::decode(deadline)?), rest))
}

/// The shares, and what follows them: one or more, in the order of their writers.
fn decode_shares(bytes: &[u8]) -> Option<(Vec<Share>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::from(u16::from_be_bytes(*count));
    let (shares, rest) = rest.split_at_checked(count * Share::BYTES)?;
    let shares: Option<Vec<Share>> = shares.as_chunks().0.iter().map(Share::decode).collect();
    let is_right = |shares: &Vec<Share>| {
        (1..=MAX_MERGED_WRITERS).contains(&shares.len()) && shares.is_sorted_by(|a, b| a.writer < b.writer)
    };
    Some((shares.filter(is_right)?, rest))
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.key().escape_ascii(), self.entry())?;
        self.expired_at().iter().try_for_each(|deadline| write!(f, " expired at {deadline}"))?;
        self.shares().try_for_each(|share| write!(f, " {share:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Timestamp;
    use super::super::version::NodeId;
    use super::*;
    use proptest::prelude::*;

    fn record(key: &[u8], content: Content<'_>) -> Record {
        Record::new(key, Entry { version: Version::new(Timestamp::from_millis(7), NodeId(3)), content })
    }

    proptest! {
        #[test]
        fn a_record_gives_back_what_it_was_made_of(key: Vec<u8>, value: Option<Vec<u8>>, node in 1..u16::MAX) {
            let content = value.as_deref().map_or(Content::Tombstone, Content::Value);
            let entry = Entry { version: Version::new(Timestamp::from_millis(5), NodeId(node)), content };
            let record = Record::new(&key, entry);
            prop_assert_eq!((record.key(), record.entry()), (&key[..], entry));
            prop_assert_eq!(Record::decode(record.encode()), Some(record));
        }

        #[test]
        fn decoding_rubbish_does_not_panic(bytes: Vec<u8>) {
            if let Some(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), &bytes);
            }
        }
    }

    #[test]
    fn key_version_and_content_all_count_in_the_digest() {
        let base = record(b"k", Content::Value(b"v"));
        let others = [
            record(b"kv", Content::Value(b"")),
            record(b"", Content::Value(b"kv")),
            record(b"k", Content::Value(b"w")),
            record(b"k", Content::Tombstone),
            record(b"k", Content::Expiring(b"v", Deadline::LATEST)),
            Record::new(b"k", Entry { version: Version::new(Timestamp::from_millis(7), NodeId(4)), ..base.entry() }),
        ];
        for other in others {
            assert_ne!(base.digest(), other.digest(), "{other:?}");
        }
        for seen in [Vec::new(), seen(&[5])] {
            let [early, late] = [9, 10].map(|millis| {
                let deadline = Deadline::from_millis(millis).expect("is early");
                with_seen(Content::Expiring(b"v", deadline), &seen).digest()
            });
            assert_ne!(early, late);
        }
    }

    #[test]
    fn what_a_node_notes_about_a_tombstone_neither_counts_nor_travels() {
        let mut here = record(b"k", Content::Tombstone);
        let there = here.clone();
        here.set_arrival(Arrival(99));
        here.set_settled(true);
        assert_eq!((here.arrival(), here.is_settled()), (Some(Arrival(99)), true));
        assert_eq!(here.digest(), there.digest());
        assert_eq!(here.encode(), there.encode());
        assert_eq!(Record::decode(here.encode()), Some(there));
    }
    #[test]
    fn a_record_with_a_length_or_a_flag_that_does_not_fit_is_malformed() {
        let value = record(b"key", Content::Value(b"v")).encode().to_vec();
        let tombstone = record(b"key", Content::Tombstone).encode().to_vec();
        assert!(Record::decode(&value).is_some() && Record::decode(&tombstone).is_some());
        // One byte too few for the header, or for the key.
        assert_eq!(Record::decode(&value[..KEY_AT - 1]), None);
        assert_eq!(Record::decode(&value[..KEY_AT + 2]), None);
        // A tombstone with one byte too many.
        assert_eq!(Record::decode(&[&tombstone[..], b"v"].concat()), None);
        let is_malformed = |record: &[u8], flag: u8| {
            let mut changed = record.to_vec();
            changed[FLAGS_AT] |= flag;
            assert_eq!(Record::decode(&changed), None, "flag {flag}");
        };
        for flag in [DEADLINE, 32, 64, 128] {
            [&value, &tombstone].into_iter().for_each(|record| is_malformed(record, flag));
        }
        // Only a tombstone has marks.
        [SEEN_BY_ALL, EXPIRED].into_iter().for_each(|mark| is_malformed(&value, mark));
    }

    /// By nodes 1, 2 and so on, at these times.
    fn seen(times: &[u64]) -> Vec<Version> {
        let version = |(index, &time)| Version::new(Timestamp::from_millis(time), NodeId(index as u16 + 1));
        times.iter().enumerate().map(version).collect()
    }

    fn with_seen(content: Content<'_>, seen: &[Version]) -> Record {
        Record::with_seen(b"key", Entry { version: Version::new(Timestamp::from_millis(7), NodeId(3)), content }, seen)
    }

    #[test]
    fn what_was_seen_travels_but_does_not_count_in_the_digest() {
        for content in [Content::Value(b"value"), Content::Value(b""), Content::Tombstone] {
            let (plain, full) = (with_seen(content, &[]), with_seen(content, &seen(&[5, 6])));
            assert_eq!((full.key(), full.entry()), (&b"key"[..], plain.entry()));
            assert_eq!(full.seen().collect::<Vec<_>>(), seen(&[5, 6]));
            assert_eq!((plain.has_seen_nothing(), full.has_seen_nothing()), (true, false));
            assert_eq!(full.bytes(), plain.bytes() + 1 + 2 * Version::ENCODED_BYTES);
            assert_eq!((full.digest(), full.check()), (plain.digest(), plain.check()));
            assert_eq!(Record::decode(full.encode()), Some(full));
        }
    }

    #[test]
    fn a_deadline_travels_and_counts_in_the_digest() {
        let at = |millis| Content::Expiring(b"value", Deadline::from_millis(millis).expect("it is early enough"));
        let (plain, early, late) =
            (with_seen(Content::Value(b"value"), &[]), with_seen(at(8), &[]), with_seen(at(9), &[]));
        assert_eq!((early.content(), early.deadline()), (at(8), Deadline::from_millis(8)));
        assert_eq!(early.bytes(), plain.bytes() + Deadline::ENCODED_BYTES);
        assert!(plain.digest() != early.digest() && early.digest() != late.digest());
        let full = with_seen(at(8), &seen(&[5, 6]));
        assert_eq!((full.content(), full.digest()), (at(8), early.digest()));
        assert_eq!(full.seen().collect::<Vec<_>>(), seen(&[5, 6]));
        let expired = full.expired();
        assert_eq!((expired.entry().content, expired.version()), (Content::Tombstone, full.version()));
        assert_eq!(expired.seen().collect::<Vec<_>>(), seen(&[5, 6]));
        for record in [early, full] {
            let bytes = record.encode().to_vec();
            assert_eq!(Record::decode(&bytes), Some(record));
            assert_eq!(Record::decode(&bytes[..bytes.len() - 6]), None, "the deadline is cut off");
        }
    }

    #[test]
    fn a_tombstone_keeps_its_notes_when_it_learns() {
        let mut tombstone = with_seen(Content::Tombstone, &[]);
        tombstone.set_arrival(Arrival(9));
        tombstone.set_settled(true);
        tombstone.set_seen_by_all();
        assert!(tombstone.learn(&with_seen(Content::Tombstone, &seen(&[4]))));
        assert_eq!((tombstone.arrival(), tombstone.is_settled()), (Some(Arrival(9)), true));
        assert_eq!((tombstone.seen().collect(), tombstone.is_seen_by_all()), (seen(&[4]), true));
        assert!(!tombstone.learn(&with_seen(Content::Tombstone, &seen(&[4]))), "nothing new");
        let mut copy = with_seen(Content::Tombstone, &[]);
        assert!(copy.learn(&tombstone) && copy.is_seen_by_all());
        assert_eq!(Record::decode(copy.encode()).map(|copy| copy.is_seen_by_all()), Some(true));
        assert_eq!(copy.digest(), with_seen(Content::Tombstone, &[]).digest());
    }

    #[test]
    fn the_tombstone_of_a_value_that_has_expired_says_so_and_keeps_the_deadline() {
        let deadline = Deadline::from_millis(9).expect("is early");
        for seen in [seen(&[5, 6]), Vec::new()] {
            let expired = with_seen(Content::Expiring(b"value", deadline), &seen).expired();
            let delete = with_seen(Content::Tombstone, &seen);
            assert_eq!(Record::decode(expired.encode()), Some(expired.clone()));
            assert!(expired.is_expired() && !delete.is_expired() && expired.is_tombstone());
            assert_eq!((expired.expired_at(), expired.deadline()), (Some(deadline), None));
            assert_ne!(expired.digest(), delete.digest());
            let mut without_mark = expired.encode().to_vec();
            without_mark[FLAGS_AT] &= !EXPIRED;
            assert_eq!(Record::decode(&without_mark), None, "a delete has no deadline");
            let mut without_deadline = delete.encode().to_vec();
            without_deadline[FLAGS_AT] |= EXPIRED;
            assert_eq!(Record::decode(&without_deadline), None);
        }
        let late = Content::Expiring(b"value", Deadline::LATEST);
        assert_eq!(Record::decode(with_seen(late, &[]).expired().encode()), None, "no clock can have been there");
    }

    #[test]
    fn a_part_seen_that_does_not_fit_is_malformed() {
        let whole = with_seen(Content::Tombstone, &seen(&[5, 6])).encode().to_vec();
        let count_at = KEY_AT + 3;
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            Record::decode(&bytes)
        };
        assert!(Record::decode(&whole).is_some());
        assert_eq!(Record::decode(&whole[..whole.len() - 1]), None, "cut off");
        assert_eq!(Record::decode(&whole[..count_at]), None, "no count");
        assert_eq!(changed(count_at, 0), None, "nothing was seen, but something follows");
        assert_eq!(changed(count_at, 3), None, "more than there is");
        let [first_node, second_node] = [1, 2].map(|index| count_at + index * Version::ENCODED_BYTES);
        assert_eq!(changed(first_node, 2), None, "one node twice");
        assert_eq!(changed(first_node, 4), None, "not in order");
        assert_eq!(changed(second_node, 3), None, "the writer itself");
        assert_eq!(changed(first_node, 0), None, "no node");
        let seen_at = |times| Record::decode(with_seen(Content::Tombstone, &seen(times)).encode());
        assert!(seen_at(&[5, 7]).is_some(), "of two writes in one instant, the greater node's may have seen the other");
        assert_eq!(seen_at(&[5, 8]), None, "later than the write itself");
        let mut empty = [with_seen(Content::Value(b""), &[]).encode(), &[0]].concat();
        empty[FLAGS_AT] |= SEEN;
        assert_eq!(Record::decode(&empty), None, "a part without a version");
    }

    #[test]
    fn the_largest_value_can_be_decoded_and_one_byte_more_cannot() {
        let header = &record(b"key", Content::Value(b"")).encode().to_vec();
        let with_value = |len| [&header[..], &vec![b'v'; len]].concat();
        assert!(Record::decode(&with_value(MAX_VALUE_BYTES)).is_some());
        assert_eq!(Record::decode(&with_value(MAX_VALUE_BYTES + 1)), None);
    }
}
