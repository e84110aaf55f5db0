//! A directory in memory: it can lose what was not synced, fail, be copied, and show every state that it was in.
//!
//! The model is that of a journaling file system. What is written to a file is durable after the file's sync; before
//! that, a power cut keeps any prefix of it. Which names there are is durable after the directory's sync; before that,
//! a power cut keeps any prefix of what was done to names, in order.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard};

use kvstore::disk::files::{Directory, File};

/// A directory in memory. Clones are the same directory.
#[derive(Clone, Default)]
pub(crate) struct MemoryDirectory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The files as processes see them.
    now: Names,
    /// Which names there were at the last sync of the directory.
    synced: Names,
    /// What was done to names since.
    changes: Vec<Change>,
    /// How many operations were carried out or have failed.
    steps: u64,
    /// What the operation with this number does, and those after it.
    fault: Option<(u64, Fault)>,
    /// A copy after each step, if they are recorded.
    recorded: Option<Vec<MemoryDirectory>>,
    /// Decides what a power cut keeps, if each copy is what one would leave.
    cuts: Option<fastrand::Rng>,
}

type Names = BTreeMap<String, Contents>;

/// The bytes of a file, and how many are durable. Shared by all names and handles of the file.
type Contents = Arc<Mutex<(Vec<u8>, usize)>>;

#[derive(Clone)]
enum Change {
    Create(String, Contents),
    Rename(String, String),
    Remove(String),
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Only this operation fails; of a write, half is written.
    Once,
    /// From this operation on everything fails that needs room: writes (of the first, half is written) and new files.
    Full,
}

/// The kinds of operations that change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    NeedsRoom,
    Other,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl MemoryDirectory {
    /// A copy of what processes see now: a backup, or what is left after a process was killed.
    pub(crate) fn copy(&self) -> Self {
        Self::of(&locked(&self.0).now, |bytes, _| bytes.len())
    }

    /// What is left after a power cut. `choose` gets a number, and returns one from 0 to that: how much is kept.
    pub(crate) fn power_cut(&self, choose: impl FnMut(usize) -> usize) -> Self {
        locked(&self.0).power_cut(choose)
    }

    fn of(names: &Names, length: impl FnMut(&[u8], usize) -> usize) -> Self {
        let mut length = length;
        let copy = |(name, contents): (&String, &Contents)| {
            let contents = locked(contents);
            let length = length(&contents.0, contents.1);
            (name.clone(), Arc::new(Mutex::new((contents.0[..length].to_vec(), length))))
        };
        let now: Names = names.iter().map(copy).collect();
        Self(Arc::new(Mutex::new(State { synced: now.clone(), now, ..State::default() })))
    }

    /// How many operations that change something were tried so far.
    pub(crate) fn steps(&self) -> u64 {
        locked(&self.0).steps
    }

    /// From now on keeps a copy of the directory after each step.
    pub(crate) fn record(&self) {
        locked(&self.0).recorded = Some(Vec::new());
    }

    /// From now on keeps what a power cut would leave after each step.
    pub(crate) fn record_power_cuts(&self, seed: u64) {
        let mut state = locked(&self.0);
        (state.recorded, state.cuts) = (Some(Vec::new()), Some(fastrand::Rng::with_seed(seed)));
    }

    /// The copies since [`MemoryDirectory::record`] or [`MemoryDirectory::record_power_cuts`].
    pub(crate) fn recorded(&self) -> Vec<Self> {
        locked(&self.0).recorded.take().unwrap_or_default()
    }

    /// The operation after so many more goes wrong.
    pub(crate) fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = locked(&self.0);
        state.fault = Some((state.steps + operations + 1, fault));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn mend(&self) {
        locked(&self.0).fault = None;
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        locked(&self.0).now.get(name).map(|contents| locked(contents).0.clone())
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let contents = Arc::new(Mutex::new((bytes.to_vec(), bytes.len())));
        let mut state = locked(&self.0);
        state.now.insert(name.into(), contents.clone());
        state.synced.insert(name.into(), contents);
    }

    /// Carries out an operation, if it does not go wrong. `otherwise` is what a failed one leaves behind.
    fn step<T>(
        &self,
        operation: Operation,
        otherwise: impl FnOnce(),
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = locked(&self.0);
        state.steps += 1;
        let fails = match state.fault {
            Some((at, Fault::Once)) => at == state.steps,
            Some((at, Fault::Full)) => at <= state.steps && operation == Operation::NeedsRoom,
            None => false,
        };
        let is_first = state.fault.is_some_and(|(at, _)| at == state.steps);
        let result = match fails {
            true => {
                if is_first {
                    otherwise();
                }
                Err(io::ErrorKind::StorageFull.into())
            }
            false => work(&mut state),
        };
        if state.recorded.is_some() {
            let copy = match state.cuts.clone() {
                None => Self::of(&state.now, |bytes, _| bytes.len()),
                Some(mut chance) => {
                    let copy = state.power_cut(|most| chance.usize(..=most));
                    state.cuts = Some(chance);
                    copy
                }
            };
            state.recorded.as_mut().expect("was checked").push(copy);
        }
        result
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create(name, contents) => drop(names.insert(name.clone(), contents.clone())),
            Self::Rename(from, to) => {
                if let Some(contents) = names.remove(from) {
                    names.insert(to.clone(), contents);
                }
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl State {
    fn power_cut(&self, mut choose: impl FnMut(usize) -> usize) -> MemoryDirectory {
        let mut names = self.synced.clone();
        let kept = choose(self.changes.len());
        self.changes[..kept].iter().for_each(|change| change.apply(&mut names));
        MemoryDirectory::of(&names, |bytes, synced| synced + choose(bytes.len() - synced))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<Contents> {
        self.now.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A file that is being written.
struct MemoryFile {
    directory: MemoryDirectory,
    contents: Contents,
}

impl File for MemoryFile {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let add = |bytes: &[u8]| locked(&self.contents).0.extend_from_slice(bytes);
        self.directory.step(
            Operation::NeedsRoom,
            || add(&bytes[..bytes.len() / 2]),
            |_| {
                add(bytes);
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.step(
            Operation::Other,
            || {},
            |_| {
                let mut contents = locked(&self.contents);
                contents.1 = contents.0.len();
                Ok(())
            },
        )
    }
}

impl Directory for MemoryDirectory {
    fn describe(&self) -> String {
        "memory".into()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(locked(&self.0).now.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        let contents = locked(&self.0).find(name)?;
        let bytes = locked(&contents).0.clone();
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let contents = Contents::default();
        self.step(
            Operation::NeedsRoom,
            || {},
            |state| {
                state.change(Change::Create(name.into(), contents.clone()));
                Ok(())
            },
        )?;
        Ok(Arc::new(MemoryFile { directory: self.clone(), contents }))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let contents = locked(&self.0).find(name)?;
        Ok(Arc::new(MemoryFile { directory: self.clone(), contents }))
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.step(
            Operation::Other,
            || {},
            |state| {
                let contents = state.find(name)?;
                let mut contents = locked(&contents);
                contents.0.truncate(length as usize);
                contents.1 = contents.0.len();
                Ok(())
            },
        )
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(
            Operation::Other,
            || {},
            |state| {
                state.find(from)?;
                state.change(Change::Rename(from.into(), to.into()));
                Ok(())
            },
        )
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(
            Operation::Other,
            || {},
            |state| {
                state.find(name)?;
                state.change(Change::Remove(name.into()));
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.step(
            Operation::Other,
            || {},
            |state| {
                state.synced = state.now.clone();
                state.changes.clear();
                Ok(())
            },
        )
    }
}
