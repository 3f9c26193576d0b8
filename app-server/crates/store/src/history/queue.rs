//! The queue of a thread: messages that wait, each of which becomes a turn. Pure, but for the read of their inputs.
//!
//! A message becomes a turn by one record: the `turn.started` with the message's id. So no crash runs a message twice, or
//! loses it. A turn that is interrupted or fails holds the queue, until a turn completes or the queue is empty; the holds
//! are derived from the ends of turns, and no record has them. A header names the records of the messages. A reader that
//! begins at a header reads them there.

use std::collections::VecDeque;

use skein_protocol::ids::{EventSeq, ThreadId, TurnId};
use skein_protocol::turn::TurnStatus;
use uuid::Uuid;

use super::{History, items};
use crate::policy;
use crate::rollout::record::{
    QueueHeader, QueueHold, QueueRemoved, QueuedAt, RecordBody, ThreadOpened, WaitingMessage,
};
use crate::rollout::{ReadError, RolloutStore};

/// The messages that wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessageQueue {
    messages: Vec<Queued>,
    hold: Option<QueueHold>,
    /// The messages that clients deleted last, oldest first.
    deleted: VecDeque<QueueRemoved>,
}

#[derive(Debug, Clone, PartialEq)]
struct Queued {
    /// Its newest record.
    since: EventSeq,
    message: WaitingMessage,
}

impl MessageQueue {
    /// The messages, in the order in which they become turns.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &WaitingMessage> {
        self.messages.iter().map(|queued| &queued.message)
    }

    /// Whether a message waits, or has waited and was deleted.
    pub(super) fn was_used(&self) -> bool {
        !self.messages.is_empty() || !self.deleted.is_empty()
    }

    /// The beginning of the first message.
    pub(super) fn first_words(&self) -> Option<String> {
        self.messages().next().map(|message| items::preview(&message.input))
    }

    /// The message with this id.
    pub fn message(&self, id: &TurnId) -> Option<&WaitingMessage> {
        self.messages().find(|message| message.id == *id)
    }

    /// The message that becomes a turn next by itself; none while the queue is held.
    pub fn next(&self) -> Option<&WaitingMessage> {
        if self.hold.is_some() { None } else { self.messages().next() }
    }

    /// Why no message becomes a turn by itself.
    pub fn hold(&self) -> Option<QueueHold> {
        self.hold
    }

    /// Whether this record adds, changes, moves or takes a message.
    pub fn is_changed_by(&self, body: &RecordBody) -> bool {
        if let RecordBody::TurnStarted(started) = body {
            return self.message(&started.turn_id).is_some();
        }
        matches!(
            body,
            RecordBody::QueueAdded(_)
                | RecordBody::QueueUpdated(_)
                | RecordBody::QueueMoved(_)
                | RecordBody::QueueRemoved(_)
        )
    }

    /// The name of the client that deleted this message, if that was not long ago.
    pub fn deleted_by(&self, id: &TurnId) -> Option<&str> {
        self.deleted.iter().find(|deleted| deleted.id == *id).map(|deleted| deleted.by.as_str())
    }

    /// The queue for a header; none if it has nothing to say.
    pub(super) fn header(&self) -> Option<QueueHeader> {
        let at = |queued: &Queued| QueuedAt { id: queued.message.id.clone(), since: queued.since };
        let header = QueueHeader {
            messages: self.messages.iter().map(at).collect(),
            hold: self.hold,
            deleted: self.deleted.iter().cloned().collect(),
        };
        Some(header).filter(|header| *header != QueueHeader::default())
    }

    pub(super) fn add(&mut self, message: &WaitingMessage, since: EventSeq) {
        self.messages.push(Queued { since, message: message.clone() });
    }

    pub(super) fn update(&mut self, message: &WaitingMessage, since: EventSeq) {
        if let Some(queued) = self.messages.iter_mut().find(|queued| queued.message.id == message.id) {
            *queued = Queued { since, message: message.clone() };
        }
    }

    pub(super) fn reorder(&mut self, ids: &[TurnId]) {
        let place = |queued: &Queued| ids.iter().position(|id| *id == queued.message.id);
        // Stable, so messages that are not named keep their order.
        self.messages.sort_by_key(|queued| place(queued).unwrap_or(ids.len()));
    }

    pub(super) fn remove(&mut self, removed: &QueueRemoved) {
        self.take(&removed.id);
        self.deleted.push_back(removed.clone());
        if self.deleted.len() > policy::REMEMBERED_DELETIONS {
            self.deleted.pop_front();
        }
    }

    /// A turn begins. Takes the message that becomes this turn.
    pub(super) fn take(&mut self, turn: &TurnId) {
        self.messages.retain(|queued| queued.message.id != *turn);
        if self.messages.is_empty() {
            self.hold = None;
        }
    }

    /// A turn has ended.
    pub(super) fn turn_ended(&mut self, status: TurnStatus) {
        self.hold = match status {
            TurnStatus::Completed => None,
            _ if self.messages.is_empty() => None,
            TurnStatus::Interrupted => Some(QueueHold::Interrupted),
            TurnStatus::Failed => Some(QueueHold::Failed),
            TurnStatus::InProgress => self.hold,
        };
    }

    /// The thread is loaded. The first load behind a restore holds the queue.
    pub(super) fn opened(&mut self, opened: &ThreadOpened) {
        if opened.boot_id == Uuid::nil() && !self.messages.is_empty() {
            self.hold = Some(QueueHold::Restored);
        }
    }

    /// Takes the queue of a header. Damage may have taken the record of a message, and the message is gone then.
    pub(super) fn take_header(&mut self, header: Option<&QueueHeader>) {
        let Some(header) = header else { return *self = Self::default() };
        let mut before = std::mem::take(&mut self.messages);
        let mut named = |at: &QueuedAt| {
            let there =
                before.iter().position(|queued| queued.message.id == at.id && queued.since == at.since)?;
            Some(before.swap_remove(there))
        };
        self.messages = header.messages.iter().filter_map(&mut named).collect();
        self.hold = header.hold;
        self.deleted = header.deleted.iter().cloned().collect();
    }
}

impl History {
    /// The messages that wait.
    pub fn queue(&self) -> &MessageQueue {
        &self.queue
    }

    /// Reads the messages that a header names, for a history that begins there.
    pub(super) async fn read_queue(
        &mut self,
        store: &dyn RolloutStore,
        thread: ThreadId,
        header: &QueueHeader,
    ) -> Result<(), ReadError> {
        for QueuedAt { id, since } in &header.messages {
            let page = store.read_after(thread, EventSeq(since.0.saturating_sub(1)), 1).await?;
            let record = page.records.first().filter(|record| record.seq == *since);
            match record.and_then(|record| queued_by(&record.body)).filter(|message| message.id == *id) {
                Some(message) => self.queue.add(message, *since),
                None => {
                    tracing::warn!(%thread, message = %id, record = %since, "damage has taken a message out of this thread's queue");
                }
            }
        }
        Ok(())
    }
}

/// The message that the record puts into the queue.
fn queued_by(body: &RecordBody) -> Option<&WaitingMessage> {
    if let RecordBody::QueueAdded(added) = body {
        Some(&added.0)
    } else if let RecordBody::QueueUpdated(updated) = body {
        Some(&updated.0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
