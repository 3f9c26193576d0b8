//! The folder that one server owns: its paths, its lock, and its holder.
//!
//! Folders are 0700 and files 0600. The lock is a `flock(2)` on a close-on-exec descriptor: it ends with the process
//! in every case, and no helper inherits it.

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

use crate::policy;

pub mod database_note;
pub mod durable;
pub mod folders;
mod lock;
mod migrated;
pub mod named_socket;
mod paths;
pub mod socket;
#[cfg(test)]
mod tests;

pub use database_note::DatabaseNote;
pub use lock::{Holder, Idle, RESTORE, SERVE, STDIO, UNIX, holder, listens, read_term};
pub use paths::{HomePaths, Location, codex_home, default_home};

/// Mode of every folder in a home.
pub const FOLDER_MODE: u32 = 0o700;
/// Mode of every file in a home.
pub const FILE_MODE: u32 = 0o600;
/// The read limit for `lock` and `server.json`, bytes. Origin: both are below 1 KiB.
const MOST_READ: u64 = 64 * 1024;

/// The number of an ownership of a home. It rises by one with each start of a server, and never falls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

/// Why a home cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another process holds the lock.
    #[error("{}", in_use(home, holder))]
    Served {
        /// The holder.
        holder: Holder,
        /// The home that was asked for.
        home: PathBuf,
    },
    /// The folder is no home, and must not become one.
    #[error("{} is no home of skein: it has no folder of threads; say --home", .0.display())]
    NoHome(PathBuf),
    /// An interrupted restore is still to be finished.
    #[error(
        "a restore into {} was cut off; bring it to its end: skein restore FILE --home {}",
        .0.display(),
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A newer version had it, and left it in a form that this version does not know.
    #[error(
        "{} was left by a newer skein, in form {form} of homes, and this one knows {known}: start that version again, or \
         restore a backup from before the upgrade into another home",
        home.display()
    )]
    Newer {
        /// The home.
        home: PathBuf,
        /// Its form.
        form: u32,
        /// The newest form that this version knows.
        known: u32,
    },
    /// Its threads are in a database.
    #[error(
        "the threads of {} are in the database {store}: serve them with skein serve --store {store}, and save them with pg_dump",
        home.display()
    )]
    InDatabase {
        /// The home.
        home: PathBuf,
        /// The address of the database, without a password.
        store: String,
    },
    /// It has a part of the threads of a database.
    #[error(
        "the move of the threads from {store} into {} was cut off; bring it to its end: skein migrate --from {store} --to home:{}",
        home.display(),
        home.display()
    )]
    Arriving {
        /// The home.
        home: PathBuf,
        /// The address of the database, without a password.
        store: String,
    },
    /// Some of its threads are in files still, and all of them in a database.
    #[error(
        "the move of the threads of {} into {store} was cut off; bring it to its end: skein migrate --from home:{} --to {store}",
        home.display(),
        home.display()
    )]
    Leaving {
        /// The home.
        home: PathBuf,
        /// The address of the database, without a password.
        store: String,
    },
    /// A server with a database would not show the threads in its home.
    #[error("{} has threads of its own: serve it without --store, or choose another home with --home", .0.display())]
    HasThreads(PathBuf),
    /// Neither `SKEIN_HOME` nor `XDG_DATA_HOME` nor `HOME` is set.
    #[error("no home folder: set SKEIN_HOME, or say --home")]
    Unset,
    /// A file or folder of the home cannot be used.
    #[error("{}: {source}{}", path.display(), way_out(source))]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// The content of `server.json`: the home's server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerJson {
    /// The server's pid.
    pub pid: u32,
    pub(crate) term: Term,
    pub(crate) start_id: Uuid,
    /// Its addresses, the websocket's first.
    pub addresses: Vec<String>,
}

impl ServerJson {
    fn control_socket(&self) -> Option<String> {
        self.addresses.iter().find_map(|address| address.strip_prefix(UNIX)).map(str::to_owned)
    }
}

/// A home that this process owns until it drops the value.
#[derive(Debug)]
pub struct Home {
    paths: HomePaths,
    start_id: Uuid,
    term: Term,
    first_question: i64,
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

    /// Creates the folder if it is missing, takes its lock, and raises the term. `doing` is the `skein` sub-command,
    /// which others see. Blocks for a few file operations and one sync. Waits up to a second for a holder without a
    /// published address; meant for the start.
    ///
    /// # Errors
    /// [`HomeError::Served`] if another process holds the lock, [`HomeError::Io`] otherwise.
    pub fn take(root: &Path, doing: &str) -> Result<Self, HomeError> {
        Self::take_with(root, doing, database_note::refuse)
    }

    fn take_with(
        root: &Path,
        doing: &str,
        check: impl FnOnce(&HomePaths) -> Result<(), HomeError>,
    ) -> Result<Self, HomeError> {
        let paths = HomePaths::new(&std::path::absolute(root).map_err(|source| fault(root, source))?);
        make_root(paths.root())?;
        let lock = lock::take(&paths)?;
        lock::check_form(&lock, paths.root())?;
        if doing != RESTORE && paths.restore_ready().symlink_metadata().is_ok() {
            return Err(HomeError::Unfinished(paths.root().to_owned()));
        }
        check(&paths)?;
        for folder in [paths.threads(), paths.open_markers()] {
            make_folder(&folder)?;
        }
        // Without the archive no thread could be saved: the store looks there first.
        leads_somewhere(&paths.archived())?;
        link_archive(&paths);
        // The published facts of a killed server are stale.
        remove_if_there(&paths.server_json())?;
        let raised = lock::raise_term(&lock, doing);
        let (term, first_question) = raised.map_err(|source| fault(&paths.lock(), source))?;
        sync_folder(paths.root())?;
        let start_id = Clock.new_id();
        Ok(Self { paths, start_id, term, first_question, lock })
    }

    /// The home's paths.
    pub fn paths(&self) -> &HomePaths {
        &self.paths
    }

    /// The id of this start of the server.
    pub fn start_id(&self) -> Uuid {
        self.start_id
    }

    /// The tag that the home's helper processes carry. It is made of the lock file's device, inode and birth. So a
    /// copied or restored home has another tag, and a moved one the same. The boot id is in it too, as no process
    /// outlives the boot.
    ///
    /// # Errors
    /// If the system does not describe the lock file.
    pub fn tag(&self) -> io::Result<HomeTag> {
        self.lock.metadata().map(|lock| tag_from_lock(&lock))
    }

    /// The term of this ownership.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The first id for a question of this ownership: above every id of an earlier one, and at least the time in Unix
    /// milliseconds.
    pub fn first_question(&self) -> i64 {
        self.first_question
    }

    /// Raises the term above `seen`, which was found in rollouts of another home.
    ///
    /// # Errors
    /// [`HomeError::Io`] if the lock file cannot be written.
    pub(crate) fn pass_term(&mut self, seen: Term) -> Result<(), HomeError> {
        if seen <= self.term {
            return Ok(());
        }
        let last_question = self.first_question.saturating_add(policy::QUESTION_IDS);
        let written = lock::write(&self.lock, RESTORE, (seen.0, last_question));
        self.term = written.map_err(|source| fault(&self.paths.lock(), source))?;
        Ok(())
    }

    /// Publishes this server's addresses to other processes on this machine, the websocket's first; atomically.
    ///
    /// # Errors
    /// [`HomeError::Io`] if `server.json` cannot be written.
    pub fn publish(&self, addresses: Vec<String>) -> Result<(), HomeError> {
        let says =
            ServerJson { pid: std::process::id(), term: self.term, start_id: self.start_id, addresses };
        let path = self.paths.server_json();
        let beside = path.with_extension("json.new");
        write_beside(&beside, &says).map_err(|source| fault(&beside, source))?;
        fs::rename(&beside, &path).map_err(|source| fault(&path, source))
    }

    /// Withdraws the facts of [`Home::publish`]. The orderly stop calls it before it frees the lock; dropping does it
    /// too.
    pub(crate) fn retire(&self) {
        if let Err(error) = remove_if_there(&self.paths.server_json()) {
            tracing::warn!(%error, "server.json cannot be removed; the next start removes it");
        }
        if let Err(error) = socket::remove(&self.paths) {
            tracing::warn!(%error, "control.sock cannot be removed");
        }
    }

    /// The published facts about the server of the home at `root`; `None` without any. A killed server leaves its
    /// file: connecting shows that.
    ///
    /// # Errors
    /// [`HomeError::Io`] if the file cannot be read or parsed.
    pub fn read_server_json(root: &Path) -> Result<Option<ServerJson>, HomeError> {
        let path = HomePaths::new(root).server_json();
        match read_regular(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| fault(&path, error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(fault(&path, source)),
        }
    }
}

/// Serializes a path as JSON text, which cannot hold arbitrary bytes.
///
/// # Errors
/// Those of the serializer.
pub(crate) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A link whose target is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is a link to {}, which is not there", .0.display())]
pub struct LostLink(PathBuf);

/// The lost link in the place of a path, if there is one.
pub fn lost_link(path: &Path) -> Option<LostLink> {
    let target = fs::read_link(path).ok()?;
    (!path.exists()).then_some(LostLink(target))
}

/// The paths of an existing home.
///
/// # Errors
/// [`HomeError::NoHome`] if it has no folder of threads, [`HomeError::Io`] if this user cannot see that.
pub fn existing(root: &Path) -> Result<HomePaths, HomeError> {
    let paths = HomePaths::new(root);
    let threads = paths.threads();
    match fs::metadata(&threads) {
        Ok(seen) if seen.is_dir() => database_note::refuse(&paths).map(|()| paths),
        Ok(_) => Err(HomeError::NoHome(root.to_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            leads_somewhere(&threads)?;
            leads_somewhere(root)?;
            Err(HomeError::NoHome(root.to_owned()))
        }
        Err(source) => Err(fault(&threads, source)),
    }
}

/// Names the holder of the home, and the remedy.
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

/// The tag of helper processes whose server owns the home at `root`; `None` if no server ever had it.
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

/// The boot id of the machine, if the system has one (Linux: `/proc/sys/kernel/random/boot_id`).
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

/// The remedy for a person, as the end of a sentence.
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

/// Creates the root and its missing parents. It makes an existing folder private only if that is certainly a home:
/// the user may have named a home directory by mistake.
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

/// Creates the clients' link to the archive. Without it clients get a path that does not exist; nothing else is lost.
fn link_archive(paths: &HomePaths) {
    let link = paths.archive_link();
    let made = link.parent().map_or(Ok(()), make_folder).map_err(|error| error.to_string());
    let made = made.and_then(|()| match symlink(Path::new("..").join("archived"), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    });
    if let Err(error) = made {
        tracing::warn!(%error, link = %link.display(), "the link to the archive cannot be created; clients cannot open archived rollouts");
    }
}

/// Whether a folder is empty or has only settings. Other programs have a `config.toml` too, beside other files.
fn only_settings(folder: &Path) -> io::Result<bool> {
    let settings = HomePaths::new(folder).config();
    let mut entries = fs::read_dir(folder)?;
    entries.try_fold(true, |ours, entry| Ok(ours && entry?.path() == settings))
}

/// Creates a folder for its user only, if it is missing.
pub fn make_folder(folder: &Path) -> Result<(), HomeError> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            leads_somewhere(folder)?;
            Err(fault(folder, io::Error::new(error.kind(), "it is not a folder; move it away")))
        }
        Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let text = format!("the folder cannot be made: {source}; name another home (--home)");
            Err(fault(folder, io::Error::new(source.kind(), text)))
        }
        Err(source) => Err(fault(folder, source)),
    }
}

/// Refuses a link with a missing target: its disk may not be mounted.
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
    durable::open_beside(path)?.write_all(&serde_json::to_vec(says)?)
}

fn read_regular(path: &Path) -> io::Result<String> {
    let file =
        OpenOptions::new().read(true).custom_flags(no_surprises()).open(path).and_then(only_regular)?;
    let mut text = String::new();
    file.take(MOST_READ).read_to_string(&mut text)?;
    Ok(text)
}

/// Looks up an environment variable, for [`default_home`].
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;
