//! A number says that its client knows everything up to it. Only such clients receive it.

use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::notifications::{ThreadNameUpdated, TurnCompleted};
use skein_protocol::thread::ThreadResumeResponse;
use skein_store::rollout::RolloutStore;

use super::*;
use crate::outbox::OutboxLimits;
use crate::thread::subscribers::{ClientWishes, Role};

const E: Epoch = Epoch(1);

/// A client that receives one event at a time, each after it has read the previous one.
fn slow_reader(bench: &Bench) -> Client {
    let wishes = ClientWishes { numbered: true, ..ClientWishes::default() };
    bench.client_as(
        wishes,
        OutboxLimits { waiting_bytes: 1 << 20, most_bytes: 1 << 20, pause_bytes: 0, merge_bytes: 1 << 20 },
    )
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().filter_map(Message::seq).map(|seq| seq.0).collect()
}

fn names(client: &mut Client) -> Vec<Option<EventSeq>> {
    client.received().iter().filter(|m| m.is::<ThreadNameUpdated>()).map(Message::seq).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_name_has_no_number_for_connections_without_a_subscription() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let mut stranger = bench.client();
    let named = client.set_name(thread, "new");
    client.answer::<serde_json::Value>(named).await.unwrap();
    client.notified::<ThreadNameUpdated>().await;
    assert!(matches!(names(&mut client)[..], [Some(_)]));
    assert_eq!(names(&mut stranger), [None], "who comes back from this number would miss the turn before it");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_name_does_not_overtake_what_a_client_is_catching_up_with() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.hold_reads();
    let mut back = bench.client();
    back.resume_from(thread, (EventSeq(0), E)).await;
    let named = client.set_name(thread, "new");
    client.answer::<serde_json::Value>(named).await.unwrap();
    client.notified::<ThreadNameUpdated>().await;
    bench.disk.release_reads();
    back.turn(thread, "second").await;
    let received = numbers(&back.log);
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    assert!(
        matches!(names(&mut back)[..], [None, Some(_)]),
        "as all connections receive it, and in its place"
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_again_during_a_catch_up_gets_each_event_once_from_there() {
    let bench = Bench::in_memory();
    let (_client, thread) = bench.materialised().await;
    let mut back = slow_reader(&bench);
    back.resume_from(thread, (EventSeq(0), E)).await;
    // The first catch-up holds an event and waits for room.
    bench.drained().await;
    let again = back.ask_resume_from(thread, Role::Subscriber, (EventSeq(0), E));
    back.answer::<ThreadResumeResponse>(again).await.unwrap();
    let answer = back.log.iter().position(|message| message.answers(again)).unwrap();
    back.turn(thread, "second").await;
    let received = numbers(&back.log[answer..]);
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_a_catch_up_gets_no_more_events() {
    let bench = Bench::in_memory();
    let (_client, thread) = bench.materialised().await;
    let mut back = slow_reader(&bench);
    back.resume_from(thread, (EventSeq(0), E)).await;
    bench.drained().await;
    back.unsubscribe(thread);
    let before = numbers(back.received());
    bench.drained().await;
    assert_eq!(numbers(back.received()), before);
    back.disconnect();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_resumes_again_during_a_catch_up_gets_each_event_once_from_there() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut observer = slow_reader(&bench);
    let first = observer.ask_resume_from(thread, Role::Observer, (EventSeq(0), E));
    observer.answer::<ThreadResumeResponse>(first).await.unwrap();
    bench.drained().await;
    let again = observer.ask_resume_from(thread, Role::Observer, (EventSeq(0), E));
    bench.drained().await;
    let response = observer.answer::<ThreadResumeResponse>(again).await.unwrap();
    let end = response.skein.unwrap().replay_to.unwrap();
    observer.take("the last event", |message| message.is::<TurnCompleted>()).await;
    let answer = observer.log.iter().position(|message| message.answers(again)).unwrap();
    let received = numbers(&observer.log[answer..]);
    assert!(
        received.is_sorted_by(|a, b| a < b) && received.len() > 5 && received.last() == Some(&end.0),
        "{received:?}"
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_view_of_unsaved_records_has_the_number_of_the_last_saved_one() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let saved = bench.disk.head(thread).await.unwrap();
    bench.disk.refuse(thread);
    let failed = client.input(thread, "unsaved");
    client.answer::<serde_json::Value>(failed).await.unwrap_err();
    let response = bench.client().resume(thread).await;
    assert_eq!(response.thread.turns.len(), 2);
    assert_eq!(
        response.skein.unwrap().seq,
        saved,
        "the number may be given to another event when this one is lost"
    );
    bench.disk.recover(thread);
    bench.finish().await;
}
