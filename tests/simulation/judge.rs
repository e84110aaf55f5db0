//! Watches a run, and checks the [`Invariant`]s.

use std::collections::HashMap;
use std::ops::ControlFlow;

use kvstore::limits::MAX_CLOCK_DRIFT_MS;
use kvstore::replication::replica::Replica;
use kvstore::rules::{Rule, Rules};
use kvstore::store::KeyValueStore;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::Content;
use kvstore::store::deadline::Deadline;
use kvstore::store::digest::Digest;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

use super::cluster::Cluster;
use super::counters::Counted;
use super::describe::{deadline_in_words, in_words};
use super::invariants::{Invariant, KEYS, Violation};
use super::losses::Losses;
use super::node::Life;
use super::past::Disks;

/// What the merge rule compares: the version, then whether it is a tombstone, then the value, then its deadline.
pub(crate) type Rank = (Version, bool, Vec<u8>, Option<Deadline>);

pub(super) fn rank(record: &Record) -> Rank {
    rank_of(record.version(), record.content())
}

fn rank_of(version: Version, content: Content<'_>) -> Rank {
    let value = content.value().unwrap_or_default().to_vec();
    (version, content.is_tombstone(), value, content.deadline())
}

pub(super) fn show(rank: &Rank) -> String {
    let what = if rank.1 { "the delete".into() } else { format!("{:?}", String::from_utf8_lossy(&rank.2)) };
    let until = rank.3.map_or(String::new(), |deadline| format!(" until {}", deadline_in_words(deadline)));
    format!("{what}{until} of {}", in_words(rank.0))
}

/// What is known of one key on one node in its present life.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What stood there when the judge last looked.
    pub(super) last: Option<Record>,
    /// The greatest that ever stood there.
    pub(super) high: Option<Rank>,
    /// The node's `arrivals` when `last` was first seen: its own number is not greater.
    arrival: Arrival,
    /// Whether `last` is a settled tombstone.
    settled: bool,
    /// At which step the last tombstone settled.
    settled_at: u64,
}

/// What a node holds, by key.
pub(crate) type Holdings = [Option<Rank>; KEYS.len()];

/// What `replica` holds now, settled tombstones included.
pub(crate) fn holdings(replica: &Replica) -> Holdings {
    KEYS.map(|key| replica.store().record(key.as_bytes()).as_ref().map(rank))
}

/// An acknowledged write.
pub(super) struct Write {
    /// When it was acknowledged.
    pub(super) step: u64,
    /// Whether at some time no node remembered it, or anything newer. It may still arrive late.
    pub(super) lost: bool,
}

/// Watches a run.
pub(crate) struct Judge {
    /// The first violation. The run ends with it.
    pub(crate) violation: Option<Violation>,
    /// How many acknowledged writes no node remembers, because their only holders lost their memory.
    pub(crate) lost_with_memory: u64,
    /// How many versions were given out twice, by two lives of a node.
    pub(crate) reissued: u64,
    /// How many times a write of a node that knew nothing replaced a forgotten tombstone with a greater version.
    pub(crate) after_forgotten: u64,
    /// How many times WAIT would have counted a peer.
    pub(crate) held_counted: u64,
    /// How many values a node has swept; those that several nodes have swept count several times.
    pub(crate) expired: u64,
    pub(super) rules: Rules,
    /// By node, then by key.
    pub(super) seen: Vec<[Seen; KEYS.len()]>,
    /// By node, the greatest timestamp that its clock must have passed.
    pub(super) clocks: Vec<Timestamp>,
    /// By key, every acknowledged write.
    pub(super) writes: [HashMap<Rank, Write>; KEYS.len()],
    /// By key, who gave out each version: node's life.
    issued: [HashMap<Version, u64>; KEYS.len()],
    /// By key, when a tombstone last settled on any node.
    pub(super) settled: [HashMap<Rank, u64>; KEYS.len()],
    /// By node, the greatest that any peer held when a round with it began that was then completed.
    pub(super) loaded: Vec<Holdings>,
    pub(super) disks: Disks,
    pub(super) losses: Losses,
    pub(super) counted: Counted,
}

impl Judge {
    pub(crate) fn new(nodes: usize, rules: Rules) -> Self {
        Self {
            violation: None,
            rules,
            expired: 0,
            lost_with_memory: 0,
            reissued: 0,
            after_forgotten: 0,
            held_counted: 0,
            seen: vec![Default::default(); nodes],
            clocks: vec![Timestamp::ZERO; nodes],
            writes: Default::default(),
            issued: Default::default(),
            settled: Default::default(),
            loaded: vec![Holdings::default(); nodes],
            disks: Disks::new(nodes),
            losses: Losses::new(nodes),
            counted: Counted::default(),
        }
    }

    /// Notes a violation, unless one was found before.
    pub(crate) fn violate(&mut self, invariant: Invariant, details: String) {
        self.violation.get_or_insert(Violation { invariant, details });
    }

    /// A client's write was acknowledged by `node`.
    pub(crate) fn acknowledged(&mut self, cluster: &Cluster, node: usize, key: &[u8], expected: Content<'_>) {
        let k = KEYS.iter().position(|known| known.as_bytes() == key).expect("one of the keys of the run");
        let (name, life) = (&cluster.nodes[node].name, cluster.nodes[node].life());
        let store = life.replica.store();
        let record = store.record(key);
        let is_deleted = expected.is_tombstone() && !cluster.rules().has(Rule::Tombstones) && record.is_none();
        if !is_deleted && record.as_ref().is_none_or(|record| record.content() != expected) {
            let details = format!("{name} has acknowledged {expected:?} for {}, but holds {record:?}", KEYS[k]);
            return self.violate(Invariant::WriteStands, details);
        }
        if life.accepted.last().is_none_or(|told| told.key() != key || told.content() != expected) {
            let key = KEYS[k];
            let details = format!("{name} has acknowledged {expected:?} for {key}, but its output was told of another");
            return self.violate(Invariant::OutputIsWhole, details);
        }
        let seen = &mut self.seen[node][k];
        // Without tombstones, the version of a delete is stored nowhere. It was taken from the clock just now.
        let version = record
            .as_ref()
            .map_or_else(|| Version::new(life.replica.clock(), NodeId(node as u16 + 1)), Record::version);
        let written = rank_of(version, expected);
        let high = seen.high.clone().filter(|high| high.0 >= version);
        seen.arrival = store.arrivals();
        seen.last = record;
        seen.settled = false;
        seen.high = seen.high.clone().max(Some(written.clone()));
        if let Some(high) = high {
            let details =
                format!("{name} has written {} to {} after it had seen {}", show(&written), KEYS[k], show(&high));
            return self.violate(Invariant::WriteIsNewer, details);
        }
        if version.timestamp <= self.clocks[node] {
            let details = format!("{name} has written {} after it had seen {}", show(&written), self.clocks[node]);
            return self.violate(Invariant::WriteIsNewer, details);
        }
        if let Some(loaded) = self.loaded[node][k].as_ref().filter(|loaded| **loaded > written) {
            let details = format!(
                "{name} has written {} although it had loaded from a peer that held {}",
                show(&written),
                show(loaded)
            );
            return self.violate(Invariant::NewerThanLoaded, details);
        }
        // A stamp beyond the drift that is allowed, after a far-off entry, leaves the clock where it is.
        self.clocks[node] = version.timestamp.min(life.replica.clock());
        let this_life = cluster.nodes[node].lives();
        let issuer = self.issued[k].insert(version, this_life);
        if issuer == Some(this_life) {
            return self.violate(Invariant::OneContent, format!("{name} has written twice as {}", in_words(version)));
        }
        self.reissued += u64::from(issuer.is_some());
        self.writes[k].insert(written.clone(), Write { step: cluster.steps.get(), lost: false });
        self.writes(cluster, node, k, &written);
    }

    /// Looks at what a node holds. Only after a tick may something be gone.
    pub(crate) fn observe(&mut self, cluster: &Cluster, node: usize, after_tick: bool) {
        self.look_at_losses(cluster, node);
        self.look_at_held(cluster, node);
        self.look_at_reads(cluster, node);
        self.look_at_counters(cluster, node);
        let machine = &cluster.nodes[node];
        let life = machine.life();
        for (k, key) in KEYS.iter().enumerate() {
            let record = life.replica.store().record(key.as_bytes());
            let seen = &mut self.seen[node][k];
            let is_same = match (&record, &seen.last) {
                // What an entry has learned since makes no other entry of it.
                (Some(record), Some(last)) => record.entry() == last.entry(),
                (record, last) => record.is_none() && last.is_none(),
            };
            if is_same {
                continue;
            }
            match record {
                Some(record) => self.appeared(cluster, node, k, record),
                None => self.vanished(cluster, node, k, after_tick),
            }
        }
        for (peer, link) in life.links.iter().enumerate() {
            let (queued, taken) = link.waiting();
            if queued > cluster.bounds().queue || taken > cluster.bounds().batch {
                let details = format!("{queued} and {taken} keys wait on {} for node{}", machine.name, peer + 1);
                self.violate(Invariant::QueueBounds, details);
            }
        }
    }

    fn appeared(&mut self, cluster: &Cluster, node: usize, k: usize, record: Record) {
        let (machine, now) = (&cluster.nodes[node], rank(&record));
        let name = format!("{} on {}", KEYS[k], machine.name);
        let Some(write) = self.writes[k].get(&now) else {
            return self.violate(Invariant::OneContent, format!("{name}: no client has written {}", show(&now)));
        };
        let seen = &mut self.seen[node][k];
        if seen.last.as_ref().is_some_and(|last| rank(last) > now) {
            let details = format!(
                "{name}: {} is gone, {} stands there",
                show(&seen.last.as_ref().map(rank).expect("is some")),
                show(&now)
            );
            return self.violate(Invariant::NeverBack, details);
        }
        match seen.high.clone() {
            Some(high) if high > now => {
                let is_older = write.step <= seen.settled_at || seen.settled_at == 0;
                if is_older && !self.disks.is_excused(k, &now) {
                    let details = format!("{name}: {} was forgotten, the older {} has come", show(&high), show(&now));
                    return self.violate(Invariant::NoResurrection, details);
                }
                self.after_forgotten += u64::from(seen.last.is_none());
            }
            _ => seen.high = Some(now.clone()),
        }
        // A node that sweeps receives nothing: its clock stays as it is.
        let is_swept = seen.last.as_ref().is_some_and(|last| last.version() == now.0);
        if !is_swept && now.0.timestamp.millis() <= machine.wall() + MAX_CLOCK_DRIFT_MS {
            self.clocks[node] = self.clocks[node].max(now.0.timestamp);
        }
        seen.arrival = machine.life().replica.store().arrivals();
        seen.last = Some(record);
        seen.settled = false;
        self.must_not_be_deleted(cluster, node, k, &now);
    }

    fn vanished(&mut self, cluster: &Cluster, node: usize, k: usize, after_tick: bool) {
        let seen = &mut self.seen[node][k];
        let last = seen.last.take().map(|record| rank(&record)).expect("something has vanished");
        let was_settled = std::mem::take(&mut seen.settled);
        if !last.1 || !after_tick {
            let details = format!("{} on {}: {} has vanished", KEYS[k], cluster.nodes[node].name, show(&last));
            return self.violate(Invariant::NeverBack, details);
        }
        if !was_settled {
            self.settled(cluster, node, k, last);
        }
    }

    /// A tick of `node` has ended: tombstones may have settled, or be forgotten.
    pub(crate) fn tick_ended(&mut self, cluster: &Cluster, node: usize) {
        self.observe(cluster, node, true);
        self.is_acquainted(node);
        let life = cluster.nodes[node].life();
        let store = life.replica.store();
        for k in 0..KEYS.len() {
            let seen = &self.seen[node][k];
            let Some(last) = seen.last.as_ref().filter(|last| last.content() == Content::Tombstone && !seen.settled)
            else {
                continue;
            };
            let mut listed = false;
            store.visit_below(&[store.leaf_of(last.key())], |_, record| {
                listed |= record.key() == last.key();
                ControlFlow::Continue(())
            });
            if !listed {
                let last = rank(last);
                self.seen[node][k].settled = true;
                self.settled(cluster, node, k, last);
            }
        }
        self.check_digests(store, &cluster.nodes[node].name);
        self.check_counts(store, &cluster.nodes[node].name);
    }

    /// The root and the leaves have the digests of what stands below them.
    fn check_digests(&mut self, store: &KeyValueStore, name: &str) {
        if store.root() != store.rebuilt_root() {
            return self.violate(Invariant::DigestOfEntries, format!("the root of {name}"));
        }
        for key in KEYS {
            let leaf = store.leaf_of(key.as_bytes());
            let mut below = Digest::default();
            store.visit_below(&[leaf], |_, record| {
                below.add(record.digest());
                ControlFlow::Continue(())
            });
            if store.digest(leaf) != below {
                return self.violate(Invariant::DigestOfEntries, format!("leaf {leaf} of {name}"));
            }
        }
    }

    /// Merging what the store's output was told of, in the wrong order, gives the same store. Only a forgotten
    /// tombstone stands there again, perhaps above something older that was written when it was forgotten.
    fn check_output(&mut self, life: &Life, name: &str) {
        let accepted = life.accepted.all();
        if !accepted.iter().map(|(_, arrival)| arrival.0).eq(1..=accepted.len() as u64) {
            let details = format!("the arrivals of {name} are not numbered one by one");
            return self.violate(Invariant::OutputIsWhole, details);
        }
        let copy = KeyValueStore::new(life.replica.rules());
        accepted.into_iter().rev().for_each(|(record, _)| drop(copy.merge(record)));
        for (k, key) in KEYS.iter().enumerate() {
            let [told, held] =
                [&copy, life.replica.store()].map(|store| store.record(key.as_bytes()).as_ref().map(rank));
            let is_forgotten = held < told && told.as_ref().is_some_and(|told| self.settled[k].contains_key(told));
            if told != held && !is_forgotten {
                let details = format!("{key} on {name}: {held:?} stands there, the output gives {told:?}");
                return self.violate(Invariant::OutputIsWhole, details);
            }
        }
    }

    /// A tombstone has settled on `node`: does every peer hold it? A peer that has lost its memory and has not yet
    /// said so is left out.
    fn settled(&mut self, cluster: &Cluster, node: usize, k: usize, tombstone: Rank) {
        let now = cluster.steps.get();
        self.seen[node][k].settled_at = now;
        self.settled[k].insert(tombstone.clone(), now);
        for peer in cluster.peers(node) {
            if self.knows_incarnation(cluster, node, peer) && self.seen[peer][k].high.as_ref() < Some(&tombstone) {
                let name = &cluster.nodes[peer].name;
                let held = self.seen[peer][k].high.as_ref().map_or("nothing".into(), show);
                let details = format!(
                    "{} on {}: {}, but {name} holds {held}",
                    KEYS[k],
                    cluster.nodes[node].name,
                    show(&tombstone)
                );
                return self.violate(Invariant::SettledEverywhere, details);
            }
        }
    }

    fn knows_incarnation(&self, cluster: &Cluster, node: usize, peer: usize) -> bool {
        let member = cluster.nodes[node].life().replica.member(&cluster.nodes[peer].name);
        let incarnation = cluster.nodes[peer].life().replica.identity().incarnation;
        member.is_none_or(|member| member.progress().incarnation == Some(incarnation))
    }

    /// Does `peer` hold what `node` believes that it has confirmed? A peer that has lost its memory and has not yet
    /// said so is left out.
    pub(crate) fn confirmed(&mut self, cluster: &Cluster, node: usize, peer: usize) {
        let Some(member) = cluster.nodes[node].life().replica.member(&cluster.nodes[peer].name) else { return };
        let confirmed = member.progress().confirmed;
        if confirmed == Arrival::NONE || !self.knows_incarnation(cluster, node, peer) {
            return;
        }
        self.observe(cluster, node, false);
        self.observe(cluster, peer, false);
        for (k, key) in KEYS.iter().enumerate() {
            let here = &self.seen[node][k];
            let Some(held) = here.last.as_ref().filter(|_| here.arrival <= confirmed && !here.settled).map(rank) else {
                continue;
            };
            self.promises(peer, k, &held);
            if self.seen[peer][k].high.as_ref() < Some(&held) {
                let [name, believer] = [peer, node].map(|node| &cluster.nodes[node].name);
                let held = show(&held);
                let details = format!("{name} has confirmed {confirmed} to {believer}, but lacks {held} of {key}");
                return self.violate(Invariant::TrueConfirmation, details);
            }
        }
    }

    /// A round of `node` is completed; the peer held `held` when the round began.
    pub(crate) fn round_completed(&mut self, node: usize, held: Holdings) {
        let loaded = self.loaded[node].iter_mut();
        loaded.zip(held).for_each(|(loaded, held)| *loaded = loaded.take().max(held));
    }

    /// `node` serves clients from now on, and waits for no peer: does it hold what each of those held that have
    /// answered it?
    pub(crate) fn begins_to_serve(&mut self, cluster: &Cluster, node: usize) {
        self.observe(cluster, node, false);
        for peer in cluster.peers(node) {
            let Some(connection) = cluster.nodes[node].life().links[peer].compared_on.borrow().clone() else {
                continue;
            };
            let held = connection.held.borrow();
            let lacks = (0..KEYS.len()).find(|&k| held[k] > self.seen[node][k].high);
            if let Some(k) = lacks {
                let [name, held_by] = [node, peer].map(|node| &cluster.nodes[node].name);
                let details = format!(
                    "{name} lacks {} of {}, which {held_by} held",
                    show(held[k].as_ref().expect("it is greater")),
                    KEYS[k]
                );
                return self.violate(Invariant::LoadIsWhole, details);
            }
        }
    }

    /// The greatest write that some living memory has held.
    pub(super) fn greatest(&self, k: usize) -> Option<Rank> {
        self.seen.iter().filter_map(|seen| seen[k].high.as_ref()).max().cloned()
    }

    /// Everything has healed, and the nodes had their ticks: is all as it should be?
    pub(crate) fn finished(&mut self, cluster: &Cluster) {
        let stores: Vec<_> = cluster.nodes.iter().map(|node| node.life()).collect();
        for (node, life) in cluster.nodes.iter().zip(&stores) {
            let (store, first) = (life.replica.store(), stores[0].replica.store());
            if store.root() != first.root() {
                let differing = KEYS.iter().find(|key| store.record(key.as_bytes()) != first.record(key.as_bytes()));
                return self.violate(Invariant::Agreement, format!("node1 and {} differ in {differing:?}", node.name));
            }
            self.check_digests(store, &node.name);
            self.check_counts(store, &node.name);
            self.check_output(life, &node.name);
            self.nothing_expired_is_left(node, store);
            for (k, key) in KEYS.iter().enumerate() {
                let survivor = store.record(key.as_bytes()).as_ref().map(rank);
                let greatest = self.greatest(k);
                if let Some(delete) =
                    survivor.as_ref().filter(|rank| !rank.1).and_then(|rank| self.settled_since(k, rank))
                {
                    let details = format!("{key} on {}: it was deleted by {}", node.name, show(&delete));
                    return self.violate(Invariant::NoDeletedKeyReturns, details);
                }
                if survivor != greatest && !self.may_stand_for(k, survivor.as_ref(), greatest.as_ref()) {
                    let [survivor, greatest] =
                        [survivor, greatest].map(|rank| rank.as_ref().map_or("nothing".into(), show));
                    let details = format!("{key} on {}: {survivor} stands there, not {greatest}", node.name);
                    return self.violate(Invariant::GreatestSurvives, details);
                }
            }
            let tombstones = KEYS.iter().filter_map(|key| store.record(key.as_bytes())).filter(Record::is_tombstone);
            if tombstones.count() > 0 {
                return self.violate(Invariant::AllForgotten, format!("{}: {:?}", node.name, store.counts()));
            }
        }
        self.every_increment_counts(cluster);
        self.nothing_is_lost_in_silence(cluster);
    }

    /// A forgotten tombstone may be followed by nothing, or by what was written after it had settled, by a node that
    /// knew nothing, or by what has come back by right.
    fn may_stand_for(&self, k: usize, survivor: Option<&Rank>, greatest: Option<&Rank>) -> bool {
        if survivor.is_some_and(|survivor| self.disks.is_excused(k, survivor)) {
            return true;
        }
        let Some(&settled_at) = greatest.and_then(|greatest| self.settled[k].get(greatest)) else { return false };
        survivor.and_then(|survivor| self.writes[k].get(survivor)).is_none_or(|write| write.step > settled_at)
    }
}
