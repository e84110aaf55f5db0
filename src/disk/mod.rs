//! The disk: every accepted entry is also written here. At a start the entries come back through the same merge as
//! those of peers.
//!
//! All data is in memory, so nothing is ever looked up on the disk. It is only read when a node starts. So there is no
//! storage engine here, only an append-only file:
//!
//! ```text
//!   an entry wins ──▶ buffer ──▶ N.log                       every accepted entry, every forgotten tombstone
//!   (any way in)      memory     write() before the answer   fsync() every second, or before the answer
//!
//!   all entries ──▶ N.snapshot                               when the logs have grown: replaces what is older
//! ```
//!
//! **Because merging does not depend on order or repetition**, the log needs no sequence numbers. And a snapshot needs
//! no moment in time. It is written part by part while writes go on. What it misses is in the log that was begun before
//! it. Only forgotten tombstones need the order in which they were written ([`Accepted`]).
//!
//! **What an answer means.** Before a session sends an answer, it writes the buffer up to its own last frame: one
//! `write` for all that has gathered, by the session that comes first ([`Log::write_out`]). So an answered write
//! outlives the process. With `--sync always` it waits for the `fsync`, too, which all that wait share
//! ([`Log::sync_out`]). With `--sync 1s` a thread syncs every second.
//!
//! **When the disk fails.** A failed `write` or `fsync` is never repeated on the same file: after a failed `fsync` the
//! kernel may drop what it could not write, and report success the next time. The node goes on without its disk: client
//! writes are refused, reads and peers go on, nothing is confirmed. A fresh snapshot heals it ([`Log::rewrite`]).
//!
//! In reading order: [`frame`] is the format, [`log`](mod@log) what is appended, `confirming.rs` what that is to the
//! replica, `health.rs` what happens when it fails, [`snapshot`] what replaces the log, [`reader`], [`start`] and
//! `replay.rs` how a node comes back from both, [`start_error`] why it cannot. [`identity`] says whose directory it is,
//! [`files`] what all of them need of the operating system, [`figures`] what INFO shows.
//!
//! Left out: keeping less in memory than on the disk, and compression. To read on: Rebello et al., "Can Applications
//! Recover from fsync Failures?" (2020); Redis' append-only file, which this one resembles.
//!
//! [`Accepted`]: crate::store::accepted::Accepted

mod confirming;
pub mod figures;
pub mod files;
pub mod frame;
mod health;
pub mod identity;
pub mod log;
pub mod reader;
mod replay;
pub mod snapshot;
pub mod start;
pub mod start_error;

pub use log::Log;
pub use start_error::StartError;

/// When an answered write is safe from a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After a second at most. Costs the least.
    #[default]
    EverySecond,
    /// Before it is answered: the answer waits for the disk.
    Always,
}
