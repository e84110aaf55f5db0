//! What one client has written, and waiting until others hold it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::clients::Incoming;
use super::shared::PeerHandle;
use crate::replication::delivery::{Awaited, Mark};
use crate::replication::journal::DiskFailed;
use crate::replication::replica::Member;
use crate::replication::waits::{Waiting, Wake};
use crate::store::arrival::Arrival;

/// Up to where a client has written. All that stands here when it first asks after a write counts as its own: that
/// takes no longer to arrive, and costs its writes nothing.
#[derive(Default)]
pub(super) struct Written {
    /// Whether it has written something since it last asked.
    pub(super) has_news: Cell<bool>,
    /// For each peer.
    marks: Vec<Mark>,
    arrivals: Arrival,
    /// Its position in the log, if there is one.
    logged: u64,
}

impl Written {
    fn take_marks(&mut self, node: &Shared) {
        self.marks.resize_with(node.peers.len(), Mark::default);
        if self.has_news.take() {
            self.marks = node.peers.iter().map(|peer| peer.queue.delivery().mark()).collect();
            self.arrivals = node.replica.store().arrivals();
            self.logged = node.disk.as_ref().map_or(0, |disk| disk.log.end());
        }
    }

    /// See [`Host::wait_for_peers`](crate::commands::host::Host::wait_for_peers).
    pub(super) fn wait_for_peers(
        &mut self,
        (node, incoming): (&Shared, &Incoming),
        wanted: usize,
        patience: Option<Duration>,
    ) -> usize {
        self.take_marks(node);
        let mut held = 0;
        node.waiters.wait(incoming, patience, |wake| {
            let (mut awaited, mut holding) = (Vec::<Awaited<'_>>::new(), Vec::new());
            for (peer, &mark) in node.peers.iter().zip(&self.marks) {
                match missing(node, peer, mark, wake) {
                    Some(missing) => awaited.push(missing),
                    None => holding.extend(node.member_behind(&peer.link)),
                }
            }
            held = nodes(holding.into_iter());
            (held >= wanted, awaited)
        });
        held
    }

    /// See [`Host::wait_for_disks`](crate::commands::host::Host::wait_for_disks).
    pub(super) fn wait_for_disks(
        &mut self,
        (node, incoming): (&Shared, &Incoming),
        local: bool,
        wanted: usize,
        patience: Option<Duration>,
    ) -> Result<(bool, usize), DiskFailed> {
        self.take_marks(node);
        if let Some(disk) = node.disk.as_ref().filter(|_| local && patience != Some(Duration::ZERO)) {
            disk.log.sync_out(self.logged)?;
        }
        let mut held = 0;
        node.waiters.wait(incoming, patience, |wake| {
            let waiting: Waiting<'_, Arrival> = node.replica.wait_for_confirmations(self.arrivals, wake);
            let members = node.peers.iter().filter_map(|peer| node.member_behind(&peer.link));
            held = nodes(members.filter(|member| member.progress().durable >= Some(self.arrivals)));
            (held >= wanted, waiting)
        });
        let is_synced = node.disk.as_ref().is_some_and(|disk| disk.log.is_synced(self.logged));
        Ok((is_synced, held))
    }
}

/// How many nodes these are. A node that is configured under two addresses counts once: it can only be lost once.
fn nodes(members: impl Iterator<Item = Arc<Member>>) -> usize {
    members.map(|member| member.name.clone()).collect::<BTreeSet<String>>().len()
}

/// What is missing at a peer, with a registration for it; `None` if nothing is.
fn missing<'a>(node: &Shared, peer: &'a PeerHandle, mark: Mark, wake: &Wake) -> Option<Awaited<'a>> {
    let delivery = peer.queue.delivery();
    let connection = delivery.connections();
    let awaited = delivery.wait(mark, wake);
    if awaited.is_none() && peer.link.was_ended_by_peer() {
        // The next exchange would notice. A round is one.
        delivery.lost(connection);
        node.ask_for_round();
        return delivery.wait(mark, wake);
    }
    awaited
}
