//! Requests about the server itself: handshake and models.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    JsonObject,
    extension::ServerExtensions,
    settings::{AbsolutePathBuf, CyberAccessProgram, ReasoningEffort},
};

/// Params of `initialize`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    pub capabilities: Option<InitializeCapabilities>,
    pub client_info: ClientInfo,
}

/// The abilities and wishes of the client.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InitializeCapabilities {
    pub experimental_api: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub explicit_gateway_oauth: bool,
    pub extensions: Option<JsonObject>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mcp_server_openai_form_elicitation: bool,
    pub opt_out_notification_methods: Option<Vec<String>>,
    pub request_attestation: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required_human_approval: bool,
}

/// The client's name and version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientInfo {
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    pub version: String,
}

/// Response of `initialize`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResponse {
    pub codex_home: AbsolutePathBuf,
    pub platform_family: String,
    pub platform_os: String,
    pub user_agent: String,
    /// The server's extensions of the protocol.
    pub skein: Option<ServerExtensions>,
}

/// Params of `model/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelListParams {
    pub cursor: Option<String>,
    pub include_hidden: Option<bool>,
    pub limit: Option<u32>,
    pub model_provider: Option<String>,
}

/// Response of `model/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelListResponse {
    pub data: Vec<Model>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A model that turns can use.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    #[serde(default)]
    pub additional_speed_tiers: Vec<String>,
    pub availability_nux: Option<ModelAvailabilityNux>,
    pub available_access_programs: Option<ModelAccessPrograms>,
    pub default_reasoning_effort: ReasoningEffort,
    pub default_service_tier: Option<String>,
    pub description: String,
    pub display_name: String,
    pub hidden: bool,
    pub id: String,
    #[serde(default)]
    pub input_modalities: Vec<InputModality>,
    pub is_default: bool,
    pub model: String,
    pub model_specialty: Option<String>,
    pub multi_agent_version: Option<MultiAgentVersion>,
    #[serde(default)]
    pub service_tiers: Vec<ModelServiceTier>,
    pub supported_reasoning_efforts: Vec<ReasoningEffortOption>,
    #[serde(default)]
    pub supports_personality: bool,
    pub upgrade: Option<String>,
    pub upgrade_info: Option<ModelUpgradeInfo>,
}

impl Model {
    /// A text-only model without options.
    pub fn new(
        id: impl Into<String>,
        display_name: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let id = id.into();
        Self {
            additional_speed_tiers: Vec::new(),
            availability_nux: None,
            available_access_programs: None,
            default_reasoning_effort: "none".to_owned(),
            default_service_tier: None,
            description: description.into(),
            display_name: display_name.into(),
            hidden: false,
            model: id.clone(),
            id,
            input_modalities: vec![InputModality::Text],
            is_default: false,
            model_specialty: None,
            multi_agent_version: None,
            service_tiers: Vec::new(),
            supported_reasoning_efforts: Vec::new(),
            supports_personality: false,
            upgrade: None,
            upgrade_info: None,
        }
    }
}

/// A notice to the user about a model's availability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelAvailabilityNux {
    pub message: String,
}

/// The access programmes that offer a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelAccessPrograms {
    pub cyber: Vec<CyberAccessProgram>,
}

/// A kind of input that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InputModality {
    Text,
    Image,
    Audio,
}

/// The way in which a model works with other agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MultiAgentVersion {
    Disabled,
    V1,
    V2,
}

/// A service tier of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelServiceTier {
    pub description: String,
    pub id: String,
    pub name: String,
}

/// A reasoning effort that a model offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningEffortOption {
    pub description: String,
    pub reasoning_effort: ReasoningEffort,
}

/// The model that replaces another one.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelUpgradeInfo {
    pub migration_markdown: Option<String>,
    pub model: String,
    pub model_link: Option<String>,
    pub retirement_at: Option<i64>,
    pub upgrade_copy: Option<String>,
}

/// Params of `initialized`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitializedParams {}

/// Params of `server/diagnostics`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerDiagnosticsParams {}

/// Response of `server/diagnostics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerDiagnosticsResponse {
    pub gauges: Vec<ServerDiagnosticsGauge>,
    pub process: ServerDiagnosticsProcess,
}

/// One number of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerDiagnosticsGauge {
    pub name: String,
    pub value: u64,
}

/// The server's process.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerDiagnosticsProcess {
    pub id: u32,
    pub physical_footprint_bytes: Option<u64>,
    pub resident_memory_bytes: Option<u64>,
}
