//! A question outlives its grace and its server.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_protocol::ids::RequestId;
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::turn::TurnStatus;

use super::answer_next;

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
    assert_eq!(answer_next(&mut client, "somebody").await?, id);
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("somebody"));
    home.finish().await
}

#[tokio::test]
async fn ids_of_questions_do_not_repeat_after_restarts() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, "/ask One?").await?;
    let before = answer_next(&mut client, "one").await?;
    client.turn_end(&turn).await?;
    home.restart().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    let turn = client.start_turn(thread, "/ask Two?").await?;
    let after = answer_next(&mut client, "two").await?;
    client.turn_end(&turn).await?;
    let (RequestId::Integer(before), RequestId::Integer(after)) = (before, after) else {
        panic!("ids are numbers")
    };
    assert!(after > before, "{after} {before}");
    home.finish().await
}
