//! Helpers: the MCP servers of a thread, their tools and resources, and calls.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::{apply, skip_serializing_none};

use crate::extension::HelperState;
use crate::ids::ThreadId;

/// Params of `mcpServerStatus/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMcpServerStatusParams {
    pub cursor: Option<String>,
    pub detail: Option<McpServerStatusDetail>,
    pub limit: Option<u32>,
    pub server_name: Option<String>,
    pub thread_id: Option<ThreadId>,
}

/// The level of detail in a list of helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerStatusDetail {
    Full,
    ToolsAndAuthOnly,
}

/// Response of `mcpServerStatus/list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMcpServerStatusResponse {
    pub data: Vec<McpServerStatus>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A helper: its offers and its state.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatus {
    pub auth_status: McpAuthStatus,
    pub http_origin: Option<String>,
    pub name: String,
    pub plugin_id: Option<String>,
    pub resource_templates: Vec<ResourceTemplate>,
    pub resources: Vec<Resource>,
    pub runtime_status: Option<McpServerConnectionStatus>,
    pub server_capabilities: Option<Value>,
    pub server_info: Option<McpServerInfo>,
    pub tool_list_meta: Option<Value>,
    pub tools: BTreeMap<String, Tool>,
    pub tools_error: Option<String>,
    /// Additions to the peer's members.
    #[serde_with(skip_apply)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<McpServerDetails>,
}

/// Skein's additions to the state of a helper.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerDetails {
    /// The state of its life.
    pub state: HelperState,
    /// The MCP revision of the session, such as `2025-11-25`, once known; from `2026-07-28` on without a handshake.
    pub protocol_version: Option<String>,
    /// Calls that wait for its start, or for a sign of life.
    pub waiting: u64,
    /// Idle except for an open connection: it seems to wait for another service.
    pub waits_for_others: bool,
}

impl McpServerStatus {
    /// A helper that was never started. Local helpers have no sign-in.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            auth_status: McpAuthStatus::Unsupported,
            http_origin: None,
            name: name.into(),
            plugin_id: None,
            resource_templates: Vec::new(),
            resources: Vec::new(),
            runtime_status: Some(McpServerConnectionStatus::NotStarted),
            server_capabilities: None,
            server_info: None,
            tool_list_meta: None,
            tools: BTreeMap::new(),
            tools_error: None,
            skein: None,
        }
    }
}

/// Whether a helper needs, and has, a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpAuthStatus {
    Unknown,
    Unsupported,
    NotLoggedIn,
    BearerToken,
    OAuth,
}

/// The state of the connection to a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerConnectionStatus {
    NotStarted,
    Starting,
    Connected,
    AuthenticationRequired,
    Failed,
    Cancelled,
    Disabled,
}

/// A helper's description of itself.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerInfo {
    pub description: Option<String>,
    pub icons: Option<Vec<Value>>,
    pub name: String,
    pub title: Option<String>,
    pub version: String,
    pub website_url: Option<String>,
}

/// A tool that a helper offers.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    #[serde(rename = "_meta")]
    pub meta: Option<Value>,
    pub annotations: Option<Value>,
    pub description: Option<String>,
    pub icons: Option<Vec<Value>>,
    pub input_schema: Value,
    pub name: String,
    pub output_schema: Option<Value>,
    pub title: Option<String>,
}

/// A resource that a helper offers.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    #[serde(rename = "_meta")]
    pub meta: Option<Value>,
    pub annotations: Option<Value>,
    pub description: Option<String>,
    pub icons: Option<Vec<Value>>,
    pub mime_type: Option<String>,
    pub name: String,
    pub size: Option<i64>,
    pub title: Option<String>,
    pub uri: String,
}

/// A pattern of resources that a helper offers.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTemplate {
    pub annotations: Option<Value>,
    pub description: Option<String>,
    pub mime_type: Option<String>,
    pub name: String,
    pub title: Option<String>,
    pub uri_template: String,
}

/// Params of `mcpServer/tool/call`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerToolCallParams {
    #[serde(rename = "_meta")]
    pub meta: Option<Value>,
    pub arguments: Option<Value>,
    pub server: String,
    pub thread_id: ThreadId,
    pub tool: String,
}

/// Response of `mcpServer/tool/call`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerToolCallResponse {
    #[serde(rename = "_meta")]
    pub meta: Option<Value>,
    pub content: Vec<Value>,
    pub is_error: Option<bool>,
    pub structured_content: Option<Value>,
}

/// Params of `mcpServer/resource/read`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadParams {
    #[serde(rename = "_meta")]
    pub meta: Option<BTreeMap<String, Value>>,
    pub connector_id: Option<String>,
    pub origin_call_id: Option<String>,
    pub server: String,
    pub target: Option<McpResourceReadTarget>,
    pub thread_id: Option<ThreadId>,
    pub uri: String,
}

/// The owner of the resource, if a service has several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadTarget {
    pub connector_id: String,
    /// Null, but not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(schema_with = "text_or_null")]
    pub link_id: Option<String>,
}

/// Makes the schema count the field as required.
fn text_or_null(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Option<String>>()
}

/// Response of `mcpServer/resource/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadResponse {
    pub contents: Vec<ResourceContent>,
    #[serde(default)]
    pub origin_call_id: Option<String>,
}

/// A part of a resource: text, or bytes in base64.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ResourceContent {
    #[serde(rename_all = "camelCase")]
    Text {
        #[serde(rename = "_meta")]
        meta: Option<Value>,
        mime_type: Option<String>,
        text: String,
        uri: String,
    },
    #[serde(rename_all = "camelCase")]
    Blob {
        #[serde(rename = "_meta")]
        meta: Option<Value>,
        blob: String,
        mime_type: Option<String>,
        uri: String,
    },
}

/// The state of a helper's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerStartupState {
    Starting,
    Ready,
    Failed,
    Cancelled,
}

/// The reason why a helper did not start, if known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerStartupFailureReason {
    ReauthenticationRequired,
}
