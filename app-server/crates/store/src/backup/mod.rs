//! Backups: what a home holds that cannot be made again, in one file, and back.
//!
//! A backup is a tar archive under gzip: `FIRST` says what it is, then come settings, rollouts and blobs under the names
//! that they have in a home, then `MANIFEST` with the length and the SHA-256 of each. Open markers and the index are
//! not in it: they follow from the rollouts. Neither are threads that were deleted. The secrets of threads are in it only where that
//! was asked for.
//!
//! Everything here blocks, but [`restore::put`]: it is the work of a program of its own beside the server.
//!
//! A backup asks no server: a rollout is only appended to, and an acknowledged record is in the file, so a copy of its whole lines is what a
//! kill at that moment would have left. Each thread is opened wherever it is, and moved ones are looked for again. The manifest comes
//! last, so a backup that was cut off has none.
//!
//! A restore reads the backup twice: first it checks every name, then it unpacks into `restore.new` in the home. Renaming that to
//! `restore.ready` is the decision: after it the files are moved without replacing any, and `Home::take` refuses everybody but a restore.
//! Each rollout gets a `thread.opened` of a machine without a name behind its end, so the next load begins a new epoch: the old home may
//! have given out numbers after the backup. The home's term is raised above those in the rollouts, or their next owner would be fenced.
//! The index is removed; the next server makes it anew.

use std::collections::HashMap;
use std::io;
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
/// The form of a backup without secrets of threads, which every version of Skein reads.
const VERSION: u32 = 1;
/// The form of one that has them.
const VERSION_WITH_SECRETS: u32 = 2;
/// The settings, in a home and in a backup.
const CONFIG: &str = "config.toml";
/// Shelves of rollouts, in a home and in a backup.
const LOCATIONS: [Location; 2] = [Location::Active, Location::Archived];
/// What is too large for a line of a rollout, in a home and in a backup.
const BLOBS: &str = "blobs";
/// The secrets of threads, in a home and in a backup that was asked for them.
const SECRETS: &str = "secrets";

/// How far the work is, in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that are done.
    pub done: u64,
    /// All of them.
    pub total: u64,
}

/// What [`FIRST`] says.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// The form of the backup.
    version: u32,
    /// The program that wrote it.
    skein: String,
    /// When it began, Unix milliseconds.
    at: i64,
}

/// A line of the manifest: one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Its name, as in a home.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// The SHA-256 of its content, in lower-case hex.
    pub(crate) sha256: String,
}

/// What is in a backup, by name: length and SHA-256.
pub(crate) type Contents = HashMap<String, (u64, String)>;

/// What an entry of a backup is. Whatever has another name is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    First,
    Config,
    /// A rollout, on one of the two shelves.
    Rollout(ThreadId),
    Blob,
    /// The secrets of a thread.
    Secrets(ThreadId),
    Manifest,
}

impl Name {
    /// The entry of exactly this name. No other has a place in a home, so nothing can lead out of one.
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

/// The name of a rollout in a home.
fn rollout(location: Location, thread: ThreadId) -> String {
    HomePaths::new(Path::new("")).rollout(location, thread).to_string_lossy().into_owned()
}

/// The name of a thread's secrets in a home.
fn secrets(thread: ThreadId) -> String {
    HomePaths::new(Path::new("")).secrets_of(thread).to_string_lossy().into_owned()
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why there is no backup, or why it was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file for the backup is there.
    #[error("{} is there already; choose another name, or say --force to replace it", .0.display())]
    Exists(PathBuf),
    /// Another backup is being written to the same file.
    #[error("another backup writes to {}; wait for its end, or choose another name", .0.display())]
    Busy(PathBuf),
    /// A file became shorter each time that it was copied.
    #[error("{} became shorter while it was copied: its server's disk fails; run the backup again", .0.display())]
    Shrunk(PathBuf),
    /// The file is no whole backup.
    #[error("{} is no whole backup of skein, and nothing was restored: {reason}; use another copy of it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Something is in the home already.
    #[error(
        "{} is not empty; restore into another --home, or say --force to add the threads that are not there",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The folder has something, but nothing of ours.
    #[error("{} is no home of skein and has other things in it; say --home", .0.display())]
    Foreign(PathBuf),
    /// An earlier restore was cut off and is now done; it was of another backup.
    #[error(
        "an earlier restore of another backup into {} had been cut off and is now done; look at it, then run this one again",
        .0.display()
    )]
    Other(PathBuf),
    /// There is no home, or it cannot be had.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file or folder cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
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
