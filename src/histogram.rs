//! A histogram of durations: how many were about how long. Many threads may count in it at once.
//!
//! An average hides the slow ones, and a list of all grows. A histogram counts per class of duration, so it takes the
//! same few bytes for ever, and two of them can be added.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The longest duration of each class but the last, which has no bound: steps of 1, 2.5, 5 and 10, from what an answer
/// from memory takes to what a peer that is away makes a write wait.
pub const BOUNDS: [Duration; 24] = {
    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }
    [
        micros(1),
        Duration::from_nanos(2_500),
        micros(5),
        micros(10),
        micros(25),
        micros(50),
        micros(100),
        micros(250),
        micros(500),
        micros(1_000),
        micros(2_500),
        micros(5_000),
        micros(10_000),
        micros(25_000),
        micros(50_000),
        micros(100_000),
        micros(250_000),
        micros(500_000),
        micros(1_000_000),
        micros(2_500_000),
        micros(5_000_000),
        micros(10_000_000),
        micros(60_000_000),
        micros(600_000_000),
    ]
};

/// How many classes there are.
const CLASSES: usize = BOUNDS.len() + 1;

/// Counts durations.
#[derive(Debug)]
pub struct Histogram {
    /// How many durations of each class were seen. They only grow.
    classes: [AtomicU64; CLASSES],
    /// All durations together, in nanoseconds. Only grows: enough for 584 years.
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { classes: array::from_fn(|_| AtomicU64::new(0)), nanos: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let class = BOUNDS.partition_point(|&bound| bound < duration);
        self.classes[class].fetch_add(1, Relaxed);
        self.nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// What was counted so far.
    pub fn durations(&self) -> Durations {
        let classes = array::from_fn(|class| self.classes[class].load(Relaxed));
        Durations { classes, sum: Duration::from_nanos(self.nanos.load(Relaxed)) }
    }
}

/// What a [`Histogram`] had counted at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    classes: [u64; CLASSES],
    /// All durations together.
    pub sum: Duration,
}

impl Durations {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Each bound, with how many durations were at most so long.
    pub fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        BOUNDS.iter().zip(&self.classes).scan(0, |sum, (&bound, &count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_from_its_class_on() {
        let histogram = Histogram::default();
        let durations = [Duration::ZERO, BOUNDS[3], BOUNDS[3] + Duration::from_nanos(1), Duration::from_secs(3600)];
        durations.iter().for_each(|&duration| histogram.observe(duration));
        let seen = histogram.durations();
        let counts: Vec<u64> = seen.up_to().map(|(_, count)| count).collect();
        assert_eq!(counts[..6], [1, 1, 1, 2, 3, 3]);
        assert_eq!((counts.last(), seen.count()), (Some(&3), 4));
        assert_eq!(seen.sum, durations.iter().sum());
        assert!(BOUNDS.is_sorted());
    }
}
