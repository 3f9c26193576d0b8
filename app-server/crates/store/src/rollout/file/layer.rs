//! The few file operations below the file store. Tests observe their order and make each one fail. Everything here
//! blocks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use skein_base::files::{no_surprises, only_regular};

use crate::home::{FILE_MODE, FOLDER_MODE};

/// Ways to open a file. Never follows a link, never waits, and accepts regular files only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// A new file, mode 0600, for reading and writing; fails if the name exists.
    New,
}

/// An open file.
pub trait LayerFile: Send {
    /// Its length, bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `bytes` from `offset` up to the end of the file; returns the count.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As the system says; a part may be written then.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file to `length`.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Returns when content and length are on disk.
    ///
    /// # Errors
    /// As the system says. The state on disk is unknown then, and a second sync may wrongly succeed.
    fn sync(&self) -> io::Result<()>;

    /// The file itself, for kernel operations on two files.
    fn as_file(&self) -> &File;
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub(crate) path: PathBuf,
    pub(crate) written: SystemTime,
    /// Whether it is a regular file (a link to one is not).
    pub(crate) regular: bool,
}

/// The operations on names.
pub trait FileLayer: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As the system says; `InvalidInput` when it is not a regular file.
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn LayerFile>>;

    /// Creates a new file, mode 0600, with the first `length` bytes of an open one, even if that was renamed. Fails
    /// if the name exists.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` if there are fewer bytes. The new file stays.
    fn copy(&self, from: &dyn LayerFile, to: &Path, length: u64) -> io::Result<Box<dyn LayerFile>>;

    /// Creates a folder, mode 0700; an existing one is fine.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns when the folder's entries are on disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing an existing one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; returns whether it existed.
    fn remove(&self, path: &Path) -> io::Result<bool>;

    /// The entries of a folder in any order; none if it does not exist.
    fn entries(&self, path: &Path) -> io::Result<Vec<FolderEntry>>;
}

/// The layer over the real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskLayer;

impl LayerFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut came = 0;
        while let Some(rest) = bytes.get_mut(came..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + came as u64) {
                Ok(0) => break,
                Ok(more) => came += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(came)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn as_file(&self) -> &File {
        self
    }
}

fn open_file(path: &Path, how: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(no_surprises()).mode(FILE_MODE);
    match how {
        OpenMode::Read => &mut options,
        OpenMode::Write => options.write(true),
        OpenMode::New => options.write(true).create_new(true),
    };
    only_regular(options.open(path)?)
}

impl FileLayer for DiskLayer {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn LayerFile>> {
        Ok(Box::new(open_file(path, how)?))
    }

    fn copy(&self, from: &dyn LayerFile, to: &Path, length: u64) -> io::Result<Box<dyn LayerFile>> {
        let (mut source, made) = (from.as_file(), open_file(to, OpenMode::New)?);
        source.rewind()?;
        // The kernel copies, and moves no bytes if the file system shares them.
        let copied = io::copy(&mut source.take(length), &mut &made)?;
        if copied < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Box::new(made)) }
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<FolderEntry>> {
        let folder = match fs::read_dir(path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let described = folder.map(|entry| {
            let entry = entry?;
            let seen = entry.metadata()?;
            Ok(FolderEntry { path: entry.path(), written: seen.modified()?, regular: seen.is_file() })
        });
        // The entry was removed while the folder was read.
        described
            .filter(|entry: &io::Result<FolderEntry>| !matches!(entry, Err(error) if error.kind() == io::ErrorKind::NotFound))
            .collect()
    }
}
