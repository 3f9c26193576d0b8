//! Subscriptions. Two maps: connection to threads, and thread to connections; both change under the connection's guard, in
//! that order. This room never waits and never decides on unloading: it only counts. `delivery.rs` delivers notifications,
//! `relay.rs` those of other servers, and `lookup.rs` has the reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
#[cfg(not(all(test, feature = "races")))]
use std::sync::Mutex;
#[cfg(not(all(test, feature = "races")))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(not(all(test, feature = "races")))]
use dashmap::DashMap;
use skein_protocol::ids::{ConnectionId, ThreadId};
use skein_store::home::Term;
use tokio::sync::Notify;
use uuid::Uuid;

use super::catalog::{AnnouncedTo, Catalog, CatalogLimits};
#[cfg(all(test, feature = "races"))]
use super::tests::shim::{AtomicBool, AtomicU64, Map as DashMap, Mutex, Ordering};
use crate::outbox::{CloseReason, LateWakes, Outbox};
use crate::policy;

use self::delivery::ReceiverEnd;

mod delivery;
mod lookup;
mod relay;
#[cfg(test)]
mod tests;

pub(crate) use delivery::{Broadcast, ClientWishes, Receiver};
pub(crate) use relay::{ChangesSince, RelayKind, RelayedNumber};

/// Whether a subscription keeps the thread loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Keeps it loaded, and may be asked questions.
    Subscriber,
    /// Receives only.
    Observer,
}

impl Role {
    pub(crate) fn keeps_loaded(self) -> bool {
        match self {
            Role::Subscriber => true,
            Role::Observer => false,
        }
    }
}

/// A waiting resume. It becomes void when its connection leaves the thread or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    pub(crate) connection: ConnectionId,
    number: u64,
}

/// Why a connection may not wait for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTicket {
    /// It has ended, or its client has not introduced itself.
    Gone,
    /// It has as many threads as it may have.
    Full,
}

/// The result of `thread/unsubscribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A subscription has ended.
    Subscription,
    /// A resume was waiting, and is void now.
    WaitingResume,
    /// There was nothing to end.
    Nothing,
}

/// One connection's side.
#[derive(Debug)]
struct Connection {
    outbox: Outbox,
    /// The server at the other end; `None` for a client of this one.
    link: Option<Uuid>,
    /// `None` until `initialize`.
    receiver: Option<Arc<Receiver>>,
    threads: HashMap<ThreadId, Role>,
    resuming: HashMap<u64, ThreadId>,
    /// The waiting resume that catches up; one for each thread.
    catching_up: HashMap<ThreadId, u64>,
}

impl Connection {
    fn waits_for(&self, thread: ThreadId) -> bool {
        self.resuming.values().any(|waits| *waits == thread)
    }

    /// Whether the thread is one of the first `most` that it is subscribed to, or waits for.
    fn has_room_for(&self, thread: ThreadId, most: usize) -> bool {
        // Counted apart only near the limit: a thread may be in both.
        if self.threads.len() + self.resuming.len() < most || self.threads.contains_key(&thread) {
            return true;
        }
        let mut threads: HashSet<ThreadId> =
            self.threads.keys().chain(self.resuming.values()).copied().collect();
        threads.insert(thread);
        threads.len() <= most
    }

    /// Whether it is in this audience of an announcement.
    fn is_in(&self, audience: AnnouncedTo, thread: ThreadId) -> bool {
        match audience {
            AnnouncedTo::All => true,
            AnnouncedTo::Listening => self.receiver.as_ref().is_some_and(|receiver| receiver.wishes.numbered),
            AnnouncedTo::Unsubscribed => !self.threads.contains_key(&thread) && !self.waits_for(thread),
        }
    }

    /// Whether it receives the thread's events.
    fn receives(&self, thread: ThreadId) -> bool {
        self.threads.contains_key(&thread) && !self.catching_up.contains_key(&thread)
    }

    /// Ends a catch-up, because a newer subscription takes its place.
    fn end_catch_up(&mut self, thread: ThreadId) {
        if let Some(number) = self.catching_up.remove(&thread) {
            self.resuming.remove(&number);
        }
    }
}

/// One listener of a thread.
#[derive(Debug)]
struct Listener {
    role: Role,
    /// The number of its ticket: the newest subscription has the highest.
    joined: u64,
    receiver: Arc<Receiver>,
    delivery: Delivery,
    /// The term of the owner that has unloaded the thread, while nobody has loaded it here since.
    left: Option<Term>,
}

impl Listener {
    /// Notes a publication during a catch-up.
    fn miss(&self) {
        match &self.delivery {
            Delivery::Everything => {}
            Delivery::NothingYet(missed) => missed.store(true, Ordering::Release),
        }
    }
}

/// The events that a listener receives.
#[derive(Debug)]
enum Delivery {
    /// Every event, as it is published.
    Everything,
    /// None yet: the listener counts, and a task sends it the missed events. Notes whether something was published meanwhile.
    NothingYet(AtomicBool),
}

type ThreadSide = HashMap<ConnectionId, Listener>;

/// The two maps.
#[derive(Debug)]
pub(crate) struct Subscribers {
    connections: DashMap<ConnectionId, Connection>,
    threads: DashMap<ThreadId, ThreadSide>,
    next_ticket: AtomicU64,
    /// Notified for each connection that goes.
    gone: Notify,
    /// Notifications to all connections. Locked before any guard of the maps, never behind one. A number is given and sent in
    /// one step, so that each connection receives rising numbers.
    catalog: Mutex<Catalog>,
    /// The number of the newest change. A list reads it without the lock, which a walk over all connections holds.
    newest: AtomicU64,
    catalog_epoch: String,
    /// The number of the newest announcement of each other server that all clients without a link there have. Changes with the catalog.
    relayed: DashMap<Uuid, u64>,
    /// The number of clients.
    clients: AtomicU64,
    /// Wakes the writers of announcements.
    wakes: LateWakes,
}

impl Subscribers {
    /// No connections, for this start of the server.
    pub(crate) fn new(start: Uuid) -> Self {
        let limits = CatalogLimits { changes: policy::CATALOG_CHANGES, bytes: policy::CATALOG_BYTES };
        Self {
            connections: DashMap::new(),
            threads: DashMap::new(),
            next_ticket: AtomicU64::new(0),
            gone: Notify::new(),
            catalog: Mutex::new(Catalog::new(start, limits)),
            newest: AtomicU64::new(0),
            catalog_epoch: start.to_string(),
            relayed: DashMap::new(),
            clients: AtomicU64::new(0),
            wakes: LateWakes::default(),
        }
    }

    /// Adds the connection of a client. [`Subscribers::disconnect`] removes it.
    pub(crate) fn connect(&self, outbox: Outbox) {
        self.clients.fetch_add(1, Ordering::AcqRel);
        self.add(outbox, None);
    }

    /// Adds the link of another server.
    pub(crate) fn connect_link(&self, outbox: Outbox, node: Uuid) {
        self.add(outbox, Some(node));
    }

    fn add(&self, outbox: Outbox, link: Option<Uuid>) {
        let id = outbox.connection();
        let entry = Connection {
            outbox,
            link,
            receiver: None,
            threads: HashMap::new(),
            resuming: HashMap::new(),
            catching_up: HashMap::new(),
        };
        self.connections.insert(id, entry);
    }

    /// Notes the client's wishes; from now on it receives. Returns `false` if they were noted before, or the connection is gone.
    pub(crate) fn initialise(&self, id: ConnectionId, wishes: ClientWishes) -> bool {
        let Some(mut connection) = self.connections.get_mut(&id) else { return false };
        if connection.receiver.is_some() {
            return false;
        }
        let outbox = connection.outbox.clone();
        connection.receiver = Some(Arc::new(Receiver::new(outbox, wishes, ReceiverEnd::client())));
        true
    }

    /// Removes a connection for good. Returns the threads that have to update their counts.
    #[must_use = "the threads that were left have to be woken"]
    pub(crate) fn disconnect(&self, id: ConnectionId) -> Vec<ThreadId> {
        // First, so that nothing can join any more.
        let Some((_, connection)) = self.connections.remove(&id) else { return Vec::new() };
        if connection.link.is_none() {
            self.clients.fetch_sub(1, Ordering::AcqRel);
        }
        self.gone.notify_waiters();
        let mut left: HashSet<ThreadId> = connection.resuming.into_values().collect();
        for thread in connection.threads.into_keys() {
            self.remove_from_thread(id, thread);
            left.insert(thread);
        }
        left.into_iter().collect()
    }

    /// Notes a waiting resume of this connection, which may have up to `most` threads.
    ///
    /// # Errors
    /// The connection has that many others, is gone, or is not initialised.
    pub(crate) fn begin_resume(
        &self,
        id: ConnectionId,
        thread: ThreadId,
        most: usize,
    ) -> Result<Ticket, NoTicket> {
        let mut connection = self.connections.get_mut(&id).ok_or(NoTicket::Gone)?;
        connection.receiver.as_ref().ok_or(NoTicket::Gone)?;
        if !connection.has_room_for(thread, most) {
            return Err(NoTicket::Full);
        }
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        connection.resuming.insert(number, thread);
        Ok(Ticket { connection: id, number })
    }

    /// Whether the resume of the ticket still waits.
    pub(crate) fn waits(&self, ticket: Ticket) -> bool {
        self.connections.get(&ticket.connection).is_some_and(|c| c.resuming.contains_key(&ticket.number))
    }

    /// Voids the ticket of a resume that is answered with an error.
    pub(crate) fn end_resume(&self, ticket: Ticket) {
        if let Some(mut connection) = self.connections.get_mut(&ticket.connection) {
            connection.resuming.remove(&ticket.number);
        }
    }

    /// Ends a subscription that has not begun to receive, if it still belongs to this ticket. The resume waits on.
    pub(crate) fn stop_catch_up(&self, ticket: Ticket, thread: ThreadId) {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return };
        if connection.catching_up.get(&thread) == Some(&ticket.number) {
            connection.catching_up.remove(&thread);
            connection.threads.remove(&thread);
            self.remove_from_thread(ticket.connection, thread);
        }
    }

    /// Subscribes the holder of this ticket. Returns `false` if the ticket is void.
    pub(crate) fn join(&self, ticket: Ticket, thread: ThreadId, role: Role) -> bool {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return false };
        if connection.resuming.remove(&ticket.number) != Some(thread) {
            return false;
        }
        connection.end_catch_up(thread);
        let joins = (thread, role, ticket.number);
        self.listen(&mut connection, joins, Delivery::Everything).is_some()
    }

    /// Subscribes the holder of this ticket for a catch-up. It receives no events until [`Subscribers::join`], and its resume
    /// waits on. `None` if the ticket is void.
    pub(crate) fn begin_catch_up(
        &self,
        ticket: Ticket,
        thread: ThreadId,
        role: Role,
    ) -> Option<Arc<Receiver>> {
        let mut connection = self.connections.get_mut(&ticket.connection)?;
        // A void ticket replaces no other catch-up.
        if connection.resuming.get(&ticket.number) != Some(&thread) {
            return None;
        }
        if connection.catching_up.get(&thread) != Some(&ticket.number) {
            connection.end_catch_up(thread);
        }
        connection.catching_up.insert(thread, ticket.number);
        let joins = (thread, role, ticket.number);
        self.listen(&mut connection, joins, Delivery::NothingYet(AtomicBool::new(false)))
    }

    /// Makes the holder of this ticket receive every event from now on, unless something was published since its catch-up
    /// began. For a thread without an owner; the caller keeps owners from beginning meanwhile.
    pub(crate) fn join_unless_missed(&self, ticket: Ticket, thread: ThreadId) -> bool {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return false };
        if connection.catching_up.get(&thread) != Some(&ticket.number) {
            return false;
        }
        let Some(mut side) = self.threads.get_mut(&thread) else { return false };
        let Some(listener) = side.get_mut(&ticket.connection) else { return false };
        match &listener.delivery {
            Delivery::NothingYet(missed) if !missed.load(Ordering::Acquire) => {
                listener.delivery = Delivery::Everything;
                connection.end_catch_up(thread);
                true
            }
            Delivery::NothingYet(_) | Delivery::Everything => false,
        }
    }

    /// Ends a connection's subscription, and voids its waiting resumes of the thread. The caller wakes the owner.
    #[must_use = "it decides the answer, and whether the owner has to be woken"]
    pub(crate) fn leave(&self, id: ConnectionId, thread: ThreadId) -> Left {
        let Some(mut connection) = self.connections.get_mut(&id) else { return Left::Nothing };
        let waited = connection.waits_for(thread);
        connection.resuming.retain(|_, waits| *waits != thread);
        connection.catching_up.remove(&thread);
        if connection.threads.remove(&thread).is_some() {
            self.remove_from_thread(id, thread);
            return Left::Subscription;
        }
        if waited { Left::WaitingResume } else { Left::Nothing }
    }

    /// Ends every subscription to a thread, and every catch-up. Waiting resumes wait on.
    pub(crate) fn end_thread(&self, thread: ThreadId) {
        let listening = self.threads.get(&thread).map(|side| side.keys().copied().collect::<Vec<_>>());
        for id in listening.unwrap_or_default() {
            let Some(mut connection) = self.connections.get_mut(&id) else { continue };
            connection.end_catch_up(thread);
            if connection.threads.remove(&thread).is_some() {
                self.remove_from_thread(id, thread);
            }
        }
    }

    /// The owner of this term has unloaded a thread. Its listeners stay.
    pub(crate) fn owner_left(&self, thread: ThreadId, term: Term) {
        if let Some(mut side) = self.threads.get_mut(&thread) {
            side.values_mut().for_each(|listener| listener.left = Some(term));
        }
    }

    /// The owner of this term has loaded a thread. Closes its listeners if another server has had it since it was unloaded here.
    pub(crate) fn owner_came(&self, thread: ThreadId, term: Term) {
        let lacks_events = |left: Term| left.0.saturating_add(1) < term.0;
        self.close_behind(thread, |left| left.is_some_and(lacks_events));
        if let Some(mut side) = self.threads.get_mut(&thread) {
            side.values_mut().for_each(|listener| listener.left = None);
        }
    }

    /// Closes the listeners of a thread that lack events of another server, by the term of the owner that has left them. Those that resume
    /// it now get these events.
    pub(crate) fn close_behind(&self, thread: ThreadId, is_behind: impl Fn(Option<Term>) -> bool) {
        let behind: Vec<_> = match self.threads.get(&thread) {
            Some(side) => {
                let behind = side.iter().filter(|(_, listener)| is_behind(listener.left));
                behind.map(|(id, listener)| (*id, listener.receiver.outbox.clone())).collect()
            }
            None => Vec::new(),
        };
        for (id, outbox) in behind {
            let resumes = self.connections.get(&id).is_some_and(|connection| connection.waits_for(thread));
            if !resumes {
                outbox.close(CloseReason::OwnerLeft);
            }
        }
    }

    /// The threads to which a connection is subscribed or waits to be.
    pub(crate) fn threads_of(&self, id: ConnectionId) -> HashSet<ThreadId> {
        let Some(connection) = self.connections.get(&id) else { return HashSet::new() };
        connection.threads.keys().chain(connection.resuming.values()).copied().collect()
    }

    /// Makes the connection a listener of the thread. `None` before `initialize`.
    fn listen(
        &self,
        connection: &mut Connection,
        (thread, role, joined): (ThreadId, Role, u64),
        delivery: Delivery,
    ) -> Option<Arc<Receiver>> {
        let receiver = connection.receiver.clone()?;
        let id = receiver.outbox.connection();
        connection.threads.insert(thread, role);
        let listener = Listener { role, joined, receiver: Arc::clone(&receiver), delivery, left: None };
        self.threads.entry(thread).or_default().insert(id, listener);
        Some(receiver)
    }

    fn remove_from_thread(&self, id: ConnectionId, thread: ThreadId) {
        if let Some(mut side) = self.threads.get_mut(&thread) {
            side.remove(&id);
        }
        self.threads.remove_if(&thread, |_, side| side.is_empty());
    }
}
