//! File names that the file store owns in a home: rollouts, their folders, open markers. Everything here blocks.
//!
//! `threads/`, `archived/` and `trash/` hold one file for each thread. The folder is the thread's location, whatever
//! its records say: a load and every row of the index ask the store.
//!
//! - A move is one rename. Before it the open marker and its name are on disk. After it the new folder is synced,
//!   then the old one. So the thread is whole in one place after a kill or a loss of power at any moment. The marker
//!   tells the next start which row to set.
//! - A folder of the home may be a link to another file system, or a mount. There the move is a copy, which is on
//!   disk before the file goes. The next move removes a copy that a crash has left beside its file.
//! - If the disk fails half-way, the rename is undone. A reader looks for a thread again if a name has changed
//!   meanwhile.
//! - After a row is set (`index/rebuild.rs`) the location is read again. A removed row leaves a trace until the next
//!   start, so a late row does not bring a deleted thread back.
//! - The `path` of an archived thread goes through the link `shown/archived_sessions`, since some clients know
//!   archived threads by that name. Ephemeral threads have no `path`.
//! - The purge removes only threads that Skein moved into the trash, by the time in their names. If the clock is
//!   further ahead of the home's last change than `trash.keep`, it removes nothing.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use nix::errno::Errno;
use skein_base::clock::{Clock, WallMs};
use skein_protocol::ids::ThreadId;

use super::blobs::Blobs;
use super::layer::{FileLayer, LayerFile, OpenMode};
use super::{StoreCounters, secrets};
use crate::home::HomePaths;
use crate::policy;
use crate::rollout::{Location, OpenMarker, OpenMarkers};

mod across;

/// Bytes of a rollout that are read at once in the search for the end of its first line.
const BEGINNING: usize = 4096;

/// The suffix of rollouts that are not whole yet.
const PART: &str = "part";

/// The folders of a home, and the state of the names in them.
pub(super) struct RolloutPaths {
    pub(crate) layer: Arc<dyn FileLayer>,
    pub(crate) counters: StoreCounters,
    pub(crate) blobs: Blobs,
    paths: HomePaths,
    trash: PathBuf,
    open_markers: PathBuf,
    /// Threads with an open marker. Locked while a marker is created or removed, which may take as long as the disk
    /// likes.
    marked: Mutex<BTreeSet<ThreadId>>,
    /// The change behind each open marker. Locked for a moment only.
    changes: Mutex<OpenMarkers>,
    /// Folders whose own names are on disk; at most 256 for each location.
    synced_folders: Mutex<HashSet<PathBuf>>,
    /// Rollouts whose name on disk is unknown: the disk failed during a move.
    unsure: Mutex<BTreeSet<ThreadId>>,
    /// Renames of rollouts, counted after each.
    renames: AtomicU64,
}

/// A rollout's location, or the other thing in its place.
struct FoundRollout {
    location: Location,
    path: PathBuf,
    file: io::Result<Box<dyn LayerFile>>,
}

impl RolloutPaths {
    /// Reads the open markers, and removes partial files of an earlier start.
    pub(crate) fn open(paths: &HomePaths, layer: Arc<dyn FileLayer>) -> io::Result<Self> {
        let open_markers = paths.open_markers();
        let there = layer.entries(&open_markers)?;
        let marked: BTreeSet<ThreadId> =
            there.iter().filter_map(|entry| thread_of(&entry.path, "")).collect();
        for left in there.iter().filter(|entry| thread_of(&entry.path, PART).is_some()) {
            // A partial copy is never taken for a rollout, so a failed removal does no harm.
            layer.remove(&left.path).ok();
        }
        let places = Self::look(paths, layer);
        for thread in &marked {
            lock(&places.changes).note(*thread);
        }
        *lock(&places.marked) = marked;
        Ok(places)
    }

    /// The folders of a home that another process may own. Reads and changes nothing.
    pub(crate) fn look(paths: &HomePaths, layer: Arc<dyn FileLayer>) -> Self {
        Self {
            blobs: Blobs::of(paths, Arc::clone(&layer)),
            layer,
            counters: StoreCounters::default(),
            paths: paths.clone(),
            trash: paths.trash(),
            open_markers: paths.open_markers(),
            marked: Mutex::default(),
            changes: Mutex::default(),
            synced_folders: Mutex::default(),
            unsure: Mutex::default(),
            renames: AtomicU64::new(0),
        }
    }

    /// The home.
    pub(crate) fn root(&self) -> &Path {
        self.paths.root()
    }

    /// The path of a rollout at this location.
    pub(crate) fn on(&self, location: Location, thread: ThreadId) -> PathBuf {
        self.paths.rollout(location, thread)
    }

    pub(crate) fn secrets(&self, thread: ThreadId) -> PathBuf {
        self.paths.secrets_of(thread)
    }

    /// The path of a new rollout.
    pub(crate) fn rollout(&self, thread: ThreadId) -> PathBuf {
        self.on(Location::Active, thread)
    }

    /// Opens a rollout at its current location.
    pub(crate) fn open_rollout(
        &self,
        thread: ThreadId,
        how: OpenMode,
    ) -> io::Result<(Box<dyn LayerFile>, PathBuf)> {
        match (self.look_for(thread), how) {
            (Some(FoundRollout { path, file, .. }), OpenMode::Read) => Ok((file?, path)),
            (Some(FoundRollout { path, file, .. }), OpenMode::Write | OpenMode::New) => {
                if let Err(error) = file
                    && is_of_the_folder(&error)
                {
                    return Err(error);
                }
                Ok((self.layer.open(&path, how)?, path))
            }
            (None, _) => {
                let path = self.rollout(thread);
                Ok((self.layer.open(&path, how)?, path))
            }
        }
    }

    /// Looks for a rollout at each location. A move may happen between two looks, so it looks at the first location
    /// once more. If a name has changed meanwhile, it looks at both again. If one location's folder cannot be
    /// entered, the rollout may be in it, unless another location has it.
    fn look_for(&self, thread: ThreadId) -> Option<FoundRollout> {
        loop {
            let renames = self.renames.load(Acquire);
            let mut closed = None;
            for location in [Location::Active, Location::Archived, Location::Active] {
                let path = self.on(location, thread);
                let opened = self.layer.open(&path, OpenMode::Read);
                let file = opened.map_err(|error| self.of_the_way(location, &path, error));
                match &file {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if is_of_the_folder(error) => {
                        closed = Some(FoundRollout { location, path, file })
                    }
                    Ok(_) | Err(_) => return Some(FoundRollout { location, path, file }),
                }
            }
            if self.renames.load(Acquire) == renames {
                return closed;
            }
        }
    }

    /// The error of opening a file, told apart from an error of its folders.
    fn of_the_way(&self, location: Location, path: &Path, error: io::Error) -> io::Error {
        let root = self.paths.location(location);
        let is_closed = match error.raw_os_error().map(Errno::from_raw) {
            // The error is of the file itself if that is a link.
            Some(Errno::ELOOP) => fs::symlink_metadata(path).is_err(),
            // A new home has no such folder yet. A link that leads nowhere means that its disk is absent.
            Some(Errno::ENOENT) => {
                let leads_nowhere =
                    |folder: &Path| fs::symlink_metadata(folder).is_ok() && fs::metadata(folder).is_err();
                path.ancestors().skip(1).take_while(|above| self.is_ours(above)).any(leads_nowhere)
            }
            _other => false,
        };
        if !is_closed {
            return error;
        }
        let text = format!("its folder, in {}, cannot be entered: {error}", root.display());
        io::Error::new(io::ErrorKind::NotADirectory, text)
    }

    /// The location of a rollout. Something that is no regular file counts too.
    pub(crate) fn location(&self, thread: ThreadId) -> Option<Location> {
        self.look_for(thread).map(|standing| standing.location)
    }

    /// Moves a rollout to a location.
    pub(crate) fn relocate(&self, thread: ThreadId, location: Location) -> io::Result<()> {
        match self.location(thread) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(there) if there == location => self.remove_left(thread, there),
            Some(there) => self.carry(thread, &self.on(there, thread), &self.on(location, thread)),
        }
    }

    /// Moves a rollout into the trash, under a name with the time: the folder may be copied.
    pub(crate) fn trash(&self, thread: ThreadId, at: WallMs) -> io::Result<()> {
        let there = self.location(thread).ok_or(io::ErrorKind::NotFound)?;
        self.remove_left(thread, there)?;
        self.carry(thread, &self.on(there, thread), &self.trash.join(format!("{thread}.{}.jsonl", at.0)))
    }

    /// Removes rollouts that went into the trash before this time, with their secrets. Ignores files with foreign
    /// names.
    pub(crate) fn purge(&self, before: WallMs) -> io::Result<usize> {
        let mut removed = 0;
        for entry in self.layer.entries(&self.trash)? {
            let Some((thread, _)) = deleted(&entry.path).filter(|(_, at)| entry.regular && *at < before)
            else {
                continue;
            };
            // An import may have restored a thread that was deleted here.
            if self.location(thread).is_none() {
                secrets::remove(self, thread)?;
            }
            removed += usize::from(self.layer.remove(&entry.path)?);
        }
        Ok(removed)
    }

    /// The newest modification time of a rollout folder, which follows the names in it, or of a name in the trash.
    pub(crate) fn last_change(&self) -> io::Result<Option<WallMs>> {
        let mut last =
            self.layer.entries(&self.trash)?.iter().filter_map(|entry| Some(deleted(&entry.path)?.1)).max();
        for location in [self.paths.threads(), self.paths.archived()] {
            let folders = self.layer.entries(&location)?;
            last = last.max(folders.iter().map(|folder| WallMs::of(folder.written)).max());
        }
        Ok(last)
    }

    /// Renames a rollout durably, or leaves it in place. A look at a name is no promise that nothing is there when
    /// the file arrives. But a home has one owner, and that owner makes one such request at a time.
    fn carry(&self, thread: ThreadId, from: &Path, to: &Path) -> io::Result<()> {
        // The marker survives everything that the move survives, and tells the next start whose row to check.
        self.set_open_marker(thread)?;
        self.layer.sync_folder(&self.open_markers)?;
        if self.is_there(to) && !self.is_left_of_a_move(from, to)? {
            let text =
                format!("{} is there already; look at both files, and put one elsewhere", to.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let folders: Vec<&Path> = to.ancestors().skip(1).take_while(|above| self.is_ours(above)).collect();
        folders.into_iter().rev().try_for_each(|folder| self.make_folder(folder))?;
        lock(&self.unsure).insert(thread);
        if let Err(error) = self.rename_and_sync(thread, from, to) {
            if !self.is_there(from) && self.is_there(to) {
                if let Err(back) = self.give_name(thread, to, from) {
                    tracing::error!(%thread, %back, place = %to.display(), "the failed move of a rollout cannot be undone");
                }
                self.renames.fetch_add(1, AcqRel);
            }
            return Err(error);
        }
        lock(&self.unsure).remove(&thread);
        Ok(())
    }

    /// The new folder comes first: with only the removal from the old one on disk, the file would be nowhere.
    fn rename_and_sync(&self, thread: ThreadId, from: &Path, to: &Path) -> io::Result<()> {
        self.give_name(thread, from, to)?;
        self.renames.fetch_add(1, AcqRel);
        [to, from].into_iter().filter_map(Path::parent).try_for_each(|folder| self.layer.sync_folder(folder))
    }

    /// Brings the name of a rollout to disk if its state is unknown.
    pub(crate) fn settle(&self, thread: ThreadId) -> io::Result<()> {
        if !lock(&self.unsure).contains(&thread) {
            return Ok(());
        }
        let [threads, archive] =
            [Location::Active, Location::Archived].map(|location| self.on(location, thread));
        for folder in [threads.parent(), archive.parent(), Some(&*self.trash)].into_iter().flatten() {
            match self.layer.sync_folder(folder) {
                Err(error) if !is_missing(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        lock(&self.unsure).remove(&thread);
        Ok(())
    }

    fn is_there(&self, path: &Path) -> bool {
        !self.layer.open(path, OpenMode::Read).is_err_and(|error| is_missing(&error))
    }

    /// Whether a folder holds rollouts, or folders of rollouts.
    fn is_ours(&self, folder: &Path) -> bool {
        let locations = [Location::Active, Location::Archived].map(|location| self.paths.location(location));
        locations.iter().chain([&self.trash]).any(|root| folder.starts_with(root))
    }

    /// Creates a folder; its name is on disk when this returns.
    pub(super) fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.layer.make_folder(folder)?;
        if lock(&self.synced_folders).contains(folder) {
            return Ok(());
        }
        folder.parent().map_or(Ok(()), |parent| self.layer.sync_folder(parent))?;
        lock(&self.synced_folders).insert(folder.to_owned());
        Ok(())
    }

    /// Syncs the content of a file, and records the duration.
    pub(crate) fn sync(&self, file: &dyn LayerFile) -> io::Result<()> {
        let began = Clock.now();
        file.sync()?;
        self.counters.syncs.add(Clock.now() - began);
        Ok(())
    }

    /// Syncs the name of a rollout, and the name of its folder the first time.
    pub(crate) fn sync_name(&self, rollout: &Path) -> io::Result<()> {
        let Some(folder) = rollout.parent() else { return Ok(()) };
        self.layer.sync_folder(folder)?;
        if let Some(location) = folder.parent().filter(|_| !lock(&self.synced_folders).contains(folder)) {
            self.layer.sync_folder(location)?;
            lock(&self.synced_folders).insert(folder.to_owned());
        }
        Ok(())
    }

    /// Every rollout, the last written first. Includes a rollout that moves to another location meanwhile, and one
    /// that returns, unless that happens at each of several looks.
    pub(crate) fn threads(&self) -> io::Result<Vec<ThreadId>> {
        let mut found = Vec::new();
        for _ in 0..policy::LISTING_LOOKS {
            let renames = self.renames.load(Acquire);
            for location in [Location::Active, Location::Archived, Location::Active] {
                found.extend(self.written_on(location)?);
            }
            if self.renames.load(Acquire) == renames {
                break;
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        let mut seen = HashSet::new();
        Ok(found.into_iter().map(|(_, thread)| thread).filter(|thread| seen.insert(*thread)).collect())
    }

    /// Every rollout in the archive that the others do not include.
    pub(crate) fn archived(&self) -> io::Result<Vec<ThreadId>> {
        let archived: Vec<ThreadId> =
            self.written_on(Location::Archived)?.into_iter().map(|(_, thread)| thread).collect();
        Ok(archived.into_iter().filter(|thread| !self.is_there(&self.rollout(*thread))).collect())
    }

    /// The rollouts at a location, each with its modification time. Ignores files with foreign names.
    fn written_on(&self, location: Location) -> io::Result<Vec<(SystemTime, ThreadId)>> {
        let mut found = Vec::new();
        for folder in self.layer.entries(&self.paths.location(location))? {
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
        Ok(found)
    }

    /// Creates the open marker of a rollout, before each change of it. The marker need not survive a loss of power:
    /// after one, the next start looks through all folders.
    pub(crate) fn set_open_marker(&self, thread: ThreadId) -> io::Result<()> {
        let mut marked = lock(&self.marked);
        if !marked.contains(&thread) {
            match self.layer.open(&self.marker(thread), OpenMode::New) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(_) | Err(_) => marked.insert(thread),
            };
        }
        lock(&self.changes).note(thread);
        Ok(())
    }

    /// Removes the open marker, unless the rollout has changed since. Returns whether it was removed. A rollout that was only begun
    /// goes with it.
    pub(crate) fn clear_open_markers(&self, marker: OpenMarker) -> io::Result<bool> {
        let mut marked = lock(&self.marked);
        if !marked.contains(&marker.thread) || self.open_marker(marker.thread) != marker {
            return Ok(false);
        }
        self.remove_begun(marker.thread);
        self.layer.remove(&self.marker(marker.thread))?;
        marked.remove(&marker.thread);
        Ok(lock(&self.changes).take_off(marker))
    }

    /// Removes a rollout without one whole line, as a kill in the first write leaves it: nobody was told of it. One that cannot be
    /// read or removed stays.
    fn remove_begun(&self, thread: ThreadId) {
        let path = self.rollout(thread);
        let opened = self.layer.open(&path, OpenMode::Read);
        if opened.and_then(|file| has_a_line(&*file)).is_ok_and(|has_a_line| !has_a_line) {
            self.layer.remove(&path).ok();
        }
    }

    /// The open marker as of the last change. Waits for nothing.
    pub(super) fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        lock(&self.changes).open_marker(thread)
    }

    /// Threads with an open marker. Blocks while a marker is created or removed.
    pub(crate) fn marked(&self) -> Vec<ThreadId> {
        lock(&self.marked).iter().copied().collect()
    }

    /// The number of open markers. Waits for nothing.
    pub(crate) fn open_marker_count(&self) -> u64 {
        lock(&self.changes).count()
    }

    /// The path under which a rollout is written that must appear whole or not at all.
    pub(crate) fn part(&self, thread: ThreadId) -> PathBuf {
        self.open_markers.join(format!("{thread}.{PART}"))
    }

    fn marker(&self, thread: ThreadId) -> PathBuf {
        self.open_markers.join(thread.to_string())
    }
}

/// Whether a rollout has the end of a line. Its first line is short, so this reads no more than its beginning as a rule.
fn has_a_line(file: &dyn LayerFile) -> io::Result<bool> {
    let (mut bytes, mut offset) = ([0; BEGINNING], 0);
    loop {
        let count = file.read_at(&mut bytes, offset)?;
        if bytes.iter().take(count).any(|byte| *byte == b'\n') {
            return Ok(true);
        }
        if count < BEGINNING {
            return Ok(false);
        }
        offset += count as u64;
    }
}

/// Whether the folder of a rollout cannot be entered, so that its content is unknown.
pub(super) fn is_of_the_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

/// Whether the error means an empty place.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The thread of a file in the trash, and its deletion time: `<thread>.<Unix ms>.jsonl`.
pub(super) fn deleted(path: &Path) -> Option<(ThreadId, WallMs)> {
    let (thread, at) = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.split_once('.')?;
    Some((thread.parse().ok()?, WallMs(at.parse().ok()?)))
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
