//! Commands of Redis that are understood only to be refused in the right way: transactions, and what a Redis replica
//! says. HELP and COMMAND do not show them.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::{Hidden, InRefusedTransaction, Loading};
use super::spec::{Flags, Keys, Spec};
use crate::framing::Form;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "MULTI",
        usage: "MULTI",
        summary: "refused: there are no transactions",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, InRefusedTransaction, Hidden]),
        group: "transactions",
        since: "1.2.0",
        complexity: "O(1)",
        function: multi,
    },
    Spec {
        name: "EXEC",
        usage: "EXEC",
        summary: "ends a refused transaction",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, InRefusedTransaction, Hidden]),
        group: "transactions",
        since: "1.2.0",
        complexity: "O(1)",
        function: exec,
    },
    Spec {
        name: "DISCARD",
        usage: "DISCARD",
        summary: "ends a refused transaction",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, InRefusedTransaction, Hidden]),
        group: "transactions",
        since: "2.0.0",
        complexity: "O(1)",
        function: discard,
    },
    Spec {
        name: "REPLCONF",
        usage: "REPLCONF",
        summary: "what a Redis replica says first",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, Hidden]),
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
        flags: Flags::of(&[Loading, Hidden]),
        group: "server",
        since: "2.8.0",
        complexity: "O(1)",
        function: psync,
    },
];

/// Sent for MULTI. A client library shows this text to its user.
const NO_TRANSACTIONS: &str = "transactions are not supported: send the commands without MULTI and EXEC \
                               (in redis-py: pipeline(transaction=False))";

/// Sent for the EXEC that ends a refused transaction.
const NOTHING_WAS_APPLIED: &str = "Transaction discarded because MULTI was refused: nothing of it was applied";

/// Sent to what takes this node for a Redis master, such as `redis-cli --rdb`.
pub(super) const NO_MASTER: &str = "this is no Redis master: it has neither a dump nor a stream for a replica";

fn multi(call: &mut Call<'_>) -> Outcome {
    call.conversation.in_refused_transaction = true;
    Err(Failure::error(NO_TRANSACTIONS))
}

fn exec(call: &mut Call<'_>) -> Outcome {
    match std::mem::take(&mut call.conversation.in_refused_transaction) {
        true => Err(Failure::new("EXECABORT", NOTHING_WAS_APPLIED)),
        false => Err(Failure::error("EXEC without MULTI")),
    }
}

fn discard(call: &mut Call<'_>) -> Outcome {
    if !std::mem::take(&mut call.conversation.in_refused_transaction) {
        return Err(Failure::error("DISCARD without MULTI"));
    }
    call.answer.ok();
    DONE
}

fn replconf(call: &mut Call<'_>) -> Outcome {
    // Typed into a terminal it means nothing.
    call.conversation.is_redis_replica = call.answer.form() != Form::Plain;
    Err(Failure::error(NO_MASTER))
}

fn psync(_: &mut Call<'_>) -> Outcome {
    Err(Failure::error(NO_MASTER))
}
