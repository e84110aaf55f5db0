//! Changes that are about two keys: RENAME and COPY. A deadline goes along with its value.
//!
//! On the node that takes it, no client sees half of such a change. A peer gets two writes, the new key first, and may
//! show both keys for a moment.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{DenyOom, Write};
use super::spec::{Flags, Keys, Spec};
use super::words::{check_database, upper};
use crate::framing::Args;
use crate::store::Change;
use crate::store::content::Content;
use crate::store::deadline::Deadline;
use crate::store::record::Record;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "RENAME",
        usage: "RENAME key newkey",
        summary: "puts the value under another key, whatever stands there",
        arity: 3,
        keys: Keys::TWO,
        flags: Flags::of(&[Write, DenyOom]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(1)",
        function: rename,
    },
    Spec {
        name: "RENAMENX",
        usage: "RENAMENX key newkey",
        summary: "the same, if nothing stands there: 1, otherwise 0",
        arity: 3,
        keys: Keys::TWO,
        flags: Flags::of(&[Write, DenyOom]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(1)",
        function: renamenx,
    },
    Spec {
        name: "COPY",
        usage: "COPY source destination [DB n] [REPLACE]",
        summary: "copies the value, if nothing stands there or with REPLACE: 1, otherwise 0",
        arity: -3,
        keys: Keys::TWO,
        flags: Flags::of(&[Write, DenyOom]),
        group: "generic",
        since: "6.2.0",
        complexity: "O(1)",
        function: copy,
    },
];

fn rename(call: &mut Call<'_>) -> Outcome {
    let (from, to) = (call.key(0)?, call.key(1)?);
    call.in_one_step(|call| {
        let source = live(call, from).ok_or_else(no_such_key)?;
        if from != to {
            call.write(to, source.content());
            call.delete(from);
        }
        call.answer.ok();
        DONE
    })
}

fn renamenx(call: &mut Call<'_>) -> Outcome {
    let (from, to) = (call.key(0)?, call.key(1)?);
    call.in_one_step(|call| {
        let source = live(call, from).ok_or_else(no_such_key)?;
        let renames = put_if_absent(call, to, source.content());
        if renames {
            call.delete(from);
        }
        call.answer.integer(usize::from(renames));
        DONE
    })
}

fn copy(call: &mut Call<'_>) -> Outcome {
    let (from, to) = (call.key(0)?, call.key(1)?);
    let replaces = replaces(call.args.from(2))?;
    if from == to {
        return Err(Failure::error("source and destination objects are the same"));
    }
    call.in_one_step(|call| {
        let copies = live(call, from).is_some_and(|source| match source.content() {
            content if !replaces => put_if_absent(call, to, content),
            content => {
                call.write(to, content);
                true
            }
        });
        call.answer.integer(usize::from(copies));
        DONE
    })
}

/// Whether the options of a COPY say REPLACE.
fn replaces(options: Args<'_>) -> Result<bool, Failure> {
    let mut replaces = false;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match (upper(option).as_str(), options.len()) {
            ("REPLACE", _) => replaces = true,
            ("DB", 1..) => check_database(options.next().unwrap_or_default())?,
            _ => return Err(Failure::error("syntax error: type COPY source destination [DB n] [REPLACE]")),
        }
    }
    Ok(replaces)
}

fn no_such_key() -> Failure {
    Failure::error("no such key")
}

/// A copy of a key's value, with its deadline.
struct Source {
    value: Vec<u8>,
    deadline: Option<Deadline>,
}

impl Source {
    fn content(&self) -> Content<'_> {
        Content::until(&self.value, self.deadline)
    }
}

/// A copy of the value of a key, if it has one.
fn live(call: &Call<'_>, key: &[u8]) -> Option<Source> {
    let value = |record: &Record| {
        let (value, deadline) = record.value(|| call.replica.wall())?;
        Some(Source { value: value.into_owned(), deadline })
    };
    call.replica.store().look(key, |record| record.and_then(value))
}

/// Stores a value with its deadline under a key that has none. Returns whether it had none.
fn put_if_absent(call: &Call<'_>, key: &[u8], content: Content<'_>) -> bool {
    call.update(key, |present| match (present, content.value()) {
        (None, Some(value)) => (Change::Value(value.into(), content.deadline()), true),
        _ => (Change::Nothing, false),
    })
}
