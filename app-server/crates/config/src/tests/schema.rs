//! The schema and the file of comments against the reader of settings.

use serde_json::Value;

use super::load;
use crate::schema::{commented, schema};
use crate::{ServerConfig, shown};

/// Each setting of the file of comments, as a file of its own.
fn each_alone() -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in commented("./config.schema.json").lines() {
        let bare = line.trim_start_matches('#');
        if bare.starts_with('[') {
            bare.clone_into(&mut table);
        } else if line.starts_with('#') && !bare.starts_with([' ', ':']) {
            found.push((table.clone(), bare.to_owned()));
        }
    }
    found
}

/// The key that a table, or another key of it, needs.
fn needed(table: &str, line: &str) -> &'static str {
    let over_http = ["url", "bearer_token", "http_headers", "env_http_headers"];
    match table.split('.').next() {
        _ if line.starts_with("url =") || line.starts_with("base_url =") || line.starts_with("command =") => {
            ""
        }
        Some("[mcp_servers") if over_http.iter().any(|key| line.starts_with(key)) => "url = \"http://h/mcp\"",
        Some("[mcp_servers") => "command = \"x\"",
        Some("[store]") if line.starts_with("password") => "url = \"postgres://skein@127.0.0.1/skein\"",
        Some("[metrics]") if line.starts_with("token_file") => "listen = \"127.0.0.1:9464\"",
        Some("[model_providers") => "base_url = \"http://h/v1\"",
        _ => "",
    }
}

#[test]
fn the_file_of_comments_changes_nothing() {
    let config = load(&commented("./config.schema.json"), &[]).1.unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(shown::in_force(&config), shown::in_force(&ServerConfig::default()));
}

#[test]
fn each_line_of_the_file_is_a_setting_that_can_be_used() {
    let all = each_alone();
    assert!(all.len() > 100, "{all:#?}");
    for (table, line) in all {
        let inner = table.trim_matches(['[', ']']).split('.').take(2).collect::<Vec<_>>().join(".");
        let profile = if line.starts_with("profile =") { "profiles = { \"...\" = {} }" } else { "" };
        let above = match needed(&table, &line) {
            "" => String::new(),
            needed => format!("[{inner}]\n{needed}\n"),
        };
        let table = if above.starts_with(&table) || table.is_empty() { String::new() } else { table };
        let text = format!("{above}{table}\n{line}\n{profile}");
        let config = load(&text, &[]).1.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(config.warnings.is_empty() && config.unused.is_empty(), "{text}: {:?}", config.warnings);
    }
}

/// Calls `seen` with each setting that has no name of the user's choice.
fn settings(form: &Value, path: &str, seen: &mut impl FnMut(&str, &Value)) {
    for (key, form) in form["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match form.get("properties") {
            Some(_) => settings(form, &path, seen),
            None => seen(&path, form),
        }
    }
}

#[test]
fn the_schema_has_the_bounds_of_the_reader() {
    let mut numbers = 0;
    settings(&schema(), "", &mut |key, form| {
        if form["type"] != "integer" {
            return;
        }
        let bound = |name: &str| form[name].as_i64().unwrap_or_else(|| panic!("{key} has no {name}: {form}"));
        let (least, most) = (bound("minimum"), bound("maximum"));
        numbers += 1;
        for (number, fits) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            let read = load(&format!("{key} = {number}"), &[]).1;
            assert_eq!(read.is_ok(), fits, "{key} = {number}: {read:?}");
        }
    });
    assert!(numbers >= 14, "{numbers}");
}

#[test]
fn the_schema_has_each_setting() {
    let mut keys = Vec::new();
    settings(&schema(), "", &mut |key, _| keys.push(key.to_owned()));
    let mut in_force = shown::in_force(&ServerConfig::default());
    // By names of the user's choice.
    for named in ["models", "mcp_servers", "model_providers"] {
        assert!(in_force.remove(named).is_some() && keys.iter().any(|key| key == named), "{keys:?}");
    }
    for (key, value) in in_force {
        let inner =
            value.as_object().map(|table| table.keys().map(|inner| format!("{key}.{inner}")).collect());
        for key in inner.unwrap_or_else(|| vec![key.clone()]) {
            assert!(keys.contains(&key), "{key} is not in {keys:?}");
        }
    }
}
