//! Whose directory it is: the file `identity`, made once.

use std::io;

use super::files::{Directory, create_whole};
use super::frame::{FORMAT, HEADER_BYTES, crc, header};
use super::log::salt_of;
use super::snapshot::log_name;
use super::start_error::StartError;
use crate::replication::message::StoreId;
use crate::store::version::NodeId;

const FILE: &str = "identity";

/// Whose directory it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The node's name.
    pub name: String,
    /// The node's number.
    pub node: NodeId,
}

/// The store in a directory, and whether it was made now: a directory without one becomes the owner's, with the store
/// `new`.
pub(super) fn store_of(directory: &dyn Directory, owner: &Owner, new: StoreId) -> Result<(StoreId, bool), StartError> {
    let io = |error: io::Error| StartError::io(directory, FILE, &error);
    let files = directory.list().map_err(io)?;
    if files.iter().any(|name| name == FILE) {
        return Ok((read(directory, owner)?, false));
    }
    for name in files.iter().filter(|name| name.ends_with(".log") || name.ends_with(".snapshot")) {
        // An empty first log is what is left of a directory that was not finished.
        if *name != log_name(1) || length_of(directory, name).map_err(io)? > HEADER_BYTES as u64 {
            return Err(StartError::damaged(directory, FILE, "is missing, but data is there"));
        }
    }
    create(directory, owner, new).map_err(io)?;
    Ok((new, true))
}

/// Makes the first log, then the identity: so where there is an identity, there are logs, or some were lost.
fn create(directory: &dyn Directory, owner: &Owner, store: StoreId) -> io::Result<()> {
    let text = format!("format {FORMAT}\nnode {}\nname {}\nstore {store}\n", owner.node, owner.name);
    let text = format!("{text}check {:08x}\n", crc(0, [text.as_bytes()]));
    create_whole(directory, &log_name(1), &header(salt_of(store), 0))?;
    create_whole(directory, FILE, text.as_bytes()).map(drop)
}

/// How long a file is, or a little more than a header if it is longer.
fn length_of(directory: &dyn Directory, name: &str) -> io::Result<u64> {
    io::copy(&mut io::Read::take(directory.read(name)?, HEADER_BYTES as u64 + 1), &mut io::sink())
}

fn read(directory: &dyn Directory, owner: &Owner) -> Result<StoreId, StartError> {
    let mut text = String::new();
    let read =
        directory.read(FILE).and_then(|file| io::Read::read_to_string(&mut io::Read::take(file, 4096), &mut text));
    let damaged = || StartError::damaged(directory, FILE, "is damaged");
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => damaged(),
        _ => StartError::io(directory, FILE, &error),
    })?;
    let word = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let format: u16 = word("format").and_then(|word| word.parse().ok()).ok_or_else(damaged)?;
    if format > FORMAT {
        return Err(StartError::Newer { directory: directory.describe(), format });
    }
    let node = word("node").and_then(|word| word.parse().ok()).map(NodeId).ok_or_else(damaged)?;
    let found = Owner { name: word("name").ok_or_else(damaged)?.to_string(), node };
    if found != *owner {
        return Err(StartError::Foreign { directory: directory.describe(), found, owner: owner.clone() });
    }
    let check = text.split_once("check ").map(|(text, check)| (crc(0, [text.as_bytes()]), check.trim_end()));
    if check.is_none_or(|(found, said)| format!("{found:08x}") != said) {
        return Err(damaged());
    }
    let store = word("store").and_then(|word| u64::from_str_radix(word, 16).ok());
    store.map(StoreId).ok_or_else(damaged)
}
