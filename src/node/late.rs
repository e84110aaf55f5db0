//! Answers that wait for the disk while their sessions go on (`--sync always`).
//!
//! The obvious way is that each session waits for the sync and then sends its answer. Then every command makes its
//! thread sleep and wake once more, which costs as much as all the rest of a small command. So a session hands a short
//! answer over instead, and waits for the next request. One thread syncs for all that have gathered, and sends their
//! answers.
//!
//! A connection has at most one answer here, and only if its socket has room for it. So the thread never waits for a
//! client, and answers keep their order. Everything else is sent by the session itself, after it has waited.

use std::iter;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::libc::{MSG_DONTWAIT, MSG_NOSIGNAL};
use socket2::SockRef;

use super::clients::Incoming;
use crate::commands::answer::Answer;
use crate::commands::failure::Failure;
use crate::disk::Log;
use crate::framing::Form;
use crate::limits::LATE_ANSWERS;
use crate::replication::journal::DiskFailed;

/// What a session hands over.
pub(super) struct LateAnswer {
    pub(super) incoming: Arc<Incoming>,
    pub(super) answers: Vec<u8>,
    /// How many answers these are, and in which form.
    pub(super) count: u64,
    pub(super) form: Form,
}

/// Where sessions hand their answers over.
pub(super) struct LateAnswers {
    /// `None` ends the thread.
    queue: Sender<Option<LateAnswer>>,
    waiting: Receiver<Option<LateAnswer>>,
}

impl Default for LateAnswers {
    fn default() -> Self {
        let (queue, waiting) = bounded(LATE_ANSWERS);
        Self { queue, waiting }
    }
}

impl LateAnswers {
    /// Takes an answer, unless too many wait; returns whether it did.
    pub(super) fn take(&self, late: LateAnswer) -> bool {
        let incoming = Arc::clone(&late.incoming);
        incoming.late.begin();
        let taken = self.queue.try_send(Some(late));
        if taken.is_err() {
            incoming.late.end();
        }
        taken.is_ok()
    }

    /// Syncs and sends until [`LateAnswers::end`].
    pub(super) fn run(&self, log: &Log) {
        let mut batch: Vec<LateAnswer> = Vec::new();
        let mut has_ended = false;
        while !has_ended {
            let Ok(first) = self.waiting.recv() else { return };
            for late in iter::once(first).chain(self.waiting.try_iter()) {
                match late {
                    Some(late) => batch.push(late),
                    None => has_ended = true,
                }
            }
            let synced = log.before_answer();
            for late in batch.drain(..) {
                late.send(synced.as_ref().err());
            }
        }
    }

    /// All sessions have ended: so does the thread.
    pub(super) fn end(&self) {
        // An error would mean that the thread has ended by itself.
        let _ = self.queue.send(None);
    }
}

impl LateAnswer {
    fn send(mut self, failed: Option<&DiskFailed>) {
        if let Some(failed) = failed {
            self.answers = vec![];
            write_failures(failed, self.form, self.count, &mut self.answers);
        }
        let stream = &self.incoming.stream;
        let sent = SockRef::from(stream).send_with_flags(&self.answers, MSG_DONTWAIT | MSG_NOSIGNAL);
        // The socket had room for the answers, but perhaps not for the failures. A connection that would miss a part is
        // closed.
        if sent.ok() != Some(self.answers.len()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.incoming.late.end();
    }
}

/// Replaces each answer by an error: the disk has failed, and it is unknown which writes it has.
pub(super) fn write_failures(failed: &DiskFailed, form: Form, count: u64, out: &mut Vec<u8>) {
    let Failure { code, message } = Failure::without_disk(failed);
    (0..count).for_each(|_| Answer::new(form, out).failure(code, &message));
}

/// Whether an answer of a connection is late.
#[derive(Default)]
pub(super) struct Late(AtomicU32);

const NONE: u32 = 0;
const LATE: u32 = 1;
/// As `LATE`; and the session waits for it.
const AWAITED: u32 = 2;

impl Late {
    fn begin(&self) {
        self.0.store(LATE, Relaxed);
    }

    fn end(&self) {
        if self.0.swap(NONE, Release) == AWAITED {
            atomic_wait::wake_all(&self.0);
        }
    }

    /// Waits until no answer is late.
    pub(super) fn wait(&self) {
        while self.0.load(Acquire) != NONE {
            let _ = self.0.compare_exchange(LATE, AWAITED, Relaxed, Relaxed);
            atomic_wait::wait(&self.0, AWAITED);
        }
    }
}
