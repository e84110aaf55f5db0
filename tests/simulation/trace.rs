//! What happened, in words: one column per node for a simulated run, or one arrow per message for a story.

use std::cell::{Cell, RefCell};

use kvstore::replication::message::{Reply, Request};
use kvstore::replication::reconcile::RoundReport;
use kvstore::store::Counts;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;

use super::cluster::{Cluster, Fate};
use super::describe::{deadline_in_words, describe_reply, in_words, shorten};
use super::network::Connection;

/// How many characters a column has.
const COLUMN: usize = 54;

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

    pub(crate) fn wrote(&self, cluster: &Cluster, node: usize, key: &[u8], content: Content<'_>) {
        let command = || match content {
            Content::Value(value) => format!("SET {} {}", key.escape_ascii(), value.escape_ascii()),
            Content::Expiring(value, deadline) => {
                let (key, value) = (key.escape_ascii(), value.escape_ascii());
                format!("SET {key} {value} until {}", deadline_in_words(deadline))
            }
            Content::Tombstone => format!("DEL {}", key.escape_ascii()),
        };
        self.note(node, || {
            let standing = cluster.nodes[node].life().replica.store().record(key);
            let outcome = match &standing {
                None => "nothing stands there now".into(),
                Some(record) if record.content() != content => "but what stood there is newer, and stays".into(),
                Some(record) => format!("version {}", in_words(record.version())),
            };
            format!("{}: {outcome}", command())
        });
    }

    /// A client has given a value a deadline, or taken it away.
    pub(crate) fn expires(&self, cluster: &Cluster, node: usize, key: &[u8], deadline: Option<Deadline>) {
        self.note(node, || {
            let version = cluster.nodes[node].life().replica.store().version(key);
            let version = version.map_or("none".into(), in_words);
            match deadline {
                Some(deadline) => {
                    format!("EXPIRE {}: until {}, version {version}", key.escape_ascii(), deadline_in_words(deadline))
                }
                None => format!("PERSIST {}: version {version}", key.escape_ascii()),
            }
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
        let text = shorten(&request.to_string());
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
        let text = format!("{}  (late, on connection {})", shorten(&request.to_string()), connection.number);
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
