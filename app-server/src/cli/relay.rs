//! Carries a websocket to the server of the home in another process, message by message. Requests about threads carry the `-c`
//! settings of this start, as over the standard streams.

use std::cell::RefCell;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::bridge::CarriedSettings;
use super::client;

/// Carries messages until both sides have ended.
///
/// # Errors
/// One side refuses the handshake.
pub(super) async fn with_settings(
    visitor: UnixStream,
    link: UnixStream,
    settings: &RefCell<CarriedSettings>,
) -> anyhow::Result<()> {
    let link = client::in_time(client::over(link)).await.context("the server")?;
    let visitor = async { Ok(accept_async_with_config(visitor, Some(client::unlimited())).await?) };
    let visitor = client::in_time(visitor).await.context("the client")?;
    let (mut to_client, mut from_client) = visitor.split();
    let (mut to_server, mut from_server) = link.split();
    // A failed send is the end of that side, which its reader meets, too.
    let inward = async {
        while let Some(Ok(message)) = from_client.next().await {
            to_server.send(carried(message, settings)).await.ok();
        }
        to_server.close().await.ok();
    };
    let outward = async {
        while let Some(Ok(message)) = from_server.next().await {
            to_client.send(message).await.ok();
        }
        to_client.close().await.ok();
    };
    tokio::join!(inward, outward);
    Ok(())
}

fn carried(message: Message, settings: &RefCell<CarriedSettings>) -> Message {
    match message {
        Message::Text(text) => {
            let with_settings = settings.borrow_mut().carried_by(&text);
            Message::Text(with_settings.map_or(text, Utf8Bytes::from))
        }
        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
            message
        }
    }
}
