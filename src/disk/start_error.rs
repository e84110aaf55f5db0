//! Why a node cannot start from a directory.

use std::fmt;
use std::io;

use super::files::Directory;
use super::identity::Owner;

/// Why a node cannot start from a directory: one line for its operator.
#[derive(Debug, PartialEq, Eq)]
pub enum StartError {
    /// Another process uses it.
    InUse {
        /// The directory.
        directory: String,
    },
    /// It belongs to another node.
    Foreign {
        /// The directory.
        directory: String,
        /// Whose it is.
        found: Owner,
        /// Who wanted to use it.
        owner: Owner,
    },
    /// A newer version has written it.
    Newer {
        /// The directory.
        directory: String,
        /// The format of its files.
        format: u16,
    },
    /// A file is damaged.
    Damaged {
        /// The file.
        file: String,
        /// What is wrong, and where.
        why: String,
    },
    /// The operating system reports an error.
    Io {
        /// The file or directory.
        file: String,
        /// What it reports.
        why: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { directory } => write!(f, "--data {directory}: another process uses it"),
            Self::Foreign { directory, found, owner } => write!(
                f,
                "--data {directory}: it belongs to {} with the number {}, not to {} with the number {}",
                found.name, found.node, owner.name, owner.node
            ),
            Self::Newer { directory, format } => write!(
                f,
                "--data {directory}: a newer version of kvstore has written it (format {format}); start that version"
            ),
            Self::Damaged { file, why } => write!(
                f,
                "{file}: {why}; if a peer runs, move the whole directory away: the node starts empty, and its peers \
                 fill it; if none does, put a backup of the whole directory back"
            ),
            Self::Io { file, why } => write!(f, "{file}: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    pub(super) fn io(directory: &dyn Directory, file: &str, error: &io::Error) -> Self {
        Self::Io { file: format!("{}/{file}", directory.describe()), why: error.to_string() }
    }

    pub(super) fn damaged(directory: &dyn Directory, file: &str, why: impl Into<String>) -> Self {
        Self::Damaged { file: format!("{}/{file}", directory.describe()), why: why.into() }
    }
}
