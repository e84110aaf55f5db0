//! Nodes as processes, and between each two a wire for each direction.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;

use crate::common::{Client, DEADLINE, Process, cut_log, eventually, newest_log};
use crate::wire::Wire;

/// How often each node runs a tick.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// What clients and nodes of the cluster must know.
pub(crate) const SECRET: &str = "a-secret-that-survives-chaos";

/// Where the nodes keep their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    InMemory,
    OnDisk,
}

/// A cluster. Dropping it kills its processes and removes their data.
pub(crate) struct Cluster {
    /// The directory with the nodes' data, if they have disks.
    data: Option<PathBuf>,
    wires: BTreeMap<(u16, u16), Wire>,
    slots: Vec<Mutex<Slot>>,
}

/// The process of a node, if it runs.
#[derive(Default)]
struct Slot {
    process: Option<Process>,
    /// How often it has started. After a kill, a node starts with what its disk has, if it has one.
    life: u32,
}

impl Cluster {
    pub(crate) fn start(size: u16, kept: Kept) -> Self {
        let data = std::env::temp_dir().join(format!("kvstore-chaos-{}-{size}", std::process::id()));
        let data = (kept == Kept::OnDisk).then_some(data);
        data.iter().for_each(|data| drop(fs::remove_dir_all(data)));
        let pairs = (1..=size).flat_map(|from| (1..=size).map(move |to| (from, to))).filter(|(from, to)| from != to);
        let wires = pairs.map(|pair| (pair, Wire::start())).collect();
        let cluster = Self { data, wires, slots: (0..size).map(|_| Mutex::default()).collect() };
        cluster.numbers().for_each(|number| cluster.start_node(number));
        cluster.wait_until_all_serve();
        cluster
    }

    pub(crate) fn numbers(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.slots.len() as u16
    }

    fn slot(&self, number: u16) -> &Mutex<Slot> {
        &self.slots[usize::from(number) - 1]
    }

    /// The connections that node `from` opens to node `to`.
    pub(crate) fn wire(&self, from: u16, to: u16) -> &Wire {
        &self.wires[&(from, to)]
    }

    /// The wires that begin or end at a node.
    pub(crate) fn wires_of(&self, number: u16) -> impl Iterator<Item = &Wire> {
        self.wires.iter().filter(move |((from, to), _)| *from == number || *to == number).map(|(_, wire)| wire)
    }

    pub(crate) fn heal_wires(&self) {
        self.wires.values().for_each(Wire::heal);
    }

    pub(crate) fn has_disks(&self) -> bool {
        self.data.is_some()
    }

    fn data(&self, number: u16) -> PathBuf {
        self.data.as_ref().expect("the nodes have disks").join(number.to_string())
    }

    /// Starts a node that does not run, with what its disk has, if it has one.
    pub(crate) fn start_node(&self, number: u16) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--interval",
            &format!("{INTERVAL:?}"),
            "--node",
            &number.to_string(),
        ]);
        command.env("KVSTORE_SECRET", SECRET);
        if self.has_disks() {
            command.arg("--data").arg(self.data(number));
        }
        if let Ok(rule) = std::env::var("CHAOS_WITHOUT") {
            command.args(["--without", &rule]);
        }
        for ((from, _), wire) in &self.wires {
            if *from == number {
                command.args(["--peer", &wire.address.to_string()]);
            }
        }
        let process = Process::run(&mut command);
        self.lead_to(number, Some(process.address));
        let mut slot = self.slot(number).lock();
        slot.life += 1;
        slot.process = Some(process);
    }

    /// Ends a node by SIGKILL.
    pub(crate) fn kill(&self, number: u16) {
        let process = self.slot(number).lock().process.take();
        process.into_iter().for_each(Process::kill);
        self.lead_to(number, None);
    }

    /// Ends all nodes by SIGKILL, at once.
    pub(crate) fn kill_all(&self) {
        self.numbers().for_each(|number| self.signal(number, "KILL"));
        self.numbers().for_each(|number| self.kill(number));
    }

    /// How long the newest log of a node is.
    pub(crate) fn log_length(&self, number: u16) -> u64 {
        fs::metadata(newest_log(&self.data(number))).expect("it is there").len()
    }

    /// Ends a node as a power cut does: by SIGKILL, and then its log loses what was not synced, or a part of it. What
    /// stands before `from` was.
    pub(crate) fn cut_power(&self, number: u16, from: u64) {
        self.kill(number);
        cut_log(&self.data(number), from);
    }

    /// Lets the disk of a node be full, or have room again.
    pub(crate) fn fill_disk(&self, number: u16, is_full: bool) -> bool {
        let limit = if is_full { "64" } else { "unlimited" };
        self.slot(number).lock().process.as_ref().is_some_and(|process| process.limit_files(limit))
    }

    fn lead_to(&self, number: u16, target: Option<SocketAddr>) {
        self.wires.iter().filter(|((_, to), _)| *to == number).for_each(|(_, wire)| wire.lead_to(target));
    }

    /// Sends a signal to a node, if it runs.
    pub(crate) fn signal(&self, number: u16, name: &str) {
        self.slot(number).lock().process.iter().for_each(|process| process.signal(name));
    }

    /// Where a node listens, and in which of its lives; `None` if it does not run.
    pub(crate) fn whereabouts(&self, number: u16) -> Option<(SocketAddr, u32)> {
        let slot = self.slot(number).lock();
        slot.process.as_ref().map(|process| (process.address, slot.life))
    }

    /// Looks at a node's process, which must run.
    pub(crate) fn with_process<T>(&self, number: u16, look: impl FnOnce(&Process) -> T) -> T {
        look(self.slot(number).lock().process.as_ref().expect("the node runs"))
    }

    pub(crate) fn client(&self, number: u16) -> Client {
        let mut client = Client::connect(self.whereabouts(number).expect("the node runs").0);
        assert_eq!(client.line(format!("AUTH {SECRET}")), "OK");
        client
    }

    pub(crate) fn wait_until_all_serve(&self) {
        for number in self.numbers() {
            let mut client = self.client(number);
            eventually("the node serves clients", DEADLINE, || client.line("PING") == "PONG");
        }
    }

    /// Whether all nodes hold the same.
    pub(crate) fn agrees(&self) -> bool {
        let digests: Vec<String> = self.numbers().map(|number| self.client(number).line("DIGEST")).collect();
        digests.iter().all(|digest| *digest == digests[0])
    }

    /// How many tombstones there are on all nodes together.
    pub(crate) fn tombstones(&self) -> u64 {
        self.numbers().map(|number| self.client(number).count("tombstones")).sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.numbers().for_each(|number| self.kill(number));
        self.data.iter().for_each(|data| drop(fs::remove_dir_all(data)));
    }
}
