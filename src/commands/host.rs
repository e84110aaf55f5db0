//! What a command needs of the node around it.

use std::net::SocketAddr;
use std::time::Duration;

use super::stats::{RoundSummary, Stats};
use crate::framing::Args;
use crate::replication::journal::DiskFailed;
use crate::secret::Secrets;
use crate::store::version::Version;

/// The node that serves a client, as that client's commands see it: all they need beside the replica.
///
/// There are two: the node with its threads and sockets, and [`Bare`](super::bare::Bare), which has neither.
pub trait Host {
    /// The secrets of the cluster.
    fn secrets(&self) -> &Secrets;

    /// Has a secret compared that the client has said, unless too many wrong ones have come from its address.
    fn try_secret(&self, is_right: &mut dyn FnMut() -> bool) -> Attempt;

    /// Counts a wrong secret, and waits: guessing is slow.
    fn punish_wrong_secret(&self);

    /// Waits as long: to guess without being heard is no faster, and costs the node no more.
    fn wait_for_another_guess(&self);

    /// Whether the node still takes over what its peers hold.
    fn is_loading(&self) -> bool;

    /// Shares a step from now on with other clients' commands, if that has not begun yet: no transaction is carried out
    /// meanwhile. See [`Replica::share_step`](crate::replication::replica::Replica::share_step).
    fn hold_step(&mut self);

    /// Ends the shared step. Must be called before a command waits for anything.
    fn let_go(&mut self);

    /// Whether there is memory for what the client has queued and watches, if it takes this many bytes; if so, they are
    /// counted.
    fn may_queue(&mut self, bytes: usize) -> bool;

    /// Tells the replicators that the client has changed a key. Never waits.
    fn changed(&self, key: &[u8]);

    /// Whether there is memory for a write.
    fn may_write(&self) -> bool;

    /// Whether there is memory for the tombstones of these keys.
    fn may_delete(&self, keys: Args<'_>) -> bool;

    /// Whether all unread answers of this client together may take this many bytes; if so, they are counted as that.
    fn may_answer(&mut self, bytes: usize) -> bool;

    /// Whether the client still wants its answer: false once the node is stopping, or the client has hung up. Asked
    /// between the parts of a command that takes long.
    fn is_wanted(&mut self) -> bool;

    /// Runs a tick now and waits for it. Returns what the round with each peer did.
    ///
    /// # Errors
    /// Why there was none, or why it is not waited for any longer.
    fn sync(&self) -> Result<Vec<RoundSummary>, &'static str>;

    /// Dismisses the member with this name, or the configured peer with this address.
    ///
    /// # Errors
    /// If there is none: the names and addresses that there are.
    fn forget(&self, who: &str) -> Result<(), Vec<String>>;

    /// Why writes must be refused, if the node has a disk that has failed.
    fn disk_failure(&self) -> Option<DiskFailed>;

    /// Waits until so many peers are known to hold all that the client has written, or something newer; at most so
    /// long. Returns how many do.
    fn wait_for_peers(&mut self, peers: usize, patience: Option<Duration>) -> usize;

    /// Waits until all that the client has written is on this node's disk (`local`), and on the disks of so many peers,
    /// as far as they have confirmed it; at most so long. Returns whether it is here, and at how many peers. If it may
    /// take no time at all, nothing is written to the disk for it.
    ///
    /// # Errors
    /// When this node's disk has failed.
    fn wait_for_disks(
        &mut self,
        local: bool,
        peers: usize,
        patience: Option<Duration>,
    ) -> Result<(bool, usize), DiskFailed>;

    /// Waits until this node holds this version of a key, or a newer one; at most so long. Returns whether it does.
    fn wait_for_entry(&mut self, key: &[u8], version: Version, patience: Option<Duration>) -> bool;

    /// Whether the node has a disk.
    fn has_disk(&self) -> bool;

    /// Asks for a snapshot on the disk. Returns whether there is a disk.
    fn save(&self) -> bool;

    /// Changes how much the data and the requests may take, until the node ends.
    fn set_max_memory(&self, bytes: usize);

    /// Lets INFO count connections, commands and expired keys anew.
    fn reset_counters(&self);

    /// The number of the client's connection.
    fn client_id(&self) -> u64;

    /// Shows others, in CLIENT LIST, what the client calls itself.
    fn show_name(&self, name: &[u8]);

    /// Ends another client's connection, or a peer's, which connects again. Returns whether there was one.
    fn end_connection(&self, id: u64) -> bool;

    /// Up to so many connections, in the order in which they came, from the one with this number on.
    fn connections(&self, from: u64, most: usize) -> Vec<ConnectionInfo>;

    /// All figures of the node at this moment.
    fn stats(&self) -> Stats;

    /// Faults on request; `None` unless the node was started with `--lab`.
    fn lab(&self) -> Option<&dyn Lab>;
}

/// What has become of a secret that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is the right one.
    Right,
    /// It is not.
    Wrong,
    /// It was not compared: too many wrong ones have come from the same address.
    Refused,
}

/// Told to those whose secret was refused unread.
pub const TOO_MANY_GUESSES: &str = "too many wrong secrets have come from this address: try again in a moment";

/// Faults on request. A peer is named by its name or its address.
pub trait Lab {
    /// From now on, no message between this node and a peer arrives.
    ///
    /// # Errors
    /// There is no such peer.
    fn cut(&self, peer: &str) -> Result<(), UnknownPeer>;

    /// Ends a cut, and a delay.
    ///
    /// # Errors
    /// There is no such peer.
    fn mend(&self, peer: &str) -> Result<(), UnknownPeer>;

    /// From now on, what a peer sends arrives so many milliseconds later; or, for `disk`, each sync takes that much
    /// longer.
    ///
    /// # Errors
    /// There is no such peer, and no disk.
    fn delay(&self, what: &str, millis: u64) -> Result<(), UnknownPeer>;

    /// How far this node's wall clock is ahead of the machine's, in milliseconds.
    fn clock_ahead_ms(&self) -> i64;

    /// Sets this node's wall clock so far ahead of the machine's. Returns false if no node may have such a clock.
    fn set_clock(&self, ahead_ms: i64) -> bool;

    /// The node loses what is not on its disk, and ends at once.
    fn cut_power(&self);
}

/// There is no such peer.
#[derive(Debug)]
pub struct UnknownPeer {
    /// The names, or addresses, of those that there are.
    pub known: Vec<String>,
}

/// A connection as CLIENT LIST shows it.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its number.
    pub id: u64,
    /// The other side's address.
    pub address: SocketAddr,
    /// The address at which this node took it; `None` if it has just ended.
    pub local: Option<SocketAddr>,
    /// What the client calls itself, which may be empty; the name of a peer.
    pub name: Vec<u8>,
    /// Since when it is connected.
    pub age: Duration,
    /// Whether it is a peer's connection. Redis would call that a replica's.
    pub is_peer: bool,
}
