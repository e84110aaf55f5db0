//! The node: its figures, its disk, its clock.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::info;
use super::spec::Flag::{Loading, Operator};
use super::spec::{Flags, Keys, Spec};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "INFO",
        usage: "INFO [section [section ...]]",
        summary: "the state of this node",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: info,
    },
    Spec {
        name: "BGSAVE",
        usage: "BGSAVE [SCHEDULE]",
        summary: "writes a snapshot to the disk, in the background",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Operator]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: bgsave,
    },
    Spec {
        name: "LASTSAVE",
        usage: "LASTSAVE",
        summary: "when the last snapshot was complete, in seconds since 1970",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: lastsave,
    },
    Spec {
        name: "TIME",
        usage: "TIME",
        summary: "this node's clock: seconds since 1970, and microseconds (a multiple of 1000)",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "2.6.0",
        complexity: "O(1)",
        function: time,
    },
];

fn info(call: &mut Call<'_>) -> Outcome {
    call.answer.text(&info::render(&call.host.stats(), call.args));
    DONE
}

fn bgsave(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    if call.args.get(0).is_some_and(|word| !word.eq_ignore_ascii_case(b"SCHEDULE")) {
        return Err(Failure::error(format!("unknown option: type {}", call.spec.usage)));
    }
    if let Some(failed) = call.host.disk_failure() {
        return Err(Failure::new("MISCONF", format!("{failed}; a snapshot is tried every 5 seconds")));
    }
    if !call.host.save() {
        return Err(Failure::error("this node has no disk: start it with --data DIR"));
    }
    call.answer.status("Background saving started");
    DONE
}

fn lastsave(call: &mut Call<'_>) -> Outcome {
    let disk = call.host.stats().disk;
    call.answer.integer(disk.map_or(0, |disk| disk.saved_at as usize));
    DONE
}

fn time(call: &mut Call<'_>) -> Outcome {
    let millis = call.replica.wall().millis();
    call.answer.list(2);
    call.answer.texts([&*(millis / 1000).to_string(), &*(millis % 1000 * 1000).to_string()]);
    call.answer.end();
    DONE
}
