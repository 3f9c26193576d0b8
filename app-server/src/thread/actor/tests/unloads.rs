//! Unloads in every state, which never lose a waiting request.

use std::time::Duration;

use skein_config::RunningOrphans;
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::notifications::{ThreadClosed, ThreadNameUpdated, ThreadStatusChanged, TurnCompleted};
use skein_protocol::thread::{ThreadResumeResponse, ThreadStatus};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};

use super::*;
use crate::thread::event::Force;
use crate::thread::subscribers::Role;

#[tokio::test(start_paused = true)]
async fn a_thread_is_unloaded_though_its_mailbox_is_full_at_the_disconnect() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    for number in 0..200 {
        client.set_name(thread, &number.to_string());
    }
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.registry.handles().len(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_a_closing_mailbox_holds_are_answered_by_the_next_owner() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let (mut leaving, mut client) = (bench.client(), bench.client());
    leaving.resume(thread).await;
    // The owner finds both at once: it unloads first, within the same step.
    leaving.disconnect();
    let named = client.set_name(thread, "handed on");
    let resumed = client.ask_resume(thread, Role::Subscriber);
    client.answer::<serde_json::Value>(named).await.unwrap();
    let response = client.answer::<ThreadResumeResponse>(resumed).await.unwrap();
    assert_eq!(client.notified::<ThreadNameUpdated>().await.thread_name.as_deref(), Some("handed on"));
    assert_eq!((response.thread.id, bench.disk.loads()), (thread, 2));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn resumes_during_an_unload_wait_for_it_and_load_once() {
    let bench = Bench::in_memory();
    let (client, thread) = bench.materialised().await;
    let mut watcher = bench.client();
    bench.disk.hold_appends();
    client.disconnect();
    client.fence(thread).await;
    let mut clients: Vec<Client> = (0..50).map(|_| bench.client()).collect();
    let asked: Vec<i64> = clients.iter_mut().map(|c| c.ask_resume(thread, Role::Subscriber)).collect();
    watcher.fence(thread).await;
    assert_eq!(clients[49].received().len(), 0, "answered by a thread on its way out");
    bench.disk.release_appends();
    for (client, request) in clients.iter_mut().zip(asked) {
        client.answer::<ThreadResumeResponse>(request).await.unwrap();
        assert_eq!(client.count(Message::is::<ThreadClosed>), 0);
    }
    assert_eq!(bench.disk.loads(), 1);
    assert_eq!(
        watcher.count(Message::is::<ThreadClosed>),
        0,
        "an unload that turns into a load closes nothing"
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_during_the_unload_of_a_thread_that_was_never_written_finds_it() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    client.set_name(thread, "kept");
    let mut resuming = bench.client();
    let unload = client.unload(thread, Force::Yes);
    let resumed = resuming.ask_resume(thread, Role::Subscriber);
    client.answer::<SkeinThreadUnloadResponse>(unload).await.unwrap();
    let response = resuming.answer::<ThreadResumeResponse>(resumed).await.unwrap();
    assert_eq!(response.thread.name.as_deref(), Some("kept"));
    resuming.turn(thread, "hello").await;
    assert!(bench.kinds(thread).await.contains(&"thread.named".to_owned()));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_is_published_even_if_the_unload_turns_into_a_load() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let mut forcing = bench.client();
    strings.say("half a wo").await;
    client.fence(thread).await;
    bench.disk.hold_appends();
    let unload = forcing.unload(thread, Force::Yes);
    let mut resuming = bench.client();
    let resumed = resuming.ask_resume(thread, Role::Subscriber);
    resuming.fence(thread).await;
    bench.disk.release_appends();
    let zero = forcing.answer::<SkeinThreadUnloadResponse>(unload).await.unwrap();
    assert_eq!(zero.state, UnloadOutcome::Unloaded);
    resuming.answer::<ThreadResumeResponse>(resumed).await.unwrap();
    let completed = client.notified::<TurnCompleted>().await.turn;
    assert_eq!(completed.status, TurnStatus::Interrupted);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn closed_reaches_other_connections_and_never_subscribers() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let (mut stranger, mut observer, mut forcing) = (bench.client(), bench.client(), bench.client());
    observer.observe(thread).await;
    let unload = forcing.unload(thread, Force::Yes);
    forcing.answer::<SkeinThreadUnloadResponse>(unload).await.unwrap();
    stranger.notified::<ThreadClosed>().await;
    for subscribed in [&mut client, &mut observer] {
        let gone = |m: &Message| {
            m.params::<ThreadStatusChanged>().is_some_and(|changed| changed.status == ThreadStatus::NotLoaded)
        };
        subscribed.take("the status", gone).await;
        assert_eq!(subscribed.count(Message::is::<ThreadClosed>), 0);
    }
    // The subscription stays, and its next input loads the thread again.
    let request = client.input(thread, "again");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    assert_eq!(bench.disk.loads(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_without_force_is_refused_while_the_thread_is_active_or_shared() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let request = client.unload(thread, Force::No);
    assert_eq!(client.refusal(request).await, "active");
    strings.end();
    client.notified::<TurnCompleted>().await;
    let mut other = bench.client();
    other.resume(thread).await;
    let request = client.unload(thread, Force::No);
    assert_eq!(client.refusal(request).await, "subscribed");
    other.unsubscribe(thread);
    let request = client.unload(thread, Force::No);
    client.answer::<SkeinThreadUnloadResponse>(request).await.unwrap();
    assert!(bench.services.subscribers.role(client.id(), thread).is_none(), "who asks leaves with it");
    let again = client.unload(thread, Force::No);
    let found = client.answer::<SkeinThreadUnloadResponse>(again).await.unwrap();
    assert_eq!(found.state, UnloadOutcome::NotLoaded);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_turn_outlives_its_client_and_the_thread_unloads_after_it() {
    let bench = Bench::in_memory();
    let (client, thread, strings) = bench.running().await;
    client.disconnect();
    assert!(client.fence(thread).await);
    tokio::time::advance(Duration::from_hours(1)).await;
    assert!(client.fence(thread).await, "still there after an hour");
    strings.say("to its end").await;
    strings.end();
    bench.gone(thread).await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[kinds.len() - 3..], ["item.completed", "turn.completed", "thread.closed"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_may_not_go_on_alone_is_interrupted_when_its_client_leaves() {
    let bench = Bench::with(|config| config.orphans.running = RunningOrphans::Interrupt);
    let (client, thread, strings) = bench.running().await;
    strings.say("half a wo").await;
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now(), left, "at once");
    let resumed = bench.client().resume(thread).await;
    assert_eq!(resumed.thread.turns.last().unwrap().status, TurnStatus::Interrupted);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_goes_on_alone_ends_at_its_limit() {
    let limit = Duration::from_mins(90);
    let bench = Bench::with(|config| config.orphans.running_limit = Some(limit));
    let (client, thread, _strings) = bench.running().await;
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - left, limit);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_without_a_message_is_kept_for_its_grace_and_then_dropped() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let request = client.set_name(thread, "kept");
    client.answer::<serde_json::Value>(request).await.unwrap();
    client.disconnect();
    let grace = bench.services.config().unload.unmaterialised_grace;
    tokio::time::advance(grace / 2).await;
    let mut client = bench.client();
    assert_eq!(client.resume(thread).await.thread.name.as_deref(), Some("kept"));
    assert_eq!(bench.disk.loads(), 0, "it was still in memory");
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now() - left, grace);
    assert!(
        !skein_store::rollout::RolloutStore::exists(&*bench.disk, thread).await.unwrap(),
        "nothing was written"
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_thread_before_its_first_message_are_written_with_it() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let request = client.set_name(thread, "early");
    client.answer::<serde_json::Value>(request).await.unwrap();
    assert!(!skein_store::rollout::RolloutStore::exists(&*bench.disk, thread).await.unwrap());
    client.turn(thread, "hello").await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[..4], ["thread.opened", "thread.created", "thread.named", "turn.started"]);
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.client().resume(thread).await.thread.name.as_deref(), Some("early"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_thread_writes_nothing_and_is_gone_at_once_with_its_turn() {
    let bench = Bench::in_memory();
    let (mut client, mut stranger) = (bench.client(), bench.client());
    let thread = client.start_ephemeral().await;
    client.turn(thread, "hello").await;
    client.input(thread, model::PUPPET);
    let _strings = bench.strings().await;
    let left = bench.services.clock.now();
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now(), left, "at once");
    assert!(!skein_store::rollout::RolloutStore::exists(&*bench.disk, thread).await.unwrap());
    assert_eq!(stranger.received().len(), 0, "no other client is notified");
    assert_eq!(bench.services.index.get(thread).await.unwrap(), None);
    bench.finish().await;
}
