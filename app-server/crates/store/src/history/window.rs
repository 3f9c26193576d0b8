//! The turns that a history holds in memory: the newest ones. Knows whether older ones exist, and which were taken
//! back. Pure.

use std::io;

use serde::Serialize;
use skein_base::clock::WallMs;
use skein_protocol::ids::EventSeq;
use skein_protocol::turn::{Turn, TurnItemsView, TurnStatus};

use super::open_turn::OpenTurnRecords;
use super::{History, LoadedTurn, MessageQueue, items, seen_as};
use crate::rollout::record::{TakenBack, ThreadHeader};

/// The size of a value as JSON, in bytes.
pub fn json_bytes(value: &impl Serialize) -> usize {
    let mut counter = ByteCounter(0);
    // The counter accepts every write, and each part of an answer can be written as JSON.
    serde_json::to_writer(&mut counter, value).ok();
    counter.0
}

/// Counts written bytes.
struct ByteCounter(usize);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LoadedTurn {
    /// A turn that begins with record `at`.
    #[cfg(any(test, feature = "testing"))]
    pub fn of(turn: Turn, at: EventSeq) -> Self {
        let started = WallMs(turn.started_at.unwrap_or_default() * 1_000);
        Self { turn, at, started, bytes: None, unsaved: false, answers: None }
    }

    /// The size of the turn as JSON, in bytes.
    pub fn json_bytes(&self) -> usize {
        self.bytes.unwrap_or_else(|| json_bytes(&self.turn))
    }
}

impl History {
    /// Whether older turns may be on disk.
    pub fn has_older(&self) -> bool {
        self.older
    }

    /// The stretches that reverts took back, oldest first.
    pub fn taken_back(&self) -> &[TakenBack] {
        &self.taken_back
    }

    /// Jumps to record `seq`, the end of a turn. `header` has everything about the thread that the skipped records
    /// say. The history does not hold their turns.
    pub(crate) fn leap(&mut self, header: &ThreadHeader, seq: EventSeq) {
        self.begin_at(seq);
        self.messages.clear();
        self.older = true;
        self.name.clone_from(&header.name);
        self.begin_with_settings(header, seq);
        self.usage = header.usage;
        self.epoch = header.epoch;
        self.git_info.clone_from(&header.git_info);
        self.opened = header.opened;
        self.taken_back.clone_from(&header.taken_back);
        self.queue = MessageQueue::default();
        self.take_user_state(header);
        if let Some(updated) = header.updated_at_ms {
            self.updated_at = WallMs(updated);
        }
    }

    /// Expects record `seq` next. Other readers read the records before it.
    pub(crate) fn begin_at(&mut self, seq: EventSeq) {
        self.seq = EventSeq(seq.0.saturating_sub(1));
        self.turns.clear();
        self.open_items.clear();
    }

    /// Closes the open turn: it has no end on disk, and another turn follows.
    pub(super) fn end_open_turn(&mut self) {
        if let Some(held) = self.turns.last_mut().filter(|held| held.turn.status == TurnStatus::InProgress) {
            held.turn.status = TurnStatus::Interrupted;
        }
        self.open_items.clear();
        self.open_turn_records = OpenTurnRecords::default();
        self.unstarted = None;
    }

    /// Adds older turns before those in memory; `more` says whether even older ones may exist. A history whose turns
    /// were all taken back then knows it.
    pub fn refill(&mut self, older: impl IntoIterator<Item = LoadedTurn>, more: bool) {
        let mut turns: Vec<LoadedTurn> = older.into_iter().collect();
        let added = turns.len();
        turns.append(&mut self.turns);
        self.turns = turns;
        self.remember_messages();
        let nothing_before = added == 0 && !more && self.emptied;
        (self.older, self.emptied) = (more, false);
        if nothing_before {
            self.nothing_left();
            if self.preview.is_none() {
                self.preview = self.turns.first().and_then(|held| items::first_words(&held.turn));
            }
        }
    }

    /// Drops the oldest turns until the others have at most `bytes` as JSON. The last turn always stays.
    pub fn drop_oldest(&mut self, bytes: usize) {
        let kept = self.newest_within(bytes);
        let gone = self.turns.len() - kept;
        self.turns.drain(..gone);
        self.older |= gone > 0;
    }

    /// The newest turns that have `bytes` together as JSON, and at least one, oldest first; and whether there are
    /// others.
    pub fn newest_turns(&self, bytes: usize) -> (Vec<Turn>, bool) {
        let kept = self.newest_within(bytes);
        let newest = self.turns.iter().skip(self.turns.len() - kept);
        let turns = newest.map(|held| seen_as(&held.turn, TurnItemsView::Full)).collect();
        (turns, self.older || kept < self.turns.len())
    }

    /// The size of the turns in memory as JSON, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.turns.iter().map(LoadedTurn::json_bytes).sum()
    }

    /// The number of newest turns that have `most` bytes together.
    fn newest_within(&self, most: usize) -> usize {
        let mut bytes = 0usize;
        let fits = |held: &&LoadedTurn| {
            bytes = bytes.saturating_add(held.json_bytes());
            bytes <= most
        };
        let fitting = self.turns.iter().rev().take_while(fits).count();
        fitting.max(usize::from(!self.turns.is_empty()))
    }

    /// Notes a reverted stretch. Merges adjacent stretches, so that there are never more of them than turns.
    pub(super) fn take_back(&mut self, cut: TakenBack) {
        self.taken_back.retain(|earlier| earlier.from < cut.from);
        let newest = self.turns.last().map(|held| held.at);
        let all_seen = newest.is_some() || !self.older;
        match self.taken_back.last_mut() {
            Some(last) if all_seen && newest.is_none_or(|newest| newest < last.from) => last.to = cut.to,
            Some(_) | None => self.taken_back.push(cut),
        }
    }
}
