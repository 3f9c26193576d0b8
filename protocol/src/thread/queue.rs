//! The queue of a thread: messages that wait, and each becomes a turn.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::ids::{ThreadId, TurnId};
use crate::turn::{Turn, UserInput};

/// A message that waits. Its id is the id of the turn that it becomes.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedSubmission {
    pub client_user_message_id: String,
    pub id: TurnId,
    pub input: Vec<UserInput>,
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// Params of `thread/queue/add`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueAddParams {
    pub client_user_message_id: String,
    pub input: Vec<UserInput>,
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/add`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueAddResponse {
    pub queued_submission: QueuedSubmission,
}

/// Params of `thread/queue/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueListParams {
    pub cursor: Option<String>,
    pub limit: Option<u32>,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/list`.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueListResponse {
    pub data: Vec<QueuedSubmission>,
    pub next_cursor: Option<String>,
}

/// Params of `thread/queue/update`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueUpdateParams {
    pub input: Vec<UserInput>,
    pub queued_submission_id: TurnId,
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueUpdateResponse {
    pub queued_submission: QueuedSubmission,
}

/// Params of `thread/queue/delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueDeleteParams {
    pub queued_submission_id: TurnId,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueDeleteResponse {
    pub deleted: bool,
}

/// Params of `thread/queue/reorder`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueReorderParams {
    pub queued_submission_ids: Vec<TurnId>,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/reorder`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueReorderResponse {}

/// Params of `thread/queue/start`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueStartParams {
    pub queued_submission_id: Option<TurnId>,
    pub thread_id: ThreadId,
}

/// Response of `thread/queue/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueStartResponse {
    pub turn: Turn,
}

/// Params of `thread/queue/changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadQueueChangedNotification {
    pub thread_id: ThreadId,
}
