//! The file of the text index: SQLite with a table of trigrams (FTS5). It stores no text, only the trigrams of each
//! piece of a thread, in folded form. All functions block.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::home::{FILE_MODE, FOLDER_MODE};
use crate::rollout::DiskKind;
use rusqlite::ffi::{ErrorCode, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};
use skein_protocol::ids::{EventSeq, ThreadId};
use uuid::Uuid;

use crate::policy;

/// The file in the index's folder. SQLite adds two others with the same mode.
const FILE: &str = "texts.sqlite";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS about (boot BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS threads (id BLOB PRIMARY KEY, seq INTEGER NOT NULL, name TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pieces (rowid INTEGER PRIMARY KEY, thread BLOB NOT NULL, begins INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS pieces_of ON pieces (thread);
    CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5
        (text, content='', contentless_delete=1, detail=none, tokenize='trigram case_sensitive 1');
";

/// Why the index is unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    /// An error of SQLite.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// An error of the system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A panic during work on it.
    #[error("{0}")]
    Panicked(String),
}

impl DbError {
    /// Whether the file may be intact: the disk is full or refuses writes, or another process has a lock.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::SystemIoFailure) => !is_read(error),
                Some(code) => matches!(
                    code,
                    ErrorCode::DiskFull
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::OutOfMemory
                ),
                None => false,
            },
            Self::Io(error) => DiskKind::of(error) == DiskKind::Full,
            Self::Panicked(_) => false,
        }
    }
}

/// Whether a read from the file failed.
fn is_read(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_READ | SQLITE_IOERR_SHORT_READ))
}

/// The state of a thread in the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct IndexedThread {
    /// The messages of all turns up to this record are in it.
    pub(crate) seq: EventSeq,
    /// The latest name in it.
    pub(crate) name: Option<String>,
}

/// An addition to a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddedTexts {
    pub(crate) thread: ThreadId,
    /// Folded texts, each with the number of its first turn.
    pub(crate) pieces: Vec<(EventSeq, String)>,
    /// The state of the thread afterwards.
    pub(crate) known: IndexedThread,
}

impl AddedTexts {
    /// Bytes of the texts.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(|(_, folded)| folded.len()).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexChange {
    Add(AddedTexts),
    Remove(ThreadId),
}

/// An open index.
#[derive(Debug)]
pub(crate) struct Db {
    connection: Connection,
}

fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Bytes of the index on disk.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else { return 0 };
    entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

impl Db {
    /// Opens the index for writing, and creates it if missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, DbError> {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        // SQLite follows the umask; its other files take this file's mode.
        OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(file(folder))?;
        let connection = Connection::open_with_flags(file(folder), flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        set_up(&connection)?;
        // A loss of power may lose commits, which are made again; a kill loses none.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection })
    }

    /// Opens an existing index for reading.
    pub(super) fn look(folder: &Path) -> Result<Self, DbError> {
        let connection = Connection::open_with_flags(file(folder), flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        set_up(&connection)?;
        Ok(Self { connection })
    }

    /// Makes reads that see the index as it is now, whatever is added meanwhile.
    pub(super) fn at_one_moment<T>(
        &self,
        reads: impl FnOnce(&Self) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let moment = self.connection.unchecked_transaction()?;
        let read = reads(self)?;
        moment.commit()?;
        Ok(read)
    }

    /// The life of the storage in which it was made.
    pub(crate) fn life(&self) -> Result<Option<Uuid>, DbError> {
        let mut select = self.connection.prepare("SELECT boot FROM about")?;
        let life: Option<Vec<u8>> = select.query_row([], |row| row.get(0)).optional()?;
        Ok(life.and_then(|life| Uuid::from_slice(&life).ok()))
    }

    /// Sets the life of the storage.
    pub(crate) fn set_life(&self, life: Uuid) -> Result<(), DbError> {
        self.connection
            .execute("INSERT INTO about (boot) VALUES (?1)", params![life.as_bytes().as_slice()])?;
        Ok(())
    }

    /// The states of these threads.
    pub(crate) fn known(&self, threads: &[ThreadId]) -> Result<Vec<Option<IndexedThread>>, DbError> {
        let mut select = self.connection.prepare("SELECT seq, name FROM threads WHERE id = ?1")?;
        let known = threads.iter().map(|thread| {
            let known = select.query_row(params![key(*thread)], |row| {
                Ok(IndexedThread { seq: seq(row.get(0)?), name: row.get(1)? })
            });
            Ok(known.optional()?)
        });
        known.collect()
    }

    /// Makes all changes, or none.
    pub(crate) fn change(&mut self, changes: &[IndexChange]) -> Result<(), DbError> {
        let transaction = self.connection.transaction()?;
        let mut adding = Adding::prepare(&transaction)?;
        for change in changes {
            match change {
                IndexChange::Add(added) => adding.add(added)?,
                IndexChange::Remove(thread) => remove(&transaction, *thread)?,
            }
        }
        drop(adding);
        Ok(transaction.commit()?)
    }

    /// The threads that may hold a text with all these trigrams, each with the turn before which the text is not.
    /// `None` if there are more than `most`.
    pub(crate) fn candidates(
        &self,
        query: &str,
        most: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, DbError> {
        let mut select = self.connection.prepare(
            "SELECT pieces.thread, pieces.begins FROM texts JOIN pieces ON pieces.rowid = texts.rowid
             WHERE texts MATCH ?1 LIMIT ?2",
        )?;
        let limit = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
        let rows =
            select.query_map(params![query, limit], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
        let mut found = Vec::new();
        for row in rows {
            let (thread, begins) = row?;
            // Skips ids that are no threads.
            found.extend(Uuid::from_slice(&thread).ok().map(|id| (ThreadId::new(id), seq(begins))));
        }
        Ok((found.len() <= most).then_some(found))
    }
}

fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn set_up(connection: &Connection) -> Result<(), DbError> {
    connection.busy_timeout(policy::TEXTS_BUSY)?;
    // A negative number means KiB.
    connection.pragma_update(None, "cache_size", -policy::TEXTS_CACHE_KIB)?;
    Ok(())
}

/// Statements that add threads.
struct Adding<'c> {
    piece: Statement<'c>,
    text: Statement<'c>,
    known: Statement<'c>,
}

impl<'c> Adding<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self, DbError> {
        Ok(Self {
            piece: connection.prepare("INSERT INTO pieces (thread, begins) VALUES (?1, ?2)")?,
            text: connection.prepare("INSERT INTO texts (rowid, text) VALUES (?1, ?2)")?,
            known: connection
                .prepare("INSERT OR REPLACE INTO threads (id, seq, name) VALUES (?1, ?2, ?3)")?,
        })
    }

    fn add(&mut self, added: &AddedTexts) -> Result<(), DbError> {
        for (begins, folded) in &added.pieces {
            let rowid = self.piece.insert(params![key(added.thread), number(*begins)])?;
            self.text.execute(params![rowid, folded])?;
        }
        let IndexedThread { seq, name } = &added.known;
        self.known.execute(params![key(added.thread), number(*seq), name])?;
        Ok(())
    }
}

fn remove(connection: &Connection, thread: ThreadId) -> Result<(), DbError> {
    let id = key(thread);
    connection.execute(
        "DELETE FROM texts WHERE rowid IN (SELECT rowid FROM pieces WHERE thread = ?1)",
        params![id],
    )?;
    connection.execute("DELETE FROM pieces WHERE thread = ?1", params![id])?;
    connection.execute("DELETE FROM threads WHERE id = ?1", params![id])?;
    Ok(())
}

fn key(thread: ThreadId) -> Vec<u8> {
    thread.uuid().as_bytes().to_vec()
}

/// SQLite's numbers are signed; record numbers are small.
fn number(seq: EventSeq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn seq(number: i64) -> EventSeq {
    EventSeq(u64::try_from(number).unwrap_or(0))
}

/// The query for a folded text; `None` if it has no three characters in a row.
pub(crate) fn query(folded: &str) -> Option<String> {
    let chars: Vec<char> = folded.chars().collect();
    // A NUL would end the query.
    let trigrams = chars.windows(3).filter(|chars| !chars.contains(&'\0')).take(policy::TEXTS_TRIGRAMS);
    let quoted = trigrams.map(|chars| format!("\"{}\"", String::from_iter(chars).replace('"', "\"\"")));
    let query: Vec<String> = quoted.collect();
    (!query.is_empty()).then(|| query.join(" AND "))
}

#[cfg(test)]
mod tests;
