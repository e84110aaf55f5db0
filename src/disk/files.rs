//! What the disk needs of the operating system: a directory of files.
//!
//! There are two: [`RealDirectory`], and one in memory that loses what was not synced, for the simulator and the tests.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of files. Names have no path in them. What was created, renamed or removed is durable after
/// [`Directory::sync`].
pub trait Directory: Send + Sync {
    /// Where it is, for messages.
    fn describe(&self) -> String;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading, from its beginning.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>>;

    /// Creates an empty file. Replaces one of that name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file for writing behind its end.
    fn append(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Cuts a file off after so many bytes, durably.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;

    /// Renames a file. Replaces one that has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which files there are.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is being written.
pub trait File: Send + Sync {
    /// Writes bytes behind those that were written before. After an error, a part may stand there.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written before this call. Others may write meanwhile.
    fn sync(&self) -> io::Result<()>;
}

/// Creates a file that has its name only once it is whole and durable. Returns it, for writing behind these bytes.
pub(super) fn create_whole(directory: &dyn Directory, name: &str, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let new = format!("{name}.new");
    let file = directory.create(&new)?;
    file.write(bytes)?;
    file.sync()?;
    directory.rename(&new, name)?;
    directory.sync()?;
    Ok(file)
}

/// A directory of the file system.
#[derive(Debug)]
pub struct RealDirectory(PathBuf);

impl RealDirectory {
    /// The directory at this path, which is created if it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = std::path::absolute(path.into())?;
        let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
        // What is stored is for the node's user only.
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        // A directory is durable when the one in which it stands was synced.
        for parent in missing.into_iter().filter_map(Path::parent) {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(Self(path))
    }

    /// Locks the file `name` for this process, for as long as the returned file lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has locked it.
    pub fn lock(&self, name: &str) -> io::Result<fs::File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.0.join(name))?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(file)
    }

    fn open(&self, name: &str, options: &mut OpenOptions) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(options.open(self.0.join(name))?))
    }
}

impl Directory for RealDirectory {
    fn describe(&self) -> String {
        self.0.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(fs::File::open(self.0.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open(name, OpenOptions::new().create(true).truncate(true).write(true))
    }

    fn append(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open(name, OpenOptions::new().append(true))
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.0)?.sync_all()
    }
}

impl File for fs::File {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
