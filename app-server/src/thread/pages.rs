//! A history page by page: which turns and items an answer holds, and where the next one goes on; pure.
//!
//! A cursor names a turn or an item of a thread, not a count: what is appended meanwhile moves nothing.
//!
//! The cursors of a resume also name the number that its answer is a picture of. Pages that are reached from them show the
//! turns and items of then, without what was in progress: that, and all that follows, is told by the events behind the
//! answer. A client that reads its pages while events come in so shows each item once, however late a page is. Only what is
//! said of a turn itself (status, error, times) is of now: its end may have been told long before the page is read.

use serde::{Deserialize, Serialize};
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::{
    SortDirection, ThreadItemEntry, ThreadItemsListAnchor, ThreadItemsListCursor, ThreadItemsListParams,
    ThreadItemsListResponse, ThreadResumeParams, ThreadResumeResponse, ThreadTurnsListParams, TurnsPage,
};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};

use super::history::{History, seen_as};
use crate::policy;

#[cfg(test)]
mod tests;

/// Why there is no such page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// The cursor is from elsewhere or of another version of the history, or what it names was taken back.
    #[error("this cursor names nothing in this list; leave it out to begin at the first page")]
    BadCursor,
    /// The turn is not in the history.
    #[error("turn {turn} is not in this history; thread/turns/list has those that are")]
    NoTurn {
        /// What was named.
        turn: TurnId,
    },
    /// An anchor without its turn.
    #[error("an item as cursor needs the turn that it is in; name it as turnId")]
    AnchorWithoutTurn,
}

/// A place in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cursor {
    thread: ThreadId,
    /// None for the newest end of a history that has nothing to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<TurnId>,
    /// None in lists of turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item: Option<ItemId>,
    /// Set when the pages behind it show the thread as it was at this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_of: Option<ThreadPicture>,
    /// Whether the page begins with what the cursor names, or behind it.
    inclusive: bool,
}

/// What a list is made of.
trait Entry {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> Cursor;
}

impl Entry for &Turn {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> Cursor {
        Cursor { thread, turn: Some(self.id.clone()), item: None, as_of: None, inclusive }
    }
}

/// An item and its turn.
type Placed<'a> = (&'a TurnId, &'a ThreadItem);

impl Entry for Placed<'_> {
    fn cursor(&self, thread: ThreadId, inclusive: bool) -> Cursor {
        let (turn, item) = (Some(self.0.clone()), Some(self.1.id().clone()));
        Cursor { thread, turn, item, as_of: None, inclusive }
    }
}

/// Where a page begins, and how much it may hold.
struct Asked {
    thread: ThreadId,
    cursor: Option<Cursor>,
    direction: SortDirection,
    limit: Option<u32>,
    /// Of its entries; one is there also when it is larger.
    most_bytes: usize,
}

/// The entries of a page in its order, and its cursors.
struct Page<T> {
    data: Vec<T>,
    backwards: Option<String>,
    next: Option<String>,
}

/// What a page is cut from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// All turns with all of their items, oldest first.
    pub turns: Vec<Turn>,
    /// The record that they are from, where they are not from now.
    pub as_of: Option<ThreadPicture>,
}

impl Shown {
    /// The turns and items of `then`, without what was in progress; `now` says how the last turn stands.
    #[must_use]
    pub fn at(then: &History, now: &History) -> Self {
        let open: Vec<&ItemId> = then.open_items().map(ThreadItem::id).collect();
        let mut turns = then.turns(TurnItemsView::Full);
        if let Some(last) = turns.last_mut() {
            last.items.retain(|item| !open.contains(&item.id()));
            if let Some(now) = now.turn(&last.id) {
                (last.status, last.error) = (now.status, now.error.clone());
                (last.completed_at, last.duration_ms) = (now.completed_at, now.duration_ms);
            }
        }
        Self { turns, as_of: Some(ThreadPicture { seq: then.seq(), epoch: now.epoch() }) }
    }

    /// The turns and items of now.
    #[must_use]
    pub fn now(turns: Vec<Turn>) -> Self {
        Self { turns, as_of: None }
    }
}

/// The record that the pages behind a cursor of turns show.
///
/// # Errors
/// [`PageError::BadCursor`].
pub fn turns_as_of(params: &ThreadTurnsListParams) -> Result<Option<ThreadPicture>, PageError> {
    let cursor = params.cursor.as_deref().map(|text| read(text, params.thread_id)).transpose()?;
    Ok(cursor.and_then(|cursor| cursor.as_of))
}

/// The record that the pages behind a cursor of items show.
///
/// # Errors
/// [`PageError::BadCursor`].
pub fn items_as_of(params: &ThreadItemsListParams) -> Result<Option<ThreadPicture>, PageError> {
    match &params.cursor {
        Some(ThreadItemsListCursor::Page(text)) => Ok(read(text, params.thread_id)?.as_of),
        Some(ThreadItemsListCursor::Anchor(_)) | None => Ok(None),
    }
}

/// A page of turns: newest first, with the summary of each, unless asked otherwise.
///
/// # Errors
/// [`PageError::BadCursor`].
pub fn turns(
    shown: &Shown,
    params: &ThreadTurnsListParams,
    most_bytes: usize,
) -> Result<TurnsPage, PageError> {
    let thread = params.thread_id;
    let direction = params.sort_direction.unwrap_or(SortDirection::Desc);
    let cursor = params.cursor.as_deref().map(|text| read(text, thread)).transpose()?;
    let view = params.items_view.unwrap_or(TurnItemsView::Summary);
    let asked = Asked { thread, cursor, direction, limit: params.limit, most_bytes };
    let Page { data, backwards, next } =
        cut(shown.turns.iter().collect(), &asked, shown.as_of, |turn| seen_as(turn, view))?;
    Ok(TurnsPage { backwards_cursor: backwards, data, next_cursor: next })
}

/// A page of the items of all turns, or of one of them: oldest first unless asked otherwise.
///
/// # Errors
/// [`PageError`].
pub fn items(
    shown: &Shown,
    params: &ThreadItemsListParams,
    most_bytes: usize,
) -> Result<ThreadItemsListResponse, PageError> {
    let (thread, turns) = (params.thread_id, &shown.turns);
    if let Some(turn) = &params.turn_id
        && !turns.iter().any(|there| there.id == *turn)
    {
        return Err(PageError::NoTurn { turn: turn.clone() });
    }
    let cursor = match (&params.cursor, &params.turn_id) {
        (None, _) => None,
        (Some(ThreadItemsListCursor::Page(text)), _) => Some(read(text, thread)?),
        (Some(ThreadItemsListCursor::Anchor(ThreadItemsListAnchor::Item { item_id })), Some(turn)) => {
            let (turn, item) = (Some(turn.clone()), Some(item_id.clone()));
            Some(Cursor { thread, turn, item, as_of: None, inclusive: false })
        }
        (Some(ThreadItemsListCursor::Anchor(_)), None) => return Err(PageError::AnchorWithoutTurn),
    };
    let wanted = |turn: &&Turn| params.turn_id.as_ref().is_none_or(|wanted| turn.id == *wanted);
    let all: Vec<Placed<'_>> = turns.iter().filter(wanted).flat_map(placed).collect();
    let direction = params.sort_direction.unwrap_or(SortDirection::Asc);
    let asked = Asked { thread, cursor, direction, limit: params.limit, most_bytes };
    let entry = |&(turn, item): &Placed<'_>| ThreadItemEntry {
        completed_at_ms: item.completed_at_ms,
        item: item.clone(),
        output_deferred: false,
        started_at_ms: item.started_at_ms,
        turn_id: turn.clone(),
    };
    let Page { data, backwards, next } = cut(all, &asked, shown.as_of, entry)?;
    Ok(ThreadItemsListResponse { backwards_cursor: backwards, data, next_cursor: next, skein: None })
}

/// Puts into the answer of a resume what it shows of the history, and the cursors to read it backwards from here.
pub fn show(response: &mut ThreadResumeResponse, history: &History, params: &ThreadResumeParams) {
    let thread = params.thread_id;
    let as_of = Some(ThreadPicture { seq: history.seq(), epoch: history.epoch() });
    let from_here = |newest: Option<Cursor>| {
        let end = Cursor { thread, turn: None, item: None, as_of, inclusive: true };
        Some(print(&newest.map_or(end, |newest| Cursor { as_of, ..newest })))
    };
    let open: Vec<&ItemId> = history.open_items().map(ThreadItem::id).collect();
    let done = |(_, item): &Placed<'_>| !open.contains(&item.id());
    let newest_item = history.newest_first().flat_map(|turn| placed(turn).rev()).find(done);
    let newest_turn = history.newest_first().next();
    response.turns_backwards_cursor = from_here(newest_turn.map(|turn| turn.cursor(thread, true)));
    response.items_backwards_cursor = from_here(newest_item.map(|item| item.cursor(thread, true)));
    if let Some(asked) = &params.initial_turns_page {
        let (limit, items_view, sort_direction) = (asked.limit, asked.items_view, asked.sort_direction);
        let first =
            ThreadTurnsListParams { cursor: None, items_view, limit, sort_direction, thread_id: thread };
        let shown = Shown::at(history, history);
        response.initial_turns_page = turns(&shown, &first, policy::HISTORY_PAGE_BYTES).ok();
    }
    if !params.exclude_turns {
        response.thread.turns = history.turns(TurnItemsView::Full);
    }
}

/// Puts the items in progress, as their owner published them, into their turn, unless they are done by now. `turns` are
/// from later than `open`: a turn that is missing was not on disk yet, and has no place in the picture.
pub fn add_open_items(turns: &mut [Turn], running: Option<&TurnId>, open: &[ThreadItem]) {
    let in_progress = |turn: &&mut Turn| turn.status == TurnStatus::InProgress && Some(&turn.id) == running;
    let Some(turn) = turns.iter_mut().rev().find(in_progress) else { return };
    for item in open {
        match turn.items.iter_mut().find(|there| there.id() == item.id()) {
            Some(there) if there.completed_at_ms.is_none() => *there = item.clone(),
            Some(_) => {}
            None => turn.items.push(item.clone()),
        }
    }
}

fn placed(turn: &Turn) -> impl DoubleEndedIterator<Item = Placed<'_>> {
    turn.items.iter().map(|item| (&turn.id, item))
}

fn size(asked: Option<u32>) -> usize {
    let asked = asked.map_or(policy::HISTORY_PAGE, |asked| usize::try_from(asked).unwrap_or(usize::MAX));
    asked.clamp(1, policy::HISTORY_PAGE_MOST)
}

/// Cuts a page out of `all`, which is oldest first.
fn cut<E: Entry, T: Serialize>(
    mut all: Vec<E>,
    asked: &Asked,
    as_of: Option<ThreadPicture>,
    told: impl Fn(&E) -> T,
) -> Result<Page<T>, PageError> {
    let thread = asked.thread;
    match asked.direction {
        SortDirection::Asc => {}
        SortDirection::Desc => all.reverse(),
    }
    if let Some(cursor) = &asked.cursor
        && cursor.turn.is_some()
    {
        let named =
            |entry: &E| Cursor { as_of: cursor.as_of, ..entry.cursor(thread, cursor.inclusive) } == *cursor;
        let at = all.iter().position(named).ok_or(PageError::BadCursor)?;
        all.drain(..if cursor.inclusive { at } else { at + 1 });
    }
    let data = within(all.iter().take(size(asked.limit)).map(told), asked.most_bytes);
    // Whoever turns round wants what came since; whoever goes on, more of the same picture.
    let backwards = all.first().map(|first| print(&first.cursor(thread, true)));
    let last = all.get(..data.len()).and_then(<[E]>::last).filter(|_| all.len() > data.len());
    let next = last.map(|last| print(&Cursor { as_of, ..last.cursor(thread, false) }));
    Ok(Page { data, backwards, next })
}

/// The first entries that have so many bytes together, and at least one.
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

fn print(cursor: &Cursor) -> String {
    // Strings, an option and a flag are always JSON.
    serde_json::to_string(cursor).unwrap_or_default()
}

fn read(text: &str, thread: ThreadId) -> Result<Cursor, PageError> {
    let cursor = serde_json::from_str::<Cursor>(text).ok();
    cursor.filter(|cursor| cursor.thread == thread).ok_or(PageError::BadCursor)
}
