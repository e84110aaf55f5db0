//! Where secrets are read: files, and variables of the environment.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::{Accepted, Kinds, Secret};
use crate::limits::MAX_SECRET_FILE_BYTES;

/// Whom a secret admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Clients.
    Client,
    /// The nodes of the cluster.
    Peer,
    /// Clients that may do everything.
    Operator,
}

/// Where the secrets of one kind are read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Whom they admit.
    pub kind: Kind,
    /// Where they stand.
    pub place: Place,
}

/// A place with one secret, or with two while one replaces the other.
#[derive(Clone, Debug)]
pub enum Place {
    /// This file, which was given with this option.
    File(&'static str, PathBuf),
    /// This variable of the environment.
    Variable(&'static str),
}

/// A secret that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// The option or variable that names it.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl std::error::Error for SourceError {}

impl Kinds {
    pub(super) fn read(sources: &[Source]) -> Result<Self, SourceError> {
        let mut kinds = Self::default();
        for Source { kind, place } in sources {
            let accepted = place.bytes().and_then(|bytes| Accepted::parse(&bytes));
            let accepted = accepted.map_err(|why| SourceError { place: place.to_string(), why })?;
            match kind {
                Kind::Client => kinds.clients = Some(accepted),
                Kind::Peer => kinds.peers = Some(accepted),
                Kind::Operator => kinds.operators = Some(accepted),
            }
        }
        kinds.check_distinct(sources)?;
        Ok(kinds)
    }

    /// Refuses a secret that stands in two places: who knows one of them would be taken for the other.
    fn check_distinct(&self, sources: &[Source]) -> Result<(), SourceError> {
        let all = [(Kind::Client, &self.clients), (Kind::Peer, &self.peers), (Kind::Operator, &self.operators)];
        for (index, (kind, accepted)) in all.iter().enumerate() {
            let earlier = all[..index].iter().filter_map(|(_, other)| other.as_ref()).flat_map(Accepted::iter);
            let is_twice = |secret| accepted.iter().flat_map(Accepted::iter).any(|other| other == secret);
            if earlier.into_iter().any(is_twice) {
                let source = sources.iter().find(|source| source.kind == *kind);
                let place = source.map(|source| source.place.to_string()).unwrap_or_default();
                return Err(SourceError { place, why: "this secret lets others in, too: give each its own".into() });
            }
        }
        Ok(())
    }
}

impl Accepted {
    /// One secret, or two, each in a line.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n');
        let named =
            |(index, line): (usize, &[u8])| Secret::new(line).map_err(|why| format!("line {}: {why}", index + 1));
        let mut secrets = lines.enumerate().map(named);
        let said = secrets.next().ok_or("it is empty")??;
        let also = secrets.next().transpose()?;
        match secrets.next() {
            None => Ok(Self { said, also }),
            Some(_) => Err("it has more than two lines: one secret, and another that is accepted, too".into()),
        }
    }
}

impl Place {
    /// What stands there.
    ///
    /// # Errors
    /// When it cannot be read, or others can read it.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(_, path) => read_private(path),
            Self::Variable(name) => {
                let value = env::var_os(name).ok_or("it is not set")?;
                Ok(value.into_encoded_bytes())
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(option, path) => write!(f, "{option} {}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// What stands in a file that is for our eyes only: it belongs to us or to root, others can neither read nor write it,
/// and its group cannot write it. (Its group may read it, as where an orchestrator hands secrets to a group.)
///
/// # Errors
/// When it cannot be read, or others can.
fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    let file = File::open(path).map_err(told)?;
    // Of the file that is open: its name may lead elsewhere a moment later.
    let metadata = file.metadata().map_err(told)?;
    if metadata.is_file() && metadata.mode() & 0o027 != 0 {
        return Err(format!("others can read or change it: chmod 600 {}", path.display()));
    }
    if metadata.is_file() && metadata.uid() != 0 && metadata.uid() != Uid::effective().as_raw() {
        return Err("it belongs to another user, who can change it".into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() > MAX_SECRET_FILE_BYTES {
        return Err(format!("it has more than {MAX_SECRET_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_secret_or_two_in_a_line_each() {
        let (new, old) = (b"a-new-word-for-the-cluster", b"an-old-word-for-the-cluster");
        let alone = Accepted::parse(&[&new[..], b"\n"].concat()).expect("one line");
        assert!(alone.has(new) && !alone.has(old));
        let both = Accepted::parse(&[&new[..], b"\r\n", old].concat()).expect("two lines");
        assert!(both.has(new) && both.has(old) && !both.has(b"neither-of-the-two-words"));
        assert_eq!(both.said.word(), new);
        for bad in [&b""[..], b"\n", b"a-word-with a-space-in-it", b"fifteen-letters", &[&new[..], b"\nshort"].concat()]
        {
            assert!(Accepted::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let three = [&new[..], b"\n", old, b"\n", new].concat();
        assert_eq!(
            Accepted::parse(&three).unwrap_err(),
            "it has more than two lines: one secret, and another that is accepted, too"
        );
    }
}
