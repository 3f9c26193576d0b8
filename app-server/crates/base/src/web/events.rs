//! Splits a body into a stream of events (SSE), whatever pieces its bytes come in. Bounds the length of an event.

use std::iter;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sse_stream::{Sse, SseStream};

/// The error of an unreadable stream, or of one unreadable line.
pub use sse_stream::Error as SseError;

/// The events in `bytes`. An event above `most` bytes is the error `too_long`; comments do not count.
pub fn events<E: std::error::Error + Send + Sync + 'static>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    most: usize,
    too_long: impl Fn() -> E + Send + 'static,
) -> impl Stream<Item = Result<Sse, SseError>> + Send + 'static {
    let mut length = Length::default();
    let bounded = bytes.map(move |chunk| {
        chunk.and_then(|chunk| length.add(&chunk, most).then_some(chunk).ok_or_else(&too_long))
    });
    // A line at a time: an error in one line affects no other, in any pieces.
    let lines = bounded.flat_map(|chunk| {
        let mut rest = Some(chunk);
        stream::iter(iter::from_fn(move || match rest.take()? {
            Ok(mut chunk) => {
                let end = chunk
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'))
                    .map_or(chunk.len(), |at| at + 1);
                let line = chunk.split_to(end);
                rest = (!chunk.is_empty()).then_some(Ok(chunk));
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }))
    });
    SseStream::from_bytes_stream(lines)
}

/// The length of the current event.
#[derive(Debug, Default)]
struct Length {
    event: usize,
    line: usize,
    comment: bool,
    after_return: bool,
}

impl Length {
    /// `false` once it is longer than `most`.
    fn add(&mut self, chunk: &[u8], most: usize) -> bool {
        for byte in chunk {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    self.event =
                        if self.line == 0 { 0 } else { self.event + self.line * usize::from(!self.comment) };
                    (self.line, self.comment) = (0, false);
                }
                _ => {
                    self.after_return = false;
                    self.comment = if self.line == 0 { *byte == b':' } else { self.comment };
                    self.line += 1;
                    if self.event + self.line > most {
                        return false;
                    }
                }
            }
        }
        true
    }
}
