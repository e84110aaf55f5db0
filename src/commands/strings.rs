//! Values: reading and writing them.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{DenyOom, Readonly, RestIsText, Write};
use super::spec::{Flags, Keys, Spec};
use super::too_long;
use super::words::{check_key, check_value};

/// The family's part of the table, the frequent commands first: names are looked up in this order.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "GET",
        usage: "GET key",
        summary: "the value, or `Key not found`",
        arity: 2,
        keys: Keys::ONE,
        flags: Flags::of(&[Readonly]),
        group: "string",
        since: "1.0.0",
        complexity: "O(1)",
        function: get,
    },
    Spec {
        name: "SET",
        usage: "SET key value",
        summary: "stores the value; in a plain line, all that follows the key (also EX 60), or one \"string\"",
        arity: -3,
        keys: Keys::ONE,
        flags: Flags::of(&[Write, DenyOom, RestIsText]),
        group: "string",
        since: "1.0.0",
        complexity: "O(1)",
        function: set,
    },
    Spec {
        name: "MGET",
        usage: "MGET key [key ...]",
        summary: "the values of several keys",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[Readonly]),
        group: "string",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys",
        function: mget,
    },
    Spec {
        name: "MSET",
        usage: "MSET key value [key value ...]",
        summary: "stores several values, one after the other",
        arity: -3,
        keys: Keys::PAIRS,
        flags: Flags::of(&[Write, DenyOom]),
        group: "string",
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys",
        function: mset,
    },
    Spec {
        name: "STRLEN",
        usage: "STRLEN key",
        summary: "how many bytes the value has; 0 if there is none",
        arity: 2,
        keys: Keys::ONE,
        flags: Flags::of(&[Readonly]),
        group: "string",
        since: "2.2.0",
        complexity: "O(1)",
        function: strlen,
    },
];

fn get(call: &mut Call<'_>) -> Outcome {
    let key = call.key(0)?;
    call.replica.get(key, |value| call.answer_value(value))
}

fn set(call: &mut Call<'_>) -> Outcome {
    if call.args.len() > 2 {
        return Err(Failure::error("SET takes no options such as EX or NX: type SET key value"));
    }
    call.set(call.key(0)?, check_value(call.word(1))?);
    call.answer.ok();
    DONE
}

fn mget(call: &mut Call<'_>) -> Outcome {
    let keys = call.keys()?;
    call.answer.list(keys.len());
    for key in keys.iter() {
        if !call.replica.get(key, |value| call.add_value(value)) {
            return call.no_room("ERR", too_long("MGET with fewer keys"));
        }
    }
    call.answer.end();
    DONE
}

fn mset(call: &mut Call<'_>) -> Outcome {
    if !call.args.len().is_multiple_of(2) {
        return Err(Failure::wrong_arity(call.spec));
    }
    let pairs = || (0..call.args.len()).step_by(2).map(|index| (call.word(index), call.word(index + 1)));
    // All are checked before the first is stored.
    for (key, value) in pairs() {
        check_key(key)?;
        check_value(value)?;
    }
    pairs().for_each(|(key, value)| call.set(key, value));
    call.answer.ok();
    DONE
}

fn strlen(call: &mut Call<'_>) -> Outcome {
    let length = call.replica.get(call.key(0)?, |value| value.map_or(0, <[u8]>::len));
    call.answer.integer(length);
    DONE
}
