//! The threads with questions that wait for an answer, in memory, so that a count of them waits for no disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use skein_protocol::ids::ThreadId;
use skein_protocol::question::NeedsYou;

use crate::history::{ThreadRow, WaitingQuestion};

/// The waiting questions of each thread that has some.
#[derive(Debug, Default)]
pub struct WaitingThreads(Mutex<HashMap<ThreadId, Vec<WaitingQuestion>>>);

impl WaitingThreads {
    /// Takes the row of a thread, as `read` finds it now. Of two changes of a thread the later call sees both. Returns whether other
    /// questions wait than before.
    pub fn note<E>(
        &self,
        thread: ThreadId,
        read: impl FnOnce() -> Result<Option<ThreadRow>, E>,
    ) -> Result<bool, E> {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = read()?.map(|row| row.waiting).unwrap_or_default();
        let before = match waiting.is_empty() {
            true => threads.remove(&thread),
            false => threads.insert(thread, waiting.clone()),
        };
        Ok(before.unwrap_or_default() != waiting)
    }

    /// Whether a question of the thread waits.
    pub(super) fn has(&self, thread: ThreadId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&thread)
    }

    /// The threads with a question that waits.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The count of all.
    pub fn needs_you(&self) -> NeedsYou {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        needs_you(threads.values())
    }
}

/// The count over the waiting questions of each thread.
pub(super) fn needs_you<'a>(threads: impl Iterator<Item = &'a Vec<WaitingQuestion>>) -> NeedsYou {
    let waiting = threads.filter(|waiting| !waiting.is_empty());
    waiting.fold(NeedsYou::default(), |all, waiting| NeedsYou {
        threads: all.threads + 1,
        questions: all.questions + waiting.len() as u64,
        oldest_at: all.oldest_at.into_iter().chain(waiting.iter().map(|question| question.asked.0)).min(),
    })
}
