//! `control.sock`: the socket for programs on this machine. The address of a unix socket holds 108 bytes. If the path
//! is longer, the socket is opened through a descriptor of its folder.
//!
//! The socket is bound 0600 and checks the peer's user; it serves the same routes as the port. If a file system has
//! no sockets, the server logs a warning and programs use the websocket.

#[cfg(target_os = "linux")]
use std::fs::OpenOptions;
use std::fs::{self, File};
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
#[cfg(target_os = "linux")]
use std::os::unix::fs::OpenOptionsExt;
#[cfg(not(target_os = "linux"))]
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use nix::fcntl::OFlag;
#[cfg(target_os = "linux")]
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
#[cfg(target_os = "linux")]
use nix::sys::stat::{Mode, fchmod};

use super::{FILE_MODE, HomePaths};
#[cfg(target_os = "linux")]
use crate::policy;

/// Bytes of the longest path in an address (`sun_path` without its end).
pub(super) const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A path of the socket that fits into an address while this value lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// The home's folder, if the path leads through it.
    _folder: Option<File>,
}

impl SocketPath {
    /// The short path of a home's socket.
    ///
    /// # Errors
    /// If the home's folder cannot be opened.
    pub fn of(paths: &HomePaths) -> io::Result<Self> {
        let direct = paths.control_socket();
        if direct.as_os_str().as_bytes().len() <= LONGEST {
            return Ok(Self { path: direct, _folder: None });
        }
        Self::through_folder(paths, &direct)
    }

    #[cfg(target_os = "linux")]
    fn through_folder(paths: &HomePaths, direct: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder = OpenOptions::new().read(true).custom_flags(flags.bits()).open(paths.root())?;
        let name = direct.file_name().unwrap_or_default();
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }

    /// On other systems no path leads through a descriptor.
    #[cfg(not(target_os = "linux"))]
    fn through_folder(_paths: &HomePaths, direct: &Path) -> io::Result<Self> {
        let text = format!("{} is too long for a socket; use a home with a shorter path", direct.display());
        Err(io::Error::new(io::ErrorKind::InvalidFilename, text))
    }

    /// The path to connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Creates the socket and listens, mode 0600 from its creation, non-blocking. Replaces the socket of a killed server:
/// the caller owns the home.
///
/// # Errors
/// If something else has the name, or the file system has no sockets.
pub fn listen_at(paths: &HomePaths) -> io::Result<UnixListener> {
    remove(paths)?;
    let reach = SocketPath::of(paths)?;
    listener(reach.path())
}

#[cfg(target_os = "linux")]
pub(super) fn listener(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file takes the socket's mode at the time of bind.
    fchmod(&made, Mode::from_bits_truncate(FILE_MODE))?;
    bind(made.as_raw_fd(), &UnixAddr::new(path)?)?;
    let backlog = i32::try_from(policy::SOCKETS_BEFORE_HANDSHAKE).unwrap_or(i32::MAX);
    listen(&made, Backlog::new(backlog)?)?;
    Ok(UnixListener::from(made))
}

/// On other systems a socket has no mode before bind: until then the folder keeps others out.
#[cfg(not(target_os = "linux"))]
pub(super) fn listener(path: &Path) -> io::Result<UnixListener> {
    let made = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(FILE_MODE))?;
    made.set_nonblocking(true)?;
    Ok(made)
}

/// Removes the socket, if it exists.
///
/// # Errors
/// If something else has its name, or it cannot be removed.
pub(super) fn remove(paths: &HomePaths) -> io::Result<()> {
    let path = paths.control_socket();
    match fs::symlink_metadata(&path) {
        Ok(seen) if seen.file_type().is_socket() => fs::remove_file(&path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "not a socket; move it away")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
