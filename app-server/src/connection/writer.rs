//! Writes the outbox to the websocket: everything available, then one flush.

use axum::Error as AxumError;
use axum::extract::ws::{CloseFrame, Message};
use bytes::Bytes;
use futures_util::{Sink, SinkExt};

use crate::outbox::{CloseReason, Outbox, WriterAction};

/// Writes until the outbox is closed, or the client is gone.
pub(super) async fn run<S>(mut sink: S, outbox: Outbox)
where
    S: Sink<Message, Error = AxumError> + Unpin,
{
    loop {
        match outbox.next().await {
            WriterAction::Frames(frames) => {
                for frame in frames {
                    if sink.feed(Message::Text(frame)).await.is_err() {
                        return outbox.close(CloseReason::ClientLeft);
                    }
                }
                if sink.flush().await.is_err() {
                    return outbox.close(CloseReason::ClientLeft);
                }
            }
            WriterAction::Ping => {
                if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                    return outbox.close(CloseReason::ClientLeft);
                }
            }
            WriterAction::Close(reason) => {
                // A client that is gone needs no close frame, and no answer to its own.
                match reason.frame() {
                    Some((code, text)) => {
                        let frame = CloseFrame { code, reason: text.into() };
                        sink.send(Message::Close(Some(frame))).await.ok();
                    }
                    // The answer to the client's close frame waits in the websocket.
                    None => drop(sink.flush().await),
                }
                return;
            }
        }
    }
}
