//! The open marker of a rollout: the index may lack the rollout's end.

use std::collections::BTreeMap;

use skein_protocol::ids::ThreadId;

/// A thread's open marker, as of a change of its rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMarker {
    /// The thread.
    pub thread: ThreadId,
    /// The number of the change; 0 without a marker.
    change: u64,
}

/// The open markers of a store. Each change of a rollout gets a unique number.
#[derive(Debug, Default)]
pub struct OpenMarkers {
    last: u64,
    changes: BTreeMap<ThreadId, u64>,
}

impl OpenMarkers {
    /// Notes a change of this rollout.
    pub fn note(&mut self, thread: ThreadId) {
        self.last += 1;
        self.changes.insert(thread, self.last);
    }

    /// The thread's open marker now.
    pub fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        OpenMarker { thread, change: self.changes.get(&thread).copied().unwrap_or_default() }
    }

    /// Removes the marker, unless the rollout has changed since. Returns whether it was there.
    pub fn take_off(&mut self, marker: OpenMarker) -> bool {
        self.open_marker(marker.thread) == marker && self.changes.remove(&marker.thread).is_some()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn threads(&self) -> impl Iterator<Item = ThreadId> {
        self.changes.keys().copied()
    }

    /// The number of open markers.
    pub fn count(&self) -> u64 {
        self.changes.len() as u64
    }
}
