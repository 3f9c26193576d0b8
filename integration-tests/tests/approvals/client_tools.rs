//! Tools of the client: Skein asks the client for their results, and the thread keeps the tools.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_protocol::approval::{DynamicToolCallParams, DynamicToolCallResponse};
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::item::{
    DynamicToolCallItem, DynamicToolCallOutputContentItem, DynamicToolCallStatus, ThreadItemBody,
};
use skein_protocol::methods::ThreadStart;
use skein_protocol::notifications::{ItemCompleted, ItemStarted};
use skein_protocol::server_requests::ItemToolCall;
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::TurnStatus;

fn function(name: &str) -> Value {
    json!({ "type": "function", "name": name, "description": "does it", "inputSchema": { "type": "object" } })
}

fn params(tools: Value) -> Result<ThreadStartParams> {
    Ok(ThreadStartParams { dynamic_tools: serde_json::from_value(tools)?, ..ThreadStartParams::default() })
}

/// A thread with the tool `lookup`, and `look` in the namespace `app`.
async fn start(client: &mut Client) -> Result<ThreadId> {
    let namespace =
        json!({ "type": "namespace", "name": "app", "description": "", "tools": [function("look")] });
    let thread = client.call::<ThreadStart>(params(json!([function("lookup"), namespace]))?).await?.thread.id;
    client.turn(thread, "words").await?;
    Ok(thread)
}

async fn called(client: &mut Client) -> Result<(RequestId, DynamicToolCallParams)> {
    client.next_request::<ItemToolCall>().await
}

fn response(text: &str, success: bool) -> DynamicToolCallResponse {
    let content_items = vec![DynamicToolCallOutputContentItem::InputText { text: text.to_owned() }];
    DynamicToolCallResponse { content_items, success }
}

async fn answer(client: &mut Client, id: &RequestId, response: &DynamicToolCallResponse) -> Result<()> {
    client.answer_request::<ItemToolCall>(id, response).await
}

/// The turn's only call.
/// Gets the call with this id once more, and carries it out.
async fn carries_out_again(client: &mut Client, turn: &TurnId, id: &RequestId) -> Result<()> {
    let (again, _) = called(client).await?;
    assert_eq!(again, *id);
    answer(client, &again, &response("back", true)).await?;
    client.turn_end(turn).await?;
    assert_eq!(client.reply_text(turn)?.as_deref(), Some("back"));
    Ok(())
}

fn call(client: &Client, turn: &TurnId) -> Result<DynamicToolCallItem> {
    let done = client.received::<ItemCompleted>()?.into_iter().filter(|item| item.turn_id == *turn);
    let mut calls = done.filter_map(|item| {
        let ThreadItemBody::DynamicToolCall(call) = item.item.body else { return None };
        Some(call)
    });
    calls.next().context("a complete call")
}

#[tokio::test]
async fn the_client_carries_out_the_calls_of_its_tools() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = start(&mut client).await?;
    let turn = client.start_turn(thread, "/call lookup {\"q\":\"x\"}\n/call app__look").await?;
    for _ in 0..2 {
        let (id, params) = called(&mut client).await?;
        assert_eq!((params.thread_id, &params.turn_id), (thread, &turn));
        let known = client.received::<ItemStarted>()?;
        assert!(
            known.iter().any(|item| *item.item.id() == params.call_id),
            "the client has the item of the call"
        );
        let expected = match params.namespace.as_deref() {
            None => ("lookup", json!({ "q": "x" })),
            Some(namespace) => {
                assert_eq!(namespace, "app");
                ("look", json!({}))
            }
        };
        assert_eq!((params.tool.as_str(), &params.arguments), (expected.0, &expected.1));
        answer(&mut client, &id, &response(&format!("from {}", params.tool), true)).await?;
    }
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(
        client.reply_text(&turn)?.as_deref(),
        Some("from lookup\nfrom look"),
        "in the order of the calls"
    );
    let call = call(&client, &turn)?;
    assert_eq!((call.status, call.success), (DynamicToolCallStatus::Completed, Some(true)));
    assert_eq!(call.content_items, Some(response(&format!("from {}", call.tool), true).content_items));
    home.finish().await
}

#[tokio::test]
async fn a_failed_tool_fails_its_call_and_not_the_turn() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = start(&mut client).await?;
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut client).await?;
    answer(&mut client, &id, &response("no such word", false)).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("no such word"));
    assert_eq!(call(&client, &turn)?.status, DynamicToolCallStatus::Failed);
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut client).await?;
    client.refuse_request(&id, "the tool is gone").await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let call = call(&client, &turn)?;
    assert_eq!((call.status, call.success), (DynamicToolCallStatus::Failed, Some(false)));
    assert!(client.reply_text(&turn)?.is_some_and(|reply| reply.contains("the tool is gone")));
    home.finish().await
}

#[tokio::test]
async fn a_client_without_the_tool_leaves_the_call_to_another_client() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = start(&mut client).await?;
    client.unload(thread, true).await?;
    client.resume(thread).await?;
    let mut other = home.client().await?;
    other.resume(thread).await?;
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut other).await?;
    client.quiesce().await?;
    assert!(client.questions() == 0, "only one client is asked at a time");
    other.refuse_request(&id, "no such method").await?;
    let (same, _) = called(&mut client).await?;
    assert_eq!(same, id);
    answer(&mut client, &id, &response("42", true)).await?;
    other.resolved(&id).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("42"));
    home.finish().await
}

#[tokio::test]
async fn the_tools_stay_with_the_thread_over_unloads_and_kills() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = start(&mut client).await?;
    client.unload(thread, true).await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut client).await?;
    answer(&mut client, &id, &response("still", true)).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("still"));
    home.finish().await
}

#[tokio::test]
async fn a_call_waits_for_its_client_and_is_sent_again_after_a_reconnect() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = start(&mut client).await?;
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut client).await?;
    drop(client);
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    let mut back = home.client().await?;
    back.resume(thread).await?;
    carries_out_again(&mut back, &turn, &id).await?;
    home.finish().await
}

#[tokio::test]
async fn a_call_whose_client_leaves_waits_on_disk_also_over_a_kill() -> Result<()> {
    let (mut home, mut control) =
        Home::setup().set("orphans.pending_grace", "300ms").start_with_client().await?;
    let mut client = home.client().await?;
    let thread = start(&mut client).await?;
    let turn = client.start_turn(thread, "/call lookup").await?;
    let (id, _) = called(&mut client).await?;
    drop(client);
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    home.restart_after_kill().await?;
    let mut back = home.client().await?;
    let read = back.read_thread(thread).await?;
    assert_eq!(read.turns.last().context("a turn")?.status, TurnStatus::InProgress);
    back.resume(thread).await?;
    carries_out_again(&mut back, &turn, &id).await?;
    home.finish().await
}

#[tokio::test]
async fn tools_with_equal_names_are_refused() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let error = client.refusal::<ThreadStart>(params(json!([function("a"), function("a")]))?).await?;
    assert_eq!(error.reason(), "badTools");
    assert!(client.loaded().await?.is_empty());
    home.finish().await
}
