//! `skein mcp list`: prints the configured helpers, with possible secrets masked.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use skein_config::edit::{EditMode, SettingsFile};
use skein_config::{Flags, ServerConfig, shown};

use super::super::out::quoted;
use super::super::outputs::{HelperLine, Listing};
use super::super::{out, print_json, print_line};
use super::SettingsArgs;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    settings: SettingsArgs,
}

impl List {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let flags = Flags { home: self.settings.home, ..Flags::default() };
        let config = ServerConfig::load(&flags)?;
        let file = SettingsFile::open(&config.home, EditMode::Look)?;
        // In the order of the file.
        let names = file.names();
        let listed = names.iter().filter_map(|name| Some((name.as_str(), config.helpers.get(name)?)));
        let listed: Vec<_> = listed.map(|(name, spec)| (name, shown::helper(spec))).collect();
        if self.settings.json {
            let data = listed.into_iter().map(|(name, keys)| named(name, keys, file.path())).collect();
            return print_json(&Listing { data });
        }
        if listed.is_empty() {
            return print_line(&format!("no helpers in {}", file.path().display()));
        }
        for line in lines(&listed) {
            print_line(&line)?;
        }
        print_line(&format!("in {}", file.path().display()))
    }
}

fn named<'a>(name: &'a str, keys: Value, file: &Path) -> HelperLine<'a> {
    let keys = match keys {
        Value::Object(keys) => keys.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            BTreeMap::new()
        }
    };
    HelperLine { name, file: out::path(file), keys }
}

/// A line for each: name, state, address or command, variables.
fn lines(listed: &[(&str, Value)]) -> Vec<String> {
    let width = listed.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, keys): &(&str, Value)| {
        let enabled = if keys["enabled"] == json!(false) { "disabled" } else { "enabled " };
        format!("{name:<width$}  {enabled}  {}", way(keys))
    };
    listed.iter().map(line).collect()
}

fn way(keys: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    for key in ["env", "http_headers"] {
        let names = keys[key].as_object().into_iter().flatten();
        words.extend(names.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())));
    }
    for (key, sign) in
        [("env_vars", "$"), ("bearer_token_env_var", "Bearer $"), ("bearer_token_file", "Bearer @")]
    {
        let several = keys[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        words.extend(several.chain(keys[key].as_str()).map(|name| format!("{sign}{name}")));
    }
    let named = keys["env_http_headers"].as_object().into_iter().flatten();
    words.extend(named.map(|(name, value)| format!("{name}=${}", value.as_str().unwrap_or_default())));
    words.extend(["command", "url"].iter().filter_map(|key| keys[*key].as_str()).map(quoted));
    words.extend(keys["args"].as_array().into_iter().flatten().filter_map(Value::as_str).map(quoted));
    words.extend(keys["cwd"].as_str().map(|cwd| format!("in {}", quoted(cwd))));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_is_a_line_that_can_be_read_as_a_command() {
        let one = json!({ "command": "run it", "args": ["-x", "it's"], "env": { "A": "***" }, "env_vars": ["B"],
            "cwd": "/srv", "enabled": true });
        let two = json!({ "url": "https://example.org/mcp?***", "bearer_token_env_var": "T", "enabled": false,
            "http_headers": { "X": "***" }, "env_http_headers": { "Y": "Z" } });
        assert_eq!(
            lines(&[("one", one), ("second", two)]),
            [
                r"one     enabled   A=*** $B 'run it' -x 'it'\''s' in /srv",
                "second  disabled  X=*** Bearer $T Y=$Z 'https://example.org/mcp?***'",
            ]
        );
    }
}
