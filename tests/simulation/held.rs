//! What WAIT would count: judged by whether the peer really holds it.

use kvstore::replication::delivery::Mark;
use kvstore::store::version::Version;

use super::cluster::Cluster;
use super::describe::in_words;
use super::invariants::{Invariant, KEYS};
use super::judge::Judge;

/// How many writes of a node's life may be asked about.
const ASKED_ABOUT: usize = 6;

/// An acknowledged write, and the place that WAIT would wait for.
pub(crate) struct Awaited {
    key: &'static str,
    version: Version,
    /// For each peer.
    marks: Vec<Mark>,
}

impl Cluster {
    /// A client has written on a node: from now on it may ask who holds it.
    pub(crate) fn may_be_asked_about(&self, node: usize, key: &[u8]) {
        let life = self.nodes[node].life();
        let key = KEYS.into_iter().find(|known| known.as_bytes() == key);
        let version = key.and_then(|key| life.replica.store().version(key.as_bytes()));
        let Some((key, version)) = key.zip(version) else { return };
        let marks = life.links.iter().map(|link| link.queue.delivery().mark()).collect();
        let mut awaited = life.awaited.borrow_mut();
        awaited.push_back(Awaited { key, version, marks });
        let excess = awaited.len().saturating_sub(ASKED_ABOUT);
        awaited.drain(..excess);
    }
}

impl Judge {
    /// Whatever WAIT would count now, the peer holds it, or something newer, or has forgotten a later delete. So it is
    /// there, though the node that took the write ends in this moment.
    pub(super) fn look_at_held(&mut self, cluster: &Cluster, node: usize) {
        let life = cluster.nodes[node].life();
        for awaited in life.awaited.borrow().iter() {
            let Awaited { key, version, marks } = awaited;
            for (peer, link) in life.links.iter().enumerate().filter(|&(peer, _)| peer != node) {
                // A process that ends closes its connections, which a waiting session notices.
                let is_heard = link.connection.borrow().as_ref().is_some_and(|connection| connection.is_heard(cluster));
                if !is_heard || !link.queue.delivery().holds(marks[peer]) {
                    continue;
                }
                self.held_counted += 1;
                let k = KEYS.iter().position(|known| known == key).expect("one of the keys of the run");
                let has_held = self.seen[peer][k].high.as_ref().is_some_and(|high| high.0 >= *version);
                let is_forgotten = self.settled[k].keys().any(|delete| delete.0 >= *version);
                if !is_forgotten && !has_held && !cluster.nodes[peer].life().replica.holds(key.as_bytes(), *version) {
                    let (writer, peer) = (&cluster.nodes[node].name, &cluster.nodes[peer].name);
                    let details = format!("{writer} counts {peer} for {key} {}", in_words(*version));
                    return self.violate(Invariant::HeldIsThere, details);
                }
            }
        }
    }
}
