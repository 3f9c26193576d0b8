//! The end of a list's page. A keyset cursor: a place in the order, not a count, so that changes of other threads
//! repeat and skip nothing.

use std::fmt;
use std::str::FromStr;

use skein_base::clock::WallMs;
use skein_protocol::ids::ThreadId;
use uuid::Uuid;

use super::SortKey;
use crate::history::ThreadRow;

/// A place in an order. Opaque to clients: its text is hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The key of the order.
    pub sort: SortKey,
    /// The time of the place.
    pub time: WallMs,
    /// The thread of the place.
    pub id: ThreadId,
}

/// A text that is no cursor of this list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this cursor is not from a list with this order; leave it out to begin at the first page")]
pub struct BadCursor;

impl Cursor {
    /// The place of `row` in the order by `sort`.
    pub fn at(row: &ThreadRow, sort: SortKey) -> Self {
        Self { sort, time: sort.time_of(row), id: row.id }
    }

    /// The place of a key, whatever its prefix.
    pub(super) fn of_key(key: &[u8], sort: SortKey) -> Option<Self> {
        let (time, id) = key.last_chunk::<24>()?.split_first_chunk::<8>()?;
        let time = WallMs((u64::from_be_bytes(*time) ^ SIGN).cast_signed());
        Some(Self { sort, time, id: ThreadId::new(Uuid::from_slice(id).ok()?) })
    }

    /// The place as a key: sorts like the order.
    pub(super) fn key(&self) -> [u8; 24] {
        order_key(self.time, self.id)
    }

    /// Refuses a cursor of another order.
    ///
    /// # Errors
    /// [`BadCursor`].
    pub fn fits(self, sort: SortKey) -> Result<Self, BadCursor> {
        if self.sort == sort { Ok(self) } else { Err(BadCursor) }
    }
}

/// Flipped, it makes negative times sort before positive ones.
const SIGN: u64 = 1 << 63;

/// Time, then id, as bytes that sort the same way.
pub(super) fn order_key(time: WallMs, id: ThreadId) -> [u8; 24] {
    let mut key = [0; 24];
    let (first, second) = key.split_at_mut(8);
    first.copy_from_slice(&time_key(time));
    second.copy_from_slice(id.uuid().as_bytes());
    key
}

/// The key prefix of all threads of that time.
pub(super) fn time_key(time: WallMs) -> [u8; 8] {
    (time.0.cast_unsigned() ^ SIGN).to_be_bytes()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match self.sort {
            SortKey::Created => "c",
            SortKey::Updated => "d",
            SortKey::Asked => "e",
        };
        write!(f, "{sort}{:016x}{}", self.time.0.cast_unsigned(), self.id.uuid().simple())
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let sort = match text.as_bytes().first() {
            Some(b'c') => SortKey::Created,
            Some(b'd') => SortKey::Updated,
            Some(b'e') => SortKey::Asked,
            _other => return Err(BadCursor),
        };
        let digits = text.get(1..).filter(|digits| digits.len() == 48).ok_or(BadCursor)?;
        if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadCursor);
        }
        let (time, id) = digits.split_at_checked(16).ok_or(BadCursor)?;
        let time = u64::from_str_radix(time, 16).map_err(|_| BadCursor)?.cast_signed();
        let id = Uuid::try_parse(id).map_err(|_| BadCursor)?;
        Ok(Self { sort, time: WallMs(time), id: ThreadId::new(id) })
    }
}
