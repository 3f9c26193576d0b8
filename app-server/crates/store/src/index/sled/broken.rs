//! The reasons why work on the index fails: damage, or a disk that takes no writes.

use ::sled::transaction::TransactionError;

use crate::index::IndexError;
use crate::index::rebuild::RebuildError;
use crate::rollout::DiskKind;

/// Why work on the index failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Broken {
    /// Its files have changed, or cannot be read.
    #[error("{0}")]
    Damaged(String),
    /// The disk is full, or refuses a write. The index on it is whole and readable.
    #[error("{0}")]
    Unwritable(String),
    /// A read failed: the disk cannot be read, or sled repeats the error of an earlier write. [`Broken::judged`]
    /// tells which.
    #[error("{0}")]
    Unread(String),
}

impl Broken {
    /// Tells damage from an earlier failed write. sled keeps that write's error, and returns it for the read of a
    /// page that is not on disk. So a read means damage only if `flush` works. A reopened index has no such error.
    pub(crate) fn judged(self, flush: impl FnOnce() -> ::sled::Result<usize>) -> Self {
        match self {
            Self::Unread(reason) => match flush() {
                Err(::sled::Error::Io(_)) => Self::Unwritable(reason),
                Ok(_) | Err(_) => Self::Damaged(reason),
            },
            Self::Damaged(_) | Self::Unwritable(_) => self,
        }
    }

    /// The reason of a failed write or flush: no disk error is damage.
    pub(crate) fn of_write(error: ::sled::Error) -> Self {
        if let ::sled::Error::Io(error) = error { Self::Unwritable(error.to_string()) } else { error.into() }
    }
}

impl From<IndexError> for Broken {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Unwritable(reason) => Self::Unwritable(reason),
            IndexError::Cursor(_) | IndexError::Unavailable(_) | IndexError::Away(_) => {
                Self::Damaged(error.to_string())
            }
        }
    }
}

impl From<RebuildError> for Broken {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::Index(error) => error.into(),
            RebuildError::List(_) => Self::Damaged(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        match DiskKind::of(&error) {
            DiskKind::Full => Self::Unwritable(error.to_string()),
            DiskKind::Io => Self::Damaged(error.to_string()),
        }
    }
}

impl From<::sled::Error> for Broken {
    fn from(error: ::sled::Error) -> Self {
        let ::sled::Error::Io(error) = error else { return Self::Damaged(error.to_string()) };
        match DiskKind::of(&error) {
            DiskKind::Full => Self::Unwritable(error.to_string()),
            DiskKind::Io => Self::Unread(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Broken {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a row cannot be read: {error}"))
    }
}

impl From<uuid::Error> for Broken {
    fn from(error: uuid::Error) -> Self {
        Self::Damaged(format!("a row has no thread: {error}"))
    }
}

impl From<TransactionError<Broken>> for Broken {
    fn from(error: TransactionError<Broken>) -> Self {
        match error {
            TransactionError::Abort(broken) => broken,
            TransactionError::Storage(error) => Self::of_write(error),
        }
    }
}
