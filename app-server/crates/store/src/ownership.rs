//! The right to write to threads. Every lease comes from here.
//!
//! The registry of a server has one owner for each thread already. An ownership keeps other processes away.

use async_trait::async_trait;
use skein_protocol::ids::ThreadId;

use crate::home::Term;
use crate::rollout::{Lease, ReadError};

/// Why a server does not get a thread.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another server has it, and lives.
    #[error("thread {thread} is with {owner}")]
    Held {
        /// The thread.
        thread: ThreadId,
        /// The name of that server.
        owner: String,
    },
    /// The place of all claims cannot be asked.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

/// Whether a thread that is given up waits for its next load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadDue {
    /// Its turn goes on, or a message of its queue becomes a turn: some server loads it soon.
    Soon,
    /// A client loads it.
    Whenever,
}

/// The rights of a server to write to threads.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Takes a stored thread, as the first act of its load. [`give_up`](Ownership::give_up) follows, also behind a load
    /// that fails.
    ///
    /// # Errors
    /// [`ClaimError::Held`] if another server has the thread; [`ReadError::Away`] if the place of all claims cannot be asked.
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ClaimError>;

    /// The lease of a thread that is made now. Nobody else knows its id, so this is instant.
    fn lease_of_new(&self, thread: ThreadId) -> Lease;

    /// Gives up a stored thread, or one that got its first record, once nothing of its load works with it any more. Instant.
    fn give_up(&self, lease: Lease, next: LoadDue);
}

/// The ownership of a home. One process has the home, and so all of its threads, in one term.
#[derive(Debug)]
pub struct HomeOwnership {
    term: Term,
}

impl HomeOwnership {
    /// The ownership of a home in this term.
    pub fn new(term: Term) -> Self {
        Self { term }
    }
}

#[async_trait]
impl Ownership for HomeOwnership {
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ClaimError> {
        Ok(self.lease_of_new(thread))
    }

    fn lease_of_new(&self, thread: ThreadId) -> Lease {
        Lease { thread, term: self.term }
    }

    fn give_up(&self, _lease: Lease, _next: LoadDue) {
        // The server has it as long as the home.
    }
}
