//! How many wrong secrets may come from one address.
//!
//! A wrong secret waits a second for its answer, but an attacker opens a thousand connections and waits on all of them.
//! So wrong secrets are counted for each address ([`Origin`]), whether a client says them (AUTH, HELLO), a peer proves
//! them (PROVE) or a browser sends them to the page. [`GUESSES_AT_ONCE`] of them may come at once; from then on one in
//! each [`GUESS_INTERVAL`]. Beyond that, a secret from there is refused unread, right or wrong: if the right one
//! passed, each try would be a guess.
//!
//! - An *admitted* client or peer says no secret any more, and sees nothing of this.
//! - A client or peer that says the right secret from *another* address is admitted at once.
//! - One from the *same* address (behind the same NAT, say) is refused as long as somebody goes on guessing there, and
//!   admitted within [`GUESS_INTERVAL`] after that: what is refused unread does not count.
//!
//! Each node counts for itself, and the page with the first node of its process that runs; behind a reverse proxy, all
//! who open the page share its address. The log names the address, at a limited rate.
//!
//! The last [`MAX_GUESSING_ADDRESSES`] addresses are remembered. When all of these guess at once, the one that may
//! guess again soonest is forgotten for the next: an attacker who has more addresses guesses faster, bounded by his
//! connections, and no other client is refused for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::origin::Origin;
use crate::commands::host::Attempt;
use crate::limits::{GUESS_INTERVAL, GUESSES_AT_ONCE, MAX_GUESSING_ADDRESSES};

/// Where wrong secrets came from lately, and when nothing of it will count any more: each wrong secret moves that by
/// [`GUESS_INTERVAL`]. Never further ahead than [`GUESSES_AT_ONCE`] of these.
#[derive(Default)]
pub(crate) struct Guesses(Mutex<HashMap<Origin, Instant>>);

impl Guesses {
    /// Compares a secret from `origin`, if one may still be compared from there. The lock is held meanwhile, so that
    /// many attempts at once are no more than one after the other.
    pub(crate) fn attempt(&self, origin: Origin, now: Instant, is_right: impl FnOnce() -> bool) -> Attempt {
        let mut counted = self.0.lock();
        let counts_until = counted.get(&origin).copied().unwrap_or(now).max(now) + GUESS_INTERVAL;
        if counts_until > now + allowance() {
            return Attempt::Refused;
        }
        if is_right() {
            return Attempt::Right;
        }
        if counted.len() >= MAX_GUESSING_ADDRESSES && !counted.contains_key(&origin) {
            make_room(&mut counted, now);
        }
        counted.insert(origin, counts_until);
        Attempt::Wrong
    }
}

/// How far ahead what counts may reach.
fn allowance() -> Duration {
    GUESS_INTERVAL * GUESSES_AT_ONCE
}

/// Forgets what no longer counts, or else the origin of which the least counts.
fn make_room(counted: &mut HashMap<Origin, Instant>, now: Instant) {
    counted.retain(|_, until| *until > now);
    if counted.len() >= MAX_GUESSING_ADDRESSES
        && let Some(origin) = counted.iter().min_by_key(|(_, until)| **until).map(|(&origin, _)| origin)
    {
        counted.remove(&origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn origin(number: usize) -> Origin {
        Origin::of(Ipv4Addr::from_bits(number as u32).into())
    }

    #[test]
    fn so_many_wrong_secrets_may_come_at_once_and_then_one_in_an_interval() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        for _ in 0..GUESSES_AT_ONCE {
            assert_eq!(guesses.attempt(origin(1), start, || false), Attempt::Wrong);
        }
        let unread = || panic!("it is not compared");
        assert_eq!(guesses.attempt(origin(1), start, unread), Attempt::Refused);
        assert_eq!(guesses.attempt(origin(2), start, || true), Attempt::Right, "another address");
        let later = start + GUESS_INTERVAL;
        assert_eq!(guesses.attempt(origin(1), later, || true), Attempt::Right, "what was refused does not count");
        assert_eq!(guesses.attempt(origin(1), later, || true), Attempt::Right, "nor does a right one");
        assert_eq!(guesses.attempt(origin(1), later, || false), Attempt::Wrong);
        assert_eq!(guesses.attempt(origin(1), later, unread), Attempt::Refused);
        let much_later = start + 10 * allowance();
        let compared = (0..100).filter(|_| guesses.attempt(origin(1), much_later, || false) == Attempt::Wrong).count();
        assert_eq!(compared, GUESSES_AT_ONCE as usize, "what was not used up is not saved up");
    }

    #[test]
    fn only_so_many_addresses_are_remembered_and_a_new_one_is_compared_in_any_case() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        for _ in 0..GUESSES_AT_ONCE {
            guesses.attempt(origin(0), start, || false);
        }
        for number in 1..2 * MAX_GUESSING_ADDRESSES {
            assert_eq!(guesses.attempt(origin(number), start, || false), Attempt::Wrong);
        }
        assert_eq!(guesses.0.lock().len(), MAX_GUESSING_ADDRESSES);
        assert_eq!(guesses.attempt(origin(0), start, || false), Attempt::Refused, "the worst is kept");
        assert_eq!(guesses.attempt(origin(usize::MAX / 2), start, || true), Attempt::Right);
    }

    #[test]
    fn an_address_that_is_remembered_already_makes_none_be_forgotten() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        (0..MAX_GUESSING_ADDRESSES).for_each(|number| _ = guesses.attempt(origin(number), start, || false));
        for _ in 1..GUESSES_AT_ONCE {
            assert_eq!(guesses.attempt(origin(0), start, || false), Attempt::Wrong);
        }
        assert_eq!(guesses.0.lock().len(), MAX_GUESSING_ADDRESSES);
        // Nothing of the others counts any more, and something of this one does.
        let later = start + 2 * GUESS_INTERVAL;
        assert_eq!(guesses.attempt(origin(MAX_GUESSING_ADDRESSES), later, || false), Attempt::Wrong);
        assert_eq!(guesses.0.lock().len(), 2, "what no longer counts is forgotten at once");
    }
}
