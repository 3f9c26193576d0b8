//! Rollouts: the ordered events of a thread, and the only truth about it.
//!
//! [`RolloutStore`] is everything that higher rooms know about their storage. Every store passes `conformance.rs`.
//! This room does not decide which records to write. It reads no meaning from a record beyond its number, the term of
//! a `thread.opened`, and whether the end is closed.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_base::durations::DurationCounts;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::home::Term;

pub mod blob;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub(crate) mod epoch;
mod error;
pub mod file;
pub mod line;
pub mod lines;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod open_marker;
pub mod order;
mod page;
mod prefilter;
pub mod record;
pub mod row;

pub use crate::home::Location;
pub use error::{AppendError, CopyError, DiskKind, MoveError, ReadError, StoreAway};
pub use open_marker::{OpenMarker, OpenMarkers};
pub use page::RecordPage;
pub use prefilter::{MayHold, Prefilter};
use record::{Record, SecretValues};
use row::ThreadRow;

/// The durability that an [`append`](RolloutStore::append) promises before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Written: survives every end of the process.
    Process,
    /// Synced, with its folder: survives a loss of power.
    Power,
}

/// The right to write to a thread: the thread, and the writer's term. It comes from
/// [`Ownership`](crate::ownership::Ownership).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The thread.
    pub thread: ThreadId,
    /// The term. One below that of the last `thread.opened` is refused.
    pub term: Term,
}

/// The records of one append, and the row that they lead to.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Their durability.
    pub keep: Keep,
    /// The thread's row as of the last record, if the records change it.
    pub row: Option<Arc<ThreadRow>>,
}

impl LogEntry {
    /// Records without a row.
    pub fn of(records: Vec<Record>, keep: Keep) -> Self {
        Self { records, keep, row: None }
    }
}

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The number of the last record.
    pub head: EventSeq,
    /// Whether lists show the entry's row. A store that has no lists leaves the row to its caller.
    pub listed: bool,
}

impl Appended {
    /// An append whose row is left to the caller.
    pub fn unlisted(head: EventSeq) -> Self {
        Self { head, listed: false }
    }
}

/// Damage in the middle of a rollout. It stays in place; the records around it are readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The last good record before it; 0 if there is none.
    pub(crate) after: EventSeq,
    /// Its offset in the file, bytes.
    pub(crate) offset: u64,
    /// Its length, bytes.
    pub(crate) length: u64,
    pub(crate) lines: u64,
}

impl Damage {
    /// Records behind `after` that a store without files cannot read: this many, of this many bytes.
    pub fn of_records(after: EventSeq, records: u64, bytes: u64) -> Self {
        Self { after, offset: 0, length: bytes, lines: records }
    }
}

/// The damage that a load found and repaired in its part of the rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadRepair {
    /// Bytes of a torn line that were cut off at the end; 0 if the end was whole.
    pub cut: u64,
    /// Damage that stays, oldest first.
    pub damage: Vec<Damage>,
}

/// The end of a rollout, ready for appends.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The readable records from the last turn's end to the rollout's end, oldest first. All records if no end of a
    /// turn says how the thread was opened.
    pub end: Vec<Record>,
    /// The number that the next append must expect. It is above the last record's if damaged lines at the end have
    /// used numbers: pass it to `History::skip_to`.
    pub head: EventSeq,
    /// The repair.
    pub repair: LoadRepair,
}

impl Loaded {
    /// The epoch for a `thread.opened` in this life of the storage: see `epoch::next`.
    pub fn next_epoch(&self, life: Uuid) -> Epoch {
        epoch::next(&epoch::Tail::of(&self.end, &self.repair), life)
    }
}

/// Counts of a store since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolloutCounts {
    /// Acknowledged appends.
    pub appends: u64,
    /// Syncs of files, or commits of appends to a database.
    pub syncs: u64,
    /// Operations that the disk refused.
    pub errors: u64,
    /// Rollouts opened for a load.
    pub loads: u64,
    /// Rollouts opened for a read without a load.
    pub reads: u64,
    /// Open markers now.
    pub open_markers: u64,
}

/// Storage of rollouts.
///
/// All threads share a store. A thread's owner calls it for that thread, one call at a time. Anybody may read, and
/// sees exactly the acknowledged records.
#[async_trait]
pub trait RolloutStore: Send + Sync {
    /// The life of the storage. A record that was acknowledged in a life stays for the rest of it, however servers end.
    /// Another life may have lost the newest records that no `thread.closed` follows: see [`Loaded::next_epoch`].
    fn life(&self) -> Uuid;

    /// Whether the storage is another machine's. While that is away, an append is tried again for as long as it takes.
    fn is_remote(&self) -> bool {
        false
    }

    /// Appends the records of `entry`, all or none, behind record `expected` (0 for a new rollout). A store with the lists sets
    /// the row in the same transaction. Creates the open marker before it touches the rollout. Dropping the future does not stop a started append: a later
    /// [`head`](RolloutStore::head) or [`load`](RolloutStore::load) waits for it and sees it.
    ///
    /// # Errors
    /// [`AppendError`]; each variant says what the caller may do.
    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        entry: LogEntry,
    ) -> Result<Appended, AppendError>;

    /// Creates the rollout of `lease.thread` with the records of `from` up to number `up_to`, and `then` behind them,
    /// whose numbers continue. All of it is on disk with its folder, or nothing. Creates the open marker. `from` may
    /// be written to and moved meanwhile.
    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError>;

    /// The number of the last record.
    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError>;

    /// The secrets of the thread's settings; none if there are none, or the disk cannot read them.
    ///
    /// # Errors
    /// [`ReadError::Away`].
    async fn secrets(&self, thread: ThreadId) -> Result<SecretValues, ReadError>;

    /// Loads and repairs the end of the rollout: cuts a torn end off, after creating the open marker. The cost
    /// depends on the last turn, not on the rollout's length. The store then holds the writer's state until
    /// [`release`](RolloutStore::release).
    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError>;

    /// The oldest records after `after`, at most `limit` (a page may be shorter, see [`RecordPage::more`]). Changes nothing.
    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError>;

    /// The newest records before `before` (none: from the end), at most `limit`. Changes nothing.
    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError>;

    /// For each of `threads`, in order, the first turn behind the given record whose messages may hold the text. It
    /// is the number of the `turn.started`, or less if that is damaged (see `prefilter`). It reads raw lines, so a
    /// reported turn may lack the text, but no turn with the text is skipped. After `until` it begins no further
    /// thread: the answer is shorter then, with at least one thread. Changes nothing.
    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>>;

    /// Whether the thread has a rollout.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; [`ReadError::Unreadable`] if something else is in its place.
    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError>;

    /// The location of the thread's rollout. Instant compared with a read.
    ///
    /// # Errors
    /// [`ReadError::Missing`] also for a deleted thread; [`ReadError::Disk`].
    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError>;

    /// The locations of many threads, in their order; `None` for a missing one.
    ///
    /// # Errors
    /// If the store cannot look.
    async fn locations(&self, threads: Vec<ThreadId>) -> io::Result<Vec<Option<Location>>> {
        let mut locations = Vec::with_capacity(threads.len());
        for thread in threads {
            locations.push(match self.location(thread).await {
                Ok(location) => Some(location),
                Err(ReadError::Missing(_)) => None,
                Err(
                    error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. } | ReadError::Away { .. }),
                ) => {
                    return Err(io::Error::other(error));
                }
            });
        }
        Ok(locations)
    }

    /// Moves the rollout to a location. When it returns, the move survives a loss of power. Creates the open marker
    /// first. Comes after every earlier append, and before every later load. Does nothing if the rollout is there
    /// already.
    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError>;

    /// Moves the rollout into the trash with this deletion time: it is missing from here on, and only
    /// [`purge`](RolloutStore::purge) touches it. Otherwise as [`relocate`](RolloutStore::relocate).
    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError>;

    /// Removes rollouts that were deleted before this time; returns how many.
    ///
    /// # Errors
    /// If the disk refuses; some of them may be gone.
    async fn purge(&self, before: WallMs) -> io::Result<usize>;

    /// A time not long before the last creation, move or deletion of a thread. `None` without threads, or without
    /// such times.
    ///
    /// # Errors
    /// If the folders cannot be read.
    async fn last_change(&self) -> io::Result<Option<WallMs>> {
        Ok(None)
    }

    /// Every archived thread, in any order.
    ///
    /// # Errors
    /// If the folders cannot be read.
    async fn archived(&self) -> io::Result<Vec<ThreadId>>;

    /// Every thread with a rollout at any location, the last written first.
    ///
    /// # Errors
    /// If the folders cannot be read.
    async fn threads(&self) -> io::Result<Vec<ThreadId>>;

    /// Drops the writer's state of a thread, and refused records with it, for
    /// [`Ownership::give_up`](crate::ownership::Ownership::give_up).
    fn release(&self, thread: ThreadId);

    /// Closes the files of unused rollouts until the next write, to save descriptors. Returns how many.
    async fn close_idle(&self) -> usize {
        0
    }

    /// Creates the rollout's open marker: its end may not be closed and indexed. Appends and loads do it themselves.
    ///
    /// # Errors
    /// If the marker cannot be created.
    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()>;

    /// Rollouts whose end may not be closed and indexed.
    ///
    /// # Errors
    /// If the markers cannot be read.
    async fn open_markers(&self) -> io::Result<Vec<ThreadId>>;

    /// The thread's open marker as of the last change of its rollout: an append, or a move.
    fn open_marker(&self, thread: ThreadId) -> OpenMarker;

    /// Removes open markers after a flush of the index that covers them. A marker stays if its rollout has changed
    /// since. Returns how many were removed.
    ///
    /// # Errors
    /// If a marker cannot be removed; earlier ones are gone.
    async fn clear_open_markers(&self, markers: Vec<OpenMarker>) -> io::Result<usize>;

    /// Counts since the start. Instant.
    fn counts(&self) -> RolloutCounts;

    /// The durations of [`RolloutCounts::syncs`], from memory. Empty if the store syncs nothing.
    fn sync_times(&self) -> DurationCounts {
        DurationCounts::default()
    }
}
