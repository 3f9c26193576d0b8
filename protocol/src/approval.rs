//! Requests for user input and for results of the client's tools.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    elicitation::McpElicitationSchema,
    ids::{ItemId, ThreadId, TurnId},
    item::DynamicToolCallOutputContentItem,
};

/// Params of `item/tool/requestUserInput`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolRequestUserInputParams {
    #[serde(default)]
    pub auto_resolution_ms: Option<u64>,
    pub is_blocking: bool,
    pub item_id: ItemId,
    pub questions: Vec<ToolRequestUserInputQuestion>,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolRequestUserInputQuestion {
    pub header: String,
    pub id: String,
    #[serde(default)]
    pub is_other: bool,
    #[serde(default)]
    pub is_secret: bool,
    #[serde(default)]
    pub options: Option<Vec<ToolRequestUserInputOption>>,
    pub question: String,
}

impl ToolRequestUserInputQuestion {
    /// A question with a free answer.
    pub fn open(id: impl Into<String>, header: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            id: id.into(),
            is_other: true,
            is_secret: false,
            options: None,
            question: question.into(),
        }
    }
}

/// An answer that the user can choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolRequestUserInputOption {
    pub description: String,
    pub label: String,
}

/// The answer to `item/tool/requestUserInput`: an answer for each question, by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolRequestUserInputResponse {
    pub answers: BTreeMap<String, ToolRequestUserInputAnswer>,
}

/// The user's answers to one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolRequestUserInputAnswer {
    pub answers: Vec<String>,
}

/// Params of `item/tool/call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallParams {
    pub arguments: Value,
    pub call_id: ItemId,
    #[serde(default)]
    pub namespace: Option<String>,
    pub thread_id: ThreadId,
    pub tool: String,
    pub turn_id: TurnId,
}

/// The answer to `item/tool/call`: the tool's output, and whether the call succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallResponse {
    pub content_items: Vec<DynamicToolCallOutputContentItem>,
    pub success: bool,
}

/// Params of `mcpServer/elicitation/request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerElicitationRequestParams {
    pub server_name: String,
    pub thread_id: ThreadId,
    #[serde(default)]
    pub turn_id: Option<TurnId>,
    #[serde(flatten)]
    pub request: McpServerElicitationRequestBody,
}

/// A helper's request to the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum McpServerElicitationRequestBody {
    #[serde(rename = "openai/userVerification")]
    UserVerification {
        #[serde(rename = "_meta", default)]
        meta: Option<Value>,
        challenge: String,
        description: String,
        title: String,
    },
    Form {
        #[serde(rename = "_meta", default)]
        meta: Option<Value>,
        message: String,
        requested_schema: McpElicitationSchema,
    },
    #[serde(rename = "openai/form")]
    NamespacedOpenaiForm {
        #[serde(rename = "_meta", default)]
        meta: Option<Value>,
        message: String,
        requested_schema: Value,
    },
    OpenaiForm {
        #[serde(rename = "_meta", default)]
        meta: Option<Value>,
        message: String,
        requested_schema: Value,
    },
    Url {
        #[serde(rename = "_meta", default)]
        meta: Option<Value>,
        elicitation_id: String,
        message: String,
        url: String,
    },
}

/// The answer to `mcpServer/elicitation/request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerElicitationRequestResponse {
    #[serde(rename = "_meta", default)]
    pub meta: Option<Value>,
    pub action: McpServerElicitationAction,
    #[serde(default)]
    pub content: Option<Value>,
}

/// The user's decision on a helper's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerElicitationAction {
    Accept,
    Decline,
    Cancel,
}
