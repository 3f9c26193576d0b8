//! Errors of requests to the queue of a thread.

use std::fmt;

use skein_protocol::error::WireError;
use skein_protocol::ids::{ThreadId, TurnId};

use super::error::{of_turns, refused};

/// Why the queue refuses a request. The text says how to go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    /// A message of the queue was to be started while a turn runs.
    #[error(
        "turn {turn} of {id} runs; the queue goes on behind it, or interrupt it (turn/interrupt) and ask again"
    )]
    Waits { id: ThreadId, turn: TurnId },
    /// The queue has no message that could be started.
    #[error("no message waits in the queue of {id}; thread/queue/add adds one")]
    Empty { id: ThreadId },
    /// The queue takes no more.
    #[error(
        "the queue of {id} takes at most {entries} messages and {bytes} bytes of input; start or delete one first"
    )]
    Full { id: ThreadId, entries: usize, bytes: usize },
    /// The queue does not have this message any more.
    #[error("message {message} is not in the queue of {id}: {fate}")]
    Gone { id: ThreadId, message: TurnId, fate: Fate },
    /// An order of the queue names a message twice.
    #[error("the order of the queue of {id} names message {message} twice; name each message once")]
    Twice { id: ThreadId, message: TurnId },
}

/// The fate of a message that is not in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is the turn with its id.
    BecameTurn,
    /// The client of this name deleted it.
    Deleted(String),
    /// It never was in the queue, or left it long ago.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BecameTurn => f.write_str("it has become the turn with its id"),
            Self::Deleted(by) if by.is_empty() => f.write_str("a client has deleted it"),
            Self::Deleted(by) => write!(f, "the client {by:?} has deleted it"),
            Self::Unknown => f.write_str("it left the queue long ago, or was never there"),
        }
    }
}

impl QueueError {
    /// The error as the wire says it.
    pub(crate) fn coded(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::Waits { id, turn } => of_turns("turnRuns", text, *id, None, Some(turn)),
            Self::Empty { id } => refused("queueEmpty", id, text),
            Self::Full { id, .. } => refused("queueFull", id, text),
            Self::Gone { id, message, fate } => {
                let turn = (*fate == Fate::BecameTurn).then_some(message);
                of_turns("queuedGone", text, *id, turn, None)
            }
            Self::Twice { id, .. } => {
                WireError::invalid_params("queuedTwice", text).path("queuedSubmissionIds").thread(*id)
            }
        }
    }
}
