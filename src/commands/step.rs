//! The step in which a command is carried out: beside others, alone, or not at all while it waits.

use std::time::{Duration, Instant};

use super::call::{Call, DONE, Flow};
use super::failure::{Failure, UNWANTED, WALKED_TOO_LONG};
use super::spec::Spec;
use crate::framing::Args;
use crate::limits::TRANSACTION_WALK_TIME;

impl Call<'_> {
    /// Calls `step` while no other client's command is carried out, and no peer's entry is merged.
    pub(super) fn in_one_step<R>(&mut self, step: impl FnOnce(&mut Self) -> R) -> R {
        if self.alone {
            return step(self);
        }
        self.host.let_go();
        self.alone = true;
        let result = self.replica.in_one_step(|| step(self));
        self.alone = false;
        result
    }

    /// Lets transactions come between two parts of a long change, and writes to the disk what waits for it. Within a
    /// transaction nothing comes between.
    pub(super) fn pause_step(&mut self) {
        if !self.alone {
            self.host.let_go();
        }
        self.replica.relieve();
        if !self.alone {
            self.host.hold_step();
        }
    }

    /// Begins the next part of a command that walks over the store, and may take long. Lets transactions come between.
    /// Within a transaction nothing comes between, so the walks of one have a fixed total time.
    ///
    /// # Errors
    /// When the time is over, or when the answer is not wanted any more: the node is stopping, or the client has hung
    /// up.
    pub(super) fn begin_part(&mut self) -> Result<(), Failure> {
        if self.alone {
            let now = Instant::now();
            let until = *self.conversation.walk_until.get_or_insert(now + TRANSACTION_WALK_TIME);
            if now > until {
                return Err(Failure::error(WALKED_TOO_LONG));
            }
        } else {
            self.host.let_go();
            self.host.hold_step();
        }
        if self.host.is_wanted() { Ok(()) } else { Err(Failure::error(UNWANTED)) }
    }

    /// Whether this command is carried out by EXEC.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.alone
    }

    /// Carries out another command, as a part of this one's step and answer.
    pub(super) fn nested(&mut self, spec: &'static Spec, args: Args<'_>) -> Flow {
        let start = self.answer.written();
        let Self { replica, ref mut host, ref mut conversation, ref mut answer, before, alone, .. } = *self;
        let answer = answer.reborrow();
        let outcome = (spec.function)(&mut Call {
            spec,
            args,
            replica,
            host: &mut **host,
            conversation,
            answer,
            before,
            start,
            alone,
        });
        if outcome != DONE {
            self.answer.take_back(start);
        }
        outcome.unwrap_or_else(|Failure { code, message }| {
            self.answer.failure(code, &message);
            Flow::Continue
        })
    }

    /// Prepares to wait so long, at most, for something outside of this replica: lets others go on meanwhile. In a
    /// transaction there is no patience, since nobody else goes on. `None`: earlier answers to this client must leave
    /// first.
    pub(super) fn begin_waiting(&mut self, patience: Option<Duration>) -> Option<Option<Duration>> {
        if self.alone {
            return Some(Some(Duration::ZERO));
        }
        self.host.let_go();
        (self.before == 0).then_some(patience)
    }
}
