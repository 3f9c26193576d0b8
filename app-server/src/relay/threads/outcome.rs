//! The requests of a relay to its router.

use std::time::Duration;

use skein_protocol::ids::ThreadId;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::super::asked::PendingRequest;

/// The outcome of a frame of another server.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    /// For the client, in this order.
    pub(crate) to_client: Vec<Utf8Bytes>,
    /// For the server that has sent the frame, or that the thread is with now.
    pub(crate) to_owner: Vec<Utf8Bytes>,
    /// A thread that has to be resumed once more, after this time.
    pub(crate) again: Option<(ThreadId, Duration)>,
    /// A thread that the client has left, and to which it is subscribed now.
    pub(crate) unwanted: Option<ThreadId>,
    /// A fork of a thread whose server stops.
    pub(crate) copy: Option<PendingRequest>,
}

/// The place from which the answer to a resume comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextOwner {
    /// This server: the events come without a relay from here on.
    Here,
    /// Another one, by this link.
    Link(Uuid),
}

impl Relayed {
    /// A frame passes.
    pub(super) fn pass(text: Utf8Bytes) -> Self {
        Self { to_client: vec![text], ..Self::default() }
    }

    /// With one more frame for the client.
    pub(super) fn and(mut self, text: Utf8Bytes) -> Self {
        self.to_client.push(text);
        self
    }
}
