//! Why a command was not carried out.

use std::borrow::Cow;

use super::spec::Spec;
use crate::framing::{Form, printable};
use crate::replication::journal::DiskFailed;

/// Why a command was not carried out, and what to type instead. The data is as it was, and the session goes on.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Redis' first word for this kind of failure. Client libraries choose the type of an exception by it.
    pub code: &'static str,
    /// One line for people.
    pub message: Cow<'static, str>,
}

impl Failure {
    /// A failure of a kind for which Redis has a word.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// A failure of no special kind.
    pub fn error(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ERR", message)
    }

    /// No command has this name.
    pub(super) fn unknown(name: &[u8]) -> Self {
        Self::error(format!("unknown command '{}': type HELP for the list", printable(name)))
    }

    /// A command of the lab, and there is none.
    pub(super) fn without_lab(name: &str) -> Self {
        Self::error(format!("{name} makes a fault, which only a node for learning does: start it with --lab"))
    }

    /// Only operators have it, and the client is none.
    pub(super) fn for_operators() -> Self {
        Self::new("NOPERM", FOR_OPERATORS)
    }

    /// Too few words, or too many.
    pub(super) fn wrong_arity(spec: &Spec, form: Form) -> Self {
        let (name, usage) = (spec.name.to_ascii_lowercase(), spec.usage_in(form));
        Self::error(format!("wrong number of arguments for '{name}' command: type {usage}"))
    }

    /// Too few words behind a subcommand, or too many.
    pub(super) fn wrong_arity_of(name: &str, subcommand: &[u8]) -> Self {
        let called = format!("{name}|{}", printable(subcommand)).to_ascii_lowercase();
        Self::error(format!("wrong number of arguments for '{called}' command: type {name} HELP"))
    }

    /// A write while the disk has failed.
    pub fn without_disk(failed: &DiskFailed) -> Self {
        Self::new("MISCONF", format!("{failed}; writes are refused until it works again, reads go on"))
    }

    /// A plain line whose quotes mean nothing.
    pub(super) fn unbalanced_quotes(why: &str) -> Self {
        Self::error(format!("unbalanced quotes: {why}"))
    }
}

/// Sent when other clients' unread answers leave no room for this one.
pub(super) const TOO_MANY_ANSWERS: &str = "too many large answers wait to be read: try again";

/// Sent for a request that needs more memory than there is.
pub(super) const MEMORY_IS_FULL: &str = "memory is full (--max-memory): only reads and deletes are possible";

/// Sent for a request of any kind for whose words there is no room. The connection ends.
pub const NO_ROOM_FOR_REQUEST: &str =
    "memory is full (--max-memory), and this request is too long for what is left: send it in parts";

/// Sent for a delete of a key that this node does not hold, when there is no memory to remember the delete.
pub(super) const NO_MEMORY_TO_DELETE: &str =
    "memory is full (--max-memory): only keys that this node holds can be deleted, and others be read";

/// Sent to a client that has not said the secret of operators.
const FOR_OPERATORS: &str = "this needs the secret of operators: type AUTH and that secret";

/// Sent before the client has said the secret.
pub(super) const AUTHENTICATE: &str = "Authentication required: type AUTH and the secret";

/// Sent while the node takes over what its peers hold.
pub(super) const LOADING: &str = "loading: this node is taking over what its peers hold; try again in a moment";

/// Sent, if it still arrives, for a long command that is given up before its end.
pub(super) const UNWANTED: &str = "given up: this node is stopping, or the client has hung up";

/// Sent for a command that looks at many keys within a transaction.
pub(super) const WALKED_TOO_LONG: &str =
    "a transaction may look through the keys for a moment only, since all others wait: type it outside of MULTI";

/// Sent between MULTI and EXEC for a command that cannot be queued.
pub(super) const NOT_IN_TRANSACTION: &str = "Command not allowed inside a transaction";
