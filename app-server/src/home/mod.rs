//! The folder that one server owns: where everything in it lies, who serves it, and the lock that says so.
//!
//! Folders are 0700 and files 0600. The lock is a `flock(2)` on a close-on-exec descriptor: it ends with the
//! process, however that ends, and no helper inherits it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;

mod paths;
#[cfg(test)]
mod tests;

pub use paths::{HomePaths, default_home};

/// Mode of every folder in a home.
pub const FOLDER_MODE: u32 = 0o700;
/// Mode of every file in a home.
pub const FILE_MODE: u32 = 0o600;
/// The most that is read of `lock` and `server.json`, bytes. Origin: both are below 1 KiB.
const MOST_READ: u64 = 64 * 1024;

/// Number of an ownership of a home. It rises by one with each start of a server, and never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

/// Why a home cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another server holds the lock.
    #[error(
        "{} is already served by process {} at {}; stop it, or use another home",
        home.display(),
        pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        address.as_deref().unwrap_or("an address that is not published yet")
    )]
    Served {
        /// The server's process, when it has said so.
        pid: Option<u32>,
        /// Its websocket address, when it listens already.
        address: Option<String>,
        /// The home that was asked for.
        home: PathBuf,
    },
    /// Neither `SKEIN_HOME` nor `XDG_DATA_HOME` nor `HOME` is set.
    #[error("no home folder: set SKEIN_HOME, or say --home")]
    Unset,
    /// A file or folder of the home cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What `server.json` says: who serves the home now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerJson {
    /// The server's process.
    pub pid: u32,
    /// The number of its ownership.
    pub term: Term,
    /// The id of its start.
    pub start_id: Uuid,
    /// Where it listens, the websocket's address first.
    pub addresses: Vec<String>,
}

/// The content of `lock`. Unknown members are left out when it is written again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LockFile {
    term: u64,
    pid: u32,
}

/// A home that this process owns until the value is dropped.
#[derive(Debug)]
pub struct Home {
    paths: HomePaths,
    start_id: Uuid,
    machine_boot: Uuid,
    term: Term,
    /// Held, never read.
    _lock: Flock<File>,
}

impl Home {
    /// Makes the folder where it is missing, takes its lock, and raises the term. Blocks for a few file operations
    /// and one sync; meant for the start, before anything is served.
    ///
    /// # Errors
    /// [`HomeError::Served`] when another process holds the lock, [`HomeError::Io`] otherwise.
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        let paths = HomePaths::new(&std::path::absolute(root).map_err(|source| fault(root, source))?);
        make_root(paths.root())?;
        let lock = take_lock(&paths)?;
        for folder in [paths.threads(), paths.open_markers()] {
            make_folder(&folder)?;
        }
        // What a server that was killed left behind names nobody any more.
        remove_if_there(&paths.server_json())?;
        let term = raise_term(&lock).map_err(|source| fault(&paths.lock(), source))?;
        sync_folder(paths.root())?;
        let start_id = Clock.new_id();
        let machine_boot = machine_boot().unwrap_or(start_id);
        Ok(Self { paths, start_id, machine_boot, term, _lock: lock })
    }

    /// Where things lie.
    #[must_use]
    pub fn paths(&self) -> &HomePaths {
        &self.paths
    }

    /// The id of this start of the server.
    #[must_use]
    pub fn start_id(&self) -> Uuid {
        self.start_id
    }

    /// The id of this start of the machine (Linux: `/proc/sys/kernel/random/boot_id`). What a server has written
    /// survives its own end, however it ends, but not the machine's: so this id, not the server's, tells whether
    /// numbers may have been given out that the disk never got. Where the system has none it is the server's.
    #[must_use]
    pub fn machine_boot(&self) -> Uuid {
        self.machine_boot
    }

    /// The number of this ownership.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Tells other processes on this machine where this one listens, atomically.
    ///
    /// # Errors
    /// [`HomeError::Io`] when `server.json` cannot be written.
    pub fn publish(&self, address: &str) -> Result<(), HomeError> {
        let says = ServerJson {
            pid: std::process::id(),
            term: self.term,
            start_id: self.start_id,
            addresses: vec![address.to_owned()],
        };
        let path = self.paths.server_json();
        let beside = path.with_extension("json.new");
        write_beside(&beside, &says).map_err(|source| fault(&beside, source))?;
        fs::rename(&beside, &path).map_err(|source| fault(&path, source))
    }

    /// Takes back what [`Home::publish`] said. Called by the orderly stop before the lock goes; dropping does it too.
    pub fn retire(&self) {
        if let Err(error) = remove_if_there(&self.paths.server_json()) {
            tracing::warn!(%error, "server.json stays behind; the next start removes it");
        }
    }

    /// Who serves the home at `root`, as far as it has said so; `None` when nobody has. A server that was killed
    /// leaves its word behind: whoever connects finds out.
    ///
    /// # Errors
    /// [`HomeError::Io`] when the file is there and cannot be read or understood.
    pub fn read_server_json(root: &Path) -> Result<Option<ServerJson>, HomeError> {
        let path = HomePaths::new(root).server_json();
        match read_regular(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| fault(&path, error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(fault(&path, source)),
        }
    }
}

fn machine_boot() -> Option<Uuid> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().parse().ok()
}

impl Drop for Home {
    fn drop(&mut self) {
        self.retire();
    }
}

fn fault(path: &Path, source: io::Error) -> HomeError {
    HomeError::Io { path: path.to_owned(), source }
}

/// The root, with its missing parents. A folder that was there is made private only where it is certainly ours:
/// somebody may have named their own home by mistake.
fn make_root(root: &Path) -> Result<(), HomeError> {
    let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        make_folder(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
    }
    let seen = fs::metadata(root).map_err(|source| fault(root, source))?;
    let ours =
        HomePaths::new(root).lock().exists() || is_empty(root).map_err(|source| fault(root, source))?;
    if ours && seen.mode() & 0o777 != FOLDER_MODE {
        fs::set_permissions(root, fs::Permissions::from_mode(FOLDER_MODE))
            .map_err(|source| fault(root, source))?;
    }
    Ok(())
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

fn make_folder(folder: &Path) -> Result<(), HomeError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(source) => Err(fault(folder, source)),
    }
}

fn sync_folder(folder: &Path) -> Result<(), HomeError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| fault(folder, source))
}

fn remove_if_there(path: &Path) -> Result<(), HomeError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(fault(path, source)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn take_lock(paths: &HomePaths) -> Result<Flock<File>, HomeError> {
    let path = paths.lock();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(no_surprises())
        .open(&path)
        .and_then(only_regular)
        .map_err(|source| fault(&path, source))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => Err(served(paths, &file)),
        Err((_, errno)) => Err(fault(&path, errno.into())),
    }
}

/// Who holds the lock: `server.json` when it listens, else the lock file itself.
fn served(paths: &HomePaths, lock: &File) -> HomeError {
    let says = Home::read_server_json(paths.root()).ok().flatten();
    let pid = says.as_ref().map(|says| says.pid).or_else(|| read_lock(lock).map(|lock| lock.pid));
    let address = says.and_then(|says| says.addresses.into_iter().next());
    HomeError::Served { pid, address, home: paths.root().to_owned() }
}

fn read_lock(file: &File) -> Option<LockFile> {
    let mut bytes = vec![0; 256];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(bytes.get(..length)?).ok()
}

/// One more than what the lock file says, on disk before anything is done under it. A lock file that cannot be
/// understood gives the time in milliseconds: counting from 1 has never come that far, so the term still rises.
fn raise_term(lock: &File) -> io::Result<Term> {
    let known = match (lock.metadata()?.len(), read_lock(lock)) {
        (0, _) => 0,
        (_, Some(known)) => known.term,
        (_, None) => u64::try_from(Clock.wall().0).unwrap_or(u64::MAX / 2),
    };
    let term = known.saturating_add(1);
    let text = serde_json::to_string(&LockFile { term, pid: std::process::id() })?;
    lock.write_all_at(text.as_bytes(), 0)?;
    lock.set_len(text.len() as u64)?;
    lock.sync_all()?;
    Ok(Term(term))
}

fn write_beside(path: &Path, says: &ServerJson) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .custom_flags(no_surprises())
        .open(path)
        .and_then(only_regular)?;
    file.write_all(&serde_json::to_vec(says)?)
}

fn read_regular(path: &Path) -> io::Result<String> {
    let file =
        OpenOptions::new().read(true).custom_flags(no_surprises()).open(path).and_then(only_regular)?;
    let mut text = String::new();
    file.take(MOST_READ).read_to_string(&mut text)?;
    Ok(text)
}

/// Flags of every file that is opened by a name others could have prepared: never through a link, and never
/// waiting for the other end of a FIFO. The standard library adds close-on-exec.
#[must_use]
pub fn no_surprises() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

/// Refuses everything but a regular file.
///
/// # Errors
/// `InvalidInput` that says what the path is instead.
pub fn only_regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file; move it away"))
}

/// The value of an environment variable, as [`default_home`] asks for it.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;
