//! Secrets that are taken out, and masks that are filled.

use super::*;
use crate::helpers_from_thread_config;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn secrets_of_a_request_are_taken_out_and_come_back() {
    let config = map(json!({
        "model": "m",
        "mcp_servers.t.env.TOKEN": "s3cret",
        "mcp_servers": {
            "t": { "command": "x", "args": ["--token", "s3cret", "-v"], "env": { "A": "s3cret" }, "enabled": true },
            "web": { "url": "https://me:s3cret@example.org/?k=s3cret", "http_headers": { "Authorization": "s3cret" } },
        },
        "shell": { "set": { "K": "s3cret" } },
        "count": 7,
    }));
    let (shown, secrets) = externalise(&config);
    let text = json!(shown).to_string();
    assert!(
        !text.contains("s3cret") && text.contains("--token") && text.contains("\"model\":\"m\""),
        "{text}"
    );
    assert_eq!((&shown["shell"], &shown["count"]), (&json!("***"), &json!("***")));
    assert_eq!(shown["mcp_servers"]["t"]["command"], json!("x"));
    let text = json!(secrets).to_string();
    assert!(!text.contains("command") && !text.contains("model"), "{text}");
    let back = fill(&[], &json!(shown), &[&json!(secrets)], Keys::Dotted);
    assert_eq!(back, Filled { value: json!(config), lacking: Vec::new() });
    assert_eq!(externalise_stored(&shown).1, Map::new(), "a mask is no secret");
    assert_eq!(inline(&shown, &secrets), config);
    let none = inline(&shown, &Map::new());
    assert_eq!((none.get("shell"), none.get("count")), (None, None), "what nobody reads");
    assert_eq!(none["mcp_servers"]["t"]["args"], json!(["***"]));
    assert_eq!(none["mcp_servers"]["web"]["url"], json!("https://***@example.org/?***"));
}

#[test]
fn an_argument_that_ends_like_a_mask_comes_back() {
    let args = json!(["--include=/a/***", "***"]);
    let config = map(json!({ "mcp_servers": { "t": { "command": "x", "args": args } } }));
    let (shown, secrets) = externalise(&config);
    assert_eq!(inline(&shown, &secrets), config);
}

#[test]
fn every_key_that_a_request_may_have_is_stored_as_it_is_or_has_a_secret() {
    let config = map(json!({
        "model": "m", "model_provider": "echo", "approval_policy": "never", "sandbox_mode": "read-only",
        "features": { "default_mode_request_user_input": true }, "model_reasoning_effort": "high",
        "model_reasoning_summary": "none", "service_tier": "fast", "instructions": "i",
        "developer_instructions": "d", "personality": "none",
        "mcp_servers": {
            "t": {
                "command": "x", "args": ["a"], "env_vars": ["A"], "cwd": "sub", "enabled": true, "isolation": "thread",
                "linger": "1s", "required": true, "startup_timeout_sec": 1, "tool_timeout_sec": 1,
                "on_unresponsive": "fail", "enabled_tools": ["a"], "disabled_tools": ["b"],
                "default_tools_approval_mode": "auto", "tools": { "a": { "approval_mode": "deny" } },
                "limits": { "files": 100 }, "may_connect": true, "roots": ["/srv"],
            },
            "web": { "url": "https://example.org/", "bearer_token_env_var": "A", "env_http_headers": { "X": "B" } },
        },
    }));
    assert_eq!(helpers_from_thread_config(&config).unwrap().warnings, []);
    assert_eq!(externalise(&config), (config, Map::new()));
}

fn refilled(path: &[&str], value: &Value, before: &Value) -> Result<Value, Vec<String>> {
    let filled = fill(path, value, &[before], Keys::Plain);
    if filled.lacking.is_empty() { Ok(filled.value) } else { Err(filled.lacking) }
}

#[test]
fn a_mask_is_what_stood_there() {
    let before =
        json!({ "env": { "A": "s3cret" }, "url": "https://a/?k=s3cret", "args": ["--key", "s3cret"] });
    let path = ["mcp_servers", "t"];
    let now = json!({ "env": { "A": "***", "B": "new" }, "url": "https://a/?***", "args": ["--key", "***"] });
    let filled = refilled(&path, &now, &before).unwrap();
    let wanted = json!({ "env": { "A": "s3cret", "B": "new" }, "url": "https://a/?k=s3cret", "args": ["--key", "s3cret"] });
    assert_eq!(filled, wanted);
    let other = json!({ "env": { "C": "***" }, "url": "https://b/?***", "args": ["--secret", "***"] });
    let lacking = ["mcp_servers.t.args", "mcp_servers.t.env.C", "mcp_servers.t.url"];
    let mut found = refilled(&path, &other, &before).unwrap_err();
    found.sort();
    assert_eq!(found, lacking);
    // A text that looks like a mask anywhere else is a text.
    assert_eq!(refilled(&["instructions"], &json!("***"), &Value::Null), Ok(json!("***")));
    let provider = ["model_providers", "p.q", "http_headers", "X"];
    assert_eq!(refilled(&provider, &json!("***"), &json!("s3cret")), Ok(json!("s3cret")));
}

#[test]
fn masked_arguments_are_known_by_what_stands_around_them() {
    let path = ["mcp_servers", "t", "args"];
    let args = |now: Value, before: Value| refilled(&path, &now, &before).ok();
    let two = json!(["--token", "one", "--secret", "two", "--key=three"]);
    let now = json!(["-v", "--secret", "***", "--key=***", "--token", "***"]);
    assert_eq!(
        args(now, two.clone()),
        Some(json!(["-v", "--secret", "two", "--key=three", "--token", "one"]))
    );
    assert_eq!(args(json!(["--key=***"]), two.clone()), Some(json!(["--key=three"])));
    assert_eq!(args(json!(["***"]), two.clone()), None);
    assert_eq!(args(json!(["--other=***"]), two), None);
    // Two that look alike: in their order while both are there, and neither when one is gone.
    let alike = json!(["-H", "Authorization: one", "-H", "Authorization: two"]);
    let shown = json!(["-H", "Authorization:***", "-H", "Authorization:***"]);
    assert_eq!(args(shown, alike.clone()), Some(alike.clone()));
    assert_eq!(args(json!(["-H", "Authorization:***"]), alike), None);
    let plain = json!(["--pattern", "***", "--include=/a/***"]);
    assert_eq!(args(plain.clone(), plain.clone()), Some(plain));
    let address = json!(["--db=postgres://me:s3cret@host/x"]);
    assert_eq!(
        args(json!(["-v", "--db=***"]), address),
        Some(json!(["-v", "--db=postgres://me:s3cret@host/x"]))
    );
}
