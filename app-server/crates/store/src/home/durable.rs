//! Replaces files as a whole: every reader finds the old content or the new one, also after a kill or a loss of
//! power. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use skein_base::files::{no_surprises, only_regular};

use super::FILE_MODE;

/// Replaces the content of the file at `path`, or creates a file for its user only. Follows a link and replaces its
/// target; mode and owner stay. The new content is on disk when this returns.
///
/// # Errors
/// The system's error; the old content is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_for(path, content, Readers::AsBefore).map(drop)
}

/// The readers of a replaced file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The readers that it has now.
    AsBefore,
    /// Its owner.
    Owner,
}

/// Replaces a file for these readers. Returns whether this took readers away.
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
            // The first error counts; nobody reads the temporary file.
            fs::remove_file(&beside).ok();
            Err(error)
        }
    }
}

/// Renames the file or folder `from` to `to`, if that name is free.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and other system errors.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without such a rename. No other code of ours takes the name in between.
        Err(Errno::INVAL | Errno::NOTSUP) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        other => Ok(other?),
    }
}

/// Does the same for a file that may be on another file system than `to`. There it copies content and time, with mode
/// [`FILE_MODE`], and syncs the copy before it removes the original. An interrupted call can be repeated.
///
/// # Errors
/// As [`rename_new`]; `from` is still there then.
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
        // The first error counts; the next try overwrites a partial copy.
        fs::remove_file(&beside).ok();
        return Err(error);
    }
    File::open(to.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all()?;
    fs::remove_file(from)
}

/// Writes a synced copy over an existing file.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = OpenOptions::new().read(true).custom_flags(no_surprises()).open(from)?;
    let mut file = open_beside(to)?;
    io::copy(&mut from, &mut file)?;
    file.set_modified(from.metadata()?.modified()?)?;
    file.sync_all()
}

/// Syncs the whole file system of `folder` with one call.
pub(crate) fn sync_file_system(folder: &Path) -> io::Result<()> {
    let open = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&open)?;
    // This system has no such call: it syncs every file system.
    #[cfg(not(target_os = "linux"))]
    nix::unistd::sync();
    open.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Opens a file for its user only, to read and write; creates it if missing.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    options.custom_flags(no_surprises()).open(path).and_then(only_regular)
}

/// An empty file for its user only.
pub(super) fn open_beside(path: &Path) -> io::Result<File> {
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
    fn an_irreplaceable_file_is_left_alone() {
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
