//! What each command does.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use log::warn;

use super::clients::Client;
use super::dialogue::Dialogue;
use super::link::Link;
use super::memory::Share;
use super::{Shared, info};
use crate::commands::answer::Answer;
use crate::commands::glob;
use crate::commands::usage::{self, Argument};
use crate::commands::{COMMANDS, Command, CommandError, REDIS_VERSION, Spec};
use crate::framing::Args;
use crate::framing::Form;
use crate::limits::{MAX_ANSWER_BYTES, MAX_WRONG_SECRETS, WRONG_SECRET_DELAY};
use crate::replication::propagate::Outbox;
use crate::store::content::Content;
use crate::store::digest::{FANOUT, Prefix};

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    End,
    /// The answer finds no room beside earlier ones that this client has not taken yet. Once it has, the command is to
    /// be carried out again; nothing was done, and nothing written.
    NoRoomYet,
}

/// Where a command is carried out.
pub(super) struct Context<'a> {
    pub(super) node: &'a Arc<Shared>,
    pub(super) client: &'a Client,
    pub(super) outbox: &'a Outbox,
    pub(super) dialogue: &'a mut Dialogue,
    pub(super) share: &'a mut Share,
    /// How many bytes of earlier answers this client has not taken yet.
    pub(super) before: usize,
}

/// What a client is told whose answer finds no room beside those that others have not read yet.
const TOO_MANY_ANSWERS: &str = "too many large answers wait to be read: try again";

/// What a client is told that would need more memory than there is.
pub(super) const MEMORY_IS_FULL: &str = "memory is full (--max-memory): only reads and deletes are possible";

/// What a client is told that would delete a key of which this node knows nothing, when there is no memory to remember that.
const NO_MEMORY_TO_DELETE: &str =
    "memory is full (--max-memory): only keys that this node holds can be deleted, and others be read";

/// Sent for MULTI. A client library shows this text to its user.
const NO_TRANSACTIONS: &str = "transactions are not supported: send the commands without MULTI and EXEC \
                               (in redis-py: pipeline(transaction=False))";

/// Sent to what takes this node for a Redis master, such as `redis-cli --rdb`.
const NO_MASTER: &str = "this is no Redis master: it has neither a dump nor a stream for a replica";

/// Sent for what follows a refused MULTI.
const NOTHING_IS_APPLIED: &str =
    "Transaction discarded because MULTI was refused: nothing is applied until EXEC or DISCARD";

/// Sent for the EXEC that ends it.
const NOTHING_WAS_APPLIED: &str = "Transaction discarded because MULTI was refused: nothing of it was applied";

/// Carries out what a client asks for, if it may, and writes the answer.
pub(super) fn execute(
    context: &mut Context<'_>,
    asked: Result<Command<'_>, CommandError>,
    answer: &mut Answer<'_>,
) -> Flow {
    if let Some((code, why)) = refusal(context, asked.as_ref().ok()) {
        answer.failure(code, why);
        return Flow::Continue;
    }
    match asked {
        Ok(command) => carry_out(context, command, answer),
        Err(error) => {
            answer.failure(error.code(), &error.to_string());
            Flow::Continue
        }
    }
}

/// Why the client may not have this command carried out now; `None` stands for words that are no command.
fn refusal(context: &Context<'_>, command: Option<&Command<'_>>) -> Option<(&'static str, &'static str)> {
    if !context.dialogue.admitted && !command.is_some_and(is_for_everybody) {
        Some(("NOAUTH", "Authentication required: type AUTH and the secret"))
    } else if context.dialogue.in_refused_transaction && !command.is_some_and(is_taken_in_a_transaction) {
        Some(("EXECABORT", NOTHING_IS_APPLIED))
    } else if context.node.is_loading() && command.is_some_and(needs_data) {
        Some(("LOADING", "loading: this node is taking over what its peers hold; try again in a moment"))
    } else {
        None
    }
}

fn carry_out(context: &mut Context<'_>, command: Command<'_>, answer: &mut Answer<'_>) -> Flow {
    let node = context.node;
    let store = node.replica.store();
    match command {
        Command::Get(key) => {
            let fits = store.get(key, |value| {
                let fits = context.may_answer(value.map_or(0, <[u8]>::len));
                if fits {
                    answer.value(value);
                }
                fits
            });
            if !fits {
                return context.no_room(answer, "OOM", TOO_MANY_ANSWERS);
            }
        }
        Command::Set { .. } | Command::MSet(_) if node.memory_left() == 0 => answer.failure("OOM", MEMORY_IS_FULL),
        Command::Set { key, value } => {
            context.set(key, value);
            answer.ok();
        }
        Command::Del(keys) if !node.may_delete(keys) => answer.failure("OOM", NO_MEMORY_TO_DELETE),
        Command::Del(keys) => {
            let held = keys.iter().filter(|key| context.delete(key)).count();
            match (answer.form(), keys.len(), held) {
                (Form::Plain, 1, 0) => answer.value(None),
                (Form::Plain, 1, _) => answer.ok(),
                _ => answer.integer(held),
            }
        }
        Command::Exists(keys) => {
            answer.integer(keys.iter().filter(|key| store.get(key, |value| value.is_some())).count())
        }
        Command::MGet(keys) => {
            answer.list(keys.len());
            for key in keys.iter() {
                let fits = store.get(key, |value| {
                    let fits = context.may_answer(answer.written() - context.before + value.map_or(0, <[u8]>::len));
                    if fits {
                        answer.value(value);
                    }
                    fits
                });
                if !fits {
                    return context.no_room(answer, "ERR", &too_long("MGET with fewer keys"));
                }
            }
            answer.end();
        }
        Command::MSet(pairs) => {
            let mut words = pairs.iter();
            while let (Some(key), Some(value)) = (words.next(), words.next()) {
                context.set(key, value);
            }
            answer.ok();
        }
        Command::Keys(pattern) => {
            let (mut keys, mut bytes): (Vec<Box<[u8]>>, _) = (Vec::new(), 0);
            store.visit_keys(|key| {
                if context.may_answer(bytes) && glob::matches(pattern, key) {
                    bytes += key.len() + RESP_BYTES_A_KEY;
                    keys.push(key.into());
                }
            });
            if !context.may_answer(bytes) {
                return context.no_room(answer, "ERR", &too_long("SCAN 0 MATCH pattern"));
            }
            write_keys(&keys, answer);
        }
        Command::Scan { cursor, pattern, count } => {
            let (next, mut keys) = store.scan(cursor, count);
            keys.retain(|key| pattern.is_none_or(|pattern| glob::matches(pattern, key)));
            let bytes: usize = keys.iter().map(|key| key.len() + RESP_BYTES_A_KEY).sum();
            if !context.may_answer(bytes) {
                return context.no_room(answer, "ERR", &too_long("SCAN with a smaller COUNT"));
            }
            answer.list(2);
            answer.value(Some(next.to_string().as_bytes()));
            write_keys(&keys, answer);
        }
        Command::DbSize => answer.integer(store.counts().keys),
        Command::Version(key) => answer.value(describe_version(node, key).as_deref().map(str::as_bytes)),
        Command::RootDigest => answer.value(Some(store.root().to_string().as_bytes())),
        Command::Digest(prefix) => write_digest(node, prefix, answer),
        Command::Sync if context.dialogue.is_redis_replica => answer.failure("ERR", NO_MASTER),
        Command::Sync => match node.sync() {
            Ok(lines) => answer.text(&lines.join("\n")),
            Err(why) => answer.failure("ERR", why),
        },
        Command::Forget(name) => forget(node, &String::from_utf8_lossy(name), answer),
        Command::Info(sections) => answer.text(&info::render(node, sections)),
        Command::Ping(None) => answer.status("PONG"),
        Command::Ping(Some(text)) | Command::Echo(text) if !context.may_answer(text.len()) => {
            return context.no_room(answer, "OOM", TOO_MANY_ANSWERS);
        }
        Command::Ping(Some(text)) | Command::Echo(text) => answer.value(Some(text)),
        Command::Help => answer.text(&help()),
        Command::Quit => {
            answer.ok();
            return Flow::End;
        }
        Command::Reset => {
            context.dialogue.reset(node.config.secret.is_none());
            context.client.name.lock().clear();
            answer.switch(false);
            answer.status("RESET");
        }
        Command::Multi => {
            context.dialogue.in_refused_transaction = true;
            answer.failure("ERR", NO_TRANSACTIONS);
        }
        Command::Exec => match std::mem::take(&mut context.dialogue.in_refused_transaction) {
            true => answer.failure("EXECABORT", NOTHING_WAS_APPLIED),
            false => answer.failure("ERR", "EXEC without MULTI"),
        },
        Command::Discard => match std::mem::take(&mut context.dialogue.in_refused_transaction) {
            true => answer.ok(),
            false => answer.failure("ERR", "DISCARD without MULTI"),
        },
        Command::Auth(user, secret) => match context.admit(user, secret, answer) {
            Ok(()) => answer.ok(),
            Err(flow) => return flow,
        },
        Command::Hello { resp3, login, name } => {
            if let Some(Err(flow)) = login.map(|(user, secret)| context.admit(Some(user), secret, answer)) {
                return flow;
            }
            if !context.dialogue.admitted {
                answer.failure("NOAUTH", "Authentication required: type HELLO 2 AUTH default and the secret");
                return Flow::Continue;
            }
            name.iter().for_each(|name| *context.client.name.lock() = name.to_vec());
            context.dialogue.resp3 = resp3.unwrap_or(context.dialogue.resp3);
            answer.switch(context.dialogue.resp3);
            write_hello(context, answer);
        }
        Command::Select | Command::ClientSetInfo => answer.ok(),
        Command::ClientId => answer.integer(context.client.id as usize),
        Command::ClientList(which) => answer.text(&node.clients.list(&which)),
        Command::ClientGetName => match context.client.name.lock().as_slice() {
            b"" => answer.absent(""),
            name => answer.value(Some(name)),
        },
        Command::ClientSetName(name) => {
            *context.client.name.lock() = name.to_vec();
            answer.ok();
        }
        Command::CommandCount => answer.integer(COMMANDS.len()),
        Command::CommandDocs(names) => {
            let specs: Vec<&Spec> = named(names).into_iter().flatten().collect();
            write_docs(&specs, answer);
        }
        Command::CommandInfo(names) => write_specs(&named(names), answer),
        Command::ReplConf => {
            // Typed into a terminal it means nothing.
            context.dialogue.is_redis_replica = answer.form() != Form::Plain;
            answer.failure("ERR", NO_MASTER);
        }
        Command::PSync => answer.failure("ERR", NO_MASTER),
        Command::ConfigGet(names) => write_config(node, names, answer),
    }
    Flow::Continue
}

impl Context<'_> {
    /// Whether there is room for an answer of this length.
    fn may_answer(&mut self, bytes: usize) -> bool {
        bytes <= MAX_ANSWER_BYTES && self.share.may_answer(self.before + bytes)
    }

    /// Takes back an answer that has no room. It is refused only if no earlier answers to this client take that room.
    fn no_room(&self, answer: &mut Answer<'_>, code: &'static str, why: &str) -> Flow {
        answer.take_back(self.before);
        if self.before > 0 {
            return Flow::NoRoomYet;
        }
        answer.failure(code, why);
        Flow::Continue
    }

    /// Admits the client if it knows the secret. There is one user, whatever its name; where there is no secret, Redis'
    /// `default` may say any. A wrong secret is answered late, and only so often.
    fn admit(&mut self, user: Option<&[u8]>, secret: &[u8], answer: &mut Answer<'_>) -> Result<(), Flow> {
        let Some(expected) = &self.node.config.secret else {
            if user == Some(b"default") {
                return Ok(());
            }
            answer.failure("ERR", "AUTH called without any secret configured: this node lets everybody in");
            return Err(Flow::Continue);
        };
        if expected.is(secret) {
            self.dialogue.admitted = true;
            return Ok(());
        }
        self.node.auth_failed.fetch_add(1, Relaxed);
        self.dialogue.wrong_secrets += 1;
        self.node.stop.wait(WRONG_SECRET_DELAY);
        answer.failure("WRONGPASS", "this is not the secret of the cluster");
        Err(if self.dialogue.wrong_secrets < MAX_WRONG_SECRETS { Flow::Continue } else { Flow::End })
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.node.replica.set(key, value);
        self.outbox.changed(key);
    }

    fn delete(&self, key: &[u8]) -> bool {
        let held = self.node.replica.delete(key);
        self.outbox.changed(key);
        held
    }
}

/// Whether a command is answered before the client has said the secret.
fn is_for_everybody(command: &Command<'_>) -> bool {
    matches!(command, Command::Auth(..) | Command::Hello { .. } | Command::Ping(_) | Command::Quit | Command::Reset)
}

/// Whether a command is carried out although a MULTI was refused before it.
fn is_taken_in_a_transaction(command: &Command<'_>) -> bool {
    matches!(command, Command::Multi | Command::Exec | Command::Discard | Command::Quit | Command::Reset)
}

/// Whether a command must wait for the node's first rounds. What it says about the data would be wrong before.
fn needs_data(command: &Command<'_>) -> bool {
    use Command::*;
    !matches!(
        command,
        Info(_)
            | Auth(..)
            | Help
            | Quit
            | Reset
            | Multi
            | Exec
            | Discard
            | Hello { .. }
            | Select
            | ClientId
            | ClientList(_)
            | ClientGetName
            | ClientSetName(_)
            | ClientSetInfo
            | ReplConf
            | PSync
            | CommandCount
            | CommandDocs(_)
            | CommandInfo(_)
            | ConfigGet(_)
    )
}

/// About what a key takes in an answer and in the list before it, beside its own bytes.
const RESP_BYTES_A_KEY: usize = 32;

fn too_long(instead: &str) -> String {
    format!(
        "the answer would be longer than {MAX_ANSWER_BYTES} bytes, or than what others have not read yet leaves room for: type {instead}"
    )
}

fn write_keys(keys: &[Box<[u8]>], answer: &mut Answer<'_>) {
    answer.list(keys.len());
    keys.iter().for_each(|key| answer.value(Some(key)));
    answer.end();
}

/// Dismisses a member by its name, or by the address of a configured peer.
fn forget(node: &Shared, who: &str, answer: &mut Answer<'_>) {
    let link = node.peers.iter().map(|peer| &peer.link).find(|link| link.address == who);
    let name = link.and_then(Link::peer).map_or_else(|| who.to_string(), |peer| peer.name.clone());
    if node.replica.dismiss(&name) {
        warn!("{}: {name} was dismissed by FORGET; it is refused until it starts again without its data", node.name());
        answer.ok();
    } else if let Some(link) = link {
        link.dismiss();
        warn!("{}: {who} was dismissed by FORGET; deletes no longer wait for it", node.name());
        answer.ok();
    } else {
        let mut known: Vec<String> = node.replica.members().iter().map(|member| member.name.clone()).collect();
        let links = node.peers.iter().map(|peer| &peer.link);
        known.extend(links.filter(|link| link.peer().is_none()).map(|link| link.address.clone()));
        answer.failure("ERR", &format!("no such member or peer: type FORGET and one of [{}]", known.join(", ")));
    }
}

fn describe_version(node: &Shared, key: &[u8]) -> Option<String> {
    let record = node.replica.store().record(key)?;
    let version = record.version();
    let content = match record.content() {
        Content::Value(value) => format!("value of {} bytes", value.len()),
        Content::Tombstone => "deleted".into(),
    };
    Some(format!("{} node {} {content}", version.timestamp, version.node))
}

fn write_digest(node: &Shared, prefix: Prefix, answer: &mut Answer<'_>) {
    let store = node.replica.store();
    if prefix.is_leaf() {
        return answer.value(Some(store.digest(prefix).to_string().as_bytes()));
    }
    answer.list(FANOUT);
    for digest in store.children(prefix) {
        answer.value(Some(digest.to_string().as_bytes()));
    }
    answer.end();
}

fn help() -> String {
    let mut text =
        String::from("Type a command and a newline; quote a \"key with spaces\". The commands, in any case:\n");
    for spec in COMMANDS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<38} {}", spec.usage, spec.summary);
    }
    text
}

fn write_hello(context: &Context<'_>, answer: &mut Answer<'_>) {
    let id = context.client.id.to_string();
    let pairs = [
        ("server", "kvstore"),
        ("version", REDIS_VERSION),
        ("proto", if context.dialogue.resp3 { "3" } else { "2" }),
        ("id", &id),
        ("mode", "standalone"),
        ("role", "master"),
    ];
    answer.map(pairs.len());
    for (name, value) in pairs {
        answer.value(Some(name.as_bytes()));
        match value.parse() {
            Ok(number) => answer.integer(number),
            Err(_) => answer.value(Some(value.as_bytes())),
        }
    }
    answer.end();
}

/// The table as COMMAND shows it: name, arity, flags, and where the keys stand.
/// The commands with these names, `None` for a name that no command has; all commands if there are no names.
fn named(names: Args<'_>) -> Vec<Option<&'static Spec>> {
    match names.is_empty() {
        true => COMMANDS.iter().map(Some).collect(),
        false => names.iter().map(Spec::named).collect(),
    }
}

fn write_specs(specs: &[Option<&Spec>], answer: &mut Answer<'_>) {
    answer.list(specs.len());
    for spec in specs {
        match spec {
            None => answer.absent("no such command"),
            Some(spec) if answer.form() == Form::Plain => answer.value(Some(spec.usage.as_bytes())),
            Some(spec) => {
                let (first, last, step) = spec.keys;
                answer.list(6);
                answer.value(Some(spec.name.to_ascii_lowercase().as_bytes()));
                answer.signed(spec.arity);
                answer.list(0);
                [first, last, step].into_iter().for_each(|number| answer.signed(number));
            }
        }
    }
    answer.end();
}

fn write_docs(specs: &[&Spec], answer: &mut Answer<'_>) {
    answer.map(specs.len());
    for spec in specs {
        let Spec { summary, since, group, complexity, .. } = spec;
        answer.value(Some(spec.name.to_ascii_lowercase().as_bytes()));
        answer.map(5);
        for (name, text) in [("summary", summary), ("since", since), ("group", group), ("complexity", complexity)] {
            answer.value(Some(name.as_bytes()));
            answer.value(Some(text.as_bytes()));
        }
        answer.value(Some(b"arguments"));
        match answer.form() {
            Form::Plain => answer.value(Some(spec.usage.as_bytes())),
            Form::Resp | Form::Resp3 => write_arguments(&usage::arguments(spec.usage), answer),
        }
    }
    answer.end();
}

/// Arguments in the words of Redis' COMMAND DOCS.
fn write_arguments(arguments: &[Argument], answer: &mut Answer<'_>) {
    answer.list(arguments.len());
    for argument in arguments {
        let mut texts = vec![("name", argument.name.as_str()), ("type", argument.kind.name())];
        texts.extend(argument.token.as_deref().map(|token| ("token", token)));
        let flags = [argument.is_optional.then_some("optional"), argument.is_multiple.then_some("multiple")];
        let flags: Vec<&str> = flags.into_iter().flatten().collect();
        let parts = argument.kind.parts();
        answer.map(texts.len() + usize::from(!flags.is_empty()) + usize::from(parts.is_some()));
        for (name, text) in texts {
            answer.value(Some(name.as_bytes()));
            answer.value(Some(text.as_bytes()));
        }
        if !flags.is_empty() {
            answer.value(Some(b"flags"));
            answer.list(flags.len());
            flags.into_iter().for_each(|flag| answer.status(flag));
        }
        if let Some(parts) = parts {
            answer.value(Some(b"arguments"));
            write_arguments(parts, answer);
        }
    }
}

fn write_config(node: &Shared, names: Args<'_>, answer: &mut Answer<'_>) {
    let max_connections = node.config.max_connections.to_string();
    let settings =
        [("save", ""), ("appendonly", "no"), ("databases", "1"), ("maxclients", &max_connections), ("timeout", "0")];
    let asked = |name: &str| names.iter().any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()));
    let found: Vec<_> = settings.into_iter().filter(|(name, _)| asked(name)).collect();
    answer.map(found.len());
    for (name, value) in found {
        answer.value(Some(name.as_bytes()));
        answer.value(Some(value.as_bytes()));
    }
    answer.end();
}
