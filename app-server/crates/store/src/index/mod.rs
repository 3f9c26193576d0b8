//! The index: what lists of threads are made of. Derived from the rollouts, never a truth: it can only be behind, it
//! can be deleted whenever no server runs, and a list that is not complete says so.

use async_trait::async_trait;
use skein_base::clock::Clock;
use skein_protocol::error::WireError;
use skein_protocol::extension::IndexCounts;
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::time::Instant;

use crate::history::ThreadRow;
use crate::policy;

pub mod changes;
#[cfg(test)]
mod conformance;
mod cursor;
mod filter;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod moment;
pub mod rebuild;
pub mod sled;

pub use cursor::{BadCursor, Cursor};
pub use filter::{SortKey, Span, ThreadFilter, is_interactive};

/// How far a rebuild of the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexing {
    /// Rollouts that were read.
    pub done: u64,
    /// Rollouts that there are, as far as that is known.
    pub total: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListPage {
    /// The rows, in the order that was asked for.
    pub rows: Vec<ThreadRow>,
    /// Where the next page begins; none at the end.
    pub next: Option<Cursor>,
    /// For a list in the other direction: what is on the far side of this page's first row.
    pub back: Option<Cursor>,
    /// Set while threads may be missing from the list.
    pub indexing: Option<Indexing>,
}

/// How much of an order is looked at for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkBounds {
    /// Rows that the page has, at most (see [`page_size`]).
    pub rows: usize,
    /// Places of the order that are looked at, at most, whether the page has their rows or not.
    pub places: usize,
}

/// Rows that follow in an order, as far as was looked.
#[derive(Debug, Default)]
struct Walked {
    /// One more than the page may have, where there are more.
    rows: Vec<ThreadRow>,
    /// The last place, where it was not looked further.
    stopped: Option<Cursor>,
}

impl ListPage {
    /// The page of at most `limit` rows.
    fn of(Walked { mut rows, stopped }: Walked, sort: SortKey, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| Cursor::at(last, sort)).or(stopped);
        let back = rows.first().map(|first| Cursor::at(first, sort));
        Self { rows, next, back, indexing: None }
    }

    /// Adds the page that follows.
    fn append(&mut self, page: Self) {
        self.rows.extend(page.rows);
        self.next = page.next;
        self.back = self.back.or(page.back);
        self.indexing = page.indexing;
    }

    /// The rows up to the one with which they have `bytes` as JSON; the others are on the next page.
    fn within(mut self, bytes: usize, sort: SortKey) -> Self {
        let mut left = bytes;
        let fits = |row: &&ThreadRow| {
            let fits = left > 0;
            left = left.saturating_sub(row.json_bytes());
            fits
        };
        let count = self.rows.iter().take_while(fits).count();
        if count < self.rows.len() {
            self.rows.truncate(count);
            self.next = self.rows.last().map(|last| Cursor::at(last, sort));
        }
        self
    }
}

/// Why the index has no answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The cursor belongs to a list with another order.
    #[error(transparent)]
    Cursor(#[from] BadCursor),
    /// The index cannot be opened or made anew.
    #[error("the list of threads is not available: {0}; threads can still be read and resumed by id")]
    Unavailable(String),
    /// The disk is full, or refuses writes: the index that there is takes no change.
    #[error("the list of threads cannot be saved: {0}; it can still be read")]
    Unwritable(String),
}

impl IndexError {
    /// The error as the wire says it.
    #[must_use]
    pub fn to_wire(&self) -> WireError {
        match self {
            Self::Cursor(_) => WireError::bad_cursor(self.to_string()),
            Self::Unavailable(_) | Self::Unwritable(_) => {
                WireError::internal("indexUnavailable", self.to_string())
            }
        }
    }
}

/// How many rows a page has: the default where nothing is asked for, and never more than the maximum.
#[must_use]
pub fn page_size(asked: Option<u32>) -> usize {
    let asked = asked.map_or(policy::LIST_DEFAULT, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    asked.clamp(1, policy::LIST_MOST)
}

/// Lists threads. Shared by everybody.
#[async_trait]
pub trait ThreadIndex: Send + Sync {
    /// Sets the row of a thread, as its rollout has it at record `as_of`; ignored when a row from a later record is
    /// there. Counts only after the next [`flush`](ThreadIndex::flush).
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the thread's open marker must stay.
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError>;

    /// Sets many rows, each as [`upsert`](ThreadIndex::upsert) does.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]; some of them may be set.
    async fn upsert_all(&self, rows: Vec<(ThreadRow, EventSeq)>) -> Result<(), IndexError> {
        for (row, as_of) in rows {
            self.upsert(row, as_of).await?;
        }
        Ok(())
    }

    /// Removes the row of a thread that was deleted at record `as_of`. A row of that record or an earlier one that still is
    /// under way does not come back.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the thread's open marker must stay.
    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError>;

    /// A thread is made, perhaps by the id of one that was removed: nothing that was set of that id before counts.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the thread's open marker must stay.
    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError>;

    /// A page of threads behind `cursor`, at most `limit` (see [`page_size`]), and no more once they have [`policy::LIST_BYTES`].
    /// One whose filter lets few through has what was found within `policy::LIST_TIME`, and a cursor where the next goes on.
    /// While the index is not complete it waits for a moment, then answers with what is there and says so.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn list(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<ListPage, IndexError> {
        self.list_until(filter, cursor, limit, Clock.now() + policy::LIST_TIME).await
    }

    /// The same with another end of the time in which it looks for rows; it looks at `policy::LIST_PLACES` in any case.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn list_until(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        limit: usize,
        until: Instant,
    ) -> Result<ListPage, IndexError> {
        let sort = filter.sort;
        let reach = |rows| WalkBounds { rows, places: policy::LIST_PLACES };
        let mut page = self.walk(filter.clone(), cursor, reach(limit)).await?;
        while page.rows.len() < limit && page.next.is_some() && page.indexing.is_none() && Clock.now() < until
        {
            page.append(self.walk(filter.clone(), page.next, reach(limit - page.rows.len())).await?);
        }
        Ok(page.within(policy::LIST_BYTES, sort))
    }

    /// The same, as far as `reach` says.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError>;

    /// The row of a thread and the record that it was made from.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError>;

    /// The rows of these threads, of those that have one. `None` while threads may have one that is missing still.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn rows(&self, threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError>;

    /// Threads and the records that their rows were made from, the highest id first, those below `below`, at most `limit`;
    /// none at the end. `None` while the index is not complete.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError>;

    /// Working directories that threads have, as their rows spell them, at most `limit`; those that are known so far.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError>;

    /// Returns when every upsert that has returned before is on disk.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn flush(&self) -> Result<(), IndexError>;

    /// Where it is in its life, and what it costs. Instant.
    fn counts(&self) -> IndexCounts;
}
