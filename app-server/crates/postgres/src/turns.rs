//! One write of a thread at a time, in the order of the calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::ThreadId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The threads with a write, or with callers that wait for one.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteTurns(Arc<Mutex<HashMap<ThreadId, Arc<Semaphore>>>>);

/// The turn of one write. The next one begins when it is dropped.
#[derive(Debug)]
pub(crate) struct WriteTurn {
    turns: WriteTurns,
    thread: ThreadId,
    permit: Option<OwnedSemaphorePermit>,
}

impl WriteTurns {
    /// Waits for the end of every earlier write of the thread.
    pub(crate) async fn of(&self, thread: ThreadId) -> WriteTurn {
        let turn = Arc::clone(self.threads().entry(thread).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // The semaphore is never closed.
        let permit = turn.acquire_owned().await.ok();
        WriteTurn { turns: self.clone(), thread, permit }
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<ThreadId, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        let mut threads = self.turns.threads();
        drop(self.permit.take());
        // Callers clone the semaphore under the same lock, so none is between the look and the removal.
        if threads.get(&self.thread).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            threads.remove(&self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use skein_store::testing::thread;

    use super::*;

    #[tokio::test]
    async fn writes_of_a_thread_come_one_after_the_other_and_leave_nothing() {
        let turns = WriteTurns::default();
        let first = turns.of(thread(1)).await;
        let mut second = Box::pin(turns.of(thread(1)));
        assert!((&mut second).now_or_never().is_none(), "it waits for the first");
        let other = turns.of(thread(2)).now_or_never().expect("another thread does not wait");
        drop(first);
        let second = second.now_or_never().expect("its turn has come");
        drop((second, other));
        assert!(turns.threads().is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_leaves_nothing() {
        let turns = WriteTurns::default();
        let first = turns.of(thread(1)).await;
        let mut second = Box::pin(turns.of(thread(1)));
        assert!((&mut second).now_or_never().is_none());
        drop(second);
        drop(first);
        assert!(turns.threads().is_empty());
    }
}
