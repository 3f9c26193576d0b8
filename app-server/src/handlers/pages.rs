//! Pages of a history: from the rollout, with the owner's work in progress added.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::thread::{
    SortDirection, ThreadItemsListParams, ThreadItemsListResponse, ThreadTurnsListParams,
    ThreadTurnsListResponse, TurnsPage,
};
use skein_protocol::turn::Turn;
use skein_store::history::read::{Enough, Stretch, Turns};
use skein_store::history::{History, json_bytes};
use skein_store::rollout::ReadError;

use super::thread::{as_run, unwritten};
use crate::app::App;
use crate::policy;
use crate::router::session::ClientSession;
use crate::thread::error::ThreadError;
use crate::thread::pages::{self, PageError, Shown, WantedPage};
use crate::thread::snapshot::Snapshot;

#[cfg(test)]
mod tests;

const ONE: Enough = Enough { turns: 1, ..Enough::ALL };

/// `thread/turns/list`
pub(crate) async fn turns(
    session: Arc<ClientSession>,
    params: ThreadTurnsListParams,
) -> Result<ThreadTurnsListResponse, WireError> {
    let id = params.thread_id;
    let wanted = pages::wanted_turns(&params).map_err(|error| error.to_wire(id))?;
    let (shown, picture) = history(&session, id, &wanted).await?;
    let page = pages::turns(&shown, &params, most_bytes(&session)).map_err(|error| error.to_wire(id))?;
    let TurnsPage { backwards_cursor, data, next_cursor } = page;
    Ok(ThreadTurnsListResponse { backwards_cursor, data, next_cursor, skein: Some(picture) })
}

/// `thread/items/list`
pub(crate) async fn items(
    session: Arc<ClientSession>,
    params: ThreadItemsListParams,
) -> Result<ThreadItemsListResponse, WireError> {
    let id = params.thread_id;
    let wanted = pages::wanted_items(&params).map_err(|error| error.to_wire(id))?;
    let (shown, picture) = history(&session, id, &wanted).await?;
    let page = pages::items(&shown, &params, most_bytes(&session)).map_err(|error| error.to_wire(id))?;
    Ok(ThreadItemsListResponse { skein: Some(picture), ..page })
}

/// The turns of a page's history, with their number.
async fn history(
    session: &ClientSession,
    id: ThreadId,
    wanted: &WantedPage,
) -> Result<(Shown, ThreadPicture), WireError> {
    let services = &session.app;
    // Before the file, so that turns that end meanwhile count as ended.
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(seen) = &seen
        && let Some(thread) = unwritten(seen)
    {
        if thread.ephemeral {
            return Err(ThreadError::Ephemeral { id, what: "its turns cannot be listed" }.to_wire());
        }
        check_epoch(id, wanted.as_of, seen.epoch)?;
        let nothing = Shown { as_of: wanted.as_of, ..Shown::default() };
        return Ok((nothing, ThreadPicture { seq: seen.seq, epoch: seen.epoch }));
    }
    let store = services.store.as_ref();
    let failed = |error: ReadError| ThreadError::unreadable(error, id).to_wire();
    let now = History::read_end(store, id, 0).await.map_err(failed)?;
    check_epoch(id, wanted.as_of, now.epoch())?;
    let turns = Turns::of(store, id, now.taken_back(), wanted.as_of.map(|as_of| as_of.seq));
    let (mut stretch, older, newer) = read(&turns, wanted).await.map_err(failed)?;
    let picture = wanted.as_of.unwrap_or_else(|| ThreadPicture { seq: now.seq(), epoch: now.epoch() });
    show_end(services, &turns, wanted.as_of, seen.as_ref(), &mut stretch).await.map_err(failed)?;
    let shown = Shown { turns: stretch.turns.into(), older, newer, as_of: wanted.as_of };
    Ok((shown, picture))
}

/// The turns, and whether older and newer ones may exist. `None`: the page's start does not exist, and the answer
/// says so.
async fn read(turns: &Turns<'_>, wanted: &WantedPage) -> Result<(Stretch, bool, bool), ReadError> {
    let nothing = (Stretch::default(), false, false);
    let named = wanted.only.as_ref().or(wanted.from.as_ref().map(|(turn, _)| turn));
    let known = wanted.from.as_ref().filter(|(turn, _)| named == Some(turn)).and_then(|(_, at)| *at);
    let at = match (named, known) {
        (None, _) => None,
        (Some(_), Some(at)) if turns.is_taken_back(at) => return Ok(nothing),
        (Some(_), Some(at)) => Some(at),
        (Some(turn), None) => match turns.find(turn).await? {
            Some(at) => Some(at),
            None => return Ok(nothing),
        },
    };
    if let (Some(at), Some(_)) = (at, &wanted.only) {
        return Ok((turns.forward(at, ONE).await?, false, false));
    }
    let mut stretch = match (wanted.direction, at) {
        (SortDirection::Asc, None) => turns.forward(EventSeq(1), wanted.enough).await?,
        (SortDirection::Asc, Some(at)) => turns.forward(at, Enough { uncounted: 1, ..wanted.enough }).await?,
        (SortDirection::Desc, None) => turns.back(None, wanted.enough).await?,
        (SortDirection::Desc, Some(at)) => {
            let (mut named, mut older) =
                (turns.forward(at, ONE).await?, turns.back(Some(at), wanted.enough).await?);
            older.newest = named.newest.take().filter(|_| named.turns.len() == 1);
            named.turns.truncate(1);
            older.turns.append(&mut named.turns);
            older
        }
    };
    let more = std::mem::take(&mut stretch.more);
    Ok(match wanted.direction {
        SortDirection::Asc => (stretch, false, more),
        SortDirection::Desc => (stretch, more, false),
    })
}

/// All turns of a thread according to `now`, if they fit into `most` bytes. A turn above half of that is cut.
pub(super) async fn all_turns(
    services: &App,
    now: &History,
    seen: Option<&Snapshot>,
    most: usize,
) -> Result<Option<Vec<Turn>>, ReadError> {
    let turns = Turns::of(services.store.as_ref(), now.id(), now.taken_back(), Some(now.seq()));
    // Far beyond this, the turns do not fit even if cut.
    let (json, bytes) = (most.saturating_mul(4), most.saturating_mul(16));
    let mut stretch = turns.back(None, Enough { json, bytes, ..Enough::ALL }).await?;
    show_end(services, &turns, None, seen, &mut stretch).await?;
    if stretch.more {
        return Ok(None);
    }
    let ended = stretch.turns.len().saturating_sub(1);
    let sized = stretch.turns.into_iter().enumerate().map(|(number, held)| {
        // Ended turns were counted when read; the last one may be shown differently.
        let bytes = if number < ended { held.json_bytes() } else { json_bytes(&held.turn) };
        (held.turn, bytes)
    });
    Ok(pages::all_within(sized, pages::room(most)))
}

/// Replaces the last turn by the page's view of it, if it may still be running.
async fn show_end(
    services: &App,
    turns: &Turns<'_>,
    as_of: Option<ThreadPicture>,
    seen: Option<&Snapshot>,
    stretch: &mut Stretch,
) -> Result<(), ReadError> {
    let (Some(newest), Some(last)) = (stretch.newest.take(), stretch.turns.back_mut()) else { return Ok(()) };
    if as_of.is_some() {
        let now = as_run(services, turns.to_end_of_turn(&newest).await?, seen);
        pages::as_published_then(last, &newest, &now);
        return Ok(());
    }
    if let Some(turn) = as_run(services, newest, seen).turn(&last.turn.id) {
        last.turn = turn.clone();
    }
    if let Some(seen) = seen {
        pages::add_open_items(&mut last.turn, seen.turn.as_ref(), &seen.open_items);
    }
    Ok(())
}

/// A cursor is valid only in the version of the history that it came from.
fn check_epoch(id: ThreadId, as_of: Option<ThreadPicture>, epoch: Epoch) -> Result<(), WireError> {
    match as_of {
        Some(as_of) if as_of.epoch != epoch => Err(PageError::BadCursor.to_wire(id)),
        Some(_) | None => Ok(()),
    }
}

/// The bytes for the entries of a page, below the limit of an answer.
fn most_bytes(session: &ClientSession) -> usize {
    policy::HISTORY_PAGE_BYTES.min(session.app.config().limits.answer_bytes / 2)
}
