//! Looks up connections and listeners. Nothing here changes a subscription; a connection that is closed here ends by itself.

use std::collections::HashSet;
use std::sync::Arc;

use skein_protocol::ids::{ConnectionId, ThreadId};
use uuid::Uuid;

use super::delivery::ReceiverEnd;
use super::{Connection, Delivery, Ordering, Receiver, Role, Subscribers};
use crate::outbox::{CloseReason, Outbox};
use crate::thread::event::Counts;

impl Subscribers {
    /// The number of connected clients.
    pub(crate) fn connected(&self) -> usize {
        usize::try_from(self.clients.load(Ordering::Acquire)).unwrap_or(usize::MAX)
    }

    /// The number of links that other servers have here.
    pub(crate) fn links(&self) -> u64 {
        let links = self.connections.len().saturating_sub(self.connected());
        u64::try_from(links).unwrap_or(u64::MAX)
    }

    /// The servers that have links here.
    pub(crate) fn linked_nodes(&self) -> HashSet<Uuid> {
        self.connections.iter().filter_map(|connection| connection.link).collect()
    }

    /// Closes the links of all servers but these. One that has ended may not have said so.
    pub(crate) fn keep_links_of(&self, nodes: &HashSet<Uuid>) {
        for connection in &self.connections {
            if connection.link.is_some_and(|node| !nodes.contains(&node)) {
                connection.outbox.close(CloseReason::ClientLeft);
            }
        }
    }

    /// Whether no client is connected.
    pub(crate) fn is_deserted(&self) -> bool {
        self.connected() == 0
    }

    /// Completes when a connection goes after this call.
    pub(crate) fn one_goes(&self) -> impl Future<Output = ()> + '_ {
        self.gone.notified()
    }

    /// The number of listeners of a thread.
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

    /// The kind of a connection's subscription to a thread.
    pub(crate) fn role(&self, id: ConnectionId, thread: ThreadId) -> Option<Role> {
        self.threads.get(&thread)?.get(&id).map(|listener| listener.role)
    }

    /// The connections that keep a thread loaded, including those that catch up.
    pub(crate) fn subscribed(&self, thread: ThreadId) -> HashSet<ConnectionId> {
        let Some(side) = self.threads.get(&thread) else { return HashSet::new() };
        side.iter().filter(|(_, listener)| listener.role.keeps_loaded()).map(|(id, _)| *id).collect()
    }

    /// The number of threads on which a connection catches up.
    pub(crate) fn catching_up(&self, id: ConnectionId) -> usize {
        self.connections.get(&id).map_or(0, |connection| connection.catching_up.len())
    }

    /// The connections that can be asked a question about a thread, the newest subscriber first.
    pub(crate) fn askable(&self, thread: ThreadId) -> Vec<Arc<Receiver>> {
        let Some(side) = self.threads.get(&thread) else { return Vec::new() };
        let asked = side.values().filter(|listener| match listener.delivery {
            Delivery::Everything => listener.role.keeps_loaded(),
            Delivery::NothingYet(_) => false,
        });
        let mut asked: Vec<_> = asked.map(|one| (one.joined, Arc::clone(&one.receiver))).collect();
        asked.sort_by_key(|(joined, _)| std::cmp::Reverse(*joined));
        asked.into_iter().map(|(_, receiver)| receiver).collect()
    }

    /// The name of a connection's client; empty before `initialize`.
    pub(crate) fn client_name(&self, id: ConnectionId) -> String {
        let connection = self.connections.get(&id);
        let receiver = connection.as_ref().and_then(|connection| connection.receiver.as_ref());
        receiver.map(|receiver| receiver.client().to_owned()).unwrap_or_default()
    }

    /// Closes the connection of every listener of a thread, for instance because their state of it cannot be corrected.
    pub(crate) fn close_listeners(&self, thread: ThreadId, reason: CloseReason) {
        self.close_those(thread, reason, |_| true);
    }

    /// The same for the listeners that are clients of other servers.
    pub(crate) fn close_links(&self, thread: ThreadId, reason: CloseReason) {
        self.close_those(thread, reason, |end| matches!(end, ReceiverEnd::Link));
    }

    fn close_those(&self, thread: ThreadId, reason: CloseReason, is_meant: impl Fn(&ReceiverEnd) -> bool) {
        let outboxes: Vec<Outbox> = match self.threads.get(&thread) {
            Some(side) => {
                let receivers = side.values().map(|listener| &listener.receiver);
                let meant = receivers.filter(|receiver| is_meant(&receiver.end));
                meant.map(|receiver| receiver.outbox.clone()).collect()
            }
            None => Vec::new(),
        };
        for outbox in outboxes {
            outbox.close(reason);
        }
    }

    /// The connections of clients that have a thread which is not here, those of other servers included, and of this server's clients that have no
    /// thread at all; not those with a request that would end with them.
    pub(crate) fn unserved(&self, is_here: impl Fn(ThreadId) -> bool) -> Vec<Outbox> {
        let of_client = |connection: &Connection| match &connection.receiver {
            Some(receiver) => !matches!(receiver.end, ReceiverEnd::Observer),
            // Before its introduction, that of another server may be an observer.
            None => connection.link.is_none(),
        };
        let threads = |connection: &Connection| {
            connection.threads.keys().chain(connection.resuming.values()).copied().collect::<Vec<_>>()
        };
        let clients = self.connections.iter().filter(|connection| of_client(connection));
        let clients: Vec<_> =
            clients.map(|it| (it.outbox.clone(), it.link.is_some(), threads(&it))).collect();
        let stay = |outbox: &Outbox| outbox.closed().is_some() || outbox.has_requests();
        let clients = clients.into_iter().filter(|(outbox, ..)| !stay(outbox));
        let is_unserved = |is_link: bool, threads: &[ThreadId]| {
            threads.is_empty() && !is_link || threads.iter().any(|it| !is_here(*it))
        };
        let unserved = clients.filter(|(_, is_link, threads)| is_unserved(*is_link, threads));
        unserved.map(|(outbox, ..)| outbox).collect()
    }

    /// The outboxes of all connections.
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        self.connections.iter().map(|connection| connection.outbox.clone()).collect()
    }

    /// Connected clients, and the subscriptions and observers of all threads, those by links included.
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
        (self.connected(), counts)
    }
}
