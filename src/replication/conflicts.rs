//! What last write wins has thrown away: a bounded list, in memory, that CONFLICTS shows.
//!
//! How a conflict is noticed stands in [`causality`](crate::store::causality). Several nodes may notice the same one:
//! each node at which the two writes meet before it has learned that they have met elsewhere. Its identity is the key
//! and the version that was lost, and a node lists it once. So a client that wants to know everything asks every node,
//! and takes away what it has twice.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use log::warn;
use parking_lot::Mutex;

use crate::limits::{CONFLICT_REPORT_INTERVAL, MAX_CONFLICT_BYTES, MAX_CONFLICTS};
use crate::store::causality::{Conflict, Excerpt, Write};
use crate::store::clock::Timestamp;
use crate::store::version::Version;

/// A conflict, and when this node has noticed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// This node's wall clock.
    pub at: Timestamp,
    /// What was noticed.
    pub conflict: Conflict,
}

/// How many conflicts there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConflictCounts {
    /// Noticed since the start. Only grows.
    pub noticed: u64,
    /// In the list now.
    pub kept: usize,
    /// Pushed out of it by newer ones. Only grows.
    pub forgotten: u64,
}

/// The conflicts that one node keeps.
#[derive(Default)]
pub struct Conflicts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The oldest first: at most [`MAX_CONFLICTS`].
    list: VecDeque<Arc<Noticed>>,
    /// The identities of these.
    identities: HashSet<(Version, Box<[u8]>)>,
    /// What they take: at most [`MAX_CONFLICT_BYTES`], or less.
    bytes: usize,
    /// How much smaller than [`MAX_CONFLICT_BYTES`] the list must be.
    bytes_less: usize,
    noticed: u64,
    forgotten: u64,
    /// How many of the noticed ones the log has told of, and when it did last.
    reported: u64,
    reported_at: Option<Timestamp>,
}

/// About what a conflict takes beside its key and values.
const OVERHEAD_BYTES: usize = 200;

/// What a conflict takes. Its key stands in its identity, too.
fn bytes_of(conflict: &Conflict) -> usize {
    conflict.bytes() + conflict.key.len() + OVERHEAD_BYTES
}

fn identity(conflict: &Conflict) -> (Version, Box<[u8]>) {
    (conflict.lost.version, conflict.key.clone())
}

impl Conflicts {
    /// From now on the list may take only this many bytes.
    pub fn limit(&self, bytes: usize) {
        self.0.lock().bytes_less = MAX_CONFLICT_BYTES.saturating_sub(bytes);
    }

    /// Notes a conflict, unless it is in the list already. `node` is the name of this node, for the log.
    pub(super) fn notice(&self, conflict: Conflict, now: Timestamp, node: &str) {
        let mut kept = self.0.lock();
        if !kept.identities.insert(identity(&conflict)) {
            return;
        }
        kept.noticed += 1;
        kept.bytes += bytes_of(&conflict);
        kept.list.push_back(Arc::new(Noticed { at: now, conflict }));
        let most_bytes = MAX_CONFLICT_BYTES - kept.bytes_less;
        while kept.list.len() > MAX_CONFLICTS || kept.bytes > most_bytes {
            let Some(oldest) = kept.list.pop_front() else { break };
            kept.bytes -= bytes_of(&oldest.conflict);
            kept.identities.remove(&identity(&oldest.conflict));
            kept.forgotten += 1;
        }
        drop(kept);
        self.report(now, node);
    }

    /// Tells the log of what was noticed since it was last told, unless that was only a moment ago.
    pub fn report(&self, now: Timestamp, node: &str) {
        let news = self.0.lock().news(now);
        if let Some(news) = news {
            warn!("{node}: two writes at once: {news}; type CONFLICTS");
        }
    }

    /// The newest conflicts, the newest first; at most so many.
    pub fn newest(&self, count: usize) -> Vec<Arc<Noticed>> {
        self.0.lock().list.iter().rev().take(count).cloned().collect()
    }

    /// The conflicts of one key, the newest first.
    pub fn of(&self, key: &[u8]) -> Vec<Arc<Noticed>> {
        self.0.lock().list.iter().rev().filter(|noticed| *noticed.conflict.key == *key).cloned().collect()
    }

    /// Empties the list. What it has counted stays.
    pub fn reset(&self) {
        let mut kept = self.0.lock();
        (kept.list, kept.identities, kept.bytes) = Default::default();
    }

    /// How many there were.
    pub fn counts(&self) -> ConflictCounts {
        let kept = self.0.lock();
        ConflictCounts { noticed: kept.noticed, kept: kept.list.len(), forgotten: kept.forgotten }
    }

    /// About how many bytes the list takes.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Kept {
    /// What the log is to be told now, if anything.
    fn news(&mut self, now: Timestamp) -> Option<String> {
        let interval = CONFLICT_REPORT_INTERVAL.as_millis() as u64;
        // A clock that was put back counts as a long time.
        let is_soon = self.reported_at.is_some_and(|last| last <= now && now.millis() < last.millis() + interval);
        let news = self.noticed - self.reported;
        let last = self.list.back().filter(|_| news > 0 && !is_soon)?;
        let others = if news > 1 { format!(" ({} more before it)", news - 1) } else { String::new() };
        let told = format!("{}{others}", Sentence::short(&last.conflict));
        (self.reported, self.reported_at) = (self.noticed, Some(now));
        Some(told)
    }
}

/// A conflict in one line of words.
pub struct Sentence<'a> {
    conflict: &'a Conflict,
    /// When it was noticed. Times of the same day are shown without their date.
    at: Timestamp,
    /// How many bytes are shown of each value.
    most: usize,
}

impl<'a> Sentence<'a> {
    /// All that is known.
    pub fn whole(noticed: &'a Noticed) -> Self {
        Self { conflict: &noticed.conflict, at: noticed.at, most: usize::MAX }
    }

    /// With the beginnings of the values only.
    fn short(conflict: &'a Conflict) -> Self {
        Self { conflict, at: conflict.kept.version.timestamp, most: 32 }
    }

    /// What was written, when, and how long it was if that does not show.
    fn describe(&self, write: &Write) -> String {
        let time = write.version.timestamp.rfc3339();
        let time = match time.split_once('T') {
            Some((day, time)) if self.at.rfc3339().starts_with(day) => time.trim_end_matches('Z'),
            _ => &time,
        };
        let Some(Excerpt { bytes, length }) = &write.value else { return format!("delete ({time})") };
        let shown = &bytes[..bytes.len().min(self.most)];
        let dots = if shown.len() < *length { "…" } else { "" };
        format!("value \"{}{dots}\" ({time}, {length} bytes)", shown.escape_ascii())
    }
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { key, kept, lost } = self.conflict;
        let key = if self.most < usize::MAX { crate::framing::printable(key) } else { key.escape_ascii().to_string() };
        let (kept_node, lost_node) = (kept.version.node, lost.version.node);
        let (kept, lost) = (self.describe(kept), self.describe(lost));
        write!(f, "{key}: node {kept_node}'s {kept} survives, node {lost_node}'s {lost} was lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::version::NodeId;

    fn conflict(key: &str, lost_at: u64, length: usize) -> Conflict {
        let write = |time, node, length: usize| Write {
            deadline: None,
            version: Version::new(Timestamp::from_millis(time), NodeId(node)),
            value: Some(Excerpt { bytes: vec![b'v'; length].into(), length }),
        };
        Conflict { key: key.as_bytes().into(), kept: write(lost_at + 1, 2, 0), lost: write(lost_at, 1, length) }
    }

    fn notice(conflicts: &Conflicts, conflict: Conflict) {
        conflicts.notice(conflict, Timestamp::from_millis(5), "node1");
    }

    fn counts(noticed: u64, kept: usize, forgotten: u64) -> ConflictCounts {
        ConflictCounts { noticed, kept, forgotten }
    }

    #[test]
    fn a_conflict_is_listed_once_and_the_newest_comes_first() {
        let conflicts = Conflicts::default();
        let [a, later, b] = [conflict("a", 1, 1), conflict("a", 2, 1), conflict("b", 1, 1)];
        for each in [&a, &later, &a, &b] {
            notice(&conflicts, each.clone());
        }
        assert_eq!(conflicts.counts(), counts(3, 3, 0));
        let newest: Vec<Conflict> = conflicts.newest(2).iter().map(|noticed| noticed.conflict.clone()).collect();
        assert_eq!(newest, [b, later.clone()]);
        let of_a: Vec<Conflict> = conflicts.of(b"a").iter().map(|noticed| noticed.conflict.clone()).collect();
        assert_eq!(of_a, [later, a.clone()]);
        conflicts.reset();
        assert_eq!((conflicts.counts(), conflicts.bytes()), (counts(3, 0, 0), 0));
        notice(&conflicts, a);
        assert_eq!(conflicts.counts(), counts(4, 1, 0));
    }

    #[test]
    fn the_list_is_bounded_in_number_and_in_bytes_and_counts_what_it_pushes_out() {
        let conflicts = Conflicts::default();
        (0..MAX_CONFLICTS as u64 + 3).for_each(|time| notice(&conflicts, conflict("k", time, 1)));
        assert_eq!(conflicts.counts(), counts(MAX_CONFLICTS as u64 + 3, MAX_CONFLICTS, 3));
        assert_eq!(conflicts.of(b"k").last().unwrap().conflict.lost.version.timestamp.millis(), 3);
        let small = Conflicts::default();
        small.limit(3_000);
        (0..9).for_each(|time| notice(&small, conflict("k", time, 800)));
        assert_eq!(small.counts(), counts(9, 2, 7));
        assert!(small.bytes() <= 3_000);
    }

    #[test]
    fn a_sentence_shows_the_day_only_where_it_is_another() {
        let day = 86_400_000;
        let mut conflict = conflict("cart", 2 * day + 1, 3);
        conflict.kept.value = None;
        let sentence =
            |at| Sentence::whole(&Noticed { at: Timestamp::from_millis(at), conflict: conflict.clone() }).to_string();
        assert_eq!(
            sentence(2 * day + 9),
            "cart: node 2's delete (00:00:00.002) survives, node 1's value \"vvv\" (00:00:00.001, 3 bytes) was lost"
        );
        assert!(sentence(3 * day).contains("\"vvv\" (1970-01-03T00:00:00.001Z, 3 bytes)"), "{}", sentence(3 * day));
    }
}
