//! Threads put aside, brought back, deleted.

use std::sync::Arc;

use skein_protocol::thread::{
    ThreadArchiveParams, ThreadArchiveResponse, ThreadDeleteParams, ThreadDeleteResponse,
    ThreadUnarchiveParams, ThreadUnarchiveResponse,
};

use crate::connection::Connection;
use crate::outbox::reply::Reply;
use crate::thread::command::{Command, PutElsewhere};
use crate::thread::dispatch;

/// `thread/archive`
pub fn archive(
    connection: &Arc<Connection>,
    params: ThreadArchiveParams,
    reply: Reply<ThreadArchiveResponse>,
) {
    let command = Command::PutElsewhere(PutElsewhere::Archive(reply));
    dispatch::deliver(&connection.services.context, params.thread_id, command);
}

/// `thread/unarchive`
pub fn unarchive(
    connection: &Arc<Connection>,
    params: ThreadUnarchiveParams,
    reply: Reply<ThreadUnarchiveResponse>,
) {
    let command = Command::PutElsewhere(PutElsewhere::Unarchive(reply));
    dispatch::deliver(&connection.services.context, params.thread_id, command);
}

/// `thread/delete`
pub fn delete(connection: &Arc<Connection>, params: ThreadDeleteParams, reply: Reply<ThreadDeleteResponse>) {
    let command = Command::PutElsewhere(PutElsewhere::Delete(reply));
    dispatch::deliver(&connection.services.context, params.thread_id, command);
}
