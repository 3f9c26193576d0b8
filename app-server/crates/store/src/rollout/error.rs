//! Why a store does not do what it was asked for, and what the caller may do.

use std::io;
use std::time::Duration;

use skein_protocol::error::{STORE_UNAVAILABLE, WireError};
use skein_protocol::ids::{EventSeq, ThreadId};

use crate::home::Term;

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
    /// The storage is another machine's, and the way to it broke before the answer. The outcome is unknown: read the head,
    /// never retry blindly.
    #[error("it is not known whether the records of thread {thread} were saved ({why}); read its end first")]
    Cut {
        /// The thread.
        thread: ThreadId,
        /// The storage's reason.
        why: StoreAway,
    },
    /// The storage refused these records. None of them counts; a retry of the same call is safe.
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

impl AppendError {
    /// Whether this lease can never write again, from where its writer stands.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Fenced { .. } => true,
            Self::Unknown { .. } | Self::Cut { .. } | Self::Disk { .. } | Self::Away { .. } => false,
        }
    }

    /// Whether the records may have been written.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::Cut { .. } => true,
            Self::Conflict { .. } | Self::Fenced { .. } | Self::Disk { .. } | Self::Away { .. } => false,
        }
    }

    /// Why the storage on another machine does not serve, if that is the reason.
    pub fn away(&self) -> Option<&StoreAway> {
        match self {
            Self::Cut { why, .. } | Self::Away { why, .. } => Some(why),
            Self::Conflict { .. } | Self::Fenced { .. } | Self::Unknown { .. } | Self::Disk { .. } => None,
        }
    }
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

impl StoreAway {
    /// The error on the wire, with this sentence.
    pub fn to_wire(&self, text: impl Into<String>) -> WireError {
        WireError::overloaded(STORE_UNAVAILABLE, text, self.retry_after)
    }
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

impl ReadError {
    /// Waits until another try may help, for a caller that waits for a storage that is away.
    ///
    /// # Errors
    /// Any other error.
    pub async fn wait_for_store(self) -> Result<(), Self> {
        match self {
            Self::Away { why, .. } => {
                tokio::time::sleep(why.retry_after).await;
                Ok(())
            }
            Self::Missing(_) | Self::Unreadable { .. } | Self::Disk { .. } => Err(self),
        }
    }
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
