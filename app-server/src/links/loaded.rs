//! The threads that other servers have loaded, as their announcements say. A server that ends takes its threads out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::event::{ThreadStartedNotification, ThreadStatusChangedNotification};
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ThreadClosed, ThreadStarted, ThreadStatusChanged};
use skein_protocol::table::Notification;
use skein_protocol::thread::ThreadStatus;
use skein_store::home::Term;
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
pub(super) struct OtherThread {
    pub(super) node: Uuid,
    pub(super) status: ThreadStatus,
    /// Whether it is saved, and not new.
    pub(super) is_saved: bool,
    /// The term of its owner, if that is known.
    pub(super) term: Option<Term>,
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
        threads: impl IntoIterator<Item = (ThreadId, OtherThread)>,
    ) -> Vec<ThreadId> {
        let mut observed = self.lock();
        observed.forget(node);
        observed.names.insert(node, name.into());
        threads.into_iter().filter_map(|(thread, other)| observed.note(thread, other)).collect()
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
        observed.note(thread, OtherThread { node, status, is_saved, term: change.term })
    }

    /// Whether an announcement of a server only says how its owner of a thread left or had it, while a later owner has the thread: another
    /// server, or this one, in the term `own`. That server does not have the thread then.
    pub(super) fn is_past(&self, node: Uuid, change: &RelayedChange, own: Option<Term>) -> bool {
        let is_of_load = [ThreadStatusChanged::INFO.wire, ThreadClosed::INFO.wire].contains(&&*change.method);
        if !is_of_load || change.term.is_none() {
            return false;
        }
        let mut observed = self.lock();
        let (there, elsewhere) = match observed.threads.get(&change.thread) {
            Some(known) if known.node == node => (Some(known.term), None),
            Some(known) => (None, known.term),
            None => (None, None),
        };
        // Two servers have a new thread in the same term if it was started anew.
        let is_past = own.is_some_and(|own| Some(own) >= change.term) || elsewhere > change.term;
        if is_past && there.is_some_and(|term| term <= change.term) {
            observed.threads.remove(&change.thread);
        }
        is_past
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
    // One that waits for an answer may be active without an owner, and keep that status when it is unloaded.
    if change.is_left || change.method == ThreadClosed::INFO.wire {
        return Some((change.thread, ThreadStatus::NotLoaded, None));
    }
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
        let known = self.threads.get(&thread);
        if other.term.is_some() && known.is_some_and(|known| known.term > other.term) {
            return None;
        }
        if other.status != ThreadStatus::NotLoaded {
            let before = self.threads.insert(thread, other);
            return before.is_none_or(|before| before.node != node).then_some(thread);
        }
        // Another server may have loaded it meanwhile, and said so first. A later owner says that an earlier one has lost it.
        if known.is_some_and(|known| known.node == node || known.term < other.term) {
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
        OtherThread { node, status, is_saved: true, term: None }
    }

    fn change<N: Notification>(params: serde_json::Value, term: u64) -> RelayedChange {
        let audience = if N::INFO.wire == ThreadClosed::INFO.wire { "unsubscribed" } else { "all" };
        let change = serde_json::json!({
            "thread": T, "audience": audience, "method": N::INFO.wire, "params": params, "at": 1, "number": null,
            "term": term,
        });
        serde_json::from_value(change).unwrap()
    }

    fn status(kind: &str, term: u64) -> RelayedChange {
        let status = serde_json::json!({ "type": kind, "activeFlags": [] });
        change::<ThreadStatusChanged>(serde_json::json!({ "threadId": T, "status": status }), term)
    }

    fn closed(term: u64) -> RelayedChange {
        change::<ThreadClosed>(serde_json::json!({ "threadId": T }), term)
    }

    /// It waits for an answer, so its status does not change.
    #[test]
    fn a_thread_that_is_unloaded_while_it_waits_is_loaded_no_more() {
        let loaded = LoadedByOthers::default();
        loaded.set(ONE, "one", []);
        assert_eq!(loaded.take_in(ONE, &status("active", 1)), Some(T));
        assert_eq!(loaded.take_in(TWO, &closed(1)), None);
        assert_eq!(loaded.server(T), Some(ONE), "another server has closed it");
        assert_eq!(loaded.take_in(ONE, &closed(1)), None);
        assert_eq!(loaded.server(T), None);
        // The server has ended, and another one repairs the thread.
        assert_eq!(loaded.take_in(ONE, &status("active", 1)), Some(T));
        let repaired = RelayedChange { is_left: true, ..status("active", 2) };
        assert_eq!((loaded.take_in(TWO, &repaired), loaded.server(T)), (None, None));
    }

    #[test]
    fn announcements_of_an_earlier_owner_are_of_the_past() {
        let loaded = LoadedByOthers::default();
        loaded.set(ONE, "one", [(T, OtherThread { term: Some(Term(3)), ..at(ONE, ThreadStatus::Idle) })]);
        assert!(!loaded.is_past(ONE, &status("active", 3), None));
        // The next owner is first.
        assert_eq!(loaded.take_in(TWO, &status("active", 4)), Some(T));
        for late in [status("idle", 3), status("notLoaded", 3), closed(3)] {
            assert!(loaded.is_past(ONE, &late, None), "{late:?}");
            assert_eq!(loaded.take_in(ONE, &late), None);
            assert_eq!(loaded.server(T), Some(TWO));
        }
        // Here is the next one.
        assert!(loaded.is_past(TWO, &status("idle", 4), Some(Term(5))));
        assert_eq!(loaded.server(T), None);
        assert!(loaded.is_past(TWO, &status("notLoaded", 5), Some(Term(5))), "it was started anew here");
        let started = change::<ThreadStarted>(serde_json::json!({}), 1);
        assert!(!loaded.is_past(ONE, &started, Some(Term(5))), "nobody else announces it");
    }

    #[test]
    fn a_thread_is_where_it_was_loaded_last() {
        let loaded = LoadedByOthers::default();
        assert_eq!(loaded.set(ONE, "one", [(T, at(ONE, ThreadStatus::Idle))]), [T]);
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
        loaded.set(ONE, "one", [(T, OtherThread { is_saved: false, ..at(ONE, ThreadStatus::Idle) })]);
        let active = ThreadStatus::Active { active_flags: Vec::new() };
        let observed = loaded.lock();
        assert!(!observed.is_saved(ONE, T, &ThreadStatus::Idle));
        assert!(observed.is_saved(ONE, T, &active));
        assert!(observed.is_saved(TWO, T, &ThreadStatus::Idle), "another server has it from its row");
    }
}
