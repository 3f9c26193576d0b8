//! One line of a rollout. Pure.
//!
//! `{"v":1,"seq":N,"at":"RFC 3339, ms","type":T, …, "crc":"8 hex"}` and a newline. `crc` is the CRC-32C (Castagnoli)
//! of the line's bytes before `,"crc"`, in lower-case hex. A line with externalised texts has version 2: see
//! `blob.rs`.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use skein_base::clock::WallMs;
use skein_protocol::ids::EventSeq;

use super::blob::{self, Blob, BlobRef, Lost, TextSource};
use super::record::{
    ItemCheckpoint, ItemCompleted, ItemStarted, Record, RecordBody, TurnStarted, UnknownRecord,
};
use crate::policy;

/// The version of a line with its whole record.
const VERSION: u64 = 1;
/// The version of a line with references to texts.
const VERSION_WITH_BLOBS: u64 = 2;
/// The member behind the type of such a line.
const BLOBS: &str = "blobs";
/// Bytes of `,"crc":"01234567"}`.
const CRC_LENGTH: usize = 18;

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not end with its `crc`: cut short, or foreign.
    #[error("the line does not end with its crc")]
    NoCrc,
    /// Its bytes differ from the written ones.
    #[error("the crc is {found:08x}, but the line's bytes give {actual:08x}")]
    Crc {
        /// The crc in the line.
        found: u32,
        /// The computed crc.
        actual: u32,
    },
    /// Its crc is right, but it has no number, time or type.
    #[error("{0}")]
    Head(String),
    /// It is whole, but a text that it refers to is lost.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Appends the whole line of `record`, with its newline.
///
/// # Errors
/// If a member cannot be written as JSON, such as a map whose keys are no texts. None of our types has one.
pub fn encode(record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let version = if let RecordBody::Unknown(unknown) = &record.body { unknown.version } else { VERSION };
    let mut members = Vec::new();
    record.body.write_members(&mut members)?;
    write_line(record, version, &[], &members, out)
}

/// Appends the line of `record`, with its newline, and externalises large texts into `blobs`: they must be on disk
/// before the line.
///
/// # Errors
/// As [`encode`].
pub fn encode_small(
    record: &Record,
    out: &mut Vec<u8>,
    blobs: &mut Vec<Blob>,
) -> Result<(), serde_json::Error> {
    // A record of an unknown type is kept unchanged.
    if matches!(record.body, RecordBody::Unknown(_)) {
        return encode(record, out);
    }
    // Externalising comes first, as escaping large texts is most of the work.
    let mut members = record.body.members()?;
    let (refs, texts): (Vec<BlobRef>, Vec<Blob>) = blob::externalise(&mut members).into_iter().unzip();
    let rest = if refs.is_empty() { String::new() } else { members.to_string() };
    let length = rest.len() + texts.iter().map(|blob| blob.text.len()).sum::<usize>();
    if length <= policy::BLOB_LINE {
        return encode(record, out);
    }
    for text in texts {
        if !blobs.contains(&text) {
            blobs.push(text);
        }
    }
    write_line(record, VERSION_WITH_BLOBS, &refs, rest.as_bytes(), out)
}

fn write_line(
    record: &Record,
    version: u64,
    refs: &[BlobRef],
    members: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let from = out.len();
    let kind = serde_json::to_string(record.body.kind())?;
    let head = format!(r#"{{"v":{version},"seq":{},"at":"{}","type":{kind}"#, record.seq, rfc3339(record.at));
    out.extend_from_slice(head.as_bytes());
    if !refs.is_empty() {
        out.extend_from_slice(format!(r#","{BLOBS}":{}"#, serde_json::to_string(refs)?).as_bytes());
    }
    // The members come as an object: `{}`, or braces around the members behind the type.
    if let Some(inside) = members.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"))
        && !inside.is_empty()
    {
        out.push(b',');
        out.extend_from_slice(inside);
    }
    let crc = crc32c::crc32c(out.get(from..).unwrap_or_default());
    out.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
    Ok(())
}

/// The number of a line with the right crc. Reads no content.
///
/// # Errors
/// [`LineError`]; such a line is damage.
pub fn seq(line: &[u8]) -> Result<EventSeq, LineError> {
    RecordLine::of(line).map(|line| line.seq())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineHeader<'l> {
    pub(crate) seq: EventSeq,
    pub(crate) kind: &'l [u8],
    /// Whether the line has all texts of the record.
    pub(crate) is_all: bool,
}

/// Peeks at the head of a line, and at nothing behind it, so damage there does not matter. `None` for a head in
/// another form than [`encode`] writes: use [`decode`].
pub(crate) fn peek_header(line: &[u8]) -> Option<LineHeader<'_>> {
    let (version, rest) = behind_number(line.strip_prefix(br#"{"v":"#)?)?;
    let (seq, rest) = behind_number(rest.strip_prefix(br#","seq":"#)?)?;
    let (_at, rest) = behind_text(rest.strip_prefix(br#","at":""#)?)?;
    let (kind, _rest) = behind_text(rest.strip_prefix(br#","type":""#)?)?;
    Some(LineHeader { seq: EventSeq(seq), kind, is_all: version == VERSION })
}

fn behind_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// A short text up to its quote, and the rest behind the quote.
fn behind_text(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(policy::PEEK_HEADER).position(|byte| *byte == b'"')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// The content of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedLine {
    /// The record.
    pub record: Record,
    /// A lost text of a message or tool result: the record shows the loss in its place.
    pub lost: Option<Lost>,
}

/// Records that survive a lost text: people see their texts, and no code depends on them.
const SHOWN: [&str; 4] = [TurnStarted::KIND, ItemStarted::KIND, ItemCheckpoint::KIND, ItemCompleted::KIND];

/// A line with the right crc, of which only the head was read.
#[derive(Debug)]
pub struct RecordLine<'l> {
    head: RawHead,
    text: &'l str,
    blobs: Vec<BlobRef>,
}

#[derive(Debug, Deserialize)]
struct RawHead {
    v: u64,
    seq: u64,
    at: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    blobs: Value,
}

impl<'l> RecordLine<'l> {
    /// Reads the line with these bytes, without its newline.
    ///
    /// # Errors
    /// [`LineError`]; such a line is damage.
    pub fn of(line: &'l [u8]) -> Result<Self, LineError> {
        let text = checked(line)?;
        let wrong = |error: serde_json::Error| LineError::Head(error.to_string());
        let mut head: RawHead = serde_json::from_str(text).map_err(wrong)?;
        let blobs = match head.blobs.take() {
            refs if head.v == VERSION_WITH_BLOBS && !refs.is_null() => {
                serde_json::from_value(refs).map_err(wrong)?
            }
            _none => Vec::new(),
        };
        Ok(Self { head, text, blobs })
    }

    /// The number of the record.
    pub fn seq(&self) -> EventSeq {
        EventSeq(self.head.seq)
    }

    /// The type of the record.
    pub fn kind(&self) -> &str {
        &self.head.kind
    }

    /// The references to texts.
    pub fn blobs(&self) -> &[BlobRef] {
        &self.blobs
    }

    /// The size of the line alone.
    pub fn own_bytes(&self) -> u64 {
        self.text.len() as u64
    }

    /// The claimed size of the line and its texts. Reads no text.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().fold(self.own_bytes(), |bytes, blob| bytes.saturating_add(blob.bytes))
    }

    /// The record, with its texts.
    ///
    /// # Errors
    /// If the disk refuses a text; inside, [`LineError`].
    pub fn record(&self, texts: &dyn TextSource) -> io::Result<Result<DecodedLine, LineError>> {
        let (mut lost, kind) = (None, self.kind());
        let known = match self.head.v {
            VERSION => RecordBody::read(kind, &mut serde_json::Deserializer::from_str(self.text)),
            VERSION_WITH_BLOBS if RecordBody::knows(kind) => match self.members(texts, &mut lost)? {
                Ok(members) => RecordBody::read(kind, members),
                Err(error) => return Ok(Err(error)),
            },
            _unknown => None,
        };
        let body = match known {
            Some(Ok(body)) => Ok(body),
            Some(Err(_)) | None => unknown(&self.head, self.text),
        };
        Ok(body.and_then(|body| self.dated(body)).map(|record| DecodedLine { record, lost }))
    }

    fn dated(&self, body: RecordBody) -> Result<Record, LineError> {
        let at = self.head.at.parse::<Timestamp>().map_err(|error| LineError::Head(error.to_string()))?;
        Ok(Record { seq: self.seq(), at: WallMs(at.as_millisecond()), body })
    }

    /// The line as JSON, with its texts inlined.
    fn members(
        &self,
        texts: &dyn TextSource,
        first_lost: &mut Option<Lost>,
    ) -> io::Result<Result<Value, LineError>> {
        let mut members: Value = match serde_json::from_str(self.text) {
            Ok(members) => members,
            Err(error) => return Ok(Err(LineError::Head(error.to_string()))),
        };
        for blob in &self.blobs {
            let text = match self.text(texts, blob)? {
                Ok(text) => text,
                Err(lost) if SHOWN.contains(&self.kind()) => {
                    let shown = lost.shown(blob.bytes);
                    first_lost.get_or_insert(lost);
                    shown
                }
                Err(lost) => return Ok(Err(lost.into())),
            };
            if !blob::inline(&mut members, &blob.at, text) {
                let reason = format!("the line has no place {:?} for it", blob.at);
                return Ok(Err(Lost { blob: blob.sha256, reason }.into()));
            }
        }
        Ok(Ok(members))
    }

    fn text(&self, texts: &dyn TextSource, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        let all = self.bytes();
        if all > policy::ROLLOUT_LINE as u64 {
            let reason = format!("the record would have {all} bytes, more than any");
            return Ok(Err(Lost { blob: blob.sha256, reason }));
        }
        texts.text(blob)
    }
}

/// The line as text, if its crc is right. An editor may have put whitespace before its end.
fn checked(line: &[u8]) -> Result<&str, LineError> {
    let line = line.trim_ascii_end();
    let (covered, tail) = line
        .len()
        .checked_sub(CRC_LENGTH)
        .and_then(|at| line.split_at_checked(at))
        .ok_or(LineError::NoCrc)?;
    let digits = tail.strip_prefix(br#","crc":""#).and_then(|rest| rest.strip_suffix(br#""}"#));
    let found = digits
        .and_then(|digits| str::from_utf8(digits).ok())
        .filter(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or(LineError::NoCrc)?;
    let actual = crc32c::crc32c(covered);
    if found != actual {
        return Err(LineError::Crc { found, actual });
    }
    str::from_utf8(line).map_err(|error| LineError::Head(error.to_string()))
}

fn unknown(head: &RawHead, text: &str) -> Result<RecordBody, LineError> {
    let mut members: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| LineError::Head(error.to_string()))?;
    members.retain(|name, _| !matches!(name.as_str(), "v" | "seq" | "at" | "type" | "crc"));
    Ok(RecordBody::Unknown(Box::new(UnknownRecord { version: head.v, kind: head.kind.clone(), members })))
}

/// UTC with exactly three digits of milliseconds. An impossible time, from a broken clock, becomes the nearest
/// possible one.
fn rfc3339(at: WallMs) -> String {
    let nearest = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests;
