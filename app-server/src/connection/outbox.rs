//! What waits to be written to one connection: bounded in bytes, first in first out, shared by everybody who talks
//! to it. Pushing never waits; a client that does not keep up is closed, and nobody else notices.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use skein_protocol::ids::ConnectionId;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::policy;

/// One message, shared by all who receive it.
pub type Frame = Utf8Bytes;

/// How much may wait, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Behind what is being written. More than this may wait for [`policy::OUTBOX_PATIENCE`].
    pub waiting_bytes: usize,
    /// Behind what is being written, however short: a message is only added while less than this waits.
    pub most_bytes: usize,
    /// Nothing is read from the client while more than this waits.
    pub pause_bytes: usize,
}

/// Why the server ends a connection. The code is that of RFC 6455, section 7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client ended it, or its link broke: nothing is left to say.
    ClientLeft,
    /// 1001: the server stops.
    ServerStops,
    /// 1002: not the websocket protocol.
    ProtocolViolation,
    /// 1003: a binary message; the protocol is text.
    NotText,
    /// 1007: not UTF-8.
    NotUtf8,
    /// 1009: a message above the limit.
    TooLarge,
    /// 1011: a fault of ours.
    Fault,
    /// 1013: the client does not take what is sent to it.
    SlowClient,
}

impl CloseReason {
    /// The close code and its text, or `None` where no close frame is sent.
    #[must_use]
    pub fn frame(self) -> Option<(u16, &'static str)> {
        match self {
            CloseReason::ClientLeft => None,
            CloseReason::ServerStops => Some((1001, "the server stops")),
            CloseReason::ProtocolViolation => Some((1002, "not the websocket protocol")),
            CloseReason::NotText => Some((1003, "messages are text frames of JSON")),
            CloseReason::NotUtf8 => Some((1007, "not UTF-8")),
            CloseReason::TooLarge => Some((1009, "the message is above the limit")),
            CloseReason::Fault => Some((1011, "internal error")),
            CloseReason::SlowClient => Some((1013, "too slow: connect again and resume")),
        }
    }
}

/// What the writer is given.
#[derive(Debug)]
pub enum Next {
    /// Everything that waits, in order: write all of it, then flush once.
    Frames(Vec<Frame>),
    /// The end. Nothing follows.
    Close(CloseReason),
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Since when more waits than may.
    full_since: Option<Instant>,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct Shared {
    connection: ConnectionId,
    limits: OutboxLimits,
    waiting: Mutex<Waiting>,
    /// Something waits to be written.
    filled: Notify,
    /// Something was taken away.
    drained: Notify,
    /// Set once the connection is to end.
    ended: CancellationToken,
}

/// A handle on the outbox of one connection.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<Shared>);

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(connection: ConnectionId, limits: OutboxLimits) -> Self {
        Self(Arc::new(Shared {
            connection,
            limits,
            waiting: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            ended: CancellationToken::new(),
        }))
    }

    /// Whose outbox this is.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.0.connection
    }

    /// Queues a message. A client for whom it is too much is closed with 1013: one that has left more than may wait
    /// for longer than it may. A client that reads is never closed for a large message, or for many at once.
    pub fn push(&self, frame: Frame) {
        let now = Clock.now();
        let limits = self.0.limits;
        let mut waiting = self.lock();
        if waiting.close.is_some() {
            return;
        }
        if waiting.bytes > 0 && waiting.bytes + frame.len() > limits.waiting_bytes {
            waiting.full_since.get_or_insert(now);
        }
        let overdue = waiting.full_since.is_some_and(|since| now >= since + policy::OUTBOX_PATIENCE);
        if overdue || waiting.bytes > limits.most_bytes {
            waiting.close = Some(CloseReason::SlowClient);
            self.0.ended.cancel();
        } else {
            waiting.bytes += frame.len();
            waiting.frames.push_back(frame);
        }
        drop(waiting);
        self.0.filled.notify_one();
    }

    /// Ends the connection. What waits is still written, unless the client is too slow for it or has left.
    pub fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.0.ended.cancel();
        self.0.filled.notify_one();
        self.0.drained.notify_waiters();
    }

    /// Why the connection ends, once it does.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.lock().close
    }

    /// For the reader: waits until the connection is to end.
    pub async fn until_closed(&self) {
        self.0.ended.cancelled().await;
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// For the writer: waits until there is something to write, and takes all of it.
    pub async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.filled.notified().await;
        }
    }

    /// Waits until the client has taken enough of what waits for it, or the connection is to end.
    pub async fn room(&self) {
        loop {
            let drained = self.0.drained.notified();
            {
                let waiting = self.lock();
                if waiting.bytes <= self.0.limits.pause_bytes || waiting.close.is_some() {
                    return;
                }
            }
            drained.await;
        }
    }

    fn take(&self) -> Option<Next> {
        let mut waiting = self.lock();
        match waiting.close {
            Some(reason @ (CloseReason::SlowClient | CloseReason::ClientLeft)) => {
                waiting.frames.clear();
                waiting.bytes = 0;
                return Some(Next::Close(reason));
            }
            Some(reason) if waiting.frames.is_empty() => return Some(Next::Close(reason)),
            Some(_) | None => {}
        }
        if waiting.frames.is_empty() {
            return None;
        }
        waiting.bytes = 0;
        waiting.full_since = None;
        let frames = waiting.frames.drain(..).collect();
        drop(waiting);
        self.0.drained.notify_waiters();
        Some(Next::Frames(frames))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        let limits = OutboxLimits { waiting_bytes: 10, most_bytes: 100, pause_bytes: 5 };
        Outbox::new(ConnectionId(1), limits)
    }

    fn taken(next: Next) -> Vec<String> {
        match next {
            Next::Frames(frames) => frames.iter().map(|f| f.as_str().to_owned()).collect(),
            Next::Close(reason) => panic!("closed: {reason:?}"),
        }
    }

    #[tokio::test]
    async fn everything_that_waits_is_taken_in_order() {
        let outbox = outbox();
        outbox.push("one".into());
        outbox.push("two".into());
        assert_eq!(taken(outbox.next().await), ["one", "two"]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_keep_up_is_closed_and_gets_nothing_more() {
        let outbox = outbox();
        outbox.push("12345678".into());
        outbox.push("123".into());
        tokio::time::advance(policy::OUTBOX_PATIENCE).await;
        assert_eq!(outbox.closed(), None, "nothing more came");
        outbox.push("4".into());
        assert!(matches!(outbox.next().await, Next::Close(CloseReason::SlowClient)));
        outbox.push("late".into());
        assert!(matches!(outbox.next().await, Next::Close(CloseReason::SlowClient)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_what_waits_begins_anew() {
        let outbox = outbox();
        for _ in 0..3 {
            outbox.push("12345678".into());
            outbox.push("123".into());
            assert_eq!(taken(outbox.next().await).len(), 2);
            tokio::time::advance(policy::OUTBOX_PATIENCE).await;
        }
        assert_eq!(outbox.closed(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn large_messages_may_wait_but_not_without_end() {
        let outbox = outbox();
        outbox.push("x".repeat(60).into());
        outbox.push("x".repeat(60).into());
        assert_eq!(outbox.closed(), None);
        outbox.push("x".into());
        assert_eq!(outbox.closed(), Some(CloseReason::SlowClient));
    }

    #[tokio::test]
    async fn what_waits_is_written_before_an_orderly_end() {
        let outbox = outbox();
        outbox.push("last".into());
        outbox.close(CloseReason::ServerStops);
        outbox.close(CloseReason::Fault);
        assert_eq!(taken(outbox.next().await), ["last"]);
        assert!(matches!(outbox.next().await, Next::Close(CloseReason::ServerStops)));
    }

    #[tokio::test(start_paused = true)]
    async fn reading_goes_on_when_the_client_has_taken_its_answers() {
        let outbox = outbox();
        outbox.push("12345678".into());
        let reader = outbox.clone();
        let waits = async move { reader.room().await };
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(taken(outbox.next().await), ["12345678"]);
        waits.await;
    }
}
