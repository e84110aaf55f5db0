//! The seal of each message between nodes that have proved themselves: who has sent it, and in which place.
//!
//! It is the first 16 bytes of HMAC-SHA-256 (RFC 2104) over the number of the message in its direction and the message
//! itself, keyed with the key of that direction. So nobody else can make one, a message cannot be changed, left out,
//! repeated or sent back, and none can be moved to another connection, whose keys are others.
//!
//! A request follows the request `SEAL tag`; a reply follows a bulk string with its tag. They stand in front, so that a
//! message is checked as soon as it has come whole, and nothing that was not checked is ever decoded.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::framing::Args;
use crate::framing::resp::{write_array, write_bulk};

/// The verb of the request with the seal of the next one.
pub(super) const SEAL: &[u8] = b"SEAL";

const TAG_BYTES: usize = 16;

/// What a seal adds to a message.
pub(super) type Tag = [u8; TAG_BYTES];

/// What travels under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the initiator to the responder.
    Requests,
    /// From the responder to the initiator.
    Replies,
}

impl Direction {
    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Requests => Self::Replies,
            Self::Replies => Self::Requests,
        }
    }
}

/// One side of one direction. Both sides count the messages.
pub(super) struct Seal {
    /// The key, made ready.
    keyed: Hmac<Sha256>,
    /// How many messages were sealed, or checked. Only grows.
    count: u64,
}

impl Seal {
    pub(super) fn new(key: [u8; 32]) -> Self {
        let keyed = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        Self { keyed, count: 0 }
    }

    /// Writes a request behind its seal.
    pub(super) fn write_request(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write_array(out, 2);
        write_bulk(out, SEAL);
        self.write_reply(out, write);
    }

    /// Writes a reply behind its seal.
    pub(super) fn write_reply(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write_bulk(out, &[0; TAG_BYTES]);
        let message = out.len();
        write(out);
        let tag = self.next(&out[message..]).finalize().into_bytes();
        let end_of_tag = message - b"\r\n".len();
        out[end_of_tag - TAG_BYTES..end_of_tag].copy_from_slice(&tag[..TAG_BYTES]);
    }

    /// Whether this is the tag of a request with these words, the next one of this direction. What is sealed is the
    /// request as [`write_array`] and [`write_bulk`] write it.
    pub(super) fn fits_request(&mut self, tag: &Tag, words: Args<'_>) -> bool {
        let mut mac = self.next(format!("*{}\r\n", words.len()).as_bytes());
        for word in words.iter() {
            mac.update(format!("${}\r\n", word.len()).as_bytes());
            mac.update(word);
            mac.update(b"\r\n");
        }
        mac.verify_truncated_left(tag).is_ok()
    }

    /// Whether this is the tag of a reply of these bytes, the next one of this direction.
    pub(super) fn fits_reply(&mut self, tag: &Tag, reply: &[u8]) -> bool {
        self.next(reply).verify_truncated_left(tag).is_ok()
    }

    /// The HMAC of the next message, which begins like this.
    fn next(&mut self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&self.count.to_be_bytes());
        mac.update(message);
        self.count += 1;
        mac
    }
}

/// A key is never printed.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal(number {})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Form, RequestParser};

    fn pair() -> (Seal, Seal) {
        (Seal::new([7; 32]), Seal::new([7; 32]))
    }

    fn request(out: &mut Vec<u8>) {
        write_array(out, 2);
        write_bulk(out, b"FETCH");
        write_bulk(out, b"a key");
    }

    /// The tag of a sealed request, and whether it fits the words that follow.
    fn check(seal: &mut Seal, sealed: &[u8]) -> bool {
        let mut parser = RequestParser::default();
        let (_, length) = parser.parse(sealed).expect("well formed").expect("whole");
        let tag: Tag = parser.args(Form::Resp, sealed).get(1).expect("a tag").try_into().expect("its length");
        let rest = &sealed[length..];
        parser.parse(rest).expect("well formed").expect("whole");
        seal.fits_request(&tag, parser.args(Form::Resp, rest))
    }

    #[test]
    fn a_request_fits_its_seal_only_unchanged_once_and_in_its_place() {
        let (mut ours, mut theirs) = pair();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        ours.write_request(&mut first, request);
        ours.write_request(&mut second, request);
        assert_ne!(first, second, "the number is part of it");
        assert!(check(&mut theirs, &first));
        assert!(!check(&mut theirs, &first), "repeated");
        assert!(!check(&mut pair().1, &second), "the first one was left out");
        let changed = [&first[..first.len() - 3], b"Y\r\n"].concat();
        assert!(!check(&mut pair().1, &changed));
        assert!(!check(&mut Seal::new([8; 32]), &first), "another key");
        assert_eq!(format!("{ours:?}"), "Seal(number 2)", "the key is not shown");
    }

    #[test]
    fn a_reply_fits_its_seal_only_unchanged_and_in_its_place() {
        let (mut ours, mut theirs) = pair();
        let mut out = b"before".to_vec();
        ours.write_reply(&mut out, |out| out.extend_from_slice(b"+OK\r\n"));
        let (tag, reply) = out[b"before$16\r\n".len()..].split_first_chunk::<TAG_BYTES>().expect("a tag");
        assert_eq!(reply, b"\r\n+OK\r\n");
        assert!(!pair().1.fits_reply(tag, b"-OK\r\n"));
        assert!(theirs.fits_reply(tag, b"+OK\r\n"));
        assert!(!theirs.fits_reply(tag, b"+OK\r\n"), "repeated");
    }
}
