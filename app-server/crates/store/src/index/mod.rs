//! The index behind lists of threads. Derived from the rollouts and never a truth. It can only be behind, and can be
//! deleted while no server runs. An incomplete list says so.

use async_trait::async_trait;
use skein_base::clock::Clock;
use skein_protocol::error::WireError;
use skein_protocol::extension::IndexCounts;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;
use tokio::time::Instant;

use crate::history::ThreadRow;
use crate::policy;
use crate::rollout::StoreAway;

pub mod changes;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod cursor;
mod filter;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
pub mod moment;
pub mod rebuild;
pub mod sled;
mod waiting;

pub use cursor::{BadCursor, Cursor};
pub use filter::{SortKey, Span, ThreadFilter, is_interactive};
pub use waiting::WaitingThreads;

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexing {
    /// Rollouts read so far.
    pub done: u64,
    /// All rollouts, as far as known.
    pub total: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListPage {
    /// The rows in the requested order.
    pub rows: Vec<ThreadRow>,
    /// The cursor of the next page; none at the end.
    pub next: Option<Cursor>,
    /// The cursor of a list in the other direction, from this page's first row.
    pub back: Option<Cursor>,
    /// Set while the list may lack threads.
    pub indexing: Option<Indexing>,
}

/// The bounds of a walk through an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkBounds {
    /// Rows of the page, at most (see [`page_size`]).
    pub rows: usize,
    /// Places of the order that the walk visits, at most, with or without a row for the page.
    pub places: usize,
}

/// The rows that a walk found.
#[derive(Debug, Default)]
pub struct WalkedRows {
    /// One more than the page takes, if there are more.
    pub rows: Vec<ThreadRow>,
    /// The last visited place, if the walk stopped there.
    pub stopped: Option<Cursor>,
}

impl ListPage {
    /// The page of at most `limit` rows.
    pub fn of(WalkedRows { mut rows, stopped }: WalkedRows, sort: SortKey, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| Cursor::at(last, sort)).or(stopped);
        let back = rows.first().map(|first| Cursor::at(first, sort));
        Self { rows, next, back, indexing: None }
    }

    /// Adds the next page.
    fn append(&mut self, page: Self) {
        self.rows.extend(page.rows);
        self.next = page.next;
        self.back = self.back.or(page.back);
        self.indexing = page.indexing;
    }

    /// Cuts the page once its rows have `bytes` as JSON; the others go to the next page.
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
    /// The index cannot be opened or rebuilt.
    #[error("the list of threads is not available: {0}; threads can still be read and resumed by id")]
    Unavailable(String),
    /// The storage is another machine's, and cannot be reached or refuses.
    #[error("the list of threads cannot be read: {0}")]
    Away(StoreAway),
    /// The disk is full, or refuses writes: the index takes no change.
    #[error("the list of threads cannot be saved: {0}; it can still be read")]
    Unwritable(String),
}

impl IndexError {
    /// The error on the wire.
    pub fn to_wire(&self) -> WireError {
        match self {
            Self::Cursor(_) => WireError::bad_cursor(self.to_string()),
            Self::Away(why) => why.to_wire(self.to_string()),
            Self::Unavailable(_) | Self::Unwritable(_) => {
                WireError::internal("indexUnavailable", self.to_string())
            }
        }
    }
}

/// The number of rows of a page: the default, or the requested number up to the maximum.
pub fn page_size(asked: Option<u32>) -> usize {
    let asked = asked.map_or(policy::LIST_DEFAULT, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    asked.clamp(1, policy::LIST_MOST)
}

/// The servers that change rows and rollouts besides this one.
#[async_trait]
pub trait OtherWriters: Send + Sync {
    /// Notes every change of a row that was committed before the call. Returns the threads that may be ahead of their rows: those that
    /// a server has loaded, and those that one has left open; `None` if nobody knows.
    async fn take_in(&self) -> Option<Vec<ThreadId>>;
}

/// Lists threads. All callers share it.
#[async_trait]
pub trait ThreadIndex: Send + Sync {
    /// Sets the row of a thread, as of record `as_of`. Ignores it if a row of a later record is there. It counts only
    /// after the next [`flush`](ThreadIndex::flush).
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

    /// Removes the row of a thread that was deleted at record `as_of`. A late row of that record or an earlier one
    /// does not come back.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the thread's open marker must stay.
    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError>;

    /// Notes a new thread, perhaps with the id of a removed one: earlier rows of that id do not count.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`]: the thread's open marker must stay.
    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError>;

    /// A page of threads behind `cursor`, at most `limit` (see [`page_size`]), and at most [`policy::LIST_BYTES`]. A
    /// filter that accepts few threads gives the rows found within `policy::LIST_TIME`, and a cursor to continue. An
    /// incomplete index waits a moment, then answers with its rows and says so.
    async fn list(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<ListPage, IndexError> {
        self.list_until(filter, cursor, limit, Clock.now() + policy::LIST_TIME).await
    }

    /// Does the same with another time limit for finding rows. It visits `policy::LIST_PLACES` in any case.
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

    /// Does the same within `reach`.
    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError>;

    /// The row of a thread, and the record that it reflects.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError>;

    /// The rows of those of these threads that have one. `None` while a row may still be missing.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn rows(&self, threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError>;

    /// Threads and the records that their rows reflect, highest id first, below `below`, at most `limit`; none at the
    /// end. `None` while the index is incomplete.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError>;

    /// Working directories of threads, spelled as in their rows, at most `limit`; only those known so far.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError>;

    /// Returns when every finished upsert is on disk.
    ///
    /// # Errors
    /// [`IndexError::Unavailable`].
    async fn flush(&self) -> Result<(), IndexError>;

    /// Its state and its costs. Instant.
    fn counts(&self) -> IndexCounts;

    /// The questions that wait for the users. Instant.
    fn needs_you(&self) -> NeedsYou;
}
