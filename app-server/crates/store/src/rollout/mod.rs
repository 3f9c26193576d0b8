//! Rollouts: the ordered events of a thread, and the only truth about it.
//!
//! [`RolloutStore`] is everything that higher rooms know about their storage. Every store passes `conformance.rs`.
//! This room does not decide which records to write. It reads no meaning from a record beyond its number, the term of
//! a `thread.opened`, and whether the end is closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

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

/// The reason of a disk error, as far as a person can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// No space or quota left.
    Full,
    /// Any other reason: the error's text names it.
    Io,
}

impl DiskKind {
    /// The kind of `error`.
    pub fn of(error: &io::Error) -> Self {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
        if full.contains(&error.kind()) { Self::Full } else { Self::Io }
    }

    /// The beginning of a sentence that ends with `error`.
    fn reason(self, error: &io::Error) -> &'static str {
        match self {
            Self::Full if error.kind() == io::ErrorKind::FileTooLarge => {
                "its file may not grow (ulimit -f, or the file system): "
            }
            Self::Full => "the disk is full: ",
            Self::Io => "",
        }
    }
}

/// Why an append wrote nothing, or may have written nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The last record is not the expected one, or the records do not continue it. Nothing was written.
    #[error("thread {thread} ends at record {head}, not where the writer thinks; load it again")]
    Conflict {
        /// The thread.
        thread: ThreadId,
        /// Its last record.
        head: EventSeq,
    },
    /// A later term has opened the thread. Nothing was written, and this lease can never write again.
    #[error("thread {thread} belongs to a later server (term {}); this one must let go of it", term.0)]
    Fenced {
        /// The thread.
        thread: ThreadId,
        /// The later term.
        term: Term,
    },
    /// The outcome is unknown: read the head, never retry blindly.
    #[error(
        "it is not known whether the records of thread {thread} were saved ({reason}); read its end first"
    )]
    Unknown {
        /// The thread.
        thread: ThreadId,
        /// The reason.
        reason: String,
    },
    /// The disk refused. None of these records counts; a retry of the same call is safe.
    #[error("thread {thread} cannot be saved: {}{source}", kind.reason(source))]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// The part of the reason that a person can act on.
        kind: DiskKind,
        /// The last record that counts.
        head: EventSeq,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The storage is another machine's, and cannot be reached or refuses. Nothing was written; a retry of the same call
    /// is safe.
    #[error("thread {thread} cannot be saved: {why}")]
    Away {
        /// The thread.
        thread: ThreadId,
        /// The storage's reason, and the way out.
        why: StoreAway,
    },
}

/// Why a storage on another machine does not serve, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct StoreAway {
    /// One sentence with the way out.
    pub reason: String,
    /// The time after which another try may help.
    pub retry_after: Duration,
}

/// Why a thread cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The rollout does not exist.
    #[error("there is no rollout of thread {0}")]
    Missing(ThreadId),
    /// The file in the rollout's place has no readable record, or is no regular file. It stays untouched.
    #[error("the rollout of thread {thread} cannot be read: {reason}; it was left as it is")]
    Unreadable {
        /// The thread.
        thread: ThreadId,
        /// The thing in its place.
        reason: String,
    },
    /// The disk refused. Whether the rollout exists is unknown.
    #[error("the rollout of thread {thread} cannot be read: {source}; ask again when the disk is well")]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The storage is another machine's, and cannot be reached or refuses. Whether the rollout exists is unknown.
    #[error("thread {thread} cannot be read: {why}")]
    Away {
        /// The thread.
        thread: ThreadId,
        /// The storage's reason, and the way out.
        why: StoreAway,
    },
}

/// Why a rollout was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new rollout cannot be written. Nothing of it stays, unless the outcome is unknown
    /// ([`AppendError::Unknown`]).
    #[error(transparent)]
    Write(#[from] AppendError),
}

/// Why a rollout was not moved. It is at its old location, unless the disk failed twice.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It is missing, or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A later term has opened the thread.
    #[error("thread {thread} belongs to a later server (term {}); this one must let go of it", term.0)]
    Fenced {
        /// The thread.
        thread: ThreadId,
        /// The later term.
        term: Term,
    },
    /// It is not known whether the rollout was moved: ask for its location.
    #[error("it is not known whether the rollout of thread {thread} was put elsewhere ({reason})")]
    Unknown {
        /// The thread.
        thread: ThreadId,
        /// The reason.
        reason: String,
    },
    /// The storage is another machine's, and cannot be reached or refuses. The rollout was not moved.
    #[error("thread {thread} stays where it is: {why}")]
    Away {
        /// The thread.
        thread: ThreadId,
        /// The storage's reason, and the way out.
        why: StoreAway,
    },
    /// The disk refused. A retry of the same call is safe.
    #[error("the rollout of thread {thread} cannot be put elsewhere: {source}")]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// The system's error.
        #[source]
        source: io::Error,
    },
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

    /// The secrets of the thread's settings; none if there are none, or they cannot be read.
    async fn secrets(&self, thread: ThreadId) -> SecretValues;

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
