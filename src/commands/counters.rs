//! Counters: INCR and its like. How the increments of several nodes add up: [`counter`](crate::store::counter).

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{DenyOom, Write};
use super::spec::{Flags, Keys, Spec};
use super::words::integer;
use crate::limits::MAX_WRITERS;
use crate::store::counter::CannotCount;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "INCR",
        usage: "INCR key",
        summary: "adds 1; the increments of all nodes add up",
        arity: 2,
        function: |call| count(call, 1),
        ..TEMPLATE
    },
    Spec {
        name: "DECR",
        usage: "DECR key",
        summary: "takes 1 away",
        arity: 2,
        function: |call| count(call, -1),
        ..TEMPLATE
    },
    Spec {
        name: "INCRBY",
        usage: "INCRBY key increment",
        summary: "adds so much",
        arity: 3,
        function: |call| count(call, integer(call.word(1))?),
        ..TEMPLATE
    },
    Spec {
        name: "DECRBY",
        usage: "DECRBY key decrement",
        summary: "takes so much away",
        arity: 3,
        function: decrby,
        ..TEMPLATE
    },
];

/// What all of them have in common.
const TEMPLATE: Spec = Spec {
    name: "",
    usage: "",
    summary: "",
    arity: 0,
    keys: Keys::ONE,
    flags: Flags::of(&[Write, DenyOom]),
    group: "string",
    since: "1.0.0",
    complexity: "O(N) where N is how many lives of nodes have counted the key",
    function: decrby,
};

fn decrby(call: &mut Call<'_>) -> Outcome {
    let by: i64 = integer(call.word(1))?;
    count(call, by.checked_neg().ok_or_else(|| Failure::error("decrement would overflow"))?)
}

fn count(call: &mut Call<'_>, by: i64) -> Outcome {
    let key = call.key(0)?;
    let sum = call.replica.increment(key, by).map_err(|why| match why {
        CannotCount::NotANumber => Failure::error("value is not an integer or out of range"),
        CannotCount::Overflow => Failure::error("increment or decrement would overflow"),
        CannotCount::TooManyWriters => Failure::error(format!(
            "nodes have started {MAX_WRITERS} times since this key was first counted: DEL it, wait until INFO shows \
             that it is forgotten (tombstones:0), and SET it to what it was"
        )),
    })?;
    call.host.changed(key);
    call.answer.signed(sum);
    DONE
}
