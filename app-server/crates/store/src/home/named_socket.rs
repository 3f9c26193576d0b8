//! A unix socket at a path that the user names. Unlike the control socket it has no private folder, and another
//! server may listen there. So the folder and the existing file are checked first.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use super::socket::{self, LONGEST};
use super::{FOLDER_MODE, HomePaths};
use crate::policy;

/// The mode bits that let others create and remove files in a folder.
const OTHERS_WRITE: u32 = 0o022;
/// The mode bit that lets only a file's owner remove it.
const STICKY: u32 = 0o1000;

/// Why nobody can listen at a path.
#[derive(Debug, thiserror::Error)]
pub enum NamedSocketError {
    /// The path is too long for an address.
    #[error("{path} has {bytes} bytes and the address of a socket holds {LONGEST}; choose a shorter path")]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// Others could put their own socket in its place.
    #[error("other users may write to {folder}; choose a folder of your own, or one with the sticky bit")]
    OpenFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The name is taken, and not by a socket that a killed server left.
    #[error("{path} is there and {what}; remove it, or choose another path")]
    Taken {
        /// The path.
        path: PathBuf,
        /// The kind of the thing there.
        what: &'static str,
    },
    /// A server listens at the path.
    #[error("another server listens at {path}; stop it, or choose another path")]
    Served {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses the socket.
    #[error("cannot listen at {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A listening socket, mode 0600 from its creation. Dropping it removes the file.
#[derive(Debug)]
pub struct NamedSocket {
    path: PathBuf,
    /// Device and inode: a later file of that name belongs to somebody else.
    made: (u64, u64),
    listener: UnixListener,
}

impl NamedSocket {
    /// Creates the socket and listens, non-blocking. Replaces only a socket of this user that nobody answers.
    pub fn open(path: &Path) -> Result<Self, NamedSocketError> {
        let failed = |source| NamedSocketError::Io { path: path.to_owned(), source };
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > LONGEST {
            return Err(NamedSocketError::TooLong { path: path.to_owned(), bytes });
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        let opened = File::open(folder).map_err(failed)?;
        if !is_ours_to_use(&opened.metadata().map_err(failed)?) {
            return Err(NamedSocketError::OpenFolder { folder: folder.to_owned() });
        }
        // Of two servers that find the same leftover, one would remove the other's new socket.
        let _alone = alone(opened).map_err(failed)?;
        make_room(path)?;
        let listener = socket::listener(path).map_err(failed)?;
        let made = identity(&fs::symlink_metadata(path).map_err(failed)?);
        Ok(Self { path: path.to_owned(), made, listener })
    }

    /// Does the same in the home's folder for such a socket, and creates the folder if it is missing.
    ///
    /// # Errors
    /// As [`NamedSocket::open`].
    pub fn open_in(paths: &HomePaths) -> Result<Self, NamedSocketError> {
        let path = paths.named_socket();
        if let Some(folder) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
            made.map_err(|source| NamedSocketError::Io { path: path.clone(), source })?;
        }
        Self::open(&path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listener.
    ///
    /// # Errors
    /// If the system is out of descriptors.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for NamedSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|seen| identity(&seen) == self.made);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the named socket cannot be removed");
        }
    }
}

fn identity(seen: &Metadata) -> (u64, u64) {
    (seen.dev(), seen.ino())
}

/// Whether only the owner, this user or root, can remove a file from the folder.
fn is_ours_to_use(folder: &Metadata) -> bool {
    let owner = folder.uid() == geteuid().as_raw() || folder.uid() == 0;
    owner && (folder.mode() & OTHERS_WRITE == 0 || folder.mode() & STICKY != 0)
}

/// Locks the folder against other Skein processes while the value lives. Blocks for up to a second.
fn alone(mut folder: File) -> io::Result<Flock<File>> {
    for _ in 0..policy::HOME_LOOKS {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) => folder = back,
            locked => return locked.map_err(|(_, error)| error.into()),
        }
        std::thread::sleep(policy::HOME_LOOK);
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another program has its folder locked; try again"))
}

/// Removes the socket of a killed server from the path.
fn make_room(path: &Path) -> Result<(), NamedSocketError> {
    let taken = |what| NamedSocketError::Taken { path: path.to_owned(), what };
    let failed = |source| NamedSocketError::Io { path: path.to_owned(), source };
    let seen = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        seen => seen.map_err(failed)?,
    };
    if !seen.file_type().is_socket() {
        return Err(taken("is no socket"));
    }
    if seen.uid() != geteuid().as_raw() {
        return Err(taken("belongs to another user"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // A server that refuses another connection is still a server.
        Ok(_) | Err(_) => Err(NamedSocketError::Served { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn allow(folder: &Path, mode: u32) {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_socket_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let door = NamedSocket::open(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        UnixStream::connect(&path).unwrap();
        drop(door);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_somebody_answers_at_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let door = NamedSocket::open(&path).unwrap();
        assert!(matches!(NamedSocket::open(&path), Err(NamedSocketError::Served { .. })));
        drop(door);
        NamedSocket::open(&path).unwrap();
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        drop(UnixListener::bind(&path).unwrap());
        drop(NamedSocket::open(&path).unwrap());
        fs::write(&path, "mine").unwrap();
        assert!(matches!(NamedSocket::open(&path), Err(NamedSocketError::Taken { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
        symlink("/nowhere", &path).unwrap();
        assert!(matches!(NamedSocket::open(&path), Err(NamedSocketError::Taken { .. })));
    }

    #[test]
    fn a_later_file_of_the_same_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let door = NamedSocket::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(door);
        assert!(path.exists());
    }

    #[test]
    fn a_folder_that_others_write_to_has_to_be_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        for open in [0o777, 0o770, 0o722] {
            allow(dir.path(), open);
            assert!(matches!(NamedSocket::open(&path), Err(NamedSocketError::OpenFolder { .. })), "{open:o}");
        }
        for kept in [0o1777, 0o755, 0o700] {
            allow(dir.path(), kept);
            NamedSocket::open(&path).unwrap();
        }
    }

    #[test]
    fn a_path_that_no_address_holds_is_refused_with_the_limit() {
        let path = Path::new("/tmp").join("x".repeat(LONGEST));
        let error = NamedSocket::open(&path).unwrap_err().to_string();
        assert!(error.contains(&LONGEST.to_string()), "{error}");
    }
}
