//! The answers of a session that the other side has not read yet.
//!
//! A client that reads takes its answers at once, or within a moment; the write waits that long. A client that sends a
//! large pipeline whole before it reads the first answer takes none: if the session did not read either, both sides
//! would wait for ever. So answers that the client does not take wait here, and the session reads on meanwhile. How
//! many bytes may wait is decided in [`output`](super::output). Beyond that the session only waits, as long as the
//! client takes something.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{MSG_DONTWAIT, POLLRDHUP};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::limits::{
    ANSWER_FLUSH_BYTES, HURRIED_BYTES_A_SECOND, HURRIED_PATIENCE, KEPT_BUFFER_BYTES, MIN_BYTES_READ_A_SECOND,
};

/// How often a client that seems to take nothing is offered its answers before it is cut off. A socket counts as
/// writable only when a third of its buffer is free. A slow client may have taken less than that; only a write shows
/// it.
const OFFERS_IN_A_TIMEOUT: u32 = 50;

/// Answers that the client has not taken yet.
pub(super) struct Unread {
    /// For how long a client may take nothing before it is cut off.
    timeout: Duration,
    bytes: Vec<u8>,
    /// How many of `bytes`, from the first on, the client has taken. Less than half of them.
    taken: usize,
    /// How many bytes there were when they were last offered.
    offered: usize,
    /// `None` while the client takes all that it is offered.
    backlog: Option<Backlog>,
}

/// Answers that the client has not taken within a moment.
struct Backlog {
    since: Instant,
    /// How many bytes it has taken since then.
    taken: usize,
    last_taken: Instant,
}

impl Unread {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, bytes: Vec::new(), taken: 0, offered: 0, backlog: None }
    }

    /// The buffer into which answers are written.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes the answers take here.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes of buffer are kept for later answers; 0 while answers wait, which are counted by their length.
    pub(super) fn spare_capacity(&self) -> usize {
        if self.is_empty() { self.bytes.capacity() } else { 0 }
    }

    /// Gives the memory of an empty buffer back.
    pub(super) fn give_back(&mut self) {
        debug_assert!(self.is_empty(), "answers would be lost");
        self.bytes = Vec::new();
    }

    /// Whether enough answers were collected to be worth a system call.
    pub(super) fn are_due(&self) -> bool {
        self.bytes.len() >= self.offered + ANSWER_FLUSH_BYTES
    }

    /// Writes as much as the client takes within a moment. If it has a backlog already, the write does not wait.
    pub(super) fn offer(&mut self, stream: &TcpStream) -> io::Result<()> {
        let flags = if self.backlog.is_some() { MSG_DONTWAIT } else { 0 };
        while !self.is_empty() {
            match SockRef::from(stream).send_with_flags(&self.bytes[self.taken..], flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.take(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.take(0);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            self.check_pace(false)?;
        }
        Ok(())
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BUFFER_BYTES);
            (self.taken, self.offered, self.backlog) = (0, 0, None);
            return;
        }
        let now = Instant::now();
        let backlog = self.backlog.get_or_insert(Backlog { since: now, taken: 0, last_taken: now });
        if count > 0 {
            backlog.taken += count;
            backlog.last_taken = now;
        }
        if self.taken > self.bytes.len() / 2 {
            // Fewer bytes are moved than were taken, so the cost for each byte stays constant.
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.offered = self.bytes.len();
    }

    /// Checks that the client takes [`MIN_BYTES_READ_A_SECOND`] while it has a backlog; if it must hurry, more.
    fn check_pace(&self, hurry: bool) -> io::Result<()> {
        let (patience, pace) = match hurry {
            false => (self.timeout, MIN_BYTES_READ_A_SECOND),
            true => (self.timeout.min(HURRIED_PATIENCE), HURRIED_BYTES_A_SECOND),
        };
        let is_slow =
            |backlog: &Backlog| backlog.since.elapsed() > patience + Duration::from_secs((backlog.taken / pace) as u64);
        if self.backlog.as_ref().is_some_and(is_slow) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Waits until the client has taken more or, if the session may read, has sent something. Returns whether it has
    /// sent something. `hurry`: others need the room that its answers take.
    ///
    /// # Errors
    /// If the connection broke, or if the client takes nothing or too little and must be cut off.
    pub(super) fn wait(&mut self, stream: &TcpStream, may_read: bool, hurry: bool) -> io::Result<bool> {
        let Some(&Backlog { taken, last_taken, .. }) = self.backlog.as_ref() else { return Ok(may_read) };
        self.check_pace(hurry)?;
        let left = self.timeout.saturating_sub(last_taken.elapsed());
        let ready = ready(stream, may_read, left.min(self.timeout / OFFERS_IN_A_TIMEOUT))?;
        if left.is_zero() || ready.is_empty() || ready.contains(PollFlags::POLLOUT) {
            self.offer(stream)?;
        }
        let has_taken = self.backlog.as_ref().is_none_or(|backlog| backlog.taken > taken);
        if left.is_zero() && !has_taken {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(may_read && ready.contains(PollFlags::POLLIN))
    }
}

/// Whether the stream can be written without waiting.
pub(super) fn has_room(stream: &TcpStream) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO).is_ok() && polled[0].revents() == Some(PollFlags::POLLOUT)
}

/// What the other side of a stream may still do.
pub(super) enum OtherSide {
    /// Send, and read.
    Open,
    /// Read; or it has closed the connection, which looks the same until it is sent something.
    SendsNoMore,
    /// Nothing.
    Gone,
}

/// What the other side may still do, as far as the kernel knows by now.
pub(super) fn other_side(stream: &TcpStream) -> OtherSide {
    let seen = |flags: PollFlags| {
        let mut polled = [PollFd::new(stream.as_fd(), flags)];
        poll(&mut polled, PollTimeout::ZERO).map_or(Some(PollFlags::empty()), |_| polled[0].revents())
    };
    let is_broken = |flags: PollFlags| flags.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL);
    match seen(PollFlags::from_bits_retain(POLLRDHUP)) {
        Some(flags) if is_broken(flags) => OtherSide::Gone,
        Some(_) => OtherSide::Open,
        // The flag that was asked for, perhaps among others: `nix` has no name for it.
        None if seen(PollFlags::empty()).is_some_and(is_broken) => OtherSide::Gone,
        None => OtherSide::SendsNoMore,
    }
}

/// Waits until the stream can be written or, if `may_read`, read. Returns which; nothing after the timeout. A broken
/// stream counts as both: the call that follows returns the error.
fn ready(stream: &TcpStream, may_read: bool, timeout: Duration) -> io::Result<PollFlags> {
    let (out, both) = (PollFlags::POLLOUT, PollFlags::POLLOUT | PollFlags::POLLIN);
    let mut polled = [PollFd::new(stream.as_fd(), if may_read { both } else { out })];
    match poll(&mut polled, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
        Err(Errno::EINTR) => Ok(out),
        Err(error) => Err(error.into()),
        Ok(_) => match polled[0].revents().unwrap_or(both) {
            broken if broken.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) => Ok(both),
            ready => Ok(ready),
        },
    }
}
