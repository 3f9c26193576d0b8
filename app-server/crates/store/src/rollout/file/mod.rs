//! Rollouts as files: `threads/<last two digits of the id>/<id>.jsonl`, `archived/` likewise, `trash/<id>.<deleted,
//! Unix ms>.jsonl` for deleted ones, and `open/<id>` for those that may not be closed. `blobs/` has texts that are
//! too large for a line, and `secrets/` the secrets of threads.
//!
//! A loaded thread has one writer, from its first append or load to `release`. Each read opens the file itself and
//! reads only acknowledged records. All blocking work runs on the bounded pools.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use serde_json::Map;
use skein_base::clock::{Clock, WallMs};
use skein_base::durations::{DurationCounts, Durations};
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::task::JoinError;
use tokio::time::Instant;
use uuid::Uuid;

use super::blob::TextSource;
use super::record::{Record, SecretValues};
use super::{
    AppendError, Appended, CopyError, Lease, Loaded, Location, LogEntry, MayHold, MoveError, OpenMarker,
    Prefilter, ReadError, RecordPage, RolloutCounts, RolloutStore,
};
use crate::home::{HomePaths, machine_boot};

pub mod blobs;
mod copies;
#[cfg(any(test, feature = "testing"))]
pub mod fault;
pub mod layer;
mod lines;
mod pages;
mod places;
mod raw;
mod reads;
mod scan;
mod secrets;
mod slots;
#[cfg(test)]
mod tests;
mod writer;

use layer::{FileLayer, LayerFile};
use places::RolloutPaths;
pub use raw::FileLines;
use reads::Reads;
pub use scan::{LineAt, LostText, Survey, TurnOffsets, survey};
use slots::{Unsaved, WriterSlots};
pub use writer::{EncodedLines, encode};

/// The store.
pub struct FileStore {
    shared: Arc<WriterSlots>,
    /// This boot of the machine: written data survives the end of a server, but not that of the machine.
    life: Uuid,
    reads: Arc<Reads>,
    tasks: Tasks,
}

#[derive(Debug, Default)]
struct StoreCounters {
    appends: AtomicU64,
    syncs: Durations,
    errors: AtomicU64,
    loads: AtomicU64,
    reads: AtomicU64,
}

impl FileStore {
    /// Opens the store of a home. Blocks for one look into the folder of open markers.
    ///
    /// # Errors
    /// If that folder cannot be read.
    pub fn open(paths: &HomePaths, layer: Arc<dyn FileLayer>, tasks: Tasks) -> io::Result<Self> {
        let places = Arc::new(RolloutPaths::open(paths, layer)?);
        Ok(Self::of(places, tasks))
    }

    /// A read-only store, also of a home that a server owns. It reads the disk's state and knows no open markers.
    pub fn look(paths: &HomePaths, layer: Arc<dyn FileLayer>, tasks: Tasks) -> Self {
        Self::of(Arc::new(RolloutPaths::look(paths, layer)), tasks)
    }

    fn of(places: Arc<RolloutPaths>, tasks: Tasks) -> Self {
        let life = machine_boot().unwrap_or_else(|| Clock.new_id());
        Self { shared: Arc::new(WriterSlots::of(places)), life, reads: Arc::default(), tasks }
    }

    /// Writes a whole rollout at once, durably (as `Keep::Power`), and creates its open marker. Replaces an existing
    /// rollout at this location. The thread must not be loaded.
    ///
    /// # Errors
    /// As the disk says. The old rollout is still there, unless only the last sync of a folder has failed.
    pub async fn put(&self, thread: ThreadId, location: Location, records: Vec<Record>) -> io::Result<()> {
        self.naming(BlockingPool::Sync, move |shared| copies::put(&shared.places, thread, location, records))
            .await
    }

    /// Runs a read of a rollout's file, from its beginning to the readable end.
    async fn reading<T: Send + 'static>(
        &self,
        thread: ThreadId,
        work: impl FnOnce((&dyn LayerFile, &dyn TextSource), u64) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (shared, place) = (Arc::clone(&self.shared), self.reads.place(thread).await);
        let done = self.tasks.blocking("read rollout", BlockingPool::Read, move || {
            let _place = place;
            shared.read(thread, work)
        });
        done.await.map_err(|panic| ReadError::Disk { thread, source: panicked(&panic) })?
    }

    /// Moves a rollout, behind every earlier request of its thread.
    async fn moving(
        &self,
        lease: Lease,
        unsaved: Unsaved,
        work: impl FnOnce(&RolloutPaths) -> io::Result<()> + Send + 'static,
    ) -> Result<(), MoveError> {
        let thread = lease.thread;
        let held = self.shared.hold(thread);
        let turn = held.turn().await;
        let done = self.tasks.blocking("move rollout", BlockingPool::Sync, move || {
            let _turn = turn;
            let held = held;
            held.relocate(lease, unsaved, work)
        });
        done.await.map_err(|panic| MoveError::Disk { thread, source: panicked(&panic) })?
    }

    /// Runs work on names.
    async fn naming<T: Send + 'static>(
        &self,
        pool: BlockingPool,
        work: impl FnOnce(&WriterSlots) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = Arc::clone(&self.shared);
        let done =
            self.tasks.blocking("rollout names", pool, move || shared.places.counters.failed(work(&shared)));
        done.await.map_err(|panic| panicked(&panic))?
    }
}

fn panicked(panic: &JoinError) -> io::Error {
    io::Error::other(format!("the work on the file did not end: {panic}"))
}

#[async_trait]
impl RolloutStore for FileStore {
    fn life(&self) -> Uuid {
        self.life
    }

    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        entry: LogEntry,
    ) -> Result<Appended, AppendError> {
        let held = self.shared.hold(lease.thread);
        let (turn, working) = (held.turn().await, Arc::clone(&held));
        let done = self.tasks.blocking("append", BlockingPool::Sync, move || {
            // Dropped last: the next use finds the slot as this one leaves it.
            let _turn = turn;
            let working = working;
            working.append(lease, expected, entry.records, entry.keep)
        });
        done.await.unwrap_or_else(|panic| {
            held.let_all_be_read();
            Err(AppendError::Unknown { thread: lease.thread, reason: panic.to_string() })
        })
    }

    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError> {
        let (held, shared) = (self.shared.hold(lease.thread), Arc::clone(&self.shared));
        let turn = held.turn().await;
        let done = self.tasks.blocking("copy rollout", BlockingPool::Sync, move || {
            let _turn = turn;
            let _held = held;
            let readable = shared.readable(from);
            copies::copy(&shared.places, (from, readable), up_to, lease, &then)
        });
        done.await.unwrap_or_else(|panic| {
            Err(AppendError::Unknown { thread: lease.thread, reason: panic.to_string() }.into())
        })
    }

    async fn secrets(&self, thread: ThreadId) -> Result<SecretValues, ReadError> {
        let read = self.naming(BlockingPool::Read, move |shared| secrets::read(&shared.places, thread)).await;
        let none = |error: io::Error| {
            tracing::warn!(%thread, %error, "the secrets of a thread cannot be read; its helpers start without them");
            Map::new()
        };
        Ok(SecretValues(read.unwrap_or_else(none)))
    }

    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError> {
        let held = self.shared.existing(thread);
        let _turn = match &held {
            Some(held) => held.turn().await,
            None => None,
        };
        let last = self.reading(thread, |(file, _), end| pages::last(file, end)).await?;
        last.ok_or(ReadError::Missing(thread))
    }

    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError> {
        let held = self.shared.hold(thread);
        let turn = held.turn().await;
        let done = self.tasks.blocking("load rollout", BlockingPool::Read, move || {
            let _turn = turn;
            let held = held;
            held.load()
        });
        done.await.map_err(|panic| ReadError::Disk { thread, source: panicked(&panic) })?
    }

    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.reading(thread, move |from, end| pages::forward(from, end, after, limit)).await
    }

    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError> {
        self.reading(thread, move |from, end| pages::back(from, end, before, limit)).await
    }

    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>> {
        let (shared, first) = (Arc::clone(&self.shared), threads.first().copied());
        let done = self.tasks.blocking("sift rollouts", BlockingPool::Search, move || {
            let prefilter = |(thread, after)| {
                shared.read(thread, |(file, _), end| {
                    pages::prefilter(file, end, Prefilter::new(&may_hold, after), after)
                })
            };
            let in_time =
                threads.into_iter().enumerate().take_while(|(at, _)| *at == 0 || Clock.now() < until);
            in_time.map(|(_, thread)| prefilter(thread)).collect()
        });
        let failed = |panic: JoinError| {
            let error = |(thread, _)| Err(ReadError::Disk { thread, source: panicked(&panic) });
            first.into_iter().map(error).collect()
        };
        done.await.unwrap_or_else(failed)
    }

    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError> {
        match self.reading(thread, |_, end| Ok(end > 0)).await {
            Err(ReadError::Missing(_)) => Ok(false),
            answer => answer,
        }
    }

    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError> {
        let found = self.naming(BlockingPool::Read, move |shared| Ok(shared.places.location(thread))).await;
        found.map_err(|source| ReadError::Disk { thread, source })?.ok_or(ReadError::Missing(thread))
    }

    async fn locations(&self, threads: Vec<ThreadId>) -> io::Result<Vec<Option<Location>>> {
        let look = move |shared: &WriterSlots| {
            Ok(threads.into_iter().map(|id| shared.places.location(id)).collect())
        };
        self.naming(BlockingPool::Read, look).await
    }

    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError> {
        self.moving(lease, Unsaved::Write, move |places| places.relocate(lease.thread, location)).await
    }

    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError> {
        self.moving(lease, Unsaved::Leave, move |places| places.trash(lease.thread, at)).await
    }

    async fn purge(&self, before: WallMs) -> io::Result<usize> {
        self.naming(BlockingPool::Sync, move |shared| shared.places.purge(before)).await
    }

    async fn last_change(&self) -> io::Result<Option<WallMs>> {
        self.naming(BlockingPool::Read, |shared| shared.places.last_change()).await
    }

    async fn archived(&self) -> io::Result<Vec<ThreadId>> {
        self.naming(BlockingPool::Read, |shared| shared.places.archived()).await
    }

    async fn threads(&self) -> io::Result<Vec<ThreadId>> {
        self.naming(BlockingPool::Read, |shared| shared.places.threads()).await
    }

    fn release(&self, thread: ThreadId) {
        self.shared.release(thread);
    }

    async fn close_idle(&self) -> usize {
        let shared = Arc::clone(&self.shared);
        let closed = self.tasks.blocking("close rollouts", BlockingPool::Sync, move || shared.close_idle());
        // The task tracker has logged a panic.
        closed.await.unwrap_or_default()
    }

    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()> {
        self.naming(BlockingPool::Sync, move |shared| shared.places.set_open_marker(thread)).await
    }

    async fn open_markers(&self) -> io::Result<Vec<ThreadId>> {
        self.naming(BlockingPool::Read, |shared| Ok(shared.places.marked())).await
    }

    fn open_marker(&self, thread: ThreadId) -> OpenMarker {
        self.shared.places.open_marker(thread)
    }

    async fn clear_open_markers(&self, offsets: Vec<OpenMarker>) -> io::Result<usize> {
        self.naming(BlockingPool::Sync, move |shared| {
            let mut taken = 0;
            for marker in offsets {
                taken += usize::from(shared.places.clear_open_markers(marker)?);
            }
            Ok(taken)
        })
        .await
    }

    fn counts(&self) -> RolloutCounts {
        let counters = &self.shared.places.counters;
        RolloutCounts {
            appends: counters.appends.load(Relaxed),
            syncs: counters.syncs.taken().count,
            errors: counters.errors.load(Relaxed),
            loads: counters.loads.load(Relaxed),
            reads: counters.reads.load(Relaxed),
            open_markers: self.shared.places.open_marker_count(),
        }
    }

    fn sync_times(&self) -> DurationCounts {
        self.shared.places.counters.syncs.taken()
    }
}
