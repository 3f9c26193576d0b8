//! The text index: the threads that may hold a text, so that a search need not read all of them. Derived from the
//! rollouts: it names too many threads rather than too few, and each one is read. While incomplete it is not used. It
//! can be deleted while no server runs.
//!
//! The first search starts the task that builds it (`build.rs`) and then follows the index of threads. A thread is
//! *behind* from the change of its row until its messages are indexed.
//!
//! It is SQLite (`search-1` in the home) with an FTS5 table of trigrams, without texts and positions. It must not miss a
//! thread that holds the text:
//!
//! - Searches use it only after a comparison with every row of the index of threads, newest thread first, in steps of
//!   some MiB of text. Until both indexes are complete a search walks the list, and its page says so.
//! - `index/changes.rs` notes each later change of a row. A turn without an end is not indexed, so its thread stays
//!   behind. Each search reads the threads that are behind, and every loaded one, whose owner may be ahead of its row.
//! - The state of a thread and its pieces change in one transaction. After another boot of the machine, the ends of
//!   rollouts may be lost and their numbers reused: then the index is rebuilt. An unreadable one is set aside.
//! - An import first removes a thread, since it gives the thread's numbers to other records.
//! - A term below three characters, and one with more than some 10,000 candidates, walks the list.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::home::{HomePaths, folders};
use crate::index::changes::Changes;
use crate::index::{OtherWriters, ThreadIndex};
use crate::rollout::RolloutStore;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::extension::{TextsCounts, TextsState};
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::policy;

mod build;
mod db;
mod messages;
mod term;
#[cfg(test)]
mod tests;

use db::{Db, DbError, IndexChange};
pub use messages::message_texts;
pub use term::{SearchTerm, TermError};

/// The text index of a home. Clones share it.
#[derive(Clone)]
pub struct TextIndex {
    shared: Arc<TextIndexShared>,
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

/// The inputs of the index.
#[derive(Clone)]
pub struct Sources {
    /// The home that the index belongs to.
    pub home: HomePaths,
    /// The histories.
    pub store: Arc<dyn RolloutStore>,
    /// Their rows.
    pub index: Arc<dyn ThreadIndex>,
    /// The changed rows.
    pub changes: Arc<Changes>,
    /// The other servers of the histories, if there may be some. Their changes come into `changes`, too.
    pub others: Option<Arc<dyn OtherWriters>>,
    /// Runs the task that builds the index, and its reads.
    pub tasks: Tasks,
    /// The end of the server.
    pub stop: CancellationToken,
}

struct TextIndexShared {
    sources: Sources,
    began: AtomicBool,
    state: Mutex<BuildState>,
    /// Idle connections for reading.
    readers: Mutex<Vec<Db>>,
}

#[derive(Debug, Clone, Default)]
struct BuildState {
    at: TextsState,
    done: u64,
    disk_bytes: u64,
    /// Counts the files: a connection to an earlier one is not reused.
    file: u64,
    /// The life of the storage that the file is from.
    life: Uuid,
}

/// The threads that may hold a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// Each with the record after which the text may be.
    pub threads: HashMap<ThreadId, EventSeq>,
}

impl TextIndex {
    /// The text index of a home. The first search opens it.
    pub fn new(sources: Sources) -> Self {
        let (began, state, readers) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Self { shared: Arc::new(TextIndexShared { sources, began, state, readers }) }
    }

    /// An index that is never built, for a server without a home.
    #[cfg(any(test, feature = "testing"))]
    pub fn nowhere(store: Arc<dyn RolloutStore>, index: Arc<dyn ThreadIndex>, tasks: &Tasks) -> Self {
        let (home, stop) = (HomePaths::new("/proc/nowhere".as_ref()), CancellationToken::new());
        let (changes, tasks) = (Arc::default(), tasks.clone());
        stop.cancel();
        Self::new(Sources { home, store, index, changes, others: None, tasks, stop })
    }

    /// Starts the task, once.
    fn begin(&self) {
        if self.shared.began.swap(true, Ordering::Relaxed) {
            return;
        }
        // Before the first read: later changes of rows are noted.
        self.shared.sources.changes.listen();
        let (shared, stop) = (Arc::clone(&self.shared), self.shared.sources.stop.clone());
        self.shared.sources.tasks.spawn("text index", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = build::serve(&shared) => {}
            }
            shared.readers().clear();
        });
    }

    /// The threads that may hold the term, and those with an unknown state, `loaded` among them: their owners may
    /// have newer messages. `loaded` is asked after the other servers, as a thread may come from one of them meanwhile. `None`: search
    /// all threads, because the index is incomplete, the term is too short, or there are too many candidates.
    pub async fn candidates(
        &self,
        term: &SearchTerm,
        loaded: impl FnOnce() -> Vec<ThreadId> + Send,
    ) -> Option<Candidates> {
        self.begin();
        let query = db::query(term.folded())?;
        let elsewhere = match &self.shared.sources.others {
            Some(others) => others.take_in().await?,
            None => Vec::new(),
        };
        // The changes behind the loaded threads: one that is unloaded between has set its row. Both before the index: a thread added
        // meanwhile is searched twice rather than not at all.
        let mut behind = loaded();
        behind.extend(elsewhere);
        behind.extend(self.shared.sources.changes.behind());
        if !self.shared.is_complete() {
            // It may be from another life of the storage, of which nobody else tells the task.
            self.shared.sources.changes.wake();
            return None;
        }
        if behind.len() > policy::TEXTS_CANDIDATES {
            return None;
        }
        let (shared, file) = (Arc::clone(&self.shared), self.shared.state().file);
        let found = self.shared.sources.tasks.blocking("ask text index", BlockingPool::Search, move || {
            shared.reading(|db| {
                let Some(found) = db.candidates(&query, policy::TEXTS_CANDIDATES)? else { return Ok(None) };
                let known = db.known(&behind)?;
                Ok(Some(merged(found, behind, known)))
            })
        });
        match found.await {
            // A new file may have been read, which lacks threads.
            Ok(Ok(found)) => found.filter(|_| self.shared.is_complete() && self.shared.state().file == file),
            Ok(Err(error)) => {
                self.shared.broke(&error);
                None
            }
            // It was logged.
            Err(_) => None,
        }
    }

    /// The state and the cost. Instant.
    pub fn counts(&self) -> TextsCounts {
        let BuildState { at, done, disk_bytes, .. } = self.shared.state().clone();
        let behind = self.shared.sources.changes.behind().len();
        TextsCounts { state: at, done, behind: u64::try_from(behind).unwrap_or(u64::MAX), disk_bytes }
    }
}

/// Each thread once, with the first record after which it may hold the text.
fn merged(
    found: Vec<(ThreadId, EventSeq)>,
    behind: Vec<ThreadId>,
    known: Vec<Option<db::IndexedThread>>,
) -> Candidates {
    let mut threads: HashMap<ThreadId, EventSeq> = HashMap::new();
    let late = behind.into_iter().zip(known).map(|(thread, known)| (thread, known.unwrap_or_default().seq));
    // The turn at the start of a piece may hold the text itself.
    let before = |(thread, begins): (ThreadId, EventSeq)| (thread, EventSeq(begins.0.saturating_sub(1)));
    for (thread, after) in found.into_iter().map(before).chain(late) {
        let first = threads.entry(thread).or_insert(after);
        *first = (*first).min(after);
    }
    Candidates { threads }
}

impl TextIndexShared {
    fn state(&self) -> MutexGuard<'_, BuildState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Db>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connections to the file, which is about to go.
    fn retire_file(&self) {
        self.state().file += 1;
        self.readers().clear();
    }

    fn folder(&self) -> PathBuf {
        self.sources.home.texts()
    }

    fn is_complete(&self) -> bool {
        let at = self.state().at;
        at == TextsState::Ready && self.is_of_this_life()
    }

    /// Whether the storage has lost nothing that the index has.
    fn is_of_this_life(&self) -> bool {
        self.state().life == self.sources.store.life()
    }

    /// Reads the index with a pooled connection, as it is at one moment: a thread that is added between two reads would be
    /// missing in the first, and known to its end in the second.
    fn reading<T>(&self, work: impl FnOnce(&Db) -> Result<T, DbError>) -> Result<T, DbError> {
        let file = self.state().file;
        let free = self.readers().pop();
        let db = match free {
            Some(db) => db,
            None => Db::look(&self.folder())?,
        };
        let done = db.at_one_moment(work)?;
        let mut readers = self.readers();
        if self.state().file == file {
            readers.push(db);
        }
        Ok(done)
    }

    /// Sets an unreadable index aside for a rebuild, unless the error is temporary. Until then all threads are
    /// searched.
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

/// Removes threads from the text index of a home without a server: their numbers are about to be given to other
/// records.
#[derive(Debug)]
pub struct Forgetting {
    folder: PathBuf,
    opened: bool,
    /// `None` if there is no index, or no longer.
    db: Option<Db>,
}

impl Forgetting {
    /// Opens nothing yet.
    pub fn of(home: &HomePaths) -> Self {
        Self { folder: home.texts(), opened: false, db: None }
    }

    /// Removes a thread, or everything if that fails. Blocks.
    ///
    /// # Errors
    /// An unusable index cannot be removed either.
    pub fn forget(&mut self, thread: ThreadId) -> io::Result<()> {
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
        self.db.as_mut().map_or(Ok(()), |db| db.change(&[IndexChange::Remove(thread)]))
    }
}
