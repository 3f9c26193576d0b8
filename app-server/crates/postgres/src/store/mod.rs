//! Rollouts in the database. See the README for the tables.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_base::durations::DurationCounts;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::rollout::record::{Record, SecretValues};
use skein_store::rollout::{
    AppendError, Appended, CopyError, Lease, Loaded, Location, LogEntry, MayHold, MoveError, OpenMarker,
    ReadError, RecordPage, RolloutCounts, RolloutStore,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::append::{Appender, Appends};
use crate::claims::ClaimsInDoubt;
use crate::database::Database;
use crate::failure::DbFailure;
use crate::node::NodeId;
use crate::numbers::number;
use crate::policy;
use crate::pool::Pool;
use crate::rows::ThreadRows;
use open_markers::OpenMarkerTerms;

mod copies;
mod encoded;
mod open_markers;
mod pages;
mod places;
mod texts;
mod writes;

/// The store.
pub struct PgStore {
    database: Arc<Database>,
    pool: Arc<Pool>,
    appends: Arc<Appends>,
    rows: Arc<ThreadRows>,
    open: Arc<Mutex<OpenMarkerTerms>>,
    claims: Arc<ClaimsInDoubt>,
    tasks: Tasks,
    counters: PgCounters,
}

#[derive(Debug, Default)]
struct PgCounters {
    errors: AtomicU64,
    loads: AtomicU64,
    reads: AtomicU64,
}

impl PgStore {
    /// Opens the store of a cluster: reads its open markers, and starts the tasks that append. New threads belong to `node`.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn open(
        database: Arc<Database>,
        rows: Arc<ThreadRows>,
        node: NodeId,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let pool = database.pool();
        let store = Self {
            database,
            pool,
            appends: Arc::new(Appends::new(node, Arc::clone(&rows))),
            rows,
            open: Arc::default(),
            claims: Arc::default(),
            tasks,
            counters: PgCounters::default(),
        };
        for (thread, term) in store.marked().await? {
            store.lock_open().note(thread, term);
        }
        for at in 0..policy::APPENDERS {
            let appender = Appender::new(Arc::clone(&store.database), Arc::clone(&store.appends));
            // It ends with the queue, which this store closes when it is dropped.
            drop(store.tasks.spawn(format!("appender/{at}"), appender.run(store.tasks.clone())));
        }
        Ok(store)
    }

    /// Ends the tasks that append, behind everything that waits. Later appends are refused.
    pub fn close(&self) {
        self.appends.queue.close();
    }

    /// Notes a claim of this server, and the open marker that the thread may have.
    pub(crate) fn note_claim(&self, lease: Lease, is_open: bool) {
        self.lock_open().note_claim(lease.thread, lease.term, is_open);
    }

    /// The claims whose answer was lost.
    pub(crate) fn claims(&self) -> &Arc<ClaimsInDoubt> {
        &self.claims
    }

    /// The connections for reads and rare writes.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }

    fn lock_open(&self) -> MutexGuard<'_, OpenMarkerTerms> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure.
    fn failed(&self, failure: DbFailure) -> DbFailure {
        self.counters.errors.fetch_add(1, Relaxed);
        failure
    }

    /// The failure of a read of this thread.
    fn unread(&self, thread: ThreadId) -> impl FnOnce(DbFailure) -> ReadError {
        move |failure| self.failed(failure).of_read(thread)
    }
}

impl std::fmt::Debug for PgStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgStore").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Drop for PgStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl RolloutStore for PgStore {
    fn life(&self) -> Uuid {
        self.database.life()
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        entry: LogEntry,
    ) -> Result<Appended, AppendError> {
        self.write_records(lease, expected, entry).await
    }

    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError> {
        self.copy_records(from, up_to, lease, then).await
    }

    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError> {
        let _turn = self.rows.turn_of(thread).await;
        self.counters.reads.fetch_add(1, Relaxed);
        self.end_of(thread).await
    }

    async fn secrets(&self, thread: ThreadId) -> Result<SecretValues, ReadError> {
        self.read_secrets(thread).await.map_err(|failure| self.failed(failure).of_read(thread))
    }

    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError> {
        let _turn = self.rows.turn_of(thread).await;
        self.counters.loads.fetch_add(1, Relaxed);
        // An earlier write may still be on its way.
        if self.appends.is_doubted(thread) {
            self.end_of(thread).await?;
        }
        self.read_end(thread).await
    }

    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.counters.reads.fetch_add(1, Relaxed);
        self.forward(thread, after, limit).await
    }

    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.counters.reads.fetch_add(1, Relaxed);
        self.back(thread, before, limit).await
    }

    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>> {
        self.prefilter_lines(threads, may_hold, until).await
    }

    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError> {
        match self.location(thread).await {
            Ok(_) => Ok(true),
            Err(ReadError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError> {
        let found = self.find_locations(&[thread]).await.map_err(self.unread(thread))?;
        found.get(&thread).copied().ok_or(ReadError::Missing(thread))
    }

    async fn locations(&self, threads: Vec<ThreadId>) -> io::Result<Vec<Option<Location>>> {
        let found = self.find_locations(&threads).await.map_err(|failure| self.failed(failure))?;
        Ok(threads.iter().map(|thread| found.get(thread).copied()).collect())
    }

    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError> {
        self.put_at(lease, location).await
    }

    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError> {
        self.put_into_trash(lease, at).await
    }

    async fn purge(&self, before: WallMs) -> io::Result<usize> {
        Ok(self.remove_trashed(before).await.map_err(|failure| self.failed(failure))?)
    }

    async fn archived(&self) -> io::Result<Vec<ThreadId>> {
        self.ids("select thread from heads where shelf = 1 and seq > 0 and trashed_at is null").await
    }

    async fn threads(&self) -> io::Result<Vec<ThreadId>> {
        self.ids("select thread from heads where seq > 0 and trashed_at is null order by written desc, thread desc")
            .await
    }

    fn release(&self, thread: ThreadId) {
        self.appends.trust(thread);
    }

    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()> {
        let _turn = self.rows.turn_of(thread).await;
        let term = self.set_open(thread).await.map_err(|failure| self.failed(failure))?;
        self.lock_open().note(thread, term);
        Ok(())
    }

    async fn open_markers(&self) -> io::Result<Vec<ThreadId>> {
        self.left_open().await
    }

    fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        self.lock_open().open_marker(thread)
    }

    async fn clear_open_markers(&self, markers: Vec<OpenMarker>) -> io::Result<usize> {
        let mut cleared = 0;
        for some in markers.chunks(policy::OPEN_MARKERS_AT_ONCE) {
            cleared += self.clear(some).await.map_err(|failure| self.failed(failure))?;
        }
        Ok(cleared)
    }

    fn sync_times(&self) -> DurationCounts {
        self.appends.commits.taken()
    }

    fn counts(&self) -> RolloutCounts {
        RolloutCounts {
            appends: self.appends.done.load(Relaxed),
            syncs: self.appends.commits.taken().count,
            errors: self.counters.errors.load(Relaxed) + self.appends.failed.load(Relaxed),
            loads: self.counters.loads.load(Relaxed),
            reads: self.counters.reads.load(Relaxed),
            open_markers: self.lock_open().count(),
        }
    }
}

/// The number in a column.
fn seq(row: &tokio_postgres::Row, column: usize) -> EventSeq {
    EventSeq(number(row.get(column)))
}

#[cfg(test)]
mod tests;
