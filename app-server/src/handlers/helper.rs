//! Helpers: their state, calls of their tools, reads of their resources.

use std::sync::Arc;

use serde_json::{Map, Value};
use skein_base::tasks::BlockingPool;
use skein_helpers::{HelperCall, HelperError, HelperSet, HelperSpec, ProcessTable};
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::extension::{HelperDetail, SkeinHelpersListParams, SkeinHelpersListResponse};
use skein_protocol::helper::{
    ListMcpServerStatusParams, ListMcpServerStatusResponse, McpResourceReadParams, McpResourceReadResponse,
    McpServerStatus, McpServerStatusDetail, McpServerToolCallParams, McpServerToolCallResponse,
};
use skein_protocol::ids::ThreadId;

use super::paging;
use crate::app::App;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::router::errors;
use crate::router::session::ClientSession;
use crate::thread::error::ThreadError;
use crate::thread::machine::Phase;
use crate::thread::registry::ThreadHandle;
use crate::thread::{directory, dispatch};

/// `mcpServerStatus/list`: the helpers of a thread, at once. Without a thread, those of the settings, started for the
/// answer if needed.
pub(crate) fn status_list(
    session: &Arc<ClientSession>,
    params: ListMcpServerStatusParams,
    reply: Reply<ListMcpServerStatusResponse>,
) {
    let services = Arc::clone(&session.app);
    if let Some(id) = params.thread_id {
        return reply.send(statuses(&services, id).map(|statuses| page(statuses, params)));
    }
    if session.access() < Access::Chat {
        // A connection that may only read starts no programs.
        return reply.ok(&page(of_settings(&services), params));
    }
    let Some(place) = session.in_flight.take(0) else {
        services.counters.overloaded.add_one();
        return reply.err(&errors::too_many_requests(session.in_flight.number(), policy::BUSY_RETRY));
    };
    let ended = session.ended.clone();
    let tasks = services.tasks.clone();
    tasks.spawn("helpers-of-the-settings", async move {
        let config = services.config();
        let mut specs: Vec<_> = config.helpers.values().cloned().collect();
        specs.retain(|spec| params.server_name.as_ref().is_none_or(|name| spec.name == *name));
        let cwd = directory::named(None);
        let looked = ended.run_until_cancelled(services.helpers.offered(specs, cwd.as_ref())).await;
        drop(place);
        if let Some(statuses) = looked {
            reply.ok(&page(statuses.to_vec(), params));
        }
    });
}

fn page(
    mut statuses: Vec<McpServerStatus>,
    params: ListMcpServerStatusParams,
) -> ListMcpServerStatusResponse {
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
    let (data, next_cursor) = paging::page(statuses, params.limit, |status| status.name.clone());
    ListMcpServerStatusResponse { data, next_cursor }
}

fn statuses(services: &App, id: ThreadId) -> Result<Vec<McpServerStatus>, WireError> {
    let handle = loaded(services, id)?;
    if let Some(set) = handle.seen(|snapshot| snapshot.helpers.clone()) {
        return Ok(set.statuses());
    }
    Ok(of_settings(services))
}

/// The helpers of the settings, none of them started.
fn of_settings(services: &App) -> Vec<McpServerStatus> {
    services.config().helpers.values().map(HelperSpec::status).collect()
}

/// `mcpServer/tool/call`: waits for the helper without a limit; the end of the connection cancels the call.
pub(crate) async fn call(
    session: Arc<ClientSession>,
    params: McpServerToolCallParams,
) -> Result<McpServerToolCallResponse, WireError> {
    let McpServerToolCallParams { meta, arguments, server, thread_id: id, tool } = params;
    let handle = loaded(&session.app, id)?;
    let _under_way = (handle.begin_request(), session.outbox.begin_request());
    let set = helpers(&session, &handle, &server).await?;
    let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
    let call = HelperCall {
        server,
        tool,
        arguments,
        meta: meta.unwrap_or_default(),
        turn: None,
        judged: None,
        given: None,
    };
    let called = set.call_with_progress(call, session.ended.child_token(), None).await;
    called.map_err(|error| error.to_wire().thread(id))
}

/// `mcpServer/resource/read`: waits for the helper without a limit. Without a thread the helper is started for the
/// answer.
pub(crate) async fn read_resource(
    session: Arc<ClientSession>,
    params: McpResourceReadParams,
) -> Result<McpResourceReadResponse, WireError> {
    let meta = params.meta.map(|meta| meta.into_iter().collect());
    let cancel = session.ended.child_token();
    let answer = match params.thread_id {
        Some(id) => {
            let handle = loaded(&session.app, id)?;
            let _under_way = (handle.begin_request(), session.outbox.begin_request());
            let set = helpers(&session, &handle, &params.server).await?;
            let read = set.read_resource(&params.server, params.uri, meta, cancel).await;
            read.map_err(|error| error.to_wire().thread(id))?
        }
        None => {
            let services = &session.app;
            let spec = services.config().helpers.get(&params.server).cloned();
            let cwd = directory::named(None);
            let set = services.helpers.for_an_answer(spec.into_iter().collect(), cwd.as_ref());
            let read = set.read_resource(&params.server, params.uri, meta, cancel.clone());
            let read = tokio::select! {
                biased;
                () = services.helpers.closing() => Err(HelperError::Cancelled { server: params.server.clone() }),
                read = read => read,
            };
            read.map_err(|error| error.to_wire())?
        }
    };
    Ok(McpResourceReadResponse { origin_call_id: params.origin_call_id, ..answer })
}

/// `skein/helpers/list`: one look at the system, on a blocking thread.
pub(crate) async fn processes(
    session: Arc<ClientSession>,
    params: SkeinHelpersListParams,
) -> Result<SkeinHelpersListResponse, WireError> {
    let services = &session.app;
    if let Some(id) = params.thread_id {
        loaded(services, id)?;
    }
    let helpers = Arc::clone(&services.helpers);
    let look = move || {
        let mut data = helpers.details(params.thread_id, &ProcessTable::take());
        // Helpers without a thread come last.
        data.sort_by(|one, other| by_thread(one).cmp(&by_thread(other)));
        SkeinHelpersListResponse { data }
    };
    let looked = services.tasks.blocking("helper-processes", BlockingPool::Read, look).await;
    looked.map_err(|panic| WireError::internal("helpersUnreadable", panic.to_string()))
}

fn by_thread(detail: &HelperDetail) -> (bool, Option<ThreadId>, &str) {
    (detail.thread_id.is_none(), detail.thread_id, &detail.name)
}

fn loaded(services: &App, id: ThreadId) -> Result<ThreadHandle, WireError> {
    // After `thread/closed` no helper is listed, even before the owner releases it.
    let there = services.registry.handle(id).filter(|handle| handle.seen(|seen| seen.phase) != Phase::Gone);
    there.ok_or_else(|| ThreadError::NotLoaded { id }.to_wire())
}

async fn helpers(
    session: &ClientSession,
    handle: &ThreadHandle,
    server: &str,
) -> Result<Arc<HelperSet>, WireError> {
    let found = dispatch::helpers(&session.app, handle).await;
    found.map_err(|error| error.to_wire().server(server))
}
