//! Compares the index with the rollouts, row by row.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde_json::{Map, Value};
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::finding::{Defect, FindingOutcome, FsckFinding, IndexLook};
use super::{FsckError, FsckRequest, Mend};
use crate::history::{History, ThreadRow};
use crate::home::HomePaths;
use crate::index::IndexError;
use crate::index::sled::{self, IndexReader};
use crate::rollout::{Location, ReadError, RolloutStore};

pub(crate) struct Rows<'a> {
    pub(crate) paths: &'a HomePaths,
    pub(crate) store: &'a dyn RolloutStore,
    pub(crate) tasks: &'a Tasks,
    pub(crate) order: &'a FsckRequest,
    /// Whether the system lets a folder be written.
    pub(crate) can_write: fn(&Path) -> io::Result<()>,
}

/// Asks the system whether a folder can be written.
pub(crate) fn can_write(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// The members in which two rows differ.
fn differing(one: &ThreadRow, other: &ThreadRow) -> Vec<String> {
    let members = |row| match serde_json::to_value(row) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    };
    let (one, other) = (members(one), members(other));
    one.iter().filter(|(name, value)| other.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
}

/// A thread's row, and the record that it reflects.
pub(super) type IndexedRow = (ThreadRow, EventSeq);

impl Rows<'_> {
    /// Compares the rows of `threads` and of all threads with a row, except `passed_over`. A thread with an open
    /// marker gets its row later.
    pub(crate) async fn compare(
        &self,
        threads: &BTreeSet<ThreadId>,
        passed_over: &BTreeSet<ThreadId>,
    ) -> Result<(IndexLook, Vec<FsckFinding>), FsckError> {
        if self.order.mend == Mend::No && self.is_read_only() {
            // Opening it would write to it.
            return Ok((IndexLook::NotCompared, Vec::new()));
        }
        let look = match IndexReader::open(self.paths, self.tasks).await {
            Ok(Some(look)) => look,
            Ok(None) => return Ok((IndexLook::None, Vec::new())),
            Err(error) => return self.unreadable(error).await,
        };
        let indexed = match look.threads().await {
            Ok(indexed) => indexed,
            Err(error) => {
                drop(look);
                return self.unreadable(error).await;
            }
        };
        let mut findings = Vec::new();
        let wanted = |thread: &ThreadId| self.order.threads.is_empty() || self.order.threads.contains(thread);
        let all: BTreeSet<ThreadId> = threads.iter().copied().chain(indexed).filter(wanted).collect();
        for thread in all.difference(passed_over) {
            let row = match look.get(*thread).await {
                Ok(row) => row,
                Err(error) => {
                    drop(look);
                    return self.unreadable(error).await;
                }
            };
            // Another check reports a rollout that cannot be read.
            let Ok(Some(mut finding)) = judge(self.store, *thread, row.as_ref(), Path::new("index")).await
            else {
                continue;
            };
            if self.order.mend == Mend::Yes {
                look.mend(self.store, *thread).await?;
                finding.outcome = FindingOutcome::Mended;
            }
            findings.push(finding);
        }
        Ok((IndexLook::Compared, findings))
    }

    fn is_read_only(&self) -> bool {
        let refused = (self.can_write)(&IndexReader::folder(self.paths)).err().map(|error| error.kind());
        matches!(refused, Some(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied))
    }

    /// Rebuilds an unreadable index: it has nothing that the rollouts lack.
    async fn unreadable(&self, error: IndexError) -> Result<(IndexLook, Vec<FsckFinding>), FsckError> {
        let mut finding = FsckFinding::new(Defect::Index, PathBuf::from("index"), error.to_string());
        if self.order.mend == Mend::No {
            return Ok((IndexLook::Unreadable, vec![finding]));
        }
        match sled::reindex(self.paths, self.store, self.tasks, |_| ()).await {
            Ok(()) => {
                finding.outcome = FindingOutcome::Mended;
                Ok((IndexLook::MadeAnew, vec![finding]))
            }
            Err(error) => {
                finding.detail.push_str(&format!("; it cannot be made anew: {error}"));
                Ok((IndexLook::Unreadable, vec![finding]))
            }
        }
    }
}

/// Compares the row of a thread with its records. `place` names the lists. A thread without a readable record has no row to compare.
///
/// # Errors
/// The records cannot be read now.
pub(super) async fn judge(
    store: &dyn RolloutStore,
    thread: ThreadId,
    row: Option<&IndexedRow>,
    place: &Path,
) -> Result<Option<FsckFinding>, ReadError> {
    let new = |kind, detail: String| Ok(Some(FsckFinding::new(kind, place, detail).of(thread)));
    match (expected(store, thread).await, row) {
        (Ok(None), None) | (Err(ReadError::Unreadable { .. }), _) => Ok(None),
        (Ok(None), Some(_)) => new(Defect::RowAlone, "it shows a thread that is in no list".to_owned()),
        (Ok(Some((_, head))), None) => {
            new(Defect::NoRow, format!("it does not show the thread, which has {head} records"))
        }
        (Ok(Some((expected, head))), Some((row, as_of))) => {
            if *as_of != head {
                new(Defect::StaleRow, format!("its row is of record {as_of}, and the last one is {head}"))
            } else if expected != *row {
                let members = differing(&expected, row).join(", ");
                new(Defect::StaleRow, format!("its row differs from the rollout in: {members}"))
            } else {
                Ok(None)
            }
        }
        (Err(error), _) => Err(error),
    }
}

/// The row that the index should have; none for a missing thread, or one without a message.
async fn expected(store: &dyn RolloutStore, thread: ThreadId) -> Result<Option<IndexedRow>, ReadError> {
    let (history, location) = match History::read_end(store, thread, 0).await {
        Ok(history) if history.is_materialised() => (history, store.location(thread).await?),
        Ok(_) | Err(ReadError::Missing(_)) => return Ok(None),
        Err(error @ (ReadError::Unreadable { .. } | ReadError::Disk { .. } | ReadError::Away { .. })) => {
            return Err(error);
        }
    };
    let mut row = history.row();
    row.archived = location == Location::Archived;
    Ok(Some((row, history.seq())))
}
