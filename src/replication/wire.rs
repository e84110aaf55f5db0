//! The peer protocol's codec: [`message`](super::message) is the specification, here it becomes bytes.
//!
//! What comes from a peer is checked for everything that can be checked without a store: lengths, counts, ranges,
//! order. A reply is also checked against its request. What does not fit is a [`BadMessage`], and ends the connection.

use std::fmt;
use std::ops::RangeInclusive;

use super::PeerError;
use super::greeting::{LONG_GREETING, SHORT_GREETING, decode_greeting, encode_greeting, words_of};
use super::member::check_name;
use super::message::{Confirmation, Differences, Held, Listed, Reply, Request};
use crate::framing::resp::{self, Frame, write_array, write_bulk};
use crate::framing::{Args, printable, printable_text};
use crate::limits::MAX_KEY_BYTES;
use crate::store::arrival::Arrival;
use crate::store::clock::Timestamp;
use crate::store::digest::{DIGITS, Digest, FANOUT, Prefix};
use crate::store::record::Record;
use crate::store::version::Version;

/// A request or reply that does not follow the protocol: its sender's fault. The connection is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMessage(pub String);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadMessage {}

impl From<BadMessage> for PeerError {
    fn from(bad: BadMessage) -> Self {
        Self::Malformed(bad.0)
    }
}

impl Request {
    /// Whether these words of a client begin the peer protocol.
    pub fn is_greeting(words: Args<'_>) -> bool {
        words.get(0).is_some_and(|verb| verb.eq_ignore_ascii_case(b"PEER"))
    }

    /// Whether these words of a peer are its proof of the secret, which comes before the peer protocol's requests.
    pub fn is_proof(words: Args<'_>) -> bool {
        Self::is_greeting(words) && words.get(1) == Some(b"PROVE")
    }

    /// The name in the words of a greeting, or of the proof that comes before it, if a node may have it: for one that
    /// is refused.
    pub fn name_in_greeting(words: Args<'_>) -> Option<&str> {
        let name = words.get(2).filter(|_| Self::is_greeting(words))?;
        std::str::from_utf8(name).ok().filter(|name| check_name(name).is_ok())
    }

    /// Writes the request to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Peer(greeting) => {
                write_command(out, "PEER", words_of(greeting), |out| encode_greeting(greeting, out));
            }
            Self::Propagate(record) => {
                write_command(out, "PROPAGATE", 1, |out| write_bulk(out, record.encode()));
            }
            Self::Root => write_command(out, "DIGEST", 0, |_| {}),
            Self::Digest(branches) => write_command(out, "DIGEST", branches.len(), |out| {
                branches.iter().for_each(|branch| write_bulk(out, branch.to_string().as_bytes()));
            }),
            Self::Leaf(branches) => write_command(out, "LEAF", 2 * branches.len(), |out| {
                for Held { branch, newest, digests } in branches {
                    write_bulk(out, branch.to_string().as_bytes());
                    write_bulk(out, &[&newest.to_bits().to_be_bytes(), pack(digests).as_slice()].concat());
                }
            }),
            Self::Fetch(keys) => write_command(out, "FETCH", keys.len(), |out| {
                keys.iter().for_each(|key| write_bulk(out, key));
            }),
            Self::Confirm(arrivals, Confirmation::NONE) => {
                write_command(out, "CONFIRM", 1, |out| write_number(out, arrivals.0));
            }
            Self::Confirm(arrivals, confirmation) => write_command(out, "CONFIRM", 2, |out| {
                write_number(out, arrivals.0);
                write_number(out, confirmation.0);
            }),
        }
    }

    /// The request in these words.
    pub fn decode(words: Args<'_>) -> Result<Self, BadMessage> {
        let rest = words.from(1);
        let verb = words.get(0).unwrap_or_default().to_ascii_uppercase();
        match (verb.as_slice(), rest.len()) {
            (b"PEER", SHORT_GREETING | LONG_GREETING) => decode_greeting(rest).map(Self::Peer),
            (b"PROPAGATE", 1) => decode_record(rest.get(0)).map(Self::Propagate),
            (b"DIGEST", 0) => Ok(Self::Root),
            (b"DIGEST", _) => decode_prefixes(rest.iter(), 0..=3).map(Self::Digest),
            (b"LEAF", 1..) => decode_held(rest).map(Self::Leaf),
            (b"FETCH", 1..) => rest.iter().map(decode_key).collect::<Result<_, _>>().map(Self::Fetch),
            (b"CONFIRM", 1..=2) => {
                let confirmation = rest.get(1).map_or(Ok(0), |word| decode_number(Some(word)))?;
                Ok(Self::Confirm(Arrival(decode_number(rest.get(0))?), Confirmation(confirmation)))
            }
            _ => {
                let (verb, words) = (printable(&verb), rest.len());
                Err(BadMessage(format!("no request of the peer protocol: {verb} with {words} words")))
            }
        }
    }
}

impl Reply {
    /// Writes the reply to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Peer { greeting, arrivals } => {
                write_array(out, words_of(greeting) + 1);
                encode_greeting(greeting, out);
                write_number(out, arrivals.0);
            }
            Self::Merged(won) => resp::write_integer(out, i64::from(*won)),
            Self::Root(digest) => write_bulk(out, &digest.to_bits().to_be_bytes()),
            Self::Children(branches) => {
                write_array(out, branches.len());
                branches.iter().for_each(|children| write_bulk(out, &pack(children)));
            }
            Self::Leaf(Differences { covered, news, listed, lacking }) => {
                write_array(out, 3 + news.len() + listed.len());
                write_number(out, *covered as u64);
                write_bulk(out, &pack(lacking));
                write_number(out, news.len() as u64);
                news.iter().for_each(|record| write_bulk(out, record.encode()));
                for Listed { key, version, check, is_counted } in listed {
                    let is_counted = [u8::from(*is_counted)];
                    write_bulk(out, &[&version.encode()[..], &check.to_be_bytes(), &is_counted, key].concat());
                }
            }
            Self::Entries { covered, records } => {
                write_array(out, 1 + records.len());
                write_number(out, *covered as u64);
                records.iter().for_each(|record| write_bulk(out, record.encode()));
            }
            Self::Ok => out.extend_from_slice(b"+OK\r\n"),
            Self::Refused(why) => write_error(out, "REFUSED", why),
            Self::OldCopy(why) => write_error(out, "OLDCOPY", why),
        }
    }

    /// The reply to `request` in this frame. It is checked against what was asked: a reply that could not follow from
    /// the request is bad.
    pub fn decode(frame: Frame<'_>, request: &Request) -> Result<Self, BadMessage> {
        match (frame, request) {
            (Frame::Error(text), _) => {
                let text = printable_text(text);
                match (text.strip_prefix("OLDCOPY "), request) {
                    (Some(why), Request::Peer(_)) => Ok(Self::OldCopy(why.to_string())),
                    _ => Ok(Self::Refused(text.strip_prefix("REFUSED ").unwrap_or(&text).to_string())),
                }
            }
            (Frame::Array(items), Request::Peer(_))
                if [SHORT_GREETING + 1, LONG_GREETING + 1].contains(&items.len()) =>
            {
                let (greeting, arrivals) = (decode_greeting(items)?, decode_number(items.get(items.len() - 1))?);
                Ok(Self::Peer { greeting, arrivals: Arrival(arrivals) })
            }
            (Frame::Integer(won @ 0..=1), Request::Propagate(_)) => Ok(Self::Merged(won == 1)),
            (Frame::Bulk(bytes), Request::Root) => {
                let bytes = bytes.try_into().map_err(|_| bad("a digest has 8 bytes"))?;
                Ok(Self::Root(Digest::from_bits(u64::from_be_bytes(bytes))))
            }
            (Frame::Array(items), Request::Digest(prefixes)) if items.len() == prefixes.len() => {
                let branches: Option<Vec<_>> = items.iter().map(decode_children).collect();
                branches.map(Self::Children).ok_or_else(|| bad("a branch has 16 children of 8 bytes"))
            }
            (Frame::Array(items), Request::Leaf(branches)) => decode_differences(items, branches.len()).map(Self::Leaf),
            (Frame::Array(items), Request::Fetch(keys)) => {
                let covered = decode_covered(items.get(0), 1..=keys.len())?;
                let records = items.from(1);
                if records.len() > covered {
                    return Err(bad("it has more entries than keys"));
                }
                let records = records.iter().map(|item| decode_record(Some(item))).collect::<Result<_, _>>()?;
                Ok(Self::Entries { covered, records })
            }
            (Frame::Simple(b"OK"), Request::Confirm(..)) => Ok(Self::Ok),
            _ => Err(bad("it does not match the request")),
        }
    }
}

fn bad(what: &str) -> BadMessage {
    BadMessage(format!("malformed reply: {what}"))
}

fn decode_record(word: Option<&[u8]>) -> Result<Record, BadMessage> {
    word.and_then(Record::decode).ok_or_else(|| BadMessage("malformed entry".into()))
}

fn decode_prefixes<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    digits: RangeInclusive<u8>,
) -> Result<Vec<Prefix>, BadMessage> {
    let prefix = |word| Prefix::parse_part(word).filter(|prefix| digits.contains(&prefix.len()));
    let prefixes: Option<Vec<Prefix>> = words.map(prefix).collect();
    let prefixes = prefixes.filter(|prefixes| prefixes.is_sorted_by(|a, b| a.hashes().end() < b.hashes().start()));
    prefixes.ok_or_else(|| {
        BadMessage(format!("prefixes of {digits:?} hex digits in ascending order, none below another, are needed"))
    })
}

fn decode_held(words: Args<'_>) -> Result<Vec<Held>, BadMessage> {
    let branches = decode_prefixes(words.iter().step_by(2), 2..=DIGITS)?;
    let held = branches.into_iter().zip(words.from(1).iter().step_by(2)).map(|(branch, held)| {
        let (newest, digests) = held.split_first_chunk()?;
        let newest = Timestamp::from_bits(u64::from_be_bytes(*newest));
        Some(Held { branch, newest, digests: unpack(digests)? })
    });
    let held: Option<Vec<Held>> = held.collect();
    let held = held.filter(|held| 2 * held.len() == words.len());
    held.ok_or_else(|| BadMessage("each branch needs a timestamp and digests of 8 bytes".into()))
}

fn pack(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.to_bits().to_be_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (digests, rest) = bytes.as_chunks();
    rest.is_empty().then(|| digests.iter().map(|digest| Digest::from_bits(u64::from_be_bytes(*digest))).collect())
}

fn decode_key(word: &[u8]) -> Result<Box<[u8]>, BadMessage> {
    if word.len() > MAX_KEY_BYTES { Err(BadMessage("a key that is too long".into())) } else { Ok(word.into()) }
}

fn decode_differences(items: Args<'_>, asked: usize) -> Result<Differences, BadMessage> {
    let covered = decode_covered(items.get(0), 0..=asked)?;
    let lacking = items.get(1).and_then(unpack).ok_or_else(|| bad("digests have 8 bytes each"))?;
    let count = usize::try_from(decode_number(items.get(2))?).unwrap_or(usize::MAX);
    let rest = items.from(3);
    if count > rest.len() {
        return Err(bad("it has fewer entries than it says"));
    }
    let news = rest.iter().take(count).map(|item| decode_record(Some(item))).collect::<Result<Vec<_>, _>>()?;
    let listed: Option<Vec<_>> = rest.from(count).iter().map(decode_listed).collect();
    let listed = listed.ok_or_else(|| bad("a listed key has a version, a check and a 1 or 0 before it"))?;
    if covered == 0 && news.is_empty() && listed.is_empty() {
        return Err(bad("it covers nothing, and tells nothing"));
    }
    Ok(Differences { covered, news, listed, lacking })
}

fn decode_listed(item: &[u8]) -> Option<Listed> {
    let (version, rest) = item.split_at_checked(Version::ENCODED_BYTES)?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let (&counted, key) = rest.split_first()?;
    let (version, check) = (Version::decode(version)?, u32::from_be_bytes(*check));
    let is_right = counted <= 1 && key.len() <= MAX_KEY_BYTES;
    is_right.then(|| Listed { key: key.into(), version, check, is_counted: counted == 1 })
}

fn decode_children(bytes: &[u8]) -> Option<[Digest; FANOUT]> {
    unpack(bytes)?.try_into().ok()
}

fn decode_covered(word: Option<&[u8]>, allowed: RangeInclusive<usize>) -> Result<usize, BadMessage> {
    let covered = decode_number(word)?;
    usize::try_from(covered)
        .ok()
        .filter(|covered| allowed.contains(covered))
        .ok_or_else(|| BadMessage(format!("a reply that covers {covered}, where {allowed:?} were possible")))
}

pub(super) fn decode_number(word: Option<&[u8]>) -> Result<u64, BadMessage> {
    let number = word.and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
    number.ok_or_else(|| BadMessage("a number is missing".into()))
}

fn write_command(out: &mut Vec<u8>, verb: &str, words: usize, write_words: impl FnOnce(&mut Vec<u8>)) {
    write_array(out, 1 + words);
    write_bulk(out, verb.as_bytes());
    write_words(out);
}

fn write_error(out: &mut Vec<u8>, code: &str, why: &str) {
    let why: String = why.chars().filter(|char| !char.is_control()).collect();
    out.extend_from_slice(format!("-{code} {why}\r\n").as_bytes());
}

pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    write_bulk(out, number.to_string().as_bytes());
}
