//! Faults on real processes. Nodes are killed and stopped, links are cut, stalled, slowed and truncated, while clients
//! write. Where nodes have disks, all are killed at once, lose the power, or have no room. Then everything heals, and a
//! checker looks for writes that are missing: with disks, none of those that were answered may be.
//!
//! | variable | meaning |
//! |---|---|
//! | `CHAOS_SECONDS` | for how long there are faults, in all runs without disks together; 18 by default |
//! | `CHAOS_SEED` | replays a schedule of faults; each run prints its own |
//! | `CHAOS_NODES` | only the cluster of this size |
//! | `CHAOS_KEPT` | only the runs of nodes without disks (`memory`), or with them (`disk`) |
//! | `CHAOS_WITHOUT` | switches a rule of the protocol off, to see that the checker notices |
//! | `SOAK_MINUTES` | runs the soak, for so long |
//!
//! A seed reproduces the schedule: which fault, where, when and for how long. It does not reproduce what the nodes do
//! at that moment: that depends on the machine.

mod common;

#[path = "chaos/checker.rs"]
mod checker;
#[path = "chaos/clients.rs"]
mod clients;
#[path = "chaos/cluster.rs"]
mod cluster;
#[path = "chaos/nemesis.rs"]
mod nemesis;
#[path = "chaos/soak.rs"]
mod soak;
#[path = "chaos/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kvstore::limits::{PEER_CONNECT_TIMEOUT, PEER_IO_TIMEOUT};

use checker::check;
use clients::Clients;
use cluster::{Cluster, INTERVAL, Kept};
use common::eventually;
use nemesis::{KINDS, KINDS_OF_DISKS, Nemesis};

/// A run of this length has had every kind of fault: each is drawn every few seconds.
const LONG: Duration = Duration::from_secs(120);

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text}")))
}

#[test]
fn no_fault_makes_nodes_lose_or_revive_what_a_living_node_or_a_disk_held() {
    let sizes: Vec<u16> = match from_environment("CHAOS_NODES") {
        Some(size) => vec![size as u16],
        None => vec![2, 3, 5],
    };
    let seconds = from_environment("CHAOS_SECONDS").unwrap_or(18) as f64 / sizes.len() as f64;
    let seed = from_environment("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let is_wanted = |kept: &str| std::env::var("CHAOS_KEPT").map_or(true, |wanted| wanted == kept);
    for &size in sizes.iter().filter(|_| is_wanted("memory")) {
        run(size, Kept::InMemory, seed, Duration::from_secs_f64(seconds));
    }
    for &size in sizes.iter().filter(|&&size| size < 5 && is_wanted("disk")) {
        run(size, Kept::OnDisk, seed, Duration::from_secs_f64(seconds * 1.5));
    }
    assert_eq!(children(), [""; 0], "processes that are left over");
}

#[test]
fn memory_threads_and_descriptors_stay_what_they_were_in_a_long_run() {
    match from_environment("SOAK_MINUTES") {
        Some(minutes) => soak::run(minutes),
        None => println!("set SOAK_MINUTES to run the soak"),
    }
}

/// A run: clients write while there are faults; then everything heals, and is checked.
fn run(size: u16, kept: Kept, seed: u64, faulty: Duration) {
    println!("chaos: {size} nodes {kept:?} for {faulty:.0?}; replay with CHAOS_SEED={seed} CHAOS_NODES={size}");
    let cluster = Arc::new(Cluster::start(size, kept));
    let clients = Clients::start(&cluster, seed);
    let faults = Nemesis::new(&cluster, seed).torment(faulty);
    let history = clients.stop();
    cluster.wait_until_all_serve();

    // Two intervals; and a node that had asked a stalled peer something may still wait: to connect, and for a reply.
    let healed = Instant::now();
    let longest = 2 * INTERVAL + PEER_CONNECT_TIMEOUT + PEER_IO_TIMEOUT;
    let agreed = eventually("equal DIGESTs", 4 * longest, || cluster.agrees());
    assert!(agreed <= longest, "the nodes took {agreed:?} to agree (seed {seed})");

    let report = check(&cluster, &history, &faults, seed);
    eventually("no tombstone is left", Duration::from_secs(30), || cluster.tombstones() == 0);
    checker::nothing_returns(&cluster, &report, seed);

    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    faults.iter().for_each(|fault| *kinds.entry(fault.kind()).or_default() += 1);
    println!("chaos: {size} nodes, seed {seed}: {}", history.describe());
    println!("chaos: faults: {kinds:?}");
    println!(
        "chaos: agreed after {agreed:.1?}; all tombstones forgotten {:.1?} after the heal; {}",
        healed.elapsed(),
        report.describe()
    );
    let possible = KINDS + if cluster.has_disks() { KINDS_OF_DISKS } else { 0 };
    assert!(kinds.len() == possible || faulty < LONG, "after so long there has been every kind of fault (seed {seed})");
    drop(cluster);
}

/// The child processes that this one has not reaped.
fn children() -> Vec<String> {
    let own = format!("PPid:\t{}", std::process::id());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = entries.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    statuses.filter(|status| status.lines().any(|line| line == own)).collect()
}
