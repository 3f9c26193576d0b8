//! Who is listening to which thread. Two maps: connection to threads, and thread to connections; both change under
//! the connection's guard, in that order. This room never waits and never decides on unloading: it only counts. What is
//! told to whom is in `told.rs`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
#[cfg(not(all(test, feature = "races")))]
use std::sync::Mutex;
#[cfg(not(all(test, feature = "races")))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(not(all(test, feature = "races")))]
use dashmap::DashMap;
use skein_protocol::ids::{ConnectionId, ThreadId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::catalog::{Catalog, CatalogLimits};
use super::event::Counts;
#[cfg(all(test, feature = "races"))]
use super::tests::shim::{AtomicBool, AtomicU64, Map as DashMap, Mutex, Ordering};
use crate::outbox::{CloseReason, Outbox};
use crate::policy;

#[cfg(test)]
mod tests;
mod told;

pub(crate) use told::{Broadcast, ClientWishes, Receiver};

/// Whether a subscription keeps the thread loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Keeps it loaded, and may be asked questions.
    Subscriber,
    /// Only watches.
    Observer,
}

impl Role {
    /// Whether the thread stays loaded for it.
    #[must_use]
    pub(crate) fn keeps_loaded(self) -> bool {
        match self {
            Role::Subscriber => true,
            Role::Observer => false,
        }
    }
}

/// A resume that waits. It is void when its connection leaves the thread, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    /// Who waits.
    pub(crate) connection: ConnectionId,
    number: u64,
}

/// What `thread/unsubscribe` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// A subscription has ended.
    Subscription,
    /// Only a resume was waiting, and is void now.
    WaitingResume,
    /// There was nothing to end.
    Nothing,
}

/// One connection's side.
#[derive(Debug)]
struct Connection {
    outbox: Outbox,
    /// `None` until `initialize`.
    receiver: Option<Arc<Receiver>>,
    threads: HashMap<ThreadId, Role>,
    resuming: HashMap<u64, ThreadId>,
    /// Which of the resumes that wait is catching up; one for each thread.
    catching_up: HashMap<ThreadId, u64>,
}

impl Connection {
    fn waits_for(&self, thread: ThreadId) -> bool {
        self.resuming.values().any(|waits| *waits == thread)
    }

    /// Whether it receives what happens in the thread.
    fn hears(&self, thread: ThreadId) -> bool {
        self.threads.contains_key(&thread) && !self.catching_up.contains_key(&thread)
    }

    /// Whoever catches up does so no more: something newer takes its place.
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
    /// The number of the ticket that it joined with: the latest has the highest.
    joined: u64,
    receiver: Arc<Receiver>,
    hears: Hears,
}

impl Listener {
    /// Notes that something was published that it will have to be told.
    fn miss(&self) {
        match &self.hears {
            Hears::Everything => {}
            Hears::NothingYet(missed) => missed.store(true, Ordering::Release),
        }
    }
}

/// What a listener receives.
#[derive(Debug)]
enum Hears {
    /// Everything, when it happens.
    Everything,
    /// Nothing yet: it counts, and is told what it missed by a task. Notes whether something happened meanwhile.
    NothingYet(AtomicBool),
}

type ThreadSide = HashMap<ConnectionId, Listener>;

/// The two maps.
#[derive(Debug)]
pub(crate) struct Subscribers {
    connections: DashMap<ConnectionId, Connection>,
    threads: DashMap<ThreadId, ThreadSide>,
    next_ticket: AtomicU64,
    /// Tells of each connection that goes.
    gone: Notify,
    /// What everybody is told. Locked before any guard of the maps, never behind one: a number is given and told to
    /// all in one step, so that each connection hears rising numbers.
    catalog: Mutex<Catalog>,
}

impl Subscribers {
    /// Nobody listens yet, in this start of the server.
    #[must_use]
    pub(crate) fn new(start: Uuid) -> Self {
        let limits = CatalogLimits { changes: policy::CATALOG_CHANGES, bytes: policy::CATALOG_BYTES };
        Self {
            connections: DashMap::new(),
            threads: DashMap::new(),
            next_ticket: AtomicU64::new(0),
            gone: Notify::new(),
            catalog: Mutex::new(Catalog::new(start, limits)),
        }
    }

    /// Makes the connection known. To be undone by [`Subscribers::disconnect`].
    pub(crate) fn connect(&self, outbox: Outbox) {
        let id = outbox.connection();
        let entry = Connection {
            outbox,
            receiver: None,
            threads: HashMap::new(),
            resuming: HashMap::new(),
            catching_up: HashMap::new(),
        };
        self.connections.insert(id, entry);
    }

    /// Notes what the client wants; from now on it receives. `false` when it was said before, or the connection is
    /// gone.
    pub(crate) fn initialise(&self, id: ConnectionId, wishes: ClientWishes) -> bool {
        let Some(mut connection) = self.connections.get_mut(&id) else { return false };
        if connection.receiver.is_some() {
            return false;
        }
        let outbox = connection.outbox.clone();
        connection.receiver = Some(Arc::new(Receiver { outbox, wishes }));
        true
    }

    /// Removes a connection for good, whatever still holds its id. Returns the threads that have to look at their
    /// counts again.
    #[must_use = "the threads that were left have to be woken"]
    pub(crate) fn disconnect(&self, id: ConnectionId) -> Vec<ThreadId> {
        // First: nothing can join any more.
        let Some((_, connection)) = self.connections.remove(&id) else { return Vec::new() };
        self.gone.notify_waiters();
        let mut left: HashSet<ThreadId> = connection.resuming.into_values().collect();
        for thread in connection.threads.into_keys() {
            self.remove_from_thread(id, thread);
            left.insert(thread);
        }
        left.into_iter().collect()
    }

    /// Notes that a resume of this connection waits. `None` when the connection is gone or not initialised.
    #[must_use]
    pub(crate) fn begin_resume(&self, id: ConnectionId, thread: ThreadId) -> Option<Ticket> {
        let mut connection = self.connections.get_mut(&id)?;
        connection.receiver.as_ref()?;
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        connection.resuming.insert(number, thread);
        Some(Ticket { connection: id, number })
    }

    /// Whether the resume behind the ticket still waits.
    #[must_use]
    pub(crate) fn waits(&self, ticket: Ticket) -> bool {
        self.connections.get(&ticket.connection).is_some_and(|c| c.resuming.contains_key(&ticket.number))
    }

    /// Ends the waiting of a resume that is answered with an error.
    pub(crate) fn end_resume(&self, ticket: Ticket) {
        if let Some(mut connection) = self.connections.get_mut(&ticket.connection) {
            connection.resuming.remove(&ticket.number);
        }
    }

    /// Ends a subscription that has not begun to receive, if it is still this ticket's. The resume waits on.
    pub(crate) fn stop_catch_up(&self, ticket: Ticket, thread: ThreadId) {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return };
        if connection.catching_up.get(&thread) == Some(&ticket.number) {
            connection.catching_up.remove(&thread);
            connection.threads.remove(&thread);
            self.remove_from_thread(ticket.connection, thread);
        }
    }

    /// Subscribes the one who waited with this ticket. `false` when it is void: the dead cannot subscribe.
    #[must_use]
    pub(crate) fn join(&self, ticket: Ticket, thread: ThreadId, role: Role) -> bool {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return false };
        if connection.resuming.remove(&ticket.number) != Some(thread) {
            return false;
        }
        connection.end_catch_up(thread);
        let joins = (thread, role, ticket.number);
        self.seat(&mut connection, joins, Hears::Everything).is_some()
    }

    /// Subscribes the one who waits with this ticket, but it receives nothing yet: it is being told what it missed.
    /// It goes on waiting, until [`Subscribers::join`]. `None` when the ticket is void.
    #[must_use]
    pub(crate) fn begin_catch_up(
        &self,
        ticket: Ticket,
        thread: ThreadId,
        role: Role,
    ) -> Option<Arc<Receiver>> {
        let mut connection = self.connections.get_mut(&ticket.connection)?;
        // One that is void takes nobody's place.
        if connection.resuming.get(&ticket.number) != Some(&thread) {
            return None;
        }
        if connection.catching_up.get(&thread) != Some(&ticket.number) {
            connection.end_catch_up(thread);
        }
        connection.catching_up.insert(thread, ticket.number);
        let joins = (thread, role, ticket.number);
        self.seat(&mut connection, joins, Hears::NothingYet(AtomicBool::new(false)))
    }

    /// Lets the one who catches up with this ticket receive everything from now on, unless something was published
    /// since it began. For a thread without an owner; the caller sees to it that none can come meanwhile.
    #[must_use]
    pub(crate) fn join_unless_missed(&self, ticket: Ticket, thread: ThreadId) -> bool {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return false };
        if connection.catching_up.get(&thread) != Some(&ticket.number) {
            return false;
        }
        let Some(mut side) = self.threads.get_mut(&thread) else { return false };
        let Some(listener) = side.get_mut(&ticket.connection) else { return false };
        match &listener.hears {
            Hears::NothingYet(missed) if !missed.load(Ordering::Acquire) => {
                listener.hears = Hears::Everything;
                connection.end_catch_up(thread);
                true
            }
            Hears::NothingYet(_) | Hears::Everything => false,
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

    /// Ends every subscription to a thread, also of those who are told what they missed. Resumes that wait, wait on.
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

    /// The threads to which a connection listens, or is about to.
    #[must_use]
    pub(crate) fn threads_of(&self, id: ConnectionId) -> HashSet<ThreadId> {
        let Some(connection) = self.connections.get(&id) else { return HashSet::new() };
        connection.threads.keys().chain(connection.resuming.values()).copied().collect()
    }

    /// How many are connected.
    #[must_use]
    pub(crate) fn connected(&self) -> usize {
        self.connections.len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub(crate) fn is_deserted(&self) -> bool {
        self.connections.is_empty()
    }

    /// Until the next connection goes; those count that go from the call on.
    pub(crate) fn one_goes(&self) -> impl Future<Output = ()> + '_ {
        self.gone.notified()
    }

    /// How many listen to a thread.
    #[must_use]
    pub(crate) fn counts(&self, thread: ThreadId) -> Counts {
        let mut counts = Counts::default();
        if let Some(side) = self.threads.get(&thread) {
            for listener in side.values() {
                match listener.role {
                    Role::Subscriber => counts.subscribers += 1,
                    Role::Observer => counts.observers += 1,
                }
            }
        }
        counts
    }

    /// How a connection listens to a thread, if it does.
    #[must_use]
    pub(crate) fn role(&self, id: ConnectionId, thread: ThreadId) -> Option<Role> {
        self.threads.get(&thread)?.get(&id).map(|listener| listener.role)
    }

    /// Those who keep a thread loaded, whether they hear already or are told what they missed.
    #[must_use]
    pub(crate) fn subscribed(&self, thread: ThreadId) -> HashSet<ConnectionId> {
        let Some(side) = self.threads.get(&thread) else { return HashSet::new() };
        side.iter().filter(|(_, listener)| listener.role.keeps_loaded()).map(|(id, _)| *id).collect()
    }

    /// In how many threads a connection is being told what it missed.
    #[must_use]
    pub(crate) fn catching_up(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, |connection| connection.catching_up.len())
    }

    /// The outboxes of those who may be asked a question about a thread; first who has joined last.
    #[must_use]
    pub(crate) fn askable(&self, thread: ThreadId) -> Vec<Outbox> {
        let Some(side) = self.threads.get(&thread) else { return Vec::new() };
        let asked = side.values().filter(|listener| match listener.hears {
            Hears::Everything => listener.role.keeps_loaded(),
            Hears::NothingYet(_) => false,
        });
        let mut asked: Vec<_> = asked.map(|one| (one.joined, one.receiver.outbox.clone())).collect();
        asked.sort_by_key(|(joined, _)| std::cmp::Reverse(*joined));
        asked.into_iter().map(|(_, outbox)| outbox).collect()
    }

    /// Closes the connection of everyone who listens to a thread: what they were told of it cannot be made good.
    pub(crate) fn close_listeners(&self, thread: ThreadId) {
        let outboxes: Vec<Outbox> = match self.threads.get(&thread) {
            Some(side) => side.values().map(|listener| listener.receiver.outbox.clone()).collect(),
            None => Vec::new(),
        };
        for outbox in outboxes {
            outbox.close(CloseReason::Fault);
        }
    }

    /// Every connection's outbox.
    #[must_use]
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        self.connections.iter().map(|connection| connection.outbox.clone()).collect()
    }

    /// Connections, subscriptions and observers of all threads.
    #[must_use]
    pub(crate) fn totals(&self) -> (usize, Counts) {
        let mut counts = Counts::default();
        for connection in &self.connections {
            for role in connection.threads.values() {
                match role {
                    Role::Subscriber => counts.subscribers += 1,
                    Role::Observer => counts.observers += 1,
                }
            }
        }
        (self.connections.len(), counts)
    }

    /// Makes the connection a listener of the thread. `None` before `initialize`.
    fn seat(
        &self,
        connection: &mut Connection,
        (thread, role, joined): (ThreadId, Role, u64),
        hears: Hears,
    ) -> Option<Arc<Receiver>> {
        let receiver = connection.receiver.clone()?;
        let id = receiver.outbox.connection();
        connection.threads.insert(thread, role);
        let listener = Listener { role, joined, receiver: Arc::clone(&receiver), hears };
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
