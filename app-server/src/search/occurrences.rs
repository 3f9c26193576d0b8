//! Every place of a term in the messages of one thread, page by page.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skein_protocol::ids::{EventSeq, ItemId, ThreadId};
use skein_protocol::thread::ThreadSearchOccurrence;
use tokio::time::Instant;

use super::messages::{self, Messages};
use super::{SearchError, Snippet, Term, ThreadSearch};
use crate::services::Services;
use crate::thread::history::Held;
use crate::thread::history::read::Stretch;
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
pub struct WantedHits {
    /// The thread.
    pub thread: ThreadId,
    /// What is looked for.
    pub term: Arc<Term>,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Hits, at most.
    pub limit: usize,
    /// When the page has to be answered. Something is looked at in any case.
    pub until: Instant,
}

/// A page of hits.
#[derive(Debug, Default)]
pub struct Hits {
    /// Oldest message first.
    pub hits: Vec<ThreadSearchOccurrence>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

impl ThreadSearch {
    /// A page of the hits in one thread.
    ///
    /// # Errors
    /// [`SearchError::BadCursor`], [`SearchError::Read`].
    pub async fn occurrences(&self, services: &Services, wanted: WantedHits) -> Result<Hits, SearchError> {
        let mut place = wanted.place()?;
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let may_hold = messages::may_hold(&wanted.term);
        let messages = Messages::of(services.store.as_ref(), wanted.thread, may_hold).await?;
        let mut page = Hits::default();
        while let Some(stretch) = messages.next(place.after, wanted.until).await? {
            let is_full = wanted.take(&stretch, &mut place, &mut page.hits);
            if !is_full {
                place = Place { after: stretch.ends, hit: None, ..place };
            }
            if is_full || services.clock.now() >= wanted.until {
                page.next = Some(place.print());
                return Ok(page);
            }
        }
        Ok(page)
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

    /// Adds the hits of a stretch that come behind `place`, which becomes the last one; true when there is no room for another.
    fn take(&self, stretch: &Stretch, place: &mut Place, hits: &mut Vec<ThreadSearchOccurrence>) -> bool {
        let mut told = place.hit.clone();
        for held in &stretch.turns {
            // A turn that was taken back meanwhile is not met; what stands behind it was not told.
            told = told.filter(|told| held.at <= told.turn);
            for (hit, occurrence) in self.hits_in(held) {
                if told.is_some() {
                    told = told.filter(|told| *told != hit);
                    continue;
                }
                if hits.len() >= self.limit {
                    return true;
                }
                hits.push(occurrence);
                place.hit = Some(hit);
            }
        }
        false
    }

    fn hits_in<'a>(&'a self, held: &'a Held) -> impl Iterator<Item = (Hit, ThreadSearchOccurrence)> + 'a {
        messages::said(&held.turn).flat_map(move |(item, text)| {
            let found: Vec<Snippet> =
                self.term.all_in(&text).map(|hit| Snippet::around(&hit, &text)).collect();
            found.into_iter().enumerate().map(move |(nth, Snippet { text, hit })| {
                let place = Hit { turn: held.at, item: item.id().clone(), nth };
                let occurrence = ThreadSearchOccurrence {
                    item_id: item.id().clone(),
                    snippet: text,
                    snippet_match_range: hit,
                    turn_cursor: pages::at_turn(held, self.thread),
                    turn_id: held.turn.id.clone(),
                };
                (place, occurrence)
            })
        })
    }
}

impl Place {
    fn print(&self) -> String {
        // Texts, numbers and an option are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}
