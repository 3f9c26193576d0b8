//! Helpers (MCP server processes): a stalled helper delays no other client, a dead one ends the calls that
//! wait for it, and nothing of the server leaks into them.

mod asks;
mod dead;
mod doors;
mod eras;
mod held;
mod http;
mod leaks;
mod lines;
mod processes;
mod reload;
mod resources;
mod secrets;
mod shared;
mod stalled;
mod start;
mod threadless;

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::tool_params;
use skein_protocol::helper::{
    ListMcpServerStatusParams, McpServerConnectionStatus, McpServerStatus, McpServerToolCallResponse,
};
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{McpServerStatusList, McpServerToolCall};
use skein_protocol::notifications::ItemMcpToolCallProgress;

/// Status of the helpers of a thread.
async fn statuses(client: &mut Client, thread: ThreadId) -> Result<Vec<McpServerStatus>> {
    let params =
        ListMcpServerStatusParams { thread_id: Some(thread), ..ListMcpServerStatusParams::default() };
    Ok(client.call::<McpServerStatusList>(params).await?.data)
}

/// The text of a tool's answer.
fn text(response: &McpServerToolCallResponse) -> String {
    response.content.iter().filter_map(|block| block["text"].as_str()).collect()
}

#[tokio::test]
async fn a_tool_is_called_outside_any_turn() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let answer = client.tool(thread, "helper", "echo", json!({ "text": "direct" })).await?;
    assert_eq!((text(&answer).as_str(), answer.is_error), ("direct", Some(false)));
    let answer = client.tool(thread, "helper", "nonsense", json!({})).await?;
    assert_eq!(answer.is_error, Some(true), "a tool's own failure is an answer");
    let status = &statuses(&mut client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected));
    assert!(status.tools.contains_key("echo") && status.server_info.is_some());
    home.finish().await
}

#[tokio::test]
async fn an_impossible_call_fails_with_a_reason() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let unknown = tool_params(thread, "nobody", "echo", json!({}));
    let error = client.refusal::<McpServerToolCall>(unknown).await?;
    assert_eq!(error.reason(), "unknownHelper");
    assert_eq!(error.data.unwrap().server.as_deref(), Some("nobody"));
    let wrong = tool_params(thread, "helper", "echo", json!([1]));
    assert_eq!(client.refusal::<McpServerToolCall>(wrong).await?.reason(), "badArguments");
    client.unload(thread, false).await?;
    let cold = tool_params(thread, "helper", "echo", json!({}));
    assert_eq!(client.refusal::<McpServerToolCall>(cold).await?.reason(), "notLoaded");
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_cancels_the_call_and_the_helper_stays_usable() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let pid = client.say(thread, "/tool helper pid").await?;
    let turn = client.start_turn(thread, "/tool helper sleep {\"ms\":600000}").await?;
    client
        .next::<skein_protocol::notifications::ItemStarted>(|item| {
            item.turn_id == turn && matches!(item.item.body, ThreadItemBody::McpToolCall(_))
        })
        .await?;
    client.interrupt_and_wait(thread, &turn).await?;
    assert_eq!(client.tool_calls(&turn)?.len(), 1, "the open call is closed");
    assert_eq!(client.say(thread, "/tool helper pid").await?, pid);
    home.finish().await
}

#[tokio::test]
async fn progress_of_a_tool_reaches_the_user() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    client.turn(thread, "/tool helper progress {\"steps\":3}").await?;
    let progress: Vec<String> =
        client.received::<ItemMcpToolCallProgress>()?.into_iter().map(|progress| progress.message).collect();
    assert_eq!(progress, ["step 1", "step 2", "step 3"]);
    home.finish().await
}

#[tokio::test]
async fn a_disconnect_cancels_its_calls_and_they_keep_no_thread_loaded() -> Result<()> {
    let home = Home::start().await?;
    let [mut control, mut owner, mut caller] = home.clients().await?;
    let thread = owner.start_thread_with("/tool helper pid").await?;
    let _waits =
        caller.start_call::<McpServerToolCall>(&tool_params(thread, "helper", "hang", json!({}))).await?;
    caller.quiesce().await?;
    owner.close().await?;
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, [thread], "a live connection waits for its helper");
    drop(caller);
    control.thread_closed(thread).await?;
    home.until_drained(skein_integration_tests::home::PATIENCE).await?;
    home.finish().await
}
