//! Reads a rollout from an offset to its end and judges each line: record, damage, or torn end. Changes nothing.

use std::io;

use skein_protocol::ids::{EventSeq, ThreadId};

use super::layer::LayerFile;
use super::lines::{FileLine, Forward};
use super::places::is_of_the_folder;
use crate::home::Term;
use crate::rollout::blob::{Lost, TextSource};
use crate::rollout::line::{DecodedLine, LineError};
use crate::rollout::record::{Record, RecordBody};
use crate::rollout::{Damage, ReadError, line, order};

/// The content of a rollout's file.
#[derive(Debug)]
pub(super) struct Scan {
    /// The records, oldest first.
    pub(crate) records: Vec<Record>,
    /// The number of the last record, or of the last damaged line that stays behind it.
    pub(crate) head: EventSeq,
    /// The term of the last `thread.opened`.
    pub(crate) term: Term,
    /// The length to cut the file to; its own length if it is whole.
    pub(crate) keep: u64,
    /// Damage that stays.
    pub(crate) damage: Vec<Damage>,
    /// Lost texts of records that are damage, or that show the loss themselves.
    pub(crate) lost: Vec<LostText>,
    /// The turn offsets that a `turn.completed` names.
    pub(crate) offsets: TurnOffsets,
}

/// Offsets in the file that later lines refer to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnOffsets {
    /// The last `turn.started`.
    pub turn: Option<u64>,
    /// The last `compacted`.
    pub compacted: Option<u64>,
}

impl TurnOffsets {
    /// Notes a record that begins at `offset`.
    pub fn note(&mut self, record: &Record, offset: u64) {
        if matches!(record.body, RecordBody::TurnStarted(_)) {
            self.turn = Some(offset);
        } else if matches!(record.body, RecordBody::Compacted(_)) {
            self.compacted = Some(offset);
        } else if let RecordBody::TurnCompleted(completed) = &record.body
            && let Some(place) = completed.place
        {
            self.turn = self.turn.max(Some(place.turn_at));
            self.compacted = self.compacted.max(place.compacted_at);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bad {
    offset: u64,
    length: u64,
    ended: u64,
    /// The offset of the part without a newline.
    fragment: Option<u64>,
}

/// Reads the file from `from`, the beginning of a line, up to `end`.
///
/// # Errors
/// As [`ReadError`]; a file without a single record stays untouched.
pub(super) fn scan(
    file: &dyn LayerFile,
    texts: &dyn TextSource,
    thread: ThreadId,
    from: u64,
    end: u64,
) -> Result<Scan, ReadError> {
    let mut records = Vec::new();
    let mut scan = walk((file, texts), thread, from, end, |record, _| records.push(record))?;
    scan.records = records;
    Ok(scan)
}

/// The result of reading a rollout's file from beginning to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The number of the last record, or of the last damaged line that stays behind it.
    pub(crate) head: EventSeq,
    pub(crate) length: u64,
    /// The length that a load would cut it to; its own length if it is whole.
    pub(crate) keep: u64,
    /// Damage that stays, oldest first.
    pub(crate) damage: Vec<Damage>,
    /// Lost texts, oldest first, of records that are damage or that show the loss themselves.
    pub(crate) lost: Vec<LostText>,
}

/// A record with a lost text. Its line is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostText {
    pub(crate) seq: EventSeq,
    /// The offset of its line, bytes.
    pub(crate) offset: u64,
    /// The text, and the thing in its place.
    pub(crate) lost: Lost,
}

/// The position of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAt {
    /// Its offset in the file, bytes.
    pub(crate) offset: u64,
    /// Bytes of that offset that are whitespace added before line ends.
    pub(crate) added: u64,
}

/// Reads a whole rollout with the judgement of a load, and passes each record and its position to `each`. Memory use
/// does not depend on the file's length.
pub fn survey(
    file: &dyn LayerFile,
    texts: &dyn TextSource,
    thread: ThreadId,
    each: impl FnMut(Record, LineAt),
) -> Result<Survey, ReadError> {
    let length = file.len().map_err(|source| ReadError::Disk { thread, source })?;
    let Scan { head, keep, damage, lost, .. } = walk((file, texts), thread, 0, length, each)?;
    Ok(Survey { head, length, keep, damage, lost })
}

/// Reads the file and passes its records on.
fn walk(
    (file, texts): (&dyn LayerFile, &dyn TextSource),
    thread: ThreadId,
    from: u64,
    end: u64,
    mut each: impl FnMut(Record, LineAt),
) -> Result<Scan, ReadError> {
    let mut scan = Scan {
        records: Vec::new(),
        head: EventSeq(0),
        term: Term(0),
        keep: end,
        damage: Vec::new(),
        lost: Vec::new(),
        offsets: TurnOffsets::default(),
    };
    let disk = |source| ReadError::Disk { thread, source };
    let (mut bad, mut any): (Option<Bad>, bool) = (None, false);
    let mut added = 0;
    let mut lines = Forward::new(file, from, end);
    while let Some(line) = lines.next().map_err(disk)? {
        match judge(&line, scan.head, texts).map_err(disk)? {
            JudgedLine::Record(DecodedLine { record, lost }) => {
                if from > 0 && !any {
                    // Another reader has read the records before this offset.
                    scan.head = EventSeq(record.seq.0.saturating_sub(1));
                }
                scan.fence(bad.take(), line.offset, record.seq);
                scan.take(&record, line.offset);
                let (seq, offset) = (record.seq, line.offset);
                scan.lost.extend(lost.map(|lost| LostText { seq, offset, lost }));
                any = true;
                each(record, LineAt { offset, added });
            }
            JudgedLine::Lost(seq, lost) => {
                scan.fence(bad.take(), line.offset, seq);
                scan.lose(seq, &line);
                scan.lost.push(LostText { seq, offset: line.offset, lost });
            }
            JudgedLine::Bad => bad = Some(joined(bad, &line)),
        }
        added += (line.bytes.len() - line.bytes.trim_ascii_end().len()) as u64;
    }
    if !any {
        return Err(nothing_there(thread, bad, scan.lost.len()));
    }
    scan.end(bad);
    Ok(scan)
}

enum JudgedLine {
    Record(DecodedLine),
    /// A whole record with this number that needs a lost text. It is damage, but never a torn write.
    Lost(EventSeq, Lost),
    Bad,
}

fn judge(line: &FileLine<'_>, head: EventSeq, texts: &dyn TextSource) -> io::Result<JudgedLine> {
    let Some(whole) = whole(line, head) else { return Ok(JudgedLine::Bad) };
    Ok(match whole.record(texts)? {
        Ok(read) => JudgedLine::Record(read),
        Err(LineError::Lost(lost)) => JudgedLine::Lost(whole.seq(), lost),
        Err(LineError::NoCrc | LineError::Crc { .. } | LineError::Head(_)) => JudgedLine::Bad,
    })
}

/// A line with a readable head that may follow record `head`.
pub(super) fn whole<'l>(line: &FileLine<'l>, head: EventSeq) -> Option<line::RecordLine<'l>> {
    let whole = if line.ended { line::RecordLine::of(line.bytes).ok() } else { None };
    whole.filter(|line| line.seq() > head)
}

/// A file without a record: its first append was cut off, or it is foreign.
fn nothing_there(thread: ThreadId, bad: Option<Bad>, lost: usize) -> ReadError {
    match bad.map_or(0, |bad| bad.ended) + lost as u64 {
        0 => ReadError::Missing(thread),
        lines => ReadError::Unreadable { thread, reason: format!("none of its {lines} lines is a record") },
    }
}

fn joined(bad: Option<Bad>, line: &FileLine<'_>) -> Bad {
    let mut bad = bad.unwrap_or(Bad { offset: line.offset, length: 0, ended: 0, fragment: None });
    bad.length += line.length;
    if line.ended {
        bad.ended += 1;
    } else {
        bad.fragment = Some(line.offset);
    }
    bad
}

impl Scan {
    fn take(&mut self, record: &Record, offset: u64) {
        self.head = record.seq;
        self.term = self.term.max(order::term_of(record).unwrap_or(Term(0)));
        if let Some(opened) = record.header().and_then(|header| header.opened) {
            self.term = self.term.max(opened.term);
        }
        self.offsets.note(record, offset);
    }

    /// Adds a record without its text to the damage. Its number is known.
    fn lose(&mut self, seq: EventSeq, line: &FileLine<'_>) {
        self.damage.push(Damage { after: self.head, offset: line.offset, length: line.length, lines: 1 });
        self.head = seq;
    }

    /// Adds the damage before record `next` at `offset`: bad lines, or missing ones.
    fn fence(&mut self, bad: Option<Bad>, offset: u64, next: EventSeq) {
        let missing = next.0 - self.head.0 - 1;
        match bad {
            Some(bad) => self.damage.push(Damage {
                after: self.head,
                offset: bad.offset,
                length: bad.length,
                lines: bad.ended,
            }),
            None if missing > 0 => {
                self.damage.push(Damage { after: self.head, offset, length: 0, lines: missing });
            }
            None => {}
        }
    }

    /// Judges the bytes behind the last record. A piece of a line is a torn write, and goes. Whole lines may have
    /// been acknowledged: they stay, so that every load until the next write sees the lost numbers and does not reuse
    /// them.
    fn end(&mut self, bad: Option<Bad>) {
        let Some(bad) = bad else { return };
        self.keep = bad.fragment.unwrap_or(bad.offset + bad.length);
        if bad.ended > 0 {
            let length = self.keep - bad.offset;
            self.damage.push(Damage { after: self.head, offset: bad.offset, length, lines: bad.ended });
            self.head = EventSeq(self.head.0.saturating_add(bad.ended));
        }
    }
}

/// The error of opening a rollout, with the thing in its place.
pub(super) fn open_error(thread: ThreadId, source: io::Error) -> ReadError {
    if is_of_the_folder(&source) {
        return ReadError::Disk { thread, source };
    }
    match in_its_place(&source) {
        Some(None) => ReadError::Missing(thread),
        Some(Some(what)) => ReadError::Unreadable { thread, reason: what.to_owned() },
        None => ReadError::Disk { thread, source },
    }
}

/// The thing in the place of a file that cannot be opened; inside `None` for nothing. `None` if the disk refuses the
/// answer.
pub(super) fn in_its_place(error: &io::Error) -> Option<Option<&'static str>> {
    use nix::errno::Errno;
    let what = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => return Some(None),
        Some(Errno::ELOOP) => "a symbolic link is in its place",
        Some(Errno::EISDIR) => "a folder is in its place",
        Some(Errno::ENXIO | Errno::ENODEV) => "a socket or device is in its place",
        _other if error.kind() == io::ErrorKind::InvalidInput => {
            "something that is no regular file is in its place"
        }
        _other => return None,
    };
    Some(Some(what))
}
