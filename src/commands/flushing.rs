//! FLUSHALL: deletes every key, a part of the store at a time.
//!
//! It is a delete of each key that this node holds, so the peers get as many deletes, and what a client writes
//! meanwhile may stay. A write that a peer has taken, and that is not here yet, has not been seen by any of these
//! deletes: the later of the two wins.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{Operator, Write};
use super::spec::{Flags, Keys, Spec};
use super::words::upper;
use crate::store::KeyValueStore;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "FLUSHALL",
        usage: "FLUSHALL [ASYNC|SYNC]",
        summary: "deletes every key, on all nodes",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Write, Operator]),
        group: "server",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys in the store",
        function: flush,
    },
    Spec {
        name: "FLUSHDB",
        usage: "FLUSHDB [ASYNC|SYNC]",
        summary: "the same: there is one database",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Write, Operator]),
        group: "server",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys in the store",
        function: flush,
    },
];

fn flush(call: &mut Call<'_>) -> Outcome {
    // Both words mean the same here: it is answered when all is deleted.
    let is_known = |word: &[u8]| ["ASYNC", "SYNC"].contains(&upper(word).as_str());
    if call.args.len() > 1 || !call.args.iter().all(is_known) {
        return Err(Failure::error(format!("syntax error: type {}", call.spec.usage)));
    }
    for part in 0..KeyValueStore::PARTS {
        for key in values_in(call, part) {
            call.delete(&key);
        }
        call.pause_step();
    }
    call.answer.ok();
    DONE
}

/// The keys of one part that have a value. One that has expired counts, too: by another node's clock it may not have.
fn values_in(call: &Call<'_>, part: usize) -> Vec<Box<[u8]>> {
    let mut keys = Vec::new();
    call.replica.store().visit_part(part, |record| {
        if !record.is_tombstone() {
            keys.push(record.key().into());
        }
    });
    keys
}
