//! Archives, restores and deletes threads.

use std::sync::Arc;

use skein_protocol::thread::{
    ThreadArchiveParams, ThreadArchiveResponse, ThreadDeleteParams, ThreadDeleteResponse,
    ThreadUnarchiveParams, ThreadUnarchiveResponse,
};

use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, PutElsewhere};
use crate::thread::dispatch;

/// `thread/archive`
pub(crate) fn archive(
    session: &Arc<ClientSession>,
    params: ThreadArchiveParams,
    reply: Reply<ThreadArchiveResponse>,
) {
    let command = Command::PutElsewhere(PutElsewhere::Archive(reply));
    dispatch::deliver(&session.app.context, params.thread_id, command);
}

/// `thread/unarchive`
pub(crate) fn unarchive(
    session: &Arc<ClientSession>,
    params: ThreadUnarchiveParams,
    reply: Reply<ThreadUnarchiveResponse>,
) {
    let command = Command::PutElsewhere(PutElsewhere::Unarchive(reply));
    dispatch::deliver(&session.app.context, params.thread_id, command);
}

/// `thread/delete`
pub(crate) fn delete(
    session: &Arc<ClientSession>,
    params: ThreadDeleteParams,
    reply: Reply<ThreadDeleteResponse>,
) {
    let command = Command::PutElsewhere(PutElsewhere::Delete(reply));
    dispatch::deliver(&session.app.context, params.thread_id, command);
}
