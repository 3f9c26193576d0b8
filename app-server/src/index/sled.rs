//! The index in sled 0.34, behind the precautions that its measured weaknesses need.
//!
//! It is opened by a task of its own, with a time budget, and a panic in it counts as damage; a damaged index is set
//! aside and made anew from the rollouts. Until it is complete, lists wait for a moment and then say what is missing.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Cursor, IndexError, Indexing, ListPage, ThreadFilter, ThreadIndex, ThreadRow, rebuild};
use crate::policy;
use crate::rollout::{ReadError, RolloutStore};
use crate::tasks::{Pool, Tasks};

#[cfg(test)]
mod tests;
mod trees;

use trees::{Broken, Trees};

/// The index. Clones share it.
#[derive(Clone)]
pub struct SledIndex {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    tasks: Tasks,
    state: watch::Sender<State>,
    /// Changes that came before the index was open. The state changes from `Opening` only under this lock.
    waiting: Mutex<HashMap<ThreadId, Change>>,
    broken: Notify,
}

/// What becomes of a thread's row.
#[derive(Debug, Clone)]
enum Change {
    Set(Box<ThreadRow>, EventSeq),
    Remove(ThreadId, EventSeq),
}

impl Change {
    fn thread(&self) -> ThreadId {
        match self {
            Self::Set(row, _) => row.id,
            Self::Remove(thread, _) => *thread,
        }
    }

    /// Whether it counts where this one waits already.
    fn follows(&self, there: &Self) -> bool {
        match (self, there) {
            (Self::Set(_, as_of), Self::Set(_, there)) => as_of >= there,
            (Self::Set(_, as_of), Self::Remove(_, there)) => as_of > there,
            (Self::Remove(..), _) => true,
        }
    }

    fn make(&self, trees: &Trees) -> Result<(), Broken> {
        match self {
            Self::Set(row, as_of) => trees.upsert(row, *as_of),
            Self::Remove(thread, as_of) => trees.remove(*thread, *as_of),
        }
    }
}

#[derive(Debug, Clone)]
enum State {
    Opening,
    Building(Trees, Indexing),
    Ready(Trees),
    Failed(String),
}

impl SledIndex {
    /// The index in the folder `path`. Returns at once; a task opens it, makes it anew from `store` where that is needed,
    /// and flushes and closes it at `stop`.
    pub fn start(
        path: PathBuf,
        store: Arc<dyn RolloutStore>,
        tasks: &Tasks,
        stop: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            path,
            tasks: tasks.clone(),
            state: watch::Sender::new(State::Opening),
            waiting: Mutex::default(),
            broken: Notify::new(),
        });
        let index = Self { shared };
        let serving = index.clone();
        tasks.spawn("index", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serving.serve(&*store) => {}
            }
            serving.close().await;
        });
        index
    }

    /// How far it is; `None` when lists are complete or there will be none.
    #[must_use]
    pub fn indexing(&self) -> Option<Indexing> {
        match &*self.shared.state.borrow() {
            State::Opening => Some(Indexing::default()),
            State::Building(_, indexing) => Some(*indexing),
            State::Ready(_) | State::Failed(_) => None,
        }
    }

    /// Keeps an index open: one that cannot be used is set aside, and where a new one cannot be used either (a full
    /// disk, perhaps), it tries again after a while.
    async fn serve(&self, store: &dyn RolloutStore) {
        let mut failures = 0;
        loop {
            let opened = self.open(store).await;
            if opened.is_ok() {
                failures = 0;
                self.add_missing(store).await;
                self.shared.broken.notified().await;
            }
            self.shared.state.send_replace(State::Opening);
            let aside = self.set_aside().await;
            if let Err(Broken(reason)) = opened.and(aside) {
                failures += 1;
                tracing::error!(%reason, failures, "the index cannot be used");
                if failures > 1 {
                    self.shared.state.send_replace(State::Failed(reason));
                    tokio::time::sleep(policy::INDEX_RETRY).await;
                }
            }
        }
    }

    /// Opens the index, lets in what has waited, and makes it anew where it is not complete.
    async fn open(&self, store: &dyn RolloutStore) -> Result<(), Broken> {
        let path = self.shared.path.clone();
        let opening = self.shared.tasks.blocking("open index", Pool::Index, move || {
            let trees = Trees::open(&path)?;
            let complete = trees.is_complete()?;
            Ok::<_, Broken>((trees, complete))
        });
        let opened = timeout(policy::INDEX_OPEN_BUDGET, opening).await;
        let late = |_| Broken(format!("it did not open within {:?}", policy::INDEX_OPEN_BUDGET));
        let (trees, complete) = opened.map_err(late)?.map_err(|panic| Broken(panic.to_string()))??;
        self.let_in(&trees, State::Building(trees.clone(), Indexing::default())).await?;
        if complete {
            self.mend_open(store).await?;
            self.shared.state.send_replace(State::Ready(trees));
            return Ok(());
        }
        let progress =
            |indexing| drop(self.shared.state.send_replace(State::Building(trees.clone(), indexing)));
        rebuild::run(store, self, progress).await.map_err(|error| Broken(error.to_string()))?;
        self.blocking(&trees, Trees::set_complete).await?;
        self.shared.state.send_replace(State::Ready(trees));
        Ok(())
    }

    /// Sets the rows that have waited, then the state.
    async fn let_in(&self, trees: &Trees, state: State) -> Result<(), Broken> {
        loop {
            let changes: Vec<Change> = {
                let mut waiting = self.shared.waiting();
                if waiting.is_empty() {
                    self.shared.state.send_replace(state);
                    return Ok(());
                }
                waiting.drain().map(|(_, change)| change).collect()
            };
            let set = move |trees: &Trees| changes.iter().try_for_each(|change| change.make(trees));
            self.blocking(trees, set).await?;
        }
    }

    /// Sets the rows of rollouts whose end the index may not know: after a kill, the few that were open.
    async fn mend_open(&self, store: &dyn RolloutStore) -> Result<(), Broken> {
        let open = store.open_markers().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the open markers cannot be listed; lists may be behind");
            Vec::new()
        });
        let mut gone = Vec::new();
        for thread in open {
            rebuild::set_row(store, self, thread).await.map_err(|error| Broken(error.to_string()))?;
            if matches!(store.shelf(thread).await, Err(ReadError::Missing(_))) {
                gone.push(thread);
            }
        }
        self.close_deleted(store, gone).await;
        Ok(())
    }

    /// Takes the marks of threads off that were deleted, and will never be loaded again.
    async fn close_deleted(&self, store: &dyn RolloutStore, gone: Vec<ThreadId>) {
        if gone.is_empty() || self.flush().await.is_err() {
            return;
        }
        if let Err(error) = store.mark_closed(gone).await {
            tracing::warn!(%error, "open markers of deleted threads stay for the next start");
        }
    }

    /// Adds rows of rollouts that have none: what was written when the power went, or what sled lost.
    async fn add_missing(&self, store: &dyn RolloutStore) {
        let threads = store.threads().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the rollouts cannot be listed; the index was not compared with them");
            Vec::new()
        });
        for thread in threads {
            match self.get(thread).await {
                Ok(Some(_)) => {}
                Ok(None) if rebuild::set_row(store, self, thread).await.is_ok() => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Gives the folder another name, in place of an earlier one that was set aside.
    async fn set_aside(&self) -> Result<(), Broken> {
        let path = self.shared.path.clone();
        let moved =
            self.shared.tasks.blocking("set index aside", Pool::Index, move || move_aside(&path)).await;
        moved.map_err(|panic| Broken(panic.to_string()))?.map_err(|error| Broken(error.to_string()))
    }

    async fn close(&self) {
        let last = self.shared.state.send_replace(State::Failed("the server stops".to_owned()));
        if let State::Building(trees, _) | State::Ready(trees) = last
            && let Err(error) = self.blocking(&trees, Trees::flush).await
        {
            tracing::warn!(%error, "the index was not flushed; the next start mends it");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        trees: &Trees,
        work: impl FnOnce(&Trees) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Broken> {
        let trees = trees.clone();
        let done = self.shared.tasks.blocking("index", Pool::Index, move || work(&trees)).await;
        done.map_err(|panic| Broken(panic.to_string()))?
    }

    /// Makes a change now, or when the index is open.
    async fn change(&self, change: Change) -> Result<(), IndexError> {
        match self.shared.trees_or_wait(&change)? {
            Some(trees) => self.on(&trees, move |trees| change.make(trees)).await,
            None => Ok(()),
        }
    }

    /// Runs work on the index as it is now. What fails makes the index be set aside.
    async fn on<T: Send + 'static>(
        &self,
        trees: &Trees,
        work: impl FnOnce(&Trees) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.blocking(trees, work).await.map_err(|Broken(reason)| {
            self.shared.broken.notify_one();
            IndexError::Unavailable(reason)
        })
    }

    /// The state, once `is_enough` or after the wait that a list may take.
    async fn state_when(&self, is_enough: fn(&State) -> bool) -> State {
        let mut states = self.shared.state.subscribe();
        let waited = timeout(policy::INDEX_LIST_WAIT, states.wait_for(is_enough)).await;
        match waited {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => self.shared.state.borrow().clone(),
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ThreadId, Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open trees; without them the change waits in memory.
    fn trees_or_wait(&self, change: &Change) -> Result<Option<Trees>, IndexError> {
        let mut waiting = self.waiting();
        match &*self.state.borrow() {
            State::Building(trees, _) | State::Ready(trees) => Ok(Some(trees.clone())),
            State::Failed(reason) => Err(IndexError::Unavailable(reason.clone())),
            State::Opening if waiting.len() >= policy::INDEX_WAITING => {
                Err(IndexError::Unavailable("too many rows wait for it to open".to_owned()))
            }
            State::Opening => {
                if waiting.get(&change.thread()).is_none_or(|there| change.follows(there)) {
                    waiting.insert(change.thread(), change.clone());
                }
                Ok(None)
            }
        }
    }
}

fn is_open(state: &State) -> bool {
    !matches!(state, State::Opening)
}

fn is_settled(state: &State) -> bool {
    matches!(state, State::Ready(_) | State::Failed(_))
}

fn move_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("aside");
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}

#[async_trait]
impl ThreadIndex for SledIndex {
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        self.change(Change::Set(Box::new(row), as_of)).await
    }

    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError> {
        self.change(Change::Remove(thread, as_of)).await
    }

    async fn list(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<ListPage, IndexError> {
        let from = cursor.map(|cursor| cursor.fits(filter.sort)).transpose()?.map(|cursor| cursor.key());
        let (trees, indexing) = match self.state_when(is_settled).await {
            State::Ready(trees) => (trees, None),
            State::Building(trees, indexing) => (trees, Some(indexing)),
            State::Opening => {
                return Ok(ListPage { indexing: Some(Indexing::default()), ..ListPage::default() });
            }
            State::Failed(reason) => return Err(IndexError::Unavailable(reason)),
        };
        let sort = filter.sort;
        let read = move |trees: &Trees| trees.list(&filter, from, limit.saturating_add(1));
        let rows = self.on(&trees, read).await?;
        Ok(ListPage { indexing, ..ListPage::of(rows, sort, limit) })
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        match self.state_when(is_open).await {
            State::Building(trees, _) | State::Ready(trees) => {
                self.on(&trees, move |trees| trees.get(thread)).await
            }
            State::Opening => Err(IndexError::Unavailable("it is being opened".to_owned())),
            State::Failed(reason) => Err(IndexError::Unavailable(reason)),
        }
    }

    async fn flush(&self) -> Result<(), IndexError> {
        match self.state_when(is_open).await {
            State::Building(trees, _) | State::Ready(trees) => self.on(&trees, Trees::flush).await,
            State::Opening => Err(IndexError::Unavailable("it is being opened".to_owned())),
            State::Failed(reason) => Err(IndexError::Unavailable(reason)),
        }
    }
}
