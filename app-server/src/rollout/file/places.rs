//! Names in the home that the file store owns: rollouts, their folders, open markers. Everything here blocks.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::ThreadId;

use super::Counters;
use super::layer::{FileLayer, LayerFile, Open};
use crate::home::HomePaths;

/// The places, and what is known of them.
pub(super) struct Places {
    pub layer: Arc<dyn FileLayer>,
    pub counters: Counters,
    threads: PathBuf,
    markers: PathBuf,
    /// The open markers that are there.
    marked: Mutex<BTreeSet<ThreadId>>,
    /// Folders of rollouts whose own names are on disk; at most 256.
    synced_folders: Mutex<HashSet<PathBuf>>,
}

impl Places {
    /// Reads which markers are there.
    pub fn open(paths: &HomePaths, layer: Arc<dyn FileLayer>) -> io::Result<Self> {
        let markers = paths.open_markers();
        let marked = layer.entries(&markers)?.iter().filter_map(|entry| thread_of(&entry.path, "")).collect();
        Ok(Self {
            layer,
            counters: Counters::default(),
            threads: paths.threads(),
            markers,
            marked: Mutex::new(marked),
            synced_folders: Mutex::default(),
        })
    }

    /// The folder of a rollout: named by the last two digits of the thread's id, which are random in every UUID.
    pub fn folder(&self, thread: ThreadId) -> PathBuf {
        let last = thread.uuid().as_bytes().last().copied().unwrap_or_default();
        self.threads.join(format!("{last:02x}"))
    }

    pub fn rollout(&self, thread: ThreadId) -> PathBuf {
        self.folder(thread).join(format!("{thread}.jsonl"))
    }

    /// Syncs the content of a file, and counts it.
    pub fn sync(&self, file: &dyn LayerFile) -> io::Result<()> {
        file.sync()?;
        self.counters.syncs.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Syncs the name of a rollout, and that of its folder the first time.
    pub fn sync_name(&self, thread: ThreadId) -> io::Result<()> {
        let folder = self.folder(thread);
        self.layer.sync_folder(&folder)?;
        if !lock(&self.synced_folders).contains(&folder) {
            self.layer.sync_folder(&self.threads)?;
            lock(&self.synced_folders).insert(folder);
        }
        Ok(())
    }

    /// Every rollout, the one that was written last first. Files whose names are not ours are passed over.
    pub fn threads(&self) -> io::Result<Vec<ThreadId>> {
        let mut found = Vec::new();
        for folder in self.layer.entries(&self.threads)? {
            match self.layer.entries(&folder.path) {
                Ok(files) => {
                    let regular = files.into_iter().filter(|file| file.regular);
                    found.extend(
                        regular.filter_map(|file| Some((file.written, thread_of(&file.path, "jsonl")?))),
                    );
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found.into_iter().map(|(_, thread)| thread).collect())
    }

    /// Marks a rollout open. The mark need not survive a loss of power: after one, all folders are looked through.
    pub fn mark_open(&self, thread: ThreadId) -> io::Result<()> {
        let mut marked = lock(&self.marked);
        if !marked.contains(&thread) {
            match self.layer.open(&self.marker(thread), Open::New) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(_) | Err(_) => marked.insert(thread),
            };
        }
        Ok(())
    }

    /// Takes the mark off, unless `in_use` says, while no mark can be made, that somebody holds the thread. Answers
    /// whether there was one.
    pub fn mark_closed(&self, thread: ThreadId, in_use: impl FnOnce() -> bool) -> io::Result<bool> {
        let mut marked = lock(&self.marked);
        if !marked.contains(&thread) || in_use() {
            return Ok(false);
        }
        self.layer.remove(&self.marker(thread))?;
        Ok(marked.remove(&thread))
    }

    pub fn marked(&self) -> MutexGuard<'_, BTreeSet<ThreadId>> {
        lock(&self.marked)
    }

    fn marker(&self, thread: ThreadId) -> PathBuf {
        self.markers.join(thread.to_string())
    }
}

/// The thread that a file is named after.
fn thread_of(path: &Path, extension: &str) -> Option<ThreadId> {
    let found = path.extension().and_then(|found| found.to_str()).unwrap_or_default();
    if found != extension {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
