//! An index in memory: for tests of higher rooms, and the reference order for the other index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::extension::{IndexCounts, IndexState};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;

use super::waiting::needs_you;
use super::{Cursor, IndexError, ListPage, ThreadFilter, ThreadIndex, WalkBounds, WalkedRows};
use crate::history::ThreadRow;

/// An index that ends with the process, and is always complete.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    /// `None` in the place of a removed row.
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

    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError> {
        self.rows().remove(&thread);
        Ok(())
    }

    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError> {
        let rows = self.rows().values().filter_map(|(row, _)| row.clone()).collect();
        let found = filter.in_order(rows, cursor)?;
        let mut walked = WalkedRows::default();
        for (places, row) in found.into_iter().enumerate() {
            if walked.rows.len() > reach.rows || places >= reach.places {
                break;
            }
            walked.stopped = (places + 1 == reach.places).then(|| Cursor::at(&row, filter.sort));
            walked.rows.extend(Some(row).filter(|row| filter.lets_through(row)));
        }
        Ok(ListPage::of(walked, filter.sort, reach.rows))
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        let there = self.rows().get(&thread).cloned();
        Ok(there.and_then(|(row, as_of)| Some((row?, as_of))))
    }

    async fn rows(&self, threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError> {
        let rows = self.rows();
        Ok(Some(threads.iter().filter_map(|thread| rows.get(thread)?.0.clone()).collect()))
    }

    async fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError> {
        let rows = self.rows();
        let there = rows.iter().rev().filter(|(_, (row, _))| row.is_some());
        let behind = there.filter(|(thread, _)| below.is_none_or(|below| **thread < below));
        Ok(Some(behind.take(limit).map(|(thread, (_, as_of))| (*thread, *as_of)).collect()))
    }

    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError> {
        let rows = self.rows();
        let all: BTreeSet<String> =
            rows.values().filter_map(|(row, _)| Some(row.as_ref()?.cwd.clone())).collect();
        Ok(all.into_iter().take(limit).collect())
    }

    async fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn needs_you(&self) -> NeedsYou {
        needs_you(self.rows().values().filter_map(|(row, _)| Some(&row.as_ref()?.waiting)))
    }

    fn counts(&self) -> IndexCounts {
        IndexCounts { state: IndexState::Ready, ..IndexCounts::default() }
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;
    use skein_protocol::thread::SortDirection;

    use super::super::conformance::row;
    use super::*;
    use crate::policy;

    /// This many threads. The first one has this name.
    async fn threads(count: u128, name: &str) -> MemoryIndex {
        let index = MemoryIndex::default();
        for n in 1..=count {
            let at = i64::try_from(n).unwrap();
            let name = (n == 1).then(|| name.to_owned());
            index.upsert(ThreadRow { name, ..row(n, at, at) }, EventSeq(1)).await.unwrap();
        }
        index
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_looks_for_what_its_filter_lets_through_as_long_as_it_has_time() {
        let index = threads(6_001, "the needle").await;
        let needle = || ThreadFilter { search: Some("needle".to_owned()), ..ThreadFilter::default() };
        let page = index.list(needle(), None, 25).await.unwrap();
        assert_eq!((page.rows.len(), page.next), (1, None));
        let no_time = Clock.now();
        let (mut cursor, mut found) = (None, Vec::new());
        loop {
            let page = index.list_until(needle(), cursor, 25, no_time).await.unwrap();
            found.push(page.rows.len());
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, [0, 0, 0, 1]);
    }

    #[tokio::test]
    async fn a_page_ends_before_it_is_too_large() {
        let index = threads(4, &"n".repeat(2 * policy::LIST_BYTES)).await;
        let oldest_first = || ThreadFilter { direction: SortDirection::Asc, ..ThreadFilter::default() };
        let first = index.list(oldest_first(), None, 25).await.unwrap();
        assert_eq!(first.rows.len(), 1, "at least one");
        let second = index.list(oldest_first(), first.next, 25).await.unwrap();
        assert_eq!((second.rows.len(), second.next), (3, None));
    }

    #[tokio::test]
    async fn keeps_every_promise_of_an_index() {
        super::super::conformance::keeps_every_promise(async || ((), MemoryIndex::default())).await;
    }
}
