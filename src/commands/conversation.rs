//! What a client has said so far that changes how its next request is answered.

use std::time::Instant;

use super::queued::{Transaction, Watches};
use crate::framing::Form;
use crate::limits::MAX_WRONG_SECRETS;
use crate::secret::Role;

/// The state of one client's conversation. RESET begins it anew.
#[derive(Debug, Default)]
pub struct Conversation {
    /// What the client may do.
    pub(super) role: Role,
    /// How many wrong secrets it has said: [`MAX_WRONG_SECRETS`] at most. Only grows.
    pub(super) wrong_secrets: u32,
    /// Whether it has asked for RESP3.
    pub(super) resp3: bool,
    /// What it calls itself; empty at first.
    pub(super) name: Vec<u8>,
    /// Which answers it wants.
    pub(super) replies: Replies,
    /// What it has queued since MULTI, if neither EXEC nor DISCARD has come since.
    pub(super) transaction: Option<Transaction>,
    /// Until when the commands of its EXEC may walk over the store; `None` before the first one does.
    pub(super) walk_until: Option<Instant>,
    /// The keys that it watches for the next EXEC.
    pub(super) watches: Watches,
    /// Whether it has said REPLCONF, as a Redis replica and `redis-cli --rdb` do. What follows then is a SYNC in a
    /// plain line, which is Redis' own; its answer must be in RESP.
    pub(super) is_redis_replica: bool,
}

/// Which answers a client wants (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// All but that to the next request.
    SkipNext,
    /// All but that to the present request.
    Skip,
}

impl Replies {
    /// A request begins.
    pub(super) fn begin(&mut self) {
        if *self == Self::SkipNext {
            *self = Self::Skip;
        }
    }

    /// The request has ended, or will come once more. Returns whether its answer is wanted.
    pub(super) fn end(&mut self, comes_again: bool) -> bool {
        let is_wanted = matches!(self, Self::On | Self::SkipNext);
        if *self == Self::Skip {
            *self = if comes_again { Self::SkipNext } else { Self::On };
        }
        is_wanted
    }
}

impl Conversation {
    /// A conversation that begins, with a client that may do this without having said anything.
    pub fn new(role: Role) -> Self {
        Self { role, ..Self::default() }
    }

    /// Whether the client has said the secret, or there is none.
    pub fn is_admitted(&self) -> bool {
        self.role > Role::Stranger
    }

    /// How many bytes are kept for its next EXEC.
    pub fn queued_bytes(&self) -> usize {
        self.transaction.as_ref().map_or(0, Transaction::bytes) + self.watches.bytes()
    }

    /// Begins anew. Only the wrong secrets still count.
    pub(super) fn reset(&mut self, role: Role) {
        *self = Self { role, wrong_secrets: self.wrong_secrets, ..Self::default() };
    }

    /// Whether the client may guess once more.
    pub(super) fn may_guess(&self) -> bool {
        self.wrong_secrets < MAX_WRONG_SECRETS
    }

    /// The form in which a request of this form is answered.
    pub(super) fn form_of_answer(&self, request: Form) -> Form {
        match request {
            Form::Plain if !self.is_redis_replica => Form::Plain,
            _ if self.resp3 => Form::Resp3,
            _ => Form::Resp,
        }
    }
}
