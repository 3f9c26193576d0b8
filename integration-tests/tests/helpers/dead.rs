//! A helper that dies, closes its output or sends nonsense ends the calls that wait for it, with the reason.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::{Client, Pending};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::process::freeze;
use skein_integration_tests::requests::tool_params;
use skein_protocol::extension::{HelperState, SkeinHelpersListParams};
use skein_protocol::helper::{McpServerConnectionStatus, McpServerStartupState};
use skein_protocol::ids::ThreadId;
use skein_protocol::item::McpToolCallStatus;
use skein_protocol::methods::{McpServerToolCall, SkeinHelpersList};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_protocol::turn::TurnStatus;

use super::{statuses, text};

/// Ends the helper by a call of `tool`, while another call waits for it. Returns the error of the turn's
/// call.
async fn end_in_call(client: &mut Client, thread: ThreadId, tool: &str) -> Result<String> {
    client.turn(thread, "/tool helper pid").await?;
    is_ready(client, thread).await?;
    let hanging: Pending<McpServerToolCall> =
        client.start_call(&tool_params(thread, "helper", "hang", json!({}))).await?;
    let turn = client.turn(thread, &format!("/tool helper {tool}")).await?;
    assert_eq!(turn.status, TurnStatus::Completed, "the model gets the error and continues");
    let error = client.answer(hanging).await?.err().context("the other call is answered")?;
    assert_eq!(error.reason(), "helperEnded", "the other call ends too: {error}");
    let call = client.tool_calls(&turn.id)?.remove(0);
    assert_eq!(call.status, McpToolCallStatus::Failed);
    let why = call.error.context("a failed call has a reason")?.message;
    assert!(why.contains(&is_ready_again(client, thread).await?), "{why}");
    let status = &statuses(client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected), "{status:?}");
    Ok(why)
}

/// Takes the next status of the thread's helper, which must be `state`. Returns its error.
async fn update(
    client: &mut Client,
    thread: ThreadId,
    state: McpServerStartupState,
) -> Result<Option<String>> {
    let update =
        client.next::<McpServerStartupStatusUpdated>(|update| update.thread_id == Some(thread)).await?;
    assert_eq!(update.status, state, "{update:?}");
    Ok(update.error)
}

async fn is_ready(client: &mut Client, thread: ThreadId) -> Result<()> {
    update(client, thread, McpServerStartupState::Starting).await?;
    update(client, thread, McpServerStartupState::Ready).await?;
    Ok(())
}

/// Waits until the thread's helper has failed and is ready again. Returns the reason of the failure.
async fn is_ready_again(client: &mut Client, thread: ThreadId) -> Result<String> {
    let why = update(client, thread, McpServerStartupState::Failed).await?;
    is_ready(client, thread).await?;
    why.context("a failure has a reason")
}

#[tokio::test]
async fn a_helper_that_dies_in_a_call_ends_it_with_its_stderr() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let message = end_in_call(&mut client, thread, "crash").await?;
    assert!(message.contains('3') && message.contains("crashing on request"), "{message}");
    // The thread and its other turns continue.
    assert_eq!(client.say(thread, "still here").await?, "still here");
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_helper_that_closes_its_output_is_stopped() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    end_in_call(&mut client, thread, "close").await?;
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_helper_that_sends_nonsense_is_stopped_and_the_error_quotes_it() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let message = end_in_call(&mut client, thread, "garbage").await?;
    assert!(message.contains("this is not JSON"), "{message}");
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_line_above_the_limit_stops_that_helper_only() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let other = client.start_thread().await?.id;
    let pid = client.say(other, "/tool helper pid").await?;
    let turn = client.turn(thread, "/tool helper bigline {\"bytes\":17000000}").await?;
    assert_eq!(client.tool_calls(&turn.id)?[0].status, McpToolCallStatus::Failed);
    assert_eq!(client.say(other, "/tool helper pid").await?, pid);
    home.finish().await
}

#[tokio::test]
async fn a_killed_helper_ends_its_calls_and_is_started_again() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let pid: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    is_ready(&mut client, thread).await?;
    let hanging: Pending<McpServerToolCall> =
        client.start_call(&tool_params(thread, "helper", "hang", json!({}))).await?;
    client.quiesce().await?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
    assert_eq!(client.answer(hanging).await?.unwrap_err().reason(), "helperEnded");
    assert_eq!(is_ready_again(&mut client, thread).await?, "it ended with SIGKILL");
    let again: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    assert_ne!(again, pid);
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn an_unresponsive_helper_is_reported_listed_and_keeps_its_calls() -> Result<()> {
    let (home, mut client) = Home::setup()
        .helper(Helper::named("helper")?)
        .set("helpers.liveness", "500ms")
        .start_with_client()
        .await?;
    let thread = client.start_thread().await?.id;
    let pid: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    freeze(pid.cast_unsigned()).await?;
    let pid = nix::unistd::Pid::from_raw(pid);
    let echo = tool_params(thread, "helper", "echo", json!({ "text": "late" }));
    let waiting: Pending<McpServerToolCall> = client.start_call(&echo).await?;
    let update = client.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
    assert_eq!(update.skein.map(|skein| skein.state), Some(HelperState::Unresponsive), "{update:?}");
    assert!(update.error.is_some_and(|error| error.contains("helpers.liveness")));
    let status = &statuses(&mut client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected), "{status:?}");
    assert_eq!(status.skein.as_ref().map(|skein| skein.state), Some(HelperState::Unresponsive));
    let params = SkeinHelpersListParams { thread_id: Some(thread) };
    let listed = client.call::<SkeinHelpersList>(params).await?.data;
    assert_eq!(listed[0].state, HelperState::Unresponsive);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT)?;
    assert_eq!(text(&client.answer(waiting).await??), "late");
    let update = client.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
    assert!(update.error.is_none(), "{update:?}");
    client.unload(thread, true).await?;
    home.finish_drained().await
}
