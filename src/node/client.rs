//! A client's side of a session: its conversation, and the node as its commands see it.

use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::clients::Incoming;
use super::memory::Usage;
use super::stats::Counted;
use super::unread::{self, OtherSide};
use super::written::Written;
use super::{Shared, stats};
use crate::commands::conversation::Conversation;
use crate::commands::host::{Attempt, ConnectionInfo, Host, Lab};
use crate::commands::stats::{RoundSummary, Stats};
use crate::commands::{self, Flow};
use crate::framing::{Args, Form};
use crate::limits::{WAIT_AFTER_HANG_UP, WRONG_SECRET_DELAY};
use crate::replication::journal::DiskFailed;
use crate::replication::queue::Outbox;
use crate::replication::steps::SharedStep;
use crate::rules::Rule;
use crate::secret::Secrets;
use crate::store::version::Version;

/// A client that speaks on a connection.
pub(super) struct ClientSide<'a> {
    node: &'a Shared,
    incoming: &'a Incoming,
    outbox: Outbox,
    conversation: Conversation,
    /// Whether the client has changed anything that the disk must have before it is answered.
    changed: Cell<bool>,
    written: Written,
    /// When it was found that the client sends nothing more.
    hung_up: Option<Instant>,
    /// The step that the commands of a batch share. It begins with the first of them, and ends before the session does
    /// anything else.
    step: Option<SharedStep<'a>>,
}

impl<'a> ClientSide<'a> {
    pub(super) fn new(node: &'a Shared, incoming: &'a Incoming, outbox: Outbox) -> Self {
        let conversation = Conversation::new(node.config.secrets.role_of_strangers());
        let (changed, written) = (Cell::new(false), Written::default());
        Self { node, incoming, outbox, conversation, changed, written, hung_up: None, step: None }
    }

    /// Executes a request, and writes its answer behind those that stand in `unread`.
    pub(super) fn answer(&mut self, request: (Form, Args<'_>), usage: &mut Usage, unread: &mut Vec<u8>) -> Flow {
        let Self { node, incoming, outbox, conversation, changed, written, hung_up, step } = self;
        let mut host = ClientHost { node, incoming, outbox, usage, changed, written, hung_up, step };
        let flow = commands::execute(&node.replica, &mut host, conversation, request, unread);
        usage.set_queued(conversation.queued_bytes());
        flow
    }

    /// Ends the step that the commands of a batch share. Must be called before the session waits for anything.
    pub(super) fn let_go(&mut self) {
        self.step = None;
    }

    /// Whether the client has changed anything since the last call.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.take()
    }

    /// Whether the client has said the secret, or there is none.
    pub(super) fn is_admitted(&self) -> bool {
        self.conversation.is_admitted()
    }

    /// How long the client may be silent; `None`: for ever.
    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.node.config.idle_timeout
    }
}

/// The node that serves one client.
struct ClientHost<'a, 'n> {
    node: &'n Shared,
    incoming: &'a Incoming,
    outbox: &'a Outbox,
    usage: &'a mut Usage,
    changed: &'a Cell<bool>,
    written: &'a mut Written,
    hung_up: &'a mut Option<Instant>,
    step: &'a mut Option<SharedStep<'n>>,
}

impl Host for ClientHost<'_, '_> {
    fn secrets(&self) -> &Secrets {
        &self.node.config.secrets
    }

    fn try_secret(&self, is_right: &mut dyn FnMut() -> bool) -> Attempt {
        self.node.try_secret(self.incoming.address.ip(), is_right)
    }

    fn punish_wrong_secret(&self) {
        self.node.auth_failed.fetch_add(1, Relaxed);
        self.wait_for_another_guess();
    }

    fn wait_for_another_guess(&self) {
        self.incoming.wait(WRONG_SECRET_DELAY);
    }

    fn is_loading(&self) -> bool {
        self.node.is_loading()
    }

    fn hold_step(&mut self) {
        self.step.get_or_insert_with(|| self.node.replica.share_step());
    }

    fn let_go(&mut self) {
        *self.step = None;
    }

    fn may_queue(&mut self, bytes: usize) -> bool {
        self.usage.may_queue(bytes, self.node)
    }

    fn changed(&self, key: &[u8]) {
        self.changed.set(true);
        self.written.has_news.set(true);
        self.outbox.changed(key);
        if self.node.config.rules.has(Rule::Propagation) {
            self.node.peers.iter().for_each(|peer| peer.delays.wrote(&peer.queue));
        }
        self.node.config.watch.changed(key);
    }

    fn may_write(&self) -> bool {
        self.node.memory_left() > 0
    }

    fn may_delete(&self, keys: Args<'_>) -> bool {
        self.node.may_delete(keys)
    }

    fn may_answer(&mut self, bytes: usize) -> bool {
        self.usage.may_answer(bytes)
    }

    fn is_wanted(&mut self) -> bool {
        let is_there = match unread::other_side(&self.incoming.stream) {
            OtherSide::Open => true,
            OtherSide::SendsNoMore => self.hung_up.get_or_insert_with(Instant::now).elapsed() < WAIT_AFTER_HANG_UP,
            OtherSide::Gone => false,
        };
        is_there && !self.node.stop.is_stopping()
    }

    fn sync(&self) -> Result<Vec<RoundSummary>, &'static str> {
        self.node.sync()
    }

    fn forget(&self, who: &str) -> Result<(), Vec<String>> {
        self.changed.set(true);
        forget(self.node, who)
    }

    fn disk_failure(&self) -> Option<DiskFailed> {
        self.node.disk.as_ref().and_then(|disk| disk.log.failure())
    }

    fn wait_for_peers(&mut self, peers: usize, patience: Option<Duration>) -> usize {
        self.written.wait_for_peers((self.node, self.incoming), peers, patience)
    }

    fn wait_for_disks(
        &mut self,
        local: bool,
        peers: usize,
        patience: Option<Duration>,
    ) -> Result<(bool, usize), DiskFailed> {
        self.written.wait_for_disks((self.node, self.incoming), local, peers, patience)
    }

    fn wait_for_entry(&mut self, key: &[u8], version: Version, patience: Option<Duration>) -> bool {
        let replica = &self.node.replica;
        self.node.waiters.wait(self.incoming, patience, |wake| {
            let waiting = replica.wait_for_entry(key, version, wake);
            (waiting.is_none(), waiting)
        });
        replica.holds(key, version)
    }

    fn has_disk(&self) -> bool {
        self.node.disk.is_some()
    }

    fn save(&self) -> bool {
        self.node.disk.as_ref().inspect(|disk| disk.ask_for_save()).is_some()
    }

    fn set_max_memory(&self, bytes: usize) {
        self.node.memory.set_limit(bytes);
        self.node.replica.conflicts().limit(self.node.memory.conflict_limit());
        info!("{}: --max-memory is {bytes} bytes from now on (CONFIG SET)", self.node.name());
    }

    fn reset_counters(&self) {
        *self.node.counted_before.lock() = Counted::by_now(self.node);
    }

    fn client_id(&self) -> u64 {
        self.incoming.id
    }

    fn show_name(&self, name: &[u8]) {
        *self.incoming.name.lock() = name.to_vec();
    }

    fn end_connection(&self, id: u64) -> bool {
        self.node.clients.end(id)
    }

    fn connections(&self, from: u64, most: usize) -> Vec<ConnectionInfo> {
        self.node.clients.list(from, most)
    }

    fn stats(&self) -> Stats {
        stats::gather(self.node)
    }

    fn lab(&self) -> Option<&dyn Lab> {
        self.node.config.lab.then_some(self.node as &dyn Lab)
    }
}

/// Dismisses the configured addresses that lead to a node, so that a restart of this one does not wait for it again.
fn dismiss_addresses(node: &Shared, name: &str, who: &str) {
    for link in node.peers.iter().map(|peer| &peer.link) {
        if link.address == who || node.member_behind(link).is_some_and(|member| member.name == name) {
            node.replica.dismiss_address(&link.address);
        }
    }
}

/// Dismisses a member by its name, or by the address of a configured peer.
fn forget(node: &Shared, who: &str) -> Result<(), Vec<String>> {
    let mut links = node.peers.iter().map(|peer| &peer.link);
    let link = links.find(|link| link.address == who);
    let member = link.and_then(|link| node.member_behind(link));
    let name = member.map_or_else(|| who.to_string(), |member| member.name.clone());
    if link.is_some() || node.replica.member(&name).is_some() {
        dismiss_addresses(node, &name, who);
    }
    if node.replica.dismiss(&name) {
        warn!("{}: {name} was dismissed by FORGET; it is refused until it starts again without its data", node.name());
        Ok(())
    } else if link.is_some() {
        warn!("{}: {who} was dismissed by FORGET; deletes no longer wait for it", node.name());
        Ok(())
    } else {
        let mut known: Vec<String> = node.replica.members().iter().map(|member| member.name.clone()).collect();
        let links = node.peers.iter().map(|peer| &peer.link);
        known.extend(links.filter(|link| node.member_behind(link).is_none()).map(|link| link.address.clone()));
        Err(known)
    }
}
