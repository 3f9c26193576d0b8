//! Pages of lists that are in memory.

use skein_protocol::error::WireError;

/// The first `limit` of what is left of a list behind a cursor, all without one, and the cursor of the page behind: the id of
/// the last one here.
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

/// The error of a cursor that is not in the list.
pub(crate) fn bad_cursor() -> WireError {
    WireError::bad_cursor("this cursor does not belong to this list; begin without one")
}
