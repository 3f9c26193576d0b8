//! Revert, rollback and fork of a history; items from clients; repository metadata.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::response_item::ResponseItem;
use skein_protocol::thread::{
    ThreadForkParams, ThreadForkResponse, ThreadInjectItemsParams, ThreadInjectItemsResponse,
    ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateParams, ThreadMetadataUpdateResponse,
    ThreadRevertParams, ThreadRevertResponse, ThreadRollbackParams,
};

use super::thread::{overrides, ticket};
use super::words;
use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit, Fork, RevertTo};
use crate::thread::dispatch;

/// `thread/revert`
pub(crate) fn revert(
    session: &Arc<ClientSession>,
    params: ThreadRevertParams,
    reply: Reply<ThreadRevertResponse>,
) {
    let edit = Edit::Revert(RevertTo::Before(params.before_turn_id), reply);
    dispatch::deliver(&session.app.context, params.thread_id, Command::Edit(edit));
}

/// `thread/rollback`
pub(crate) fn rollback(
    session: &Arc<ClientSession>,
    params: ThreadRollbackParams,
    reply: Reply<ThreadRevertResponse>,
) {
    if params.num_turns == 0 {
        let error = WireError::invalid_params("noTurns", "numTurns has to be at least 1");
        return reply.err(&error.path("numTurns").thread(params.thread_id));
    }
    let edit = Edit::Revert(RevertTo::AllBut(params.num_turns), reply);
    dispatch::deliver(&session.app.context, params.thread_id, Command::Edit(edit));
}

/// `thread/fork`
pub(crate) fn fork(session: &Arc<ClientSession>, params: ThreadForkParams, reply: Reply<ThreadForkResponse>) {
    let services = &session.app;
    let from = params.thread_id;
    if let Some(error) = refusal(&params) {
        return reply.err(&error.thread(from));
    }
    let words = [
        ("cwd", params.cwd.as_deref()),
        ("model", params.model.as_deref()),
        ("threadSource", params.thread_source.as_deref()),
    ];
    let helpers = match overrides(services, params.config.as_ref(), params.model_provider.as_ref(), &words) {
        Ok(helpers) => helpers,
        Err(error) => return reply.err(&error.thread(from)),
    };
    let id = ThreadId::new(services.clock.new_id());
    let ticket = match ticket(session, id) {
        Ok(ticket) => ticket,
        Err(error) => return reply.err(&error),
    };
    let originator = session.client().map(|client| client.name.clone()).unwrap_or_default();
    let fork = Fork { params, helpers, ticket, originator, reply };
    dispatch::deliver(&services.context, id, Command::Fork(Box::new(fork)));
}

/// The reason to refuse a fork.
fn refusal(params: &ThreadForkParams) -> Option<WireError> {
    if params.path.is_some() {
        let text = "path is not supported: a thread is forked by its id, from its own rollout";
        return Some(WireError::invalid_params("unsupported", text).path("path"));
    }
    if params.attach_to_source {
        let text = "attachToSource is not supported: a fork stands by itself; leave it out";
        return Some(WireError::invalid_params("unsupported", text).path("attachToSource"));
    }
    if params.last_turn_id.is_some() && params.before_turn_id.is_some() {
        let text = "lastTurnId and beforeTurnId both say where the fork ends; name one of them";
        return Some(WireError::invalid_params("twoBounds", text).path("beforeTurnId"));
    }
    None
}

/// `thread/metadata/update`
pub(crate) fn update_metadata(
    session: &Arc<ClientSession>,
    params: ThreadMetadataUpdateParams,
    reply: Reply<ThreadMetadataUpdateResponse>,
) {
    let id = params.thread_id;
    match repository(params) {
        Ok(change) => {
            let command = Command::Edit(Edit::Repository(change, reply));
            dispatch::deliver(&session.app.context, id, command);
        }
        Err(error) => reply.err(&error.thread(id)),
    }
}

/// The requested change, if all of it is possible.
fn repository(params: ThreadMetadataUpdateParams) -> Result<ThreadMetadataGitInfoUpdateParams, WireError> {
    let unsupported =
        [("daybreakEnabled", params.daybreak_enabled.is_some()), ("projectId", params.project_id.is_some())];
    if let Some((path, _)) = unsupported.into_iter().find(|(_, named)| *named) {
        let text = format!("{path} is not kept of threads; leave it out");
        return Err(WireError::invalid_params("unsupported", text).path(path));
    }
    let mut change = params.git_info.unwrap_or_default();
    if change == ThreadMetadataGitInfoUpdateParams::default() {
        let text = "thread metadata update must include at least one field";
        let error = WireError::invalid_params("nothingToChange", text).path("gitInfo");
        return Err(error.hint("name gitInfo.branch, gitInfo.originUrl or gitInfo.sha"));
    }
    let members = [
        ("gitInfo.branch", &mut change.branch),
        ("gitInfo.originUrl", &mut change.origin_url),
        ("gitInfo.sha", &mut change.sha),
    ];
    for (path, member) in members {
        let Some(Some(text)) = member else { continue };
        *text = text.trim().to_owned();
        if text.is_empty() {
            let error = WireError::invalid_params("empty", format!("{path} is empty; null takes it away"));
            return Err(error.path(path));
        }
        words::check(&[(path, Some(text))])?;
    }
    Ok(change)
}

/// `thread/inject_items`
pub(crate) fn inject_items(
    session: &Arc<ClientSession>,
    params: ThreadInjectItemsParams,
    reply: Reply<ThreadInjectItemsResponse>,
) {
    let ThreadInjectItemsParams { items, thread_id: id } = params;
    match check_items(&items) {
        Ok(()) => dispatch::deliver(&session.app.context, id, Command::Edit(Edit::Inject(items, reply))),
        Err(error) => reply.err(&error.thread(id)),
    }
}

/// Checks the items against the model's interface. They are stored unchanged.
fn check_items(items: &[Value]) -> Result<(), WireError> {
    if items.is_empty() {
        let text = "items must not be empty";
        return Err(WireError::invalid_params("noItems", text).path("items"));
    }
    for (at, item) in items.iter().enumerate() {
        if let Err(error) = ResponseItem::deserialize(item) {
            let text = format!("items[{at}] is not a valid response item: {error}");
            return Err(WireError::invalid_params("badItem", text).path(format!("items[{at}]")));
        }
    }
    Ok(())
}
