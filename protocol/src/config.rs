//! The settings as clients see them, and requirements for them. Settings that Skein does not have are objects of any
//! shape: the server never sends them.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::{
    JsonObject,
    settings::{
        AbsolutePathBuf, ApprovalsReviewer, AskForApproval, ReasoningEffort, ReasoningSummary, SandboxMode,
    },
};

/// Params of `config/read`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigReadParams {
    pub cwd: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_layers: bool,
}

/// Response of `config/read`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigReadResponse {
    pub config: Config,
    /// Only on request.
    pub layers: Option<Vec<ConfigLayer>>,
    /// The origin of each value, by dotted key. Defaults have none.
    pub origins: BTreeMap<String, ConfigLayerMetadata>,
}

/// The settings in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    pub analytics: Option<JsonObject>,
    pub approval_policy: Option<AskForApproval>,
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    pub apps: Option<JsonObject>,
    pub browser_use: Option<JsonObject>,
    pub client_search_provider: Option<String>,
    pub compact_prompt: Option<String>,
    pub computer_use: Option<JsonObject>,
    pub desktop: Option<JsonObject>,
    pub developer_instructions: Option<String>,
    pub forced_chatgpt_workspace_id: Option<Value>,
    pub forced_login_method: Option<String>,
    pub instructions: Option<String>,
    pub model: Option<String>,
    pub model_auto_compact_token_limit: Option<i64>,
    pub model_auto_compact_token_limit_scope: Option<String>,
    pub model_context_window: Option<i64>,
    pub model_provider: Option<String>,
    pub model_reasoning_effort: Option<ReasoningEffort>,
    pub model_reasoning_summary: Option<ReasoningSummary>,
    pub model_verbosity: Option<String>,
    pub review_model: Option<String>,
    pub sandbox_mode: Option<SandboxMode>,
    pub sandbox_workspace_write: Option<JsonObject>,
    pub service_tier: Option<String>,
    pub tools: Option<JsonObject>,
    pub web_search: Option<String>,
    /// All other keys of the file, as written.
    #[serde(flatten)]
    pub others: JsonObject,
}

/// One source of settings, with its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigLayer {
    pub config: Value,
    #[serde(default)]
    pub disabled_reason: Option<String>,
    pub name: ConfigLayerSource,
    pub version: String,
}

/// One source of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigLayerMetadata {
    pub name: ConfigLayerSource,
    pub version: String,
}

/// The name of a source of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ConfigLayerSource {
    PackagedDefaults {
        file: AbsolutePathBuf,
    },
    Mdm {
        domain: String,
        key: String,
    },
    System {
        file: AbsolutePathBuf,
    },
    EnterpriseManaged {
        id: String,
        name: String,
    },
    User {
        file: AbsolutePathBuf,
        #[serde(default)]
        profile: Option<String>,
    },
    Project {
        dot_codex_folder: AbsolutePathBuf,
    },
    SessionFlags,
    LegacyManagedConfigTomlFromFile {
        file: AbsolutePathBuf,
    },
    LegacyManagedConfigTomlFromMdm,
}

/// Params of `config/mcpServer/reload`: nothing, which the peer writes as `null`; an empty object is read too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Option<JsonObject>")]
#[schemars(!from)]
pub struct ConfigMcpServerReloadParams;

impl From<Option<JsonObject>> for ConfigMcpServerReloadParams {
    fn from(_: Option<JsonObject>) -> Self {
        Self
    }
}

/// Response of `config/mcpServer/reload`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct McpServerRefreshResponse {}

/// Params of `configRequirements/read`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRequirementsReadParams {}

/// Response of `configRequirements/read`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigRequirementsReadResponse {
    pub requirements: Option<JsonObject>,
    pub supports_independent_speed_modes: Option<bool>,
}

/// Params of `config/value/write`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigValueWriteParams {
    pub expected_version: Option<String>,
    pub file_path: Option<String>,
    pub key_path: String,
    pub merge_strategy: MergeStrategy,
    pub value: Value,
}

/// Params of `config/batchWrite`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigBatchWriteParams {
    pub edits: Vec<ConfigEdit>,
    pub expected_version: Option<String>,
    pub file_path: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reload_user_config: bool,
}

/// One change of the settings file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigEdit {
    pub key_path: String,
    pub merge_strategy: MergeStrategy,
    pub value: Value,
}

/// The treatment of the value in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MergeStrategy {
    Replace,
    Upsert,
}

/// Response of `config/value/write` and `config/batchWrite`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigWriteResponse {
    pub file_path: String,
    #[serde(default)]
    pub overridden_metadata: Option<OverriddenMetadata>,
    pub status: WriteStatus,
    pub version: String,
}

/// Whether the written value is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum WriteStatus {
    Ok,
    OkOverridden,
}

/// The source that overrides the written value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverriddenMetadata {
    pub effective_value: Value,
    pub message: String,
    pub overriding_layer: ConfigLayerMetadata,
}
