//! A storage on another machine that is away: threads keep what is new until it can be saved.

use std::time::Duration;

use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemStarted, ThreadClosed, TurnCompleted, TurnStarted, Warning,
};
use skein_protocol::thread::{ThreadForkParams, ThreadResumeResponse};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};

use super::model::Strings;
use super::*;
use crate::policy;
use crate::thread::event::Force;
use crate::thread::subscribers::Role;

/// Longer than any wait of a thread for its disk.
const OUTAGE: Duration = Duration::from_secs(600);

/// A turn that has something to save when the storage goes. Its client has been warned.
async fn cut_in_a_turn(bench: &Bench) -> (Client, (ThreadId, TurnId), Strings) {
    let (mut client, thread, strings) = bench.running().await;
    let turn = client.notified::<TurnStarted>().await.turn.id;
    bench.drained().await;
    bench.disk.cut(thread);
    strings.say("held").await;
    let warning = client.notified::<Warning>().await;
    assert!(warning.message.contains("the database is away"), "{}", warning.message);
    (client, (thread, turn), strings)
}

fn ends(client: &mut Client) -> usize {
    client.count(Message::is::<TurnCompleted>)
}

/// The end of a turn that lost nothing, with its number.
async fn saved_end(client: &mut Client, status: TurnStatus) {
    let end = client.take("the end of the turn", Message::is::<TurnCompleted>).await;
    let Message::Notice { stamp, .. } = &client.log[end] else { panic!("an end is a notification") };
    assert!(stamp.seq.is_some(), "it has a number");
    let completed = client.log[end].params::<TurnCompleted>().unwrap();
    assert_eq!((completed.turn.status, completed.skein), (status, None));
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_and_its_events_come_when_they_are_saved() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    let before = ends(&mut client);
    strings.end();
    bench.pass(OUTAGE).await;
    assert_eq!(ends(&mut client), before, "nothing of it is saved");
    assert_eq!(client.count(Message::is::<Warning>), 1);
    let more = client.input(thread, "more");
    assert_eq!(client.refusal(more).await, "storeUnavailable");
    let mut other = bench.client();
    let resume = other.ask_resume(thread, Role::Subscriber);
    assert_eq!(other.refusal(resume).await, "storeUnavailable");
    bench.disk.recover(thread);
    saved_end(&mut client, TurnStatus::Completed).await;
    other.resume(thread).await;
    assert_eq!(other.turn(thread, "more").await.turn.status, TurnStatus::Completed);
    let kinds = bench.kinds(thread).await;
    let turns: Vec<&str> =
        kinds.iter().map(String::as_str).filter(|kind| kind.starts_with("turn.")).collect();
    assert_eq!(turns, ["turn.started", "turn.completed"].repeat(3));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_in_front_of_the_outage_is_answered_when_it_is_saved() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.cut(thread);
    let request = client.input(thread, "hello");
    client.notified::<Warning>().await;
    bench.pass(OUTAGE).await;
    bench.disk.recover(thread);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    saved_end(&mut client, TurnStatus::Completed).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_interrupted_meanwhile_ends_so() {
    let bench = Bench::in_memory();
    let (mut client, (thread, turn), strings) = cut_in_a_turn(&bench).await;
    client.interrupt(thread, &turn);
    bench
        .within("the turn's end", async {
            while !strings.is_cut() {
                tokio::task::yield_now().await
            }
        })
        .await;
    bench.disk.recover(thread);
    saved_end(&mut client, TurnStatus::Interrupted).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_without_clients_stays_until_it_is_saved() {
    let bench = Bench::in_memory();
    let (client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    client.disconnect();
    bench.pass(OUTAGE).await;
    assert!(client.fence(thread).await, "the thread is loaded");
    bench.disk.recover(thread);
    bench.gone(thread).await;
    assert_eq!(bench.services.counters.unsaved_records.get(), 0);
    let response = bench.client().resume(thread).await;
    assert_eq!(response.thread.turns.last().unwrap().status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_with_force_waits_five_seconds_and_says_what_is_lost() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    let mut forcing = bench.client();
    let began = bench.services.clock.now();
    let unload = forcing.unload(thread, Force::Yes);
    forcing.answer::<serde_json::Value>(unload).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - began, Duration::from_secs(5));
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!(completed.skein.map(|skein| skein.saved), Some(false));
    assert!(client.closed().is_some(), "it knows an end that is not on disk");
    bench.disk.recover(thread);
    bench.finish().await;
}

/// Some of the records may be saved without an answer. The clients get them from the next owner, and the end of the turn as well.
#[tokio::test(start_paused = true)]
async fn what_waits_in_a_thread_that_another_server_may_have_is_shown_to_nobody() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    let shown = |client: &mut Client| {
        (
            ends(client),
            client.count(Message::is::<ItemStarted>),
            client.count(Message::is::<ItemAgentMessageDelta>),
        )
    };
    let before = shown(&mut client);
    strings.end();
    bench.services.registry.handle(thread).unwrap().lose();
    client.notified::<ThreadClosed>().await;
    bench.gone(thread).await;
    assert_eq!(shown(&mut client), before);
    bench.disk.recover(thread);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn turns_wait_when_all_threads_together_hold_too_much() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    let mut others = bench.services.backlog.share();
    others.set(policy::PUBLICATIONS_AWAY);
    let deltas = |client: &mut Client| client.count(Message::is::<ItemAgentMessageDelta>);
    let (before, mut pieces) = (deltas(&mut client), 0);
    // The clock stands still while the turn takes pieces.
    while tokio::time::timeout(Duration::from_secs(1), strings.say("x")).await.is_ok() {
        pieces += 1;
    }
    assert!(pieces < policy::TURN_REPORTS + skein_turn::policy::MODEL_EVENTS + 8, "{pieces}");
    drop(others);
    bench.disk.recover(thread);
    strings.end();
    saved_end(&mut client, TurnStatus::Completed).await;
    assert_eq!(deltas(&mut client), before + pieces + 1);
    assert_eq!(bench.services.backlog.share().of_all(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_waits_for_an_append_is_refused_when_the_storage_goes() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    client.notified::<TurnStarted>().await;
    bench.drained().await;
    bench.disk.hold_appends();
    strings.say("held").await;
    client.fence(thread).await;
    let mut other = bench.client();
    let resume = other.ask_resume(thread, Role::Subscriber);
    other.fence(thread).await;
    bench.disk.cut(thread);
    bench.disk.release_appends();
    assert_eq!(other.refusal(resume).await, "storeUnavailable");
    bench.disk.recover(thread);
    strings.end();
    saved_end(&mut client, TurnStatus::Completed).await;
    other.resume(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_hang_of_the_storage_is_waited_for_as_its_absence_is() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    bench.disk.hold_appends();
    strings.end();
    bench.pass(policy::WRITE_PATIENCE * 3).await;
    bench.disk.recover(thread);
    bench.disk.release_appends();
    saved_end(&mut client, TurnStatus::Completed).await;
    assert_eq!(client.count(Message::is::<Warning>), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_loaded_again_behind_lost_records_waits_for_nothing() {
    let bench = Bench::in_memory();
    let (client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    bench.disk.hold_loads();
    let (mut forcing, mut back) = (bench.client(), bench.client());
    let unload = forcing.unload(thread, Force::Yes);
    client.disconnect();
    let resume = back.ask_resume(thread, Role::Subscriber);
    forcing.answer::<serde_json::Value>(unload).await.unwrap();
    bench.disk.recover(thread);
    bench.disk.release_loads();
    back.answer::<ThreadResumeResponse>(resume).await.unwrap();
    back.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_leave_for_good_keeps_what_waits() {
    let bench = Bench::in_memory();
    let (client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    let mut leaving = bench.client();
    client.disconnect();
    let unload = leaving.unload(thread, Force::IfDeserted);
    assert_eq!(leaving.refusal(unload).await, "active");
    bench.disk.recover(thread);
    bench.gone(thread).await;
    assert_eq!(bench.services.counters.unsaved_records.get(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drains_leaves_the_thread_when_it_is_saved() {
    let bench = Bench::in_memory();
    let (_client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    bench.drain();
    bench.pass(OUTAGE).await;
    assert_eq!(bench.services.registry.handles().len(), 1);
    bench.disk.recover(thread);
    bench.gone(thread).await;
    assert_eq!(bench.services.counters.unsaved_records.get(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_resume_is_refused_keeps_no_thread() {
    let first = Bench::in_memory();
    let (_client, thread, strings) = first.running().await;
    strings.say("half").await;
    first.drained().await;
    first.disk.end_appends().await;
    let bench = first.after_a_kill();
    bench.disk.cut(thread);
    let mut client = bench.client();
    // Its load writes the end of the turn.
    let resume = client.ask_resume(thread, Role::Subscriber);
    assert_eq!(client.refusal(resume).await, "storeUnavailable");
    client.disconnect();
    bench.disk.recover(thread);
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn views_and_moves_are_refused_and_nothing_is_lost() {
    let bench = Bench::in_memory();
    let (mut client, (thread, _), strings) = cut_in_a_turn(&bench).await;
    strings.end();
    let mut observer = bench.client();
    let observes = observer.ask_resume(thread, Role::Observer);
    assert_eq!(observer.refusal(observes).await, "storeUnavailable");
    for move_asked in [Client::archive, Client::delete, Client::unarchive] {
        let moves = move_asked(&mut client, thread);
        assert_eq!(client.refusal(moves).await, "storeUnavailable");
    }
    bench.disk.recover(thread);
    saved_end(&mut client, TurnStatus::Completed).await;
    observer.observe(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_records_cannot_be_read_now_may_be_asked_for_again() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.stop_serving();
    let mut client = bench.client();
    let resume = client.ask_resume(thread, Role::Subscriber);
    let refused = client.answer::<ThreadResumeResponse>(resume).await.unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), ("storeUnavailable", Some(Duration::from_secs(1))));
    bench.disk.serve_again();
    client.resume(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_may_be_asked_for_again_if_it_was_not_made() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.cut(thread);
    let mut client = bench.client();
    // The first one is under way when the storage goes.
    for reason in ["forkUnknown", "storeUnavailable"] {
        let (fork, _) = client.ask_fork(ThreadForkParams::of(thread));
        assert_eq!(client.refusal(fork).await, reason);
    }
    bench.disk.recover(thread);
    client.fork(ThreadForkParams::of(thread)).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_waits_for_its_load_ends_when_its_server_loses_all_threads() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut client = bench.client();
    bench.disk.hold_appends();
    let (fork, copy) = client.ask_fork(ThreadForkParams::of(thread));
    bench.pass(Duration::from_secs(1)).await;
    bench.disk.stop_serving();
    bench.disk.release_appends();
    bench.pass(OUTAGE).await;
    bench.services.registry.handle(copy).unwrap().lose();
    assert_eq!(client.refusal(fork).await, "forkUnknown", "it is in the lists, when the storage is back");
    bench.gone(copy).await;
    bench.disk.serve_again();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_move_that_the_storage_cannot_do_now_may_be_asked_for_again() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.stop_serving();
    for move_asked in [Client::archive, Client::delete] {
        let moves = move_asked(&mut client, thread);
        assert_eq!(client.refusal(moves).await, "storeUnavailable");
        bench.disk.serve_again();
        client.resume(thread).await;
        bench.disk.stop_serving();
    }
    bench.disk.serve_again();
    let archive = client.archive(thread);
    client.answer::<serde_json::Value>(archive).await.unwrap();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_catches_up_stays_and_waits() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    for number in 0..policy::RECENT_EVENTS {
        client.set_name(thread, &number.to_string());
    }
    bench.drained().await;
    bench.disk.stop_serving();
    let mut late = bench.client();
    late.resume_from(thread, (EventSeq(0), Epoch(1))).await;
    bench.pass(OUTAGE).await;
    assert_eq!((late.count(Message::is::<TurnCompleted>), late.closed()), (0, None));
    bench.disk.serve_again();
    late.notified::<TurnCompleted>().await;
    bench.finish().await;
}
