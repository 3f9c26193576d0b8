//! Messages with a client's id: each is taken once, and another text with the same id is another message.

use std::time::Duration;

use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_protocol::thread::ThreadForkParams;
use skein_protocol::turn::{TurnItemsView, TurnStartResponse, TurnStatus};
use skein_store::history::History;

use super::*;

/// Sends a message with the id `m-1`. Returns the turn of the answer.
async fn says(client: &mut Client, thread: ThreadId, text: &str) -> TurnId {
    let request = client.input_as(thread, text, Some("m-1"));
    client.answer::<TurnStartResponse>(request).await.unwrap().turn.id
}

#[tokio::test(start_paused = true)]
async fn another_message_by_the_id_of_an_earlier_one_begins_a_turn() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let first = says(&mut client, thread, "one").await;
    client.notified::<TurnCompleted>().await;
    let mut other = bench.client();
    other.resume(thread).await;
    let second = says(&mut other, thread, "two").await;
    assert_ne!(second, first);
    assert_eq!(other.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(says(&mut client, thread, "one").await, first, "the same message begins nothing");
    assert_eq!(says(&mut client, thread, "two").await, second, "nor does the other one");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_is_answered_with_the_time_at_which_its_turn_started() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let mut answered = Vec::new();
    for _ in 0..2 {
        let request = client.input_as(thread, "one", Some("m-1"));
        answered.push(client.answer::<TurnStartResponse>(request).await.unwrap().turn.started_at);
    }
    let started = client.notified::<TurnStarted>().await.turn.started_at;
    assert!(started.is_some());
    assert_eq!(answered, [None, started]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_takes_the_messages_that_its_origin_has_taken() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let first = says(&mut client, thread, "one").await;
    client.notified::<TurnCompleted>().await;
    let fork = client.fork(ThreadForkParams::of(thread)).await.thread.id;
    assert_ne!(says(&mut client, fork, "one").await, first);
    client.unsubscribe(fork);
    bench.gone(fork).await;
    client.resume(fork).await;
    assert_ne!(says(&mut client, fork, "one").await, first);
    bench.finish().await;
}

/// The turns on disk: the status of each, and the number of its user messages.
async fn on_disk(bench: &Bench, thread: ThreadId) -> Vec<(TurnStatus, usize)> {
    let history = History::read(bench.disk.as_ref(), thread).await.unwrap();
    let of_user = |turn: &Turn| {
        turn.items.iter().filter(|item| matches!(item.body, ThreadItemBody::UserMessage(_))).count()
    };
    history.turns(TurnItemsView::Full).iter().map(|turn| (turn.status, of_user(turn))).collect()
}

/// Sends a message once the disk works again, and waits for the end of its turn.
async fn says_when_well(bench: &Bench, client: &mut Client, thread: ThreadId, text: &str) -> TurnId {
    bench.disk.recover(thread);
    bench.pass(Duration::from_mins(1)).await;
    let turn = says(client, thread, text).await;
    let done = client.notified::<TurnCompleted>().await.turn;
    assert_eq!((&done.id, done.status), (&turn, TurnStatus::Completed));
    turn
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_disk_refused_is_answered_when_it_is_sent_again() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.refuse(thread);
    let request = client.input_as(thread, "one", Some("m-1"));
    let error = client.answer::<TurnStartResponse>(request).await.unwrap_err();
    assert!(error.message.contains("clientUserMessageId"), "{}", error.message);
    let failed = client.notified::<TurnCompleted>().await;
    assert_eq!((failed.turn.status, failed.skein.map(|turn| turn.saved)), (TurnStatus::Failed, Some(false)));
    let again = says_when_well(&bench, &mut client, thread, "one").await;
    assert_ne!(again, failed.turn.id);
    let turns = [(TurnStatus::Completed, 1), (TurnStatus::Failed, 1), (TurnStatus::Completed, 0)];
    assert_eq!(on_disk(&bench, thread).await, turns, "the message is there once");
    assert_eq!(says(&mut client, thread, "one").await, again, "now it is taken");
    client.unsubscribe(thread);
    bench.gone(thread).await;
    client.resume(thread).await;
    assert_eq!(says(&mut client, thread, "one").await, again, "also after a load");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_broke_off_unsaved_goes_on_when_its_message_is_sent_again() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let failed = says(&mut client, thread, model::PUPPET).await;
    let strings = bench.strings().await;
    strings.say("half").await;
    bench.disk.refuse(thread);
    let ended = client.notified::<TurnCompleted>().await;
    assert_eq!((ended.turn.id, ended.turn.status), (failed.clone(), TurnStatus::Failed));
    bench.disk.recover(thread);
    bench.pass(Duration::from_mins(1)).await;
    assert_ne!(says(&mut client, thread, model::PUPPET).await, failed);
    bench.strings().await.end();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let turns = [(TurnStatus::Completed, 1), (TurnStatus::Failed, 1), (TurnStatus::Completed, 0)];
    assert_eq!(on_disk(&bench, thread).await, turns);
    let kinds = bench.kinds(thread).await;
    assert!(kinds.iter().any(|kind| kind == "items.injected"), "the model gets a note: {kinds:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unsaved_message_is_sent_anew_behind_a_later_message() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.refuse(thread);
    let request = client.input_as(thread, "one", Some("m-1"));
    assert_eq!(client.refusal(request).await, "notSaved");
    client.notified::<TurnCompleted>().await;
    bench.disk.recover(thread);
    bench.pass(Duration::from_mins(1)).await;
    client.turn(thread, "other").await;
    let again = says_when_well(&bench, &mut client, thread, "one").await;
    assert_eq!(on_disk(&bench, thread).await.last(), Some(&(TurnStatus::Completed, 1)));
    assert_eq!(says(&mut client, thread, "one").await, again);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_end_is_not_saved_has_failed_for_everybody() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let failed = says(&mut client, thread, model::PUPPET).await;
    let strings = bench.strings().await;
    bench.drained().await;
    bench.disk.hold_appends();
    strings.say("an answer").await;
    strings.end();
    bench.pass(crate::policy::WRITE_PATIENCE * 2).await;
    let ends =
        |message: &Message| message.params::<TurnCompleted>().is_some_and(|done| done.turn.id == failed);
    let at = client.take("the end of the turn", ends).await;
    let ended = client.log[at].params::<TurnCompleted>().unwrap();
    assert_eq!((ended.turn.status, ended.skein.map(|turn| turn.saved)), (TurnStatus::Failed, Some(false)));
    assert!(ended.turn.error.is_some());
    bench.disk.release_appends();
    bench.pass(crate::policy::WRITE_PATIENCE * 2).await;
    assert_eq!(on_disk(&bench, thread).await.last(), Some(&(TurnStatus::Failed, 1)));
    assert_ne!(says(&mut client, thread, model::PUPPET).await, failed, "nobody has an answer to it");
    bench.finish().await;
}
