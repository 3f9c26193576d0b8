//! Faults in several servers of one database while people use them: what the people have sent and got, and whether that can be true.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `mod` | what one person notes |
//! | [`judge`] | which notes contradict the promises (pure) |

pub mod judge;

use std::time::Instant;

use serde_json::Value;
use skein_protocol::extension::ThreadOwner;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::TurnCompleted;

use crate::client::Received;

/// The id of a message, unique in a campaign (`clientUserMessageId`).
pub type MessageId = String;

/// A message of a person, with all its repetitions.
#[derive(Debug, Clone)]
pub struct SentMessage {
    /// Its thread.
    pub thread: ThreadId,
    /// Its id.
    pub id: MessageId,
    /// When it was sent first.
    pub asked: Instant,
    /// When the first answer granted it.
    pub acknowledged: Option<Instant>,
}

/// A whole history that a server has shown.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Its thread.
    pub thread: ThreadId,
    /// When it was asked for.
    pub asked: Instant,
    /// The messages of users in it, in order.
    pub messages: Vec<MessageId>,
    /// Whether it reaches to the end. A copy leaves out a turn that waits for the user.
    pub is_whole: bool,
}

/// An event with a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedEvent {
    /// Its thread.
    pub thread: ThreadId,
    /// The epoch of its history.
    pub epoch: Epoch,
    /// Its number.
    pub seq: EventSeq,
    /// Its method and params, as text.
    pub content: String,
}

impl NumberedEvent {
    /// The event in a message about a thread; `None` if it has no number. It leaves out the items of a turn that has ended, which have events
    /// of their own: a replay that began behind the last of them shows none.
    ///
    /// # Errors
    /// If its number cannot be read.
    pub fn read(thread: ThreadId, message: &Received) -> anyhow::Result<Option<Self>> {
        let stamp = message.stamp()?;
        let (Some(seq), Some(epoch), Some(method)) = (stamp.seq, stamp.epoch, message.method()) else {
            return Ok(None);
        };
        let mut params = message.value()["params"].clone();
        let turn = params.get_mut("turn").and_then(Value::as_object_mut);
        if let Some(turn) = turn.filter(|_| message.notifies::<TurnCompleted>()) {
            turn.remove("items");
            turn.remove("itemsView");
        }
        Ok(Some(Self { thread, epoch, seq, content: format!("{method} {params}") }))
    }
}

/// A server that an answer names as the owner of a thread.
#[derive(Debug, Clone)]
pub struct NamedOwner {
    /// The thread.
    pub thread: ThreadId,
    /// The server, and the number of its ownership.
    pub owner: ThreadOwner,
    /// When the request was sent.
    pub asked: Instant,
    /// When the answer came.
    pub answered: Instant,
}

/// Everything that people have noted. The times are of one clock.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Messages.
    pub sent: Vec<SentMessage>,
    /// Histories, those of the end included.
    pub readings: Vec<Reading>,
    /// Numbered events.
    pub events: Vec<NumberedEvent>,
    /// Owners of threads.
    pub owners: Vec<NamedOwner>,
}

impl Notes {
    /// Adds the notes of another person.
    pub fn add(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.readings.extend(other.readings);
        self.events.extend(other.events);
        self.owners.extend(other.owners);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_protocol::notifications::TurnStarted;
    use skein_protocol::table::Notification;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_end_of_a_turn_is_one_event_with_its_items_and_without() {
        let event = |method: &str, turn: Value| {
            let message = json!({ "method": method, "params": { "turn": turn }, "seq": 3, "epoch": 1 });
            let message = Received::read(message.to_string()).unwrap();
            NumberedEvent::read(ThreadId::new(Uuid::from_u128(1)), &message).unwrap().unwrap()
        };
        let with_items = json!({ "id": "t", "status": "completed", "items": [{}], "itemsView": "summary" });
        let without = json!({ "id": "t", "status": "completed", "items": [], "itemsView": "notLoaded" });
        let failed = json!({ "id": "t", "status": "failed", "items": [], "itemsView": "notLoaded" });
        let (ended, started) = (TurnCompleted::INFO.wire, TurnStarted::INFO.wire);
        assert_eq!(event(ended, with_items.clone()), event(ended, without.clone()));
        assert_ne!(event(ended, without.clone()), event(ended, failed));
        assert_ne!(event(started, with_items), event(started, without));
    }
}
