//! Shows damaged records in a history: an item in the turn that was open there, or at the beginning of the next turn.
//! Pure.

use skein_protocol::ids::{EventSeq, ItemId};
use skein_protocol::item::ThreadItem;

use super::{History, LoadedTurn};

/// The prefix of such an item's id; no other item has it.
pub const DAMAGE_ID: &str = "damage-";

/// The first and the last number of unreadable records.
pub(super) type Missing = (EventSeq, EventSeq);

impl History {
    /// Every record up to `last` that was not seen cannot be read.
    pub(super) fn miss(&mut self, last: EventSeq) {
        if last <= self.seq {
            return;
        }
        let first = self.seq.next();
        (self.last_lost, self.lost) = (last, true);
        let is_open = self.open_turn().is_some();
        match self.turns.last_mut().filter(|_| is_open) {
            Some(open) => open.turn.items.push(marker((first, last))),
            None => self.missing = Some((self.missing.map_or(first, |(earlier, _)| earlier), last)),
        }
    }

    /// Skips a record that no requested turn needs.
    pub(super) fn pass_over(&mut self, seq: EventSeq) {
        self.seq = self.seq.max(seq);
    }

    /// Shows the damage before the turn that has just begun.
    pub(super) fn show_missing(&mut self) {
        if let (Some(missing), Some(held)) = (self.missing.take(), self.turns.last_mut()) {
            held.show_damage_before(missing);
        }
    }
}

impl LoadedTurn {
    /// Records between this turn and the one before it are unreadable.
    pub(super) fn show_damage_before(&mut self, missing: Missing) {
        self.turn.items.insert(0, marker(missing));
        self.bytes = None;
    }
}

fn marker((first, last): Missing) -> ThreadItem {
    let which = if first == last { format!("Record {first}") } else { format!("Records {first} to {last}") };
    let text = format!(
        "[{which} of this thread cannot be read: the file is damaged there. `skein fsck` says where.]"
    );
    ThreadItem::agent_message(ItemId::from(format!("{DAMAGE_ID}{first}-{last}")), text)
}
