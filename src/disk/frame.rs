//! The format of logs and snapshots: a header, then frames.
//!
//! ```text
//!   header   | "kvstore\n" | format (2) | flags (2) | CRC-32 (4) |
//!   frame    | length (4) | CRC-32 (4) | kind (1) | payload …  |      the length is that of kind and payload
//! ```
//!
//! All numbers are big-endian. Every CRC begins with a *salt* that belongs to the store: frames of another store's files
//! are damage here, and so is the image of a frame that a client has stored as a value.
//!
//! **A torn end and damage are different things.** A process that is killed, or a power cut, can leave the last frame
//! incomplete. That is expected: nobody was told that it is durable. A frame that is broken although whole ones stand
//! behind it was whole once, and is damaged now. A [`Reader`] tells the two apart by looking for a whole frame behind
//! the broken one.

use std::io::{self, Read};

use crc32fast::Hasher;

use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::replication::journal::Note;
use crate::replication::member::check_name;
use crate::replication::message::{Confirmation, Heard, Incarnation};
use crate::store::record::Record;
use crate::store::version::{NodeId, Version};

/// The format of these files. A node refuses every other.
pub const FORMAT: u16 = 1;

const MAGIC: &[u8; 8] = b"kvstore\n";

/// How many bytes a header has.
pub const HEADER_BYTES: usize = MAGIC.len() + 2 + 2 + 4;

/// How many bytes a frame has beside its payload.
pub const FRAME_BYTES: usize = 4 + 4 + 1;

/// The greatest length that a frame can say: that of the largest entry.
const MAX_LENGTH: usize = 1 + Record::HEADER_BYTES + MAX_KEY_BYTES + MAX_VALUE_BYTES;

/// How many bytes a reader asks for at once.
const READ_BYTES: usize = 256 * 1024;

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
    Retired = 6,
    Refused = 7,
    DismissedAddress = 8,
    End = 9,
}

/// The header of a file.
pub(super) fn header(salt: u32, flags: u16) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &FORMAT.to_be_bytes(), &flags.to_be_bytes()].concat();
    let check = crc(salt, &[&bytes]);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

/// What stands before the payload of a frame.
pub(super) fn head(salt: u32, kind: Kind, payload: &[&[u8]]) -> [u8; FRAME_BYTES] {
    let length = 1 + payload.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("the largest entry is much smaller").to_be_bytes();
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(&length);
    hasher.update(&[kind as u8]);
    payload.iter().for_each(|part| hasher.update(part));
    let mut head = [0; FRAME_BYTES];
    head[..4].copy_from_slice(&length);
    head[4..8].copy_from_slice(&hasher.finalize().to_be_bytes());
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
        Note::Retired(name) => (Kind::Retired, name.as_bytes().to_vec()),
        Note::Refused(incarnation) => (Kind::Refused, incarnation.0.to_be_bytes().to_vec()),
        Note::DismissedAddress(address) => (Kind::DismissedAddress, address.as_bytes().to_vec()),
    }
}

fn crc(salt: u32, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What kind and payload say; `None` if they say nothing that this version knows.
fn decode(kind: u8, payload: &[u8]) -> Option<Frame> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    let name = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|name| check_name(name).is_ok());
    let note = match kind {
        1 => return Record::decode(payload).map(Frame::Entry),
        2 => {
            let (version, key) = payload.split_at_checked(Version::ENCODED_BYTES)?;
            return Some(Frame::Forgotten { key: key.into(), version: Version::decode(version)? });
        }
        3 => Note::Confirmed(Confirmation(number(payload)?)),
        4 => Note::Heard(Heard::decode(payload.try_into().ok()?)),
        5 => {
            let (node, rest) = payload.split_first_chunk()?;
            Note::Member { name: name(rest)?, node: NodeId(u16::from_be_bytes(*node)) }
        }
        6 => Note::Retired(name(payload)?),
        7 => Note::Refused(Incarnation(number(payload)?)),
        8 => Note::DismissedAddress(String::from_utf8(payload.to_vec()).ok()?),
        9 => return number(payload).map(Frame::End),
        _ => return None,
    };
    Some(Frame::Note(note))
}

/// What is wrong with a file, and where.
#[derive(Debug)]
pub enum Broken {
    /// The file ends within a header or frame, or its last frame is broken: from this position on nothing is whole.
    Torn {
        /// Where the whole frames end.
        at: u64,
        /// What stands behind them.
        rest: Vec<u8>,
    },
    /// Something is broken that was whole once.
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A newer version of this program has written the file.
    Newer(u16),
    /// The file cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the frames of a file, in order.
pub struct Reader<R> {
    source: R,
    salt: u32,
    /// What was read and not used yet stands from `used` on.
    buffer: Vec<u8>,
    used: usize,
    /// Where in the file that is.
    position: u64,
    flags: u16,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Broken::Torn`] at position 0 if the file is too short to have one.
    pub fn open(source: R, salt: u32) -> Result<Self, Broken> {
        let mut reader = Self { source, salt, buffer: Vec::new(), used: 0, position: 0, flags: 0 };
        if !reader.fill(HEADER_BYTES)? {
            return Err(Broken::Torn { at: 0, rest: reader.buffer });
        }
        let bytes = &reader.buffer[..HEADER_BYTES];
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (format, flags) = (number(8), number(10));
        if &bytes[..8] == MAGIC && format > FORMAT {
            return Err(Broken::Newer(format));
        }
        if bytes != header(salt, flags) {
            return Err(Broken::Damaged { at: 0, why: "this is not the beginning of a file of this store" });
        }
        reader.consume(HEADER_BYTES);
        reader.flags = flags;
        Ok(reader)
    }

    /// The flags in the header.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Where in the file the next frame begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next frame; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Frame>, Broken> {
        if !self.fill(1)? {
            return Ok(None);
        }
        let Some(length) = self.whole_frame()? else { return Err(self.broken()?) };
        let frame = &self.buffer[self.used..self.used + length];
        let decoded = decode(frame[FRAME_BYTES - 1], &frame[FRAME_BYTES..]);
        let frame =
            decoded.ok_or(Broken::Damaged { at: self.position, why: "this version does not know the frame" })?;
        self.consume(length);
        Ok(Some(frame))
    }

    /// How long the next frame is; `None` if it is broken.
    fn whole_frame(&mut self) -> Result<Option<usize>, Broken> {
        if !self.fill(FRAME_BYTES)? {
            return Ok(None);
        }
        let Some(length) = said_length(&self.buffer[self.used..]) else { return Ok(None) };
        let is_whole = self.fill(length)? && is_whole(self.salt, &self.buffer[self.used..self.used + length]);
        Ok(is_whole.then_some(length))
    }

    /// The next frame is broken: is anything whole behind it?
    fn broken(&mut self) -> Result<Broken, Broken> {
        let mut rest = self.buffer.split_off(self.used);
        self.source.read_to_end(&mut rest)?;
        let is_frame = |bytes: &[u8]| {
            let length = said_length(bytes);
            length.and_then(|length| bytes.get(..length)).is_some_and(|frame| is_whole(self.salt, frame))
        };
        let at = self.position;
        match (1..rest.len()).any(|begin| is_frame(&rest[begin..])) {
            true => Ok(Broken::Damaged { at, why: "a frame is damaged, and whole ones stand behind it" }),
            false => Ok(Broken::Torn { at, rest }),
        }
    }

    /// Reads until so many unused bytes are there; returns whether the file has as many.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.buffer.len() - self.used < wanted {
            self.buffer.drain(..self.used);
            self.used = 0;
            let (old, more) = (self.buffer.len(), wanted.max(READ_BYTES));
            self.buffer.resize(old + more, 0);
            let read = self.source.read(&mut self.buffer[old..]);
            self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(true)
    }

    fn consume(&mut self, count: usize) {
        self.used += count;
        self.position += count as u64;
    }
}

/// How long the frame is that begins here, if it can be as long as it says.
fn said_length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    (1..=MAX_LENGTH).contains(&length).then_some(FRAME_BYTES - 1 + length)
}

fn is_whole(salt: u32, frame: &[u8]) -> bool {
    frame.len() >= FRAME_BYTES && crc(salt, &[&frame[..4], &frame[8..]]).to_be_bytes() == frame[4..8]
}
