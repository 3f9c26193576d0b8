//! Settings that clients write: into the user's file, and in force when the answer says so.

use std::path::Path;
use std::sync::Arc;

use skein_protocol::config::{
    ConfigBatchWriteParams, ConfigEdit, ConfigLayerMetadata, ConfigLayerSource, ConfigValueWriteParams,
    ConfigWriteResponse, MergeStrategy, OverriddenMetadata, WriteStatus,
};
use skein_protocol::error::WireError;

use crate::config::edit::{Access, EditError, Merge, SettingsFile};
use crate::config::{Config, FILE, Layer, LayerSource};
use crate::connection::Connection;
use crate::reload::{self, Refused};
use crate::router::errors;
use crate::services::Services;
use crate::tasks::Pool;

/// `config/value/write`
pub async fn write_value(
    connection: Arc<Connection>,
    params: ConfigValueWriteParams,
) -> Result<ConfigWriteResponse, WireError> {
    let ConfigValueWriteParams { expected_version, file_path, key_path, merge_strategy, value } = params;
    let edits = vec![ConfigEdit { key_path, merge_strategy, value }];
    write(&connection.services, edits, expected_version.as_deref(), file_path.as_deref()).await
}

/// `config/batchWrite`
pub async fn write_batch(
    connection: Arc<Connection>,
    params: ConfigBatchWriteParams,
) -> Result<ConfigWriteResponse, WireError> {
    let ConfigBatchWriteParams { edits, expected_version, file_path, .. } = params;
    write(&connection.services, edits, expected_version.as_deref(), file_path.as_deref()).await
}

/// All of the edits, or none. One write after the other, so that a version that is expected is still there when it is written.
async fn write(
    services: &Arc<Services>,
    edits: Vec<ConfigEdit>,
    expected: Option<&str>,
    file: Option<&str>,
) -> Result<ConfigWriteResponse, WireError> {
    let _turn = services.settings.writing().await;
    let config = services.config();
    let path = config.home.join(FILE);
    if file.is_some_and(|file| Path::new(file) != path) {
        let text = format!("only {} is written; leave filePath out", path.display());
        return Err(WireError::invalid_params("otherFile", text).path("filePath"));
    }
    // What is on disk, also where nobody has asked for it to be read.
    reload(services).await?;
    let now = version(&services.config());
    if let Some(expected) = expected.filter(|expected| *expected != now) {
        let text = format!("the settings are version {now}, not {expected}: read them again");
        return Err(WireError::invalid_request("versionConflict", text).path("expectedVersion"));
    }
    let (home, keys) = (config.home.clone(), edits.iter().map(|edit| edit.key_path.clone()).collect());
    match services.tasks.blocking("write-settings", Pool::Sync, move || change(&home, &edits)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(errors::edit(&error)),
        // The tracker has logged it.
        Err(_) => return Err(WireError::internal("settingsUnwritten", "writing the settings broke off")),
    }
    reload(services).await?;
    Ok(written(&services.config(), keys))
}

fn change(home: &Path, edits: &[ConfigEdit]) -> Result<(), EditError> {
    let mut file = SettingsFile::open(home, Access::Change)?;
    for edit in edits {
        let merge = match edit.merge_strategy {
            MergeStrategy::Replace => Merge::Replace,
            MergeStrategy::Upsert => Merge::Upsert,
        };
        file.set(&edit.key_path, &edit.value, merge)?;
    }
    file.write()
}

async fn reload(services: &Arc<Services>) -> Result<(), WireError> {
    reload::reload(services).await.map_err(|refused| match refused {
        Refused::Wrong(wrong) => errors::settings(&wrong),
        Refused::BrokeOff => WireError::internal("settingsUnreadable", "reading the settings broke off"),
    })
}

/// The version of the user's file, as `config/read` shows it; a file that says nothing has an empty one.
fn version(config: &Config) -> String {
    let file = config.layers.iter().find(|layer| matches!(layer.source, LayerSource::File(_)));
    file.map(|layer| layer.version.clone()).unwrap_or_default()
}

/// The answer. Flags of the start win over the file, whatever is written.
fn written(config: &Config, keys: Vec<String>) -> ConfigWriteResponse {
    let flags = config.layers.iter().find(|layer| matches!(layer.source, LayerSource::Flags));
    let overriding = flags.and_then(|flags| {
        let key = keys.into_iter().find(|key| flags.keys.iter().any(|flag| covers(flag, key)))?;
        Some(overridden(flags, &key))
    });
    ConfigWriteResponse {
        file_path: config.home.join(FILE).display().to_string(),
        status: if overriding.is_some() { WriteStatus::OkOverridden } else { WriteStatus::Ok },
        overridden_metadata: overriding,
        version: version(config),
    }
}

/// Whether one of two dotted keys is the other, or within it.
fn covers(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

fn overridden(flags: &Layer, key: &str) -> OverriddenMetadata {
    let pointer = format!("/{}", key.replace('.', "/"));
    let said = serde_json::Value::Object(flags.settings.clone());
    OverriddenMetadata {
        effective_value: said.pointer(&pointer).cloned().unwrap_or_default(),
        message: format!("{key} is written, and a flag of the server's start (-c) wins over it"),
        overriding_layer: ConfigLayerMetadata {
            name: ConfigLayerSource::SessionFlags,
            version: flags.version.clone(),
        },
    }
}
