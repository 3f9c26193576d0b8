//! Lasting states of a disk in a test, unlike a failure at one operation.

use std::io;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::{DiskFault, Fails, FaultLayer, FaultState, Op};

/// A lasting state of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Operations that need room fail, and a write stops half-way. Existing files can be read, cut, synced and
    /// removed.
    Full,
    /// Each write and each sync takes this long, on the calling thread.
    Slow(Duration),
}

impl FaultLayer {
    /// Sets the state of the disk for all paths that contain `part`, until the next call; none lets it work. Waiting
    /// operations then continue.
    pub fn be(&self, lasting: Option<Lasting>, part: &str) {
        self.state().lasting = lasting.map(|lasting| (lasting, part.to_owned()));
        self.shared.changed.notify_all();
    }

    /// Waits as long as an operation takes now, and returns the failure it gets.
    pub(super) fn last<'s>(
        &'s self,
        state: MutexGuard<'s, FaultState>,
        op: Op,
        path: &Path,
    ) -> (MutexGuard<'s, FaultState>, Option<DiskFault>) {
        let Some((lasting, part)) = state.lasting.clone() else { return (state, None) };
        if !path.to_string_lossy().contains(&part) {
            return (state, None);
        }
        match (lasting, op) {
            (Lasting::Full, Op::Create | Op::Write | Op::MakeFolder) => {
                let (fails, kind) = (Fails::Half, io::ErrorKind::StorageFull);
                (state, Some(DiskFault { at: 0, times: usize::MAX, fails, kind }))
            }
            (Lasting::Slow(time), Op::Write | Op::Sync | Op::SyncFolder) => {
                let is_so =
                    |state: &mut FaultState| state.lasting.as_ref().is_some_and(|(now, _)| *now == lasting);
                let waited = self.shared.changed.wait_timeout_while(state, time, is_so);
                (waited.unwrap_or_else(PoisonError::into_inner).0, None)
            }
            (Lasting::Full | Lasting::Slow(_), _) => (state, None),
        }
    }
}
