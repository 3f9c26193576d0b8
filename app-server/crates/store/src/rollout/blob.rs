//! Texts that are too large for a line of a rollout, and a line's references to them. Pure.
//!
//! Such a line has version 2. It has `""` in the place of each text, and beside the record's members
//! `"blobs":[{"at":"/item/content/0/text","sha256":"64 hex","bytes":N}, …]`: JSON pointers (RFC 6901) into the line,
//! the SHA-256 of each text, and its length in bytes. User text stands in members of the record, so none of it can
//! pass for a reference. A program that knows only version 1 keeps the line unread, where it would have read empty
//! texts.
//!
//! A line stays small, so that a reader that goes backwards, looks for a header or judges an end never reads
//! megabytes. If a line would have more than 256 KiB, each text above 64 KiB becomes a file of its own. Texts count
//! before JSON escapes them. Equal texts share a file. All other lines stay at version 1.
//!
//! - No caller of the store notices: `load` and pages return whole records, a fork copies the references, an export
//!   has the texts in its lines. A page counts the length in a reference and reads the text only if it has room for
//!   it.
//! - A lost text (missing, of another length, of another hash) is shown in its item. A text that the disk refuses to
//!   read is an error, and no loss. A record that means nothing without its text (settings, names, headers) is
//!   damage. It is never a torn end: its number is known, and it is not cut off.

use std::collections::HashMap;
use std::str::FromStr;
use std::{fmt, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::policy;

/// The name of a text: the SHA-256 of its bytes. In text form 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName([u8; 32]);

impl BlobName {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The name with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not the name of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a blob's name is 64 digits of lower-case hex")]
pub struct NoBlobName;

impl FromStr for BlobName {
    type Err = NoBlobName;

    fn from_str(text: &str) -> Result<Self, NoBlobName> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoBlobName);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| NoBlobName)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoBlobName)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for BlobName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A line's reference to a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// Where the text belongs: a JSON pointer into the line, to an empty text.
    pub(crate) at: String,
    /// Its name.
    pub sha256: BlobName,
    /// Its length, bytes.
    pub bytes: u64,
}

/// A text in a file beside the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub name: BlobName,
    /// The text.
    pub text: String,
}

/// A lost text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text {blob} is lost: {reason}")]
pub struct Lost {
    /// Its name.
    pub blob: BlobName,
    /// The thing in its place.
    pub reason: String,
}

impl Lost {
    /// The replacement for the text, which had this many bytes.
    pub(crate) fn shown(&self, bytes: u64) -> String {
        format!(
            "[A text of {bytes} bytes that belongs here cannot be read: {}. `skein fsck` says more.]",
            self.reason
        )
    }
}

/// Reads externalised texts.
pub trait TextSource {
    /// The text of a reference.
    ///
    /// # Errors
    /// If the disk refuses; inside, that the text is lost.
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>>;
}

/// The bytes of some texts, in memory. A text that is not among them is lost.
#[derive(Debug, Default)]
pub struct FoundTexts(pub HashMap<BlobName, Vec<u8>>);

impl TextSource for FoundTexts {
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        let lost = |reason: String| Ok(Err(Lost { blob: blob.sha256, reason }));
        let Some(body) = self.0.get(&blob.sha256) else { return lost("it is missing".to_owned()) };
        if body.len() as u64 != blob.bytes {
            return lost(format!("it has {} bytes, not {}", body.len(), blob.bytes));
        }
        if BlobName::of(body) != blob.sha256 {
            return lost("it has other bytes".to_owned());
        }
        match String::from_utf8(body.clone()) {
            Ok(text) => Ok(Ok(text)),
            Err(_) => lost("it is no text".to_owned()),
        }
    }
}

/// Externalises the large texts of a record's members, and leaves an empty text in the place of each.
#[must_use]
pub(crate) fn externalise(members: &mut Value) -> Vec<(BlobRef, Blob)> {
    let mut taken = Vec::new();
    take_from(members, &mut String::new(), &mut taken);
    taken
}

fn take_from(value: &mut Value, at: &mut String, taken: &mut Vec<(BlobRef, Blob)>) {
    let here = at.len();
    match value {
        Value::String(text) if text.len() > policy::BLOB_TEXT => {
            let (name, bytes) = (BlobName::of(text.as_bytes()), text.len() as u64);
            let blob = Blob { name, text: std::mem::take(text) };
            taken.push((BlobRef { at: at.clone(), sha256: name, bytes }, blob));
        }
        Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                at.push_str(&format!("/{index}"));
                take_from(value, at, taken);
                at.truncate(here);
            }
        }
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                at.push('/');
                // The order is that of RFC 6901.
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                take_from(value, at, taken);
                at.truncate(here);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Inlines a text into its place; returns whether an empty text was there.
#[must_use]
pub(crate) fn inline(members: &mut Value, at: &str, text: String) -> bool {
    match members.pointer_mut(at) {
        Some(Value::String(place)) if place.is_empty() => {
            *place = text;
            true
        }
        Some(_) | None => false,
    }
}
