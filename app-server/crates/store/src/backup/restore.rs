//! Restores a backup into a home, all or nothing.
//!
//! It reads the backup twice. The first time it checks the backup and changes nothing. The second time it unpacks
//! into `restore.new` in the home, and brings that to disk. Renaming the folder to `restore.ready` decides the
//! restore. Then it moves the files to their places, also to another file system, and no server starts before the
//! last one is there. An interrupted restore continues when it is run again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use skein_base::clock::Clock;
use skein_base::files::no_surprises;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{Epoch, ThreadId};
use uuid::Uuid;

use super::check::{Checked, Passing, walk};
use super::{BLOBS, BackupError, BackupProgress, CONFIG, LOCATIONS, rollout};
use crate::history::History;
use crate::home::{self, FILE_MODE, Home, HomePaths, Term, durable, folders};
use crate::rollout::epoch::Tail;
use crate::rollout::file::FileStore;
use crate::rollout::file::layer::{DiskLayer, FileLayer};
use crate::rollout::record::{Record, RecordBody, ThreadOpened};
use crate::rollout::{AppendError, Keep, Lease, LogEntry, ReadError, RolloutStore};

/// The sub-command that other processes see as the home's holder.
pub const DOING: &str = home::RESTORE;
/// The file in the unpacked folder that identifies the backup.
const OF: &str = "of";

/// The result of a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Threads that are new in the home.
    pub threads: u64,
    /// Threads of the backup that the home already had. They stay unchanged.
    pub there: u64,
    /// Whether the settings came from the backup.
    pub config: bool,
    /// Whether this run finished an interrupted restore. The counts are then those of its rest.
    pub resumed: bool,
}

/// Checks that the folder takes a restore: it is empty or missing, or with `force` a home. Changes nothing.
///
/// # Errors
/// [`BackupError::NotEmpty`], [`BackupError::Foreign`], or the system's error for the folder.
pub fn may(root: &Path, force: bool) -> Result<(), BackupError> {
    let paths = HomePaths::new(root);
    let entries = DiskLayer.entries(root).map_err(BackupError::io(root))?;
    let ours = [paths.lock(), paths.threads(), paths.config()];
    if !entries.is_empty() && !ours.iter().any(|path| path.symlink_metadata().is_ok()) {
        return Err(BackupError::Foreign(root.to_owned()));
    }
    if force || paths.restore_ready().is_dir() || is_empty(&paths)? {
        return Ok(());
    }
    Err(BackupError::NotEmpty(root.to_owned()))
}

/// Whether a home has neither a rollout nor settings.
fn is_empty(paths: &HomePaths) -> Result<bool, BackupError> {
    let mut found = paths.config().symlink_metadata().is_ok();
    for location in LOCATIONS {
        for folder in folders_in(&paths.location(location))? {
            found |= !DiskLayer.entries(&folder).map_err(BackupError::io(&folder))?.is_empty();
        }
    }
    Ok(!found)
}

/// Restores a checked backup. `progress` receives the current step and its progress.
///
/// # Errors
/// [`BackupError`]. The home is either unchanged, or takes no server until the restore was run again.
pub async fn put(
    home: &mut Home,
    file: &Path,
    checked: &Checked,
    force: bool,
    progress: &mut (dyn FnMut(&'static str, BackupProgress) + Send),
) -> Result<Restored, BackupError> {
    let paths = home.paths().clone();
    if paths.restore_ready().is_dir() {
        let of = fs::read_to_string(paths.restore_ready().join(OF)).unwrap_or_default();
        let restored = finish(&paths, progress)?;
        let same = of == checked.id;
        return if same {
            Ok(Restored { resumed: true, ..restored })
        } else {
            Err(BackupError::Other(paths.root().to_owned()))
        };
    }
    may(paths.root(), force)?;
    let staged = stage(&paths, file, checked, progress)?;
    let term = begin_anew(&staged, progress).await?;
    // Rollouts of another home may have been opened with higher terms than this home's.
    home.pass_term(term)?;
    decide(&paths, &staged, checked)?;
    Ok(Restored { there: staged.there, ..finish(&paths, progress)? })
}

struct Staged {
    root: PathBuf,
    rollouts: Vec<(ThreadId, PathBuf, u64)>,
    there: u64,
}

/// Unpacks the files that the home lacks.
fn stage(
    paths: &HomePaths,
    file: &Path,
    checked: &Checked,
    progress: &mut (dyn FnMut(&'static str, BackupProgress) + Send),
) -> Result<Staged, BackupError> {
    let root = paths.restore_new();
    remove_folder(&root)?;
    let mut staged = Staged { root: root.clone(), rollouts: Vec::new(), there: 0 };
    let inside = HomePaths::new(&root);
    for folder in [
        root.clone(),
        inside.threads(),
        inside.archived(),
        root.join(BLOBS),
        inside.secrets(),
        inside.open_markers(),
    ] {
        DiskLayer.make_folder(&folder).map_err(BackupError::io(&folder))?;
    }
    let mut report = |done| progress("unpacked", BackupProgress { done, total: checked.files });
    let read = walk(file, &mut report, &mut |passing| unpack(paths, &mut staged, passing));
    let same = read.and_then(|read| {
        let changed = || BackupError::damaged(file, "it was changed while it was read");
        if read == *checked { Ok(staged) } else { Err(changed()) }
    });
    if same.is_err() {
        remove_folder(&root)?;
    }
    same
}

fn unpack(paths: &HomePaths, staged: &mut Staged, passing: Passing<'_>) -> Result<(), BackupError> {
    let Passing { path, thread, written, content } = passing;
    let is_there = |name: &str| paths.root().join(name).symlink_metadata().is_ok();
    let there = match thread {
        Some(thread) => LOCATIONS.into_iter().any(|location| is_there(&rollout(location, thread))),
        // Unpacked rollouts need their texts; rollouts that the home has are not moved there.
        None => is_there(path) && !path.starts_with(BLOBS),
    };
    if there {
        staged.there += u64::from(thread.is_some());
        return Ok(());
    }
    let to = staged.root.join(path);
    if let Some(folder) = to.parent() {
        DiskLayer.make_folder(folder).map_err(BackupError::io(folder))?;
    }
    let mut made = new_file(&to)?;
    io::copy(content, &mut made).map_err(BackupError::io(&to))?;
    if let Some(thread) = thread {
        staged.rollouts.push((thread, to, written));
    }
    Ok(())
}

fn new_file(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE).custom_flags(no_surprises());
    options.open(path).map_err(BackupError::io(path))
}

/// Makes every restored thread begin a new epoch. The backup's home may have used more numbers since, and clients
/// must not take ours for those. So each rollout ends like one whose unnamed machine went down. Returns the highest
/// term of any rollout.
async fn begin_anew(
    staged: &Staged,
    progress: &mut (dyn FnMut(&'static str, BackupProgress) + Send),
) -> Result<Term, BackupError> {
    let tasks = Tasks::new();
    let store = FileStore::open(&HomePaths::new(&staged.root), Arc::new(DiskLayer), tasks.clone());
    let store = store.map_err(BackupError::io(&staged.root))?;
    let total = staged.rollouts.len() as u64;
    let mut opened = stream::iter(&staged.rollouts)
        .map(|(thread, path, written)| {
            let store = &store;
            async move {
                let term = open_unnamed(store, *thread).await.map_err(BackupError::io(path))?;
                set_written(path, *written).map_err(BackupError::io(path))?;
                Ok::<_, BackupError>(term)
            }
        })
        .buffer_unordered(skein_base::policy::READ_THREADS);
    let (mut highest, mut done) = (Term(0), 0);
    while let Some(term) = opened.next().await {
        highest = highest.max(term?);
        done += 1;
        progress("opened", BackupProgress { done, total });
    }
    drop(opened);
    tasks.finish().await;
    Ok(highest)
}

async fn open_unnamed(store: &FileStore, thread: ThreadId) -> io::Result<Term> {
    let loaded = match store.load(thread).await {
        Ok(loaded) => loaded,
        // An unreadable rollout stays unchanged: no client has ever seen a number of it.
        Err(ReadError::Unreadable { .. }) => return Ok(Term(0)),
        Err(error @ (ReadError::Missing(_) | ReadError::Disk { .. } | ReadError::Away { .. })) => {
            return Err(io::Error::other(error));
        }
    };
    let tail = Tail::of(&loaded.end, &loaded.repair);
    let term = tail.opened.map_or(Term(1), |opened| opened.term);
    let epoch = tail.epoch.unwrap_or(Epoch(1));
    let opened = ThreadOpened { boot_id: Uuid::nil(), term, epoch };
    let body = RecordBody::ThreadOpened(Box::new(opened));
    let record = Record { seq: loaded.head.next(), at: Clock.wall(), body };
    let appended =
        store.append(Lease { thread, term }, loaded.head, LogEntry::of(vec![record], Keep::Process)).await;
    store.release(thread);
    appended.map_err(|error: AppendError| io::Error::other(error))?;
    let history = History::read_end(store, thread, 0).await.map_err(io::Error::other)?;
    if history.open_turn().is_none() || history.open_turn_waits() {
        // The next server has nothing to end, and need not look at it.
        store.clear_open_markers(vec![store.open_marker(thread)]).await?;
    }
    Ok(term)
}

fn set_written(path: &Path, written: u64) -> io::Result<()> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(written)).unwrap_or(UNIX_EPOCH);
    OpenOptions::new().write(true).custom_flags(no_surprises()).open(path)?.set_modified(time)
}

/// Decides the restore: from here on every run finishes it.
fn decide(paths: &HomePaths, staged: &Staged, checked: &Checked) -> Result<(), BackupError> {
    let of = staged.root.join(OF);
    fs::write(&of, &checked.id).map_err(BackupError::io(&of))?;
    sync_all_of(&staged.root)?;
    let ready = paths.restore_ready();
    fs::rename(&staged.root, &ready).map_err(BackupError::io(&ready))?;
    sync_all_of(paths.root())
}

/// Moves the unpacked files to their places, and lets servers in again.
fn finish(
    paths: &HomePaths,
    progress: &mut (dyn FnMut(&'static str, BackupProgress) + Send),
) -> Result<Restored, BackupError> {
    let ready = paths.restore_ready();
    let unpacked = HomePaths::new(&ready);
    // First the marks of open ends: the next server looks at these rollouts.
    let marks = DiskLayer.entries(&unpacked.open_markers()).map_err(BackupError::io(&ready))?;
    let mut files: Vec<(PathBuf, bool)> = marks.into_iter().map(|mark| (mark.path, false)).collect();
    let locations = LOCATIONS.map(|location| (unpacked.location(location), true));
    let beside = [(unpacked.blobs(), false), (unpacked.secrets(), false)];
    for (root, is_rollout) in beside.into_iter().chain(locations) {
        for folder in folders_in(&root)? {
            let found = DiskLayer.entries(&folder).map_err(BackupError::io(&folder))?;
            files.extend(found.into_iter().map(|file| (file.path, is_rollout)));
        }
    }
    let (mut restored, total) = (Restored::default(), files.len() as u64);
    for (done, (from, is_rollout)) in (1..).zip(files) {
        let name = from.strip_prefix(&ready).unwrap_or(&from);
        let came = carry(&from, &paths.root().join(name))?;
        restored.threads += u64::from(came && is_rollout);
        progress("restored", BackupProgress { done, total });
    }
    let config = ready.join(CONFIG);
    restored.config = config.is_file() && carry(&config, &paths.config())?;
    folders::forget_indexes(paths)?;
    sync_everything(paths)?;
    fs::rename(&ready, paths.restore_new()).map_err(BackupError::io(&ready))?;
    remove_folder(&paths.restore_new())?;
    Ok(restored)
}

/// Moves a file to a free path, also to another file system; returns whether it did.
fn carry(from: &Path, to: &Path) -> Result<bool, BackupError> {
    for folder in to.ancestors().skip(1).take(2).collect::<Vec<_>>().into_iter().rev() {
        DiskLayer.make_folder(folder).map_err(BackupError::io(folder))?;
    }
    match durable::move_new(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(BackupError::io(to)(error)),
    }
}

fn folders_in(path: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let found = DiskLayer.entries(path).map_err(BackupError::io(path))?;
    let real = |path: &PathBuf| path.symlink_metadata().is_ok_and(|seen| seen.is_dir());
    Ok(found.into_iter().map(|entry| entry.path).filter(real).collect())
}

fn remove_folder(path: &Path) -> Result<(), BackupError> {
    folders::remove(path).map_err(BackupError::io(path))
}

/// Syncs everything in the home. Its folders may be on other file systems.
fn sync_everything(paths: &HomePaths) -> Result<(), BackupError> {
    let device = |folder: &Path| fs::metadata(folder).map(|seen| seen.dev()).ok();
    let mut synced = HashSet::new();
    let beside = [paths.root().to_owned(), paths.blobs(), paths.secrets()];
    for folder in LOCATIONS.map(|location| paths.location(location)).into_iter().chain(beside) {
        if device(&folder).is_some_and(|device| synced.insert(device)) {
            sync_all_of(&folder)?;
        }
    }
    Ok(())
}

/// Syncs the folder's file system with one call.
fn sync_all_of(folder: &Path) -> Result<(), BackupError> {
    durable::sync_file_system(folder).map_err(BackupError::io(folder))
}
