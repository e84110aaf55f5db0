//! `kvstore export`: all keys of a node as RESP commands, which `redis-cli --pipe` loads into Redis, Valkey, or another
//! node. The way back is the same program, pointed at Redis.
//!
//! The keys come from SCAN, so the copy is no snapshot: a key that is there all the time is copied with a value that it
//! had during the export; of keys that are written or deleted meanwhile, some are copied. For an exact copy, stop the
//! writers first.
//!
//! What is not copied: versions, tombstones, conflicts. They have a meaning only among the nodes of one cluster.

mod connection;
mod reader;

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use crate::limits::{EXPORT_BATCH_BYTES, EXPORT_BATCH_KEYS, EXPORT_TRIES};
use crate::secret::Secret;
use connection::{Connection, Reply, write_request};
use reader::{Entry, Reader};

/// What is exported.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the node listens: HOST:PORT.
    pub address: String,
    /// What the node wants to hear, if it has a secret.
    pub secret: Option<Secret>,
}

/// Writes all keys to the standard output. Returns the code with which the program is to end: failure, after one line
/// that says why, or after none if nobody reads the output any more.
pub fn run(source: &Source) -> ExitCode {
    match export(source, BufWriter::new(io::stdout().lock())) {
        Ok(counts) => {
            eprintln!("{counts} from {}", source.address);
            ExitCode::SUCCESS
        }
        Err(Failed::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(Failed::Output(error)) => {
            eprintln!("error: the output cannot be written: {error}");
            ExitCode::FAILURE
        }
        Err(Failed::Source(why)) => {
            eprintln!("error: {}: {why}", source.address);
            ExitCode::FAILURE
        }
    }
}

/// Why there is no complete copy.
#[derive(Debug)]
pub enum Failed {
    /// The node does not answer as it should, and this is why.
    Source(String),
    /// The commands cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Failed {
    /// An error of the connection.
    fn from(error: io::Error) -> Self {
        Self::Source(error.to_string())
    }
}

/// What has become of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that were copied.
    pub copied: u64,
    /// Keys of other types than string.
    pub other_types: u64,
    /// Keys that were deleted or have expired since SCAN told them.
    pub gone: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exported {} {}", self.copied, if self.copied == 1 { "key" } else { "keys" })?;
        if self.other_types > 0 {
            write!(f, " (skipped {} that are no strings)", self.other_types)?;
        }
        Ok(())
    }
}

/// Writes all keys of a node to `out`, as commands.
///
/// # Errors
/// When not all could be read or written.
pub fn export(source: &Source, out: impl Write) -> Result<Counts, Failed> {
    let mut node = Connection::dial(&source.address)?;
    if let Some(secret) = &source.secret {
        expect_ok(node.ask(&[b"AUTH", secret.word()])?)?;
    }
    let total = match node.ask(&[b"DBSIZE"])? {
        Reply::Integer(keys) => u64::try_from(keys).unwrap_or_default(),
        other => return Err(unexpected("DBSIZE", other)),
    };
    let progress = progress_bar(total);
    let mut exporter = Exporter { reader: Reader::new(node)?, out, counts: Counts::default() };
    let mut cursor = b"0".to_vec();
    loop {
        let keys;
        (cursor, keys) = exporter.reader.scan(&cursor)?;
        for batch in batches(&keys) {
            exporter.copy(batch)?;
            progress.inc(batch.len() as u64);
        }
        if cursor == b"0" {
            break;
        }
    }
    exporter.out.flush().map_err(Failed::Output)?;
    progress.finish_and_clear();
    Ok(exporter.counts)
}

/// On a terminal only: the bar hides itself where there is none.
fn progress_bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} keys, {per_sec}, {eta} left");
    ProgressBar::new(total).with_style(style.expect("the template is well-formed"))
}

/// Cuts keys into parts, each small enough for one pipeline.
fn batches(keys: &[Vec<u8>]) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |key: &&Vec<u8>| {
            let fits = bytes < EXPORT_BATCH_BYTES;
            bytes += key.len();
            fits
        };
        let count = rest.iter().take(EXPORT_BATCH_KEYS).take_while(fits).count();
        let (batch, behind) = rest.split_at(count);
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

struct Exporter<W> {
    reader: Reader,
    out: W,
    counts: Counts,
}

impl<W: Write> Exporter<W> {
    /// Copies some keys: reads them all in one pipeline, and those that were torn again.
    fn copy(&mut self, keys: &[Vec<u8>]) -> Result<(), Failed> {
        let mut left: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        for tries_left in (0..EXPORT_TRIES).rev() {
            self.reader.request(&left)?;
            let mut torn = Vec::new();
            for key in left {
                match self.reader.read_entry()? {
                    Entry::Torn { .. } if tries_left > 0 => torn.push(key),
                    // The deadline is the later of the two that were read.
                    Entry::Whole { value, deadline } | Entry::Torn { value, deadline } => {
                        self.write(key, &value, deadline)?;
                        self.counts.copied += 1;
                    }
                    Entry::OtherType => self.counts.other_types += 1,
                    Entry::Gone => self.counts.gone += 1,
                }
            }
            left = torn;
            if left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, key: &[u8], value: &[u8], deadline: Option<i64>) -> Result<(), Failed> {
        let mut command = Vec::with_capacity(key.len() + value.len() + 100);
        match deadline {
            None => write_request(&mut command, &[b"SET", key, value]),
            Some(time) => write_request(&mut command, &[b"SET", key, value, b"PXAT", time.to_string().as_bytes()]),
        }
        self.out.write_all(&command).map_err(Failed::Output)
    }
}

fn expect_ok(answer: Reply) -> Result<(), Failed> {
    if answer == Reply::Status(b"OK".to_vec()) { Ok(()) } else { Err(unexpected("AUTH", answer)) }
}

/// An answer that is not the one to this command.
fn unexpected(command: &str, answer: Reply) -> Failed {
    match answer {
        Reply::Error(why) if why.starts_with("NOAUTH") => {
            Failed::Source("it wants a secret: give --secret-file FILE, or the variable KVSTORE_SECRET".into())
        }
        Reply::Error(why) => Failed::Source(format!("it answers {command} with: {why}")),
        _ => Failed::Source(format!("the answer to {command} is malformed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_keys_and_in_bytes_and_miss_none() {
        let keys = vec![vec![b'k'; 10]; 3 * EXPORT_BATCH_KEYS + 1];
        let sizes: Vec<usize> = batches(&keys).map(<[_]>::len).collect();
        assert_eq!(sizes, [EXPORT_BATCH_KEYS, EXPORT_BATCH_KEYS, EXPORT_BATCH_KEYS, 1]);
        let keys = vec![vec![b'k'; EXPORT_BATCH_BYTES]; 3];
        assert_eq!(batches(&keys).map(<[_]>::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(batches(&[]).count(), 0);
    }

    #[test]
    fn the_last_line_counts_what_was_skipped() {
        let counts = Counts { copied: 2, other_types: 3, gone: 1 };
        assert_eq!(counts.to_string(), "exported 2 keys (skipped 3 that are no strings)");
        assert_eq!(Counts::default().to_string(), "exported 0 keys");
    }
}
