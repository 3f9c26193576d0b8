//! Clients that listen to events hear which questions wait, behind the list.

use std::sync::Arc;

use skein_protocol::notifications::SkeinQuestionsChanged;
use skein_protocol::question::{NeedsYou, SkeinQuestionsChangedNotification};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::outbox::OutboxLimits;
use crate::thread::question_feed;
use crate::thread::subscribers::ClientWishes;

/// The next change, and the number of the catalog that came with it.
async fn changed(client: &mut Client) -> SkeinQuestionsChangedNotification {
    client.notified::<SkeinQuestionsChanged>().await
}

#[tokio::test(start_paused = true)]
async fn a_listening_client_hears_of_each_change_and_a_plain_one_of_none() {
    let bench = Bench::in_memory();
    let stop = CancellationToken::new();
    let feed = question_feed::run(Arc::clone(&bench.services), stop.clone());
    bench.services.tasks.spawn("question feed", feed);
    let limits = OutboxLimits {
        waiting_bytes: 1 << 24,
        most_bytes: 1 << 26,
        pause_bytes: 1 << 23,
        merge_bytes: 1 << 23,
    };
    let mut plain = bench.client_as(ClientWishes::default(), limits);
    let mut bystander = bench.client();
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, "/ask Which one?");
    let question = client.asked().await;
    let asked = changed(&mut bystander).await;
    assert_eq!((asked.thread_id, asked.needs_you.questions, asked.needs_you.threads), (thread, 1, 1));
    assert_eq!(asked.open.iter().map(|open| open.id).collect::<Vec<_>>(), [question]);
    assert_eq!(asked.needs_you.oldest_at, Some(asked.open[0].asked_at));
    assert!(asked.open[0].expires_at > Some(asked.open[0].asked_at));
    client.say(question, Ok("the red one"));
    let answered = changed(&mut bystander).await;
    assert_eq!((answered.open, answered.needs_you), (Vec::new(), NeedsYou::default()));
    // A thread that is deleted while it waits.
    client.input(thread, "/ask And now?");
    client.asked().await;
    assert_eq!(changed(&mut bystander).await.needs_you.questions, 1);
    let deleted = client.delete(thread);
    client.answer::<serde_json::Value>(deleted).await.unwrap();
    assert_eq!(changed(&mut bystander).await.needs_you, NeedsYou::default());
    plain.received();
    assert_eq!(plain.count(Message::is::<SkeinQuestionsChanged>), 0);
    stop.cancel();
    bench.finish().await;
}
