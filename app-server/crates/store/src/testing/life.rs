//! Whole lives of a thread, as records.

use futures_util::FutureExt;
use skein_base::clock::WallMs;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::SessionSource;
use skein_protocol::turn::{TurnStatus, UserInput};
use uuid::Uuid;

use crate::history::History;
use crate::home::Term;
use crate::rollout::memory::MemoryStore;
use crate::rollout::record::{
    ItemCompleted, ItemStarted, QueueAdded, QueueMoved, QueueRemoved, QueueUpdated, Record, RecordBody,
    Reverted, StoredSettings, ThreadClosed, ThreadCreated, ThreadMeta, ThreadNamed, ThreadOpened,
    TurnStarted, WaitingMessage,
};
use crate::rollout::{Keep, Lease, LogEntry, RolloutStore};

/// The thread.
pub const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(7));

/// An event in the life of a thread.
#[derive(Debug, Clone)]
pub enum Happening {
    /// A turn of this many items with this many characters each, with this end or none.
    Turn(usize, usize, Option<TurnStatus>),
    /// A revert of the turn this far before the last one, and of all later ones.
    Revert(usize),
    /// A new name.
    Named,
    /// New settings.
    Meta,
    /// A new owner, after an orderly end of the old one or not.
    Reload(bool),
    /// A message for the queue.
    Queued,
    /// The first message of the queue becomes a turn with this end or none.
    QueuedTurn(Option<TurnStatus>),
    /// The message at this place of the queue gets another input, comes first, or is deleted.
    QueueChanged(usize, u16),
}

impl Happening {
    /// Turns most of the time, most of which end well; 0 is the simplest of each.
    pub fn drawn([kind, items, length, end]: [u16; 4]) -> Self {
        let end = match end % 9 {
            0..6 => Some(TurnStatus::Completed),
            6 => Some(TurnStatus::Failed),
            7 => Some(TurnStatus::Interrupted),
            _ => None,
        };
        match kind % 18 {
            0..8 => Self::Turn(usize::from(items % 20), usize::from(length % 400), end),
            8..10 => Self::Revert(usize::from(items % 6)),
            10 => Self::Named,
            11 => Self::Meta,
            13..15 => Self::Queued,
            15..17 => Self::QueuedTurn(end),
            17 => Self::QueueChanged(usize::from(items % 4), length % 3),
            _ => Self::Reload(items.is_multiple_of(2)),
        }
    }
}

/// A thread with the records that an owner writes.
pub struct RecordedLife {
    /// The fold of the records.
    pub history: History,
    /// All records, in order.
    pub records: Vec<Record>,
    turns: usize,
}

impl RecordedLife {
    /// A thread without events.
    pub fn begun() -> Self {
        Self::with(StoredSettings::default())
    }

    /// A thread with these settings.
    pub fn with(settings: StoredSettings) -> Self {
        let mut life = Self { history: History::of(THREAD), records: Vec::new(), turns: 0 };
        life.opened();
        let created = ThreadCreated {
            id: THREAD,
            source: SessionSource::VsCode,
            thread_source: None,
            originator: Some("test".to_owned()),
            cli_version: "1".to_owned(),
            forked_from: None,
            git_info: None,
            settings,
        };
        life.record(created);
        life
    }

    /// A life of random events.
    pub fn drawn(draws: &[[u16; 4]]) -> Self {
        let mut life = Self::begun();
        draws.iter().for_each(|draw| life.happens(&Happening::drawn(*draw)));
        life
    }

    /// A life of this many turns that ended well.
    pub fn of_turns(count: usize) -> Self {
        let mut life = Self::begun();
        (0..count).for_each(|_| life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed))));
        life
    }

    /// Reverts the turn this far before the last one.
    pub fn reverted(mut self, back: usize) -> Self {
        self.happens(&Happening::Revert(back));
        self
    }

    /// Writes a record.
    pub fn record(&mut self, body: impl Into<RecordBody>) {
        let seq = self.history.seq().next();
        let record = Record {
            seq,
            at: WallMs(i64::try_from(seq.0).unwrap_or(i64::MAX).saturating_mul(1_000)),
            body: body.into(),
        };
        self.history.apply(&record);
        self.records.push(record);
    }

    fn opened(&mut self) {
        let epoch = self.history.epoch();
        self.record(ThreadOpened { boot_id: Uuid::from_u128(1), term: Term(1), epoch });
    }

    fn close_turn(&mut self) {
        for body in self.history.closing_records(WallMs(5)) {
            self.record(body);
        }
    }

    /// Writes the records of the next event.
    pub fn happens(&mut self, happening: &Happening) {
        match happening {
            Happening::Turn(items, length, end) => self.turn(*items, *length, *end),
            Happening::Revert(back) => {
                self.close_turn();
                let turns = self.history.held_turns();
                let Some(held) = turns.iter().rev().nth(*back) else { return };
                let (before_turn_id, from) = (held.turn.id.clone(), Some(held.at));
                let epoch = Epoch(self.history.epoch().0 + 1);
                self.record(Reverted { before_turn_id, from, epoch });
            }
            Happening::Named => {
                let name = Some(format!("name {}", self.records.len()));
                self.record(ThreadNamed { name });
            }
            Happening::Meta => {
                let model = format!("model {}", self.records.len());
                let settings = Some(StoredSettings { model, ..StoredSettings::default() });
                self.record(ThreadMeta { settings, git_info: None });
            }
            Happening::Reload(in_order) => {
                if *in_order {
                    self.close_turn();
                    self.record(ThreadClosed {});
                }
                self.opened();
                self.close_turn();
            }
            Happening::Queued => {
                let id = format!("q{}", self.records.len());
                let (client_id, input) = (format!("m-{id}"), vec![UserInput::text(&*id)]);
                self.record(QueueAdded(WaitingMessage { id: id.into(), client_id, input, metadata: None }));
            }
            Happening::QueuedTurn(end) => {
                let Some(first) = self.history.queue().messages().next().cloned() else { return };
                self.turn_of(first.id.as_str(), 1, 10, *end);
            }
            Happening::QueueChanged(place, how) => self.queue_changed(*place, *how),
        }
    }

    fn queue_changed(&mut self, place: usize, how: u16) {
        let Some(message) = self.history.queue().messages().nth(place).cloned() else { return };
        let (id, input) = (message.id.clone(), vec![UserInput::text("other words")]);
        match how {
            0 => self.record(QueueUpdated(WaitingMessage { input, ..message })),
            1 => self.record(QueueMoved { ids: vec![id] }),
            _ => self.record(QueueRemoved { id, by: "client".to_owned() }),
        }
    }

    fn turn(&mut self, items: usize, length: usize, end: Option<TurnStatus>) {
        self.turns += 1;
        let turn = format!("t{}", self.turns);
        self.turn_of(&turn, items, length, end);
    }

    fn turn_of(&mut self, turn: &str, items: usize, length: usize, end: Option<TurnStatus>) {
        self.close_turn();
        let input = vec![UserInput::text(&*"said ".repeat(3))];
        let item_id = Some(format!("{turn}-user").into());
        let client_id = Some(format!("m-{turn}"));
        self.record(TurnStarted { turn_id: turn.into(), input, item_id, client_id, terms: None });
        for item in 0..items {
            let message = |text: String| ThreadItem::agent_message(format!("{turn}-{item}"), text);
            self.record(ItemStarted { turn_id: turn.into(), item: message(String::new()) });
            if item + 1 < items || end.is_some() {
                self.record(ItemCompleted { turn_id: turn.into(), item: message("x".repeat(length)) });
            }
        }
        if let Some(status) = end {
            let body = self.history.turn_completed_record(turn.into(), status, None);
            self.record(body);
        }
    }

    /// A store with the records.
    pub fn store(&self) -> MemoryStore {
        let store = MemoryStore::default();
        let lease = Lease { thread: THREAD, term: Term(1) };
        // The future is ready at once: nothing in memory waits.
        let _done =
            store.append(lease, EventSeq(0), LogEntry::of(self.records.clone(), Keep::Power)).now_or_never();
        store
    }
}

impl std::fmt::Debug for RecordedLife {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = self.records.iter().map(|record| (record.seq.0, record.body.kind()));
        f.debug_list().entries(kinds).finish()
    }
}
