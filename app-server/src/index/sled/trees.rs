//! The index's trees in sled 0.34: rows by id, and an order for each sort key. Everything here blocks.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::ops::Bound;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ::sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};
use ::sled::{Config, Db, IVec, Mode, Transactional, Tree};
use serde::{Deserialize, Serialize};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::SortDirection;

use crate::home::FOLDER_MODE;
use crate::index::cursor::{order_key, thread_of};
use crate::index::{SortKey, ThreadFilter, ThreadRow};
use crate::policy;

/// Set when a rebuild came to its end.
const COMPLETE: &[u8] = b"complete";

/// The index's files are not what was written, or cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub String);

impl From<::sled::Error> for Broken {
    fn from(error: ::sled::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for Broken {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("a row cannot be read: {error}"))
    }
}

impl From<TransactionError<Broken>> for Broken {
    fn from(error: TransactionError<Broken>) -> Self {
        match error {
            TransactionError::Abort(broken) => broken,
            TransactionError::Storage(error) => error.into(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    as_of: EventSeq,
    row: ThreadRow,
}

/// The open index.
#[derive(Debug, Clone)]
pub(super) struct Trees {
    db: Db,
    rows: Tree,
    created: Tree,
    updated: Tree,
    /// Threads that were deleted since the index was opened, and the record at which: a row of theirs may still be under
    /// way.
    gone: Tree,
}

impl Trees {
    /// Opens or makes the index. Can take seconds, and can panic where the files are damaged.
    pub fn open(path: &Path) -> Result<Self, Broken> {
        // sled leaves modes to the mask of the process, which helpers inherit; its folder closes off all of it.
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Broken(error.to_string())),
            Ok(()) | Err(_) => {}
        }
        let config = Config::new()
            .path(path)
            .mode(Mode::LowSpace)
            .cache_capacity(policy::INDEX_CACHE)
            // No wake-ups when idle: whoever needs it on disk flushes.
            .flush_every_ms(None);
        let db = open_when_free(&config)?;
        let tree = |name: &str| db.open_tree(name);
        let gone = tree("gone")?;
        // Nothing is under way now, and what was deleted may have been brought back by hand.
        gone.clear()?;
        Ok(Self { rows: tree("rows")?, created: tree("created")?, updated: tree("updated")?, gone, db })
    }

    /// Whether every rollout was in it once. Without a single row that is not believed: making it anew costs nothing
    /// where there are no rollouts.
    pub fn is_complete(&self) -> Result<bool, Broken> {
        Ok(self.db.contains_key(COMPLETE)? && !self.rows.is_empty())
    }

    pub fn set_complete(&self) -> Result<(), Broken> {
        self.db.insert(COMPLETE, &[])?;
        self.flush()
    }

    pub fn flush(&self) -> Result<(), Broken> {
        self.db.flush()?;
        Ok(())
    }

    pub fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, Broken> {
        let Some(bytes) = self.rows.get(thread.uuid().as_bytes())? else { return Ok(None) };
        let stored: Stored = serde_json::from_slice(&bytes)?;
        Ok(Some((stored.row, stored.as_of)))
    }

    /// Sets a row and its places in both orders, all or nothing; ignored when a later one is there, or was removed.
    pub fn upsert(&self, row: &ThreadRow, as_of: EventSeq) -> Result<(), Broken> {
        let value = serde_json::to_vec(&Stored { as_of, row: row.clone() })?;
        let trees = (&self.rows, &self.created, &self.updated, &self.gone);
        let set = trees.transaction(|(rows, created, updated, gone)| {
            let id = row.id.uuid();
            if gone.get(id.as_bytes())?.is_some_and(|at| *at >= as_of.0.to_be_bytes()[..]) {
                return Ok(());
            }
            if let Some(there) = stored(rows, row.id)? {
                if there.as_of > as_of {
                    return Ok(());
                }
                remove_order(created, SortKey::Created, &there.row)?;
                remove_order(updated, SortKey::Updated, &there.row)?;
            }
            created.insert(&key(SortKey::Created, row), &[])?;
            updated.insert(&key(SortKey::Updated, row), &[])?;
            rows.insert(id.as_bytes(), value.as_slice())?;
            Ok(())
        });
        set.map_err(Broken::from)
    }

    /// Removes a row and its places in both orders, all or nothing, and remembers that.
    pub fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), Broken> {
        let trees = (&self.rows, &self.created, &self.updated, &self.gone);
        let removed = trees.transaction(|(rows, created, updated, gone)| {
            let id = thread.uuid();
            if let Some(there) = stored(rows, thread)? {
                remove_order(created, SortKey::Created, &there.row)?;
                remove_order(updated, SortKey::Updated, &there.row)?;
                rows.remove(id.as_bytes())?;
            }
            gone.insert(id.as_bytes(), &as_of.0.to_be_bytes())?;
            Ok(())
        });
        removed.map_err(Broken::from)
    }

    /// The rows that follow `from` in the order, at most `limit`.
    pub fn list(
        &self,
        filter: &ThreadFilter,
        from: Option<[u8; 24]>,
        limit: usize,
    ) -> Result<Vec<ThreadRow>, Broken> {
        let order = match filter.sort {
            SortKey::Created => &self.created,
            SortKey::Updated => &self.updated,
        };
        let from = from.as_ref().map(<[u8; 24]>::as_slice);
        match filter.direction {
            SortDirection::Asc => {
                let begin = from.map_or(Bound::Unbounded, Bound::Excluded);
                self.take(order.range::<&[u8], _>((begin, Bound::Unbounded)), filter, limit)
            }
            SortDirection::Desc => {
                let end = from.map_or(Bound::Unbounded, Bound::Excluded);
                self.take(order.range::<&[u8], _>((Bound::Unbounded, end)).rev(), filter, limit)
            }
        }
    }

    fn take(
        &self,
        places: impl Iterator<Item = ::sled::Result<(IVec, IVec)>>,
        filter: &ThreadFilter,
        limit: usize,
    ) -> Result<Vec<ThreadRow>, Broken> {
        let mut found = Vec::new();
        for place in places {
            if found.len() >= limit {
                break;
            }
            let place = place?.0;
            let thread =
                thread_of(&place).ok_or_else(|| Broken("a place in an order has no thread".to_owned()))?;
            // A row that moved while the list was read is met again at its new place, or was met before.
            if let Some((row, _)) = self.get(thread)?
                && place == key(filter.sort, &row)
                && filter.lets_through(&row)
            {
                found.push(row);
            }
        }
        Ok(found)
    }
}

fn key(sort: SortKey, row: &ThreadRow) -> [u8; 24] {
    order_key(sort.time_of(row), row.id)
}

fn stored(
    rows: &TransactionalTree,
    thread: ThreadId,
) -> Result<Option<Stored>, ConflictableTransactionError<Broken>> {
    let Some(bytes) = rows.get(thread.uuid().as_bytes())? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ConflictableTransactionError::Abort(Broken::from(error)))
}

fn remove_order(
    order: &TransactionalTree,
    sort: SortKey,
    row: &ThreadRow,
) -> Result<(), ConflictableTransactionError<Broken>> {
    order.remove(key(sort, row).as_slice())?;
    Ok(())
}

#[cfg(test)]
impl Trees {
    /// How many rows there are, and how many places in each order.
    pub fn lengths(&self) -> [usize; 3] {
        [self.rows.len(), self.created.len(), self.updated.len()]
    }

    /// Makes a row unreadable.
    pub fn scramble(&self, thread: ThreadId) {
        self.rows.insert(thread.uuid().as_bytes(), b"{").unwrap();
    }
}

/// Opens the folder. sled lets go of its lock with the last of its own threads, a moment after the index was closed; a
/// home has one owner, so whoever holds it is on its way out.
fn open_when_free(config: &Config) -> sled::Result<Db> {
    for _ in 0..policy::INDEX_LOCK_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(policy::INDEX_LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
    config.open()
}
