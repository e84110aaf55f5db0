//! Transactions: several commands in one step.
//!
//! MULTI begins to queue, EXEC carries out what was queued while no other client of this node, and no peer's entry,
//! comes between. WATCH makes that conditional: EXEC applies nothing if a watched key was written since, here or by a
//! peer's write that has arrived here. Together they are optimistic locking: read, decide, and write if nothing has
//! changed meanwhile.
//!
//! All of this is judged by one node. Two clients that run the same transaction at two nodes may both succeed; then the
//! later write of each key wins, and CONFLICTS shows the other. And a peer receives the writes of a transaction one by
//! one, so its clients may see some of them before the others. A store that promises more must ask a majority of nodes
//! before it answers (consensus), and refuse when it cannot reach one.
//!
//! How one step is made of several writes stands in [`steps`](crate::replication::steps). As in Redis, nothing is
//! rolled back: a command that fails inside EXEC has its error in its place, and the others are carried out. Only the
//! time goes on: a value can expire between two commands of one EXEC.

use super::call::{Call, DONE, Flow, Outcome, check_memory_and_disk};
use super::failure::{Failure, TOO_MANY_ANSWERS};
use super::queued::{Transaction, Watches};
use super::spec::Flag::{Loading, NeverQueued, Write};
use super::spec::{Flags, Keys, Spec};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "MULTI",
        usage: "MULTI",
        summary: "queues the commands that follow, until EXEC",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, NeverQueued]),
        group: "transactions",
        since: "1.2.0",
        complexity: "O(1)",
        function: multi,
    },
    Spec {
        name: "EXEC",
        usage: "EXEC",
        summary: "carries out what was queued, in one step on this node",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, NeverQueued]),
        group: "transactions",
        since: "1.2.0",
        complexity: "that of the queued commands",
        function: exec,
    },
    Spec {
        name: "DISCARD",
        usage: "DISCARD",
        summary: "drops what was queued, and no longer watches",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading, NeverQueued]),
        group: "transactions",
        since: "2.0.0",
        complexity: "O(1)",
        function: discard,
    },
    Spec {
        name: "WATCH",
        usage: "WATCH key [key ...]",
        summary: "lets the next EXEC apply nothing if one of these keys changes before it",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[NeverQueued]),
        group: "transactions",
        since: "2.2.0",
        complexity: "O(N) where N is the number of keys",
        function: watch,
    },
    Spec {
        name: "UNWATCH",
        usage: "UNWATCH",
        summary: "no longer watches any key",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "transactions",
        since: "2.2.0",
        complexity: "O(1)",
        function: unwatch,
    },
];

/// Sent for the EXEC of a transaction into which a command could not be queued.
const NOTHING_WAS_APPLIED: &str = "Transaction discarded because of previous errors: nothing of it was applied";

/// The plain answer to an EXEC that applies nothing because of WATCH.
const HAS_CHANGED: &str = "Nothing applied: a watched key has changed";

fn multi(call: &mut Call<'_>) -> Outcome {
    if call.conversation.transaction.is_some() {
        return Err(Failure::error("MULTI calls can not be nested"));
    }
    call.conversation.transaction = Some(Transaction::default());
    call.answer.ok();
    DONE
}

fn exec(call: &mut Call<'_>) -> Outcome {
    let transaction = call.conversation.transaction.take().ok_or_else(|| Failure::error("EXEC without MULTI"))?;
    let watches = std::mem::take(&mut call.conversation.watches);
    if transaction.is_aborted {
        return Err(Failure::new("EXECABORT", NOTHING_WAS_APPLIED));
    }
    for command in &transaction.commands {
        check_memory_and_disk(call.host, command.spec)?;
    }
    call.conversation.walk_until = None;
    let flow = call.in_one_step(|call| carry_out(&transaction, &watches, call));
    if flow == Flow::NoRoomYet {
        call.conversation.transaction = Some(transaction);
        call.conversation.watches = watches;
    }
    Ok(flow)
}

/// Carries out what was queued. If an answer has no room beside earlier ones and nothing was written yet, EXEC can be
/// called again after those were read; later that would write twice.
fn carry_out(transaction: &Transaction, watches: &Watches, call: &mut Call<'_>) -> Flow {
    if watches.have_changed(call.replica) {
        call.answer.no_list(HAS_CHANGED);
        return Flow::Continue;
    }
    let (mut has_written, mut ends) = (false, false);
    call.answer.list(transaction.commands.len());
    for command in &transaction.commands {
        match call.nested(command.spec, command.args.args()) {
            Flow::NoRoomYet if !has_written => return Flow::NoRoomYet,
            Flow::NoRoomYet => call.answer.failure("OOM", TOO_MANY_ANSWERS),
            flow => {
                has_written |= command.spec.flags.has(Write);
                ends |= flow == Flow::End;
            }
        }
    }
    call.answer.end();
    if ends { Flow::End } else { Flow::Continue }
}

fn discard(call: &mut Call<'_>) -> Outcome {
    call.conversation.transaction.take().ok_or_else(|| Failure::error("DISCARD without MULTI"))?;
    call.conversation.watches = Watches::default();
    call.answer.ok();
    DONE
}

fn watch(call: &mut Call<'_>) -> Outcome {
    if call.conversation.transaction.is_some() {
        return Err(Failure::error("WATCH inside MULTI is not allowed"));
    }
    for key in call.keys()?.iter() {
        call.conversation.watches.watch(key, call.replica, call.host)?;
    }
    call.answer.ok();
    DONE
}

fn unwatch(call: &mut Call<'_>) -> Outcome {
    call.conversation.watches = Watches::default();
    call.answer.ok();
    DONE
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use crate::commands::bare::Bare;
    use crate::framing::{Form, RequestParser};
    use crate::replication::message::Incarnation;
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::Rules;
    use crate::store::clock::Timestamp;
    use crate::store::content::Content;
    use crate::store::deadline::Deadline;
    use crate::store::version::NodeId;

    fn ask(client: &mut Bare, line: &str) -> String {
        let bytes = format!("{line}\n");
        let mut parser = RequestParser::new(crate::commands::words_before_text);
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some((Form::Plain, bytes.len()))));
        let mut out = Vec::new();
        client.execute(Form::Plain, parser.args(Form::Plain, bytes.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_watched_value_that_expires_has_changed_and_one_that_had_expired_has_not() {
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let wall = Arc::clone(&now);
        let identity = Identity::in_memory("node1", NodeId(1), Incarnation(9));
        let clock = Box::new(move || Timestamp::from_millis(wall.load(Relaxed)));
        let mut client = Bare::new(Replica::new(identity, Rules::default(), clock));
        let deadline = Deadline::from_millis(now.load(Relaxed) + 10);
        client.replica().write(b"k", Content::until(b"v", deadline));
        for (passing, answer) in [(5, "END\n"), (50, "Nothing applied: a watched key has changed\n"), (50, "END\n")] {
            assert_eq!(ask(&mut client, "WATCH k"), "OK\n");
            now.fetch_add(passing, Relaxed);
            client.replica().sweep();
            assert_eq!(ask(&mut client, "MULTI"), "OK\n");
            assert_eq!(ask(&mut client, "EXEC"), answer);
        }
    }
}
