//! The queue of an outbox. Pure. While the client is behind, deltas of the same item become one frame, if no other
//! message about the thread lies between them.

use std::collections::HashMap;
use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_protocol::envelope;
use skein_protocol::event::AgentMessageDeltaNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::ItemAgentMessageDelta;

use super::Frame;

/// A delta of an item's text: serialised once for all clients that keep up, and raw for the others.
#[derive(Debug)]
pub(crate) struct TextDelta {
    params: AgentMessageDeltaNotification,
    at: WallMs,
    frame: Frame,
}

impl TextDelta {
    /// Serialises the delta.
    pub(crate) fn new(params: AgentMessageDeltaNotification, at: WallMs) -> Self {
        let frame = frame(&params, at);
        Self { params, at, frame }
    }

    /// The delta alone.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }
}

fn frame(params: &AgentMessageDeltaNotification, at: WallMs) -> Frame {
    envelope::notification::<ItemAgentMessageDelta>(params, at.0, None).into()
}

/// The messages with which a frame stays in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameOrder {
    /// All messages.
    Everything,
    /// Messages about this thread.
    Thread(ThreadId),
}

/// A queued entry.
#[derive(Debug, Clone)]
pub(super) enum QueuedFrame {
    Frame(Frame, FrameOrder),
    Delta(Arc<TextDelta>),
    Merged(Merged),
}

/// Merged deltas of one item. Serialised when taken.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    params: AgentMessageDeltaNotification,
    at: WallMs,
}

impl QueuedFrame {
    /// Its size in the queue, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            QueuedFrame::Frame(frame, _) => frame.len(),
            QueuedFrame::Delta(delta) => delta.frame.len(),
            QueuedFrame::Merged(merged) => merged.params.delta.len(),
        }
    }

    /// The frame to write.
    pub(super) fn into_frame(self) -> Frame {
        match self {
            QueuedFrame::Frame(frame, _) => frame,
            QueuedFrame::Delta(delta) => delta.frame.clone(),
            QueuedFrame::Merged(merged) => frame(&merged.params, merged.at),
        }
    }

    /// Merges a later delta of the same text. Returns false for anything else.
    fn take_in(&mut self, later: &TextDelta) -> bool {
        let (params, at) = match self {
            QueuedFrame::Frame(..) => return false,
            QueuedFrame::Delta(delta) if !same_text(&delta.params, &later.params) => return false,
            QueuedFrame::Delta(delta) => {
                let merged = Merged { params: delta.params.clone(), at: later.at };
                *self = QueuedFrame::Merged(merged);
                return self.take_in(later);
            }
            QueuedFrame::Merged(merged) if !same_text(&merged.params, &later.params) => return false,
            QueuedFrame::Merged(merged) => (&mut merged.params, &mut merged.at),
        };
        params.delta.push_str(&later.params.delta);
        *at = later.at;
        true
    }
}

fn same_text(one: &AgentMessageDeltaNotification, other: &AgentMessageDeltaNotification) -> bool {
    one.item_id == other.item_id && one.turn_id == other.turn_id && one.thread_id == other.thread_id
}

/// The queue. Each entry is visited at most twice between two takes: when added, and when merging begins.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: Vec<QueuedFrame>,
    bytes: usize,
    /// While merging: the position of a thread's last message, if that is text.
    open: Option<HashMap<ThreadId, usize>>,
}

impl Queue {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Appends an entry, or merges it.
    pub(super) fn add(&mut self, piece: QueuedFrame) {
        let at = self.pieces.len();
        if let Some(open) = &mut self.open {
            match &piece {
                QueuedFrame::Frame(_, FrameOrder::Everything) => open.clear(),
                QueuedFrame::Frame(_, FrameOrder::Thread(thread)) => drop(open.remove(thread)),
                QueuedFrame::Delta(delta) => {
                    let before = open.insert(delta.params.thread_id, at);
                    if let Some((before, earlier)) = before.and_then(|i| Some((i, self.pieces.get_mut(i)?)))
                        && earlier.take_in(delta)
                    {
                        open.insert(delta.params.thread_id, before);
                        self.bytes += delta.params.delta.len();
                        return;
                    }
                }
                QueuedFrame::Merged(_) => {}
            }
        }
        self.bytes += piece.bytes();
        self.pieces.push(piece);
    }

    /// Merges the queue, and all later entries until it is taken.
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

    pub(super) fn take(&mut self) -> Vec<QueuedFrame> {
        self.bytes = 0;
        self.open = None;
        std::mem::take(&mut self.pieces)
    }
}
