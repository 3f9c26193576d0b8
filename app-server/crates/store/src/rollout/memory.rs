//! Rollouts in memory, for tests of higher rooms. It keeps every promise except durability.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_base::clock::{Clock, WallMs};
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::time::Instant;
use uuid::Uuid;

use super::record::{Record, SecretValues};
use super::{
    AppendError, Appended, CopyError, Lease, LoadRepair, Loaded, Location, LogEntry, MayHold, MoveError,
    OpenMarker, OpenMarkers, Prefilter, ReadError, RecordPage, RolloutCounts, RolloutStore, line, order,
};
use crate::home::Term;

/// A store that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<MemoryState>,
}

#[derive(Debug, Default)]
struct MemoryState {
    rollouts: BTreeMap<ThreadId, Vec<Record>>,
    /// Threads by their last write, oldest first.
    written: Vec<ThreadId>,
    archived: BTreeSet<ThreadId>,
    /// Deleted threads with their deletion times.
    trash: Vec<(WallMs, ThreadId)>,
    open: OpenMarkers,
    counts: RolloutCounts,
    life: Option<Uuid>,
}

impl MemoryStore {
    /// The life of each until [`set_life`](Self::set_life).
    pub const FIRST_LIFE: Uuid = Uuid::from_u128(1);

    /// Begins another life of the storage.
    pub fn set_life(&self, life: Uuid) {
        self.state().life = Some(life);
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryState {
    fn records(&self, thread: ThreadId) -> Result<&Vec<Record>, ReadError> {
        self.rollouts.get(&thread).ok_or(ReadError::Missing(thread))
    }

    fn append(
        &mut self,
        lease: Lease,
        expected: EventSeq,
        records: Vec<Record>,
    ) -> Result<Appended, AppendError> {
        let thread = lease.thread;
        let there = self.rollouts.get(&thread).map(Vec::as_slice).unwrap_or_default();
        let term = there.iter().filter_map(order::term_of).max().unwrap_or(Term(0));
        let head = there.last().map_or(EventSeq(0), |last| last.seq);
        let head = order::check(lease, expected, &records, head, term)?;
        self.open.note(thread);
        self.rollouts.entry(thread).or_default().extend(records);
        self.written.retain(|written| *written != thread);
        self.written.push(thread);
        self.counts.appends += 1;
        Ok(Appended::unlisted(head))
    }
}

/// The records in their file form.
fn lines(records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    // Every member of ours can be written as JSON.
    records.iter().try_for_each(|record| line::encode(record, &mut lines)).ok();
    lines
}

fn page(records: Vec<Record>, more: bool) -> RecordPage {
    RecordPage { bytes: lines(&records).len(), more, lost: Vec::new(), taken: 0, records }
}

impl MemoryState {
    /// Whether this lease may move the rollout. Creates the open marker.
    fn take(&mut self, lease: Lease) -> Result<(), MoveError> {
        let thread = lease.thread;
        let term = self.records(thread)?.iter().filter_map(order::term_of).max();
        if let Some(term) = term.filter(|term| *term > lease.term) {
            return Err(MoveError::Fenced { thread, term });
        }
        self.open.note(thread);
        Ok(())
    }
}

fn last(records: &[Record]) -> EventSeq {
    records.last().map_or(EventSeq(0), |last| last.seq)
}

#[async_trait]
impl RolloutStore for MemoryStore {
    fn life(&self) -> Uuid {
        self.state().life.unwrap_or(Self::FIRST_LIFE)
    }

    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        entry: LogEntry,
    ) -> Result<Appended, AppendError> {
        self.state().append(lease, expected, entry.records)
    }

    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError> {
        let mut state = self.state();
        let mut records: Vec<Record> =
            state.records(from)?.iter().filter(|record| record.seq <= up_to).cloned().collect();
        records.extend(then);
        let (thread, head) = (lease.thread, last(&records));
        if state.rollouts.contains_key(&thread) {
            return Err(AppendError::Conflict { thread, head: EventSeq(0) }.into());
        }
        state.open.note(thread);
        state.rollouts.insert(thread, records);
        state.written.push(thread);
        state.counts.appends += 1;
        Ok(Appended::unlisted(head))
    }

    async fn secrets(&self, thread: ThreadId) -> Result<SecretValues, ReadError> {
        let state = self.state();
        let settings =
            state.rollouts.get(&thread).into_iter().flatten().filter_map(|record| record.body.settings());
        let mut secrets = SecretValues::default();
        settings.for_each(|settings| secrets.add(settings.secrets.0.clone()));
        Ok(secrets)
    }

    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError> {
        let mut state = self.state();
        state.counts.reads += 1;
        Ok(last(state.records(thread)?))
    }

    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError> {
        let mut state = self.state();
        state.counts.loads += 1;
        let records = state.records(thread)?;
        let (head, end) = (last(records), records.iter().rposition(Record::tells_of_all).unwrap_or(0));
        let end = records.get(end..).unwrap_or_default().to_vec();
        Ok(Loaded { head, end, repair: LoadRepair::default() })
    }

    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        let mut state = self.state();
        state.counts.reads += 1;
        let mut rest = state.records(thread)?.iter().filter(|record| record.seq > after);
        let records = rest.by_ref().take(limit).cloned().collect();
        Ok(page(records, rest.next().is_some()))
    }

    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        let mut state = self.state();
        state.counts.reads += 1;
        let earlier = state.records(thread)?.iter().rev();
        let mut rest = earlier.filter(|record| before.is_none_or(|before| record.seq < before));
        let mut records: Vec<Record> = rest.by_ref().take(limit).cloned().collect();
        records.reverse();
        Ok(page(records, rest.next().is_some()))
    }

    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>> {
        let state = self.state();
        let mut answers = Vec::new();
        for (thread, after) in threads {
            if !answers.is_empty() && Clock.now() >= until {
                break;
            }
            let mut prefilter = Prefilter::new(&may_hold, after);
            let found = state.records(thread).map(|records| {
                let lines = lines(records);
                let found = lines.split(|byte| *byte == b'\n').find_map(|line| prefilter.take(line));
                found.or_else(|| prefilter.end())
            });
            answers.push(found);
        }
        answers
    }

    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError> {
        Ok(self.state().rollouts.contains_key(&thread))
    }

    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError> {
        let state = self.state();
        state.records(thread)?;
        Ok(if state.archived.contains(&thread) { Location::Archived } else { Location::Active })
    }

    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError> {
        let mut state = self.state();
        state.take(lease)?;
        match location {
            Location::Active => state.archived.remove(&lease.thread),
            Location::Archived => state.archived.insert(lease.thread),
        };
        Ok(())
    }

    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError> {
        let mut state = self.state();
        state.take(lease)?;
        state.rollouts.remove(&lease.thread);
        state.archived.remove(&lease.thread);
        state.written.retain(|written| *written != lease.thread);
        state.trash.push((at, lease.thread));
        Ok(())
    }

    async fn purge(&self, before: WallMs) -> io::Result<usize> {
        let mut state = self.state();
        let there = state.trash.len();
        state.trash.retain(|(at, _)| *at >= before);
        Ok(there - state.trash.len())
    }

    async fn archived(&self) -> io::Result<Vec<ThreadId>> {
        Ok(self.state().archived.iter().copied().collect())
    }

    async fn threads(&self) -> io::Result<Vec<ThreadId>> {
        Ok(self.state().written.iter().rev().copied().collect())
    }

    fn release(&self, _thread: ThreadId) {}

    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()> {
        self.state().open.note(thread);
        Ok(())
    }

    async fn open_markers(&self) -> io::Result<Vec<ThreadId>> {
        Ok(self.state().open.threads().collect())
    }

    fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        self.state().open.open_marker(thread)
    }

    async fn clear_open_markers(&self, markers: Vec<OpenMarker>) -> io::Result<usize> {
        let mut state = self.state();
        Ok(markers.into_iter().filter(|marker| state.open.take_off(*marker)).count())
    }

    fn counts(&self) -> RolloutCounts {
        let state = self.state();
        RolloutCounts { open_markers: state.open.count(), ..state.counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_every_promise_of_a_store() {
        super::super::conformance::keeps_every_promise(async || ((), MemoryStore::default())).await;
    }
}
