//! What a Redis replica says, which is understood only to be refused in the right way. HELP and COMMAND do not show it.

use super::call::{Call, Outcome};
use super::failure::Failure;
use super::spec::Flag::{Hidden, Loading, NoMulti};
use super::spec::{Flags, Keys, Spec};
use crate::framing::Form;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "REPLCONF",
        usage: "REPLCONF",
        summary: "what a Redis replica says first",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, NoMulti, Hidden]),
        group: "server",
        since: "3.0.0",
        complexity: "O(1)",
        function: replconf,
    },
    Spec {
        name: "PSYNC",
        usage: "PSYNC",
        summary: "asks a Redis master for its stream",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, NoMulti, Hidden]),
        group: "server",
        since: "2.8.0",
        complexity: "O(1)",
        function: psync,
    },
];

/// Sent to what takes this node for a Redis master, such as `redis-cli --rdb`.
pub(super) const NO_MASTER: &str = "this is no Redis master: it has neither a dump nor a stream for a replica";

fn replconf(call: &mut Call<'_>) -> Outcome {
    // Typed into a terminal it means nothing.
    call.conversation.is_redis_replica = call.answer.form() != Form::Plain;
    Err(Failure::error(NO_MASTER))
}

fn psync(_: &mut Call<'_>) -> Outcome {
    Err(Failure::error(NO_MASTER))
}
