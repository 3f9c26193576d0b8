//! The index in sled 0.34, with precautions against its measured weaknesses.
//!
//! A task opens it within a time budget, and a panic in it counts as damage. A damaged index is set aside and rebuilt
//! from the rollouts. Until it is complete, lists wait a moment and then report the missing part. After a change of
//! the schema, the old index serves until the new one is made.
//!
//! Open markers and unflushed rows survive every end of the server, but not of the machine. So the index keeps the boot
//! id of its last comparison with the rollouts, and is compared again only after another boot. The row of a closed thread
//! has the number of its last record, so the comparison reads only the ends of rollouts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::extension::{IndexCounts, IndexState, IndexingDetails};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;
use skein_protocol::thread::SortDirection;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::changes::Changes;
use super::{Cursor, IndexError, Indexing, ListPage, SortKey, ThreadFilter, ThreadIndex, WalkBounds};
use crate::history::ThreadRow;
use crate::home::HomePaths;
use crate::policy;
use crate::rollout::RolloutStore;

mod broken;
mod change;
mod full;
mod keep;
mod look;
mod reindex;
mod schema;
mod slack;
#[cfg(test)]
mod tests;
mod trees;

use broken::Broken;
use change::{RowChange, add};
pub(crate) use look::IndexReader;
pub(crate) use reindex::reindex;
use trees::Trees;

/// The index. Clones share it.
#[derive(Clone)]
pub struct SledIndex {
    shared: Arc<IndexShared>,
}

struct IndexShared {
    home: HomePaths,
    /// The life of the storage.
    life: Uuid,
    tasks: Tasks,
    state: watch::Sender<SledState>,
    /// Changes from before the index was open. The state leaves `Opening` only under this lock.
    waiting: Mutex<HashMap<ThreadId, RowChange>>,
    broken: Notify,
    costs: Mutex<Costs>,
    /// Notifies the rows' listeners.
    changes: Arc<Changes>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// The duration of the last opening.
    open: Option<Duration>,
    /// The size of the files after the last flush, bytes.
    disk: u64,
}

#[derive(Debug, Clone)]
enum SledState {
    Opening,
    /// Rebuilt from the rollouts. Until it is ready an index of an earlier schema serves, if there is one: changes go
    /// to both.
    Building {
        trees: Trees,
        earlier: Option<Trees>,
        at: Indexing,
    },
    Ready {
        trees: Trees,
        /// The comparison with the rollouts after a possible power loss.
        comparing: Option<Indexing>,
        /// Why the disk takes no change. The index is read, and changes wait for room (`full.rs`).
        unwritable: Option<String>,
    },
    Failed(String),
}

impl SledState {
    fn ready(trees: Trees, comparing: Option<Indexing>) -> Self {
        Self::Ready { trees, comparing, unwritable: None }
    }
}

impl SledIndex {
    /// Starts the index of this home and returns at once. A task opens it, rebuilds it from `store` if needed, and
    /// flushes and closes it at `stop`. It compares it with the store once in each life of the storage.
    pub fn start(
        home: HomePaths,
        store: Arc<dyn RolloutStore>,
        tasks: &Tasks,
        changes: Arc<Changes>,
        stop: CancellationToken,
    ) -> Self {
        let index = Self::new(home, store.life(), tasks, SledState::Opening, changes);
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

    fn new(home: HomePaths, life: Uuid, tasks: &Tasks, state: SledState, changes: Arc<Changes>) -> Self {
        let shared = IndexShared {
            home,
            life,
            tasks: tasks.clone(),
            state: watch::Sender::new(state),
            waiting: Mutex::default(),
            broken: Notify::new(),
            costs: Mutex::default(),
            changes,
        };
        Self { shared: Arc::new(shared) }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        trees: &Trees,
        work: impl FnOnce(&Trees) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, Broken> {
        let trees = trees.clone();
        let judged = move || work(&trees).map_err(|broken| trees.judge(broken));
        let done = self.shared.tasks.blocking("index", BlockingPool::Index, judged).await;
        done.map_err(|panic| Broken::Damaged(panic.to_string()))?
    }

    /// Makes a change now, or once the index is open.
    async fn change(&self, change: RowChange) -> Result<(), IndexError> {
        self.change_all(vec![change]).await
    }

    /// Makes several changes, each like `change`.
    async fn change_all(&self, changes: Vec<RowChange>) -> Result<(), IndexError> {
        let threads: Vec<ThreadId> = changes.iter().map(RowChange::thread).collect();
        let made = self.make_changes(changes).await;
        // After the rows are set: a listener that reads from here on finds them.
        threads.into_iter().for_each(|thread| self.shared.changes.note(thread));
        made
    }

    async fn make_changes(&self, changes: Vec<RowChange>) -> Result<(), IndexError> {
        let Some((trees, earlier)) = self.shared.trees_or_wait(&changes)? else { return Ok(()) };
        let changes: Arc<[RowChange]> = changes.into();
        if let Some(earlier) = earlier {
            self.on_earlier(&earlier, RowChange::make_all(&changes)).await;
        }
        match self.on(&trees, RowChange::make_all(&changes)).await {
            Err(error @ IndexError::Unwritable(_)) => self.shared.wait_for_room(&changes, error),
            made => made,
        }
    }

    /// Runs work on the current index. Damage makes the task set the index aside; a refused write does not.
    async fn on<T: Send + 'static>(
        &self,
        trees: &Trees,
        work: impl FnOnce(&Trees) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, IndexError> {
        self.blocking(trees, work).await.map_err(|broken| self.shared.note(broken))
    }

    /// Runs work on the index of an earlier schema, which stops serving if the work fails.
    async fn on_earlier<T: Send + 'static>(
        &self,
        earlier: &Trees,
        work: impl FnOnce(&Trees) -> Result<T, Broken> + Send + 'static,
    ) -> Option<T> {
        match self.blocking(earlier, work).await {
            Ok(done) => Some(done),
            Err(Broken::Unwritable(reason)) => {
                tracing::warn!(%reason, "the index of an earlier version takes no change");
                None
            }
            Err(Broken::Damaged(reason) | Broken::Unread(reason)) => {
                tracing::warn!(%reason, "the index of an earlier version serves no longer");
                self.shared.state.send_modify(|state| {
                    if let SledState::Building { earlier, .. } = state {
                        *earlier = None;
                    }
                });
                None
            }
        }
    }

    /// The state, once `is_enough` accepts it, or after a list's longest wait.
    async fn state_when(&self, is_enough: fn(&SledState) -> bool) -> SledState {
        let mut states = self.shared.state.subscribe();
        let waited = timeout(policy::INDEX_LIST_WAIT, states.wait_for(is_enough)).await;
        match waited {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => self.shared.state.borrow().clone(),
        }
    }

    /// Waits until the index can answer a list: until it is settled, or has a full first page of the newest threads.
    /// A rebuild goes from the rollout that was written last downwards, so a thread outside the index was written,
    /// and so created, before those inside.
    async fn candidates_are_in(&self, filter: &ThreadFilter, from: Option<Cursor>, limit: usize) {
        let mut states = self.shared.state.subscribe();
        let newest_first = from.is_none() && filter.direction == SortDirection::Desc;
        let mut enough = (limit as u64).saturating_add(1);
        loop {
            let is_enough = |state: &SledState| match state {
                SledState::Building { earlier: None, at, .. } => newest_first && at.done >= enough,
                SledState::Building { earlier: Some(_), .. }
                | SledState::Ready { .. }
                | SledState::Failed(_) => true,
                SledState::Opening => false,
            };
            let Ok(state) = states.wait_for(is_enough).await.map(|state| state.clone()) else { return };
            let SledState::Building { trees, earlier: None, at } = state else { return };
            let (filter, most) = (filter.clone(), limit.saturating_add(1));
            let reach = WalkBounds { rows: most, places: policy::LIST_PLACES };
            let is_there = move |trees: &Trees| {
                let walked = trees.list(&filter, None, reach)?;
                let full = walked.rows.len() == most || walked.stopped.is_some();
                let oldest = trees.first_change(filter.archived)?;
                let made = |row: &ThreadRow| {
                    filter.sort == SortKey::Updated || oldest.is_none_or(|at| row.created >= at)
                };
                Ok(full && walked.rows.last().is_none_or(made))
            };
            match self.on(&trees, is_there).await {
                Ok(false) => enough = at.done.saturating_mul(2),
                Ok(true) | Err(_) => return,
            }
        }
    }

    async fn flush_trees(&self, trees: &Trees) -> Result<(), IndexError> {
        let disk = self.on(trees, Trees::flush).await?;
        self.shared.costs().disk = disk;
        Ok(())
    }
}

impl IndexShared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<ThreadId, RowChange>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open trees; without them the changes wait in memory.
    fn trees_or_wait(&self, changes: &[RowChange]) -> Result<Option<OpenIndex>, IndexError> {
        let mut waiting = self.waiting();
        match &*self.state.borrow() {
            SledState::Building { trees, earlier, .. } => Ok(Some((trees.clone(), earlier.clone()))),
            SledState::Ready { trees, unwritable: None, .. } => Ok(Some((trees.clone(), None))),
            SledState::Failed(reason) => Err(IndexError::Unavailable(reason.clone())),
            SledState::Opening | SledState::Ready { unwritable: Some(_), .. }
                if waiting.len().saturating_add(changes.len()) > policy::INDEX_WAITING =>
            {
                Err(IndexError::Unavailable("too many rows wait for it".to_owned()))
            }
            SledState::Opening | SledState::Ready { unwritable: Some(_), .. } => {
                add(&mut waiting, changes);
                Ok(None)
            }
        }
    }

    /// Keeps changes in memory, in any state.
    fn wait(&self, changes: &[RowChange]) {
        add(&mut self.waiting(), changes);
    }
}

fn is_open(state: &SledState) -> bool {
    !matches!(state, SledState::Opening)
}

#[async_trait]
impl ThreadIndex for SledIndex {
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        self.change(RowChange::Set(Box::new(row), as_of)).await
    }

    async fn upsert_all(&self, rows: Vec<(ThreadRow, EventSeq)>) -> Result<(), IndexError> {
        self.change_all(rows.into_iter().map(|(row, as_of)| RowChange::Set(Box::new(row), as_of)).collect())
            .await
    }

    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError> {
        self.change(RowChange::Remove(thread, as_of)).await
    }

    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError> {
        self.change(RowChange::Begin(thread)).await
    }

    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError> {
        let from = cursor.map(|cursor| cursor.fits(filter.sort)).transpose()?;
        let (sort, limit) = (filter.sort, reach.rows);
        let reach = WalkBounds { rows: limit.saturating_add(1), ..reach };
        let (trees, indexing) = loop {
            // Too late: the list has the current rows, and says that it is incomplete.
            timeout(policy::INDEX_LIST_WAIT, self.candidates_are_in(&filter, from, limit)).await.ok();
            let state = self.shared.state.borrow().clone();
            match state {
                SledState::Ready { trees, comparing, .. } => break (trees, comparing),
                SledState::Building { trees, earlier: None, at } => break (trees, Some(at)),
                SledState::Building { earlier: Some(earlier), .. } => {
                    let filter = filter.clone();
                    let read = move |trees: &Trees| trees.list(&filter, from, reach);
                    // An unreadable earlier index is gone: the answer is the same as without it.
                    if let Some(walked) = self.on_earlier(&earlier, read).await {
                        return Ok(ListPage::of(walked, sort, limit));
                    }
                }
                SledState::Opening => {
                    return Ok(ListPage { indexing: Some(Indexing::default()), ..ListPage::default() });
                }
                SledState::Failed(reason) => return Err(IndexError::Unavailable(reason)),
            }
        };
        let late = self.shared.late();
        let list = move |trees: &Trees| {
            let walked = trees.list(&filter, from, reach)?;
            Ok(late.over(walked, &filter, from, reach))
        };
        let walked = self.on(&trees, list).await?;
        Ok(ListPage { indexing, ..ListPage::of(walked, sort, limit) })
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        let (trees, earlier) = open_of(self.state_when(is_open).await)?;
        let late = self.shared.late();
        let found = self.on(&trees, move |trees| late.get(trees, thread)).await?;
        match earlier {
            Some(earlier) if found.is_none() => {
                Ok(self.on_earlier(&earlier, move |earlier| earlier.get(thread)).await.flatten())
            }
            Some(_) | None => Ok(found),
        }
    }

    async fn rows(&self, threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError> {
        let late = self.shared.late();
        let read = move |trees: &Trees| {
            let rows = threads.into_iter().filter_map(|thread| late.get(trees, thread).transpose());
            rows.map(|row| row.map(|(row, _)| row)).collect::<Result<_, Broken>>()
        };
        match self.state_when(is_open).await {
            SledState::Ready { trees, comparing: None, .. } => self.on(&trees, read).await.map(Some),
            SledState::Building { earlier: Some(earlier), .. } => Ok(self.on_earlier(&earlier, read).await),
            SledState::Failed(reason) => Err(IndexError::Unavailable(reason)),
            SledState::Opening
            | SledState::Building { earlier: None, .. }
            | SledState::Ready { comparing: Some(_), .. } => Ok(None),
        }
    }

    async fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError> {
        let trees = match self.state_when(is_open).await {
            SledState::Ready { trees, comparing: None, .. } => trees,
            SledState::Failed(reason) => return Err(IndexError::Unavailable(reason)),
            SledState::Opening | SledState::Building { .. } | SledState::Ready { comparing: Some(_), .. } => {
                return Ok(None);
            }
        };
        self.on(&trees, move |trees| trees.ends(below, limit)).await.map(Some)
    }

    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError> {
        let state = self.shared.state.borrow().clone();
        match state {
            SledState::Ready { trees, .. } | SledState::Building { trees, earlier: None, .. } => {
                self.on(&trees, move |trees| trees.directories(limit)).await
            }
            SledState::Building { earlier: Some(earlier), .. } => {
                let read = move |trees: &Trees| trees.directories(limit);
                Ok(self.on_earlier(&earlier, read).await.unwrap_or_default())
            }
            SledState::Opening | SledState::Failed(_) => Ok(Vec::new()),
        }
    }

    async fn flush(&self) -> Result<(), IndexError> {
        let state = self.state_when(is_open).await;
        if let SledState::Ready { unwritable: Some(reason), .. } = state {
            return Err(IndexError::Unwritable(reason));
        }
        let (trees, earlier) = open_of(state)?;
        if let Some(earlier) = earlier {
            self.on_earlier(&earlier, Trees::flush).await;
        }
        self.flush_trees(&trees).await
    }

    fn needs_you(&self) -> NeedsYou {
        match &*self.shared.state.borrow() {
            SledState::Opening | SledState::Failed(_) => NeedsYou::default(),
            SledState::Building { earlier: Some(trees), .. }
            | SledState::Building { trees, earlier: None, .. }
            | SledState::Ready { trees, .. } => trees.needs_you(),
        }
    }

    fn counts(&self) -> IndexCounts {
        let (state, content, indexing) = match &*self.shared.state.borrow() {
            SledState::Opening => (IndexState::Opening, 0, Some(Indexing::default())),
            SledState::Building { trees, earlier: None, at } => {
                (IndexState::Building, trees.content(), Some(*at))
            }
            SledState::Building { trees, earlier: Some(_), at } => {
                (IndexState::Replacing, trees.content(), Some(*at))
            }
            SledState::Ready { trees, comparing, .. } => (IndexState::Ready, trees.content(), *comparing),
            SledState::Failed(_) => (IndexState::Failed, 0, None),
        };
        let Costs { open, disk } = *self.shared.costs();
        IndexCounts {
            state,
            open_ms: open.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            disk_bytes: disk,
            content_bytes: content,
            disk_percent: disk.saturating_mul(100).checked_div(content),
            indexing: indexing.map(|at| IndexingDetails { done: at.done, total: at.total }),
        }
    }
}

/// The maintained index, and the earlier one that serves until it is ready.
type OpenIndex = (Trees, Option<Trees>);

fn open_of(state: SledState) -> Result<OpenIndex, IndexError> {
    match state {
        SledState::Building { trees, earlier, .. } => Ok((trees, earlier)),
        SledState::Ready { trees, .. } => Ok((trees, None)),
        SledState::Opening => Err(IndexError::Unavailable("it is being opened".to_owned())),
        SledState::Failed(reason) => Err(IndexError::Unavailable(reason)),
    }
}
