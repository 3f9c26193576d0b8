//! A question outlives its grace and its server.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestResponse};
use skein_protocol::ids::RequestId;
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::ItemCompleted;
use skein_protocol::server_requests::{
    ItemToolRequestUserInput as Question, McpServerElicitationRequest as Approval,
};
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_question_without_clients_waits_on_disk_after_its_grace_and_over_a_stop() -> Result<()> {
    let (mut home, mut control) =
        Home::setup().set("orphans.pending_grace", "300ms").start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, "/ask Anybody?").await?;
    let (id, _) = client.next_request::<Question>().await?;
    drop(client);
    control.thread_closed(thread).await?;
    home.restart().await?;
    let mut client = home.client().await?;
    let read = client.read_thread(thread).await?;
    assert_eq!(read.turns.last().map(|turn| turn.status), Some(TurnStatus::InProgress));
    client.resume(thread).await?;
    assert_eq!(client.answer_next("somebody").await?, id);
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("somebody"));
    home.finish().await
}

#[tokio::test]
async fn ids_of_questions_do_not_repeat_after_restarts() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, "/ask One?").await?;
    let before = client.answer_next("one").await?;
    client.turn_end(&turn).await?;
    home.restart().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    let turn = client.start_turn(thread, "/ask Two?").await?;
    let after = client.answer_next("two").await?;
    client.turn_end(&turn).await?;
    let (RequestId::Integer(before), RequestId::Integer(after)) = (before, after) else {
        panic!("ids are numbers")
    };
    assert!(after > before, "{after} {before}");
    home.finish().await
}

#[tokio::test]
async fn a_call_under_way_at_a_stop_ends_and_the_next_server_goes_on_behind_its_result() -> Result<()> {
    let setup = Home::setup()
        .set("shutdown.drain", "30s")
        .set("shutdown.limit", "40s")
        .helper(Helper::named("helper")?);
    let (mut home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let both = "/tool helper destroy\n/tool helper sleep {\"ms\":1500}";
    let turn = client.start_turn(thread, both).await?;
    let (id, _) = client.next_request::<Approval>().await?;
    let (action, content) = (McpServerElicitationAction::Accept, None);
    let accept = McpServerElicitationRequestResponse { meta: None, action, content };
    client.answer_request::<Approval>(&id, &accept).await?;
    let is_call = |item: &ThreadItemBody| matches!(item, ThreadItemBody::McpToolCall(_));
    client.next::<ItemCompleted>(|done| is_call(&done.item.body)).await?;
    // The other call sleeps.
    home.restart().await?;
    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?.thread.turns;
    let turn_now = resumed.last().context("a turn")?;
    assert_eq!(turn_now.id, turn);
    if turn_now.status == TurnStatus::InProgress {
        client.turn_end(&turn).await?;
    }
    let turns = client.read_thread(thread).await?.turns;
    let ended = turns.last().context("a turn")?;
    assert_eq!(ended.status, TurnStatus::Completed, "{ended:?}");
    let calls = ended.items.iter().filter_map(|item| {
        let ThreadItemBody::McpToolCall(call) = &item.body else { return None };
        Some((call.tool.as_str(), call.status))
    });
    let calls: Vec<_> = calls.collect();
    let done = McpToolCallStatus::Completed;
    assert_eq!(calls, [("destroy", done), ("sleep", done)], "no result is lost");
    drop(client);
    home.finish_drained().await
}
