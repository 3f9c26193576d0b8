//! Wakes the writers of very many idle connections in portions. Messages lie in the outboxes in order from the beginning; only
//! the writing comes later, so that an answer is not behind thousands of announcements.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::policy;

/// The outboxes whose writers are still asleep, each once.
#[derive(Debug, Default)]
pub(crate) struct LateWakes {
    due: Mutex<Vec<Outbox>>,
    added: Notify,
}

impl LateWakes {
    /// Wakes the writers of these outboxes: few of them at once, many in portions.
    pub(crate) fn wake(&self, outboxes: Vec<Outbox>) {
        if outboxes.len() <= policy::WAKES_AT_ONCE {
            return outboxes.iter().for_each(Outbox::wake);
        }
        self.due.lock().unwrap_or_else(PoisonError::into_inner).extend(outboxes);
        self.added.notify_one();
    }

    /// Wakes what is due, with a pause for other work behind each portion, until `stop`.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        loop {
            let due = std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
            for portion in due.chunks(policy::WAKES_AT_ONCE) {
                portion.iter().for_each(Outbox::wake);
                tokio::time::sleep(policy::WAKES_PAUSE).await;
            }
            if due.is_empty() && stop.run_until_cancelled(self.added.notified()).await.is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use skein_base::clock::Clock;
    use skein_base::tasks::Tasks;
    use skein_protocol::ids::ConnectionId;
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::super::{OutboxLimits, WriterAction};
    use super::*;

    fn outboxes(number: u64) -> Vec<Outbox> {
        let limits =
            OutboxLimits { waiting_bytes: 1000, most_bytes: 1000, pause_bytes: 1000, merge_bytes: 1000 };
        (0..number).map(|id| Outbox::new(ConnectionId(id), limits)).collect()
    }

    /// Takes a message of each, in tasks that sleep until they are woken, and gives back when.
    fn writers(tasks: &Tasks, outboxes: &[Outbox]) -> Vec<JoinHandle<(WriterAction, Instant)>> {
        let writer = |outbox: &Outbox| {
            let outbox = outbox.clone();
            tasks.spawn("writer", async move { (outbox.next().await, Clock.now()) })
        };
        outboxes.iter().map(writer).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_many_writers_is_woken_in_portions_with_a_pause_between_them() {
        let tasks = Tasks::new();
        let many = outboxes(policy::WAKES_AT_ONCE as u64 * 3);
        let writers = writers(&tasks, &many);
        // So every writer has had its first turn, and sleeps.
        for _ in &many {
            tokio::task::yield_now().await;
        }
        let (wakes, stop) = (Arc::new(LateWakes::default()), CancellationToken::new());
        let run = tasks.spawn("wakes", {
            let (wakes, stop) = (Arc::clone(&wakes), stop.clone());
            async move { wakes.run(stop).await }
        });
        let due: Vec<Outbox> = many.iter().filter(|outbox| outbox.push_later("a".into())).cloned().collect();
        assert_eq!(due.len(), many.len());
        assert!(!many[0].push_later("b".into()), "its writer is due already");
        wakes.wake(due);
        let mut woken = BTreeMap::new();
        for writer in writers {
            let (action, at) = writer.await.unwrap();
            assert!(matches!(action, WriterAction::Frames(frames) if !frames.is_empty()));
            *woken.entry(at).or_insert(0) += 1;
        }
        let (moments, numbers): (Vec<Instant>, Vec<usize>) = woken.into_iter().unzip();
        assert_eq!(numbers, [policy::WAKES_AT_ONCE; 3]);
        assert!(
            moments.is_sorted_by(|earlier, later| *earlier + policy::WAKES_PAUSE <= *later),
            "{moments:?}"
        );
        stop.cancel();
        run.await.unwrap();
    }

    #[tokio::test]
    async fn few_writers_need_no_task() {
        let few = outboxes(3);
        let writers = writers(&Tasks::new(), &few);
        tokio::task::yield_now().await;
        let due = few.iter().filter(|outbox| outbox.push_later("a".into())).cloned().collect();
        LateWakes::default().wake(due);
        for writer in writers {
            assert!(matches!(writer.await.unwrap().0, WriterAction::Frames(_)));
        }
    }
}
