//! The lines of the commands about a home's settings: config, origins and MCP servers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A new file of settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ConfigFileOutcome {
    /// Its path.
    pub(in crate::cli) file: String,
    /// The path of its JSON Schema.
    pub(in crate::cli) schema: String,
}

/// The mistakes of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ConfigCheckOutcome {
    /// Whether a server starts with them.
    pub(in crate::cli) ok: bool,
    /// The path of the file, which may be missing.
    pub(in crate::cli) file: String,
    pub(in crate::cli) errors: Vec<ConfigProblem>,
    pub(in crate::cli) warnings: Vec<ConfigProblem>,
}

/// A mistake or a risk of a setting.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ConfigProblem {
    /// The file with its line, or `-c`.
    pub(in crate::cli) place: String,
    /// The dotted key; empty where the problem is not about one.
    pub(in crate::cli) key: String,
    pub(in crate::cli) what: String,
    /// The remedy.
    pub(in crate::cli) remedy: Option<String>,
}

/// A setting in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct SettingLine {
    /// The dotted key.
    pub(in crate::cli) key: String,
    /// The value, without secrets.
    pub(in crate::cli) value: Value,
    /// Where it was written: the path of a file, `-c`, or `default`.
    pub(in crate::cli) origin: String,
}

/// The running server after a change of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ReloadOutcome<'a> {
    pub(in crate::cli) pid: Option<u32>,
    /// Whether it has read them.
    pub(in crate::cli) reloaded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) reason: Option<&'a str>,
}

/// The origins in the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct OriginsOutcome<'a> {
    pub(in crate::cli) data: Vec<OriginLine<'a>>,
    pub(in crate::cli) file: String,
    /// The last ones that the server has refused; null without a server.
    pub(in crate::cli) refused: Option<Vec<RefusedOriginLine<'a>>>,
}

/// An allowed origin.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct OriginLine<'a> {
    pub(in crate::cli) origin: &'a str,
}

/// A refused origin.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct RefusedOriginLine<'a> {
    pub(in crate::cli) origin: &'a str,
    /// The last time, Unix milliseconds.
    pub(in crate::cli) at_ms: i64,
    /// The command that allows it; null where many pages may share the origin.
    pub(in crate::cli) command: Option<String>,
}

/// An added origin.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct OriginAddedOutcome<'a> {
    pub(in crate::cli) added: &'a str,
    /// Whether it was there already.
    pub(in crate::cli) there: bool,
    pub(in crate::cli) file: String,
    pub(in crate::cli) risk: Option<&'a str>,
    pub(in crate::cli) server: Option<ReloadOutcome<'a>>,
}

/// A removed origin or helper.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct RemovedOutcome<'a> {
    pub(in crate::cli) removed: &'a str,
    pub(in crate::cli) file: String,
    /// Null where no server runs.
    pub(in crate::cli) server: Option<ReloadOutcome<'a>>,
}

/// A helper in the settings, with its keys of config.toml. Secrets are masked.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct HelperLine<'a> {
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) file: String,
    #[serde(flatten)]
    pub(in crate::cli) keys: BTreeMap<String, Value>,
}

/// An added helper.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct HelperAddedOutcome<'a> {
    pub(in crate::cli) added: &'a str,
    pub(in crate::cli) file: String,
    /// Whether other users could read the settings before, and cannot now.
    pub(in crate::cli) closed: bool,
    /// Null where no server runs.
    pub(in crate::cli) server: Option<ReloadOutcome<'a>>,
}

/// The helpers of a desktop client's file.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct HelpersImportedOutcome<'a> {
    pub(in crate::cli) complete: bool,
    pub(in crate::cli) dry_run: bool,
    pub(in crate::cli) file: String,
    pub(in crate::cli) taken: Vec<TakenHelper<'a>>,
    /// The names of those that were configured already.
    pub(in crate::cli) there: &'a [String],
    pub(in crate::cli) left: Vec<SkippedHelperLine<'a>>,
    /// Null where no server runs.
    pub(in crate::cli) server: Option<ReloadOutcome<'a>>,
}

/// A taken helper.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct TakenHelper<'a> {
    pub(in crate::cli) name: &'a str,
    /// Its name in the file.
    #[serde(rename = "said")]
    pub(in crate::cli) name_in_file: &'a str,
    pub(in crate::cli) enabled: bool,
    /// Members that Skein has no word for.
    pub(in crate::cli) passed_over: &'a [String],
    /// Keys of the settings that were removed.
    pub(in crate::cli) dropped: &'a [String],
}

/// A helper that cannot be used.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct SkippedHelperLine<'a> {
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) reason: &'a str,
}

/// The trial of a helper.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct TrialOutcome<'a> {
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) ok: bool,
    /// The reason of a failure.
    pub(in crate::cli) reason: Option<String>,
    pub(in crate::cli) server_info: Option<ServerInfoLine<'a>>,
    /// The names of its tools; null after a failure.
    pub(in crate::cli) tools: Option<Vec<&'a str>>,
    pub(in crate::cli) containment: Option<&'a str>,
    pub(in crate::cli) start_ms: u64,
    pub(in crate::cli) end_ms: u64,
    /// The signal that ended it; null if it ended by itself.
    pub(in crate::cli) stage: Option<&'a str>,
    /// Remaining processes.
    pub(in crate::cli) left: Vec<LeftProcessLine<'a>>,
}

/// The name that a helper gives.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct ServerInfoLine<'a> {
    pub(in crate::cli) name: &'a str,
    pub(in crate::cli) version: &'a str,
}

/// A remaining process.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::cli) struct LeftProcessLine<'a> {
    pub(in crate::cli) pid: i32,
    pub(in crate::cli) name: &'a str,
}
