//! Claims whose answer was lost: the thread may be this server's, and nobody here has it loaded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_base::clock::Clock;
use skein_protocol::ids::ThreadId;
use skein_store::home::Term;
use skein_store::rollout::Lease;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::failure::DbFailure;
use crate::numbers::number;
use crate::policy;
use crate::pool::Pool;

/// The threads that this server has now, with their terms.
const OWN: &str = "select thread, term from heads where thread = any ($1) and owner = $2";

/// The claims in doubt, each with the time when it was lost.
#[derive(Debug, Default)]
pub(crate) struct ClaimsInDoubt {
    threads: Mutex<HashMap<ThreadId, Instant>>,
    more: Notify,
}

/// A claim under way. It is in doubt from its drop on, unless it was settled.
pub(crate) struct ClaimAttempt {
    thread: ThreadId,
    claims: Arc<ClaimsInDoubt>,
    settled: bool,
}

impl ClaimsInDoubt {
    fn threads(&self) -> MutexGuard<'_, HashMap<ThreadId, Instant>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a claim is about to be sent, which settles earlier ones of the thread.
    pub(crate) fn begin(self: &Arc<Self>, thread: ThreadId) -> ClaimAttempt {
        self.threads().remove(&thread);
        ClaimAttempt { thread, claims: Arc::clone(self), settled: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.threads().is_empty()
    }

    /// Resolves once a claim has come into doubt.
    pub(crate) async fn noted(&self) {
        self.more.notified().await;
    }

    /// Removes the claims that have succeeded, and those that are too old to succeed. Returns the leases of the former. A later claim of
    /// such a thread has another term.
    pub(crate) async fn take_won(&self, pool: &Pool, node: Uuid) -> Result<Vec<Lease>, DbFailure> {
        let doubted: Vec<Uuid> = self.threads().keys().map(|thread| thread.uuid()).collect();
        if doubted.is_empty() {
            return Ok(Vec::new());
        }
        let looked = Clock.now();
        let read = pool.read(OWN, &[(&doubted, Type::UUID_ARRAY), (&node, Type::UUID)]).await?;
        let won = read
            .iter()
            .map(|row| Lease { thread: ThreadId::new(row.get(0)), term: Term(number(row.get(1))) });
        let mut threads = self.threads();
        // One that was claimed again meanwhile is in no doubt.
        let won = won.filter(|lease| threads.remove(&lease.thread).is_some()).collect();
        threads.retain(|_, lost| looked < *lost + policy::LEFT_OPEN_PAUSE);
        Ok(won)
    }
}

impl ClaimAttempt {
    /// Notes the answer, if it is one.
    pub(crate) fn answered<T>(mut self, answer: &Result<T, DbFailure>) {
        self.settled = !matches!(answer, Err(DbFailure::Unknown(_)));
    }
}

impl Drop for ClaimAttempt {
    fn drop(&mut self) {
        if !self.settled {
            self.claims.threads().insert(self.thread, Clock.now());
            self.claims.more.notify_one();
        }
    }
}
