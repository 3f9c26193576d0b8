//! Records about the open turn, so that the next load goes on with it: its questions, their answers, and the calls that
//! helpers have begun. They are no events for clients. After the end of the turn no reader needs them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;
use skein_protocol::ids::{ItemId, TurnId};
pub use skein_protocol::question::QuestionKind;
use uuid::Uuid;

/// A client's wishes for one turn only.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnTerms {
    /// The JSON schema of the answer (`outputSchema` of `turn/start`).
    pub output_schema: Option<Value>,
    /// The service tier of the turn (`serviceTierForTurn`).
    pub service_tier: Option<String>,
}

/// The tool that a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTool {
    /// The helper.
    pub server: String,
    /// The helper's program, as a short hash. An answer holds for this program only.
    pub program: String,
    /// The tool.
    pub name: String,
    /// SHA-256 of the tool's description of itself, lower-case hex. An answer holds for this description only.
    pub hash: String,
}

/// `question.asked`. It is on disk before any client knows of the question.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAsked {
    /// The id of the request to clients.
    pub id: i64,
    /// Its subject.
    pub kind: QuestionKind,
    /// The turn.
    pub turn_id: TurnId,
    /// The item that waits for the answer; none for a helper's own question and for one about a budget.
    pub item_id: Option<ItemId>,
    /// The method of the request.
    pub method: String,
    /// The params of the request, as JSON text: a client that is asked again gets the same bytes.
    pub params: String,
    /// The tool, for a question about a call.
    pub tool: Option<AskedTool>,
    /// The name of the client (`clientInfo.name`) that is to carry out a call of its own tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl QuestionAsked {
    /// Whether it is still open for a later load. A helper's own question ends with the helper.
    pub(crate) fn outlives_helpers(&self) -> bool {
        self.item_id.is_some() || self.kind == QuestionKind::Budget
    }
}

/// The client that answered a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredBy {
    /// The name of the client (`clientInfo.name`).
    pub client: String,
    /// Its scope (`chat` or `admin`).
    pub scope: String,
}

/// `question.answered`. It is on disk before the answer has any effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAnswered {
    /// The question.
    pub id: i64,
    /// The turn.
    pub turn_id: TurnId,
    /// The client.
    pub by: AnsweredBy,
    /// The result in the answer, as JSON text. None for a secret.
    pub answer: Option<String>,
}

/// Why a question needs no answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuestionEnd {
    /// Its turn ends.
    Interrupted,
    /// Its asker has given up.
    Withdrawn,
    /// Its helper has ended.
    HelperGone,
    /// Every client that was asked has answered with an error.
    Refused,
    /// Changed settings have decided.
    Decided,
    /// Nobody has answered in time.
    Expired,
}

/// `question.closed`: a question ends without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionClosed {
    /// The question.
    pub id: i64,
    /// The turn.
    pub turn_id: TurnId,
    /// The reason.
    pub why: QuestionEnd,
}

/// `call.begun`. It is on disk before a helper hears of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallBegun {
    /// The turn.
    pub turn_id: TurnId,
    /// The item of the call.
    pub item_id: ItemId,
    /// How often the call was begun, this time included.
    pub attempt: u32,
    /// The helper.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// Whether the tool says that it only reads (`readOnlyHint`), so that it may be called again without a question.
    pub repeatable: bool,
}

/// `call.paused`: a helper wants to know something of the user before it answers a call (MCP 2026-07-28). Nothing is under way
/// at it. The call is made again with the answers, perhaps by another process of the same program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallPaused {
    /// The turn.
    pub turn_id: TurnId,
    /// The item of the call.
    pub item_id: ItemId,
    /// The questions to the user, in the order in which they are asked.
    pub inputs: Vec<WantedInput>,
    /// The names of the helper's requests for the roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// The helper's state. It goes back as it came.
    pub state: Option<String>,
    /// The tool that was called.
    pub tool: AskedTool,
}

/// A question of a helper to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedInput {
    /// The helper's name for it.
    pub name: String,
    /// The question, as JSON text.
    pub request: String,
}

/// `turn.resumed`: a load goes on with the open turn, and somebody works for it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnResumed {
    /// The turn.
    pub turn_id: TurnId,
    /// The server's boot of the machine.
    pub boot_id: Uuid,
    /// Items of an answer that broke off. The model is asked again, and does not hear of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<ItemId>,
}
