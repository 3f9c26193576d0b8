//! The records of an imported thread. Pure. The history is folded on the way, so that the ends of turns have the same
//! headers as an owner's.

use crate::history::{History, cut_short};
use crate::home::Term;
use crate::rollout::record::{
    Compacted, Imported, ItemCompleted, ItemStarted, KeptMessages, Record, RecordBody, ThreadClosed,
    ThreadMeta, ThreadNamed, ThreadOpened, TurnStarted, TurnUsage,
};
use skein_base::clock::WallMs;
use skein_protocol::ids::Epoch;
use skein_protocol::item::{
    CommandExecutionStatus, DynamicToolCallStatus, McpToolCallStatus, PatchApplyStatus, ThreadItem,
    ThreadItemBody,
};
use skein_protocol::turn::TurnStatus;
use uuid::Uuid;

use super::calls;
use super::meta::Meta;
use super::turns::{ForeignThread, ForeignTurn};

/// The identity of the import.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Importer {
    /// This boot of the machine.
    pub(crate) boot_id: Uuid,
    /// The ownership of the home.
    pub(crate) term: Term,
    /// The new version of the history.
    pub(crate) epoch: Epoch,
}

/// The records of the thread, from opening to closing. Empty without a message.
pub(crate) fn records(meta: &Meta, talk: ForeignThread, from: Imported, importer: Importer) -> Vec<Record> {
    let mut made = ImportedRecords { history: History::of(meta.created.id), records: Vec::new() };
    let Importer { boot_id, term, epoch } = importer;
    let mut created = meta.created.clone();
    if let Some(first) = talk.turns.first() {
        created.settings = first.settings.clone();
    }
    let mut settings = created.settings.clone();
    made.add(meta.at, ThreadOpened { boot_id, term, epoch });
    made.add(meta.at, created);
    let note = made.records.len();
    made.add(meta.at, from.clone());
    if talk.name.is_some() {
        made.add(meta.at, ThreadNamed { name: talk.name });
    }
    let mut last = meta.at;
    for turn in talk.turns {
        last = turn.last.max(turn.began);
        if turn.settings != settings {
            settings = turn.settings.clone();
            made.add(turn.began, ThreadMeta { settings: Some(settings.clone()), git_info: None });
        }
        made.turn(turn);
    }
    if !made.history.is_materialised() {
        return Vec::new();
    }
    made.add(last, ThreadClosed {});
    let all = made.history.seq();
    if let Some(record) = made.records.get_mut(note) {
        record.body = Imported { last: all, ..from }.into();
    }
    made.records
}

struct ImportedRecords {
    history: History,
    records: Vec<Record>,
}

impl ImportedRecords {
    fn add(&mut self, at: WallMs, body: impl Into<RecordBody>) {
        let record = Record { seq: self.history.seq().next(), at, body: body.into() };
        self.history.apply(&record);
        // An ended turn needs nothing beyond its records.
        if matches!(record.body, RecordBody::TurnCompleted(_)) {
            self.history.drop_oldest(0);
        }
        self.records.push(record);
    }

    fn turn(&mut self, turn: ForeignTurn) {
        let ForeignTurn { id: turn_id, items, status, declared, .. } = turn;
        let first = items.first().and_then(|item| {
            if let ThreadItemBody::UserMessage(said) = &item.body { Some(said.clone()) } else { None }
        });
        let (input, item_id, client_id) =
            first.map(|said| (said.content, Some(said.id), said.client_id)).unwrap_or_default();
        let said = item_id.clone();
        self.add(
            turn.began,
            TurnStarted { turn_id: turn_id.clone(), input, item_id, client_id, terms: None },
        );
        // A turn without a start line has no end line either.
        let status = status.unwrap_or(if declared { TurnStatus::Interrupted } else { TurnStatus::Completed });
        for item in items {
            let item = if calls::is_open(&item) { cut_short(item) } else { item };
            let at = item.completed_at_ms.map_or(turn.last, WallMs);
            // The turn's start already has this message.
            if said.as_ref() != Some(item.id()) {
                let began = item.started_at_ms.map_or(at, WallMs);
                self.add(began, ItemStarted { turn_id: turn_id.clone(), item: begun(item.clone()) });
            }
            self.add(at, ItemCompleted { turn_id: turn_id.clone(), item });
        }
        if let Some(summary) = turn.summary {
            self.add(
                turn.last,
                Compacted { turn_id: turn_id.clone(), summary, kept: KeptMessages::Messages },
            );
        }
        if let Some(usage) = turn.usage {
            self.add(turn.last, TurnUsage { turn_id: turn_id.clone(), usage });
        }
        let mut end = self.history.turn_completed_record(turn_id, status, turn.error);
        if let RecordBody::TurnCompleted(completed) = &mut end {
            // The importing user has read the thread.
            completed.header.read = None;
        }
        self.add(turn.last, end);
    }
}

/// An item as it was at its start, for clients that resume by number. Answers get their text at the end.
fn begun(mut item: ThreadItem) -> ThreadItem {
    item.completed_at_ms = None;
    if let ThreadItemBody::AgentMessage(message) = &mut item.body {
        message.text.clear();
    } else if let ThreadItemBody::Plan(plan) = &mut item.body {
        plan.text.clear();
    } else if let ThreadItemBody::Reasoning(reasoning) = &mut item.body {
        (reasoning.summary, reasoning.content) = (Vec::new(), Vec::new());
    } else if let ThreadItemBody::CommandExecution(command) = &mut item.body {
        command.status = CommandExecutionStatus::InProgress;
        (command.aggregated_output, command.exit_code, command.duration_ms) = (None, None, None);
    } else if let ThreadItemBody::McpToolCall(call) = &mut item.body {
        call.status = McpToolCallStatus::InProgress;
        (call.result, call.error, call.duration_ms) = (None, None, None);
    } else if let ThreadItemBody::DynamicToolCall(call) = &mut item.body {
        call.status = DynamicToolCallStatus::InProgress;
        (call.content_items, call.success, call.duration_ms) = (None, None, None);
    } else if let ThreadItemBody::FileChange(change) = &mut item.body {
        change.status = PatchApplyStatus::InProgress;
    }
    item
}

/// The note about an import at the start of a rollout, and the version of its history.
pub(crate) fn note(beginning: &[Record]) -> Option<(Imported, Epoch)> {
    let (mut epoch, mut note) = (None, None);
    for record in beginning {
        if let RecordBody::ThreadOpened(opened) = &record.body {
            epoch = epoch.or(Some(opened.epoch));
        } else if let RecordBody::Imported(imported) = &record.body {
            note = Some((**imported).clone());
        }
    }
    note.zip(epoch)
}

/// The number of records before which that note must come.
pub(crate) const BEGINNING: usize = 3;
