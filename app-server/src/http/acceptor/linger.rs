//! The end of a connection that the server closes because of its client. The client may still be sending. A system resets a
//! connection that is closed with unread bytes, and many clients then drop the close frame with the reason (RFC 9112, section 9.6).
//! So the server ends its own side and reads on for a while.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

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

    /// Behind a connection whose client was refused: reads and drops what it still sends, until it ends its side or
    /// [`policy::LINGER_TIME`] is over.
    pub(crate) async fn linger(&self) {
        if let Some(stream) = self.0.left.take() {
            // The socket is closed either way.
            tokio::time::timeout(policy::LINGER_TIME, read_away(stream)).await.ok();
        }
    }
}

async fn read_away(mut stream: Box<dyn ByteStream>) -> io::Result<()> {
    stream.shutdown().await?;
    let mut dropped = vec![0; policy::LINGER_BUFFER];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}
