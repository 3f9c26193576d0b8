//! The open questions of all threads: `skein/questions/...`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::ids::{ItemId, ThreadId, TurnId};

/// The subject of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum QuestionKind {
    /// Whether a helper may run its tool.
    Approval,
    /// Whether a helper may run its tool once more: the server ended while the tool ran, and its result is lost.
    MayHaveRun,
    /// A model's questions to the user.
    Input,
    /// The call of a client's tool.
    ClientCall,
    /// A helper's own question. With MCP 2025-11-25 it ends with the helper.
    Elicitation,
    /// Whether a turn may use more of a model than its budget has.
    Budget,
}

impl QuestionKind {
    /// Whether the question is about the call of a helper's tool.
    pub fn is_about_a_call(self) -> bool {
        match self {
            Self::Approval | Self::MayHaveRun => true,
            Self::Input | Self::ClientCall | Self::Elicitation | Self::Budget => false,
        }
    }
}

/// The questions that wait for the users of a home, in loaded and other threads.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeedsYou {
    /// Threads with a question that waits for an answer.
    pub threads: u64,
    /// Their questions.
    pub questions: u64,
    /// When the oldest of them was asked, in Unix milliseconds; absent if nothing waits.
    pub oldest_at: Option<i64>,
}

/// The questions of a thread that wait for an answer.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingDetails {
    /// Their number.
    pub questions: u64,
    /// Their subjects, each once.
    pub kinds: Vec<QuestionKind>,
    /// When the oldest of them was asked, in Unix milliseconds.
    pub oldest_at: i64,
    /// When the first of them needs no answer any more, in Unix milliseconds; missing if never.
    pub expires_at: Option<i64>,
}

/// Params of `skein/questions/changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuestionsChangedNotification {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its questions that wait for an answer now, oldest first.
    pub open: Vec<QuestionSummary>,
    /// The number of questions that wait in all threads.
    pub needs_you: NeedsYou,
}

/// A question that waits for an answer, without its text.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionSummary {
    /// The id of the request to clients.
    pub id: i64,
    /// Its subject.
    pub kind: QuestionKind,
    /// When it was asked, in Unix milliseconds.
    pub asked_at: i64,
    /// When it needs no answer any more, in Unix milliseconds; missing if never.
    pub expires_at: Option<i64>,
}

/// Params of `skein/questions/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuestionsListParams {
    /// The questions of this thread only.
    pub thread_id: Option<ThreadId>,
    /// The end of the last page.
    pub cursor: Option<String>,
    /// The number of threads of a page, at most. All questions of a thread are on one page.
    pub limit: Option<u32>,
}

/// Response of `skein/questions/list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuestionsListResponse {
    /// The questions, thread by thread, that with the oldest question first.
    pub data: Vec<ListedQuestion>,
    /// The cursor of the next page; null at the end.
    pub next_cursor: Option<String>,
}

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedQuestion {
    /// The id of the request to clients.
    pub id: i64,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The user's name for the thread.
    pub thread_name: Option<String>,
    /// The turn that waits.
    pub turn_id: TurnId,
    /// The item that waits.
    pub item_id: Option<ItemId>,
    /// Its subject.
    pub kind: QuestionKind,
    /// The method of the request to clients.
    pub method: String,
    /// The params of the request to clients.
    pub params: Value,
    /// When it was asked, in Unix milliseconds.
    pub asked_at: i64,
    /// When it needs no answer any more and its turn is interrupted, in Unix milliseconds; missing if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Whether its thread is loaded. Others are loaded by the answer.
    pub loaded: bool,
}

/// Params of `skein/questions/answer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuestionsAnswerParams {
    /// The id of the request to clients.
    pub id: i64,
    /// The result that a client would answer to the request.
    pub result: Value,
}

/// Response of `skein/questions/answer`: nothing. The answer is on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinQuestionsAnswerResponse {}
