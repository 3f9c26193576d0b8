//! Numbers of records and terms, as the database has them.

/// A number as the database has it. None of ours comes near its bound.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the database, which has none below 0.
pub(crate) fn number(int: i64) -> u64 {
    u64::try_from(int).unwrap_or_default()
}
