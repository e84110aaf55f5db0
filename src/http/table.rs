//! The page's table: the keys that changed last, and what each node holds of them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Value, json};

use super::differences::identity;
use crate::limits::{PAGE_CONFLICTS, PAGE_DIFFERING_KEYS, PAGE_KEYS, PAGE_VALUE_BYTES};
use crate::node::Node;
use crate::store::KeyValueStore;
use crate::store::clock::Timestamp;
use crate::store::record::Record;
use crate::store::version::Version;

/// The keys that changed last, the latest first: at most [`PAGE_KEYS`].
#[derive(Debug, Default)]
pub(super) struct RecentKeys(VecDeque<Box<[u8]>>);

impl RecentKeys {
    /// Notes keys that have changed, the latest last.
    pub(super) fn note(&mut self, changed: Vec<Box<[u8]>>) {
        let mut known = HashSet::new();
        let latest_first = changed.into_iter().rev().chain(self.0.drain(..));
        self.0 = latest_first.filter(|key| known.insert(key.clone())).take(PAGE_KEYS).collect();
    }

    /// Fills what is empty with any keys that the nodes hold.
    pub(super) fn fill_up(&mut self, nodes: &[Option<&Node>]) {
        for node in nodes.iter().flatten() {
            for part in 0..KeyValueStore::PARTS {
                if self.0.len() >= PAGE_KEYS {
                    return;
                }
                node.replica().store().visit_part(part, |record| {
                    if self.0.len() < PAGE_KEYS && !self.0.iter().any(|key| **key == *record.key()) {
                        self.0.push_back(record.key().into());
                    }
                });
            }
        }
    }

    /// The rows of the table: these keys, and some of those that differ, in the order of the keys.
    pub(super) fn rows(&self, nodes: &[Option<&Node>], differing: &[Box<[u8]>]) -> Vec<Value> {
        let others = differing.iter().filter(|key| !self.0.contains(key)).take(PAGE_DIFFERING_KEYS);
        let mut keys: Vec<&[u8]> = others.chain(&self.0).map(|key| &**key).take(PAGE_KEYS).collect();
        keys.sort_unstable();
        let in_conflict: Vec<Conflicts> = nodes.iter().map(|node| conflicts_of(*node)).collect();
        keys.into_iter().filter_map(|key| row(key, nodes, &in_conflict)).collect()
    }
}

/// By key, the versions that have overruled a write which they had not seen.
type Conflicts = HashMap<Box<[u8]>, Vec<Version>>;

/// The newest conflicts that a node knows.
fn conflicts_of(node: Option<&Node>) -> Conflicts {
    let newest = node.map(|node| node.replica().conflicts().newest(PAGE_CONFLICTS)).unwrap_or_default();
    let mut conflicts = Conflicts::new();
    for noticed in newest {
        conflicts.entry(noticed.conflict.key.clone()).or_default().push(noticed.conflict.kept.version);
    }
    conflicts
}

/// Whether all that differs is that some nodes know already that every node holds the delete.
pub(super) fn differ_only_in_settling(nodes: &[Option<&Node>], key: &[u8]) -> bool {
    let held = |node: &&Node| {
        node.replica().store().look(key, |record| record.map(|record| (record.version(), record.is_tombstone())))
    };
    let mut all = nodes.iter().flatten().map(held);
    let first = all.next().flatten();
    first.is_some_and(|(_, is_tombstone)| is_tombstone) && all.all(|other| other == first)
}

/// A row; `None` if no node holds anything of the key any more.
fn row(key: &[u8], nodes: &[Option<&Node>], in_conflict: &[Conflicts]) -> Option<Value> {
    let mut cells = Vec::new();
    let mut identities: Vec<Option<Option<(Version, u32)>>> = Vec::new();
    for (node, conflicts) in nodes.iter().zip(in_conflict) {
        let Some(node) = node else {
            cells.push(json!({"kind": "stopped"}));
            identities.push(None);
            continue;
        };
        let replica = node.replica();
        let (cell, what) = replica.store().look(key, |record| {
            let told = record.map(|record| {
                let mut told = cell(record, replica.wall());
                if conflicts.get(key).is_some_and(|kept| kept.contains(&record.version())) {
                    told["conflict"] = json!(true);
                }
                told
            });
            (told, identity(record))
        });
        cells.push(cell.unwrap_or_else(|| json!({"kind": "absent"})));
        identities.push(Some(what));
    }
    let best = identities.iter().flatten().flatten().max();
    let mut known = identities.iter().flatten();
    let first = known.next();
    let differs = known.any(|what| Some(what) != first);
    for (cell, what) in cells.iter_mut().zip(&identities) {
        if best.is_some() && what.as_ref().and_then(Option::as_ref) == best {
            cell["wins"] = json!(true);
        }
    }
    if cells.iter().all(|cell| cell.get("by").is_none()) {
        return None;
    }
    let leaf = nodes.iter().flatten().next().map(|node| node.replica().store().leaf_of(key).to_string());
    Some(json!({
        "key": shown(key),
        "leaf": leaf,
        "differs": differs,
        "only_settled": differs && differ_only_in_settling(nodes, key),
        "cells": cells,
    }))
}

/// What a node holds of a key.
pub(super) fn cell(record: &Record, now: Timestamp) -> Value {
    let version = record.version();
    let mut cell = json!({"time": version.timestamp.to_string(), "by": version.node.0});
    // A value that is past its deadline, but stands there still, is shown as what it was.
    let value = record.value(|| now).map(|(value, _)| value).or(record.content().value().map(Cow::Borrowed));
    match value {
        None => {
            cell["kind"] = json!(if record.is_expired() { "expired" } else { "deleted" });
            cell["settled"] = json!(record.is_settled());
        }
        Some(value) => {
            cell["kind"] = json!("value");
            cell["value"] = json!(shown(&value));
        }
    }
    if let Some(deadline) = record.deadline() {
        cell["ttl_ms"] = json!(deadline.millis().saturating_sub(now.millis()));
    }
    cell
}

/// The beginning of a key or value as text. What is no text is escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.len() > PAGE_VALUE_BYTES;
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().scan(0, within).collect(),
        Err(_) => bytes[..bytes.len().min(PAGE_VALUE_BYTES)].escape_ascii().to_string(),
    };
    if cut {
        text += &format!("… ({} bytes)", bytes.len());
    }
    text
}

/// The character, while all together are not too long.
fn within(length: &mut usize, char: char) -> Option<char> {
    *length += char.len_utf8();
    (*length <= PAGE_VALUE_BYTES).then_some(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_changed_last_stay() {
        let mut recent = RecentKeys::default();
        let key = |n: usize| -> Box<[u8]> { n.to_string().into_bytes().into() };
        recent.note((0..PAGE_KEYS + 10).map(key).collect());
        recent.note(vec![key(20), key(20)]);
        assert_eq!(recent.0.len(), PAGE_KEYS);
        assert_eq!((&recent.0[0], &recent.0[1]), (&key(20), &key(PAGE_KEYS + 9)));
        assert!(!recent.0.contains(&key(9)) && recent.0.contains(&key(10)));
    }

    #[test]
    fn long_and_binary_values_are_shown_by_their_beginning() {
        assert_eq!(shown("käse".as_bytes()), "käse");
        assert_eq!(shown(b"\xff\n"), "\\xff\\n");
        assert_eq!(shown("ä".repeat(100).as_bytes()), format!("{}… (200 bytes)", "ä".repeat(32)));
    }
}
