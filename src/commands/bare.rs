//! A replica that executes commands without a node around it: for tests, which need no threads and sockets then.

use std::time::Duration;

use super::call::{Flow, execute};
use super::conversation::Conversation;
use super::host::{Attempt, ConnectionInfo, Host, Lab};
use super::stats::{RoundSummary, Stats};
use crate::framing::{Args, Form};
use crate::replication::journal::DiskFailed;
use crate::replication::replica::Replica;
use crate::secret::{Role, Secrets};
use crate::store::version::Version;

/// A replica and one client that speaks with it.
pub struct Bare {
    replica: Replica,
    conversation: Conversation,
    /// There are none.
    secrets: Secrets,
}

impl Bare {
    /// A client at the beginning of its conversation, which needs no secret.
    pub fn new(replica: Replica) -> Self {
        Self { replica, conversation: Conversation::new(Role::Operator), secrets: Secrets::default() }
    }

    /// The replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Executes one request, and writes the answer to the end of `out`.
    pub fn execute(&mut self, form: Form, words: Args<'_>, out: &mut Vec<u8>) -> Flow {
        execute(
            &self.replica,
            &mut Nothing { replica: &self.replica, secrets: &self.secrets },
            &mut self.conversation,
            (form, words),
            out,
        )
    }
}

/// What is around a bare replica: no peers, no other clients, no limits.
struct Nothing<'a> {
    replica: &'a Replica,
    secrets: &'a Secrets,
}

impl Host for Nothing<'_> {
    fn secrets(&self) -> &Secrets {
        self.secrets
    }

    fn try_secret(&self, is_right: &mut dyn FnMut() -> bool) -> Attempt {
        if is_right() { Attempt::Right } else { Attempt::Wrong }
    }

    fn punish_wrong_secret(&self) {}

    fn wait_for_another_guess(&self) {}

    fn is_loading(&self) -> bool {
        false
    }

    fn hold_step(&mut self) {}

    fn let_go(&mut self) {}

    fn may_queue(&mut self, _: usize) -> bool {
        true
    }

    fn changed(&self, _: &[u8]) {}

    fn may_write(&self) -> bool {
        true
    }

    fn may_delete(&self, _: Args<'_>) -> bool {
        true
    }

    fn may_answer(&mut self, _: usize) -> bool {
        true
    }

    fn is_wanted(&mut self) -> bool {
        true
    }

    fn sync(&self) -> Result<Vec<RoundSummary>, &'static str> {
        Ok(Vec::new())
    }

    fn forget(&self, who: &str) -> Result<(), Vec<String>> {
        if self.replica.dismiss(who) {
            return Ok(());
        }
        Err(self.replica.members().iter().map(|member| member.name.clone()).collect())
    }

    fn disk_failure(&self) -> Option<DiskFailed> {
        None
    }

    fn wait_for_peers(&mut self, _: usize, _: Option<Duration>) -> usize {
        0
    }

    fn wait_for_disks(&mut self, _: bool, _: usize, _: Option<Duration>) -> Result<(bool, usize), DiskFailed> {
        Ok((false, 0))
    }

    fn wait_for_entry(&mut self, key: &[u8], version: Version, _: Option<Duration>) -> bool {
        self.replica.holds(key, version)
    }

    fn has_disk(&self) -> bool {
        false
    }

    fn save(&self) -> bool {
        false
    }

    fn set_max_memory(&self, _: usize) {}

    fn reset_counters(&self) {}

    fn client_id(&self) -> u64 {
        1
    }

    fn show_name(&self, _: &[u8]) {}

    fn end_connection(&self, _: u64) -> bool {
        false
    }

    fn connections(&self, _: u64, _: usize) -> Vec<ConnectionInfo> {
        Vec::new()
    }

    fn stats(&self) -> Stats {
        Stats::of(self.replica)
    }

    fn lab(&self) -> Option<&dyn Lab> {
        None
    }
}
