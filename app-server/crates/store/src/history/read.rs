//! Reads histories from a store: the newest turns, or stretches of turns. The cost depends on the part that is read,
//! not on the length of the history. Changes nothing on disk.

use std::collections::VecDeque;

use skein_protocol::ids::{EventSeq, ThreadId, TurnId};

use super::{History, LoadedTurn};
use crate::policy;
use crate::rollout::record::{Record, RecordBody, TakenBack};
use crate::rollout::{Location, ReadError, RolloutStore};

#[cfg(test)]
pub(crate) mod tests;

impl History {
    /// Reads the whole thread as its rollout has it now. A turn whose owner was killed is still open in it. The cost
    /// grows with the rollout: meant for checks and copies.
    pub async fn read(store: &dyn RolloutStore, thread: ThreadId) -> Result<Self, ReadError> {
        let mut history = Self::of(thread);
        loop {
            let page = store.read_after(thread, history.seq, policy::FOLD_PAGE).await?;
            page.records.iter().for_each(|record| history.apply(record));
            if !page.more || page.records.is_empty() {
                return Ok(history);
            }
        }
    }

    /// Reads the thread `id`, which begins with the records of another thread up to `up_to`.
    pub async fn read_as(
        store: &dyn RolloutStore,
        from: ThreadId,
        id: ThreadId,
        up_to: EventSeq,
    ) -> Result<Self, ReadError> {
        let mut history = Self::of(id);
        loop {
            let page = store.read_after(from, history.seq, policy::FOLD_PAGE).await?;
            let copied = page.records.iter().take_while(|record| record.seq <= up_to);
            copied.for_each(|record| history.apply(record));
            if !page.more || page.records.last().is_none_or(|last| last.seq >= up_to) {
                return Ok(history);
            }
        }
    }

    /// Reads the thread as its rollout has it now. It has the newest turns with `bytes` of JSON together, and at
    /// least one; with 0 perhaps none. A turn whose owner was killed is still open in it.
    pub async fn read_end(
        store: &dyn RolloutStore,
        thread: ThreadId,
        bytes: usize,
    ) -> Result<Self, ReadError> {
        let mut history = Self::of(thread);
        let end = LastRecords::read(store, thread, bytes).await?;
        if let Some(base) = end.base() {
            history.read_beginning(store, thread, base.seq).await?;
            if let Some(header) = base.header() {
                let beginning = history.settings_source.at();
                history.leap(header, base.seq);
                if header.settings.is_none() && (beginning.is_none() || beginning != header.settings_at) {
                    history.read_settings(store, thread, base.seq).await?;
                }
                if let Some(queue) = &header.queue {
                    history.read_queue(store, thread, queue).await?;
                }
            }
        }
        end.records.iter().for_each(|record| history.apply(record));
        if end.taken > 0 {
            history.skip_to(EventSeq(history.seq.0.saturating_add(end.taken)));
        }
        report(&history);
        if bytes > 0 {
            history.fill(store, bytes).await?;
        } else if history.emptied {
            // The oldest turn in memory may have turns before it on disk.
            history.read_older(store, Enough { turns: 1, ..Enough::ALL }).await?;
        }
        Ok(history)
    }

    /// Does the same, and adds the archived state, which no record has.
    ///
    /// # Errors
    /// As [`History::read_end`].
    pub async fn read_shown(
        store: &dyn RolloutStore,
        thread: ThreadId,
        bytes: usize,
    ) -> Result<Self, ReadError> {
        let mut history = Self::read_end(store, thread, bytes).await?;
        history.set_archived(store.location(thread).await? == Location::Archived);
        Ok(history)
    }

    /// Reads older turns until the history holds the newest ones with `bytes` of JSON together, and at least one.
    async fn fill(&mut self, store: &dyn RolloutStore, bytes: usize) -> Result<(), ReadError> {
        if self.older && self.held_bytes() <= bytes {
            let json = bytes - self.held_bytes();
            self.read_older(store, Enough { json, bytes: policy::HISTORY_LINES, ..Enough::ALL }).await?;
        }
        self.drop_oldest(bytes);
        Ok(())
    }

    async fn read_older(&mut self, store: &dyn RolloutStore, enough: Enough) -> Result<(), ReadError> {
        let oldest = self.turns.first().map(|held| held.at);
        let taken_back = self.taken_back.clone();
        let older = Turns::of(store, self.id, &taken_back, Some(self.seq)).back(oldest, enough).await?;
        self.refill(older.turns, older.more);
        Ok(())
    }

    /// Reads the facts that only the beginning has: time and maker of the thread, and its first user message. Skips
    /// damaged lines.
    async fn read_beginning(
        &mut self,
        store: &dyn RolloutStore,
        thread: ThreadId,
        before: EventSeq,
    ) -> Result<(), ReadError> {
        while self.preview.is_none() {
            let page = store.read_after(thread, self.seq, policy::BEGINNING_PAGE).await?;
            for record in page.records.iter().filter(|record| record.seq < before) {
                self.apply(record);
                if self.preview.is_some() {
                    break;
                }
            }
            if !page.more || page.records.last().is_none_or(|last| last.seq >= before) {
                break;
            }
        }
        (self.last_lost, self.lost) = (EventSeq(0), false);
        Ok(())
    }
}

/// Logs that records are missing in the part that was read.
fn report(history: &History) {
    if history.last_lost > EventSeq(0) {
        tracing::warn!(thread = %history.id, last = %history.last_lost, "damaged records of a thread were skipped; the rest was read");
    }
}

/// The last records of a rollout: all of them, or those from a header on.
struct LastRecords {
    /// Oldest first.
    records: VecDeque<Record>,
    whole: bool,
    /// Damaged lines behind them.
    taken: u64,
}

impl LastRecords {
    /// Reads backwards for at least `bytes`, and then on to a header.
    async fn read(store: &dyn RolloutStore, thread: ThreadId, bytes: usize) -> Result<Self, ReadError> {
        let mut end = Self { records: VecDeque::new(), whole: false, taken: 0 };
        let limit = if bytes == 0 { policy::HEADER_PAGE } else { policy::WINDOW_PAGE };
        let (mut before, mut read) = (None, 0);
        loop {
            let page = store.read_back(thread, before, limit).await?;
            before = page.records.first().map(|first| first.seq);
            read += page.bytes;
            end.taken += page.taken;
            let base = page.records.iter().position(Record::tells_of_all);
            let whole = !page.more || page.records.is_empty();
            let enough = !whole && read >= bytes;
            let from = base.filter(|_| enough).unwrap_or(0);
            for record in page.records.into_iter().skip(from).rev() {
                end.records.push_front(record);
            }
            if whole || (enough && base.is_some()) {
                end.whole = whole;
                return Ok(end);
            }
        }
    }

    fn base(&self) -> Option<&Record> {
        self.records.front().filter(|_| !self.whole)
    }
}

/// Bounds of a read. A stretch ends at the first bound it reaches. The bound on the rollout ends it at the end of a
/// turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enough {
    /// Turns.
    pub turns: usize,
    /// Items of those turns.
    pub items: usize,
    /// Bytes of those turns as JSON.
    pub json: usize,
    /// Bytes of the rollout.
    pub bytes: usize,
    /// Turns at the beginning that do not count.
    pub uncounted: usize,
}

impl Enough {
    /// No bound.
    pub const ALL: Self =
        Self { turns: usize::MAX, items: usize::MAX, json: usize::MAX, bytes: usize::MAX, uncounted: 0 };

    fn is_met<'t>(self, turns: impl ExactSizeIterator<Item = &'t LoadedTurn>, bytes: usize) -> bool {
        let turns = turns.skip(self.uncounted);
        let count = turns.len();
        let (mut items, mut json) = (0, 0usize);
        for held in turns {
            items += held.turn.items.len();
            // Measuring an open turn takes time.
            json = if self.json == usize::MAX { 0 } else { json.saturating_add(held.json_bytes()) };
        }
        count >= self.turns || items >= self.items || json > self.json || (bytes >= self.bytes && count > 0)
    }
}

fn begins_turn(records: &[Record]) -> bool {
    records.first().is_some_and(|first| matches!(first.body, RecordBody::TurnStarted(_)))
}

/// Consecutive turns.
#[derive(Debug, Default)]
pub struct Stretch {
    /// Oldest first.
    pub turns: VecDeque<LoadedTurn>,
    /// Whether turns may follow in the direction of the read.
    pub more: bool,
    /// The history behind the newest turn, if no other turn follows. It knows the open items.
    pub newest: Option<History>,
    /// The last record that a forward read has reached.
    pub ends: EventSeq,
    /// The first record that a backward read has reached.
    begins: Option<EventSeq>,
}

/// Reads turns of one thread as of one record, or as of now.
pub struct Turns<'a> {
    store: &'a dyn RolloutStore,
    thread: ThreadId,
    /// Stretches that reverts took back. Reads skip them.
    taken_back: &'a [TakenBack],
    /// The last record that counts; none for the end of the rollout.
    last: Option<EventSeq>,
}

impl<'a> Turns<'a> {
    /// The turns of a thread with these `taken_back` stretches, up to the record `last` or to the end.
    pub fn of(
        store: &'a dyn RolloutStore,
        thread: ThreadId,
        taken_back: &'a [TakenBack],
        last: Option<EventSeq>,
    ) -> Self {
        Self { store, thread, taken_back, last }
    }

    /// Whether a revert took back the turn that begins with this record.
    pub fn is_taken_back(&self, seq: EventSeq) -> bool {
        self.taken_back.iter().any(|cut| cut.holds(seq))
    }

    /// Reads the turns before the one that begins with record `before`, or the last turns.
    pub async fn back(&self, before: Option<EventSeq>, enough: Enough) -> Result<Stretch, ReadError> {
        let (mut stretch, mut bytes) = (Stretch { more: true, ..Stretch::default() }, 0);
        // Records of a turn whose beginning is still unread.
        let mut rest: Vec<Record> = Vec::new();
        let mut at_end = before.is_none();
        let mut before = before.or_else(|| self.last.map(EventSeq::next));
        while stretch.more && !enough.is_met(stretch.turns.iter(), bytes) {
            let page = self.store.read_back(self.thread, before, policy::WINDOW_PAGE).await?;
            before = page.records.first().map(|first| first.seq);
            bytes += page.bytes;
            stretch.more = page.more && before.is_some();
            let mut records = page.records;
            records.append(&mut rest);
            let begins = records.iter().position(|record| matches!(record.body, RecordBody::TurnStarted(_)));
            let begins = begins.unwrap_or(records.len());
            if begins < records.len() {
                self.take(&mut stretch, records.split_off(begins), at_end);
                at_end = false;
            }
            rest = records;
        }
        if !stretch.more {
            // No turn begins before the first one, but the lines there may be damaged.
            self.take(&mut stretch, rest, false);
        }
        Ok(stretch)
    }

    /// Puts `records` before the stretch. They begin with a turn, or with the rollout.
    fn take(&self, stretch: &mut Stretch, records: Vec<Record>, at_end: bool) {
        let mut history = History::of(self.thread);
        if let Some(first) = records.first().filter(|_| stretch.more || begins_turn(&records)) {
            history.begin_at(first.seq);
        }
        records.iter().for_each(|record| history.apply(record));
        if let Some(next) = stretch.begins {
            history.miss(EventSeq(next.0.saturating_sub(1)));
            let first = stretch.turns.front_mut().filter(|held| held.at == next);
            if let (Some(missing), Some(first)) = (history.missing.take(), first) {
                first.show_damage_before(missing);
            }
        }
        stretch.begins = records.first().map(|first| first.seq).or(stretch.begins);
        report(&history);
        if !at_end {
            history.end_open_turn();
        }
        for held in history.turns.iter().rev().filter(|held| !self.is_taken_back(held.at)) {
            stretch.turns.push_front(held.clone());
        }
        if at_end {
            stretch.newest = Some(history);
        }
    }

    /// Reads the turns from record `from` on, which begins a turn or stands before one.
    pub async fn forward(&self, from: EventSeq, enough: Enough) -> Result<Stretch, ReadError> {
        let mut history = History::of(self.thread);
        history.begin_at(from);
        let mut bytes = 0;
        loop {
            let page = self.store.read_after(self.thread, history.seq, policy::WINDOW_PAGE).await?;
            bytes += page.bytes;
            let more = page.more && page.records.last().is_some_and(|record| !self.is_behind(record.seq));
            for record in page.records.iter().filter(|record| !self.is_behind(record.seq)) {
                // The read skips reverted turns, so a revert has nothing to take back.
                if self.is_taken_back(record.seq) {
                    history.pass_over(record.seq);
                    continue;
                }
                history.apply(record);
                let ended = matches!(record.body, RecordBody::TurnCompleted(_));
                if ended && enough.is_met(history.turns.iter(), bytes) {
                    let ends = record.seq;
                    return Ok(Stretch {
                        turns: history.turns.into(),
                        more: true,
                        ends,
                        ..Stretch::default()
                    });
                }
            }
            if !more {
                report(&history);
                let (turns, ends) = (history.turns.iter().cloned().collect(), history.seq);
                return Ok(Stretch { turns, ends, newest: Some(history), ..Stretch::default() });
            }
        }
    }

    fn is_behind(&self, seq: EventSeq) -> bool {
        self.last.is_some_and(|last| seq > last)
    }

    /// Finds the first record of a turn, from the end backwards; `None` if the rollout has no such turn.
    pub async fn find(&self, turn: &TurnId) -> Result<Option<EventSeq>, ReadError> {
        let begins = |record: &&Record| matches!(&record.body, RecordBody::TurnStarted(started) if started.turn_id == *turn);
        let mut before = self.last.map(EventSeq::next);
        loop {
            let page = self.store.read_back(self.thread, before, policy::WINDOW_PAGE).await?;
            if let Some(found) = page.records.iter().rev().find(begins) {
                return Ok(Some(found.seq).filter(|seq| !self.is_taken_back(*seq)));
            }
            before = page.records.first().map(|first| first.seq);
            if !page.more || before.is_none() {
                return Ok(None);
            }
        }
    }

    /// Reads the thread up to the end of the turn that is open in `then`, or to the last record.
    pub async fn to_end_of_turn(&self, then: &History) -> Result<History, ReadError> {
        let mut now = then.clone();
        loop {
            let page = self.store.read_after(self.thread, now.seq, policy::WINDOW_PAGE).await?;
            for record in &page.records {
                if now.open_turn().is_none() {
                    return Ok(now);
                }
                now.apply(record);
            }
            if !page.more || page.records.is_empty() {
                return Ok(now);
            }
        }
    }
}
