//! A key and its entry, packed into one allocation.
//!
//! A store of small values pays mostly for its bookkeeping: a key, a value and a version in three objects cost three
//! allocations and three pointers. A [`Record`] is one byte string, and the same bytes serve four purposes: they stand
//! in the store's table, they are hashed for the digest, they travel to peers, and what comes from a peer is put into
//! the table as it is.
//!
//! ```text
//!   0         10       12      13       13 + key
//!   | version | length | flags | key …  | value …                     a value
//!                                       | arrival (8) | settled (1)   a tombstone
//! ```
//!
//! The length is the key's, big-endian. What follows a tombstone's key belongs to the node that holds it: it is neither
//! hashed nor sent.
//!
//! The flags say what the record consists of. One bit says that it is a tombstone. The others are room for optional
//! parts between key and value, a bit for each part. A record with a flag that this node does not know is malformed: a
//! node that cannot read a part must not accept the entry without it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::arrival::Arrival;
use super::content::{Content, Entry};
use super::digest::Digest;
use super::version::Version;
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

const LENGTH_AT: usize = Version::ENCODED_BYTES;
const FLAGS_AT: usize = LENGTH_AT + 2;
const KEY_AT: usize = FLAGS_AT + 1;
const ARRIVAL_BYTES: usize = 8;
const NOTE_BYTES: usize = ARRIVAL_BYTES + 1;

/// The flags of a value without optional parts.
const VALUE: u8 = 0;
/// The flag of a tombstone.
const TOMBSTONE: u8 = 1;

/// A key and what stands under it.
///
/// Invariants: the key has at most [`MAX_KEY_BYTES`], the value at most [`MAX_VALUE_BYTES`]; the version can be
/// decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Box<[u8]>);

impl Record {
    /// How many bytes an encoded record has beside key and value.
    pub const HEADER_BYTES: usize = KEY_AT;

    /// Packs a key and its entry. A tombstone has no arrival number until a store accepts it.
    ///
    /// # Panics
    /// If key or value are longer than they may be: every way in checks that first.
    pub fn new(key: &[u8], entry: Entry<'_>) -> Self {
        let (flags, payload): (u8, &[u8]) = match entry.content {
            Content::Value(value) => (VALUE, value),
            Content::Tombstone => (TOMBSTONE, &[0; NOTE_BYTES]),
        };
        assert!(key.len() <= MAX_KEY_BYTES && payload.len() <= MAX_VALUE_BYTES, "lengths are checked on arrival");
        let mut bytes = Vec::with_capacity(KEY_AT + key.len() + payload.len());
        bytes.extend_from_slice(&entry.version.encode());
        bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
        bytes.push(flags);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(payload);
        Self(bytes.into_boxed_slice())
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.0[KEY_AT..self.payload_at()]
    }

    /// The version of the write that made it.
    pub fn version(&self) -> Version {
        Version::decode(&self.0[..LENGTH_AT]).expect("every way in has checked the version")
    }

    /// What stands under the key.
    pub fn content(&self) -> Content<'_> {
        if self.is_tombstone() { Content::Tombstone } else { Content::Value(&self.0[self.payload_at()..]) }
    }

    /// Version and content.
    pub fn entry(&self) -> Entry<'_> {
        Entry { version: self.version(), content: self.content() }
    }

    /// Whether the key was deleted.
    pub fn is_tombstone(&self) -> bool {
        self.0[FLAGS_AT] & TOMBSTONE != 0
    }

    /// What this entry adds to the digest of its leaf: the hash of key, version and content.
    pub fn digest(&self) -> Digest {
        Digest::from_bits(xxh3_64(self.encode()))
    }

    /// The record as it travels: without what only this node knows.
    pub fn encode(&self) -> &[u8] {
        if self.is_tombstone() { &self.0[..self.payload_at()] } else { &self.0 }
    }

    /// The record in `bytes`; `None` if they do not hold exactly one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(KEY_AT)?;
        let version = Version::decode(&header[..LENGTH_AT])?;
        let key_len = usize::from(u16::from_be_bytes([header[LENGTH_AT], header[LENGTH_AT + 1]]));
        let (key, payload) = rest.split_at_checked(key_len)?;
        let content = match header[FLAGS_AT] {
            VALUE if payload.len() <= MAX_VALUE_BYTES => Content::Value(payload),
            TOMBSTONE if payload.is_empty() => Content::Tombstone,
            _ => return None,
        };
        Some(Self::new(key, Entry { version, content }))
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
    pub(super) fn is_settled(&self) -> bool {
        self.is_tombstone() && self.0.last() == Some(&1)
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

    /// Notes whether every peer is known to hold this tombstone.
    pub(super) fn set_settled(&mut self, settled: bool) {
        assert!(self.is_tombstone() && self.is_settled() != settled, "only a tombstone settles, and only once");
        let at = self.payload_at() + ARRIVAL_BYTES;
        self.0[at] = u8::from(settled);
    }

    fn payload_at(&self) -> usize {
        KEY_AT + usize::from(u16::from_be_bytes([self.0[LENGTH_AT], self.0[LENGTH_AT + 1]]))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.key().escape_ascii(), self.entry())
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
                let value_len = record.content().value().map_or(0, <[u8]>::len);
                prop_assert_eq!(record.key().len() + Record::HEADER_BYTES + value_len, bytes.len());
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
            Record::new(b"k", Entry { version: Version::new(Timestamp::from_millis(7), NodeId(4)), ..base.entry() }),
        ];
        for other in others {
            assert_ne!(base.digest(), other.digest(), "{other:?}");
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
        for flag in (1..8).map(|bit| 1u8 << bit) {
            for mut unknown in [value.clone(), tombstone.clone()] {
                unknown[FLAGS_AT] |= flag;
                assert_eq!(Record::decode(&unknown), None, "flag {flag}");
            }
        }
    }

    #[test]
    fn the_largest_value_can_be_decoded_and_one_byte_more_cannot() {
        let header = &record(b"key", Content::Value(b"")).encode().to_vec();
        let with_value = |len| [&header[..], &vec![b'v'; len]].concat();
        assert!(Record::decode(&with_value(MAX_VALUE_BYTES)).is_some());
        assert_eq!(Record::decode(&with_value(MAX_VALUE_BYTES + 1)), None);
    }
}
