//! Which threads are loaded, and how to reach their owners. A claim is the only way to become an owner, and there
//! is one at a time. This room never waits; whoever looks something up gets a clone.

#[cfg(not(all(test, feature = "races")))]
use std::sync::Mutex;
#[cfg(not(all(test, feature = "races")))]
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

#[cfg(not(all(test, feature = "races")))]
use dashmap::{DashMap, mapref::entry::Entry};
use serde_json::value::RawValue;
use skein_protocol::error::WireError;
use skein_protocol::ids::{ConnectionId, ThreadId, TurnId};
use tokio::sync::{Notify, mpsc, watch};

use super::command::Command;
use super::machine::Persistence;
use super::snapshot::Snapshot;
#[cfg(all(test, feature = "races"))]
use super::tests::shim::{AtomicBool, AtomicU64, AtomicUsize, Entry, Map as DashMap, Mutex, Ordering};

#[cfg(test)]
mod tests;

/// A client's answer to a question of the server.
pub(crate) type ClientAnswer = Result<Box<RawValue>, WireError>;

/// What may never be refused as full, and so does not go through the mailbox. The owner reads it when it is woken.
#[derive(Debug, Default)]
struct Urgent {
    /// The turn that is to end.
    interrupt: Option<TurnId>,
    /// One answer for each connection and question, in the order in which they came.
    answers: Vec<(ConnectionId, i64, ClientAnswer)>,
    /// Room is needed.
    squeeze: bool,
    /// It is to break off; only tests ask for that.
    fault: bool,
    shutdown: bool,
}

/// What an owner finds when it was woken.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    /// The turn that somebody wants to end.
    pub(crate) interrupt: Option<TurnId>,
    /// Answers to questions, with who gave them and the question's number, first come first.
    pub(crate) answers: Vec<(ConnectionId, i64, ClientAnswer)>,
    /// Room is needed for other threads.
    pub(crate) squeeze: bool,
    /// The server stops.
    pub(crate) shutdown: bool,
}

#[derive(Debug)]
struct Shared {
    id: ThreadId,
    /// Tells owners of the same thread apart, one after the other.
    generation: u64,
    mailbox: mpsc::Sender<Command>,
    seen: watch::Receiver<Snapshot>,
    /// Level-triggered: wake-ups merge, none is lost.
    wake: Notify,
    urgent: Mutex<Urgent>,
    /// Requests of live connections that are under way at the thread's helpers.
    requests: AtomicUsize,
}

/// How to reach the owner of a thread.
#[derive(Debug, Clone)]
pub(crate) struct ThreadHandle(Arc<Shared>);

/// A command that could not be delivered.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The mailbox is full: try again later.
    Full(Command),
    /// The owner is gone: look again.
    Gone(Command),
}

impl ThreadHandle {
    /// Whose owner it is.
    #[must_use]
    pub(crate) fn id(&self) -> ThreadId {
        self.0.id
    }

    /// Puts a command into the owner's mailbox, without waiting.
    ///
    /// # Errors
    /// The command comes back when the mailbox is full, or the owner is gone.
    pub(crate) fn send(&self, command: Command) -> Result<(), Undelivered> {
        self.0.mailbox.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) => Undelivered::Full(command),
            mpsc::error::TrySendError::Closed(command) => Undelivered::Gone(command),
        })
    }

    /// The mailbox itself, for those who may wait for this one thread.
    #[must_use]
    pub(crate) fn mailbox(&self) -> mpsc::Sender<Command> {
        self.0.mailbox.clone()
    }

    /// What the owner last published.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.seen.borrow().clone()
    }

    /// Looks at what the owner last published, without a copy.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.0.seen.borrow())
    }

    /// What the owner publishes, to wait for a change of it.
    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.0.seen.clone()
    }

    /// Makes the owner look at its counts again.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Asks for the end of a turn.
    pub(crate) fn interrupt(&self, turn: TurnId) {
        self.urgent(|urgent| urgent.interrupt = Some(turn));
    }

    /// Hands over a client's answer to a question. A second one of the same client to the same question is void.
    pub(crate) fn answer(&self, connection: ConnectionId, question: i64, answer: ClientAnswer) {
        self.urgent(|urgent| {
            if !urgent.answers.iter().any(|(by, to, _)| (*by, *to) == (connection, question)) {
                urgent.answers.push((connection, question, answer));
            }
        });
    }

    /// Asks for room for other threads: the owner unloads if it is idle.
    pub(crate) fn squeeze(&self) {
        self.urgent(|urgent| urgent.squeeze = true);
    }

    /// Whether the owner was asked for room, and has not looked yet.
    #[must_use]
    pub(crate) fn is_squeezed(&self) -> bool {
        self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner).squeeze
    }

    /// The owner panics at its next look: for tests, and for a server that was started for them.
    pub(crate) fn plant_fault(&self) {
        self.urgent(|urgent| urgent.fault = true);
    }

    /// Asks for the hard shutdown, because the server stops.
    pub(crate) fn shut_down(&self) {
        self.urgent(|urgent| urgent.shutdown = true);
    }

    /// Notes that a request of a live connection is under way at the thread's helpers, until the guard is dropped.
    pub(crate) fn begin_request(&self) -> RequestGuard {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        self.wake();
        RequestGuard(self.clone())
    }

    /// For the owner: ends when somebody wakes it.
    pub(super) fn woken(&self) -> impl Future<Output = ()> + '_ {
        self.0.wake.notified()
    }

    fn urgent(&self, change: impl FnOnce(&mut Urgent)) {
        change(&mut self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake();
    }
}

/// A request under way at a thread's helpers. It keeps an idle thread loaded.
#[derive(Debug)]
#[must_use = "the request counts only as long as this lives"]
pub(crate) struct RequestGuard(ThreadHandle);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.wake();
    }
}

/// The owner's end.
#[derive(Debug)]
pub(crate) struct Seat {
    /// How others reach it.
    pub(crate) handle: ThreadHandle,
    /// What others ask.
    pub(crate) mailbox: mpsc::Receiver<Command>,
    /// Where it publishes.
    pub(crate) publish: watch::Sender<Snapshot>,
}

impl Seat {
    /// What was left for the owner since the last look.
    pub(crate) fn look(&self) -> Woken {
        let mut urgent = self.handle.0.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!urgent.fault, "as the test wants");
        let answers = std::mem::take(&mut urgent.answers);
        let squeeze = std::mem::take(&mut urgent.squeeze);
        Woken { interrupt: urgent.interrupt.take(), answers, squeeze, shutdown: urgent.shutdown }
    }

    /// Requests of live connections that are under way at the helpers.
    #[must_use]
    pub(crate) fn requests(&self) -> usize {
        self.handle.0.requests.load(Ordering::Acquire)
    }
}

/// What a claim found.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Somebody owns the thread.
    Owned(ThreadHandle),
    /// Nobody did; the claimant does now, and has to start an owner on this seat.
    Claimed(Box<Seat>),
    /// The server stops: nothing is loaded any more.
    Closed,
}

/// Thread to owner.
#[derive(Debug)]
pub(crate) struct Registry {
    threads: DashMap<ThreadId, ThreadHandle>,
    next_generation: AtomicU64,
    mailbox: usize,
    closed: AtomicBool,
    /// An owner has left.
    left: Notify,
}

impl Registry {
    /// No thread is loaded. `mailbox` is how many commands may wait for one owner.
    #[must_use]
    pub(crate) fn new(mailbox: usize) -> Self {
        Self {
            threads: DashMap::new(),
            next_generation: AtomicU64::new(1),
            mailbox,
            closed: AtomicBool::new(false),
            left: Notify::new(),
        }
    }

    /// The owner of a thread, if it is loaded.
    #[must_use]
    pub(crate) fn handle(&self, id: ThreadId) -> Option<ThreadHandle> {
        self.threads.get(&id).map(|entry| entry.clone())
    }

    /// The owner of a thread, or the seat of a new one. Of many who claim at once, one gets the seat.
    #[must_use]
    pub(crate) fn claim(&self, id: ThreadId, persistence: Persistence) -> Claim {
        if self.closed.load(Ordering::Acquire) {
            return Claim::Closed;
        }
        match self.threads.entry(id) {
            Entry::Occupied(owned) => Claim::Owned(owned.get().clone()),
            Entry::Vacant(vacant) => {
                let (mailbox, commands) = mpsc::channel(self.mailbox);
                let (publish, seen) = watch::channel(Snapshot::loading(persistence));
                let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
                let handle = ThreadHandle(Arc::new(Shared {
                    id,
                    generation,
                    mailbox,
                    seen,
                    wake: Notify::new(),
                    urgent: Mutex::default(),
                    requests: AtomicUsize::new(0),
                }));
                vacant.insert(handle.clone());
                Claim::Claimed(Box::new(Seat { handle, mailbox: commands, publish }))
            }
        }
    }

    /// Does something while nobody owns the thread, and nobody can become its owner; `None` when somebody does. What
    /// is done must be quick and must not come back here.
    pub(crate) fn while_unowned<T>(&self, id: ThreadId, what: impl FnOnce() -> T) -> Option<T> {
        match self.threads.entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(_held) => Some(what()),
        }
    }

    /// Gives up the ownership behind this handle. A later owner of the same thread is left alone.
    pub(crate) fn forget(&self, handle: &ThreadHandle) {
        self.threads.remove_if(&handle.id(), |_, held| held.0.generation == handle.0.generation);
        self.left.notify_waiters();
    }

    /// Ends when an owner leaves after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut left = Box::pin(self.left.notified());
        left.as_mut().enable();
        left
    }

    /// Wakes the owner of a thread, if it is loaded.
    pub(crate) fn wake(&self, id: ThreadId) {
        if let Some(handle) = self.handle(id) {
            handle.wake();
        }
    }

    /// Every owner.
    #[must_use]
    pub(crate) fn handles(&self) -> Vec<ThreadHandle> {
        self.threads.iter().map(|entry| entry.clone()).collect()
    }

    /// From now on nothing is loaded.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}
