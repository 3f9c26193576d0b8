//! Prefilters turns of a rollout that may hold a text in a message. It works on raw lines and decodes only those that
//! may match. Pure.

use std::sync::Arc;

use memchr::memmem;
use skein_protocol::ids::EventSeq;

use super::line::{self, LineHeader};
use super::record::{ItemCheckpoint, ItemCompleted, ItemStarted, TurnCompleted, TurnStarted};

/// Whether a raw line may hold the text. A wrong `true` costs time, a wrong `false` loses a hit.
pub type MayHold = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// The common end of `userMessage` and `agentMessage`, which the line of every message item has.
const MESSAGE: &[u8] = b"Message\"";

/// Takes the lines of one rollout, oldest first.
pub struct Prefilter<'a> {
    may_hold: &'a (dyn Fn(&[u8]) -> bool + Send + Sync),
    after: EventSeq,
    /// The first record of the current turn.
    turn: EventSeq,
    /// The first record of a turn with pieces of text and no end: the text may lie across two pieces.
    in_pieces: Option<EventSeq>,
}

impl<'a> Prefilter<'a> {
    /// Skips records up to `after`.
    pub fn new(may_hold: &'a MayHold, after: EventSeq) -> Self {
        Self { may_hold: &**may_hold, after, turn: EventSeq(0), in_pieces: None }
    }

    /// Takes the next line; returns the first record of a turn that may hold the text. The caller need not go on
    /// then.
    pub fn take(&mut self, line: &[u8]) -> Option<EventSeq> {
        // A line with a head of another form is never skipped.
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
        // An externalised text may hold anything.
        ((!is_all || (self.may_hold)(line)) && is_message()).then_some(self.turn)
    }

    /// At the end of the rollout: the first record of an unreported turn that may still hold the text.
    pub fn end(self) -> Option<EventSeq> {
        self.in_pieces
    }
}

#[cfg(test)]
mod tests;
