//! Messages in words, as traces and stories show them: `PROPAGATE SET color red 2026-11-22T12:00:00.123Z+0@1`.

use std::fmt;

use super::message::{Confirmation, Differences, Greeting, Heard, Held, Listed, Reply, Request};
use crate::framing::printable_start;
use crate::store::clock::Timestamp;
use crate::store::content::Content;
use crate::store::counter::Share;
use crate::store::digest::Prefix;
use crate::store::merge::{Effect, Outcome};
use crate::store::record::Record;
use crate::store::version::Version;

/// How many items of a list are shown.
const SHOWN: usize = 4;

/// How many characters the items of a list may take. The first is always shown.
const SHOWN_CHARS: usize = 96;

/// How many bytes of a key are shown. Traces and the page show what any peer sends.
const SHOWN_KEY: usize = 256;

/// How many bytes of a value are shown; of a longer one, its length.
const SHOWN_VALUE: usize = 40;

impl Request {
    /// Every name of a request.
    pub const NAMES: [&str; 6] = ["PEER", "PROPAGATE", "DIGEST", "LEAF", "FETCH", "CONFIRM"];

    /// Its name in the protocol.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Peer(_) => "PEER",
            Self::Propagate(_) => "PROPAGATE",
            Self::Root | Self::Digest(_) => "DIGEST",
            Self::Leaf(_) => "LEAF",
            Self::Fetch(_) => "FETCH",
            Self::Confirm(..) => "CONFIRM",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Peer(greeting) => write!(f, " {}", in_words(greeting)),
            Self::Propagate(record) => write!(f, " {record}"),
            Self::Root => Ok(()),
            Self::Digest(branches) => write!(f, " {}", list(branches, branch)),
            Self::Leaf(held) => write!(f, " {}", list(held, holding)),
            Self::Fetch(keys) => write!(f, " {}", list(keys, |key| shown_key(key))),
            Self::Confirm(arrivals, Confirmation::NONE) => write!(f, " {arrivals}"),
            Self::Confirm(arrivals, confirmation) => write!(f, " {arrivals}, confirmation {confirmation}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { greeting, arrivals } => write!(f, "{}, arrivals {arrivals}", in_words(greeting)),
            Self::Merged(true) => f.write_str("1 (won)"),
            Self::Merged(false) => f.write_str("0 (lost, or the same)"),
            Self::Root(digest) => write!(f, "root {digest}"),
            Self::Children(branches) if branches.len() == 1 => f.write_str("16 digests"),
            Self::Children(branches) => write!(f, "{} times 16 digests", branches.len()),
            Self::Leaf(differences) => f.write_str(&differing(differences)),
            Self::Entries { records, .. } if records.is_empty() => f.write_str("nothing stands there"),
            Self::Entries { records, .. } => f.write_str(&list(records, Record::to_string)),
            Self::Ok => f.write_str("OK"),
            Self::Refused(why) => write!(f, "REFUSED {why}"),
            Self::OldCopy(why) => write!(f, "OLDCOPY {why}"),
        }
    }
}

impl fmt::Display for Record {
    /// The command that would write it, and its version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, version) = (shown_key(self.key()), self.version());
        let shown = |value: &[u8]| match value.len() {
            ..=SHOWN_VALUE => value.escape_ascii().to_string(),
            length => format!("({length} bytes)"),
        };
        match self.content() {
            Content::Value(value) => write!(f, "SET {key} {} {version}", shown(value))?,
            Content::Expiring(value, deadline) => write!(f, "SET {key} {} {version} until {deadline}", shown(value))?,
            Content::Tombstone if version == Version::NEVER => write!(f, "COUNT {key}")?,
            Content::Tombstone => write!(f, "DEL {key} {version}")?,
        }
        self.shares().try_for_each(|Share { counted, seen, .. }| match seen.at > Timestamp::ZERO {
            false => write!(f, ", {:+}", counted.sum),
            true => write!(f, ", {:+} of which {:+} was seen", counted.sum, seen.sum),
        })
    }
}

/// What has become of an incoming entry.
pub(super) fn decision(outcome: &Outcome) -> String {
    let decided = match &outcome.effect {
        Effect::Replaced(None) => "is new here".into(),
        Effect::Replaced(Some(replaced)) => format!("wins over {replaced}"),
        Effect::Stale(_) => "loses: what stands here is newer".into(),
        Effect::Same(_) => "stands here already".into(),
    };
    match outcome.conflict {
        Some(_) => format!("{decided}; neither had seen the other, a conflict"),
        None => decided,
    }
}

/// The same text, but times of the day of `now` are times of the day only: `12:00:00.123+0@1`.
pub fn without_day(text: &str, now: Timestamp) -> String {
    const TIME: usize = "12:00:00.123".len();
    let now = now.rfc3339();
    let day = now.split_inclusive('T').next().unwrap_or_default();
    let mut parts = text.split(day);
    let mut shortened = parts.next().unwrap_or_default().to_string();
    for part in parts {
        match part.split_at_checked(TIME).and_then(|(time, rest)| Some((time, rest.strip_prefix('Z')?))) {
            Some((time, rest)) => shortened.extend([time, rest]),
            None => shortened.extend([day, part]),
        }
    }
    shortened
}

fn in_words(greeting: &Greeting) -> String {
    let Greeting { name, incarnation, clock, confirmation, heard, .. } = greeting;
    let clock = if *clock == Timestamp::ZERO { "0".into() } else { clock.to_string() };
    let mut text = format!("{name} incarnation {incarnation} clock {clock}");
    if *confirmation != Confirmation::NONE {
        text += &format!(", confirmation {confirmation}");
    }
    if !heard.is_empty() {
        let of = |Heard { store, confirmation, .. }: &Heard| format!("{confirmation} of {store}");
        text += &format!(", heard {}", list(heard, of));
    }
    text
}

fn branch(branch: &Prefix) -> String {
    if branch.is_empty() { "\"\"".into() } else { branch.to_string() }
}

fn holding(Held { branch, newest, digests }: &Held) -> String {
    match digests.len() {
        0 => format!("{branch} empty"),
        1 => format!("{branch} 1 hash to {newest}"),
        count => format!("{branch} {count} hashes to {newest}"),
    }
}

fn differing(Differences { news, listed, lacking, .. }: &Differences) -> String {
    let mut parts = Vec::new();
    if !news.is_empty() {
        parts.push(list(news, Record::to_string));
    }
    if !listed.is_empty() {
        let keys = list(listed, |Listed { key, version, .. }| format!("{} {version}", shown_key(key)));
        parts.push(format!("has {keys}"));
    }
    if !lacking.is_empty() {
        parts.push(format!("lacks {}", lacking.len()));
    }
    if parts.is_empty() { "no difference".into() } else { parts.join("; ") }
}

/// A key, or the beginning of a long one.
fn shown_key(key: &[u8]) -> String {
    printable_start(key, SHOWN_KEY)
}

/// The first of the items in words, and how many there are if that is not all.
fn list<T>(items: &[T], describe: impl Fn(&T) -> String) -> String {
    let mut text = String::new();
    let mut shown = 0;
    for item in items.iter().take(SHOWN) {
        let separator = if shown == 0 { "" } else { ", " };
        let next = format!("{separator}{}", describe(item));
        if shown > 0 && text.chars().count() + next.chars().count() > SHOWN_CHARS {
            break;
        }
        text += &next;
        shown += 1;
    }
    if shown < items.len() { format!("{text}, … {} in all", items.len()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_KEY_BYTES;

    #[test]
    fn a_long_key_is_shown_in_part() {
        let request = Request::Fetch(vec![vec![0; MAX_KEY_BYTES].into(), (*b"k").into()]);
        let shown = request.to_string();
        assert!(shown.len() < 2000 && shown.contains("…"), "{} bytes", shown.len());
        assert_eq!(Request::Fetch(vec![(*b"k").into()]).to_string(), "FETCH k");
    }
}
