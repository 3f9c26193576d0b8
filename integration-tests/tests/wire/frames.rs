//! Below the messages: frames of the websocket protocol, and clients that do not read.

use std::time::Duration;

use anyhow::{Context, Result};
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::Home;
use skein_integration_tests::http::Socket;
use skein_protocol::extension::SkeinStatusResponse;
use skein_protocol::turn::TurnStatus;
use tokio_tungstenite::tungstenite::Message;

/// The head of a masked frame: its first byte, and its declared length.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0, 0]);
    frame
}

#[tokio::test]
async fn a_binary_frame_is_not_a_message() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    client.send_message(Message::binary(vec![1, 2, 3])).await?;
    assert_eq!(client.until_end().await?, End::Close(Some(1003)));
    home.finish().await
}

#[tokio::test]
async fn a_message_with_too_large_a_declared_length_is_refused_at_once() -> Result<()> {
    let home = Home::start().await?;
    for length in [16 * 1024 * 1024 + 1, 1 << 40, 1 << 62] {
        let mut socket = Socket::upgrade(home.address()).await?;
        socket.send(&head(0x81, length)).await?;
        assert_eq!(socket.close_code().await?, Some(1009), "{length} bytes");
    }
    let resident = skein_integration_tests::process::resident(home.pid()).context("memory")?;
    assert!(resident < 100_000_000, "{resident} bytes");
    home.finish().await
}

#[tokio::test]
async fn a_client_that_sends_the_whole_of_too_large_a_message_gets_the_reason_and_no_reset() -> Result<()> {
    // Small, as the server reads on for a second only.
    let home = Home::setup().set("limits.message_bytes", 64 << 10).start().await?;
    let part = vec![b'x'; 64 << 10];
    let mut socket = Socket::upgrade(home.address()).await?;
    socket.send(&head(0x81, 4 << 20)).await?;
    for _ in 0..64 {
        socket.send(&part).await.context("a reset")?;
    }
    assert_eq!(socket.close_code().await?, Some(1009));
    home.finish().await
}

#[tokio::test]
async fn a_protocol_violation_is_named() -> Result<()> {
    let home = Home::start().await?;
    // A reserved bit; an unknown opcode; an unmasked frame; text that is not UTF-8.
    let cases: [(&[u8], u16); 4] = [
        (&[0xC1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x01, b'x'], 1002),
        (&[0x81, 0x82, 0, 0, 0, 0, 0xFF, 0xFE], 1007),
    ];
    for (frame, code) in cases {
        let mut socket = Socket::upgrade(home.address()).await?;
        socket.send(frame).await?;
        assert_eq!(socket.close_code().await?, Some(code), "{frame:02x?}");
    }
    home.finish().await
}

#[tokio::test]
async fn a_large_message_within_the_limit_is_taken() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let text = "x".repeat(4 * 1024 * 1024);
    let turn = client.turn(thread, &text).await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_delays_nobody() -> Result<()> {
    let (home, mut reader) = Home::with_client().await?;
    let thread = reader.start_thread_with("words").await?;
    let mut mute = Client::narrow(home.address()).await?;
    mute.resume(thread).await?;
    // More than the kernel and the outbox hold, for longer than the allowed wait.
    let turn = reader.turn(thread, "/stream 450 20000 200").await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    let is_closed = |status: &SkeinStatusResponse| {
        let (connections, slow) = (status.connections, status.refusals.slow_clients);
        (connections, slow, status.threads.subscriptions) == (1, 1, 1)
    };
    reader.until_status("the mute client is closed as slow", is_closed).await?;
    home.finish().await
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_one_by_one() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let mut pending = Vec::new();
    for _ in 0..500 {
        pending
            .push(client.start_call::<skein_protocol::methods::ThreadLoadedList>(&Default::default()).await?);
    }
    for pending in pending {
        client.answer(pending).await??;
    }
    assert_eq!(client.status().await?.refusals.overloaded, 0);
    home.finish().await
}

#[tokio::test]
async fn a_close_frame_is_answered() -> Result<()> {
    let home = Home::start().await?;
    let client = home.client().await?;
    let ended = tokio::time::timeout(Duration::from_secs(2), client.close()).await;
    assert!(matches!(ended.context("no answer to the close frame")??, End::Close(_)));
    let mut other: Client = home.client().await?;
    other.until_status("one connection", |status| status.connections == 1).await?;
    home.finish().await
}
