//! Settings that change while helpers run: only changed helpers get a new process.

use std::fs;
use std::time::Instant;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::tool_params;
use skein_protocol::config::ConfigMcpServerReloadParams;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ConfigMcpServerReload, McpServerToolCall};
use skein_protocol::table::Method;

use super::{statuses, text};

/// A home with the helpers `one` and `two`. The second has the meaningless argument `"first"`.
async fn home() -> Result<Home> {
    let two = Helper::named("two")?.set("env.ROUND", "first");
    Home::setup().helper(Helper::named("one")?).helper(two).start().await
}

fn edit(home: &Home, change: impl FnOnce(String) -> String) -> Result<()> {
    let file = home.path().join("config.toml");
    let text = fs::read_to_string(&file)?;
    Ok(fs::write(file, change(text))?)
}

async fn reload(client: &mut Client) -> Result<()> {
    client.call::<ConfigMcpServerReload>(ConfigMcpServerReloadParams).await?;
    Ok(())
}

async fn pid(client: &mut Client, thread: ThreadId, server: &str) -> Result<String> {
    Ok(text(&client.tool(thread, server, "pid", json!({})).await?))
}

#[tokio::test]
async fn only_a_changed_helper_is_restarted() -> Result<()> {
    let home = home().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let (one, two) = (pid(&mut client, thread, "one").await?, pid(&mut client, thread, "two").await?);
    edit(&home, |text| text.replace("\"first\"", "\"second\""))?;
    reload(&mut client).await?;
    assert_eq!(pid(&mut client, thread, "one").await?, one);
    let again = pid(&mut client, thread, "two").await?;
    assert_ne!(again, two);
    // A list of tools is policy, and needs no restart.
    let before = fs::read_to_string(home.path().join("config.toml"))?;
    edit(&home, |text| text.replace("[mcp_servers.one]", "[mcp_servers.one]\ndisabled_tools = [\"echo\"]"))?;
    reload(&mut client).await?;
    assert_eq!(pid(&mut client, thread, "one").await?, one);
    let echo = tool_params(thread, "one", "echo", json!({}));
    assert_eq!(client.refusal::<McpServerToolCall>(echo).await?.reason(), "toolNotEnabled");
    let listed = statuses(&mut client, thread).await?;
    assert!(!listed.iter().find(|status| status.name == "one").unwrap().tools.contains_key("echo"));
    // Removed, and added under another name.
    edit(&home, |_| before.replace("mcp_servers.one", "mcp_servers.three"))?;
    reload(&mut client).await?;
    assert_eq!(pid(&mut client, thread, "two").await?, again);
    assert_ne!(pid(&mut client, thread, "three").await?, one);
    let gone = tool_params(thread, "one", "pid", json!({}));
    assert_eq!(client.refusal::<McpServerToolCall>(gone).await?.reason(), "unknownHelper");
    home.until_helpers(2).await?;
    assert_eq!(client.status().await?.reloads.total, 3);
    home.finish().await
}

#[tokio::test]
async fn a_reload_lets_a_running_call_finish_on_the_old_process() -> Result<()> {
    let home = home().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let old = pid(&mut client, thread, "two").await?;
    let waits = tool_params(thread, "two", "sleep", json!({ "ms": 1500 }));
    let waits = client.start_call::<McpServerToolCall>(&waits).await?;
    client.quiesce().await?;
    edit(&home, |text| text.replace("\"first\"", "\"second\""))?;
    reload(&mut client).await?;
    assert_ne!(pid(&mut client, thread, "two").await?, old, "a new call uses the new process");
    home.until_helpers(3).await?;
    assert!(client.answer(waits).await?.is_ok());
    home.until_helpers(2).await?;
    // A call without an end ends with the thread.
    let hangs =
        client.start_call::<McpServerToolCall>(&tool_params(thread, "two", "hang", json!({}))).await?;
    client.quiesce().await?;
    edit(&home, |text| text.replace("\"second\"", "\"third\""))?;
    reload(&mut client).await?;
    client.unload(thread, true).await?;
    assert_eq!(home.family().count(), 0, "the unload waits for the old process");
    assert!(client.answer(hangs).await?.is_err());
    home.finish().await
}

#[tokio::test]
async fn an_invalid_file_changes_nothing_and_the_error_names_file_line_and_key() -> Result<()> {
    let home = home().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let two = pid(&mut client, thread, "two").await?;
    let before = fs::read_to_string(home.path().join("config.toml"))?;
    edit(&home, |text| format!("model = 3\n{}", text.replace("\"first\"", "\"second\"")))?;
    for _ in 0..2 {
        let refused = client.refusal::<ConfigMcpServerReload>(ConfigMcpServerReloadParams).await?;
        assert_eq!(refused.reason(), "badConfig");
        assert!(refused.message.contains("config.toml:1: model: 3 cannot be used"), "{}", refused.message);
    }
    assert_eq!(pid(&mut client, thread, "two").await?, two);
    edit(&home, |_| before)?;
    reload(&mut client).await?;
    let reloads = client.status().await?.reloads;
    assert_eq!((reloads.total, reloads.refused_total, reloads.unchanged_total), (0, 2, 1));
    home.finish().await
}

#[tokio::test]
async fn a_reload_without_changes_does_no_work() -> Result<()> {
    let home = home().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let pids = [pid(&mut client, thread, "one").await?, pid(&mut client, thread, "two").await?];
    let began = Instant::now();
    for _ in 0..1000 {
        client.call_raw(ConfigMcpServerReload::INFO.wire, &serde_json::Value::Null).await??;
    }
    let reloads = began.elapsed();
    let began = Instant::now();
    for _ in 0..1000 {
        client.loaded().await?;
    }
    eprintln!("1000 reloads: {reloads:?}; 1000 requests from memory: {:?}", began.elapsed());
    let status = client.status().await?;
    assert_eq!((status.reloads.total, status.reloads.unchanged_total), (0, 1000));
    assert_eq!(status.helpers.started_total, 2);
    assert_eq!([pid(&mut client, thread, "one").await?, pid(&mut client, thread, "two").await?], pids);
    home.signal(Signal::SIGHUP)?;
    client.until_status("one more look", |status| status.reloads.unchanged_total == 1001).await?;
    home.finish().await
}

#[tokio::test]
async fn a_reload_restarts_a_failed_helper() -> Result<()> {
    let home = home().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let one = pid(&mut client, thread, "one").await?;
    // Each call waits for the next start, until the helper is given up.
    let mut why = String::new();
    while !why.contains("is not started again") {
        why = client
            .refusal::<McpServerToolCall>(tool_params(thread, "two", "crash", json!({})))
            .await?
            .message;
    }
    home.until_helpers(1).await?;
    reload(&mut client).await?;
    pid(&mut client, thread, "two").await?;
    assert_eq!(pid(&mut client, thread, "one").await?, one);
    home.finish().await
}
