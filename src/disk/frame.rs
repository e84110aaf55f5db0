//! The format of logs and snapshots: a header, then frames.
//!
//! ```text
//!   header   | "kvstore\n" | format (2) | flags (2) | CRC-32 (4) |
//!   frame    | length (4) | CRC-32 (4) | kind (1) | payload …  |      the length is that of kind and payload
//! ```
//!
//! All numbers are big-endian. Every CRC begins with a *salt* that belongs to the store: frames of another store's
//! files are damage here, and so is the image of a frame that a client has stored as a value.

use crc32fast::Hasher;

use crate::replication::journal::Note;
use crate::replication::member::check_name;
use crate::replication::message::{Confirmation, Heard, StoreId};
use crate::store::record::Record;
use crate::store::version::{NodeId, Version};

/// The format of these files. A node refuses every other.
pub const FORMAT: u16 = 1;

pub(super) const MAGIC: &[u8; 8] = b"kvstore\n";

/// How many bytes a header has.
pub const HEADER_BYTES: usize = MAGIC.len() + 2 + 2 + 4;

/// How many bytes a frame has beside its payload.
pub const FRAME_BYTES: usize = 4 + 4 + 1;

/// The greatest length that a frame can say: that of the largest entry.
pub(super) const MAX_LENGTH: usize = 1 + Record::MAX_BYTES;

/// The flag of a log that was begun because the disk had failed: the log before it may have a torn end.
pub const AFTER_FAILURE: u16 = 1;

/// What stands in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An entry was accepted.
    Entry(Record),
    /// A tombstone was forgotten.
    Forgotten {
        /// Its key.
        key: Box<[u8]>,
        /// Its version.
        version: Version,
    },
    /// Something to remember beside the entries.
    Note(Note),
    /// The end of a snapshot, which has so many frames before this one.
    End(u64),
}

/// The first byte of a frame behind its CRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Entry = 1,
    Forgotten = 2,
    Confirmed = 3,
    Heard = 4,
    Member = 5,
    Dismissed = 6,
    DismissedStore = 7,
    DismissedAddress = 8,
    MemberStore = 9,
    MemberAddress = 10,
    End = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Entry,
        Self::Forgotten,
        Self::Confirmed,
        Self::Heard,
        Self::Member,
        Self::Dismissed,
        Self::DismissedStore,
        Self::DismissedAddress,
        Self::MemberStore,
        Self::MemberAddress,
        Self::End,
    ];

    /// The kind that this byte stands for.
    pub(super) fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == byte)
    }
}

/// The header of a file.
pub(super) fn header(salt: u32, flags: u16) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &FORMAT.to_be_bytes(), &flags.to_be_bytes()].concat();
    let check = crc(salt, [&bytes[..]]);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

/// What stands before the payload of a frame.
pub(super) fn head(salt: u32, kind: Kind, payload: &[&[u8]]) -> [u8; FRAME_BYTES] {
    let length = 1 + payload.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("the largest entry is much smaller").to_be_bytes();
    let check = crc(salt, [&length[..], &[kind as u8]].into_iter().chain(payload.iter().copied()));
    let mut head = [0; FRAME_BYTES];
    head[..4].copy_from_slice(&length);
    head[4..8].copy_from_slice(&check.to_be_bytes());
    head[8] = kind as u8;
    head
}

/// Writes a frame to the end of `out`.
pub(super) fn write(out: &mut Vec<u8>, salt: u32, kind: Kind, payload: &[&[u8]]) {
    out.extend_from_slice(&head(salt, kind, payload));
    payload.iter().for_each(|part| out.extend_from_slice(part));
}

/// The kind and payload of a note.
pub(super) fn of_note(note: &Note) -> (Kind, Vec<u8>) {
    match note {
        Note::Confirmed(confirmation) => (Kind::Confirmed, confirmation.0.to_be_bytes().to_vec()),
        Note::Heard(heard) => (Kind::Heard, heard.encode().to_vec()),
        Note::Member { name, node } => (Kind::Member, [&node.0.to_be_bytes(), name.as_bytes()].concat()),
        Note::MemberStore { name, store } => (Kind::MemberStore, [&store.0.to_be_bytes(), name.as_bytes()].concat()),
        Note::MemberAddress { name, address } => (Kind::MemberAddress, format!("{name} {address}").into_bytes()),
        Note::Dismissed(name) => (Kind::Dismissed, name.as_bytes().to_vec()),
        Note::DismissedStore(store) => (Kind::DismissedStore, store.0.to_be_bytes().to_vec()),
        Note::DismissedAddress(address) => (Kind::DismissedAddress, address.as_bytes().to_vec()),
    }
}

/// The CRC-32 of some parts, one behind the other.
pub(super) fn crc<'a>(salt: u32, parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What kind and payload say; `None` if they say nothing that this version knows.
pub(super) fn decode(kind: u8, payload: &[u8]) -> Option<Frame> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|name| check_name(name).is_ok());
    let note = match Kind::of(kind)? {
        Kind::Entry => return Record::decode(payload).map(Frame::Entry),
        Kind::Forgotten => {
            let (version, key) = payload.split_at_checked(Version::ENCODED_BYTES)?;
            return Some(Frame::Forgotten { key: key.into(), version: Version::decode(version)? });
        }
        Kind::Confirmed => Note::Confirmed(Confirmation(number(payload)?)),
        Kind::Heard => Note::Heard(Heard::decode(payload.try_into().ok()?)),
        Kind::Member => {
            let (node, rest) = payload.split_first_chunk()?;
            Note::Member { name: name(rest)?, node: NodeId(u16::from_be_bytes(*node)) }
        }
        Kind::Dismissed => Note::Dismissed(name(payload)?),
        Kind::DismissedStore => Note::DismissedStore(StoreId(number(payload)?)),
        Kind::DismissedAddress => Note::DismissedAddress(String::from_utf8(payload.to_vec()).ok()?),
        Kind::MemberStore => {
            let (store, rest) = payload.split_first_chunk()?;
            Note::MemberStore { name: name(rest)?, store: StoreId(u64::from_be_bytes(*store)) }
        }
        Kind::MemberAddress => {
            let text = std::str::from_utf8(payload).ok()?;
            let (member, address) = text.split_once(' ')?;
            Note::MemberAddress { name: name(member.as_bytes())?, address: address.into() }
        }
        Kind::End => return number(payload).map(Frame::End),
    };
    Some(Frame::Note(note))
}
