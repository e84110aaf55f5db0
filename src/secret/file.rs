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

    use std::fs::{self, Permissions};
    use std::io::{Write, pipe};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// A file that is removed in the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, bytes: &[u8], mode: u32) -> Self {
            let path = env::temp_dir().join(format!("kvstore-secret-{}-{name}", std::process::id()));
            fs::write(&path, bytes).expect("room on the disk");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn what_others_can_read_or_change_is_no_secret() {
        for mode in (0..0o1000).filter(|mode| mode & 0o400 != 0) {
            let file = Scratch::new("mode", b"a-word", mode);
            assert_eq!(read_private(&file.0).is_ok(), mode & 0o027 == 0, "mode {mode:o}");
        }
        assert_eq!(read_private(Path::new("/dev/null")), Ok(Vec::new()), "what is no file is as its owner has made it");
    }

    #[test]
    fn a_file_of_another_user_is_no_secret() {
        let file = Scratch::new("owner", b"a-word", 0o600);
        // Only root may give a file away.
        if chown(&file.0, Some(Uid::effective().as_raw() + 1), None).is_ok() {
            assert_eq!(read_private(&file.0).unwrap_err(), "it belongs to another user, who can change it");
        }
    }

    #[test]
    fn a_file_has_a_bound_and_is_not_read_beyond() {
        let longest = Scratch::new("longest", &[b'x'; MAX_SECRET_FILE_BYTES], 0o600);
        assert_eq!(read_private(&longest.0).map(|bytes| bytes.len()), Ok(MAX_SECRET_FILE_BYTES));
        let (reader, mut writer) = pipe().expect("a pipe");
        writer.write_all(&[b'x'; MAX_SECRET_FILE_BYTES + 1]).expect("it has room for that");
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || done.send(read_private(&path)));
        // More could come: nobody has closed the pipe.
        let read = is_done.recv_timeout(Duration::from_secs(20)).expect("it does not wait for more");
        assert_eq!(read.unwrap_err(), format!("it has more than {MAX_SECRET_FILE_BYTES} bytes"));
    }

    #[test]
    fn no_two_kinds_have_a_secret_in_common_be_it_said_or_accepted() {
        const SHARED: &str = "a-word-in-two-places";
        let kinds = [Kind::Client, Kind::Peer, Kind::Operator];
        let options = ["--secret-file", "--peer-secret-file", "--operator-secret-file"];
        let files = |number: usize| Place::File(options[number], "it".into());
        let sources: Vec<Source> = (0..3).map(|n| Source { kind: kinds[n], place: files(n) }).collect();
        let accepted = |number: usize, shared: Option<usize>| {
            let mut words = [format!("a-word-of-kind-{number}"), format!("an-old-word-of-kind-{number}")];
            shared.iter().for_each(|&at| words[at] = SHARED.into());
            Accepted::parse(words.join("\n").as_bytes()).expect("two lines")
        };
        let check = |shared: [Option<usize>; 3]| {
            let [clients, peers, operators] = [0, 1, 2].map(|number| Some(accepted(number, shared[number])));
            Kinds { clients, peers, operators }.check_distinct(&sources).map_err(|error| error.place)
        };
        assert_eq!(check([None, None, Some(0)]), Ok(()));
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            for (of_one, of_other) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut shared = [None; 3];
                (shared[one], shared[other]) = (Some(of_one), Some(of_other));
                assert_eq!(check(shared), Err(format!("{} it", options[other])), "{shared:?}");
            }
        }
    }

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
        let second = Accepted::parse(&[&new[..], b"\nshort"].concat()).unwrap_err();
        assert!(second.starts_with("line 2: "), "{second}");
        let three = [&new[..], b"\n", old, b"\n", new].concat();
        assert_eq!(
            Accepted::parse(&three).unwrap_err(),
            "it has more than two lines: one secret, and another that is accepted, too"
        );
    }
}
