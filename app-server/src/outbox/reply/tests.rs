use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use serde::Serializer;

use super::*;
use crate::outbox::{Next, OutboxLimits};

/// A text that notes which thread has serialised it last.
struct Noted(String, Arc<Mutex<Option<ThreadId>>>);

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        *self.1.lock().unwrap() = Some(thread::current().id());
        to.serialize_str(&self.0)
    }
}

/// The answer of so many letters, and whether the thread of the caller has made it.
async fn answered(letters: usize, most: usize) -> (String, bool) {
    let limits =
        OutboxLimits { waiting_bytes: 1, most_bytes: usize::MAX, pause_bytes: 1, merge_bytes: usize::MAX };
    let (outbox, by) = (Outbox::new(ConnectionId(1), limits), Arc::new(Mutex::new(None)));
    let reply = Reply::new(outbox.clone(), RequestId::Integer(1), "a/method", None);
    let response = Noted("x".repeat(letters), Arc::clone(&by));
    let too_large = || WireError::internal("tooLarge", "too large");
    reply.send_within(&Tasks::new(), most, response, too_large).await;
    let Next::Frames(frames) = outbox.next().await else { panic!("an answer") };
    (frames[0].to_string(), *by.lock().unwrap() == Some(thread::current().id()))
}

#[tokio::test]
async fn a_large_answer_is_not_made_on_the_thread_that_serves_others() {
    let most = 1 << 20;
    let (short, here) = answered(10, most).await;
    assert_eq!((short.as_str(), here), (r#"{"id":1,"result":"xxxxxxxxxx"}"#, true));
    let (large, here) = answered(policy::ANSWER_AT_ONCE, most).await;
    assert_eq!(large.len(), policy::ANSWER_AT_ONCE + r#"{"id":1,"result":""}"#.len());
    assert!(!here);
    for (letters, most) in [(100, 50), (most, most)] {
        assert!(answered(letters, most).await.0.contains("tooLarge"));
    }
}
