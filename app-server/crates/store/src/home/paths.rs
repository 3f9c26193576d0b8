//! Paths in a home. Nothing here touches the disk.

use std::path::{Path, PathBuf};

use skein_protocol::ids::ThreadId;

use super::{HomeError, Variable};

/// The location of a rollout. It decides whether the thread is archived, whatever its records say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the ordinary lists.
    Active,
    /// Archived.
    Archived,
}

/// The paths of a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomePaths {
    root: PathBuf,
}

impl HomePaths {
    /// The paths below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The home itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Rollouts, in folders by the last two digits of the thread's id.
    pub fn threads(&self) -> PathBuf {
        self.root.join("threads")
    }

    /// Rollouts of archived threads, in folders as those of the others.
    pub(crate) fn archived(&self) -> PathBuf {
        self.root.join("archived")
    }

    pub(crate) fn location(&self, location: Location) -> PathBuf {
        match location {
            Location::Active => self.threads(),
            Location::Archived => self.archived(),
        }
    }

    /// A rollout at this location: in a folder named by the last two digits of the thread's id, which are random in
    /// every UUID.
    pub(crate) fn rollout(&self, location: Location, thread: ThreadId) -> PathBuf {
        self.location(location).join(folder_of(thread)).join(format!("{thread}.jsonl"))
    }

    /// The clients' way to the archive: a link with the name of Codex's archive, by which they know an archived
    /// thread.
    pub(crate) fn archive_link(&self) -> PathBuf {
        self.root.join("shown").join("archived_sessions")
    }

    /// A rollout's path for clients: an archived thread's goes through [`HomePaths::archive_link`].
    pub(crate) fn shown_rollout(&self, location: Location, thread: ThreadId) -> PathBuf {
        let place = self.rollout(location, thread);
        match location {
            Location::Active => place,
            Location::Archived => {
                let inside = place.strip_prefix(self.archived()).unwrap_or(&place);
                self.archive_link().join(inside)
            }
        }
    }

    /// Rollouts of deleted threads, until they are purged.
    pub(crate) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Feedback of users about threads and the server.
    pub fn feedback(&self) -> PathBuf {
        self.root.join("feedback")
    }

    /// Texts that are too large for a line of a rollout, in folders by the first two digits of their SHA-256.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Secrets of threads, in folders as those of their rollouts.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    pub(crate) fn secrets_of(&self, thread: ThreadId) -> PathBuf {
        self.secrets().join(folder_of(thread)).join(format!("{thread}.json"))
    }

    /// Sessions and tokens, as hashes. No backup takes it.
    pub fn access(&self) -> PathBuf {
        self.root.join("access.json")
    }

    /// The sessions and tokens of the time before a database had them.
    pub(super) fn access_aside(&self) -> PathBuf {
        self.root.join("access-before-database.json")
    }

    /// One empty file for each rollout whose end may not be closed and indexed.
    pub fn open_markers(&self) -> PathBuf {
        self.root.join("open")
    }

    /// The index of this version. It can be deleted while no server runs.
    pub(crate) fn index(&self, version: u32) -> PathBuf {
        self.root.join(format!("index-{version}"))
    }

    /// The text index. It can be deleted while no server runs.
    pub fn texts(&self) -> PathBuf {
        self.root.join("search-1")
    }

    /// The server's published facts.
    pub fn server_json(&self) -> PathBuf {
        self.root.join("server.json")
    }

    /// The database with the home's threads, where they are not files.
    pub(crate) fn store_json(&self) -> PathBuf {
        self.root.join("store.json")
    }

    /// The socket for programs on this machine.
    pub fn control_socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The socket of `--listen unix://` without a path. The peer has it at the same place in its home.
    pub fn named_socket(&self) -> PathBuf {
        self.root.join("app-server-control").join("app-server-control.sock")
    }

    /// The folder into which a restore unpacks.
    pub(crate) fn restore_new(&self) -> PathBuf {
        self.root.join("restore.new")
    }

    /// The unpacked files of a decided restore that are still to be moved.
    pub(crate) fn restore_ready(&self) -> PathBuf {
        self.root.join("restore.ready")
    }

    /// The lock, and the term.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }
}

/// The home in Codex's place, if no flag names one: `$SKEIN_HOME`, else `$CODEX_HOME`, else `~/.codex`. An empty
/// variable counts as unset.
///
/// # Errors
/// [`HomeError::Unset`] if none of them is set.
pub fn codex_home(variable: Variable<'_>) -> Result<PathBuf, HomeError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = set("SKEIN_HOME").or_else(|| set("CODEX_HOME"));
    named.or_else(|| set("HOME").map(|home| home.join(".codex"))).ok_or(HomeError::Unset)
}

/// The folder of a thread's files.
fn folder_of(thread: ThreadId) -> String {
    let last = thread.uuid().as_bytes().last().copied().unwrap_or_default();
    format!("{last:02x}")
}

/// The home if no flag names one: `$SKEIN_HOME`, else `$XDG_DATA_HOME/skein`, else `~/.local/share/skein`. An empty
/// variable counts as unset, and so does a relative `XDG_DATA_HOME` (XDG base directory specification).
///
/// # Errors
/// [`HomeError::Unset`] if none of them is set.
pub fn default_home(variable: Variable<'_>) -> Result<PathBuf, HomeError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = set("SKEIN_HOME") {
        return Ok(home);
    }
    if let Some(data) = set("XDG_DATA_HOME").filter(|data| data.is_absolute()) {
        return Ok(data.join("skein"));
    }
    set("HOME").map(|home| home.join(".local/share/skein")).ok_or(HomeError::Unset)
}
