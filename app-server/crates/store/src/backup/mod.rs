//! Backups: the irreplaceable content of a home in one file, and the way back.
//!
//! A backup is a tar archive under gzip. `FIRST` identifies it. Then come settings, rollouts and blobs under their
//! names in a home, then `MANIFEST` with the length and the SHA-256 of each. It has no open markers and no index,
//! which follow from the rollouts, and no deleted threads. It has the secrets of threads only on request.
//!
//! Everything here blocks, except [`restore::put`]: it runs in a program of its own beside the server.
//!
//! A backup asks no server. A rollout is append-only and has every acknowledged record, so a copy of its whole lines
//! equals the state after a kill. It opens each thread at its current location, and looks for moved ones again. The
//! manifest comes last, so a backup that was cut off has none.
//!
//! A restore reads the backup twice: first it checks every name, then it unpacks into `restore.new` in the home.
//! Renaming that to `restore.ready` decides: from then on files are moved without replacing any, and `Home::take`
//! refuses everybody but a restore. Each rollout gets a `thread.opened` of an unnamed machine at its end, so the next
//! load begins a new epoch. The old home may have used more numbers since the backup. The home's term is raised above
//! those in the rollouts, or their next owner would be fenced. The index is removed; the next server makes it again.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use skein_protocol::ids::ThreadId;

use crate::home::{HomeError, HomePaths};
use crate::rollout::Location;

pub mod check;
pub mod make;
pub mod restore;
#[cfg(test)]
mod tests;

/// The first entry of a backup.
pub(crate) const FIRST: &str = "skein-backup.json";
/// The last entry: a line of JSON ([`ManifestEntry`]) for each of the others.
pub(crate) const MANIFEST: &str = "manifest.jsonl";
/// The version of a backup without secrets, which every version of Skein reads.
const VERSION: u32 = 1;
/// The version of a backup with secrets.
const VERSION_WITH_SECRETS: u32 = 2;
/// The settings, in a home and in a backup.
const CONFIG: &str = "config.toml";
/// The locations of rollouts, in a home and in a backup.
const LOCATIONS: [Location; 2] = [Location::Active, Location::Archived];
/// Externalised texts, in a home and in a backup.
const BLOBS: &str = "blobs";
/// The secrets of threads, in a home and in a backup that includes them.
const SECRETS: &str = "secrets";

/// The progress of the work, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Finished files.
    pub done: u64,
    /// All files.
    pub total: u64,
}

/// The content of [`FIRST`].
#[derive(Debug, Serialize, Deserialize)]
struct BackupHead {
    /// The version of the backup.
    version: u32,
    /// The program that wrote it.
    skein: String,
    /// Its start, Unix milliseconds.
    at: i64,
}

/// A line of the manifest: one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Its name, as in a home.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// The SHA-256 of its content, in lower-case hex.
    pub(crate) sha256: String,
}

/// The files of a backup by name: length and SHA-256.
pub(crate) type Contents = HashMap<String, (u64, String)>;

/// An entry of a backup. Every other name is foreign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BackupName {
    First,
    Config,
    /// A rollout at one of the two locations.
    Rollout(ThreadId),
    Blob,
    Secrets(ThreadId),
    Manifest,
}

impl BackupName {
    /// The entry with exactly this name. No other name has a place in a home, so none leads out of it.
    fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let name = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            (FIRST, None, None, None) => Self::First,
            (CONFIG, None, None, None) => Self::Config,
            (MANIFEST, None, None, None) => Self::Manifest,
            (BLOBS, Some(folder), Some(hash), None) => {
                let is_hash = hash.len() == 64 && hash.bytes().all(is_hex);
                (is_hash && folder.len() == 2 && hash.starts_with(folder)).then_some(Self::Blob)?
            }
            (SECRETS, Some(_), Some(file), None) => {
                let thread: ThreadId = file.strip_suffix(".json")?.parse().ok()?;
                (secrets(thread) == path).then_some(Self::Secrets(thread))?
            }
            (_, Some(_), Some(file), None) => {
                let thread: ThreadId = file.strip_suffix(".jsonl")?.parse().ok()?;
                let is_at = |location| rollout(location, thread) == path;
                LOCATIONS.into_iter().any(is_at).then_some(Self::Rollout(thread))?
            }
            _ => return None,
        };
        Some(name)
    }
}

fn is_hex(digit: u8) -> bool {
    matches!(digit, b'0'..=b'9' | b'a'..=b'f')
}

/// A rollout's name in a home.
fn rollout(location: Location, thread: ThreadId) -> String {
    HomePaths::new(Path::new("")).rollout(location, thread).to_string_lossy().into_owned()
}

/// The name of a thread's secrets in a home.
fn secrets(thread: ThreadId) -> String {
    HomePaths::new(Path::new("")).secrets_of(thread).to_string_lossy().into_owned()
}

/// Counts and hashes the bytes that pass, and keeps a copy of the error.
struct HashingReader<R> {
    from: R,
    bytes: u64,
    digest: Sha256,
    failed: Option<io::Error>,
}

impl<R> HashingReader<R> {
    fn new(from: R) -> Self {
        Self { from, bytes: 0, digest: Sha256::new(), failed: None }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let came = self.from.read(bytes).inspect_err(|error| {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        })?;
        self.digest.update(bytes.get(..came).unwrap_or_default());
        self.bytes += came as u64;
        Ok(came)
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a backup was not written, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The backup's file exists.
    #[error("{} is there already; choose another name, or say --force to replace it", .0.display())]
    Exists(PathBuf),
    /// Another backup is being written to the same file.
    #[error("another backup writes to {}; wait for its end, or choose another name", .0.display())]
    Busy(PathBuf),
    /// A rollout became shorter during each copy.
    #[error("{} became shorter while it was copied: its server's disk fails; run the backup again", .0.display())]
    Shrunk(PathBuf),
    /// The file is not a whole backup.
    #[error("{} is no whole backup of skein, and nothing was restored: {reason}; use another copy of it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The finding.
        reason: String,
    },
    /// The home is not empty.
    #[error(
        "{} is not empty; restore into another --home, or say --force to add the threads that are not there",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The folder has only foreign files.
    #[error("{} is no home of skein and has other things in it; say --home", .0.display())]
    Foreign(PathBuf),
    /// An interrupted restore of another backup is now finished.
    #[error(
        "an earlier restore of another backup into {} had been cut off and is now done; look at it, then run this one again",
        .0.display()
    )]
    Other(PathBuf),
    /// There is no home, or another process holds it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    fn damaged(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Damaged { path: path.into(), reason: reason.to_string() }
    }
}
