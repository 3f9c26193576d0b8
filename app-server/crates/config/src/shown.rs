//! The settings as clients may see them: those in force, and those of each place.
//!
//! Secrets are masked. Variables of helpers and headers are named without their values. Addresses are shown without user and
//! query. Arguments of helpers are masked if they are named like a secret; no rule finds all of those, so variables are the
//! place for secrets. Keys that Skein does not read are left out.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use skein_helpers::{HelperSpec, MASK};

use super::tree::{self, Table};
use super::{FILE, Overrides, ServerConfig, helpers, origin, providers, secrets};

#[cfg(test)]
mod tests;

/// Where settings were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// The user's file.
    File(PathBuf),
    /// `-c` flags.
    Flags,
}

/// The settings of one place, without secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The place.
    pub source: LayerSource,
    /// The values by key, as in the file.
    pub settings: Map<String, Value>,
    /// The dotted keys of its values.
    pub keys: Vec<String>,
    /// Changes with everything in the place, also with hidden values.
    pub version: String,
}

impl Layer {
    /// The settings of a file, as far as `config` has their keys.
    pub(super) fn of_file(file: PathBuf, version: String, table: &Table, config: &ServerConfig) -> Self {
        let (settings, keys) = seen(table, config);
        Self { source: LayerSource::File(file), settings, keys, version }
    }

    /// The settings of flags; `None` if there are none.
    pub(super) fn of_flags(table: &Table, config: &ServerConfig) -> Option<Self> {
        let (settings, keys) = seen(table, config);
        // Flags stay as they are for as long as the server runs.
        let version = origin::version(&json!(settings).to_string());
        (!keys.is_empty()).then_some(Self { source: LayerSource::Flags, settings, keys, version })
    }
}

fn seen(table: &Table, config: &ServerConfig) -> (Map<String, Value>, Vec<String>) {
    let mut keys = Vec::new();
    let settings = visible(table, &in_force(config), "", &mut keys);
    (secrets::hide_all(settings), keys)
}

/// The settings in force, by the keys of the file.
pub fn in_force(config: &ServerConfig) -> Map<String, Value> {
    let said = Overrides::of(config);
    let mut models = json!(config.models);
    models.as_object_mut().into_iter().flatten().for_each(|(_, model)| without_nulls(model));
    let helpers: Map<String, Value> =
        config.helpers.iter().map(|(name, spec)| (name.clone(), helper(spec))).collect();
    let providers: Map<String, Value> =
        config.providers.iter().map(|(name, spec)| (name.clone(), providers::shown(spec))).collect();
    let tables = json!({ "models": models, "mcp_servers": helpers, "model_providers": providers });
    let all = [
        json!(config),
        json!(said),
        json!(said.context),
        json!(said.thread),
        json!(config.every_model),
        tables,
    ];
    let all = all.iter().filter_map(Value::as_object).flatten().filter(|(_, value)| !value.is_null());
    all.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSetting<'a> {
    /// The dotted key, as in the file.
    pub key: String,
    /// The value, without secrets.
    pub value: Value,
    /// Where it was written; `None` for a default.
    pub source: Option<&'a LayerSource>,
}

/// Each setting in force, in the order of the keys.
pub fn settings(config: &ServerConfig) -> Vec<ShownSetting<'_>> {
    let mut found = Vec::new();
    flatten(config, "", "", Value::Object(in_force(config)), &mut found);
    found
}

/// `path` is the dotted key as the layers have it, and `key` the same with quotes where TOML needs them.
fn flatten<'a>(
    config: &'a ServerConfig,
    path: &str,
    key: &str,
    value: Value,
    found: &mut Vec<ShownSetting<'a>>,
) {
    let Value::Object(table) = value else {
        let mut layers = config.layers.iter().rev();
        let layer = layers.find(|layer| layer.keys.iter().any(|known| known == path));
        return found.push(ShownSetting {
            key: key.to_owned(),
            value,
            source: layer.map(|layer| &layer.source),
        });
    };
    for (name, value) in table {
        let quoted = toml_edit::Key::new(&name).to_string();
        let (path, key) = match path {
            "" => (name, quoted),
            path => (format!("{path}.{name}"), format!("{key}.{quoted}")),
        };
        flatten(config, &path, &key, value, found);
    }
}

fn without_nulls(table: &mut Value) {
    if let Value::Object(members) = table {
        members.retain(|_, value| !value.is_null());
    }
}

/// A helper by the keys of the file, without secrets.
pub fn helper(spec: &HelperSpec) -> Value {
    helpers::shown(spec)
}

impl ServerConfig {
    /// Whether a value is masked where the settings are shown.
    pub(crate) fn has_secrets(&self) -> bool {
        json!(in_force(self)).to_string().contains(MASK)
    }

    /// Whether others than its owner may read the settings file, which has secrets. A link is followed.
    pub fn is_open_to_others(&self) -> bool {
        let mode = std::fs::metadata(self.home.join(FILE)).map_or(0, |seen| seen.mode());
        mode & 0o077 != 0 && self.has_secrets()
    }
}

/// The entries of `table` whose keys are in `known`, with the dotted keys of its values.
fn visible(
    table: &Table,
    known: &Map<String, Value>,
    above: &str,
    keys: &mut Vec<String>,
) -> Map<String, Value> {
    let mut shown = Map::new();
    for (key, node) in table {
        let Some(there) = known.get(key) else { continue };
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        let value = match (&node.value, there) {
            (tree::Value::Table(inner), Value::Object(known)) => {
                Value::Object(visible(inner, known, &path, keys))
            }
            (value, _) => {
                keys.push(path);
                tree::plain(value)
            }
        };
        shown.insert(key.clone(), value);
    }
    shown
}
