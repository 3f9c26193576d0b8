//! A fault of the server in one turn affects no other turn.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_protocol::notifications::ItemAgentMessageDelta;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_panicking_turn_fails_and_other_turns_continue() -> Result<()> {
    let (home, mut other, streaming) = Home::with_thread().await?;
    let stream = other.start_turn(streaming, "/stream 100000 8 200").await?;
    other.next::<ItemAgentMessageDelta>(|_| true).await?;

    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    let failed = client.turn(thread, "/panic").await?;
    assert_eq!(failed.status, TurnStatus::Failed);
    assert!(failed.error.is_some_and(|error| error.message.contains("broke off")));
    assert_eq!(home.status().await?.panics_total, 1);
    assert_eq!(
        client.turn(thread, "/tool helper pid").await?.status,
        TurnStatus::Completed,
        "the thread continues"
    );

    other.take_all();
    other.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == stream).await?;
    other.interrupt_and_wait(streaming, &stream).await?;
    client.close().await?;
    other.close().await?;
    home.finish_drained().await
}
