//! All places of a term in the messages of one thread, in pages.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skein_base::tasks::BlockingPool;
use skein_protocol::ids::{EventSeq, ItemId, ThreadId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::ThreadSearchOccurrence;
use skein_store::history::LoadedTurn;
use skein_store::history::read::Stretch;
use skein_store::rollout::ReadError;
use skein_store::texts::{SearchTerm, message_texts};
use tokio::time::Instant;

use super::messages::{MessageReader, may_hold};
use super::{SearchError, Snippet, ThreadSearch};
use crate::thread::{Context, pages};

/// A position in a thread; earlier hits were returned. Record numbers never change, so appended or reverted turns
/// move nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HitPosition {
    thread: ThreadId,
    /// All turns that end at or before this record were searched.
    after: EventSeq,
    /// The last returned hit of a later turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hit: Option<Hit>,
}

/// A hit in a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hit {
    /// The number of the turn's `turn.started`.
    turn: EventSeq,
    item: ItemId,
    /// The number of hits before it in the item.
    nth: usize,
}

/// The parameters of a page.
#[derive(Debug)]
pub(crate) struct WantedHits {
    pub(crate) thread: ThreadId,
    pub(crate) term: Arc<SearchTerm>,
    /// The end of the previous page.
    pub(crate) cursor: Option<String>,
    /// The most hits.
    pub(crate) limit: usize,
    /// The deadline of the page. Something is searched in any case.
    pub(crate) until: Instant,
}

/// A page of hits.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Oldest message first.
    pub(crate) hits: Vec<ThreadSearchOccurrence>,
    /// The start of the next page; `None` at the end.
    pub(crate) next: Option<String>,
}

impl ThreadSearch {
    /// A page of the hits in one thread.
    ///
    /// # Errors
    /// [`SearchError::BadCursor`], [`SearchError::Read`].
    pub(crate) async fn occurrences(
        &self,
        context: &Context,
        wanted: WantedHits,
    ) -> Result<Hits, SearchError> {
        let place = wanted.place()?;
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let may_hold = may_hold(&wanted.term);
        let messages = MessageReader::of(context.store.as_ref(), wanted.thread, may_hold).await?;
        let mut page = HitsBuilder { wanted, place, hits: Vec::new() };
        while let Some(stretch) = messages.next(page.place.after).await? {
            let thread = page.wanted.thread;
            let looked = context.tasks.blocking("look for hits", BlockingPool::Search, move || {
                let room = page.take(&stretch);
                (page, room)
            });
            let room;
            (page, room) =
                looked.await.map_err(|panic| ReadError::Disk { thread, source: io::Error::other(panic) })?;
            if room == Room::None || context.clock.now() >= page.wanted.until {
                return Ok(Hits { next: Some(page.place.print()), hits: page.hits });
            }
        }
        Ok(Hits { hits: page.hits, next: None })
    }
}

impl WantedHits {
    fn place(&self) -> Result<HitPosition, SearchError> {
        let Some(text) = &self.cursor else {
            return Ok(HitPosition { thread: self.thread, after: EventSeq(0), hit: None });
        };
        let place = serde_json::from_str::<HitPosition>(text).ok();
        place.filter(|place| place.thread == self.thread).ok_or(SearchError::BadCursor)
    }

    fn occurrence(&self, held: &LoadedTurn, item: &ThreadItem, snippet: Snippet) -> ThreadSearchOccurrence {
        ThreadSearchOccurrence {
            item_id: item.id().clone(),
            snippet: snippet.text,
            snippet_match_range: snippet.hit,
            turn_cursor: pages::at_turn(held, self.thread),
            turn_id: held.turn.id.clone(),
        }
    }
}

/// A page in the making.
struct HitsBuilder {
    wanted: WantedHits,
    place: HitPosition,
    hits: Vec<ThreadSearchOccurrence>,
}

/// Whether a page has room for another hit.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Left,
    None,
}

impl HitsBuilder {
    /// Adds the hits of a stretch after the position, and advances it. Returned hits are only counted, and the search
    /// stops at the first hit without room.
    fn take(&mut self, stretch: &Stretch) -> Room {
        let mut told = self.place.hit.clone();
        for held in &stretch.turns {
            // A turn reverted meanwhile is not met; hits after it were not returned.
            told = told.filter(|told| held.at <= told.turn);
            for (item, text) in message_texts(&held.turn) {
                let told_of_it = match &told {
                    None => 0,
                    Some(last) if last.turn == held.at && last.item == *item.id() => {
                        last.nth.saturating_add(1)
                    }
                    Some(_) => continue,
                };
                told = None;
                let wanted = &self.wanted;
                for (nth, hit) in wanted.term.all_in(&text).enumerate().skip(told_of_it) {
                    if self.hits.len() >= wanted.limit {
                        return Room::None;
                    }
                    self.hits.push(wanted.occurrence(held, item, Snippet::around(&hit, &text)));
                    self.place.hit = Some(Hit { turn: held.at, item: item.id().clone(), nth });
                }
            }
        }
        (self.place.after, self.place.hit) = (stretch.ends, None);
        Room::Left
    }
}

impl HitPosition {
    fn print(&self) -> String {
        // Texts, numbers and an option are always valid JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use skein_base::clock::Clock;
    use skein_store::testing::{IndexedThreads, thread};

    use super::*;
    use crate::search::snippet;
    use crate::thread::actor::tests::bench::Bench;

    fn wanted(cursor: Option<String>, limit: usize) -> WantedHits {
        let (term, until) = (
            Arc::new(SearchTerm::new("needle").unwrap()),
            Clock.now() + skein_config::policy::SEARCH_PAGE_TIME,
        );
        WantedHits { thread: thread(1), term, cursor, limit, until }
    }

    #[tokio::test]
    async fn of_a_message_with_many_hits_only_those_of_the_page_are_cut_out() {
        let dir = tempfile::tempdir().unwrap();
        let bench = IndexedThreads::new(dir.path());
        bench.say(1, &"Needle, ".repeat(2_000)).await.unwrap();
        let may_hold = may_hold(&wanted(None, 1).term);
        let messages = MessageReader::of(bench.store.as_ref(), thread(1), may_hold).await.unwrap();
        let stretch = messages.from(EventSeq(1)).await.unwrap();
        let (mut cursor, mut told) = (None, 0);
        for page in 1..=4 {
            let wanted = wanted(cursor, 500);
            let place = wanted.place().unwrap();
            let mut made = HitsBuilder { wanted, place, hits: Vec::new() };
            snippet::CUT.set(0);
            let room = made.take(&stretch);
            assert_eq!((room == Room::None, made.hits.len()), (page < 4, 500), "page {page}");
            assert_eq!(snippet::CUT.get(), 500, "page {page}");
            assert_eq!(made.place.hit.as_ref().map(|hit| hit.nth + 1), (page < 4).then_some(told + 500));
            (cursor, told) = (Some(made.place.print()), told + 500);
        }
    }

    #[tokio::test]
    async fn hits_are_looked_for_on_the_threads_of_searches() {
        let dir = tempfile::tempdir().unwrap();
        let texts = IndexedThreads::new(dir.path());
        texts.say(1, "the needle").await.unwrap();
        let bench = Bench::on_store(Arc::clone(&texts.store) as _, |_| ()).in_real_time();
        let (context, search) = (&bench.services.clone(), Arc::clone(&bench.search));
        let (free, busy) = std::sync::mpsc::channel::<()>();
        let busy = Arc::new(std::sync::Mutex::new(busy));
        for _ in 0..skein_base::policy::SEARCH_THREADS {
            let busy = Arc::clone(&busy);
            context.tasks.spawn("busy", {
                let tasks = context.tasks.clone();
                async move {
                    tasks
                        .blocking("busy", BlockingPool::Search, move || busy.lock().unwrap().recv().ok())
                        .await
                }
            });
        }
        // Each thread has its own lane.
        tokio::task::yield_now().await;
        let mut page = std::pin::pin!(search.occurrences(context, wanted(None, 10)));
        assert!(page.as_mut().now_or_never().is_none(), "it is looked for elsewhere");
        for _ in 0..skein_base::policy::SEARCH_THREADS {
            free.send(()).unwrap();
        }
        assert_eq!(page.await.unwrap().hits.len(), 1);
        bench.finish().await;
    }
}
