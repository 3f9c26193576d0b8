//! A failing disk: the thread reports it, other threads go on, and everything is in order when the disk works again.

use std::time::Duration;

use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_protocol::thread::{ThreadResumeResponse, ThreadRevertResponse};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};

use super::*;
use crate::thread::command::{Edit, RevertTo};

/// The seq of the last notification of a kind.
fn number_of_last_end(client: &Client) -> Option<skein_protocol::ids::EventSeq> {
    let ends = client.log.iter().rev().find(|message| message.is::<TurnCompleted>());
    match ends {
        Some(Message::Notice { stamp, .. }) => stamp.seq,
        Some(Message::Answer { .. } | Message::Question { .. }) | None => None,
    }
}

/// Lets time pass until the thread takes input again.
async fn input_when_well(client: &mut Client, thread: ThreadId) -> TurnStartResponse {
    for _ in 0..60 {
        let request = client.input(thread, "well again");
        match client.answer::<TurnStartResponse>(request).await {
            Ok(response) => return response,
            Err(error) => assert_eq!(error.data.unwrap().reason, "notSaved"),
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    panic!("the thread does not recover");
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_records_are_refused_fails_unsaved_and_the_thread_recovers_in_order() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let (mut other, unharmed) = bench.materialised().await;
    bench.disk.refuse(thread);
    strings.say("lost?").await;
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!(completed.turn.status, TurnStatus::Failed);
    assert_eq!(completed.skein.map(|skein| skein.saved), Some(false));
    assert_eq!(number_of_last_end(&client), None, "a number for what is not on disk");
    let refused = client.input(thread, "more");
    let error = client.answer::<TurnStartResponse>(refused).await.unwrap_err();
    assert!(error.message.contains("disk is full"), "{}", error.message);
    let named = client.set_name(thread, "more");
    assert_eq!(client.refusal(named).await, "notSaved");
    assert_eq!(other.turn(unharmed, "unharmed").await.turn.status, TurnStatus::Completed);
    bench.disk.recover(thread);
    input_when_well(&mut client, thread).await;
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!((completed.turn.status, completed.skein), (TurnStatus::Completed, None));
    assert!(number_of_last_end(&client).is_some());
    let kinds = bench.kinds(thread).await;
    let turns: Vec<&str> =
        kinds.iter().map(String::as_str).filter(|kind| kind.starts_with("turn.")).collect();
    assert_eq!(turns, ["turn.started", "turn.completed"].repeat(3));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_slow_makes_nothing_fail() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    bench.drained().await;
    bench.disk.hold_appends();
    strings.say("late").await;
    strings.end();
    bench.pass(Duration::from_secs(20)).await;
    let request = client.input(thread, "more");
    bench.pass(Duration::from_secs(9)).await;
    bench.disk.release_appends();
    client.answer::<TurnStartResponse>(request).await.unwrap();
    for _ in 0..2 {
        let completed = client.notified::<TurnCompleted>().await;
        assert_eq!((completed.turn.status, completed.skein), (TurnStatus::Completed, None));
    }
    assert!(number_of_last_end(&client).is_some());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_taken_back_before_its_end_is_refused_does_not_end_again() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    bench.drained().await;
    bench.disk.hold_appends();
    strings.say("late").await;
    strings.end();
    bench.pass(Duration::from_secs(1)).await;
    let revert = client.edit(thread, |reply| Edit::Revert(RevertTo::AllBut(1), reply));
    bench.pass(crate::policy::WRITE_PATIENCE).await;
    bench.disk.release_appends();
    client.answer::<ThreadRevertResponse>(revert).await.unwrap_err();
    input_when_well(&mut client, thread).await;
    let kinds = bench.kinds(thread).await;
    let reverted = kinds.iter().position(|kind| kind == "reverted").unwrap();
    assert_eq!(kinds.get(reverted + 1).map(String::as_str), Some("turn.started"), "{kinds:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_before_a_turns_end_is_refused_hears_that_the_turn_failed() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    bench.drained().await;
    bench.disk.hold_appends();
    strings.say("late").await;
    strings.end();
    bench.pass(Duration::from_secs(1)).await;
    let mut other = bench.client();
    let resume = other.ask_resume(thread, crate::thread::subscribers::Role::Subscriber);
    bench.pass(crate::policy::WRITE_PATIENCE).await;
    let resumed = other.answer::<ThreadResumeResponse>(resume).await.unwrap();
    assert_eq!(resumed.thread.turns.last().unwrap().status, TurnStatus::Completed);
    for listener in [&mut client, &mut other] {
        assert_eq!(listener.notified::<TurnCompleted>().await.turn.status, TurnStatus::Failed);
        let failed =
            |m: &Message| m.params::<TurnCompleted>().is_some_and(|c| c.turn.status == TurnStatus::Failed);
        assert_eq!(listener.count(failed), 1);
    }
    bench.disk.release_appends();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_takes_its_thread_out_until_it_does() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    bench.disk.hold_appends();
    let held = bench.services.clock.now();
    strings.say("hanging").await;
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!(bench.services.clock.now() - held, crate::policy::WRITE_PATIENCE);
    assert_eq!((completed.turn.status, completed.skein.map(|s| s.saved)), (TurnStatus::Failed, Some(false)));
    let refused = client.input(thread, "more");
    assert_eq!(client.refusal(refused).await, "notSaved");
    bench.disk.release_appends();
    input_when_well(&mut client, thread).await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_start_is_refused_is_answered_with_the_reason() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.refuse(thread);
    let request = client.input(thread, model::PUPPET);
    assert_eq!(client.refusal(request).await, "notSaved");
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!(completed.turn.status, TurnStatus::Failed);
    bench.disk.recover(thread);
    input_when_well(&mut client, thread).await;
    assert!(client.count(Message::is::<TurnStarted>) >= 2);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_gives_a_dead_disk_five_seconds_and_counts_what_is_lost() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    bench.disk.refuse(thread);
    strings.say("lost").await;
    client.notified::<TurnCompleted>().await;
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - left, Duration::from_secs(5));
    assert!(bench.services.counters.unsaved_records.get() >= 3, "item, its end, the turn's end");
    bench.disk.recover(thread);
    let response = bench.client().resume(thread).await;
    assert_eq!(response.thread.turns.last().unwrap().status, TurnStatus::Interrupted);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_during_an_unload_with_a_dead_disk_gets_what_the_disk_has() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    bench.disk.refuse(thread);
    strings.say("lost").await;
    client.notified::<TurnCompleted>().await;
    client.disconnect();
    client.fence(thread).await;
    let mut back = bench.client();
    let request = back.ask_resume(thread, crate::thread::subscribers::Role::Subscriber);
    back.fence(thread).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    bench.disk.recover(thread);
    back.answer::<skein_protocol::thread::ThreadResumeResponse>(request).await.unwrap();
    assert_eq!(back.turn(thread, "well again").await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_in_a_turn_is_given_up_at_the_unload_with_the_turn() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    bench.disk.hold_appends();
    strings.say("hanging").await;
    let mut forcing = bench.client();
    let unload = forcing.unload(thread, crate::thread::event::Force::Yes);
    forcing.answer::<serde_json::Value>(unload).await.unwrap();
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!(completed.skein.map(|skein| skein.saved), Some(false));
    bench.gone(thread).await;
    bench.disk.release_appends();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_outlives_an_unload_with_lost_records_is_disconnected() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    bench.disk.refuse(thread);
    strings.say("lost").await;
    client.notified::<TurnCompleted>().await;
    let mut forcing = bench.client();
    let unload = forcing.unload(thread, crate::thread::event::Force::Yes);
    forcing.answer::<serde_json::Value>(unload).await.unwrap();
    bench.gone(thread).await;
    assert!(client.closed().is_some(), "it knows a turn's end that is not on disk");
    assert_eq!(forcing.closed(), None);
    bench.disk.recover(thread);
    let resumed = forcing.resume(thread).await.thread;
    assert_eq!(resumed.turns.last().unwrap().status, TurnStatus::Interrupted);
    bench.finish().await;
}
