//! Bounds the concurrent reads of one thread's rollout: reads of a hanging file wait here, and leave the read threads
//! to other files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use skein_protocol::ids::ThreadId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::policy;

/// Threads whose rollouts are being read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    threads: Mutex<HashMap<ThreadId, Weak<Semaphore>>>,
}

/// The permit of one read. It lives as long as the read, even if the caller has gone.
#[derive(Debug)]
pub(super) struct ReadPermit {
    reads: Arc<Reads>,
    thread: ThreadId,
    permit: Option<OwnedSemaphorePermit>,
}

impl Reads {
    /// Waits for a permit to read this thread's rollout.
    pub(crate) async fn place(self: &Arc<Self>, thread: ThreadId) -> ReadPermit {
        let places = {
            let mut threads = self.lock();
            threads.get(&thread).and_then(Weak::upgrade).unwrap_or_else(|| {
                let places = Arc::new(Semaphore::new(policy::READS_OF_ONE));
                threads.insert(thread, Arc::downgrade(&places));
                places
            })
        };
        // Created before the wait, so that the entry also goes if the caller gives up.
        let mut place = ReadPermit { reads: Arc::clone(self), thread, permit: None };
        // The semaphore is never closed. If it were, the read would merely not be counted.
        place.permit = places.acquire_owned().await.ok();
        place
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Weak<Semaphore>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReadPermit {
    fn drop(&mut self) {
        let mut threads = self.reads.lock();
        drop(self.permit.take());
        if threads.get(&self.thread).is_some_and(|places| places.strong_count() == 0) {
            threads.remove(&self.thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_thread_has_its_own_places_and_is_forgotten_with_the_last() {
        let (reads, one, other) = (
            Arc::new(Reads::default()),
            ThreadId::new(Uuid::from_u128(1)),
            ThreadId::new(Uuid::from_u128(2)),
        );
        let mut places = Vec::new();
        for _ in 0..policy::READS_OF_ONE {
            places.push(reads.place(one).await);
        }
        {
            let waits = std::pin::pin!(reads.place(one));
            assert!(poll!(waits).is_pending());
            let free = std::pin::pin!(reads.place(other));
            assert!(poll!(free).is_ready());
        }
        places.pop();
        let next = reads.place(one).await;
        drop((places, next));
        assert!(reads.lock().is_empty());
    }
}
