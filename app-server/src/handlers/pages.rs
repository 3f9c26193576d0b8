//! Histories read page by page: from the rollout, with what the owner has in progress added.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, ThreadId};
use skein_protocol::thread::{
    ThreadItemsListParams, ThreadItemsListResponse, ThreadTurnsListParams, ThreadTurnsListResponse, TurnsPage,
};
use skein_protocol::turn::TurnItemsView;

use super::thread::{as_run, unwritten};
use crate::connection::Connection;
use crate::policy;
use crate::router::errors;
use crate::thread::error::ThreadError;
use crate::thread::history::History;
use crate::thread::pages::{self, PageError, Shown};

/// `thread/turns/list`
pub async fn turns(
    connection: Arc<Connection>,
    params: ThreadTurnsListParams,
) -> Result<ThreadTurnsListResponse, WireError> {
    let id = params.thread_id;
    let as_of = pages::turns_as_of(&params).map_err(|error| errors::page(&error, id))?;
    let (shown, picture) = history(&connection, id, as_of).await?;
    let page =
        pages::turns(&shown, &params, most_bytes(&connection)).map_err(|error| errors::page(&error, id))?;
    let TurnsPage { backwards_cursor, data, next_cursor } = page;
    Ok(ThreadTurnsListResponse { backwards_cursor, data, next_cursor, skein: Some(picture) })
}

/// `thread/items/list`
pub async fn items(
    connection: Arc<Connection>,
    params: ThreadItemsListParams,
) -> Result<ThreadItemsListResponse, WireError> {
    let id = params.thread_id;
    let as_of = pages::items_as_of(&params).map_err(|error| errors::page(&error, id))?;
    let (shown, picture) = history(&connection, id, as_of).await?;
    let page =
        pages::items(&shown, &params, most_bytes(&connection)).map_err(|error| errors::page(&error, id))?;
    Ok(ThreadItemsListResponse { skein: Some(picture), ..page })
}

/// All turns with all items, and the number that they are a picture of.
async fn history(
    connection: &Connection,
    id: ThreadId,
    as_of: Option<ThreadPicture>,
) -> Result<(Shown, ThreadPicture), WireError> {
    let services = &connection.services;
    // Before the file, so that what is done meanwhile is seen as done.
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(seen) = &seen
        && let Some(thread) = unwritten(seen)
    {
        if thread.ephemeral {
            return Err(errors::thread(&ThreadError::Ephemeral { id, what: "its turns cannot be listed" }));
        }
        check_epoch(id, as_of, seen.epoch)?;
        let nothing = Shown { turns: Vec::new(), as_of };
        return Ok((nothing, ThreadPicture { seq: seen.seq, epoch: seen.epoch }));
    }
    let store = services.store.as_ref();
    if let Some(then) = as_of {
        let read = History::read_then_and_now(store, id, then.seq).await;
        let (then, now) = read.map_err(|error| errors::read(error, id))?;
        check_epoch(id, as_of, now.epoch())?;
        let picture = ThreadPicture { seq: then.seq(), epoch: now.epoch() };
        return Ok((Shown::at(&then, &as_run(services, now, seen.as_ref())), picture));
    }
    let history = History::read(store, id).await.map_err(|error| errors::read(error, id))?;
    let history = as_run(services, history, seen.as_ref());
    let picture = ThreadPicture { seq: history.seq(), epoch: history.epoch() };
    let mut turns = history.turns(TurnItemsView::Full);
    if let Some(seen) = &seen {
        pages::add_open_items(&mut turns, seen.turn.as_ref(), &seen.open_items);
    }
    Ok((Shown::now(turns), picture))
}

/// What a cursor names is there only in the version of the history that it is from.
fn check_epoch(id: ThreadId, as_of: Option<ThreadPicture>, epoch: Epoch) -> Result<(), WireError> {
    match as_of {
        Some(as_of) if as_of.epoch != epoch => Err(errors::page(&PageError::BadCursor, id)),
        Some(_) | None => Ok(()),
    }
}

/// What the entries of a page may have, so that the page is an answer also where answers are bound to be small.
fn most_bytes(connection: &Connection) -> usize {
    policy::HISTORY_PAGE_BYTES.min(connection.services.config().limits.answer_bytes / 2)
}
