//! A helper's question to the user, on its way from the session to the thread.

use skein_protocol::approval::{McpServerElicitationRequestBody, McpServerElicitationRequestResponse};
use skein_protocol::ids::TurnId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A question of a helper to the user of the thread that called it. Dropping it cancels it.
#[derive(Debug)]
pub struct HelperQuestion {
    /// The turn whose call it is about; none for a call of a client.
    pub turn: Option<TurnId>,
    /// The helper.
    pub server: String,
    /// The question.
    pub request: McpServerElicitationRequestBody,
    /// Where the answer goes.
    pub answer: oneshot::Sender<McpServerElicitationRequestResponse>,
    /// Cancelled when nobody wants the answer any more.
    pub given_up: CancellationToken,
}

/// The questions of a helper in the place of the result of a turn's call (MCP 2026-07-28, `input_required`).
#[derive(Debug, Clone, PartialEq)]
pub struct WantedInputs {
    /// The questions to the user, by the helper's names for them.
    pub questions: Vec<(String, McpServerElicitationRequestBody)>,
    /// The names of requests for the roots.
    pub roots: Vec<String>,
    /// The helper's state (`requestState`). It goes back as it came.
    pub state: Option<String>,
}

/// The answers to [`WantedInputs`], for the next call.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenInputs {
    /// The user's answers, by the helper's names for its questions.
    pub answers: Vec<(String, McpServerElicitationRequestResponse)>,
    /// The names of requests for the roots.
    pub roots: Vec<String>,
    /// The helper's state.
    pub state: Option<String>,
}
