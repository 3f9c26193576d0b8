//! The effect of each record on a history. Pure.

use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::thread::GitInfo;
use skein_protocol::turn::{Turn, TurnStatus, UserInput};

use super::open_turn::OpenTurnRecords;
use super::spending::TurnSpent;
use super::{History, LoadedTurn, items, window};
use crate::rollout::record::{
    AnswerPart, ItemCheckpoint, ItemCompleted, ItemStarted, ModelAnswer, QuestionAnswered, QuestionKind,
    Record, RecordBody, ThreadCreated, ThreadMeta, ThreadOpened, TurnCompleted, TurnStarted, TurnUsage,
};

impl History {
    /// Applies the next record. A record with a number that was applied before changes nothing.
    pub fn apply(&mut self, record: &Record) {
        if record.seq <= self.seq {
            return;
        }
        if self.seq == EventSeq(0) {
            (self.created_at, self.updated_at) = (record.at, record.at);
        }
        if record.seq > self.seq.next() {
            self.miss(EventSeq(record.seq.0 - 1));
        }
        (self.seq, self.at) = (record.seq, record.at);
        self.closed = matches!(record.body, RecordBody::ThreadClosed(_));
        if is_event(&record.body) {
            self.last_event = record.seq;
        }
        self.take(record);
    }

    fn take(&mut self, record: &Record) {
        let at = record.at;
        match &record.body {
            RecordBody::ThreadCreated(created) => self.thread_created(created, record.seq, at),
            RecordBody::ThreadOpened(opened) => self.thread_opened(opened, at),
            RecordBody::ThreadNamed(named) => self.name.clone_from(&named.name),
            RecordBody::ThreadMeta(meta) => self.thread_meta(meta, record.seq),
            RecordBody::ThreadRead(read) => self.marked(read, record.seq),
            RecordBody::GoalChanged(set) => self.goal.clone_from(&set.goal),
            RecordBody::QueueAdded(added) => self.queue.add(&added.0, record.seq),
            RecordBody::QueueUpdated(updated) => self.queue.update(&updated.0, record.seq),
            RecordBody::QueueMoved(moved) => self.queue.reorder(&moved.ids),
            RecordBody::QueueRemoved(removed) => self.queue.remove(removed),
            RecordBody::ModelAnswer(answer) => self.model_answered(answer),
            RecordBody::QuestionAsked(asked) => self.open_turn_records.question_asked(asked, at),
            RecordBody::QuestionAnswered(answered) => self.question_answered(answered, at),
            RecordBody::QuestionClosed(closed) => self.open_turn_records.question_closed(closed),
            RecordBody::CallBegun(begun) => self.open_turn_records.call_begun(begun, at),
            RecordBody::CallPaused(paused) => self.open_turn_records.call_paused(paused),
            RecordBody::TurnResumed(resumed) => self.open_turn_records.turn_resumed(resumed),
            RecordBody::TurnStarted(started) => self.turn_started(started, record.seq, at),
            RecordBody::ItemStarted(started) => self.item_started(started, at),
            RecordBody::ItemCheckpoint(checkpoint) => self.item_checkpoint(checkpoint, at),
            RecordBody::ItemCompleted(completed) => self.item_completed(completed, at),
            RecordBody::TurnCompleted(completed) => self.turn_completed(completed, record.seq, at),
            RecordBody::TurnUsage(usage) => self.turn_usage(usage, at),
            RecordBody::ModelAsked(asked) => self.model_asked(asked, at),
            RecordBody::Reverted(reverted) => {
                self.epoch = reverted.epoch;
                self.revert(reverted, record.seq, at);
            }
            RecordBody::Forked(forked) => self.forked(forked, record.seq, at),
            // The location of the rollout decides whether a thread is archived, see `set_archived`. Items that
            // clients inject stay in the records: only a request to the model needs them.
            RecordBody::Archived(_)
            | RecordBody::ItemsInjected(_)
            | RecordBody::FilesRead(_)
            | RecordBody::Unarchived(_)
            | RecordBody::Imported(_)
            | RecordBody::ThreadClosed(_)
            | RecordBody::Compacted(_)
            | RecordBody::Unknown(_) => {}
        }
    }

    fn thread_created(&mut self, created: &ThreadCreated, seq: EventSeq, at: WallMs) {
        if self.id.uuid().is_nil() {
            self.id = created.id;
        }
        self.note_settings(&created.settings, seq);
        self.git_info.clone_from(&created.git_info);
        self.created = Some(created.clone());
        (self.created_at, self.updated_at) = (at, self.updated_at.max(at));
    }

    fn thread_opened(&mut self, opened: &ThreadOpened, at: WallMs) {
        self.opened = Some(*opened);
        (self.epoch, self.lost) = (opened.epoch, false);
        self.queue.opened(opened);
        self.open_turn_records.opened(opened, at);
    }

    fn turn_usage(&mut self, usage: &TurnUsage, at: WallMs) {
        self.used_for_goal(&usage.usage);
        self.spent(&usage.usage, at);
        self.usage = Some(usage.usage);
    }

    fn model_answered(&mut self, answer: &ModelAnswer) {
        self.open_turn_records.answered(answer);
        if answer.parts.iter().any(|part| matches!(part, AnswerPart::Call(_))) {
            self.spending.turn.rounds += 1;
        }
    }

    fn question_answered(&mut self, answered: &QuestionAnswered, at: WallMs) {
        let Some(asked) = self.open_turn_records.question_answered(answered) else { return };
        if asked.asked.kind == QuestionKind::Budget {
            self.budget_answered(&asked, answered, at);
        }
    }

    fn thread_meta(&mut self, meta: &ThreadMeta, seq: EventSeq) {
        if let Some(settings) = &meta.settings {
            self.note_settings(settings, seq);
        }
        if let Some(git_info) = &meta.git_info {
            self.git_info = Some(git_info.clone()).filter(|said| *said != GitInfo::default());
        }
    }

    /// Notes a use of the thread. A clock that was set back does not move the time back.
    pub(super) fn used(&mut self, at: WallMs) {
        self.updated_at = self.updated_at.max(at);
    }

    fn turn_started(&mut self, started: &TurnStarted, seq: EventSeq, at: WallMs) {
        // Damage has taken the end of the turn before this one.
        self.end_open_turn();
        self.queue.take(&started.turn_id);
        self.open_turn_records = OpenTurnRecords::of(started);
        self.spending.turn = TurnSpent::default();
        let turn = Turn::new(started.turn_id.clone(), at.seconds());
        // A turn that names a message without input answers the message of the turn before it.
        let answers = started.client_id.clone().filter(|_| started.input.is_empty());
        self.turns.push(LoadedTurn { turn, at: seq, started: at, bytes: None, unsaved: false, answers });
        self.show_missing();
        self.used(at);
        if let Some(item_id) = &started.item_id {
            let mut item =
                ThreadItem::user_message(item_id.clone(), started.input.clone(), started.client_id.clone());
            item.started_at_ms = Some(at.0);
            self.put(&started.turn_id, item);
        }
        self.unstarted.clone_from(&started.item_id);
        if !started.input.is_empty() {
            self.add_user_message(&started.turn_id, &started.input, started.client_id.as_deref());
        } else if let Some(client_id) = &started.client_id {
            self.messages.answered_by(&started.turn_id, client_id);
        }
    }

    fn item_started(&mut self, started: &ItemStarted, at: WallMs) {
        let mut item = started.item.clone();
        item.started_at_ms = item.started_at_ms.or(Some(at.0));
        let id = item.id().clone();
        if self.unstarted.take_if(|unstarted| *unstarted == id).is_none() {
            // The turn's own message is no new activity, also when it is written after a crash.
            self.used(at);
        }
        self.put(&started.turn_id, item);
        if self.open_turn().is_some_and(|turn| turn.id == started.turn_id) && !self.open_items.contains(&id) {
            self.open_turn_records.item_started(&started.item);
            self.open_items.push(id);
        }
    }

    fn item_checkpoint(&mut self, checkpoint: &ItemCheckpoint, at: WallMs) {
        self.used(at);
        // The item already has the received text that an owner writes in a checkpoint.
        let heard =
            |(item, text): &(ItemId, String)| *item == checkpoint.item_id && *text == checkpoint.added;
        if let Some(recorded) = self.unrecorded.iter().position(heard) {
            self.unrecorded.swap_remove(recorded);
            return;
        }
        if let Some(held) = self.held(&checkpoint.turn_id)
            && let Some(item) = held.turn.items.iter_mut().find(|item| *item.id() == checkpoint.item_id)
        {
            items::add_text(item, checkpoint.to, &checkpoint.added);
        }
    }

    fn item_completed(&mut self, completed: &ItemCompleted, at: WallMs) {
        let mut item = completed.item.clone();
        item.completed_at_ms = item.completed_at_ms.or(Some(at.0));
        let began = self.open_items.extract_if(.., |open| open == item.id()).count() > 0;
        let is_message = matches!(item.body, ThreadItemBody::UserMessage(_));
        self.open_turn_records.item_completed(item.id(), began || is_message);
        self.unstarted.take_if(|unstarted| unstarted == item.id());
        self.unrecorded.retain(|(heard, _)| heard != item.id());
        self.put(&completed.turn_id, item);
    }

    fn turn_completed(&mut self, completed: &TurnCompleted, seq: EventSeq, at: WallMs) {
        self.name.clone_from(&completed.header.name);
        self.take_settings(&completed.header, seq);
        if completed.header.usage.is_some() {
            self.usage.clone_from(&completed.header.usage);
        }
        if let Some(updated) = completed.header.updated_at_ms {
            // A reader that begins at this header sees the same time. Earlier versions let the time fall.
            self.updated_at = WallMs(updated);
        }
        self.take_spent(&completed.header);
        self.take_origin(&completed.header);
        self.take_user_state(&completed.header);
        self.queue.take_header(completed.header.queue.as_ref());
        self.queue.turn_ended(completed.status);
        self.ended_unread(&completed.turn_id, &completed.header, seq);
        // An interruption is no activity: closing a thread after a crash must not move it up in lists.
        if completed.status != TurnStatus::Interrupted {
            self.used(at);
        }
        if self.open_turn().is_some_and(|turn| turn.id == completed.turn_id) {
            self.open_items.clear();
            self.open_turn_records = OpenTurnRecords::default();
            self.unstarted = None;
        }
        let started = completed.started_at_ms.map(WallMs);
        let started = started.or_else(|| self.held(&completed.turn_id).map(|held| held.started));
        // A turn that had ended before counts its time only once.
        let started = started.filter(|_| !completed.unsaved);
        let took_ms = started.map_or(0, |started| at.0.saturating_sub(started.0).max(0));
        self.worked_for_goal(took_ms, at);
        if completed.unsaved {
            self.messages.not_saved(&completed.turn_id);
        }
        if let Some(held) = self.held(&completed.turn_id) {
            held.unsaved = completed.unsaved;
            held.turn.status = completed.status;
            held.turn.error.clone_from(&completed.error);
            held.turn.completed_at = Some(at.seconds());
            held.turn.duration_ms = Some(at.0.saturating_sub(held.started.0).max(0));
            held.bytes = Some(window::json_bytes(&held.turn));
        }
    }

    /// Replaces an item of a turn in its place, or adds it at the end. The item's start time stays.
    fn put(&mut self, turn: &TurnId, mut item: ThreadItem) {
        if let ThreadItemBody::UserMessage(message) = &item.body {
            let (content, client_id) = (message.content.clone(), message.client_id.clone());
            self.add_user_message(turn, &content, client_id.as_deref());
        }
        let Some(held) = self.held(turn) else { return };
        if let Some(there) = held.turn.items.iter_mut().find(|there| there.id() == item.id()) {
            item.started_at_ms = item.started_at_ms.or(there.started_at_ms);
            *there = item;
        } else {
            held.turn.items.push(item);
        }
    }

    fn held(&mut self, turn: &TurnId) -> Option<&mut LoadedTurn> {
        self.turns.iter_mut().rev().find(|held| held.turn.id == *turn)
    }

    fn add_user_message(&mut self, turn: &TurnId, content: &[UserInput], client_id: Option<&str>) {
        if self.preview.is_none() {
            self.preview = Some(items::preview(content));
        }
        if let Some(client_id) = client_id {
            self.messages.note(turn, content, client_id);
        }
    }
}

/// Whether clients get an event for this record. The code that sends events also makes them.
pub fn is_event(body: &RecordBody) -> bool {
    matches!(
        body,
        RecordBody::TurnStarted(_)
            | RecordBody::ItemStarted(_)
            | RecordBody::ItemCompleted(_)
            | RecordBody::TurnCompleted(_)
            | RecordBody::ThreadNamed(_)
            | RecordBody::Reverted(_)
            | RecordBody::TurnUsage(_)
    )
}
