//! Which refusals of peers are logged. A refused peer tries again every few seconds, until its operator corrects it.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;

use crate::limits::{MAX_REPORTED_REFUSALS, REFUSAL_REPORT_INTERVAL};

/// The refusals that were logged lately: the peer and the reason, and when that was logged.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Instant>>);

impl Refusals {
    /// Whether a refusal should be logged now; if so, it is remembered. If a stranger makes up ever new names, only the
    /// first [`MAX_REPORTED_REFUSALS`] are logged.
    pub(super) fn is_news(&self, refusal: &str, now: Instant) -> bool {
        let mut told = self.0.lock();
        told.retain(|_, at| now.duration_since(*at) < REFUSAL_REPORT_INTERVAL);
        let is_news = told.len() < MAX_REPORTED_REFUSALS && !told.contains_key(refusal);
        if is_news {
            told.insert(refusal.to_string(), now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_news_once_in_a_while() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let later = start + REFUSAL_REPORT_INTERVAL;
        assert!(refusals.is_news("node2: wrong secret", start));
        assert!(!refusals.is_news("node2: wrong secret", start));
        assert!(refusals.is_news("node2: another protocol", start));
        assert!(refusals.is_news("node2: wrong secret", later) && !refusals.is_news("node2: wrong secret", later));
    }

    #[test]
    fn ever_new_refusals_are_told_up_to_a_bound() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let told = |now| (0..1000).filter(|n| refusals.is_news(&format!("name{n}"), now)).count();
        assert_eq!((told(start), told(start)), (MAX_REPORTED_REFUSALS, 0));
        assert_eq!(told(start + REFUSAL_REPORT_INTERVAL), MAX_REPORTED_REFUSALS);
    }
}
