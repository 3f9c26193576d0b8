//! Programs beside the server: the control socket, backups of a served home, and restores.

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

/// Longer than the limit of a handshake, with room for a busy machine.
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
    // A stop sends a close frame here, too.
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
async fn the_control_socket_has_the_limits_before_a_handshake() -> Result<()> {
    let home = Home::start().await?;
    let at = home.path().join("control.sock");
    let mut silent = UnixStream::connect(&at).await?;
    let mut endless = UnixStream::connect(&at).await?;
    // The server may close before it has read everything.
    endless.write_all(&[b'x'; 64 << 10]).await.ok();
    let mut rest = Vec::new();
    tokio::time::timeout(BOUND, endless.read_to_end(&mut rest)).await.context("the endless one")?.ok();
    // A browser page cannot reach this socket. A request with an Origin is refused as on the main address.
    let mut page = UnixStream::connect(&at).await?;
    page.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    page.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    tokio::time::timeout(BOUND, silent.read_to_end(&mut rest)).await.context("the silent one")?.ok();
    home.finish().await
}
