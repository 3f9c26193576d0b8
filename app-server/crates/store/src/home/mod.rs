//! The folder that one server owns: where everything in it lies, who serves it, and the lock that says so.
//!
//! Folders are 0700 and files 0600. The lock is a `flock(2)` on a close-on-exec descriptor: it ends with the
//! process, however that ends, and no helper inherits it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use skein_base::clock::Clock;
use skein_base::files::{no_surprises, only_regular};
use skein_base::home_tag::HomeTag;

pub mod durable;
pub mod folders;
mod lock;
pub mod named_socket;
mod paths;
pub mod socket;
#[cfg(test)]
mod tests;

pub use lock::{Holder, Idle, RESTORE, SERVE, STDIO, UNIX, holder, listens, read_term};
pub use paths::{HomePaths, Location, codex_home, default_home};

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
    /// Another process holds the lock.
    #[error("{}", in_use(home, holder))]
    Served {
        /// Who that is.
        holder: Holder,
        /// The home that was asked for.
        home: PathBuf,
    },
    /// The folder is no home, and none is to be made of it.
    #[error("{} is no home of skein: it has no folder of threads; say --home", .0.display())]
    NoHome(PathBuf),
    /// A restore into it was cut off after it was decided.
    #[error(
        "a restore into {} was cut off; bring it to its end: skein restore FILE --home {}",
        .0.display(),
        .0.display()
    )]
    Unfinished(PathBuf),
    /// Neither `SKEIN_HOME` nor `XDG_DATA_HOME` nor `HOME` is set.
    #[error("no home folder: set SKEIN_HOME, or say --home")]
    Unset,
    /// A file or folder of the home cannot be used.
    #[error("{}: {source}{}", path.display(), way_out(source))]
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
    pub(crate) term: Term,
    /// The id of its start.
    pub(crate) start_id: Uuid,
    /// Where it listens, the websocket's address first.
    pub addresses: Vec<String>,
}

impl ServerJson {
    fn control_socket(&self) -> Option<String> {
        self.addresses.iter().find_map(|address| address.strip_prefix(UNIX)).map(str::to_owned)
    }
}

/// A home that this process owns until the value is dropped.
#[derive(Debug)]
pub struct Home {
    paths: HomePaths,
    start_id: Uuid,
    machine_boot: Uuid,
    term: Term,
    lock: Flock<File>,
}

impl Home {
    /// Takes the home to serve it. See [`Home::take`].
    ///
    /// # Errors
    /// As [`Home::take`].
    pub fn open(root: &Path) -> Result<Self, HomeError> {
        Self::take(root, SERVE)
    }

    /// Makes the folder where it is missing, takes its lock, and raises the term; `doing` is the sub-command of `skein`
    /// that does it, for others who come. Blocks for a few file operations and one sync, and up to a second before it
    /// is refused by somebody who has not said yet where it listens; meant for the start, before anything is served.
    ///
    /// # Errors
    /// [`HomeError::Served`] when another process holds the lock, [`HomeError::Io`] otherwise.
    pub fn take(root: &Path, doing: &str) -> Result<Self, HomeError> {
        let paths = HomePaths::new(&std::path::absolute(root).map_err(|source| fault(root, source))?);
        make_root(paths.root())?;
        let lock = lock::take(&paths)?;
        if doing != RESTORE && paths.restore_ready().symlink_metadata().is_ok() {
            return Err(HomeError::Unfinished(paths.root().to_owned()));
        }
        for folder in [paths.threads(), paths.open_markers()] {
            make_folder(&folder)?;
        }
        // Without it no thread could be saved: each is looked for there first.
        leads_somewhere(&paths.archived())?;
        link_archive(&paths);
        // What a server that was killed left behind names nobody any more.
        remove_if_there(&paths.server_json())?;
        let term = lock::raise_term(&lock, doing).map_err(|source| fault(&paths.lock(), source))?;
        sync_folder(paths.root())?;
        let start_id = Clock.new_id();
        let machine_boot = machine_boot().unwrap_or(start_id);
        Ok(Self { paths, start_id, machine_boot, term, lock })
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

    /// What the processes of this home's helpers carry: of the lock file's device, number and birth, since a copied or
    /// restored home has another lock file, and a moved one the same; and of this start of the machine, which no process
    /// outlives.
    ///
    /// # Errors
    /// The system does not tell about the lock file.
    pub fn tag(&self) -> io::Result<HomeTag> {
        self.lock.metadata().map(|lock| tag_from_lock(&lock))
    }

    /// The number of this ownership.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Lets every later ownership have a higher number than `seen`, which was met in rollouts that came from elsewhere.
    ///
    /// # Errors
    /// [`HomeError::Io`] when the lock file cannot be written.
    pub(crate) fn pass_term(&mut self, seen: Term) -> Result<(), HomeError> {
        if seen <= self.term {
            return Ok(());
        }
        let written = lock::write(&self.lock, RESTORE, seen.0);
        self.term = written.map_err(|source| fault(&self.paths.lock(), source))?;
        Ok(())
    }

    /// Tells other processes on this machine where this one listens, the websocket's address first; atomically.
    ///
    /// # Errors
    /// [`HomeError::Io`] when `server.json` cannot be written.
    pub fn publish(&self, addresses: Vec<String>) -> Result<(), HomeError> {
        let says =
            ServerJson { pid: std::process::id(), term: self.term, start_id: self.start_id, addresses };
        let path = self.paths.server_json();
        let beside = path.with_extension("json.new");
        write_beside(&beside, &says).map_err(|source| fault(&beside, source))?;
        fs::rename(&beside, &path).map_err(|source| fault(&path, source))
    }

    /// Takes back what [`Home::publish`] said. Called by the orderly stop before the lock goes; dropping does it too.
    pub(crate) fn retire(&self) {
        if let Err(error) = remove_if_there(&self.paths.server_json()) {
            tracing::warn!(%error, "server.json stays behind; the next start removes it");
        }
        if let Err(error) = socket::remove(&self.paths) {
            tracing::warn!(%error, "control.sock stays behind");
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

/// Serializes a path as JSON shows it, which has no word for bytes that are no text.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A link that leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is a link to {}, which is not there", .0.display())]
pub struct LostLink(PathBuf);

/// Whether a path that cannot be found has a link in its place.
#[must_use]
pub fn lost_link(path: &Path) -> Option<LostLink> {
    let target = fs::read_link(path).ok()?;
    (!path.exists()).then_some(LostLink(target))
}

/// The places of a home that is there.
///
/// # Errors
/// [`HomeError::NoHome`] when it has no folder of threads, [`HomeError::Io`] when this user cannot see that.
pub fn existing(root: &Path) -> Result<HomePaths, HomeError> {
    let paths = HomePaths::new(root);
    let threads = paths.threads();
    match fs::metadata(&threads) {
        Ok(seen) if seen.is_dir() => Ok(paths),
        Ok(_) => Err(HomeError::NoHome(root.to_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            leads_somewhere(&threads)?;
            leads_somewhere(root)?;
            Err(HomeError::NoHome(root.to_owned()))
        }
        Err(source) => Err(fault(&threads, source)),
    }
}

/// Who has the home, and what to do about it.
fn in_use(home: &Path, holder: &Holder) -> String {
    let home = home.display();
    let pid = holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    match holder.doing.as_deref().filter(|doing| *doing != SERVE) {
        Some(doing) => {
            format!(
                "{home} is in use by process {pid} (skein {doing}); wait for its end, or use another home"
            )
        }
        None => {
            let place =
                holder.place().unwrap_or_else(|| "at an address that is not published yet".to_owned());
            format!("{home} is already served by process {pid} {place}; stop it, or use another home")
        }
    }
}

/// What processes of helpers carry whose server has the home at `root`; `None` where it was never served.
#[must_use]
pub fn tag(root: &Path) -> Option<HomeTag> {
    fs::symlink_metadata(HomePaths::new(root).lock()).ok().map(|lock| tag_from_lock(&lock))
}

fn tag_from_lock(lock: &fs::Metadata) -> HomeTag {
    let birth = lock.created().ok().and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
    let birth = birth.unwrap_or_default().as_nanos().to_le_bytes();
    let (device, number) = (lock.dev().to_le_bytes(), lock.ino().to_le_bytes());
    let boot = machine_boot().unwrap_or_default();
    HomeTag::of(&[&device, &number, &birth, boot.as_bytes()])
}

/// The id of this start of the machine, where the system has one.
#[must_use]
pub(crate) fn machine_boot() -> Option<Uuid> {
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

/// The way out for a person, as the end of a sentence.
fn way_out(error: &io::Error) -> &'static str {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if is(&[io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied]) {
        "; let this user write there, or name another home (--home)"
    } else if is(&[io::ErrorKind::FileTooLarge]) {
        "; raise the limit for the size of files (ulimit -f)"
    } else {
        ""
    }
}

/// The root, with its missing parents. A folder that was there is made private only where it is certainly ours:
/// somebody may have named their own home by mistake.
pub fn make_root(root: &Path) -> Result<(), HomeError> {
    let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        make_folder(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
    }
    let seen = fs::metadata(root).map_err(|source| fault(root, source))?;
    let ours =
        HomePaths::new(root).lock().exists() || only_settings(root).map_err(|source| fault(root, source))?;
    if ours && seen.mode() & 0o777 != FOLDER_MODE {
        fs::set_permissions(root, fs::Permissions::from_mode(FOLDER_MODE))
            .map_err(|source| fault(root, source))?;
    }
    Ok(())
}

/// Makes the way to the archive for clients. Without it they are told of a place that is not there, and nothing else is lost.
fn link_archive(paths: &HomePaths) {
    let link = paths.archive_link();
    let made = link.parent().map_or(Ok(()), make_folder).map_err(|error| error.to_string());
    let made = made.and_then(|()| match symlink(Path::new("..").join("archived"), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    });
    if let Err(error) = made {
        tracing::warn!(%error, link = %link.display(), "clients cannot open the rollouts of archived threads");
    }
}

/// Whether a folder has nothing but settings, if at all: other programs have a `config.toml`, too, beside their own things.
fn only_settings(folder: &Path) -> io::Result<bool> {
    let settings = HomePaths::new(folder).config();
    let mut entries = fs::read_dir(folder)?;
    entries.try_fold(true, |ours, entry| Ok(ours && entry?.path() == settings))
}

/// Makes a folder that only its user can use, where it is missing.
pub fn make_folder(folder: &Path) -> Result<(), HomeError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            leads_somewhere(folder)?;
            Err(fault(folder, io::Error::new(error.kind(), "it is not a folder; move it away")))
        }
        Err(source) => Err(fault(folder, source)),
    }
}

/// Refuses a link that leads to nothing: its disk may not be mounted.
fn leads_somewhere(folder: &Path) -> Result<(), HomeError> {
    let Some(lost) = lost_link(folder) else { return Ok(()) };
    let text = format!("{lost}; make that folder, or remove the link");
    Err(fault(folder, io::Error::new(io::ErrorKind::NotFound, text)))
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

/// The value of an environment variable, as [`default_home`] asks for it.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;
