//! An index in memory: for tests of what stands above it, and the order that the other one is compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::SortDirection;

use super::{Cursor, IndexError, ListPage, ThreadFilter, ThreadIndex, ThreadRow};
use crate::clock::WallMs;

/// An index that ends with the process, and is always complete.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    rows: Mutex<BTreeMap<ThreadId, (ThreadRow, EventSeq)>>,
}

impl MemoryIndex {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<ThreadId, (ThreadRow, EventSeq)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ThreadIndex for MemoryIndex {
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        let mut rows = self.rows();
        if rows.get(&row.id).is_none_or(|(_, there)| *there <= as_of) {
            rows.insert(row.id, (row, as_of));
        }
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
            .filter(|(row, _)| filter.lets_through(row))
            .map(|(row, _)| ((filter.sort.time_of(row), row.id), row.clone()))
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
        Ok(ListPage::of(rows, filter.sort, limit))
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        Ok(self.rows().get(&thread).cloned())
    }

    async fn flush(&self) -> Result<(), IndexError> {
        Ok(())
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
