//! The messages waiting for one connection: bounded in bytes, first in first out. Pushing never waits. For a slow
//! client, text deltas are merged. A client that stays behind is closed without effect on others.
//!
//! The reply to a request (`reply.rs`) goes into the outbox of its connection. Threads and handlers push,
//! `connection/` takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use skein_base::clock::Clock;
use skein_config::Limits;
use skein_protocol::ids::{ConnectionId, ThreadId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::queue::{FrameOrder, Queue, QueuedFrame};
use crate::policy;

mod late;
mod queue;
pub(crate) mod reply;
#[cfg(test)]
mod tests;

pub(crate) use self::late::LateWakes;
pub(crate) use self::queue::TextDelta;

/// One message, shared by all receivers.
pub(crate) type Frame = Utf8Bytes;

/// The bounds of an outbox, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutboxLimits {
    /// Behind the bytes being written. More may wait only as long as the outbox has patience.
    pub(crate) waiting_bytes: usize,
    /// Behind the bytes being written, at any time: a message is added only below this.
    pub(crate) most_bytes: usize,
    /// Above this the client's messages are not read.
    pub(crate) pause_bytes: usize,
    /// Above this text is merged.
    pub(crate) merge_bytes: usize,
}

impl OutboxLimits {
    /// The bounds by these settings.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            waiting_bytes: limits.outbox_bytes,
            // The largest user message comes back as an item's start and end, beside an answer.
            most_bytes: limits.outbox_bytes + 2 * limits.message_bytes + limits.answer_bytes,
            pause_bytes: limits.outbox_bytes / 2,
            merge_bytes: limits.outbox_bytes / policy::OUTBOX_MERGE_PART,
        }
    }
}

/// Why the server ends a connection. The code is that of RFC 6455, section 7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client ended it, or its link broke.
    ClientLeft,
    /// The client shows no sign of life.
    Silent,
    /// 1001: the server stops.
    ServerStops,
    /// 1002: not the websocket protocol.
    ProtocolViolation,
    /// 1003: a binary message; the protocol is text.
    NotText,
    /// 1007: not UTF-8.
    NotUtf8,
    /// 1008: the credential was revoked.
    Revoked,
    /// 1008: the credential has expired.
    Expired,
    /// 1008: the page's origin is no longer in the settings.
    OriginRemoved,
    /// 1008: the settings want a credential now, and the connection has none.
    TokenNeeded,
    /// 1008: the settings ask for the user at the other end now, and this one was not asked.
    UserUnasked,
    /// 1009: a message above the limit.
    TooLarge,
    /// 1011: a bug of the server.
    Fault,
    /// 1013: the client does not take its messages.
    SlowClient,
    /// 1013: other servers may have the threads of this one.
    LostPlace,
    /// 1013: the link to the server that has a thread of the client has ended.
    OwnerLeft,
}

impl CloseReason {
    /// The close code and its text; `None` without a close frame.
    pub(crate) fn frame(self) -> Option<(u16, &'static str)> {
        match self {
            CloseReason::ClientLeft | CloseReason::Silent => None,
            CloseReason::ServerStops => Some((1001, "the server stops")),
            CloseReason::ProtocolViolation => Some((1002, "not the websocket protocol")),
            CloseReason::NotText => Some((1003, "messages are text frames of JSON")),
            CloseReason::NotUtf8 => Some((1007, "not UTF-8")),
            CloseReason::Revoked => Some((1008, "revoked")),
            CloseReason::Expired => Some((1008, "expired")),
            CloseReason::OriginRemoved => Some((1008, "this origin is no longer allowed")),
            CloseReason::TokenNeeded => Some((1008, "a token is needed now")),
            CloseReason::UserUnasked => Some((1008, "auth.local has changed: connect again")),
            CloseReason::TooLarge => Some((1009, "the message is above the limit")),
            CloseReason::Fault => Some((1011, "internal error")),
            CloseReason::SlowClient => Some((1013, "too slow: connect again and resume")),
            CloseReason::LostPlace => Some((1013, "the database does not answer: connect again and resume")),
            CloseReason::OwnerLeft => Some((1013, "a thread changes its server: connect again and resume")),
        }
    }

    /// Whether the server closes the connection because of its client, which may still be sending.
    pub(crate) fn is_refusal(self) -> bool {
        match self {
            CloseReason::ClientLeft
            | CloseReason::Silent
            | CloseReason::ServerStops
            | CloseReason::Fault
            | CloseReason::LostPlace
            | CloseReason::OwnerLeft => false,
            CloseReason::ProtocolViolation
            | CloseReason::NotText
            | CloseReason::NotUtf8
            | CloseReason::Revoked
            | CloseReason::Expired
            | CloseReason::OriginRemoved
            | CloseReason::TokenNeeded
            | CloseReason::UserUnasked
            | CloseReason::TooLarge
            | CloseReason::SlowClient => true,
        }
    }
}

/// The writer's next action.
#[derive(Debug)]
pub(crate) enum WriterAction {
    /// Write all of them in order, then flush once.
    Frames(Vec<Frame>),
    /// Send a ping.
    Ping,
    /// Close. Nothing follows.
    Close(CloseReason),
}

#[derive(Debug, Default)]
struct OutboxState {
    queue: Queue,
    /// Since when the queue is too large and the client takes nothing.
    full_since: Option<Instant>,
    ping: bool,
    close: Option<CloseReason>,
}

#[derive(Debug)]
struct OutboxShared {
    connection: ConnectionId,
    limits: OutboxLimits,
    /// How long more than its bound may wait while the client takes nothing.
    patience: Duration,
    waiting: Mutex<OutboxState>,
    /// Messages are available.
    filled: Notify,
    /// Messages were taken.
    drained: Notify,
    /// Cancelled once the connection is to end.
    ended: CancellationToken,
    /// The number of requests that end with the connection.
    requests: AtomicUsize,
}

/// A handle on the outbox of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Outbox(Arc<OutboxShared>);

/// A request that ends with its connection.
#[derive(Debug)]
#[must_use = "the request counts only as long as this lives"]
pub(crate) struct OpenRequest(Outbox);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Outbox {
    pub(crate) fn new(connection: ConnectionId, limits: OutboxLimits) -> Self {
        Self::patient(connection, limits, policy::OUTBOX_PATIENCE)
    }

    /// The outbox of a client of another server, which decides whether the client is too slow. It takes from the link only what the client
    /// has room for.
    pub(crate) fn of_link(connection: ConnectionId, limits: OutboxLimits) -> Self {
        Self::patient(connection, limits, policy::LINK_SILENCE)
    }

    /// Counts a request that ends with the connection, until the guard is dropped. A server that drains leaves the connection open for it.
    pub(crate) fn begin_request(&self) -> OpenRequest {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.clone())
    }

    /// Whether a request is under way that ends with the connection.
    pub(crate) fn has_requests(&self) -> bool {
        self.0.requests.load(Ordering::Acquire) > 0
    }

    fn patient(connection: ConnectionId, limits: OutboxLimits, patience: Duration) -> Self {
        Self(Arc::new(OutboxShared {
            connection,
            limits,
            patience,
            waiting: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            ended: CancellationToken::new(),
            requests: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.0.connection
    }

    /// Queues a message in order with all others. Closes the connection with 1013 if too much waits and the client
    /// has taken nothing for too long. A client that reads is never closed for large or many messages.
    pub(crate) fn push(&self, frame: Frame) {
        self.put(QueuedFrame::Frame(frame, FrameOrder::Everything));
    }

    /// Like [`Outbox::push`], in order only with other messages about the thread.
    pub(crate) fn push_of(&self, thread: ThreadId, frame: Frame) {
        self.put(QueuedFrame::Frame(frame, FrameOrder::Thread(thread)));
    }

    /// Like [`Outbox::push_of`], for a text delta, which is merged with earlier ones if the client is behind.
    pub(crate) fn push_text(&self, delta: Arc<TextDelta>) {
        self.put(QueuedFrame::Delta(delta));
    }

    /// Like [`Outbox::push`], but leaves the writer asleep. Returns whether it has to be woken ([`Outbox::wake`]).
    pub(crate) fn push_later(&self, frame: Frame) -> bool {
        self.add(QueuedFrame::Frame(frame, FrameOrder::Everything))
    }

    /// Wakes the writer.
    pub(crate) fn wake(&self) {
        self.0.filled.notify_one();
    }

    fn put(&self, piece: QueuedFrame) {
        self.add(piece);
        self.wake();
    }

    /// Adds to the queue. Returns whether it was empty, so that the writer sleeps or is about to.
    fn add(&self, piece: QueuedFrame) -> bool {
        let now = Clock.now();
        let limits = self.0.limits;
        let mut waiting = self.lock();
        if waiting.close.is_some() {
            return false;
        }
        let before = waiting.queue.bytes();
        if before + piece.bytes() > limits.merge_bytes {
            waiting.queue.merge();
        }
        waiting.queue.add(piece);
        if before > 0 && waiting.queue.bytes() > limits.waiting_bytes {
            waiting.full_since.get_or_insert(now);
        }
        let overdue = waiting.full_since.is_some_and(|since| now >= since + self.0.patience);
        drop(waiting);
        if overdue || before > limits.most_bytes {
            self.close(CloseReason::SlowClient);
        }
        before == 0
    }

    /// Whether too much has waited for too long; for checks while nothing is pushed.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.lock().full_since.is_some_and(|since| now >= since + self.0.patience)
    }

    /// The client has taken a part of the bytes being written: it reads, however slowly.
    pub(crate) fn took(&self, now: Instant) {
        let mut waiting = self.lock();
        waiting.full_since = waiting.full_since.map(|_| now);
    }

    /// Requests a ping.
    pub(crate) fn ping(&self) {
        self.lock().ping = true;
        self.0.filled.notify_one();
    }

    /// Ends the connection. Waiting messages are still written, unless the client is too slow or has left.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.lock().close.get_or_insert(reason);
        self.0.ended.cancel();
        self.0.filled.notify_one();
        self.0.drained.notify_waiters();
    }

    /// The reason of the end, once set.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.lock().close
    }

    /// For the reader: waits for the end of the connection.
    pub(crate) async fn until_closed(&self) {
        self.0.ended.cancelled().await;
    }

    /// Waiting bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().queue.bytes()
    }

    /// For the writer: waits for messages, and takes all of them.
    pub(crate) async fn next(&self) -> WriterAction {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.filled.notified().await;
        }
    }

    /// Waits until the client has taken enough, or the connection is to end.
    pub(crate) async fn room(&self) {
        self.until_room(|_| {}).await;
    }

    /// Like [`Outbox::room`], for a message that waits at another server. So more waits than the outbox holds, and a client that takes
    /// nothing is too slow.
    pub(crate) async fn room_for_link(&self) {
        let now = Clock.now();
        self.until_room(|waiting| {
            waiting.full_since.get_or_insert(now);
        })
        .await;
    }

    async fn until_room(&self, waits: impl Fn(&mut OutboxState)) {
        loop {
            let drained = self.0.drained.notified();
            {
                let mut waiting = self.lock();
                if waiting.queue.bytes() <= self.0.limits.pause_bytes || waiting.close.is_some() {
                    return;
                }
                waits(&mut waiting);
            }
            drained.await;
        }
    }

    fn take(&self) -> Option<WriterAction> {
        let mut waiting = self.lock();
        match waiting.close {
            Some(reason @ (CloseReason::SlowClient | CloseReason::ClientLeft | CloseReason::Silent)) => {
                drop(waiting.queue.take());
                return Some(WriterAction::Close(reason));
            }
            Some(reason) if waiting.queue.is_empty() => return Some(WriterAction::Close(reason)),
            Some(_) | None => {}
        }
        // Before the messages: a slow client is pinged in time.
        if std::mem::take(&mut waiting.ping) {
            return Some(WriterAction::Ping);
        }
        if waiting.queue.is_empty() {
            return None;
        }
        waiting.full_since = None;
        let pieces = waiting.queue.take();
        drop(waiting);
        self.0.drained.notify_waiters();
        // Serialises merged text here, while others may push.
        Some(WriterAction::Frames(pieces.into_iter().map(QueuedFrame::into_frame).collect()))
    }

    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
