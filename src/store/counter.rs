//! Counts that add up, whichever nodes count.
//!
//! **The problem.** Two nodes hold a counter at 10. A client increments it on node 1, another on node 2. Each node
//! reads 10 and writes 11, and under last write wins one of the two writes survives: 11. An increment that was
//! acknowledged is gone, and no conflict was meant: both clients wanted 12.
//!
//! **The obvious answers.**
//! * *Send "+1" instead of "11".* Then a message that arrives twice counts twice, and one that is lost is lost for
//!   good. All of this store rests on messages that may be repeated.
//! * *A grow-only counter* (G-Counter in Shapiro et al., "A comprehensive study of Convergent and Commutative
//!   Replicated Data Types", 2011): each node has a *share*, which only that node changes. The value is the sum of all
//!   shares, and of two copies of a share the later one counts. That can be repeated and reordered at will. Two of
//!   them, one for what is added and one for what is taken away, are a *PN-Counter*. But then how is such a counter set
//!   to 0, or deleted? To set all shares to 0 changes shares that belong to others; and an older copy of a share undoes
//!   it.
//! * *Delete it and begin anew.* A share that was in flight during the delete comes back, with all that it had counted
//!   before: the trouble with counters inside of a larger document (Baquero, Almeida & Lerche, "The problem with
//!   embedded CRDT counters and a solution", 2016).
//!
//! **The rule: an observed reset.** A record is a *base*, which is an entry like every other (a value, a tombstone, or
//! nothing yet), and for each *writer* its [`Share`]: how far it has counted, and how far it had counted in what the
//! base's writer had *seen*. What was seen is in the base already. So
//!
//! ```text
//! value = base + Σ (counted − seen), over the shares that have counted since they were seen
//! ```
//!
//! * INCR changes this node's share, and nothing else.
//! * SET, DEL, EXPIRE and all others write a new base, which has seen all shares in sight. So they reset what they knew
//!   of. What they did not know of survives them exactly: a delete does not undo an increment that it had not seen.
//! * Of two records the greater base stays, with what *it* had seen; of each share the later copy. Two semilattices
//!   side by side: merging is commutative, associative and idempotent as before.
//! * A base that is no number hides the shares. An absent or deleted one counts as 0. The key has a value if the base
//!   has one, or if a share has counted since it was seen.
//!
//! **Who is a writer.** Not a node: a node that has lost its memory would begin at 0 again, and its new share would
//! look older than its old one. So a writer is *one life of a node that began to count this key at one moment*
//! ([`Writer`]). A node continues a share only of its present incarnation, and only while the record stands here: after
//! the key was deleted and forgotten, the new sum would be compared with what somebody had seen of the old one.
//!
//! **Values that expire.** Whatever was counted before the deadline ends with it. So an expired base has seen every
//! share that *began* before its deadline, also those that arrive later: that is why its tombstone keeps the deadline.
//! And an INCR that is stamped after the deadline begins a new share. A node that has not heard of the deadline goes on
//! with its share meanwhile, and what it counts ends, too: a share has one number, and nothing says how far it had come
//! at the deadline.
//!
//! **What it costs.** A record that nobody counts has no shares, and pays nothing. A share takes [`Share::BYTES`], and
//! stays as long as the key: forgotten earlier, an old copy of it would count again. It goes with the tombstone. At
//! most [`MAX_WRITERS`] lives of nodes count one key. A store with thousands of writers would have to let shares be
//! handed over and merged when a writer is gone for good (the solution of Baquero et al.); here a delete does it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::clock::Timestamp;
use super::content::Content;
use super::deadline::Deadline;
use super::record::Record;
use crate::limits::{MAX_MERGED_WRITERS, MAX_WRITERS};

/// One life of a node that began to count a key at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer {
    /// The number of the life: the node's incarnation.
    pub life: u64,
    /// When it began, by the node's clock. Later than the deadline of what had expired here before.
    pub began: Timestamp,
}

/// How far a writer has counted at some moment. All zero before it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// When it last counted, by its clock. Of two copies the later one is right.
    pub at: Timestamp,
    /// The sum of all that it has counted.
    pub sum: i64,
}

/// What one writer has counted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose it is. Only this writer changes `counted`.
    pub writer: Writer,
    /// How far it has counted.
    pub counted: Count,
    /// How far it had counted in what the writer of the base had seen. Never later than `counted`.
    pub seen: Count,
}

impl Share {
    /// The bytes of an encoded share: six numbers, big-endian.
    pub const BYTES: usize = 48;

    /// What it adds to the base; `None` if it has counted nothing since it was seen. `expired` is the deadline of a
    /// base that is past it.
    fn adds(&self, expired: Option<Deadline>) -> Option<i128> {
        let is_over = expired.is_some_and(|deadline| !deadline.is_past(self.writer.began));
        let is_news = self.counted.at > self.seen.at && !is_over;
        is_news.then(|| i128::from(self.counted.sum) - i128::from(self.seen.sum))
    }

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let Self { writer: Writer { life, began }, counted, seen } = self;
        let (counted_sum, seen_sum) = (counted.sum as u64, seen.sum as u64);
        let numbers = [*life, began.to_bits(), counted.at.to_bits(), counted_sum, seen.at.to_bits(), seen_sum];
        let mut bytes = [0; Self::BYTES];
        bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = number.to_be_bytes());
        bytes
    }

    /// The share in these bytes; `None` if it is impossible: nothing was counted, more was seen than there is, or a
    /// time is from beyond the time in which nodes run. As with versions, what a peer sends must be from before 2199:
    /// there is always room to stamp what a client counts upon it.
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let number = |index: usize| u64::from_be_bytes(bytes.as_chunks().0[index]);
        let count = |at: usize| Count { at: Timestamp::from_bits(number(at)), sum: number(at + 1) as i64 };
        let writer = Writer { life: number(0), began: Timestamp::from_bits(number(1)) };
        let share = Self { writer, counted: count(2), seen: count(4) };
        let is_possible = share.counted.at < Timestamp::YEAR_2200
            && share.writer.began <= share.counted.at
            && share.seen.at <= share.counted.at
            && (share.seen.at > Timestamp::ZERO || share.seen.sum == 0);
        is_possible.then_some(share)
    }
}

/// Why a key cannot be incremented. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotCount {
    /// Its value is no 64-bit number.
    NotANumber,
    /// The result would be none.
    Overflow,
    /// [`MAX_WRITERS`] lives of nodes have counted it.
    TooManyWriters,
}

/// What a counted record amounts to: its value at `now`, or `None` if it has none. A sum that is no 64-bit number is
/// the nearest one.
pub(super) fn value(record: &Record, now: Timestamp) -> Option<Cow<'_, [u8]>> {
    let base = live_base(record, now);
    let added = added(record, now);
    match (base, added) {
        (Some(text), Some(added)) => Some(parse(text).map_or(Cow::Borrowed(text), |base| written(base + added))),
        (Some(text), None) => Some(Cow::Borrowed(text)),
        (None, Some(added)) => Some(written(added)),
        (None, None) => None,
    }
}

/// Whether any share has counted since it was seen. `now` matters only if the base has a deadline.
pub(super) fn has_counted(record: &Record, now: Timestamp) -> bool {
    added(record, now).is_some()
}

/// The base's value, unless it is past its deadline at `now`.
fn live_base(record: &Record, now: Timestamp) -> Option<&[u8]> {
    Some(record.content()).filter(|content| content.is_live(|| now)).and_then(Content::value)
}

/// What all shares add to the base at `now`.
fn added(record: &Record, now: Timestamp) -> Option<i128> {
    let past = record.deadline().filter(|deadline| deadline.is_past(now));
    let expired = record.expired_at().or(past);
    record.shares().filter_map(|share| share.adds(expired)).reduce(|sum, added| sum + added)
}

/// Whether a record's sum is no 64-bit number, so that readers get the nearest one. No writer's share can be: only the
/// sum of several.
pub(super) fn is_saturated(record: &Record) -> bool {
    let base = parse(record.content().value().unwrap_or_default()).unwrap_or_default();
    i64::try_from(base + added(record, Timestamp::ZERO).unwrap_or_default()).is_err()
}

fn written(sum: i128) -> Cow<'static, [u8]> {
    let nearest = sum.clamp(i64::MIN.into(), i64::MAX.into());
    Cow::Owned(nearest.to_string().into_bytes())
}

/// The number that a value is, in the one form in which numbers are written: without spaces, a plus, or leading zeros.
fn parse(text: &[u8]) -> Option<i128> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then(|| number.into())
}

/// The sum of a value, 0 if there is none, and `by`.
pub(crate) fn add(value: Option<&[u8]>, by: i64) -> Result<i64, CannotCount> {
    let number = value.map_or(Some(0), parse).ok_or(CannotCount::NotANumber)?;
    i64::try_from(number + i128::from(by)).map_err(|_| CannotCount::Overflow)
}

/// The shares of a record to which one writer's life has added `by`, and the value that the key has then. `now` is the
/// wall clock; `stamp` gives the present timestamp, which is later than the one that it is given.
pub(super) fn increment(
    record: &Record,
    by: i64,
    (life, now): (u64, Timestamp),
    stamp: impl FnOnce(Timestamp) -> Timestamp,
) -> Result<(Vec<Share>, i64), CannotCount> {
    let base = match live_base(record, now) {
        Some(text) => parse(text).ok_or(CannotCount::NotANumber)?,
        None => 0,
    };
    let sum = base + added(record, now).unwrap_or_default() + i128::from(by);
    let sum = i64::try_from(sum).map_err(|_| CannotCount::Overflow)?;

    let mut shares: Vec<Share> = record.shares().collect();
    let own = |shares: &[Share]| shares.iter().rposition(|share| share.writer.life == life);
    let last = own(&shares).map_or(Timestamp::ZERO, |index| shares[index].counted.at);
    let at = stamp(last.max(end_of(record)));
    // What is stamped after the deadline belongs to what comes after it.
    let deadline = record.deadline().or(record.expired_at()).filter(|deadline| deadline.is_past(at));
    let is_over = |share: &Share| deadline.is_some_and(|deadline| !deadline.is_past(share.writer.began));
    let continued = own(&shares).filter(|&index| !is_over(&shares[index])).and_then(|index| {
        let sum = shares[index].counted.sum.checked_add(by)?;
        Some((index, Count { at, sum }))
    });
    match continued {
        Some((index, counted)) => shares[index].counted = counted,
        None if shares.len() >= MAX_WRITERS => return Err(CannotCount::TooManyWriters),
        None => {
            let share =
                Share { writer: Writer { life, began: at }, counted: Count { at, sum: by }, seen: Count::default() };
            let place = shares.partition_point(|other| other.writer < share.writer);
            shares.insert(place, share);
        }
    }
    Ok((shares, sum))
}

/// The last moment that belongs to a base that has expired: what counts afterwards is stamped later.
fn end_of(record: &Record) -> Timestamp {
    const COUNTERS: u64 = 0xffff;
    let end = |deadline: Deadline| Timestamp::from_bits((deadline.millis() << 16) | COUNTERS);
    record.expired_at().map_or(Timestamp::ZERO, end)
}

/// The shares of a base that has seen all of these.
pub(super) fn seen(shares: impl Iterator<Item = Share>) -> Vec<Share> {
    shares.map(|share| Share { seen: share.counted, ..share }).collect()
}

/// Whether one record of a base says of all shares of another what that says, or later, and of one at least something
/// later.
pub(super) fn supersedes(newer: &Record, older: &Record) -> bool {
    let mut theirs = older.shares().peekable();
    let mut is_news = false;
    for share in newer.shares() {
        match theirs.next_if(|older| older.writer == share.writer) {
            Some(older) if share.counted < older.counted || share.seen != older.seen => return false,
            Some(older) => is_news |= share.counted > older.counted,
            None => is_news = true,
        }
    }
    is_news && theirs.next().is_none()
}

/// The shares of two records of a key: of each the later copy, with what the writer of the surviving base had seen. Of
/// more than [`MAX_MERGED_WRITERS`], which only a peer that makes them up can bring together, all nodes keep the same.
pub(super) fn together(survivor: &Record, other: &Record, have_same_base: bool) -> Vec<Share> {
    let mut shares: BTreeMap<Writer, Share> = survivor.shares().map(|share| (share.writer, share)).collect();
    for share in other.shares() {
        // What the base that is lost had seen says nothing about the one that stays.
        let seen = if have_same_base { share.seen } else { Count::default() };
        let ours = shares.entry(share.writer).or_insert(Share { seen, ..share });
        ours.counted = ours.counted.max(share.counted);
        ours.seen = ours.seen.max(seen);
    }
    let excess = shares.len().saturating_sub(MAX_MERGED_WRITERS);
    shares.into_values().skip(excess).collect()
}

#[cfg(test)]
mod tests {
    use super::super::content::Entry;
    use super::super::merge::merge;
    use super::super::version::{NodeId, Version};
    use super::*;
    use crate::rules::Rules;

    fn share(life: u64, at: Timestamp) -> Share {
        Share { writer: Writer { life, began: at }, counted: Count { at, sum: 1 }, seen: Count::default() }
    }

    /// Counts once more in the share of life 1, with a clock that shows nothing.
    fn counted(record: &Record) -> Record {
        let (shares, _) = increment(record, 1, (1, Timestamp::ZERO), Timestamp::next).expect("it is a small number");
        record.with_shares(&shares)
    }

    #[test]
    fn there_is_room_to_count_upon_the_latest_that_a_peer_can_send() {
        let last = Timestamp::from_bits(Timestamp::YEAR_2199.to_bits() - 1);
        let deadline = Deadline::from_millis(last.millis()).expect("is early enough");
        let version = Version::new(Timestamp::from_millis(1), NodeId(2));
        let value = Record::new(b"k", Entry { version, content: Content::Expiring(b"1", deadline) });
        for record in [Record::never_written(b"k").with_shares(&[share(1, last)]), value.expired()] {
            assert_eq!(Record::decode(record.encode()).as_ref(), Some(&record));
            let twice = counted(&counted(&record));
            assert!(twice.latest() > last);
            assert_eq!(Record::decode(twice.encode()), Some(twice));
        }
    }

    #[test]
    fn more_shares_than_a_record_may_have_are_cut_off_in_the_same_way_wherever_they_meet() {
        let with = |lives: std::ops::Range<u64>| {
            let shares: Vec<Share> = lives.map(|life| share(life, Timestamp::from_millis(1))).collect();
            Record::never_written(b"k").with_shares(&shares)
        };
        let most = MAX_MERGED_WRITERS as u64;
        let (low, high) = (with(0..most), with(most / 2..most / 2 + most));
        let merged = [(&low, &high), (&high, &low)].map(|(current, incoming)| {
            let mut survivor = current.clone();
            merge(&mut survivor, incoming.clone(), Rules::default());
            survivor
        });
        assert_eq!(merged[0], merged[1]);
        assert_eq!(merged[0].shares().count(), MAX_MERGED_WRITERS);
        assert_eq!(Record::decode(merged[0].encode()).as_ref(), Some(&merged[0]));
    }
}
