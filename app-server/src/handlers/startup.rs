//! Requests before the first thread, besides models and the account: the configuration, and features that Skein
//! lacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use skein_config::{LayerSource, shown};
use skein_protocol::catalogue::{
    CollaborationModeListParams, CollaborationModeListResponse, CollaborationModeMask, HooksListEntry,
    HooksListParams, HooksListResponse, PermissionProfileListParams, PermissionProfileListResponse,
    PermissionProfileSummary, SkillsListEntry, SkillsListParams, SkillsListResponse,
};
use skein_protocol::config::{
    Config, ConfigLayer, ConfigLayerMetadata, ConfigLayerSource, ConfigMcpServerReloadParams,
    ConfigReadParams, ConfigReadResponse, McpServerRefreshResponse,
};
use skein_protocol::error::WireError;
use skein_protocol::settings::ModeKind;

use crate::reload;
use crate::router::session::ClientSession;
use crate::thread::directory;

/// `config/mcpServer/reload`: the same as SIGHUP. Wrong settings are an error with their places, and change nothing.
pub(crate) async fn reload_config(
    session: Arc<ClientSession>,
    _params: ConfigMcpServerReloadParams,
) -> Result<McpServerRefreshResponse, WireError> {
    reload::reload(&session.app.context).await.map_err(|refused| refused.to_wire())?;
    Ok(McpServerRefreshResponse {})
}

/// `config/read`: the same for every directory, as projects have no settings.
pub(crate) fn config(
    session: &Arc<ClientSession>,
    params: ConfigReadParams,
) -> Result<ConfigReadResponse, WireError> {
    let config = &session.app.config();
    let (mut layers, mut origins) = (Vec::new(), BTreeMap::new());
    for layer in &config.layers {
        let name = match &layer.source {
            LayerSource::File(file) => {
                ConfigLayerSource::User { file: file.display().to_string(), profile: None }
            }
            LayerSource::Flags => ConfigLayerSource::SessionFlags,
        };
        let version = layer.version.clone();
        for key in &layer.keys {
            let name = name.clone();
            origins.insert(key.clone(), ConfigLayerMetadata { name, version: version.clone() });
        }
        let settings = serde_json::Value::Object(layer.settings.clone());
        layers.push(ConfigLayer { config: settings, disabled_reason: None, name, version });
    }
    // In the peer's order: the strongest layer first.
    layers.reverse();
    Ok(ConfigReadResponse {
        config: in_force(config)?,
        layers: params.include_layers.then_some(layers),
        origins,
    })
}

/// The settings in force: known ones in the protocol's members, others beside them.
fn in_force(config: &skein_config::ServerConfig) -> Result<Config, WireError> {
    let read = serde_json::from_value(serde_json::Value::Object(shown::in_force(config)));
    read.map_err(|error| WireError::internal("settingsUnshown", error.to_string()))
}

/// `skills/list`
pub(crate) fn skills(
    _session: &Arc<ClientSession>,
    params: SkillsListParams,
) -> Result<SkillsListResponse, WireError> {
    let entry = |cwd| SkillsListEntry { cwd, errors: Vec::new(), skills: Vec::new() };
    Ok(SkillsListResponse { data: directories(params.cwds).into_iter().map(entry).collect() })
}

/// `hooks/list`
pub(crate) fn hooks(
    _session: &Arc<ClientSession>,
    params: HooksListParams,
) -> Result<HooksListResponse, WireError> {
    let entry = |cwd| HooksListEntry { cwd, errors: Vec::new(), hooks: Vec::new(), warnings: Vec::new() };
    Ok(HooksListResponse { data: directories(params.cwds).into_iter().map(entry).collect() })
}

/// `permissionProfile/list`: the one that every thread has.
pub(crate) fn permission_profiles(
    _session: &Arc<ClientSession>,
    _params: PermissionProfileListParams,
) -> Result<PermissionProfileListResponse, WireError> {
    let summary = PermissionProfileSummary {
        allowed: true,
        description: Some("Skein runs no commands of its own, and confines no helper".to_owned()),
        // The peer's profile for the sandbox `dangerFullAccess`.
        id: ":danger-full-access".to_owned(),
    };
    Ok(PermissionProfileListResponse { data: vec![summary], next_cursor: None })
}

/// `collaborationMode/list`: the peer's modes, in its order.
pub(crate) fn collaboration_modes(
    _session: &Arc<ClientSession>,
    _params: CollaborationModeListParams,
) -> Result<CollaborationModeListResponse, WireError> {
    let mode = |name: &str, mode, effort: Option<&str>| CollaborationModeMask {
        mode: Some(mode),
        model: None,
        name: name.to_owned(),
        reasoning_effort: effort.map(str::to_owned),
    };
    let data = vec![mode("Plan", ModeKind::Plan, Some("medium")), mode("Default", ModeKind::Default, None)];
    Ok(CollaborationModeListResponse { data })
}

/// The directories of a list; the server's own by default.
fn directories(asked: Option<Vec<String>>) -> Vec<String> {
    asked.filter(|asked| !asked.is_empty()).unwrap_or_else(|| vec![directory::named(None)])
}
