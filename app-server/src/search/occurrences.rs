//! Every place of a term in the messages of one thread, page by page.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skein_base::tasks::Pool;
use skein_protocol::ids::{EventSeq, ItemId, ThreadId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::ThreadSearchOccurrence;
use skein_store::history::LoadedTurn;
use skein_store::history::read::Stretch;
use skein_store::rollout::ReadError;
use tokio::time::Instant;

use super::messages::{self, Messages};
use super::{SearchError, Snippet, Term, ThreadSearch};
use crate::thread::Context;
use crate::thread::pages;

/// A place in a thread: everything before it was told. Numbers of records stay what they are, so that what is appended or
/// taken back meanwhile moves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    thread: ThreadId,
    /// All turns were looked through that end with this record or before.
    after: EventSeq,
    /// The hit of a later turn that was told last.
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
    /// How many hits of the item come before it.
    nth: usize,
}

/// What a page is to have.
#[derive(Debug)]
pub(crate) struct WantedHits {
    /// The thread.
    pub(crate) thread: ThreadId,
    /// What is looked for.
    pub(crate) term: Arc<Term>,
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
    /// Hits, at most.
    pub(crate) limit: usize,
    /// When the page has to be answered. Something is looked at in any case.
    pub(crate) until: Instant,
}

/// A page of hits.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Oldest message first.
    pub(crate) hits: Vec<ThreadSearchOccurrence>,
    /// Where the next page begins; none at the end.
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
        let may_hold = messages::may_hold(&wanted.term);
        let messages = Messages::of(context.store.as_ref(), wanted.thread, may_hold).await?;
        let mut page = Page { wanted, place, hits: Vec::new() };
        while let Some(stretch) = messages.next(page.place.after).await? {
            let thread = page.wanted.thread;
            let looked = context.tasks.blocking("look for hits", Pool::Search, move || {
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
    fn place(&self) -> Result<Place, SearchError> {
        let Some(text) = &self.cursor else {
            return Ok(Place { thread: self.thread, after: EventSeq(0), hit: None });
        };
        let place = serde_json::from_str::<Place>(text).ok();
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

/// A page that is being made.
struct Page {
    wanted: WantedHits,
    place: Place,
    hits: Vec<ThreadSearchOccurrence>,
}

/// Whether a page has room for another hit.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    Left,
    None,
}

impl Page {
    /// Adds the hits of a stretch that come behind the place, and moves that. What was told is only counted, and behind the first
    /// one for which there is no room nothing is looked for.
    fn take(&mut self, stretch: &Stretch) -> Room {
        let mut told = self.place.hit.clone();
        for held in &stretch.turns {
            // A turn that was taken back meanwhile is not met; what stands behind it was not told.
            told = told.filter(|told| held.at <= told.turn);
            for (item, text) in messages::said(&held.turn) {
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

impl Place {
    fn print(&self) -> String {
        // Texts, numbers and an option are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use skein_base::clock::Clock;
    use skein_store::testing::thread;

    use super::*;
    use crate::policy;
    use crate::search::snippet;
    use crate::search::texts::tests::Bench as Texts;
    use crate::thread::actor::tests::bench::Bench;

    fn wanted(cursor: Option<String>, limit: usize) -> WantedHits {
        let (term, until) = (Arc::new(Term::new("needle").unwrap()), Clock.now() + policy::SEARCH_PAGE_TIME);
        WantedHits { thread: thread(1), term, cursor, limit, until }
    }

    #[tokio::test]
    async fn of_a_message_with_many_hits_only_those_of_the_page_are_cut_out() {
        let bench = Texts::new();
        bench.say(1, &"Needle, ".repeat(2_000)).await;
        let may_hold = messages::may_hold(&wanted(None, 1).term);
        let messages = Messages::of(bench.store.as_ref(), thread(1), may_hold).await.unwrap();
        let stretch = messages.from(EventSeq(1)).await.unwrap();
        let (mut cursor, mut told) = (None, 0);
        for page in 1..=4 {
            let wanted = wanted(cursor, 500);
            let place = wanted.place().unwrap();
            let mut made = Page { wanted, place, hits: Vec::new() };
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
        let texts = Texts::new();
        texts.say(1, "the needle").await;
        let bench = Bench::on_store(Arc::clone(&texts.store) as _, |_| ()).in_real_time();
        let (context, search) = (&bench.services.clone(), Arc::clone(&bench.search));
        let (free, busy) = std::sync::mpsc::channel::<()>();
        let busy = Arc::new(std::sync::Mutex::new(busy));
        for _ in 0..skein_base::policy::SEARCH_THREADS {
            let busy = Arc::clone(&busy);
            context.tasks.spawn("busy", {
                let tasks = context.tasks.clone();
                async move { tasks.blocking("busy", Pool::Search, move || busy.lock().unwrap().recv().ok()).await }
            });
        }
        // Each has its thread: nobody else has one to look with.
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
