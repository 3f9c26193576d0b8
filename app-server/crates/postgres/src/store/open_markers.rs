//! The open markers that a server has set, each with its term.

use std::collections::HashMap;

use skein_protocol::ids::ThreadId;
use skein_store::home::Term;
use skein_store::rollout::{OpenMarker, OpenMarkers};

/// The open markers of a store. A marker of a later term is another server's.
#[derive(Debug, Default)]
pub(super) struct OpenMarkerTerms {
    changes: OpenMarkers,
    terms: HashMap<ThreadId, Term>,
}

impl OpenMarkerTerms {
    /// Notes a change of this rollout, by an owner in this term.
    pub(super) fn note(&mut self, thread: ThreadId, term: Term) {
        self.changes.note(thread);
        self.terms.insert(thread, term);
    }

    /// Notes that this server has claimed the thread. A marker of an earlier term is in this one now, also one that another server
    /// has set.
    pub(super) fn note_claim(&mut self, thread: ThreadId, term: Term, is_open: bool) {
        match self.terms.get_mut(&thread) {
            Some(noted) => *noted = term,
            None if is_open => self.note(thread, term),
            None => {}
        }
    }

    /// The thread's open marker now.
    pub(super) fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        self.changes.open_marker(thread)
    }

    /// Removes the marker, unless the rollout has changed since. Returns the term of the last change.
    pub(super) fn take_off(&mut self, marker: OpenMarker) -> Option<Term> {
        self.changes.take_off(marker).then(|| self.terms.remove(&marker.thread).unwrap_or(Term(0)))
    }

    /// The number of open markers.
    pub(super) fn count(&self) -> u64 {
        self.changes.count()
    }
}
