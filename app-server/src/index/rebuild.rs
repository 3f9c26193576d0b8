//! Makes the index anew from the rollouts, newest first, so that the first pages are right first.

use skein_protocol::ids::ThreadId;

use super::{IndexError, Indexing, ThreadIndex};
use crate::rollout::{ReadError, RolloutStore};
use crate::thread::history::History;

/// Why a rebuild did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The folders of rollouts cannot be read.
    #[error("the rollouts cannot be listed: {0}")]
    List(#[from] std::io::Error),
    /// The index takes no rows.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Reads every rollout and sets its row. A thread that is written meanwhile sets its own row; the later one stays. A
/// rollout that cannot be read is reported and passed over. Dropping the future between two threads loses nothing but
/// the work.
///
/// # Errors
/// [`RebuildError`].
pub async fn run(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    mut progress: impl FnMut(Indexing) + Send,
) -> Result<(), RebuildError> {
    let threads = store.threads().await?;
    let total = threads.len() as u64;
    progress(Indexing { done: 0, total });
    for (done, thread) in (1..).zip(threads) {
        set_row(store, index, thread).await?;
        progress(Indexing { done, total });
    }
    index.flush().await?;
    Ok(())
}

/// Sets one thread's row from its rollout. A thread in which nobody has said anything belongs into no list.
///
/// # Errors
/// [`IndexError`].
pub async fn set_row(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    thread: ThreadId,
) -> Result<(), IndexError> {
    match History::read_end(store, thread, 0).await {
        Ok(history) if history.is_materialised() => index.upsert(history.row(), history.seq()).await,
        Ok(_) | Err(ReadError::Missing(_)) => Ok(()),
        Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
            tracing::warn!(%thread, %error, "a thread is missing from the lists");
            Ok(())
        }
    }
}
