//! The lab (`--lab`): faults on request, so that a learner needs no firewall. In a node without it there is nothing of
//! this but a flag that is off.
//!
//! A cut loses what is sent in either direction, as a dead network does. Only it is noticed at once: the connections
//! end. A delay is that of a slow network: what a peer sends is handled so much later, also if its connection has ended
//! meanwhile. A power cut takes what is not synced ([`FaultyDirectory`]).

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use log::warn;

use super::faulty_disk::FaultyDirectory;
use super::shared::PeerHandle;
use super::{End, Shared};
use crate::commands::host::{Lab, UnknownPeer};
use crate::config::SharedWallClock;
use crate::limits::{MAX_WALL_CLOCK_MS, MIN_WALL_CLOCK_MS};
use crate::store::clock::Timestamp;

/// The word that stands for the disk where a peer could be named.
const DISK: &str = "disk";

/// The faults of a node as a whole.
#[derive(Default)]
pub(super) struct Faults {
    /// How far the node's wall clock is ahead of the machine's, in milliseconds.
    clock_ms: Arc<AtomicI64>,
    disk: Option<FaultyDirectory>,
}

/// The faults between this node and one peer.
#[derive(Debug, Default)]
pub(super) struct LinkFaults {
    cut: AtomicBool,
    delay_ms: AtomicU64,
}

impl LinkFaults {
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }

    /// How much later what the peer sends is handled.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.load(Relaxed))
    }
}

impl Faults {
    pub(super) fn new(disk: Option<FaultyDirectory>) -> Self {
        Self { disk, ..Self::default() }
    }

    /// Ends what waits for the disk: the node stops.
    pub(super) fn stop(&self) {
        if let Some(disk) = &self.disk {
            disk.delay_syncs(Duration::ZERO);
        }
    }

    /// The machine's wall clock, moved as CLOCK says.
    pub(super) fn clock(&self, machine: SharedWallClock) -> SharedWallClock {
        let ahead = Arc::clone(&self.clock_ms);
        Arc::new(move || Timestamp::from_millis(machine().millis().saturating_add_signed(ahead.load(Relaxed))))
    }
}

impl Shared {
    /// The faults between this node and the peer of this name; `None` if there is no lab, or no such peer.
    pub(super) fn faults_of(&self, peer: &str) -> Option<&LinkFaults> {
        self.faults.as_ref()?;
        self.peer_called(peer).map(|handle| &handle.link.faults)
    }

    /// The configured peer with this name or address.
    fn peer_called(&self, who: &str) -> Option<&PeerHandle> {
        let is_called = |peer: &&PeerHandle| {
            peer.link.address == who || self.member_behind(&peer.link).is_some_and(|member| member.name == who)
        };
        self.peers.iter().find(is_called)
    }

    fn known_peer(&self, who: &str) -> Result<&PeerHandle, UnknownPeer> {
        let name = |peer: &PeerHandle| match self.member_behind(&peer.link) {
            Some(member) => member.name.clone(),
            None => peer.link.address.clone(),
        };
        self.peer_called(who).ok_or_else(|| UnknownPeer { known: self.peers.iter().map(name).collect() })
    }

    fn faults(&self) -> &Faults {
        self.faults.as_ref().expect("commands of the lab are refused where there is none")
    }
}

impl Lab for Shared {
    fn cut(&self, peer: &str) -> Result<(), UnknownPeer> {
        let PeerHandle { link, .. } = self.known_peer(peer)?;
        link.faults.cut.store(true, SeqCst);
        link.interrupt();
        if let Some(member) = self.member_behind(link) {
            self.clients.end_all_of(&member.name);
        }
        warn!("{}: cut from {} (CUT)", self.name(), link.describe());
        Ok(())
    }

    fn mend(&self, peer: &str) -> Result<(), UnknownPeer> {
        let PeerHandle { link, .. } = self.known_peer(peer)?;
        link.faults.cut.store(false, SeqCst);
        link.faults.delay_ms.store(0, Relaxed);
        warn!("{}: no longer cut from {}, or delayed (MEND)", self.name(), link.describe());
        Ok(())
    }

    fn delay(&self, what: &str, millis: u64) -> Result<(), UnknownPeer> {
        match &self.faults().disk {
            Some(disk) if what == DISK => disk.delay_syncs(Duration::from_millis(millis)),
            _ => {
                let link = &self.known_peer(what)?.link;
                link.faults.delay_ms.store(millis, Relaxed);
            }
        }
        warn!("{}: what comes from {what} takes {millis} ms longer (DELAY)", self.name());
        Ok(())
    }

    fn clock_ahead_ms(&self) -> i64 {
        self.faults().clock_ms.load(Relaxed)
    }

    fn set_clock(&self, ahead_ms: i64) -> bool {
        let wall = (self.config.wall_clock)().millis().checked_add_signed(ahead_ms);
        let is_possible = wall.is_some_and(|wall| (MIN_WALL_CLOCK_MS..MAX_WALL_CLOCK_MS).contains(&wall));
        if is_possible {
            self.faults().clock_ms.store(ahead_ms, Relaxed);
            warn!("{}: the wall clock is {ahead_ms} ms ahead of the machine's (CLOCK)", self.name());
        }
        is_possible
    }

    fn cut_power(&self) {
        warn!("{}: loses its power, and with it what is not synced (POWERCUT)", self.name());
        if let Some(disk) = &self.faults().disk {
            disk.cut_power();
        }
        self.peers.iter().for_each(|peer| peer.link.close());
        self.end(End::LostPower);
    }
}
