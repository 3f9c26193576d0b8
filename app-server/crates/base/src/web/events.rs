//! A stream of events (SSE) out of the bytes of a body, whatever pieces these come in. No event is longer than it may be.

use std::iter;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sse_stream::{Sse, SseStream};

/// Why a stream of events cannot be read on, or a line of it not at all.
pub use sse_stream::Error as SseError;

/// The events in `bytes`. One of more than `most` bytes is an error, `too_long`; comments are not counted.
pub fn events<E: std::error::Error + Send + Sync + 'static>(
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    most: usize,
    too_long: impl Fn() -> E + Send + 'static,
) -> impl Stream<Item = Result<Sse, SseError>> + Send + 'static {
    let mut length = Length::default();
    let bounded = bytes.map(move |chunk| {
        chunk.and_then(|chunk| length.add(&chunk, most).then_some(chunk).ok_or_else(&too_long))
    });
    // A line at a time: what is wrong with one takes none of its neighbours along, however they came.
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

/// How long the event is that is coming.
#[derive(Debug, Default)]
struct Length {
    event: usize,
    line: usize,
    comment: bool,
    after_return: bool,
}

impl Length {
    /// `false` when it has become longer than `most`.
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
