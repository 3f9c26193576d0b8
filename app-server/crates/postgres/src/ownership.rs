//! The right to write to threads of a cluster. The number of an ownership is the thread's own, in its row of `heads`.

use std::sync::Arc;

use async_trait::async_trait;
use skein_protocol::ids::ThreadId;
use skein_store::home::Term;
use skein_store::ownership::Ownership;
use skein_store::rollout::{Lease, ReadError, RolloutStore};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::Database;
use crate::numbers::number;
use crate::pool::Pool;

/// Raises the term. The update waits for an append of the former owner, which counts if it came first; after it, that owner
/// appends nothing more.
const CLAIM: &str = "update heads set owner = $2, term = term + 1
  where thread = $1 and seq > 0 and trashed_at is null returning term";

/// The first term of each thread.
const FIRST: Term = Term(1);

/// The ownership of one start of a server.
pub struct PgOwnership {
    /// The id of this start.
    node: Uuid,
    pool: Arc<Pool>,
    store: Arc<dyn RolloutStore>,
}

impl PgOwnership {
    /// The ownership of this start of a server. `store` keeps the threads of the same cluster.
    pub fn new(database: &Database, node: Uuid, store: Arc<dyn RolloutStore>) -> Self {
        Self { node, pool: database.pool(), store }
    }
}

impl std::fmt::Debug for PgOwnership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgOwnership").field("node", &self.node).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ownership for PgOwnership {
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ReadError> {
        let (id, node) = (thread.uuid(), self.node);
        let claimed = self.pool.write(CLAIM, &[(&id, Type::UUID), (&node, Type::UUID)]).await;
        let rows = claimed.map_err(|failure| failure.of_read(thread))?;
        // The load of a missing thread says that it is missing.
        let term = rows.first().map_or(FIRST, |row| Term(number(row.get(0))));
        Ok(Lease { thread, term })
    }

    fn lease_of_new(&self, thread: ThreadId) -> Lease {
        Lease { thread, term: FIRST }
    }

    fn give_up(&self, thread: ThreadId) {
        self.store.release(thread);
    }
}

#[cfg(test)]
mod tests {
    use skein_base::tasks::Tasks;
    use skein_protocol::ids::EventSeq;
    use skein_store::rollout::{AppendError, Keep, LogEntry};
    use skein_store::testing::{names, opened, thread};

    use super::*;
    use crate::rows::ThreadRows;
    use crate::store::PgStore;
    use crate::testing::TestCluster;

    #[tokio::test]
    async fn a_claim_fences_the_former_owner_and_no_other_thread() {
        let at = TestCluster::shared().database().await;
        let database = Arc::new(Database::open(at.address.clone()).await.unwrap());
        let tasks = Tasks::new();
        let rows = Arc::new(ThreadRows::open(&database, Arc::default()).await.unwrap());
        let store: Arc<dyn RolloutStore> =
            Arc::new(PgStore::open(Arc::clone(&database), rows, tasks.clone()).await.unwrap());
        let new = |node| PgOwnership::new(&database, Uuid::from_u128(node), Arc::clone(&store));
        let (one, other) = (new(1), new(2));
        let (first, beside) = (one.lease_of_new(thread(1)), one.lease_of_new(thread(2)));
        for lease in [first, beside] {
            store
                .append(lease, EventSeq(0), LogEntry::of(vec![opened(1, lease.term.0)], Keep::Power))
                .await
                .unwrap();
        }
        let second = other.claim(thread(1)).await.unwrap();
        assert_eq!(second.term, Term(2));
        let late =
            store.append(first, EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap_err();
        assert!(matches!(late, AppendError::Fenced { term: Term(2), .. }), "{late}");
        store.append(second, EventSeq(1), LogEntry::of(vec![opened(2, 2)], Keep::Power)).await.unwrap();
        store.append(beside, EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap();
        assert_eq!(one.claim(thread(9)).await.unwrap().term, FIRST, "its load says that it is missing");
        drop((one, other, store));
        tasks.finish().await;
    }
}
