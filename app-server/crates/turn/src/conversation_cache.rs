//! The folded conversations of loaded threads. A turn folds only the records since the thread's last turn.
//!
//! A thread's conversation stays until the thread is unloaded: 4 MiB for a thread and 64 MiB for all, and the least
//! recently used goes first. Without a cached conversation (after a load, an edit of the history, a change of model) a
//! turn reads its rollout: back to the last `compacted` record and the answer before it, then forward page by page.
//!
//! `scripts/bench-turns` measured the time from `turn/start` to the first byte of the request: 2.3 ms in a new thread,
//! 2.9 ms after 100 turns, 6.6 ms after 1,000 (429 kB). Before the cache these were 3.3, 7.3 and 40.5 ms in the same
//! run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::rollout::record::TakenBack;

use super::conversation::{Conversation, Recipient};
use crate::policy;

/// A conversation, and everything that makes it stale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cached {
    pub(crate) to: Recipient,
    pub(crate) taken_back: Vec<TakenBack>,
    /// Number of the last folded record.
    pub(crate) seq: EventSeq,
    pub(crate) conversation: Conversation,
}

/// A turn takes its conversation out and puts the new one in.
#[derive(Debug, Default)]
pub struct ConversationCache(Mutex<CachedConversations>);

/// A loaded thread's slot. Its conversation is dropped with the slot.
#[derive(Debug)]
pub struct Slot {
    cache: Arc<ConversationCache>,
    thread: ThreadId,
}

impl Slot {
    #[must_use]
    pub(crate) fn take(&self) -> Option<Cached> {
        self.cache.take(self.thread)
    }

    /// Keeps the conversation unless it is too large.
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
struct CachedConversations {
    threads: HashMap<ThreadId, CachedConversation>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct CachedConversation {
    cached: Cached,
    bytes: usize,
    used: u64,
}

impl CachedConversations {
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
    fn take(&self, thread: ThreadId) -> Option<Cached> {
        self.lock().take(thread)
    }

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
        held.threads.insert(thread, CachedConversation { cached, bytes, used });
        while held.bytes > policy::CONVERSATIONS_CACHED
            && let Some(oldest) = held.oldest()
        {
            held.take(oldest);
        }
    }

    /// The slot of a thread that is loaded now.
    #[must_use]
    pub fn slot(self: &Arc<Self>, thread: ThreadId) -> Arc<Slot> {
        Arc::new(Slot { cache: Arc::clone(self), thread })
    }

    /// How many conversations are kept.
    #[cfg(any(test, feature = "testing"))]
    pub fn count(&self) -> usize {
        self.lock().threads.len()
    }

    fn lock(&self) -> MutexGuard<'_, CachedConversations> {
        // No update can stop half-way, so a poisoned lock still guards valid data.
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
