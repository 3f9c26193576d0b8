//! Reads one websocket and hands over each message. Pauses while the client does not take its answers.

use axum::Error as AxumError;
use axum::extract::ws::Message;
use futures_util::{Stream, StreamExt};
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

use crate::outbox::{CloseReason, Outbox};
use crate::policy;

/// Reads until the end and gives each message to `take`. Returns the reason of the end.
pub(super) async fn run<S>(mut stream: S, outbox: &Outbox, take: impl Fn(&str)) -> CloseReason
where
    S: Stream<Item = Result<Message, AxumError>> + Unpin,
{
    let mut taken = 0;
    loop {
        if taken >= policy::READER_TURN {
            // Messages that are already there never wait: a flood of them would block this thread of the runtime.
            tokio::task::yield_now().await;
            taken = 0;
        }
        outbox.room().await;
        if let Some(reason) = outbox.closed() {
            return reason;
        }
        let message = tokio::select! {
            biased;
            message = stream.next() => message,
            () = outbox.until_closed() => continue,
        };
        taken += policy::READER_LEAST;
        match message {
            Some(Ok(Message::Text(text))) => {
                taken += text.len();
                take(text.as_str());
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
        // A program or a tab that was killed; others reset the connection.
        Ok(WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => CloseReason::ClientLeft,
        Ok(WsError::Protocol(_)) => CloseReason::ProtocolViolation,
        Ok(_) | Err(_) => CloseReason::ClientLeft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_killed_has_left_and_broken_no_rule() {
        let reason = |error| reason_of(AxumError::new(WsError::Protocol(error)));
        assert_eq!(reason(ProtocolError::ResetWithoutClosingHandshake), CloseReason::ClientLeft);
        assert_eq!(reason(ProtocolError::UnmaskedFrameFromClient), CloseReason::ProtocolViolation);
    }
}
