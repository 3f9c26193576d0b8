//! Rebuilds the index of a home without a server, beside the old one, and replaces it at the end: an interrupted run
//! changes nothing.

use std::sync::Arc;

use skein_base::tasks::{BlockingPool, Tasks};

use super::schema::{self, Schema};
use super::trees::Trees;
use super::{SledIndex, SledState};
use crate::home::{HomePaths, folders};
use crate::index::{IndexError, Indexing, rebuild};
use crate::rollout::RolloutStore;

/// Rebuilds the index. The caller owns the home.
///
/// # Errors
/// [`rebuild::RebuildError`]; the old index is still there.
pub(crate) async fn reindex(
    home: &HomePaths,
    store: &dyn RolloutStore,
    tasks: &Tasks,
    progress: impl FnMut(Indexing) + Send,
) -> Result<(), rebuild::RebuildError> {
    let (place, beside) = {
        let place = Schema::CURRENT.folder(home);
        (place.clone(), place.with_extension("new"))
    };
    let path = beside.clone();
    let trees = on_pool(tasks, move || {
        folders::remove(&path)?;
        Trees::open(&path, Schema::CURRENT).map_err(std::io::Error::other)
    });
    let trees = trees.await?;
    let life = store.life();
    let building = SledState::Building { trees: trees.clone(), earlier: None, at: Indexing::default() };
    let index = SledIndex::new(home.clone(), life, tasks, building, Arc::default());
    rebuild::run(store, &index, progress).await?;
    let complete = index.on(&trees, move |trees| trees.set_complete(life)).await;
    complete?;
    drop(index);
    let home = home.clone();
    on_pool(tasks, move || {
        drop(trees);
        folders::replace(&beside, &place)?;
        schema::remove_others(&home)
    })
    .await?;
    Ok(())
}

async fn on_pool<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, IndexError> {
    let done = tasks.blocking("reindex", BlockingPool::Index, work).await;
    let done = done.map_err(|panic| IndexError::Unavailable(panic.to_string()))?;
    done.map_err(|error| IndexError::Unavailable(error.to_string()))
}
