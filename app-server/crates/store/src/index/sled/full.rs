//! Runs the index on a disk that is full or refuses writes. After a failed write sled takes no change until it is
//! opened again. So changes wait in memory, lists show them over the trees, and the index is reopened when the disk
//! has room. Open markers lead to unflushed changes, as after a kill.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::thread::SortDirection;

use super::broken::Broken;
use super::schema::Schema;
use super::trees::Trees;
use super::{IndexShared, RowChange, SledIndex, SledState};
use crate::history::ThreadRow;
use crate::home::{FILE_MODE, FOLDER_MODE};
use crate::index::{Cursor, IndexError, Indexing, ThreadFilter, WalkBounds, WalkedRows};
use crate::policy;

#[derive(Debug, Default)]
pub(super) struct Late(HashMap<ThreadId, RowChange>);

impl Late {
    /// The row of a thread, and the record that it reflects.
    pub(crate) fn get(
        &self,
        trees: &Trees,
        thread: ThreadId,
    ) -> Result<Option<(ThreadRow, EventSeq)>, Broken> {
        match self.0.get(&thread) {
            Some(RowChange::Set(row, as_of)) => Ok(Some((row.as_ref().clone(), *as_of))),
            Some(RowChange::Remove(..) | RowChange::Begin(_)) => Ok(None),
            None => trees.get(thread),
        }
    }

    /// Applies these changes to a walk.
    pub(crate) fn over(
        &self,
        mut walked: WalkedRows,
        filter: &ThreadFilter,
        from: Option<Cursor>,
        reach: WalkBounds,
    ) -> WalkedRows {
        if self.0.is_empty() {
            return walked;
        }
        let last = walked.rows.last().filter(|_| walked.rows.len() >= reach.rows);
        let end = last.map(|last| Cursor::at(last, filter.sort)).or(walked.stopped);
        walked.rows.retain(|row| !self.0.contains_key(&row.id));
        let was_walked = |row: &ThreadRow| {
            let place = Cursor::at(row, filter.sort).key();
            end.is_none_or(|end| match filter.direction {
                SortDirection::Asc => place <= end.key(),
                SortDirection::Desc => place >= end.key(),
            })
        };
        let shown = |change: &RowChange| match change {
            RowChange::Set(row, _) if filter.lets_through(row) && was_walked(row) => {
                Some(row.as_ref().clone())
            }
            RowChange::Set(..) | RowChange::Remove(..) | RowChange::Begin(_) => None,
        };
        walked.rows.extend(self.0.values().filter_map(shown));
        let mut rows = filter.in_order(walked.rows, from).unwrap_or_default();
        rows.truncate(reach.rows);
        WalkedRows { rows, stopped: end }
    }
}

impl IndexShared {
    /// The changes that wait for room.
    pub(super) fn late(&self) -> Late {
        let waiting = self.waiting();
        match &*self.state.borrow() {
            SledState::Ready { unwritable: Some(_), .. } => Late(waiting.clone()),
            SledState::Opening
            | SledState::Building { .. }
            | SledState::Ready { .. }
            | SledState::Failed(_) => Late::default(),
        }
    }

    /// Notes a failure: damage wakes the maintaining task.
    pub(super) fn note(&self, broken: Broken) -> IndexError {
        match broken {
            Broken::Damaged(reason) | Broken::Unread(reason) => {
                self.broken.notify_one();
                IndexError::Unavailable(reason)
            }
            Broken::Unwritable(reason) => {
                self.state.send_if_modified(|state| match state {
                    SledState::Ready { unwritable: unwritable @ None, .. } => {
                        *unwritable = Some(reason.clone());
                        true
                    }
                    SledState::Opening
                    | SledState::Building { .. }
                    | SledState::Ready { .. }
                    | SledState::Failed(_) => false,
                });
                IndexError::Unwritable(reason)
            }
        }
    }

    /// Keeps unwritten changes until there is room. Those of a rebuild belong to its failure.
    pub(super) fn wait_for_room(&self, changes: &[RowChange], error: IndexError) -> Result<(), IndexError> {
        match &*self.state.borrow() {
            SledState::Opening | SledState::Ready { unwritable: Some(_), .. } => {}
            SledState::Building { .. } | SledState::Ready { .. } | SledState::Failed(_) => {
                return Err(error);
            }
        }
        self.trees_or_wait(changes).map(drop)
    }
}

impl SledIndex {
    /// Serves a whole index that takes no change.
    pub(super) fn serve_unwritable(&self, trees: Trees, reason: String) {
        // Rows of open markers may be missing.
        let (comparing, unwritable) = (Some(Indexing::default()), Some(reason));
        self.shared.state.send_replace(SledState::Ready { trees, comparing, unwritable });
    }

    /// Returns when the index must be opened again: true if the disk only has room again, false if the index is
    /// damaged.
    pub(super) async fn outlasts(&self, opened: &Result<(), Broken>) -> bool {
        match opened {
            Err(Broken::Damaged(_) | Broken::Unread(_)) => return false,
            Err(Broken::Unwritable(reason)) => {
                self.shared.state.send_if_modified(|state| {
                    let is_missing = matches!(state, SledState::Opening);
                    if is_missing {
                        *state = SledState::Failed(reason.clone());
                    }
                    is_missing
                });
            }
            Ok(()) => {
                let mut states = self.shared.state.subscribe();
                tokio::select! {
                    () = self.shared.broken.notified() => return false,
                    _full = states.wait_for(|state| matches!(state, SledState::Ready { unwritable: Some(_), .. })) => {}
                }
            }
        }
        tracing::warn!(
            "the index of threads takes no change: its disk is full or fails; lists are read from it"
        );
        loop {
            tokio::select! {
                () = self.shared.broken.notified() => return false,
                () = tokio::time::sleep(policy::INDEX_ROOM_LOOK) => {}
            }
            let probe = |home: &_| probe(&Schema::CURRENT.folder(home));
            if self.on_folders("look for room", probe).await.is_ok() {
                tracing::info!("the disk takes writes again; the index of threads is opened again");
                return true;
            }
        }
    }
}

/// Fails if the index could not grow in this folder, or would take the room that rollouts need.
fn probe(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    try_room(folder, free_in(folder)?)
}

/// Free bytes of the file system; some do not know.
fn free_in(folder: &Path) -> io::Result<Option<u64>> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok((disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// Writes only if enough is free for rollouts too. The write detects a quota, or a failing disk.
pub(super) fn try_room(folder: &Path, free: Option<u64>) -> io::Result<()> {
    if free.is_some_and(|free| free < policy::INDEX_ROOM + policy::INDEX_ROOM_LEFT) {
        return Err(ErrorKind::StorageFull.into());
    }
    let path = folder.join("room");
    let written = fill(&path);
    let removed = fs::remove_file(path);
    written.and(removed)
}

fn fill(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(&vec![0; policy::INDEX_ROOM_TRY])?;
    file.sync_data()
}
