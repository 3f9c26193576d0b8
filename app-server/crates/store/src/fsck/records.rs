//! Checks that the records of a rollout follow each other as an owner writes them. Pure. The store judges the lines.
//! Missing records get the benefit of the doubt.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use serde_json::Value;
use skein_base::clock::WallMs;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};

use super::finding::Defect;
use crate::history::{History, NextLoad, RestartTurns};
use crate::rollout::file::{LineAt, TurnOffsets};
use crate::rollout::record::{
    AnswerPart, ModelAnswer, Record, RecordBody, TakenBack, ThreadOpened, TurnCompleted, TurnPlace,
    TurnStarted,
};

mod questions;
#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordDefect {
    pub(crate) kind: Defect,
    pub(crate) seq: EventSeq,
    /// The record's offset in the file, bytes; `None` where records are no file.
    pub(crate) offset: Option<u64>,
    pub(crate) detail: String,
}

/// The state of a rollout so far.
#[derive(Debug)]
pub(crate) struct RecordCheck {
    thread: ThreadId,
    /// The fold from the last header on, or from the beginning.
    history: History,
    /// Whether the fold has every record: none was missing since.
    whole: bool,
    /// Whether no record was missing so far.
    complete: bool,
    /// Whether no record was missing since the start of the last turn.
    known: bool,
    turn: Option<OpenTurn>,
    opened: Option<ThreadOpened>,
    epoch: Epoch,
    /// The thread that the rollout claims to be, with the record and its offset.
    created: Option<(ThreadId, EventSeq, Option<u64>)>,
    /// Whether the thread's own beginning follows records of another one: it is a fork.
    forked: bool,
    closed: bool,
    records: u64,
    /// The first records of turns.
    begun: Vec<EventSeq>,
    /// The records that may hold the current settings; empty if unknown.
    settings_records: Vec<EventSeq>,
    /// The turn offsets, and those without whitespace that was added before line ends. `None` where records are no file.
    offsets: Option<[TurnOffsets; 2]>,
    wrong: Vec<RecordDefect>,
}

/// The result of a whole rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CheckedRecords {
    pub(crate) wrong: Vec<RecordDefect>,
    pub(crate) records: u64,
    /// Whether a turn has no end.
    pub(crate) open: bool,
}

/// Whether a message is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Yes,
    No,
}

#[derive(Debug)]
struct OpenTurn {
    id: TurnId,
    at: WallMs,
    /// The items of its user messages, which need no start.
    user_items: HashSet<ItemId>,
    items: HashSet<ItemId>,
    /// Its questions that have no answer and no end so far. The end of its item may come first.
    questions: HashSet<i64>,
}

impl RecordCheck {
    /// A rollout without records so far.
    pub(crate) fn of(thread: ThreadId) -> Self {
        Self {
            thread,
            history: History::of(thread),
            whole: true,
            complete: true,
            known: true,
            turn: None,
            opened: None,
            epoch: Epoch(0),
            created: None,
            forked: false,
            closed: false,
            records: 0,
            begun: Vec::new(),
            settings_records: Vec::new(),
            offsets: None,
            wrong: Vec::new(),
        }
    }

    /// Takes the next record, and its place where records are a file.
    pub(crate) fn take(&mut self, record: &Record, at: Option<LineAt>) {
        let offset = at.map(|at| at.offset);
        if record.seq > self.history.seq().next() {
            (self.whole, self.complete, self.known, self.turn) = (false, false, false, None);
            self.settings_records.clear();
        }
        if matches!(record.body, RecordBody::TurnStarted(_)) {
            self.begun.push(record.seq);
        }
        let before = self.wrong.len();
        self.judge(record);
        for wrong in self.wrong.iter_mut().skip(before) {
            (wrong.seq, wrong.offset) = (record.seq, offset);
        }
        if let RecordBody::ThreadCreated(created) = &record.body {
            self.created = Some((created.id, record.seq, offset));
        }
        self.closed = matches!(record.body, RecordBody::ThreadClosed(_));
        self.records += 1;
        if let Some(LineAt { offset, added }) = at {
            let [is, was] = self.offsets.get_or_insert_default();
            is.note(record, offset);
            was.note(record, offset.saturating_sub(added));
        }
        self.note_settings(record);
        if let Some(header) = record.header() {
            // From here on only the header counts, so that memory does not grow with the rollout.
            let mut next = History::of(self.thread);
            next.take_settings_of(&self.history);
            next.take_preview_of(&self.history);
            next.leap(header, record.seq);
            next.take_queue_of(&self.history);
            (self.history, self.whole) = (next, true);
        }
        self.history.apply(record);
        if matches!(record.body, RecordBody::Reverted(_)) && self.all_taken_back() {
            self.history.nothing_left();
        }
    }

    /// Whether reverts took back every turn so far. A fold from a header on does not know.
    fn all_taken_back(&self) -> bool {
        let all = 0..self.begun.len();
        self.complete && self.turns_in(self.history.taken_back()) == std::slice::from_ref(&all)
    }

    fn note_settings(&mut self, record: &Record) {
        let Some(settings) = record.body.settings() else { return };
        if settings != self.history.settings() {
            self.settings_records.clear();
        }
        self.settings_records.push(record.seq);
        if let RecordBody::TurnCompleted(completed) = &record.body {
            self.settings_records.extend(completed.header.settings_at);
        }
    }

    /// Ends the rollout: adds the defects that only the end shows.
    pub(crate) fn end(mut self) -> CheckedRecords {
        if let Some((id, seq, offset)) = self.created.filter(|(id, _, _)| *id != self.thread && !self.forked)
        {
            let detail = format!("it says that it is thread {id}, and is named after {}", self.thread);
            self.wrong.push(RecordDefect { kind: Defect::Identity, seq, offset, detail });
        }
        // A turn that waits for an answer needs no mark: the next start has nothing to end.
        let open = self.history.open_turn().is_some() && !self.history.open_turn_waits();
        CheckedRecords { wrong: self.wrong, records: self.records, open }
    }

    /// Checks that the record may stand at its place, whatever it says.
    fn judge_place(&mut self, record: &Record) {
        let body = &record.body;
        if record.seq == EventSeq(1) && !matches!(body, RecordBody::ThreadOpened(_)) {
            self.says(Defect::Beginning, format!("it begins with {}, not with thread.opened", body.kind()));
        }
        let begins = matches!(body, RecordBody::ThreadOpened(_) | RecordBody::Forked(_));
        if self.closed && self.known && !begins {
            self.says(Defect::Close, format!("{} follows a thread.closed", body.kind()));
        }
    }

    fn judge(&mut self, record: &Record) {
        self.judge_place(record);
        match &record.body {
            RecordBody::ThreadCreated(_)
            | RecordBody::ThreadNamed(_)
            | RecordBody::ThreadMeta(_)
            | RecordBody::ThreadRead(_)
            | RecordBody::GoalChanged(_)
            | RecordBody::ModelAsked(_)
            | RecordBody::TurnUsage(_)
            | RecordBody::Compacted(_)
            | RecordBody::ItemsInjected(_)
            | RecordBody::FilesRead(_)
            | RecordBody::Archived(_)
            | RecordBody::Unarchived(_)
            | RecordBody::Imported(_)
            | RecordBody::Unknown(_) => {}
            RecordBody::QuestionAsked(_)
            | RecordBody::QuestionAnswered(_)
            | RecordBody::QuestionClosed(_)
            | RecordBody::CallBegun(_)
            | RecordBody::CallPaused(_)
            | RecordBody::TurnResumed(_) => self.judge_open_turn(&record.body),
            RecordBody::QueueAdded(_)
            | RecordBody::QueueUpdated(_)
            | RecordBody::QueueMoved(_)
            | RecordBody::QueueRemoved(_) => self.judge_queue(&record.body),
            RecordBody::ThreadOpened(opened) => self.thread_opened(opened),
            RecordBody::ThreadClosed(_) => self.thread_closed(),
            RecordBody::TurnStarted(started) => self.turn_started(started, record.at),
            RecordBody::ItemStarted(started) => self.item_started(&started.turn_id, started.item.id()),
            RecordBody::ItemCheckpoint(more) => self.item_goes_on(&more.turn_id, &more.item_id, "more text"),
            RecordBody::ItemCompleted(done) => self.item_completed(&done.turn_id, done.item.id()),
            RecordBody::ModelAnswer(answer) => self.answered(answer),
            RecordBody::TurnCompleted(completed) => self.turn_completed(completed),
            RecordBody::Reverted(reverted) => self.reverted(reverted.epoch),
            RecordBody::Forked(forked) => {
                self.forked = true;
                self.epoch_is(forked.epoch);
            }
        }
    }

    fn reverted(&mut self, epoch: Epoch) {
        self.turn = None;
        self.epoch_is(epoch);
    }

    fn judge_queue(&mut self, body: &RecordBody) {
        if let RecordBody::QueueAdded(added) = body {
            self.queued(&added.0.id, Waits::No, body.kind());
        } else if let RecordBody::QueueUpdated(updated) = body {
            self.queued(&updated.0.id, Waits::Yes, body.kind());
        } else if let RecordBody::QueueMoved(moved) = body {
            moved.ids.iter().for_each(|id| self.queued(id, Waits::Yes, body.kind()));
        } else if let RecordBody::QueueRemoved(removed) = body {
            self.queued(&removed.id, Waits::Yes, body.kind());
        }
    }

    /// Checks that the items of an answer belong to its turn. Texts may have ended by then, and calls have begun.
    fn answered(&mut self, answer: &ModelAnswer) {
        let Some(open) = self.in_turn(&answer.turn_id, "an answer") else { return };
        let calls = answer.parts.iter().filter_map(|part| match part {
            AnswerPart::Call(call) => call.item_id.as_ref(),
            AnswerPart::Text { .. } | AnswerPart::Raw { .. } | AnswerPart::Thought { .. } => None,
        });
        let strange: Vec<ItemId> = calls.filter(|id| !open.items.contains(*id)).cloned().collect();
        for item in strange {
            self.says(Defect::Item, format!("an answer names the call {item}, which is not open"));
        }
    }

    fn item_completed(&mut self, turn: &TurnId, item: &ItemId) {
        self.item_goes_on(turn, item, "the end");
        if let Some(turn) = &mut self.turn {
            turn.items.remove(item);
        }
    }

    fn says(&mut self, kind: Defect, detail: String) {
        self.wrong.push(RecordDefect { kind, seq: EventSeq(0), offset: None, detail });
    }

    /// Checks that a message of the queue waits before the record `kind` of it, or does not.
    fn queued(&mut self, id: &TurnId, expected: Waits, kind: &str) {
        let waits = if self.history.queue().message(id).is_some() { Waits::Yes } else { Waits::No };
        match (waits, expected) {
            (Waits::No, Waits::Yes) if self.whole => {
                self.says(Defect::Queue, format!("{kind} of message {id}, which is not in the queue"));
            }
            (Waits::Yes, Waits::No) if self.whole => {
                self.says(Defect::Queue, format!("{kind} of message {id}, which is in the queue already"));
            }
            (Waits::Yes | Waits::No, _) => {}
        }
    }

    fn thread_opened(&mut self, opened: &ThreadOpened) {
        if let Some(before) = self.opened.filter(|before| before.term > opened.term) {
            let (before, now) = (before.term.0, opened.term.0);
            self.says(Defect::Term, format!("it was opened by ownership {now} after ownership {before}"));
        }
        self.opened = Some(*opened);
        self.epoch_is(opened.epoch);
    }

    fn epoch_is(&mut self, epoch: Epoch) {
        if epoch < self.epoch {
            self.says(Defect::Epoch, format!("its epoch falls from {} to {epoch}", self.epoch));
        }
        self.epoch = self.epoch.max(epoch);
    }

    /// A turn stays open over an unload if it waits for an answer.
    fn thread_closed(&mut self) {
        let goes_on = matches!(self.history.next_load(RestartTurns::Asked), NextLoad::GoOn(_));
        if goes_on || !self.whole {
            return;
        }
        if let Some(turn) = self.turn.take() {
            self.says(Defect::Close, format!("it is closed, and turn {} has no end", turn.id));
        }
    }

    fn turn_started(&mut self, started: &TurnStarted, at: WallMs) {
        if let Some(before) = self.turn.take() {
            self.says(
                Defect::Turn,
                format!("turn {} begins, and turn {} has no end", started.turn_id, before.id),
            );
        }
        self.known = true;
        let user_items = started.item_id.iter().cloned().collect();
        self.turn = Some(OpenTurn {
            id: started.turn_id.clone(),
            at,
            user_items,
            items: HashSet::new(),
            questions: HashSet::new(),
        });
    }

    /// The open turn if it is this one; a defect otherwise.
    fn in_turn(&mut self, id: &TurnId, what: &str) -> Option<&mut OpenTurn> {
        let is_it = self.turn.as_ref().is_some_and(|turn| turn.id == *id);
        if !is_it && self.known {
            self.says(Defect::Turn, format!("{what} of turn {id}, which is not open"));
        }
        self.turn.as_mut().filter(|_| is_it)
    }

    fn item_started(&mut self, turn: &TurnId, item: &ItemId) {
        let Some(open) = self.in_turn(turn, "the start of an item") else { return };
        if !open.items.insert(item.clone()) {
            self.says(Defect::Item, format!("item {item} begins twice"));
        }
    }

    fn item_goes_on(&mut self, turn: &TurnId, item: &ItemId, what: &str) {
        let Some(open) = self.in_turn(turn, "an item") else { return };
        if !open.items.contains(item) && !open.user_items.remove(item) {
            self.says(Defect::Item, format!("{what} of item {item}, which is not open"));
        }
    }

    fn turn_completed(&mut self, completed: &TurnCompleted) {
        // The turn had ended, and clients learned that it is not saved.
        if completed.unsaved && self.turn.is_none() {
            return self.header_agrees(completed);
        }
        let Some(turn) = self.in_turn(&completed.turn_id, "the end").map(|turn| (turn.at, turn.items.len()))
        else {
            self.header_agrees(completed);
            return;
        };
        let (at, open) = turn;
        if open > 0 {
            self.says(
                Defect::Item,
                format!("turn {} ends, and {open} of its items are open", completed.turn_id),
            );
        }
        if completed.started_at_ms.is_some_and(|started| started != at.0) {
            self.says(Defect::Header, "it says another time for the start of its turn".to_owned());
        }
        let agrees = |says: TurnPlace| {
            self.offsets.is_none_or(|offsets| {
                offsets.iter().any(|place| Some(says.turn_at) == place.turn)
                    && offsets.iter().any(|place| says.compacted_at == place.compacted)
            })
        };
        if self.whole && !completed.place.is_none_or(agrees) {
            self.says(
                Defect::Place,
                "it names another place than that of its turn or of the last summary".to_owned(),
            );
        }
        self.header_agrees(completed);
        self.turn = None;
    }

    /// Compares a header with the fold so far.
    fn header_agrees(&mut self, completed: &TurnCompleted) {
        let says = &completed.header;
        self.epoch_is(says.epoch);
        if !self.whole || says.opened.is_none() {
            return;
        }
        let mut folded = self.history.header();
        if self.turns_in(&folded.taken_back) == self.turns_in(&says.taken_back) {
            // The same reverted turns may stand in one stretch or in several.
            folded.taken_back.clone_from(&says.taken_back);
        }
        if !self.complete {
            // The first message may be among the missing records.
            folded.preview.clone_from(&says.preview);
        }
        // An earlier version or an import wrote the header without these.
        if says.read.is_none() {
            folded.read = None;
        }
        if says.spent.is_none() {
            folded.spent = None;
        }
        if let (Some(forked), Some(EventSeq(0))) =
            (&mut folded.forked, says.forked.as_ref().map(|says| says.seq))
        {
            forked.seq = EventSeq(0);
        }
        if says.updated_at_ms < folded.updated_at_ms {
            // An earlier version wrote it after its clock had been set back.
            folded.updated_at_ms = says.updated_at_ms;
        }
        let settings = says.settings.as_ref().map(|_| self.history.settings().clone());
        folded.settings = if self.settings_records.is_empty() { says.settings.clone() } else { settings };
        if says
            .settings_at
            .is_none_or(|at| self.settings_records.is_empty() || self.settings_records.contains(&at))
        {
            folded.settings_at = says.settings_at;
        }
        if folded != *says {
            let (one, other) = (serde_json::to_value(says), serde_json::to_value(&folded));
            let differs = members_that_differ(&one.unwrap_or_default(), &other.unwrap_or_default());
            self.says(Defect::Header, format!("it differs from the records before it in: {differs}"));
        }
    }

    /// The turns in these stretches, as ranges of all turns.
    fn turns_in(&self, taken_back: &[TakenBack]) -> Vec<Range<usize>> {
        let mut stretches: Vec<Range<usize>> = Vec::new();
        for records in taken_back {
            let from = self.begun.partition_point(|seq| *seq < records.from);
            let to = self.begun.partition_point(|seq| *seq <= records.to);
            match stretches.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(to),
                Some(_) | None if from < to => stretches.push(from..to),
                Some(_) | None => {}
            }
        }
        stretches
    }
}

/// The names of members in which two objects differ.
fn members_that_differ(one: &Value, other: &Value) -> String {
    let names = [one, other].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    let names: BTreeSet<&String> = names.filter(|name| one.get(name) != other.get(name)).collect();
    names.into_iter().cloned().collect::<Vec<_>>().join(", ")
}
