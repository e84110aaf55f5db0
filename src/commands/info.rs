//! INFO: the state of a node, in the format in which Redis' tools read it.

use std::time::Duration;

use super::REDIS_VERSION;
use super::stats::{PeerStats, Stats};
use crate::framing::Args;
use crate::replication::message::Incarnation;

/// A section's name and its lines.
type Section = (&'static str, Vec<String>);

/// The sections with these names, or all; nothing for a name that no section has.
pub(super) fn render(stats: &Stats, names: Args<'_>) -> String {
    let sections: [Section; 7] =
        [server(stats), clients(stats), persistence(stats), cpu(stats), store(stats), peers(stats), keyspace(stats)];
    let everything =
        |name: &[u8]| [&b"all"[..], b"default", b"everything"].iter().any(|all| name.eq_ignore_ascii_case(all));
    let wanted = |section: &str| {
        names.is_empty() || names.iter().any(|name| everything(name) || name.eq_ignore_ascii_case(section.as_bytes()))
    };
    let render = |(name, lines): &Section| format!("# {name}\r\n{}\r\n", lines.join("\r\n"));
    let rendered: Vec<String> = sections.iter().filter(|(name, _)| wanted(name)).map(render).collect();
    rendered.join("\r\n")
}

fn server(stats: &Stats) -> Section {
    let lines = vec![
        format!("kvstore_version:{}", env!("CARGO_PKG_VERSION")),
        format!("redis_version:{REDIS_VERSION}"),
        "redis_mode:standalone".into(),
        format!("arch_bits:{}", usize::BITS),
        format!("node:{}", stats.node),
        format!("name:{}", stats.name),
        format!("incarnation:{}", stats.incarnation),
        format!("process_id:{}", stats.process_id),
        format!("tcp_port:{}", stats.port),
        format!("uptime_in_seconds:{}", stats.uptime.as_secs()),
        format!("rules_off:{}", stats.rules_off.join(",")),
        format!("lab:{}", u8::from(stats.lab)),
        format!("not_for_data:{}", u8::from(stats.is_for_learning())),
    ];
    ("Server", lines)
}

fn clients(stats: &Stats) -> Section {
    let lines = vec![
        format!("connected_clients:{}", stats.connected),
        format!("blocked_clients:{}", stats.blocked),
        format!("maxclients:{}", stats.max_connections),
        format!("total_connections_received:{}", stats.connections_received),
        format!("rejected_connections:{}", stats.connections_rejected),
        format!("total_commands_processed:{}", stats.commands),
        format!("auth_failed:{}", stats.auth_failed),
        format!("peers_refused:{}", stats.peers_refused),
    ];
    ("Clients", lines)
}

/// Redis' names, where they mean the same; `aof` is the log, `rdb` the snapshot.
fn persistence(stats: &Stats) -> Section {
    let ok = |failed: bool| if failed { "err" } else { "ok" };
    let mut lines =
        vec![format!("loading:{}", u8::from(stats.loading)), format!("aof_enabled:{}", u8::from(stats.disk.is_some()))];
    if let Some(disk) = &stats.disk {
        lines.extend([
            format!("aof_last_write_status:{}", ok(disk.failure.is_some())),
            format!("aof_current_size:{}", disk.log_bytes),
            format!("aof_base_size:{}", disk.snapshot_bytes),
            format!("rdb_bgsave_in_progress:{}", u8::from(disk.is_saving)),
            format!("rdb_last_save_time:{}", disk.saved_at),
            format!("rdb_last_bgsave_status:{}", ok(disk.last_save_failed)),
            format!("disk_directory:{}", disk.directory),
            format!("disk_sync:{}", if disk.syncs_always() { "always" } else { "1s" }),
            format!("disk_error:{}", disk.failure.as_deref().unwrap_or_default()),
            format!("disk_confirmation:{}", disk.confirmation),
        ]);
    }
    ("Persistence", lines)
}

fn cpu(stats: &Stats) -> Section {
    let seconds = |time: Duration| format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    let lines = stats.cpu.map(|cpu| {
        vec![format!("used_cpu_sys:{}", seconds(cpu.system)), format!("used_cpu_user:{}", seconds(cpu.user))]
    });
    ("CPU", lines.unwrap_or_default())
}

fn store(stats: &Stats) -> Section {
    let lines = vec![
        format!("keys:{}", stats.keys),
        format!("expired_keys:{}", stats.expired),
        format!("tombstones:{}", stats.tombstones),
        format!("tombstones_settled:{}", stats.tombstones_settled),
        format!("tombstones_forgotten:{}", stats.tombstones_forgotten),
        format!("conflicts:{}", stats.conflicts.noticed),
        format!("conflicts_kept:{}", stats.conflicts.kept),
        format!("conflicts_forgotten:{}", stats.conflicts.forgotten),
        format!("counters_saturated:{}", stats.counters_saturated),
        format!("used_memory:{}", stats.used_memory),
        format!("maxmemory:{}", stats.max_memory),
        format!("root_digest:{}", stats.root_digest),
        format!("clock:{}", stats.clock),
        format!("clock_drift_rejected:{}", stats.clock_drift_rejected),
    ];
    ("Store", lines)
}

fn peers(stats: &Stats) -> Section {
    let mut lines: Vec<String> = stats.peers.iter().enumerate().map(|(index, stats)| peer(index + 1, stats)).collect();
    lines.push(format!("members:{}", stats.members));
    lines.push(format!("tombstones_held_by:{}", stats.tombstones_held_by.join(",")));
    let total = |of: fn(&PeerStats) -> u64| stats.peers.iter().map(of).sum::<u64>();
    let totals = [
        ("propagated", total(|peer| peer.propagated)),
        ("rounds", total(|peer| peer.rounds)),
        ("rounds_failed", total(|peer| peer.rounds_failed)),
        ("sync_pulled", total(|peer| peer.pulled)),
        ("sync_pushed", total(|peer| peer.pushed)),
        ("sync_bytes_sent", total(|peer| peer.sync_bytes_sent)),
        ("sync_bytes_received", total(|peer| peer.sync_bytes_received)),
    ];
    lines.extend(totals.map(|(name, total)| format!("{name}:{total}")));
    ("Peers", lines)
}

fn peer(number: usize, stats: &PeerStats) -> String {
    let name = stats.name.as_deref().unwrap_or("?");
    let link = if stats.is_up { "up" } else { "down" };
    let (last_round, age_ms) = match stats.last_round {
        None => ("never", -1),
        Some(last) => (if last.ok { "ok" } else { "failed" }, last.age.as_millis() as i64),
    };
    let incarnation = stats.incarnation.unwrap_or(Incarnation(0));
    let PeerStats { address, queued, dropped, retries, confirmed, tombstones_waiting, .. } = stats;
    format!(
        "peer{number}:name={name},address={address},link={link},incarnation={incarnation},queued={queued},\
         dropped={dropped},retries={retries},confirmed={confirmed},waiting={tombstones_waiting},\
         last_round={last_round},last_round_age_ms={age_ms}"
    )
}

/// What Redis' tools look for when they ask how many keys there are.
fn keyspace(stats: &Stats) -> Section {
    ("Keyspace", vec![format!("db0:keys={},expires={},avg_ttl=0", stats.keys, stats.expiring)])
}
