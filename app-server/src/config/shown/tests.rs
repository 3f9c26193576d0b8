//! What clients see of the settings.

use std::collections::BTreeSet;

use super::*;
use crate::config::Flags;

/// Every key, with a value.
const ALL: &str = r#"
    model = "m"
    model_provider = "echo"
    model_context_window = 100000
    model_auto_compact_token_limit = 90000
    model_max_output_tokens = 9000
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
    orphans = { running = "continue", running_limit = "1h", pending_grace = "1min" }
    helpers = { containment = "auto", stop_grace = "1s", liveness = "30s" }
    connections = { ping = "20s", dead_after = "60s", heartbeat = "20s" }
    shutdown = { drain = "1s", limit = "9s" }

    [limits]
    message_bytes = 100000
    answer_bytes = 100000
    outbox_bytes = 100000
    requests_in_flight = 9
    replay = 9
    mailbox = 9
    loaded_threads = 9
    turn_rounds = 9
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

#[test]
fn every_key_that_is_read_is_shown_with_its_origin() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), ALL).unwrap();
    let flags = Flags { home: Some(home.path().to_owned()), ..Flags::default() };
    let config = Config::load(&flags).unwrap();
    assert_eq!(config.warnings, []);
    let keys = &config.layers[0].keys;
    let shown: BTreeSet<&str> = keys.iter().flat_map(|key| key.split('.')).collect();
    let missing: Vec<_> =
        in_force(&config).into_iter().filter(|(name, _)| !shown.contains(name.as_str())).collect();
    assert!(missing.is_empty() && keys.len() >= 30, "no origin of {missing:?} in {keys:?}");
    let all = format!("{:?} {:?} {config:?}", config.layers, in_force(&config));
    assert!(!all.contains("s3cret") && all.contains("https://***@models.example.org/v1?***"), "{all}");
}

#[test]
fn arguments_that_may_be_secret_are_masked() {
    let toml = "[mcp_servers.a]\ncommand = \"x\"\nargs = [\"--token\", \"s3cret\"]";
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), toml).unwrap();
    let config = Config::load(&Flags { home: Some(home.path().to_owned()), ..Flags::default() }).unwrap();
    let all = format!("{:?} {:?} {config:?}", config.layers, in_force(&config));
    assert!(!all.contains("s3cret") && all.contains("--token"), "{all}");
}
