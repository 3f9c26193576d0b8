//! The settings of a thread, as clients see and change them.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    ids::ThreadId,
    settings::{
        AbsolutePathBuf, ActivePermissionProfile, ApprovalsReviewer, AskForApproval, CollaborationMode,
        MultiAgentMode, Personality, ReasoningEffort, ReasoningSummary, SandboxPolicy, TurnEnvironmentParams,
    },
    thread::ThreadEnvironment,
};

/// Params of `thread/settings/update`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettingsUpdateParams {
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    pub collaboration_mode: Option<CollaborationMode>,
    pub cwd: Option<String>,
    pub disabled_plugin_ids: Option<Vec<String>>,
    pub effort: Option<ReasoningEffort>,
    pub environments: Option<Vec<TurnEnvironmentParams>>,
    pub model: Option<String>,
    pub multi_agent_mode: Option<MultiAgentMode>,
    pub permissions: Option<String>,
    pub personality: Option<Personality>,
    pub sandbox_policy: Option<SandboxPolicy>,
    pub service_tier: Option<String>,
    pub summary: Option<ReasoningSummary>,
    pub thread_id: ThreadId,
}

/// Response of `thread/settings/update`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadSettingsUpdateResponse {}

/// The settings of a thread.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettings {
    pub active_permission_profile: Option<ActivePermissionProfile>,
    pub approval_policy: AskForApproval,
    pub approvals_reviewer: ApprovalsReviewer,
    pub collaboration_mode: CollaborationMode,
    pub cwd: AbsolutePathBuf,
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    pub effort: Option<ReasoningEffort>,
    pub environments: Option<Vec<ThreadEnvironment>>,
    pub model: String,
    pub model_provider: String,
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
    pub personality: Option<Personality>,
    pub sandbox_policy: SandboxPolicy,
    pub service_tier: Option<String>,
    pub summary: Option<ReasoningSummary>,
}
