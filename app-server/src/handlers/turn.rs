//! Turns: begun, added to, interrupted.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::turn::{TurnInterruptParams, TurnInterruptResponse, TurnStartParams, TurnStartResponse};

use crate::connection::Connection;
use crate::connection::reply::Reply;
use crate::router::errors;
use crate::thread::command::{Command, Input};
use crate::thread::dispatch;
use crate::thread::error::ThreadError;

/// `turn/start`
pub fn start(connection: &Arc<Connection>, params: TurnStartParams, reply: Reply<TurnStartResponse>) {
    if params.input.is_empty() {
        let error =
            WireError::invalid_params("emptyInput", "a turn needs input: a list with at least one element");
        return reply.err(&error.path("input").thread(params.thread_id));
    }
    let id = params.thread_id;
    dispatch::deliver(&connection.services, id, Command::Input(Box::new(Input { params, reply })));
}

/// `turn/interrupt`: a flag that the owner reads when it is woken. What is running is known from what the owner
/// published before it answered the turn's start.
pub fn interrupt(
    connection: &Arc<Connection>,
    params: TurnInterruptParams,
    reply: Reply<TurnInterruptResponse>,
) {
    let TurnInterruptParams { thread_id: id, turn_id } = params;
    let Some(handle) = connection.services.registry.handle(id) else {
        return reply.err(&errors::thread(&ThreadError::NotLoaded { id }));
    };
    match handle.seen(|snapshot| snapshot.turn.clone()) {
        Some(active) if active == turn_id => {
            // The answer goes before the end of the turn.
            reply.ok(&TurnInterruptResponse {});
            handle.interrupt(turn_id);
        }
        Some(active) => reply.err(&errors::thread(&ThreadError::OtherTurn { id, named: turn_id, active })),
        None => reply.err(&errors::thread(&ThreadError::NoTurn { id })),
    }
}
