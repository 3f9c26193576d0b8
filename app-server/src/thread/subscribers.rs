//! Who is listening to which thread. Two maps: connection to threads, and thread to connections; both change under
//! the connection's guard, in that order. This room never waits and never decides on unloading: it only counts.

use std::collections::{HashMap, HashSet};
#[cfg(not(all(test, feature = "races")))]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
#[cfg(not(all(test, feature = "races")))]
use std::sync::{Mutex, MutexGuard};

#[cfg(not(all(test, feature = "races")))]
use dashmap::DashMap;
use skein_protocol::extension::{CatalogPlace, SkeinCatalogResumeParams, SkeinCatalogResumeResponse};
use skein_protocol::ids::{ConnectionId, ThreadId};
use uuid::Uuid;

use super::catalog::{Announced, Announcement, Catalog, CatalogLimits};
use super::event::Counts;
#[cfg(all(test, feature = "races"))]
use super::tests::shim::{AtomicBool, AtomicU64, Map as DashMap, Mutex, MutexGuard, Ordering};
use crate::connection::outbox::{Frame, Outbox, TextDelta};
use crate::policy;

#[cfg(test)]
mod tests;

/// Whether a subscription keeps the thread loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Keeps it loaded, and may be asked questions.
    Subscriber,
    /// Only watches.
    Observer,
}

impl Role {
    /// Whether the thread stays loaded for it.
    #[must_use]
    pub fn keeps_loaded(self) -> bool {
        match self {
            Role::Subscriber => true,
            Role::Observer => false,
        }
    }
}

/// What a client said at `initialize` about the notifications it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientWishes {
    /// Methods of notifications that it does not want (`optOutNotificationMethods`).
    pub opted_out: HashSet<String>,
    /// Whether durable notifications carry `seq` and `epoch`.
    pub numbered: bool,
}

/// One notification, serialised once for all who receive it.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// The wire's name of it.
    pub method: &'static str,
    /// For everybody.
    pub plain: Frame,
    /// For those who opted in to numbers, where it has one.
    pub numbered: Option<Frame>,
    /// For those who are behind, where it is a piece of text: `plain`, as what can be merged.
    pub text: Option<Arc<TextDelta>>,
    /// For those who opted in to numbers, where it is for everybody: it gets its number when it is sent.
    pub announcement: Option<Announcement>,
}

/// A resume that waits. It is void when its connection leaves the thread, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Who waits.
    pub connection: ConnectionId,
    number: u64,
}

/// What `thread/unsubscribe` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// A subscription has ended.
    Subscription,
    /// Only a resume was waiting, and is void now.
    WaitingResume,
    /// There was nothing to end.
    Nothing,
}

/// A receiver of notifications, as both maps hold it.
#[derive(Debug)]
pub struct Receiver {
    outbox: Outbox,
    wishes: ClientWishes,
}

impl Receiver {
    /// Where its messages wait.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Gives it a notification, in the form that it wants, if it wants it; in order with everything else.
    pub fn tell(&self, broadcast: &Broadcast) {
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
pub struct Subscribers {
    connections: DashMap<ConnectionId, Connection>,
    threads: DashMap<ThreadId, ThreadSide>,
    next_ticket: AtomicU64,
    /// What everybody is told. Locked before any guard of the maps, never behind one: a number is given and told to
    /// all in one step, so that each connection hears rising numbers.
    catalog: Mutex<Catalog>,
}

impl Subscribers {
    /// Nobody listens yet, in this start of the server.
    #[must_use]
    pub fn new(start: Uuid) -> Self {
        let limits = CatalogLimits { changes: policy::CATALOG_CHANGES, bytes: policy::CATALOG_BYTES };
        Self {
            connections: DashMap::new(),
            threads: DashMap::new(),
            next_ticket: AtomicU64::new(0),
            catalog: Mutex::new(Catalog::new(start, limits)),
        }
    }

    /// Makes the connection known. To be undone by [`Subscribers::disconnect`].
    pub fn connect(&self, outbox: Outbox) {
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
    pub fn initialise(&self, id: ConnectionId, wishes: ClientWishes) -> bool {
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
    pub fn disconnect(&self, id: ConnectionId) -> Vec<ThreadId> {
        // First: nothing can join any more.
        let Some((_, connection)) = self.connections.remove(&id) else { return Vec::new() };
        let mut left: HashSet<ThreadId> = connection.resuming.into_values().collect();
        for thread in connection.threads.into_keys() {
            self.remove_from_thread(id, thread);
            left.insert(thread);
        }
        left.into_iter().collect()
    }

    /// Notes that a resume of this connection waits. `None` when the connection is gone or not initialised.
    #[must_use]
    pub fn begin_resume(&self, id: ConnectionId, thread: ThreadId) -> Option<Ticket> {
        let mut connection = self.connections.get_mut(&id)?;
        connection.receiver.as_ref()?;
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        connection.resuming.insert(number, thread);
        Some(Ticket { connection: id, number })
    }

    /// Whether the resume behind the ticket still waits.
    #[must_use]
    pub fn waits(&self, ticket: Ticket) -> bool {
        self.connections.get(&ticket.connection).is_some_and(|c| c.resuming.contains_key(&ticket.number))
    }

    /// Ends the waiting of a resume that is answered with an error.
    pub fn end_resume(&self, ticket: Ticket) {
        if let Some(mut connection) = self.connections.get_mut(&ticket.connection) {
            connection.resuming.remove(&ticket.number);
        }
    }

    /// Ends a subscription that has not begun to receive, if it is still this ticket's. The resume waits on.
    pub fn stop_catch_up(&self, ticket: Ticket, thread: ThreadId) {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return };
        if connection.catching_up.get(&thread) == Some(&ticket.number) {
            connection.catching_up.remove(&thread);
            connection.threads.remove(&thread);
            self.remove_from_thread(ticket.connection, thread);
        }
    }

    /// Subscribes the one who waited with this ticket. `false` when it is void: the dead cannot subscribe.
    #[must_use]
    pub fn join(&self, ticket: Ticket, thread: ThreadId, role: Role) -> bool {
        let Some(mut connection) = self.connections.get_mut(&ticket.connection) else { return false };
        if connection.resuming.remove(&ticket.number) != Some(thread) {
            return false;
        }
        connection.end_catch_up(thread);
        self.seat(&mut connection, thread, role, Hears::Everything).is_some()
    }

    /// Subscribes the one who waits with this ticket, but it receives nothing yet: it is being told what it missed.
    /// It goes on waiting, until [`Subscribers::join`]. `None` when the ticket is void.
    #[must_use]
    pub fn begin_catch_up(&self, ticket: Ticket, thread: ThreadId, role: Role) -> Option<Arc<Receiver>> {
        let mut connection = self.connections.get_mut(&ticket.connection)?;
        // One that is void takes nobody's place.
        if connection.resuming.get(&ticket.number) != Some(&thread) {
            return None;
        }
        if connection.catching_up.get(&thread) != Some(&ticket.number) {
            connection.end_catch_up(thread);
        }
        connection.catching_up.insert(thread, ticket.number);
        self.seat(&mut connection, thread, role, Hears::NothingYet(AtomicBool::new(false)))
    }

    /// Lets the one who catches up with this ticket receive everything from now on, unless something was published
    /// since it began. For a thread without an owner; the caller sees to it that none can come meanwhile.
    #[must_use]
    pub fn join_unless_missed(&self, ticket: Ticket, thread: ThreadId) -> bool {
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
    pub fn leave(&self, id: ConnectionId, thread: ThreadId) -> Left {
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

    /// How many listen to a thread.
    #[must_use]
    pub fn counts(&self, thread: ThreadId) -> Counts {
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
    pub fn role(&self, id: ConnectionId, thread: ThreadId) -> Option<Role> {
        self.threads.get(&thread)?.get(&id).map(|listener| listener.role)
    }

    /// Those who keep a thread loaded, whether they hear already or are told what they missed.
    #[must_use]
    pub fn subscribed(&self, thread: ThreadId) -> HashSet<ConnectionId> {
        let Some(side) = self.threads.get(&thread) else { return HashSet::new() };
        side.iter().filter(|(_, listener)| listener.role.keeps_loaded()).map(|(id, _)| *id).collect()
    }

    /// In how many threads a connection is being told what it missed.
    #[must_use]
    pub fn catching_up(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, |connection| connection.catching_up.len())
    }

    /// The outboxes of those who may be asked a question about a thread.
    #[must_use]
    pub fn askable(&self, thread: ThreadId) -> Vec<Outbox> {
        let Some(side) = self.threads.get(&thread) else { return Vec::new() };
        let asked = side.values().filter(|listener| match listener.hears {
            Hears::Everything => listener.role.keeps_loaded(),
            Hears::NothingYet(_) => false,
        });
        asked.map(|listener| listener.receiver.outbox.clone()).collect()
    }

    /// Gives a notification to everyone who listens to the thread.
    pub fn publish(&self, thread: ThreadId, broadcast: &Broadcast) {
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
    pub fn publish_to(&self, id: ConnectionId, broadcast: &Broadcast) {
        if let Some(connection) = self.connections.get(&id)
            && let Some(receiver) = &connection.receiver
        {
            receiver.give(broadcast, None);
        }
    }

    /// Gives a notification that is about no thread to every initialised connection.
    pub fn publish_to_everybody(&self, broadcast: &Broadcast) {
        self.connections
            .iter()
            .filter_map(|entry| entry.receiver.clone())
            .for_each(|one| one.tell(broadcast));
    }

    /// Gives the one who catches up with this ticket what it missed. `false` when the ticket is void: it has left, or
    /// something newer has taken its place, and nothing may be told behind that one's answer.
    #[must_use]
    pub fn tell(&self, ticket: Ticket, broadcast: &Broadcast) -> bool {
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
    pub fn publish_to_all(&self, thread: ThreadId, broadcast: &Broadcast) {
        self.announce(thread, broadcast, |_| true);
    }

    /// Gives a notification to every initialised connection that neither listens to the thread nor waits for a
    /// resume of it: a client that shows a thread ends when it hears that it is closed.
    pub fn publish_to_strangers(&self, thread: ThreadId, broadcast: &Broadcast) {
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
    pub fn catalog_place(&self) -> CatalogPlace {
        self.catalog().place()
    }

    /// Looks up what a client has missed, and lets it be answered before the next change is told: what the connection
    /// hears before the answer is part of it, and what it hears behind it is newer.
    pub fn catalog_since(
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

    /// Every connection's outbox.
    #[must_use]
    pub fn outboxes(&self) -> Vec<Outbox> {
        self.connections.iter().map(|connection| connection.outbox.clone()).collect()
    }

    /// Connections, subscriptions and observers of all threads.
    #[must_use]
    pub fn totals(&self) -> (usize, Counts) {
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
        thread: ThreadId,
        role: Role,
        hears: Hears,
    ) -> Option<Arc<Receiver>> {
        let receiver = connection.receiver.clone()?;
        let id = receiver.outbox.connection();
        connection.threads.insert(thread, role);
        let listener = Listener { role, receiver: Arc::clone(&receiver), hears };
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
