//! Turns, and the requests that start, steer and interrupt them.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::{apply, skip_serializing_none};

use crate::{
    JsonObject,
    extension::TurnDetails,
    ids::{ThreadId, TurnId},
    item::ThreadItem,
    response_item::{FunctionCallOutputBody, ImageDetail},
    settings::{
        AbsolutePathBuf, AdditionalContextEntry, ApprovalsReviewer, AskForApproval, CollaborationMode,
        CyberAccessProgram, MultiAgentMode, Personality, ReasoningEffort, ReasoningSummary, SandboxPolicy,
        TurnEnvironmentParams,
    },
};

/// One user input and everything that follows until the agent is done.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    pub completed_at: Option<i64>,
    pub duration_ms: Option<i64>,
    pub error: Option<TurnError>,
    pub id: TurnId,
    pub items: Vec<ThreadItem>,
    #[serde(default)]
    pub items_view: TurnItemsView,
    pub root_turn_id: Option<TurnId>,
    pub started_at: Option<i64>,
    pub status: TurnStatus,
}

impl Turn {
    /// A turn in progress without items, begun at `started_at` (Unix seconds).
    pub fn new(id: impl Into<TurnId>, started_at: i64) -> Self {
        let id = id.into();
        Self {
            completed_at: None,
            duration_ms: None,
            error: None,
            root_turn_id: Some(id.clone()),
            id,
            items: Vec::new(),
            items_view: TurnItemsView::Full,
            started_at: Some(started_at),
            status: TurnStatus::InProgress,
        }
    }
}

/// The state of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TurnStatus {
    Completed,
    Interrupted,
    Failed,
    InProgress,
}

/// The items that a turn shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TurnItemsView {
    NotLoaded,
    Summary,
    #[default]
    Full,
}

/// The error of a turn.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnError {
    pub additional_details: Option<String>,
    pub codex_error_info: Option<CodexErrorInfo>,
    pub message: String,
    pub misalignment: Option<MisalignmentErrorDetails>,
}

impl TurnError {
    /// An error with nothing but a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { additional_details: None, codex_error_info: None, message: message.into(), misalignment: None }
    }
}

/// The kind of a turn's error, for programs.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CodexErrorInfo {
    ContextWindowExceeded,
    SessionBudgetExceeded,
    UsageLimitExceeded,
    RateLimitExceeded,
    FlexUnavailable,
    ServerOverloaded,
    ModelNotFound,
    PolicyCapacityUnavailable,
    CyberPolicy,
    MisalignmentPolicyViolation,
    TooManyDenials,
    InternalServerError,
    Unauthorized,
    BadRequest,
    ThreadRollbackFailed,
    SandboxError,
    Other,
    InferenceHookDenied,
    HttpConnectionFailed {
        http_status_code: Option<u16>,
    },
    ResponseStreamConnectionFailed {
        http_status_code: Option<u16>,
    },
    ResponseStreamDisconnected {
        http_status_code: Option<u16>,
    },
    ResponseTooManyFailedAttempts {
        http_status_code: Option<u16>,
    },
    ActiveTurnNotSteerable {
        turn_kind: NonSteerableTurnKind,
    },
    /// A word or object unknown to this version.
    #[serde(untagged)]
    Unknown(UnknownErrorInfo),
}

/// An error of a later version of the protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnknownErrorInfo {
    Word(String),
    Object(JsonObject),
}

/// Kinds of turn that take no further input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NonSteerableTurnKind {
    Review,
    Compact,
}

/// The result of a review of the agent's conduct.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MisalignmentErrorDetails {
    pub detailed_explanation: Option<String>,
    pub error_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_target: Option<String>,
    pub steer: Option<MisalignmentSteer>,
}

/// The message to the agent after such a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MisalignmentSteer {
    pub message: String,
}

/// A piece of the user's input.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UserInput {
    Text {
        text: String,
        #[serde(default)]
        text_elements: Vec<TextElement>,
    },
    Image {
        detail: Option<ImageDetail>,
        #[serde(flatten)]
        source: MediaSource,
    },
    LocalImage {
        detail: Option<ImageDetail>,
        path: String,
    },
    Audio {
        #[serde(flatten)]
        source: MediaSource,
    },
    LocalAudio {
        path: String,
    },
    Skill {
        name: String,
        path: String,
    },
    Mention {
        name: String,
        path: String,
    },
}

impl UserInput {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), text_elements: Vec::new() }
    }

    /// The text; `None` for other input.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::Image { .. }
            | Self::LocalImage { .. }
            | Self::Audio { .. }
            | Self::LocalAudio { .. }
            | Self::Skill { .. }
            | Self::Mention { .. } => None,
        }
    }
}

/// The source of an image or an audio clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MediaSource {
    Url(String),
    FileId(String),
}

/// A part of a text with a rendering of the client's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextElement {
    pub byte_range: ByteRange,
    #[serde(default)]
    pub placeholder: Option<String>,
}

/// A range of bytes, its end excluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ByteRange {
    pub end: u64,
    pub start: u64,
}

/// Params of `turn/start`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartParams {
    pub additional_context: Option<BTreeMap<String, AdditionalContextEntry>>,
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    pub client_user_message_id: Option<String>,
    pub collaboration_mode: Option<CollaborationMode>,
    pub cwd: Option<String>,
    pub cyber_access_program: Option<CyberAccessProgram>,
    pub disabled_plugin_ids: Option<Vec<String>>,
    pub effort: Option<ReasoningEffort>,
    pub environments: Option<Vec<TurnEnvironmentParams>>,
    pub input: Vec<UserInput>,
    pub model: Option<String>,
    pub multi_agent_mode: Option<MultiAgentMode>,
    pub output_schema: Option<Value>,
    pub parent_turn_id: Option<TurnId>,
    pub permissions: Option<String>,
    pub personality: Option<Personality>,
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    pub root_turn_id: Option<TurnId>,
    pub runtime_workspace_roots: Option<Vec<AbsolutePathBuf>>,
    pub sandbox_policy: Option<SandboxPolicy>,
    pub service_tier: Option<String>,
    pub service_tier_for_turn: Option<String>,
    pub summary: Option<ReasoningSummary>,
    pub thread_id: ThreadId,
    pub tool_output: Option<TurnToolOutput>,
    pub turn_trigger: Option<String>,
}

impl TurnStartParams {
    /// The input with default options.
    pub fn new(thread_id: ThreadId, input: Vec<UserInput>) -> Self {
        Self { input, thread_id, ..Self::default() }
    }
}

/// The output of a client-side tool that begins a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnToolOutput {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub output: FunctionCallOutputBody,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
}

/// Response of `turn/start`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartResponse {
    pub turn: Turn,
    /// Skein's extension: where several servers share a database.
    pub skein: Option<TurnDetails>,
}

/// Params of `turn/steer`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerParams {
    pub additional_context: Option<BTreeMap<String, AdditionalContextEntry>>,
    pub client_user_message_id: Option<String>,
    pub expected_turn_id: TurnId,
    pub input: Vec<UserInput>,
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    pub thread_id: ThreadId,
}

/// Response of `turn/steer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerResponse {
    pub turn_id: TurnId,
}

/// Params of `turn/interrupt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptParams {
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Response of `turn/interrupt`: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TurnInterruptResponse {}
