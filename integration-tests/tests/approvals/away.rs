//! Decisions and lost connections: no client, an interrupt, a killed server.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::approval::McpServerElicitationAction as Action;
use skein_protocol::item::McpToolCallStatus;
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
async fn an_unmade_decision_waits_without_a_process_and_is_made_later() -> Result<()> {
    let (home, mut control) = Home::setup()
        .helper(Helper::named("helper")?)
        .set("orphans.pending_grace", "300ms")
        .start_with_client()
        .await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = client.helper_question().await?;
    drop(client);
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    let read = control.read_thread(thread).await?;
    assert_eq!(read.status, waits());
    assert_eq!(read.turns.last().map(|turn| turn.status), Some(TurnStatus::InProgress));
    let mut back = home.client().await?;
    back.resume(thread).await?;
    let (again, _) = back.helper_question().await?;
    assert_eq!(again, id, "the same question");
    decide(&mut back, &again, Action::Accept).await?;
    back.turn_end(&turn).await?;
    assert_eq!(back.reply_text(&turn)?.as_deref(), Some("done 1"));
    home.finish().await
}

#[tokio::test]
async fn a_call_that_waits_at_a_kill_of_the_server_is_made_once_after_the_answer() -> Result<()> {
    for (action, reply) in [(Action::Accept, "done 1"), (Action::Decline, "the user declined")] {
        let (mut home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
        let (id, before) = clients[0].helper_question().await?;
        home.restart_after_kill().await?;
        let mut client = home.client().await?;
        let resumed = client.resume(thread).await?.thread;
        assert_eq!(resumed.status, waits());
        let shown = resumed.turns.last().expect("the turn");
        assert_eq!((&shown.id, shown.status), (&turn, TurnStatus::InProgress));
        let (again, params) = client.helper_question().await?;
        assert_eq!((&again, serde_json::to_value(&params)?), (&id, serde_json::to_value(&before)?));
        decide(&mut client, &again, action).await?;
        client.turn_end(&turn).await?;
        let text = client.reply_text(&turn)?.unwrap_or_default();
        assert!(text.contains(reply), "{action:?}: {text}");
        assert_eq!(seen(&mut client, thread).await?, if reply == "done 1" { "seen 1" } else { "seen 0" });
        drop(clients);
        home.finish().await?;
    }
    Ok(())
}
