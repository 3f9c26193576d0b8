//! Failures of the database, each as one sentence with the way out. Pure.

use std::io;

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::index::IndexError;
use skein_store::rollout::{AppendError, DiskKind, MoveError, ReadError, StoreAway};
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::policy;
use crate::tls;

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DbFailure {
    /// The database did not take the statement: nothing of it counts.
    Refused {
        /// The sentence for a person.
        reason: String,
        /// The part that is the cause.
        cause: Cause,
    },
    /// The statement may count, now or in a moment.
    Unknown(String),
}

/// The cause of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The database, or the way to it: the next statement may fare better.
    Database,
    /// A row of the statement, which another statement holds.
    HeldRow,
    /// The values of the statement. The database will refuse them again.
    Values,
}

impl DbFailure {
    /// A refusal with this sentence.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into(), cause: Cause::Database }
    }

    /// The failure behind an error of a statement that was sent.
    pub(crate) fn of_sent(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) if !ends_connection(db) => Self::of_refusal(db),
            Some(db) => Self::Unknown(format!("the database ended the connection: {}", db.message())),
            None => Self::Unknown(format!("the connection to the database broke: {}", full(error))),
        }
    }

    /// The failure behind an error of a connection that was not made.
    pub(crate) fn of_unconnected(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::refused(sentence(db)),
            None if let Some(why) = tls::distrust(error) => Self::refused(format!(
                "the database does not prove that it is the right one ({why}); name the file with its authority's certificate in \
                 sslrootcert, renew its certificate, or correct the host of the address"
            )),
            None => Self::refused(format!(
                "the database cannot be reached ({}); check the address, and that it runs",
                full(error)
            )),
        }
    }

    fn of_refusal(error: &DbError) -> Self {
        let cause = match error.code().code() {
            _ if *error.code() == SqlState::LOCK_NOT_AVAILABLE => Cause::HeldRow,
            // The classes of data, of constraints, and of the limits of a program.
            code if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Cause::Values,
            _other => Cause::Database,
        };
        Self::Refused { reason: sentence(error), cause }
    }

    /// Whether the cause is one thread of the statement, and the others may fare better.
    pub(crate) fn is_of_rows(&self) -> bool {
        match self {
            Self::Refused { cause, .. } => *cause != Cause::Database,
            Self::Unknown(_) => false,
        }
    }

    /// Whether another transaction holds what the statement waited for.
    pub(crate) fn is_of_held_row(&self) -> bool {
        matches!(self, Self::Refused { cause: Cause::HeldRow, .. })
    }

    /// The sentence for a person.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Refused { reason, .. } | Self::Unknown(reason) => reason,
        }
    }

    fn away(self) -> StoreAway {
        let (Self::Refused { reason, .. } | Self::Unknown(reason)) = self;
        StoreAway { reason, retry_after: policy::RETRY_AFTER }
    }

    /// The failure of an append behind record `head`.
    pub(crate) fn of_append(self, thread: ThreadId, head: EventSeq) -> AppendError {
        match self {
            unknown @ Self::Unknown(_) => AppendError::Cut { thread, why: unknown.away() },
            Self::Refused { reason, cause: Cause::Values } => {
                AppendError::Disk { thread, kind: DiskKind::Io, head, source: io::Error::other(reason) }
            }
            refused @ Self::Refused { cause: Cause::Database | Cause::HeldRow, .. } => {
                AppendError::Away { thread, why: refused.away() }
            }
        }
    }

    /// The failure of a step before an append behind record `head`: nothing of the append was sent.
    pub(crate) fn before_append(self, thread: ThreadId, head: EventSeq) -> AppendError {
        match self {
            unknown @ Self::Unknown(_) => AppendError::Away { thread, why: unknown.away() },
            refused @ Self::Refused { .. } => refused.of_append(thread, head),
        }
    }

    /// The failure of a read.
    pub(crate) fn of_read(self, thread: ThreadId) -> ReadError {
        match self {
            Self::Refused { reason, cause: Cause::Values } => {
                ReadError::Disk { thread, source: io::Error::other(reason) }
            }
            away @ (Self::Refused { .. } | Self::Unknown(_)) => ReadError::Away { thread, why: away.away() },
        }
    }

    /// The failure of a read of rows.
    pub(crate) fn of_index(self) -> IndexError {
        IndexError::Away(self.away())
    }

    /// The failure of a move.
    pub(crate) fn of_move(self, thread: ThreadId) -> MoveError {
        match self {
            Self::Unknown(reason) => MoveError::Unknown { thread, reason },
            refused @ Self::Refused { .. } => MoveError::Away { thread, why: refused.away() },
        }
    }
}

impl From<DbFailure> for io::Error {
    fn from(failure: DbFailure) -> Self {
        Self::other(failure.reason().to_owned())
    }
}

/// Whether the database ends the connection with this error. Such a statement may have been committed: an end during
/// the wait for a synchronous standby comes after the commit.
fn ends_connection(error: &DbError) -> bool {
    error.parsed_severity().is_none_or(|severity| matches!(severity, Severity::Fatal | Severity::Panic))
}

/// One sentence for a refusal, with the way out where there is one.
fn sentence(error: &DbError) -> String {
    let message = error.message();
    let code = error.code();
    let known = if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        "the database takes no writes; point the store at the primary, or end its read-only mode"
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        "the role of the store has too few rights; a server needs select, insert, update and delete on Skein's tables, and \
         `skein cluster` needs their owner, who may make roles"
    } else if *code == SqlState::DISK_FULL {
        "the disk of the database is full; make room there"
    } else if *code == SqlState::UNDEFINED_TABLE
        || *code == SqlState::UNDEFINED_COLUMN
        || *code == SqlState::INVALID_SCHEMA_NAME
    {
        "the database lacks Skein's tables; set it up again, or restore it"
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        "the database has too many connections; raise max_connections, or put a pooler in front of it"
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        "the database of the address does not exist; create it, or correct the address"
    } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        "the database refuses the role or its password; correct the credentials"
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        "the database starts or stops; it serves in a moment"
    } else if error.constraint() == Some("credentials_token") {
        "another server has added a token of this name; choose another name"
    } else if *code == SqlState::LOCK_NOT_AVAILABLE {
        "another statement holds the thread's row; try again in a moment"
    } else {
        return format!("the database refused ({}): {message}", code.code());
    };
    format!("{known} ({message})")
}

/// The error with its causes.
fn full(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
