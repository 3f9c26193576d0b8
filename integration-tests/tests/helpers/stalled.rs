//! A helper that accepts requests and never answers: all other work continues.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::{Client, Pending};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::tool_params;
use skein_protocol::extension::LoadedState;
use skein_protocol::helper::McpServerConnectionStatus;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{McpServerToolCall, ModelList, ThreadList};
use skein_protocol::notifications::ItemStarted;
use skein_protocol::server::ModelListParams;
use skein_protocol::thread::ThreadListParams;

use super::statuses;

/// Sends every request that needs no helper over the connection that waits for one, and runs a turn with
/// another thread's helper.
async fn all_else_goes_on(home: &Home, client: &mut Client, thread: ThreadId) -> Result<()> {
    assert!(client.loaded().await?.contains(&thread));
    let state = client.loaded_thread(thread).await?.map(|loaded| loaded.state);
    assert_eq!(state, Some(LoadedState::Running));
    statuses(client, thread).await?;
    client.status().await?;
    client.call::<ModelList>(ModelListParams::default()).await?;
    client.call::<ThreadList>(ThreadListParams::default()).await?;
    client.read_thread(thread).await?;
    client.resume(thread).await?;
    client.quiesce().await?;
    let other = client.start_thread().await?.id;
    assert_eq!(client.say(other, "/tool helper echo {\"text\":\"fine\"}").await?, "fine");
    client.unload(other, false).await?;
    let mut third = home.client().await?;
    let other_thread = third.start_thread_with("/tool helper pid").await?;
    third.unload(other_thread, false).await?;
    Ok(())
}

/// Starts a turn that waits for a helper.
async fn waiting_turn(
    client: &mut Client,
    thread: ThreadId,
    line: &str,
) -> Result<skein_protocol::ids::TurnId> {
    let turn = client.start_turn(thread, line).await?;
    client
        .next::<ItemStarted>(|item| {
            item.turn_id == turn && matches!(item.item.body, ThreadItemBody::McpToolCall(_))
        })
        .await?;
    Ok(turn)
}

#[tokio::test]
async fn a_helper_that_hangs_in_a_call_delays_nobody_else() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = waiting_turn(&mut client, thread, "/tool helper hang").await?;
    all_else_goes_on(&home, &mut client, thread).await?;
    client.interrupt_and_wait(thread, &turn).await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_helper_that_hangs_at_its_start_delays_nobody_else() -> Result<()> {
    let wedged = Helper::with("wedged", &["--hang-at-start"])?.set("startup_timeout_sec", 600);
    let (home, mut control) =
        Home::setup().helper(Helper::named("helper")?).helper(wedged).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = waiting_turn(&mut client, thread, "/tool wedged echo").await?;
    let status =
        statuses(&mut client, thread).await?.into_iter().find(|status| status.name == "wedged").unwrap();
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Starting));
    all_else_goes_on(&home, &mut client, thread).await?;
    client.interrupt_and_wait(thread, &turn).await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_helper_that_stopped_reading_delays_nobody_else() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    waiting_turn(&mut client, thread, "/tool helper deaf").await?;
    // Far more than a pipe holds.
    let large = "x".repeat(300_000);
    let mut waiting: Vec<Pending<McpServerToolCall>> = Vec::new();
    for _ in 0..4 {
        let call = tool_params(thread, "helper", "echo", json!({ "text": large }));
        waiting.push(client.start_call(&call).await?);
    }
    all_else_goes_on(&home, &mut client, thread).await?;
    drop((waiting, client));
    let orphan = control.loaded_thread(thread).await?.map(|loaded| loaded.state);
    assert_eq!(orphan, Some(LoadedState::Running), "a turn continues without subscribers");
    control.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn hanging_calls_of_a_connection_do_not_block_its_interrupts() -> Result<()> {
    let (home, mut client) = Home::setup()
        .helper(Helper::named("helper")?)
        .set("limits.requests_in_flight", 4)
        .start_with_client()
        .await?;
    let thread = client.start_thread().await?.id;
    let turn = client.start_turn(thread, "/hang").await?;
    let mut waiting: Vec<Pending<McpServerToolCall>> = Vec::new();
    for _ in 0..4 {
        waiting.push(client.start_call(&tool_params(thread, "helper", "hang", json!({}))).await?);
    }
    let error = client.refusal::<McpServerToolCall>(tool_params(thread, "helper", "pid", json!({}))).await?;
    assert_eq!((error.code, error.reason()), (skein_protocol::error::OVERLOADED, "requestsInFlight"));
    assert!(error.data.unwrap().retry_after_ms.is_some());
    client.interrupt_and_wait(thread, &turn).await?;
    assert_eq!(client.status().await?.refusals.overloaded, 1);
    drop(waiting);
    home.finish().await
}
