//! Searches names and messages of threads. Hits come from the current index rows and rollouts. A page takes a bounded
//! time and has a cursor. Searches change nothing and use few threads, so that they never delay other requests.
//!
//! `thread/search` walks the rows of the index in the requested order, some thousand places in one go, and matches
//! names first. A pool of two threads prefilters the rollouts of a step (in the store): it compares raw lines, folded
//! like the term (`term.rs`), with the longest part of the term that JSON does not escape. Only turns with a match are
//! decoded and compared exactly, by the reader that also makes pages of turns, so reverted turns are not found. Each
//! page searches at least one thread to its end.

use std::sync::Arc;

use skein_protocol::error::{EMPTY_SEARCH, WireError};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::history::ThreadRow;
use skein_store::index::{Cursor, IndexError, Indexing, ThreadFilter, WalkBounds};
use skein_store::rollout::{MayHold, ReadError};
use skein_store::texts::{Candidates, SearchTerm, TermError, TextIndex, message_texts};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::policy;
use crate::thread::Context;
use crate::thread::registry::ThreadHandle;

mod messages;
pub(crate) mod occurrences;
mod snippet;
#[cfg(test)]
mod tests;

use messages::MessageReader;
pub(crate) use snippet::Snippet;

/// Limits the concurrent searches.
#[derive(Debug)]
pub(crate) struct ThreadSearch {
    permits: Semaphore,
    texts: TextIndex,
}

/// Why a search fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// The term is not valid.
    #[error(transparent)]
    Term(#[from] TermError),
    /// The list is unavailable, or the cursor belongs to another one.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The cursor is from another search.
    #[error("this cursor is not from a search in this thread; leave it out to begin at its first message")]
    BadCursor,
    /// The thread cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl SearchError {
    /// The error as the wire says it.
    pub(crate) fn to_wire(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::Term(TermError::Empty) => WireError::invalid_params(EMPTY_SEARCH, text).path("searchTerm"),
            Self::Term(TermError::TooLong) => {
                WireError::invalid_params("searchTooLong", text).path("searchTerm")
            }
            Self::Index(error) => error.to_wire(),
            Self::BadCursor => WireError::bad_cursor(text),
            Self::Read(ReadError::Away { why, .. }) => why.to_wire(text),
            Self::Read(ReadError::Missing(_) | ReadError::Unreadable { .. } | ReadError::Disk { .. }) => {
                WireError::internal("unreadable", text)
            }
        }
    }
}

/// The parameters of a page.
#[derive(Debug)]
pub(crate) struct SearchRequest {
    pub(crate) term: Arc<SearchTerm>,
    /// The threads to search, and their order.
    pub(crate) filter: ThreadFilter,
    /// The end of the previous page.
    pub(crate) cursor: Option<Cursor>,
    /// The most threads.
    pub(crate) limit: usize,
    /// The deadline of the page.
    pub(crate) until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct SearchPage {
    /// The threads in the requested order, with the text around their first hit.
    pub(crate) threads: Vec<(ThreadRow, Snippet)>,
    /// The start of the next page; `None` at the end.
    pub(crate) next: Option<Cursor>,
    /// The cursor for the opposite direction, before the first searched thread.
    pub(crate) back: Option<Cursor>,
    /// Set while threads may be missing from the list.
    pub(crate) indexing: Option<Indexing>,
}

impl ThreadSearch {
    pub(crate) fn new(texts: TextIndex) -> Self {
        // A search holds a permit until its page is done.
        Self { permits: Semaphore::new(policy::SEARCHES), texts }
    }

    pub(crate) fn texts(&self) -> &TextIndex {
        &self.texts
    }

    /// A page of the threads with the term in their name or in a message. Unreadable threads are skipped.
    ///
    /// # Errors
    /// [`SearchError::Index`]; [`SearchError::Read`] while the storage is away.
    pub(crate) async fn search(
        &self,
        context: &Context,
        wanted: SearchRequest,
    ) -> Result<SearchPage, SearchError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let may_hold = messages::may_hold(&wanted.term);
        let mut page = PageBuilder { context, may_hold, wanted, found: SearchPage::default(), bytes: 0 };
        let candidates = if context.config().search.index {
            let loaded = || context.registry.handles().iter().map(ThreadHandle::id).collect();
            self.texts.candidates(&page.wanted.term, loaded).await
        } else {
            None
        };
        // While rows may be missing, the list is walked, which reports that.
        let rows = match &candidates {
            Some(Candidates { threads }) => context.index.rows(threads.keys().copied().collect()).await?,
            None => None,
        };
        match candidates.zip(rows) {
            Some((candidates, rows)) => page.among(candidates, rows).await?,
            None => page.everywhere().await?,
        }
        Ok(page.found)
    }
}

/// A page in the making.
struct PageBuilder<'a> {
    context: &'a Context,
    may_hold: MayHold,
    wanted: SearchRequest,
    found: SearchPage,
    /// The size of the threads as JSON.
    bytes: usize,
}

impl PageBuilder<'_> {
    /// Walks the whole list.
    async fn everywhere(&mut self) -> Result<(), SearchError> {
        let mut step = policy::SEARCH_STEP;
        self.found.next = self.wanted.cursor;
        loop {
            let reach = WalkBounds { rows: step, places: policy::SEARCH_PLACES };
            let listed = self.context.index.walk(self.wanted.filter.clone(), self.found.next, reach).await?;
            self.found.indexing = listed.indexing.or(self.found.indexing);
            self.found.back = self.found.back.or(listed.back);
            let rows = listed.rows.into_iter().map(|row| (row, EventSeq(0))).collect();
            let all = self.look_at(rows).await?;
            if all {
                self.found.next = listed.next;
            }
            if !all || self.found.next.is_none() || self.is_enough() {
                return Ok(());
            }
            step = (step * 2).min(policy::SEARCH_STEP_MOST);
        }
    }

    /// Searches the candidates, with these rows.
    async fn among(
        &mut self,
        Candidates { threads }: Candidates,
        mut rows: Vec<ThreadRow>,
    ) -> Result<(), SearchError> {
        rows.retain(|row| self.wanted.filter.lets_through(row));
        let ordered = self.wanted.filter.in_order(rows, self.wanted.cursor).map_err(IndexError::from)?;
        self.found.back = ordered.first().map(|first| Cursor::at(first, self.wanted.filter.sort));
        let after = |row: &ThreadRow| threads.get(&row.id).copied().unwrap_or_default();
        let mut left = ordered.into_iter().map(|row| (after(&row), row)).peekable();
        while left.peek().is_some() {
            let step = left.by_ref().take(policy::SEARCH_STEP).map(|(after, row)| (row, after)).collect();
            let all = self.look_at(step).await?;
            if !all || (left.peek().is_some() && self.is_enough()) {
                return Ok(());
            }
        }
        self.found.next = None;
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.found.threads.len() >= self.wanted.limit
            || self.bytes >= skein_store::policy::LIST_BYTES
            || self.is_time()
    }

    fn is_time(&self) -> bool {
        self.context.clock.now() >= self.wanted.until
    }

    /// Searches threads in order, each after a record, and the first in any case. Returns false if it stopped early:
    /// the next page then begins after the last searched thread.
    ///
    /// # Errors
    /// The storage is away, so threads with a hit would be missing.
    async fn look_at(&mut self, rows: Vec<(ThreadRow, EventSeq)>) -> Result<bool, ReadError> {
        let ids = rows.iter().map(|(row, after)| (row.id, *after)).collect();
        let sifted = self.context.store.prefilter(ids, Arc::clone(&self.may_hold), self.wanted.until).await;
        let all = sifted.len() == rows.len();
        let mut left = rows.len();
        for ((mut row, _), sifted) in rows.into_iter().zip(sifted) {
            let thread = row.id;
            self.freshen(&mut row);
            self.found.next = Some(Cursor::at(&row, self.wanted.filter.sort));
            let hit = match self.hit_in_name(&row) {
                Some(hit) => Ok(Some(hit)),
                None => self.hit_in_messages(thread, sifted).await,
            };
            match hit {
                Ok(Some(hit)) => {
                    self.bytes += row.json_bytes();
                    self.found.threads.push((row, hit));
                }
                Ok(None) => {}
                // Deleted meanwhile.
                Err(ReadError::Missing(_)) => {}
                Err(away @ ReadError::Away { .. }) => return Err(away),
                Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
                    tracing::debug!(%thread, %error, "a thread was not searched");
                }
            }
            left -= 1;
            if left > 0 && self.is_enough() {
                return Ok(false);
            }
        }
        Ok(all)
    }

    /// The index may have an old name; an owner has not.
    fn freshen(&self, row: &mut ThreadRow) {
        let owner = self.context.registry.handle(row.id);
        if let Some(thread) = owner.and_then(|owner| owner.snapshot().thread) {
            row.name = thread.name;
        }
    }

    fn hit_in_name(&self, row: &ThreadRow) -> Option<Snippet> {
        let name = row.name.as_deref()?;
        Some(Snippet::around(&self.wanted.term.first_in(name)?, name))
    }

    /// The first hit in a thread's messages, from the turn that the prefilter named.
    async fn hit_in_messages(
        &self,
        thread: ThreadId,
        sifted: Result<Option<EventSeq>, ReadError>,
    ) -> Result<Option<Snippet>, ReadError> {
        let Some(turn) = sifted? else { return Ok(None) };
        let store = self.context.store.as_ref();
        let messages = MessageReader::of(store, thread, Arc::clone(&self.may_hold)).await?;
        let mut next = Some(messages.from(turn).await?);
        while let Some(stretch) = next {
            for held in &stretch.turns {
                for (_, text) in message_texts(&held.turn) {
                    if let Some(hit) = self.wanted.term.first_in(&text) {
                        return Ok(Some(Snippet::around(&hit, &text)));
                    }
                }
            }
            next = messages.next(stretch.ends).await?;
        }
        Ok(None)
    }
}
