//! Clients that read slower than a thread streams.

use anyhow::{Context, Result, bail};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::{ItemAgentMessageDelta, TurnCompleted};

/// The text of a turn's deltas, and their number.
fn streamed(client: &Client, turn: &TurnId) -> Result<(String, usize)> {
    let deltas = client.received::<ItemAgentMessageDelta>()?;
    let texts: Vec<String> =
        deltas.into_iter().filter(|delta| delta.turn_id == *turn).map(|delta| delta.delta).collect();
    Ok((texts.concat(), texts.len()))
}

#[tokio::test]
async fn a_slow_reader_gets_the_whole_text_in_fewer_pieces() -> Result<()> {
    let (home, mut reader) = Home::setup().set("limits.outbox_bytes", 512 * 1024).start_with_client().await?;
    let thread = reader.start_thread_with("words").await?;
    let mut slow = Client::narrow(home.address()).await?;
    slow.resume(thread).await?;
    // About 13 MB of frames, far more than outbox and kernel hold, with a third of a MB of letters.
    let turn = reader.start_turn(thread, "/stream 60000 4 20000").await?;
    reader.turn_end(&turn).await?;
    // The slow client begins to read only now, after the whole stream.
    slow.next::<TurnCompleted>(|end| end.turn.id == turn).await?;
    let reply = reader.reply_text(&turn)?.context("the whole answer")?;
    let (text, pieces) = streamed(&slow, &turn)?;
    assert!(text == reply, "{} of {} letters", text.len(), reply.len());
    assert!(pieces < 50_000, "{pieces} pieces");
    assert_eq!(slow.reply_text(&turn)?, Some(reply));
    assert_eq!(reader.status().await?.refusals.slow_clients, 0);
    home.finish().await
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_during_the_stream_and_others_get_everything() -> Result<()> {
    let (home, mut reader) = Home::setup().set("limits.outbox_bytes", 64 * 1024).start_with_client().await?;
    let mut control = home.client().await?;
    let thread = reader.start_thread_with("words").await?;
    let mut mute = Client::narrow(home.address()).await?;
    mute.resume(thread).await?;
    // 100 MB in 200 s. The text until the mute client is closed has to fit into one message.
    let turn = reader.start_turn(thread, "/stream 100000 1000 500").await?;
    let closed =
        control.until_status("the mute client is closed", |status| status.refusals.slow_clients == 1);
    tokio::select! {
        biased;
        closed = closed => drop(closed?),
        end = reader.turn_end(&turn) => bail!("all of the stream waited, to its end: {end:?}"),
    }
    reader.interrupt_and_wait(thread, &turn).await?;
    let reply = reader.reply_text(&turn)?.context("the answer so far")?;
    let (text, _) = streamed(&reader, &turn)?;
    assert!(text == reply, "{} of {} letters", text.len(), reply.len());
    let status = reader.status().await?;
    assert_eq!((status.connections, status.threads.subscriptions), (2, 1));
    assert!(status.outbox_bytes < 64 << 10, "{} bytes wait", status.outbox_bytes);
    home.finish().await
}
