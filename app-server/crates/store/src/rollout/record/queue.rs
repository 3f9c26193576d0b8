//! Records about the queue of a thread. A message leaves the queue with the `turn.started` of its id, or with
//! `queue.removed`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::turn::UserInput;

/// A message of the queue.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingMessage {
    /// The id of the turn that it becomes.
    pub id: TurnId,
    /// The client's id of the message (`clientUserMessageId`).
    pub client_id: String,
    /// The user's input.
    pub input: Vec<UserInput>,
    /// The client's own members (`responsesapiClientMetadata`).
    pub metadata: Option<BTreeMap<String, String>>,
}

/// `queue.added`: a message at the end of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueAdded(pub WaitingMessage);

/// `queue.updated`: the message in place of the one with its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueUpdated(pub WaitingMessage);

/// `queue.moved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMoved {
    /// The order of these messages. Those that are not named follow.
    pub ids: Vec<TurnId>,
}

/// `queue.removed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRemoved {
    /// The message.
    pub id: TurnId,
    /// The name of the client that deleted it.
    pub by: String,
}

/// The queue at the end of a turn. Inputs may be long, so it names the records that have them.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueHeader {
    /// The messages, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) messages: Vec<QueuedAt>,
    pub(crate) hold: Option<QueueHold>,
    /// The messages that clients deleted last, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) deleted: Vec<QueueRemoved>,
}

/// The record of a message of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueuedAt {
    pub(crate) id: TurnId,
    /// Its newest record. (A line has a member `at` of its own.)
    pub(crate) since: EventSeq,
}

/// Why no message of the queue becomes a turn by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QueueHold {
    /// The last turn was interrupted.
    Interrupted,
    /// The last turn failed.
    Failed,
    /// The thread comes from a backup. Its old home may have run the messages.
    Restored,
}
