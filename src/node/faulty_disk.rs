//! A directory whose syncs can be slow, and whose power can be cut: for the lab.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::disk::files::{Directory, File, RealDirectory};

/// A directory whose syncs can be slow, and whose power can be cut. Clones are the same directory.
#[derive(Clone)]
pub(super) struct FaultyDirectory(Arc<Shared>);

struct Shared {
    real: RealDirectory,
    state: Mutex<State>,
    /// Wakes the syncs that are delayed.
    changed: Condvar,
}

/// What is known of the files, and what is wrong with the disk.
#[derive(Default)]
struct State {
    /// How many bytes of each file that was written to outlive a power cut.
    synced: HashMap<String, u64>,
    /// How much longer a sync takes.
    delay: Duration,
    has_no_power: bool,
}

impl FaultyDirectory {
    pub(super) fn new(real: RealDirectory) -> Self {
        Self(Arc::new(Shared { real, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// From now on each sync takes so much longer, also those that have begun.
    pub(super) fn delay_syncs(&self, delay: Duration) {
        self.0.state.lock().delay = delay;
        self.0.changed.notify_all();
    }

    /// Takes away what is not synced. From now on nothing can be written.
    pub(super) fn cut_power(&self) {
        let Shared { real, state, changed } = &*self.0;
        let mut state = state.lock();
        state.has_no_power = true;
        for (name, length) in state.synced.drain() {
            // The file may have been removed since.
            let _ = real.truncate(&name, length);
        }
        changed.notify_all();
    }

    fn open(&self, name: &str, real: Arc<dyn File>, length: u64) -> Arc<dyn File> {
        self.0.state.lock().synced.insert(name.into(), length);
        Arc::new(FaultyFile { directory: self.clone(), name: name.into(), real, length: Mutex::new(length) })
    }
}

impl Directory for FaultyDirectory {
    fn describe(&self) -> String {
        self.0.real.describe()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.real.list()
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        self.0.real.read(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.open(name, self.0.real.create(name)?, 0))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let length = io::copy(&mut self.0.real.read(name)?, &mut io::sink())?;
        Ok(self.open(name, self.0.real.append(name)?, length))
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.0.real.truncate(name, length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.state.lock();
        check_power(&state)?;
        self.0.real.rename(from, to)?;
        if let Some(synced) = state.synced.remove(from) {
            state.synced.insert(to.into(), synced);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.state.lock();
        check_power(&state)?;
        state.synced.remove(name);
        self.0.real.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.real.sync()
    }
}

/// A file that is being written. Renamed files are written no more, or were synced whole before.
struct FaultyFile {
    directory: FaultyDirectory,
    name: String,
    real: Arc<dyn File>,
    /// How many bytes it has.
    length: Mutex<u64>,
}

impl File for FaultyFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // Held meanwhile: nothing is written behind what the power cut leaves.
        let state = self.directory.0.state.lock();
        check_power(&state)?;
        self.real.write(bytes)?;
        *self.length.lock() += bytes.len() as u64;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (length, begun) = (*self.length.lock(), Instant::now());
        self.real.sync()?;
        let Shared { state, changed, .. } = &*self.directory.0;
        let mut state = state.lock();
        while !state.has_no_power && begun.elapsed() < state.delay {
            let until = begun + state.delay;
            changed.wait_until(&mut state, until);
        }
        check_power(&state)?;
        if let Some(synced) = state.synced.get_mut(&self.name) {
            *synced = length.max(*synced);
        }
        Ok(())
    }
}

fn check_power(state: &State) -> io::Result<()> {
    if state.has_no_power { Err(io::Error::other("the power is cut")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::thread;

    #[test]
    fn a_power_cut_takes_what_is_not_synced_and_ends_a_sync_that_is_slow() {
        let path = std::env::temp_dir().join(format!("kvstore-faulty-{}", std::process::id()));
        let directory = FaultyDirectory::new(RealDirectory::create(&path).unwrap());
        let file = directory.create("file").unwrap();
        file.write(b"synced").unwrap();
        file.sync().unwrap();
        file.write(b" and not").unwrap();
        assert_eq!(fs::read(path.join("file")).unwrap(), b"synced and not");

        directory.delay_syncs(Duration::from_secs(600));
        let slow = thread::spawn({
            let file = Arc::clone(&file);
            move || file.sync().unwrap_err().to_string()
        });
        directory.cut_power();
        assert_eq!(slow.join().unwrap(), "the power is cut");
        assert!(file.write(b"later").is_err() && directory.rename("file", "other").is_err());
        assert_eq!(fs::read(path.join("file")).unwrap(), b"synced");

        let again = FaultyDirectory::new(RealDirectory::create(&path).unwrap());
        again.append("file").unwrap().write(b" again").unwrap();
        again.rename("file", "other").unwrap();
        again.cut_power();
        assert_eq!(fs::read(path.join("other")).unwrap(), b"synced");
        fs::remove_dir_all(path).unwrap();
    }
}
