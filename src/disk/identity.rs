//! Whose directory it is: the file `identity`, made once.

use std::io;

use super::files::Directory;
use super::frame::FORMAT;
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

/// The store in a directory. A directory without one becomes the owner's, with the store `new`.
pub(super) fn store_of(directory: &dyn Directory, owner: &Owner, new: StoreId) -> Result<StoreId, StartError> {
    let files = directory.list().map_err(|error| StartError::io(directory, FILE, &error))?;
    if files.iter().any(|name| name == FILE) {
        return read(directory, owner);
    }
    if files.iter().any(|name| name.ends_with(".log") || name.ends_with(".snapshot")) {
        return Err(StartError::damaged(directory, FILE, "is missing, but data is there"));
    }
    create(directory, owner, new).map_err(|error| StartError::io(directory, FILE, &error))?;
    Ok(new)
}

fn create(directory: &dyn Directory, owner: &Owner, store: StoreId) -> io::Result<()> {
    let text = format!("format {FORMAT}\nnode {}\nname {}\nstore {store}\n", owner.node, owner.name);
    let new = format!("{FILE}.new");
    let file = directory.create(&new)?;
    file.write(text.as_bytes())?;
    file.sync()?;
    directory.rename(&new, FILE)?;
    directory.sync()
}

fn read(directory: &dyn Directory, owner: &Owner) -> Result<StoreId, StartError> {
    let mut text = String::new();
    let read =
        directory.read(FILE).and_then(|file| io::Read::read_to_string(&mut io::Read::take(file, 4096), &mut text));
    read.map_err(|error| StartError::io(directory, FILE, &error))?;
    let word = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let missing = || StartError::damaged(directory, FILE, "is damaged");
    let format: u16 = word("format").and_then(|word| word.parse().ok()).ok_or_else(missing)?;
    if format > FORMAT {
        return Err(StartError::Newer { directory: directory.describe(), format });
    }
    let node = word("node").and_then(|word| word.parse().ok()).map(NodeId).ok_or_else(missing)?;
    let found = Owner { name: word("name").ok_or_else(missing)?.to_string(), node };
    if found != *owner {
        return Err(StartError::Foreign { directory: directory.describe(), found, owner: owner.clone() });
    }
    let store = word("store").and_then(|word| u64::from_str_radix(word, 16).ok());
    store.map(StoreId).ok_or_else(missing)
}
