//! What can be watched of the nodes of this process: the messages between nodes, and which keys change.
//!
//! The log shows the messages at the level `trace`. A page, if one is open, gets them through a bounded channel. The
//! nodes never wait for it: what finds the channel full is lost, and counted. Off, each of the two costs one load.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, log_enabled, trace};

use crate::limits::WATCHED_AT_ONCE;
use crate::replication::PeerError;
use crate::replication::describe::without_day;
use crate::replication::message::{Reply, Request};

/// Where the nodes of a process tell what happens.
#[derive(Debug)]
pub struct Watch {
    /// Whether a page is open.
    is_on: AtomicBool,
    exchanges: Sender<Exchange>,
    keys: Sender<Box<[u8]>>,
    /// How many exchanges found the channel full. Only grows.
    lost: AtomicU64,
    /// The names of the nodes of this process. What one of them asks another is told once, by the one that asks.
    nodes: Vec<String>,
}

/// Where a page learns what happens.
#[derive(Clone, Debug)]
pub struct Feed {
    /// What nodes have asked each other.
    pub exchanges: Receiver<Exchange>,
    /// Keys that were written here or have arrived; one may come again and again.
    pub keys: Receiver<Box<[u8]>>,
}

/// Some requests of one node to another, sent together, and what came of them.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who asks: a node's name.
    pub from: String,
    /// Who is asked: its name, or its address while the name is not known.
    pub to: String,
    /// The name of the first request in the protocol, such as `PROPAGATE`.
    pub kind: &'static str,
    /// The first request in words.
    pub request: String,
    /// How many requests there are.
    pub requests: usize,
    /// The first reply in words; or why there is none.
    pub reply: Result<String, String>,
    /// When the requests were sent, since 1970, by the machine's clock.
    pub sent: Duration,
    /// How long it took until all replies were there.
    pub took: Duration,
}

impl Watch {
    /// A watch over the nodes with these names, and where a page gets what they tell.
    pub fn new(nodes: Vec<String>) -> (Arc<Self>, Feed) {
        Self::with_room(WATCHED_AT_ONCE, nodes)
    }

    fn with_room(room: usize, nodes: Vec<String>) -> (Arc<Self>, Feed) {
        let (exchanges, told) = bounded(room);
        let (keys, changed) = bounded(room);
        let (is_on, lost) = (AtomicBool::new(false), AtomicU64::new(0));
        (Arc::new(Self { is_on, exchanges, keys, lost, nodes }), Feed { exchanges: told, keys: changed })
    }

    /// A watch that no page ever reads. It has no room: to free a large block makes glibc's allocator keep more of all
    /// that is freed later.
    pub fn off() -> Arc<Self> {
        Self::with_room(0, Vec::new()).0
    }

    /// Says whether a page is open.
    pub fn switch(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
    }

    /// How many exchanges were lost because the page was slow. Only grows.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Whether a page is open.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Whether the log or a page shows messages.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_on() || log_enabled!(Level::Trace)
    }

    /// A key has changed on a node.
    pub(super) fn changed(&self, key: &[u8]) {
        if self.is_on() && !self.keys.is_full() {
            let _ = self.keys.try_send(key.into());
        }
    }

    /// Whether this is a node of this process, which tells itself what it asks.
    pub(super) fn is_here(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node == name)
    }
}

/// Tells what one node asks of another.
#[derive(Debug)]
pub(super) struct Teller {
    pub(super) watch: Arc<Watch>,
    /// Who asks: a node's name.
    pub(super) from: String,
    /// Who is asked: its name, or its address while the name is not known.
    pub(super) to: String,
}

impl Teller {
    /// Tells the log what is asked.
    pub(super) fn asked<'a>(&self, requests: impl IntoIterator<Item = &'a Request>) {
        if log_enabled!(Level::Trace) {
            let Self { from, to, .. } = self;
            requests.into_iter().for_each(|request| trace!("{from} ──▶ {to}  {}", in_words(request)));
        }
    }

    /// Tells the log what is answered.
    pub(super) fn answered(&self, reply: &Reply) {
        if log_enabled!(Level::Trace) {
            trace!("{} ◀── {}  {}", self.from, self.to, in_words(reply));
        }
    }

    /// Tells the page of requests that began to be sent at `began`, and what came of them.
    pub(super) fn exchanged(&self, requests: &[Request], replies: &Result<Vec<Reply>, PeerError>, began: Instant) {
        if !self.watch.is_on() {
            return;
        }
        let Some(first) = requests.first() else { return };
        requests.iter().flat_map(Request::records).for_each(|record| self.watch.changed(record.key()));
        replies.iter().flatten().flat_map(Reply::records).for_each(|record| self.watch.changed(record.key()));
        let took = began.elapsed();
        let told = self.watch.exchanges.try_send(Exchange {
            from: self.from.clone(),
            to: self.to.clone(),
            kind: first.name(),
            request: in_words(first),
            requests: requests.len(),
            reply: match replies {
                Ok(replies) => Ok(replies.first().map(in_words).unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            },
            sent: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(took),
            took,
        });
        if told.is_err() {
            self.watch.lost.fetch_add(1, Relaxed);
        }
    }
}

/// A message, with times of today as times of the day.
fn in_words(message: &impl Display) -> String {
    without_day(&message.to_string(), SystemTime::now().into())
}
