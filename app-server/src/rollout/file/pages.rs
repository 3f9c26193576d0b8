//! Pages of a rollout, without reading the rest: forwards from a number, backwards from the end or from a number.
//! Changes nothing.

use std::io;

use skein_protocol::ids::EventSeq;

use super::layer::LayerFile;
use super::lines::{Backward, Forward};
use super::scan::{self, record_of};
use crate::policy;
use crate::rollout::{Page, line};

/// The oldest records after `after`.
pub(super) fn forward(file: &dyn LayerFile, end: u64, after: EventSeq, limit: usize) -> io::Result<Page> {
    let mut lines = Forward::new(file, line_before(file, end, after)?, end);
    let mut page = Page::default();
    let mut head = after;
    while let Some(line) = lines.next()? {
        let Some(record) = record_of(&line, head) else { continue };
        if is_full(&page, limit) {
            page.more = true;
            break;
        }
        page.bytes += line.bytes.len();
        head = record.seq;
        page.records.push(record);
    }
    Ok(page)
}

/// The newest records before `before`, or before the end.
pub(super) fn back(
    file: &dyn LayerFile,
    end: u64,
    before: Option<EventSeq>,
    limit: usize,
) -> io::Result<Page> {
    let stop = match before {
        Some(before) => first_from(file, end, before)?,
        None => end,
    };
    let mut lines = Backward::new(file, stop);
    let mut page = Page::default();
    while let Some(line) = lines.next()? {
        let Some(record) = record_of(&line, EventSeq(0)) else { continue };
        if is_full(&page, limit) {
            page.more = true;
            break;
        }
        page.bytes += line.bytes.len();
        page.records.push(record);
    }
    page.records.reverse();
    Ok(page)
}

/// Where a load begins to read: the last end of a turn that says all of the thread, or the beginning.
pub(super) fn last_header(file: &dyn LayerFile, end: u64) -> io::Result<u64> {
    let mut lines = Backward::new(file, end);
    while let Some(line) = lines.next()? {
        if record_of(&line, EventSeq(0)).is_some_and(|record| record.tells_of_all()) {
            return Ok(line.offset);
        }
    }
    Ok(0)
}

/// The number that the next append has to expect, as a load would find it; `None` when there is no record.
pub(super) fn last(file: &dyn LayerFile, end: u64) -> io::Result<Option<EventSeq>> {
    let mut lines = Backward::new(file, end);
    let mut bad = 0;
    while let Some(line) = lines.next()? {
        match line::seq(line.bytes) {
            Ok(seq) if line.ended => return Ok(Some(EventSeq(seq.0 + scan::taken_numbers(bad)))),
            Ok(_) | Err(_) => bad += u64::from(line.ended),
        }
    }
    Ok(None)
}

/// Where the last record ends whose number is at most `up_to`; 0 when there is none.
pub(super) fn end_of(file: &dyn LayerFile, end: u64, up_to: EventSeq) -> io::Result<u64> {
    let mut lines = Backward::new(file, first_from(file, end, up_to.next())?);
    while let Some(line) = lines.next()? {
        if line.ended && line::seq(line.bytes).is_ok_and(|found| found <= up_to) {
            return Ok(line.offset + line.length);
        }
    }
    Ok(0)
}

fn is_full(page: &Page, limit: usize) -> bool {
    page.records.len() >= limit || (page.bytes >= policy::READ_PAGE_BYTES && !page.records.is_empty())
}

/// Where a line begins before which no record has a number above `after`: bisection, as numbers rise through the file.
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
    // What is left of the line that `from` is in.
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

/// Where the first record with at least the number `seq` begins; the end when there is none.
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
