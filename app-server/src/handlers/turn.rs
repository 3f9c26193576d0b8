//! Turns: start, steer, compact, interrupt.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::thread::{ThreadCompactStartParams, ThreadCompactStartResponse};
use skein_protocol::turn::{
    TurnInterruptParams, TurnInterruptResponse, TurnStartParams, TurnStartResponse, TurnSteerParams,
    TurnSteerResponse, UserInput,
};

use super::words;
use crate::outbox::reply::Reply;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit, Input, InputReply};
use crate::thread::dispatch;
use crate::thread::error::ThreadError;
use crate::thread::machine::Phase;

/// `turn/start`
pub(super) fn start(session: &Arc<ClientSession>, params: TurnStartParams, reply: Reply<TurnStartResponse>) {
    if params.tool_output.is_some() {
        let text =
            "toolOutput is not supported: no turn begins with what came of a tool that nobody has called";
        let error = WireError::invalid_params("unsupported", text).path("toolOutput");
        return reply.err(&error.thread(params.thread_id));
    }
    input(session, params, InputReply::Start(reply));
}

/// `turn/steer`
pub(crate) fn steer(session: &Arc<ClientSession>, params: TurnSteerParams, reply: Reply<TurnSteerResponse>) {
    let TurnSteerParams { expected_turn_id, thread_id, .. } = params;
    let params = TurnStartParams {
        additional_context: params.additional_context,
        client_user_message_id: params.client_user_message_id,
        responsesapi_client_metadata: params.responsesapi_client_metadata,
        responsesapi_client_metadata_patch: params.responsesapi_client_metadata_patch,
        ..TurnStartParams::new(thread_id, params.input)
    };
    input(session, params, InputReply::Steer(expected_turn_id, reply));
}

/// `thread/compact/start`
pub(crate) fn compact(
    session: &Arc<ClientSession>,
    params: ThreadCompactStartParams,
    reply: Reply<ThreadCompactStartResponse>,
) {
    let id = params.thread_id;
    let params = TurnStartParams::new(id, Vec::new());
    let input = Box::new(Input { params, reply: InputReply::Compact(reply) });
    dispatch::deliver(&session.app.context, id, Command::Input(input));
}

fn input(session: &Arc<ClientSession>, params: TurnStartParams, reply: InputReply) {
    if let Err(error) = check_input(&params.input) {
        return reply.err(&error.thread(params.thread_id));
    }
    let id = params.thread_id;
    let words = [
        ("clientUserMessageId", params.client_user_message_id.as_deref()),
        ("cwd", params.cwd.as_deref()),
        ("effort", params.effort.as_deref()),
        ("model", params.model.as_deref()),
    ];
    if let Err(error) = words::check(&words) {
        return reply.err(&error.thread(id));
    }
    dispatch::deliver(&session.app.context, id, Command::Input(Box::new(Input { params, reply })));
}

/// Checks that the input is not empty. Providers refuse a request that does not end with a user message, and a blank text is
/// no message.
pub(super) fn check_input(input: &[UserInput]) -> Result<(), WireError> {
    if input.iter().all(|piece| piece.as_text().is_some_and(|text| text.trim().is_empty())) {
        let text = "a turn needs input: at least one element that is not a blank text";
        return Err(WireError::invalid_params("emptyInput", text).path("input"));
    }
    Ok(())
}

/// `turn/interrupt`: sets a flag that the owner reads. A thread that is parked is loaded for it. The owner published the running turn before it answered the
/// turn's start. An empty turn id means any running turn, or none: for clients that do not know the id yet.
pub(crate) fn interrupt(
    session: &Arc<ClientSession>,
    params: TurnInterruptParams,
    reply: Reply<TurnInterruptResponse>,
) {
    let TurnInterruptParams { thread_id: id, turn_id: named } = params;
    let Some(handle) = session.app.registry.handle(id) else {
        return interrupt_parked(session, id, named, reply);
    };
    let any = named.as_str().is_empty();
    let (turn, phase) = handle.seen(|snapshot| (snapshot.turn.clone(), snapshot.phase));
    let is_left = phase == Phase::Unloading && !handle.works();
    match turn {
        // It is still shown in the moment in which it is left to the next load.
        Some(_) if is_left => interrupt_parked(session, id, named, reply),
        None if matches!(phase, Phase::Loading | Phase::Unloading | Phase::Gone) => {
            interrupt_parked(session, id, named, reply);
        }
        // The owner has not shown the turn of its load yet.
        None if phase == Phase::Running => {
            let command = Command::Edit(Edit::Interrupt(named, reply));
            dispatch::deliver(&session.app.context, id, command);
        }
        Some(active) if any || active == named => {
            // The answer precedes the end of the turn.
            reply.ok(&TurnInterruptResponse {});
            handle.interrupt(active);
        }
        Some(active) => reply.err(&ThreadError::InterruptsOther { id, named, active }.to_wire()),
        None if any => reply.ok(&TurnInterruptResponse {}),
        None => reply.err(&ThreadError::NothingToInterrupt { id }.to_wire()),
    }
}

/// Interrupts the turn of a thread that is not loaded, or is being parked, if the turn waits for an answer. Loads no other thread.
fn interrupt_parked(
    session: &Arc<ClientSession>,
    id: ThreadId,
    named: TurnId,
    reply: Reply<TurnInterruptResponse>,
) {
    let session = Arc::clone(session);
    session.app.tasks.clone().spawn(format!("interrupt/{id}"), async move {
        let row = session.app.index.get(id).await.ok().flatten();
        match row.is_some_and(|(row, _)| !row.waiting.is_empty()) {
            true => dispatch::deliver(&session.app.context, id, Command::Edit(Edit::Interrupt(named, reply))),
            false => reply.err(&ThreadError::NotLoaded { id }.to_wire()),
        }
    });
}
