//! Checks everything in a home, names and locates defects, and mends those that it can without loss. Removes texts
//! that no rollout names. Never deletes damage, and never changes a home with a running server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::ids::ThreadId;

use crate::home::{HomeError, HomePaths, Idle, database_note, existing};
use crate::index::IndexError;
use crate::rollout::Location;
use crate::rollout::file::FileStore;

pub mod blobs;
pub mod finding;
pub mod lines;
mod look_only;
mod mend;
mod records;
mod rollout;
mod rows;
#[cfg(test)]
mod tests;
mod walk;

use blobs::{StoredFile, Unnamed, UnreadableFile};
use finding::{Defect, FindingOutcome, FsckFinding, FsckSummary, IndexLook};
use look_only::LookOnly;
use rollout::{Reading, RolloutFile, Side};
use walk::HomeContents;

/// Whether to mend defects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mend {
    /// Nothing is changed.
    #[default]
    No,
    /// Every defect is mended that can be mended without loss.
    Yes,
}

impl Mend {
    /// The outcome of a defect that was not mended.
    pub(crate) fn otherwise(self) -> FindingOutcome {
        match self {
            Self::No => FindingOutcome::Found,
            Self::Yes => FindingOutcome::Left,
        }
    }
}

/// Whether to remove texts that no rollout names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gc {
    /// They are reported.
    #[default]
    No,
    /// They are removed.
    Yes,
}

/// The request for a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FsckRequest {
    /// Whether to mend.
    pub mend: Mend,
    /// Whether to remove unnamed texts. With `threads` none is removed.
    pub gc: Gc,
    /// Only these threads; empty means all, and everything else in the home.
    pub threads: BTreeSet<ThreadId>,
}

/// A message while the check runs.
#[derive(Debug)]
pub enum FsckNotice<'a> {
    /// A server owns the home, and the check only reads.
    Served(&'a HomeError),
    /// Bytes read so far, and all bytes.
    Progress(u64, u64),
    /// A defect.
    Finding(&'a FsckFinding),
    /// A text that no rollout names. That is no defect: a purged thread leaves its texts.
    Unnamed(&'a Unnamed),
}

/// Why the check did not run, or did not finish.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// Without a lock a server could start meanwhile.
    #[error("{} has no lock, so nobody can be kept from it while texts are removed; start its server once", path.display())]
    NoLock {
        /// The home.
        path: PathBuf,
    },
    /// There is no home, or it cannot be locked.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The home's folders cannot be reached.
    #[error("the rollouts in the home cannot be reached: {0}")]
    Store(#[source] std::io::Error),
    /// The lines of a store that is no home cannot be read.
    #[error("the threads cannot be read: {0}")]
    Lines(#[source] std::io::Error),
    /// The index took no row.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A part of the work has panicked.
    #[error("the check did not come to its end: {0}")]
    Broken(String),
}

struct Check<'a> {
    paths: HomePaths,
    order: &'a FsckRequest,
    /// Held while no server owns the home.
    idle: Option<Idle>,
    tasks: Tasks,
    summary: FsckSummary,
    /// Threads with a lost text: their rows know more than their rollouts.
    lacking: BTreeSet<ThreadId>,
    notify: &'a mut (dyn FnMut(FsckNotice<'_>) + Send),
}

/// Checks a home. A home with a running server is only read, and a defect counts if two readings find it.
///
/// # Errors
/// [`FsckError`]; [`HomeError::Served`] if a server owns the home and the request wants changes.
pub async fn run(
    home: &Path,
    order: &FsckRequest,
    notify: &mut (dyn FnMut(FsckNotice<'_>) + Send),
) -> Result<FsckSummary, FsckError> {
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    let paths = HomePaths::new(&home);
    if paths.lock().is_file() {
        database_note::refuse(&paths)?;
    } else {
        existing(&home)?;
    }
    let idle = match Idle::keep(&home) {
        Ok(idle) => Some(idle),
        Err(served @ HomeError::Served { .. }) if order.mend == Mend::No && order.gc == Gc::No => {
            notify(FsckNotice::Served(&served));
            None
        }
        Err(error) => return Err(error.into()),
    };
    if order.gc == Gc::Yes && !idle.as_ref().is_some_and(Idle::is_locked) {
        return Err(FsckError::NoLock { path: home });
    }
    let (tasks, summary) = (Tasks::new(), FsckSummary::default());
    let mut check = Check { paths, order, idle, tasks, summary, lacking: BTreeSet::new(), notify };
    let done = check.run().await;
    check.tasks.finish().await;
    done.map(|()| check.summary)
}

impl Check<'_> {
    async fn run(&mut self) -> Result<(), FsckError> {
        let (paths, mend, idle) = (self.paths.clone(), self.order.mend, self.idle.is_some());
        let only = Some(self.order.threads.clone()).filter(|threads| !threads.is_empty());
        let walked = self.blocking(move || walk::walk(&paths, mend, idle, only.as_ref())).await?;
        let HomeContents { rollouts, mut marked, blobs, secrets, findings } = walked;
        findings.into_iter().for_each(|finding| self.say(finding));
        let total = rollouts.iter().map(|place| place.bytes).sum();
        let mut there = BTreeSet::new();
        (self.notify)(FsckNotice::Progress(0, total));
        for place in &rollouts {
            if self.rollout(place, &mut marked).await? {
                there.insert(place.thread);
            }
            self.summary.bytes += place.bytes;
            (self.notify)(FsckNotice::Progress(self.summary.bytes, total));
        }
        self.check_open_markers(&marked, &there);
        self.rows(&rollouts, &marked).await?;
        if self.idle.is_some() {
            self.secrets_alone(secrets, &rollouts);
        }
        self.unnamed(blobs).await
    }

    /// Reports secrets of threads that do not exist, not even in the trash or in an interrupted restore.
    fn secrets_alone(&mut self, secrets: Vec<(ThreadId, StoredFile)>, rollouts: &[RolloutFile]) {
        let there: BTreeSet<ThreadId> = rollouts.iter().map(|place| place.thread).collect();
        for (thread, stored) in secrets {
            if !there.contains(&thread) && !self.is_restored(thread) {
                self.alone(stored);
            }
        }
    }

    /// Whether an interrupted restore has the thread's rollout, which comes to its place when the restore goes on.
    fn is_restored(&self, thread: ThreadId) -> bool {
        let restored = HomePaths::new(&self.paths.restore_ready());
        [Location::Active, Location::Archived]
            .iter()
            .any(|location| restored.rollout(*location, thread).exists())
    }

    /// Reports a file beside the rollouts that belongs to none.
    fn alone(&mut self, StoredFile { path, bytes, name: _ }: StoredFile) {
        let mut unnamed = Unnamed { path, bytes, removed: false };
        if self.order.gc == Gc::Yes {
            match std::fs::remove_file(self.paths.root().join(&unnamed.path)) {
                Ok(()) => unnamed.removed = true,
                Err(error) => {
                    let detail = format!("no rollout names it, and it cannot be removed: {error}");
                    self.say(FsckFinding::new(Defect::Leftover, &unnamed.path, detail));
                }
            }
        }
        self.summary.blobs.count(&unnamed);
        (self.notify)(FsckNotice::Unnamed(&unnamed));
    }

    /// Reports texts that no rollout names, while nobody writes any: a text exists before the line that names it.
    async fn unnamed(&mut self, stored: Vec<StoredFile>) -> Result<(), FsckError> {
        self.summary.blobs.files = stored.len() as u64;
        self.summary.blobs.bytes = stored.iter().map(|stored| stored.bytes).sum();
        if self.idle.is_none() || stored.is_empty() {
            return Ok(());
        }
        let paths = self.paths.clone();
        let unnamed = match self.blocking(move || blobs::unnamed(&paths, stored)).await? {
            Ok(unnamed) => unnamed,
            Err(UnreadableFile { path, error }) => {
                let path = path.strip_prefix(self.paths.root()).unwrap_or(&path).to_owned();
                let detail =
                    format!("{error}; so it is not known which texts are named, and none is removed");
                self.say(FsckFinding::new(Defect::Unreachable, path, detail));
                return Ok(());
            }
        };
        unnamed.into_iter().for_each(|stored| self.alone(stored));
        Ok(())
    }

    /// Checks one rollout; returns whether it still exists.
    async fn rollout(
        &mut self,
        place: &RolloutFile,
        marked: &mut BTreeSet<ThreadId>,
    ) -> Result<bool, FsckError> {
        let (root, paths, reading) = (self.paths.root().to_owned(), self.paths.clone(), place.clone());
        let served = self.idle.is_none();
        let read = self
            .blocking(move || if served { beside(&paths, &reading) } else { rollout::read(&root, &reading) });
        let Some(reading) = read.await? else { return Ok(false) };
        self.summary.rollouts += 1;
        self.summary.records += reading.records;
        let Reading { findings, open, cut, records: _ } = reading;
        let mut there = true;
        for mut finding in findings {
            if self.order.mend == Mend::Yes {
                there &= mend::rollout(&self.paths, place, cut, &mut finding);
            }
            self.say(finding);
        }
        let open = place.side == Side::Kept && open;
        if open && marked.contains(&place.thread) {
            self.summary.open += 1;
        } else if open && !(served && self.is_marked(place.thread)) {
            let mut finding = FsckFinding::new(
                Defect::Unmarked,
                &place.path,
                "its last turn has no end, and no mark says so",
            )
            .of(place.thread);
            if self.order.mend == Mend::Yes {
                mend::create_open_marker(&self.paths, place.thread, &mut finding);
                marked.insert(place.thread);
            }
            self.say(finding);
        }
        Ok(there)
    }

    fn is_marked(&self, thread: ThreadId) -> bool {
        self.paths.open_markers().join(thread.to_string()).exists()
    }

    /// Reports open markers without rollouts. A marker of a thread in the trash waits for the thread's row to go.
    fn check_open_markers(&mut self, marked: &BTreeSet<ThreadId>, there: &BTreeSet<ThreadId>) {
        if self.idle.is_none() {
            // A marker comes before its rollout, and a rollout may have moved since.
            return;
        }
        for thread in
            marked.difference(there).filter(|thread| !self.is_restored(**thread)).collect::<Vec<_>>()
        {
            let path = Path::new("open").join(thread.to_string());
            let mut finding =
                FsckFinding::new(Defect::MarkerAlone, path, "there is no such rollout").of(*thread);
            if self.order.mend == Mend::Yes {
                mend::remove_open_marker(&self.paths, *thread, &mut finding);
            }
            self.say(finding);
        }
    }

    async fn rows(&mut self, rollouts: &[RolloutFile], marked: &BTreeSet<ThreadId>) -> Result<(), FsckError> {
        if self.idle.is_none() {
            self.summary.index = IndexLook::Served;
            return Ok(());
        }
        let kept = rollouts.iter().filter(|place| place.side == Side::Kept);
        let threads: BTreeSet<ThreadId> = kept.map(|place| place.thread).collect();
        let store = FileStore::open(&self.paths, Arc::new(LookOnly), self.tasks.clone());
        let store = store.map_err(FsckError::Store)?;
        let (paths, tasks, order) = (&self.paths, &self.tasks, self.order);
        let look = rows::Rows { paths, store: &store, tasks, order, can_write: rows::can_write };
        let passed_over = marked.union(&self.lacking).copied().collect();
        let (index, findings) = look.compare(&threads, &passed_over).await?;
        self.summary.index = index;
        findings.into_iter().for_each(|finding| self.say(finding));
        Ok(())
    }

    fn say(&mut self, mut finding: FsckFinding) {
        if finding.outcome == FindingOutcome::Found {
            finding.outcome = self.order.mend.otherwise();
        }
        self.summary.count(&finding);
        self.lacking.extend(finding.thread.filter(|_| finding.kind == Defect::LostText));
        (self.notify)(FsckNotice::Finding(&finding));
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FsckError> {
        let done = self.tasks.blocking("fsck", BlockingPool::Read, work).await;
        done.map_err(|panic| FsckError::Broken(panic.to_string()))
    }
}

/// Reads a rollout of a home with a running server. Acknowledged records do not change, so a defect counts if two
/// readings find it. The end of a rollout with an open marker belongs to its owner, who may be writing or will repair
/// it.
fn beside(paths: &HomePaths, place: &RolloutFile) -> Option<Reading> {
    let marked = || paths.open_markers().join(place.thread.to_string()).exists();
    let is_theirs = marked();
    let first = rollout::read(paths.root(), place)?;
    if first.findings.is_empty() {
        return Some(first);
    }
    let mut second = rollout::read(paths.root(), place)?;
    let is_theirs = is_theirs || marked();
    second.findings.retain(|finding| {
        let at_end = matches!(finding.kind, Defect::TornEnd | Defect::Begun);
        first.findings.contains(finding) && !(at_end && is_theirs)
    });
    Some(second)
}
