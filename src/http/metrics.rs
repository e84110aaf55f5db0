//! The metrics: the figures of all nodes of a process, in the text format of Prometheus (version 0.0.4).
//!
//! A *family* is a name with its help and its kind. Below it stands one *sample* for each node, or for each peer of
//! each node. The label `node` says which node tells it, `peer` about whom. The tables at the beginning are the whole
//! list of plain numbers; what does not fit a table follows.

use std::fmt::{Display, Write};

use crate::commands::stats::{PeerStats, Stats};
use crate::disk::figures::LogStats;
use crate::histogram::Durations;
use crate::limits::COMMANDS_PER_SAMPLE;

use Kind::{Counter, Gauge};

/// How a family's numbers move.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// They only grow, from 0 at the start of the node.
    Counter,
    /// They rise and fall.
    Gauge,
    /// A distribution, in cumulative classes.
    Histogram,
}

/// A family of plain numbers: its name after `kvstore_`, its kind, its help, and where its number stands.
type Family<T> = (&'static str, Kind, &'static str, fn(&T) -> f64);

const OF_A_NODE: &[Family<Stats>] = &[
    ("uptime_seconds", Gauge, "For how long the node has run.", |s| s.uptime.as_secs_f64()),
    ("loading", Gauge, "1 while the node takes over what its peers hold and serves no clients.", |s| flag(s.loading)),
    ("connections", Gauge, "Open connections of clients and peers.", |s| s.connected as f64),
    ("connections_max", Gauge, "How many connections may be open.", |s| s.max_connections as f64),
    ("connections_received_total", Counter, "Connections that were accepted.", |s| s.connections_received as f64),
    ("connections_rejected_total", Counter, "Connections that were one too many.", |s| s.connections_rejected as f64),
    ("blocked_clients", Gauge, "Clients that wait, in WAIT, WAITAOF or WAITFOR.", |s| s.blocked as f64),
    ("commands_total", Counter, "Commands of clients that were answered.", |s| s.commands as f64),
    ("auth_failed_total", Counter, "Wrong secrets that clients have said.", |s| s.auth_failed as f64),
    ("peers_refused_total", Counter, "Connections of other nodes that were refused.", |s| s.peers_refused as f64),
    ("keys", Gauge, "Keys that have a value.", |s| s.keys as f64),
    ("expiring_keys", Gauge, "Keys that have a deadline.", |s| s.expiring as f64),
    ("expired_keys_total", Counter, "Keys that have expired on this node.", |s| s.expired as f64),
    ("tombstones", Gauge, "Deletes that are remembered.", |s| s.tombstones as f64),
    ("tombstones_settled", Gauge, "Of these: those that every peer holds.", |s| s.tombstones_settled as f64),
    ("tombstones_forgotten_total", Counter, "Deletes that were forgotten.", |s| s.tombstones_forgotten as f64),
    ("tombstones_held_up", Gauge, "Nodes for which deletes cannot be forgotten.", |s| {
        s.tombstones_held_by.len() as f64
    }),
    ("conflicts_total", Counter, "Writes overruled by one that had not seen them.", |s| s.conflicts.noticed as f64),
    ("conflicts_kept", Gauge, "Conflicts that CONFLICTS can show.", |s| s.conflicts.kept as f64),
    ("conflicts_forgotten_total", Counter, "Conflicts that newer ones pushed out.", |s| s.conflicts.forgotten as f64),
    ("counters_saturated_total", Counter, "Sums of counters that were no 64-bit numbers.", |s| {
        s.counters_saturated as f64
    }),
    ("memory_used_bytes", Gauge, "Data, what waits for peers, and buffers.", |s| s.used_memory as f64),
    ("memory_max_bytes", Gauge, "How much these may take.", |s| s.max_memory as f64),
    ("clock_seconds", Gauge, "The machine's clock, in seconds since 1970.", |s| s.wall.millis() as f64 / 1e3),
    ("clock_ahead_seconds", Gauge, "How far the hybrid clock is ahead of the machine's.", |s| {
        s.clock.millis().saturating_sub(s.wall.millis()) as f64 / 1e3
    }),
    ("clock_drift_rejected_total", Counter, "Timestamps from too far ahead for the clock to follow.", |s| {
        s.clock_drift_rejected as f64
    }),
    ("members", Gauge, "Other nodes that have spoken with this one.", |s| s.members as f64),
];

/// Only nodes with a disk have them.
const OF_A_DISK: &[Family<LogStats>] = &[
    ("disk_failed", Gauge, "1 while the disk has failed and writes are refused.", |d| flag(d.failure.is_some())),
    ("disk_log_bytes", Gauge, "The logs that a start reads beside the snapshot.", |d| d.log_bytes as f64),
    ("disk_snapshot_bytes", Gauge, "The last snapshot.", |d| d.snapshot_bytes as f64),
    ("disk_snapshot_in_progress", Gauge, "1 while a snapshot is written.", |d| flag(d.is_saving)),
    ("disk_snapshot_failed", Gauge, "1 if the last snapshot was not written.", |d| flag(d.last_save_failed)),
    ("disk_snapshot_time_seconds", Gauge, "When the last snapshot was complete, since 1970; 0: none.", |d| {
        d.saved_at as f64
    }),
];

const OF_A_PEER: &[Family<PeerStats>] = &[
    ("link_up", Gauge, "1 if the peer has answered the last request.", |p| flag(p.is_up)),
    ("link_age_seconds", Gauge, "For how long the link has been up or down.", |p| p.link_age.as_secs_f64()),
    ("propagation_queue_keys", Gauge, "Changed keys that wait for the peer.", |p| p.queued as f64),
    ("propagation_dropped_keys_total", Counter, "Keys that found the queue full.", |p| p.dropped as f64),
    ("propagation_retries_total", Counter, "Failed attempts to deliver the queue.", |p| p.retries as f64),
    ("propagated_keys_total", Counter, "Keys that were sent at once after their write.", |p| p.propagated as f64),
    ("unconfirmed_tombstones", Gauge, "Deletes that the peer has not confirmed.", |p| p.tombstones_waiting as f64),
    ("rounds_total", Counter, "Rounds that have ended.", |p| p.rounds as f64),
    ("rounds_failed_total", Counter, "Rounds that have failed.", |p| p.rounds_failed as f64),
    ("round_pulled_entries_total", Counter, "Entries that rounds have brought here.", |p| p.pulled as f64),
    ("round_pushed_entries_total", Counter, "Entries that rounds have sent there.", |p| p.pushed as f64),
    ("round_sent_bytes_total", Counter, "Bytes that rounds have sent.", |p| p.sync_bytes_sent as f64),
    ("round_received_bytes_total", Counter, "Bytes that rounds have received.", |p| p.sync_bytes_received as f64),
];

/// The metrics of the nodes of one process.
pub fn render(stats: &[Stats]) -> String {
    let mut text = Text(String::new());
    text.labels_of_nodes(stats);
    text.process(stats);
    for &(name, kind, help, number) in OF_A_NODE {
        text.family(name, kind, help);
        stats.iter().for_each(|node| text.sample(name, &labels(node), number(node)));
    }
    for &(name, kind, help, number) in OF_A_DISK {
        text.family(name, kind, help);
        let disks = stats.iter().filter_map(|node| Some((node, node.disk.as_ref()?)));
        disks.for_each(|(node, disk)| text.sample(name, &labels(node), number(disk)));
    }
    for &(name, kind, help, number) in OF_A_PEER {
        text.family(name, kind, help);
        peers(stats).for_each(|(labels, peer)| text.sample(name, &labels, number(peer)));
    }
    text.last_rounds(stats);
    text.histograms(stats);
    text.0
}

/// The text so far.
struct Text(String);

impl Text {
    /// Who the nodes are, and what they do without. The number is always 1: it is the labels that tell.
    fn labels_of_nodes(&mut self, stats: &[Stats]) {
        self.family("node_info", Gauge, "Who the node is. Always 1.");
        for node in stats {
            let (number, incarnation) = (node.node.to_string(), node.incarnation.to_string());
            let who = [("number", &*number), ("address", &node.address), ("incarnation", &incarnation)];
            let version = ("version", env!("CARGO_PKG_VERSION"));
            self.sample("node_info", &[labels(node), who.to_vec(), vec![version]].concat(), 1);
        }
        self.family("rule_off", Gauge, "A rule of the protocol that is switched off. Always 1.");
        for node in stats {
            for &rule in &node.rules_off {
                self.sample("rule_off", &[labels(node), vec![("rule", rule)]].concat(), 1);
            }
        }
    }

    /// What belongs to the process, not to one of its nodes, so it has no label.
    fn process(&mut self, stats: &[Stats]) {
        if let Some(cpu) = stats.first().and_then(|node| node.cpu) {
            let help = "Processor time of the whole process, whatever the number of its nodes.";
            self.family("process_cpu_seconds_total", Counter, help);
            self.sample("process_cpu_seconds_total", &[], (cpu.system + cpu.user).as_secs_f64());
        }
    }

    /// Before the first round there is nothing to say.
    fn last_rounds(&mut self, stats: &[Stats]) {
        let ended = || peers(stats).filter_map(|(labels, peer)| Some((labels, peer.last_round?)));
        self.family("last_round_ok", Gauge, "1 if the last round was completed.");
        ended().for_each(|(labels, round)| self.sample("last_round_ok", &labels, flag(round.ok)));
        self.family("last_round_age_seconds", Gauge, "How long ago the last round ended.");
        ended().for_each(|(labels, round)| self.sample("last_round_age_seconds", &labels, round.age.as_secs_f64()));
    }

    fn histograms(&mut self, stats: &[Stats]) {
        let sampled = format!(
            "From a client's request to its answer, waiting in WAIT and SYNC included. \
             Sampled: one of {COMMANDS_PER_SAMPLE} commands."
        );
        let commands = stats.iter().map(|node| (labels(node), &node.command_durations));
        self.histogram("command_duration_seconds", &sampled, commands);
        let syncs = stats.iter().filter_map(|node| Some((labels(node), &node.disk.as_ref()?.syncs)));
        self.histogram("disk_sync_duration_seconds", "How long syncs of the log took.", syncs);
        let help = "From a write to the peer's reply. Sampled: one write in a millisecond at most.";
        let delays = peers(stats).map(|(labels, peer)| (labels, &peer.propagation_delays));
        self.histogram("propagation_delay_seconds", help, delays);
        let rounds = peers(stats).map(|(labels, peer)| (labels, &peer.round_durations));
        self.histogram("round_duration_seconds", "How long rounds took, failed ones included.", rounds);
    }

    fn histogram<'a>(&mut self, name: &str, help: &str, samples: impl Iterator<Item = (Labels<'a>, &'a Durations)>) {
        self.family(name, Kind::Histogram, help);
        let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (labels, durations) in samples {
            let mut class = |bound: &str, count| {
                self.sample(&bucket, &[&labels[..], &[("le", bound)]].concat(), count);
            };
            durations.up_to().for_each(|(bound, count)| class(&bound.as_secs_f64().to_string(), count));
            class("+Inf", durations.count());
            self.sample(&sum, &labels, durations.sum.as_secs_f64());
            self.sample(&count, &labels, durations.count());
        }
    }

    /// The lines above the samples of a family.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Counter => "counter",
            Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP kvstore_{name} {help}"));
        self.line(format_args!("# TYPE kvstore_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], number: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        match labels.as_slice() {
            [] => self.line(format_args!("kvstore_{name} {number}")),
            labels => self.line(format_args!("kvstore_{name}{{{}}} {number}", labels.join(","))),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }
}

/// The names and values of a sample's labels.
type Labels<'a> = Vec<(&'a str, &'a str)>;

fn labels(node: &Stats) -> Labels<'_> {
    vec![("node", &node.name)]
}

/// All peers of all nodes. A peer is called by its address while its name is not known, or if two have the same name:
/// the labels of two samples must not be the same.
fn peers(stats: &[Stats]) -> impl Iterator<Item = (Labels<'_>, &PeerStats)> {
    stats.iter().flat_map(|node| {
        node.peers.iter().map(move |peer| {
            let is_unique = node.peers.iter().filter(|other| other.name == peer.name).count() == 1;
            let name = peer.name.as_ref().filter(|_| is_unique).unwrap_or(&peer.address);
            (vec![("node", &*node.name), ("peer", name)], peer)
        })
    })
}

/// A label's value between its quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::commands::stats::LastRound;
    use crate::histogram::Histogram;
    use crate::replication::message::Incarnation;
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::{Rule, Rules};
    use crate::store::arrival::Arrival;
    use crate::store::clock::Timestamp;
    use crate::store::version::NodeId;

    fn node(number: u16, peers: Vec<PeerStats>) -> Stats {
        let identity = Identity::in_memory(format!("node{number}"), NodeId(number), Incarnation(7));
        let wall = || Timestamp::from_millis(1_790_000_000_500);
        let rules = Rules::default().without(Rule::TieBreak);
        Stats { peers, keys: 42, ..Stats::of(&Replica::new(identity, rules, Box::new(wall))) }
    }

    fn peer(name: Option<&str>, address: &str) -> PeerStats {
        let seen = Histogram::default();
        [3, 30, 3_000].iter().for_each(|&millis| seen.observe(Duration::from_millis(millis)));
        PeerStats {
            name: name.map(String::from),
            address: address.into(),
            is_up: true,
            link_age: Duration::from_millis(1_500),
            incarnation: None,
            is_cut: false,
            delay: Duration::ZERO,
            queued: 9,
            dropped: 0,
            retries: 0,
            confirmed: Arrival::NONE,
            tombstones_waiting: 0,
            last_round: Some(LastRound { ok: true, age: Duration::from_millis(250) }),
            propagated: 0,
            propagation_delays: seen.durations(),
            rounds: 3,
            round_durations: Durations::default(),
            rounds_failed: 0,
            pulled: 0,
            pushed: 0,
            sync_bytes_sent: 0,
            sync_bytes_received: 0,
        }
    }

    /// Parses the text as strictly as the format is; returns each sample with its number.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let (mut samples, mut families, mut family) = (BTreeMap::new(), BTreeSet::new(), ("", ""));
        let mut lines = text.strip_suffix('\n').expect("the last line ends").lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, _) = help.split_once(' ').expect("a help");
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
                family = (name, kind.expect("the type follows").trim_start());
                assert!(families.insert(name), "{name} comes twice");
                assert_eq!(name.ends_with("_total"), family.1 == "counter", "{name}");
                continue;
            }
            let (sample, number) = line.rsplit_once(' ').expect("a number");
            let name = sample.split('{').next().expect("a name");
            let suffixes: &[&str] = if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == format!("{}{suffix}", family.0)), "{line} under {family:?}");
            assert!(sample.contains("node=\"") || name == "kvstore_process_cpu_seconds_total", "{line}");
            let number = number.parse().expect("a number");
            assert!(samples.insert(sample.to_string(), number).is_none(), "{sample} comes twice");
        }
        samples
    }

    #[test]
    fn each_family_stands_once_with_a_sample_for_each_node_and_peer() {
        let nodes = [
            node(1, vec![peer(Some("node2"), "host:2"), peer(None, "host:3")]),
            node(2, vec![peer(Some("same"), "host:4"), peer(Some("same"), "host:5")]),
        ];
        let samples = parse(&render(&nodes));
        for (sample, number) in [
            (r#"kvstore_keys{node="node1"}"#, 42.0),
            (r#"kvstore_keys{node="node2"}"#, 42.0),
            (r#"kvstore_clock_seconds{node="node1"}"#, 1_790_000_000.5),
            (r#"kvstore_rule_off{node="node1",rule="tie-break"}"#, 1.0),
            (r#"kvstore_propagation_queue_keys{node="node1",peer="node2"}"#, 9.0),
            (r#"kvstore_propagation_queue_keys{node="node1",peer="host:3"}"#, 9.0),
            (r#"kvstore_rounds_total{node="node2",peer="host:4"}"#, 3.0),
            (r#"kvstore_rounds_total{node="node2",peer="host:5"}"#, 3.0),
            (r#"kvstore_last_round_age_seconds{node="node1",peer="node2"}"#, 0.25),
        ] {
            assert_eq!(samples.get(sample), Some(&number), "{sample} in {samples:#?}");
        }
    }

    #[test]
    fn the_classes_of_a_histogram_are_cumulative() {
        let samples = parse(&render(&[node(1, vec![peer(Some("node2"), "host:2")])]));
        let of = |part: &str| samples[&format!("kvstore_propagation_delay_seconds_{part}")];
        let bucket = |le: &str| of(&format!(r#"bucket{{node="node1",peer="node2",le="{le}"}}"#));
        let buckets = ["0.000001", "0.0025", "0.005", "0.025", "0.05", "2.5", "5", "600", "+Inf"].map(bucket);
        assert_eq!(buckets, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
        assert_eq!(of(r#"sum{node="node1",peer="node2"}"#), 3.033);
        assert_eq!(of(r#"count{node="node1",peer="node2"}"#), 3.0);
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
