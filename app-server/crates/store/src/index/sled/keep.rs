//! The task that maintains an index. It opens it, rebuilds it if needed, compares it with the rollouts after a
//! possible power loss, and replaces an unusable one.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use skein_base::clock::Clock;
use skein_base::tasks::BlockingPool;
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::time::timeout;

use super::broken::Broken;
use super::schema::{self, Schema};
use super::trees::Trees;
use super::{RowChange, SledIndex, SledState};
use crate::home::folders;
use crate::index::{IndexError, Indexing, ThreadIndex, rebuild};
use crate::policy;
use crate::rollout::{Location, ReadError, RolloutStore};

/// Rollouts whose end the index may lack.
async fn marked(store: &dyn RolloutStore) -> Vec<ThreadId> {
    store.open_markers().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the open markers cannot be listed; lists may be behind");
        Vec::new()
    })
}

/// A row compared with its rollout.
enum RowState {
    Right,
    /// The rollout has more records, or another location; or the row is missing.
    Behind,
    /// The row reflects records that the rollout has lost.
    Ahead,
}

impl SledIndex {
    /// Maintains an index: sets a damaged one aside, and retries after a pause if a new one is unusable too. An index
    /// on a read-only or full disk stays, and is reopened when there is room.
    pub(super) async fn serve(&self, store: &dyn RolloutStore) {
        let mut failures = 0;
        loop {
            let opened = self.open(store).await;
            if let Ok(trees) = &opened {
                failures = 0;
                self.compare(store, trees).await;
            }
            let opened = opened.map(drop);
            if self.outlasts(&opened).await {
                self.shared.state.send_replace(SledState::Opening);
                continue;
            }
            self.shared.state.send_replace(SledState::Opening);
            let aside =
                self.on_folders("set index aside", |home| folders::set_aside(&Schema::CURRENT.folder(home)));
            if let Err(broken) = opened.and(aside.await) {
                failures += 1;
                tracing::error!(%broken, failures, "the index cannot be used");
                if failures > 1 {
                    self.shared.state.send_replace(SledState::Failed(broken.to_string()));
                    tokio::time::sleep(policy::INDEX_RETRY).await;
                }
            }
        }
    }

    /// Opens the index, and makes it ready.
    async fn open(&self, store: &dyn RolloutStore) -> Result<Trees, Broken> {
        let began = Clock.now();
        let (trees, complete) = self.open_folder(Schema::CURRENT).await?;
        self.shared.costs().open = Some(Clock.now().saturating_duration_since(began));
        match self.make_ready(store, &trees, complete).await {
            Err(Broken::Unwritable(reason)) if complete => self.serve_unwritable(trees.clone(), reason),
            made => made?,
        }
        Ok(trees)
    }

    /// Sets the waiting rows, and rebuilds the index if it is incomplete.
    async fn make_ready(
        &self,
        store: &dyn RolloutStore,
        trees: &Trees,
        complete: bool,
    ) -> Result<(), Broken> {
        let earlier = if complete { None } else { self.open_earlier().await };
        if !complete {
            // Rows of an index that was never complete would not be checked again.
            self.blocking(trees, Trees::clear).await?;
        }
        // Before any flush: a marker is removed only after a flush, so none is missed here.
        let open = marked(store).await;
        let (kept, at) = (trees.clone(), Indexing::default());
        self.let_in(
            trees,
            earlier.as_ref(),
            SledState::Building { trees: kept, earlier: earlier.clone(), at },
        )
        .await?;
        if complete || earlier.is_some() {
            self.mend_open(store, trees, open).await?;
        }
        drop(earlier);
        let life = self.shared.life;
        let disk = if complete {
            self.blocking(trees, Trees::flush).await?
        } else {
            rebuild::run(store, self, |at| self.set_progress(at)).await?;
            self.blocking(trees, move |trees| trees.set_complete(life)).await?
        };
        self.shared.costs().disk = disk;
        let is_compared = self.blocking(trees, Trees::compared).await? == Some(life);
        let ready = SledState::ready(trees.clone(), (!is_compared).then(Indexing::default));
        let before = self.shared.state.send_replace(ready);
        let removed = self.on_folders("remove other indexes", move |home| {
            // Closes the earlier index here, where it may take its time.
            drop(before);
            schema::remove_others(home)
        });
        if let Err(reason) = removed.await {
            tracing::warn!(%reason, "the index of another version cannot be removed; the next start removes it");
        }
        Ok(())
    }

    /// Opens the index of this schema, and returns whether it is complete.
    async fn open_folder(&self, schema: Schema) -> Result<(Trees, bool), Broken> {
        let path = schema.folder(&self.shared.home);
        let opening = self.shared.tasks.blocking("open index", BlockingPool::Index, move || {
            let trees = Trees::open(&path, schema)?;
            let complete = trees.is_complete()?;
            Ok::<_, Broken>((trees, complete))
        });
        let opened = timeout(policy::INDEX_OPEN_BUDGET, opening).await;
        let late = |_| Broken::Damaged(format!("it did not open within {:?}", policy::INDEX_OPEN_BUDGET));
        opened.map_err(late)?.map_err(|panic| Broken::Damaged(panic.to_string()))?
    }

    /// The newest complete index of an earlier schema.
    async fn open_earlier(&self) -> Option<Trees> {
        for schema in Schema::EARLIER {
            if !schema.folder(&self.shared.home).is_dir() {
                continue;
            }
            match self.open_folder(schema).await {
                Ok((trees, true)) => {
                    tracing::info!(
                        ?schema,
                        "an index of an earlier version serves until the new one is made"
                    );
                    return Some(trees);
                }
                Ok((_, false)) => {}
                Err(reason) => tracing::warn!(%reason, "the index of an earlier version cannot serve"),
            }
        }
        None
    }

    /// Sets the waiting rows, then the state.
    async fn let_in(&self, trees: &Trees, earlier: Option<&Trees>, state: SledState) -> Result<(), Broken> {
        loop {
            let changes: Vec<RowChange> = {
                let mut waiting = self.shared.waiting();
                if waiting.is_empty() {
                    self.shared.state.send_replace(state);
                    return Ok(());
                }
                waiting.drain().map(|(_, change)| change).collect()
            };
            let changes: Arc<[RowChange]> = changes.into();
            if let Some(earlier) = earlier {
                self.on_earlier(earlier, RowChange::make_all(&changes)).await;
            }
            if let Err(broken) = self.blocking(trees, RowChange::make_all(&changes)).await {
                // No other place has these changes.
                self.shared.wait(&changes);
                return Err(broken);
            }
        }
    }

    /// Sets the rows of rollouts whose end the index may lack: the few open ones after a kill, and imported ones
    /// after an import.
    async fn mend_open(
        &self,
        store: &dyn RolloutStore,
        trees: &Trees,
        open: Vec<ThreadId>,
    ) -> Result<(), Broken> {
        for thread in open {
            self.settle(store, trees, thread).await?;
        }
        Ok(())
    }

    /// Compares every row with its rollout after a boot, which may have lost open markers and the index's last
    /// writes. Sets the row if it is missing, behind, or made from lost records. Lists report the comparison.
    pub(super) async fn compare(&self, store: &dyn RolloutStore, trees: &Trees) {
        match &*self.shared.state.borrow() {
            SledState::Ready { comparing: Some(_), unwritable: None, .. } => {}
            SledState::Ready { .. }
            | SledState::Opening
            | SledState::Building { .. }
            | SledState::Failed(_) => return,
        }
        let threads = match store.threads().await {
            Ok(threads) => self.and_rows_without(trees, threads).await,
            Err(error) => {
                tracing::warn!(%error, "the rollouts cannot be listed; the next start compares them with the index");
                return;
            }
        };
        let total = threads.len() as u64;
        self.set_progress(Indexing { done: 0, total });
        // Looks and mends in one step: a look that is left alone might hold the permit that the mending waits for.
        let settle = |thread| self.settle(store, trees, thread);
        let settled = stream::iter(threads).map(settle).buffered(policy::REBUILD_READS);
        let mut settled = pin!(settled.zip(stream::iter(1..)));
        while let Some((settled, done)) = settled.next().await {
            if settled.is_err() {
                return;
            }
            self.set_progress(Indexing { done, total });
        }
        self.note_compared(trees, total).await;
    }

    /// These threads, and behind them the threads that have only a row.
    async fn and_rows_without(&self, trees: &Trees, mut threads: Vec<ThreadId>) -> Vec<ThreadId> {
        let rows = self.blocking(trees, Trees::threads).await.unwrap_or_default();
        let there: HashSet<ThreadId> = threads.iter().copied().collect();
        threads.extend(rows.into_iter().filter(|thread| !there.contains(thread)));
        threads
    }

    /// Compares a thread's row with its rollout, and sets it if it is wrong.
    async fn settle(
        &self,
        store: &dyn RolloutStore,
        trees: &Trees,
        thread: ThreadId,
    ) -> Result<(), IndexError> {
        match self.standing(store, thread).await {
            Ok(RowState::Right) => Ok(()),
            Ok(RowState::Behind) => rebuild::set_row(store, self, thread).await,
            Ok(RowState::Ahead) => self.make_row_anew(store, trees, thread).await,
            Err(broken) => {
                tracing::warn!(%thread, %broken, "the row of a thread was not compared with its rollout");
                Ok(())
            }
        }
    }

    /// Rebuilds the row of a thread, whatever record the old row names.
    pub(super) async fn make_row_anew(
        &self,
        store: &dyn RolloutStore,
        trees: &Trees,
        thread: ThreadId,
    ) -> Result<(), IndexError> {
        // A row that names a later record would stay otherwise.
        self.on(trees, move |trees| trees.remove(thread, EventSeq(0))).await?;
        rebuild::set_row(store, self, thread).await
    }

    async fn note_compared(&self, trees: &Trees, total: u64) {
        let life = self.shared.life;
        let Ok(disk) = self.on(trees, move |trees| trees.set_compared(life)).await else { return };
        self.shared.costs().disk = disk;
        tracing::info!(total, "the index was compared with the rollouts after a boot of the machine");
        self.shared.state.send_modify(|state| {
            if let SledState::Ready { comparing, .. } = state {
                *comparing = None;
            }
        });
    }

    async fn standing(&self, store: &dyn RolloutStore, thread: ThreadId) -> Result<RowState, Broken> {
        let row = self.get(thread).await?;
        let Some((row, as_of)) = row else { return Ok(RowState::Behind) };
        match (store.head(thread).await, store.location(thread).await) {
            (Ok(head), Ok(_)) if as_of > head => Ok(RowState::Ahead),
            (Ok(head), Ok(location)) if as_of < head || row.archived != (location == Location::Archived) => {
                Ok(RowState::Behind)
            }
            (Ok(_), Ok(_)) => Ok(RowState::Right),
            (Err(ReadError::Missing(_)), _) | (_, Err(ReadError::Missing(_))) => Ok(RowState::Behind),
            (
                Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. } | ReadError::Away { .. })),
                _,
            )
            | (
                _,
                Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. } | ReadError::Away { .. })),
            ) => Err(Broken::Damaged(error.to_string())),
        }
    }

    fn set_progress(&self, progress: Indexing) {
        self.shared.state.send_modify(|state| match state {
            SledState::Building { at, .. } => *at = progress,
            SledState::Ready { comparing, .. } => *comparing = Some(progress),
            SledState::Opening | SledState::Failed(_) => {}
        });
    }

    pub(super) async fn on_folders(
        &self,
        name: &'static str,
        work: impl FnOnce(&crate::home::HomePaths) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Broken> {
        let home = self.shared.home.clone();
        let done = self.shared.tasks.blocking(name, BlockingPool::Index, move || work(&home)).await;
        Ok(done.map_err(|panic| Broken::Damaged(panic.to_string()))??)
    }

    pub(super) async fn close(&self) {
        let last = self.shared.state.send_replace(SledState::Failed("the server stops".to_owned()));
        let (trees, earlier) = match last {
            SledState::Building { trees, earlier, .. } => (trees, earlier),
            SledState::Ready { trees, .. } => (trees, None),
            SledState::Opening | SledState::Failed(_) => return,
        };
        for trees in [Some(trees), earlier].into_iter().flatten() {
            if let Err(error) = self.blocking(&trees, Trees::flush).await {
                tracing::warn!(%error, "the index was not flushed; the next start mends it");
            }
        }
    }
}
