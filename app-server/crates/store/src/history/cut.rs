//! Finds the end of a fork's history in the rollout that it copies. Reads backwards and only as far as needed:
//! forking a whole thread costs the same at any length.

use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};

use super::History;
use crate::policy;
use crate::rollout::record::{Record, RecordBody};
use crate::rollout::{ReadError, RolloutStore};

#[cfg(test)]
mod tests;

/// The part of a history that a fork takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// All of it.
    Whole,
    /// Up to the end of this turn.
    Through(TurnId),
    /// Up to the beginning of this turn.
    Before(TurnId),
}

/// The beginning of a rollout, up to a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Its last record.
    pub up_to: EventSeq,
    /// The version of the history there.
    pub epoch: Epoch,
    /// The thread's current name, if it may have been another one at the cut.
    pub name: Option<Option<String>>,
}

/// A walk from the end of a rollout to its beginning.
struct CutWalk<'a> {
    bound: &'a Bound,
    up_to: Option<EventSeq>,
    /// The last record of all.
    end: Option<EventSeq>,
    /// The first record of the turn behind the walk's position.
    next_turn: Option<EventSeq>,
    /// The revert behind the walk's position.
    hidden: Option<HiddenFrom>,
    /// Epochs, newest first, each with the record that began it.
    epochs: Vec<(EventSeq, Epoch)>,
    name: Option<Option<String>>,
}

/// The first record of a reverted stretch. Clients do not see it, nor the records behind it.
enum HiddenFrom {
    /// By its number, which is known even if the record is damaged.
    At(EventSeq),
    /// By its turn: an earlier version wrote the revert without a number.
    Turn(TurnId),
}

impl History {
    /// Finds the cut; `None` if the history has no such turn.
    pub async fn cut(
        store: &dyn RolloutStore,
        thread: ThreadId,
        bound: &Bound,
    ) -> Result<Option<Cut>, ReadError> {
        let mut walk = CutWalk::of(bound);
        let mut before = None;
        loop {
            let page = store.read_back(thread, before, policy::FOLD_PAGE).await?;
            for record in page.records.iter().rev() {
                walk.pass(record);
                if let Some(cut) = walk.found() {
                    return Ok(Some(cut));
                }
            }
            before = page.records.first().map(|first| first.seq);
            if !page.more || before.is_none() {
                return Ok(walk.at_the_beginning());
            }
        }
    }
}

impl<'a> CutWalk<'a> {
    fn of(bound: &'a Bound) -> Self {
        let (up_to, end, next_turn, hidden) = (None, None, None, None);
        Self { bound, up_to, end, next_turn, hidden, epochs: Vec::new(), name: None }
    }

    fn pass(&mut self, record: &Record) {
        let end = *self.end.get_or_insert(record.seq);
        if *self.bound == Bound::Whole {
            self.up_to = Some(end);
        }
        if let Some(epoch) = epoch_of(&record.body) {
            self.epochs.push((record.seq, epoch));
        }
        if self.name.is_none() {
            self.name = name_of(&record.body);
        }
        self.leave_hidden(record.seq);
        if let RecordBody::Reverted(reverted) = &record.body {
            // An earlier revert inside a hidden stretch hides nothing more.
            self.hidden.get_or_insert_with(|| match reverted.from {
                Some(from) => HiddenFrom::At(from),
                None => HiddenFrom::Turn(reverted.before_turn_id.clone()),
            });
        } else if let RecordBody::TurnStarted(started) = &record.body {
            self.pass_turn(&started.turn_id, record.seq, end);
        }
    }

    /// Leaves the hidden stretch once the walk has passed its beginning. Its first turn is the next turn of the
    /// records before it.
    fn leave_hidden(&mut self, seq: EventSeq) {
        if let Some(HiddenFrom::At(from)) = self.hidden
            && seq < from
        {
            self.hidden = None;
            self.next_turn = Some(from);
        }
    }

    fn pass_turn(&mut self, turn: &TurnId, began: EventSeq, end: EventSeq) {
        let just_before = |seq: EventSeq| EventSeq(seq.0.saturating_sub(1));
        match (&self.hidden, self.bound) {
            (Some(HiddenFrom::Turn(first)), _) if first == turn => self.hidden = None,
            (Some(_), _) | (None, Bound::Whole) => {}
            (None, Bound::Through(last)) if last == turn && self.up_to.is_none() => {
                self.up_to = Some(self.next_turn.map_or(end, just_before));
            }
            (None, Bound::Before(first)) if first == turn && self.up_to.is_none() => {
                self.up_to = Some(just_before(began));
            }
            (None, Bound::Through(_) | Bound::Before(_)) => {}
        }
        self.next_turn = Some(began);
    }

    fn found(&self) -> Option<Cut> {
        let up_to = self.up_to?;
        let (_, epoch) = *self.epochs.iter().find(|(seq, _)| *seq <= up_to)?;
        Some(self.cut(up_to, epoch))
    }

    /// Damage has taken every record that names an epoch.
    fn at_the_beginning(&self) -> Option<Cut> {
        Some(self.cut(self.up_to?, self.epochs.last().map_or(Epoch(1), |(_, epoch)| *epoch)))
    }

    fn cut(&self, up_to: EventSeq, epoch: Epoch) -> Cut {
        let name = match self.bound {
            Bound::Whole => None,
            Bound::Through(_) | Bound::Before(_) => self.name.clone(),
        };
        Cut { up_to, epoch, name }
    }
}

fn epoch_of(body: &RecordBody) -> Option<Epoch> {
    if let RecordBody::ThreadOpened(opened) = body {
        Some(opened.epoch)
    } else if let RecordBody::Reverted(reverted) = body {
        Some(reverted.epoch)
    } else if let RecordBody::Forked(forked) = body {
        Some(forked.epoch)
    } else if let RecordBody::TurnCompleted(completed) = body {
        Some(completed.header.epoch)
    } else {
        None
    }
}

fn name_of(body: &RecordBody) -> Option<Option<String>> {
    if let RecordBody::ThreadNamed(named) = body {
        Some(named.name.clone())
    } else if let RecordBody::TurnCompleted(completed) = body {
        Some(completed.header.name.clone())
    } else {
        None
    }
}
