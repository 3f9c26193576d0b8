//! Writes of settings by clients: into the user's file, and in force with the answer.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use skein_base::tasks::BlockingPool;
use skein_config::edit::{EditError, EditMode, Merge, SettingsFile, segments};
use skein_config::{FILE, Layer, LayerSource, Origin, ServerConfig, shown};
use skein_protocol::config::{
    ConfigBatchWriteParams, ConfigEdit, ConfigLayerMetadata, ConfigLayerSource, ConfigValueWriteParams,
    ConfigWriteResponse, MergeStrategy, OverriddenMetadata, WriteStatus,
};
use skein_protocol::error::WireError;

use crate::app::App;
use crate::reload;
use crate::router::session::ClientSession;

/// `config/value/write`
pub(crate) async fn write_value(
    session: Arc<ClientSession>,
    params: ConfigValueWriteParams,
) -> Result<ConfigWriteResponse, WireError> {
    let ConfigValueWriteParams { expected_version, file_path, key_path, merge_strategy, value } = params;
    let edits = vec![ConfigEdit { key_path, merge_strategy, value }];
    write(&session.app, edits, expected_version, file_path.as_deref()).await
}

/// `config/batchWrite`
pub(crate) async fn write_batch(
    session: Arc<ClientSession>,
    params: ConfigBatchWriteParams,
) -> Result<ConfigWriteResponse, WireError> {
    let ConfigBatchWriteParams { edits, expected_version, file_path, .. } = params;
    write(&session.app, edits, expected_version, file_path.as_deref()).await
}

/// Writes all edits, or none. Writes run one after the other; a wait for the file does not block threads.
async fn write(
    services: &Arc<App>,
    edits: Vec<ConfigEdit>,
    expected: Option<String>,
    file: Option<&str>,
) -> Result<ConfigWriteResponse, WireError> {
    let _turn = services.settings.writing().await;
    let config = services.config();
    let path = config.home.join(FILE);
    if file.is_some_and(|file| Path::new(file) != path) {
        let text = format!("only {} is written; leave filePath out", path.display());
        return Err(WireError::invalid_params("otherFile", text).path("filePath"));
    }
    let keys = edits.iter().map(|edit| edit.key_path.clone()).collect();
    let change = move || change(&config, &edits, expected.as_deref());
    let version = match services.tasks.blocking("write-settings", BlockingPool::Sync, change).await {
        Ok(changed) => changed.map_err(|error| error.to_wire())?,
        // The tracker has logged it.
        Err(_) => return Err(WireError::internal("settingsUnwritten", "writing the settings broke off")),
    };
    reload::reload(&services.context).await.map_err(|refused| refused.to_wire())?;
    Ok(written(&services.config(), version, keys))
}

/// Writes the edits while no other client can change the file. Returns its new version.
fn change(config: &ServerConfig, edits: &[ConfigEdit], expected: Option<&str>) -> Result<String, EditError> {
    let flags = config.origin.as_ref().map_or(&[][..], Origin::flags);
    let mut file = SettingsFile::open_under(flags, &config.home, EditMode::Change)?;
    expected.map_or(Ok(()), |expected| file.expect(expected))?;
    for edit in edits {
        let merge = match edit.merge_strategy {
            MergeStrategy::Replace => Merge::Replace,
            MergeStrategy::Upsert => Merge::Upsert,
        };
        file.set(&edit.key_path, &edit.value, merge)?;
    }
    file.write()?;
    Ok(file.version().to_owned())
}

/// The answer. Flags of the start win over the file.
fn written(config: &ServerConfig, version: String, keys: Vec<String>) -> ConfigWriteResponse {
    let flags = config.layers.iter().find(|layer| matches!(layer.source, LayerSource::Flags));
    let overriding = flags.and_then(|flags| {
        let key = keys.into_iter().find(|key| is_mentioned(&flags.settings, &parts(key)))?;
        Some(overridden(flags, config, &key))
    });
    ConfigWriteResponse {
        file_path: config.home.join(FILE).display().to_string(),
        status: if overriding.is_some() { WriteStatus::OkOverridden } else { WriteStatus::Ok },
        overridden_metadata: overriding,
        version,
    }
}

/// The parts of a key, without quotes. An unreadable key was not written.
fn parts(key: &str) -> Vec<String> {
    segments(key).unwrap_or_default()
}

/// Whether the settings mention the key, a part of its value, or a table around it.
fn is_mentioned(settings: &Map<String, Value>, key: &[String]) -> bool {
    let Some((first, rest)) = key.split_first() else { return !settings.is_empty() };
    match settings.get(first) {
        None => false,
        Some(Value::Object(inner)) => is_mentioned(inner, rest),
        Some(_) => true,
    }
}

fn overridden(flags: &Layer, config: &ServerConfig, key: &str) -> OverriddenMetadata {
    let all = Value::Object(shown::in_force(config));
    let effective = parts(key).iter().try_fold(&all, |table, key| table.get(key));
    OverriddenMetadata {
        effective_value: effective.cloned().unwrap_or_default(),
        message: format!("{key} is written, and a flag of the server's start (-c) wins over it"),
        overriding_layer: ConfigLayerMetadata {
            name: ConfigLayerSource::SessionFlags,
            version: flags.version.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_config::Flags;

    use super::*;

    #[test]
    fn a_flag_that_wins_is_reported_however_the_key_is_written() {
        let home = tempfile::tempdir().unwrap();
        let settings =
            ["mcp_servers.files.command=own", "mcp_servers.files.args=[\"-x\"]", "unload={grace=\"1s\"}"];
        let settings = settings.map(ToString::to_string).to_vec();
        let config =
            ServerConfig::load(&Flags { home: Some(home.path().to_owned()), settings, ..Flags::default() });
        let config = config.unwrap();
        let told = |key: &str| {
            let told = written(&config, String::new(), vec![key.to_owned()]).overridden_metadata;
            told.map(|told| told.effective_value)
        };
        assert_eq!(told("mcp_servers.\"files\".command"), Some(json!("own")));
        assert_eq!(told("mcp_servers.files").unwrap()["args"], json!(["-x"]), "all that is in force");
        assert_eq!(told("mcp_servers.files").unwrap()["enabled"], json!(true));
        assert_eq!(told("unload.grace"), Some(json!("1s")));
        assert_eq!(told("mcp_servers.files.args.more"), Some(Value::Null));
        for key in ["mcp_servers.files.enabled", "mcp_servers.other", "unload.unmaterialised_grace", "model"]
        {
            assert_eq!(told(key), None, "{key}");
        }
    }
}
