//! The settings as clients may see them: those in force, and what each place says. Secrets stay here: variables of helpers
//! and headers are named without their values, addresses are shown without user and query, also as arguments of helpers, of
//! which those that are named like a secret are masked, and keys that Skein does not read are left out. What an argument is cannot be known for sure: variables are the place for secrets.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use skein_helpers::{
    ApprovalMode, HelperLimits, HelperSpec, MASK, OnUnresponsive, Secrets, Size, Transport, shown_args,
    shown_url,
};
use skein_provider::spec::{ProviderSpec, WIRE_APIS};

use super::helpers::{APPROVAL_MODES, ISOLATIONS};
use super::tree::{self, Table};
use super::{Config, Containment, Durability, FILE, Heartbeat, Limits, OrphanPolicy, RunningOrphans, origin};

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

/// What one place says, without secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The place.
    pub(crate) source: LayerSource,
    /// What it says.
    pub(crate) settings: Map<String, Value>,
    /// The dotted keys of its values.
    pub(crate) keys: Vec<String>,
    /// Changes with what stands there, also where that is not shown.
    pub(crate) version: String,
}

impl Layer {
    /// What a file says of the settings that are in force in `config`, which may be nothing.
    pub(super) fn of_file(file: PathBuf, version: String, table: &Table, config: &Config) -> Self {
        let (settings, keys) = seen(table, config);
        Self { source: LayerSource::File(file), settings, keys, version }
    }

    /// The same of flags; `None` when that is nothing.
    pub(super) fn of_flags(table: &Table, config: &Config) -> Option<Self> {
        let (settings, keys) = seen(table, config);
        // They stay as they are for as long as the server runs.
        let version = origin::version(&json!(settings).to_string());
        (!keys.is_empty()).then_some(Self { source: LayerSource::Flags, settings, keys, version })
    }
}

fn seen(table: &Table, config: &Config) -> (Map<String, Value>, Vec<String>) {
    let mut keys = Vec::new();
    let settings = visible(table, &in_force(config), "", &mut keys);
    (settings, keys)
}

/// The settings in force, by the keys of the file.
#[must_use]
pub(crate) fn in_force(config: &Config) -> Map<String, Value> {
    let mut shown = others(config);
    shown.insert("model".to_owned(), json!(config.model));
    shown.insert("model_provider".to_owned(), json!(config.model_provider));
    shown
}

impl Config {
    /// Whether a value is masked where the settings are shown.
    #[must_use]
    pub(crate) fn has_secrets(&self) -> bool {
        json!(in_force(self)).to_string().contains(MASK)
    }

    /// Whether others than its owner may read the settings file, which has secrets. A link is followed.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        let mode = std::fs::metadata(self.home.join(FILE)).map_or(0, |seen| seen.mode());
        mode & 0o077 != 0 && self.has_secrets()
    }
}

/// Those beside model and provider.
fn others(config: &Config) -> Map<String, Value> {
    let helpers: Map<String, Value> =
        config.helpers.iter().map(|(name, spec)| (name.clone(), helper(spec))).collect();
    let providers: Map<String, Value> =
        config.providers.iter().map(|(name, spec)| (name.clone(), provider(spec))).collect();
    let shown = json!({
        "approval_policy": config.approval_policy,
        "sandbox_mode": config.sandbox_mode,
        "features": { "default_mode_request_user_input": config.asks },
        "durability": match config.durability {
            Durability::Turn => "turn",
            Durability::Event => "event",
            Durability::Process => "process",
        },
        "search": { "index": config.search_index, "page_time": duration(config.search_page_time) },
        "trash": { "keep": duration(config.trash_keep) },
        "unload": {
            "grace": duration(config.unload.grace),
            "unmaterialised_grace": duration(config.unload.unmaterialised_grace),
        },
        "orphans": orphans(&config.orphans),
        "helpers": of_helpers(config),
        "limits": limits(&config.limits),
        "connections": connections(&config.heartbeat),
        "shutdown": { "drain": duration(config.shutdown_drain), "limit": duration(config.shutdown_limit) },
        "mcp_servers": helpers,
        "model_providers": providers,
    });
    match shown {
        Value::Object(shown) => {
            let said = shown.into_iter().filter(|(_, value)| !value.is_null());
            said.chain(config.thread.shown()).chain(config.shown_of_models()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn of_helpers(config: &Config) -> Value {
    json!({
        "containment": match config.containment {
            Containment::Auto => "auto",
            Containment::Guard => "guard",
            Containment::Cgroup => "cgroup",
            Containment::Namespace => "namespace",
        },
        "stop_grace": duration(config.helper_stop_grace),
        "liveness": duration(config.helper_liveness),
    })
}

fn orphans(orphans: &OrphanPolicy) -> Value {
    json!({
        "running": match orphans.running {
            RunningOrphans::Continue => "continue",
            RunningOrphans::Interrupt => "interrupt",
        },
        "running_limit": orphans.running_limit.map(duration),
        "pending_grace": duration(orphans.pending_grace),
    })
}

/// What has no limit is shown as 0, as the file takes it.
fn limits(limits: &Limits) -> Value {
    json!({
        "message_bytes": limits.message_bytes,
        "answer_bytes": limits.answer_bytes,
        "outbox_bytes": limits.outbox_bytes,
        "requests_in_flight": limits.requests_in_flight,
        "replay": limits.replay,
        "mailbox": limits.mailbox,
        "loaded_threads": limits.loaded_threads.unwrap_or(0),
        "turn_rounds": limits.turn_rounds.unwrap_or(0),
        "memory": limits.memory.map_or_else(|| "0".to_owned(), |bytes| format!("{}KiB", bytes / 1024)),
    })
}

fn connections(heartbeat: &Heartbeat) -> Value {
    json!({
        "ping": duration(heartbeat.ping),
        "dead_after": duration(heartbeat.dead_after),
        "heartbeat": duration(heartbeat.heartbeat),
    })
}

/// A helper by the keys of the file, without secrets.
#[must_use]
pub fn helper(spec: &HelperSpec) -> Value {
    let shown = match &spec.transport {
        Transport::Stdio(stdio) => json!({
            "command": stdio.command,
            "args": shown_args(stdio.args.iter().map(String::as_str)),
            "env": hidden(&stdio.env),
            "env_vars": stdio.env_vars,
            "cwd": stdio.cwd,
            "limits": helper_limits(&stdio.limits),
        }),
        Transport::Http(http) => json!({
            "url": http.shown_url(),
            "bearer_token_env_var": http.bearer_token_env_var,
            "bearer_token_file": http.bearer_token_file,
            "http_headers": hidden(&http.http_headers),
            "env_http_headers": http.env_http_headers,
        }),
    };
    let mode = |mode: &ApprovalMode| json!({ "approval_mode": word(APPROVAL_MODES, *mode) });
    let tools: Map<String, Value> =
        spec.tool_approvals.iter().map(|(tool, chosen)| (tool.clone(), mode(chosen))).collect();
    let both = json!({
        "enabled": spec.enabled,
        "isolation": word(ISOLATIONS, spec.isolation),
        "linger": duration(spec.linger),
        "required": spec.required,
        "startup_timeout_sec": spec.startup_timeout.as_secs_f64(),
        "tool_timeout_sec": spec.tool_timeout.map(|limit| limit.as_secs_f64()),
        "on_unresponsive": on_unresponsive(spec.on_unresponsive),
        "enabled_tools": spec.enabled_tools,
        "disabled_tools": spec.disabled_tools,
        "default_tools_approval_mode": word(APPROVAL_MODES, spec.default_tools_approval),
        "tools": tools,
    });
    [shown, both].iter().filter_map(Value::as_object).flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The word of a choice.
fn word<'w, T: PartialEq>(words: &[(&'w str, T)], chosen: T) -> Option<&'w str> {
    words.iter().find(|(_, choice)| *choice == chosen).map(|(word, _)| *word)
}

/// A provider by the keys of the file, without secrets.
fn provider(spec: &ProviderSpec) -> Value {
    json!({
        "name": spec.name,
        "base_url": shown_url(&spec.base_url),
        "env_key": spec.env_key,
        "env_key_instructions": spec.env_key_instructions,
        "wire_api": WIRE_APIS.iter().find(|(_, api)| *api == spec.wire_api).map(|(word, _)| word),
        "query_params": hidden(&spec.query_params),
        "http_headers": hidden(&spec.http_headers),
        "env_http_headers": spec.env_http_headers,
        "request_max_retries": spec.request_max_retries,
        "stream_max_retries": spec.stream_max_retries,
        "stream_idle_timeout_ms": u64::try_from(spec.stream_idle_timeout.as_millis()).unwrap_or(u64::MAX),
        "requires_openai_auth": false,
        "max_output_tokens": spec.max_output_tokens,
        "max_tools": spec.most_tools(),
        "models": spec.models,
    })
}

/// What has no limit is shown as 0, as the file takes it; a nice value that is not set is none.
fn helper_limits(limits: &HelperLimits) -> Value {
    json!({
        "memory": limits.memory.map_or_else(|| "0".to_owned(), |bytes| Size(bytes).to_string()),
        "processes": limits.processes.unwrap_or(0),
        "files": limits.files.unwrap_or(0),
        "nice": limits.nice,
    })
}

fn on_unresponsive(what: OnUnresponsive) -> &'static str {
    match what {
        OnUnresponsive::Report => "report",
        OnUnresponsive::Fail => "fail",
        OnUnresponsive::Restart => "restart",
    }
}

fn hidden(secrets: &Secrets) -> Map<String, Value> {
    secrets.0.keys().map(|name| (name.clone(), json!(MASK))).collect()
}

/// As the file takes it.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// What `table` says about keys that are in `known`, with the dotted keys of its values.
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
            (_, Value::String(mask)) if mask == MASK => {
                keys.push(path);
                json!(MASK)
            }
            (tree::Value::List(args), _) if key == "args" => {
                keys.push(path);
                let args: Vec<Value> = args.iter().map(|arg| tree::plain(&arg.value)).collect();
                json!(shown_args(args.iter().filter_map(Value::as_str)))
            }
            (tree::Value::Text(url), _) if key == "url" || key == "base_url" => {
                keys.push(path);
                json!(shown_url(url))
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
