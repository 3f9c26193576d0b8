//! The open mark of a rollout: it says that the index may not have all of it.

use std::collections::BTreeMap;

use skein_protocol::ids::ThreadId;

/// The open mark of a thread, as of a change of its rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMarker {
    /// The thread.
    pub thread: ThreadId,
    /// The number of the change; 0 where there is no mark.
    change: u64,
}

/// The marks of a store. Each change of a rollout gets a number that no other has.
#[derive(Debug, Default)]
pub struct OpenMarkers {
    last: u64,
    changes: BTreeMap<ThreadId, u64>,
}

impl OpenMarkers {
    /// Notes a change of this rollout.
    pub(crate) fn note(&mut self, thread: ThreadId) {
        self.last += 1;
        self.changes.insert(thread, self.last);
    }

    /// The thread's mark as of now.
    #[must_use]
    pub fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        OpenMarker { thread, change: self.changes.get(&thread).copied().unwrap_or_default() }
    }

    /// Takes the mark off, unless the rollout was changed since. Answers whether there was one.
    pub(crate) fn take_off(&mut self, marker: OpenMarker) -> bool {
        self.open_marker(marker.thread) == marker && self.changes.remove(&marker.thread).is_some()
    }

    /// The threads that have a mark.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn threads(&self) -> impl Iterator<Item = ThreadId> {
        self.changes.keys().copied()
    }

    /// How many marks there are.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.changes.len() as u64
    }
}
