//! What last write wins has thrown away.

use std::sync::Arc;

use super::answer::Answer;
use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{Loading, Readonly};
use super::spec::{Flags, Keys, Spec};
use super::too_long;
use super::words::{check_key, parse_number, token, upper};
use crate::framing::Form;
use crate::replication::conflicts::{Noticed, Sentence};
use crate::store::causality::Conflict;

/// The family's part of the table. Redis has none of these.
pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "CONFLICTS",
    usage: "CONFLICTS [count|LEN|RESET|KEY key]",
    summary: "writes that were overruled by one that had not seen them; the newest 10, or so many (-1: all)",
    arity: -1,
    keys: Keys::NONE,
    flags: Flags::of(&[Readonly, Loading]),
    group: "agreement",
    since: "0.1.0",
    complexity: "O(N) where N is the number of conflicts that are kept",
    function: conflicts,
}];

/// How many conflicts are shown unless the client says how many: as SLOWLOG GET does.
const SHOWN: usize = 10;

/// About what a conflict takes in an answer beside its key and values.
const ANSWER_BYTES: usize = 400;

fn conflicts(call: &mut Call<'_>) -> Outcome {
    let kept = call.replica.conflicts();
    let wrong = || Failure::error("type CONFLICTS, CONFLICTS 20, CONFLICTS KEY key, CONFLICTS LEN or CONFLICTS RESET");
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("", 0) => show(call, &kept.newest(SHOWN)),
        ("LEN", 1) => {
            call.answer.integer(kept.counts().kept);
            DONE
        }
        ("RESET", 1) => {
            call.for_operators()?;
            kept.reset();
            call.answer.ok();
            DONE
        }
        ("KEY", 2) => show(call, &kept.of(check_key(call.word(1))?)),
        ("-1", 1) => show(call, &kept.newest(usize::MAX)),
        (_, 1) => show(call, &kept.newest(parse_number(call.word(0)).ok_or_else(wrong)?)),
        _ => Err(wrong()),
    }
}

fn show(call: &mut Call<'_>, all: &[Arc<Noticed>]) -> Outcome {
    let is_plain = call.answer.form() == Form::Plain;
    // In a plain line a byte of a value takes up to four.
    let factor = if is_plain { 4 } else { 1 };
    let bytes: usize = all.iter().map(|noticed| factor * noticed.conflict.bytes() + ANSWER_BYTES).sum();
    if !call.has_room_for(bytes) {
        return call.no_room("ERR", too_long("CONFLICTS with a smaller number"));
    }
    call.answer.list(all.len());
    for noticed in all {
        match is_plain {
            true => {
                let line = format!("{} {}", noticed.at.rfc3339(), Sentence::whole(noticed));
                call.answer.value(Some(line.as_bytes()));
            }
            false => write_map(&mut call.answer, noticed),
        }
    }
    call.answer.end();
    DONE
}

/// A conflict for programs. A value that is shorter than its length was cut; one that is nothing was a delete.
fn write_map(answer: &mut Answer<'_>, noticed: &Noticed) {
    let Noticed { at, conflict: Conflict { key, kept, lost } } = noticed;
    let texts =
        [("noticed", at.rfc3339()), ("kept_version", token(kept.version)), ("lost_version", token(lost.version))];
    answer.map(8);
    answer.texts(["key"]);
    answer.value(Some(key));
    for (name, text) in texts {
        answer.texts([name, text.as_str()]);
    }
    for (names, write) in [(["kept_value", "kept_length"], kept), (["lost_value", "lost_length"], lost)] {
        let (bytes, length) = write.value.as_ref().map_or((None, 0), |value| (Some(&*value.bytes), value.length));
        answer.texts([names[0]]);
        answer.value(bytes);
        answer.texts([names[1]]);
        answer.integer(length);
    }
}
