//! Files that are replaced as a whole: whoever reads, and whatever is killed or loses its power, finds the old content or the
//! new one. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use skein_base::files::{no_surprises, only_regular};

use super::FILE_MODE;

/// Replaces the content of the file at `path`, or makes one that only its user may read. A link stays, and what it points to
/// is replaced; mode and owner stay as they were. The new content is on the disk when this returns.
///
/// # Errors
/// The system's error; the old content is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_for(path, content, Readers::AsBefore).map(drop)
}

/// Who may read a file once it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Those who may read it now.
    AsBefore,
    /// Its owner.
    Owner,
}

/// The same for these readers. Returns whether the file had others before.
///
/// # Errors
/// As [`replace`].
pub fn replace_for(path: &Path, content: &[u8], readers: Readers) -> io::Result<bool> {
    let path = match path.symlink_metadata() {
        Ok(_) => path.canonicalize()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = beside(&path);
    let written = write(&beside, &path, content, readers)
        .and_then(|closed| fs::rename(&beside, &path).map(|()| closed));
    match written {
        Ok(closed) => File::open(folder)?.sync_all().map(|()| closed),
        Err(error) => {
            // The error counts; a file that nobody reads may stay.
            fs::remove_file(&beside).ok();
            Err(error)
        }
    }
}

/// Gives the file or folder `from` the name `to`, if nobody has it.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and what else the system says.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that knows no such rename. Between the look and it nobody of ours takes the name.
        Err(Errno::INVAL | Errno::NOTSUP) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        other => Ok(other?),
    }
}

/// Does the same for a file that may be on another file system than `to`. There it is copied: the copy has its content, the mode
/// [`FILE_MODE`] and its time, and is on the disk before the file goes. Somebody who is cut off does it again.
///
/// # Errors
/// As [`rename_new`]; `from` is there then.
pub(crate) fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        other => return other,
    }
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let beside = beside(to);
    let moved = copy(from, &beside).and_then(|()| rename_new(&beside, to));
    if let Err(error) = moved {
        // The error counts; a part of a copy is written over by the next try.
        fs::remove_file(&beside).ok();
        return Err(error);
    }
    File::open(to.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()?;
    fs::remove_file(from)
}

/// Writes a copy that is on the disk when this returns, over what is there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = OpenOptions::new().read(true).custom_flags(no_surprises()).open(from)?;
    let mut file = open_beside(to)?;
    io::copy(&mut from, &mut file)?;
    file.set_modified(from.metadata()?.modified()?)?;
    file.sync_all()
}

/// Brings everything on the file system of `folder` to disk: one call, however many files there are.
///
/// # Errors
/// The system's error.
pub(crate) fn sync_file_system(folder: &Path) -> io::Result<()> {
    let open = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&open)?;
    // There is no such call: every file system is brought to disk.
    #[cfg(not(target_os = "linux"))]
    nix::unistd::sync();
    open.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// An empty file that only its user may read.
fn open_beside(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .custom_flags(no_surprises())
        .open(path)
        .and_then(only_regular)
}

fn write(beside: &Path, path: &Path, content: &[u8], readers: Readers) -> io::Result<bool> {
    let mut file = open_beside(beside)?;
    let mut closed = false;
    if let Ok(before) = fs::metadata(path) {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        let mode = match readers {
            Readers::AsBefore => before.mode() & 0o777,
            Readers::Owner => before.mode() & 0o700,
        };
        closed = mode != before.mode() & 0o777;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(content)?;
    file.sync_all().map(|()| closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_behind_its_link_with_the_mode_that_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        replace(&file, b"one").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, FILE_MODE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside");
    }

    #[test]
    fn what_cannot_be_replaced_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        replace(&folder, b"text").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
        let nowhere = dir.path().join("nowhere");
        std::os::unix::fs::symlink(dir.path().join("gone"), &nowhere).unwrap();
        replace(&nowhere, b"text").unwrap_err();
        assert!(nowhere.is_symlink());
    }
}
