//! What happened, in words: one column per node for a simulated run, or one arrow per message for a story.

use std::cell::{Cell, RefCell};

use kvstore::replication::message::{Differences, Greeting, Held, Listed, Reply, Request};
use kvstore::replication::reconcile::RoundReport;
use kvstore::store::Counts;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::digest::Prefix;
use kvstore::store::record::Record;
use kvstore::store::version::Version;

use super::cluster::{Cluster, Fate};
use super::network::Connection;

/// How many characters a column has.
const COLUMN: usize = 54;

/// How many items of a list are shown.
const SHOWN: usize = 4;

/// How many characters the items of a list may take, so that a line of a story fits in 120 columns. The first is always
/// shown.
const SHOWN_CHARS: usize = 64;

/// How a run is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    /// Not at all.
    #[default]
    Off,
    /// A line a step, in the column of the node that acts or speaks.
    Columns,
    /// A line a step, messages as arrows.
    Arrows,
}

/// The lines told so far.
#[derive(Default)]
pub(crate) struct Trace {
    style: Style,
    /// Whether messages show how many bytes they have.
    pub(crate) bytes: Cell<bool>,
    /// Whether the trace is silent for now.
    pub(crate) quiet: Cell<bool>,
    lines: RefCell<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(style: Style) -> Self {
        Self { style, ..Self::default() }
    }

    /// The lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        self.lines.take()
    }

    /// Whether anything is told now.
    pub(crate) fn is_on(&self) -> bool {
        self.style != Style::Off && !self.quiet.get()
    }

    fn put(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    /// Something that concerns one node.
    pub(crate) fn note(&self, node: usize, text: impl FnOnce() -> String) {
        if !self.is_on() {
            return;
        }
        match self.style {
            Style::Off => {}
            Style::Columns => self.column(node, &text()),
            Style::Arrows => self.put(format!("node{}: {}", node + 1, text())),
        }
    }

    /// A line that concerns no node.
    pub(crate) fn say(&self, line: &str) {
        if self.is_on() {
            self.put(line.into());
        }
    }

    fn column(&self, node: usize, text: &str) {
        let mut text: String = text.chars().take(COLUMN).collect();
        text = format!("{text:COLUMN$}");
        let blank = " ".repeat(COLUMN);
        let mut line = String::new();
        for _ in 0..node {
            line += &format!("| {blank} ");
        }
        self.put(format!("{line}| {}", text.trim_end()));
    }

    fn arrow(&self, cluster: &Cluster, connection: &Connection, arrow: &str, text: &str, bytes: Option<usize>) {
        let (from, to) = (&cluster.nodes[connection.from].name, &cluster.nodes[connection.to].name);
        let bytes = bytes.filter(|_| self.bytes.get()).map_or(String::new(), |bytes| format!("  ({bytes} bytes)"));
        self.put(format!("{from} {arrow} {to}  {text}{bytes}"));
    }

    pub(crate) fn wrote(&self, cluster: &Cluster, node: usize, key: &[u8], value: Option<&[u8]>) {
        let command = || match value {
            Some(value) => format!("SET {} {}", key.escape_ascii(), value.escape_ascii()),
            None => format!("DEL {}", key.escape_ascii()),
        };
        self.note(node, || {
            let standing = cluster.nodes[node].life().replica.store().record(key);
            let outcome = match &standing {
                None => "nothing stands there now".into(),
                Some(record) if record.content().value() != value => "but what stood there is newer, and stays".into(),
                Some(record) => format!("version {}", in_words(record.version())),
            };
            format!("{}: {outcome}", command())
        });
    }

    pub(crate) fn round_ended(&self, node: usize, report: &RoundReport) {
        self.note(node, || {
            format!("round with {} done: pulled {}, pushed {}", report.peer.name, report.pulled, report.pushed)
        });
    }

    pub(crate) fn tick_ended(&self, node: usize, before: Counts, now: Counts, forgotten: usize, complete: bool) {
        self.note(node, || {
            let settled = (now.settled + forgotten).saturating_sub(before.settled);
            let complete = if complete { "complete" } else { "not complete" };
            format!("tick {complete}: {settled} settled, {forgotten} forgotten, {} wait", now.tombstones)
        });
    }

    pub(crate) fn sent(&self, cluster: &Cluster, connection: &Connection, request: &Request, bytes: usize, fate: Fate) {
        if !self.is_on() {
            return;
        }
        let text = describe_request(request);
        match self.style {
            Style::Off => {}
            Style::Columns => {
                let fate = match fate {
                    Fate::Arrives => "",
                    Fate::Repeated => " (twice)",
                    Fate::Lost => " (lost)",
                    Fate::Late => " (delayed)",
                    Fate::ReplyLost => " (its reply will be lost)",
                };
                self.column(connection.from, &format!("▶{} {text}{fate}", connection.to + 1));
            }
            Style::Arrows => match fate {
                Fate::Arrives => self.arrow(cluster, connection, "──▶", &text, Some(bytes)),
                Fate::Repeated => {
                    self.arrow(cluster, connection, "══▶", &format!("{text}  (arrives twice)"), Some(bytes))
                }
                Fate::Lost => self.arrow(cluster, connection, "──✗", &format!("{text}  (lost)"), None),
                Fate::Late => self.arrow(cluster, connection, "──…", &format!("{text}  (delayed)"), None),
                Fate::ReplyLost => {
                    self.arrow(cluster, connection, "──▶", &text, Some(bytes));
                    self.arrow(cluster, connection, "✗──", "the reply is lost", None);
                }
            },
        }
    }

    pub(crate) fn answered(&self, cluster: &Cluster, connection: &Connection, text: &str, bytes: usize, arrives: bool) {
        if !self.is_on() {
            return;
        }
        match (self.style, arrives) {
            (Style::Off, _) => {}
            (Style::Columns, true) => self.column(connection.to, &format!("▶{} {text}", connection.from + 1)),
            (Style::Columns, false) => self.column(connection.to, &format!("▶{} {text} (lost)", connection.from + 1)),
            (Style::Arrows, true) => self.arrow(cluster, connection, "◀──", text, Some(bytes)),
            (Style::Arrows, false) => self.arrow(cluster, connection, "✗──", &format!("{text}  (lost)"), None),
        }
    }

    /// A request that arrives after its sender has given up.
    pub(crate) fn sent_late(&self, cluster: &Cluster, connection: &Connection, request: &Request, bytes: usize) {
        if !self.is_on() {
            return;
        }
        let text = format!("{}  (late, on connection {})", describe_request(request), connection.number);
        match self.style {
            Style::Off => {}
            Style::Columns => self.column(connection.to, &format!("◀{} {text}", connection.from + 1)),
            Style::Arrows => self.arrow(cluster, connection, "┈┈▶", &text, Some(bytes)),
        }
    }

    /// The reply to a request whose sender has given up.
    pub(crate) fn unheard(&self, cluster: &Cluster, connection: &Connection, text: &str) {
        if !self.is_on() {
            return;
        }
        match self.style {
            Style::Off => {}
            Style::Columns => self.column(connection.to, &format!("  {text} (the sender has given up)")),
            Style::Arrows => {
                self.arrow(cluster, connection, "✗┈┈", &format!("{text}  (the sender has given up)"), None)
            }
        }
    }

    /// A reply in words; nothing if nothing is told.
    pub(crate) fn describe_reply(&self, reply: &Reply) -> String {
        if self.is_on() { describe_reply(reply) } else { String::new() }
    }
}

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
        Request::Confirm(_) => "CONFIRM",
    }
}

fn describe_request(request: &Request) -> String {
    match request {
        Request::Peer(greeting) => format!("PEER {}", describe_greeting(greeting)),
        Request::Propagate(record) => format!("PROPAGATE {}", describe_record(record)),
        Request::Root => "DIGEST".into(),
        Request::Digest(nodes) => format!("DIGEST {}", describe_prefixes(nodes)),
        Request::Leaf(nodes) => format!("LEAF {}", list(nodes, describe_held)),
        Request::Fetch(keys) => format!("FETCH {}", list(keys, |key| key.escape_ascii().to_string())),
        Request::Confirm(arrivals) => format!("CONFIRM {arrivals}"),
    }
}

fn describe_reply(reply: &Reply) -> String {
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
    }
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

/// The low half of a simulated incarnation counts the node's lives.
fn describe_greeting(greeting: &Greeting) -> String {
    let Greeting { name, incarnation, clock, .. } = greeting;
    let clock = if *clock == Timestamp::ZERO { "0".into() } else { time_in_words(*clock) };
    format!("{name} incarnation {} clock {clock}", incarnation.0 as u32)
}

fn describe_record(record: &Record) -> String {
    let (key, version) = (record.key().escape_ascii(), in_words(record.version()));
    match record.content() {
        Content::Value(value) if value.len() > 40 => format!("SET {key} ({} bytes) {version}", value.len()),
        Content::Value(value) => format!("SET {key} {} {version}", value.escape_ascii()),
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

fn time_in_words(timestamp: Timestamp) -> String {
    let text = timestamp.to_string().replace('Z', "");
    text.strip_prefix("2026-01-01T").map_or(text.clone(), str::to_string)
}
