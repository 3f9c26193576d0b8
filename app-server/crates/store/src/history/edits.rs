//! Takes turns back, and adopts turns of another thread.

use skein_base::clock::WallMs;
use skein_protocol::ids::EventSeq;

use super::open_turn::OpenTurnRecords;
use super::{History, LoadedTurn, MessageQueue, Spending};
use crate::rollout::record::{ForkOrigin, Forked, ReadPosition, Reverted, TakenBack, ThreadHeader};

impl History {
    /// The first of the newest `count` turns; `None` if the history holds fewer.
    pub fn newest(&self, count: u32) -> Option<&LoadedTurn> {
        let at = self.turns.len().checked_sub(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.turns.get(at)
    }

    /// Takes back a turn and all later ones. Their client ids are free again. The record number finds a turn that is
    /// not in memory.
    pub(super) fn revert(&mut self, reverted: &Reverted, seq: EventSeq, at: WallMs) {
        let held = self.turns.iter().find(|held| held.turn.id == reverted.before_turn_id);
        let Some(from) = held.map(|held| held.at).or(reverted.from) else { return };
        self.turns.retain(|held| held.at < from);
        self.open_items.clear();
        self.open_turn_records = OpenTurnRecords::default();
        self.unrecorded.clear();
        let turns = &self.turns;
        self.messages.retain(|into| turns.iter().any(|held| held.turn.id == *into));
        self.used(at);
        self.take_back(TakenBack { from, to: seq });
        self.unmark_from(from, seq);
        self.emptied = self.turns.is_empty() && self.older;
        if self.turns.is_empty() && !self.older {
            self.nothing_left();
        }
    }

    /// Takes the first user message from another history of the same thread, for a history that begins at a header.
    pub(crate) fn take_preview_of(&mut self, before: &Self) {
        (self.preview, self.beginning_reverted) = (before.preview.clone(), before.beginning_reverted);
    }

    /// Takes the queue of another history of the same thread, for a history that begins at a header.
    pub(crate) fn take_queue_of(&mut self, before: &Self) {
        self.queue = before.queue.clone();
    }

    /// Every turn was taken back. Lists keep the preview that they showed.
    pub(crate) fn nothing_left(&mut self) {
        (self.older, self.emptied) = (false, false);
        self.beginning_reverted = true;
    }

    /// Everything so far was copied from another thread. The new thread begins now, and nothing in it is unread.
    pub(super) fn forked(&mut self, forked: &Forked, seq: EventSeq, at: WallMs) {
        self.read = ReadPosition { revision: seq, ..ReadPosition::default() };
        self.epoch = forked.epoch;
        self.archived = false;
        // The messages wait in the thread that was copied.
        self.queue = MessageQueue::default();
        // The fork's clients may count their messages from 1 again.
        self.messages.clear();
        // The thread that was copied has used it.
        self.spending = Spending::default();
        self.take_fork(&ForkOrigin {
            from: forked.from,
            seq,
            at_ms: at.0,
            thread_source: forked.thread_source.clone(),
            originator: forked.originator.clone(),
        });
        self.used(at);
    }

    /// Takes the facts about the thread's beginning from a header, for a reader that has not read the beginning.
    pub(super) fn take_origin(&mut self, header: &ThreadHeader) {
        if let Some(forked) = &header.forked {
            self.take_fork(forked);
        }
        if header.git_info.is_some() {
            self.git_info.clone_from(&header.git_info);
        }
        if let Some(preview) = &header.preview {
            (self.preview, self.beginning_reverted) = (Some(preview.clone()), true);
        }
    }

    fn take_fork(&mut self, forked: &ForkOrigin) {
        self.created_at = WallMs(forked.at_ms);
        self.forked = Some(forked.clone());
    }
}
