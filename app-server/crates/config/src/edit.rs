//! Changes of the user's settings file. Everything else stays as it was written: comments, order, other keys. Must never
//! leave half of a file, nor one that a server would refuse.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use skein_base::clock::Clock;
use skein_helpers::{HelperSpec, MASK};
use skein_protocol::error::WireError;
use skein_store::home::durable::{self, Readers};
use skein_store::home::make_root;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::helpers::{NAMES, SERVERS, is_name};
use super::problem::Problems;
use super::{ConfigErrors, FILE, ServerConfig, keys, origin, tree};
use crate::policy;

mod approve;
mod origins;
mod set;
mod table;
mod take;
#[cfg(test)]
mod tests;

pub use approve::NotWritten;
pub use origins::AddedOrigin;
pub use set::{Merge, segments};
use table::{change_way, written};

/// The purpose of opening the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditMode {
    /// Changes are not written.
    Look,
    /// Changes are written. Other processes that change the file wait; a missing home is made.
    Change,
}

/// The treatment of a helper that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// The helper stays, and the call fails.
    Keep,
    /// The new command or address replaces the old one. The user's decisions about the helper stay.
    Replace,
}

/// Why helpers in the settings file cannot be changed. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file, or the home, cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// Another process changes the settings, or holds the lock of the home.
    #[error(
        "another process has locked {}; end it or wait for its end, and try again (fuser names it)",
        path.display()
    )]
    Busy {
        /// The home.
        path: PathBuf,
    },
    /// The home cannot be made.
    #[error(transparent)]
    Home(#[from] skein_store::home::HomeError),
    /// The file has mistakes: whatever is added to it, a server would refuse it.
    #[error("the settings have mistakes; mend them first:\n{0}")]
    Broken(ConfigErrors),
    /// The file would have mistakes after the change.
    #[error("this cannot be written into the settings:\n{0}")]
    Refused(ConfigErrors),
    /// The file is not the one that the change was meant for.
    #[error("the settings are version {now:?}, not {expected:?}: read them again")]
    Moved {
        /// The version that was expected.
        expected: String,
        /// The one that is there.
        now: String,
    },
    /// There is no such place in the file.
    #[error("{key:?} cannot be set: {why}")]
    Key {
        /// The dotted key.
        key: String,
        /// Why not.
        why: String,
    },
    /// The value cannot be written there.
    #[error("{key}: {why}")]
    Value {
        /// The dotted key.
        key: String,
        /// Why not.
        why: String,
    },
    /// A mask is to be written where no secret stands.
    #[error(
        "{key}: {MASK} stands for a secret that is not shown, and the file has none there; write the value itself"
    )]
    Masked {
        /// The dotted key.
        key: String,
    },
    /// A helper cannot be called so.
    #[error("{name:?} cannot be the name of a helper; {NAMES}")]
    Name {
        /// The name.
        name: String,
    },
    /// A helper could not be started.
    #[error("helper {name:?} cannot be used: {why}")]
    Unusable {
        /// The name.
        name: String,
        /// Why not, without secrets.
        why: String,
    },
    /// There is one of this name.
    #[error("helper {name:?} is in {} already; remove it first, or use another name", path.display())]
    Exists {
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// The text is no entry of `browser.origins`.
    #[error("{origin:?} is no origin: {why}")]
    Origin {
        /// The text.
        origin: String,
        /// The correction.
        why: String,
    },
    /// `browser.origins` has no such entry.
    #[error("there is no origin {origin:?} in {}{}", path.display(), known(there))]
    NoOrigin {
        /// The text.
        origin: String,
        /// The file.
        path: PathBuf,
        /// The entries that it has.
        there: Vec<String>,
    },
    /// There is none of this name.
    #[error("there is no helper {name:?} in {}{}", path.display(), known(there))]
    Absent {
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
        /// The helpers that it has.
        there: Vec<String>,
    },
}

impl EditError {
    /// The error as the wire says it.
    #[must_use]
    pub fn to_wire(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::Io { .. } | Self::Busy { .. } | Self::Home(_) => {
                WireError::internal("settingsUnwritten", text)
            }
            Self::Moved { .. } => WireError::invalid_request("versionConflict", text).path("expectedVersion"),
            Self::Broken(_) => WireError::invalid_request("badConfig", text),
            Self::Refused(_) | Self::Value { .. } | Self::Masked { .. } => {
                WireError::invalid_params("badConfig", text).path("value")
            }
            Self::Key { .. }
            | Self::Name { .. }
            | Self::Unusable { .. }
            | Self::Exists { .. }
            | Self::Absent { .. }
            | Self::Origin { .. }
            | Self::NoOrigin { .. } => WireError::invalid_params("badKey", text).path("keyPath"),
        }
    }
}

fn known(there: &[String]) -> String {
    if there.is_empty() { String::new() } else { format!("; it has {}", there.join(", ")) }
}

/// The settings file of a home, to be changed and then written.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    document: DocumentMut,
    /// The byte order mark and the line ends of the file.
    form: Form,
    /// The text of the file at the opening.
    opened: String,
    /// The version of the file's text; empty where there is no file.
    version: String,
    /// A write has taken the right to read from other users.
    closed: bool,
    /// The `-c` flags of the server that reads the file.
    flags: Vec<String>,
    /// The lock that other writers wait for. It is on the folder, as the file itself is replaced.
    _alone: Option<Flock<File>>,
}

impl SettingsFile {
    /// Opens the file of `home`; a missing one is empty. Waits some seconds while another process changes it.
    ///
    /// # Errors
    /// [`EditError::Busy`], [`EditError::Io`], [`EditError::Home`], [`EditError::Broken`].
    pub fn open(home: &Path, mode: EditMode) -> Result<Self, EditError> {
        Self::open_under(&[], home, mode)
    }

    /// The same for a server that has these `-c` flags: whether the settings can be used is asked with them.
    ///
    /// # Errors
    /// As [`SettingsFile::open`].
    pub fn open_under(flags: &[String], home: &Path, mode: EditMode) -> Result<Self, EditError> {
        Self::open_within(policy::SETTINGS_PATIENCE, flags, home, mode)
    }

    fn open_within(
        patience: Duration,
        flags: &[String],
        home: &Path,
        mode: EditMode,
    ) -> Result<Self, EditError> {
        let alone = match mode {
            EditMode::Look => None,
            EditMode::Change => Some(alone(home, patience)?),
        };
        let path = home.join(FILE);
        let text = match tree::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read.map_err(|source| EditError::Io { path: path.clone(), source })?),
        };
        let version = text.as_deref().map(origin::version).unwrap_or_default();
        let text = text.unwrap_or_default();
        check(&path, &text, flags).map_err(EditError::Broken)?;
        // The reader above and this one share a parser, so this one fails on no text that the other took.
        let form = Form::of(&text);
        let document = text.parse().map_err(|error: toml_edit::TomlError| EditError::Io {
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        })?;
        Ok(Self {
            path,
            document,
            form,
            opened: text,
            version,
            closed: false,
            flags: flags.to_owned(),
            _alone: alone,
        })
    }

    /// The version of what is in the file, as `config/read` shows it; empty where there is none.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether that is `expected`.
    ///
    /// # Errors
    /// [`EditError::Moved`].
    pub fn expect(&self, expected: &str) -> Result<(), EditError> {
        if self.version == expected {
            return Ok(());
        }
        Err(EditError::Moved { expected: expected.to_owned(), now: self.version.clone() })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its helpers, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let servers = self.document.get(SERVERS).and_then(Item::as_table_like);
        servers.map(|all| all.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
    }

    /// Puts a helper behind the others, or in the place of the one that has its name. Returns the keys that the user has written
    /// about that one and that the new one cannot have.
    ///
    /// # Errors
    /// [`EditError::Name`], [`EditError::Exists`].
    pub(crate) fn add(&mut self, spec: &HelperSpec, present: Present) -> Result<Vec<String>, EditError> {
        let name = spec.name.as_str();
        if !is_name(name) {
            return Err(EditError::Name { name: name.to_owned() });
        }
        let is_there = self.names().iter().any(|there| there == name);
        if is_there && present == Present::Keep {
            return Err(EditError::Exists { name: name.to_owned(), path: self.path.clone() });
        }
        let servers = self.servers()?;
        if let Some(there) = servers.get_mut(name).and_then(Item::as_table_like_mut) {
            return Ok(change_way(there, spec));
        }
        servers.insert(name, Item::Table(written(spec)));
        Ok(Vec::new())
    }

    /// Does the same if a server would take the file then, and could start the helper. Else nothing is changed.
    ///
    /// # Errors
    /// As `SettingsFile::add`, [`EditError::Refused`], [`EditError::Unusable`].
    pub fn add_usable(&mut self, spec: &HelperSpec, present: Present) -> Result<Vec<String>, EditError> {
        let name = || spec.name.as_str().to_owned();
        spec.check().map_err(|why| EditError::Unusable { name: name(), why })?;
        let before = self.document.clone();
        let added = self.add(spec, present).and_then(|went| self.check().map(|()| went));
        if added.is_err() {
            self.document = before;
        }
        added
    }

    /// Takes a helper out, with the comments right above it.
    ///
    /// # Errors
    /// [`EditError::Absent`].
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let there = self.names();
        let path = self.path.clone();
        if !there.iter().any(|known| known == name) {
            return Err(EditError::Absent { name: name.to_owned(), path, there });
        }
        self.remove_at(&[SERVERS.to_owned(), name.to_owned()]);
        Ok(())
    }

    /// Whether a write has taken the file's rights from others, as it holds secrets.
    #[must_use]
    pub fn was_closed(&self) -> bool {
        self.closed
    }

    /// Writes it, all or nothing; on the disk when this returns. A file with secrets is its owner's only from then on.
    ///
    /// # Errors
    /// [`EditError::Refused`], [`EditError::Io`].
    pub fn write(&mut self) -> Result<(), EditError> {
        let text = self.form.of_text(&self.document.to_string());
        let config = read(&self.path, &text, &self.flags).map_err(EditError::Refused)?;
        let readers = if config.has_secrets() { Readers::Owner } else { Readers::AsBefore };
        let written = durable::replace_for(&self.path, text.as_bytes(), readers);
        self.closed |= written.map_err(|source| EditError::Io { path: self.path.clone(), source })?;
        self.version = origin::version(&text);
        Ok(())
    }

    /// Whether a server would take it as it is now.
    ///
    /// # Errors
    /// [`EditError::Refused`].
    pub fn check(&self) -> Result<(), EditError> {
        check(&self.path, &self.document.to_string(), &self.flags).map_err(EditError::Refused)
    }

    /// The settings that a server would have of it.
    fn config(&self) -> Result<ServerConfig, ConfigErrors> {
        read(&self.path, &self.document.to_string(), &self.flags)
    }

    /// The table of helpers, which may be written in any way that TOML has.
    fn servers(&mut self) -> Result<&mut dyn TableLike, EditError> {
        let mut none = Table::new();
        none.set_implicit(true);
        let path = &self.path;
        let item = self.document.entry(SERVERS).or_insert(Item::Table(none));
        // The check at the opening has let nothing else pass.
        let other = || io::Error::new(io::ErrorKind::InvalidData, format!("{SERVERS} is not a table"));
        item.as_table_like_mut().ok_or_else(|| EditError::Io { path: path.clone(), source: other() })
    }
}

/// The byte order mark of some editors.
const BOM: char = '\u{feff}';

/// The form of a file, as far as the parser does not keep it.
#[derive(Debug)]
struct Form {
    has_bom: bool,
    /// Whether most lines end with CRLF.
    has_returns: bool,
}

impl Form {
    fn of(text: &str) -> Self {
        let returns = text.matches("\r\n").count();
        Self { has_bom: text.starts_with(BOM), has_returns: 2 * returns > text.matches('\n').count() }
    }

    fn of_text(&self, text: &str) -> String {
        let mut text = text.trim_start_matches(BOM).replace("\r\n", "\n");
        if self.has_returns {
            text = text.replace('\n', "\r\n");
        }
        if self.has_bom { format!("{BOM}{text}") } else { text }
    }
}

/// Locks the settings against other writers until the lock is dropped. Waits for them at most `patience`.
fn alone(home: &Path, patience: Duration) -> Result<Flock<File>, EditError> {
    make_root(home)?;
    let fault = |source| EditError::Io { path: home.to_owned(), source };
    let mut folder = File::open(home).map_err(fault)?;
    let until = Clock.now() + patience;
    loop {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(alone) => return Ok(alone),
            Err((_, Errno::EWOULDBLOCK)) if Clock.now() >= until => {
                return Err(EditError::Busy { path: home.to_owned() });
            }
            Err((again, Errno::EWOULDBLOCK)) => folder = again,
            Err((_, error)) => return Err(fault(error.into())),
        }
        std::thread::sleep(policy::SETTINGS_LOOK);
    }
}

/// Checks the settings as a server with these flags would read them.
fn check(path: &Path, text: &str, flags: &[String]) -> Result<(), ConfigErrors> {
    read(path, text, flags).map(drop)
}

/// The settings that a server with these flags would have.
fn read(path: &Path, text: &str, flags: &[String]) -> Result<ServerConfig, ConfigErrors> {
    let mut problems = Problems::default();
    let mut settings = tree::from_text(path, text, &mut problems);
    tree::lay_over(&mut settings, flags, &mut problems);
    let config = keys::apply(ServerConfig::default(), settings, &mut problems);
    problems.finish().map(|_no_warnings| config)
}
