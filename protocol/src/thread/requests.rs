//! Params and responses of the methods that begin with `thread/`.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    JsonObject, dynamic_tools,
    extension::{
        ListDetails, ListOptions, LoadedDetails, ResumeOptions, ResumePicture, StartOptions, ThreadMoment,
    },
    ids::ThreadId,
    response_item::ResponseItem,
    settings::{
        AbsolutePathBuf, ActivePermissionProfile, ApprovalsReviewer, AskForApproval, CollaborationMode,
        DynamicToolSpec, LegacyAppPathString, MultiAgentMode, Personality, ReasoningEffort, SandboxMode,
        SandboxPolicy, SelectedCapabilityRoot, ThreadSource, TurnEnvironmentParams,
    },
    thread::{Thread, ThreadHistoryMode, ThreadReadState},
    turn::{Turn, TurnItemsView},
};

/// Params of `thread/start`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartParams {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_provider_model_fallback: bool,
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    pub base_instructions: Option<String>,
    pub config: Option<JsonObject>,
    pub cwd: Option<String>,
    pub daybreak_enabled: Option<bool>,
    pub developer_instructions: Option<String>,
    #[serde(default, deserialize_with = "dynamic_tools::read")]
    pub dynamic_tools: Option<Vec<DynamicToolSpec>>,
    pub environments: Option<Vec<TurnEnvironmentParams>>,
    pub ephemeral: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub experimental_raw_events: bool,
    pub history_mode: Option<ThreadHistoryMode>,
    pub mock_experimental_field: Option<String>,
    pub model: Option<String>,
    pub model_provider: Option<String>,
    pub multi_agent_mode: Option<MultiAgentMode>,
    pub permissions: Option<String>,
    pub personality: Option<Personality>,
    pub project_id: Option<String>,
    pub runtime_workspace_roots: Option<Vec<AbsolutePathBuf>>,
    pub sandbox: Option<SandboxMode>,
    pub selected_capability_roots: Option<Vec<SelectedCapabilityRoot>>,
    pub service_name: Option<String>,
    pub service_tier: Option<String>,
    pub session_start_source: Option<ThreadStartSource>,
    /// Options for clients that know Skein.
    pub skein: Option<StartOptions>,
    pub thread_source: Option<ThreadSource>,
}

/// Response of `thread/start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartResponse {
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

impl ThreadStartResponse {
    /// The answer for `thread` of a server that asks about tools declared as dangerous and confines no command.
    pub fn new(thread: Thread, model: impl Into<String>) -> Self {
        Self {
            active_permission_profile: None,
            approval_policy: AskForApproval::OnRequest,
            approvals_reviewer: ApprovalsReviewer::User,
            cwd: thread.cwd.clone(),
            disabled_plugin_ids: Vec::new(),
            instruction_sources: Vec::new(),
            model: model.into(),
            model_provider: thread.model_provider.clone(),
            multi_agent_mode: MultiAgentMode::ExplicitRequestOnly,
            reasoning_effort: None,
            runtime_workspace_roots: vec![thread.cwd.clone()],
            sandbox: SandboxPolicy::DangerFullAccess,
            service_tier: None,
            skein: None,
            thread,
        }
    }
}

/// The reason why the client started a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadStartSource {
    Startup,
    Clear,
}

/// Params of `thread/resume`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeParams {
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    pub base_instructions: Option<String>,
    pub config: Option<JsonObject>,
    pub cwd: Option<String>,
    pub developer_instructions: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude_turns: bool,
    pub history: Option<Vec<ResponseItem>>,
    pub initial_turns_page: Option<ThreadResumeInitialTurnsPageParams>,
    pub model: Option<String>,
    pub model_provider: Option<String>,
    pub path: Option<String>,
    pub permissions: Option<String>,
    pub personality: Option<Personality>,
    pub runtime_workspace_roots: Option<Vec<AbsolutePathBuf>>,
    pub sandbox: Option<SandboxMode>,
    pub service_tier: Option<String>,
    pub thread_id: ThreadId,
    /// Options for clients that know Skein.
    pub skein: Option<ResumeOptions>,
}

impl ThreadResumeParams {
    /// Subscribes to a thread with its newest turns, and changes nothing.
    pub fn new(thread_id: ThreadId) -> Self {
        Self { thread_id, ..Self::default() }
    }
}

/// The page of turns that comes with a resume.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeInitialTurnsPageParams {
    pub items_view: Option<TurnItemsView>,
    pub limit: Option<u32>,
    pub sort_direction: Option<SortDirection>,
}

/// Response of `thread/resume`.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeResponse {
    pub active_permission_profile: Option<ActivePermissionProfile>,
    pub approval_policy: AskForApproval,
    pub approvals_reviewer: ApprovalsReviewer,
    pub collaboration_mode: Option<CollaborationMode>,
    pub cwd: AbsolutePathBuf,
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    pub initial_turns_page: Option<TurnsPage>,
    #[serde(default)]
    pub instruction_sources: Vec<LegacyAppPathString>,
    pub items_backwards_cursor: Option<String>,
    pub model: String,
    pub model_provider: String,
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
    pub reasoning_effort: Option<ReasoningEffort>,
    #[serde(default)]
    pub runtime_workspace_roots: Vec<AbsolutePathBuf>,
    pub sandbox: SandboxPolicy,
    pub service_tier: Option<String>,
    pub thread: Thread,
    pub turns_backwards_cursor: Option<String>,
    /// The point in the history that this answer shows.
    #[serde_with(skip_apply)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ResumePicture>,
}

/// An answer without turns or cursors.
impl From<ThreadStartResponse> for ThreadResumeResponse {
    fn from(start: ThreadStartResponse) -> Self {
        Self {
            active_permission_profile: start.active_permission_profile,
            approval_policy: start.approval_policy,
            approvals_reviewer: start.approvals_reviewer,
            collaboration_mode: None,
            cwd: start.cwd,
            disabled_plugin_ids: start.disabled_plugin_ids,
            initial_turns_page: None,
            instruction_sources: start.instruction_sources,
            items_backwards_cursor: None,
            model: start.model,
            model_provider: start.model_provider,
            multi_agent_mode: start.multi_agent_mode,
            reasoning_effort: start.reasoning_effort,
            runtime_workspace_roots: start.runtime_workspace_roots,
            sandbox: start.sandbox,
            service_tier: start.service_tier,
            skein: start.skein.map(ResumePicture::from),
            thread: start.thread,
            turns_backwards_cursor: None,
        }
    }
}

/// A page of turns.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnsPage {
    pub backwards_cursor: Option<String>,
    pub data: Vec<Turn>,
    pub next_cursor: Option<String>,
}

/// Params of `thread/unsubscribe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnsubscribeParams {
    pub thread_id: ThreadId,
}

/// Response of `thread/unsubscribe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadUnsubscribeResponse {
    pub status: ThreadUnsubscribeStatus,
}

/// The outcome of an unsubscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadUnsubscribeStatus {
    NotLoaded,
    NotSubscribed,
    Unsubscribed,
}

/// Params of `thread/loaded/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadLoadedListParams {
    pub cursor: Option<String>,
    pub limit: Option<u32>,
}

/// Response of `thread/loaded/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadLoadedListResponse {
    pub data: Vec<ThreadId>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Details of the threads in `data`, in the same order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<LoadedDetails>,
}

/// Params of `thread/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadListParams {
    pub ancestor_thread_id: Option<ThreadId>,
    pub archived: Option<bool>,
    pub attached_to_thread_id: Option<ThreadId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current_account_only: bool,
    pub cursor: Option<String>,
    pub cwd: Option<ThreadListCwdFilter>,
    pub excluded_thread_ids: Option<Vec<ThreadId>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_attached_threads: bool,
    pub limit: Option<u32>,
    pub model_providers: Option<Vec<String>>,
    pub originators: Option<Vec<String>>,
    pub parent_thread_id: Option<ThreadId>,
    pub project_id: Option<String>,
    pub search_term: Option<String>,
    pub section_id: Option<String>,
    pub sort_direction: Option<SortDirection>,
    pub sort_key: Option<ThreadSortKey>,
    pub source_kinds: Option<Vec<ThreadSourceKind>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_state_db_only: bool,
    /// Filters beyond the protocol's own.
    pub skein: Option<ListOptions>,
}

/// One working directory, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ThreadListCwdFilter {
    One(String),
    Several(Vec<String>),
}

/// Response of `thread/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadListResponse {
    #[serde(default)]
    pub backwards_cursor: Option<String>,
    pub data: Vec<Thread>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub read_states: Option<BTreeMap<String, ThreadReadState>>,
    /// The completeness of the list, while it is incomplete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ListDetails>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SortDirection {
    Asc,
    Desc,
}

/// The order of a list of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadSortKey {
    CreatedAt,
    UpdatedAt,
    RecencyAt,
    SectionPosition,
}

/// The kinds of client that a list of threads can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadSourceKind {
    Cli,
    Vscode,
    Exec,
    AppServer,
    SubAgent,
    SubAgentReview,
    SubAgentCompact,
    SubAgentThreadSpawn,
    SubAgentOther,
    Unknown,
}

/// Params of `thread/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadParams {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_turns: bool,
    pub thread_id: ThreadId,
}

/// Response of `thread/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadResponse {
    #[serde(default)]
    pub read_state: Option<ThreadReadState>,
    pub thread: Thread,
    /// The point in the history that this answer shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadMoment>,
}

/// Params of `thread/name/set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSetNameParams {
    pub name: String,
    pub thread_id: ThreadId,
}

/// Response of `thread/name/set`: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ThreadSetNameResponse {}
