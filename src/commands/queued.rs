//! What a client has queued between MULTI and EXEC, and the keys that it watches.

use super::failure::{Failure, MEMORY_IS_FULL};
use super::host::Host;
use super::spec::Spec;
use crate::framing::Args;
use crate::framing::owned::OwnedArgs;
use crate::limits::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_COMMANDS, MAX_WATCHED_KEYS};
use crate::replication::replica::Replica;
use crate::store::record::Record;
use crate::store::version::Version;

/// What a client has queued since MULTI.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// In the order in which they came.
    pub(super) commands: Vec<Queued>,
    /// How many bytes they take.
    bytes: usize,
    /// Whether a command could not be queued. Clients send a transaction in one piece and see that only afterwards, so
    /// EXEC must apply nothing.
    pub(super) is_aborted: bool,
}

/// A queued command, and its words behind the name.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) spec: &'static Spec,
    pub(super) args: OwnedArgs,
}

/// The keys that a client watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    keys: Vec<Watched>,
    /// How many bytes they take.
    bytes: usize,
}

/// A watched key, and what stood there when the client began to watch it. Every write gives a key another version,
/// whichever node it comes from. An expired value has lost no version yet, so whether the key had a value is noted too.
#[derive(Debug)]
struct Watched {
    key: Box<[u8]>,
    version: Option<(Version, u32)>,
    is_live: bool,
}

impl Transaction {
    /// Queues a command. `others` is how many bytes the client has beside the transaction.
    pub(super) fn queue(
        &mut self,
        spec: &'static Spec,
        args: Args<'_>,
        (host, others): (&mut dyn Host, usize),
    ) -> Result<(), Failure> {
        if self.is_aborted {
            // It will never be carried out.
            return Ok(());
        }
        let bytes = self.bytes + size_of::<Queued>() + OwnedArgs::bytes_of(args);
        if self.commands.len() >= MAX_TRANSACTION_COMMANDS || bytes > MAX_TRANSACTION_BYTES {
            return Err(Failure::error(format!(
                "a transaction has at most {MAX_TRANSACTION_COMMANDS} commands and {MAX_TRANSACTION_BYTES} bytes"
            )));
        }
        if !host.may_queue(bytes + others) {
            return Err(Failure::new("OOM", MEMORY_IS_FULL));
        }
        self.commands.push(Queued { spec, args: OwnedArgs::new(args) });
        self.bytes = bytes;
        Ok(())
    }

    /// A command could not be queued: EXEC will apply nothing, so nothing needs to be kept.
    pub(super) fn abort(&mut self) {
        *self = Self { is_aborted: true, ..Self::default() };
    }

    /// How many bytes the queued commands take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Watches {
    /// Begins to watch a key, unless it is watched already.
    pub(super) fn watch(&mut self, key: &[u8], replica: &Replica, host: &mut dyn Host) -> Result<(), Failure> {
        if self.keys.iter().any(|watched| *watched.key == *key) {
            return Ok(());
        }
        if self.keys.len() >= MAX_WATCHED_KEYS {
            return Err(Failure::error(format!(
                "a client watches at most {MAX_WATCHED_KEYS} keys: type UNWATCH first"
            )));
        }
        let bytes = self.bytes + size_of::<Watched>() + key.len();
        if !host.may_queue(bytes) {
            return Err(Failure::new("OOM", MEMORY_IS_FULL));
        }
        // In this order: if a write comes between the two, the version is another at EXEC.
        let (version, is_live) = state_of(key, replica);
        self.keys.push(Watched { key: key.into(), version, is_live });
        self.bytes = bytes;
        Ok(())
    }

    /// Whether a watched key was written since, by any client or peer, or has expired.
    pub(super) fn have_changed(&self, replica: &Replica) -> bool {
        self.keys.iter().any(|watched| state_of(&watched.key, replica) != (watched.version, watched.is_live))
    }

    /// How many bytes the watched keys take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The version of what stands under a key, with what was counted upon it, and whether it has a value now.
fn state_of(key: &[u8], replica: &Replica) -> (Option<(Version, u32)>, bool) {
    let counted = |record: &Record| if record.is_counted() { record.check() } else { 0 };
    let state = |record: &Record| ((record.version(), counted(record)), record.is_live(|| replica.wall()));
    let state = replica.store().look(key, |record| record.map(state));
    (state.map(|(version, _)| version), state.is_some_and(|(_, is_live)| is_live))
}
