//! Turns a tree of settings into a [`ServerConfig`]. The keys are the fields of the structs that are read here.

use serde_json::{Map, Value};
use skein_protocol::budget::ThreadBudget;
use skein_provider::spec::ProviderSpec;

use super::problem::Problems;
use super::section::{Section, Unfit};
use super::tree::{self, Table};
use super::{Heartbeat, LocalPrograms, Overrides, ServerConfig, helpers, kinds, providers};
use crate::policy;

/// The keys of a request's `config` that need no full access. They name no program, file, address or variable, and take no
/// question away. The router compares the consent and the budget with the settings.
const HARMLESS: [&str; 17] = [
    "budget.ask",
    "budget.day_tokens",
    "budget.thread_tokens",
    "budget.turn_rounds",
    "budget.turn_tokens",
    "developer_instructions",
    "features.default_mode_request_user_input",
    "include_environment_context",
    "instructions",
    "model",
    "model_provider",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "personality",
    "service_tier",
    "approval_policy",
    "sandbox_mode",
];

/// The first key of a request's `config` that is not known as harmless, dotted. An empty table counts as a key.
pub fn harmful_key(config: &Map<String, Value>) -> Option<String> {
    let named = Value::Object(tree::plain_table(&tree::from_json(config)));
    named.as_object()?.iter().find_map(|(key, value)| harmful_in(key, value))
}

fn harmful_in(key: &str, value: &Value) -> Option<String> {
    if HARMLESS.contains(&key) {
        return None;
    }
    let inner = value.as_object().filter(|inner| !inner.is_empty());
    let Some(inner) = inner else { return Some(key.to_owned()) };
    inner.iter().find_map(|(member, value)| harmful_in(&format!("{key}.{member}"), value))
}

/// The settings that `tree` changes, over those of `start`.
pub(super) fn apply(start: ServerConfig, mut tree: Table, problems: &mut Problems) -> ServerConfig {
    let known = ProviderSpec::built_in();
    providers::lay_under(&mut tree, &known);
    let mut root = Section::new(tree, problems);
    let said = Overrides::read(&mut root);
    let mut config = ServerConfig {
        home: start.home,
        listen: start.listen,
        tls: start.tls,
        guard: start.guard,
        test_fences: start.test_fences,
        ws_auth: start.ws_auth,
        origin: start.origin,
        every_model: root.read(),
        ..root.read()
    };
    config.heartbeat.dead_after = dead_after(&config.heartbeat, &mut root);
    config.providers.extend(providers::read(&mut root));
    if let Some(name) = &said.model_provider {
        providers::check_default(name, &config.providers, &mut root);
    }
    config.metrics.check(&mut root);
    config.store.check(&mut root);
    warn_of_risks(&config, &mut root);
    root.finish();
    helpers::lay_over(&mut config.helpers, said.helpers, problems);
    config.model = said.model.unwrap_or(config.model);
    config.model_provider = said.model_provider.unwrap_or(config.model_provider);
    config.approval_policy = said.approval_policy.unwrap_or(config.approval_policy);
    config.sandbox_mode = said.sandbox_mode.unwrap_or(config.sandbox_mode);
    config.asks = said.features.asks.unwrap_or(config.asks);
    config.budget = ThreadBudget::from(said.budget).over(config.budget);
    config.context = said.context.over(&config.context);
    config.thread = said.thread;
    config
}

/// Warns of settings that let more in than their user may know.
fn warn_of_risks(config: &ServerConfig, root: &mut Section<'_>) {
    for (at, origin) in config.browser.origins.iter().enumerate() {
        if let Some(risk) = origin.risk() {
            root.risk(&["browser", "origins"], Some(at), risk);
        }
    }
    if config.auth.local == LocalPrograms::Any {
        let risk = "\"any\" lets programs of every user of this machine in without a credential";
        root.risk(&["auth", "local"], None, risk);
    }
    if config.listen_rules.plain {
        let risk = "true sends messages and credentials to other machines without encryption";
        root.risk(&["listen", "plain"], None, risk);
    }
}

/// A later ping moves the end of the wait with it, unless the settings say both.
fn dead_after(heartbeat: &Heartbeat, root: &mut Section<'_>) -> std::time::Duration {
    let key = ["connections", "dead_after"];
    let usual = heartbeat.ping * policy::DEAD_AFTER_PINGS;
    match root.get(&key) {
        None => usual,
        Some(_) if heartbeat.dead_after > heartbeat.ping => heartbeat.dead_after,
        Some(_) => {
            root.refuse(&Unfit::at(&key, kinds::above(heartbeat.ping)));
            usual
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::helpers_from_thread_config;

    fn harmful(config: Value) -> Option<String> {
        harmful_key(config.as_object().unwrap())
    }

    #[test]
    fn every_harmless_key_is_one_that_a_thread_has() {
        for key in HARMLESS {
            // A value of the wrong kind is an error for a known key, and an unknown key is a warning.
            let read = helpers_from_thread_config(json!({ key: [1] }).as_object().unwrap());
            assert!(read.is_err(), "{key}");
            assert_eq!(harmful(json!({ key: "x" })), None, "{key}");
        }
    }

    #[test]
    fn only_harmless_keys_pass_however_they_are_written() {
        for config in [
            json!({}),
            json!({ "model": "m", "model_provider": null, "mcp_servers": null }),
            json!({ "features": { "default_mode_request_user_input": true } }),
            json!({ "features.default_mode_request_user_input": true }),
            json!({ "approval_policy": { "granular": { "rules": true } } }),
        ] {
            assert_eq!(harmful(config.clone()), None, "{config}");
        }
        for (config, key) in [
            (json!({ "mcp_servers": { "x": { "command": "sh" } } }), "mcp_servers.x.command"),
            (json!({ "mcp_servers.x.command": "sh" }), "mcp_servers.x.command"),
            (json!({ "mcp_servers": { "x.command": "sh" } }), "mcp_servers.x.command"),
            (json!({ "model": "m", "mcp_servers.x": { "url": "http://x" } }), "mcp_servers.x.url"),
            (json!({ "mcp_servers": {} }), "mcp_servers"),
            (json!({ "mcp_servers": [] }), "mcp_servers"),
            (json!({ "features": {} }), "features"),
            (json!({ "features": { "shell": true } }), "features.shell"),
            (json!({ "project_doc_fallback_filenames": ["../../x"] }), "project_doc_fallback_filenames"),
            (json!({ "profile": "weak" }), "profile"),
            (json!({ "model_providers": { "x": { "base_url": "http://x" } } }), "model_providers.x.base_url"),
            (json!({ "limits": { "mailbox": 1 } }), "limits.mailbox"),
            (json!({ "models": { "m": {} } }), "models.m"),
            (json!({ "Model": "m" }), "Model"),
            (json!({ "unknown": 1 }), "unknown"),
        ] {
            assert_eq!(harmful(config.clone()).as_deref(), Some(key), "{config}");
        }
    }
}
