//! The answers of a session on their way out: when they are sent, and when the session waits for them to be read.
//!
//! A session reads on although answers are unread, as long as these take little memory. Otherwise it reads nothing
//! more: what a client does not read holds back what it may ask (back-pressure).

use std::io;
use std::mem;
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;

use super::Shared;
use super::memory::Usage;
use super::unread::Unread;
use crate::commands::answer::Answer;
use crate::commands::failure::Failure;
use crate::framing::Form;
use crate::limits::FREE_BUFFER_BYTES;
use crate::replication::journal::DiskFailed;

/// The unread answers of one connection, and the memory that the connection takes.
pub(super) struct Output<'a> {
    node: &'a Shared,
    stream: &'a TcpStream,
    pub(super) unread: Unread,
    pub(super) usage: Usage,
    /// How many commands were answered since the last flush; then INFO counts them.
    pub(super) commands: u64,
    /// Whether these have changed anything: the disk must have it before an answer is sent.
    pub(super) changed: bool,
    /// The form of the client's last request; `None` for a peer.
    pub(super) form: Option<Form>,
    /// How many of the unread bytes may be sent whatever becomes of the disk.
    safe: usize,
}

impl<'a> Output<'a> {
    pub(super) fn new(node: &'a Shared, stream: &'a TcpStream) -> Self {
        let (unread, usage) = (Unread::new(node.config.client_write_timeout), Usage::new(&node.memory));
        Self { node, stream, unread, usage, commands: 0, changed: false, form: None, safe: 0 }
    }

    /// Sends as many answers as the other side takes at once.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if mem::take(&mut self.changed)
            && let Some(disk) = &self.node.disk
            && let Err(failed) = disk.log.before_answer()
        {
            self.take_back(&failed);
        }
        if self.commands > 0 {
            self.node.clients.commands.fetch_add(self.commands, Relaxed);
            self.commands = 0;
        }
        if !self.unread.is_empty() {
            self.unread.offer(self.stream)?;
            self.release_memory();
        }
        self.safe = self.unread.len();
        Ok(())
    }

    /// The disk has failed, and nobody knows what it has of the writes that were to be answered: each answer becomes an
    /// error. For a peer it changes nothing: it learns of the failure because nothing is confirmed any more.
    fn take_back(&mut self, failed: &DiskFailed) {
        let Some(form) = self.form else { return };
        let Failure { code, message } = Failure::without_disk(failed);
        self.unread.buffer().truncate(self.safe);
        (0..self.commands).for_each(|_| Answer::new(form, self.unread.buffer()).failure(code, &message));
    }

    /// Sends all answers.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.flush()?;
        while !self.unread.is_empty() {
            self.wait(false)?;
        }
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
        let can_read = self.unread.wait(self.stream, may_read)?;
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
