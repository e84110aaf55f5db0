//! Values: reading and writing them.

use std::borrow::Cow;

use super::call::{Call, DONE, Outcome};
use super::expiry::{Base, Unit, deadline_in};
use super::failure::{Failure, TOO_MANY_ANSWERS};
use super::spec::Flag::{DenyOom, Readonly, RestIsText, Write};
use super::spec::{Flags, Keys, Spec};
use super::store_options::{Condition, Expiry, StoreOptions};
use super::too_long;
use super::words::{check_key, check_value, integer};
use crate::limits::MAX_VALUE_BYTES;
use crate::store::Change;
use crate::store::content::Content;

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
        usage: "SET key value [NX|XX|IFEQ value] [GET] [EX seconds|PX ms|EXAT time|PXAT time|KEEPTTL]",
        summary: "stores; a plain line ends with the value",
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
        summary: "stores several values in one step",
        arity: -3,
        keys: Keys::PAIRS,
        flags: Flags::of(&[Write, DenyOom]),
        group: "string",
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys",
        function: mset,
    },
    Spec {
        name: "MSETNX",
        usage: "MSETNX key value [key value ...]",
        summary: "stores several values if this node holds none of the keys; 1 or 0",
        arity: -3,
        keys: Keys::PAIRS,
        flags: Flags::of(&[Write, DenyOom]),
        group: "string",
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys",
        function: msetnx,
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
    entry("SETEX", "SETEX key seconds value", "stores the value for so many seconds", 4, "2.0.0", Kind::Text, |call| {
        set_for(call, Unit::Seconds)
    }),
    entry("PSETEX", "PSETEX key milliseconds value", "the same in milliseconds", 4, "2.6.0", Kind::Text, |call| {
        set_for(call, Unit::Millis)
    }),
    entry(
        "SETNX",
        "SETNX key value",
        "stores the value if this node holds none; 1 or 0",
        3,
        "1.0.0",
        Kind::Text,
        setnx,
    ),
    entry("GETSET", "GETSET key value", "stores the value; answers the one before", 3, "1.0.0", Kind::Text, getset),
    entry("GETDEL", "GETDEL key", "the value; the key is deleted", 2, "6.2.0", Kind::Delete, getdel),
    entry(
        "GETEX",
        "GETEX key [EX seconds|PX ms|EXAT time|PXAT time|PERSIST]",
        "the value; when it expires is changed",
        -2,
        "6.2.0",
        Kind::Write,
        getex,
    ),
    entry(
        "DELIFEQ",
        "DELIFEQ key value",
        "deletes the key if it has this value here; 1 or 0",
        3,
        "0.1.0",
        Kind::Delete,
        delifeq,
    ),
    entry("APPEND", "APPEND key value", "appends to the value; answers its length", 3, "2.0.0", Kind::Text, append),
    entry(
        "SETRANGE",
        "SETRANGE key offset value",
        "overwrites a part of the value; answers its length",
        4,
        "2.2.0",
        Kind::Text,
        setrange,
    ),
    entry(
        "GETRANGE",
        "GETRANGE key start end",
        "a part of the value; from -1 on counted from its end",
        4,
        "2.4.0",
        Kind::Read,
        getrange,
    ),
    entry("SUBSTR", "SUBSTR key start end", "the same as GETRANGE", 4, "1.0.0", Kind::Read, getrange),
];

/// What a command does with its key.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    /// It writes, and its last word is the rest of a plain line.
    Text,
    Delete,
}

/// A command with one key.
const fn entry(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    arity: i32,
    since: &'static str,
    kind: Kind,
    function: fn(&mut Call<'_>) -> Outcome,
) -> Spec {
    let flags = match kind {
        Kind::Read => Flags::of(&[Readonly]),
        Kind::Write => Flags::of(&[Write, DenyOom]),
        Kind::Text => Flags::of(&[Write, DenyOom, RestIsText]),
        Kind::Delete => Flags::of(&[Write]),
    };
    Spec { name, usage, summary, arity, keys: Keys::ONE, flags, group: "string", since, complexity: "O(1)", function }
}

fn get(call: &mut Call<'_>) -> Outcome {
    let key = call.key(0)?;
    call.replica.get(key, |value| call.answer_value(value))
}

fn set(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.key(0)?, check_value(call.word(1))?);
    if call.args.len() == 2 {
        call.write(key, Content::Value(value));
        call.answer.ok();
        return DONE;
    }
    let options = StoreOptions::parse(call)?;
    store_if(call, key, value, options)
}

/// SET with options: judges the condition and stores in one step.
fn store_if(call: &mut Call<'_>, key: &[u8], value: &[u8], options: StoreOptions<'_>) -> Outcome {
    let StoreOptions { condition, expiry, answers_old } = options;
    let (replica, mut stored) = (call.replica, false);
    let (has_changed, has_room) = replica.update(key, |content| {
        if answers_old && !call.add_value(content.and_then(Content::value)) {
            return (Change::Nothing, false);
        }
        stored = condition.holds(content);
        let deadline = expiry.deadline(content);
        (if stored { Change::Value(Cow::Borrowed(value), deadline) } else { Change::Nothing }, true)
    });
    if has_changed {
        call.host.changed(key);
    }
    match (has_room, answers_old) {
        (false, _) => return call.no_room("OOM", TOO_MANY_ANSWERS),
        (true, true) => {}
        (true, false) if stored => call.answer.ok(),
        (true, false) => call.answer.absent("not stored"),
    }
    DONE
}

fn set_for(call: &mut Call<'_>, unit: Unit) -> Outcome {
    let (key, value) = (call.key(0)?, check_value(call.word(2))?);
    let deadline = deadline_in(call, call.word(1), unit, Base::Now)?;
    call.write(key, Content::Expiring(value, deadline));
    call.answer.ok();
    DONE
}

fn setnx(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.key(0)?, check_value(call.word(1))?);
    let is_stored = call.update(key, |content| match content {
        None => (Change::Value(Cow::Borrowed(value), None), true),
        Some(_) => (Change::Nothing, false),
    });
    call.answer.integer(usize::from(is_stored));
    DONE
}

fn getset(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.key(0)?, check_value(call.word(1))?);
    let options = StoreOptions { condition: Condition::Always, expiry: Expiry::Never, answers_old: true };
    store_if(call, key, value, options)
}

/// Answers the value of a key and changes it in one step, unless it is absent.
fn answer_and_change(call: &mut Call<'_>, key: &[u8], change: impl FnOnce(Content<'_>) -> Change<'static>) -> Outcome {
    let replica = call.replica;
    let (has_changed, has_room) = replica.update(key, |content| {
        let has_room = call.add_value(content.and_then(Content::value));
        (content.filter(|_| has_room).map_or(Change::Nothing, change), has_room)
    });
    if has_changed {
        call.host.changed(key);
    }
    if has_room { DONE } else { call.no_room("OOM", TOO_MANY_ANSWERS) }
}

fn getdel(call: &mut Call<'_>) -> Outcome {
    answer_and_change(call, call.key(0)?, |_| Change::Delete)
}

fn getex(call: &mut Call<'_>) -> Outcome {
    let key = call.key(0)?;
    let expiry = Expiry::of_getex(call, call.replica.get(key, |value| value.is_some()))?;
    let now = call.replica.wall();
    answer_and_change(call, key, |content| expiry.change(content, now))
}

fn delifeq(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.key(0)?, call.word(1));
    let is_deleted = call.update(key, |content| match content.and_then(Content::value) {
        Some(present) if present == value => (Change::Delete, true),
        _ => (Change::Nothing, false),
    });
    call.answer.integer(usize::from(is_deleted));
    DONE
}

fn append(call: &mut Call<'_>) -> Outcome {
    let (key, tail) = (call.key(0)?, call.word(1));
    overwrite(call, key, None, tail)
}

fn setrange(call: &mut Call<'_>) -> Outcome {
    let (key, part) = (call.key(0)?, call.word(2));
    let offset: i64 = integer(call.word(1))?;
    let offset = usize::try_from(offset).map_err(|_| Failure::error("offset is out of range"))?;
    overwrite(call, key, Some(offset), part)
}

/// Writes `part` into the value of a key, from `offset` on, or at its end. What lies between is filled with zeros. An
/// absent key counts as empty; nothing is written if `part` is empty. When it expires stays.
fn overwrite(call: &mut Call<'_>, key: &[u8], offset: Option<usize>, part: &[u8]) -> Outcome {
    let length = call.update(key, |content| {
        let (value, deadline) =
            (content.and_then(Content::value).unwrap_or_default(), content.and_then(Content::deadline));
        let from = offset.unwrap_or(value.len());
        let Some(to) = from.checked_add(part.len()).filter(|&to| to <= MAX_VALUE_BYTES || part.is_empty()) else {
            return (Change::Nothing, None);
        };
        if part.is_empty() && (content.is_some() || offset.is_some()) {
            return (Change::Nothing, Some(value.len()));
        }
        let mut value = value.to_vec();
        value.resize(value.len().max(to), 0);
        value[from..to].copy_from_slice(part);
        let length = value.len();
        (Change::Value(Cow::Owned(value), deadline), Some(length))
    });
    let too_long = || Failure::error("string exceeds maximum allowed size (proto-max-bulk-len)");
    call.answer.integer(length.ok_or_else(too_long)?);
    DONE
}

fn getrange(call: &mut Call<'_>) -> Outcome {
    let key = call.key(0)?;
    let (start, end): (i64, i64) = (integer(call.word(1))?, integer(call.word(2))?);
    call.replica.get(key, |value| call.answer_value(Some(range_of(value.unwrap_or_default(), start, end))))
}

/// The bytes from `start` to `end`, both included; negative numbers count from the end, -1 being the last.
fn range_of(value: &[u8], start: i64, end: i64) -> &[u8] {
    let length = value.len() as i64;
    let from_front = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let (start, end) = (from_front(start).max(0), from_front(end).max(0).min(length - 1));
    if start > end { &[] } else { &value[start as usize..=end as usize] }
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
    let pairs = pairs(call)?;
    call.in_one_step(|call| pairs.iter().for_each(|(key, value)| call.write(key, Content::Value(value))));
    call.answer.ok();
    DONE
}

fn msetnx(call: &mut Call<'_>) -> Outcome {
    let pairs = pairs(call)?;
    let is_stored = call.in_one_step(|call| {
        let is_new = pairs.iter().all(|(key, _)| !call.replica.get(key, |value| value.is_some()));
        pairs.iter().filter(|_| is_new).for_each(|(key, value)| call.write(key, Content::Value(value)));
        is_new
    });
    call.answer.integer(usize::from(is_stored));
    DONE
}

/// A key and a value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// Keys and values in turn. All are checked before the first is stored.
fn pairs<'a>(call: &Call<'a>) -> Result<Vec<Pair<'a>>, Failure> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Failure::wrong_arity(call.spec, call.answer.form()));
    }
    let pair = |index| Ok((check_key(call.word(index))?, check_value(call.word(index + 1))?));
    (0..call.args.len()).step_by(2).map(pair).collect()
}

fn strlen(call: &mut Call<'_>) -> Outcome {
    let length = call.replica.get(call.key(0)?, |value| value.map_or(0, <[u8]>::len));
    call.answer.integer(length);
    DONE
}
