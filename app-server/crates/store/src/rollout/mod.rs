//! Rollouts: what happened in a thread, in order, and the only truth about it.
//!
//! [`RolloutStore`] is what everything above may know of where they are kept. Every store passes `conformance.rs`.
//! Nothing here decides what to write, or reads a record's meaning beyond its number, the term of a
//! `thread.opened`, and whether the end is closed.

use std::io;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_base::durations::DurationCounts;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::home::Term;

pub mod blob;
#[cfg(test)]
pub(crate) mod conformance;
pub(crate) mod epoch;
pub mod file;
pub mod line;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod open_marker;
pub(crate) mod order;
pub(crate) mod prefilter;
pub mod record;

pub use crate::home::Location;
pub use open_marker::{OpenMarker, OpenMarkers};
pub use prefilter::MayHold;
use record::{Record, SecretValues};

/// How much an [`append`](RolloutStore::append) promises before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Written: survives the end of the process, however it ends.
    Process,
    /// Synced, with its folder: survives the end of the machine's power.
    Power,
}

/// The right to write to a thread: the thread, and the writer's ownership of the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The thread.
    pub thread: ThreadId,
    /// The ownership. One below the last `thread.opened`'s is refused.
    pub term: Term,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The number of the last record now.
    pub head: EventSeq,
}

/// Why the disk refused, in the words a person can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// No space or quota left.
    Full,
    /// Anything else: the error's text says what.
    Io,
}

impl DiskKind {
    /// The kind of `error`.
    #[must_use]
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

/// Why nothing was appended, or why that is not known.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The last record is not the expected one, or the records do not count on from it. Nothing was written.
    #[error("thread {thread} ends at record {head}, not where the writer thinks; load it again")]
    Conflict {
        /// The thread.
        thread: ThreadId,
        /// Its last record.
        head: EventSeq,
    },
    /// A later ownership has opened the thread. Nothing was written, and nothing of this lease ever will be.
    #[error("thread {thread} belongs to a later server (term {}); this one must let go of it", term.0)]
    Fenced {
        /// The thread.
        thread: ThreadId,
        /// The later ownership.
        term: Term,
    },
    /// It is not known whether the records are there: read the head, never retry blindly.
    #[error(
        "it is not known whether the records of thread {thread} were saved ({reason}); read its end first"
    )]
    Unknown {
        /// The thread.
        thread: ThreadId,
        /// What happened.
        reason: String,
    },
    /// The disk refused. None of these records counts; the same call may be made again when the disk is well.
    #[error("thread {thread} cannot be saved: {}{source}", kind.reason(source))]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// What a person can do about it.
        kind: DiskKind,
        /// The last record that counts.
        head: EventSeq,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a thread cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such rollout.
    #[error("there is no rollout of thread {0}")]
    Missing(ThreadId),
    /// What stands in the rollout's place has not one readable record, or is no regular file. It is left as it is.
    #[error("the rollout of thread {thread} cannot be read: {reason}; it was left as it is")]
    Unreadable {
        /// The thread.
        thread: ThreadId,
        /// What was found.
        reason: String,
    },
    /// The disk refused. Nobody knows whether the rollout is there.
    #[error("the rollout of thread {thread} cannot be read: {source}; ask again when the disk is well")]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a rollout was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The one that is copied cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new one cannot be written. Nothing of it is left, but where it is not known ([`AppendError::Unknown`]).
    #[error(transparent)]
    Write(#[from] AppendError),
}

/// Why a rollout was not put elsewhere. It stands where it stood, unless the disk failed twice.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It is missing, or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A later ownership has opened the thread.
    #[error("thread {thread} belongs to a later server (term {}); this one must let go of it", term.0)]
    Fenced {
        /// The thread.
        thread: ThreadId,
        /// The later ownership.
        term: Term,
    },
    /// The disk refused. The same call may be made again when the disk is well.
    #[error("the rollout of thread {thread} cannot be put elsewhere: {source}")]
    Disk {
        /// The thread.
        thread: ThreadId,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Damage in the middle of a rollout. It stays where it is; the records around it are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The last good record before it; 0 when there is none.
    pub(crate) after: EventSeq,
    /// Where it begins in the file, bytes.
    pub(crate) offset: u64,
    /// Its length, bytes.
    pub(crate) length: u64,
    /// How many lines it is.
    pub(crate) lines: u64,
}

/// What a load found and mended in the part that it has read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadRepair {
    /// Bytes of a piece of a line at the end that were cut off; 0 when it was whole.
    pub cut: u64,
    /// Damage that stays, oldest first.
    pub damage: Vec<Damage>,
}

/// The end of a rollout, ready for appends.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The records that can be read from the last turn's end on, which is the first of them, to the end, oldest first;
    /// all of them where there is no end of a turn that says how the thread was opened.
    pub end: Vec<Record>,
    /// The number that the next append has to expect. Above the last record's where damaged lines at the end held
    /// numbers that must not be given out again: tell the fold (`History::skip_to`).
    pub head: EventSeq,
    /// What was found and mended.
    pub repair: LoadRepair,
}

impl Loaded {
    /// The epoch that a `thread.opened` of this start has to carry: see `epoch::next`.
    #[must_use]
    pub fn next_epoch(&self, boot_id: Uuid) -> Epoch {
        epoch::next(&epoch::Tail::of(&self.end, &self.repair), boot_id)
    }
}

/// Some records of a rollout, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// Bytes of their lines, and of the texts that stand beside these.
    pub bytes: usize,
    /// Those of them that lack such a text, and say so in its place.
    pub lost: Vec<EventSeq>,
    /// Whether there are more in the direction that was read.
    pub more: bool,
    /// Of a page from the end: how many damaged lines stand behind its last record, whose numbers stay taken.
    pub(crate) taken: u64,
}

/// What a store has done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolloutCounts {
    /// Appends that were acknowledged.
    pub appends: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Operations that the disk refused.
    pub errors: u64,
    /// Rollouts that were opened to be loaded.
    pub loads: u64,
    /// Rollouts that were opened to be read without a load.
    pub reads: u64,
    /// Open markers that there are.
    pub open_markers: u64,
}

/// Where rollouts are kept.
///
/// A store is shared by all threads. Calls for one thread are made by its owner, one at a time; reads come from
/// anybody and see what appends have promised, nothing less and nothing more.
#[async_trait]
pub trait RolloutStore: Send + Sync {
    /// Appends `records`, all or none, behind record `expected` (0 for a rollout that is not there yet). Marks the
    /// rollout open before it touches it. Dropping the future does not stop an append that began: a
    /// later [`head`](RolloutStore::head) or [`load`](RolloutStore::load) waits for it and sees it.
    ///
    /// # Errors
    /// [`AppendError`], each with what the caller may do.
    async fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        records: Vec<Record>,
        keep: Keep,
    ) -> Result<Appended, AppendError>;

    /// Begins the rollout of `lease.thread`, which is not there, with the records of `from` up to number `up_to` as they
    /// stand there, and with `then` behind them, whose numbers count on: all of it, synced with its folder, or nothing.
    /// Marks it open. `from` may be written to, and put elsewhere, meanwhile.
    ///
    /// # Errors
    /// [`CopyError`].
    async fn copy(
        &self,
        from: ThreadId,
        up_to: EventSeq,
        lease: Lease,
        then: Vec<Record>,
    ) -> Result<Appended, CopyError>;

    /// The number of the last record.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn head(&self, thread: ThreadId) -> Result<EventSeq, ReadError>;

    /// The secrets of the thread's settings; none where there are none, or they cannot be read.
    async fn secrets(&self, thread: ThreadId) -> SecretValues;

    /// The end of the rollout, mended: a torn end is cut off (and the rollout marked open first). What it costs depends on
    /// the last turn, not on the rollout. From here on the store holds what it needs to append, until
    /// [`release`](RolloutStore::release).
    ///
    /// # Errors
    /// [`ReadError`].
    async fn load(&self, thread: ThreadId) -> Result<Loaded, ReadError>;

    /// The oldest records after `after`, at most `limit` (a page may be shorter, see [`RecordPage::more`]). Changes nothing.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn read_after(
        &self,
        thread: ThreadId,
        after: EventSeq,
        limit: usize,
    ) -> Result<RecordPage, ReadError>;

    /// The newest records before `before` (none: from the end), at most `limit`. Changes nothing.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn read_back(
        &self,
        thread: ThreadId,
        before: Option<EventSeq>,
        limit: usize,
    ) -> Result<RecordPage, ReadError>;

    /// For each of `threads`, in order, the first turn behind the record that it comes with that may hold what `may_hold` looks
    /// for in its messages: the number of its `turn.started`, or less where that is damaged (see `prefilter`). Lines are looked
    /// at as they stand, so a turn that is named need not hold it; one that holds it is not passed over. Behind `until` no
    /// further thread is begun: the answer is shorter then, and has one thread at least. Changes nothing.
    async fn prefilter(
        &self,
        threads: Vec<(ThreadId, EventSeq)>,
        may_hold: MayHold,
        until: Instant,
    ) -> Vec<Result<Option<EventSeq>, ReadError>>;

    /// Whether the thread has a rollout.
    ///
    /// # Errors
    /// [`ReadError::Disk`], [`ReadError::Unreadable`] when something else is in its place.
    async fn exists(&self, thread: ThreadId) -> Result<bool, ReadError>;

    /// Where the thread's rollout stands. Instant next to a read.
    ///
    /// # Errors
    /// [`ReadError::Missing`] also for a thread that was deleted; [`ReadError::Disk`].
    async fn location(&self, thread: ThreadId) -> Result<Location, ReadError>;

    /// The same for many threads, in their order; `None` for one that is missing.
    ///
    /// # Errors
    /// When the store cannot look.
    async fn locations(&self, threads: Vec<ThreadId>) -> io::Result<Vec<Option<Location>>> {
        let mut locations = Vec::with_capacity(threads.len());
        for thread in threads {
            locations.push(match self.location(thread).await {
                Ok(location) => Some(location),
                Err(ReadError::Missing(_)) => None,
                Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. })) => {
                    return Err(io::Error::other(error));
                }
            });
        }
        Ok(locations)
    }

    /// Puts the rollout on a shelf; when this returns it stands there also after a loss of power. Marks it open first.
    /// Comes behind every append that was asked for before, and before every load that is asked for later. On the
    /// shelf already: nothing is done.
    ///
    /// # Errors
    /// [`MoveError`].
    async fn relocate(&self, lease: Lease, location: Location) -> Result<(), MoveError>;

    /// Puts the rollout away, deleted at this time: from here on it is missing, and only
    /// [`purge`](RolloutStore::purge) touches it. Otherwise as [`relocate`](RolloutStore::move_to).
    ///
    /// # Errors
    /// [`MoveError`].
    async fn trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError>;

    /// Removes for good what was deleted before this time; answers how many rollouts that were.
    ///
    /// # Errors
    /// When the disk refuses; some of them may be gone.
    async fn purge(&self, before: WallMs) -> io::Result<usize>;

    /// A time that was not long before the last change of what there is: a thread that was made, put elsewhere or deleted.
    /// `None` where there is nothing, or no such times.
    ///
    /// # Errors
    /// When the folders cannot be read.
    async fn last_change(&self) -> io::Result<Option<WallMs>> {
        Ok(None)
    }

    /// Every thread whose rollout stands in the archive, in no order.
    ///
    /// # Errors
    /// When the folders cannot be read.
    async fn archived(&self) -> io::Result<Vec<ThreadId>>;

    /// Every thread that has a rollout, on whichever shelf, the one that was written last first.
    ///
    /// # Errors
    /// When the folders cannot be read.
    async fn threads(&self) -> io::Result<Vec<ThreadId>>;

    /// Forgets what is held for appending to the thread: at the end of every load. Records that were refused by the
    /// disk are forgotten with it.
    fn release(&self, thread: ThreadId);

    /// Closes the files of rollouts that nobody uses now, until the next write: descriptors are scarce. Answers how many.
    async fn close_idle(&self) -> usize {
        0
    }

    /// Marks the rollout's end as not known to be closed and indexed. Appends and loads do it by themselves.
    ///
    /// # Errors
    /// When the mark cannot be made.
    async fn set_open_marker(&self, thread: ThreadId) -> io::Result<()>;

    /// The rollouts whose end is not known to be closed and indexed.
    ///
    /// # Errors
    /// When the marks cannot be read.
    async fn open_markers(&self) -> io::Result<Vec<ThreadId>>;

    /// The thread's mark as of the last change of its rollout: an append, or a move to another shelf.
    fn open_marker(&self, thread: ThreadId) -> OpenMarker;

    /// Takes marks off, after a flush of the index that covers them. One stays whose rollout was changed after the mark was
    /// asked for; answers how many were taken off.
    ///
    /// # Errors
    /// When a mark cannot be removed; those before it are gone.
    async fn clear_open_markers(&self, markers: Vec<OpenMarker>) -> io::Result<usize>;

    /// What the store has done. Instant.
    fn counts(&self) -> RolloutCounts;

    /// How long each sync of [`RolloutCounts::syncs`] took, from memory. Nothing where the store syncs nothing.
    fn sync_times(&self) -> DurationCounts {
        DurationCounts::default()
    }
}
