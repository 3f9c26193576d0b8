//! Makes the index from the rollouts, newest first, so that the first pages are right first.

use std::collections::HashSet;
use std::pin::pin;

use futures_util::{StreamExt, stream};
use skein_protocol::ids::{EventSeq, ThreadId};

use super::{IndexError, Indexing, ThreadIndex};
use crate::history::{History, ThreadRow};
use crate::policy;
use crate::rollout::{Location, ReadError, RolloutStore};

/// Why a rebuild did not finish.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The folders of rollouts cannot be read.
    #[error("the rollouts cannot be listed: {0}")]
    List(#[from] std::io::Error),
    /// The index takes no rows.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Reads every rollout and sets its row. A thread with new records meanwhile sets its own row, and the later one
/// stays. Reports and skips an unreadable rollout. Dropping the future loses only work.
pub async fn run(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    mut progress: impl FnMut(Indexing) + Send,
) -> Result<(), RebuildError> {
    let threads = store.threads().await?;
    let total = threads.len() as u64;
    progress(Indexing { done: 0, total });
    let archived: HashSet<ThreadId> = store.archived().await?.into_iter().collect();
    let mut done = 0;
    let read = |thread| read_row(store, thread, archived.contains(&thread));
    let set = |read: Vec<RolloutRow>| set_rows(store, index, read);
    let reads = stream::iter(threads).map(read).buffered(policy::REBUILD_READS);
    let mut steps = pin!(reads.ready_chunks(policy::REBUILD_STEP).map(set).buffered(policy::REBUILD_STEPS));
    while let Some(step) = steps.next().await {
        done += step?;
        progress(Indexing { done, total });
    }
    index.flush().await?;
    Ok(())
}

enum RolloutRow {
    /// This row, as of this record.
    Row(Box<ThreadRow>, EventSeq),
    /// No row: the thread has no message, or nobody can read it.
    None,
    /// The rollout does not exist any more.
    Missing(ThreadId),
}

async fn read_row(store: &dyn RolloutStore, thread: ThreadId, archived: bool) -> RolloutRow {
    match History::read_end(store, thread, 0).await {
        Ok(history) if history.is_materialised() => {
            let row = ThreadRow { archived, ..history.row() };
            RolloutRow::Row(Box::new(row), history.seq())
        }
        Ok(_) => RolloutRow::None,
        Err(ReadError::Missing(_)) => RolloutRow::Missing(thread),
        Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. } | ReadError::Away { .. })) => {
            tracing::warn!(%thread, %error, "a thread is missing from the lists");
            RolloutRow::None
        }
    }
}

/// Sets the rows of some threads, and sets those again whose rollouts have moved since. Returns the number of
/// threads.
async fn set_rows(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    read: Vec<RolloutRow>,
) -> Result<u64, IndexError> {
    let count = read.len() as u64;
    let mut rows = Vec::new();
    for one in read {
        match one {
            RolloutRow::Row(row, as_of) => rows.push((*row, as_of)),
            RolloutRow::None => {}
            RolloutRow::Missing(thread) => compare(store, index, thread).await?,
        }
    }
    index.upsert_all(rows.clone()).await?;
    let locations = store.locations(rows.iter().map(|(row, _)| row.id).collect()).await;
    let locations = locations.unwrap_or_else(|error| {
        tracing::warn!(%error, "the locations of some threads are unknown; lists may show them wrongly");
        Vec::new()
    });
    for ((row, as_of), location) in rows.into_iter().zip(locations) {
        if location != Some(location_of(&row)) {
            put_row(store, index, row, as_of).await?;
        }
    }
    Ok(count)
}

fn location_of(row: &ThreadRow) -> Location {
    if row.archived { Location::Archived } else { Location::Active }
}

/// Sets one thread's row from its rollout. A thread without a message belongs into no list; a deleted one loses its
/// row.
pub async fn set_row(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    thread: ThreadId,
) -> Result<(), IndexError> {
    match read_row(store, thread, false).await {
        RolloutRow::Row(row, as_of) => put_row(store, index, *row, as_of).await,
        RolloutRow::None => Ok(()),
        RolloutRow::Missing(thread) => compare(store, index, thread).await,
    }
}

/// Sets a row with the rollout's location. A concurrent move sets the row behind its end, so the location is read
/// again afterwards.
pub async fn put_row(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    mut row: ThreadRow,
    as_of: EventSeq,
) -> Result<(), IndexError> {
    let mut set = None;
    loop {
        match store.location(row.id).await {
            Ok(location) if set == Some(location) => return Ok(()),
            Ok(location) => {
                row.archived = location == Location::Archived;
                index.upsert(row.clone(), as_of).await?;
                set = Some(location);
            }
            Err(ReadError::Missing(_)) => return index.remove(row.id, as_of).await,
            // The caller tries again, or leaves that to the next start.
            Err(ReadError::Away { why, .. }) => return Err(IndexError::Away(why)),
            Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
                tracing::warn!(thread = %row.id, %error, "the location of a thread is unknown; lists may show it wrongly");
                return Ok(());
            }
        }
    }
}

/// Removes the row of a thread without a rollout.
pub async fn compare(
    store: &dyn RolloutStore,
    index: &dyn ThreadIndex,
    thread: ThreadId,
) -> Result<(), IndexError> {
    match (index.get(thread).await?, store.location(thread).await) {
        (Some((_, as_of)), Err(ReadError::Missing(_))) => index.remove(thread, as_of).await,
        (Some(_), Err(ReadError::Away { why, .. })) => Err(IndexError::Away(why)),
        (None, _) | (_, Ok(_) | Err(ReadError::Unreadable { .. } | ReadError::Disk { .. })) => Ok(()),
    }
}
