//! Params of notifications.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::{
    extension::{BudgetDetails, CatalogPlace, HelperState, RevertedFrom, TurnSaved},
    helper::{McpServerStartupFailureReason, McpServerStartupState},
    ids::{ItemId, RequestId, ThreadId, TurnId},
    item::ThreadItem,
    thread::{Thread, ThreadGoal, ThreadReadState, ThreadSettings, ThreadStatus},
    turn::{Turn, TurnError},
};

/// Params of `thread/started`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartedNotification {
    pub thread: Thread,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/settings/updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettingsUpdatedNotification {
    pub thread_id: ThreadId,
    pub thread_settings: ThreadSettings,
}

/// Params of `thread/goal/updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalUpdatedNotification {
    pub goal: ThreadGoal,
    pub thread_id: ThreadId,
    #[serde(default)]
    pub turn_id: Option<TurnId>,
}

/// Params of `thread/goal/cleared`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalClearedNotification {
    pub thread_id: ThreadId,
}

/// Params of `thread/readState/changed`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadStateChangedNotification {
    pub read_state: ThreadReadState,
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/status/changed`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStatusChangedNotification {
    pub status: ThreadStatus,
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/closed`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadClosedNotification {
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/archived`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadArchivedNotification {
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/unarchived`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnarchivedNotification {
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/deleted`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadDeletedNotification {
    pub thread_id: ThreadId,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/name/updated`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadNameUpdatedNotification {
    pub thread_id: ThreadId,
    pub thread_name: Option<String>,
    /// For clients that opted in to `skein/events`.
    pub skein: Option<CatalogPlace>,
}

/// Params of `thread/reverted`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRevertedNotification {
    pub thread_id: ThreadId,
    /// The removed part of the history.
    pub skein: Option<RevertedFrom>,
}

/// Params of `turn/started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartedNotification {
    pub thread_id: ThreadId,
    pub turn: Turn,
}

/// Params of `turn/completed`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnCompletedNotification {
    pub thread_id: ThreadId,
    pub turn: Turn,
    /// Whether the turn is saved; left out if it is.
    pub skein: Option<TurnSaved>,
}

/// Params of `item/started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemStartedNotification {
    pub item: ThreadItem,
    pub started_at_ms: i64,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemCompletedNotification {
    pub completed_at_ms: i64,
    #[serde(default)]
    pub content_token_count: Option<u64>,
    pub item: ThreadItem,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/agentMessage/delta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageDeltaNotification {
    pub delta: String,
    pub item_id: ItemId,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/reasoning/summaryTextDelta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSummaryTextDeltaNotification {
    pub delta: String,
    pub item_id: ItemId,
    pub summary_index: i64,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/reasoning/summaryPartAdded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningSummaryPartAddedNotification {
    pub item_id: ItemId,
    pub summary_index: i64,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/reasoning/textDelta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningTextDeltaNotification {
    pub content_index: i64,
    pub delta: String,
    pub item_id: ItemId,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/plan/delta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDeltaNotification {
    pub delta: String,
    pub item_id: ItemId,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `item/mcpToolCall/progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolCallProgressNotification {
    pub item_id: ItemId,
    pub message: String,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
}

/// Params of `thread/tokenUsage/updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTokenUsageUpdatedNotification {
    pub thread_id: ThreadId,
    pub token_usage: ThreadTokenUsage,
    pub turn_id: TurnId,
    /// The limits that hold for the thread, with their use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<BudgetDetails>,
}

/// The tokens that a thread has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTokenUsage {
    pub last: TokenUsageBreakdown,
    #[serde(default)]
    pub model_context_window: Option<i64>,
    pub total: TokenUsageBreakdown,
}

/// A count of tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenUsageBreakdown {
    #[serde(default)]
    pub cache_write_input_tokens: i64,
    pub cached_input_tokens: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_output_tokens: i64,
    pub total_tokens: i64,
}

/// Params of `mcpServer/startupStatus/updated`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatusUpdatedNotification {
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub failure_reason: Option<McpServerStartupFailureReason>,
    pub name: String,
    pub status: McpServerStartupState,
    #[serde(default)]
    pub thread_id: Option<ThreadId>,
    /// The helper's moment of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<HelperMoment>,
}

/// The moment of a helper's life, for clients that are notified of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelperMoment {
    pub state: HelperState,
}

/// Params of `serverRequest/resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerRequestResolvedNotification {
    pub request_id: RequestId,
    pub thread_id: ThreadId,
}

/// Params of `error`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorNotification {
    pub error: TurnError,
    pub thread_id: ThreadId,
    pub turn_id: TurnId,
    pub will_retry: bool,
    /// When the model is asked again; left out if that is not known, and without `willRetry`.
    pub skein: Option<NextTry>,
}

/// The next try after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextTry {
    /// Milliseconds from this notification to the next try.
    pub retry_in_ms: u64,
}

/// Params of `warning`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarningNotification {
    pub message: String,
    #[serde(default)]
    pub thread_id: Option<ThreadId>,
}

/// Params of `configWarning`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigWarningNotification {
    #[serde(default)]
    pub details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<TextRange>,
    pub summary: String,
}

/// A range of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextRange {
    pub end: TextPosition,
    pub start: TextPosition,
}

/// A position in a file; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextPosition {
    pub column: u64,
    pub line: u64,
}
