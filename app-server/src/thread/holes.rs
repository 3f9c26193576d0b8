//! Damage that was met while events were told anew, in a part of a rollout that no load reads. Whoever comes back from
//! before it has to be shown the whole.

use dashmap::DashMap;
use skein_protocol::ids::{EventSeq, ThreadId};

/// For threads with such damage, the last number that cannot be read any more.
#[derive(Debug, Default)]
pub struct Holes(DashMap<ThreadId, EventSeq>);

impl Holes {
    /// Notes that the record `seq` of a thread cannot be read.
    pub fn note(&self, thread: ThreadId, seq: EventSeq) {
        tracing::warn!(%thread, %seq, "a record cannot be read; clients that have not seen it are shown the whole thread");
        let mut last = self.0.entry(thread).or_insert(seq);
        *last = (*last).max(seq);
    }

    /// The last number that cannot be read any more, as far as somebody has met it; 0 for none.
    #[must_use]
    pub fn last(&self, thread: ThreadId) -> EventSeq {
        self.0.get(&thread).map_or(EventSeq(0), |last| *last)
    }
}
