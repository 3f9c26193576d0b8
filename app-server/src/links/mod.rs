//! Links between the servers of a cluster: websockets over TLS, for requests about threads that another server has, and for its
//! announcements.
//!
//! A client has a link of its own to each server that has one of its threads. There it is a connection like any other, with an
//! outbox, subscriptions and limits, and its frames pass unread. A server that stops reading stops its peer by TCP, so a slow
//! client is slow at the server that has its thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use skein_postgres::node::KeyHash;
use skein_postgres::standing::{Neighbour, NodePlace, RowOwner};
use skein_protocol::ids::ThreadId;
use tokio::time::Instant;
use uuid::Uuid;

use self::key::LinkKey;
use self::loaded::LoadedByOthers;
use self::peers::PeerQuestions;
use crate::policy;
use crate::thread::questions::{AnswersOfOthers, PastAnswer};

pub(crate) mod client;
mod dial;
pub(crate) mod doubt;
pub(crate) mod folders;
pub(crate) mod frames;
pub(crate) mod key;
pub(crate) mod loaded;
pub(crate) mod observe;
mod peers;

/// The links of this server to the others of its cluster.
#[derive(Debug)]
pub(crate) struct Links {
    place: NodePlace,
    key: Arc<LinkKey>,
    /// The threads that the others have loaded.
    pub(crate) loaded: LoadedByOthers,
    /// The questions to the servers that are observed.
    questions: PeerQuestions,
    /// Since when servers that live are not reached.
    cut_off: Mutex<HashMap<Uuid, Instant>>,
    /// The number of the newest announcement of each start of a server, by its catalog's epoch.
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Links {
    /// The links of the server at this place of its cluster.
    pub(crate) fn new(place: NodePlace, key: Arc<LinkKey>) -> Self {
        let questions = PeerQuestions::default();
        let (cut_off, seen) = (Mutex::default(), Mutex::default());
        Self { place, key, loaded: LoadedByOthers::default(), questions, cut_off, seen }
    }

    /// The server that has a thread and lives, if it is another one that takes links.
    ///
    /// # Errors
    /// If the database does not serve.
    pub(crate) async fn owner_of(&self, thread: ThreadId) -> std::io::Result<Option<Neighbour>> {
        let owner = match self.place.row_owner(thread).await? {
            RowOwner::Other(owner) => Some(owner),
            RowOwner::Nobody | RowOwner::This => None,
            // A thread that is new, ephemeral, or nowhere.
            RowOwner::NoRow => {
                match self.questions.with_thread(thread).await.or_else(|| self.loaded.server(thread)) {
                    Some(node) => self.place.neighbours().await?.into_iter().find(|it| it.node == node),
                    None => None,
                }
            }
        };
        Ok(owner.filter(|owner| owner.link.is_some()))
    }

    /// Whether no server has a thread by its row. One that this server has given up may still be its own there.
    pub(crate) async fn is_free(&self, thread: ThreadId) -> bool {
        matches!(self.place.row_owner(thread).await, Ok(RowOwner::Nobody | RowOwner::NoRow))
    }

    /// Whether a thread that no server is known to have may be with one that is not observed now: it is new, and not in the database yet.
    pub(crate) async fn may_be_unseen(&self, thread: ThreadId) -> bool {
        self.is_any_cut_off() && matches!(self.place.row_owner(thread).await, Ok(RowOwner::NoRow))
    }

    /// Whether another server is observed.
    pub(crate) fn has_peers(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Whether a server that lives has not been reached for so long that it has to hand over the threads that are wanted here.
    pub(crate) fn is_cut_off(&self, node: Uuid, now: Instant) -> bool {
        let cut_off = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cut_off
            .get(&node)
            .is_some_and(|since| now.saturating_duration_since(*since) >= policy::HANDOVER_AFTER)
    }

    /// Asks the server of a thread to hand it over, by the database.
    pub(crate) async fn want(&self, thread: ThreadId, of: &Neighbour) {
        let outcome = self.place.want(thread, of.node).await;
        tracing::debug!(%thread, name = of.name, ?outcome, "another server is asked to hand over a thread");
    }

    /// Whether a server that lives is not reached.
    pub(crate) fn is_any_cut_off(&self) -> bool {
        !self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A server is not reached from now on, or still is not. Returns since when.
    fn note_cut_off(&self, node: Uuid, now: Instant) -> Instant {
        *self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_insert(now)
    }

    /// A server is reached, or has ended.
    fn note_reached(&self, node: Uuid) {
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
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

#[async_trait]
impl AnswersOfOthers for Links {
    async fn past_answer(&self, question: i64) -> Option<PastAnswer> {
        self.questions.past_answer(question).await
    }
}
