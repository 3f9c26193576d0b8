//! Keys of Codex's settings that have no effect here: an ordinary file of Codex has several, and nobody is warned of them. A key
//! whose loss would change an answer, such as `profile`, is not among them. Pure.

/// Keys of the root.
const ROOT: &[&str] = &[
    "agents",
    "allow_login_shell",
    "analytics",
    "approvals_reviewer",
    "apps",
    "apps_mcp_product_sku",
    "audio",
    "auto_review",
    "background_terminal_max_timeout",
    "check_for_update_on_startup",
    "cli_auth_credentials_store",
    "cloud",
    "commit_attribution",
    "debug",
    "desktop",
    "disable_paste_burst",
    "feedback",
    "file_opener",
    "forced_chatgpt_workspace_id",
    "forced_login_method",
    "ghost_snapshot",
    "hide_agent_reasoning",
    "history",
    "hooks",
    "include_apps_instructions",
    "include_collaboration_mode_instructions",
    "include_permissions_instructions",
    "js_repl_node_module_dirs",
    "js_repl_node_path",
    "log_dir",
    "marketplaces",
    "mcp_oauth_callback_port",
    "mcp_oauth_callback_url",
    "mcp_oauth_credentials_store",
    "mcp_optional_startup_grace_ms",
    "memories",
    "model_auto_compact_token_limit_scope",
    "model_catalog_json",
    "model_supports_reasoning_summaries",
    "model_verbosity",
    "notice",
    "notify",
    "orchestrator",
    "oss_provider",
    "otel",
    "plan_mode_reasoning_effort",
    "plugins",
    "profiles",
    "project_doc_max_bytes",
    "project_root_markers",
    "projects",
    "realtime",
    "responses_api_metadata",
    "review_model",
    "sandbox_workspace_write",
    "shell_environment_policy",
    "show_raw_agent_reasoning",
    "skills",
    "sqlite_home",
    "suppress_unstable_features_warning",
    "thread_unload_delay_secs",
    "tool_output_token_limit",
    "tool_suggest",
    "tools",
    "tui",
    "web_search",
    "windows",
    "zsh_path",
];
/// Keys of a helper.
const HELPER: &[&str] = &[
    "environment_id",
    "experimental_environment",
    "oauth",
    "oauth_resource",
    "scopes",
    "startup_timeout_ms",
    "supports_parallel_tool_calls",
];
/// Keys of a provider of models.
const PROVIDER: &[&str] = &["supports_websockets", "websocket_connect_timeout_ms"];

/// Whether Codex has this dotted key, and it makes no difference that Skein has not.
pub(super) fn has(key: &str) -> bool {
    let keys: Vec<&str> = key.split('.').collect();
    match keys.as_slice() {
        ["features", _] => true,
        [key] => ROOT.contains(key) || key.starts_with("experimental_"),
        ["mcp_servers", _, key] => HELPER.contains(key),
        // A provider's name may have dots.
        ["model_providers", _, .., key] => PROVIDER.contains(key),
        _ => false,
    }
}
