//! Helpers: the MCP servers of a thread, what they offer, and calls of their tools.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

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

/// How much a list of helpers tells about each.
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

/// A helper: what it offers and how it is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatus {
    pub auth_status: McpAuthStatus,
    #[serde(default)]
    pub http_origin: Option<String>,
    pub name: String,
    #[serde(default)]
    pub plugin_id: Option<String>,
    pub resource_templates: Vec<ResourceTemplate>,
    pub resources: Vec<Resource>,
    #[serde(default)]
    pub runtime_status: Option<McpServerConnectionStatus>,
    #[serde(default)]
    pub server_capabilities: Option<Value>,
    #[serde(default)]
    pub server_info: Option<McpServerInfo>,
    #[serde(default)]
    pub tool_list_meta: Option<Value>,
    pub tools: BTreeMap<String, Tool>,
    #[serde(default)]
    pub tools_error: Option<String>,
    /// What the peer does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<McpServerDetails>,
}

/// What Skein tells of a helper beyond the protocol.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerDetails {
    /// Where in its life it is.
    pub state: HelperState,
    /// The revision of MCP that is spoken with it, such as `2025-11-25`, once that is known; from `2026-07-28` on without a
    /// handshake.
    pub protocol_version: Option<String>,
    /// Calls that wait for it to start, or to show life.
    pub waiting: u64,
    /// Nothing happens but that it has a connection open: it seems to wait for somebody else.
    pub waits_for_others: bool,
}

impl McpServerStatus {
    /// A helper that has not been started and has shown nothing yet. Local helpers have no sign-in.
    #[must_use]
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

/// How the connection to a helper is doing.
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

/// What a helper says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerInfo {
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub icons: Option<Vec<Value>>,
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    pub version: String,
    #[serde(default)]
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

/// Whose resource is meant, where a service has several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourceReadTarget {
    pub connector_id: String,
    /// Null, but not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(schema_with = "text_or_null")]
    pub link_id: Option<String>,
}

/// A function of ours, so that the field counts as one that is always there.
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

/// How far the start of a helper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerStartupState {
    Starting,
    Ready,
    Failed,
    Cancelled,
}

/// Why a helper did not start, where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpServerStartupFailureReason {
    ReauthenticationRequired,
}
