//! The allowed order of records: checks of every store before a write. Pure.

use skein_protocol::ids::EventSeq;

use super::record::{Record, RecordBody};
use super::{AppendError, Lease};
use crate::home::Term;

/// The term of a `thread.opened`.
pub fn term_of(record: &Record) -> Option<Term> {
    if let RecordBody::ThreadOpened(opened) = &record.body { Some(opened.term) } else { None }
}

/// Whether a rollout that ends at `head`, last opened in `term`, takes `records`; returns the number of its last
/// record afterwards.
///
/// # Errors
/// [`AppendError::Fenced`] before [`AppendError::Conflict`]: a former owner need not know the thread's end.
pub fn check(
    lease: Lease,
    expected: EventSeq,
    records: &[Record],
    head: EventSeq,
    term: Term,
) -> Result<EventSeq, AppendError> {
    let thread = lease.thread;
    if lease.term < term {
        return Err(AppendError::Fenced { thread, term });
    }
    let mut end = head;
    let counts_on = expected == head
        && records.iter().all(|record| {
            end = end.next();
            record.seq == end
        });
    if counts_on { Ok(end) } else { Err(AppendError::Conflict { thread, head }) }
}
