//! A helper that dies, closes its output or talks nonsense ends the calls that wait for it, with the reason.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::{Client, Pending};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::requests::tool_params;
use skein_protocol::helper::McpServerConnectionStatus;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::McpToolCallStatus;
use skein_protocol::methods::McpServerToolCall;
use skein_protocol::turn::TurnStatus;

use super::{calls, statuses};

/// Lets the helper end in a call of `tool`, while another call waits for it. Returns what the turn was told.
async fn end_in_call(client: &mut Client, thread: ThreadId, tool: &str) -> Result<String> {
    client.turn(thread, "/tool helper pid").await?;
    let hanging: Pending<McpServerToolCall> =
        client.start_call(&tool_params(thread, "helper", "hang", json!({}))).await?;
    let turn = client.turn(thread, &format!("/tool helper {tool}")).await?;
    assert_eq!(turn.status, TurnStatus::Completed, "the model is told, and goes on");
    let error = client.answer(hanging).await?.err().context("the other call is answered")?;
    assert_eq!(error.reason(), "helperEnded", "the other call ends too: {error}");
    let call = calls(client, &turn.id)?.remove(0);
    assert_eq!(call.status, McpToolCallStatus::Failed);
    let status = &statuses(client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Failed), "{status:?}");
    Ok(call.error.context("a failed call says why")?.message)
}

#[tokio::test]
async fn a_helper_that_dies_in_a_call_ends_it_with_its_last_words() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let message = end_in_call(&mut client, thread, "crash").await?;
    assert!(message.contains('3') && message.contains("crashing, as told"), "{message}");
    // The thread lives, and so do its other turns.
    assert_eq!(client.say(thread, "still here").await?, "still here");
    home.until_zero(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_closes_its_output_is_ended() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    end_in_call(&mut client, thread, "close").await?;
    home.until_zero(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_talks_nonsense_is_ended_and_the_nonsense_is_shown() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let message = end_in_call(&mut client, thread, "garbage").await?;
    assert!(message.contains("this is no JSON"), "{message}");
    home.until_zero(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_line_above_the_limit_ends_that_helper_only() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let other = client.start_thread().await?.id;
    let pid = client.say(other, "/tool helper pid").await?;
    let turn = client.turn(thread, "/tool helper bigline {\"bytes\":17000000}").await?;
    assert_eq!(calls(&client, &turn.id)?[0].status, McpToolCallStatus::Failed);
    assert_eq!(client.say(other, "/tool helper pid").await?, pid);
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_is_killed_is_said_to_have_failed() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let pid: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    let hanging: Pending<McpServerToolCall> =
        client.start_call(&tool_params(thread, "helper", "hang", json!({}))).await?;
    client.quiesce().await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
    assert_eq!(client.answer(hanging).await?.unwrap_err().reason(), "helperEnded");
    home.until_zero(PATIENCE).await?;
    home.finish().await
}
