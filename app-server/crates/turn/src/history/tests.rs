//! A turn reads as far back as the conversation goes.

use skein_base::clock::WallMs;
use skein_protocol::item::ThreadItem;
use skein_provider::{Content, Entry};
use skein_store::home::Term;
use skein_store::rollout::memory::MemoryStore;
use skein_store::rollout::record::ItemCompleted;
use skein_store::rollout::{Keep, Lease, LogEntry};
use skein_store::testing::THREAD;

use super::*;
use crate::conversation_cache::ConversationCache;

#[tokio::test]
async fn a_conversation_begins_with_its_first_message_however_many_bytes_follow() {
    let long = "x".repeat(6 << 20);
    let said = ["my name is Bob", &long, &long, &long, "who am I?"];
    let record = |(seq, text): (u64, &str)| {
        let item = ThreadItem::user_message(format!("u{seq}"), vec![UserInput::text(text)], None);
        let body = ItemCompleted { turn_id: "t".into(), item }.into();
        Record { seq: EventSeq(seq), at: WallMs(0), body }
    };
    let records = (1..).zip(said).map(record).collect();
    let store = Arc::new(MemoryStore::default());
    let lease = Lease { thread: THREAD, term: Term(1) };
    store.append(lease, EventSeq(0), LogEntry::of(records, Keep::Process)).await.unwrap();
    let (done, written) = oneshot::channel();
    done.send(()).unwrap();
    let cached = Arc::new(ConversationCache::default()).slot(THREAD);
    let (taken_back, last) = (Vec::new(), EventSeq(5));
    let rollout =
        StoredHistory { store, cached: Some(cached), thread: THREAD, from: None, taken_back, last, written };
    let mut history = HistorySource::Rollout(rollout);
    let to = Recipient { provider: "p".into(), model: "m".into() };
    let entries = history.read(&to, &[]).await.unwrap().unwrap().entries();
    assert_eq!(entries.len(), 5);
    assert_eq!(entries[0], Entry::User(vec![Content::Text("my name is Bob".to_owned())]));
}
