//! Settings of helpers as users and clients write them.

use std::time::Duration;

use super::*;

#[test]
fn a_helper_has_the_keys_that_codex_gives_it() {
    let files = HelperSpec {
        name: "files".into(),
        transport: Transport::Stdio(StdioSpec {
            command: "files-server".into(),
            args: ["--root", "/"].map(Into::into).into(),
            env: Secrets(BTreeMap::from([("A".into(), "1".into())])),
            env_vars: vec!["TOKEN".into(), "KEY".into()],
            cwd: Some("sub".into()),
            limits: LIMITS,
            may_connect: true,
            roots: vec!["/srv".into()],
        }),
        enabled: false,
        isolation: Isolation::Shared,
        linger: Duration::from_mins(10),
        required: true,
        startup_timeout: Duration::from_millis(2500),
        tool_timeout: Some(Duration::from_mins(1)),
        on_unresponsive: OnUnresponsive::Restart,
        enabled_tools: Some(vec!["read".into()]),
        disabled_tools: vec!["write".into()],
        default_tools_approval: ApprovalMode::Writes,
        tool_approvals: BTreeMap::from([
            ("read.all".into(), ApprovalMode::Approve),
            ("remove".into(), ApprovalMode::Deny),
        ]),
    };
    assert_eq!(files.approval_of("remove"), ApprovalMode::Deny);
    assert_eq!(files.approval_of("read"), ApprovalMode::Writes);
    let config = load(FILES, &[]).1.unwrap();
    assert_eq!((config.helpers, config.warnings), (BTreeMap::from([("files".to_owned(), files)]), vec![]));
}

#[test]
fn approval_of_tools_is_laid_over_tool_by_tool_and_a_wrong_word_is_named() {
    let toml = "[mcp_servers.a]\ncommand = \"x\"\ndefault_tools_approval_mode = \"prompt\"\n\
                [mcp_servers.a.tools.read]\napproval_mode = \"approve\"\n\
                [mcp_servers.a.tools.write]\napproval_mode = \"writes\"\n";
    let config = load(toml, &[]).1.unwrap();
    let json = serde_json::json!({
        "mcp_servers": {"a": {"tools": {"write": {"approval_mode": "deny"}, "list": {}}}},
        "approval_policy": "untrusted", "features": {"default_mode_request_user_input": true},
    });
    let overrides = helpers_from_thread_config(&thread_config(json)).unwrap();
    assert_eq!(
        (overrides.approval_policy.clone(), overrides.features.asks),
        (Some(AskForApproval::Untrusted), Some(true))
    );
    let over = overrides.over(&config.helpers).unwrap();
    for (tool, mode) in [
        ("read", ApprovalMode::Approve),
        ("write", ApprovalMode::Deny),
        ("list", ApprovalMode::Prompt),
        ("other", ApprovalMode::Prompt),
    ] {
        assert_eq!(over["a"].approval_of(tool), mode, "{tool}");
    }
    let found = errors(
        "approval_policy = \"sometimes\"\n[mcp_servers.a]\ncommand = \"x\"\n\
                        [mcp_servers.a.tools.read]\napproval_mode = \"maybe\"\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|error| error.contains("mcp_servers.a.tools.read.approval_mode: \"maybe\"")));
    assert!(found.iter().any(|error| error.contains("approval_policy: \"sometimes\"")), "{found:?}");
}

#[test]
fn limits_of_a_helper_are_laid_over_one_by_one_and_a_wrong_one_is_named() {
    let toml = "[mcp_servers.a]\ncommand = \"x\"\n[mcp_servers.a.limits]\nmemory = \"1GiB\"\nfiles = 64\n";
    let config = load(toml, &[]).1.unwrap();
    let json = serde_json::json!({"mcp_servers": {"a": {"limits": {"memory": "0", "nice": 3}}}});
    let over = helpers_from_thread_config(&thread_config(json)).unwrap().over(&config.helpers).unwrap();
    let limits = over["a"].stdio().unwrap().limits;
    assert_eq!(limits, HelperLimits { files: Some(64), nice: Some(3), ..HelperLimits::default() });

    let wrong = "[mcp_servers.a]\ncommand = \"x\"\n[mcp_servers.a.limits]\n\
                 memory = \"1MiB\"\nprocesses = -1\nfiles = \"many\"\nnice = 20\n";
    let starts = [
        "FILE:4: mcp_servers.a.limits.memory: \"1MiB\" cannot be used; write a number and a unit",
        "FILE:5: mcp_servers.a.limits.processes: -1 cannot be used; write a whole number from 0 to 4194304",
        "FILE:6: mcp_servers.a.limits.files: \"many\" cannot be used; write a whole number from 0 to",
        "FILE:7: mcp_servers.a.limits.nice: 20 cannot be used; write a whole number from -20 to 19",
    ];
    let found = errors(wrong);
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
    let elsewhere = errors("[mcp_servers.a]\nurl = \"https://x\"\nlimits = { files = 64 }\n");
    assert!(elsewhere[0].contains("limits is of helpers with a command"), "{elsewhere:?}");
}

#[test]
fn a_helper_behind_a_url_stops_neither_the_server_nor_a_thread() {
    let toml = r#"
        [mcp_servers.docs]
        url = "https://me:s3cret@example.org/mcp?key=s3cret"
        bearer_token_env_var = "DOCS_TOKEN"
        http_headers = { X-Team = "s3cret" }
        env_http_headers = { X-Key = "DOCS_KEY" }
        startup_timeout_sec = 20
        tool_timeout_sec = 60
    "#;
    let config = load(toml, &[]).1.unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.helpers["docs"].startup_timeout, Duration::from_secs(20));
    let shown = format!("{:?} {:?} {config:?}", config.layers, crate::shown::in_force(&config));
    assert!(!shown.contains("s3cret") && shown.contains("DOCS_TOKEN") && shown.contains("***"), "{shown}");
    let json = serde_json::json!({"mcp_servers": {"more": {"url": "http://127.0.0.1:1/mcp"}}});
    let overrides = helpers_from_thread_config(&thread_config(json)).unwrap();
    assert_eq!(overrides.over(&config.helpers).unwrap().len(), 2);
}

fn thread_config(json: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    json.as_object().unwrap().clone()
}

#[test]
fn a_request_names_helpers_in_tables_or_by_dotted_keys() {
    let json = serde_json::json!({
        "model": null,
        "mcp_servers": {"a": {"command": "a", "env": {"X": "1"}}},
        "mcp_servers.a.args": ["1"],
        "mcp_servers.b.enabled": false,
        "web_search": "live",
        "unheard_of": 1,
    });
    let overrides = helpers_from_thread_config(&thread_config(json)).unwrap();
    assert_eq!(overrides.model, None);
    assert_eq!(
        overrides.warnings.iter().map(|w| w.key.as_str()).collect::<Vec<_>>(),
        ["unheard_of"],
        "a key of Codex's is none"
    );
    let base = BTreeMap::from([("b".to_owned(), HelperSpec::new("b", "b"))]);
    let helpers = overrides.over(&base).unwrap();
    let a = helpers["a"].stdio().unwrap();
    assert_eq!((a.command.as_str(), a.args.len(), a.env.0.len()), ("a", 1, 1));
    let b = helpers["b"].stdio().unwrap();
    assert_eq!((b.command.as_str(), helpers["b"].enabled), ("b", false));
    let error = overrides.over(&BTreeMap::new()).unwrap_err().to_string();
    assert!(error.starts_with("config: mcp_servers.b: this helper has neither command nor url"), "{error}");
}

#[test]
fn a_request_moves_a_helper_without_taking_its_secrets_along() {
    let toml = "[mcp_servers.a]\nurl = \"https://one/\"\nbearer_token_env_var = \"T\"\nhttp_headers.A = \"1\"\n\
                [mcp_servers.b]\ncommand = \"b\"\nenv.A = \"1\"\n";
    let base = load(toml, &[]).1.unwrap().helpers;
    let over = |json| helpers_from_thread_config(&thread_config(json)).unwrap().over(&base);
    let same =
        over(serde_json::json!({"mcp_servers.a.http_headers": {"B": "2"}, "mcp_servers.a.enabled": true}));
    let Transport::Http(http) = &same.unwrap()["a"].transport else { panic!("it has an address") };
    assert_eq!((http.url.as_str(), http.http_headers.0.len()), ("https://one/", 2));
    assert_eq!(http.bearer_token_env_var.as_deref(), Some("T"));
    let moved =
        over(serde_json::json!({"mcp_servers.a.url": "https://two/", "mcp_servers.b.url": "http://b"}));
    for helper in moved.unwrap().values() {
        let Transport::Http(http) = &helper.transport else { panic!("it has an address") };
        assert!(http.http_headers.0.is_empty() && http.bearer_token_env_var.is_none(), "{http:?}");
    }
    let error = over(serde_json::json!({"mcp_servers.b.http_headers": {"A": "1"}})).unwrap_err().to_string();
    assert!(error.contains("http_headers is of helpers with a url"), "{error}");
}

#[test]
fn a_mask_in_a_request_stands_for_no_secret_of_another_address() {
    let toml = "[mcp_servers.a]\nurl = \"https://one/\"\nhttp_headers.A = \"secret\"\n";
    let base = load(toml, &[]).1.unwrap().helpers;
    for (url, sent) in [("https://one/", "secret"), ("https://two/", "***")] {
        let json = serde_json::json!({"mcp_servers.a": {"url": url, "http_headers": {"A": "***"}}});
        let found = helpers_from_thread_config(&thread_config(json)).unwrap().over(&base).unwrap();
        let Transport::Http(http) = &found["a"].transport else { panic!("it has an address") };
        assert_eq!((http.url.as_str(), http.http_headers.0["A"].as_str()), (url, sent));
    }
}

#[test]
fn what_is_wrong_in_a_request_is_named_by_its_path() {
    let json = serde_json::json!({"mcp_servers": {"a": {"command": 1}}, "mcp_servers.b.args": "x"});
    let error = helpers_from_thread_config(&thread_config(json)).unwrap_err();
    let keys: Vec<&str> = error.0.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["mcp_servers.a.command", "mcp_servers.b.args"]);
}
