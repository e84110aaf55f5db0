//! How what was read reaches the store: by several threads, since merging waits for memory most of the time.
//!
//! All frames of one key go to the same thread, so that they keep their order.

use std::thread::Scope;

use crossbeam_channel::{Sender, bounded};

use super::frame::Frame;
use crate::limits::{REPLAY_BATCH_BYTES, REPLAY_QUEUE};
use crate::replication::replica::Replica;
use crate::store::KeyValueStore;

/// The threads of one start, and what was collected for each.
pub(super) struct Replay {
    threads: Vec<Batch>,
}

/// What waits for one thread.
struct Batch {
    thread: Sender<Vec<Frame>>,
    frames: Vec<Frame>,
    bytes: usize,
}

impl Replay {
    /// Starts the threads. They end when this is dropped.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, replica: &'scope Replica, count: usize) -> Self {
        let start = |_| {
            let (thread, frames) = bounded::<Vec<Frame>>(REPLAY_QUEUE);
            scope.spawn(move || frames.iter().flatten().for_each(|frame| apply(replica, frame)));
            Batch { thread, frames: Vec::new(), bytes: 0 }
        };
        Self { threads: (0..count.max(1)).map(start).collect() }
    }

    /// An entry or a forgotten tombstone has this key, and takes about so many bytes.
    pub(super) fn apply(&mut self, key_part: usize, bytes: usize, frame: Frame) {
        let count = self.threads.len();
        let batch = &mut self.threads[key_part * count / KeyValueStore::PARTS];
        batch.frames.push(frame);
        batch.bytes += bytes;
        if batch.bytes >= REPLAY_BATCH_BYTES {
            batch.send();
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.threads.iter_mut().for_each(Batch::send);
    }
}

impl Batch {
    fn send(&mut self) {
        self.bytes = 0;
        // The thread has ended only if it has panicked, and the scope reports that.
        let _ = self.thread.send(std::mem::take(&mut self.frames));
    }
}

fn apply(replica: &Replica, frame: Frame) {
    match frame {
        Frame::Entry(record) => replica.restore_entry(record),
        Frame::Forgotten { key, version } => replica.store().forget_again(&key, version),
        Frame::Note(_) | Frame::End(_) => {}
    }
}
