//! Connections that may only read.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::requests::search_params;
use skein_protocol::approval::{McpServerElicitationAction as Action, McpServerElicitationRequestResponse};
use skein_protocol::extension::SkeinConnectionLeaveParams;
use skein_protocol::item::McpToolCallStatus;
use skein_protocol::methods::{SkeinConnectionLeave, ThreadList, ThreadSearch};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::thread::ThreadListParams;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn read_observes_and_keeps_no_thread_and_no_helper() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let mut reader = home.client_of("read").await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    client.unsubscribe(thread).await?;
    client.thread_closed(thread).await?;
    let seen = reader.resume(thread).await?;
    assert_eq!(seen.thread.turns.len(), 1);
    assert_eq!(reader.loaded().await?, [], "nothing is loaded for it");

    client.resume(thread).await?;
    reader.resume(thread).await?;
    let turn = client.start_turn(thread, "words of a turn").await?;
    assert_eq!(reader.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(reader.reply_text(&turn)?.as_deref(), Some("words of a turn"));
    home.until_helpers(1).await?;
    client.unsubscribe(thread).await?;
    // The reader observes the thread, so that only the client hears of this second close.
    client.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    assert_eq!(reader.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn no_question_is_put_to_read_and_its_answers_are_dropped() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, "/tool helper destroy").await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    let mut reader = home.client_of("read").await?;
    reader.resume(thread).await?;
    let accept = McpServerElicitationRequestResponse { meta: None, action: Action::Accept, content: None };
    reader.answer_request::<Approval>(&id, &accept).await?;
    reader.refuse_request(&id, "nobody is there").await?;
    // Requests of a connection run in order, so that the answers have arrived.
    reader.status().await?;
    client.quiesce().await?;
    assert_eq!(client.status().await?.turns.running, 1, "the question is still open");
    let decline = McpServerElicitationRequestResponse { action: Action::Decline, ..accept };
    client.answer_request::<Approval>(&id, &decline).await?;
    client.turn_end(&turn).await?;
    let call = client.tool_calls(&turn)?.pop().context("a call")?;
    assert_eq!((call.status, call.result), (McpToolCallStatus::Failed, None));
    reader.turn_end(&turn).await?;
    assert_eq!(reader.questions(), 0);
    home.finish().await
}

#[tokio::test]
async fn the_leave_of_read_disturbs_no_turn() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, "/stream 200 10 100").await?;
    let mut reader = home.client_of("read").await?;
    reader.resume(thread).await?;
    let left = reader.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams {}).await?;
    assert_eq!((left.left, left.loaded), (0, 0));
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn read_lists_reads_and_searches() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("a needle in the hay").await?;
    let mut reader = home.client_of("read").await?;
    let listed = reader.call::<ThreadList>(ThreadListParams::default()).await?.data;
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [thread]);
    assert_eq!(reader.read_thread(thread).await?.turns.len(), 1);
    let found = reader.call::<ThreadSearch>(search_params("needle")).await?.data;
    assert_eq!(found.len(), 1);
    home.finish().await
}
