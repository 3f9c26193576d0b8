//! Programs beside the server: the control socket, backups of a home that is served, and their way back.

mod backup;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use skein_integration_tests::client::introduction;
use skein_integration_tests::home::Home;
use skein_protocol::envelope;
use skein_protocol::extension::SkeinStatusParams;
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, SkeinStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;

/// Longer than the time for a handshake, by as much as a busy machine may need.
const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_control_socket_speaks_the_same_protocol() -> Result<()> {
    let home = Home::start().await?;
    let stream = UnixStream::connect(home.path().join("control.sock")).await?;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/", stream).await?;
    let hello = envelope::request::<Initialize>(&RequestId::Integer(1), &introduction(None));
    let asked = envelope::request::<SkeinStatus>(&RequestId::Integer(2), &SkeinStatusParams::default());
    for text in [hello, asked] {
        socket.send(Message::text(text)).await?;
        let answer = socket.next().await.context("an answer")??.into_text()?;
        ensure!(answer.contains("\"result\""), "{answer}");
    }
    // A stop says goodbye here, too.
    let stopped = tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                return Some(u16::from(frame.code));
            }
        }
        None
    });
    home.finish().await?;
    assert_eq!(stopped.await?, Some(1001));
    Ok(())
}

#[tokio::test]
async fn the_bounds_before_a_handshake_hold_at_the_control_socket() -> Result<()> {
    let home = Home::start().await?;
    let at = home.path().join("control.sock");
    let mut silent = UnixStream::connect(&at).await?;
    let mut endless = UnixStream::connect(&at).await?;
    // The server may have enough before all of it is written.
    endless.write_all(&[b'x'; 64 << 10]).await.ok();
    let mut rest = Vec::new();
    tokio::time::timeout(BOUND, endless.read_to_end(&mut rest)).await.context("the endless one")?.ok();
    // A page of a browser cannot get here; a program that says it is one is refused as at the door.
    let mut page = UnixStream::connect(&at).await?;
    page.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    page.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    tokio::time::timeout(BOUND, silent.read_to_end(&mut rest)).await.context("the silent one")?.ok();
    home.finish().await
}
