//! What one line of a rollout is. Pure.
//!
//! `{"v":1,"seq":N,"at":"RFC 3339, ms","type":T, …, "crc":"8 hex"}` and a newline. `crc` is the CRC-32C
//! (Castagnoli) of the line's bytes before `,"crc"`, in lower-case hex.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use skein_protocol::ids::EventSeq;

use super::record::{Record, RecordBody, UnknownRecord};
use crate::clock::WallMs;

/// The version that this program writes.
const VERSION: u64 = 1;
/// Bytes of `,"crc":"01234567"}`.
const CRC_LENGTH: usize = 18;

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not end with its `crc`: cut short, or not ours.
    #[error("the line does not end with its crc")]
    NoCrc,
    /// Its bytes are not those that were written.
    #[error("the crc is {found:08x}, but the line's bytes give {actual:08x}")]
    Crc {
        /// As the line says.
        found: u32,
        /// As computed.
        actual: u32,
    },
    /// Its crc is right, but it has no number, time or type.
    #[error("{0}")]
    Head(String),
}

/// Appends the line of `record`, with its newline.
///
/// # Errors
/// When a member cannot be written as JSON, such as a map whose keys are not texts; none of our types has one.
pub fn encode(record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let from = out.len();
    let version = if let RecordBody::Unknown(unknown) = &record.body { unknown.version } else { VERSION };
    let kind = serde_json::to_string(record.body.kind())?;
    let head = format!(r#"{{"v":{version},"seq":{},"at":"{}","type":{kind}"#, record.seq, rfc3339(record.at));
    out.extend_from_slice(head.as_bytes());
    let members = record.body.members()?;
    // The members come as an object of their own: `{}`, or braces around what belongs behind the type.
    if let Some(inside) = members.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
        && !inside.is_empty()
    {
        out.push(b',');
        out.extend_from_slice(inside.as_bytes());
    }
    let crc = crc32c::crc32c(out.get(from..).unwrap_or_default());
    out.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
    Ok(())
}

/// Reads one line, without its newline. A record that is whole but of a later version is [`RecordBody::Unknown`].
///
/// # Errors
/// [`LineError`]; such a line is damage.
pub fn decode(line: &[u8]) -> Result<Record, LineError> {
    let text = checked(line)?;
    let head: Head = serde_json::from_str(text).map_err(|error| LineError::Head(error.to_string()))?;
    let at = head.at.parse::<Timestamp>().map_err(|error| LineError::Head(error.to_string()))?;
    let known = if head.v == VERSION { RecordBody::read(&head.kind, text) } else { None };
    let body = match known {
        Some(Ok(body)) => body,
        Some(Err(_)) | None => unknown(&head, text)?,
    };
    Ok(Record { seq: EventSeq(head.seq), at: WallMs(at.as_millisecond()), body })
}

/// The number of a line whose crc is right, without reading what it says.
///
/// # Errors
/// [`LineError`], as [`decode`].
pub fn seq(line: &[u8]) -> Result<EventSeq, LineError> {
    let head: Head =
        serde_json::from_str(checked(line)?).map_err(|error| LineError::Head(error.to_string()))?;
    Ok(EventSeq(head.seq))
}

#[derive(Deserialize)]
struct Head {
    v: u64,
    seq: u64,
    at: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The line as text, when its crc is right.
fn checked(line: &[u8]) -> Result<&str, LineError> {
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

fn unknown(head: &Head, text: &str) -> Result<RecordBody, LineError> {
    let mut members: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| LineError::Head(error.to_string()))?;
    members.retain(|name, _| !matches!(name.as_str(), "v" | "seq" | "at" | "type" | "crc"));
    Ok(RecordBody::Unknown(Box::new(UnknownRecord { version: head.v, kind: head.kind.clone(), members })))
}

/// UTC with exactly three digits of milliseconds. A time that no calendar has (the clock of a broken machine) becomes
/// the nearest one that exists.
fn rfc3339(at: WallMs) -> String {
    let nearest = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_millisecond(at.0).unwrap_or(nearest);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests;
