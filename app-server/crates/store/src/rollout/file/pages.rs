//! Reads pages of a rollout without reading the rest: forwards from a number, backwards from the end or from a
//! number. Changes nothing.

use std::io;

use skein_protocol::ids::EventSeq;

use super::layer::LayerFile;
use super::lines::{Backward, Forward};
use super::scan::whole;
use crate::policy;
use crate::rollout::blob::TextSource;
use crate::rollout::record::TurnCompleted;
use crate::rollout::{Prefilter, RecordPage, line};

/// The oldest records after `after`.
pub(super) fn forward(
    (file, texts): (&dyn LayerFile, &dyn TextSource),
    end: u64,
    after: EventSeq,
    limit: usize,
) -> io::Result<RecordPage> {
    let mut lines = Forward::new(file, line_before(file, end, after)?, end);
    let mut page = RecordPage::default();
    let mut head = after;
    while let Some(line) = lines.next()? {
        let Some(line) = whole(&line, head) else { continue };
        if page.is_full(&line, limit) {
            page.more = true;
            break;
        }
        // A record without its text is damage.
        let Ok(read) = line.record(texts)? else { continue };
        head = line.seq();
        page.take(read, &line);
    }
    Ok(page)
}

/// The newest records before `before`, or before the end.
pub(super) fn back(
    (file, texts): (&dyn LayerFile, &dyn TextSource),
    end: u64,
    before: Option<EventSeq>,
    limit: usize,
) -> io::Result<RecordPage> {
    let stop = match before {
        Some(before) => first_from(file, end, before)?,
        None => end,
    };
    let mut lines = Backward::new(file, stop);
    let mut page = RecordPage::default();
    while let Some(line) = lines.next()? {
        let Some(line) = whole(&line, EventSeq(0)) else {
            page.taken += u64::from(line.ended && before.is_none() && page.records.is_empty());
            continue;
        };
        if page.is_full(&line, limit) {
            page.more = true;
            break;
        }
        let Ok(read) = line.record(texts)? else { continue };
        page.take(read, &line);
    }
    page.reverse();
    Ok(page)
}

/// The first turn behind `after` that passes the prefilter. A line without a newline is no record yet.
pub(super) fn prefilter(
    file: &dyn LayerFile,
    end: u64,
    mut prefilter: Prefilter<'_>,
    after: EventSeq,
) -> io::Result<Option<EventSeq>> {
    let mut lines = Forward::new(file, line_before(file, end, after)?, end);
    while let Some(line) = lines.next()? {
        if let Some(found) = prefilter.take(line.bytes).filter(|_| line.ended) {
            return Ok(Some(found));
        }
    }
    Ok(prefilter.end())
}

/// The offset at which a load begins to read: the last end of a turn with a full header, or the beginning.
pub(super) fn last_header(file: &dyn LayerFile, texts: &dyn TextSource, end: u64) -> io::Result<u64> {
    let mut lines = Backward::new(file, end);
    while let Some(line) = lines.next()? {
        // It reads no text of another record.
        let ends_turn = whole(&line, EventSeq(0)).filter(|line| line.kind() == TurnCompleted::KIND);
        if let Some(ends_turn) = ends_turn
            && ends_turn.record(texts)?.is_ok_and(|read| read.record.tells_of_all())
        {
            return Ok(line.offset);
        }
    }
    Ok(0)
}

/// The number that the next append must expect, as a load would find it; `None` without a record.
pub(super) fn last(file: &dyn LayerFile, end: u64) -> io::Result<Option<EventSeq>> {
    let mut lines = Backward::new(file, end);
    let mut bad = 0;
    while let Some(line) = lines.next()? {
        match line::seq(line.bytes) {
            Ok(seq) if line.ended => return Ok(Some(EventSeq(seq.0.saturating_add(bad)))),
            Ok(_) | Err(_) => bad += u64::from(line.ended),
        }
    }
    Ok(None)
}

/// The end of the last record with a number up to `up_to`; 0 if there is none.
pub(super) fn end_of(file: &dyn LayerFile, end: u64, up_to: EventSeq) -> io::Result<u64> {
    let mut lines = Backward::new(file, first_from(file, end, up_to.next())?);
    while let Some(line) = lines.next()? {
        if line.ended && line::seq(line.bytes).is_ok_and(|found| found <= up_to) {
            return Ok(line.offset + line.length);
        }
    }
    Ok(0)
}

/// The beginning of a line before which no record has a number above `after`: bisection, as numbers rise through the
/// file.
fn line_before(file: &dyn LayerFile, end: u64, after: EventSeq) -> io::Result<u64> {
    let (mut low, mut high) = (0, end);
    while high - low > policy::READ_BLOCK as u64 {
        let middle = low + (high - low) / 2;
        match first_record(file, middle, high)? {
            Some((offset, seq)) if seq <= after => low = offset,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The first record whose line begins behind `from` and before `until`.
fn first_record(file: &dyn LayerFile, from: u64, until: u64) -> io::Result<Option<(u64, EventSeq)>> {
    let mut lines = Forward::new(file, from, file.len()?);
    // The rest of the line at `from`.
    lines.next()?;
    while let Some(line) = lines.next()? {
        if line.offset >= until {
            break;
        }
        if let Ok(seq) = line::seq(line.bytes)
            && line.ended
        {
            return Ok(Some((line.offset, seq)));
        }
    }
    Ok(None)
}

/// The offset of the first record with at least the number `seq`; the end if there is none.
fn first_from(file: &dyn LayerFile, end: u64, seq: EventSeq) -> io::Result<u64> {
    let below = EventSeq(seq.0.saturating_sub(1));
    let mut lines = Forward::new(file, line_before(file, end, below)?, end);
    while let Some(line) = lines.next()? {
        if line::seq(line.bytes).is_ok_and(|found| found >= seq) && line.ended {
            return Ok(line.offset);
        }
    }
    Ok(end)
}
