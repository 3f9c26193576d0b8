//! The threads that other servers have loaded, as their announcements say. A server that ends takes its threads out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::event::{ThreadStartedNotification, ThreadStatusChangedNotification};
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ThreadStarted, ThreadStatusChanged};
use skein_protocol::table::Notification;
use skein_protocol::thread::ThreadStatus;
use uuid::Uuid;

use crate::thread::catalog::RelayedChange;

/// The threads of the servers that are observed now.
#[derive(Debug, Default)]
pub(crate) struct LoadedByOthers(Mutex<ObservedServers>);

#[derive(Debug, Default)]
struct ObservedServers {
    threads: HashMap<ThreadId, OtherThread>,
    names: HashMap<Uuid, Arc<str>>,
}

/// A thread that another server has loaded.
#[derive(Debug, Clone)]
struct OtherThread {
    node: Uuid,
    status: ThreadStatus,
    /// Whether it is saved, and not new.
    is_saved: bool,
}

/// A thread as `thread/loaded/list` shows it.
#[derive(Debug, PartialEq)]
pub(crate) struct RemoteThread {
    pub(crate) id: ThreadId,
    /// The name of its server.
    pub(crate) server: Arc<str>,
    pub(crate) status: ThreadStatus,
    /// Whether it is saved, and not new.
    pub(crate) is_saved: bool,
}

impl LoadedByOthers {
    /// The status of a thread that another server has loaded.
    pub(crate) fn status(&self, thread: ThreadId) -> Option<ThreadStatus> {
        self.lock().threads.get(&thread).map(|other| other.status.clone())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<RemoteThread> {
        let observed = self.lock();
        let named = observed.threads.iter().filter_map(|(id, other)| {
            let (id, status, is_saved) = (*id, other.status.clone(), other.is_saved);
            Some(RemoteThread { id, server: Arc::clone(observed.names.get(&other.node)?), status, is_saved })
        });
        named.collect()
    }

    /// The names of the servers that are observed, in their order, with the number of threads of each.
    pub(crate) fn servers(&self) -> Vec<(Arc<str>, usize)> {
        let observed = self.lock();
        let mut servers: HashMap<Uuid, usize> = observed.names.keys().map(|node| (*node, 0)).collect();
        for other in observed.threads.values() {
            servers.entry(other.node).and_modify(|count| *count += 1);
        }
        let named = |(node, count)| Some((Arc::clone(observed.names.get(&node)?), count));
        let mut servers: Vec<_> = servers.into_iter().filter_map(named).collect();
        servers.sort();
        servers
    }

    /// A server is observed. These are its threads, each with whether it is saved, and no others. Returns those that nobody knew to be there.
    pub(super) fn set(
        &self,
        node: Uuid,
        name: &str,
        threads: impl IntoIterator<Item = (ThreadId, ThreadStatus, bool)>,
    ) -> Vec<ThreadId> {
        let mut observed = self.lock();
        observed.forget(node);
        observed.names.insert(node, name.into());
        let noted = threads.into_iter().filter_map(|(thread, status, is_saved)| {
            observed.note(thread, OtherThread { node, status, is_saved })
        });
        noted.collect()
    }

    /// The server has ended, or nothing is known of it.
    pub(super) fn forget(&self, node: Uuid) {
        self.lock().forget(node);
    }

    /// Takes in an announcement of a server. Returns the thread that it has loaded, if the announcement is the first to say so.
    pub(super) fn take_in(&self, node: Uuid, change: &RelayedChange) -> Option<ThreadId> {
        let (thread, status, is_saved) = status_in(change)?;
        let mut observed = self.lock();
        let is_saved = is_saved.unwrap_or_else(|| observed.is_saved(node, thread, &status));
        observed.note(thread, OtherThread { node, status, is_saved })
    }

    /// The thread that a server had loaded when it announced this.
    pub(super) fn loaded_in(change: &RelayedChange) -> Option<ThreadId> {
        let (thread, status, _) = status_in(change)?;
        (status != ThreadStatus::NotLoaded).then_some(thread)
    }

    /// The server that has a thread, if it is observed.
    pub(super) fn server(&self, thread: ThreadId) -> Option<Uuid> {
        self.lock().threads.get(&thread).map(|other| other.node)
    }

    /// How many threads a server has.
    pub(super) fn count(&self, node: Uuid) -> usize {
        self.lock().threads.values().filter(|other| other.node == node).count()
    }

    fn lock(&self) -> MutexGuard<'_, ObservedServers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread and the status that an announcement names, and whether the thread is saved, if that is known by it.
fn status_in(change: &RelayedChange) -> Option<(ThreadId, ThreadStatus, Option<bool>)> {
    let params = || serde_json::Value::Object(change.params.clone());
    if change.method == ThreadStatusChanged::INFO.wire {
        let changed: ThreadStatusChangedNotification = serde_json::from_value(params()).ok()?;
        return Some((changed.thread_id, changed.status, None));
    }
    if change.method == ThreadStarted::INFO.wire {
        let started: ThreadStartedNotification = serde_json::from_value(params()).ok()?;
        // A copy is saved before it is announced.
        let is_saved = started.thread.forked_from_id.is_some();
        return Some((started.thread.id, started.thread.status, Some(is_saved)));
    }
    None
}

impl ObservedServers {
    fn forget(&mut self, node: Uuid) {
        self.names.remove(&node);
        self.threads.retain(|_, other| other.node != node);
    }

    /// Whether a thread is saved that has this status from now on: its first turn saves a new one.
    fn is_saved(&self, node: Uuid, thread: ThreadId, status: &ThreadStatus) -> bool {
        let known = self.threads.get(&thread).filter(|other| other.node == node);
        known.is_none_or(|other| other.is_saved) || matches!(status, ThreadStatus::Active { .. })
    }

    /// Notes a thread at a server. Returns it if it is new there.
    fn note(&mut self, thread: ThreadId, other: OtherThread) -> Option<ThreadId> {
        let node = other.node;
        if other.status != ThreadStatus::NotLoaded {
            let before = self.threads.insert(thread, other);
            return before.is_none_or(|before| before.node != node).then_some(thread);
        }
        if self.threads.get(&thread).is_some_and(|other| other.node == node) {
            // Another server may have loaded it meanwhile, and said so first.
            self.threads.remove(&thread);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);
    const T: ThreadId = ThreadId::new(Uuid::from_u128(3));

    fn at(node: Uuid, status: ThreadStatus) -> OtherThread {
        OtherThread { node, status, is_saved: true }
    }

    #[test]
    fn a_thread_is_where_it_was_loaded_last() {
        let loaded = LoadedByOthers::default();
        assert_eq!(loaded.set(ONE, "one", [(T, ThreadStatus::Idle, true)]), [T]);
        assert_eq!(loaded.lock().note(T, at(ONE, ThreadStatus::Idle)), None);
        assert_eq!((loaded.status(T), loaded.count(ONE)), (Some(ThreadStatus::Idle), 1));
        assert_eq!(loaded.set(TWO, "two", []), []);
        assert_eq!(loaded.servers(), [("one".into(), 1), ("two".into(), 0)]);
        assert_eq!(loaded.lock().note(T, at(TWO, ThreadStatus::SystemError)), Some(T));
        loaded.lock().note(T, at(ONE, ThreadStatus::NotLoaded));
        let (server, status, is_saved) = ("two".into(), ThreadStatus::SystemError, true);
        assert_eq!(loaded.all(), [RemoteThread { id: T, server, status, is_saved }]);
        loaded.forget(ONE);
        assert!(loaded.status(T).is_some());
        loaded.forget(TWO);
        assert_eq!(loaded.status(T), None);
    }

    #[test]
    fn the_first_turn_saves_a_new_thread() {
        let loaded = LoadedByOthers::default();
        loaded.set(ONE, "one", [(T, ThreadStatus::Idle, false)]);
        let active = ThreadStatus::Active { active_flags: Vec::new() };
        let observed = loaded.lock();
        assert!(!observed.is_saved(ONE, T, &ThreadStatus::Idle));
        assert!(observed.is_saved(ONE, T, &active));
        assert!(observed.is_saved(TWO, T, &ThreadStatus::Idle), "another server has it from its row");
    }
}
