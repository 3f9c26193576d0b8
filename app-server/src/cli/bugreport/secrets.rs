//! The secrets that a home and its programs know, to mask them in a report.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use skein_base::masks::{Hidden, is_secret_name};
use skein_config::SecretSources;

use super::super::service::ENVIRONMENT;

/// The most files with secrets of threads that are read.
const FILES: usize = 10_000;

/// Secrets of the settings, of threads, of this environment and of the environment of the server.
pub(super) fn known(root: &Path, server: Option<u32>) -> Hidden {
    let SecretSources { mut values, variables } = SecretSources::of(root);
    let own = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let of_server = server.and_then(|pid| fs::read(format!("/proc/{pid}/environ")).ok()).unwrap_or_default();
    let of_server = String::from_utf8_lossy(&of_server).into_owned();
    let of_service = fs::read_to_string(root.join(ENVIRONMENT)).unwrap_or_default();
    let pairs = of_server.split('\0').chain(of_service.lines()).filter_map(|line| line.split_once('='));
    let unquoted = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), unquoted(value)));
    let is_secret = |name: &str| is_secret_name(name) || variables.iter().any(|known| known == name);
    let of_variables: Vec<String> =
        own.chain(pairs).filter(|(name, _)| is_secret(name)).map(|(_, value)| value).collect();
    values.extend(of_variables);
    values.extend(of_threads(&root.join("secrets")));
    // The same secret in the text of a JSON value.
    let escaped: Vec<String> = values.iter().map(|value| value.escape_default().to_string()).collect();
    // An empty path, or a word of every text, would hide the report.
    let is_useful = |value: &String| !value.trim().is_empty() && !Path::new(value).is_absolute();
    let all: BTreeSet<String> = values.into_iter().chain(escaped).filter(is_useful).collect();
    Hidden::new(all)
}

/// Secrets that clients gave with threads.
fn of_threads(folder: &Path) -> Vec<String> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let mut found = Vec::new();
    for file in files.take(FILES) {
        let text = fs::read(file.path()).unwrap_or_default();
        if let Ok(value) = serde_json::from_slice::<Value>(&text) {
            texts(&value, &mut found);
        }
    }
    found
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        // Flags and packages of a list of arguments are no secrets.
        Value::String(text) if !text.starts_with(['-', '@']) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(members) => members.values().for_each(|value| texts(value, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
