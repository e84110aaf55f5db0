//! Waiting: until peers hold what the client has written, until it is on disks, until an entry has come here.

use std::time::Duration;

use super::call::{Call, DONE, Flow, Outcome};
use super::failure::Failure;
use super::spec::{Flags, Keys, Spec};
use super::words::{integer, parse_number, parse_token};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "WAIT",
        usage: "WAIT numreplicas timeout",
        summary: "waits until so many peers hold all that this connection wrote; at most so many ms (0: for ever)",
        arity: 3,
        keys: Keys::NONE,
        flags: Flags::NONE,
        group: "generic",
        since: "3.0.0",
        complexity: "O(N) where N is the number of peers",
        function: wait,
    },
    Spec {
        name: "WAITAOF",
        usage: "WAITAOF numlocal numreplicas timeout",
        summary: "the same, until it is on the disk of this node (1) or not (0), and of so many peers",
        arity: 4,
        keys: Keys::NONE,
        flags: Flags::NONE,
        group: "generic",
        since: "7.2.0",
        complexity: "O(N) where N is the number of peers",
        function: waitaof,
    },
    Spec {
        name: "WAITFOR",
        usage: "WAITFOR key version timeout",
        summary: "waits until this node holds what VERSION said of the key, or newer; at most so many ms",
        arity: 4,
        keys: Keys::ONE,
        flags: Flags::of(&[super::spec::Flag::Readonly]),
        group: "agreement",
        since: "0.1.0",
        complexity: "O(1)",
        function: waitfor,
    },
];

fn wait(call: &mut Call<'_>) -> Outcome {
    let (peers, patience) = (integer(call.word(0))?, patience(call.word(1))?);
    let Some(patience) = call.begin_waiting(patience) else { return Ok(Flow::NoRoomYet) };
    let held = call.host.wait_for_peers(peers, patience);
    call.answer.integer(held);
    DONE
}

fn waitaof(call: &mut Call<'_>) -> Outcome {
    let local = match integer(call.word(0))? {
        0 => false,
        1 => true,
        _ => return Err(Failure::error("value is out of range, must be between 0 and 1")),
    };
    let (peers, patience) = (integer(call.word(1))?, patience(call.word(2))?);
    if local && !call.host.has_disk() {
        return Err(Failure::error("WAITAOF cannot be used when numlocal is set but appendonly is disabled (--data)"));
    }
    let Some(patience) = call.begin_waiting(patience) else { return Ok(Flow::NoRoomYet) };
    let (local, peers) =
        call.host.wait_for_disks(local, peers, patience).map_err(|failed| Failure::without_disk(&failed))?;
    call.answer.list(2);
    call.answer.integer(usize::from(local));
    call.answer.integer(peers);
    call.answer.end();
    DONE
}

fn waitfor(call: &mut Call<'_>) -> Outcome {
    let wrong = || Failure::error("a version is what VERSION answers: type WAITFOR key \"2026-11-24T… node 1\" 1000");
    let (key, version) = (call.key(0)?, parse_token(call.word(1)).ok_or_else(wrong)?);
    let patience = patience(call.word(2))?;
    let Some(patience) = call.begin_waiting(patience) else { return Ok(Flow::NoRoomYet) };
    let holds = call.host.wait_for_entry(key, version, patience);
    call.answer.integer(usize::from(holds));
    DONE
}

/// How long to wait: a number of milliseconds, 0 for ever.
fn patience(word: &[u8]) -> Result<Option<Duration>, Failure> {
    let millis: i64 = parse_number(word).ok_or_else(|| Failure::error("timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Failure::error("timeout is negative"))?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
