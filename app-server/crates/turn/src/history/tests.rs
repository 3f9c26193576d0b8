//! A turn reads as far back as the conversation goes.

use skein_base::clock::WallMs;
use skein_protocol::item::ThreadItem;
use skein_provider::{Content, Entry};
use skein_store::home::Term;
use skein_store::rollout::memory::MemoryStore;
use skein_store::rollout::record::ItemCompleted;
use skein_store::rollout::{Keep, Lease, LogEntry};
use skein_store::testing::{THREAD, TestStore};

use super::*;
use crate::conversation_cache::ConversationCache;

const LAST: EventSeq = EventSeq(5);

/// A store with a thread of five messages.
async fn stored(said: [&str; 5]) -> Arc<MemoryStore> {
    let record = |(seq, text): (u64, &str)| {
        let item = ThreadItem::user_message(format!("u{seq}"), vec![UserInput::text(text)], None);
        let body = ItemCompleted { turn_id: "t".into(), item }.into();
        Record { seq: EventSeq(seq), at: WallMs(0), body }
    };
    let records = (1..).zip(said).map(record).collect();
    let store = Arc::new(MemoryStore::default());
    let lease = Lease { thread: THREAD, term: Term(1) };
    store.append(lease, EventSeq(0), LogEntry::of(records, Keep::Process)).await.unwrap();
    store
}

async fn read(store: Arc<dyn RolloutStore>) -> Vec<Entry> {
    let (done, written) = oneshot::channel();
    done.send(()).unwrap();
    let cached = Some(Arc::new(ConversationCache::default()).slot(THREAD));
    let rollout = StoredHistory {
        store,
        cached,
        thread: THREAD,
        from: None,
        taken_back: Vec::new(),
        last: LAST,
        written,
    };
    let mut history = HistorySource::Rollout(rollout);
    let to = Recipient { provider: "p".into(), model: "m".into() };
    history.read(&to, &[]).await.unwrap().unwrap().entries()
}

#[tokio::test]
async fn a_conversation_begins_with_its_first_message_however_many_bytes_follow() {
    let long = "x".repeat(6 << 20);
    let entries = read(stored(["my name is Bob", &long, &long, &long, "who am I?"]).await).await;
    assert_eq!(entries.len(), 5);
    assert_eq!(entries[0], Entry::User(vec![Content::Text("my name is Bob".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn a_turn_waits_for_a_storage_that_is_away() {
    let store = Arc::new(TestStore::over(stored(["a", "b", "c", "d", "e"]).await));
    store.stop_serving();
    let reads = read(Arc::clone(&store) as Arc<dyn RolloutStore>);
    tokio::pin!(reads);
    let long = std::time::Duration::from_secs(600);
    assert!(tokio::time::timeout(long, &mut reads).await.is_err(), "nothing can be read");
    store.serve_again();
    assert_eq!(reads.await.len(), 5);
}
