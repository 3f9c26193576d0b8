//! The text index: which threads may hold a text, so that a search need not look at all of them. Derived from the rollouts,
//! never a truth: it names too many threads rather than too few, what it names is looked at as ever, and as long as it is not
//! complete nobody asks it. It can be deleted whenever no server runs.
//!
//! It is made from the first search on, by a task of its own (`keep.rs`), and then follows the index of threads: a thread is
//! *behind* from the change of its row until its messages are in here.
//!
//! It is SQLite (`search-1` in the home) with an FTS5 table of trigrams that keeps no text and no positions. It may name too many threads. It
//! must not leave one out:
//!
//! - Nobody asks it until it has been compared with every row of the index of threads. While that index is not complete, its names are not
//!   taken: the list is walked, and the page says what is missing. The comparison goes from the newest thread down, in steps of some MiB
//!   of text with a rest after each; a long thread takes several.
//! - `index/changes.rs` notes each row that is set or removed from then on. A turn without an end is never taken in, so its thread stays
//!   behind. Each search looks at the threads that are behind and at every loaded one, whose owner may have written more than its row
//!   tells.
//! - What is known of a thread and its pieces change in one transaction, so a kill leaves either. After another start of the machine the
//!   ends of rollouts may be lost and their numbers given out again: then the text index is made anew. An unreadable one is set aside.
//! - An import takes a thread out first, since it gives its numbers to other records.
//! - A term below three characters, and one that some 10,000 threads may hold, walk the list: frequent terms are found on the way.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_base::tasks::{Pool, Tasks};
use skein_protocol::extension::{TextsCounts, TextsState};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::home::{HomePaths, folders};
use skein_store::index::ThreadIndex;
use skein_store::index::changes::Changes;
use skein_store::rollout::RolloutStore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::policy;
use crate::search::Term;

mod db;
mod keep;
#[cfg(test)]
pub(crate) mod tests;

use db::{Change, Db, DbError};

/// The text index of a home. Clones share it.
#[derive(Clone)]
pub(crate) struct Texts {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

/// What it is made from.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The home.
    pub(crate) home: HomePaths,
    /// This start of the machine: another one may have lost the ends of rollouts that are in here.
    pub(crate) boot: Uuid,
    /// The histories.
    pub(crate) store: Arc<dyn RolloutStore>,
    /// Their rows.
    pub(crate) index: Arc<dyn ThreadIndex>,
    /// Which rows have changed.
    pub(crate) changes: Arc<Changes>,
    /// The starter of tasks.
    pub(crate) tasks: Tasks,
    /// The end of the server.
    pub(crate) stop: CancellationToken,
}

struct Shared {
    sources: Sources,
    began: AtomicBool,
    state: Mutex<State>,
    /// Connections that nobody reads from now.
    readers: Mutex<Vec<Db>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    at: TextsState,
    done: u64,
    disk_bytes: u64,
    /// Counts the files that were begun: what was opened in an earlier one is not used again.
    file: u64,
}

/// The threads that may hold a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// Each with the record behind which it may be.
    pub(crate) threads: HashMap<ThreadId, EventSeq>,
}

impl Texts {
    /// The text index of a home. Nothing is opened, read or made before the first search.
    #[must_use]
    pub(crate) fn new(sources: Sources) -> Self {
        let (began, state, readers) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { sources, began, state, readers }) }
    }

    /// One that is never made: its home is not there.
    #[cfg(test)]
    pub(crate) fn nowhere(store: Arc<dyn RolloutStore>, index: Arc<dyn ThreadIndex>, tasks: &Tasks) -> Self {
        let (home, stop) = (HomePaths::new("/proc/nowhere".as_ref()), CancellationToken::new());
        let (boot, changes, tasks) = (Uuid::nil(), Arc::default(), tasks.clone());
        stop.cancel();
        Self::new(Sources { home, boot, store, index, changes, tasks, stop })
    }

    /// Begins to make it, once.
    fn begin(&self) {
        if self.shared.began.swap(true, Ordering::Relaxed) {
            return;
        }
        // Before anything is read: a row that changes from here on is noted.
        self.shared.sources.changes.listen();
        let (shared, stop) = (Arc::clone(&self.shared), self.shared.sources.stop.clone());
        self.shared.sources.tasks.spawn("text index", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keep::serve(&shared) => {}
            }
            shared.readers().clear();
        });
    }

    /// The threads that may hold the term, and those of which that is not known, `loaded` among them: their owners may have
    /// written what no row tells yet. `None` where all threads have to be looked at: it is not complete, or there are so many
    /// that walking the list is quicker, or the term is too short.
    pub(crate) async fn candidates(&self, term: &Term, loaded: Vec<ThreadId>) -> Option<Candidates> {
        self.begin();
        let query = db::query(term.folded())?;
        // Before the index: what it takes in meanwhile is looked at twice rather than not at all.
        let mut behind = self.shared.sources.changes.behind();
        behind.extend(loaded);
        if !self.shared.is_complete() || behind.len() > policy::TEXTS_CANDIDATES {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        let found = self.shared.sources.tasks.blocking("ask text index", Pool::Search, move || {
            shared.reading(|db| {
                let Some(found) = db.candidates(&query, policy::TEXTS_CANDIDATES)? else { return Ok(None) };
                let known = db.known(&behind)?;
                Ok(Some(merged(found, behind, known)))
            })
        });
        match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                self.shared.broke(&error);
                None
            }
            // It was logged.
            Err(_) => None,
        }
    }

    /// Where it is in its life, and what it costs. Instant.
    #[must_use]
    pub(crate) fn counts(&self) -> TextsCounts {
        let State { at, done, disk_bytes, .. } = self.shared.state().clone();
        let behind = self.shared.sources.changes.behind().len();
        TextsCounts { state: at, done, behind: u64::try_from(behind).unwrap_or(u64::MAX), disk_bytes }
    }
}

/// Every thread once, with the first record behind which it may hold the text.
fn merged(
    found: Vec<(ThreadId, EventSeq)>,
    behind: Vec<ThreadId>,
    known: Vec<Option<db::Known>>,
) -> Candidates {
    let mut threads: HashMap<ThreadId, EventSeq> = HashMap::new();
    let late = behind.into_iter().zip(known).map(|(thread, known)| (thread, known.unwrap_or_default().seq));
    // The turn that a piece begins with may hold it itself.
    let before = |(thread, begins): (ThreadId, EventSeq)| (thread, EventSeq(begins.0.saturating_sub(1)));
    for (thread, after) in found.into_iter().map(before).chain(late) {
        let first = threads.entry(thread).or_insert(after);
        *first = (*first).min(after);
    }
    Candidates { threads }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Db>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> PathBuf {
        self.sources.home.texts()
    }

    fn is_complete(&self) -> bool {
        self.state().at == TextsState::Ready
    }

    /// Reads from the index with a connection of the pool.
    fn reading<T>(&self, work: impl FnOnce(&Db) -> Result<T, DbError>) -> Result<T, DbError> {
        let file = self.state().file;
        let free = self.readers().pop();
        let db = match free {
            Some(db) => db,
            None => Db::look(&self.folder())?,
        };
        let done = work(&db)?;
        let mut readers = self.readers();
        if self.state().file == file {
            readers.push(db);
        }
        Ok(done)
    }

    /// The index cannot be read: it is set aside and made anew, unless the error passes. Until then everything is looked at.
    fn broke(&self, error: &DbError) {
        if error.is_passing() {
            tracing::warn!(%error, "the text index cannot be read now; every thread is looked at");
            return;
        }
        tracing::warn!(%error, "the text index cannot be read; it is made anew");
        self.state().at = TextsState::Failed;
        self.sources.changes.wake();
    }
}

/// Makes the text index of a home that nobody serves forget threads: their records are about to be other ones, under the same
/// numbers.
#[derive(Debug)]
pub(crate) struct Forgetting {
    folder: PathBuf,
    opened: bool,
    /// None where there is no index, or not any more.
    db: Option<Db>,
}

impl Forgetting {
    /// In this home. Nothing is opened yet.
    #[must_use]
    pub(crate) fn of(home: &HomePaths) -> Self {
        Self { folder: home.texts(), opened: false, db: None }
    }

    /// Forgets a thread, or everything where that is not possible. Blocks.
    ///
    /// # Errors
    /// When what cannot be used cannot be removed either.
    pub(crate) fn forget(&mut self, thread: ThreadId) -> io::Result<()> {
        self.remove_from_db(thread).or_else(|error| {
            tracing::warn!(%error, "the text index cannot be used; it is removed");
            self.db = None;
            folders::remove(&self.folder)
        })
    }

    fn remove_from_db(&mut self, thread: ThreadId) -> Result<(), DbError> {
        if !self.opened {
            self.opened = true;
            self.db = if self.folder.is_dir() { Some(Db::open(&self.folder)?) } else { None };
        }
        self.db.as_mut().map_or(Ok(()), |db| db.change(&[Change::Remove(thread)]))
    }
}
