//! Reads a file back, frame by frame.
//!
//! **A torn end and damage are different things.** A process that is killed, or a power cut, can leave the last frame
//! incomplete. That is expected: it was not confirmed as durable. If whole frames stand behind a broken one, it was
//! whole once. It is damaged. The reader tells the two apart by looking for a whole frame behind the broken one.

use std::io::{self, Read};

use super::frame::{FORMAT, FRAME_BYTES, Frame, HEADER_BYTES, Kind, MAGIC, MAX_LENGTH, crc, decode, header};
use crate::limits::{MAX_SEARCH_BYTES, MAX_TORN_BYTES};

/// How many bytes a reader asks for at once.
const READ_BYTES: usize = 256 * 1024;

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
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
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
        let at = self.position;
        (&mut self.source).take(MAX_TORN_BYTES).read_to_end(&mut rest)?;
        if rest.len() as u64 >= MAX_TORN_BYTES {
            return Ok(Broken::Damaged { at, why: "a frame is broken, and too much stands behind it for a torn end" });
        }
        match self.finds_frame(&rest[rest.len().min(1)..]) {
            Some(false) => Ok(Broken::Torn { at, rest }),
            Some(true) => Ok(Broken::Damaged { at, why: "a frame is damaged, and whole ones stand behind it" }),
            None => Ok(Broken::Damaged { at, why: "a frame is broken, and what follows may be whole ones" }),
        }
    }

    /// Whether a whole frame begins anywhere in these bytes; `None` if it takes too long to find out, because they were
    /// made to look like many long frames.
    fn finds_frame(&self, bytes: &[u8]) -> Option<bool> {
        let mut left = MAX_SEARCH_BYTES;
        for begin in 0..bytes.len() {
            let bytes = &bytes[begin..];
            // The kind is looked at before the checksum, which takes time.
            let has_kind = || bytes.get(FRAME_BYTES - 1).is_some_and(|&kind| Kind::of(kind).is_some());
            let length = said_length(bytes).filter(|_| has_kind());
            let Some(frame) = length.and_then(|length| bytes.get(..length)) else { continue };
            if is_whole(self.salt, frame) {
                return Some(true);
            }
            left = left.checked_sub(frame.len() as u64)?;
        }
        Some(false)
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
    frame.len() >= FRAME_BYTES && crc(salt, [&frame[..4], &frame[8..]]).to_be_bytes() == frame[4..8]
}
