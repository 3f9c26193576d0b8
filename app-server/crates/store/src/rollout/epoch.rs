//! Decides whether a load begins a new epoch. Pure.

use skein_protocol::ids::{Epoch, EventSeq};
use uuid::Uuid;

use super::LoadRepair;
use super::record::{Record, RecordBody, ThreadOpened};

/// The state that a rollout's last owner left at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tail {
    /// The last `thread.opened`.
    pub(crate) opened: Option<ThreadOpened>,
    /// The newest epoch in any record.
    pub(crate) epoch: Option<Epoch>,
    /// Whether the last record is `thread.closed`.
    pub(crate) closed: bool,
    /// Whether whole lines behind the last `thread.opened` are unreadable.
    pub(crate) damaged: bool,
}

impl Tail {
    /// The tail of a rollout: its last records (oldest first), and the load's repair.
    pub(crate) fn of(records: &[Record], repair: &LoadRepair) -> Self {
        let mut tail = Self::default();
        let mut opened_at = EventSeq(0);
        for record in records {
            tail.closed = matches!(record.body, RecordBody::ThreadClosed(_));
            let names = if let RecordBody::ThreadOpened(opened) = &record.body {
                tail.opened = Some(**opened);
                opened_at = record.seq;
                Some(opened.epoch)
            } else if let RecordBody::Reverted(reverted) = &record.body {
                Some(reverted.epoch)
            } else if let RecordBody::TurnCompleted(completed) = &record.body {
                tail.opened = tail.opened.or(completed.header.opened);
                Some(completed.header.epoch)
            } else if let RecordBody::Forked(forked) = &record.body {
                Some(forked.epoch)
            } else {
                None
            };
            tail.epoch = tail.epoch.max(names);
        }
        tail.damaged = repair.damage.iter().any(|damage| damage.after >= opened_at);
        tail
    }
}

/// The epoch of a load in this life of the storage: 1 for a new rollout. One more than the last epoch if acknowledged
/// records are lost, or if an earlier life left the tail unclosed. Clients may then know numbers that the storage has
/// lost. Else the same.
pub(crate) fn next(tail: &Tail, life: Uuid) -> Epoch {
    let Some(last) = tail.epoch else { return Epoch(1) };
    let cut_short = !tail.closed && tail.opened.is_none_or(|opened| opened.boot_id != life);
    if cut_short || tail.damaged { Epoch(last.0.saturating_add(1)) } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Term;

    const US: Uuid = Uuid::from_u128(1);
    const OTHERS: Uuid = Uuid::from_u128(2);

    fn tail(boot_id: Uuid, closed: bool, damaged: bool) -> Tail {
        let opened = ThreadOpened { boot_id, term: Term(1), epoch: Epoch(4) };
        Tail { opened: Some(opened), epoch: Some(Epoch(4)), closed, damaged }
    }

    #[test]
    fn only_what_may_have_lost_numbers_begins_a_new_epoch() {
        let table = [
            (Tail::default(), 1, "a new rollout"),
            (tail(US, true, false), 4, "closed by us"),
            (tail(US, false, false), 4, "not closed, but by this start: nothing was lost with it"),
            (tail(OTHERS, true, false), 4, "closed by another start"),
            (tail(OTHERS, false, false), 5, "not closed by another start"),
            (tail(OTHERS, true, true), 5, "closed, but acknowledged lines are damaged"),
            (tail(US, false, true), 5, "damaged under us"),
            (Tail { epoch: Some(Epoch(7)), ..Tail::default() }, 8, "the thread.opened itself is lost"),
        ];
        for (tail, expected, why) in table {
            assert_eq!(next(&tail, US), Epoch(expected), "{why}");
        }
    }

    #[test]
    fn damage_counts_until_the_next_load_has_answered_it() {
        let opened = |seq, epoch| Record {
            seq: EventSeq(seq),
            at: skein_base::clock::WallMs(0),
            body: ThreadOpened { boot_id: US, term: Term(1), epoch: Epoch(epoch) }.into(),
        };
        let damage = super::super::Damage { after: EventSeq(1), offset: 9, length: 9, lines: 1 };
        let repair = LoadRepair { damage: vec![damage], ..LoadRepair::default() };
        let before = [opened(1, 1)];
        let after = [opened(1, 1), opened(3, 2)];
        assert!(Tail::of(&before, &repair).damaged);
        assert!(!Tail::of(&after, &repair).damaged);
        assert_eq!(Tail::of(&after, &repair).epoch, Some(Epoch(2)));
    }
}
