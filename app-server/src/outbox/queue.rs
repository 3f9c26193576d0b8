//! What waits in an outbox, in order; pure. While the client is behind, pieces of the same item's text become one
//! frame: a piece joins an earlier one when nothing that belongs to its thread lies between them.

use std::collections::HashMap;
use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_protocol::envelope;
use skein_protocol::event::AgentMessageDeltaNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::ItemAgentMessageDelta;

use super::Frame;

/// A piece of an item's text: serialised once for all who keep up, and as it is for those who do not.
#[derive(Debug)]
pub(crate) struct TextDelta {
    params: AgentMessageDeltaNotification,
    at: WallMs,
    frame: Frame,
}

impl TextDelta {
    /// Serialises the piece.
    #[must_use]
    pub(crate) fn new(params: AgentMessageDeltaNotification, at: WallMs) -> Self {
        let frame = frame(&params, at);
        Self { params, at, frame }
    }

    /// The piece alone.
    #[must_use]
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }
}

fn frame(params: &AgentMessageDeltaNotification, at: WallMs) -> Frame {
    envelope::notification::<ItemAgentMessageDelta>(params, at.0, None).into()
}

/// What a frame has to stay in order with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Everything.
    Everything,
    /// What else is said of this thread.
    Thread(ThreadId),
}

/// One thing that waits.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Frame(Frame, About),
    Delta(Arc<TextDelta>),
    Merged(Merged),
}

/// Pieces of one item's text that became one. Serialised when it is taken.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    params: AgentMessageDeltaNotification,
    at: WallMs,
}

impl Piece {
    /// What it takes in the queue by itself, bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Piece::Frame(frame, _) => frame.len(),
            Piece::Delta(delta) => delta.frame.len(),
            Piece::Merged(merged) => merged.params.delta.len(),
        }
    }

    /// As it is written.
    pub(super) fn into_frame(self) -> Frame {
        match self {
            Piece::Frame(frame, _) => frame,
            Piece::Delta(delta) => delta.frame.clone(),
            Piece::Merged(merged) => frame(&merged.params, merged.at),
        }
    }

    /// Takes a later piece of the same text. `false` when it is of another, or this is no text.
    fn take_in(&mut self, later: &TextDelta) -> bool {
        let (params, at) = match self {
            Piece::Frame(..) => return false,
            Piece::Delta(delta) if !same_text(&delta.params, &later.params) => return false,
            Piece::Delta(delta) => {
                let merged = Merged { params: delta.params.clone(), at: later.at };
                *self = Piece::Merged(merged);
                return self.take_in(later);
            }
            Piece::Merged(merged) if !same_text(&merged.params, &later.params) => return false,
            Piece::Merged(merged) => (&mut merged.params, &mut merged.at),
        };
        params.delta.push_str(&later.params.delta);
        *at = later.at;
        true
    }
}

fn same_text(one: &AgentMessageDeltaNotification, other: &AgentMessageDeltaNotification) -> bool {
    one.item_id == other.item_id && one.turn_id == other.turn_id && one.thread_id == other.thread_id
}

/// The queue. Every piece is looked at twice at most between two takes: when it is added, and when merging begins.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: Vec<Piece>,
    bytes: usize,
    /// While merging: where the last thing said of a thread lies, if that is text.
    open: Option<HashMap<ThreadId, usize>>,
}

impl Queue {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Adds a piece behind all others, or to the text that it continues.
    pub(super) fn add(&mut self, piece: Piece) {
        let at = self.pieces.len();
        if let Some(open) = &mut self.open {
            match &piece {
                Piece::Frame(_, About::Everything) => open.clear(),
                Piece::Frame(_, About::Thread(thread)) => drop(open.remove(thread)),
                Piece::Delta(delta) => {
                    let before = open.insert(delta.params.thread_id, at);
                    if let Some((before, earlier)) = before.and_then(|i| Some((i, self.pieces.get_mut(i)?)))
                        && earlier.take_in(delta)
                    {
                        open.insert(delta.params.thread_id, before);
                        self.bytes += delta.params.delta.len();
                        return;
                    }
                }
                Piece::Merged(_) => {}
            }
        }
        self.bytes += piece.bytes();
        self.pieces.push(piece);
    }

    /// Merges what waits, and from now on what comes, until everything is taken.
    pub(super) fn merge(&mut self) {
        if self.open.is_some() {
            return;
        }
        let waiting = std::mem::take(&mut self.pieces);
        self.bytes = 0;
        self.open = Some(HashMap::new());
        for piece in waiting {
            self.add(piece);
        }
    }

    /// Takes everything.
    pub(super) fn take(&mut self) -> Vec<Piece> {
        self.bytes = 0;
        self.open = None;
        std::mem::take(&mut self.pieces)
    }
}
