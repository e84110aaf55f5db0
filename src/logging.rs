//! The log: lines on stderr, with time, level, and what happened to which node.
//!
//! How much it tells is said by `RUST_LOG`, or by a file in the same words, which SIGHUP has read again.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use env_logger::{Builder, Env, Logger};
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;

use crate::limits::MAX_LOG_FILTER_BYTES;

/// The log of this process, once it has begun.
static LOG: OnceLock<Reloadable> = OnceLock::new();

/// A logger that can be replaced while others log.
struct Reloadable {
    filter: Option<PathBuf>,
    logger: RwLock<Logger>,
}

impl Log for Reloadable {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.read().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger.read().log(record);
    }

    fn flush(&self) {
        self.logger.read().flush();
    }
}

/// Begins the log. `filter` is the file that says how much it tells, if there is one.
///
/// # Errors
/// When that file cannot be read, or says something else.
pub fn init(filter: Option<PathBuf>) -> io::Result<()> {
    let logger = RwLock::new(logger(filter.as_deref())?);
    let log = LOG.get_or_init(|| Reloadable { filter, logger });
    // It fails if a program that embeds nodes has a log already: then that one stays.
    if log::set_logger(log).is_ok() {
        log::set_max_level(log.logger.read().filter());
    }
    Ok(())
}

/// Reads again how much the log tells.
///
/// # Errors
/// When the file cannot be read, or says something else. Then it tells as much as before.
pub fn reload() -> io::Result<()> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let logger = logger(log.filter.as_deref())?;
    log::set_max_level(logger.filter());
    *log.logger.write() = logger;
    Ok(())
}

fn logger(filter: Option<&Path>) -> io::Result<Logger> {
    let mut builder = match filter {
        None => Builder::from_env(Env::default().default_filter_or("info")),
        Some(file) => {
            let read = read_filter(file);
            let text =
                read.map_err(|error| io::Error::other(format!("--log-filter-file {}: {error}", file.display())))?;
            let mut builder = Builder::new();
            builder.parse_filters(&text);
            builder
        }
    };
    Ok(builder.format_target(false).format_timestamp_millis().build())
}

/// What stands in a file: levels, also of single modules, such as `info` or `warn,kvstore::node=debug`. Nothing stands
/// for `info`.
fn read_filter(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(file)?.take(MAX_LOG_FILTER_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LOG_FILTER_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_LOG_FILTER_BYTES} bytes")));
    }
    // A word that is no level would count as the name of a module, and silence all others.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_name = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace);
    let is_usable =
        |part: &str| part.split_once('=').map_or(is_level(part), |(name, level)| is_name(name) && is_level(level));
    match text.trim() {
        "" => Ok("info".into()),
        words => match words.split(',').find(|part| !is_usable(part.trim())) {
            None => Ok(words.split(',').map(str::trim).collect::<Vec<_>>().join(",")),
            Some(part) => {
                let why =
                    format!("{part:?} is neither a level (error, warn, info, debug, trace, off) nor module=level");
                Err(io::Error::other(why))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Write, pipe};
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    /// What is read of a pipe with this text, which nobody closes if it is too long.
    fn read(text: &str) -> io::Result<String> {
        let (reader, mut writer) = pipe()?;
        writer.write_all(text.as_bytes())?;
        let kept = (text.len() as u64 > MAX_LOG_FILTER_BYTES).then_some(writer);
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || done.send(read_filter(&path)));
        let read = is_done.recv_timeout(Duration::from_secs(20)).expect("it does not wait for more");
        drop(kept);
        read
    }

    #[test]
    fn a_filter_names_levels_alone_and_nothing_stands_for_info() {
        for (text, filter) in [
            ("", "info"),
            (" \n", "info"),
            ("warn\n", "warn"),
            (" off , kvstore::node=debug\n", "off,kvstore::node=debug"),
        ] {
            assert_eq!(read(text).expect(text), filter);
        }
        for bad in ["inof", "kvstore", "=debug", "kvstore=", "kvstore=inof", "warn,,info", "warn kvstore=debug"] {
            assert!(read(bad).unwrap_err().to_string().contains("is neither a level"), "{bad}");
        }
    }

    #[test]
    fn a_filter_has_a_bound_and_is_not_read_beyond() {
        let long = |bytes: u64| format!("{:1$}", "warn", bytes as usize);
        assert_eq!(read(&long(MAX_LOG_FILTER_BYTES)).expect("it is not too long"), "warn");
        let error = read(&long(MAX_LOG_FILTER_BYTES + 1)).unwrap_err();
        assert_eq!(error.to_string(), format!("it has more than {MAX_LOG_FILTER_BYTES} bytes"));
    }
}
