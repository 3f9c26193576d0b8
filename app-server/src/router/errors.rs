//! The router's own errors. Each other room has its `to_wire` beside its error type.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use skein_protocol::access::Access;
use skein_protocol::envelope;
use skein_protocol::error::{BAD_CURSOR, WireError};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadItemsList, ThreadRead, ThreadTurnsList};
use skein_protocol::table::Method;

use crate::policy;

/// The error for a request before `initialize`.
pub(crate) fn not_initialised() -> WireError {
    WireError::invalid_request("notInitialized", "Not initialized").hint("send initialize first")
}

/// The error for a method that needs more access than the connection has.
pub(crate) fn forbidden(method: &str, needed: Access, access: Access) -> WireError {
    WireError::forbidden(
        needed,
        format!("{method} needs the access {needed}, and this connection has {access}"),
    )
}

/// The error above the limit of requests in flight.
pub(crate) fn too_many_requests(most: usize, retry_after: Duration) -> WireError {
    let text = format!(
        "the {most} places for requests of this connection are taken, and a large request takes several; wait for answers"
    );
    WireError::overloaded("requestsInFlight", text, retry_after)
}

/// The params that an error about the request repeats.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RequestNames {
    pub(super) thread_id: Option<ThreadId>,
    /// A text, or a position in another form.
    cursor: Option<Value>,
}

impl RequestNames {
    /// Reads them from the params of any request.
    pub(crate) fn of(params: Option<&RawValue>) -> Self {
        envelope::params(params).unwrap_or_default()
    }

    /// An error about the cursor repeats it, as the peer's does.
    pub(crate) fn explain(&self, error: WireError) -> WireError {
        match &self.cursor {
            Some(Value::String(cursor)) if error.reason() == BAD_CURSOR => {
                let shown: String = cursor.chars().take(policy::SHOWN_CURSOR).collect();
                let hint = error.message.clone();
                WireError { message: format!("invalid cursor: {shown}"), ..error }.hint(hint)
            }
            Some(_) | None => error,
        }
    }
}

/// The error for an answer of the lane Store above the limit. Pages of a history end earlier, unless a single entry
/// is that large.
pub(crate) fn page_too_large(wire: &'static str, about: &RequestNames, most: usize) -> WireError {
    let (turns, items) = (ThreadTurnsList::INFO.wire, ThreadItemsList::INFO.wire);
    let advice = match wire {
        wire if wire == ThreadRead::INFO.wire => {
            format!("read it without includeTurns, and its history with {turns} or {items}")
        }
        wire if wire == turns => format!("one turn has all of that: read its items with {items} and turnId"),
        wire if wire == items => {
            "one item has all of that: limits.answer_bytes would have to be raised".into()
        }
        _ => "ask for fewer (limit)".to_owned(),
    };
    let text = format!("the answer would be above the limit of {most} bytes; {advice}");
    let error = WireError::invalid_request("answerTooLarge", text);
    match about.thread_id {
        Some(id) => error.thread(id),
        None => error,
    }
}
