//! Which turns of a rollout may hold a text in a message, told from the lines as they stand in the file: nothing is read as
//! a record that is not worth it. Pure.

use std::sync::Arc;

use memchr::memmem;
use skein_protocol::ids::EventSeq;

use super::line::{self, LineHeader};
use super::record::{ItemCheckpoint, ItemCompleted, ItemStarted, TurnCompleted, TurnStarted};

/// Whether a line, as it stands in the file, may hold what is looked for. A `true` too many costs time, a `false` too many
/// loses what is there.
pub type MayHold = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What stands in the line of every item that is a message: the end of `userMessage` and `agentMessage`.
const MESSAGE: &[u8] = b"Message\"";

/// Takes the lines of one rollout, oldest first.
pub(crate) struct Prefilter<'a> {
    may_hold: &'a (dyn Fn(&[u8]) -> bool + Send + Sync),
    after: EventSeq,
    /// Where the turn began that the lines belong to.
    turn: EventSeq,
    /// Where a turn began that has pieces of text and no end: what is looked for may lie across two pieces.
    in_pieces: Option<EventSeq>,
}

impl<'a> Prefilter<'a> {
    /// Passes over what has a number up to `after`.
    #[must_use]
    pub(crate) fn new(may_hold: &'a MayHold, after: EventSeq) -> Self {
        Self { may_hold: &**may_hold, after, turn: EventSeq(0), in_pieces: None }
    }

    /// Takes the next line; answers where the turn begins that may hold what is looked for. Then nothing more need be taken.
    pub(crate) fn take(&mut self, line: &[u8]) -> Option<EventSeq> {
        // What has a head of another form is not passed over.
        let Some(LineHeader { seq, kind, is_all }) = line::peek_header(line) else {
            return (self.may_hold)(line).then_some(self.turn);
        };
        if seq <= self.after {
            return None;
        }
        let is = |wanted: &str| kind == wanted.as_bytes();
        if is(TurnStarted::KIND) {
            (self.turn, self.in_pieces) = (seq, None);
        } else if is(TurnCompleted::KIND) {
            self.in_pieces = None;
            return None;
        } else if is(ItemCheckpoint::KIND) {
            self.in_pieces = self.in_pieces.or(Some(self.turn));
        } else if !is(ItemStarted::KIND) && !is(ItemCompleted::KIND) {
            return None;
        }
        let is_message =
            || !is(ItemStarted::KIND) && !is(ItemCompleted::KIND) || memmem::find(line, MESSAGE).is_some();
        // A text that stands elsewhere may hold anything.
        ((!is_all || (self.may_hold)(line)) && is_message()).then_some(self.turn)
    }

    /// At the end of the rollout: where a turn begins that was not taken out, and may hold it all the same.
    #[must_use]
    pub(crate) fn end(self) -> Option<EventSeq> {
        self.in_pieces
    }
}

#[cfg(test)]
mod tests;
