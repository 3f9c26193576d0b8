//! Histories read page by page: from the rollout, with what the owner has in progress added.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::{
    ThreadItemsListParams, ThreadItemsListResponse, ThreadTurnsListParams, ThreadTurnsListResponse, TurnsPage,
};
use skein_protocol::turn::TurnItemsView;

use super::thread::unwritten;
use crate::connection::Connection;
use crate::router::errors;
use crate::thread::error::ThreadError;
use crate::thread::history::History;
use crate::thread::pages::{self, Shown};

/// `thread/turns/list`
pub async fn turns(
    connection: Arc<Connection>,
    params: ThreadTurnsListParams,
) -> Result<ThreadTurnsListResponse, WireError> {
    let id = params.thread_id;
    let as_of = pages::turns_as_of(&params).map_err(|error| errors::page(&error, id))?;
    let (shown, picture) = history(&connection, id, as_of).await?;
    let page = pages::turns(&shown, &params).map_err(|error| errors::page(&error, id))?;
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
    let page = pages::items(&shown, &params).map_err(|error| errors::page(&error, id))?;
    Ok(ThreadItemsListResponse { skein: Some(picture), ..page })
}

/// All turns with all items, and the number that they are a picture of.
async fn history(
    connection: &Connection,
    id: ThreadId,
    as_of: Option<EventSeq>,
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
        let nothing = Shown { turns: Vec::new(), as_of };
        return Ok((nothing, ThreadPicture { seq: seen.seq, epoch: seen.epoch }));
    }
    let read = History::read_until(services.store.as_ref(), id, as_of).await;
    let history = read.map_err(|error| errors::read(error, id))?;
    let picture = ThreadPicture { seq: history.seq(), epoch: history.epoch() };
    if let Some(as_of) = as_of {
        return Ok((Shown::at(&history, as_of), picture));
    }
    let mut turns = history.turns(TurnItemsView::Full);
    if let Some(seen) = &seen {
        pages::add_open_items(&mut turns, seen.turn.as_ref(), &seen.open_items);
    }
    Ok((Shown { turns, as_of: None }, picture))
}
