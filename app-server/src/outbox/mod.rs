//! What waits to be written to one connection: bounded in bytes, first in first out, shared by everybody who talks
//! to it. Pushing never waits. For a client that falls behind, pieces of text are merged; one that does not keep up
//! all the same is closed, and nobody else notices.
//!
//! The reply to a request (`reply.rs`) goes into the outbox of the connection that asked. Threads and handlers push,
//! `connection/` takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use skein_base::clock::Clock;
use skein_protocol::ids::{ConnectionId, ThreadId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::queue::{About, Piece, Queue};
use crate::policy;

mod queue;
pub(crate) mod reply;
#[cfg(test)]
mod tests;

pub(crate) use self::queue::TextDelta;

/// One message, shared by all who receive it.
pub(crate) type Frame = Utf8Bytes;

/// How much may wait, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutboxLimits {
    /// Behind what is being written. More than this may wait for [`policy::OUTBOX_PATIENCE`].
    pub(crate) waiting_bytes: usize,
    /// Behind what is being written, however short: a message is only added while less than this waits.
    pub(crate) most_bytes: usize,
    /// Nothing is read from the client while more than this waits.
    pub(crate) pause_bytes: usize,
    /// Text is merged while more than this waits.
    pub(crate) merge_bytes: usize,
}

/// Why the server ends a connection. The code is that of RFC 6455, section 7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client ended it, or its link broke: nothing is left to say.
    ClientLeft,
    /// The client has given no sign of life: nobody is there to hear why.
    Silent,
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
    pub(crate) fn frame(self) -> Option<(u16, &'static str)> {
        match self {
            CloseReason::ClientLeft | CloseReason::Silent => None,
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
pub(crate) enum Next {
    /// Everything that waits, in order: write all of it, then flush once.
    Frames(Vec<Frame>),
    /// The client is asked for a sign of life.
    Ping,
    /// The end. Nothing follows.
    Close(CloseReason),
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue,
    /// Since when more waits than may, and the client takes nothing.
    full_since: Option<Instant>,
    ping: bool,
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
pub(crate) struct Outbox(Arc<Shared>);

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub(crate) fn new(connection: ConnectionId, limits: OutboxLimits) -> Self {
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
    pub(crate) fn connection(&self) -> ConnectionId {
        self.0.connection
    }

    /// Queues a message that stays in order with everything else. A client for whom it is too much is closed with
    /// 1013: one that has taken nothing for as long as more than may wait has waited. A client that reads is never closed for
    /// a large message, or for many at once.
    pub(crate) fn push(&self, frame: Frame) {
        self.put(Piece::Frame(frame, About::Everything));
    }

    /// As [`Outbox::push`], for a message that stays in order only with what else is said of the thread.
    pub(crate) fn push_of(&self, thread: ThreadId, frame: Frame) {
        self.put(Piece::Frame(frame, About::Thread(thread)));
    }

    /// As [`Outbox::push_of`], for a piece of text, which joins the pieces before it when the client is behind.
    pub(crate) fn push_text(&self, delta: Arc<TextDelta>) {
        self.put(Piece::Delta(delta));
    }

    fn put(&self, piece: Piece) {
        let now = Clock.now();
        let limits = self.0.limits;
        let mut waiting = self.lock();
        if waiting.close.is_some() {
            return;
        }
        let before = waiting.queue.bytes();
        if before + piece.bytes() > limits.merge_bytes {
            waiting.queue.merge();
        }
        waiting.queue.add(piece);
        if before > 0 && waiting.queue.bytes() > limits.waiting_bytes {
            waiting.full_since.get_or_insert(now);
        }
        let overdue = waiting.full_since.is_some_and(|since| now >= since + policy::OUTBOX_PATIENCE);
        drop(waiting);
        if overdue || before > limits.most_bytes {
            self.close(CloseReason::SlowClient);
        }
        self.0.filled.notify_one();
    }

    /// Whether more waits than may and the client has taken nothing, for longer than that may be: for those who look when nothing is pushed.
    #[must_use]
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.lock().full_since.is_some_and(|since| now >= since + policy::OUTBOX_PATIENCE)
    }

    /// The client has taken a part of what is being written for it: it reads, however slowly.
    pub(crate) fn took(&self, now: Instant) {
        let mut waiting = self.lock();
        waiting.full_since = waiting.full_since.map(|_| now);
    }

    /// Asks the client for a sign of life.
    pub(crate) fn ping(&self) {
        self.lock().ping = true;
        self.0.filled.notify_one();
    }

    /// Ends the connection. What waits is still written, unless the client is too slow for it or has left.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.0.ended.cancel();
        self.0.filled.notify_one();
        self.0.drained.notify_waiters();
    }

    /// Why the connection ends, once it does.
    #[must_use]
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.lock().close
    }

    /// For the reader: waits until the connection is to end.
    pub(crate) async fn until_closed(&self) {
        self.0.ended.cancelled().await;
    }

    /// Bytes that wait.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().queue.bytes()
    }

    /// For the writer: waits until there is something to write, and takes all of it.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.filled.notified().await;
        }
    }

    /// Waits until the client has taken enough of what waits for it, or the connection is to end.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.0.drained.notified();
            {
                let waiting = self.lock();
                if waiting.queue.bytes() <= self.0.limits.pause_bytes || waiting.close.is_some() {
                    return;
                }
            }
            drained.await;
        }
    }

    fn take(&self) -> Option<Next> {
        let mut waiting = self.lock();
        match waiting.close {
            Some(reason @ (CloseReason::SlowClient | CloseReason::ClientLeft | CloseReason::Silent)) => {
                drop(waiting.queue.take());
                return Some(Next::Close(reason));
            }
            Some(reason) if waiting.queue.is_empty() => return Some(Next::Close(reason)),
            Some(_) | None => {}
        }
        // Before what waits: a client that takes it slowly is asked all the same.
        if std::mem::take(&mut waiting.ping) {
            return Some(Next::Ping);
        }
        if waiting.queue.is_empty() {
            return None;
        }
        waiting.full_since = None;
        let pieces = waiting.queue.take();
        drop(waiting);
        self.0.drained.notify_waiters();
        // Merged text is serialised here, while others may push.
        Some(Next::Frames(pieces.into_iter().map(Piece::into_frame).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
