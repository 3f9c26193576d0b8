//! Reads one websocket and hands every message to the router. It stops reading while the client does not take its
//! answers.

use std::sync::Arc;

use axum::Error as AxumError;
use axum::extract::ws::Message;
use futures_util::{Stream, StreamExt};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::CapacityError;

use super::Connection;
use super::outbox::CloseReason;
use crate::router::Router;

/// Reads until the end. Returns why it ended.
pub(super) async fn run<S>(mut stream: S, connection: Arc<Connection>, router: Arc<Router>) -> CloseReason
where
    S: Stream<Item = Result<Message, AxumError>> + Unpin,
{
    loop {
        connection.outbox.room().await;
        if let Some(reason) = connection.outbox.closed() {
            return reason;
        }
        let message = tokio::select! {
            biased;
            message = stream.next() => message,
            () = connection.outbox.until_closed() => continue,
        };
        match message {
            Some(Ok(Message::Text(text))) => {
                router.take(&connection, text.as_str());
            }
            Some(Ok(Message::Binary(_))) => return CloseReason::NotText,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return CloseReason::ClientLeft,
            Some(Err(error)) => return reason_of(error),
        }
    }
}

fn reason_of(error: AxumError) -> CloseReason {
    match error.into_inner().downcast::<WsError>().map(|error| *error) {
        Ok(WsError::Capacity(CapacityError::MessageTooLong { .. })) => CloseReason::TooLarge,
        Ok(WsError::Utf8(_)) => CloseReason::NotUtf8,
        Ok(WsError::Protocol(_)) => CloseReason::ProtocolViolation,
        Ok(_) | Err(_) => CloseReason::ClientLeft,
    }
}
