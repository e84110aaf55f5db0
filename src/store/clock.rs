//! The hybrid logical clock: time that a person can read and that never contradicts cause and effect.
//!
//! "The newest write wins" needs a number that says which write is newer. The obvious one, the wall clock, fails twice:
//!
//! * Two machines disagree. If node 2's clock is an hour behind, a client that reads a value on node 2 and overwrites
//!   it there loses: its write carries an older time than the one it replaces, and is thrown away everywhere.
//! * One machine disagrees with itself. A clock that is set back, or read twice within its resolution, gives the later
//!   of two writes the smaller time, or the same.
//!
//! A logical clock (Lamport, 1978) repairs both: count one up for each event, and jump past every number that arrives.
//! But it has lost the time of day: nodes that never talk order their writes by how busy they are.
//!
//! The hybrid (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014) keeps both properties. A [`Timestamp`] is
//! milliseconds since the epoch in its upper 48 bits and a counter in its lower 16, in one `u64`. [`HybridClock::now`]
//! follows the wall clock while that moves forward, and counts when it does not; [`HybridClock::observe`] jumps past
//! what arrives. So a hybrid clock is as close to the real time as the machines' clocks are to each other. And when a
//! node has seen a write, every write that it makes afterwards has the greater timestamp.
//!
//! One more rule is needed: a single node whose clock is a year ahead would pull every other clock along, for ever. So
//! a clock never moves more than [`MAX_CLOCK_DRIFT_MS`] beyond its own wall clock. [`HybridClock::observe`] says what
//! that costs.
//!
//! Left out: a bound on the error of the clock. Spanner offers more than last-write-wins, and waits that error out;
//! CockroachDB refuses to serve when clocks are too far apart.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::limits::{MAX_CLOCK_DRIFT_MS, MAX_WALL_CLOCK_MS};

/// A point in hybrid logical time: 48 bits of milliseconds since the Unix epoch, then a 16-bit counter.
///
/// A counter that overflows carries into the milliseconds: the clock then runs ahead of the wall by one, which the next
/// reading of the wall repairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch, smaller than every timestamp of a write.
    pub const ZERO: Self = Self(0);

    /// The latest time that a wall clock can show: the first instant of the year 2190. A wall clock that shows a later
    /// time is wrong, and counts as showing this one.
    pub const LATEST_WALL: Self = Self::from_millis(MAX_WALL_CLOCK_MS);

    /// The first instant of the year 2199. A version from there on is not accepted from a peer: no clock can have made
    /// it, and an accepted version must leave room for the versions of the writes that replace it.
    pub const YEAR_2199: Self = Self::from_millis(7_226_582_400_000);

    /// The first instant of the year 2200. No version reaches it, so adding to one can never overflow. A message with a
    /// timestamp from there on is malformed.
    pub const YEAR_2200: Self = Self::from_millis(7_258_118_400_000);

    /// The earliest timestamp of a millisecond, given in milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis << 16)
    }

    /// The milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// How many timestamps were taken before this one within its millisecond.
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }

    /// The smallest timestamp greater than this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The 64 bits, in which numeric order is the order of time.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`Timestamp::to_bits`].
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl From<SystemTime> for Timestamp {
    /// The wall clock's time; the epoch for a clock that is set before it, and the last millisecond that fits for one
    /// far beyond.
    fn from(time: SystemTime) -> Self {
        const MOST: u128 = (u64::MAX >> 16) as u128;
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(since_epoch.as_millis().min(MOST) as u64)
    }
}

impl Timestamp {
    /// The milliseconds, as RFC 3339 writes them: `2026-11-22T12:00:00.123Z`.
    pub fn rfc3339(self) -> String {
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.millis())).to_string()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds, then the counter: `2026-11-22T12:00:00.123Z+7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.rfc3339(), self.counter())
    }
}

/// A timestamp came from further ahead of our wall clock than [`MAX_CLOCK_DRIFT_MS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFarAhead {
    /// How far ahead of our wall clock it lies, in milliseconds.
    pub by_ms: u64,
}

/// A node's hybrid logical clock.
///
/// Invariant: no two calls of [`HybridClock::now`] return the same timestamp, and each returns a greater one than every
/// call that ended before it began.
#[derive(Debug, Default)]
pub struct HybridClock {
    /// The greatest timestamp that was given out or observed. Only grows.
    last: AtomicU64,
}

impl HybridClock {
    /// A timestamp for a new event: the wall clock's, or one more than the last if the wall has not moved past it.
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        let advance = |last: u64| wall.0.max(last + 1);
        let previous = self.last.fetch_update(Relaxed, Relaxed, |last| Some(advance(last)));
        Timestamp(advance(previous.unwrap_or_else(|unchanged| unchanged)))
    }

    /// Moves the clock past a timestamp that has arrived, so that what happens next here is ordered after it.
    ///
    /// A timestamp from more than [`MAX_CLOCK_DRIFT_MS`] ahead of `wall` leaves the clock as it is and is reported. A
    /// write to the same key still wins over it, because it is stamped with at least the version that it replaces plus
    /// one. But a write to another key may get a smaller timestamp although it came later.
    pub fn observe(&self, remote: Timestamp, wall: Timestamp) -> Result<(), TooFarAhead> {
        let ahead_ms = remote.millis().saturating_sub(wall.millis());
        if ahead_ms > MAX_CLOCK_DRIFT_MS {
            return Err(TooFarAhead { by_ms: ahead_ms });
        }
        self.last.fetch_max(remote.0, Relaxed);
        Ok(())
    }

    /// The greatest timestamp that was given out or observed. Every later [`HybridClock::now`] is greater.
    pub fn last(&self) -> Timestamp {
        Timestamp(self.last.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn now_is_always_greater_than_all_before_it_whatever_the_wall_says(
            walls in prop::collection::vec((any::<bool>(), 0u64..200_000), 1..200)
        ) {
            let clock = HybridClock::default();
            let mut greatest = Timestamp::ZERO;
            for (observe, millis) in walls {
                if observe {
                    let remote = Timestamp::from_millis(millis);
                    let _ = clock.observe(remote, remote);
                    greatest = greatest.max(remote);
                } else {
                    let now = clock.now(Timestamp::from_millis(millis));
                    prop_assert!(now > greatest);
                    prop_assert!(now.millis() >= millis);
                    greatest = now;
                }
            }
        }
    }

    #[test]
    fn the_far_future_does_not_drag_the_clock_but_the_near_future_does() {
        let clock = HybridClock::default();
        let wall = Timestamp::from_millis(1_000_000);
        let limit = Timestamp::from_millis(wall.millis() + MAX_CLOCK_DRIFT_MS);
        let beyond = Timestamp::from_millis(limit.millis() + 1);
        assert_eq!(clock.observe(beyond, wall), Err(TooFarAhead { by_ms: MAX_CLOCK_DRIFT_MS + 1 }));
        assert_eq!(clock.last(), Timestamp::ZERO);
        assert_eq!(clock.observe(limit, wall), Ok(()));
        assert_eq!(clock.now(wall), limit.next());
    }

    #[test]
    fn a_timestamp_prints_as_a_date_and_a_counter() {
        let timestamp = Timestamp::from_millis(1_700_000_000_123).next().next();
        assert_eq!(timestamp.to_string(), "2023-11-14T22:13:20.123Z+2");
        assert_eq!(Timestamp::YEAR_2200.to_string(), "2200-01-01T00:00:00.000Z+0");
    }
}
