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

use crate::connector::Connector;
use crate::database::Database;
use crate::failure::DbFailure;
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

/// The threads that a server has loaded, or had when it ended, or that nobody has loaded since.
const OPEN: &str = "select thread from heads where open";

/// The threads with a question that waits.
const ASKED: &str = "select thread from threads where asked is not null";

/// The news of one server.
pub struct RowNews {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    rows: Arc<ThreadRows>,
    /// One look at a time.
    looks: Semaphore,
    taken: Mutex<TakenNews>,
    /// The threads whose waiting questions have changed, until the clients are told. A search may have taken them in.
    asked: Mutex<BTreeSet<ThreadId>>,
}

/// The changes that were taken in.
#[derive(Clone)]
struct TakenNews {
    /// The life of the database that the numbers are from. Another one gives numbers out again that were seen.
    life: Uuid,
    /// A transaction: no one before it will change a row.
    place: String,
    /// The changes from there on, each with its transaction.
    changes: HashMap<ThreadId, String>,
}

impl RowNews {
    /// The news for a server that knows these rows.
    pub fn new(database: &Database, rows: Arc<ThreadRows>) -> Self {
        let (life, place) = rows.opened_at().to_owned();
        let taken = TakenNews { life, place, changes: HashMap::new() };
        let (looks, asked) = (Semaphore::new(1), Mutex::default());
        let (connector, pool) = (database.connector(), database.pool());
        Self { connector, pool, rows, looks, taken: Mutex::new(taken), asked }
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
        // Before the read: if it changes meanwhile, the next look begins anew.
        let life = self.connector.life();
        let before = lock(&self.taken).clone();
        if before.life != life {
            return self.begin_anew(life).await;
        }
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
        *lock(&self.taken) = TakenNews { life, place, changes };
        Ok(())
    }

    /// Reads the rows with questions, as a start does. The text index is made anew as well, and so needs no changes before that.
    async fn begin_anew(&self, life: Uuid) -> Result<(), DbFailure> {
        let place = self.pool.read(&format!("select {PLACE}"), &[]).await?;
        let asked = self.pool.read(ASKED, &[]).await?;
        let asked = asked.iter().map(|row| ThreadId::new(row.get(0)));
        let threads: BTreeSet<ThreadId> = asked.chain(self.rows.waiting()).collect();
        for some in Vec::from_iter(threads).chunks(policy::ROWS_AT_ONCE) {
            self.note(some).await?;
        }
        let place = place.first().map_or_else(|| "0".to_owned(), |row| row.get(0));
        *lock(&self.taken) = TakenNews { life, place, changes: HashMap::new() };
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
        // First those that are open: the row of one that is closed meanwhile is up to date.
        let open = self.pool.read(OPEN, &[]).await.ok()?;
        self.look().await.ok()?;
        Some(open.iter().map(|row| ThreadId::new(row.get(0))).collect())
    }
}

#[cfg(test)]
mod tests;
