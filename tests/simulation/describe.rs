//! Messages, records and versions in words, as the traces show them.

use kvstore::replication::message::{Confirmation, Differences, Greeting, Heard, Held, Listed, Reply, Request};
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;
use kvstore::store::digest::Prefix;
use kvstore::store::record::Record;
use kvstore::store::version::Version;

/// How many items of a list are shown.
const SHOWN: usize = 4;

/// How many characters the items of a list may take, so that a line of a story fits in 120 columns. The first is always
/// shown.
const SHOWN_CHARS: usize = 64;

/// Every name of a request.
pub(crate) const REQUESTS: [&str; 6] = ["PEER", "PROPAGATE", "DIGEST", "LEAF", "FETCH", "CONFIRM"];

/// The name of a request, as the protocol has it.
pub(crate) fn request_name(request: &Request) -> &'static str {
    match request {
        Request::Peer(_) => "PEER",
        Request::Propagate(_) => "PROPAGATE",
        Request::Root | Request::Digest(_) => "DIGEST",
        Request::Leaf(_) => "LEAF",
        Request::Fetch(_) => "FETCH",
        Request::Confirm(..) => "CONFIRM",
    }
}

pub(crate) fn describe_request(request: &Request) -> String {
    match request {
        Request::Peer(greeting) => format!("PEER {}", describe_greeting(greeting)),
        Request::Propagate(record) => format!("PROPAGATE {}", describe_record(record)),
        Request::Root => "DIGEST".into(),
        Request::Digest(nodes) => format!("DIGEST {}", describe_prefixes(nodes)),
        Request::Leaf(nodes) => format!("LEAF {}", list(nodes, describe_held)),
        Request::Fetch(keys) => format!("FETCH {}", list(keys, |key| key.escape_ascii().to_string())),
        Request::Confirm(arrivals, Confirmation::NONE) => format!("CONFIRM {arrivals}"),
        Request::Confirm(arrivals, confirmation) => format!("CONFIRM {arrivals}, confirmation {confirmation}"),
    }
}

pub(crate) fn describe_reply(reply: &Reply) -> String {
    match reply {
        Reply::Peer { greeting, arrivals } => format!("{}, arrivals {arrivals}", describe_greeting(greeting)),
        Reply::Merged(true) => "1 (won)".into(),
        Reply::Merged(false) => "0 (lost, or the same)".into(),
        Reply::Root(digest) => format!("root {digest}"),
        Reply::Children(nodes) if nodes.len() == 1 => "16 digests".into(),
        Reply::Children(nodes) => format!("{} times 16 digests", nodes.len()),
        Reply::Leaf(differences) => describe_differences(differences),
        Reply::Entries { records, .. } if records.is_empty() => "nothing stands there".into(),
        Reply::Entries { records, .. } => list(records, describe_record),
        Reply::Ok => "OK".into(),
        Reply::Refused(why) => format!("REFUSED {why}"),
        Reply::OldCopy(why) => format!("OLDCOPY {}", what_is_wrong(why)),
    }
}

/// The first part of a message, without what to do about it.
pub(crate) fn what_is_wrong(why: &str) -> &str {
    why.split(';').next().unwrap_or_default()
}

fn describe_held(held: &Held) -> String {
    let Held { branch, newest, digests } = held;
    match digests.len() {
        0 => format!("{branch} empty"),
        1 => format!("{branch} 1 hash to {}", time_in_words(*newest)),
        count => format!("{branch} {count} hashes to {}", time_in_words(*newest)),
    }
}

fn describe_differences(differences: &Differences) -> String {
    let Differences { news, listed, lacking, .. } = differences;
    let mut parts = Vec::new();
    if !news.is_empty() {
        parts.push(list(news, describe_record));
    }
    if !listed.is_empty() {
        let keys = list(listed, |Listed { key, version, .. }| format!("{} {}", key.escape_ascii(), in_words(*version)));
        parts.push(format!("has {keys}"));
    }
    if !lacking.is_empty() {
        parts.push(format!("lacks {}", lacking.len()));
    }
    if parts.is_empty() { "no difference".into() } else { parts.join("; ") }
}

/// The low half of a simulated incarnation counts the node's lives. A store has the number of the life that made it.
fn describe_greeting(greeting: &Greeting) -> String {
    let Greeting { name, incarnation, clock, confirmation, heard, .. } = greeting;
    let clock = if *clock == Timestamp::ZERO { "0".into() } else { time_in_words(*clock) };
    let mut text = format!("{name} incarnation {} clock {clock}", incarnation.0 as u32);
    if *confirmation != Confirmation::NONE {
        text += &format!(", confirmation {confirmation}");
    }
    if !heard.is_empty() {
        let of = |Heard { store, confirmation, .. }: &Heard| {
            format!("{confirmation} of {}.{}", store.0 >> 32, store.0 as u32)
        };
        text += &format!(", heard {}", list(heard, of));
    }
    text
}

fn describe_record(record: &Record) -> String {
    let (key, version) = (record.key().escape_ascii(), in_words(record.version()));
    match record.content() {
        Content::Value(value) if value.len() > 40 => format!("SET {key} ({} bytes) {version}", value.len()),
        Content::Value(value) => format!("SET {key} {} {version}", value.escape_ascii()),
        Content::Expiring(value, deadline) => {
            format!("SET {key} {} {version} until {}", value.escape_ascii(), deadline_in_words(deadline))
        }
        Content::Tombstone => format!("DEL {key} {version}"),
    }
}

fn describe_prefixes(nodes: &[Prefix]) -> String {
    list(nodes, |node| if node.is_empty() { "\"\"".into() } else { node.to_string() })
}

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

/// A version as the traces show it: the time of day. The day is shown only if it is not the one on which every run
/// begins.
pub(crate) fn in_words(version: Version) -> String {
    format!("{}@{}", time_in_words(version.timestamp), version.node)
}

/// A deadline, as the traces show it: the time of day.
pub(crate) fn deadline_in_words(deadline: Deadline) -> String {
    match Timestamp::from_millis(deadline.millis().min(Timestamp::YEAR_2200.millis())) {
        Timestamp::YEAR_2200 => "after 2200".into(),
        time => time_in_words(time).trim_end_matches("+0").into(),
    }
}

fn time_in_words(timestamp: Timestamp) -> String {
    let text = timestamp.to_string().replace('Z', "");
    text.strip_prefix("2026-01-01T").map_or(text.clone(), str::to_string)
}
