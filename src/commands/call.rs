//! How a request becomes a call of a command's function, and what such a function can use.

use std::borrow::Cow;

use super::answer::Answer;
use super::conversation::Conversation;
use super::failure::{AUTHENTICATE, Failure, LOADING, MEMORY_IS_FULL, NOT_IN_TRANSACTION, TOO_MANY_ANSWERS};
use super::host::Host;
use super::refused::refuse;
use super::spec::{Flag, Spec, is_name};
use super::words::check_key;
use crate::framing::{Args, Form, printable};
use crate::limits::MAX_ANSWER_BYTES;
use crate::replication::replica::Replica;
use crate::secret::Role;
use crate::store::Change;
use crate::store::content::Content;

/// How the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With the next request.
    Continue,
    /// It ends after this answer.
    End,
    /// The answer finds no room beside earlier ones that this client has not read yet. Once it has read them, the
    /// command must be called again; nothing was done, and nothing written.
    NoRoomYet,
}

/// What a command's function returns. After a failure, what it has written is taken back.
pub type Outcome = Result<Flow, Failure>;

/// The outcome of a command that is done.
pub(super) const DONE: Outcome = Ok(Flow::Continue);

/// One call of a command.
pub struct Call<'a> {
    pub(super) spec: &'static Spec,
    /// The words behind the command's name.
    pub(super) args: Args<'a>,
    pub(super) replica: &'a Replica,
    pub(super) host: &'a mut dyn Host,
    pub(super) conversation: &'a mut Conversation,
    pub(super) answer: Answer<'a>,
    /// How many bytes of earlier answers this client has not read yet.
    pub(super) before: usize,
    /// Where this command's answer begins in the buffer: behind the earlier answers, and behind those of the same EXEC.
    pub(super) start: usize,
    /// Whether nothing else is carried out meanwhile: the call is inside of [`Call::in_one_step`].
    pub(super) alone: bool,
}

/// Carries out or queues the command in `words`, if the client may have it, and writes the answer to the end of `out`,
/// where earlier answers to this client may stand.
pub fn execute(
    replica: &Replica,
    host: &mut dyn Host,
    conversation: &mut Conversation,
    (form, words): (Form, Args<'_>),
    out: &mut Vec<u8>,
) -> Flow {
    let before = out.len();
    conversation.replies.begin();
    let mut answer = Answer::new(conversation.form_of_answer(form), out);
    let allowed = allow(host, conversation, (form, words));
    if let (Err(_), Some(transaction)) = (&allowed, &mut conversation.transaction) {
        transaction.abort();
    }
    let outcome = allowed.and_then(|allowed| match allowed {
        Allowed::Queued => {
            answer.status("QUEUED");
            DONE
        }
        Allowed::Now(spec) => {
            host.hold_step();
            let args = words.from(1);
            let start = before;
            (spec.function)(&mut Call { spec, args, replica, host, conversation, answer, before, start, alone: false })
        }
    });
    let flow = match outcome {
        Ok(flow) => flow,
        Err(Failure { code, message }) => {
            out.truncate(before);
            Answer::new(conversation.form_of_answer(form), out).failure(code, &message);
            if conversation.may_guess() { Flow::Continue } else { Flow::End }
        }
    };
    let comes_again = flow == Flow::NoRoomYet;
    if !conversation.replies.end(comes_again) || comes_again {
        out.truncate(before);
    }
    flow
}

/// What becomes of a command that the client may have.
enum Allowed {
    /// It is carried out now.
    Now(&'static Spec),
    /// It was queued for EXEC.
    Queued,
}

/// Finds the command, and queues it if it belongs to a transaction.
fn allow(
    host: &mut dyn Host,
    conversation: &mut Conversation,
    (form, words): (Form, Args<'_>),
) -> Result<Allowed, Failure> {
    let found = find(form, words);
    let spec = refusal(host, conversation, found.as_ref().ok().copied()).map_or(found, Err)?;
    let watched = conversation.watches.bytes();
    match &mut conversation.transaction {
        Some(transaction) if !spec.flags.has(Flag::NeverQueued) => {
            transaction.queue(spec, words.from(1), (host, watched)).map(|()| Allowed::Queued)
        }
        _ => Ok(Allowed::Now(spec)),
    }
}

/// The command that these words ask for, with as many words as it takes.
fn find(form: Form, words: Args<'_>) -> Result<&'static Spec, Failure> {
    if let Some(why) = words.unbalanced() {
        return Err(Failure::unbalanced_quotes(why));
    }
    let name = words.get(0).unwrap_or_default();
    let spec = super::find(name).ok_or_else(|| refuse(name).unwrap_or_else(|| Failure::unknown(name)))?;
    if spec.takes(words.len()) { Ok(spec) } else { Err(Failure::wrong_arity(spec, form)) }
}

/// Why the client may not have this command now; `None` stands for words that are no command.
fn refusal(host: &dyn Host, conversation: &Conversation, spec: Option<&Spec>) -> Option<Failure> {
    let has = |flag: Flag| spec.is_some_and(|spec| spec.flags.has(flag));
    if !conversation.is_admitted() && !has(Flag::NoAuth) {
        Some(Failure::new("NOAUTH", AUTHENTICATE))
    } else if has(Flag::Operator) && conversation.role < Role::Operator {
        Some(Failure::for_operators())
    } else if has(Flag::Lab) && host.lab().is_none() {
        spec.map(|spec| Failure::without_lab(spec.name))
    } else if conversation.transaction.is_some() && has(Flag::NoMulti) {
        Some(Failure::error(NOT_IN_TRANSACTION))
    } else if spec.is_some() && !has(Flag::Loading) && host.is_loading() {
        Some(Failure::new("LOADING", LOADING))
    } else {
        spec.and_then(|spec| check_memory_and_disk(host, spec).err())
    }
}

/// Refuses a write for which there is no memory, or no disk.
pub(super) fn check_memory_and_disk(host: &dyn Host, spec: &Spec) -> Result<(), Failure> {
    if spec.flags.has(Flag::DenyOom) && !host.may_write() {
        Err(Failure::new("OOM", MEMORY_IS_FULL))
    } else if spec.flags.has(Flag::Write)
        && let Some(failed) = host.disk_failure()
    {
        Err(Failure::without_disk(&failed))
    } else {
        Ok(())
    }
}

impl<'a> Call<'a> {
    /// The word at `index` behind the name; empty if there is none.
    pub(super) fn word(&self, index: usize) -> &'a [u8] {
        self.args.get(index).unwrap_or_default()
    }

    /// The word at `index` behind the name, which must be a key.
    pub(super) fn key(&self, index: usize) -> Result<&'a [u8], Failure> {
        check_key(self.word(index))
    }

    /// All words behind the name, which must be keys.
    pub(super) fn keys(&self) -> Result<Args<'a>, Failure> {
        self.args.iter().try_for_each(|key| check_key(key).map(drop))?;
        Ok(self.args)
    }

    /// Refuses a subcommand that only operators have, where they have a secret.
    pub(super) fn for_operators(&self) -> Result<(), Failure> {
        if self.conversation.role < Role::Operator { Err(Failure::for_operators()) } else { Ok(()) }
    }

    /// Refuses more than `most` words behind the name.
    pub(super) fn at_most(&self, most: usize) -> Result<(), Failure> {
        if self.args.len() > most { Err(Failure::wrong_arity(self.spec, self.answer.form())) } else { Ok(()) }
    }

    /// Answers with the lines of a command's HELP, as Redis writes them.
    pub(super) fn help(&mut self, lines: &[&'static str]) {
        self.answer.list(lines.len());
        lines.iter().for_each(|line| self.answer.status(line));
        self.answer.end();
    }

    /// Why the first word behind the name, with as many others, is none of its subcommands.
    pub(super) fn wrong_subcommand(&self, subcommands: &[&str]) -> Failure {
        let (name, word) = (self.spec.name, self.word(0));
        if subcommands.iter().any(|subcommand| is_name(subcommand, word)) {
            return Failure::wrong_arity_of(name, word);
        }
        Failure::error(format!("unknown subcommand '{}'. Try {name} HELP.", printable(word)))
    }

    /// Stores what the client has written, here and soon at the peers.
    pub(super) fn write(&self, key: &[u8], content: Content<'_>) {
        self.replica.write(key, content);
        self.host.changed(key);
    }

    /// Changes a key in one step, here and soon at the peers: `change` is called with its value and deadline, if it has
    /// a value now. No other client comes between. Returns what it returns.
    pub(super) fn update<'v, R>(&self, key: &[u8], change: impl FnOnce(Option<Content<'_>>) -> (Change<'v>, R)) -> R {
        let (has_changed, result) = self.replica.update(key, change);
        if has_changed {
            self.host.changed(key);
        }
        result
    }

    /// Deletes a key, here and soon at the peers. Returns whether a value was held here.
    pub(super) fn delete(&self, key: &[u8]) -> bool {
        let held = self.replica.delete(key);
        self.host.changed(key);
        held
    }

    /// Answers with one value that may be large.
    pub(super) fn answer_value(&mut self, value: Option<&[u8]>) -> Outcome {
        if self.add_value(value) { DONE } else { self.no_room("OOM", TOO_MANY_ANSWERS) }
    }

    /// Adds a value to the answer if there is room for it; returns whether there was.
    pub(super) fn add_value(&mut self, value: Option<&[u8]>) -> bool {
        let length = self.answer.written() - self.start + value.map_or(0, <[u8]>::len);
        let fits = self.has_room_for(length);
        if fits {
            self.answer.value(value);
        }
        fits
    }

    /// Whether there is room for an answer of this length.
    pub(super) fn has_room_for(&mut self, bytes: usize) -> bool {
        let end = self.start + bytes;
        end - self.before <= MAX_ANSWER_BYTES && self.host.may_answer(end)
    }

    /// The outcome of a command whose answer has no room. It fails only if no earlier answers to this client take the
    /// room: those can be read first.
    pub(super) fn no_room(&self, code: &'static str, why: impl Into<Cow<'static, str>>) -> Outcome {
        if self.before > 0 { Ok(Flow::NoRoomYet) } else { Err(Failure::new(code, why)) }
    }
}
