//! A bridge between the end of its input and its exit: work of its only user ends soon, and pending requests
//! are answered.

use std::fs;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::requests::{tool_params, turn_params};
use skein_integration_tests::streams::Streams;
use skein_protocol::methods::{
    Initialize, Initialized, McpServerToolCall, ThreadList, ThreadStart, TurnStart,
};
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::table::{ClientNotification, Method};
use skein_protocol::thread::{ThreadListParams, ThreadStartParams};
use skein_protocol::turn::TurnStatus;

use super::{HANGS, ended_turn, unserved};

#[tokio::test]
async fn a_turn_sent_as_the_last_request_ends_with_its_user() -> Result<()> {
    let (home, mut other) = Home::with_client().await?;
    // In most rounds the server has not started the turn when the input ends.
    for _ in 0..8 {
        let mut streams = Streams::start(&home.path()).await?;
        let thread = streams.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
        streams.ask::<TurnStart>(turn_params(thread, HANGS)).await?;
        in_time(streams).await?;
        assert_eq!(other.loaded().await?, []);
        assert_eq!(ended_turn(&home, thread).await?, TurnStatus::Interrupted);
    }
    home.finish().await
}

#[tokio::test]
async fn a_running_tool_call_does_not_delay_the_end() -> Result<()> {
    let (home, mut other) = Home::with_client().await?;
    let mut streams = Streams::start(&home.path()).await?;
    let thread = streams.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    streams.ask::<McpServerToolCall>(tool_params(thread, "helper", "hang", json!({}))).await?;
    home.until_helpers(1).await?;
    in_time(streams).await?;
    assert_eq!(other.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn requests_before_the_end_of_the_input_are_answered() -> Result<()> {
    let home = Home::start().await?;
    let hello = json!({"clientInfo": {"name": "hasty", "version": "1"}});
    for _ in 0..4 {
        let mut streams = Streams::silent(&home.path())?;
        streams.say(&json!({"id": "hello", "method": Initialize::INFO.wire, "params": hello})).await?;
        streams.say(&json!({"method": Initialized::INFO.wire})).await?;
        for id in 0..50 {
            streams.say(&json!({"id": id, "method": ThreadList::INFO.wire, "params": {}})).await?;
        }
        let (code, stderr, received) = streams.rest(PATIENCE).await?;
        assert_eq!(code, Some(0), "{stderr}");
        let answers =
            received.iter().filter(|message| message["id"].is_i64() && message["result"].is_object());
        assert_eq!(answers.count(), 50, "{stderr}");
    }
    home.finish().await
}

#[tokio::test]
async fn an_unreadable_line_is_refused_and_everything_else_continues() -> Result<()> {
    let home = Home::setup()
        .set("limits.message_bytes", 65_536)
        .helper(Helper::with("helper", &["--stubborn"])?)
        .start()
        .await?;
    let mut streams = Streams::start(&home.path()).await?;
    let thread = streams.hanging_turn(HANGS).await?;
    streams.say(&json!({"id": 7, "method": "x", "params": {"text": "x".repeat(70_000)}})).await?;
    streams.say_bytes(b"\xff\xfe\n").await?;
    streams.call::<ThreadList>(ThreadListParams::default()).await?;
    let refused = streams.record().iter().filter(|message| message["error"]["code"] == -32700);
    let ids: Vec<bool> = refused.map(|message| message["id"].is_null()).collect();
    assert_eq!(ids, [true, true]);
    assert_eq!(home.client().await?.loaded().await?, [thread], "the turn continues");
    streams.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_hangup_reloads_the_settings_of_a_server_on_standard_streams() -> Result<()> {
    let home = unserved().await?;
    let mut streams = Streams::start(&home.path()).await?;
    let file = home.path().join("config.toml");
    fs::write(&file, fs::read_to_string(&file)? + "\n[limits]\nmailboxes = 7\n")?;
    streams.signal(Signal::SIGHUP)?;
    let stderr = "limits.mailboxes: unknown key";
    streams.next::<ConfigWarning>(|warning| warning.summary.contains(stderr)).await?;
    streams.end(PATIENCE).await?;
    home.finish().await
}

/// A bridge logs a warning if it gave up a wait, or if work of its only user still runs. Its limit is far
/// above the stop of an ordinary helper; a stubborn helper takes most of it.
async fn in_time(streams: Streams) -> Result<()> {
    let (code, stderr) = streams.exit(PATIENCE).await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("WARN"), "{stderr}");
    Ok(())
}
