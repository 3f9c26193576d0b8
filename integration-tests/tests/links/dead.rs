//! Dead links, and links that only look dead.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::http::Socket;
use skein_protocol::extension::{EVENTS_EXTENSION, EventsExtension};
use skein_protocol::methods::{Initialize, SkeinStatus, ThreadResume};
use skein_protocol::notifications::SkeinHeartbeat;
use skein_protocol::server::InitializeCapabilities;
use skein_protocol::table::Method;
use tokio_tungstenite::tungstenite::Message;

/// A server that gives a silent client up after some seconds. The clients of a test on a busy machine may not run for more than one.
fn hasty() -> Setup {
    Home::setup().set("connections.ping", "1s").set("connections.dead_after", "5s")
}

/// Longer than the longest allowed silence.
const LONG: Duration = Duration::from_secs(7);

/// A text frame of a client, masked with zeros.
fn text_frame(text: &str) -> Result<Vec<u8>> {
    let length = u16::try_from(text.len())?;
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    Ok(frame)
}

/// Completes the handshake by hand and sends these messages.
async fn speak(home: &Home, words: &[serde_json::Value]) -> Result<Socket> {
    let mut socket = Socket::upgrade(home.address()).await?;
    let client = json!({ "clientInfo": { "name": "raw", "version": "0" } });
    socket
        .send(&text_frame(
            &json!({ "id": 1, "method": Initialize::INFO.wire, "params": client }).to_string(),
        )?)
        .await?;
    for word in words {
        socket.send(&text_frame(&word.to_string())?).await?;
    }
    Ok(socket)
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_dropped_and_its_thread_unloads() -> Result<()> {
    let home = hasty().start().await?;
    // This client reads while it waits, and so answers pings.
    let mut control = home.client().await?;
    let thread = control.start_thread_with("words").await?;
    let resume = json!({ "id": 2, "method": ThreadResume::INFO.wire, "params": { "threadId": thread } });
    let mut dead = speak(&home, &[resume]).await?;
    control.until_status("two subscribers", |status| status.threads.subscriptions == 2).await?;
    control.unsubscribe(thread).await?;
    control.thread_closed(thread).await?;
    assert_eq!(control.loaded().await?, []);
    let status = control.status().await?;
    assert_eq!((status.connections, status.threads.subscriptions), (1, 0));
    assert_eq!(status.refusals.slow_clients, 0, "dead, not slow");
    // The connection gets pings, and no close frame.
    let received = dead.until_end().await?;
    let pings = received.windows(2).filter(|two| two == b"\x89\x00").count();
    assert!(pings >= 2, "{pings} pings");
    home.finish().await
}

#[tokio::test]
async fn a_trickling_message_keeps_the_connection_alive() -> Result<()> {
    let home = hasty().start().await?;
    let mut slow = speak(&home, &[]).await?;
    let request =
        json!({ "id": 7, "method": SkeinStatus::INFO.wire, "padding": "x".repeat(200) }).to_string();
    let mut pace = tokio::time::interval(Duration::from_millis(300));
    let began = tokio::time::Instant::now();
    for chunk in text_frame(&request)?.chunks(8) {
        pace.tick().await;
        slow.send(chunk).await?;
    }
    assert!(began.elapsed() > LONG);
    slow.until(b"\"id\":7").await.context("the answer to the message")?;
    home.finish().await
}

#[tokio::test]
async fn an_idle_client_that_answers_pings_stays() -> Result<()> {
    let (home, mut idle) = hasty().start_with_client().await?;
    let mut other = Client::ready(home.address()).await?;
    // A third client, silent all the time, serves as the clock.
    let mut silent = Socket::upgrade(home.address()).await?;
    let (ended, idle_end, other_end) =
        tokio::join!(silent.until_end(), idle.listen_for(LONG), other.listen_for(LONG));
    ended?;
    assert_eq!((idle_end?, other_end?), (None, None));
    assert_eq!(idle.status().await?.connections, 2);
    home.finish().await
}

#[tokio::test]
async fn only_a_client_that_opted_in_gets_heartbeats() -> Result<()> {
    let (home, mut plain) = Home::setup().set("connections.heartbeat", "50ms").start_with_client().await?;
    let mut page = Client::connect(home.address()).await?;
    let extensions = json!({ EVENTS_EXTENSION: { "version": 1 } });
    let capabilities = InitializeCapabilities {
        extensions: Some(serde_json::from_value(extensions)?),
        ..InitializeCapabilities::default()
    };
    let hello = page.initialize_with(Some(capabilities)).await?;
    let extension = &hello.skein.context("extensions")?.extensions[EVENTS_EXTENSION];
    let extension: EventsExtension = serde_json::from_value(extension.clone())?;
    assert_eq!(extension, EventsExtension { version: 1, heartbeat_ms: 50 });
    let first = page.next::<SkeinHeartbeat>(|_| true).await?;
    let second = page.next::<SkeinHeartbeat>(|_| true).await?;
    assert!(second.at >= first.at + 25, "{first:?} {second:?}");
    plain.status().await?;
    assert_eq!(plain.received::<SkeinHeartbeat>()?, []);
    home.finish().await
}

#[tokio::test]
async fn an_unsupported_version_of_events_is_not_confirmed() -> Result<()> {
    let home = Home::start().await?;
    for asked in [json!({ "version": 2 }), json!({}), json!(true)] {
        let mut client = Client::connect(home.address()).await?;
        let capabilities = InitializeCapabilities {
            extensions: Some(serde_json::from_value(json!({ EVENTS_EXTENSION: asked }))?),
            ..InitializeCapabilities::default()
        };
        let hello = client.initialize_with(Some(capabilities)).await?;
        assert!(hello.skein.context("extensions")?.extensions.is_empty());
    }
    home.finish().await
}

#[tokio::test]
async fn a_ping_of_a_client_is_answered() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    client.send_message(Message::Ping("there?".into())).await?;
    assert_eq!(client.close().await?, End::Close(None));
    home.finish().await
}

#[tokio::test]
async fn a_socket_without_a_handshake_is_closed_and_delays_nobody() -> Result<()> {
    let home = Home::start().await?;
    let mut silent = Socket::connect(home.address()).await?;
    let mut large = Socket::connect(home.address()).await?;
    large.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000)).as_bytes()).await?;
    assert!(large.until_end().await?.starts_with(b"HTTP/1.1 431 "));
    let mut client = home.client().await?;
    client.status().await?;
    assert_eq!(silent.until_end().await?, b"");
    home.finish().await
}
