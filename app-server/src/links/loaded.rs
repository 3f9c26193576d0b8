//! The threads that other servers have loaded, as their announcements say. A server that ends takes its threads out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::ThreadStatusChanged;
use skein_protocol::table::Notification;
use skein_protocol::thread::ThreadStatus;
use uuid::Uuid;

use crate::thread::catalog::RelayedChange;

/// The threads of the servers that are observed now.
#[derive(Debug, Default)]
pub(crate) struct LoadedByOthers(Mutex<ObservedServers>);

#[derive(Debug, Default)]
struct ObservedServers {
    threads: HashMap<ThreadId, (Uuid, ThreadStatus)>,
    names: HashMap<Uuid, Arc<str>>,
}

impl LoadedByOthers {
    /// The status of a thread that another server has loaded.
    pub(crate) fn status(&self, thread: ThreadId) -> Option<ThreadStatus> {
        self.lock().threads.get(&thread).map(|(_, status)| status.clone())
    }

    /// All of them, with the names of the servers that have them.
    pub(crate) fn all(&self) -> Vec<(ThreadId, Arc<str>, ThreadStatus)> {
        let observed = self.lock();
        let named = observed.threads.iter().filter_map(|(thread, (node, status))| {
            Some((*thread, Arc::clone(observed.names.get(node)?), status.clone()))
        });
        named.collect()
    }

    /// The names of the servers that are observed, in their order, with the number of threads of each.
    pub(crate) fn servers(&self) -> Vec<(Arc<str>, usize)> {
        let observed = self.lock();
        let mut servers: HashMap<Uuid, usize> = observed.names.keys().map(|node| (*node, 0)).collect();
        for (node, _) in observed.threads.values() {
            servers.entry(*node).and_modify(|count| *count += 1);
        }
        let named = |(node, count)| Some((Arc::clone(observed.names.get(&node)?), count));
        let mut servers: Vec<_> = servers.into_iter().filter_map(named).collect();
        servers.sort();
        servers
    }

    /// A server is observed. These are its threads, and no others. Returns those that nobody knew to be there.
    pub(super) fn set(
        &self,
        node: Uuid,
        name: &str,
        threads: Vec<(ThreadId, ThreadStatus)>,
    ) -> Vec<ThreadId> {
        let mut observed = self.lock();
        observed.forget(node);
        observed.names.insert(node, name.into());
        threads.into_iter().filter_map(|(thread, status)| observed.note(node, thread, status)).collect()
    }

    /// The server has ended, or nothing is known of it.
    pub(super) fn forget(&self, node: Uuid) {
        self.lock().forget(node);
    }

    /// Takes in an announcement of a server. Returns the thread that it has loaded, if the announcement is the first to say so.
    pub(super) fn take_in(&self, node: Uuid, change: &RelayedChange) -> Option<ThreadId> {
        if change.method != ThreadStatusChanged::INFO.wire {
            return None;
        }
        let params = serde_json::Value::Object(change.params.clone());
        let changed = serde_json::from_value::<ThreadStatusChangedNotification>(params).ok()?;
        self.lock().note(node, changed.thread_id, changed.status)
    }

    /// The server that has a thread, if it is observed.
    pub(super) fn server(&self, thread: ThreadId) -> Option<Uuid> {
        self.lock().threads.get(&thread).map(|(node, _)| *node)
    }

    fn lock(&self) -> MutexGuard<'_, ObservedServers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObservedServers {
    fn forget(&mut self, node: Uuid) {
        self.names.remove(&node);
        self.threads.retain(|_, (owner, _)| *owner != node);
    }

    /// Notes the status of a thread at a server. Returns the thread if it is new there.
    fn note(&mut self, node: Uuid, thread: ThreadId, status: ThreadStatus) -> Option<ThreadId> {
        if status != ThreadStatus::NotLoaded {
            let before = self.threads.insert(thread, (node, status));
            return before.is_none_or(|(owner, _)| owner != node).then_some(thread);
        }
        if self.threads.get(&thread).is_some_and(|(owner, _)| *owner == node) {
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

    #[test]
    fn a_thread_is_where_it_was_loaded_last() {
        let loaded = LoadedByOthers::default();
        assert_eq!(loaded.set(ONE, "one", vec![(T, ThreadStatus::Idle)]), [T]);
        assert_eq!(loaded.lock().note(ONE, T, ThreadStatus::Idle), None);
        assert_eq!(loaded.status(T), Some(ThreadStatus::Idle));
        assert_eq!(loaded.set(TWO, "two", Vec::new()), []);
        assert_eq!(loaded.servers(), [("one".into(), 1), ("two".into(), 0)]);
        assert_eq!(loaded.lock().note(TWO, T, ThreadStatus::SystemError), Some(T));
        loaded.lock().note(ONE, T, ThreadStatus::NotLoaded);
        assert_eq!(loaded.all(), [(T, "two".into(), ThreadStatus::SystemError)]);
        loaded.forget(ONE);
        assert!(loaded.status(T).is_some());
        loaded.forget(TWO);
        assert_eq!(loaded.status(T), None);
    }
}
