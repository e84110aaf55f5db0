//! The answers of a session on their way out: when they are sent, and when the session waits for them to be read.
//!
//! A session reads on although answers are unread, as long as these take little memory. Otherwise it reads nothing
//! more: what a client does not read holds back what it may ask (back-pressure).

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Shared;
use super::clients::Incoming;
use super::disk::Disk;
use super::late::{LateAnswer, write_failures};
use super::memory::Usage;
use super::unread::{Unread, has_room};
use crate::framing::Form;
use crate::limits::{FREE_BUFFER_BYTES, LATE_ANSWER_BYTES, LATE_ANSWERS_IN_ROOM};
use crate::replication::journal::DiskFailed;

/// The unread answers of one connection, and the memory that the connection takes.
pub(super) struct Output<'a> {
    node: &'a Shared,
    incoming: &'a Arc<Incoming>,
    pub(super) unread: Unread,
    pub(super) usage: Usage,
    /// How many commands were carried out since the last flush; then INFO counts them.
    pub(super) commands: u64,
    /// How many of these were answered: all, unless the client wants no answers.
    pub(super) answers: u64,
    /// Whether these have changed anything: the disk must have it before an answer is sent.
    pub(super) changed: bool,
    /// The form of the client's last request; `None` for a peer.
    pub(super) form: Option<Form>,
    /// For how many more late answers the socket has room. Asking costs a system call.
    late_room: usize,
    /// How many of the unread bytes may be sent whatever becomes of the disk.
    safe: usize,
}

impl<'a> Output<'a> {
    pub(super) fn new(node: &'a Shared, incoming: &'a Arc<Incoming>) -> Self {
        let (unread, usage) = (Unread::new(node.config.client_write_timeout), Usage::new(&node.memory));
        Self {
            node,
            incoming,
            unread,
            usage,
            commands: 0,
            answers: 0,
            changed: false,
            form: None,
            late_room: 0,
            safe: 0,
        }
    }

    /// Sends as many answers as the other side takes at once.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.incoming.late.wait();
        let (commands, answers) = (mem::take(&mut self.commands), mem::take(&mut self.answers));
        if commands > 0 {
            self.node.clients.commands.fetch_add(commands, Relaxed);
        }
        if mem::take(&mut self.changed)
            && let Some(disk) = &self.node.disk
        {
            if self.hand_over(disk, answers) {
                return Ok(());
            }
            if let Err(failed) = disk.log.before_answer() {
                self.take_back(&failed, answers);
            }
        }
        if !self.unread.is_empty() {
            self.late_room = 0;
            self.unread.offer(&self.incoming.stream)?;
            self.release_memory();
        }
        self.safe = self.unread.len();
        Ok(())
    }

    /// Hands short answers to a client over to the thread that sends them when the disk has what they are about.
    /// Returns whether it could.
    fn hand_over(&mut self, disk: &Disk, count: u64) -> bool {
        let is_short = self.safe == 0 && self.unread.len() <= LATE_ANSWER_BYTES;
        let (Some(form), Some(late)) = (self.form.filter(|_| is_short), &disk.late) else { return false };
        if self.late_room == 0 {
            if !has_room(&self.incoming.stream) {
                return false;
            }
            self.late_room = LATE_ANSWERS_IN_ROOM;
        }
        self.late_room -= 1;
        let answers = self.unread.buffer().clone();
        let incoming = Arc::clone(self.incoming);
        let is_taken = late.take(LateAnswer { incoming, answers, count, form });
        if is_taken {
            self.unread.buffer().clear();
            self.release_memory();
        }
        is_taken
    }

    /// The disk has failed. For a peer it changes nothing: it learns of the failure because nothing is confirmed any
    /// more.
    fn take_back(&mut self, failed: &DiskFailed, count: u64) {
        if let Some(form) = self.form {
            self.unread.buffer().truncate(self.safe);
            write_failures(failed, form, count, self.unread.buffer());
        }
    }

    /// Sends all answers.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.flush()?;
        while !self.unread.is_empty() {
            self.wait(false)?;
        }
        self.incoming.late.wait();
        Ok(())
    }

    /// Sends answers, and waits until the session may read on in requests that have arrived.
    pub(super) fn make_room(&mut self, is_admitted: bool) -> io::Result<()> {
        self.flush()?;
        while !self.may_read_on(is_admitted) {
            self.wait(false)?;
        }
        Ok(())
    }

    /// Waits until there is something to read if answers are unread; otherwise the read itself may wait.
    pub(super) fn wait_for_input(&mut self, is_admitted: bool) -> io::Result<()> {
        while !self.unread.is_empty() {
            let may_read = self.may_read_on(is_admitted);
            if self.wait(may_read)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the session may read on although answers are unread.
    fn may_read_on(&mut self, is_admitted: bool) -> bool {
        self.unread.is_empty() || (is_admitted && self.usage.may_wait(self.unread.len()))
    }

    /// Waits until the other side takes answers or, if the session may read, sends something; returns whether it does
    /// that.
    fn wait(&mut self, may_read: bool) -> io::Result<bool> {
        let hurry = self.form.is_some() && self.usage.must_hurry();
        let can_read = self.unread.wait(&self.incoming.stream, may_read, hurry)?;
        self.safe = self.unread.len();
        self.release_memory();
        Ok(can_read)
    }

    /// Gives back the memory of answers if all are read.
    fn release_memory(&mut self) {
        if self.unread.is_empty() {
            self.usage.set_answer(0);
            if self.unread.spare_capacity() > FREE_BUFFER_BYTES && self.node.memory_left() == 0 {
                self.unread.give_back();
            }
        }
    }
}
