//! What takes turns back, or brings them along from another thread.

use skein_base::clock::WallMs;
use skein_protocol::ids::EventSeq;

use super::{History, LoadedTurn};
use crate::rollout::record::{ForkOrigin, Forked, ReadPosition, Reverted, TakenBack, ThreadHeader};

impl History {
    /// The turn that begins the newest `count` turns; `None` where fewer are held.
    #[must_use]
    pub fn newest(&self, count: u32) -> Option<&LoadedTurn> {
        let at = self.turns.len().checked_sub(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.turns.get(at)
    }

    /// Takes back the turn and all after it. The clients' ids of their messages go too: they may be said again. A turn that
    /// is not held is known by its number.
    pub(super) fn revert(&mut self, reverted: &Reverted, seq: EventSeq, at: WallMs) {
        let held = self.turns.iter().find(|held| held.turn.id == reverted.before_turn_id);
        let Some(from) = held.map(|held| held.at).or(reverted.from) else { return };
        self.turns.retain(|held| held.at < from);
        self.open_items.clear();
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

    /// Goes on with what the user has said first in a history of the same thread, for one that begins at a header.
    pub(crate) fn take_preview_of(&mut self, before: &Self) {
        (self.preview, self.beginning_reverted) = (before.preview.clone(), before.beginning_reverted);
    }

    /// Every turn was taken back. Lists show the thread as they did before.
    pub(crate) fn nothing_left(&mut self) {
        (self.older, self.emptied) = (false, false);
        self.beginning_reverted = true;
    }

    /// Everything so far was copied from another thread: this one begins now, and nothing of it is unread.
    pub(super) fn forked(&mut self, forked: &Forked, seq: EventSeq, at: WallMs) {
        self.read = ReadPosition { revision: seq, ..ReadPosition::default() };
        self.epoch = forked.epoch;
        self.archived = false;
        // Its clients may count their messages anew.
        self.messages.clear();
        self.take_fork(&ForkOrigin {
            from: forked.from,
            at_ms: at.0,
            thread_source: forked.thread_source.clone(),
            originator: forked.originator.clone(),
        });
        self.used(at);
    }

    /// What the end of a turn says of the thread's beginning, for who has not read that.
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
