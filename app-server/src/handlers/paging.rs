//! Pages of lists in memory.

use skein_protocol::error::WireError;

/// The first `limit` entries after a cursor, or all, and the cursor of the next page: the id of the last entry.
pub(crate) fn page<T>(
    mut left: Vec<T>,
    limit: Option<u32>,
    id: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit.max(1)).unwrap_or(usize::MAX));
    let more = left.len() > most;
    left.truncate(most);
    let next = left.last().filter(|_| more).map(id);
    (left, next)
}

/// The error for an unknown cursor.
pub(crate) fn bad_cursor() -> WireError {
    WireError::bad_cursor("this cursor does not belong to this list; begin without one")
}
