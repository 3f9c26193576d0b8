//! The announcements of other servers that a client gets by links of its own. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::RelayedNumber;

/// The links of one client, and the changes in the catalog that have not come by them yet.
#[derive(Debug, Default)]
pub(in crate::thread::subscribers) struct Passages {
    links: HashMap<Uuid, Passage>,
    owed: VecDeque<RelayedNumber>,
}

/// The link to one server.
#[derive(Debug, Clone, Copy)]
struct Passage {
    /// The changes behind this number come by the link.
    begun: u64,
    /// The number of the newest that has come.
    arrived: u64,
}

impl Passages {
    /// A link begins behind this number.
    pub(super) fn begin(&mut self, from: RelayedNumber) {
        self.links.insert(from.start, Passage { begun: from.number, arrived: from.number });
    }

    /// Whether this change of the catalog comes by a link. If it has not come yet, it is owed.
    pub(super) fn note(&mut self, change: RelayedNumber) -> bool {
        let Some(link) = self.links.get(&change.start).filter(|link| change.number > link.begun) else {
            return false;
        };
        if change.number > link.arrived {
            self.owed.push_back(change);
        }
        true
    }

    /// Every change of this server up to this number has come by its link. Returns whether the newest is to be given: one from before
    /// the link has come the other way.
    pub(super) fn arrive(&mut self, newest: RelayedNumber) -> bool {
        self.owed.retain(|owed| owed.start != newest.start || owed.number > newest.number);
        let Some(link) = self.links.get_mut(&newest.start) else { return false };
        link.arrived = link.arrived.max(newest.number);
        newest.number > link.begun
    }

    /// Whether the client has every change of the catalog.
    pub(in crate::thread::subscribers) fn are_complete(&self) -> bool {
        self.owed.is_empty()
    }
}

/// The passages of a client.
pub(in crate::thread::subscribers) fn lock(passages: &Mutex<Passages>) -> MutexGuard<'_, Passages> {
    passages.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn at(start: Uuid, number: u64) -> RelayedNumber {
        RelayedNumber { start, number }
    }

    #[test]
    fn a_change_comes_by_one_way_whichever_brings_it_first() {
        let mut passages = Passages::default();
        assert!(!passages.note(at(NODE, 5)), "no link yet");
        passages.begin(at(NODE, 5));
        assert!(!passages.note(at(NODE, 5)), "from before the link");
        assert!(!passages.note(at(OTHER, 6)), "of a server without a link");
        assert!(!passages.arrive(at(NODE, 5)) && passages.arrive(at(NODE, 6)));
        assert!(passages.note(at(NODE, 6)));
        assert!(passages.are_complete(), "the link was first");
        assert!(passages.note(at(NODE, 7)) && passages.note(at(NODE, 8)));
        passages.arrive(at(NODE, 7));
        assert!(!passages.are_complete());
        passages.arrive(at(NODE, 9));
        assert!(passages.are_complete(), "a later one has come, so all before it have");
    }
}
