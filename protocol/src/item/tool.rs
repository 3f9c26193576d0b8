//! Items for the agent's actions: tool calls, commands, files, searches, images, other agents.

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
    ids::{ItemId, ThreadId},
    response_item::FunctionCallOutputBody,
    settings::{AbsolutePathBuf, LegacyAppPathString, ReasoningEffort},
};

/// The call of a helper's tool.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallItem {
    pub app_context: Option<McpToolCallAppContext>,
    pub arguments: Value,
    pub duration_ms: Option<i64>,
    pub error: Option<McpToolCallError>,
    pub id: ItemId,
    #[serde_with(skip_apply)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_app_resource_uri: Option<String>,
    pub mcp_app_ui: Option<McpAppUi>,
    pub plugin_id: Option<String>,
    pub read_only_hint: Option<bool>,
    pub result: Option<McpToolCallResult>,
    pub server: String,
    pub status: McpToolCallStatus,
    pub tool: String,
}

impl McpToolCallItem {
    /// A call that has just started.
    pub fn new(
        id: impl Into<ItemId>,
        server: impl Into<String>,
        tool: impl Into<String>,
        arguments: Value,
    ) -> Self {
        Self {
            app_context: None,
            arguments,
            duration_ms: None,
            error: None,
            id: id.into(),
            mcp_app_resource_uri: None,
            mcp_app_ui: None,
            plugin_id: None,
            read_only_hint: None,
            result: None,
            server: server.into(),
            status: McpToolCallStatus::InProgress,
            tool: tool.into(),
        }
    }
}

/// The app that a tool call belongs to.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallAppContext {
    pub action_name: Option<String>,
    pub app_name: Option<String>,
    pub connector_id: String,
    pub link_id: Option<String>,
    pub resource_uri: Option<String>,
}

/// The error of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallError {
    pub message: String,
}

/// The user interface that belongs to a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpAppUi {
    pub preferred_model_display_mode: McpAppDisplayMode,
    pub resource_uri: String,
}

/// The display size that such an interface requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpAppDisplayMode {
    Inline,
    Fullscreen,
}

/// The result of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallResult {
    #[serde(rename = "_meta", default)]
    pub meta: Option<Value>,
    pub content: Vec<Value>,
    #[serde(default)]
    pub structured_content: Option<Value>,
}

/// The state of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpToolCallStatus {
    InProgress,
    Completed,
    Failed,
}

/// The output of a client-side tool that began the turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionCallOutputItem {
    pub id: ItemId,
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub output: FunctionCallOutputBody,
}

/// The call of a client-side tool.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallItem {
    pub arguments: Value,
    pub content_items: Option<Vec<DynamicToolCallOutputContentItem>>,
    pub duration_ms: Option<i64>,
    pub id: ItemId,
    pub namespace: Option<String>,
    pub status: DynamicToolCallStatus,
    pub success: Option<bool>,
    pub tool: String,
}

/// A piece of the output of a client-side tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DynamicToolCallOutputContentItem {
    InputText { text: String },
    InputImage { image_url: String },
    InputAudio { audio_url: String },
}

/// The state of a client-side tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DynamicToolCallStatus {
    InProgress,
    Completed,
    Failed,
}

/// A command that the agent ran.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecutionItem {
    pub aggregated_output: Option<String>,
    pub command: String,
    pub command_actions: Vec<CommandAction>,
    pub cwd: LegacyAppPathString,
    pub duration_ms: Option<i64>,
    pub exit_code: Option<i32>,
    pub id: ItemId,
    pub plugin_id: Option<String>,
    pub process_id: Option<String>,
    pub script_path: Option<String>,
    #[serde(default)]
    pub source: CommandExecutionSource,
    pub status: CommandExecutionStatus,
}

/// The action of a command, as far as it was recognised.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CommandAction {
    Read { command: String, name: String, path: LegacyAppPathString },
    ListFiles { command: String, path: Option<String> },
    Search { command: String, path: Option<String>, query: Option<String> },
    Unknown { command: String },
}

/// The source of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommandExecutionSource {
    #[default]
    Agent,
    UserShell,
    UnifiedExecStartup,
    UnifiedExecInteraction,
}

/// The state of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CommandExecutionStatus {
    InProgress,
    Completed,
    Failed,
    Declined,
}

/// A change of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileChangeItem {
    pub changes: Vec<FileUpdateChange>,
    pub id: ItemId,
    pub status: PatchApplyStatus,
}

/// The change of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileUpdateChange {
    pub diff: String,
    pub kind: PatchChangeKind,
    pub path: String,
}

/// The kind of change to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PatchChangeKind {
    Add,
    Delete,
    Update {
        #[serde(default)]
        move_path: Option<String>,
    },
}

/// The state of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PatchApplyStatus {
    InProgress,
    Completed,
    Failed,
    Declined,
}

/// An action of the agent on another agent.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollabAgentToolCallItem {
    pub agents_states: BTreeMap<String, CollabAgentState>,
    pub id: ItemId,
    pub model: Option<String>,
    pub prompt: Option<String>,
    pub reasoning_effort: Option<ReasoningEffort>,
    pub receiver_thread_ids: Vec<ThreadId>,
    pub sender_thread_id: ThreadId,
    pub status: CollabAgentToolCallStatus,
    pub tool: CollabAgentTool,
}

/// The state of another agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollabAgentState {
    #[serde(default)]
    pub message: Option<String>,
    pub status: CollabAgentStatus,
}

/// The state of another agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CollabAgentStatus {
    PendingInit,
    Running,
    Interrupted,
    Completed,
    Errored,
    Shutdown,
    NotFound,
}

/// The state of a call of an agent's tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CollabAgentToolCallStatus {
    InProgress,
    Completed,
    Failed,
    Interrupted,
}

/// The actions of one agent on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CollabAgentTool {
    SpawnAgent,
    SendInput,
    ResumeAgent,
    Wait,
    CloseAgent,
    SendMessage,
    FollowupTask,
    InterruptAgent,
    ListAgents,
}

/// An activity of another agent.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubAgentActivityItem {
    pub agent_path: String,
    pub agent_thread_id: ThreadId,
    pub id: ItemId,
    pub kind: SubAgentActivityKind,
    pub model: Option<String>,
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// The kind of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SubAgentActivityKind {
    Started,
    Interacted,
    Interrupted,
    Completed,
}

/// A web search.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebSearchItem {
    pub action: Option<WebSearchAction>,
    pub id: ItemId,
    pub query: String,
    pub results: Option<Vec<Value>>,
}

/// The action of a web search.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum WebSearchAction {
    Search { queries: Option<Vec<String>>, query: Option<String> },
    OpenPage { url: Option<String> },
    FindInPage { pattern: Option<String>, url: Option<String> },
    Other,
}

/// An image that the agent made.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageGenerationItem {
    pub failure: Option<ImageGenerationFailure>,
    pub generation_id: Option<String>,
    pub id: ItemId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_images: Vec<ImageGenerationInputImage>,
    pub revised_prompt: Option<String>,
    pub saved_path: Option<AbsolutePathBuf>,
    pub status: String,
    pub transparent_background: Option<bool>,
    #[serde(flatten)]
    pub output: ImageGenerationOutput,
}

/// The place of a generated image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageGenerationOutput {
    FileId(String),
    Result(String),
}

/// The reason why an image was not made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ImageGenerationFailure {
    UsageLimitExceeded {
        limit_id: String,
        #[serde(default)]
        resets_at: Option<i64>,
    },
}

/// An image that another one was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageGenerationInputImage {
    pub path: AbsolutePathBuf,
    pub sha256: String,
}
