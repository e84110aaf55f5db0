//! The state of all nodes of this process, as the page is told it four times a second, and what it asks for besides.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::differences::Differences;
use super::table::{RecentKeys, cell, differ_only_in_settling, shown};
use crate::commands::stats::{PeerStats, Stats};
use crate::limits::{PAGE_KEYS, PAGE_WAITING};
use crate::node::Node;
use crate::node::cluster::{Cluster, Place};
use crate::store::KeyValueStore;
use crate::store::clock::Timestamp;
use crate::store::digest::{FANOUT, Prefix};

/// The state of all nodes, and the rows of the table of keys. Keys that differ are told, too.
pub(super) fn of(cluster: &Cluster, recent: &RecentKeys) -> Value {
    cluster.look(|nodes| {
        let told: Vec<Value> =
            cluster.places().iter().zip(nodes).map(|(place, node)| one(cluster, place, *node)).collect();
        let stores: Vec<&KeyValueStore> = nodes.iter().flatten().map(|node| node.replica().store()).collect();
        let found = Differences::between(&stores);
        let differing = match stores.len() {
            ..=1 => Value::Null,
            _ => json!({
                "keys": found.keys.len(),
                "only_settled": found.keys.iter().filter(|key| differ_only_in_settling(nodes, key)).count(),
                "are_more": found.are_more,
            }),
        };
        json!({
            "now_ms": now().millis(),
            "nodes": told,
            "differing": differing,
            "rows": recent.rows(nodes, &found.keys),
        })
    })
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// One node, running or not.
fn one(cluster: &Cluster, place: &Place, node: Option<&Node>) -> Value {
    let mut told = json!({
        "name": place.name(),
        "number": place.config().node,
        "address": place.address().to_string(),
        "on_disk": place.config().data.is_some(),
        "running": node.is_some(),
    });
    let Some(node) = node else { return told };
    let stats = node.stats();
    let running = json!({
        "loading": stats.loading,
        "lab": stats.lab,
        "incarnation": stats.incarnation.to_string(),
        "uptime_s": stats.uptime.as_secs(),
        "keys": stats.keys,
        "expiring": stats.expiring,
        "waiting": stats.tombstones - stats.tombstones_settled,
        "waits_until_ms": waits_until(node, &stats).map(Timestamp::millis),
        "settled": stats.tombstones_settled,
        "forgotten": stats.tombstones_forgotten,
        "clock": stats.clock.to_string(),
        "wall_ms": node.replica().wall().millis(),
        "offset_ms": i128::from(node.replica().wall().millis()) - i128::from(now().millis()),
        "drift_rejected": stats.clock_drift_rejected,
        "conflicts": stats.conflicts.noticed,
        "commands": stats.commands,
        "memory": stats.used_memory,
        "rules_off": stats.rules_off,
        "held_by": stats.tombstones_held_by,
        "root": stats.root_digest.to_string(),
        "digests": below(node.replica().store(), Prefix::ROOT),
        "peers": peers(cluster, &stats),
    });
    if let (Value::Object(told), Value::Object(running)) = (&mut told, running) {
        told.extend(running);
    }
    told
}

/// The time of the latest waiting tombstone if a clock ahead has written it: it settles when that time has come.
fn waits_until(node: &Node, stats: &Stats) -> Option<Timestamp> {
    let waiting = stats.tombstones - stats.tombstones_settled;
    let latest = if (1..=PAGE_WAITING).contains(&waiting) { node.replica().store().latest_waiting() } else { None };
    latest.filter(|latest| *latest > stats.clock.max(stats.wall))
}

fn peers(cluster: &Cluster, stats: &Stats) -> Vec<Value> {
    let told = |peer: &PeerStats| {
        let here = cluster.places().iter().find(|place| place.address().to_string() == peer.address);
        let name = here.map(Place::name).or(peer.name.as_deref()).unwrap_or(&peer.address);
        json!({
            "name": name,
            "address": peer.address,
            "up": peer.is_up,
            "cut": peer.is_cut,
            "delay_ms": peer.delay.as_millis() as u64,
            "queued": peer.queued,
            "waiting": peer.tombstones_waiting,
            "round_ok": peer.last_round.map(|round| round.ok),
            "round_age_ms": peer.last_round.map(|round| round.age.as_millis() as u64),
            "pulled": peer.pulled,
            "pushed": peer.pushed,
            "rounds": peer.rounds,
            "sync_bytes": peer.sync_bytes_sent + peer.sync_bytes_received,
        })
    };
    stats.peers.iter().map(told).collect()
}

/// The digests of the 256 branches two levels below a branch, 16 hex digits each, one after the other.
fn below(store: &KeyValueStore, branch: Prefix) -> String {
    let level = (0..FANOUT).flat_map(|digit| store.children(branch.child(digit)));
    level.map(|digest| digest.to_string()).collect()
}

/// What lies below a branch of the digest tree on each running node: the digests two levels below a branch of no or two
/// digits; the entries of a leaf. `None` for any other branch.
pub(super) fn branch(cluster: &Cluster, branch: Prefix) -> Option<Value> {
    let names = cluster.places().iter().map(Place::name);
    let running = |nodes: &[Option<&Node>], of: &dyn Fn(&Node) -> Value| -> BTreeMap<String, Value> {
        names.zip(nodes).filter_map(|(name, node)| Some((name.to_string(), of((*node)?)))).collect()
    };
    let told = match branch.len() {
        0 | 2 => cluster.look(|nodes| running(nodes, &|node| json!(below(node.replica().store(), branch)))),
        4 => cluster.look(|nodes| running(nodes, &|node| json!(entries(node, branch)))),
        _ => return None,
    };
    Some(json!({"prefix": branch.to_string(), "nodes": told}))
}

/// The entries of a leaf that count in its digest: at most as many as the table has rows.
fn entries(node: &Node, leaf: Prefix) -> Vec<Value> {
    let (mut entries, now) = (Vec::new(), node.replica().wall());
    node.replica().store().visit_below(&[leaf], |_, record| {
        let mut told = cell(record, now);
        told["key"] = json!(shown(record.key()));
        entries.push(told);
        if entries.len() < PAGE_KEYS { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
    });
    entries
}
