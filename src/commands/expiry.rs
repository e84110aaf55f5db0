//! Keys that expire: setting, reading and taking away deadlines. EXPIRE and PERSIST are writes of the same value:
//! between nodes the later write wins, as with SET.

use std::borrow::Cow;

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{Readonly, Write};
use super::spec::{Flags, Keys, Spec};
use super::words::{integer, parse_number, upper};
use crate::framing::printable;
use crate::store::Change;
use crate::store::content::Content;
use crate::store::deadline::Deadline;
use crate::store::record::Record;

/// A command that sets a deadline.
const fn setting(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    since: &'static str,
    function: fn(&mut Call<'_>) -> Outcome,
) -> Spec {
    let (arity, keys, flags) = (-3, Keys::ONE, Flags::of(&[Write]));
    Spec { name, usage, summary, arity, keys, flags, group: "generic", since, complexity: "O(1)", function }
}

/// A command that reads a deadline.
const fn reading(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    since: &'static str,
    function: fn(&mut Call<'_>) -> Outcome,
) -> Spec {
    let (arity, keys, flags) = (2, Keys::ONE, Flags::of(&[Readonly]));
    Spec { name, usage, summary, arity, keys, flags, group: "generic", since, complexity: "O(1)", function }
}

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    setting(
        "EXPIRE",
        "EXPIRE key seconds [NX|XX|GT|LT]",
        "the key is deleted after so many seconds; 1, or 0 if it is not there",
        "1.0.0",
        |call| expire(call, Unit::Seconds, Base::Now),
    ),
    setting("PEXPIRE", "PEXPIRE key milliseconds [NX|XX|GT|LT]", "the same in milliseconds", "2.6.0", |call| {
        expire(call, Unit::Millis, Base::Now)
    }),
    setting(
        "EXPIREAT",
        "EXPIREAT key unix-time-seconds [NX|XX|GT|LT]",
        "the key is deleted at this time",
        "1.2.0",
        |call| expire(call, Unit::Seconds, Base::Epoch),
    ),
    setting(
        "PEXPIREAT",
        "PEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT]",
        "the same in milliseconds",
        "2.6.0",
        |call| expire(call, Unit::Millis, Base::Epoch),
    ),
    reading("TTL", "TTL key", "how many seconds are left; -1: for ever, -2: there is no such key", "1.0.0", |call| {
        time_left(call, Unit::Seconds, Base::Now)
    }),
    reading("PTTL", "PTTL key", "the same in milliseconds", "2.6.0", |call| time_left(call, Unit::Millis, Base::Now)),
    reading(
        "EXPIRETIME",
        "EXPIRETIME key",
        "when the key is deleted, in seconds since 1970; -1: never, -2: there is no such key",
        "7.0.0",
        |call| time_left(call, Unit::Seconds, Base::Epoch),
    ),
    reading("PEXPIRETIME", "PEXPIRETIME key", "the same in milliseconds", "7.0.0", |call| {
        time_left(call, Unit::Millis, Base::Epoch)
    }),
    Spec {
        name: "PERSIST",
        usage: "PERSIST key",
        summary: "the key stays for ever; 1, or 0 if it has no deadline",
        arity: 2,
        keys: Keys::ONE,
        flags: Flags::of(&[Write]),
        group: "generic",
        since: "2.2.0",
        complexity: "O(1)",
        function: persist,
    },
];

/// In what a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
}

/// From when on a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Now,
    Epoch,
}

/// Milliseconds since 1970 in a word that gives a time. Negative times lie before that.
fn millis_in(call: &Call<'_>, word: &[u8], unit: Unit, base: Base) -> Result<i64, Failure> {
    let number: i64 = integer(word)?;
    let millis = if unit == Unit::Seconds { number.checked_mul(1000) } else { Some(number) };
    let base = if base == Base::Now { call.replica.wall().millis() as i64 } else { 0 };
    millis.and_then(|millis| millis.checked_add(base)).ok_or_else(|| invalid_time(call))
}

fn invalid_time(call: &Call<'_>) -> Failure {
    Failure::error(format!("invalid expire time in '{}' command", call.spec.name.to_ascii_lowercase()))
}

/// The deadline in a word that gives a time, which must be above 0, as SET and its like have it.
pub(super) fn deadline_in(call: &Call<'_>, word: &[u8], unit: Unit, base: Base) -> Result<Deadline, Failure> {
    let is_positive = parse_number::<i64>(word).is_none_or(|number| number > 0);
    let millis = millis_in(call, word, unit, base)?;
    let deadline = u64::try_from(millis).ok().and_then(Deadline::from_millis);
    deadline.filter(|_| is_positive).ok_or_else(|| invalid_time(call))
}

/// The unit and base of an option of SET or GETEX, such as `EX`.
pub(super) fn unit_of(option: &str) -> Option<(Unit, Base)> {
    match option {
        "EX" => Some((Unit::Seconds, Base::Now)),
        "PX" => Some((Unit::Millis, Base::Now)),
        "EXAT" => Some((Unit::Seconds, Base::Epoch)),
        "PXAT" => Some((Unit::Millis, Base::Epoch)),
        _ => None,
    }
}

/// When EXPIRE sets a deadline.
#[derive(Clone, Copy, Debug, Default)]
struct Condition {
    /// NX: only if there is none.
    only_first: bool,
    /// XX: only if there is one.
    only_other: bool,
    /// GT: only a later one. No deadline is later than any.
    only_later: bool,
    /// LT: only an earlier one.
    only_earlier: bool,
}

impl Condition {
    fn parse(call: &Call<'_>) -> Result<Self, Failure> {
        let mut condition = Self::default();
        for word in call.args.from(2).iter() {
            match upper(word).as_str() {
                "NX" => condition.only_first = true,
                "XX" => condition.only_other = true,
                "GT" => condition.only_later = true,
                "LT" => condition.only_earlier = true,
                _ => return Err(Failure::error(format!("Unsupported option {}", printable(word)))),
            }
        }
        let Self { only_first, only_other, only_later, only_earlier } = condition;
        if only_first && (only_other || only_later || only_earlier) {
            let why = "NX and XX, GT or LT options at the same time are not compatible";
            return Err(Failure::error(why));
        }
        if only_later && only_earlier {
            return Err(Failure::error("GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    fn allows(self, present: Option<Deadline>, millis: i64) -> bool {
        let present = present.map(|deadline| deadline.millis() as i64);
        (!self.only_first || present.is_none())
            && (!self.only_other || present.is_some())
            && (!self.only_later || present.is_some_and(|present| millis > present))
            && (!self.only_earlier || present.is_none_or(|present| millis < present))
    }
}

fn expire(call: &mut Call<'_>, unit: Unit, base: Base) -> Outcome {
    let (key, condition) = (call.key(0)?, Condition::parse(call)?);
    let millis = millis_in(call, call.word(1), unit, base)?;
    let now = call.replica.wall().millis();
    let deadline = u64::try_from(millis).ok().filter(|&millis| millis > now).and_then(Deadline::from_millis);
    let is_set = call.update(key, |content| match content {
        Some(content) if condition.allows(content.deadline(), millis) => {
            // A time that is over deletes the key.
            (deadline.map_or(Change::Delete, |deadline| same_value(content, Some(deadline))), true)
        }
        _ => (Change::Nothing, false),
    });
    call.answer.integer(usize::from(is_set));
    DONE
}

/// The same value, with another deadline.
pub(super) fn same_value(content: Content<'_>, deadline: Option<Deadline>) -> Change<'static> {
    Change::Value(Cow::Owned(content.value().unwrap_or_default().to_vec()), deadline)
}

fn persist(call: &mut Call<'_>) -> Outcome {
    let has_changed = call.update(call.key(0)?, |content| match content {
        Some(content) if content.deadline().is_some() => (same_value(content, None), true),
        _ => (Change::Nothing, false),
    });
    call.answer.integer(usize::from(has_changed));
    DONE
}

fn time_left(call: &mut Call<'_>, unit: Unit, base: Base) -> Outcome {
    let (key, now) = (call.key(0)?, call.replica.wall());
    let deadline = |record: &Record| record.value(|| now).map(|(_, deadline)| deadline);
    let answer = match call.replica.store().look(key, |record| record.and_then(deadline)) {
        None => -2,
        Some(deadline) => deadline.map_or(-1, |deadline| {
            let millis = deadline.millis() - if base == Base::Now { now.millis() } else { 0 };
            (if unit == Unit::Seconds { (millis + 500) / 1000 } else { millis }) as i64
        }),
    };
    call.answer.signed(answer);
    DONE
}
