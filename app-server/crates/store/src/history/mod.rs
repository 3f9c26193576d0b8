//! The state of a thread as its records define it: turns with items, name and settings, open items. Pure: an owner
//! applies every record that it writes, a load applies the records that it reads, and both get the same state.

use std::ops::Not;

use serde_json::{Map, Value};
use skein_base::clock::WallMs;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::{GitInfo, SessionSource, Thread, ThreadStatus};
use skein_protocol::turn::{Turn, TurnError, TurnItemsView, TurnStatus};
use uuid::Uuid;

use crate::home::HomePaths;
use crate::rollout::record::{
    ForkOrigin, Goal, ItemCheckpoint, ItemCompleted, ItemStarted, ItemText, ReadPosition, Record, RecordBody,
    SecretValues, StoredSettings, TakenBack, ThreadCreated, ThreadHeader, ThreadOpened, TurnCompleted,
};

mod cut;
mod damage;
mod edits;
mod fold;
mod items;
pub mod markdown;
mod messages;
mod open_turn;
mod queue;
pub mod read;
mod settings_source;
mod spending;
/// A question as lists show it.
fn waiting(open: &TurnQuestion) -> WaitingQuestion {
    WaitingQuestion { id: open.asked.id, kind: open.asked.kind, asked: open.at }
}

#[cfg(test)]
mod tests;
mod user_state;
mod window;

pub use crate::rollout::row::{ThreadRow, WaitingQuestion};
pub use cut::{Bound, Cut};
pub use damage::DAMAGE_ID;
pub use fold::is_event;
pub use items::{cut_short, seen_as};
use messages::SentMessages;
use open_turn::OpenTurnRecords;
pub use open_turn::{
    AnsweredQuestion, CallState, KeptTurn, NextLoad, PausedCall, RestartTurns, TurnCall, TurnQuestion,
};
pub use queue::MessageQueue;
pub use spending::{Spending, TurnSpent};
pub use window::json_bytes;

/// The error of a turn that a server's end interrupted, and not a user.
pub const SERVER_ENDED: &str = "the server ended while this turn ran";
/// The error of a turn that may be the reason of the server's ends.
const ENDED_AGAIN: &str =
    "the server ended three times in this turn; its work so far is saved, send a message to go on";

/// A thread as of record [`History::seq`]. It may hold only the newest turns.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    id: ThreadId,
    seq: EventSeq,
    /// The last number whose record is lost to a damaged line.
    last_lost: EventSeq,
    /// The first and last number of damaged records since the last turn. No turn shows them yet.
    missing: Option<(EventSeq, EventSeq)>,
    /// Whether a line behind the last `thread.opened` is damaged.
    lost: bool,
    epoch: Epoch,
    opened: Option<ThreadOpened>,
    closed: bool,
    /// The last record that is an event for clients.
    last_event: EventSeq,
    /// The time of the last record.
    at: WallMs,
    created: Option<ThreadCreated>,
    /// The thread that its history began with, if this thread is a fork.
    forked: Option<ForkOrigin>,
    created_at: WallMs,
    updated_at: WallMs,
    name: Option<String>,
    settings: StoredSettings,
    /// The record that holds the settings.
    settings_source: settings_source::SettingsSource,
    git_info: Option<GitInfo>,
    /// Whether the rollout is in the archive, whatever its records say.
    archived: bool,
    preview: Option<String>,
    /// Whether the first message of the rollout was taken back.
    beginning_reverted: bool,
    usage: Option<ThreadTokenUsage>,
    spending: Spending,
    /// The user's read position.
    read: ReadPosition,
    goal: Option<Goal>,
    queue: MessageQueue,
    turns: Vec<LoadedTurn>,
    /// Whether older turns may be on disk.
    older: bool,
    /// Whether a revert took back every turn in memory, and older ones may be on disk.
    emptied: bool,
    /// The stretches that reverts took back, oldest first.
    taken_back: Vec<TakenBack>,
    /// Open items of the last turn, in the order of their start.
    open_items: Vec<ItemId>,
    /// The first message of the last turn, while no record of its own has it: the disk has only the turn's beginning.
    unstarted: Option<ItemId>,
    /// Received text of open items that no record has yet.
    unrecorded: Vec<(ItemId, String)>,
    /// The questions and calls of the open turn.
    open_turn_records: OpenTurnRecords,
    /// The newest user messages with client ids.
    messages: SentMessages,
}

/// A turn in memory, with facts that the wire does not show.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedTurn {
    /// The turn, with all of its items.
    pub turn: Turn,
    /// The number of its `turn.started`.
    pub at: EventSeq,
    /// The start in milliseconds; the wire has seconds.
    started: WallMs,
    /// Its size as JSON, once it has ended.
    bytes: Option<usize>,
    /// Whether it failed because the disk refused it.
    unsaved: bool,
    /// The client id of the message that it answers, if that message is in an unsaved turn.
    answers: Option<String>,
}

/// The record that ends an item that cannot go on.
fn end_of(turn: &TurnId, item: &ThreadItem, now: WallMs) -> RecordBody {
    let mut item = items::cut_short(item.clone());
    item.completed_at_ms = Some(now.0);
    ItemCompleted { turn_id: turn.clone(), item }.into()
}

impl Default for History {
    fn default() -> Self {
        Self::of(ThreadId::new(Uuid::nil()))
    }
}

impl History {
    /// A thread without records. `id` is that of its rollout: in a fork `thread.created` names the thread that was
    /// copied.
    pub fn of(id: ThreadId) -> Self {
        Self {
            id,
            seq: EventSeq(0),
            last_lost: EventSeq(0),
            missing: None,
            lost: false,
            epoch: Epoch(1),
            opened: None,
            closed: false,
            last_event: EventSeq(0),
            at: WallMs(0),
            created: None,
            forked: None,
            created_at: WallMs(0),
            updated_at: WallMs(0),
            name: None,
            settings: StoredSettings::default(),
            settings_source: settings_source::SettingsSource::default(),
            git_info: None,
            archived: false,
            preview: None,
            beginning_reverted: false,
            usage: None,
            spending: Spending::default(),
            read: ReadPosition::default(),
            goal: None,
            queue: MessageQueue::default(),
            turns: Vec::new(),
            older: false,
            emptied: false,
            taken_back: Vec::new(),
            open_items: Vec::new(),
            unstarted: None,
            unrecorded: Vec::new(),
            open_turn_records: OpenTurnRecords::default(),
            messages: SentMessages::default(),
        }
    }

    /// The thread.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// The number of the last record; 0 when there is none.
    pub fn seq(&self) -> EventSeq {
        self.seq
    }

    /// The last record that is an event for clients. Later records are for the server only.
    pub fn last_event(&self) -> EventSeq {
        self.last_event
    }

    /// Continues the numbers from `head`: a load found that damaged lines have used them.
    pub fn skip_to(&mut self, head: EventSeq) {
        if head > self.seq {
            self.miss(head);
            self.seq = head;
        }
    }

    /// The last number whose record is lost; 0 if there is none.
    pub fn last_lost(&self) -> EventSeq {
        self.last_lost
    }

    /// Whether events of this epoch are lost. The next load then begins another epoch.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last `thread.opened`.
    #[cfg(test)]
    pub(crate) fn opened(&self) -> Option<ThreadOpened> {
        self.opened
    }

    /// Whether the last record is `thread.closed`.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the user has sent a message, even one that was taken back later, or that waits in the queue. Only then does
    /// the thread belong on disk and into lists.
    pub fn is_materialised(&self) -> bool {
        let has_beginning = self.preview.is_some() || self.beginning_reverted;
        has_beginning || self.forked.is_some() || self.queue.was_used()
    }

    /// Whether the thread is archived.
    pub fn is_archived(&self) -> bool {
        self.archived
    }

    /// Sets whether the thread is archived.
    pub fn set_archived(&mut self, archived: bool) {
        self.archived = archived;
    }

    /// The thread's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The thread's repository.
    pub fn git_info(&self) -> Option<&GitInfo> {
        self.git_info.as_ref()
    }

    /// The thread's settings.
    pub fn settings(&self) -> &StoredSettings {
        &self.settings
    }

    /// Sets the `config` of the thread's first client, and the secrets that belong into it.
    pub fn set_config(&mut self, config: Map<String, Value>, secrets: SecretValues) {
        (self.settings.config, self.settings.secrets) = (config, secrets);
    }

    /// The tokens that the model has used.
    pub fn usage(&self) -> Option<&ThreadTokenUsage> {
        self.usage.as_ref()
    }

    /// The open turn.
    pub fn open_turn(&self) -> Option<&Turn> {
        self.turns.last().map(|held| &held.turn).filter(|turn| turn.status == TurnStatus::InProgress)
    }

    /// The open items with their text so far, in the order of their start.
    pub fn open_items(&self) -> impl Iterator<Item = &ThreadItem> {
        let items = self.turns.last().map(|held| held.turn.items.as_slice()).unwrap_or_default();
        self.open_items.iter().filter_map(move |id| items.iter().find(|item| item.id() == id))
    }

    /// The message of the open turn, while only the turn's beginning has it.
    pub fn unstarted_item(&self) -> Option<&ThreadItem> {
        let id = self.unstarted.as_ref()?;
        self.open_turn()?.items.iter().find(|item| item.id() == id)
    }

    /// A turn with all of its items, if it is in memory.
    pub fn turn(&self, id: &TurnId) -> Option<&Turn> {
        self.turns.iter().rev().map(|held| &held.turn).find(|turn| turn.id == *id)
    }

    /// The turns in memory, oldest first.
    pub fn held_turns(&self) -> &[LoadedTurn] {
        &self.turns
    }

    /// The turns in memory, oldest first. The summary of a turn is its first user message and its last agent message.
    pub fn turns(&self, view: TurnItemsView) -> Vec<Turn> {
        self.turns.iter().map(|held| items::seen_as(&held.turn, view)).collect()
    }

    /// The thread as a client sees it, without turns. Its rollout is in the home at `paths`.
    pub fn thread(&self, status: ThreadStatus, paths: &HomePaths) -> Thread {
        self.row().thread(status, paths)
    }

    /// The thread as lists show it.
    pub fn row(&self) -> ThreadRow {
        let (created, forked) = (self.created.as_ref(), self.forked.as_ref());
        ThreadRow {
            id: self.id,
            name: self.name.clone(),
            preview: self.preview.clone().or_else(|| self.queue.first_words()).unwrap_or_default(),
            created: self.created_at,
            updated: self.updated_at,
            cwd: self.settings.cwd.clone(),
            model: self.settings.model.clone(),
            model_provider: self.settings.model_provider.clone(),
            reasoning_effort: self.settings.reasoning_effort.clone(),
            source: created.map_or(SessionSource::Unknown, |created| created.source.clone()),
            thread_source: forked
                .and_then(|forked| forked.thread_source.clone())
                .or_else(|| created.and_then(|created| created.thread_source.clone())),
            originator: self.originator().map(str::to_owned),
            cli_version: created.map(|created| created.cli_version.clone()).unwrap_or_default(),
            forked_from: forked.map(|forked| forked.from).or(created.and_then(|created| created.forked_from)),
            git_info: self.git_info.clone(),
            archived: self.archived,
            read: self.read.clone(),
            waiting: self.open_questions().iter().map(waiting).collect(),
            spent: self.spending.spent.day,
        }
    }

    /// The name of the client that has created the thread.
    pub fn originator(&self) -> Option<&str> {
        let of_fork = self.forked.as_ref().and_then(|forked| forked.originator.as_deref());
        of_fork.or_else(|| self.created.as_ref()?.originator.as_deref())
    }

    /// The header that a `turn.completed` carries now.
    pub fn header(&self) -> ThreadHeader {
        ThreadHeader {
            name: self.name.clone(),
            settings: self.settings_source.is_repeated().not().then(|| self.settings.clone()),
            settings_at: self.settings_source.at(),
            usage: self.usage,
            spent: self.has_used_models().then_some(self.spending.spent),
            epoch: self.epoch,
            git_info: self.git_info.clone(),
            opened: self.opened,
            updated_at_ms: Some(self.updated_at.0),
            taken_back: self.taken_back.clone(),
            forked: self.forked.clone(),
            read: Some(self.read.clone()),
            goal: self.goal.clone(),
            queue: self.queue.header(),
            preview: self.beginning_reverted.then(|| self.preview.clone().unwrap_or_default()),
        }
    }

    /// The records that interrupt the open turn. A message without records gets them, and each open item ends with its
    /// text so far (tool calls fail). Empty if no turn is open.
    pub fn closing_records(&self, now: WallMs) -> Vec<RecordBody> {
        self.closing(now, TurnStatus::Interrupted, self.why_cut_off())
    }

    /// The records that fail the open turn, which has ended the server again and again.
    pub fn failing_records(&self, now: WallMs) -> Vec<RecordBody> {
        self.closing(now, TurnStatus::Failed, Some(TurnError::new(ENDED_AGAIN)))
    }

    /// The records that end these items of the open turn, as far as they are open.
    pub fn ends_of(&self, items: &[ItemId], now: WallMs) -> Vec<RecordBody> {
        let Some(turn) = self.open_turn() else { return Vec::new() };
        let ends = self.open_items().filter(|item| items.contains(item.id()));
        ends.map(|item| end_of(&turn.id, item, now)).collect()
    }

    fn closing(&self, now: WallMs, status: TurnStatus, error: Option<TurnError>) -> Vec<RecordBody> {
        let Some(turn) = self.open_turn() else { return Vec::new() };
        let started = |item: &ThreadItem| ItemStarted { turn_id: turn.id.clone(), item: item.clone() }.into();
        let mut records: Vec<RecordBody> = self.unstarted_item().map(started).into_iter().collect();
        let open = self.unstarted_item().into_iter().chain(self.open_items());
        records.extend(open.map(|item| end_of(&turn.id, item, now)));
        records.push(self.turn_completed_record(turn.id.clone(), status, error));
        records
    }

    /// The error of a turn that nobody runs: its server has ended. In a fork the turn may be the copy of one that
    /// runs in another thread.
    fn why_cut_off(&self) -> Option<TurnError> {
        (!self.is_copied()).then(|| TurnError::new(SERVER_ENDED))
    }

    /// Whether the open turn is a copy, in a fork.
    fn is_copied(&self) -> bool {
        self.forked.is_some() && self.turns.last().is_none_or(|held| self.was_copied(held))
    }

    /// Whether this turn began before the fork. The numbers decide: a turn may begin in the millisecond of the fork, or behind a
    /// clock that was set back.
    fn was_copied(&self, held: &LoadedTurn) -> bool {
        self.forked.as_ref().is_some_and(|forked| match forked.seq {
            EventSeq(0) => held.started <= WallMs(forked.at_ms),
            seq => held.at < seq,
        })
    }

    /// Closes the open turn as the next load will, without new numbers. Closed parts end at the last record, so that
    /// every reader sees the same times. A turn that the next load goes on with stays open.
    #[must_use]
    pub fn into_closed(mut self, rule: RestartTurns) -> Self {
        let (seq, last_event, at) = (self.seq, self.last_event, self.at);
        let closing = match self.next_load(rule) {
            NextLoad::Nothing | NextLoad::GoOn(_) => Vec::new(),
            NextLoad::Interrupt => self.closing_records(at),
            NextLoad::Fail => self.failing_records(at),
        };
        for body in closing {
            self.apply(&Record { seq: self.seq.next(), at, body });
        }
        (self.seq, self.last_event) = (seq, last_event);
        self
    }

    /// The record of a turn's end.
    pub fn turn_completed_record(
        &self,
        turn_id: TurnId,
        status: TurnStatus,
        error: Option<TurnError>,
    ) -> RecordBody {
        self.end_of_turn(turn_id, status, error).into()
    }

    /// The record of a turn's end that the disk refuses: the turn fails, even if it had ended. Clients may send its
    /// messages again.
    pub fn turn_unsaved_record(&self, turn_id: TurnId, error: Option<TurnError>) -> RecordBody {
        let ended = self.end_of_turn(turn_id, TurnStatus::Failed, error);
        TurnCompleted { unsaved: true, ..ended }.into()
    }

    fn end_of_turn(&self, turn_id: TurnId, status: TurnStatus, error: Option<TurnError>) -> TurnCompleted {
        let held = self.turns.iter().rev().find(|held| held.turn.id == turn_id);
        let (started_at_ms, header) = (held.map(|held| held.started.0), self.header());
        TurnCompleted { turn_id, started_at_ms, status, error, unsaved: false, header, place: None }
    }

    /// Adds received text to an open item. No record has the text yet.
    pub fn receive_text(&mut self, item: &ItemId, added: &str) {
        let Some(turn) = self.turns.last_mut().map(|held| &mut held.turn) else { return };
        let Some(open) = turn.items.iter_mut().rev().find(|open| open.id() == item) else { return };
        items::add_text(open, ItemText::Body, added);
        match self.unrecorded.iter_mut().find(|(heard, _)| heard == item) {
            Some((_, text)) => text.push_str(added),
            None => self.unrecorded.push((item.clone(), added.to_owned())),
        }
    }

    /// The records that save all received text.
    pub fn checkpoints(&self) -> Vec<RecordBody> {
        let Some(turn) = self.open_turn() else { return Vec::new() };
        let checkpoint = |(item_id, added): &(ItemId, String)| {
            let (turn_id, item_id, added) = (turn.id.clone(), item_id.clone(), added.clone());
            ItemCheckpoint { turn_id, item_id, to: ItemText::Body, added }.into()
        };
        self.unrecorded.iter().map(checkpoint).collect()
    }
}
