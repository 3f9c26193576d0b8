//! Delivery of notifications: to the listeners of a thread, to one connection, or to all connections with a catalog number.
//! Nothing here changes a subscription.

use std::collections::HashSet;
#[cfg(not(all(test, feature = "races")))]
use std::sync::MutexGuard;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use skein_base::tasks::apart;
use skein_protocol::extension::{
    CatalogPlace, EVENTS_EXTENSION, EVENTS_VERSION, SkeinCatalogResumeParams, SkeinCatalogResumeResponse,
};
use skein_protocol::ids::{ConnectionId, ThreadId};
use skein_protocol::server::{InitializeCapabilities, InitializeParams};
use uuid::Uuid;

use super::relay::Relay;
use super::relay::passages::{self, Passages};
use super::{Connection, Delivery, Listener, Ordering, Subscribers, Ticket};
use crate::outbox::{Frame, LateWakes, Outbox, TextDelta};
use crate::policy;
use crate::thread::catalog::{Announced, AnnouncedOf, AnnouncedThread, AnnouncedTo, Announcement, Catalog};
use crate::thread::questions::Askable;
#[cfg(all(test, feature = "races"))]
use crate::thread::tests::shim::MutexGuard;

/// A client's wishes for notifications, from `initialize`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientWishes {
    /// Methods of notifications that it does not want (`optOutNotificationMethods`).
    pub(crate) opted_out: HashSet<String>,
    /// Whether durable notifications carry `seq` and `epoch`.
    pub(crate) numbered: bool,
    /// The client's name (`clientInfo.name`).
    pub(crate) name: String,
}

impl ClientWishes {
    /// The wishes in a client's introduction.
    pub(crate) fn of(introduction: &InitializeParams) -> Self {
        let capabilities = introduction.capabilities.as_ref();
        let opted_out =
            capabilities.and_then(|it| it.opt_out_notification_methods.clone()).unwrap_or_default();
        Self {
            opted_out: opted_out.into_iter().collect(),
            numbered: capabilities.is_some_and(wants_events),
            name: introduction.client_info.name.clone(),
        }
    }
}

/// Whether the client requested the served version of the events extension.
fn wants_events(capabilities: &InitializeCapabilities) -> bool {
    let asked = capabilities.extensions.as_ref().and_then(|extensions| extensions.get(EVENTS_EXTENSION));
    asked.and_then(|asked| asked.get("version")).and_then(Value::as_u64) == Some(EVENTS_VERSION)
}

/// One notification, serialised once for all who receive it.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    /// The wire name.
    pub(crate) method: &'static str,
    /// The form without numbers.
    pub(crate) plain: Frame,
    /// The form with a number, for clients that want numbers.
    pub(crate) numbered: Option<Frame>,
    /// A piece of text in a form that a slow client's outbox can merge.
    pub(crate) text: Option<Arc<TextDelta>>,
    /// A notification for all connections; it gets its catalog number when it is sent.
    pub(crate) announcement: Option<Announcement>,
}

impl Broadcast {
    /// Bytes of both forms.
    pub(crate) fn bytes(&self) -> usize {
        self.plain.len() + self.numbered.as_ref().map_or(0, |numbered| numbered.len())
    }
}

/// A receiver of notifications, shared by both maps.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(super) outbox: Outbox,
    pub(super) wishes: ClientWishes,
    pub(super) end: ReceiverEnd,
}

/// The other end of a receiver's connection.
#[derive(Debug)]
pub(super) enum ReceiverEnd {
    /// A client of this server.
    Client(Mutex<Passages>),
    /// Another server, for one of its clients.
    Link,
    /// Another server, for the announcements to all of its clients.
    Observer,
}

impl ReceiverEnd {
    /// A client without a link.
    pub(super) fn client() -> Self {
        Self::Client(Mutex::default())
    }
}

impl Receiver {
    pub(super) fn new(outbox: Outbox, wishes: ClientWishes, end: ReceiverEnd) -> Self {
        Self { outbox, wishes, end }
    }

    /// The receiver of a client.
    #[cfg(test)]
    pub(crate) fn of_client(outbox: Outbox, wishes: ClientWishes) -> Self {
        Self::new(outbox, wishes, ReceiverEnd::client())
    }

    /// Whether the client has not opted out of this method.
    pub(super) fn wants(&self, method: &str) -> bool {
        !self.wishes.opted_out.contains(method)
    }

    /// Whether a client of this server is at the other end.
    pub(super) fn is_client(&self) -> bool {
        match &self.end {
            ReceiverEnd::Client(_) => true,
            ReceiverEnd::Link | ReceiverEnd::Observer => false,
        }
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The client's name.
    pub(crate) fn client(&self) -> &str {
        &self.wishes.name
    }

    /// The receiver as one that can be asked.
    pub(crate) fn askable(&self) -> Askable<'_> {
        Askable { connection: self.outbox.connection(), client: &self.wishes.name }
    }

    /// Queues a notification in the client's form, unless the client has opted out of it.
    pub(crate) fn send(&self, broadcast: &Broadcast) {
        self.give(broadcast, None);
    }

    /// The form of a notification for this client.
    pub(super) fn form<'b>(&self, broadcast: &'b Broadcast) -> &'b Frame {
        match &broadcast.numbered {
            Some(numbered) if self.wishes.numbered => numbered,
            Some(_) | None => &broadcast.plain,
        }
    }

    fn give(&self, broadcast: &Broadcast, about: Option<ThreadId>) {
        if !self.wants(broadcast.method) {
            return;
        }
        let frame = self.form(broadcast);
        match (&broadcast.text, about) {
            (Some(text), _) => self.outbox.push_text(Arc::clone(text)),
            (None, Some(thread)) => self.outbox.push_of(thread, frame.clone()),
            (None, None) => self.outbox.push(frame.clone()),
        }
    }
}

/// The form of an announcement for a client. One that has not got an earlier change yet, which is on another way to it, learns no
/// place in the catalog: it would ask only for what came after that.
fn announced_form(
    (receiver, passages): (&Receiver, &Mutex<Passages>),
    broadcast: &Broadcast,
    announced: Option<&Announced>,
    receives: bool,
) -> Frame {
    let Some(announced) = announced.filter(|_| receiver.wishes.numbered) else {
        return receiver.form(broadcast).clone();
    };
    let (plain, numbered) = if passages::lock(passages).are_complete() {
        (&announced.plain, &announced.numbered)
    } else {
        (&broadcast.plain, &broadcast.numbered)
    };
    numbered.as_ref().filter(|_| receives).unwrap_or(plain).clone()
}

impl Subscribers {
    /// Sends a notification to every listener of the thread.
    pub(crate) fn publish(&self, thread: ThreadId, broadcast: &Broadcast) {
        if let Some(side) = self.threads.get(&thread) {
            for listener in side.values() {
                match &listener.delivery {
                    Delivery::Everything => listener.receiver.give(broadcast, Some(thread)),
                    Delivery::NothingYet(_) => listener.miss(),
                }
            }
        }
    }

    /// Sends a notification to one connection.
    pub(crate) fn publish_to(&self, id: ConnectionId, broadcast: &Broadcast) {
        if let Some(connection) = self.connections.get(&id)
            && let Some(receiver) = &connection.receiver
        {
            receiver.give(broadcast, None);
        }
    }

    /// The connections that opted in to events, those by links included.
    pub(crate) fn listening(&self) -> Vec<Arc<Receiver>> {
        let receivers = self.connections.iter().filter_map(|entry| entry.receiver.clone());
        receivers.filter(|receiver| receiver.wishes.numbered).collect()
    }

    /// Sends a notification about no thread to every initialised client of this server.
    pub(crate) fn publish_to_everybody(&self, broadcast: &Broadcast) {
        self.walk(|| {
            self.give_to_all(|connection| {
                let receiver = connection.receiver.as_ref().filter(|receiver| receiver.is_client())?;
                receiver.wants(broadcast.method).then(|| (receiver, receiver.form(broadcast).clone()))
            });
        });
    }

    /// Does the work that goes over all connections. The answer to the request that has caused it waits for its writer in this
    /// thread, so a walk over very many connections goes apart, and so does the wait for another one.
    pub(super) fn walk(&self, work: impl FnOnce()) {
        if self.connections.len() > policy::WAKES_AT_ONCE { apart(work) } else { work() }
    }

    /// Gives each connection the frame that is for it, if there is one, and wakes the writers.
    pub(super) fn give_to_all(&self, frame_for: impl Fn(&Connection) -> Option<(&Arc<Receiver>, Frame)>) {
        let mut due = Vec::new();
        for connection in &self.connections {
            let Some((receiver, frame)) = frame_for(&connection) else { continue };
            if receiver.outbox.push_later(frame) {
                due.push(receiver.outbox.clone());
            }
        }
        self.wakes.wake(due);
    }

    /// Wakes the writers of announcements that are due.
    pub(crate) fn wakes(&self) -> &LateWakes {
        &self.wakes
    }

    /// Sends a missed event to the holder of this ticket. Returns `false` if the ticket is void: the client has left, or has
    /// resumed again and must not receive this event behind the newer answer.
    pub(crate) fn send_missed(&self, ticket: Ticket, broadcast: &Broadcast) -> bool {
        let Some(connection) = self.connections.get(&ticket.connection) else { return false };
        let wanted = connection.resuming.contains_key(&ticket.number);
        match connection.receiver.as_ref().filter(|_| wanted) {
            Some(receiver) => {
                receiver.send(broadcast);
                true
            }
            None => false,
        }
    }

    /// Sends a notification about a thread to this audience, with a number of the catalog.
    pub(crate) fn announce(
        &self,
        about: impl Into<AnnouncedThread>,
        broadcast: &Broadcast,
        audience: AnnouncedTo,
    ) {
        let of = AnnouncedOf { thread: about.into(), audience, is_own: true };
        self.announce_of(of, broadcast, |_| true);
    }

    /// Tells the clients of this server the status of a thread at another one, which that has announced before this server observed it.
    /// `start` is the other server's: a client with a link there gets its announcements by that.
    pub(crate) fn announce_here(&self, thread: ThreadId, start: Uuid, broadcast: &Broadcast) {
        let of = AnnouncedOf { thread: thread.into(), audience: AnnouncedTo::All, is_own: false };
        self.announce_of(of, broadcast, |passages| !passages.follows(thread) && !passages.lead_to(start));
    }

    fn announce_of(&self, of: AnnouncedOf, broadcast: &Broadcast, is_for: impl Fn(&Passages) -> bool) {
        let (thread, audience) = (of.thread.id, of.audience);
        self.walk(|| {
            let mut catalog = self.catalog();
            let announced = broadcast.announcement.as_ref().and_then(|change| catalog.add(change, of));
            self.newest.store(catalog.last(), Ordering::Release);
            let relay = Relay::of(of, broadcast, catalog.last());
            self.give_to_all(|connection| {
                let receiver = connection.receiver.as_ref()?;
                let is_in = connection.is_in(audience, thread) && receiver.wants(broadcast.method);
                let receives = connection.receives(thread);
                let frame = match &receiver.end {
                    ReceiverEnd::Client(passages) => {
                        let is_given = is_in && is_for(&passages::lock(passages));
                        is_given.then(|| {
                            announced_form((receiver, passages), broadcast, announced.as_ref(), receives)
                        })
                    }
                    ReceiverEnd::Link | ReceiverEnd::Observer if !of.is_own => None,
                    ReceiverEnd::Link => relay.to_link(is_in, receives && receiver.wishes.numbered),
                    ReceiverEnd::Observer => relay.to_observer(),
                };
                frame.map(|frame| (receiver, frame))
            });
            if let Some(side) = self.threads.get(&thread).filter(|_| broadcast.numbered.is_some()) {
                side.values().for_each(Listener::miss);
            }
        });
    }

    /// The number of the newest change in the catalog. Some connections may not have it yet.
    pub(crate) fn catalog_place(&self) -> CatalogPlace {
        CatalogPlace {
            catalog_seq: self.newest.load(Ordering::Acquire),
            catalog_epoch: self.catalog_epoch.clone(),
        }
    }

    /// The epoch of the catalog.
    pub(crate) fn catalog_epoch(&self) -> &str {
        &self.catalog_epoch
    }

    /// Looks up the changes that a client missed, and answers before the next change is sent. So every change that the client
    /// receives behind the answer is newer.
    pub(crate) fn catalog_since(
        &self,
        params: &SkeinCatalogResumeParams,
        answer: impl FnOnce(SkeinCatalogResumeResponse),
    ) {
        self.walk(|| answer(self.catalog().since(params)));
    }

    pub(super) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
