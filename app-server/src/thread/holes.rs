//! Damage that was met while events were told anew, in a part of a rollout that no load reads. Whoever comes back from
//! before it has to be shown the whole.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::{EventSeq, ThreadId};

/// For threads with such damage, of which there are few, the last number that cannot be read any more.
#[derive(Debug, Default)]
pub(crate) struct Holes(Mutex<HashMap<ThreadId, EventSeq>>);

impl Holes {
    /// Notes that the record `seq` of a thread cannot be read.
    pub(crate) fn note(&self, thread: ThreadId, seq: EventSeq) {
        tracing::warn!(%thread, %seq, "a record cannot be read; clients that have not seen it are shown the whole thread");
        let mut holes = self.lock();
        let last = holes.entry(thread).or_insert(seq);
        *last = (*last).max(seq);
    }

    /// The last number that cannot be read any more, as far as somebody has met it; 0 for none.
    #[must_use]
    pub(crate) fn last(&self, thread: ThreadId) -> EventSeq {
        self.lock().get(&thread).copied().unwrap_or(EventSeq(0))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, EventSeq>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
