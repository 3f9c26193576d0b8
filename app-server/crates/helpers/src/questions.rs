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
