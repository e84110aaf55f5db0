//! What a client has said so far that changes how its next command is answered.

/// The state of one client's session. RESET begins it anew.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// Whether the client has said the secret, or there is none.
    pub(super) admitted: bool,
    /// How many wrong secrets it has said.
    pub(super) wrong_secrets: u32,
    /// Whether it has asked for RESP3.
    pub(super) resp3: bool,
    /// Whether its MULTI was refused, and neither EXEC nor DISCARD has come since. Clients send a transaction in one
    /// piece, and see the refusal only after that: so nothing that stands between MULTI and EXEC may be applied.
    pub(super) in_refused_transaction: bool,
    /// Whether it has said REPLCONF, as a Redis replica and `redis-cli --rdb` do. What follows then is a SYNC in a
    /// plain line, which is Redis' own; its answer must be in RESP.
    pub(super) is_redis_replica: bool,
}

impl Dialogue {
    pub(super) fn new(admitted: bool) -> Self {
        Self { admitted, ..Self::default() }
    }

    /// Begins anew. Only the wrong secrets still count.
    pub(super) fn reset(&mut self, admitted: bool) {
        *self = Self { admitted, wrong_secrets: self.wrong_secrets, ..Self::default() };
    }
}
