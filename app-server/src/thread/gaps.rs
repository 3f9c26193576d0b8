//! Gaps in rollouts: records that a replay cannot read, in a part that no load reads. A client that resumes from before a
//! gap gets the whole thread.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::{EventSeq, ThreadId};

/// The last unreadable record of each damaged thread.
#[derive(Debug, Default)]
pub(crate) struct Gaps(Mutex<HashMap<ThreadId, EventSeq>>);

impl Gaps {
    /// Notes that record `seq` of a thread cannot be read.
    pub(crate) fn note(&self, thread: ThreadId, seq: EventSeq) {
        tracing::warn!(%thread, %seq, "a record of this thread cannot be read; clients that have not seen it get the whole thread");
        let mut gaps = self.lock();
        let last = gaps.entry(thread).or_insert(seq);
        *last = (*last).max(seq);
    }

    /// The last record known to be unreadable; 0 for none.
    pub(crate) fn last(&self, thread: ThreadId) -> EventSeq {
        self.lock().get(&thread).copied().unwrap_or(EventSeq(0))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, EventSeq>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
