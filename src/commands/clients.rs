//! The connections that are open: what their clients call themselves, which answers they want, and how one is ended.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::call::{Call, DONE, Flow, Outcome};
use super::connection::rename;
use super::conversation::Replies;
use super::failure::{Failure, TOO_MANY_ANSWERS};
use super::host::ConnectionInfo;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::words::{check_client_name, parse_number, upper};
use crate::framing::{Args, printable};
use crate::limits::CONNECTIONS_AT_ONCE;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "CLIENT",
    usage: "CLIENT ID|INFO|LIST [ID id [id ...]|TYPE type]|KILL filter|GETNAME|SETNAME name|SETINFO name value|\
            REPLY mode",
    summary: "connections",
    arity: -2,
    keys: Keys::NONE,
    flags: Flags::of(&[Loading]),
    group: "connection",
    since: "2.4.0",
    complexity: "O(N) where N is the number of clients",
    function: client,
}];

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    The name of this connection.",
    "ID",
    "    The number of this connection.",
    "INFO",
    "    The line of CLIENT LIST about this connection.",
    "KILL <ip:port>",
    "    Ends the connection of a client.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Ends the connections for which all options hold. A peer whose connection is ended connects again.",
    "    * ID <id>, ADDR <ip:port>, LADDR <ip:port>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER default,",
    "      SKIPME (YES|NO): whether this connection is left alone (default: yes)",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [<id> ...]]",
    "    A line for each connection. Peers count as replicas.",
    "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF)",
    "    Nothing changes: no client and no key is evicted.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether this connection gets answers. SKIP: all but the next.",
    "SETINFO <name> <value>",
    "    Nothing changes: the library's name is not kept.",
    "SETNAME <name>",
    "    Names this connection.",
    "HELP",
    "    Prints this help.",
];

const SUBCOMMANDS: &[&str] =
    &["GETNAME", "HELP", "ID", "INFO", "KILL", "NO-EVICT", "NO-TOUCH", "REPLY", "SETINFO", "SETNAME"];

fn client(call: &mut Call<'_>) -> Outcome {
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("ID", 1) => call.answer.integer(call.host.client_id() as usize),
        ("INFO", 1) => return list(call, &Listed::Ids(BTreeSet::from([call.host.client_id()]))),
        ("LIST", _) => return list(call, &Listed::parse(call.args.from(1))?),
        ("KILL", 2..) if call.for_operators().is_err() => return Err(Failure::for_operators()),
        ("KILL", 2) => return kill_at(call),
        ("KILL", 3..) => return kill_all(call, &KillFilter::parse(call.args.from(1))?),
        ("GETNAME", 1) => match call.conversation.name.as_slice() {
            b"" => call.answer.absent(""),
            name => call.answer.value(Some(name)),
        },
        ("SETNAME", 2) => {
            rename(call, check_client_name(call.word(1))?);
            call.answer.ok();
        }
        ("SETINFO", 3) => call.answer.ok(),
        ("REPLY", 2) => return reply(call),
        ("NO-EVICT" | "NO-TOUCH", 2) => match upper(call.word(1)).as_str() {
            "ON" | "OFF" => call.answer.ok(),
            _ => return Err(syntax_error()),
        },
        ("HELP", 1) => call.help(HELP),
        _ => return Err(call.wrong_subcommand(SUBCOMMANDS)),
    }
    DONE
}

fn syntax_error() -> Failure {
    Failure::error("syntax error: type CLIENT HELP")
}

fn reply(call: &mut Call<'_>) -> Outcome {
    if call.is_in_transaction() {
        return Err(Failure::error("CLIENT REPLY has no meaning within a transaction: say it before MULTI"));
    }
    match (upper(call.word(1)).as_str(), call.conversation.replies) {
        ("ON", _) => {
            call.conversation.replies = Replies::On;
            call.answer.ok();
        }
        ("OFF", _) => call.conversation.replies = Replies::Off,
        ("SKIP", Replies::Off) => {}
        ("SKIP", _) => call.conversation.replies = Replies::SkipNext,
        _ => return Err(syntax_error()),
    }
    DONE
}

// ---- listing them ---------------------------------------------------------------------------------------------------

/// Which connections CLIENT LIST shows.
enum Listed {
    All,
    /// Those with these numbers.
    Ids(BTreeSet<u64>),
    OfKind(Kind),
}

/// What Redis calls a type of client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Client,
    /// Another node, which Redis would call a replica.
    Peer,
    /// A kind that there is not here.
    Other,
}

impl Kind {
    fn parse(name: &[u8]) -> Result<Self, Failure> {
        match upper(name).as_str() {
            "NORMAL" => Ok(Self::Client),
            "REPLICA" | "SLAVE" => Ok(Self::Peer),
            "MASTER" | "PUBSUB" => Ok(Self::Other),
            _ => Err(Failure::error(format!(
                "Unknown client type '{}': type normal, master, replica or pubsub",
                printable(name)
            ))),
        }
    }

    fn of(connection: &ConnectionInfo) -> Self {
        if connection.is_peer { Self::Peer } else { Self::Client }
    }
}

impl Listed {
    fn parse(filter: Args<'_>) -> Result<Self, Failure> {
        let word = |index| filter.get(index).unwrap_or_default();
        match (upper(word(0)).as_str(), filter.len()) {
            ("", 0) => Ok(Self::All),
            ("TYPE", 2) => Kind::parse(word(1)).map(Self::OfKind),
            ("ID", 2..) => {
                let ids: Option<_> = filter.from(1).iter().map(parse_number).collect();
                ids.map(Self::Ids).ok_or_else(|| Failure::error("Invalid client ID: type CLIENT LIST ID and a number"))
            }
            _ => Err(syntax_error()),
        }
    }

    /// The first number that may be shown.
    fn first(&self) -> u64 {
        if let Self::Ids(ids) = self { ids.first().copied().unwrap_or_default() } else { 0 }
    }

    /// The last number that may be shown.
    fn last(&self) -> u64 {
        if let Self::Ids(ids) = self { ids.last().copied().unwrap_or_default() } else { u64::MAX }
    }

    fn shows(&self, connection: &ConnectionInfo) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&connection.id),
            Self::OfKind(kind) => Kind::of(connection) == *kind,
        }
    }
}

/// A line for each of these connections, as Redis writes them. What they take is counted before there is more of them,
/// as with every large answer: many clients may ask at once.
fn list(call: &mut Call<'_>, which: &Listed) -> Outcome {
    let (mut lines, mut from) = (String::new(), which.first());
    while let Some(connections) = next_connections(call, &mut from, which.last()) {
        for connection in connections.iter().filter(|connection| which.shows(connection)) {
            let ConnectionInfo { id, address, local, name, age, is_peer } = connection;
            let local = local.map_or_else(String::new, |local| local.to_string());
            let (name, age, flag) = (name.escape_ascii(), age.as_secs(), if *is_peer { 'S' } else { 'N' });
            lines += &format!("id={id} addr={address} laddr={local} name={name} age={age} flags={flag} db=0\n");
        }
        // They stand in the answer, too, in the end.
        if !call.has_room_for(call.answer.written() - call.start + lines.capacity() + lines.len()) {
            return call.no_room("OOM", TOO_MANY_ANSWERS);
        }
    }
    call.answer.text(&lines);
    DONE
}

/// The next connections from number `from` up to `last`; `None` if there are no more.
fn next_connections(call: &Call<'_>, from: &mut u64, last: u64) -> Option<Vec<ConnectionInfo>> {
    let connections = call.host.connections(*from, CONNECTIONS_AT_ONCE);
    let is_over = *from > last;
    *from = connections.last()?.id + 1;
    (!is_over).then_some(connections)
}

// ---- ending them ----------------------------------------------------------------------------------------------------

/// CLIENT KILL address: fails if there is no such client.
fn kill_at(call: &mut Call<'_>) -> Outcome {
    let address = call.word(1);
    let is_there = |connection: &&ConnectionInfo| connection.address.to_string().as_bytes() == address;
    let (mut id, mut from) = (None, 0);
    while let (None, Some(connections)) = (id, next_connections(call, &mut from, u64::MAX)) {
        id = connections.iter().find(is_there).map(|connection| connection.id);
    }
    let flow = match id {
        Some(id) if id == call.host.client_id() => Flow::End,
        Some(id) if call.host.end_connection(id) => Flow::Continue,
        _ => return Err(Failure::error("No such client")),
    };
    call.answer.ok();
    Ok(flow)
}

/// CLIENT KILL with options: ends all clients for which they hold, and answers how many these are. The client's own
/// connection ends after the answer.
fn kill_all(call: &mut Call<'_>, filter: &KillFilter) -> Outcome {
    let own = call.host.client_id();
    let (mut others, mut ends_itself, mut from) = (0, false, 0);
    while let Some(connections) = next_connections(call, &mut from, u64::MAX) {
        for one in connections.iter().filter(|one| filter.has(one)) {
            ends_itself |= one.id == own && !filter.skips_itself;
            others += usize::from(one.id != own && call.host.end_connection(one.id));
        }
    }
    call.answer.integer(others + usize::from(ends_itself));
    Ok(if ends_itself { Flow::End } else { Flow::Continue })
}

/// Which connections CLIENT KILL ends: those that have all of these.
struct KillFilter {
    id: Option<u64>,
    address: Option<Address>,
    local: Option<Address>,
    kind: Option<Kind>,
    skips_itself: bool,
}

/// An address that was typed; `None` if it is none, as that of a Unix socket.
struct Address(Option<SocketAddr>);

impl KillFilter {
    fn parse(options: Args<'_>) -> Result<Self, Failure> {
        let mut filter = Self { id: None, address: None, local: None, kind: None, skips_itself: true };
        let address = |value: &[u8]| Some(Address(parse_number(value)));
        for index in (0..options.len()).step_by(2) {
            let value = options.get(index + 1).ok_or_else(syntax_error)?;
            match upper(options.get(index).unwrap_or_default()).as_str() {
                "ID" => {
                    let wrong = || Failure::error("client-id should be greater than 0");
                    filter.id = Some(parse_number(value).filter(|&id| id > 0).ok_or_else(wrong)?);
                }
                "ADDR" => filter.address = address(value),
                "LADDR" => filter.local = address(value),
                "TYPE" => filter.kind = Some(Kind::parse(value)?),
                "USER" if value != b"default" => {
                    return Err(Failure::error(format!("No such user '{}'", printable(value))));
                }
                "USER" => {}
                "SKIPME" => match upper(value).as_str() {
                    "YES" => filter.skips_itself = true,
                    "NO" => filter.skips_itself = false,
                    _ => return Err(syntax_error()),
                },
                _ => return Err(syntax_error()),
            }
        }
        Ok(filter)
    }

    fn has(&self, connection: &ConnectionInfo) -> bool {
        self.id.is_none_or(|id| id == connection.id)
            && self.address.as_ref().is_none_or(|address| address.0 == Some(connection.address))
            && self.local.as_ref().is_none_or(|local| local.0.is_some() && local.0 == connection.local)
            && self.kind.is_none_or(|kind| kind == Kind::of(connection))
    }
}
