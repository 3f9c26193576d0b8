//! The queue: messages that wait, each of which becomes the turn with its id. The first one becomes a turn in the step in
//! which the thread is idle and nothing holds the queue, behind input that came earlier. Until then the machine counts the
//! thread as active, so that an orphaned thread is not unloaded between two turns.

use skein_config::QueueOrphans;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::notifications::ThreadQueueChanged;
use skein_protocol::thread::{
    ThreadQueueAddParams, ThreadQueueAddResponse, ThreadQueueChangedNotification, ThreadQueueDeleteResponse,
    ThreadQueueReorderResponse, ThreadQueueStartResponse, ThreadQueueUpdateParams, ThreadQueueUpdateResponse,
};
use skein_protocol::turn::{TurnStartParams, UserInput};
use skein_store::history::{History, MessageQueue, json_bytes};
use skein_store::rollout::Keep;
use skein_store::rollout::record::{
    QueueAdded, QueueMoved, QueueRemoved, QueueUpdated, RecordBody, WaitingMessage,
};

use super::answers::answer_repeated_input;
use super::log::Log;
use super::{Owner, ThreadParts, budget};
use crate::outbox::reply::Reply;
use crate::policy;
use crate::thread::command::{Command, Input, InputReply, QueueEdit};
use crate::thread::event::{Event, QueueState};
use crate::thread::machine::{Persistence, Phase};
use crate::thread::queue_error::{Fate, QueueError};
use crate::thread::views;

impl Owner {
    pub(super) fn edit_queue(&mut self, edit: QueueEdit) {
        let log = &mut self.log;
        match edit {
            QueueEdit::Add(params, reply) => self.add_to_queue(params, reply),
            QueueEdit::Update(params, reply) => update(log, params, reply),
            QueueEdit::Delete(message, by, reply) => delete(log, message, by, reply),
            QueueEdit::Reorder(ids, reply) => reorder(log, ids, reply),
            QueueEdit::Start(message, reply) => self.start_queued(message, reply),
        }
        self.note_queue();
    }

    /// `thread/queue/add`. An acknowledged message is on disk, also where it is the first one of its thread.
    fn add_to_queue(&mut self, params: ThreadQueueAddParams, reply: Reply<ThreadQueueAddResponse>) {
        let Some(history) = self.log.history() else { return };
        let ThreadQueueAddParams {
            client_user_message_id: client_id,
            input,
            responsesapi_client_metadata,
            ..
        } = params;
        let same = |message: &&WaitingMessage| message.client_id == client_id && message.input == input;
        let known = history.queue().messages().find(same).map(|message| message.id.clone());
        let known = known.or_else(|| history.seen_message(&client_id, &input).cloned());
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| TurnId::from(self.services.clock.new_id().to_string()));
        let message = WaitingMessage { id, client_id, input, metadata: responsesapi_client_metadata };
        if is_new && !has_room(history.queue(), &message) {
            return reply.err(&full(self.log.id()).coded());
        }
        let queued_submission = views::queued(&message);
        if is_new {
            if let Some(materialised) = self.materialise() {
                self.step(materialised);
            }
            self.log.record_one(QueueAdded(message), Keep::Power);
        }
        self.log.acknowledge(reply, ThreadQueueAddResponse { queued_submission });
        if is_new {
            notify(&mut self.log);
        }
    }

    /// Notifies the machine whether a message is about to become a turn.
    pub(super) fn note_queue(&mut self) {
        let state = if self.parts().next_queued().is_some() { QueueState::Ready } else { QueueState::Quiet };
        self.step(Event::Queue(state));
    }

    /// Begins a turn with the first message, if the thread is idle and nothing holds the queue.
    pub(super) fn run_queue(&mut self) {
        if self.log.history().is_none_or(|history| history.queue().messages().len() == 0) {
            return;
        }
        self.note_queue();
        if self.machine.phase() == Phase::Idle
            && let Some(message) = self.parts().next_queued().cloned()
        {
            self.begin_queued(message, Reply::to_nobody());
        }
    }

    /// `thread/queue/start`.
    fn start_queued(&mut self, message: Option<TurnId>, reply: Reply<ThreadQueueStartResponse>) {
        let Some(history) = self.log.history() else { return };
        let queue = history.queue();
        let found = match &message {
            Some(id) => queue.message(id),
            None => queue.messages().next(),
        };
        match (found.cloned(), message, self.turns.id()) {
            (None, Some(message), _) if history.turn(&message).is_some() => {
                let reply = InputReply::Queued(message.clone(), reply);
                answer_repeated_input(&mut self.log, reply, &message);
            }
            (None, Some(message), _) => reply.err(&gone(self.id, history, message).coded()),
            (None, None, _) => reply.err(&QueueError::Empty { id: self.id }.coded()),
            (Some(_), _, Some(turn)) => {
                reply.err(&QueueError::Waits { id: self.id, turn: turn.clone() }.coded());
            }
            (Some(message), _, None) => match budget::spent(&self.services, &self.log, &self.helpers) {
                Some(error) => reply.err(&error.to_wire()),
                None => self.begin_queued(message, reply),
            },
        }
    }

    fn begin_queued(&mut self, message: WaitingMessage, reply: Reply<ThreadQueueStartResponse>) {
        let WaitingMessage { id, client_id, input, metadata } = message;
        let params = TurnStartParams {
            client_user_message_id: Some(client_id),
            responsesapi_client_metadata: metadata,
            ..TurnStartParams::new(self.id, input)
        };
        let input = Input { params, reply: InputReply::Queued(id, reply) };
        let waiter = self.waiters.add(Command::Input(Box::new(input)));
        self.step(Event::Input(waiter));
    }
}

impl ThreadParts<'_> {
    /// Whether a message becomes a turn without a client, now or after the next load.
    pub(super) fn queue_outlasts(&self) -> bool {
        let is_durable = self.log.persistence() == Persistence::Durable && self.machine.is_materialised();
        let runs = self.services.config().orphans.queue == QueueOrphans::Run;
        is_durable && runs && self.log.history().is_some_and(|history| history.queue().next().is_some())
    }

    /// The message that becomes a turn next by itself.
    fn next_queued(&self) -> Option<&WaitingMessage> {
        let next = self.log.history()?.queue().next()?;
        let has_subscribers = || self.counts().subscribers > 0;
        let runs = match (self.log.persistence(), self.services.config().orphans.queue) {
            // It ends with its last subscriber.
            (Persistence::Ephemeral, _) => has_subscribers(),
            (Persistence::Durable, QueueOrphans::Run) => true,
            // Nothing is on disk before the first turn, so nothing there could wait.
            (Persistence::Durable, QueueOrphans::Hold) => {
                !self.machine.is_materialised() || has_subscribers()
            }
        };
        // While the disk refuses records, the budget is used up, or the server stops, no turn begins.
        let disk_refuses = || self.log.refusal().is_some();
        let may_begin = || {
            !self.turns.drains()
                && !disk_refuses()
                && budget::spent(self.services, self.log, self.helpers).is_none()
        };
        Some(next).filter(|_| runs && may_begin())
    }
}

fn update(log: &mut Log, params: ThreadQueueUpdateParams, reply: Reply<ThreadQueueUpdateResponse>) {
    let Some(history) = log.history() else { return };
    let ThreadQueueUpdateParams { input, queued_submission_id, responsesapi_client_metadata, .. } = params;
    let Some(before) = history.queue().message(&queued_submission_id) else {
        return reply.err(&gone(log.id(), history, queued_submission_id).coded());
    };
    let metadata = responsesapi_client_metadata.or_else(|| before.metadata.clone());
    let message = WaitingMessage { input, metadata, ..before.clone() };
    if !has_room(history.queue(), &message) {
        return reply.err(&full(log.id()).coded());
    }
    let changes = message != *before;
    let response = ThreadQueueUpdateResponse { queued_submission: views::queued(&message) };
    change(log, changes.then(|| QueueUpdated(message).into()), reply, response);
}

fn delete(log: &mut Log, id: TurnId, by: String, reply: Reply<ThreadQueueDeleteResponse>) {
    let Some(history) = log.history() else { return };
    let deleted = history.queue().message(&id).is_some();
    let record = deleted.then(|| QueueRemoved { id, by }.into());
    change(log, record, reply, ThreadQueueDeleteResponse { deleted });
}

fn reorder(log: &mut Log, ids: Vec<TurnId>, reply: Reply<ThreadQueueReorderResponse>) {
    let Some(history) = log.history() else { return };
    let id = log.id();
    for (at, message) in ids.iter().enumerate() {
        if history.queue().message(message).is_none() {
            return reply.err(&gone(id, history, message.clone()).coded());
        }
        if ids.get(..at).is_some_and(|before| before.contains(message)) {
            return reply.err(&QueueError::Twice { id, message: message.clone() }.coded());
        }
    }
    let in_order = history.queue().messages().zip(&ids).all(|(message, id)| message.id == *id);
    change(log, (!in_order).then(|| QueueMoved { ids }.into()), reply, ThreadQueueReorderResponse {});
}

/// Records a change of the queue, answers behind the record, and notifies the subscribers. Without a record nothing changes.
fn change<R: serde::Serialize + Send + 'static>(
    log: &mut Log,
    record: Option<RecordBody>,
    reply: Reply<R>,
    response: R,
) {
    let changes = record.is_some();
    if let Some(record) = record {
        log.record_one(record, Keep::Power);
    }
    log.acknowledge(reply, response);
    if changes {
        notify(log);
    }
}

/// Publishes that the queue has changed.
pub(super) fn notify(log: &mut Log) {
    log.notify::<ThreadQueueChanged>(&ThreadQueueChangedNotification { thread_id: log.id() }, None);
}

/// Whether the queue has room for a message, in place of the one with its id.
fn has_room(queue: &MessageQueue, message: &WaitingMessage) -> bool {
    let bytes = |input: &Vec<UserInput>| json_bytes(input);
    let others = || queue.messages().filter(|other| other.id != message.id);
    let used: usize = others().map(|other| bytes(&other.input)).sum();
    others().count() < policy::QUEUE_MESSAGES && used + bytes(&message.input) <= policy::QUEUE_BYTES
}

fn full(id: ThreadId) -> QueueError {
    QueueError::Full { id, entries: policy::QUEUE_MESSAGES, bytes: policy::QUEUE_BYTES }
}

fn gone(id: ThreadId, history: &History, message: TurnId) -> QueueError {
    let fate = match history.queue().deleted_by(&message) {
        Some(by) => Fate::Deleted(by.to_owned()),
        None if history.turn(&message).is_some() => Fate::BecameTurn,
        None => Fate::Unknown,
    };
    QueueError::Gone { id, message, fate }
}
