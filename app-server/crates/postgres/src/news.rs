//! The rows of lists that other servers change. A server asks for them from time to time, and before a read that must know them.
//!
//! Each change of a row stands in `threads.changed` with its transaction. A look returns the changes from a transaction on: the oldest
//! that had not ended at the look before, or the last that had changed a row, whichever is first. So it misses none, whatever the order
//! of commits, and returns some again. The second bound is for crashes: a database that comes back, or its standby, gives the numbers of
//! lost transactions out again, and only those that have committed are never lost.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_protocol::ids::ThreadId;
use skein_store::index::OtherWriters;
use tokio::sync::Semaphore;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::Database;
use crate::failure::DbFailure;
use crate::node::NodeId;
use crate::policy;
use crate::pool::Pool;
use crate::rows::{PLACE, ThreadRows, parsed};

/// The place for the next look, and the changes since the place `$1`. Without changes it is one row.
static NEWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "with place as (select {PLACE} as next)
select place.next, t.thread, t.changed::text from place left join threads t on t.changed >= $1::text::xid8"
    )
});

/// The threads that another server has loaded, or had when it ended.
const LOADED_BY_OTHERS: &str = "select thread from heads where open and owner is not null and owner <> $1";

/// The news of one server.
pub struct RowNews {
    pool: Arc<Pool>,
    rows: Arc<ThreadRows>,
    node: NodeId,
    /// One look at a time.
    looks: Semaphore,
    taken: Mutex<TakenNews>,
    /// The threads whose waiting questions have changed, until the clients are told. A search may have taken them in.
    asked: Mutex<BTreeSet<ThreadId>>,
}

/// The changes that were taken in.
#[derive(Clone)]
struct TakenNews {
    /// A transaction: no one before it will change a row.
    place: String,
    /// The changes from there on, each with its transaction.
    changes: HashMap<ThreadId, String>,
}

impl RowNews {
    /// The news for a server that knows these rows.
    pub fn new(database: &Database, rows: Arc<ThreadRows>, node: NodeId) -> Self {
        let taken = TakenNews { place: rows.opened_at().to_owned(), changes: HashMap::new() };
        let (looks, asked) = (Semaphore::new(1), Mutex::default());
        Self { pool: database.pool(), rows, node, looks, taken: Mutex::new(taken), asked }
    }

    /// Takes in every change that was committed before the call. Returns the threads whose waiting questions are others than at the
    /// call before.
    ///
    /// # Errors
    /// If the database does not serve. The next call takes the same changes in.
    pub async fn take_in(&self) -> std::io::Result<BTreeSet<ThreadId>> {
        self.look().await?;
        Ok(std::mem::take(&mut *lock(&self.asked)))
    }

    async fn look(&self) -> Result<(), DbFailure> {
        // The semaphore is never closed.
        let _look = self.looks.acquire().await.ok();
        let before = lock(&self.taken).clone();
        let found = self.pool.read(&NEWS, &[(&before.place, Type::TEXT)]).await?;
        let Some(place) = found.first().map(|row| row.get::<_, String>(0)) else { return Ok(()) };
        let changes = found.iter().filter_map(|row| {
            Some((ThreadId::new(row.get::<_, Option<Uuid>>(1)?), row.get::<_, Option<String>>(2)?))
        });
        let changes: HashMap<ThreadId, String> = changes.collect();
        let is_new = |(thread, at): &(&ThreadId, &String)| before.changes.get(thread) != Some(at);
        let new: Vec<ThreadId> = changes.iter().filter(is_new).map(|(thread, _)| *thread).collect();
        for some in new.chunks(policy::ROWS_AT_ONCE) {
            self.note(some).await?;
        }
        *lock(&self.taken) = TakenNews { place, changes };
        Ok(())
    }

    /// Notes these rows as they are now. It takes no turn of a thread, as no append may wait for a look. A row that this server sets
    /// meanwhile is noted again by the next look.
    async fn note(&self, threads: &[ThreadId]) -> Result<(), DbFailure> {
        let ids: Vec<Uuid> = threads.iter().map(|thread| thread.uuid()).collect();
        let sql = "select \"row\"::text from threads where thread = any ($1) and \"row\" is not null";
        let read = self.pool.read(sql, &[(&ids, Type::UUID_ARRAY)]).await?;
        let mut rows: HashMap<ThreadId, _> =
            read.iter().filter_map(parsed).map(|row| (row.id, row)).collect();
        let asked = threads.iter().filter(|thread| self.rows.note(**thread, rows.remove(thread)));
        lock(&self.asked).extend(asked);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for RowNews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowNews").finish_non_exhaustive()
    }
}

#[async_trait]
impl OtherWriters for RowNews {
    async fn take_in(&self) -> Option<Vec<ThreadId>> {
        // First those that are loaded: the row of one that is unloaded meanwhile is up to date.
        let loaded = self.pool.read(LOADED_BY_OTHERS, &[(&self.node.id(), Type::UUID)]).await.ok()?;
        self.look().await.ok()?;
        Some(loaded.iter().map(|row| ThreadId::new(row.get(0))).collect())
    }
}

#[cfg(test)]
mod tests;
