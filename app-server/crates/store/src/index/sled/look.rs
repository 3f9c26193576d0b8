//! Opens the index of a home without a server, to compare it with the rollouts row by row.

use std::path::PathBuf;
use std::sync::Arc;

use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::ids::{EventSeq, ThreadId};
use uuid::Uuid;

use super::broken::Broken;
use super::schema::Schema;
use super::trees::Trees;
use super::{SledIndex, SledState};
use crate::history::ThreadRow;
use crate::home::HomePaths;
use crate::index::{IndexError, ThreadIndex};
use crate::rollout::RolloutStore;

/// A complete index. The caller keeps servers away from the home.
pub(crate) struct IndexReader {
    index: SledIndex,
    trees: Trees,
}

impl IndexReader {
    pub(crate) fn folder(home: &HomePaths) -> PathBuf {
        Schema::CURRENT.folder(home)
    }

    /// Opens the index; `None` if there is none, or it was never complete: the next server makes it.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`] if it cannot be opened.
    pub(crate) async fn open(home: &HomePaths, tasks: &Tasks) -> Result<Option<Self>, IndexError> {
        let folder = Self::folder(home);
        if !folder.is_dir() {
            return Ok(None);
        }
        let opened = tasks.blocking("open index", BlockingPool::Index, move || {
            let trees = Trees::open(&folder, Schema::CURRENT)?;
            Ok::<_, Broken>(trees.is_complete()?.then_some(trees))
        });
        let unavailable = |reason: String| IndexError::Unavailable(reason);
        let opened = opened.await.map_err(|panic| unavailable(panic.to_string()))?;
        let Some(trees) = opened.map_err(|broken| unavailable(broken.to_string()))? else { return Ok(None) };
        let state = SledState::ready(trees.clone(), None);
        Ok(Some(Self {
            index: SledIndex::new(home.clone(), Uuid::nil(), tasks, state, Arc::default()),
            trees,
        }))
    }

    /// Every thread with a row.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    pub(crate) async fn threads(&self) -> Result<Vec<ThreadId>, IndexError> {
        self.index.on(&self.trees, Trees::threads).await
    }

    /// The row of a thread, and the record that it reflects.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    pub(crate) async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        self.index.get(thread).await
    }

    /// Rebuilds the row of a thread from its rollout, whatever the old row says.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    pub(crate) async fn mend(&self, store: &dyn RolloutStore, thread: ThreadId) -> Result<(), IndexError> {
        self.index.make_row_anew(store, &self.trees, thread).await?;
        self.index.flush().await
    }
}
