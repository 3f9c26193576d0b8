//! Pages of a history: the turns and items of an answer, and the cursors of the next ones; pure.
//!
//! A cursor names a turn or an item, not a count: later turns do not move it.
//!
//! The cursors of a resume also name the record of its view. Their pages show the turns and items of that record, without
//! the items in progress: the events behind the answer complete those. So a client that reads pages while events come in
//! shows each item once, however late a page is. Only the turn itself (status, error, times) is current: its end may have
//! been published long before the page is read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::{
    SortDirection, ThreadItemEntry, ThreadItemsListAnchor, ThreadItemsListCursor, ThreadItemsListParams,
    ThreadItemsListResponse, ThreadResumeParams, ThreadResumeResponse, ThreadTurnsListParams, TurnsPage,
};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};
use skein_store::history::read::Enough;
use skein_store::history::{History, LoadedTurn, json_bytes, seen_as};

use crate::policy;

mod fit;
#[cfg(test)]
mod tests;

pub(crate) use fit::all_within;
use fit::fit;

/// Why there is no such page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageError {
    /// The cursor belongs to another thread or another version of the history, or names a reverted turn.
    #[error("this cursor names nothing in this list; leave it out to begin at the first page")]
    BadCursor,
    /// The turn is not in the history.
    #[error("turn {turn} is not in this history; thread/turns/list has those that are")]
    NoTurn {
        /// The turn that the request names.
        turn: TurnId,
    },
    /// An anchor without its turn.
    #[error("an item as cursor needs the turn that it is in; name it as turnId")]
    AnchorWithoutTurn,
}

impl PageError {
    /// The error as the wire says it, about a history of this thread.
    pub(crate) fn to_wire(&self, id: ThreadId) -> WireError {
        let text = self.to_string();
        match self {
            Self::BadCursor => WireError::bad_cursor(text).thread(id),
            Self::NoTurn { turn } => {
                WireError::invalid_params("noSuchTurn", text).path("turnId").thread(id).turn(turn.clone())
            }
            Self::AnchorWithoutTurn => {
                WireError::invalid_params("anchorWithoutTurn", text).path("turnId").thread(id)
            }
        }
    }
}

/// A place in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PageCursor {
    thread: ThreadId,
    /// None for the newest end of a history that has nothing to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<TurnId>,
    /// The number of that turn's `turn.started`, which saves a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<EventSeq>,
    /// None in lists of turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemId>,
    /// Set when the pages behind it show the thread as it was at this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_of: Option<ThreadPicture>,
    /// Whether the page begins with what the cursor names, or behind it.
    inclusive: bool,
}

/// An entry of a list.
trait PageEntry {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> PageCursor;
}

impl PageEntry for &LoadedTurn {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> PageCursor {
        let turn = Some(self.turn.id.clone());
        PageCursor { thread, turn, at: Some(self.at), item: None, as_of: None, inclusive }
    }
}

/// An item with its turn.
type Placed<'a> = (&'a LoadedTurn, &'a ThreadItem);

impl PageEntry for Placed<'_> {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> PageCursor {
        PageCursor { item: Some(self.1.id().clone()), ..self.0.cursor(thread, inclusive) }
    }
}

/// The start and the size of a page.
struct PageQuestion {
    thread: ThreadId,
    cursor: Option<PageCursor>,
    direction: SortDirection,
    limit: Option<u32>,
    /// Bytes of the entries. The first entry may be larger.
    most_bytes: usize,
}

/// The entries of a page in its order, with its cursors.
struct Page<T> {
    data: Vec<T>,
    backwards: Option<String>,
    next: Option<String>,
}

/// Successive turns to cut a page from, among them the turn of the cursor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// With all of their items, oldest first.
    pub(crate) turns: Vec<LoadedTurn>,
    /// Whether there may be older turns.
    pub(crate) older: bool,
    /// Whether there may be newer turns.
    pub(crate) newer: bool,
    /// The record of the view, unless it is current.
    pub(crate) as_of: Option<ThreadPicture>,
}

impl Shown {
    /// The turns and items of `then`, without the items in progress. `now` has the current state of the last turn.
    pub(crate) fn at(then: &History, now: &History) -> Self {
        let mut turns = then.held_turns().to_vec();
        if let Some(last) = turns.last_mut() {
            as_published_then(last, then, now);
        }
        let as_of = Some(ThreadPicture { seq: then.seq(), epoch: now.epoch() });
        Self { turns, older: then.has_older(), newer: false, as_of }
    }
}

/// Removes the items in progress from the last turn of `then`, and gives the turn its state in `now`.
pub(crate) fn as_published_then(last: &mut LoadedTurn, then: &History, now: &History) {
    let open: Vec<&ItemId> = then.open_items().map(ThreadItem::id).collect();
    let last = &mut last.turn;
    last.items.retain(|item| !open.contains(&item.id()));
    if let Some(now) = now.turn(&last.id) {
        (last.status, last.error) = (now.status, now.error.clone());
        (last.completed_at, last.duration_ms) = (now.completed_at, now.duration_ms);
    }
}

/// The part of a history to read for a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedPage {
    /// The turn of the cursor, with its number if the cursor has it.
    pub(crate) from: Option<(TurnId, Option<EventSeq>)>,
    /// The only turn to read.
    pub(crate) only: Option<TurnId>,
    /// The record that the pages show.
    pub(crate) as_of: Option<ThreadPicture>,
    /// The direction of the list.
    pub(crate) direction: SortDirection,
    /// The amount to read, without the cursor's own turn.
    pub(crate) enough: Enough,
}

/// The part of a history to read for a page of turns.
///
/// # Errors
/// [`PageError::BadCursor`].
pub(crate) fn wanted_turns(params: &ThreadTurnsListParams) -> Result<WantedPage, PageError> {
    let cursor = params.cursor.as_deref().map(|text| read(text, params.thread_id)).transpose()?;
    // One more shows whether there is a next page.
    let turns = size(params.limit) + 1;
    let enough = Enough { turns, bytes: policy::HISTORY_READ_BYTES, ..Enough::ALL };
    let direction = params.sort_direction.unwrap_or(SortDirection::Desc);
    Ok(wanted(cursor, None, direction, enough))
}

/// The part of a history to read for a page of items.
///
/// # Errors
/// [`PageError`].
pub(crate) fn wanted_items(params: &ThreadItemsListParams) -> Result<WantedPage, PageError> {
    let items = size(params.limit) + 1;
    let enough = Enough { items, bytes: policy::HISTORY_READ_BYTES, ..Enough::ALL };
    let direction = params.sort_direction.unwrap_or(SortDirection::Asc);
    Ok(wanted(cursor_of_items(params)?, params.turn_id.clone(), direction, enough))
}

fn wanted(
    cursor: Option<PageCursor>,
    only: Option<TurnId>,
    direction: SortDirection,
    enough: Enough,
) -> WantedPage {
    let as_of = cursor.as_ref().and_then(|cursor| cursor.as_of);
    let from = cursor.and_then(|cursor| Some((cursor.turn?, cursor.at)));
    WantedPage { from, only, as_of, direction, enough }
}

fn cursor_of_items(params: &ThreadItemsListParams) -> Result<Option<PageCursor>, PageError> {
    let thread = params.thread_id;
    match (&params.cursor, &params.turn_id) {
        (None, _) => Ok(None),
        (Some(ThreadItemsListCursor::Page(text)), _) => read(text, thread).map(Some),
        (Some(ThreadItemsListCursor::Anchor(ThreadItemsListAnchor::Item { item_id })), Some(turn)) => {
            let (turn, item) = (Some(turn.clone()), Some(item_id.clone()));
            Ok(Some(PageCursor { thread, turn, at: None, item, as_of: None, inclusive: false }))
        }
        (Some(ThreadItemsListCursor::Anchor(_)), None) => Err(PageError::AnchorWithoutTurn),
    }
}

/// A page of turns: by default the newest first, with the summary of each.
///
/// # Errors
/// [`PageError::BadCursor`].
pub(crate) fn turns(
    shown: &Shown,
    params: &ThreadTurnsListParams,
    most_bytes: usize,
) -> Result<TurnsPage, PageError> {
    let thread = params.thread_id;
    let direction = params.sort_direction.unwrap_or(SortDirection::Desc);
    let cursor = params.cursor.as_deref().map(|text| read(text, thread)).transpose()?;
    let view = params.items_view.unwrap_or(TurnItemsView::Summary);
    let asked = PageQuestion { thread, cursor, direction, limit: params.limit, most_bytes };
    let Page { data, backwards, next } =
        cut(shown.turns.iter().collect(), &asked, shown, |held| seen_as(&held.turn, view))?;
    Ok(TurnsPage { backwards_cursor: backwards, data, next_cursor: next })
}

/// A page of the items of all turns, or of one of them: by default the oldest first.
///
/// # Errors
/// [`PageError`].
pub(crate) fn items(
    shown: &Shown,
    params: &ThreadItemsListParams,
    most_bytes: usize,
) -> Result<ThreadItemsListResponse, PageError> {
    let (thread, turns) = (params.thread_id, &shown.turns);
    if let Some(turn) = &params.turn_id
        && !turns.iter().any(|there| there.turn.id == *turn)
    {
        return Err(PageError::NoTurn { turn: turn.clone() });
    }
    let cursor = cursor_of_items(params)?;
    let wanted = |held: &&LoadedTurn| params.turn_id.as_ref().is_none_or(|wanted| held.turn.id == *wanted);
    let all: Vec<Placed<'_>> = turns.iter().filter(wanted).flat_map(placed).collect();
    let direction = params.sort_direction.unwrap_or(SortDirection::Asc);
    let asked = PageQuestion { thread, cursor, direction, limit: params.limit, most_bytes };
    let entry = |&(held, item): &Placed<'_>| ThreadItemEntry {
        completed_at_ms: item.completed_at_ms,
        item: item.clone(),
        output_deferred: false,
        started_at_ms: item.started_at_ms,
        turn_id: held.turn.id.clone(),
    };
    let Page { data, backwards, next } = cut(all, &asked, shown, entry)?;
    Ok(ThreadItemsListResponse { backwards_cursor: backwards, data, next_cursor: next, skein: None })
}

/// The cursors to read a history backwards from its end: of its turns, of its items.
pub(crate) fn backwards_from_here(history: &History, thread: ThreadId) -> (Option<String>, Option<String>) {
    let as_of = Some(ThreadPicture { seq: history.seq(), epoch: history.epoch() });
    let end = PageCursor { thread, turn: None, at: None, item: None, as_of, inclusive: true };
    let from_here = |newest: Option<PageCursor>| {
        Some(print(&newest.map_or_else(|| end.clone(), |newest| PageCursor { as_of, ..newest })))
    };
    let open: Vec<&ItemId> = history.open_items().map(ThreadItem::id).collect();
    let done = |(_, item): &Placed<'_>| !open.contains(&item.id());
    let newest_first = history.held_turns().iter().rev();
    let newest_turn = newest_first.clone().next();
    let newest_item = newest_first.flat_map(|held| placed(held).rev()).find(done);
    (
        from_here(newest_turn.map(|turn| turn.cursor(thread, true))),
        from_here(newest_item.map(|item| item.cursor(thread, true))),
    )
}

/// The cursor of a page that begins with this turn, in either direction.
pub(crate) fn at_turn(held: &LoadedTurn, thread: ThreadId) -> String {
    print(&held.cursor(thread, true))
}

/// The newest turns that fit into this number of bytes, oldest first, with all of their items. A turn that is too large
/// alone is cut.
pub(crate) fn newest_within(history: &History, most_bytes: usize) -> Vec<Turn> {
    let (newest, _) = history.newest_turns(most_bytes);
    newest.into_iter().map(|turn| fit(turn, most_bytes)).collect()
}

/// Fills the answer of a resume with its part of the history, and the cursors to read older parts. The answer then has at
/// most `most` bytes, unless it is larger without turns.
pub(crate) fn show(
    response: &mut ThreadResumeResponse,
    history: &History,
    params: &ThreadResumeParams,
    most: usize,
) {
    let thread = params.thread_id;
    (response.turns_backwards_cursor, response.items_backwards_cursor) = backwards_from_here(history, thread);
    let mut room = room(most).saturating_sub(json_bytes(response));
    if let Some(asked) = &params.initial_turns_page {
        let (limit, items_view, sort_direction) = (asked.limit, asked.items_view, asked.sort_direction);
        let first =
            ThreadTurnsListParams { cursor: None, items_view, limit, sort_direction, thread_id: thread };
        let shown = Shown::at(history, history);
        // The oldest turns of a long history are not in memory: clients list them.
        let at_hand = sort_direction != Some(SortDirection::Asc) || !shown.older;
        let most = room / 2;
        let page =
            at_hand.then(|| turns(&shown, &first, policy::HISTORY_PAGE_BYTES.min(most)).ok()).flatten();
        response.initial_turns_page = page.map(|page| TurnsPage {
            data: page.data.into_iter().map(|turn| fit(turn, most)).collect(),
            ..page
        });
        room = room.saturating_sub(json_bytes(&response.initial_turns_page));
    }
    if !params.exclude_turns {
        let (newest, more) = history.newest_turns(skein_store::policy::HISTORY_WINDOW.min(room));
        let oldest = history.held_turns().iter().rev().nth(newest.len().saturating_sub(1));
        if let Some(view) = &mut response.skein {
            let older = oldest.filter(|_| more);
            view.older_turns = older.map(|oldest| print(&oldest.cursor(thread, false)));
        }
        response.thread.turns = newest.into_iter().map(|turn| fit(turn, room)).collect();
    }
}

/// The bytes for turns in an answer of `most` bytes. The rest is for the envelope and the separators.
pub(crate) fn room(most: usize) -> usize {
    most.saturating_sub(most / 32 + policy::ANSWER_ENVELOPE)
}

/// Adds the published items in progress to their turn, unless they have ended since. `turn` is newer than `open`. A turn
/// that is not on disk is not shown.
pub(crate) fn add_open_items(turn: &mut Turn, running: Option<&TurnId>, open: &[Arc<ThreadItem>]) {
    if turn.status != TurnStatus::InProgress || Some(&turn.id) != running {
        return;
    }
    for item in open {
        match turn.items.iter_mut().find(|there| there.id() == item.id()) {
            Some(there) if there.completed_at_ms.is_none() => there.clone_from(item),
            Some(_) => {}
            None => turn.items.push(ThreadItem::clone(item)),
        }
    }
}

fn placed(held: &LoadedTurn) -> impl DoubleEndedIterator<Item = Placed<'_>> {
    held.turn.items.iter().map(move |item| (held, item))
}

fn size(asked: Option<u32>) -> usize {
    let asked = asked.map_or(policy::HISTORY_PAGE, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    asked.clamp(1, policy::HISTORY_PAGE_MOST)
}

/// Cuts a page out of `all`, whose order is oldest first.
fn cut<E: PageEntry, T: Serialize>(
    mut all: Vec<E>,
    asked: &PageQuestion,
    shown: &Shown,
    shown_as: impl Fn(&E) -> T,
) -> Result<Page<T>, PageError> {
    let (thread, as_of) = (asked.thread, shown.as_of);
    let unread = match asked.direction {
        SortDirection::Asc => shown.newer,
        SortDirection::Desc => {
            all.reverse();
            shown.older
        }
    };
    if let Some(cursor) = &asked.cursor
        && cursor.turn.is_some()
    {
        let named = |entry: &E| {
            let (at, as_of) = (cursor.at, cursor.as_of);
            PageCursor { at, as_of, ..entry.cursor(thread, cursor.inclusive) } == *cursor
        };
        let at = all.iter().position(named).ok_or(PageError::BadCursor)?;
        all.drain(..if cursor.inclusive { at } else { at + 1 });
    }
    let data = within(all.iter().take(size(asked.limit)).map(shown_as), asked.most_bytes);
    // Backwards leads to turns since the view; forwards to more of the same view.
    let backwards = all.first().map(|first| print(&first.cursor(thread, true)));
    let last = all.get(..data.len()).and_then(<[E]>::last).filter(|_| unread || all.len() > data.len());
    let next = last.map(|last| print(&PageCursor { as_of, ..last.cursor(thread, false) }));
    Ok(Page { data, backwards, next })
}

/// The first entries that fit into this number of bytes, and at least one.
fn within<T: Serialize>(entries: impl Iterator<Item = T>, most_bytes: usize) -> Vec<T> {
    let (mut data, mut bytes) = (Vec::new(), 0usize);
    for entry in entries {
        bytes += serde_json::to_vec(&entry).map_or(0, |json| json.len());
        if bytes > most_bytes && !data.is_empty() {
            break;
        }
        data.push(entry);
    }
    data
}

fn print(cursor: &PageCursor) -> String {
    // Strings, an option and a flag always serialise.
    serde_json::to_string(cursor).unwrap_or_default()
}

fn read(text: &str, thread: ThreadId) -> Result<PageCursor, PageError> {
    let cursor = serde_json::from_str::<PageCursor>(text).ok();
    cursor.filter(|cursor| cursor.thread == thread).ok_or(PageError::BadCursor)
}
