//! The end of a connection that the server closes because of its client. The client may still be sending. A system resets a
//! connection that is closed with unread bytes, and many clients then drop the answer or the close frame with the reason (RFC
//! 9112, section 9.6). So the server ends its own side and reads on for a while.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::Visitor;
use crate::policy;

/// The bytes of a connection in both directions, with or without TLS.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// The stream that a closed connection has left.
#[derive(Default)]
pub(super) struct LeftStream(Mutex<Option<Box<dyn ByteStream>>>);

impl LeftStream {
    pub(super) fn put(&self, stream: Box<dyn ByteStream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    fn take(&self) -> Option<Box<dyn ByteStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for LeftStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeftStream")
    }
}

impl Visitor {
    /// Whether the server has closed the websocket because of its client.
    pub(super) fn was_refused(&self) -> bool {
        self.is_inside() && self.0.life.was_refused()
    }

    /// Behind a websocket whose client was refused: reads and drops what it still sends, as [`LingeringClose::poll`] does.
    pub(crate) async fn linger(&self) {
        if let Some(mut stream) = self.0.left.take() {
            let mut ending = LingeringClose::begin();
            poll_fn(|cx| ending.poll(Pin::new(&mut stream), cx)).await;
        }
    }
}

/// Notes for each request that its head was read, and whether its answer may come while the client still sends the body. A
/// websocket that is refused ends like this, too, as many clients send their first frames at once.
pub(crate) async fn note_request(
    State(tasks): State<Tasks>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let has_body = !request.body().is_end_stream();
    visitor.begin_request(has_body);
    let upgrade = request.extensions().get::<OnUpgrade>().cloned();
    let answer = next.run(request).await;
    visitor.answer_early(has_body);
    if let Some(upgrade) = upgrade.filter(|_| answer.status() != StatusCode::SWITCHING_PROTOCOLS) {
        drop(tasks.spawn("refused upgrade", end_refused(upgrade, visitor)));
    }
    answer
}

/// Ends the connection of a refused websocket. At its end the HTTP library gives the stream of such a request away unclosed.
async fn end_refused(upgrade: OnUpgrade, visitor: Visitor) {
    if let Ok(stream) = upgrade.await {
        let (mut stream, mut ending) = (TokioIo::new(stream), LingeringClose::begin());
        poll_fn(|cx| ending.poll(Pin::new(&mut stream), cx)).await;
    }
    // It has held the slot of its address until here.
    drop(visitor);
}

/// The end of a connection whose client may still be sending, named after the setting of nginx.
#[derive(Debug)]
pub(super) struct LingeringClose {
    until: Pin<Box<Sleep>>,
    is_shut: bool,
    dropped: Vec<u8>,
}

impl LingeringClose {
    pub(super) fn begin() -> Self {
        let until = Box::pin(tokio::time::sleep_until(Clock.now() + policy::LINGER_TIME));
        Self { until, is_shut: false, dropped: vec![0; policy::LINGER_BUFFER] }
    }

    /// Ends the server's side, then reads and drops what the client still sends, until it ends its own side or
    /// [`policy::LINGER_TIME`] is over. An error of the stream ends it, too: the socket is closed either way.
    pub(super) fn poll(&mut self, mut stream: Pin<&mut impl ByteStream>, cx: &mut Context<'_>) -> Poll<()> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.is_shut {
            if ready!(stream.as_mut().poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.is_shut = true;
        }
        loop {
            let mut read = ReadBuf::new(&mut self.dropped);
            if ready!(stream.as_mut().poll_read(cx, &mut read)).is_err() || read.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}
