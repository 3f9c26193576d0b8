//! Makes the index anew from the rollouts, newest first, so that the first pages are right first.

use skein_protocol::ids::{EventSeq, ThreadId};

use super::{IndexError, Indexing, ThreadIndex, ThreadRow};
use crate::rollout::{ReadError, RolloutStore, Shelf};
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

/// Sets one thread's row from its rollout. A thread in which nobody has said anything belongs into no list; one that was
/// deleted is taken off.
///
/// # Errors
/// [`IndexError`].
pub async fn set_row(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    thread: ThreadId,
) -> Result<(), IndexError> {
    match History::read_end(store, thread, 0).await {
        Ok(history) if history.is_materialised() => put_row(store, index, history.row(), history.seq()).await,
        Ok(_) => Ok(()),
        Err(ReadError::Missing(_)) => compare(store, index, thread).await,
        Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
            tracing::warn!(%thread, %error, "a thread is missing from the lists");
            Ok(())
        }
    }
}

/// Sets a row with the shelf that the rollout stands on. Whoever puts it elsewhere meanwhile sets the row behind that; so
/// the place is looked at again afterwards.
///
/// # Errors
/// [`IndexError`].
pub async fn put_row(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    mut row: ThreadRow,
    as_of: EventSeq,
) -> Result<(), IndexError> {
    let mut set = None;
    loop {
        match store.shelf(row.id).await {
            Ok(shelf) if set == Some(shelf) => return Ok(()),
            Ok(shelf) => {
                row.archived = shelf == Shelf::Archive;
                index.upsert(row.clone(), as_of).await?;
                set = Some(shelf);
            }
            Err(ReadError::Missing(_)) => return index.remove(row.id, as_of).await,
            Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
                tracing::warn!(thread = %row.id, %error, "it is not known which list shows this thread");
                return Ok(());
            }
        }
    }
}

/// Takes a row off whose thread has no rollout any more.
///
/// # Errors
/// [`IndexError`].
pub async fn compare(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    thread: ThreadId,
) -> Result<(), IndexError> {
    match (index.get(thread).await?, store.shelf(thread).await) {
        (Some((_, as_of)), Err(ReadError::Missing(_))) => index.remove(thread, as_of).await,
        (None, _) | (_, Ok(_) | Err(ReadError::Unreadable { .. } | ReadError::Disk { .. })) => Ok(()),
    }
}
