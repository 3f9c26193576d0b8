//! Checks the threads of a store that is no home, such as a database. Changes nothing. The caller gives a snapshot, in which
//! everything belongs together, so servers go on meanwhile.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::finding::{BlobSummary, Defect, FsckFinding, FsckSummary, IndexLook};
use super::records::RecordCheck;
use super::{FsckError, FsckNotice, rollout, rows};
use crate::history::ThreadRow;
use crate::home::Term;
use crate::index::ThreadIndex;
use crate::policy::STORED_THREADS;
use crate::rollout::RolloutStore;
use crate::rollout::blob::{BlobName, FoundTexts};
use crate::rollout::line::{LineError, RecordLine};
use crate::rollout::lines::{LineCursor, LineSummary, NumberedLine, Placement, RawLines, StoredThread};
use crate::rollout::order::term_of;
use crate::rollout::record::Record;

/// The facts that a database notes beside the lines of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotedFacts {
    /// The facts.
    pub summary: LineSummary,
    /// The number of the last line, which may stand behind the noted head.
    pub last: EventSeq,
}

/// Lines with the facts that a database notes beside them.
#[async_trait]
pub trait CheckedLines: RawLines {
    /// The facts noted beside the lines of a thread.
    async fn noted(&self, thread: ThreadId) -> io::Result<NotedFacts>;

    /// The columns of a thread's row that do not say what the row says.
    async fn differing_columns(&self, row: &ThreadRow) -> io::Result<Vec<&'static str>>;

    /// Those of these texts that the store does not note as used by the thread.
    async fn unprotected(&self, thread: ThreadId, texts: &BTreeSet<BlobName>) -> io::Result<Vec<BlobName>>;

    /// Threads with a row in the lists that are missing or deleted.
    async fn rows_alone(&self) -> io::Result<Vec<ThreadId>>;

    /// All texts, and those that no thread uses.
    async fn texts(&self) -> io::Result<BlobSummary>;
}

/// A snapshot of a store.
#[derive(Clone, Copy)]
pub struct StoreSnapshot<'s> {
    /// Its lines.
    pub lines: &'s dyn CheckedLines,
    /// The same threads as servers read them.
    pub store: &'s dyn RolloutStore,
    /// The rows of its lists.
    pub index: &'s dyn ThreadIndex,
}

impl std::fmt::Debug for StoreSnapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreSnapshot").finish_non_exhaustive()
    }
}

/// Checks these threads, or everything if there are none. The progress counts threads.
///
/// # Errors
/// [`FsckError::Lines`] if the store cannot be read.
pub async fn run(
    snapshot: StoreSnapshot<'_>,
    only: &BTreeSet<ThreadId>,
    notify: &mut (dyn FnMut(FsckNotice<'_>) + Send),
) -> Result<FsckSummary, FsckError> {
    let mut check = SnapshotCheck { snapshot, summary: FsckSummary::default(), done: (0, 0), notify };
    check.run(only).await.map_err(FsckError::Lines)?;
    Ok(check.summary)
}

struct SnapshotCheck<'s> {
    snapshot: StoreSnapshot<'s>,
    summary: FsckSummary,
    /// The threads checked so far, and all.
    done: (u64, u64),
    notify: &'s mut (dyn FnMut(FsckNotice<'_>) + Send),
}

impl SnapshotCheck<'_> {
    async fn run(&mut self, only: &BTreeSet<ThreadId>) -> io::Result<()> {
        let StoreSnapshot { lines, .. } = self.snapshot;
        self.summary.index = IndexLook::Compared;
        if !only.is_empty() {
            self.done.1 = only.len() as u64;
            for thread in only {
                match lines.find(*thread).await? {
                    Some(of) => self.thread(&of).await?,
                    None => {
                        let detail = "there is no such thread".to_owned();
                        self.say(
                            FsckFinding::new(Defect::Unreachable, lines_of(*thread), detail).of(*thread),
                        );
                    }
                }
            }
            return Ok(());
        }
        // First what looks at whole tables: a database that is too slow for it says so before the long part.
        for thread in lines.rows_alone().await? {
            let detail = "it shows a thread that is in no list".to_owned();
            self.say(FsckFinding::new(Defect::RowAlone, row_of(thread), detail).of(thread));
        }
        self.summary.blobs = lines.texts().await?;
        self.done.1 = lines.count().await?;
        let mut after = None;
        loop {
            let page = lines.stored(after, STORED_THREADS).await?;
            for of in &page {
                self.thread(of).await?;
            }
            match page.last() {
                Some(last) => after = Some(last.thread),
                None => break,
            }
        }
        Ok(())
    }

    /// Checks one thread. An error names it.
    async fn thread(&mut self, of: &StoredThread) -> io::Result<()> {
        let checked = self.lines_and_row(of).await;
        self.done.0 += 1;
        (self.notify)(FsckNotice::Progress(self.done.0, self.done.1));
        checked.map_err(|error| io::Error::new(error.kind(), format!("thread {}: {error}", of.thread)))
    }

    async fn lines_and_row(&mut self, of: &StoredThread) -> io::Result<()> {
        let StoreSnapshot { lines, .. } = self.snapshot;
        let mut reading = LineReading::of(of.thread, lines.noted(of.thread).await?);
        let mut from = LineCursor::default();
        loop {
            let page = lines.read(of, from).await?;
            for line in &page.lines {
                reading.take(line, lines).await?;
            }
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        self.summary.rollouts += 1;
        (self.summary.records, self.summary.bytes) =
            (self.summary.records + reading.records, self.summary.bytes + reading.bytes);
        for text in lines.unprotected(of.thread, &reading.texts).await? {
            let detail = format!("the text {text} is not noted as used, so a purge would remove it");
            reading.says(Defect::UnprotectedText, detail);
        }
        let is_whole = reading.is_whole;
        let (findings, is_open) = reading.end(of);
        findings.into_iter().for_each(|finding| self.say(finding));
        self.summary.open += u64::from(is_open && of.open);
        // The row of an open thread comes with its next records, and one without its texts knows more than they do.
        if !of.open && is_whole && !matches!(of.placement, Placement::Trash(_)) {
            self.row(of.thread).await?;
        }
        Ok(())
    }

    async fn row(&mut self, thread: ThreadId) -> io::Result<()> {
        let StoreSnapshot { lines, store, index } = self.snapshot;
        let row = index.get(thread).await.map_err(io::Error::other)?;
        let judged = rows::judge(store, thread, row.as_ref(), &row_of(thread)).await;
        let mut found = judged.map_err(io::Error::other)?;
        if let (None, Some((row, _))) = (&found, &row) {
            let columns = lines.differing_columns(row).await?;
            if !columns.is_empty() {
                let detail = format!("its columns differ from its row: {}", columns.join(", "));
                found = Some(FsckFinding::new(Defect::StaleRow, row_of(thread), detail).of(thread));
            }
        }
        found.into_iter().for_each(|finding| self.say(finding));
        Ok(())
    }

    fn say(&mut self, finding: FsckFinding) {
        self.summary.count(&finding);
        (self.notify)(FsckNotice::Finding(&finding));
    }
}

/// The name of a thread's lines in findings: the table and the thread.
fn lines_of(thread: ThreadId) -> PathBuf {
    PathBuf::from(format!("records/{thread}"))
}

fn row_of(thread: ThreadId) -> PathBuf {
    PathBuf::from(format!("threads/{thread}"))
}

/// The lines of a thread so far.
struct LineReading {
    thread: ThreadId,
    noted: NotedFacts,
    check: RecordCheck,
    /// The number of the last record.
    head: EventSeq,
    /// Bytes of lines behind it that are no records.
    unreadable: u64,
    /// Whether the record that is noted as the last one that tells of all is there and is none.
    has_wrong_header: bool,
    term: Term,
    records: u64,
    bytes: u64,
    /// The texts that the lines refer to.
    texts: BTreeSet<BlobName>,
    /// Whether no text is lost.
    is_whole: bool,
    findings: Vec<FsckFinding>,
}

impl LineReading {
    fn of(thread: ThreadId, noted: NotedFacts) -> Self {
        Self {
            thread,
            noted,
            check: RecordCheck::of(thread),
            head: EventSeq(0),
            unreadable: 0,
            has_wrong_header: noted.summary.header > noted.summary.head,
            term: Term(0),
            records: 0,
            bytes: 0,
            texts: BTreeSet::new(),
            is_whole: true,
            findings: Vec::new(),
        }
    }

    /// Judges the next line, with its texts from `lines`.
    async fn take(&mut self, line: &NumberedLine, lines: &dyn CheckedLines) -> io::Result<()> {
        self.bytes += line.bytes.len() as u64;
        let Some(whole) = RecordLine::of(&line.bytes).ok().filter(|whole| whole.seq() == line.seq) else {
            self.unreadable += line.bytes.len() as u64;
            return Ok(());
        };
        let mut found = HashMap::new();
        for blob in whole.blobs() {
            if let Some(bytes) = lines.text(blob.sha256).await? {
                self.texts.insert(blob.sha256);
                found.insert(blob.sha256, bytes);
            }
        }
        let lost = match whole.record(&FoundTexts(found))? {
            Ok(read) => {
                self.damage_before(line.seq);
                self.record(&read.record);
                read.lost
            }
            Err(LineError::Lost(lost)) => {
                self.damage_before(line.seq);
                self.head = line.seq;
                Some(lost)
            }
            Err(LineError::NoCrc | LineError::Crc { .. } | LineError::Head(_)) => {
                self.unreadable += line.bytes.len() as u64;
                None
            }
        };
        if let Some(lost) = lost {
            self.is_whole = false;
            let finding = self.finding(Defect::LostText, lost.to_string()).of_record(line.seq);
            self.findings.push(finding);
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) {
        (self.head, self.records) = (record.seq, self.records + 1);
        self.term = self.term.max(term_of(record).unwrap_or(Term(0)));
        // An earlier header serves as well: a load reads more then.
        self.has_wrong_header |= record.seq == self.noted.summary.header && !record.tells_of_all();
        self.check.take(record, None);
    }

    /// Reports the numbers between the last record and this one.
    fn damage_before(&mut self, next: EventSeq) {
        let missing = next.0.saturating_sub(self.head.0).saturating_sub(1);
        if missing > 0 {
            let detail = format!("records that are missing or cannot be read: {missing}");
            let finding = self.finding(Defect::Damage, detail).of_record(self.head);
            self.findings.push(finding.long(self.unreadable));
        }
        self.unreadable = 0;
    }

    /// The findings, and whether the last turn has no end.
    fn end(mut self, of: &StoredThread) -> (Vec<FsckFinding>, bool) {
        let NotedFacts { summary: noted, last } = self.noted;
        if self.records == 0 {
            self.says(Defect::Unreadable, format!("none of its lines up to {} is a record", noted.head));
            return (self.findings, false);
        }
        self.damage_before(noted.head.next());
        if last > noted.head {
            let detail =
                format!("lines stand behind record {}, which is noted as the last, up to {last}", noted.head);
            self.says(Defect::Damage, detail);
        }
        if self.has_wrong_header {
            self.says(
                Defect::Place,
                format!("record {} is noted as one that tells of all, and is none", noted.header),
            );
        }
        if self.term > noted.term {
            let (says, noted) = (self.term.0, noted.term.0);
            self.says(
                Defect::Term,
                format!("ownership {noted} is noted, and it was opened by ownership {says}"),
            );
        }
        let checked = std::mem::replace(&mut self.check, RecordCheck::of(of.thread)).end();
        if checked.open && !of.open && !matches!(of.placement, Placement::Trash(_)) {
            self.says(Defect::Unmarked, "its last turn has no end, and no mark says so".to_owned());
        }
        self.findings.extend(rollout::in_records(&lines_of(of.thread), of.thread, &checked.wrong));
        self.findings.sort_by_key(|finding| finding.seq);
        (self.findings, checked.open)
    }

    fn says(&mut self, kind: Defect, detail: String) {
        let finding = self.finding(kind, detail);
        self.findings.push(finding);
    }

    fn finding(&self, kind: Defect, detail: String) -> FsckFinding {
        FsckFinding::new(kind, lines_of(self.thread), detail).of(self.thread)
    }
}
