//! The peer protocol. The two enums are its specification.
//!
//! A node that wants something from a peer opens one connection to it, sends [`Request`]s and reads a [`Reply`] to each, in
//! order. Requests are RESP arrays on the port that clients use; from PEER on, a connection speaks this protocol only.
//! Numbers are decimal text, digests, versions and clocks big-endian bytes.
//!
//! Every request may be lost, or its reply may, and then it is sent again on a new connection. So each is idempotent.
//!
//! | request | sent by | when | if lost | if repeated or late |
//! |---|---|---|---|---|
//! | `PEER` | initiator | first on a connection; at the start of a round | no connection, or no round | merges the clock again; a *new* connection revokes older ones |
//! | `PROPAGATE` | replicator, round | after a write; for what the peer lacks | the key is kept and tried again; the next round finds it | loses against what stands there: same version |
//! | `DIGEST` | round | while the digests differ | the round fails | only reads |
//! | `LEAF` | round | for the leaves that differ | the round fails | only reads |
//! | `FETCH` | round | for what the peer has newer | the round fails | only reads |
//! | `CONFIRM` | round | when all of the above has succeeded | tombstones wait for the next round | the number only grows; on a revoked connection it is refused |

use std::fmt;
use std::ops::RangeInclusive;

use super::PeerError;
use crate::framing::Args;
use crate::framing::printable;
use crate::framing::resp::{self, Frame, write_array, write_bulk};
use crate::limits::{MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES};
use crate::store::clock::Timestamp;
use crate::store::digest::{Digest, FANOUT, Prefix};
use crate::store::entry::{Content, Entry};
use crate::store::record::Record;
use crate::store::version::Version;

/// The version of this protocol. Nodes that speak another are refused: mixing them could break what they agree on.
pub const PROTOCOL: u16 = 2;

/// Who a node is, and what time it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The node's name, unique in the cluster: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// The node's number, unique in the cluster. It decides between writes of the same instant.
    pub node: u16,
    /// Drawn at random when the node starts without its old data: another number says that its memory is gone.
    pub incarnation: u64,
    /// The last timestamp of the node's clock.
    pub clock: Timestamp,
}

/// What an initiator asks of a responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `PEER protocol name node incarnation clock`: who I am. Answered by [`Reply::Peer`], or refused: another protocol
    /// version, or the responder's own name or number.
    Peer(Greeting),
    /// `PROPAGATE SET key value version` or `PROPAGATE DEL key version`: an entry as I hold it now. Answered by
    /// [`Reply::Merged`].
    Propagate(Record),
    /// `DIGEST`: the digest of all that you hold. Answered by [`Reply::Root`].
    Root,
    /// `DIGEST prefix…`: the digests of the children of these nodes of the tree. Answered by [`Reply::Children`].
    Digest(Vec<Prefix>),
    /// `LEAF prefix held…`: what I hold below these nodes of the tree, which have two digits at least, stand in ascending
    /// order, and none below another; now tell me how you differ. Answered by [`Reply::Leaf`], perhaps for the first of them only.
    Leaf(Vec<Held>),
    /// `FETCH key…`: the entries of these keys. Answered by [`Reply::Entries`], perhaps for the first of them only.
    Fetch(Vec<Box<[u8]>>),
    /// `CONFIRM arrivals`: I now hold everything, or something newer, that you held when you said that number in your
    /// answer to PEER on this connection. Answered by [`Reply::Ok`].
    Confirm(u64),
}

/// What a responder answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Who the responder is, and how many entries it has accepted so far: the number for CONFIRM.
    Peer {
        /// The responder's own greeting.
        greeting: Greeting,
        /// How many entries it has accepted since it started.
        arrivals: u64,
    },
    /// Whether the entry was newer than what stood there.
    Merged(bool),
    /// The digest of the whole store.
    Root(Digest),
    /// The digests of the children of each node that was asked for.
    Children(Vec<[Digest; FANOUT]>),
    /// How the responder differs from what the initiator holds.
    Leaf(Differences),
    /// The entries of the first `covered` of the keys that were asked for, as they are now; none for a key that is gone.
    Entries {
        /// At least 1; the initiator asks again for the rest.
        covered: usize,
        /// In the order of the keys.
        records: Vec<Record>,
    },
    /// Done.
    Ok,
    /// `-REFUSED why`: the responder ends the connection.
    Refused(String),
}

/// What an initiator holds below one node of the tree. An entry is named by its digest, eight bytes instead of key, version and
/// value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The node.
    pub node: Prefix,
    /// The latest timestamp of the entries; zero if there are none.
    pub newest: Timestamp,
    /// [`Record::digest`] of each entry, in no particular order.
    pub digests: Vec<Digest>,
}

/// How a responder differs from what an initiator [`Held`]: everything that it holds below the first `covered` of the nodes is
/// among the initiator's digests, in `news`, or in `listed`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// How many nodes this covers. The initiator asks again for the rest. 0 if the first have more to tell than one reply holds.
    pub covered: usize,
    /// Entries that are later than all that the initiator named below the same node, so that it lacks them (unless they have just come
    /// on another way, or it holds a settled tombstone, which it does not name): in full, as many as fit in a reply.
    pub news: Vec<Record>,
    /// Other entries that the initiator did not name: it does not hold them, or in another version.
    pub listed: Vec<Listed>,
    /// The digests of the initiator's entries that the responder does not hold, below the nodes that are covered.
    pub lacking: Vec<Digest>,
}

/// An entry as a LEAF reply lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: Box<[u8]>,
    /// The entry's version.
    pub version: Version,
    /// [`Record::check`] of the entry.
    pub check: u32,
}

impl From<&Record> for Listed {
    fn from(record: &Record) -> Self {
        Self { key: record.key().into(), version: record.version(), check: record.check() }
    }
}

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
                write_array(out, 1 + GREETING_WORDS);
                write_bulk(out, b"PEER");
                encode_greeting(greeting, out);
            }
            Self::Propagate(record) => {
                let Entry { version, content } = record.entry();
                let verb: &[u8] = if content == Content::Tombstone { b"DEL" } else { b"SET" };
                write_array(out, if content == Content::Tombstone { 4 } else { 5 });
                write_bulk(out, b"PROPAGATE");
                write_bulk(out, verb);
                write_bulk(out, record.key());
                if let Content::Value(value) = content {
                    write_bulk(out, value);
                }
                write_bulk(out, &version.encode());
            }
            Self::Root => write_command(out, "DIGEST", 0, |_| {}),
            Self::Digest(prefixes) => write_prefixes(out, "DIGEST", prefixes),
            Self::Leaf(nodes) => write_command(out, "LEAF", 2 * nodes.len(), |out| {
                for Held { node, newest, digests } in nodes {
                    write_bulk(out, node.to_string().as_bytes());
                    write_bulk(out, &[&newest.to_bits().to_be_bytes(), pack(digests).as_slice()].concat());
                }
            }),
            Self::Fetch(keys) => write_command(out, "FETCH", keys.len(), |out| {
                keys.iter().for_each(|key| write_bulk(out, key));
            }),
            Self::Confirm(arrivals) => write_command(out, "CONFIRM", 1, |out| write_number(out, *arrivals)),
        }
    }

    /// The request in these words.
    pub fn decode(words: Args<'_>) -> Result<Self, BadMessage> {
        let rest = words.from(1);
        let verb = words.get(0).unwrap_or_default().to_ascii_uppercase();
        match (verb.as_slice(), rest.len()) {
            (b"PEER", GREETING_WORDS) => decode_greeting(rest).map(Self::Peer),
            (b"PROPAGATE", 3 | 4) => decode_propagate(rest).map(Self::Propagate),
            (b"DIGEST", 0) => Ok(Self::Root),
            (b"DIGEST", _) => decode_prefixes(rest.iter(), 0..=3).map(Self::Digest),
            (b"LEAF", 1..) => decode_held(rest).map(Self::Leaf),
            (b"FETCH", 1..) => rest.iter().map(decode_key).collect::<Result<_, _>>().map(Self::Fetch),
            (b"CONFIRM", 1) => decode_number(rest.get(0)).map(Self::Confirm),
            _ => Err(BadMessage(format!(
                "no request of the peer protocol: {} with {} words",
                printable(&verb),
                rest.len()
            ))),
        }
    }
}

impl Reply {
    /// Writes the reply to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Peer { greeting, arrivals } => {
                write_array(out, GREETING_WORDS + 1);
                encode_greeting(greeting, out);
                write_number(out, *arrivals);
            }
            Self::Merged(won) => resp::write_integer(out, i64::from(*won)),
            Self::Root(digest) => write_bulk(out, &digest.to_bits().to_be_bytes()),
            Self::Children(nodes) => {
                write_array(out, nodes.len());
                nodes.iter().for_each(|children| write_bulk(out, &pack(children)));
            }
            Self::Leaf(Differences { covered, news, listed, lacking }) => {
                write_array(out, 3 + news.len() + listed.len());
                write_number(out, *covered as u64);
                write_bulk(out, &pack(lacking));
                write_number(out, news.len() as u64);
                news.iter().for_each(|record| write_bulk(out, record.encode()));
                for Listed { key, version, check } in listed {
                    write_bulk(out, &[&version.encode()[..], &check.to_be_bytes(), key].concat());
                }
            }
            Self::Entries { covered, records } => {
                write_array(out, 1 + records.len());
                write_number(out, *covered as u64);
                records.iter().for_each(|record| write_bulk(out, record.encode()));
            }
            Self::Ok => out.extend_from_slice(b"+OK\r\n"),
            Self::Refused(why) => {
                let why: String = why.chars().filter(|char| !char.is_control()).collect();
                out.extend_from_slice(format!("-REFUSED {why}\r\n").as_bytes());
            }
        }
    }

    /// The reply to `request` in this frame. It is checked against what was asked: a reply that could not follow from the request is bad.
    pub fn decode(frame: Frame<'_>, request: &Request) -> Result<Self, BadMessage> {
        match (frame, request) {
            (Frame::Error(text), _) => {
                let text = String::from_utf8_lossy(text);
                Ok(Self::Refused(text.strip_prefix("REFUSED ").unwrap_or(&text).to_string()))
            }
            (Frame::Array(items), Request::Peer(_)) if items.len() == GREETING_WORDS + 1 => Ok(Self::Peer {
                greeting: decode_greeting(items)?,
                arrivals: decode_number(items.get(GREETING_WORDS))?,
            }),
            (Frame::Integer(won @ 0..=1), Request::Propagate(_)) => Ok(Self::Merged(won == 1)),
            (Frame::Bulk(bytes), Request::Root) => {
                let bytes = bytes.try_into().map_err(|_| bad("a digest has 8 bytes"))?;
                Ok(Self::Root(Digest::from_bits(u64::from_be_bytes(bytes))))
            }
            (Frame::Array(items), Request::Digest(prefixes)) if items.len() == prefixes.len() => {
                let nodes: Option<Vec<_>> = items.iter().map(decode_children).collect();
                nodes.map(Self::Children).ok_or_else(|| bad("a node has 16 children of 8 bytes"))
            }
            (Frame::Array(items), Request::Leaf(nodes)) => decode_differences(items, nodes.len()).map(Self::Leaf),
            (Frame::Array(items), Request::Fetch(keys)) => {
                let covered = decode_covered(items.get(0), 1..=keys.len())?;
                let records: Option<Vec<_>> = items.from(1).iter().map(Record::decode).collect();
                Ok(Self::Entries { covered, records: records.ok_or_else(|| bad("an entry that is none"))? })
            }
            (Frame::Simple(b"OK"), Request::Confirm(_)) => Ok(Self::Ok),
            _ => Err(bad("of another kind")),
        }
    }
}

fn bad(what: &str) -> BadMessage {
    BadMessage(format!("bad reply to a request: {what}"))
}

/// Protocol version, name, number, incarnation and clock.
const GREETING_WORDS: usize = 5;

fn encode_greeting(greeting: &Greeting, out: &mut Vec<u8>) {
    write_number(out, u64::from(PROTOCOL));
    write_bulk(out, greeting.name.as_bytes());
    write_number(out, u64::from(greeting.node));
    write_bulk(out, format!("{:016x}", greeting.incarnation).as_bytes());
    write_bulk(out, &greeting.clock.to_bits().to_be_bytes());
}

fn decode_greeting(words: Args<'_>) -> Result<Greeting, BadMessage> {
    let protocol = decode_number(words.get(0))?;
    if protocol != u64::from(PROTOCOL) {
        return Err(BadMessage(format!("this node speaks version {PROTOCOL} of the peer protocol, not {protocol}")));
    }
    let text = |index| words.get(index).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
    let name = text(1).to_string();
    check_name(&name).map_err(BadMessage)?;
    let node = u16::try_from(decode_number(words.get(2))?).ok().filter(|&node| node > 0);
    let node = node.ok_or_else(|| BadMessage("a node's number is from 1 to 65535".into()))?;
    let incarnation = u64::from_str_radix(text(3), 16).ok().filter(|&incarnation| incarnation > 0);
    let incarnation = incarnation.ok_or_else(|| BadMessage("an incarnation is a hex number above 0".into()))?;
    let clock = words
        .get(4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(|bytes| Timestamp::from_bits(u64::from_be_bytes(bytes)));
    let clock = clock.filter(|&clock| clock < Timestamp::YEAR_2200);
    Ok(Greeting {
        name,
        node,
        incarnation,
        clock: clock.ok_or_else(|| BadMessage("a clock before 2200 is needed".into()))?,
    })
}

/// Whether a node may have this name; the error says what is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} letters, digits, dots, dashes or underscores"));
    }
    Ok(())
}

fn decode_propagate(words: Args<'_>) -> Result<Record, BadMessage> {
    let word = |index| words.get(index).unwrap_or_default();
    let (content, version) = match (word(0), words.len()) {
        (b"SET", 4) if word(2).len() <= MAX_VALUE_BYTES => (Content::Value(word(2)), word(3)),
        (b"DEL", 3) => (Content::Tombstone, word(2)),
        _ => return Err(BadMessage("PROPAGATE SET key value version, or DEL key version".into())),
    };
    let key = word(1);
    let version =
        Version::decode(version).ok_or_else(|| BadMessage("a version is 10 bytes, from before 2200".into()))?;
    if key.len() > MAX_KEY_BYTES {
        return Err(BadMessage("a key that is too long".into()));
    }
    Ok(Record::new(key, Entry { version, content }))
}

fn decode_prefixes<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    digits: RangeInclusive<u8>,
) -> Result<Vec<Prefix>, BadMessage> {
    let prefix = |word| Prefix::parse(word).filter(|prefix| digits.contains(&prefix.len()));
    let prefixes: Option<Vec<Prefix>> = words.map(prefix).collect();
    let prefixes = prefixes.filter(|prefixes| prefixes.is_sorted_by(|a, b| a.leaves().end <= b.leaves().start));
    prefixes.ok_or_else(|| {
        BadMessage(format!("prefixes of {digits:?} hex digits in ascending order, none below another, are needed"))
    })
}

fn decode_held(words: Args<'_>) -> Result<Vec<Held>, BadMessage> {
    let nodes = decode_prefixes(words.iter().step_by(2), 2..=4)?;
    let held = nodes.into_iter().zip(words.from(1).iter().step_by(2)).map(|(node, held)| {
        let (newest, digests) = held.split_first_chunk()?;
        let newest = Timestamp::from_bits(u64::from_be_bytes(*newest));
        Some(Held { node, newest, digests: unpack(digests)? })
    });
    let held: Option<Vec<Held>> = held.collect();
    let held = held.filter(|held| 2 * held.len() == words.len());
    held.ok_or_else(|| BadMessage("each node has a timestamp and digests of 8 bytes".into()))
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
    let lacking = items.get(1).and_then(unpack).ok_or_else(|| bad("digests of 8 bytes each are missing"))?;
    let count = decode_number(items.get(2))? as usize;
    let news: Option<Vec<_>> = items.from(3).iter().take(count).map(Record::decode).collect();
    let news = news.filter(|news| news.len() == count).ok_or_else(|| bad("an entry that is none"))?;
    let listed: Option<Vec<_>> = items.from(3 + count).iter().map(decode_listed).collect();
    let listed = listed.ok_or_else(|| bad("a listed key has a version before it"))?;
    if covered == 0 && news.is_empty() && listed.is_empty() {
        return Err(bad("nothing is covered, and nothing told"));
    }
    Ok(Differences { covered, news, listed, lacking })
}

fn decode_listed(item: &[u8]) -> Option<Listed> {
    let (version, rest) = item.split_at_checked(Version::ENCODED_BYTES)?;
    let (check, key) = rest.split_first_chunk::<4>()?;
    let version = Version::decode(version)?;
    (key.len() <= MAX_KEY_BYTES).then(|| Listed { key: key.into(), version, check: u32::from_be_bytes(*check) })
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

fn decode_number(word: Option<&[u8]>) -> Result<u64, BadMessage> {
    let number = word.and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
    number.ok_or_else(|| BadMessage("a number is missing".into()))
}

fn write_command(out: &mut Vec<u8>, verb: &str, words: usize, write_words: impl FnOnce(&mut Vec<u8>)) {
    write_array(out, 1 + words);
    write_bulk(out, verb.as_bytes());
    write_words(out);
}

fn write_prefixes(out: &mut Vec<u8>, verb: &str, prefixes: &[Prefix]) {
    write_command(out, verb, prefixes.len(), |out| {
        prefixes.iter().for_each(|prefix| write_bulk(out, prefix.to_string().as_bytes()));
    });
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    write_bulk(out, number.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Form, RequestParser};

    fn record(content: Content<'_>) -> Record {
        let version = Version::new(Timestamp::from_millis(9), 2);
        Record::new(b"key", Entry { version, content })
    }

    fn greeting() -> Greeting {
        Greeting { name: "node1".into(), node: 1, incarnation: 0xfeed, clock: Timestamp::from_millis(5) }
    }

    fn leaves(names: &[&str]) -> Vec<Prefix> {
        names.iter().map(|name| Prefix::parse(name.as_bytes()).unwrap()).collect()
    }

    fn held(names: &[&str], digests: &[Digest]) -> Vec<Held> {
        let held = |node| Held { node, newest: Timestamp::from_millis(4), digests: digests.into() };
        leaves(names).into_iter().map(held).collect()
    }

    fn decoded(bytes: &[u8]) -> Result<Request, BadMessage> {
        let mut parser = RequestParser::default();
        assert_eq!(parser.parse(bytes), Ok(Some((Form::Resp, bytes.len()))));
        Request::decode(parser.args(Form::Resp, bytes))
    }

    #[test]
    fn requests_and_replies_survive_the_wire() {
        let digest = Digest::from_bits(0x0123_4567_89ab_cdef);
        let version = Version::new(Timestamp::from_millis(3), 1);
        let pairs = [
            (Request::Peer(greeting()), Reply::Peer { greeting: greeting(), arrivals: 17 }),
            (Request::Propagate(record(Content::Value(b"\r\n"))), Reply::Merged(true)),
            (Request::Propagate(record(Content::Tombstone)), Reply::Merged(false)),
            (Request::Root, Reply::Root(digest)),
            (Request::Digest(leaves(&["0", "a3"])), Reply::Children(vec![[digest; FANOUT]; 2])),
            (
                Request::Leaf(held(&["00", "a3f", "ffff"], &[digest; 2])),
                Reply::Leaf(Differences {
                    covered: 2,
                    news: vec![record(Content::Value(b"v")), record(Content::Tombstone)],
                    listed: vec![Listed { key: b"k"[..].into(), version, check: 7 }],
                    lacking: vec![digest],
                }),
            ),
            (
                Request::Fetch(vec![b"a"[..].into(), b""[..].into()]),
                Reply::Entries { covered: 1, records: vec![record(Content::Value(b"v")), record(Content::Tombstone)] },
            ),
            (Request::Confirm(99), Reply::Ok),
            (Request::Root, Reply::Refused("revoked".into())),
        ];
        for (request, reply) in pairs {
            let mut bytes = Vec::new();
            request.encode(&mut bytes);
            assert_eq!(decoded(&bytes), Ok(request.clone()));
            bytes.clear();
            reply.encode(&mut bytes);
            let mut parser = resp::Parser::default();
            let (frame, length) = parser.parse_reply(&bytes).unwrap().expect("whole");
            assert_eq!(length, bytes.len());
            assert_eq!(Reply::decode(frame, &request), Ok(reply));
        }
    }

    #[test]
    fn what_does_not_follow_the_protocol_is_refused() {
        let bad: &[&[&[u8]]] = &[
            &[b"GET", b"k"],
            &[b"PEER", b"2", b"node1", b"1", b"feed"],
            &[b"PEER", b"1", b"node1", b"1", b"feed", &[0; 8]],
            &[b"PEER", b"2", b"no spaces", b"1", b"feed", &[0; 8]],
            &[b"PEER", b"2", b"node1", b"0", b"feed", &[0; 8]],
            &[b"PEER", b"2", b"node1", b"70000", b"feed", &[0; 8]],
            &[b"PEER", b"2", b"node1", b"1", b"0", &[0; 8]],
            &[b"PEER", b"2", b"node1", b"1", b"feed", &[255; 8]],
            &[b"PROPAGATE", b"SET", b"k", b"v", &[255; 10]],
            &[b"PROPAGATE", b"SET", b"k", &[0; 10]],
            &[b"PROPAGATE", b"DEL", b"k", b"v", &[0; 10]],
            &[b"DIGEST", b"abcd"],
            &[b"DIGEST", b"", b"a3"],
            &[b"LEAF", b"bb", &[0; 8], b"aa", &[0; 8]],
            &[b"LEAF", b"aaaa", &[0; 8], b"aaaa", &[0; 8]],
            &[b"LEAF", b"aa", &[0; 8], b"aab0", &[0; 8]],
            &[b"LEAF", b"a", &[0; 8]],
            &[b"LEAF", b"aaaa", &[0; 7]],
            &[b"LEAF", b"aaaa", &[0; 15]],
            &[b"LEAF", b"aaaa", &[0; 8], b"bbbb"],
            &[b"LEAF"],
            &[b"CONFIRM", b"-1"],
        ];
        for words in bad {
            let mut bytes = Vec::new();
            write_array(&mut bytes, words.len());
            words.iter().for_each(|word| write_bulk(&mut bytes, word));
            assert!(decoded(&bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_reply_must_fit_its_request() {
        let request = Request::Leaf(held(&["aaaa"], &[]));
        let head = |covered: u8, news: u8| format!("$1\r\n{covered}\r\n$0\r\n\r\n$1\r\n{news}\r\n");
        let good = format!("*3\r\n{}", head(1, 0));
        let mut parser = resp::Parser::default();
        let (frame, _) = parser.parse_reply(good.as_bytes()).unwrap().expect("whole");
        assert_eq!(
            Reply::decode(frame, &request),
            Ok(Reply::Leaf(Differences { covered: 1, ..Differences::default() }))
        );
        for bytes in [
            ":1\r\n",
            "*0\r\n",
            "*1\r\n$1\r\n1\r\n",
            &format!("*3\r\n{}", head(0, 0)),
            &format!("*3\r\n{}", head(2, 0)),
            &format!("*3\r\n{}", head(1, 1)),
            &format!("*4\r\n{}$3\r\nabc\r\n", head(1, 0)),
            &format!("*4\r\n{}$3\r\nabc\r\n", head(1, 1)),
            &format!("*4\r\n{}${}\r\n{}\r\n", head(1, 0), 14 + MAX_KEY_BYTES + 1, "k".repeat(14 + MAX_KEY_BYTES + 1)),
            "*3\r\n$1\r\n1\r\n$7\r\n1234567\r\n$1\r\n0\r\n",
        ] {
            let bytes = bytes.as_bytes();
            let mut parser = resp::Parser::default();
            let (frame, _) = parser.parse_reply(bytes).unwrap().expect("whole");
            assert!(Reply::decode(frame, &request).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
