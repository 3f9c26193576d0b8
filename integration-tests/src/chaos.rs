//! Faults in several servers of one database while people use them: what the people have sent and got, and whether that can be true.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `mod` | what one person notes |
//! | [`judge`] | which notes contradict the promises (pure) |

pub mod judge;

use std::time::Instant;

use skein_protocol::extension::ThreadOwner;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};

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
