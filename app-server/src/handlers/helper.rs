//! Helpers: how they are doing, and calls of their tools.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::helper::{
    ListMcpServerStatusParams, ListMcpServerStatusResponse, McpServerConnectionStatus, McpServerStatus,
    McpServerStatusDetail, McpServerToolCallParams, McpServerToolCallResponse,
};
use skein_protocol::ids::ThreadId;
use tokio::sync::oneshot;

use crate::connection::Connection;
use crate::helpers::HelperSet;
use crate::router::errors;
use crate::services::Services;
use crate::thread::command::Command;
use crate::thread::error::ThreadError;
use crate::thread::registry::ThreadHandle;

/// `mcpServerStatus/list`: the helpers of a thread; without a thread, those that the configuration names.
pub fn status_list(
    connection: &Arc<Connection>,
    params: ListMcpServerStatusParams,
) -> Result<ListMcpServerStatusResponse, WireError> {
    let mut statuses = statuses(&connection.services, params.thread_id)?;
    if let Some(name) = &params.server_name {
        statuses.retain(|status| status.name == *name);
    }
    if params.detail == Some(McpServerStatusDetail::ToolsAndAuthOnly) {
        for status in &mut statuses {
            status.resources.clear();
            status.resource_templates.clear();
        }
    }
    statuses.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(cursor) = &params.cursor {
        statuses.retain(|status| status.name > *cursor);
    }
    let most = params.limit.map_or(usize::MAX, |limit| usize::try_from(limit.max(1)).unwrap_or(usize::MAX));
    let more = statuses.len() > most;
    statuses.truncate(most);
    let next_cursor = if more { statuses.last().map(|status| status.name.clone()) } else { None };
    Ok(ListMcpServerStatusResponse { data: statuses, next_cursor })
}

fn statuses(services: &Services, thread: Option<ThreadId>) -> Result<Vec<McpServerStatus>, WireError> {
    if let Some(id) = thread {
        let handle = services.registry.handle(id);
        let handle = handle.ok_or_else(|| errors::thread(&ThreadError::NotLoaded { id }))?;
        if let Some(set) = handle.seen(|snapshot| snapshot.helpers.clone()) {
            return Ok(set.statuses());
        }
    }
    let config = services.config();
    let configured = config.helpers.iter().map(|(name, settings)| {
        let mut status = McpServerStatus::new(name.clone());
        if !settings.enabled {
            status.runtime_status = Some(McpServerConnectionStatus::Disabled);
        }
        status
    });
    Ok(configured.collect())
}

/// The helpers of a thread; its owner starts them where nobody has needed them yet.
async fn helpers(handle: &ThreadHandle) -> Option<Arc<HelperSet>> {
    if let Some(set) = handle.seen(|snapshot| snapshot.helpers.clone()) {
        return Some(set);
    }
    let (give, given) = oneshot::channel();
    handle.mailbox().send(Command::Helpers(give)).await.ok()?;
    given.await.ok()
}

/// `mcpServer/tool/call`: waits for the helper, however long; an end of the connection cancels the call.
pub async fn call(
    connection: Arc<Connection>,
    params: McpServerToolCallParams,
) -> Result<McpServerToolCallResponse, WireError> {
    let id = params.thread_id;
    let handle = connection.services.registry.handle(id);
    let handle = handle.ok_or_else(|| errors::thread(&ThreadError::NotLoaded { id }))?;
    let _under_way = handle.begin_request();
    let set = helpers(&handle).await;
    let set = set.ok_or_else(|| errors::thread(&ThreadError::NotLoaded { id }).server(&params.server))?;
    let arguments = params.arguments.unwrap_or_else(|| serde_json::Value::Object(serde_json::Map::new()));
    let cancel = connection.ended.child_token();
    let called = set.call(&params.server, &params.tool, arguments, cancel).await;
    called.map_err(|error| errors::helper(&error).thread(id))
}
