//! Decisions and lost connections: no client, an interrupt, a killed server.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::approval::McpServerElicitationAction as Action;
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::turn::TurnStatus;

use super::{DESTROY, decide, seen, waits};

#[tokio::test]
async fn a_client_that_leaves_and_comes_back_is_asked_again() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let mut control = home.client().await?;
    let mut client = clients.remove(0);
    let (id, _) = client.helper_question().await?;
    drop(client);
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    let mut back = home.client().await?;
    let response = back.resume(thread).await?;
    assert_eq!(response.thread.status, waits());
    let (again, _) = back.helper_question().await?;
    assert_eq!(again, id, "the same question");
    decide(&mut back, &again, Action::Accept).await?;
    back.turn_end(&turn).await?;
    assert_eq!(back.reply_text(&turn)?.as_deref(), Some("done 1"));
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_ends_the_question() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    client.interrupt(thread, &turn).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    assert_eq!(client.tool_calls(&turn)?[0].status, McpToolCallStatus::Failed);
    // Too late.
    decide(client, &id, Action::Accept).await?;
    client.quiesce().await?;
    assert_eq!(seen(client, thread).await?, "seen 0");
    home.finish().await
}

#[tokio::test]
async fn an_unmade_decision_is_given_up_after_its_grace() -> Result<()> {
    let (home, mut control) = Home::setup()
        .helper(Helper::named("helper")?)
        .set("orphans.pending_grace", "300ms")
        .start_with_client()
        .await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    client.start_turn(thread, DESTROY).await?;
    client.helper_question().await?;
    drop(client);
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    let turns = control.read_thread(thread).await?.turns;
    assert_eq!(turns.last().map(|turn| turn.status), Some(TurnStatus::Interrupted));
    home.finish().await
}

#[tokio::test]
async fn a_call_that_waits_at_a_kill_of_the_server_is_never_made() -> Result<()> {
    let (mut home, mut clients, thread, _) = Home::with_turn(1, DESTROY).await?;
    let (old, _) = clients[0].helper_question().await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?.thread;
    let turn = resumed.turns.last().expect("the turn");
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let call = turn.items.iter().find_map(|item| {
        let ThreadItemBody::McpToolCall(call) = &item.body else { return None };
        Some(call.status)
    });
    assert_eq!(call, Some(McpToolCallStatus::Failed));
    let turn = client.start_turn(thread, DESTROY).await?;
    let (new, _) = client.helper_question().await?;
    // The question from before the kill.
    decide(&mut client, &old, Action::Accept).await?;
    client.quiesce().await?;
    assert_eq!(seen(&mut client, thread).await?, "seen 0");
    decide(&mut client, &new, Action::Accept).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("done 1"));
    drop(clients);
    home.finish().await
}
