//! The loaded threads, and the handles of their owners. A claim is the only way to become an owner, and a thread has one
//! owner at a time. This room never waits, and lookups return clones.

#[cfg(not(all(test, feature = "races")))]
use std::sync::Mutex;
#[cfg(not(all(test, feature = "races")))]
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

#[cfg(not(all(test, feature = "races")))]
use dashmap::{DashMap, mapref::entry::Entry};
use serde_json::value::RawValue;
use skein_protocol::access::Access;
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

/// A client's answer on its way to the owner.
#[derive(Debug, Clone)]
pub(crate) struct GivenAnswer {
    pub(crate) by: ConnectionId,
    /// The name of its client.
    pub(crate) client: String,
    /// The access of that connection.
    pub(crate) access: Access,
    /// The number of the question.
    pub(crate) question: i64,
    pub(crate) answer: ClientAnswer,
}

/// The urgent requests that an owner finds when it is woken. They must never be refused as full, and so bypass the mailbox.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    /// The turn to interrupt.
    pub(crate) interrupt: Option<TurnId>,
    /// One answer for each connection and question, in the order of arrival.
    pub(crate) answers: Vec<GivenAnswer>,
    /// Other threads need memory.
    pub(crate) evict: bool,
    /// The server is about to stop: what the next one goes on with begins nothing more. Stays set.
    pub(crate) drain: bool,
    /// The server stops. Stays set.
    pub(crate) shutdown: bool,
    /// Another server may have the thread. Stays set.
    pub(crate) lost: bool,
    /// The owner has to panic; for tests.
    fault: bool,
}

#[derive(Debug)]
struct Shared {
    id: ThreadId,
    /// Distinguishes successive owners of the same thread.
    generation: u64,
    mailbox: mpsc::Sender<Command>,
    seen: watch::Receiver<Snapshot>,
    /// Level-triggered: wake-ups merge, none is lost.
    wake: Notify,
    urgent: Mutex<Woken>,
    /// Requests of live connections to the thread's helpers.
    requests: AtomicUsize,
}

/// A handle to the owner of a thread.
#[derive(Debug, Clone)]
pub(crate) struct ThreadHandle(Arc<Shared>);

/// A command that could not be delivered.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The mailbox is full: the sender can retry later.
    Full(Command),
    /// The owner is gone: the sender looks for the next one.
    Gone(Command),
}

impl ThreadHandle {
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

    /// The mailbox itself, for callers that may wait for this thread.
    pub(crate) fn mailbox(&self) -> mpsc::Sender<Command> {
        self.0.mailbox.clone()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.0.seen.borrow().clone()
    }

    /// Reads the newest snapshot without a copy.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.0.seen.borrow())
    }

    /// The snapshots, to wait for a change.
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.0.seen.clone()
    }

    /// Makes the owner update its counts.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Asks for the end of a turn.
    pub(crate) fn interrupt(&self, turn: TurnId) {
        self.urgent(|urgent| urgent.interrupt = Some(turn));
    }

    /// Hands over a client's answer to a question. A second answer of the same client to the same question is void.
    pub(crate) fn answer(&self, given: GivenAnswer) {
        self.urgent(|urgent| {
            let is_same = |other: &GivenAnswer| (other.by, other.question) == (given.by, given.question);
            if !urgent.answers.iter().any(is_same) {
                urgent.answers.push(given);
            }
        });
    }

    /// Asks the owner to unload its thread if it is idle, because other threads need memory.
    pub(crate) fn evict(&self) {
        self.urgent(|urgent| urgent.evict = true);
    }

    /// Whether the owner has not yet seen a request to unload for memory.
    pub(crate) fn is_eviction_pending(&self) -> bool {
        self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner).evict
    }

    /// Makes the owner panic when it is woken. For tests, and servers started for tests.
    pub(crate) fn plant_fault(&self) {
        self.urgent(|urgent| urgent.fault = true);
    }

    /// Asks for the hard shutdown of a thread whose turn the next server goes on with, once nothing is under way for it. Any
    /// other turn may end on its own meanwhile.
    pub(crate) fn drain(&self) {
        self.urgent(|urgent| urgent.drain = true);
    }

    /// Asks for the hard shutdown, because the server stops.
    pub(crate) fn shut_down(&self) {
        self.urgent(|urgent| urgent.shutdown = true);
    }

    /// Asks for the end of the thread without a record, with its helpers killed: another server may have it.
    pub(crate) fn lose(&self) {
        self.urgent(|urgent| urgent.lost = true);
    }

    /// Whether another server may have the thread.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner).lost
    }

    /// Whether a stop waits for the thread. A request counts before the owner shows it.
    pub(crate) fn works(&self) -> bool {
        self.0.requests.load(Ordering::Acquire) > 0 || self.seen(|seen| seen.works || seen.unsaved)
    }

    /// Counts a request of a live connection to the thread's helpers, until the guard is dropped.
    pub(crate) fn begin_request(&self) -> RequestGuard {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        self.wake();
        RequestGuard(self.clone())
    }

    /// Completes when the owner is woken.
    pub(super) fn woken(&self) -> impl Future<Output = ()> + '_ {
        self.0.wake.notified()
    }

    fn urgent(&self, change: impl FnOnce(&mut Woken)) {
        change(&mut self.0.urgent.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake();
    }
}

/// A request to a thread's helpers. It keeps an idle thread loaded.
#[derive(Debug)]
#[must_use = "the request counts only as long as this lives"]
pub(crate) struct RequestGuard(ThreadHandle);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::AcqRel);
        self.0.wake();
    }
}

/// The owner's end of a registration.
#[derive(Debug)]
pub(crate) struct OwnerSlot {
    /// The handle that others use.
    pub(crate) handle: ThreadHandle,
    /// Commands of others.
    pub(crate) mailbox: mpsc::Receiver<Command>,
    /// The snapshots for others.
    pub(crate) publish: watch::Sender<Snapshot>,
}

impl OwnerSlot {
    /// Takes the urgent requests since the last call.
    pub(crate) fn look(&self) -> Woken {
        let mut urgent = self.handle.0.urgent.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!std::mem::take(&mut urgent.fault), "as the test wants");
        let woken = std::mem::take(&mut *urgent);
        (urgent.drain, urgent.shutdown, urgent.lost) = (woken.drain, woken.shutdown, woken.lost);
        woken
    }

    /// The number of requests of live connections to the helpers.
    pub(crate) fn requests(&self) -> usize {
        self.handle.0.requests.load(Ordering::Acquire)
    }
}

/// The result of a claim.
#[derive(Debug)]
pub(crate) enum Claim {
    /// The thread has an owner.
    Owned(ThreadHandle),
    /// The caller owns the thread now, and has to start an owner with this slot.
    Claimed(Box<OwnerSlot>),
    /// The server stops, and loads no more threads.
    Closed,
}

/// The owners by thread.
#[derive(Debug)]
pub(crate) struct Registry {
    threads: DashMap<ThreadId, ThreadHandle>,
    next_generation: AtomicU64,
    mailbox: usize,
    closed: AtomicBool,
    /// Notified for each owner that has left.
    left: Notify,
}

impl Registry {
    /// An empty registry. At most `mailbox` commands wait for one owner.
    pub(crate) fn new(mailbox: usize) -> Self {
        Self {
            threads: DashMap::new(),
            next_generation: AtomicU64::new(1),
            mailbox,
            closed: AtomicBool::new(false),
            left: Notify::new(),
        }
    }

    /// The owner of a loaded thread.
    pub(crate) fn handle(&self, id: ThreadId) -> Option<ThreadHandle> {
        self.threads.get(&id).map(|entry| entry.clone())
    }

    /// The owner of a thread, or the slot of a new owner. One of many concurrent claims gets the slot.
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
                Claim::Claimed(Box::new(OwnerSlot { handle, mailbox: commands, publish }))
            }
        }
    }

    /// Runs `what` while the thread has no owner and none can begin; `None` if it has one. `what` must be quick, and must not
    /// use the registry.
    pub(crate) fn while_unowned<T>(&self, id: ThreadId, what: impl FnOnce() -> T) -> Option<T> {
        match self.threads.entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(_held) => Some(what()),
        }
    }

    /// Removes the owner of this handle. A later owner of the same thread stays.
    pub(crate) fn forget(&self, handle: &ThreadHandle) {
        self.threads.remove_if(&handle.id(), |_, held| held.0.generation == handle.0.generation);
        self.left.notify_waiters();
    }

    /// Completes when an owner leaves after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut left = Box::pin(self.left.notified());
        left.as_mut().enable();
        left
    }

    /// Wakes the owner of a loaded thread.
    pub(crate) fn wake(&self, id: ThreadId) {
        if let Some(handle) = self.handle(id) {
            handle.wake();
        }
    }

    pub(crate) fn handles(&self) -> Vec<ThreadHandle> {
        self.threads.iter().map(|entry| entry.clone()).collect()
    }

    /// Refuses later claims.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether no thread is loaded any more, because the server stops.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}
