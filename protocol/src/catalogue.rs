//! Skills, hooks and modes of collaboration. Skein has none of them yet; the types are the peer's.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    ids::ThreadId,
    settings::{AbsolutePathBuf, LegacyAppPathString, ModeKind, ReasoningEffort},
};

/// Params of `skills/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillsListParams {
    pub cwds: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_reload: bool,
}

/// Response of `skills/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillsListResponse {
    pub data: Vec<SkillsListEntry>,
}

/// The skills that a directory offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillsListEntry {
    pub cwd: String,
    pub errors: Vec<SkillErrorInfo>,
    pub skills: Vec<SkillMetadata>,
}

/// A skill that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillErrorInfo {
    pub message: String,
    pub path: String,
}

/// A skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillMetadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<SkillDependencies>,
    pub description: String,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<SkillInterface>,
    pub name: String,
    pub path: LegacyAppPathString,
    #[serde(default)]
    pub plugin_id: Option<String>,
    pub scope: SkillScope,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_description: Option<String>,
}

/// The requirements of a skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillDependencies {
    pub tools: Vec<SkillToolDependency>,
}

/// A tool that a skill needs.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkillToolDependency {
    pub command: Option<String>,
    pub description: Option<String>,
    pub transport: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    pub url: Option<String>,
    pub value: String,
}

/// How a skill is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SkillInterface {
    pub brand_color: Option<String>,
    pub default_prompt: Option<String>,
    pub display_name: Option<String>,
    pub icon_large: Option<AbsolutePathBuf>,
    pub icon_large_url: Option<String>,
    pub icon_small: Option<AbsolutePathBuf>,
    pub icon_small_url: Option<String>,
    pub short_description: Option<String>,
}

/// The owner of a skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SkillScope {
    User,
    Repo,
    System,
    Admin,
}

/// Params of `permissionProfile/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionProfileListParams {
    pub cursor: Option<String>,
    pub cwd: Option<String>,
    pub limit: Option<u32>,
}

/// Response of `permissionProfile/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionProfileListResponse {
    pub data: Vec<PermissionProfileSummary>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// The permissions of a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionProfileSummary {
    pub allowed: bool,
    #[serde(default)]
    pub description: Option<String>,
    pub id: String,
}

/// Params of `hooks/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HooksListParams {
    pub cwds: Option<Vec<String>>,
    pub thread_id: Option<ThreadId>,
}

/// Response of `hooks/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HooksListResponse {
    pub data: Vec<HooksListEntry>,
}

/// The hooks that a directory has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HooksListEntry {
    pub cwd: String,
    pub errors: Vec<HookErrorInfo>,
    pub hooks: Vec<HookMetadata>,
    pub warnings: Vec<String>,
}

/// A hook that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookErrorInfo {
    pub message: String,
    pub path: String,
}

/// A program that runs on an event.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookMetadata {
    pub additional_context_limit: Option<u32>,
    pub current_hash: String,
    pub display_order: i64,
    pub enabled: bool,
    pub environment_id: Option<String>,
    pub event_name: HookEventName,
    pub is_managed: bool,
    pub key: String,
    pub matcher: Option<String>,
    pub plugin_id: Option<String>,
    pub source: HookSource,
    pub source_path: AbsolutePathBuf,
    pub status_message: Option<String>,
    pub timeout_sec: u64,
    pub trust_status: HookTrustStatus,
    #[serde(flatten)]
    pub handler: HookHandler,
}

/// The action of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "handlerType", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HookHandler {
    Command {
        #[serde(rename = "async", default)]
        in_background: bool,
        command: String,
    },
    McpTool {
        server: String,
        tool: String,
    },
    Prompt {},
    Agent {},
}

/// The event of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HookEventName {
    PreModelRequest,
    PostModelRequest,
    PreToolUse,
    PermissionRequest,
    PostToolUse,
    PreCompact,
    PostCompact,
    SessionStart,
    SessionEnd,
    UserPromptSubmit,
    SubagentStart,
    SubagentStop,
    Stop,
    Interrupt,
}

/// The origin of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HookSource {
    System,
    User,
    Project,
    Mdm,
    SessionFlags,
    Plugin,
    CloudRequirements,
    CloudManagedConfig,
    LegacyManagedConfigFile,
    LegacyManagedConfigMdm,
    Unknown,
}

/// Whether the user lets a hook run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HookTrustStatus {
    Managed,
    Untrusted,
    Trusted,
    Modified,
}

/// Params of `collaborationMode/list`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CollaborationModeListParams {}

/// Response of `collaborationMode/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollaborationModeListResponse {
    pub data: Vec<CollaborationModeMask>,
}

/// A mode that the user can choose.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollaborationModeMask {
    pub mode: Option<ModeKind>,
    pub model: Option<String>,
    pub name: String,
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// Params of `modelProvider/capabilities/read`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelProviderCapabilitiesReadParams {}

/// Response of `modelProvider/capabilities/read`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderCapabilitiesReadResponse {
    pub image_generation: bool,
    pub web_search: bool,
}

/// Params of `modelProvider/list`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelProviderListParams {}

/// Response of `modelProvider/list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderListResponse {
    /// Whether a client can write another default into the settings, with effect at once.
    pub can_change_default: bool,
    pub data: Vec<ModelProviderSummary>,
    /// The provider of threads that name none.
    pub default_provider_id: String,
    /// Skein's extension: the providers that can be used at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skein: Option<ProviderDetails>,
}

/// Details about the providers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderDetails {
    /// The providers that need nothing more: they work offline, their key is set, or they answer on this machine.
    pub ready: Vec<ReadyProvider>,
}

/// A provider that can be used at once.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyProvider {
    /// The value for `modelProvider`.
    pub id: String,
    /// The variable of the server's environment that holds its key.
    pub env_key: Option<String>,
    /// Whether it runs on the server's machine.
    pub local: bool,
}

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderSummary {
    /// Its address, without possible secrets.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Whether `modelProvider/config/write` changes it.
    pub can_edit: bool,
    /// The value for `modelProvider` and `model_provider`.
    pub id: String,
    /// For people.
    pub name: String,
    pub settings: ProviderSettings,
}

/// How a provider is reached.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ProviderSettings {
    Openai,
    CustomGateway {
        auth: GatewayAuth,
    },
    Bedrock {
        profile: Option<String>,
        region: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Gcp {
        credential_file: Option<String>,
        location: Option<String>,
        project_id: Option<String>,
    },
}

/// The source of a provider's key.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum GatewayAuth {
    /// No key.
    None,
    /// From this variable of the server's environment.
    EnvironmentVariable { env_key: String },
    /// From another source, such as a header of the settings.
    ExternallyConfigured { env_key: Option<String> },
}

/// Params of `experimentalFeature/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeatureListParams {
    pub cursor: Option<String>,
    pub limit: Option<u32>,
    pub thread_id: Option<ThreadId>,
}

/// Response of `experimentalFeature/list`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeatureListResponse {
    pub data: Vec<ExperimentalFeature>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A feature with a switch.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentalFeature {
    pub announcement: Option<String>,
    pub default_enabled: bool,
    pub description: Option<String>,
    pub display_name: Option<String>,
    pub enabled: bool,
    pub name: String,
    pub stage: ExperimentalFeatureStage,
}

/// The stage of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExperimentalFeatureStage {
    Beta,
    UnderDevelopment,
    Stable,
    Deprecated,
    Removed,
}
