//! Changes of rows: their execution, and the winner of two that wait.

use std::collections::HashMap;
use std::sync::Arc;

use skein_protocol::ids::{EventSeq, ThreadId};

use super::broken::Broken;
use super::trees::Trees;
use crate::history::ThreadRow;

/// A change of a thread's row.
#[derive(Debug, Clone)]
pub(super) enum RowChange {
    Set(Box<ThreadRow>, EventSeq),
    Remove(ThreadId, EventSeq),
    /// A new thread.
    Begin(ThreadId),
}

impl RowChange {
    pub(crate) fn thread(&self) -> ThreadId {
        match self {
            Self::Set(row, _) => row.id,
            Self::Remove(thread, _) | Self::Begin(thread) => *thread,
        }
    }

    /// Whether it replaces the waiting change.
    pub(crate) fn follows(&self, there: &Self) -> bool {
        match (self, there) {
            (Self::Set(_, as_of), Self::Set(_, there)) => as_of >= there,
            (Self::Set(_, as_of), Self::Remove(_, there)) => as_of > there,
            (Self::Remove(..) | Self::Begin(_), _) | (Self::Set(..), Self::Begin(_)) => true,
        }
    }

    fn make(&self, trees: &Trees) -> Result<(), Broken> {
        match self {
            Self::Set(row, as_of) => trees.upsert(row, *as_of),
            Self::Remove(thread, as_of) => trees.remove(*thread, *as_of),
            Self::Begin(thread) => trees.begin(*thread),
        }
    }

    /// Work that makes changes in order.
    pub(crate) fn make_all(
        changes: &Arc<[Self]>,
    ) -> impl FnOnce(&Trees) -> Result<(), Broken> + Send + 'static {
        let changes = Arc::clone(changes);
        move |trees| changes.iter().try_for_each(|change| change.make(trees))
    }
}

/// Adds waiting changes: the last one of each thread counts.
pub(super) fn add(waiting: &mut HashMap<ThreadId, RowChange>, changes: &[RowChange]) {
    for change in changes {
        if waiting.get(&change.thread()).is_none_or(|there| change.follows(there)) {
            waiting.insert(change.thread(), change.clone());
        }
    }
}
