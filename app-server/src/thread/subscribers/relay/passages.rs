//! The announcements of other servers that a client gets by links of its own. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::ThreadId;
use uuid::Uuid;

use super::RelayedNumber;
use crate::thread::catalog::RelayedChange;

/// The links of one client, and the changes in the catalog that have not come by them yet.
#[derive(Debug, Default)]
pub(in crate::thread::subscribers) struct Passages {
    links: HashMap<Uuid, Passage>,
    owed: VecDeque<(RelayedNumber, RelayedChange)>,
    /// The threads whose changes come with their events, and the links by which they come.
    followed: HashMap<ThreadId, Option<Uuid>>,
}

/// The way by which a client gets the events of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventWay {
    /// None: it does not follow the thread by a link.
    NotFollowed,
    /// By its link to this server.
    ThisServer,
    /// By its link to another one.
    AnotherServer,
    /// By none now: the thread waits for its next server, and the resume there brings what is missing.
    Interrupted,
}

/// The links to one server.
#[derive(Debug)]
struct Passage {
    /// The changes behind this number come by the link.
    begun: u64,
    /// The number of the newest that has come.
    arrived: u64,
    /// The changes that have come by earlier links: behind the first number, up to the second.
    before: Vec<(u64, u64)>,
    /// The open link.
    link: Option<Uuid>,
}

impl Passages {
    /// A link begins behind this number. Returns the changes that the one before owes.
    pub(super) fn begin(&mut self, link: Uuid, from: RelayedNumber) -> Vec<RelayedChange> {
        let before = self.links.remove(&from.start).map(|link| {
            let arrived = (link.begun < link.arrived).then_some((link.begun, link.arrived));
            link.before.into_iter().chain(arrived).collect()
        });
        let before = before.unwrap_or_default();
        let passage = Passage { begun: from.number, arrived: from.number, before, link: Some(link) };
        self.links.insert(from.start, passage);
        self.take_owed(from.start)
    }

    fn take_owed(&mut self, start: Uuid) -> Vec<RelayedChange> {
        let owed = std::mem::take(&mut self.owed).into_iter();
        let (owed, others): (VecDeque<_>, VecDeque<_>) = owed.partition(|(from, _)| from.start == start);
        self.owed = others;
        owed.into_iter().map(|(_, change)| change).collect()
    }

    /// A link to a server has ended. Returns the changes that it owes.
    pub(super) fn end(&mut self, link: Uuid, start: Uuid) -> Vec<RelayedChange> {
        match self.links.get_mut(&start) {
            Some(passage) if passage.link == Some(link) => passage.link = None,
            // The next one has begun.
            Some(_) | None => return Vec::new(),
        }
        self.take_owed(start)
    }

    /// The client follows the events of these threads by these links, and no others. A thread without a server has no link now.
    pub(super) fn follow(&mut self, threads: HashMap<ThreadId, Option<Uuid>>) {
        self.followed = threads;
    }

    /// Whether the client gets the events of this thread by a link.
    pub(in crate::thread::subscribers) fn follows(&self, thread: ThreadId) -> bool {
        self.followed.contains_key(&thread)
    }

    /// How the client gets the events of this thread, as seen from the server of this start.
    pub(super) fn way(&self, thread: ThreadId, start: Uuid) -> EventWay {
        let Some(link) = self.followed.get(&thread) else { return EventWay::NotFollowed };
        let leads = |passage: &Passage| passage.link.is_some() && passage.link == *link;
        if self.links.get(&start).is_some_and(leads) {
            EventWay::ThisServer
        } else if self.links.values().any(leads) {
            EventWay::AnotherServer
        } else {
            EventWay::Interrupted
        }
    }

    /// Whether the client has a link to the server of this start.
    pub(in crate::thread::subscribers) fn lead_to(&self, start: Uuid) -> bool {
        self.links.get(&start).is_some_and(|passage| passage.link.is_some())
    }

    /// Whether this change of the catalog comes by a link, or has come. If it has not come yet, it is owed.
    pub(super) fn note(&mut self, from: RelayedNumber, change: &RelayedChange) -> bool {
        let comes_with_events = match self.way(change.thread, from.start) {
            EventWay::NotFollowed => false,
            // A server that has the thread for a new name alone has no listener of it: an event comes by no other way.
            EventWay::AnotherServer => change.comes_with_events() && !change.is_durable(),
            EventWay::ThisServer | EventWay::Interrupted => change.comes_with_events(),
        };
        if comes_with_events {
            return true;
        }
        let Some(link) = self.links.get_mut(&from.start) else { return false };
        // The numbers of a server rise.
        link.before.retain(|(_, arrived)| from.number <= *arrived);
        if link.before.iter().any(|(begun, _)| from.number > *begun) {
            return true;
        }
        if from.number <= link.begun || (from.number > link.arrived && link.link.is_none()) {
            return false;
        }
        if from.number > link.arrived {
            self.owed.push_back((from, change.clone()));
        }
        true
    }

    /// Every change of this server up to this number has come by its link. Returns whether the newest is to be given: one from before
    /// the link has come the other way.
    pub(super) fn arrive(&mut self, newest: RelayedNumber) -> bool {
        self.owed.retain(|(owed, _)| owed.start != newest.start || owed.number > newest.number);
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
    use skein_protocol::notifications::{ThreadArchived, ThreadNameUpdated, ThreadStatusChanged};
    use skein_protocol::table::Notification;

    use super::*;

    const NODE: Uuid = Uuid::from_u128(1);
    const LINK: Uuid = Uuid::from_u128(4);
    const OTHER: Uuid = Uuid::from_u128(2);
    const THIRD: Uuid = Uuid::from_u128(6);
    const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(3));

    fn at(start: Uuid, number: u64) -> RelayedNumber {
        RelayedNumber { start, number }
    }

    fn change(number: u64) -> RelayedChange {
        change_of("m", number)
    }

    fn change_of(method: &str, number: u64) -> RelayedChange {
        let at = serde_json::json!({
            "thread": THREAD, "audience": "all", "method": method, "params": {}, "at": number, "number": null,
        });
        serde_json::from_value(at).unwrap()
    }

    fn note_of(passages: &mut Passages, method: &str, start: Uuid) -> bool {
        passages.note(at(start, 1), &change_of(method, 1))
    }

    fn note(passages: &mut Passages, start: Uuid, number: u64) -> bool {
        passages.note(at(start, number), &change(number))
    }

    #[test]
    fn a_change_comes_by_one_way_whichever_brings_it_first() {
        let mut passages = Passages::default();
        assert!(!note(&mut passages, NODE, 5), "no link yet");
        passages.begin(LINK, at(NODE, 5));
        assert!(!note(&mut passages, NODE, 5), "from before the link");
        assert!(!note(&mut passages, OTHER, 6), "of a server without a link");
        assert!(!passages.arrive(at(NODE, 5)) && passages.arrive(at(NODE, 6)));
        assert!(note(&mut passages, NODE, 6));
        assert!(passages.are_complete(), "the link was first");
        assert!(note(&mut passages, NODE, 7) && note(&mut passages, NODE, 8));
        passages.arrive(at(NODE, 7));
        assert!(!passages.are_complete());
        passages.arrive(at(NODE, 9));
        assert!(passages.are_complete(), "a later one has come, so all before it have");
    }

    #[test]
    fn the_changes_that_an_ended_link_owes_come_the_other_way_and_once() {
        let mut passages = Passages::default();
        passages.begin(LINK, at(NODE, 5));
        passages.arrive(at(NODE, 7));
        assert!(note(&mut passages, NODE, 8));
        assert_eq!(passages.end(LINK, NODE), [change(8)]);
        assert!(passages.are_complete());
        assert!(note(&mut passages, NODE, 6) && note(&mut passages, NODE, 7), "they have come by the link");
        assert!(!note(&mut passages, NODE, 9), "the link cannot bring it");
        let next = Uuid::from_u128(5);
        passages.begin(next, at(NODE, 10));
        assert!(!note(&mut passages, NODE, 5), "it came by none");
        assert_eq!(passages.end(LINK, NODE), [], "the one before");
        assert!(note(&mut passages, NODE, 7), "it came by the link before");
        assert!(!note(&mut passages, NODE, 10), "from between the links");
        assert!(note(&mut passages, NODE, 11));
    }

    #[test]
    fn the_changes_of_a_followed_thread_come_with_its_events() {
        let mut passages = Passages::default();
        passages.follow([(THREAD, None)].into());
        for method in [ThreadNameUpdated::INFO.wire, ThreadStatusChanged::INFO.wire] {
            assert!(passages.note(at(NODE, 1), &change_of(method, 1)) && passages.are_complete());
        }
        let archived = change_of(ThreadArchived::INFO.wire, 2);
        assert!(!passages.note(at(NODE, 2), &archived), "no resume repeats it");
        passages.follow(HashMap::new());
        assert!(!passages.note(at(NODE, 3), &change_of(ThreadNameUpdated::INFO.wire, 3)));
    }

    #[test]
    fn a_thread_is_followed_by_one_link() {
        let mut passages = Passages::default();
        passages.begin(LINK, at(NODE, 0));
        passages.begin(Uuid::from_u128(5), at(OTHER, 0));
        let ways = |passages: &Passages| [NODE, OTHER].map(|start| passages.way(THREAD, start));
        assert_eq!(ways(&passages), [EventWay::NotFollowed; 2]);
        passages.follow([(THREAD, Some(LINK))].into());
        assert_eq!(ways(&passages), [EventWay::ThisServer, EventWay::AnotherServer]);
        // Another server has it for a moment, to give it a name.
        assert!(note_of(&mut passages, ThreadNameUpdated::INFO.wire, NODE));
        assert!(!note_of(&mut passages, ThreadNameUpdated::INFO.wire, THIRD));
        assert!(note_of(&mut passages, ThreadStatusChanged::INFO.wire, THIRD), "it may be of the past");
        passages.end(LINK, NODE);
        assert_eq!(ways(&passages), [EventWay::Interrupted; 2]);
        passages.begin(Uuid::from_u128(7), at(NODE, 0));
        assert_eq!(ways(&passages), [EventWay::Interrupted; 2], "it is not resumed by the next link yet");
        passages.follow([(THREAD, None)].into());
        assert_eq!(ways(&passages), [EventWay::Interrupted; 2]);
        assert!(note_of(&mut passages, ThreadNameUpdated::INFO.wire, THIRD), "the resume brings it");
    }
}
