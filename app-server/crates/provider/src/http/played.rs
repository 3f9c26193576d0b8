//! Plays recorded bytes of a stream, in tests.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test wants to know at once that it cannot go on"
)]

use std::sync::OnceLock;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::error::ModelError;
use super::form::WireForm;
use super::read;
use crate::ModelEvent;

/// Streams of each interface: one with reasoning, one with tool calls.
pub const STREAMS: [&str; 6] = [
    include_str!("../openai_responses/streams/thought.sse"),
    include_str!("../openai_responses/streams/calls.sse"),
    include_str!("../openai_chat/streams/thought.sse"),
    include_str!("../openai_chat/streams/calls.sse"),
    include_str!("../anthropic/streams/thought.sse"),
    include_str!("../anthropic/streams/calls.sse"),
];

static CLOCKED: OnceLock<Runtime> = OnceLock::new();

/// Reads a stream in pieces; `cut` starts a new piece at a byte.
pub(crate) fn played(
    form: &dyn WireForm,
    bytes: &[u8],
    cut: impl Fn(usize) -> bool,
) -> (Vec<ModelEvent>, Result<(), ModelError>) {
    let mut pieces = vec![Vec::new()];
    for (at, byte) in bytes.iter().enumerate() {
        if cut(at) {
            pieces.push(Vec::new());
        }
        pieces.last_mut().unwrap().push(*byte);
    }
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).map(|piece| Ok(Bytes::from(piece)));
    let (given, mut events) = mpsc::channel(1 << 16);
    // The reader needs a clock, although nothing waits.
    let runtime = CLOCKED.get_or_init(|| Builder::new_current_thread().enable_time().build().unwrap());
    let _clocked = runtime.enter();
    let result =
        read(stream::iter(pieces.collect::<Vec<_>>()), form.reader(Uuid::nil()), &given).now_or_never();
    drop(given);
    let events = std::iter::from_fn(|| events.try_recv().ok()).collect();
    (events, result.expect("nothing waits"))
}

/// Asserts that a form reads `bytes` the same whole, byte by byte, and in larger pieces.
pub fn reads_the_same_in_pieces(form: &dyn WireForm, bytes: &[u8]) {
    let whole = played(form, bytes, |_| false);
    assert_eq!(played(form, bytes, |_| true), whole);
    assert_eq!(played(form, bytes, |at| at % 97 == 5), whole);
}
