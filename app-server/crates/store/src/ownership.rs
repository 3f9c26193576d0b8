//! The right to write to threads. Every lease comes from here.
//!
//! The registry of a server has one owner for each thread already. An ownership keeps other processes away.

use std::sync::Arc;

use async_trait::async_trait;
use skein_protocol::ids::ThreadId;

use crate::home::Term;
use crate::rollout::{Lease, ReadError, RolloutStore};

/// The rights of a server to write to threads.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Takes a stored thread, as the first act of its load. [`give_up`](Ownership::give_up) follows, also behind a load
    /// that fails.
    ///
    /// # Errors
    /// [`ReadError::Away`] if the place of all claims cannot be asked.
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ReadError>;

    /// The lease of a thread that is made now. Nobody else knows its id, so this is instant.
    fn lease_of_new(&self, thread: ThreadId) -> Lease;

    /// Gives a thread up at the end of every load. Drops the writer's state of it, and refused records with it. Instant.
    fn give_up(&self, thread: ThreadId);
}

/// The ownership of a home. One process has the home, and so all of its threads, in one term.
pub struct HomeOwnership {
    term: Term,
    store: Arc<dyn RolloutStore>,
}

impl HomeOwnership {
    /// The ownership of the home that `store` is in, in this term of the home.
    pub fn new(term: Term, store: Arc<dyn RolloutStore>) -> Self {
        Self { term, store }
    }
}

impl std::fmt::Debug for HomeOwnership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HomeOwnership").field("term", &self.term).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ownership for HomeOwnership {
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ReadError> {
        Ok(self.lease_of_new(thread))
    }

    fn lease_of_new(&self, thread: ThreadId) -> Lease {
        Lease { thread, term: self.term }
    }

    fn give_up(&self, thread: ThreadId) {
        self.store.release(thread);
    }
}
