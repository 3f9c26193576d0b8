//! Files that are replaced as a whole: whoever reads, and whatever is killed or loses its power, finds the old content or the
//! new one. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{FILE_MODE, no_surprises, only_regular};

/// Replaces the content of the file at `path`, or makes one that only its user may read. A link stays, and what it points to
/// is replaced; mode and owner stay as they were. The new content is on the disk when this returns.
///
/// # Errors
/// What the system says; the old content is there then.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = match path.symlink_metadata() {
        Ok(_) => path.canonicalize()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = beside(&path);
    let written = write(&beside, &path, content).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        // The error counts; a file that nobody reads may stay.
        fs::remove_file(&beside).ok();
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// Gives the file or folder `from` the name `to`, if nobody has it.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and what else the system says.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that knows no such rename. Between the look and it nobody of ours takes the name.
        Err(Errno::INVAL | Errno::NOTSUP) => match to.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        other => Ok(other?),
    }
}

/// Brings everything on the file system of `folder` to disk: one call, however many files there are.
///
/// # Errors
/// What the system says.
pub fn sync_file_system(folder: &Path) -> io::Result<()> {
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

fn write(beside: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .custom_flags(no_surprises())
        .open(beside)
        .and_then(only_regular)?;
    if let Ok(before) = fs::metadata(path) {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777))?;
    }
    file.write_all(content)?;
    file.sync_all()
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
