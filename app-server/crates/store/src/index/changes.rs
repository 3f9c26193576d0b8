//! Tracks the rows that have changed, for data that is derived from rows and rollouts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::ThreadId;
use tokio::sync::Notify;

/// The changes. Keeps nothing before the first [`listen`](Changes::listen).
#[derive(Debug, Default)]
pub struct Changes {
    noted: Mutex<Option<Noted>>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Noted {
    last: u64,
    threads: BTreeMap<ThreadId, ThreadChange>,
}

#[derive(Debug, Clone, Copy)]
struct ThreadChange {
    number: u64,
    /// Whether it was read and not fully taken in. It stays so until the next change.
    seen: bool,
}

impl Changes {
    fn noted(&self) -> MutexGuard<'_, Option<Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts keeping changes.
    pub fn listen(&self) {
        self.noted().get_or_insert_default();
    }

    /// Notes that a thread's row was set or removed.
    pub fn note(&self, thread: ThreadId) {
        if let Some(noted) = &mut *self.noted() {
            noted.last += 1;
            noted.threads.insert(thread, ThreadChange { number: noted.last, seen: false });
            self.more.notify_one();
        }
    }

    /// Wakes the listener, even without a change.
    pub fn wake(&self) {
        self.more.notify_one();
    }

    /// Returns after a change, or soon after that.
    pub async fn changed(&self) {
        self.more.notified().await;
    }

    /// Every thread with a change that is not taken in.
    pub fn behind(&self) -> Vec<ThreadId> {
        self.noted().as_ref().map(|noted| noted.threads.keys().copied().collect()).unwrap_or_default()
    }

    /// At most `most` threads that were not read since their change, each with the change's number.
    pub fn waiting(&self, most: usize) -> Vec<(ThreadId, u64)> {
        let noted = self.noted();
        let threads = noted.iter().flat_map(|noted| &noted.threads).filter(|(_, change)| !change.seen);
        threads.take(most).map(|(thread, change)| (*thread, change.number)).collect()
    }

    /// Notes that the thread was read as of this change; `all` says that everything in its row was taken in. It stays
    /// behind otherwise, or if it has changed meanwhile.
    pub fn taken_in(&self, thread: ThreadId, number: u64, all: bool) {
        let mut noted = self.noted();
        let Some(threads) = noted.as_mut().map(|noted| &mut noted.threads) else { return };
        if threads.get(&thread).is_none_or(|change| change.number != number) {
            return;
        }
        if all {
            threads.remove(&thread);
        } else {
            threads.insert(thread, ThreadChange { number, seen: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::ids::ThreadId;
    use uuid::Uuid;

    use super::*;

    fn thread(n: u128) -> ThreadId {
        ThreadId::new(Uuid::from_u128(n))
    }

    #[test]
    fn nothing_is_kept_before_somebody_listens() {
        let changes = Changes::default();
        changes.note(thread(1));
        changes.listen();
        assert_eq!(changes.behind(), []);
        changes.note(thread(2));
        changes.listen();
        assert_eq!(changes.behind(), [thread(2)]);
    }

    #[test]
    fn a_row_that_changes_while_it_is_taken_in_stays_behind() {
        let changes = Changes::default();
        changes.listen();
        changes.note(thread(1));
        changes.note(thread(2));
        let waiting = changes.waiting(10);
        changes.note(thread(1));
        for (thread, number) in waiting {
            changes.taken_in(thread, number, true);
        }
        assert_eq!(changes.behind(), [thread(1)]);
        assert_eq!(changes.waiting(10).len(), 1);
    }

    #[test]
    fn a_row_taken_in_in_part_is_behind_and_waits_for_its_next_change() {
        let changes = Changes::default();
        changes.listen();
        changes.note(thread(1));
        let [(thread, number)] = changes.waiting(10)[..] else { panic!("one") };
        changes.taken_in(thread, number, false);
        assert_eq!((changes.behind(), changes.waiting(10)), (vec![thread], vec![]));
        changes.note(thread);
        assert_eq!(changes.waiting(10).len(), 1);
    }
}
