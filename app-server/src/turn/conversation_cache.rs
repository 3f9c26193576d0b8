//! The conversations of loaded threads, as their models read them: a turn folds only the records that came since the last
//! turn. All of them together have a bound; beyond it the one that was used longest ago goes, and its thread's next turn
//! reads its rollout.
//!
//! The fold of a conversation stays here until its thread is unloaded, so the next turn folds only the records since: 4 MiB for a thread, 64 MiB
//! for all, the least recently used goes first. Without it (after a load, an edit of the history, a change of model) a turn reads the rollout
//! back to the last `compacted` record and the answer before that, and then forward page by page. `scripts/bench-turns` measured the time
//! from `turn/start` to the first byte of the request: 2.3 ms in a new thread, 2.9 ms after 100 turns, 6.6 ms after 1,000 (429 kB). Before the
//! cache these were 3.3, 7.3 and 40.5 ms in the same run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::rollout::record::TakenBack;

use super::conversation::{Conversation, Recipient};
use crate::policy;

/// A conversation, and all that it depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cached {
    /// The model that reads it.
    pub(crate) to: Recipient,
    /// The turns that were taken back.
    pub(crate) taken_back: Vec<TakenBack>,
    /// The last record in it.
    pub(crate) seq: EventSeq,
    /// The conversation.
    pub(crate) conversation: Conversation,
}

/// The cached conversations. Each is taken out by the turn that uses it.
#[derive(Debug, Default)]
pub(crate) struct ConversationCache(Mutex<Held>);

/// The place of a loaded thread's conversation.
#[derive(Debug)]
pub(crate) struct Slot {
    cache: Arc<ConversationCache>,
    thread: ThreadId,
}

impl Slot {
    /// Takes the conversation out.
    #[must_use]
    pub(crate) fn take(&self) -> Option<Cached> {
        self.cache.take(self.thread)
    }

    /// Keeps the conversation, unless it is too large.
    pub(crate) fn put(&self, cached: Cached) {
        self.cache.put(self.thread, cached);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.cache.take(self.thread);
    }
}

#[derive(Debug, Default)]
struct Held {
    threads: HashMap<ThreadId, Entry>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    cached: Cached,
    bytes: usize,
    used: u64,
}

impl Held {
    fn take(&mut self, thread: ThreadId) -> Option<Cached> {
        let entry = self.threads.remove(&thread)?;
        self.bytes -= entry.bytes;
        Some(entry.cached)
    }

    fn oldest(&self) -> Option<ThreadId> {
        self.threads.iter().min_by_key(|(_, entry)| entry.used).map(|(thread, _)| *thread)
    }
}

impl ConversationCache {
    /// Takes a thread's conversation out.
    fn take(&self, thread: ThreadId) -> Option<Cached> {
        self.lock().take(thread)
    }

    /// Keeps a thread's conversation, unless it is too large.
    fn put(&self, thread: ThreadId, cached: Cached) {
        let bytes = cached.conversation.bytes();
        let mut held = self.lock();
        held.take(thread);
        if bytes > policy::CONVERSATION_CACHED {
            return;
        }
        held.uses += 1;
        let used = held.uses;
        held.bytes += bytes;
        held.threads.insert(thread, Entry { cached, bytes, used });
        while held.bytes > policy::CONVERSATIONS_CACHED
            && let Some(oldest) = held.oldest()
        {
            held.take(oldest);
        }
    }

    /// The place of a loaded thread's conversation. It is forgotten when the place is dropped.
    #[must_use]
    pub(crate) fn slot(self: &Arc<Self>, thread: ThreadId) -> Arc<Slot> {
        Arc::new(Slot { cache: Arc::clone(self), thread })
    }

    /// How many conversations are kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.lock().threads.len()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing in here can break off half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::turn::UserInput;
    use uuid::Uuid;

    use super::*;

    fn thread(number: usize) -> ThreadId {
        ThreadId::new(Uuid::from_u128(number as u128))
    }

    fn of(bytes: usize) -> Cached {
        let conversation = Conversation::of_input(&[UserInput::text("w".repeat(bytes))]);
        let to = Recipient { provider: "p".into(), model: "m".into() };
        Cached { to, taken_back: Vec::new(), seq: EventSeq(1), conversation }
    }

    #[test]
    fn a_conversation_is_taken_out_once_and_forgotten_with_its_thread() {
        let cache = Arc::new(ConversationCache::default());
        let (first, second) = (cache.slot(thread(1)), cache.slot(thread(2)));
        first.put(of(10));
        second.put(of(10));
        assert_eq!(first.take(), Some(of(10)));
        assert_eq!(first.take(), None);
        drop(second);
        assert_eq!((cache.count(), cache.lock().bytes), (0, 0));
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = ConversationCache::default();
        let each = policy::CONVERSATION_CACHED - 1_000;
        let most = policy::CONVERSATIONS_CACHED / each;
        for number in 0..most {
            cache.put(thread(number), of(each));
        }
        assert_eq!(cache.count(), most);
        let first = cache.take(thread(0)).unwrap();
        cache.put(thread(0), first);
        cache.put(thread(most), of(each));
        assert_eq!((cache.count(), cache.take(thread(1))), (most, None));
        assert!(cache.take(thread(0)).is_some() && cache.take(thread(most)).is_some());
    }

    #[test]
    fn one_that_is_too_large_is_not_kept() {
        let cache = ConversationCache::default();
        cache.put(thread(1), of(10));
        cache.put(thread(1), of(policy::CONVERSATION_CACHED + 1));
        assert_eq!((cache.count(), cache.lock().bytes), (0, 0));
    }
}
