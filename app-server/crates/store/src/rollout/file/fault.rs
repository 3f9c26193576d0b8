//! A test double below the file store: a real folder with observable operations. A test can fail them one by one,
//! hold them back, or cut the power.
//!
//! It is harsher than most disks. A failed sync forgets its bytes, so that a later sync alone does not bring them to
//! disk. Linux treats pages so after a failed write-back. [`FaultLayer::cut_power`] removes a file whose folder was
//! not synced. The layer syncs nothing itself: it keeps the surviving state in memory.

mod file;
mod lasting;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use self::file::FaultFile;
pub use self::lasting::Lasting;
use super::layer::{DiskLayer, FileLayer, FolderEntry, LayerFile, OpenMode};

/// The unit that a disk writes whole or not at all, bytes.
const SECTOR: usize = 512;

/// A kind of operation that changes something, or makes a change last. Reads are not counted, and can only be held
/// ([`FaultLayer::hold_reads`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A file was made.
    Create,
    /// A file was opened for writing.
    Open,
    /// Bytes were written.
    Write,
    /// A file was cut.
    Truncate,
    /// A file was synced.
    Sync,
    /// A folder was made, or was there.
    MakeFolder,
    /// A folder was synced.
    SyncFolder,
    /// A file got another name.
    Rename,
    /// A file was removed.
    Remove,
}

/// The part of a failing operation that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// Nothing.
    Before,
    /// Half of a write; nothing of others.
    Half,
    /// All, but the caller gets an error.
    After,
}

/// A planned failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFault {
    /// The failing operation, counted from 0 from the layer's start.
    pub at: usize,
    /// The number of failing operations from there on.
    pub times: usize,
    /// The part of each that happens.
    pub fails: Fails,
    /// The error that the caller gets.
    pub kind: io::ErrorKind,
}

/// The layer. Clones share its state.
#[derive(Debug, Clone, Default)]
pub struct FaultLayer {
    shared: Arc<FaultShared>,
}

#[derive(Debug, Default)]
struct FaultShared {
    state: Mutex<FaultState>,
    changed: Condvar,
    bytes_read: AtomicU64,
    stopped: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct FaultState {
    done: Vec<(Op, PathBuf)>,
    fault: Option<DiskFault>,
    /// The operation at which everything stops, and the part of it that happens.
    stops: Option<(usize, Fails)>,
    held: BTreeSet<Op>,
    /// The state of the disk for paths that contain this text.
    lasting: Option<(Lasting, String)>,
    /// The suffix of paths that cannot be read for now.
    unreadable: Option<String>,
    /// Waiting reads of them.
    reads_waiting: usize,
    /// Kinds with a waiting operation.
    waiting: BTreeSet<Op>,
    files: BTreeMap<PathBuf, OnDisk>,
    /// Names that reach the disk with a sync of their folder.
    unsynced_names: BTreeSet<PathBuf>,
    /// New names that reach the disk with a sync of their new folder.
    renamed: Vec<Renamed>,
}

#[derive(Debug)]
struct Renamed {
    from: PathBuf,
    to: PathBuf,
    /// The old folder is synced and the new one is not: the file is nowhere.
    lost: bool,
}

impl FaultState {
    fn renamed(&mut self, from: &Path, to: &Path) {
        if let Some(on_disk) = self.files.remove(from) {
            self.files.insert(to.to_owned(), on_disk);
        }
        if self.unsynced_names.remove(from) {
            self.unsynced_names.insert(to.to_owned());
            return;
        }
        let before = self.renamed.len();
        self.renamed.retain(|renamed| renamed.lost || (&*renamed.to, &*renamed.from) != (from, to));
        if self.renamed.len() == before {
            self.renamed.push(Renamed { from: from.to_owned(), to: to.to_owned(), lost: false });
        }
    }

    fn folder_synced(&mut self, folder: &Path) {
        self.unsynced_names.retain(|name| name.parent() != Some(folder));
        let unsynced = &self.unsynced_names;
        self.renamed.retain_mut(|Renamed { from, to, lost }| {
            let reached = !to.ancestors().any(|name| unsynced.contains(name));
            *lost |= from.parent() == Some(folder);
            to.parent() != Some(folder) || !reached
        });
    }

    /// Undoes new names that are not on disk.
    fn undo_renames(&mut self) -> io::Result<()> {
        while let Some(Renamed { from, to, lost }) = self.renamed.pop() {
            let on_disk = self.files.remove(&to);
            if lost {
                fs::remove_file(&to)?;
                continue;
            }
            fs::rename(&to, &from)?;
            self.files.extend(on_disk.map(|on_disk| (from, on_disk)));
        }
        Ok(())
    }
}

/// The part of a file that survives a power loss.
#[derive(Debug, Default)]
struct OnDisk {
    bytes: Vec<u8>,
    dirty: Vec<Range<usize>>,
    /// Ranges that a failed sync may have written.
    doubtful: Vec<Range<usize>>,
}

impl OnDisk {
    /// The current file, where each unsynced sector and the length reached the disk or did not.
    fn torn(mut self, now: &[u8], came: &mut dyn FnMut() -> bool) -> Vec<u8> {
        for range in self.doubtful.into_iter().chain(self.dirty) {
            for sector in range.start / SECTOR..range.end.min(now.len()).div_ceil(SECTOR) {
                let from = range.start.max(sector * SECTOR);
                let to = range.end.min((sector + 1) * SECTOR).min(now.len());
                if let Some(written) = now.get(from..to)
                    && came()
                {
                    self.bytes.resize(self.bytes.len().max(to), 0);
                    if let Some(place) = self.bytes.get_mut(from..to) {
                        place.copy_from_slice(written);
                    }
                }
            }
        }
        if self.bytes.len() != now.len() && came() {
            self.bytes.resize(now.len(), 0);
        }
        self.bytes
    }
}

impl FaultLayer {
    /// A working layer over the disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of bytes read.
    pub fn bytes_read(&self) -> u64 {
        self.shared.bytes_read.load(Ordering::Relaxed)
    }

    /// Started operations in order, with failed and held ones.
    pub fn done(&self) -> Vec<(Op, PathBuf)> {
        self.state().done.clone()
    }

    /// The kinds of operations on files and folders whose path ends with `name`.
    pub fn done_to(&self, name: &str) -> Vec<Op> {
        let state = self.state();
        state
            .done
            .iter()
            .filter(|(_, path)| path.to_string_lossy().ends_with(name))
            .map(|(op, _)| *op)
            .collect()
    }

    /// Sets the planned failure; none lets everything work again.
    pub fn set_fault(&self, fault: Option<DiskFault>) {
        self.state().fault = fault;
    }

    /// Fails every operation from now on until the next call of [`FaultLayer::set_fault`].
    pub fn fail_all(&self, kind: io::ErrorKind) {
        let mut state = self.state();
        let at = state.done.len();
        state.fault = Some(DiskFault { at, times: usize::MAX, fails: Fails::Before, kind });
    }

    /// Stops everything at operation `at`, counted from 0 from the layer's start: this part of it happens, and
    /// nothing after it.
    pub fn stop_at(&self, at: usize, happens: Fails) {
        self.state().stops = Some((at, happens));
    }

    /// Set once everything has stopped.
    pub fn stopped(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shared.stopped)
    }

    /// Makes operations of this kind wait on the calling thread, until [`FaultLayer::release`].
    pub fn hold(&self, op: Op) {
        self.state().held.insert(op);
    }

    /// Returns when an operation of this kind waits because of [`FaultLayer::hold`]. Blocks.
    pub fn wait_for(&self, op: Op) {
        let mut state = self.state();
        while !state.waiting.contains(&op) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Releases held operations of this kind.
    pub fn release(&self, op: Op) {
        let mut state = self.state();
        state.held.remove(&op);
        state.waiting.remove(&op);
        self.shared.changed.notify_all();
    }

    /// Makes reads of files whose path ends with `name` wait on the calling thread; none releases all.
    pub fn hold_reads(&self, name: Option<&str>) {
        self.state().unreadable = name.map(str::to_owned);
        self.shared.changed.notify_all();
    }

    /// The number of reads that wait because of [`FaultLayer::hold_reads`].
    pub fn reads_waiting(&self) -> usize {
        self.state().reads_waiting
    }

    fn wait_to_read(&self, path: &Path) {
        let path = path.to_string_lossy();
        let mut state = self.state();
        state.reads_waiting += 1;
        while state.unreadable.as_ref().is_some_and(|name| path.ends_with(name)) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.reads_waiting -= 1;
    }

    /// Leaves only synced data on disk, in all files written through this layer. Open files must not be used
    /// afterwards.
    ///
    /// # Errors
    /// If the folder cannot be changed.
    pub fn cut_power(&self) -> io::Result<()> {
        let mut state = self.state();
        state.undo_renames()?;
        let (files, unsynced) = (std::mem::take(&mut state.files), std::mem::take(&mut state.unsynced_names));
        for (path, on_disk) in files {
            if path.ancestors().any(|name| unsynced.contains(name)) {
                fs::remove_file(&path)?;
            } else {
                fs::write(&path, on_disk.bytes)?;
            }
        }
        Ok(())
    }

    /// Does the same on a disk that writes sectors in any order, and lengths and names at any time: `came` decides
    /// for each unsynced one whether it has reached the disk.
    ///
    /// # Errors
    /// If the folder cannot be changed.
    pub fn tear_power(&self, came: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let mut state = self.state();
        state.undo_renames()?;
        let (files, unsynced) = (std::mem::take(&mut state.files), std::mem::take(&mut state.unsynced_names));
        for (path, on_disk) in files {
            if path.ancestors().any(|name| unsynced.contains(name)) && !came() {
                fs::remove_file(&path)?;
            } else {
                let now = fs::read(&path)?;
                fs::write(&path, on_disk.torn(&now, came))?;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, FaultState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the operation, waits while it is held, and returns its failure.
    fn begin(&self, op: Op, path: &Path) -> Option<DiskFault> {
        let mut state = self.state();
        let number = state.done.len();
        state.done.push((op, path.to_owned()));
        while state.held.contains(&op) {
            if state.waiting.insert(op) {
                self.shared.changed.notify_all();
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some((at, happens)) = state.stops.filter(|(at, _)| number >= *at) {
            self.shared.stopped.store(true, Ordering::Relaxed);
            let fails = if number == at { happens } else { Fails::Before };
            return Some(DiskFault { at, times: usize::MAX, fails, kind: io::ErrorKind::Other });
        }
        let (state, lasting) = self.last(state, op, path);
        state.fault.filter(|fault| number >= fault.at && number - fault.at < fault.times).or(lasting)
    }

    /// An operation that happens whole or not at all.
    fn whole<T>(&self, op: Op, path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.begin(op, path) {
            None => work(),
            Some(DiskFault { fails: Fails::Before | Fails::Half, kind, .. }) => Err(kind.into()),
            Some(DiskFault { fails: Fails::After, kind, .. }) => work().and(Err(kind.into())),
        }
    }
}

impl FileLayer for FaultLayer {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn LayerFile>> {
        let op = match how {
            OpenMode::Read => {
                self.wait_to_read(path);
                return DiskLayer.open(path, how);
            }
            OpenMode::Write => Op::Open,
            OpenMode::New => Op::Create,
        };
        let file = self.whole(op, path, || {
            let file = DiskLayer.open(path, how)?;
            let mut state = self.state();
            if how == OpenMode::New {
                state.unsynced_names.insert(path.to_owned());
            }
            if !state.files.contains_key(path) {
                // A file from before this layer counts as synced.
                let on_disk = OnDisk { bytes: fs::read(path)?, dirty: Vec::new(), doubtful: Vec::new() };
                state.files.insert(path.to_owned(), on_disk);
            }
            Ok(file)
        })?;
        Ok(Box::new(FaultFile { path: path.to_owned(), file, layer: self.clone() }))
    }

    fn copy(&self, from: &dyn LayerFile, to: &Path, length: u64) -> io::Result<Box<dyn LayerFile>> {
        let made = self.open(to, OpenMode::New)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        if from.read_at(&mut bytes, 0)? < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        made.write_at(&bytes, 0)?;
        Ok(made)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Op::MakeFolder, path, || {
            let new = !path.exists();
            DiskLayer.make_folder(path)?;
            if new {
                self.state().unsynced_names.insert(path.to_owned());
            }
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Op::SyncFolder, path, || {
            if !path.is_dir() {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.state().folder_synced(path);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Op::Rename, from, || {
            DiskLayer.rename(from, to)?;
            self.state().renamed(from, to);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.whole(Op::Remove, path, || {
            self.state().files.remove(path);
            DiskLayer.remove(path)
        })
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<FolderEntry>> {
        DiskLayer.entries(path)
    }
}
