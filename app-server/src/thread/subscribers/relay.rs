//! Announcements between servers. A server gives each one a number of its own catalog.
//!
//! A client with a link to a server gets the announcements of that server by the link, in order with the events of its threads. All
//! other clients of its server get them by the link that the two servers have for all. So a change has two ways, and may come by one
//! before the other. The catalog has each change once, when it comes by the way for all.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use serde_json::value::to_raw_value;
use skein_protocol::JsonObject;
use skein_protocol::envelope;
use skein_protocol::ids::{ConnectionId, ThreadId};
use uuid::Uuid;

use self::passages::{EventWay, lock};
use super::delivery::{Broadcast, ClientWishes, Receiver, ReceiverEnd};
use super::{Ordering, Subscribers};
use crate::outbox::{CloseReason, Frame};
use crate::thread::catalog::{AnnouncedOf, AnnouncedTo, Announcement, RelayedChange, placed};

pub(super) mod passages;

/// A kind of link to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayKind {
    /// For one of its clients.
    Client,
    /// For the announcements to all of its clients.
    Observer,
}

/// The number of an announcement in the catalog of the server that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RelayedNumber {
    /// The start of that server, which is the epoch of its catalog.
    pub(crate) start: Uuid,
    pub(crate) number: u64,
}

/// Looks up the changes behind a number, each with its own.
pub(crate) type ChangesSince<'c> = &'c dyn Fn(u64) -> Option<Vec<(u64, RelayedChange)>>;

/// An announcement in the forms for other servers: `[number, change]`.
pub(super) struct Relay<'b> {
    of: AnnouncedOf,
    broadcast: &'b Broadcast,
    number: u64,
    plain: OnceCell<Frame>,
    numbered: OnceCell<Frame>,
}

impl<'b> Relay<'b> {
    /// The announcement of this server with this number.
    pub(super) fn of(of: AnnouncedOf, broadcast: &'b Broadcast, number: u64) -> Self {
        Self { of, broadcast, number, plain: OnceCell::new(), numbered: OnceCell::new() }
    }

    /// For a client of another server. Without one that is for it, only the number: what came before has come.
    pub(super) fn to_link(&self, is_for: bool, with_number: bool) -> Option<Frame> {
        match self.of.audience {
            // Each server announces these by itself.
            AnnouncedTo::Listening => None,
            AnnouncedTo::All | AnnouncedTo::Unsubscribed if !is_for => Some(bare(self.number)),
            AnnouncedTo::All | AnnouncedTo::Unsubscribed if with_number => self.form(&self.numbered, true),
            AnnouncedTo::All | AnnouncedTo::Unsubscribed => self.form(&self.plain, false),
        }
    }

    /// For all clients of another server.
    pub(super) fn to_observer(&self) -> Option<Frame> {
        match self.of.audience {
            AnnouncedTo::Listening => None,
            AnnouncedTo::All | AnnouncedTo::Unsubscribed => self.form(&self.plain, false),
        }
    }

    fn form(&self, kept: &OnceCell<Frame>, with_number: bool) -> Option<Frame> {
        let change = self.broadcast.announcement.as_ref()?;
        let print = || {
            let change = RelayedChange {
                thread: self.of.thread.id,
                audience: self.of.audience,
                method: change.method.to_owned(),
                params: change.params.clone(),
                at: change.at,
                number: change.number.filter(|_| with_number),
                term: self.of.thread.term,
                is_left: self.of.thread.is_left,
            };
            Frame::from(json!([self.number, change]).to_string())
        };
        Some(kept.get_or_init(print).clone())
    }
}

/// An announcement as clients get it, with these params.
fn printed(params: &JsonObject, announcement: &Announcement) -> Option<Frame> {
    let Announcement { method, at, number, .. } = announcement;
    let params = to_raw_value(params).ok()?;
    Some(envelope::announcement(method, &params, at.0, *number).into())
}

/// A number without a change.
fn bare(number: u64) -> Frame {
    Frame::from(json!([number]).to_string())
}

impl Subscribers {
    /// Notes the wishes of another server's client, or of that server. Its first message has the newest number, and every change after that
    /// follows. `opened` makes that message from the number, and from the changes that the other server has missed.
    pub(crate) fn initialise_link(
        &self,
        id: ConnectionId,
        wishes: ClientWishes,
        (kind, opened): (RelayKind, impl FnOnce(u64, ChangesSince<'_>) -> Frame),
    ) {
        let end = match kind {
            RelayKind::Client => ReceiverEnd::Link,
            RelayKind::Observer => ReceiverEnd::Observer,
        };
        self.walk(|| {
            let catalog = self.catalog();
            // Before any guard of the maps, as it looks at the owners of threads.
            let first = opened(catalog.last(), &|after| catalog.relayed_since(after));
            let Some(mut connection) = self.connections.get_mut(&id) else { return };
            let outbox = connection.outbox.clone();
            outbox.push(first);
            connection.receiver = Some(Arc::new(Receiver::new(outbox, wishes, end)));
        });
    }

    /// A client of this server has a link: behind this number, it gets the announcements of that server by it, unless it has them.
    pub(crate) fn begin_link(&self, id: ConnectionId, link: Uuid, from: RelayedNumber) {
        let _catalog = self.catalog();
        let relayed = self.relayed.get(&from.start).map_or(0, |newest| *newest);
        let from = RelayedNumber { number: from.number.max(relayed), ..from };
        self.give_owed(id, |passages| passages.begin(link, from));
    }

    /// The link of a client has ended. The client gets the changes that it owes.
    pub(crate) fn end_link(&self, id: ConnectionId, (link, start): (Uuid, Uuid)) {
        let _catalog = self.catalog();
        self.give_owed(id, |passages| passages.end(link, start));
    }

    fn give_owed(&self, id: ConnectionId, take: impl FnOnce(&mut passages::Passages) -> Vec<RelayedChange>) {
        let Some(connection) = self.connections.get(&id) else { return };
        let Some(receiver) = &connection.receiver else { return };
        let ReceiverEnd::Client(passages) = &receiver.end else { return };
        let owed = take(&mut lock(passages));
        for change in owed {
            let is_for = connection.is_in(change.audience, change.thread);
            let Some(announcement) = change.announcement().filter(|_| is_for) else { continue };
            if receiver.wants(announcement.method)
                && let Some(frame) = printed(&announcement.params, &announcement)
            {
                receiver.outbox.push(frame);
            }
        }
    }

    /// A client follows the events of these threads by these links, and no others. A thread without a server has no link now.
    pub(crate) fn follow(&self, id: ConnectionId, threads: HashMap<ThreadId, Option<Uuid>>) {
        self.with_passages(id, |_, passages| passages.follow(threads));
    }

    /// Announces a change of another server to the clients of this one that have no link there.
    pub(crate) fn announce_relayed(&self, from: RelayedNumber, change: RelayedChange) {
        let of = AnnouncedOf { thread: change.thread.into(), audience: change.audience, is_own: false };
        let relayed = change.clone();
        let Some(announcement) = change.announcement() else { return };
        self.walk(|| {
            let mut catalog = self.catalog();
            let announced = catalog.add(&announcement, of);
            self.newest.store(catalog.last(), Ordering::Release);
            self.relayed.insert(from.start, from.number);
            let Some(announced) = announced else { return };
            let unplaced: OnceCell<Option<Frame>> = OnceCell::new();
            let unplaced = || unplaced.get_or_init(|| printed(&announcement.params, &announcement)).clone();
            self.give_to_all(|connection| {
                let receiver = connection.receiver.as_ref()?;
                let ReceiverEnd::Client(passages) = &receiver.end else { return None };
                let mut passages = lock(passages);
                if passages.note(from, &relayed) {
                    return None;
                }
                let is_for =
                    connection.is_in(of.audience, of.thread.id) && receiver.wants(announcement.method);
                let is_placed = receiver.wishes.numbered && passages.are_complete();
                let frame =
                    is_for.then(|| if is_placed { Some(announced.plain.clone()) } else { unplaced() });
                frame.flatten().map(|frame| (receiver, frame))
            });
        });
    }

    /// Leaves out a change of another server, which is of the past: the thread has another owner.
    pub(crate) fn leave_out(&self, from: RelayedNumber) {
        let _catalog = self.catalog();
        self.relayed.insert(from.start, from.number);
    }

    /// Gives a client a change that has come by its link. Nothing of that server before this number is on its way to it. Returns
    /// whether it is new to the client.
    pub(crate) fn pass_on(
        &self,
        id: ConnectionId,
        from: RelayedNumber,
        change: Option<RelayedChange>,
    ) -> bool {
        let mut is_given = false;
        let catalog = self.catalog();
        let place = catalog.place();
        self.with_passages(id, |receiver, passages| {
            let is_new = passages.arrive(from);
            is_given = is_new;
            let is_for = |change: &RelayedChange| match change.audience {
                AnnouncedTo::Unsubscribed => match passages.way(change.thread, from.start) {
                    EventWay::NotFollowed | EventWay::ThisServer => is_new,
                    EventWay::AnotherServer | EventWay::Interrupted => false,
                },
                AnnouncedTo::All | AnnouncedTo::Listening => is_new,
            };
            let Some(mut announcement) = change.filter(is_for).and_then(RelayedChange::announcement) else {
                return;
            };
            announcement.number = announcement.number.filter(|_| receiver.wishes.numbered);
            let with_place = (receiver.wishes.numbered && passages.are_complete())
                .then(|| placed(&announcement.params, &place))
                .flatten();
            if let Some(frame) = printed(with_place.as_ref().unwrap_or(&announcement.params), &announcement) {
                receiver.outbox.push(frame);
            }
        });
        is_given
    }

    /// Drops the changes of the catalog, because changes of another server are missing in it. Closes the clients that follow it: they
    /// list their threads again.
    pub(crate) fn forget_catalog(&self) {
        let mut catalog = self.catalog();
        catalog.forget();
        self.newest.store(catalog.last(), Ordering::Release);
        drop(catalog);
        for receiver in self.listening().iter().filter(|receiver| receiver.is_client()) {
            receiver.outbox.close(CloseReason::OwnerLeft);
        }
    }

    fn with_passages(&self, id: ConnectionId, what: impl FnOnce(&Receiver, &mut passages::Passages)) {
        let Some(connection) = self.connections.get(&id) else { return };
        if let Some(receiver) = &connection.receiver
            && let ReceiverEnd::Client(passages) = &receiver.end
        {
            what(receiver, &mut lock(passages));
        }
    }
}
