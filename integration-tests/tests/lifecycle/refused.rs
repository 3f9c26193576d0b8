//! `skein/thread/unload` answers after the last process has stopped, and refuses while the thread is in use.

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_protocol::error::{INVALID_REQUEST, WireError};
use skein_protocol::extension::{SkeinThreadUnloadParams, UnloadOutcome};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinThreadUnload, ThreadFork, ThreadResume, ThreadStart, TurnStart};
use skein_protocol::notifications::ThreadClosed;
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadForkParams, ThreadStartParams};
use skein_protocol::turn::TurnStatus;
use uuid::Uuid;

async fn refused(client: &mut Client, thread: ThreadId) -> Result<WireError> {
    client.refusal::<SkeinThreadUnload>(SkeinThreadUnloadParams { thread_id: thread, force: false }).await
}

#[tokio::test]
async fn an_unload_is_answered_when_no_process_is_left() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    assert_eq!(client.unload(thread, false).await?, UnloadOutcome::Unloaded);
    assert_eq!(home.family().count(), 0, "at the moment of the answer: {:#?}", home.family());
    control.thread_closed(thread).await?;
    assert_eq!(client.unload(thread, false).await?, UnloadOutcome::NotLoaded);
    assert_eq!(client.unload(ThreadId::new(Uuid::now_v7()), true).await?, UnloadOutcome::NotLoaded);
    home.finish().await
}

#[tokio::test]
async fn an_unload_without_force_is_refused_while_a_turn_runs() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/hang").await?;
    let error = refused(&mut client, thread).await?;
    assert_eq!((error.reason(), error.data.as_ref().unwrap().thread_id), ("active", Some(thread)));
    client.interrupt_and_wait(thread, &turn).await?;
    assert_eq!(client.unload(thread, false).await?, UnloadOutcome::Unloaded);
    home.finish().await
}

#[tokio::test]
async fn an_unload_without_force_is_refused_while_another_client_is_subscribed() -> Result<()> {
    let home = Home::start().await?;
    let [mut client, mut other, mut observer] = home.clients().await?;
    let thread = client.start_thread_with("words").await?;
    other.resume(thread).await?;
    assert_eq!(refused(&mut client, thread).await?.reason(), "subscribed");
    other.unsubscribe(thread).await?;
    // Observers do not count.
    observer.observe(thread).await?;
    assert_eq!(client.unload(thread, false).await?, UnloadOutcome::Unloaded);
    assert_eq!(observer.received::<ThreadClosed>()?, []);
    home.finish().await
}

#[tokio::test]
async fn a_forced_unload_interrupts_the_turn() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = client.start_turn(thread, "/tool helper hang").await?;
    home.until_helpers(1).await?;
    assert_eq!(control.unload(thread, true).await?, UnloadOutcome::Unloaded);
    assert_eq!(home.family().count(), 0, "at the moment of the answer: {:#?}", home.family());
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    let read = control.read_thread(thread).await?;
    assert_eq!(read.turns[0].status, TurnStatus::Interrupted);
    home.finish().await
}

#[tokio::test]
async fn a_turn_on_an_unloaded_thread_is_refused_with_advice() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    let error = control.refusal::<TurnStart>(turn_params(thread, "more")).await?;
    assert_eq!(
        (error.message.as_str(), error.reason()),
        (&*format!("thread not found: {thread}"), "notLoaded")
    );
    assert!(error.to_string().contains(ThreadResume::INFO.wire), "{error}");
    assert_eq!(control.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn a_resume_of_an_unknown_thread_has_the_error_that_clients_expect() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = ThreadId::new(Uuid::now_v7());
    let error = client.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!(error.reason(), "threadNotFound");
    assert!(error.message.starts_with(&format!("no rollout found for thread id {thread}")), "{error}");
    assert!(error.message.contains("not found"), "T3 Code begins a new thread then: {error}");
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, []);
    assert_eq!(control.received::<ThreadClosed>()?, [], "a failed load closes nothing");
    home.finish().await
}

#[tokio::test]
async fn a_connection_has_only_so_many_threads_and_others_are_not_concerned() -> Result<()> {
    let (home, mut other) = Home::setup().set("limits.subscriptions", 2).start_with_client().await?;
    let mut client = home.client().await?;
    let first = client.start_thread_with("words").await?;
    let second = client.start_thread().await?.id;
    let error = client.refusal::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!((error.code, error.reason()), (INVALID_REQUEST, "subscriptions"));
    assert!(error.message.contains("2 threads (limits.subscriptions)"), "{error}");
    let after = error.data.as_ref().and_then(|data| data.retry_after_ms);
    assert!(after.is_none(), "waiting does not help: {error:?}");
    let fork = ThreadForkParams::of(first);
    assert_eq!(client.refusal::<ThreadFork>(fork).await?.reason(), "subscriptions");
    // Its own threads are within the limit, and so is everything of another connection.
    client.resume(first).await?;
    let third = other.start_thread_with("words").await?;
    assert_eq!(client.refusal::<ThreadResume>(resume_params(third)).await?.reason(), "subscriptions");
    client.unsubscribe(second).await?;
    client.resume(third).await?;
    home.finish().await
}
