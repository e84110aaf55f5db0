//! The nodes of one process, each of which can be stopped and started again, as if it were a machine of its own.
//!
//! A node that stops loses its memory, as a process that ends does. It comes back at the same address, with what is in
//! its data directory if it has one, and empty otherwise. Its peers then bring what it lacks.

use std::io;
use std::net::SocketAddr;

use crossbeam_channel::{Receiver, Select, Sender, bounded};
use log::info;
use parking_lot::{Mutex, RwLock};

use super::maps::warn_if_too_few;
use super::{BoundNode, End, Node};
use crate::config::Config;
use crate::disk::SyncPolicy;
use crate::rules::Rule;

/// The nodes of one process.
pub struct Cluster {
    places: Vec<Place>,
    /// Told when a node was stopped or started, so that the wait for their ends begins anew.
    changed: (Sender<()>, Receiver<()>),
}

/// A node's place in the process: what the node is told when it starts, and the node itself while it runs.
pub struct Place {
    /// The configuration, with the port that was taken for port 0.
    config: Config,
    address: SocketAddr,
    /// `None` while the node is stopped.
    node: RwLock<Option<Node>>,
    /// Held while the node is being stopped or started. Only one of the two happens at a time.
    turn: Mutex<()>,
}

impl Cluster {
    /// Starts nodes that listen already. Each may have this many file descriptors.
    ///
    /// # Errors
    /// As [`BoundNode::keep_within`] and [`BoundNode::start`].
    pub fn start(bound: Vec<BoundNode>, descriptors: usize) -> io::Result<Self> {
        let kept = bound.into_iter().map(|bound| bound.keep_within(descriptors));
        let bound: Vec<BoundNode> = kept.collect::<io::Result<_>>()?;
        warn_if_too_few(bound.iter().map(|bound| bound.config.max_connections).sum(), bound.len());
        let start = |bound: BoundNode| {
            let address = bound.address();
            let config = Config { listen: address.to_string(), ..bound.config.clone() };
            Ok(Place { config, address, node: RwLock::new(Some(bound.start()?)), turn: Mutex::new(()) })
        };
        Ok(Self { places: bound.into_iter().map(start).collect::<io::Result<_>>()?, changed: bounded(1) })
    }

    /// The places of the nodes, in their order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Calls `look` with all nodes in their order, `None` for those that are stopped. No node can be stopped meanwhile,
    /// so `look` must be short; and it must not ask the places anything.
    pub fn look<R>(&self, look: impl FnOnce(&[Option<&Node>]) -> R) -> R {
        let held: Vec<_> = self.places.iter().map(|place| place.node.read()).collect();
        let nodes: Vec<Option<&Node>> = held.iter().map(|node| node.as_ref()).collect();
        look(&nodes)
    }

    /// The place of the node with this name.
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.places.iter().find(|place| place.name() == name)
    }

    /// Stops a node, and returns when it has ended. Returns whether it ran.
    pub fn stop_node(&self, place: &Place) -> bool {
        let _turn = place.turn.lock();
        let Some(node) = place.node.write().take() else { return false };
        let _ = self.changed.0.try_send(());
        node.stop();
        true
    }

    /// Starts a node that was stopped. Returns whether it was.
    ///
    /// # Errors
    /// When the node cannot start: another program has taken its port, or its disk cannot be read.
    pub fn start_node(&self, place: &Place) -> io::Result<bool> {
        let _turn = place.turn.lock();
        if place.is_running() {
            return Ok(false);
        }
        let node = Node::start(place.config.clone())?;
        info!("{}: started again on {}", place.name(), place.address);
        *place.node.write() = Some(node);
        let _ = self.changed.0.try_send(());
        Ok(true)
    }

    /// Waits for a message on `interrupted`, or for a node that must end by itself: the error says why. A node that has
    /// lost its power starts again.
    ///
    /// # Errors
    /// Why a node must end.
    pub fn wait(&self, interrupted: &Receiver<()>) -> io::Result<()> {
        loop {
            let ends = self.places.iter().filter_map(|place| Some((place, place.with(|node| node.fatal().clone())?)));
            let running: Vec<(&Place, Receiver<End>)> = ends.collect();
            let mut select = Select::new();
            for (_, end) in &running {
                select.recv(end);
            }
            let changed = select.recv(&self.changed.1);
            let signal = select.recv(interrupted);
            let ready = select.select();
            match ready.index() {
                // An error would mean that the handler is gone. Then no signal can arrive any more.
                index if index == signal => {
                    let _ = ready.recv(interrupted);
                    return Ok(());
                }
                index if index == changed => {
                    let _ = ready.recv(&self.changed.1);
                }
                index => match (running[index].0, ready.recv(&running[index].1)) {
                    (place, Ok(End::LostPower)) => {
                        self.stop_node(place);
                        self.start_node(place)?;
                    }
                    (_, Ok(end)) => return Err(io::Error::other(end.to_string())),
                    // The node was stopped just now.
                    (_, Err(_)) => {}
                },
            }
        }
    }

    /// Stops all nodes, side by side, and returns when they have ended.
    pub fn stop(&self) {
        std::thread::scope(|scope| {
            for place in &self.places {
                scope.spawn(|| self.stop_node(place));
            }
        });
    }
}

impl Place {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What the node is told when it starts.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the node listens, also while it is stopped.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For people: where the node listens and keeps its data, and whether it is for data at all; a line each.
    pub fn describe(&self) -> String {
        let listens = format!("{} listens on {}", self.name(), self.address);
        let lines: Vec<String> = [listens, self.durability()].into_iter().chain(self.caution()).collect();
        lines.join("\n")
    }

    fn durability(&self) -> String {
        let Config { name, data, sync, .. } = &self.config;
        match (data, sync) {
            (None, _) => format!("{name} keeps its data in memory only (--data DIR keeps it over restarts)"),
            (Some(data), SyncPolicy::EverySecond) => {
                format!("{name} keeps its data in {}, synced every second", data.display())
            }
            (Some(data), SyncPolicy::Always) => {
                format!("{name} keeps its data in {}, synced before every answer", data.display())
            }
        }
    }

    /// Why the node is not for data, if it is not.
    fn caution(&self) -> Option<String> {
        let Config { name, lab, rules, .. } = &self.config;
        let off: Vec<&str> = rules.off().map(Rule::name).collect();
        let reasons = [
            lab.then(|| "its clients may ask for faults (HELP shows how)".to_string()),
            (!off.is_empty()).then(|| format!("it runs without {}", off.join(", "))),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| format!("{name} is for learning, not for data: {}", reasons.join("; ")))
    }

    /// Whether the node runs.
    pub fn is_running(&self) -> bool {
        self.node.read().is_some()
    }

    /// Calls `look` with the node if it runs. The node cannot be stopped meanwhile, so `look` must be short.
    pub fn with<R>(&self, look: impl FnOnce(&Node) -> R) -> Option<R> {
        self.node.read().as_ref().map(look)
    }
}
