//! Evictions: the thread with the longest idle time is unloaded, and its subscribers stay.

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{
    ServerRequestResolved, ThreadClosed, ThreadStatusChanged, TurnCompleted,
};
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::eviction;

/// Starts the eviction task.
fn guarded(bench: &Bench) -> CancellationToken {
    let stop = CancellationToken::new();
    let room = eviction::run(Arc::clone(&bench.services), stop.clone());
    bench.services.tasks.spawn("pressure", room);
    stop
}

/// Waits until the client receives this status of the thread.
async fn received(client: &mut Client, thread: ThreadId, status: ThreadStatus) {
    let received = |message: &Message| {
        let changed = message.params::<ThreadStatusChanged>();
        changed.is_some_and(|changed| changed.thread_id == thread && changed.status == status)
    };
    client.take("the status", received).await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_thread_makes_room_and_comes_back_to_its_subscriber() {
    let bench = Bench::with(|config| config.limits.loaded_threads = Some(2));
    let stop = guarded(&bench);
    let (mut client, first) = bench.materialised().await;
    let (_other, second) = bench.materialised().await;
    // The first is used last.
    tokio::time::advance(Duration::from_secs(1)).await;
    client.turn(first, "again").await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (_newest, third) = bench.materialised().await;
    bench.gone(second).await;
    let mut loaded: Vec<ThreadId> = bench.services.registry.handles().iter().map(|h| h.id()).collect();
    loaded.sort();
    let mut expected = [first, third];
    expected.sort();
    assert_eq!(loaded, expected);
    assert_eq!(bench.services.counters.evicted.get(), 1);
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_of_a_thread_that_made_room_sees_it_go_and_come_with_any_request() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    for _ in 0..2 {
        bench.services.registry.handle(thread).unwrap().evict();
        received(&mut client, thread, ThreadStatus::NotLoaded).await;
        bench.gone(thread).await;
        assert!(bench.services.subscribers.role(client.id(), thread).is_some());
        let named = client.set_name(thread, "back");
        client.answer::<serde_json::Value>(named).await.unwrap();
        received(&mut client, thread, ThreadStatus::Idle).await;
        assert!(client.fence(thread).await, "it stays");
    }
    assert_eq!(client.turn(thread, "hello").await.turn.error, None);
    assert_eq!(client.count(Message::is::<ThreadClosed>), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_working_thread_is_evicted_only_when_it_is_done() {
    let bench = Bench::with(|config| config.limits.loaded_threads = Some(1));
    let stop = guarded(&bench);
    let (mut client, busy, strings) = bench.running().await;
    let (_other, new) = bench.started().await;
    client.fence(new).await;
    assert_eq!(bench.services.registry.handles().len(), 2, "one works, one has nothing to come back to");
    strings.end();
    client.notified::<TurnCompleted>().await;
    bench.gone(busy).await;
    assert_eq!(bench.services.counters.evicted.get(), 1);
    assert!(bench.services.counters.unrelieved.get() >= 1);
    stop.cancel();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn memory_above_its_limit_takes_idle_threads() {
    let bench = Bench::with(|config| config.limits.memory = Some(1 << 20));
    let (mut client, first) = bench.materialised().await;
    let (mut other, second) = bench.materialised().await;
    let stop = guarded(&bench);
    received(&mut client, first, ThreadStatus::NotLoaded).await;
    received(&mut other, second, ThreadStatus::NotLoaded).await;
    bench.gone(first).await;
    bench.gone(second).await;
    assert_eq!(bench.services.counters.evicted.get(), 2);
    stop.cancel();
    bench.finish().await;
}

/// A thread whose turn waits for the user's words.
async fn waiting(bench: &Bench) -> (Client, ThreadId, i64) {
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, "/ask who?");
    let question = client.asked().await;
    (client, thread, question)
}

#[tokio::test(start_paused = true)]
async fn threads_that_wait_for_an_answer_are_parked_before_idle_ones_are_unloaded() {
    let bench = Bench::with(|config| config.limits.loaded_threads = Some(2));
    let stop = guarded(&bench);
    let (_idle, idle) = bench.materialised().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (mut client, thread, question) = waiting(&bench).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let (_newest, _) = bench.materialised().await;
    bench.gone(thread).await;
    assert!(bench.services.registry.handle(idle).is_some());
    assert!(bench.services.subscribers.role(client.id(), thread).is_some(), "its subscriber stays");
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    let mut status = client.log.iter().filter_map(Message::params::<ThreadStatusChanged>);
    assert_eq!(status.rfind(|status| status.thread_id == thread).unwrap().status, waits);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0, "the question is still open");
    stop.cancel();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    client.say(question, Ok("me"));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}
