//! Params and responses of the methods that change, copy or describe a thread's history.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use super::{Thread, ThreadStartResponse};
use crate::{
    JsonObject,
    extension::{ThreadMoment, ThreadPicture},
    ids::{ThreadId, TurnId},
    settings::{
        AbsolutePathBuf, ActivePermissionProfile, ApprovalsReviewer, AskForApproval, LegacyAppPathString,
        MultiAgentMode, ReasoningEffort, SandboxMode, SandboxPolicy, ThreadSource,
    },
};

/// Params of `thread/revert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRevertParams {
    pub before_turn_id: TurnId,
    pub thread_id: ThreadId,
}

/// Params of `thread/rollback`, which earlier versions of Codex had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRollbackParams {
    /// The number of newest turns to remove, at least 1. A larger number removes all.
    pub num_turns: u32,
    pub thread_id: ThreadId,
}

/// Response of `thread/revert` and `thread/rollback`. The remaining turns are read in pages from these cursors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRevertResponse {
    #[serde(default)]
    pub items_backwards_cursor: Option<String>,
    pub thread: Thread,
    #[serde(default)]
    pub turns_backwards_cursor: Option<String>,
    /// The point in the history that this answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadPicture>,
}

/// Params of `thread/fork`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadForkParams {
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attach_to_source: bool,
    pub base_instructions: Option<String>,
    pub before_turn_id: Option<TurnId>,
    pub config: Option<JsonObject>,
    pub cwd: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defer_goal_continuation: bool,
    pub developer_instructions: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_turns: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub experimental_disable_prediction_mcp: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub experimental_prediction_mode: bool,
    pub last_turn_id: Option<TurnId>,
    pub model: Option<String>,
    pub model_provider: Option<String>,
    pub path: Option<String>,
    pub permissions: Option<String>,
    pub runtime_workspace_roots: Option<Vec<AbsolutePathBuf>>,
    pub sandbox: Option<SandboxMode>,
    pub service_tier: Option<String>,
    pub thread_id: ThreadId,
    pub thread_source: Option<ThreadSource>,
}

impl ThreadForkParams {
    /// A copy of the whole thread, with its settings.
    pub fn of(thread_id: ThreadId) -> Self {
        Self { thread_id, ..Self::default() }
    }
}

/// Response of `thread/fork`: the new thread, with its turns unless excluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadForkResponse {
    #[serde(default)]
    pub active_permission_profile: Option<ActivePermissionProfile>,
    pub approval_policy: AskForApproval,
    pub approvals_reviewer: ApprovalsReviewer,
    pub cwd: AbsolutePathBuf,
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    #[serde(default)]
    pub instruction_sources: Vec<LegacyAppPathString>,
    pub model: String,
    pub model_provider: String,
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
    #[serde(default)]
    pub reasoning_effort: Option<ReasoningEffort>,
    #[serde(default)]
    pub runtime_workspace_roots: Vec<AbsolutePathBuf>,
    pub sandbox: SandboxPolicy,
    #[serde(default)]
    pub service_tier: Option<String>,
    pub thread: Thread,
    /// The point in the history that this answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadMoment>,
}

/// The answer to a fork has the form of a new thread's.
impl From<ThreadStartResponse> for ThreadForkResponse {
    fn from(start: ThreadStartResponse) -> Self {
        Self {
            active_permission_profile: start.active_permission_profile,
            approval_policy: start.approval_policy,
            approvals_reviewer: start.approvals_reviewer,
            cwd: start.cwd,
            disabled_plugin_ids: start.disabled_plugin_ids,
            instruction_sources: start.instruction_sources,
            model: start.model,
            model_provider: start.model_provider,
            multi_agent_mode: start.multi_agent_mode,
            reasoning_effort: start.reasoning_effort,
            runtime_workspace_roots: start.runtime_workspace_roots,
            sandbox: start.sandbox,
            service_tier: start.service_tier,
            thread: start.thread,
            skein: start.skein,
        }
    }
}

/// Params of `thread/metadata/update`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadMetadataUpdateParams {
    pub daybreak_enabled: Option<bool>,
    pub git_info: Option<ThreadMetadataGitInfoUpdateParams>,
    pub project_id: Option<String>,
    pub thread_id: ThreadId,
}

/// Changes of a thread's repository metadata: a missing member stays, null removes it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadMetadataGitInfoUpdateParams {
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<String>")]
    pub branch: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<String>")]
    pub origin_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<String>")]
    pub sha: Option<Option<String>>,
}

/// Reads a member that is present, even if it is null.
pub(super) fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Response of `thread/metadata/update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadMetadataUpdateResponse {
    pub thread: Thread,
}

/// Params of `thread/inject_items`. Each item is a `ResponseItem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadInjectItemsParams {
    pub items: Vec<Value>,
    pub thread_id: ThreadId,
}

/// Response of `thread/inject_items`: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ThreadInjectItemsResponse {}

/// Params of `thread/compact/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadCompactStartParams {
    pub thread_id: ThreadId,
}

/// Response of `thread/compact/start`: nothing. The turn's notifications report the rest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ThreadCompactStartResponse {}
