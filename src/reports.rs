//! Which lines are logged of what others cause: strangers, clients, peers. They must not fill the disk with the log,
//! nor hide in it what matters. So only so many lines are logged in an interval, and the others are counted; the count
//! is logged when the interval is over. Those who cause them see nothing of it.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::limits::{MAX_REPORTS, REPORT_INTERVAL};

/// The lines that were logged in the present interval.
#[derive(Debug)]
pub struct Reports {
    /// How often the same line is logged in an interval. A refused peer, say, tries again every few seconds, until its
    /// operator corrects it. What is beyond that is not counted as left out: the line stands in the log.
    repeats: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the interval began: milliseconds on the caller's clock.
    began_ms: u64,
    /// The lines that were logged in it, and how often.
    logged: HashMap<String, usize>,
    /// How many were logged, repeated ones included.
    count: usize,
    /// How many were left out since they were last counted in the log.
    left_out: u64,
}

impl Reports {
    /// Reports of which each line is logged so often in an interval.
    pub fn new(repeats: usize) -> Self {
        Self { repeats, state: Mutex::default() }
    }

    /// Whether this line should be logged now. If so, it is remembered.
    pub fn is_news(&self, line: &str, now_ms: u64) -> bool {
        let mut state = self.state.lock();
        if is_over(state.began_ms, now_ms) {
            *state = State { began_ms: now_ms, left_out: state.left_out, ..State::default() };
        }
        let logged = state.logged.get(line).copied().unwrap_or_default();
        if logged >= self.repeats {
            return false;
        }
        if state.count >= MAX_REPORTS {
            state.left_out += 1;
            return false;
        }
        state.logged.insert(line.to_string(), logged + 1);
        state.count += 1;
        true
    }

    /// How many lines were left out, once the interval is over in which they were; told once.
    pub fn left_out(&self, now_ms: u64) -> Option<u64> {
        let mut state = self.state.lock();
        let is_told = state.left_out > 0 && is_over(state.began_ms, now_ms);
        is_told.then(|| std::mem::take(&mut state.left_out))
    }
}

/// Whether the interval is over that began then. A clock that was set back begins a new one.
fn is_over(began_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(began_ms).is_none_or(|passed| u128::from(passed) >= REPORT_INTERVAL.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_000_000;

    fn later() -> u64 {
        START + REPORT_INTERVAL.as_millis() as u64
    }

    #[test]
    fn the_same_line_is_news_once_in_a_while() {
        let reports = Reports::new(1);
        assert!(reports.is_news("node2: wrong secret", START));
        assert!(!reports.is_news("node2: wrong secret", START));
        assert!(reports.is_news("node2: another protocol", START));
        assert!(reports.is_news("node2: wrong secret", later()) && !reports.is_news("node2: wrong secret", later()));
        assert_eq!(reports.left_out(2 * later()), None);
        let twice = Reports::new(2);
        let news = (0..3).map(|_| twice.is_news("node2 has started again", START));
        assert_eq!(news.collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn ever_new_lines_are_logged_up_to_a_bound_and_the_others_counted_once() {
        let reports = Reports::new(1);
        let logged = |now| (0..1000).filter(|n| reports.is_news(&format!("name{n}"), now)).count();
        assert_eq!((logged(START), reports.left_out(START)), (MAX_REPORTS, None));
        let left_out = 1000 - MAX_REPORTS as u64;
        assert_eq!((reports.left_out(later()), reports.left_out(later())), (Some(left_out), None));
        assert_eq!(logged(later()), MAX_REPORTS);
        assert_eq!(logged(START), MAX_REPORTS, "a clock that was set back");
    }

    #[test]
    fn what_is_left_out_is_counted_also_if_the_next_interval_has_begun_meanwhile() {
        let reports = Reports::new(1);
        (0..=MAX_REPORTS).for_each(|n| _ = reports.is_news(&format!("name{n}"), START));
        assert!(reports.is_news("another", later()));
        assert_eq!(reports.left_out(later()), None, "it may become more in this one");
        assert_eq!(reports.left_out(2 * later()), Some(1));
    }

    #[test]
    fn a_line_counts_each_time_that_it_is_logged() {
        let reports = Reports::new(MAX_REPORTS - 1);
        let logged = |line| (0..MAX_REPORTS).filter(|_| reports.is_news(line, START)).count();
        assert_eq!((logged("one"), logged("other")), (MAX_REPORTS - 1, 1));
    }
}
