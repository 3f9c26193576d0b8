//! Bytes that are no HTTP/1.1. The HTTP library answers them without a reason and without our headers, or closes the socket
//! without an answer. Each gets a refusal like any other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::super::access::{self, AccessRefusal, RefusalReason};

/// The first bytes of a client that speaks HTTP/2 without asking (RFC 9113, section 3.4). No request of HTTP/1 has them.
const PREFACE: &[u8] = b"PRI * HTTP/2";
/// A header of all of our answers, which those of the library lack.
const OURS: &[u8] = b"\r\nx-content-type-options:";

/// The state of one socket until its handshake.
#[derive(Debug, Default)]
pub(super) struct SyntaxAnswers {
    /// The bytes of [`PREFACE`] that have come; all of them once it is decided.
    preface: usize,
    /// The answer in the place of the library's.
    instead: Option<Instead>,
}

#[derive(Debug)]
struct Instead {
    answer: Vec<u8>,
    written: usize,
    /// The length of the library's answer.
    length: usize,
}

impl SyntaxAnswers {
    /// Passes the next bytes of the client on to the library. It closes the socket when it finds the preface of HTTP/2, so this
    /// makes an unknown version of it, which the library refuses with an answer. The library skips empty lines before a request
    /// (RFC 9112, section 2.2), so they do not count.
    pub(super) fn has_read(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.preface == 0 && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            let Some(next) = PREFACE.get(self.preface) else { return };
            self.preface = if byte == next { self.preface + 1 } else { PREFACE.len() };
            if byte == next && self.preface == PREFACE.len() {
                *byte = b'X';
            }
        }
    }

    /// The next bytes begin another request.
    pub(super) fn begin_again(&mut self) {
        self.preface = 0;
    }

    /// Writes our answer, if the library writes a refusal of its own or has begun to. `None` for all other bytes.
    pub(super) fn poll_write(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        (first, length): (&[u8], usize),
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() {
            let answer = access::bytes(refusal(first)?);
            self.instead = Some(Instead { answer, written: 0, length });
        }
        let written = self.poll_rest(stream, cx);
        if written.is_ready() {
            self.instead = None;
        }
        Some(written)
    }

    fn poll_rest(
        &mut self,
        mut stream: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(Instead { answer, written, length }) = &mut self.instead else { return Poll::Ready(Ok(0)) };
        while let Some(rest) = answer.get(*written..).filter(|rest| !rest.is_empty()) {
            match ready!(stream.as_mut().poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                some => *written += some,
            }
        }
        Poll::Ready(Ok(*length))
    }
}

/// Answers a head that is too large, as far as the socket takes the answer at once. The library answers nothing then.
pub(super) fn too_large(stream: Pin<&mut impl AsyncWrite>, cx: &mut Context<'_>) {
    let answer = access::bytes(AccessRefusal::large_head());
    // The socket is closed either way.
    let _ = stream.poll_write(cx, &answer);
}

/// Our refusal for an answer of the library.
fn refusal(answer: &[u8]) -> Option<AccessRefusal> {
    let status = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?;
    let is_ours = || answer.windows(OURS.len()).any(|part| part == OURS);
    match status {
        b" 400" if !is_ours() => Some(RefusalReason::Syntax.refusal("this is no request of HTTP/1.1")),
        b" 414" | b" 431" if !is_ours() => Some(AccessRefusal::large_head()),
        _ => None,
    }
}
