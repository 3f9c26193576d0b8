//! Reads of lines: pages from both ends, the end for a load, and raw lines for a prefilter.
//!
//! One statement is one snapshot, so head and lines of an answer belong together. A statement returns a bounded number of
//! bytes. A line that is no record is damage: it loses itself, and its number stays used.

use skein_base::clock::Clock;
use skein_base::tasks::apart;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::policy::READ_PAGE_BYTES;
use skein_store::rollout::line::{DecodedLine, RecordLine};
use skein_store::rollout::record::Record;
use skein_store::rollout::{Damage, LoadRepair, Loaded, MayHold, Prefilter, ReadError, RecordPage};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{PgStore, seq};
use crate::failure::DbFailure;
use crate::numbers::int;
use crate::policy;

/// A range of the primary key of one partition, up to a number of bytes and at least one line. The head comes with each
/// row, and alone if there is no line. `octet_length` reads no line that is stored apart.
const FORWARD: &str = "select h.seq, r.seq, r.line from heads h left join lateral (
  select w.seq, w.line from (
    select f.seq, f.line, sum(octet_length(f.line)) over (order by f.seq) - octet_length(f.line) as before from (
      select seq, line from records where thread = $1 and seq > $2 and seq <= h.seq order by seq limit $3
    ) f
  ) w where w.before < $4
) r on true where h.thread = $1 and h.seq > 0 and h.trashed_at is null order by r.seq";

/// The same range from its other end.
const BACK: &str = "select h.seq, r.seq, r.line from heads h left join lateral (
  select w.seq, w.line from (
    select f.seq, f.line, sum(octet_length(f.line)) over (order by f.seq desc) - octet_length(f.line) as before from (
      select seq, line from records where thread = $1 and seq < $2 and seq <= h.seq order by seq desc limit $3
    ) f
  ) w where w.before < $4
) r on true where h.thread = $1 and h.seq > 0 and h.trashed_at is null order by r.seq desc";

/// The records from the last one that tells of all, or from the beginning ($2): one range.
const END: &str = "select h.seq, r.seq, r.line, h.header from heads h left join records r
  on r.thread = $1 and r.seq >= case when $2 then 1 else h.header end and r.seq <= h.seq
where h.thread = $1 and h.seq > 0 and h.trashed_at is null order by r.seq";

/// The lines that one statement found, in the order of the read.
pub(super) struct FoundLines {
    /// The number of the thread's last record.
    pub(super) head: EventSeq,
    rows: Vec<Row>,
}

impl FoundLines {
    /// `None` if the thread is missing.
    fn of(rows: Vec<Row>) -> Option<Self> {
        Some(Self { head: seq(rows.first()?, 0), rows })
    }

    /// Each line with its number.
    pub(super) fn lines(&self) -> impl Iterator<Item = (EventSeq, &[u8])> {
        self.rows.iter().filter_map(|row| {
            let number = row.get::<_, Option<i64>>(1)?;
            Some((EventSeq(crate::numbers::number(number)), row.get::<_, &[u8]>(2)))
        })
    }

    fn last(&self) -> Option<EventSeq> {
        self.lines().last().map(|(seq, _)| seq)
    }
}

/// The line of record `seq`, if it is one.
pub(super) fn whole(seq: EventSeq, line: &[u8]) -> Option<RecordLine<'_>> {
    RecordLine::of(line).ok().filter(|line| line.seq() == seq)
}

impl PgStore {
    pub(super) async fn lines_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        rows: i64,
    ) -> Result<FoundLines, ReadError> {
        self.lines(FORWARD, thread, int(after.0), rows).await
    }

    /// The lines before a number, the newest first.
    pub(super) async fn lines_before(
        &self,
        thread: ThreadId,
        before: EventSeq,
        rows: i64,
    ) -> Result<FoundLines, ReadError> {
        self.lines(BACK, thread, int(before.0), rows).await
    }

    async fn lines(
        &self,
        sql: &str,
        thread: ThreadId,
        from: i64,
        rows: i64,
    ) -> Result<FoundLines, ReadError> {
        let bytes = i64::try_from(READ_PAGE_BYTES).unwrap_or(i64::MAX);
        let (id, rows) = (thread.uuid(), rows.clamp(1, policy::PAGE_ROWS));
        let found = self
            .pool
            .read(sql, &[(&id, Type::UUID), (&from, Type::INT8), (&rows, Type::INT8), (&bytes, Type::INT8)])
            .await;
        FoundLines::of(found.map_err(self.unread(thread))?).ok_or(ReadError::Missing(thread))
    }

    pub(super) async fn forward(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        let (mut page, mut from) = (RecordPage::default(), after);
        loop {
            let found = self.lines_after(thread, from, rows_for(limit, &page)).await?;
            if self.fill(&mut page, &found, thread, limit).await? {
                return Ok(page);
            }
            match found.last() {
                Some(last) if last < found.head => from = last,
                Some(_) | None => return Ok(page),
            }
        }
    }

    pub(super) async fn back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        let (mut page, mut from) = (RecordPage::default(), before.unwrap_or(EventSeq(u64::MAX)));
        loop {
            let found = self.lines_before(thread, from, rows_for(limit, &page)).await?;
            let is_full = self.fill(&mut page, &found, thread, limit).await?;
            if before.is_none() && page.taken == 0 {
                // Every number up to the head is used, also that of a line which is no record.
                page.taken =
                    page.records.first().map_or(0, |newest| found.head.0.saturating_sub(newest.seq.0));
            }
            match found.last() {
                Some(last) if last.0 > 1 && !is_full => from = last,
                Some(_) | None => break,
            }
        }
        page.reverse();
        Ok(page)
    }

    /// Adds the records of these lines. Returns whether the page has no room for the next one.
    async fn fill(
        &self,
        page: &mut RecordPage,
        found: &FoundLines,
        thread: ThreadId,
        limit: usize,
    ) -> Result<bool, ReadError> {
        for (seq, line) in found.lines() {
            let Some(line) = whole(seq, line) else { continue };
            if page.is_full(&line, limit) {
                page.more = true;
                return Ok(true);
            }
            if let Some(read) = self.decode(&line).await.map_err(self.unread(thread))? {
                page.take(read, &line);
            }
        }
        Ok(false)
    }

    /// The record of a line, with its texts; `None` if it means nothing without a lost one.
    async fn decode(&self, line: &RecordLine<'_>) -> Result<Option<DecodedLine>, DbFailure> {
        let texts = self.fetch_texts(line.blobs()).await?;
        let read = line.record(&texts).map_err(|error| DbFailure::refused(error.to_string()))?;
        Ok(read.ok())
    }

    /// The end of the rollout, for a load.
    pub(super) async fn read_end(&self, thread: ThreadId) -> Result<Loaded, ReadError> {
        let (loaded, from_header) = self.read_end_from(thread, false).await?;
        if !from_header || loaded.end.first().is_some_and(Record::tells_of_all) {
            return Ok(loaded);
        }
        // The header is damaged, so an earlier one counts.
        let (mut loaded, _) = self.read_end_from(thread, true).await?;
        let header = loaded.end.iter().rposition(Record::tells_of_all).unwrap_or(0);
        loaded.end.drain(..header);
        Ok(loaded)
    }

    /// Returns whether a header says where the end begins, too.
    async fn read_end_from(&self, thread: ThreadId, all: bool) -> Result<(Loaded, bool), ReadError> {
        let found = self.pool.read(END, &[(&thread.uuid(), Type::UUID), (&all, Type::BOOL)]).await;
        let rows = found.map_err(self.unread(thread))?;
        let header = rows.first().map_or(EventSeq(0), |row| seq(row, 3));
        let found = FoundLines::of(rows).ok_or(ReadError::Missing(thread))?;
        let begin = if all { EventSeq(1) } else { header.max(EventSeq(1)) };
        let mut end = LoadedEnd { records: Vec::new(), gap: Gap::before(begin), damage: Vec::new() };
        for (seq, line) in found.lines() {
            let read = match whole(seq, line) {
                Some(line) => self.decode(&line).await.map_err(self.unread(thread))?,
                None => None,
            };
            end.add(seq, line.len() as u64, read);
        }
        let loaded = end.finish(thread, found.head)?;
        Ok((loaded, header > EventSeq(0)))
    }

    pub(super) async fn prefilter_lines(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>> {
        let mut answers = Vec::new();
        for (thread, after) in threads {
            if !answers.is_empty() && Clock.now() >= until {
                break;
            }
            answers.push(self.prefilter_one(thread, after, &may_hold).await);
        }
        answers
    }

    async fn prefilter_one(
        &self,
        thread: ThreadId,
        after: EventSeq,
        may_hold: &MayHold,
    ) -> Result<Option<EventSeq>, ReadError> {
        let (mut prefilter, mut from) = (Prefilter::new(may_hold, after), after);
        loop {
            let found = self.lines_after(thread, from, policy::PAGE_ROWS).await?;
            if let Some(turn) = apart(|| found.lines().find_map(|(_, line)| prefilter.take(line))) {
                return Ok(Some(turn));
            }
            match found.last() {
                Some(last) if last < found.head => from = last,
                Some(_) | None => return Ok(prefilter.end()),
            }
        }
    }
}

/// Rows that a statement should read for the rest of a page: one more than the page takes says whether there are more.
fn rows_for(limit: usize, page: &RecordPage) -> i64 {
    i64::try_from(limit.saturating_sub(page.records.len())).unwrap_or(i64::MAX).saturating_add(1)
}

/// The end of a rollout while its lines are read.
#[derive(Debug)]
struct LoadedEnd {
    records: Vec<Record>,
    gap: Gap,
    damage: Vec<Damage>,
}

/// Numbers without a readable record, behind the last readable one.
#[derive(Debug, Clone, Copy)]
struct Gap {
    after: EventSeq,
    bytes: u64,
}

impl Gap {
    fn before(first: EventSeq) -> Self {
        Self { after: EventSeq(first.0.saturating_sub(1)), bytes: 0 }
    }

    /// The damage between the last readable record and `next`.
    fn up_to(self, next: EventSeq) -> Option<Damage> {
        let missing = next.0.saturating_sub(self.after.0).saturating_sub(1);
        (missing > 0).then(|| Damage::of_records(self.after, missing, self.bytes))
    }
}

impl LoadedEnd {
    fn add(&mut self, seq: EventSeq, bytes: u64, read: Option<DecodedLine>) {
        match read {
            Some(read) => {
                self.damage.extend(self.gap.up_to(seq));
                self.gap = Gap { after: seq, bytes: 0 };
                self.records.push(read.record);
            }
            None => self.gap.bytes += bytes,
        }
    }

    fn finish(mut self, thread: ThreadId, head: EventSeq) -> Result<Loaded, ReadError> {
        self.damage.extend(self.gap.up_to(head.next()));
        if self.records.is_empty() {
            let reason = format!("none of its lines up to {head} is a record");
            return Err(ReadError::Unreadable { thread, reason });
        }
        for damage in &self.damage {
            tracing::warn!(%thread, ?damage, "a rollout is damaged; the damage stays, the rest was read");
        }
        Ok(Loaded { end: self.records, head, repair: LoadRepair { cut: 0, damage: self.damage } })
    }
}
