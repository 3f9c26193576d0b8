//! The newest user messages that carry a client id, so that a resent message starts no second turn. Pure.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};
use skein_protocol::ids::TurnId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::turn::{Turn, UserInput};

use super::{History, LoadedTurn};
use crate::policy;

/// The newest messages with client ids, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct SentMessages(pub(super) VecDeque<SentMessage>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentMessage {
    client_id: String,
    /// A client may count its messages from 1 after each start. Only an equal input makes it the same message.
    input: [u8; 32],
    turn: TurnId,
    /// Whether that turn failed because the disk refused it.
    unsaved: bool,
}

impl SentMessages {
    /// Notes a message of this turn, unless it is there.
    pub(crate) fn note(&mut self, turn: &TurnId, input: &[UserInput], client_id: &str) {
        let (client_id, input) = (client_id.to_owned(), digest(input));
        if let Some(there) = self.0.iter_mut().rev().find(|there| there.is(&client_id, input)) {
            if there.unsaved && there.turn != *turn {
                (there.turn, there.unsaved) = (turn.clone(), false);
            }
            return;
        }
        self.0.push_back(SentMessage { client_id, input, turn: turn.clone(), unsaved: false });
        if self.0.len() > policy::REMEMBERED_MESSAGES {
            self.0.pop_front();
        }
    }

    /// Marks the turn's messages as unsaved: the disk refused the turn.
    pub(crate) fn not_saved(&mut self, turn: &TurnId) {
        self.0.iter_mut().filter(|message| message.turn == *turn).for_each(|message| message.unsaved = true);
    }

    /// Notes that the turn answers an unsaved message of an earlier turn.
    pub(crate) fn answered_by(&mut self, turn: &TurnId, client_id: &str) {
        let is_it = |message: &&mut SentMessage| message.unsaved && message.client_id == client_id;
        if let Some(message) = self.0.iter_mut().rev().find(is_it) {
            (message.turn, message.unsaved) = (turn.clone(), false);
        }
    }

    /// Keeps the messages of these turns only.
    pub(crate) fn retain(&mut self, mut turns: impl FnMut(&TurnId) -> bool) {
        self.0.retain(|message| turns(&message.turn));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the messages of a turn.
    fn take(&mut self, held: &LoadedTurn) {
        let turn = &held.turn.id;
        for item in &held.turn.items {
            if let ThreadItemBody::UserMessage(message) = &item.body
                && let Some(client_id) = &message.client_id
            {
                self.note(turn, &message.content, client_id);
            }
        }
        if held.unsaved {
            self.not_saved(turn);
        }
        if let Some(client_id) = &held.answers {
            self.answered_by(turn, client_id);
        }
    }

    fn find(&self, client_id: &str, input: &[UserInput]) -> Option<&SentMessage> {
        let input = digest(input);
        self.0.iter().rev().find(|message| message.is(client_id, input))
    }
}

impl SentMessage {
    fn is(&self, client_id: &str, input: [u8; 32]) -> bool {
        self.client_id == client_id && self.input == input
    }
}

impl History {
    /// The turn that answered the user message with this client id and input, among the newest ones. None if that turn
    /// failed because the disk refused it.
    pub fn seen_message(&self, client_id: &str, input: &[UserInput]) -> Option<&TurnId> {
        self.messages.find(client_id, input).filter(|message| !message.unsaved).map(|message| &message.turn)
    }

    /// Takes the messages of the turns in memory, which are newer than the remembered ones. A fork skips messages
    /// that were copied.
    pub(super) fn remember_messages(&mut self) {
        let mut messages = SentMessages::default();
        let own = self.turns.iter().filter(|held| !self.was_copied(held));
        own.for_each(|held| messages.take(held));
        let known: HashSet<(String, [u8; 32])> =
            messages.0.iter().map(|message| (message.client_id.clone(), message.input)).collect();
        let older = std::mem::take(&mut self.messages.0).into_iter().rev();
        let older = older.filter(|older| !known.contains(&(older.client_id.clone(), older.input)));
        for message in older.take(policy::REMEMBERED_MESSAGES.saturating_sub(messages.0.len())) {
            messages.0.push_front(message);
        }
        self.messages = messages;
    }

    /// The last turn, if it has this user message and failed because the disk refused it.
    pub fn unsaved_turn_of(&self, client_id: &str, input: &[UserInput]) -> Option<&Turn> {
        let message = self.messages.find(client_id, input).filter(|message| message.unsaved)?;
        self.turns.last().map(|held| &held.turn).filter(|last| last.id == message.turn)
    }
}

fn digest(input: &[UserInput]) -> [u8; 32] {
    // Every member of an input can be written as JSON.
    Sha256::digest(serde_json::to_vec(input).unwrap_or_default()).into()
}
