//! The settings that one client's start gives to that client's threads. Several clients can share one server, which was
//! started with the `-c` settings of one of them only.

use serde_json::{Map, Value, json};
use skein_protocol::settings::{AskForApproval, SandboxMode};

use super::problem::Problems;
use super::{Overrides, ServerConfig, helpers_from_thread_config, tree};

/// The settings of a start for the threads of its client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientSettings {
    /// Consent and model of this start, and all other `-c` settings of threads; keys as in `config.toml`.
    config: Map<String, Value>,
    /// Consent and model in its `-c` settings.
    pub overrides: FlagOverrides,
    /// Keys of its `-c` settings that only the server has.
    pub of_server: Vec<String>,
    /// Whether its `-c` settings say anything about threads.
    pub of_threads: bool,
}

/// The `-c` settings that a thread takes over when it is resumed or forked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlagOverrides {
    /// `approval_policy`
    pub approval_policy: Option<AskForApproval>,
    /// `sandbox_mode`
    pub sandbox_mode: Option<SandboxMode>,
    /// `model`
    pub model: Option<String>,
    /// `model_provider`
    pub model_provider: Option<String>,
}

/// The key that chooses one of the profiles.
const PROFILE: &str = "profile";

impl ClientSettings {
    /// Reads `flags` (`-c KEY=VALUE`). `config`, the settings of the same start, has the keys that they leave out.
    pub fn of(config: &ServerConfig, flags: &[String]) -> Self {
        let mut flat = tree::Table::new();
        // The start has refused flags with mistakes.
        let said = tree::lay_over(&mut flat, flags, &mut Problems::default());
        let mut said = tree::plain_table(&said);
        let mut overrides = helpers_from_thread_config(&said).unwrap_or_default();
        let unknown = |key: &str| {
            config.warnings.iter().any(|warning| warning.key == key && warning.cause.is_unknown())
        };
        let unread: Vec<String> =
            std::mem::take(&mut overrides.warnings).into_iter().map(|warning| warning.key).collect();
        unread.iter().for_each(|key| drop(said.remove(key)));
        // Consent and model of the profile are those of `config`.
        let profile = |key: &String| key == PROFILE;
        let of_threads = overrides != Overrides::default() || unread.iter().any(profile);
        let of_server = unread.into_iter().filter(|key| !unknown(key) && !profile(key)).collect();
        let base = json!({
            "approval_policy": config.approval_policy,
            "sandbox_mode": config.sandbox_mode,
            "model": config.model,
            "model_provider": config.model_provider,
        });
        Self {
            config: over(base.as_object(), Some(&said)),
            of_threads,
            overrides: FlagOverrides {
                approval_policy: overrides.approval_policy,
                sandbox_mode: overrides.sandbox_mode,
                model: overrides.model,
                model_provider: overrides.model_provider,
            },
            of_server,
        }
    }

    /// The `config` of a request to start a thread, over the settings of the start.
    pub fn under(&self, asked: Option<&Map<String, Value>>) -> Map<String, Value> {
        over(Some(&self.config), asked)
    }
}

/// One `config` over another one, each with tables or dotted keys.
fn over(base: Option<&Map<String, Value>>, upper: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut table = base.map(tree::from_json).unwrap_or_default();
    tree::merge_all(&mut table, upper.map(tree::from_json).unwrap_or_default());
    tree::plain_table(&table)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn settings(flags: &[&str]) -> ClientSettings {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        ClientSettings::of(&ServerConfig::new(PathBuf::from("/home")), &flags)
    }

    #[test]
    fn a_request_says_more_than_the_start_and_the_start_more_than_its_file() {
        let settings = settings(&["approval_policy=untrusted", "mcp_servers.a.env={K=\"1\",L=\"2\"}"]);
        let asked = json!({ "model": "theirs", "mcp_servers": { "a": { "env": { "K": "3" } } } });
        let config = settings.under(asked.as_object());
        assert_eq!(config["approval_policy"], "untrusted");
        assert_eq!(
            (&config["model"], &config["sandbox_mode"]),
            (&json!("theirs"), &json!("danger-full-access"))
        );
        assert_eq!(config["mcp_servers"]["a"]["env"], json!({ "K": "3", "L": "2" }));
        assert_eq!(
            settings.under(json!({ "mcp_servers.a.env.L": "4" }).as_object())["mcp_servers"]["a"]["env"]["L"],
            "4"
        );
        assert_eq!(settings.overrides.approval_policy, Some(AskForApproval::Untrusted));
        assert_eq!(settings.overrides.model, None, "a resume leaves it as it is");
    }

    #[test]
    fn keys_of_the_server_are_named_and_given_to_no_thread() {
        let said = settings(&["limits.mailbox=7", "features.web=true", "search.index=false", "model=m"]);
        assert_eq!((said.of_server.join(" ").as_str(), said.of_threads), ("limits search", true));
        let config = said.under(None);
        assert!(!config.contains_key("limits") && !config.contains_key("search"), "{config:?}");
        assert!(!settings(&["features.web=true"]).of_threads);
    }
}
