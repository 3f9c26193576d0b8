//! Links between the servers of a cluster: websockets over TLS, for requests about threads that another server has, and for its
//! announcements.
//!
//! A client has a link of its own to each server that has one of its threads. There it is a connection like any other, with an
//! outbox, subscriptions and limits, and its frames pass unread. A server that stops reading stops its peer by TCP, so a slow
//! client is slow at the server that has its thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use skein_postgres::node::KeyHash;
use skein_postgres::standing::{Neighbour, NodePlace};
use skein_protocol::ids::ThreadId;

use self::doubt::SilenceQuestions;
use self::key::LinkKey;
use self::loaded::LoadedByOthers;

pub(crate) mod client;
mod dial;
pub(crate) mod doubt;
pub(crate) mod frames;
pub(crate) mod key;
pub(crate) mod loaded;
pub(crate) mod observe;

/// The links of this server to the others of its cluster.
#[derive(Debug)]
pub(crate) struct Links {
    place: NodePlace,
    key: Arc<LinkKey>,
    /// The threads that the others have loaded.
    pub(crate) loaded: LoadedByOthers,
    /// The questions to the servers that are observed.
    questions: SilenceQuestions,
    /// The number of the newest announcement of each start of a server, by its catalog's epoch.
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Links {
    /// The links of the server at this place of its cluster.
    pub(crate) fn new(place: NodePlace, key: Arc<LinkKey>) -> Self {
        let questions = SilenceQuestions::default();
        Self { place, key, loaded: LoadedByOthers::default(), questions, seen: Mutex::default() }
    }

    /// The server that has a thread and lives, if it is another one that takes links.
    ///
    /// # Errors
    /// If the database does not serve.
    pub(crate) async fn owner_of(&self, thread: ThreadId) -> std::io::Result<Option<Neighbour>> {
        let owner = match (self.place.owner_of(thread).await?, self.loaded.server(thread)) {
            (Some(owner), _) => Some(owner),
            // The first record of a thread that is there already may not be in the database yet.
            (None, Some(node)) => self.place.neighbours().await?.into_iter().find(|it| it.node == node),
            (None, None) => None,
        };
        Ok(owner.filter(|owner| owner.link.is_some()))
    }

    /// The numbers of the newest announcements, by the epochs of their catalogs.
    fn seen(&self) -> BTreeMap<String, u64> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An announcement of the catalog with this epoch has come.
    fn see(&self, epoch: &str, number: u64) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(epoch.to_owned(), number);
    }

    /// The keys of the servers whose links are taken.
    fn trust(&self, neighbours: &[Neighbour]) {
        let keys: Vec<KeyHash> =
            neighbours.iter().filter_map(|it| it.link.as_ref()).map(|link| link.key).collect();
        self.key.trust(keys);
    }
}
