//! What a client may ask for: the table of commands, and how one of them is executed.
//!
//! A command stands in one place: an entry in the table of its family's file. The [`Spec`] says how the command is
//! called and typed, what is checked before it, and which function carries it out. HELP, COMMAND and the checks read
//! the same entry, so a new command is an entry and a function.
//!
//! | family | about |
//! |---|---|
//! | `strings` | values: GET, SET and their like |
//! | `counters` | numbers that add up: INCR |
//! | `expiry` | when keys expire: EXPIRE, TTL |
//! | `keys` | keys, whatever stands under them: DEL, SCAN |
//! | `copying` | two keys in one step: RENAME, COPY |
//! | `flushing` | all keys: FLUSHALL |
//! | `objects` | how a value lies in memory: OBJECT, MEMORY |
//! | `agreement` | how the nodes agree: VERSION, DIGEST, SYNC, FORGET |
//! | `conflicts` | what was overruled by a write that had not seen it: CONFLICTS |
//! | `waiting` | until peers hold something, or this node does: WAIT, WAITAOF, WAITFOR |
//! | `connection` | one connection: PING, AUTH, HELLO |
//! | `clients` | all connections: CLIENT |
//! | `server` | the node: INFO, BGSAVE, TIME |
//! | `status` | the same on one screen, for people: STATUS |
//! | `settings` | what it was told at its start, and may be told since: CONFIG |
//! | `table` | this table: HELP, COMMAND |
//! | `transactions` | several commands in one step: MULTI, EXEC, WATCH |
//! | `lab` | faults on request: CUT, DELAY, CLOCK |
//! | `redis_replica` | what a Redis replica says: understood only to be refused |
//!
//! Commands of Redis that are not offered stand in `refused`, with the reason.
//!
//! [`execute`] looks the command up, checks whether this client may have it now, and calls its function. A function
//! reads and writes the [`Replica`](crate::replication::replica::Replica), writes its [`answer`], and changes the
//! client's [`conversation`]. Whatever else it needs of the node is the trait [`host`]: no command knows of threads or
//! sockets.

mod agreement;
pub mod answer;
pub mod bare;
pub mod call;
mod clients;
mod conflicts;
mod connection;
pub mod conversation;
mod copying;
mod counters;
mod expiry;
pub mod failure;
mod flushing;
pub mod glob;
pub mod host;
mod info;
mod keys;
mod lab;
mod objects;
mod queued;
mod redis_replica;
mod refused;
mod server;
mod settings;
pub mod spec;
pub mod stats;
mod status;
mod step;
mod store_options;
mod strings;
mod table;
mod transactions;
pub mod usage;
mod waiting;
mod words;

pub use call::{Flow, execute};
use spec::{Flag, Spec};

use crate::limits::MAX_ANSWER_BYTES;

/// The version of Redis to whose clients this looks alike. They look at it to see what a server can do.
pub const REDIS_VERSION: &str = "7.2.4";

/// The whole table. Names are looked up in this order, so the frequent commands come first.
const FAMILIES: &[&[Spec]] = &[
    strings::COMMANDS,
    counters::COMMANDS,
    keys::COMMANDS,
    expiry::COMMANDS,
    copying::COMMANDS,
    flushing::COMMANDS,
    agreement::COMMANDS,
    conflicts::COMMANDS,
    waiting::COMMANDS,
    transactions::COMMANDS,
    connection::COMMANDS,
    clients::COMMANDS,
    server::COMMANDS,
    status::COMMANDS,
    objects::COMMANDS,
    settings::COMMANDS,
    table::COMMANDS,
    redis_replica::COMMANDS,
    lab::COMMANDS,
];

/// The command with this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Spec> {
    FAMILIES.iter().copied().flatten().find(|spec| spec.is_named(name))
}

/// The commands that HELP and COMMAND show, with or without those of the lab.
pub fn shown(lab: bool) -> impl Iterator<Item = &'static Spec> {
    let all = FAMILIES.iter().copied().flatten();
    all.filter(move |spec| !spec.flags.has(Flag::Hidden) && (lab || !spec.flags.has(Flag::Lab)))
}

/// After how many words the rest of a plain line that begins with this name is one text; `None` if all words are
/// separated.
pub fn words_before_text(name: &[u8]) -> Option<usize> {
    find(name)?.words_before_text()
}

/// What is said of an answer that has no room, with what to type instead.
fn too_long(instead: &str) -> String {
    format!(
        "the answer would be longer than {MAX_ANSWER_BYTES} bytes, \
         or than what others have not read yet leaves room for: type {instead}"
    )
}

#[cfg(test)]
mod tests {
    use super::bare::Bare;
    use super::*;
    use crate::framing::{Form, RequestParser};
    use crate::limits::MAX_KEY_BYTES;
    use crate::replication::message::Incarnation;
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::Rules;
    use crate::store::clock::Timestamp;
    use crate::store::version::NodeId;

    /// What a plain line is answered.
    fn answer(line: &str) -> String {
        let identity = Identity::in_memory("node1", NodeId(1), Incarnation(9));
        let replica = Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_700_000_000_000)));
        let bytes = format!("{line}\n");
        let mut parser = RequestParser::new(words_before_text);
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some((Form::Plain, bytes.len()))));
        let mut out = Vec::new();
        Bare::new(replica).execute(Form::Plain, parser.args(Form::Plain, bytes.as_bytes()), &mut out);
        String::from_utf8(out).unwrap().trim_end().to_string()
    }

    #[test]
    fn names_are_taken_in_any_case() {
        for line in ["dbsize", "DBSIZE", "DbSize"] {
            assert_eq!(answer(line), "0");
        }
    }

    #[test]
    fn an_error_says_what_to_type_instead() {
        assert_eq!(answer("GET"), "ERROR: wrong number of arguments for 'get' command: type GET key");
        assert_eq!(answer("GET a b"), "ERROR: wrong number of arguments for 'get' command: type GET key");
        assert_eq!(answer("FROB x"), "ERROR: unknown command 'FROB': type HELP for the list");
        assert_eq!(
            answer("MSET a 1 b"),
            "ERROR: wrong number of arguments for 'mset' command: type MSET key value [key value ...]"
        );
        assert_eq!(answer("DIGEST xyz"), "ERROR: a prefix is up to 4 hex digits: type DIGEST, DIGEST *, or DIGEST a3");
        assert_eq!(answer("HELLO 4"), "ERROR: unsupported protocol version: type HELLO 2 or HELLO 3");
        assert_eq!(answer("SELECT 1"), "ERROR: DB index is out of range: type SELECT 0");
        assert_eq!(answer("SCAN x"), "ERROR: invalid cursor: begin with SCAN 0");
        assert_eq!(
            answer("SCAN 0 COUNT 0"),
            "ERROR: syntax error: type SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]"
        );
        assert_eq!(answer("\u{e9}"), r"ERROR: unknown command '\xc3\xa9': type HELP for the list");
        assert_eq!(
            answer(&"X".repeat(1000)).chars().count(),
            "ERROR: unknown command '…': type HELP for the list".chars().count() + 64
        );
    }

    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let error = answer(&format!("GET {}", "k".repeat(MAX_KEY_BYTES + 1)));
        assert_eq!(error, "ERROR: a key has at most 65535 bytes, this one has 65536");
    }

    #[test]
    fn the_table_shows_each_command_as_it_is_typed() {
        for spec in shown(true) {
            assert!(spec.usage.starts_with(spec.name), "{}", spec.usage);
            assert!(spec.usage.len() + spec.summary.len() < 130, "{} is too long for a line of HELP", spec.name);
        }
    }

    #[test]
    fn names_are_unique_and_in_capitals() {
        for spec in FAMILIES.iter().copied().flatten() {
            assert_eq!(find(spec.name.to_ascii_lowercase().as_bytes()).map(|found| found.usage), Some(spec.usage));
            assert_eq!(spec.name, spec.name.to_ascii_uppercase());
        }
    }

    #[test]
    fn the_text_of_a_plain_line_is_a_commands_last_word() {
        assert_eq!(words_before_text(b"set"), Some(2));
        assert_eq!(words_before_text(b"ECHO"), Some(1));
        assert_eq!(words_before_text(b"GET"), None);
        assert_eq!(words_before_text(b"FROB"), None);
    }
}
