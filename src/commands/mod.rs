//! What a client may ask for: the table of commands, and how words become a [`Command`].

pub mod answer;
pub mod glob;
pub mod usage;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::framing::{Args, printable};
use crate::limits::{MAX_CLIENT_NAME_BYTES, MAX_KEY_BYTES, MAX_SCAN_COUNT, MAX_VALUE_BYTES};
use crate::store::digest::Prefix;

/// The version of Redis to whose clients this looks alike. They look at it to see what a server can do.
pub const REDIS_VERSION: &str = "7.2.4";

/// One entry of the table of commands: what HELP and COMMAND say about it.
#[derive(Debug)]
pub struct Spec {
    verb: Verb,
    /// The verb in capitals.
    pub name: &'static str,
    /// What to type.
    pub usage: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// How many words it has, the verb included; negative: at least as many. As in Redis' COMMAND.
    pub arity: i32,
    /// Where its keys stand: the first, the last (negative: from the end), and the step. All 0 if it has none.
    pub keys: (i32, i32, i32),
    /// The group in which `redis-cli help` shows it.
    pub group: &'static str,
    /// The version of Redis that first had it; of ours, if Redis has not.
    pub since: &'static str,
    /// How its cost grows.
    pub complexity: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Get,
    Set,
    Del,
    Exists,
    MGet,
    MSet,
    Keys,
    Scan,
    DbSize,
    Version,
    Digest,
    Sync,
    Forget,
    Info,
    Ping,
    Echo,
    Help,
    Quit,
    Reset,
    Auth,
    Hello,
    Select,
    Client,
    Command,
    Config,
    Multi,
    Exec,
    Discard,
    ReplConf,
    PSync,
}

const fn spec(
    verb: Verb,
    usage: &'static str,
    summary: &'static str,
    name: &'static str,
    arity: i32,
    keys: (i32, i32, i32),
) -> Spec {
    Spec { verb, name, usage, summary, arity, keys, group: "", since: "", complexity: "" }
}

impl Spec {
    const fn doc(self, group: &'static str, since: &'static str, complexity: &'static str) -> Self {
        Self { group, since, complexity, ..self }
    }

    /// The command with this name, in any case, of those that HELP shows.
    pub fn named(name: &[u8]) -> Option<&'static Self> {
        COMMANDS.iter().find(|spec| spec.is(name))
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name)
    }
}

/// Every command that a client may use, the frequent ones first: they are looked up in this order.
#[rustfmt::skip]
pub const COMMANDS: &[Spec] = &[
    spec(Verb::Get, "GET key", "the value, or `Key not found`", "GET", 2, (1, 1, 1))
        .doc("string", "1.0.0", "O(1)"),
    spec(Verb::Set, "SET key value", r#"stores the value; in a plain line, all that follows the key (also EX 60), or one "string""#, "SET", -3, (1, 1, 1))
        .doc("string", "1.0.0", "O(1)"),
    spec(Verb::Del, "DEL key [key ...]", "deletes; OK if there was a value (for several keys: how many had one)", "DEL", -2, (1, -1, 1))
        .doc("generic", "1.0.0", "O(N) where N is the number of keys"),
    spec(Verb::Exists, "EXISTS key [key ...]", "how many of the keys have a value", "EXISTS", -2, (1, -1, 1))
        .doc("generic", "1.0.0", "O(N) where N is the number of keys"),
    spec(Verb::MGet, "MGET key [key ...]", "the values of several keys", "MGET", -2, (1, -1, 1))
        .doc("string", "1.0.0", "O(N) where N is the number of keys"),
    spec(Verb::MSet, "MSET key value [key value ...]", "stores several values, one after the other", "MSET", -3, (1, -1, 2))
        .doc("string", "1.0.1", "O(N) where N is the number of keys"),
    spec(Verb::Keys, "KEYS pattern", "the keys that match, such as KEYS user:*", "KEYS", 2, (0, 0, 0))
        .doc("generic", "1.0.0", "O(N) where N is the number of keys in the store"),
    spec(Verb::Scan, "SCAN cursor [MATCH pattern] [COUNT n]", "some keys and the cursor to go on with; begins and ends with 0", "SCAN", -2, (0, 0, 0))
        .doc("generic", "2.8.0", "O(1) for every call"),
    spec(Verb::DbSize, "DBSIZE", "how many keys have a value", "DBSIZE", 1, (0, 0, 0))
        .doc("server", "1.0.0", "O(1)"),
    spec(Verb::Version, "VERSION key", "when and by which node the key was written or deleted", "VERSION", 2, (1, 1, 1))
        .doc("agreement", "0.1.0", "O(1)"),
    spec(Verb::Digest, "DIGEST [prefix|*]", "a hash of all that is stored, or of its 16 parts; equal on nodes that agree", "DIGEST", -1, (0, 0, 0))
        .doc("agreement", "0.1.0", "O(1)"),
    spec(Verb::Sync, "SYNC", "compares this node with its peers now, and says what it did", "SYNC", 1, (0, 0, 0))
        .doc("agreement", "0.1.0", "O(N) where N is how many keys differ"),
    spec(Verb::Forget, "FORGET name|host:port", "no longer waits for a node that will never return", "FORGET", 2, (0, 0, 0))
        .doc("agreement", "0.1.0", "O(1)"),
    spec(Verb::Info, "INFO [section [section ...]]", "the state of this node", "INFO", -1, (0, 0, 0))
        .doc("server", "1.0.0", "O(1)"),
    spec(Verb::Ping, "PING [text]", "PONG, or the text", "PING", -1, (0, 0, 0))
        .doc("connection", "1.0.0", "O(1)"),
    spec(Verb::Echo, "ECHO text", "the text", "ECHO", 2, (0, 0, 0))
        .doc("connection", "1.0.0", "O(1)"),
    spec(Verb::Help, "HELP", "this list", "HELP", 1, (0, 0, 0))
        .doc("server", "0.1.0", "O(1)"),
    spec(Verb::Quit, "QUIT", "ends the connection", "QUIT", -1, (0, 0, 0))
        .doc("connection", "1.0.0", "O(1)"),
    spec(Verb::Reset, "RESET", "takes back what the connection was told: its name, RESP3, the secret", "RESET", 1, (0, 0, 0))
        .doc("connection", "6.2.0", "O(1)"),
    spec(Verb::Auth, "AUTH [user] secret", "says the secret of the cluster; first, where there is one", "AUTH", -2, (0, 0, 0))
        .doc("connection", "1.0.0", "O(1)"),
    spec(Verb::Hello, "HELLO [2|3] [AUTH user secret] [SETNAME name]", "what Redis clients say first", "HELLO", -1, (0, 0, 0))
        .doc("connection", "6.0.0", "O(1)"),
    spec(Verb::Select, "SELECT 0", "there is one database", "SELECT", 2, (0, 0, 0))
        .doc("connection", "1.0.0", "O(1)"),
    spec(Verb::Client, "CLIENT ID|LIST [ID id [id ...]|TYPE type]|GETNAME|SETNAME name|SETINFO name value", "about the connections", "CLIENT", -2, (0, 0, 0))
        .doc("connection", "2.4.0", "O(N) where N is the number of clients"),
    spec(Verb::Command, "COMMAND [COUNT|DOCS [name [name ...]]|INFO [name [name ...]]]", "this list, for Redis clients", "COMMAND", -1, (0, 0, 0))
        .doc("server", "2.8.13", "O(1)"),
    spec(Verb::Config, "CONFIG GET name [name ...]", "a few settings, for Redis tools", "CONFIG", -3, (0, 0, 0))
        .doc("server", "2.0.0", "O(1)"),
];

/// Commands of Redis that are understood only to be refused in the right way. HELP and COMMAND do not show them.
#[rustfmt::skip]
const REFUSED: &[Spec] = &[
    spec(Verb::Multi, "MULTI", "refused: there are no transactions", "MULTI", 1, (0, 0, 0)),
    spec(Verb::Exec, "EXEC", "ends a refused transaction", "EXEC", 1, (0, 0, 0)),
    spec(Verb::Discard, "DISCARD", "ends a refused transaction", "DISCARD", 1, (0, 0, 0)),
    spec(Verb::ReplConf, "REPLCONF", "what a Redis replica says first", "REPLCONF", -1, (0, 0, 0)),
    spec(Verb::PSync, "PSYNC", "asks a Redis master for its stream", "PSYNC", -1, (0, 0, 0)),
];

/// What a client asks for. Borrows its words from the buffer they came in.
#[derive(Debug)]
#[allow(missing_docs, reason = "described by the table COMMANDS")]
pub enum Command<'a> {
    Get(&'a [u8]),
    Set {
        key: &'a [u8],
        value: &'a [u8],
    },
    Del(Args<'a>),
    Exists(Args<'a>),
    MGet(Args<'a>),
    /// Keys and values in turn.
    MSet(Args<'a>),
    Keys(&'a [u8]),
    Scan {
        cursor: u64,
        pattern: Option<&'a [u8]>,
        count: usize,
    },
    DbSize,
    Version(&'a [u8]),
    /// Of everything.
    RootDigest,
    /// Of the parts of a node of the tree.
    Digest(Prefix),
    Sync,
    /// The name of a node.
    Forget(&'a [u8]),
    /// The names of sections; none: all of them.
    Info(Args<'a>),
    Ping(Option<&'a [u8]>),
    Echo(&'a [u8]),
    Help,
    Quit,
    Reset,
    /// A user's name, where one was said, and the secret.
    Auth(Option<&'a [u8]>, &'a [u8]),
    Hello {
        /// Whether the answers are to be in RESP3 from now on; `None`: as before.
        resp3: Option<bool>,
        /// A user's name and the secret.
        login: Option<(&'a [u8], &'a [u8])>,
        name: Option<&'a [u8]>,
    },
    Select,
    ClientId,
    ClientList(Listed),
    ClientGetName,
    ClientSetName(&'a [u8]),
    ClientSetInfo,
    CommandCount,
    /// The names of commands; none: of all.
    CommandDocs(Args<'a>),
    /// As for `CommandDocs`.
    CommandInfo(Args<'a>),
    ConfigGet(Args<'a>),
    Multi,
    Exec,
    Discard,
    ReplConf,
    PSync,
}

/// Which connections CLIENT LIST shows.
#[derive(Debug)]
pub enum Listed {
    /// All of them.
    All,
    /// Those with these numbers.
    Ids(BTreeSet<u64>),
    /// Those of clients.
    Clients,
    /// Those of other nodes, which Redis would call replicas.
    Peers,
    /// None: those of a kind that there is not.
    Nothing,
}

/// Why words are no command. The client's fault; the session goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No command has this name.
    Unknown(String),
    /// Too few words, or too many.
    WrongArity(&'static str, &'static str),
    /// A word that cannot stand where it stands: what is wrong, and what to type.
    Syntax(String),
    /// HELLO with another protocol version than 2 or 3.
    NoSuchProtocol,
    /// A plain line whose quotes mean nothing: what is wrong with them.
    UnbalancedQuotes(&'static str),
}

impl CommandError {
    /// Redis' first word for this failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchProtocol => "NOPROTO",
            _ => "ERR",
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(verb) => write!(f, "unknown command '{verb}': type HELP for the list"),
            Self::WrongArity(name, usage) => {
                write!(f, "wrong number of arguments for '{}' command: type {usage}", name.to_ascii_lowercase())
            }
            Self::Syntax(message) => f.write_str(message),
            Self::UnbalancedQuotes(why) => write!(f, "unbalanced quotes: {why}"),
            Self::NoSuchProtocol => f.write_str("unsupported protocol version: type HELLO 2 or HELLO 3"),
        }
    }
}

impl std::error::Error for CommandError {}

impl<'a> Command<'a> {
    /// The command in the words of a request, of which there is at least one.
    pub fn parse(words: Args<'a>) -> Result<Self, CommandError> {
        if let Some(why) = words.unbalanced() {
            return Err(CommandError::UnbalancedQuotes(why));
        }
        let verb = words.get(0).unwrap_or_default();
        let spec = Spec::named(verb)
            .or_else(|| REFUSED.iter().find(|spec| spec.is(verb)))
            .ok_or_else(|| CommandError::Unknown(printable(verb)))?;
        let wrong_arity = || CommandError::WrongArity(spec.name, spec.usage);
        let count = words.len() as i32;
        if count < spec.arity.abs() || (spec.arity > 0 && count > spec.arity) {
            return Err(wrong_arity());
        }
        let rest = words.from(1);
        let word = |index: usize| words.get(index).unwrap_or_default();
        let key = |index: usize| check_key(word(index));
        let keys = || rest.iter().try_for_each(|key| check_key(key).map(drop)).map(|()| rest);
        Ok(match spec.verb {
            Verb::Get => Self::Get(key(1)?),
            Verb::Set if count > 3 => {
                return Err(CommandError::Syntax("SET takes no options such as EX or NX: type SET key value".into()));
            }
            Verb::Set => Self::Set { key: key(1)?, value: check_value(word(2))? },
            Verb::Del => Self::Del(keys()?),
            Verb::Exists => Self::Exists(keys()?),
            Verb::MGet => Self::MGet(keys()?),
            Verb::MSet if count % 2 == 0 => return Err(wrong_arity()),
            Verb::MSet => {
                for (index, word) in rest.iter().enumerate() {
                    if index % 2 == 0 {
                        check_key(word)?
                    } else {
                        check_value(word)?
                    };
                }
                Self::MSet(rest)
            }
            Verb::Keys => Self::Keys(word(1)),
            Verb::Scan => parse_scan(rest)?,
            Verb::DbSize => Self::DbSize,
            Verb::Version => Self::Version(key(1)?),
            Verb::Digest if count > 2 => return Err(wrong_arity()),
            Verb::Digest => match words.get(1) {
                None => Self::RootDigest,
                Some(b"*") => Self::Digest(Prefix::ROOT),
                Some(prefix) => Self::Digest(Prefix::parse(prefix).ok_or_else(|| {
                    CommandError::Syntax("a prefix is up to 4 hex digits: type DIGEST, DIGEST *, or DIGEST a3".into())
                })?),
            },
            Verb::Sync => Self::Sync,
            Verb::Forget => Self::Forget(word(1)),
            Verb::Info => Self::Info(rest),
            Verb::Ping if count > 2 => return Err(wrong_arity()),
            Verb::Ping => Self::Ping(words.get(1)),
            Verb::Echo => Self::Echo(word(1)),
            Verb::Help => Self::Help,
            Verb::Quit => Self::Quit,
            Verb::Reset => Self::Reset,
            Verb::Auth if count > 3 => return Err(wrong_arity()),
            Verb::Auth => Self::Auth((count == 3).then(|| word(1)), word(words.len() - 1)),
            Verb::Hello => parse_hello(rest)?,
            Verb::Select if word(1) == b"0" => Self::Select,
            Verb::Select => return Err(CommandError::Syntax("DB index is out of range: type SELECT 0".into())),
            Verb::Client => match (upper(word(1)).as_str(), count) {
                ("ID", 2) => Self::ClientId,
                ("LIST", 2) => Self::ClientList(Listed::All),
                ("LIST", 4..) if word(2).eq_ignore_ascii_case(b"ID") => Self::ClientList(parse_ids(words.from(3))?),
                ("LIST", 4) if word(2).eq_ignore_ascii_case(b"TYPE") => Self::ClientList(parse_client_type(word(3))?),
                ("GETNAME", 2) => Self::ClientGetName,
                ("SETNAME", 3) => Self::ClientSetName(check_client_name(word(2))?),
                ("SETINFO", 4) => Self::ClientSetInfo,
                _ => return Err(CommandError::Syntax(format!("unknown CLIENT subcommand: type {}", spec.usage))),
            },
            Verb::Command => match (upper(word(1)).as_str(), count) {
                ("", _) => Self::CommandInfo(words.from(2)),
                ("COUNT", 2) => Self::CommandCount,
                ("DOCS", _) => Self::CommandDocs(words.from(2)),
                ("INFO", _) => Self::CommandInfo(words.from(2)),
                _ => return Err(CommandError::Syntax(format!("unknown COMMAND subcommand: type {}", spec.usage))),
            },
            Verb::Multi => Self::Multi,
            Verb::Exec => Self::Exec,
            Verb::Discard => Self::Discard,
            Verb::ReplConf => Self::ReplConf,
            Verb::PSync => Self::PSync,
            Verb::Config if word(1).eq_ignore_ascii_case(b"GET") => Self::ConfigGet(words.from(2)),
            Verb::Config => {
                return Err(CommandError::Syntax(
                    "settings are given at the start, see --help: type CONFIG GET name".into(),
                ));
            }
        })
    }
}

fn parse_scan(rest: Args<'_>) -> Result<Command<'_>, CommandError> {
    let usage = || CommandError::Syntax("syntax error: type SCAN cursor [MATCH pattern] [COUNT n]".into());
    let cursor =
        parse_number(rest.get(0)).ok_or_else(|| CommandError::Syntax("invalid cursor: begin with SCAN 0".into()))?;
    let (mut pattern, mut count) = (None, 10);
    let mut options = rest.from(1).iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or_else(usage)?;
        match upper(option).as_str() {
            "MATCH" => pattern = Some(value),
            "COUNT" => count = parse_number(Some(value)).filter(|&count| count > 0).ok_or_else(usage)?,
            _ => return Err(usage()),
        }
    }
    Ok(Command::Scan { cursor, pattern, count: count.min(MAX_SCAN_COUNT) })
}

fn parse_hello(rest: Args<'_>) -> Result<Command<'_>, CommandError> {
    let resp3 = match rest.get(0) {
        None => None,
        Some(b"2") => Some(false),
        Some(b"3") => Some(true),
        Some(_) => return Err(CommandError::NoSuchProtocol),
    };
    let usage =
        || CommandError::Syntax("syntax error in HELLO: type HELLO 2|3 [AUTH user secret] [SETNAME name]".into());
    let (mut login, mut name) = (None, None);
    let mut options = rest.from(1).iter();
    while let Some(option) = options.next() {
        match upper(option).as_str() {
            "AUTH" => login = Some((options.next().ok_or_else(usage)?, options.next().ok_or_else(usage)?)),
            "SETNAME" => name = Some(check_client_name(options.next().ok_or_else(usage)?)?),
            _ => return Err(usage()),
        }
    }
    Ok(Command::Hello { resp3, login, name })
}

fn parse_ids(ids: Args<'_>) -> Result<Listed, CommandError> {
    let ids: Option<_> = ids.iter().map(|id| parse_number(Some(id))).collect();
    ids.map(Listed::Ids).ok_or_else(|| CommandError::Syntax("a client's ID is a number: type CLIENT LIST ID id".into()))
}

fn parse_client_type(name: &[u8]) -> Result<Listed, CommandError> {
    match upper(name).as_str() {
        "NORMAL" => Ok(Listed::Clients),
        "REPLICA" | "SLAVE" => Ok(Listed::Peers),
        "MASTER" | "PUBSUB" => Ok(Listed::Nothing),
        _ => Err(CommandError::Syntax(format!(
            "unknown client type '{}': type normal, master, replica or pubsub",
            printable(name)
        ))),
    }
}

fn check_key(key: &[u8]) -> Result<&[u8], CommandError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(CommandError::Syntax(format!(
            "a key has at most {MAX_KEY_BYTES} bytes, this one has {}",
            key.len()
        )));
    }
    Ok(key)
}

fn check_value(value: &[u8]) -> Result<&[u8], CommandError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(CommandError::Syntax(format!(
            "a value has at most {MAX_VALUE_BYTES} bytes, this one has {}",
            value.len()
        )));
    }
    Ok(value)
}

fn check_client_name(name: &[u8]) -> Result<&[u8], CommandError> {
    if name.len() > MAX_CLIENT_NAME_BYTES || !name.iter().all(u8::is_ascii_graphic) {
        return Err(CommandError::Syntax(format!(
            "Client names cannot contain spaces, newlines or special characters, nor more than {MAX_CLIENT_NAME_BYTES} bytes"
        )));
    }
    Ok(name)
}

fn parse_number<T: FromStr>(word: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

fn upper(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Form, RequestParser};

    /// What a plain line parses to, as text.
    fn parsed(line: &str) -> String {
        let bytes = format!("{line}\n");
        let mut parser = RequestParser::default();
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some((Form::Plain, bytes.len()))));
        match Command::parse(parser.args(Form::Plain, bytes.as_bytes())) {
            Ok(command) => format!("{command:?}"),
            Err(error) => format!("{} {error}", error.code()),
        }
    }

    #[test]
    fn verbs_are_taken_in_any_case() {
        for line in ["dbsize", "DBSIZE", "DbSize"] {
            assert_eq!(parsed(line), "DbSize");
        }
        assert_eq!(parsed("MGET a b"), r#"MGet(["a", "b"])"#);
    }

    #[test]
    fn an_error_says_what_to_type_instead() {
        assert_eq!(parsed("GET"), "ERR wrong number of arguments for 'get' command: type GET key");
        assert_eq!(parsed("GET a b"), "ERR wrong number of arguments for 'get' command: type GET key");
        assert_eq!(parsed("FROB x"), "ERR unknown command 'FROB': type HELP for the list");
        assert_eq!(
            parsed("MSET a 1 b"),
            "ERR wrong number of arguments for 'mset' command: type MSET key value [key value ...]"
        );
        assert_eq!(parsed("DIGEST xyz"), "ERR a prefix is up to 4 hex digits: type DIGEST, DIGEST *, or DIGEST a3");
        assert_eq!(parsed("HELLO 4"), "NOPROTO unsupported protocol version: type HELLO 2 or HELLO 3");
        assert_eq!(parsed("SELECT 1"), "ERR DB index is out of range: type SELECT 0");
        assert_eq!(parsed("SCAN x"), "ERR invalid cursor: begin with SCAN 0");
        assert_eq!(parsed("SCAN 0 COUNT 0"), "ERR syntax error: type SCAN cursor [MATCH pattern] [COUNT n]");
        assert_eq!(parsed("\u{1}\u{2}"), r"ERR unknown command '\x01\x02': type HELP for the list");
        assert_eq!(
            parsed(&"X".repeat(1000)).chars().count(),
            "ERR unknown command '…': type HELP for the list".chars().count() + 64
        );
    }

    #[test]
    fn a_key_beyond_the_limit_is_refused() {
        let error = parsed(&format!("GET {}", "k".repeat(MAX_KEY_BYTES + 1)));
        assert_eq!(error, "ERR a key has at most 65535 bytes, this one has 65536");
    }

    #[test]
    fn the_table_shows_each_command_as_it_is_typed() {
        for spec in COMMANDS {
            assert!(spec.usage.starts_with(spec.name), "{}", spec.usage);
            assert!(spec.usage.len() + spec.summary.len() < 130, "{} is too long for a line of HELP", spec.name);
        }
    }
}
