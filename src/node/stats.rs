//! Gathers all figures of a node in one snapshot.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::Shared;
use super::shared::PeerHandle;
use crate::commands::stats::{CpuTime, LastRound, PeerStats, Stats};

/// What CONFIG RESETSTAT lets INFO count anew. The counters themselves only grow.
#[derive(Clone, Copy, Default)]
pub(super) struct Counted {
    connections_received: u64,
    connections_rejected: u64,
    commands: u64,
    expired: u64,
}

impl Counted {
    /// What was counted since the start of the node.
    pub(super) fn by_now(node: &Shared) -> Self {
        Self {
            connections_received: node.clients.received(),
            connections_rejected: node.clients.rejected.load(Relaxed),
            commands: node.clients.commands.load(Relaxed),
            expired: node.replica.expired(),
        }
    }
}

/// The figures of the node at this moment.
pub(super) fn gather(node: &Shared) -> Stats {
    let (clients, counted, before) = (&node.clients, Counted::by_now(node), *node.counted_before.lock());
    Stats {
        port: node.address.port(),
        address: node.address.to_string(),
        uptime: node.started.elapsed(),
        loading: node.is_loading(),
        lab: node.config.lab,

        connected: clients.connected(),
        max_connections: node.config.max_connections,
        idle_timeout: node.config.idle_timeout,
        blocked: node.waiters.count(),
        connections_received: counted.connections_received - before.connections_received,
        connections_rejected: counted.connections_rejected - before.connections_rejected,
        commands: counted.commands - before.commands,
        command_durations: clients.durations.durations(),
        auth_failed: node.auth_failed.load(Relaxed),
        peers_refused: node.peers_refused.load(Relaxed),

        cpu: cpu_time(),

        used_memory: node.data_bytes() + node.memory.buffers(),
        max_memory: node.memory.limit(),

        expired: counted.expired - before.expired,

        disk: node.disk.as_ref().map(|disk| disk.log.stats()),

        peers: node.peers.iter().map(|handle| peer(node, handle)).collect(),
        tombstones_held_by: node.holdups.list().iter().map(ToString::to_string).collect(),
        ..Stats::of(&node.replica)
    }
}

fn peer(node: &Shared, handle: &PeerHandle) -> PeerStats {
    let PeerHandle { link, queue, delays, rounds: log } = handle;
    let (counters, rounds, member) = (&link.counters, log.totals(), link.peer());
    let progress = member.as_ref().map(|member| member.progress()).unwrap_or_default();
    PeerStats {
        name: member.map(|member| member.name.clone()),
        address: link.address.clone(),
        is_up: link.is_up(),
        link_age: link.state_age(),
        incarnation: progress.incarnation,
        is_cut: link.faults.is_cut(),
        delay: link.faults.delay(),
        queued: queue.len(),
        dropped: queue.dropped(),
        retries: counters.retries.load(Relaxed),
        confirmed: progress.confirmed,
        tombstones_waiting: node.replica.store().tombstones_after(progress.confirmed),
        last_round: rounds.last.map(|(at, ok)| LastRound { ok, age: at.elapsed() }),
        propagated: counters.propagated.load(Relaxed),
        propagation_delays: delays.seen.durations(),
        rounds: rounds.rounds,
        round_durations: log.durations.durations(),
        rounds_failed: rounds.failed,
        pulled: rounds.pulled,
        pushed: rounds.pushed,
        sync_bytes_sent: counters.sync_sent.load(Relaxed),
        sync_bytes_received: counters.sync_received.load(Relaxed),
    }
}

fn cpu_time() -> Option<CpuTime> {
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    Some(CpuTime { system: duration(usage.system_time()), user: duration(usage.user_time()) })
}
