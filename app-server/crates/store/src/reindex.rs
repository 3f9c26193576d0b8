//! Makes a new index for a home that no server uses.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::Clock;
use skein_base::tasks::Tasks;

use crate::home::{Home, HomeError, existing};
use crate::index::rebuild::RebuildError;
use crate::index::{Indexing, sled};
use crate::rollout::RolloutStore;
use crate::rollout::file::FileStore;
use crate::rollout::file::layer::DiskLayer;

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reindexed {
    /// Rollouts that were read, or reported as unreadable.
    pub threads: u64,
    /// The duration of the run.
    pub took: Duration,
}

/// Why the index was not made. The old one is still in its place.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// There is no home, or another process holds its lock.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The rollouts cannot be reached.
    #[error("the rollouts in the home cannot be reached: {0}")]
    Store(#[source] io::Error),
    /// The index cannot be made.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

/// Takes the home, makes a new index beside the old one, and puts it in the old one's place.
///
/// # Errors
/// [`ReindexError`]; [`HomeError::Served`] if another process holds the home.
pub async fn run(home: &Path, mut progress: impl FnMut(Indexing) + Send) -> Result<Reindexed, ReindexError> {
    existing(home)?;
    let home = Home::take(home, "reindex")?;
    let (tasks, began) = (Tasks::new(), Clock.now());
    let store = FileStore::open(home.paths(), Arc::new(DiskLayer), tasks.clone());
    let store: Arc<dyn RolloutStore> = Arc::new(store.map_err(ReindexError::Store)?);
    let mut threads = 0;
    let report = |at: Indexing| {
        threads = at.done;
        progress(at);
    };
    let done = sled::reindex(home.paths(), &*store, &tasks, report).await;
    tasks.finish().await;
    done?;
    Ok(Reindexed { threads, took: Clock.now().saturating_duration_since(began) })
}
