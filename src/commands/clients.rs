//! The connections that are open, and what their clients call themselves.

use std::collections::BTreeSet;

use super::call::{Call, DONE, Outcome};
use super::connection::rename;
use super::failure::Failure;
use super::host::ConnectionInfo;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::words::{check_client_name, parse_number, upper};
use crate::framing::{Args, printable};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "CLIENT",
    usage: "CLIENT ID|LIST [ID id [id ...]|TYPE type]|GETNAME|SETNAME name|SETINFO name value",
    summary: "about the connections",
    arity: -2,
    keys: Keys::NONE,
    flags: Flags::of(&[Loading]),
    group: "connection",
    since: "2.4.0",
    complexity: "O(N) where N is the number of clients",
    function: client,
}];

fn client(call: &mut Call<'_>) -> Outcome {
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("ID", 1) => call.answer.integer(call.host.client_id() as usize),
        ("LIST", 1) => list(call, &Listed::All),
        ("LIST", 3..) if call.word(1).eq_ignore_ascii_case(b"ID") => list(call, &Listed::with_ids(call.args.from(2))?),
        ("LIST", 3) if call.word(1).eq_ignore_ascii_case(b"TYPE") => list(call, &Listed::of_type(call.word(2))?),
        ("GETNAME", 1) => match call.conversation.name.as_slice() {
            b"" => call.answer.absent(""),
            name => call.answer.value(Some(name)),
        },
        ("SETNAME", 2) => {
            rename(call, check_client_name(call.word(1))?);
            call.answer.ok();
        }
        ("SETINFO", 3) => call.answer.ok(),
        _ => return Err(Failure::error(format!("unknown CLIENT subcommand: type {}", call.spec.usage))),
    }
    DONE
}

/// Which connections CLIENT LIST shows.
enum Listed {
    All,
    /// Those with these numbers.
    Ids(BTreeSet<u64>),
    Clients,
    /// Those of other nodes, which Redis would call replicas.
    Peers,
    /// None: those of a kind that there is not.
    Nothing,
}

impl Listed {
    fn with_ids(ids: Args<'_>) -> Result<Self, Failure> {
        let ids: Option<_> = ids.iter().map(parse_number).collect();
        ids.map(Self::Ids).ok_or_else(|| Failure::error("a client's ID is a number: type CLIENT LIST ID id"))
    }

    fn of_type(name: &[u8]) -> Result<Self, Failure> {
        match upper(name).as_str() {
            "NORMAL" => Ok(Self::Clients),
            "REPLICA" | "SLAVE" => Ok(Self::Peers),
            "MASTER" | "PUBSUB" => Ok(Self::Nothing),
            _ => Err(Failure::error(format!(
                "unknown client type '{}': type normal, master, replica or pubsub",
                printable(name)
            ))),
        }
    }

    fn shows(&self, connection: &ConnectionInfo) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&connection.id),
            Self::Clients => !connection.is_peer,
            Self::Peers => connection.is_peer,
            Self::Nothing => false,
        }
    }
}

/// A line for each of these connections, as Redis writes them.
fn list(call: &mut Call<'_>, which: &Listed) {
    let line = |connection: &ConnectionInfo| {
        let ConnectionInfo { id, address, name, age, .. } = connection;
        format!("id={id} addr={address} name={} age={} db=0\n", name.escape_ascii(), age.as_secs())
    };
    let lines: String = call.host.connections().iter().filter(|connection| which.shows(connection)).map(line).collect();
    call.answer.text(&lines);
}
