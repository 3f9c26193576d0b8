//! The queue of a thread.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{
    QueuedSubmission, ThreadQueueAddParams, ThreadQueueAddResponse, ThreadQueueDeleteParams,
    ThreadQueueDeleteResponse, ThreadQueueListParams, ThreadQueueListResponse, ThreadQueueReorderParams,
    ThreadQueueReorderResponse, ThreadQueueStartParams, ThreadQueueStartResponse, ThreadQueueUpdateParams,
    ThreadQueueUpdateResponse,
};
use skein_store::history::History;

use super::thread::unwritten;
use super::turn::check_input;
use super::{deliver, paging, words};
use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit, QueueEdit};
use crate::thread::error::ThreadError;
use crate::thread::views;

fn edit(session: &Arc<ClientSession>, id: ThreadId, edit: QueueEdit) {
    deliver(session, id, Command::Edit(Edit::Queue(edit)));
}

/// `thread/queue/add`
pub(super) fn add(
    session: &Arc<ClientSession>,
    params: ThreadQueueAddParams,
    reply: Reply<ThreadQueueAddResponse>,
) {
    let id = params.thread_id;
    let names = [("clientUserMessageId", Some(params.client_user_message_id.as_str()))];
    match check_input(&params.input).and_then(|()| words::check(&names)) {
        Ok(()) => edit(session, id, QueueEdit::Add(params, reply)),
        Err(error) => reply.err(&error.thread(id)),
    }
}

/// `thread/queue/update`
pub(super) fn update(
    session: &Arc<ClientSession>,
    params: ThreadQueueUpdateParams,
    reply: Reply<ThreadQueueUpdateResponse>,
) {
    let id = params.thread_id;
    match check_input(&params.input) {
        Ok(()) => edit(session, id, QueueEdit::Update(params, reply)),
        Err(error) => reply.err(&error.thread(id)),
    }
}

/// `thread/queue/delete`
pub(super) fn delete(
    session: &Arc<ClientSession>,
    params: ThreadQueueDeleteParams,
    reply: Reply<ThreadQueueDeleteResponse>,
) {
    let by = session.client().map(|client| client.name.clone()).unwrap_or_default();
    edit(session, params.thread_id, QueueEdit::Delete(params.queued_submission_id, by, reply));
}

/// `thread/queue/reorder`
pub(super) fn reorder(
    session: &Arc<ClientSession>,
    params: ThreadQueueReorderParams,
    reply: Reply<ThreadQueueReorderResponse>,
) {
    edit(session, params.thread_id, QueueEdit::Reorder(params.queued_submission_ids, reply));
}

/// `thread/queue/start`
pub(super) fn start(
    session: &Arc<ClientSession>,
    params: ThreadQueueStartParams,
    reply: Reply<ThreadQueueStartResponse>,
) {
    edit(session, params.thread_id, QueueEdit::Start(params.queued_submission_id, reply));
}

/// `thread/queue/list`: from the rollout, or from the owner's snapshot if there is no rollout. The cursor is the id of the
/// last message.
pub(super) async fn list(
    session: Arc<ClientSession>,
    params: ThreadQueueListParams,
) -> Result<ThreadQueueListResponse, WireError> {
    let mut messages = messages(&session, params.thread_id).await?;
    if let Some(cursor) = &params.cursor {
        let last = messages.iter().position(|message| message.id.as_str() == cursor);
        let last = last.ok_or_else(|| paging::bad_cursor().thread(params.thread_id))?;
        messages.drain(..=last);
    }
    let (data, next_cursor) = paging::page(messages, params.limit, |message| message.id.to_string());
    Ok(ThreadQueueListResponse { data, next_cursor })
}

async fn messages(session: &ClientSession, id: ThreadId) -> Result<Vec<QueuedSubmission>, WireError> {
    let services = &session.app;
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(seen) = seen.filter(|seen| unwritten(seen).is_some()) {
        return Ok(seen.queue);
    }
    let history = History::read_end(services.store.as_ref(), id, 0).await;
    let history = history.map_err(|error| ThreadError::unreadable(error, id).to_wire())?;
    Ok(views::queue(&history))
}
