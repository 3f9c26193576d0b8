//! An index in memory: for tests of what stands above it, and the order that the other one is compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::extension::{IndexCounts, IndexState};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::SortDirection;

use super::{Cursor, Found, IndexError, ListPage, ThreadFilter, ThreadIndex, ThreadRow};
use crate::clock::WallMs;

/// An index that ends with the process, and is always complete.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    /// Without a row where one was removed.
    rows: Mutex<BTreeMap<ThreadId, (Option<ThreadRow>, EventSeq)>>,
}

impl MemoryIndex {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<ThreadId, (Option<ThreadRow>, EventSeq)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ThreadIndex for MemoryIndex {
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        let mut rows = self.rows();
        let newer = |(row, there): &(Option<ThreadRow>, EventSeq)| match row {
            Some(_) => *there <= as_of,
            None => *there < as_of,
        };
        if rows.get(&row.id).is_none_or(newer) {
            rows.insert(row.id, (Some(row), as_of));
        }
        Ok(())
    }

    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError> {
        self.rows().insert(thread, (None, as_of));
        Ok(())
    }

    async fn list(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<ListPage, IndexError> {
        let from = cursor.map(|cursor| cursor.fits(filter.sort)).transpose()?;
        let from = from.map(|cursor| (cursor.time, cursor.id));
        let mut found: Vec<((WallMs, ThreadId), ThreadRow)> = self
            .rows()
            .values()
            .filter_map(|(row, _)| row.as_ref())
            .filter(|row| filter.lets_through(row))
            .map(|row| ((filter.sort.time_of(row), row.id), row.clone()))
            .collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        match filter.direction {
            SortDirection::Asc => found.retain(|(key, _)| from.is_none_or(|from| *key > from)),
            SortDirection::Desc => {
                found.reverse();
                found.retain(|(key, _)| from.is_none_or(|from| *key < from));
            }
        }
        let rows = found.into_iter().map(|(_, row)| row).take(limit.saturating_add(1)).collect();
        Ok(ListPage::of(Found { rows, given_up: None }, filter.sort, limit))
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        let there = self.rows().get(&thread).cloned();
        Ok(there.and_then(|(row, as_of)| Some((row?, as_of))))
    }

    async fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn counts(&self) -> IndexCounts {
        IndexCounts { state: IndexState::Ready, ..IndexCounts::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_every_promise_of_an_index() {
        super::super::conformance::keeps_every_promise(async || ((), MemoryIndex::default())).await;
    }
}
