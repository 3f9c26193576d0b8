//! What is told to whom: a notification to those who listen, to one connection, to everybody with its number in the
//! catalog. Nothing here changes who listens.

use std::collections::HashSet;
#[cfg(not(all(test, feature = "races")))]
use std::sync::MutexGuard;
use std::sync::{Arc, PoisonError};

use skein_protocol::extension::{CatalogPlace, SkeinCatalogResumeParams, SkeinCatalogResumeResponse};
use skein_protocol::ids::{ConnectionId, ThreadId};

use super::{Connection, Hears, Listener, Subscribers, Ticket};
use crate::outbox::{Frame, Outbox, TextDelta};
use crate::thread::catalog::{Announced, Announcement, Catalog};
#[cfg(all(test, feature = "races"))]
use crate::thread::tests::shim::MutexGuard;

/// What a client said at `initialize` about the notifications it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientWishes {
    /// Methods of notifications that it does not want (`optOutNotificationMethods`).
    pub(crate) opted_out: HashSet<String>,
    /// Whether durable notifications carry `seq` and `epoch`.
    pub(crate) numbered: bool,
}

/// One notification, serialised once for all who receive it.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    /// The wire's name of it.
    pub(crate) method: &'static str,
    /// For everybody.
    pub(crate) plain: Frame,
    /// For those who opted in to numbers, where it has one.
    pub(crate) numbered: Option<Frame>,
    /// For those who are behind, where it is a piece of text: `plain`, as what can be merged.
    pub(crate) text: Option<Arc<TextDelta>>,
    /// For those who opted in to numbers, where it is for everybody: it gets its number when it is sent.
    pub(crate) announcement: Option<Announcement>,
}

/// A receiver of notifications, as both maps hold it.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(super) outbox: Outbox,
    pub(super) wishes: ClientWishes,
}

impl Receiver {
    /// Where its messages wait.
    #[must_use]
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Gives it a notification, in the form that it wants, if it wants it; in order with everything else.
    pub(crate) fn tell(&self, broadcast: &Broadcast) {
        self.give(broadcast, None);
    }

    fn give_frame(&self, method: &str, frame: &Frame) {
        if !self.wishes.opted_out.contains(method) {
            self.outbox.push(frame.clone());
        }
    }

    fn give(&self, broadcast: &Broadcast, about: Option<ThreadId>) {
        if self.wishes.opted_out.contains(broadcast.method) {
            return;
        }
        let frame = match &broadcast.numbered {
            Some(numbered) if self.wishes.numbered => numbered,
            Some(_) | None => &broadcast.plain,
        };
        match (&broadcast.text, about) {
            (Some(text), _) => self.outbox.push_text(Arc::clone(text)),
            (None, Some(thread)) => self.outbox.push_of(thread, frame.clone()),
            (None, None) => self.outbox.push(frame.clone()),
        }
    }
}

/// As it is for one who opted in to numbers, and listens to its thread or not.
fn frame_for(announced: &Announced, listens: bool) -> &Frame {
    match &announced.numbered {
        Some(numbered) if listens => numbered,
        Some(_) | None => &announced.plain,
    }
}

impl Subscribers {
    /// Gives a notification to everyone who listens to the thread.
    pub(crate) fn publish(&self, thread: ThreadId, broadcast: &Broadcast) {
        if let Some(side) = self.threads.get(&thread) {
            for listener in side.values() {
                match &listener.hears {
                    Hears::Everything => listener.receiver.give(broadcast, Some(thread)),
                    Hears::NothingYet(_) => listener.miss(),
                }
            }
        }
    }

    /// Gives a notification to one connection.
    pub(crate) fn publish_to(&self, id: ConnectionId, broadcast: &Broadcast) {
        if let Some(connection) = self.connections.get(&id)
            && let Some(receiver) = &connection.receiver
        {
            receiver.give(broadcast, None);
        }
    }

    /// Gives a notification that is about no thread to every initialised connection.
    pub(crate) fn publish_to_everybody(&self, broadcast: &Broadcast) {
        self.connections
            .iter()
            .filter_map(|entry| entry.receiver.clone())
            .for_each(|one| one.tell(broadcast));
    }

    /// Gives the one who catches up with this ticket what it missed. `false` when the ticket is void: it has left, or
    /// something newer has taken its place, and nothing may be told behind that one's answer.
    #[must_use]
    pub(crate) fn tell(&self, ticket: Ticket, broadcast: &Broadcast) -> bool {
        let Some(connection) = self.connections.get(&ticket.connection) else { return false };
        let wanted = connection.resuming.contains_key(&ticket.number);
        match connection.receiver.as_ref().filter(|_| wanted) {
            Some(receiver) => {
                receiver.tell(broadcast);
                true
            }
            None => false,
        }
    }

    /// Gives a notification of a thread to every initialised connection.
    pub(crate) fn publish_to_all(&self, thread: ThreadId, broadcast: &Broadcast) {
        self.announce(thread, broadcast, |_| true);
    }

    /// Gives a notification to every initialised connection that neither listens to the thread nor waits for a
    /// resume of it: a client that shows a thread ends when it hears that it is closed.
    pub(crate) fn publish_to_strangers(&self, thread: ThreadId, broadcast: &Broadcast) {
        self.announce(thread, broadcast, |connection| {
            !connection.threads.contains_key(&thread) && !connection.waits_for(thread)
        });
    }

    fn announce(&self, thread: ThreadId, broadcast: &Broadcast, is_for: impl Fn(&Connection) -> bool) {
        let mut catalog = self.catalog();
        let announced = broadcast.announcement.as_ref().and_then(|change| catalog.add(change));
        for connection in &self.connections {
            let Some(receiver) = connection.receiver.as_ref().filter(|_| is_for(&connection)) else {
                continue;
            };
            match &announced {
                Some(announced) if receiver.wishes.numbered => {
                    let frame = frame_for(announced, connection.hears(thread));
                    receiver.give_frame(broadcast.method, frame);
                }
                Some(_) | None => receiver.give(broadcast, None),
            }
        }
        if let Some(side) = self.threads.get(&thread).filter(|_| broadcast.numbered.is_some()) {
            side.values().for_each(Listener::miss);
        }
    }

    /// The number of the newest change that everybody was told.
    #[must_use]
    pub(crate) fn catalog_place(&self) -> CatalogPlace {
        self.catalog().place()
    }

    /// Looks up what a client has missed, and lets it be answered before the next change is told: what the connection
    /// hears before the answer is part of it, and what it hears behind it is newer.
    pub(crate) fn catalog_since(
        &self,
        params: &SkeinCatalogResumeParams,
        answer: impl FnOnce(&SkeinCatalogResumeResponse),
    ) {
        let catalog = self.catalog();
        answer(&catalog.since(params));
    }

    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
