//! Empties the outbox into the websocket: everything that waits is written, then flushed once.

use axum::Error as AxumError;
use axum::extract::ws::{CloseFrame, Message};
use bytes::Bytes;
use futures_util::{Sink, SinkExt};

use crate::outbox::{CloseReason, Next, Outbox};

/// Writes until the outbox is closed, or the client is gone.
pub(super) async fn run<S>(mut sink: S, outbox: Outbox)
where
    S: Sink<Message, Error = AxumError> + Unpin,
{
    loop {
        match outbox.next().await {
            Next::Frames(frames) => {
                for frame in frames {
                    if sink.feed(Message::Text(frame)).await.is_err() {
                        return outbox.close(CloseReason::ClientLeft);
                    }
                }
                if sink.flush().await.is_err() {
                    return outbox.close(CloseReason::ClientLeft);
                }
            }
            Next::Ping => {
                if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                    return outbox.close(CloseReason::ClientLeft);
                }
            }
            Next::Close(reason) => {
                // A client that is gone needs no close frame, and no answer to its own.
                match reason.frame() {
                    Some((code, text)) => {
                        let frame = CloseFrame { code, reason: text.into() };
                        sink.send(Message::Close(Some(frame))).await.ok();
                    }
                    // The answer to the client's close frame waits in the websocket since that was read.
                    None => drop(sink.flush().await),
                }
                return;
            }
        }
    }
}
