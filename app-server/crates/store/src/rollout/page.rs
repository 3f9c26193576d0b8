//! A page of records, and what fits into it. Pure.

use skein_protocol::ids::EventSeq;

use super::line::{DecodedLine, RecordLine};
use super::record::{Record, RecordBody};
use crate::policy;

/// Some records of a rollout, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// The size of their lines and externalised texts.
    pub bytes: usize,
    /// Records among them that show a lost text.
    pub lost: Vec<EventSeq>,
    /// Whether the read's direction has more records.
    pub more: bool,
    /// Of a page from the end: the number of damaged lines behind its last record. Their numbers stay used.
    pub taken: u64,
}

impl RecordPage {
    /// Whether the page has no room for the record of `line`. Its texts count, but are not read.
    pub fn is_full(&self, line: &RecordLine<'_>, limit: usize) -> bool {
        let with_it = (self.bytes as u64).saturating_add(line.bytes());
        self.records.len() >= limit || (with_it > policy::READ_PAGE_BYTES as u64 && !self.records.is_empty())
    }

    /// Adds a record, as it was read from `line`.
    pub fn take(&mut self, read: DecodedLine, line: &RecordLine<'_>) {
        // A text that is lost, or not looked for, takes no room at any claimed length.
        let has_texts = read.lost.is_none() && !matches!(read.record.body, RecordBody::Unknown(_));
        let bytes = if has_texts { line.bytes() } else { line.own_bytes() };
        self.bytes = self.bytes.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.lost.extend(read.lost.map(|_| read.record.seq));
        self.records.push(read.record);
    }

    /// Turns a page that was read backwards around.
    pub fn reverse(&mut self) {
        self.records.reverse();
        self.lost.reverse();
    }
}
