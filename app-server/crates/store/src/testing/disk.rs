//! A store that tests control.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::gate::Gate;
use crate::rollout::record::{Record, SecretValues};
use crate::rollout::{
    AppendError, Appended, CopyError, DiskKind, Lease, Loaded, Location, LogEntry, MayHold, MoveError,
    OpenMarker, ReadError, RecordPage, RolloutCounts, RolloutStore, StoreAway,
};

/// The time that a store that is away names.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How appends are refused.
#[derive(Debug, Clone, Copy)]
enum TestRefusal {
    /// Like a full disk.
    Full,
    /// Like a database that goes in the middle of the next append.
    Cut,
    /// Like a database that has gone.
    Away,
}

/// A store in front of a real one: it counts, waits and refuses as a test wishes.
pub struct TestStore {
    inner: Arc<dyn RolloutStore>,
    loads: AtomicUsize,
    /// Records in read pages.
    records: AtomicUsize,
    /// Makes the next load panic.
    trap: AtomicBool,
    /// Makes the next append panic.
    write_trap: AtomicBool,
    /// Answers as a store that has the lists.
    lists: AtomicBool,
    load_gate: Gate,
    append_gate: Gate,
    read_gate: Gate,
    back_gate: Gate,
    move_gate: Gate,
    /// Threads whose moves are refused.
    stuck: Mutex<BTreeSet<ThreadId>>,
    /// Appends under way.
    appending: watch::Sender<usize>,
    /// The types of all written records.
    written: watch::Sender<Vec<String>>,
    /// Threads whose appends are refused.
    refused: Mutex<BTreeMap<ThreadId, TestRefusal>>,
    held: Mutex<BTreeSet<ThreadId>>,
    /// Whether records can be neither read nor moved.
    gone: AtomicBool,
    /// The life of the storage, if it is not that of `inner`.
    life: Mutex<Option<Uuid>>,
    remote: AtomicBool,
}

impl TestStore {
    /// In front of `inner`.
    pub fn over(inner: Arc<dyn RolloutStore>) -> Self {
        Self {
            inner,
            loads: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            trap: AtomicBool::new(false),
            write_trap: AtomicBool::new(false),
            lists: AtomicBool::new(false),
            load_gate: Gate::default(),
            append_gate: Gate::default(),
            read_gate: Gate::default(),
            back_gate: Gate::default(),
            move_gate: Gate::default(),
            stuck: Mutex::default(),
            appending: watch::Sender::default(),
            written: watch::Sender::default(),
            refused: Mutex::default(),
            held: Mutex::default(),
            gone: AtomicBool::new(false),
            life: Mutex::default(),
            remote: AtomicBool::new(false),
        }
    }

    /// The store behind this one.
    pub fn inner(&self) -> Arc<dyn RolloutStore> {
        Arc::clone(&self.inner)
    }

    /// Begins another life of the storage, such as a boot of the machine.
    pub fn set_life(&self, life: Uuid) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(life);
    }

    /// The number of started loads.
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// The number of records read since the last call.
    pub fn records_read(&self) -> usize {
        self.records.swap(0, Ordering::SeqCst)
    }

    /// Makes the next load panic.
    pub fn set_trap(&self) {
        self.trap.store(true, Ordering::SeqCst);
    }

    /// From here on, each append with a row says that lists show it.
    pub fn set_lists(&self) {
        self.lists.store(true, Ordering::SeqCst);
    }

    /// Makes the next append panic.
    pub fn set_write_trap(&self) {
        self.write_trap.store(true, Ordering::SeqCst);
    }

    /// Holds loads from now on.
    pub fn hold_loads(&self) {
        self.load_gate.close();
    }

    /// Releases loads.
    pub fn release_loads(&self) {
        self.load_gate.open();
    }

    /// Holds appends from now on.
    pub fn hold_appends(&self) {
        self.append_gate.close();
    }

    /// Releases appends.
    pub fn release_appends(&self) {
        self.append_gate.open();
    }

    /// Acts like the kill of a server: no append begins any more, and none is under way.
    pub async fn end_appends(&self) {
        self.append_gate.close();
        self.appending.subscribe().wait_for(|count| *count == 0).await.ok();
    }

    /// Holds reads from a rollout's end from now on.
    pub fn hold_reads_from_the_end(&self) {
        self.back_gate.close();
    }

    /// Releases reads from the end.
    pub fn release_reads_from_the_end(&self) {
        self.back_gate.open();
    }

    /// Holds reads from a number on.
    pub fn hold_reads(&self) {
        self.read_gate.close();
    }

    /// Releases reads from a number on.
    pub fn release_reads(&self) {
        self.read_gate.open();
    }

    /// Holds moves from now on.
    pub fn hold_moves(&self) {
        self.move_gate.close();
    }

    /// Releases moves.
    pub fn release_moves(&self) {
        self.move_gate.open();
    }

    /// Refuses moves of this thread from now on.
    pub fn refuse_moves(&self, thread: ThreadId) {
        self.stuck().insert(thread);
    }

    fn stuck(&self) -> std::sync::MutexGuard<'_, BTreeSet<ThreadId>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn may_move(&self, thread: ThreadId) -> Result<(), MoveError> {
        self.move_gate.pass().await;
        if self.gone.load(Ordering::SeqCst) {
            return Err(MoveError::Away { thread, why: away() });
        }
        if self.stuck().contains(&thread) {
            return Err(MoveError::Disk { thread, source: io::ErrorKind::StorageFull.into() });
        }
        Ok(())
    }

    /// Lets this many backward reads pass.
    pub fn let_read_from_the_end(&self, count: usize) {
        self.back_gate.let_pass(count);
    }

    /// Lets this many reads from a number on pass.
    pub fn let_read(&self, count: usize) {
        self.read_gate.let_pass(count);
    }

    /// The number of written records of a type.
    pub fn count(&self, kind: &str) -> usize {
        self.written.borrow().iter().filter(|written| *written == kind).count()
    }

    /// Waits until this many records of a type were written.
    pub async fn until_written(&self, kind: &str, count: usize) {
        let enough = |written: &Vec<String>| written.iter().filter(|k| *k == kind).count() >= count;
        self.written.subscribe().wait_for(enough).await.ok();
    }

    /// Refuses appends to this thread from now on, like a full disk.
    pub fn refuse(&self, thread: ThreadId) {
        self.refused().insert(thread, TestRefusal::Full);
    }

    /// Refuses appends to this thread from now on, like a database that has gone: the outcome of the next one is unknown. The storage is
    /// another machine's from then on.
    pub fn cut(&self, thread: ThreadId) {
        self.remote.store(true, Ordering::SeqCst);
        self.refused().insert(thread, TestRefusal::Cut);
    }

    /// Refuses reads of records and moves from now on, like a database that has gone.
    pub fn stop_serving(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// Lets records be read and moved again.
    pub fn serve_again(&self) {
        self.gone.store(false, Ordering::SeqCst);
    }

    fn may_read(&self, thread: ThreadId) -> Result<(), ReadError> {
        match self.gone.load(Ordering::SeqCst) {
            true => Err(ReadError::Away { thread, why: away() }),
            false => Ok(()),
        }
    }

    /// Accepts appends to this thread again.
    pub fn recover(&self, thread: ThreadId) {
        self.refused().remove(&thread);
    }

    /// Threads that were loaded or written and not released.
    pub fn held(&self) -> Vec<ThreadId> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, BTreeMap<ThreadId, TestRefusal>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses an append behind record `head`, as the test wishes.
    fn may_append(&self, thread: ThreadId, head: EventSeq) -> Result<(), AppendError> {
        let mut refused = self.refused();
        let Some(how) = refused.get_mut(&thread) else { return Ok(()) };
        match *how {
            TestRefusal::Full => {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                Err(AppendError::Disk { thread, kind: DiskKind::Full, head, source })
            }
            TestRefusal::Cut => {
                *how = TestRefusal::Away;
                Err(AppendError::Cut { thread, why: away() })
            }
            TestRefusal::Away => Err(AppendError::Away { thread, why: away() }),
        }
    }

    fn hold(&self, thread: ThreadId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(thread);
    }
}

fn away() -> StoreAway {
    StoreAway { reason: "the database is away".to_owned(), retry_after: RETRY_AFTER }
}

/// Counts while it lives.
struct CountGuard<'a>(&'a watch::Sender<usize>);

impl<'a> CountGuard<'a> {
    fn of(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl RolloutStore for TestStore {
    fn life(&self) -> Uuid {
        let own = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        own.unwrap_or_else(|| self.inner.life())
    }

    fn is_remote(&self) -> bool {
        self.remote.load(Ordering::SeqCst) || self.inner.is_remote()
    }

    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        entry: LogEntry,
    ) -> Result<Appended, AppendError> {
        let thread = lease.thread;
        self.hold(thread);
        self.append_gate.pass().await;
        let _appending = CountGuard::of(&self.appending);
        assert!(!self.write_trap.swap(false, Ordering::SeqCst), "as the test wants");
        self.may_append(thread, expected)?;
        let kinds: Vec<String> = entry.records.iter().map(|record| record.body.kind().to_owned()).collect();
        let listed = entry.row.is_some() && self.lists.load(Ordering::SeqCst);
        let appended = self.inner.append(lease, expected, entry).await?;
        self.written.send_modify(|written| written.extend(kinds));
        Ok(Appended { listed, ..appended })
    }

    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError> {
        self.append_gate.pass().await;
        self.may_append(from, EventSeq(0))?;
        let kinds: Vec<String> = then.iter().map(|record| record.body.kind().to_owned()).collect();
        let copied = self.inner.copy(from, up_to, lease, then).await?;
        self.written.send_modify(|written| written.extend(kinds));
        Ok(copied)
    }

    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.load_gate.pass().await;
        assert!(!self.trap.swap(false, Ordering::SeqCst), "as the test wants");
        let loaded = self.inner.load(thread).await?;
        self.hold(thread);
        Ok(loaded)
    }

    fn release(&self, thread: ThreadId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread);
        self.inner.release(thread);
    }

    async fn secrets(&self, thread: ThreadId) -> Result<SecretValues, ReadError> {
        self.inner.secrets(thread).await
    }

    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError> {
        self.inner.head(thread).await
    }

    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.read_gate.pass().await;
        self.may_read(thread)?;
        let page = self.inner.read_after(thread, after, limit).await?;
        self.records.fetch_add(page.records.len(), Ordering::SeqCst);
        Ok(page)
    }

    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.back_gate.pass().await;
        self.may_read(thread)?;
        let page = self.inner.read_back(thread, before, limit).await?;
        self.records.fetch_add(page.records.len(), Ordering::SeqCst);
        Ok(page)
    }

    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>> {
        self.inner.prefilter(threads, may_hold, until).await
    }

    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError> {
        self.inner.exists(thread).await
    }

    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError> {
        self.inner.location(thread).await
    }

    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError> {
        self.may_move(lease.thread).await?;
        self.inner.relocate(lease, location).await
    }

    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError> {
        self.may_move(lease.thread).await?;
        self.inner.trash(lease, at).await
    }

    async fn purge(&self, before: WallMs) -> io::Result<usize> {
        self.inner.purge(before).await
    }

    async fn archived(&self) -> io::Result<Vec<ThreadId>> {
        self.inner.archived().await
    }

    async fn threads(&self) -> io::Result<Vec<ThreadId>> {
        self.inner.threads().await
    }

    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()> {
        self.inner.set_open_marker(thread).await
    }

    async fn open_markers(&self) -> io::Result<Vec<ThreadId>> {
        self.inner.open_markers().await
    }

    fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        self.inner.open_marker(thread)
    }

    async fn clear_open_markers(&self, markers: Vec<OpenMarker>) -> io::Result<usize> {
        self.inner.clear_open_markers(markers).await
    }

    fn counts(&self) -> RolloutCounts {
        self.inner.counts()
    }
}
