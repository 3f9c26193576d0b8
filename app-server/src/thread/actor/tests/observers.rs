//! Observers receive every event, keep no thread loaded, and are asked no questions.

use skein_protocol::extension::GapReason;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::TurnStatus;
use skein_store::rollout::RolloutStore;

use super::*;
use crate::thread::subscribers::Role;

#[tokio::test(start_paused = true)]
async fn an_observer_loads_nothing_and_holds_over_loads_and_unloads() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut observer = bench.client();
    let response = observer.observe(thread).await;
    assert_eq!((response.thread.turns.len(), response.thread.status), (1, ThreadStatus::NotLoaded));
    assert_eq!((bench.disk.loads(), bench.services.registry.handles().len()), (0, 0));
    for _ in 0..2 {
        let mut client = bench.client();
        client.resume(thread).await;
        client.turn(thread, "seen").await;
        client.disconnect();
        bench.gone(thread).await;
        observer.notified::<TurnStarted>().await;
        observer.notified::<TurnCompleted>().await;
    }
    assert_eq!(bench.services.subscribers.role(observer.id(), thread), Some(Role::Observer));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_of_a_loaded_thread_does_not_keep_it() {
    let bench = Bench::in_memory();
    let (client, thread) = bench.materialised().await;
    let mut observer = bench.client();
    observer.observe(thread).await;
    client.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_never_asked() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let mut observer = bench.client();
    observer.observe(thread).await;
    strings.ask("who?").await;
    client.asked().await;
    assert_eq!(observer.count(|m| matches!(m, Message::Question { .. })), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_meets_an_owner_gets_the_owners_view() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    // Both begin at the same moment. In either order the observer sees one turn, and receives the other.
    let (mut observer, mut client) = (bench.client(), bench.client());
    let observing = observer.ask_resume(thread, Role::Observer);
    client.ask_resume(thread, Role::Subscriber);
    client.input(thread, "meanwhile");
    let response = observer.answer::<skein_protocol::thread::ThreadResumeResponse>(observing).await.unwrap();
    client.notified::<TurnCompleted>().await;
    let seen = response.thread.turns.len();
    let notified = observer.count(Message::is::<TurnStarted>);
    assert_eq!(seen + notified, 2, "shown {seen}, notified of {notified}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_during_a_load_is_answered_after_it_and_keeps_nothing() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut observer, mut client) = (bench.client(), bench.client());
    client.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    let observing = observer.ask_resume(thread, Role::Observer);
    client.disconnect();
    bench.disk.release_loads();
    observer.answer::<skein_protocol::thread::ThreadResumeResponse>(observing).await.unwrap();
    bench.gone(thread).await;
    bench.finish().await;
}

/// Damage at the end uses up numbers without records.
#[tokio::test]
async fn an_observer_of_a_rollout_with_a_damaged_end_is_answered() {
    let bench = Bench::on_files();
    let thread: ThreadId = bench.stored().await;
    let mut bytes = bench.file(thread);
    bytes.extend_from_slice(b"damage\nand more\nand more\n");
    bench.overwrite(thread, &bytes);
    let response = bench.client().observe(thread).await;
    assert_eq!(response.thread.turns.len(), 1);
    bench.finish().await;
}

/// The next load begins another version of the history, which a client that continues by number would miss.
#[tokio::test]
async fn an_observer_that_has_seen_what_is_damaged_now_is_shown_the_whole() {
    let bench = Bench::on_files();
    let thread = bench.stored().await;
    let seen = bench.disk.head(thread).await.unwrap();
    let mut bytes = bench.file(thread);
    let last = bytes.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap();
    let end = bytes.len() - 1;
    bytes[end - last..end].fill(b'x');
    bench.overwrite(thread, &bytes);
    let mut observer = bench.client();
    let request = observer.ask_resume_from(thread, Role::Observer, (seen, Epoch(1)));
    let response = observer.answer::<skein_protocol::thread::ThreadResumeResponse>(request).await.unwrap();
    assert_eq!(response.skein.unwrap().gap.map(|gap| gap.reason), Some(GapReason::Damaged));
    assert_eq!(response.thread.turns.len(), 1);
    bench.finish().await;
}

/// The server was killed during a turn, and the thread was not loaded since.
#[tokio::test(start_paused = true)]
async fn an_observer_sees_what_nobody_runs_as_interrupted_by_number_too() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("so far").await;
    bench.within("a checkpoint", bench.disk.until_written("item.checkpoint", 1)).await;
    let after = bench.after_a_kill();
    let mut observer = after.client();
    let turn = observer.observe(thread).await.thread.turns.pop().unwrap();
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let from = (EventSeq(9), Epoch(1));
    let mut again = after.client();
    let request = again.ask_resume_from(thread, Role::Observer, from);
    again.answer::<skein_protocol::thread::ThreadResumeResponse>(request).await.unwrap();
    let ended = again.notified::<TurnCompleted>().await;
    assert_eq!((ended.turn.status, ended.turn.id), (TurnStatus::Interrupted, turn.id));
    assert_eq!(after.disk.loads(), 0);
    strings.end();
    client.notified::<TurnCompleted>().await;
    after.finish().await;
    bench.finish().await;
}
