//! INFO: the state of a node, in the format in which Redis' tools read it.

use std::sync::atomic::Ordering::Relaxed;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use super::Shared;
use super::shared::PeerHandle;
use crate::commands::REDIS_VERSION;
use crate::framing::Args;
use crate::replication::message::Incarnation;

/// A section's name and its lines.
type Section = (&'static str, Vec<String>);

/// The sections with these names, or all; nothing for a name that no section has.
pub(super) fn render(node: &Shared, names: Args<'_>) -> String {
    let sections: [Section; 6] = [server(node), clients(node), cpu(), store(node), peers(node), keyspace(node)];
    let everything =
        |name: &[u8]| [&b"all"[..], b"default", b"everything"].iter().any(|all| name.eq_ignore_ascii_case(all));
    let wanted = |section: &str| {
        names.is_empty() || names.iter().any(|name| everything(name) || name.eq_ignore_ascii_case(section.as_bytes()))
    };
    let render = |(name, lines): &Section| format!("# {name}\r\n{}\r\n", lines.join("\r\n"));
    let rendered: Vec<String> = sections.iter().filter(|(name, _)| wanted(name)).map(render).collect();
    rendered.join("\r\n")
}

fn server(node: &Shared) -> Section {
    let identity = node.replica.identity();
    let off: Vec<&str> = node.config.rules.off().map(|rule| rule.name()).collect();
    let lines = vec![
        format!("kvstore_version:{}", env!("CARGO_PKG_VERSION")),
        format!("redis_version:{REDIS_VERSION}"),
        "redis_mode:standalone".into(),
        format!("arch_bits:{}", usize::BITS),
        format!("node:{}", identity.node),
        format!("name:{}", identity.name),
        format!("incarnation:{}", identity.incarnation),
        format!("process_id:{}", std::process::id()),
        format!("tcp_port:{}", node.address.port()),
        format!("uptime_in_seconds:{}", node.started.elapsed().as_secs()),
        format!("loading:{}", u8::from(node.is_loading())),
        format!("rules_off:{}", off.join(",")),
    ];
    ("Server", lines)
}

fn clients(node: &Shared) -> Section {
    let clients = &node.clients;
    let lines = vec![
        format!("connected_clients:{}", clients.connected()),
        // No command waits for what another client does.
        "blocked_clients:0".into(),
        format!("maxclients:{}", node.config.max_connections),
        format!("total_connections_received:{}", clients.received()),
        format!("rejected_connections:{}", clients.rejected.load(Relaxed)),
        format!("total_commands_processed:{}", clients.commands.load(Relaxed)),
        format!("auth_failed:{}", node.auth_failed.load(Relaxed)),
        format!("peers_refused:{}", node.peers_refused.load(Relaxed)),
    ];
    ("Clients", lines)
}

/// The seconds that the process has computed.
fn cpu() -> Section {
    let seconds = |time: TimeVal| format!("{}.{:06}", time.tv_sec(), time.tv_usec());
    let lines = getrusage(UsageWho::RUSAGE_SELF).map(|usage| {
        vec![
            format!("used_cpu_sys:{}", seconds(usage.system_time())),
            format!("used_cpu_user:{}", seconds(usage.user_time())),
        ]
    });
    ("CPU", lines.unwrap_or_default())
}

fn store(node: &Shared) -> Section {
    let replica = &node.replica;
    let counts = replica.store().counts();
    let lines = vec![
        format!("keys:{}", counts.keys),
        format!("tombstones:{}", counts.tombstones + counts.settled),
        format!("tombstones_settled:{}", counts.settled),
        format!("tombstones_forgotten:{}", replica.tombstones_forgotten()),
        format!("used_memory:{}", node.data_bytes() + node.memory.buffers()),
        format!("maxmemory:{}", node.memory.limit),
        format!("root_digest:{}", replica.store().root()),
        format!("clock:{}", replica.clock()),
        format!("clock_drift_rejected:{}", replica.clock_drift_rejected()),
    ];
    ("Store", lines)
}

fn peers(node: &Shared) -> Section {
    let store = node.replica.store();
    let mut lines = Vec::new();
    let (mut propagated, mut sent, mut received) = (0, 0, 0);
    let (mut rounds, mut failed, mut pulled, mut pushed) = (0, 0, 0, 0);
    for (index, PeerHandle { link, queue, rounds: log }) in node.peers.iter().enumerate() {
        let (counters, totals, peer) = (&link.counters, log.totals(), link.peer());
        let progress = peer.as_ref().map(|peer| peer.progress()).unwrap_or_default();
        let (last_round, age_ms) = match totals.last {
            None => ("never", -1),
            Some((at, ok)) => (if ok { "ok" } else { "failed" }, at.elapsed().as_millis() as i64),
        };
        lines.push(format!(
            "peer{}:name={},address={},link={},incarnation={},queued={},dropped={},retries={},confirmed={},waiting={},\
             last_round={last_round},last_round_age_ms={age_ms}",
            index + 1,
            peer.as_ref().map_or("?", |peer| &peer.name),
            link.address,
            if link.is_up() { "up" } else { "down" },
            progress.incarnation.unwrap_or(Incarnation(0)),
            queue.len(),
            queue.dropped(),
            counters.retries.load(Relaxed),
            progress.confirmed,
            store.tombstones_after(progress.confirmed),
        ));
        propagated += counters.propagated.load(Relaxed);
        sent += counters.sync_sent.load(Relaxed);
        received += counters.sync_received.load(Relaxed);
        rounds += totals.rounds;
        failed += totals.failed;
        pulled += totals.pulled;
        pushed += totals.pushed;
    }
    let held_by: Vec<String> = node.holdups.list().iter().map(ToString::to_string).collect();
    lines.push(format!("members:{}", node.replica.members().len()));
    lines.push(format!("tombstones_held_by:{}", held_by.join(",")));
    let totals = [
        ("propagated", propagated),
        ("rounds", rounds),
        ("rounds_failed", failed),
        ("sync_pulled", pulled),
        ("sync_pushed", pushed),
        ("sync_bytes_sent", sent),
        ("sync_bytes_received", received),
    ];
    lines.extend(totals.map(|(name, total)| format!("{name}:{total}")));
    ("Peers", lines)
}

/// What Redis' tools look for when they ask how many keys there are.
fn keyspace(node: &Shared) -> Section {
    let keys = node.replica.store().counts().keys;
    ("Keyspace", vec![format!("db0:keys={keys},expires=0,avg_ttl=0")])
}
