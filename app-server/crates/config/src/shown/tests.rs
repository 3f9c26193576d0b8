//! The settings as clients see them.

use std::collections::BTreeSet;

use skein_helpers::{HttpSpec, Transport};
use skein_provider::spec::{ProviderSpec, WireApi};

use super::*;
use crate::section::keys_of;
use crate::{ConfigErrors, ContextOverride, EveryModel, Flags, ThreadConfig};

/// Every key, with a value.
const ALL: &str = r#"
    model = "m"
    model_provider = "echo"
    model_context_window = 100000
    model_auto_compact_token_limit = 90000
    model_max_output_tokens = 9000
    model_reasoning_effort = "high"
    model_reasoning_summary = "auto"
    service_tier = "fast"
    instructions = "i"
    developer_instructions = "d"
    personality = "none"
    include_environment_context = false
    project_doc_max_bytes = 9
    project_doc_fallback_filenames = ["CLAUDE.md"]
    models = { m = { context_window = 1, auto_compact_token_limit = 1, max_output_tokens = 1, images = true, parallel_tool_calls = true } }
    durability = "turn"
    approval_policy = "never"
    sandbox_mode = "read-only"
    features = { default_mode_request_user_input = true }
    search = { index = false, page_time = "1s" }
    trash = { keep = "1h" }
    unload = { grace = "1s", unmaterialised_grace = "1s" }
    orphans = { running = "continue", running_limit = "1h", pending_grace = "1min", queue = "run" }
    questions = { keep = "1h" }
    restart = { turns = "all", at_once = 2 }
    helpers = { containment = "auto", stop_grace = "1s", liveness = "30s" }
    connections = { ping = "20s", dead_after = "60s", heartbeat = "20s" }
    shutdown = { drain = "1s", limit = "9s" }
    public_url = "https://box.example.org"
    trusted_proxies = ["127.0.0.1"]
    listen = { plain = false }
    metrics = { listen = "127.0.0.1:9464", token_file = "/etc/skein/metrics-token" }
    store = { url = "postgres://skein@127.0.0.1/skein", password_file = "/etc/skein/store-password" }
    cluster = { node_name = "node-1", listen = "127.0.0.1:7440", advertise = "node-1.internal:7440", drain = "9s" }
    budget = { turn_tokens = 9, thread_tokens = 9, day_tokens = 9, turn_rounds = 9, ask = false }

    [auth]
    local = "token"

    [browser]
    origins = ["http://localhost:5173"]
    roots = ["~", "/srv"]

    [limits]
    message_bytes = 100000
    answer_bytes = 100000
    outbox_bytes = 100000
    requests_in_flight = 9
    replay = 9
    mailbox = 9
    connections = 9
    connections_per_credential = 9
    connects_per_address = 9
    subscriptions = 9
    loaded_threads = 9
    memory = "2GiB"

    [model_providers.mine]
    name = "Mine"
    base_url = "https://me:s3cret@models.example.org/v1?key=s3cret"
    env_key = "MY_KEY"
    env_key_instructions = "ask me"
    wire_api = "chat"
    query_params = { version = "s3cret" }
    http_headers = { X-A = "s3cret" }
    env_http_headers = { X-B = "B" }
    request_max_retries = 1
    stream_max_retries = 1
    stream_idle_timeout_ms = 1500
    requires_openai_auth = true
    max_output_tokens = 100
    max_tools = 200
    models = ["one"]

    [mcp_servers.files]
    command = "files-server"
    args = ["--root", "/"]
    env = { A = "1" }
    cwd = "sub"
    enabled = false
    required = true
    isolation = "project"
    linger = "10min"
    startup_timeout_sec = 2.5
    enabled_tools = ["read"]
    disabled_tools = ["write"]
    default_tools_approval_mode = "prompt"
    tools = { read = { approval_mode = "approve" } }
    tool_timeout_sec = 60
    on_unresponsive = "fail"
    limits = { memory = "1GiB", processes = 50, files = 256, nice = 5 }
    may_connect = true
    roots = ["/srv"]
    env_vars = ["TOKEN", { name = "KEY", source = "local" }]

    [mcp_servers.docs]
    url = "https://example.org/mcp"
    bearer_token_env_var = "DOCS_TOKEN"
    http_headers = { X-Team = "a" }
    env_http_headers = { X-Key = "DOCS_KEY" }

    [mcp_servers.notes]
    url = "https://example.org/mcp"
    bearer_token_file = "/run/token"
"#;

/// Loads a home whose file holds `toml`.
fn load(toml: &str) -> Result<ServerConfig, ConfigErrors> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), toml).unwrap();
    ServerConfig::load(&Flags { home: Some(home.path().to_owned()), ..Flags::default() })
}

#[test]
fn every_key_that_is_read_is_shown_with_its_origin() {
    let config = load(ALL).unwrap();
    assert_eq!(config.warnings, []);
    let keys = &config.layers[0].keys;
    let shown: BTreeSet<&str> = keys.iter().flat_map(|key| key.split('.')).collect();
    let read = [
        keys_of::<ServerConfig>(),
        keys_of::<EveryModel>(),
        keys_of::<Overrides>(),
        keys_of::<ThreadConfig>(),
        keys_of::<ContextOverride>(),
        helpers::stdio_keys(),
        helpers::http_keys(),
        helpers::common_keys(),
    ];
    let missing: Vec<_> = read.concat().into_iter().filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty() && keys.len() >= 80, "no origin of {missing:?} in {keys:?}");
    let all = format!("{:?} {:?} {config:?}", config.layers, in_force(&config));
    assert!(!all.contains("s3cret") && all.contains("https://***@models.example.org/v1?***"), "{all}");
}

/// The values at the ends of a table, each with the keys on the way to it.
fn leaves(path: &[&str], value: &Value, found: &mut Vec<(String, Value)>) {
    let is_open =
        path.last().is_some_and(|key| ["env", "headers", "params"].iter().any(|end| key.ends_with(end)));
    match value.as_object().filter(|members| !is_open && !members.is_empty()) {
        Some(members) => {
            members.iter().for_each(|(key, value)| leaves(&[path, &[key]].concat(), value, found));
        }
        None => found.push((path.join("."), value.clone())),
    }
}

/// A default in the table; empty where there is none.
fn default_of(value: &Value) -> String {
    let is_none = [Value::Null, json!(""), json!("mine"), json!({})].contains(value);
    if is_none { String::new() } else { format!("`{value}`") }
}

/// The table of all keys: the form of each, as the error about a wrong value names it, and its default.
fn reference() -> String {
    let mut defaults = in_force(&ServerConfig::default());
    let address = Transport::Http(HttpSpec::default());
    let (files, docs) =
        (helper(&HelperSpec::new("files", "")), helper(&HelperSpec::reached("docs", address)));
    defaults.insert("mcp_servers".to_owned(), json!({ "files": files, "docs": docs }));
    let mine = providers::shown(&ProviderSpec::new("mine", "", WireApi::Responses));
    defaults.insert("model_providers".to_owned(), json!({ "mine": mine }));
    let defaults = Value::Object(defaults);
    let mut all = Vec::new();
    leaves(&[], &Value::Object(in_force(&load(ALL).unwrap())), &mut all);
    let ours = |path: &str| {
        let own = ["mcp_servers.", "model_providers."].iter().any(|table| path.starts_with(table));
        !own || ["files", "docs", "mine"].iter().any(|name| path.split('.').nth(1) == Some(name))
    };
    let mut rows = BTreeSet::new();
    for (path, _) in all.into_iter().filter(|(path, _)| ours(path)) {
        let errors = load(&format!("{path} = 1979-05-27")).unwrap_err();
        let form = errors.0.iter().find(|error| error.key == path).map(|error| error.expected.clone());
        let form = form.unwrap().replace("write ", "");
        if form.starts_with("it as [") {
            // A table that is empty in one of the helpers, and has keys in another one.
            continue;
        }
        let default =
            path.split('.').try_fold(&defaults, |table, key| table.get(key)).cloned().unwrap_or_default();
        let mut key = path;
        for (name, shown) in
            [(".files", ".NAME"), (".docs", ".NAME"), (".mine", ".NAME"), ("models.m.", "models.NAME.")]
        {
            key = key.replacen(name, shown, 1);
        }
        let (key, default) = (key.replace("tools.read", "tools.TOOL"), default_of(&default));
        rows.insert(format!("| `{key}` | {form} | {default} |"));
    }
    format!(
        "| key | form | default |\n| --- | --- | --- |\n{}\n",
        rows.into_iter().collect::<Vec<_>>().join("\n")
    )
}

#[test]
fn the_document_has_every_key_with_its_form_and_default() {
    let document = include_str!("../../../../../docs/settings.md");
    let table = reference();
    if let Some(path) = std::env::var_os("SETTINGS_TABLE") {
        std::fs::write(path, &table).unwrap();
    }
    let why = "put the table that SETTINGS_TABLE=FILE writes into docs/settings.md";
    assert!(document.ends_with(&format!("## All keys\n\n{table}")), "{why}:\n{table}");
}

#[test]
fn arguments_that_may_be_secret_are_masked() {
    let toml = "[mcp_servers.a]\ncommand = \"x\"\nargs = [\"--token\", \"s3cret\"]";
    let config = load(toml).unwrap();
    let all = format!("{:?} {:?} {config:?}", config.layers, in_force(&config));
    assert!(!all.contains("s3cret") && all.contains("--token"), "{all}");
}

#[test]
fn each_setting_has_the_place_where_it_was_written() {
    let text = "model = \"m\"\n[limits]\nmailbox = 3\n[mcp_servers.a]\ncommand = \"x\"\nenv = { TOKEN = \"s3cret\" }\n\
                [models.\"gpt-5.1\"]\nimages = true";
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let flags = ["limits.mailbox=4", "limits.replay=5"].map(str::to_owned).to_vec();
    let flags = Flags { home: Some(home.path().to_owned()), settings: flags, ..Flags::default() };
    let config = ServerConfig::load(&flags).unwrap();
    let in_file = LayerSource::File(file);
    let all = settings(&config);
    let place = |key: &str| {
        let found =
            all.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("{key}: {all:#?}"));
        (found.value.clone(), found.source.cloned())
    };
    assert_eq!(place("model"), (json!("m"), Some(in_file.clone())));
    assert_eq!(place("limits.mailbox"), (json!(4), Some(LayerSource::Flags)));
    assert_eq!(place("limits.replay"), (json!(5), Some(LayerSource::Flags)));
    assert_eq!(place("models.\"gpt-5.1\".images"), (json!(true), Some(in_file.clone())));
    assert_eq!(place("mcp_servers.a.command"), (json!("x"), Some(in_file)));
    assert_eq!(place("unload.grace").1, None);
    assert!(!format!("{all:?}").contains("s3cret"), "{all:#?}");
}
