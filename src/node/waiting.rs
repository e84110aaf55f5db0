//! Clients that wait: for what peers hold, for what is on disks, for an entry that is on its way here.
//!
//! The session's thread sleeps until it is woken by the thread that brings what it waits for; see
//! [`waits`](crate::replication::waits). It reads nothing meanwhile, so it would not notice that its client is gone.
//! One thread notices that for all: the kernel tells it when a connection ends.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::{Condvar, Mutex};

use super::clients::Incoming;
use crate::limits::{HANG_UPS_AT_ONCE, WAIT_AFTER_HANG_UP};
use crate::replication::waits::Wake;

/// A session that waits.
#[derive(Default)]
struct Waiter {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether something has come since the session last looked.
    is_woken: bool,
    /// When the client has said that it sends nothing more. It may still read.
    hung_up: Option<Instant>,
    /// Whether the connection has ended.
    is_gone: bool,
}

impl Waiter {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_one();
    }

    /// Sleeps until something has come, and returns true; or until the time is over, or the client gone.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        loop {
            let bound = state.hung_up.map(|since| since + WAIT_AFTER_HANG_UP);
            let deadline = deadline.into_iter().chain(bound).min();
            if state.is_gone {
                return false;
            }
            // First: what has come in time counts, however late this thread runs.
            if std::mem::take(&mut state.is_woken) {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return false;
            }
            match deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) => _ = self.changed.wait_until(&mut state, deadline),
            }
        }
    }
}

/// The sessions that wait, and the thread that notices when their clients hang up.
pub(super) struct Waiters {
    epoll: Epoll,
    /// By the number of the connection.
    waiting: Mutex<HashMap<u64, Arc<Waiter>>>,
    /// Shut down to end the thread: it waits on the other end.
    end: (UnixStream, UnixStream),
}

/// No connection has this number: it stands for the end of the thread.
const END: u64 = 0;

impl Waiters {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let end = UnixStream::pair()?;
        epoll.add(&end.1, EpollEvent::new(EpollFlags::EPOLLRDHUP, END))?;
        Ok(Self { epoll, waiting: Mutex::default(), end })
    }

    /// How many sessions wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Notices who hangs up, until [`Waiters::end`].
    pub(super) fn run(&self) {
        let mut events = [EpollEvent::empty(); HANG_UPS_AT_ONCE];
        loop {
            let Ok(count) = self.epoll.wait(&mut events, EpollTimeout::NONE) else { continue };
            for event in &events[..count] {
                match event.data() {
                    END => return,
                    id => self.hung_up(id, event.events()),
                }
            }
        }
    }

    fn hung_up(&self, id: u64, flags: EpollFlags) {
        if let Some(waiter) = self.waiting.lock().get(&id) {
            let is_gone = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
            waiter.change(|state| {
                state.is_gone |= is_gone;
                state.hung_up.get_or_insert_with(Instant::now);
            });
        }
    }

    /// All sessions have ended: so does the thread.
    pub(super) fn end(&self) {
        let _ = self.end.0.shutdown(std::net::Shutdown::Both);
    }

    /// Calls `look` at once and whenever what it has waited for may have come, until it says that all is there, the
    /// time is over (`None`: never), or the client is gone. `look` registers with whatever is not there yet; that ends
    /// when what it returns is dropped.
    pub(super) fn wait<R>(
        &self,
        incoming: &Incoming,
        patience: Option<Duration>,
        mut look: impl FnMut(&Wake) -> (bool, R),
    ) {
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let waiter = Arc::<Waiter>::default();
        let woken = Arc::clone(&waiter);
        let wake: Wake = Arc::new(move || woken.change(|state| state.is_woken = true));
        let (mut is_done, mut registered) = look(&wake);
        let _watched = (!is_done).then(|| self.watch(incoming, &waiter));
        while !is_done && waiter.sleep(deadline) {
            // What it was woken for may not have been all.
            drop(registered);
            (is_done, registered) = look(&wake);
        }
    }

    /// From now on the waiter is told when the client hangs up.
    fn watch<'a>(&'a self, incoming: &'a Incoming, waiter: &Arc<Waiter>) -> Watched<'a> {
        self.waiting.lock().insert(incoming.id, Arc::clone(waiter));
        // Each of these is told once; an error or a complete end even if it is not asked for.
        let flags = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        if self.epoll.add(incoming.stream.as_fd(), EpollEvent::new(flags, incoming.id)).is_err() {
            // The kernel watches too many already. Better to wait not at all than for ever.
            waiter.change(|state| state.is_gone = true);
        }
        Watched { waiters: self, incoming }
    }
}

/// A connection that is watched as long as this lives.
struct Watched<'a> {
    waiters: &'a Waiters,
    incoming: &'a Incoming,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let _ = self.waiters.epoll.delete(self.incoming.stream.as_fd());
        self.waiters.waiting.lock().remove(&self.incoming.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_in_time_counts_although_the_thread_runs_late() {
        let (waiter, over) = (Waiter::default(), Some(Instant::now()));
        waiter.change(|state| state.is_woken = true);
        assert!(waiter.sleep(over), "it looks once more");
        assert!(!waiter.sleep(over), "and only once");
        waiter.change(|state| (state.is_woken, state.is_gone) = (true, true));
        assert!(!waiter.sleep(None), "nobody reads the answer");
    }
}
