//! Threads that are not on disk: threads without a user message, and ephemeral threads.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::extension::LoadedState;
use skein_protocol::methods::{ThreadList, ThreadNameSet, ThreadResume, ThreadStart};
use skein_protocol::notifications::{ThreadClosed, ThreadStarted};
use skein_protocol::thread::{ThreadListParams, ThreadSetNameParams, ThreadStartParams, ThreadStatus};

use skein_integration_tests::requests::resume_params;

fn ephemeral() -> ThreadStartParams {
    ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() }
}

#[tokio::test]
async fn a_thread_without_a_message_is_dropped_after_its_grace() -> Result<()> {
    let (home, mut control) = Home::setup()
        .set("unload.unmaterialised_grace", "200ms")
        .helper(Helper::named("helper")?)
        .start_with_client()
        .await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    drop(client);
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    assert!(!home.rollout(thread).exists(), "the rollout was never written");
    let error = control.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!(error.reason(), "threadNotFound");
    home.finish().await
}

#[tokio::test]
async fn a_resume_within_the_grace_keeps_the_threads_name() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let name = ThreadSetNameParams { name: "Plans".to_owned(), thread_id: thread };
    client.call::<ThreadNameSet>(name).await?;
    drop(client);
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    control.quiesce().await?;
    let loaded = control.loaded_thread(thread).await?;
    assert_eq!(loaded.map(|loaded| (loaded.state, loaded.materialised)), Some((LoadedState::Idle, false)));

    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(resumed.thread.name.as_deref(), Some("Plans"));
    client.turn(thread, "now it is written").await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    assert_eq!(control.read_thread(thread).await?.name.as_deref(), Some("Plans"));
    home.finish().await
}

#[tokio::test]
async fn an_ephemeral_thread_ends_with_its_last_subscriber_even_in_a_turn() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.call::<ThreadStart>(ephemeral()).await?.thread;
    assert!(thread.ephemeral);
    client.start_turn(thread.id, "/tool helper hang").await?;
    home.until_helpers(1).await?;
    drop(client);
    control.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    home.until_drained(PATIENCE).await?;
    assert!(!home.rollout(thread.id).exists(), "the rollout is never written");
    home.finish().await
}

#[tokio::test]
async fn only_subscribers_know_an_ephemeral_thread() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.call::<ThreadStart>(ephemeral()).await?.thread.id;
    client.next::<ThreadStarted>(|started| started.thread.id == thread).await?;
    assert_eq!(client.say(thread, "a title").await?, "a title");
    assert_eq!(home.family().count(), 0, "a turn without tools starts no helper");
    assert_eq!(control.call::<ThreadList>(ThreadListParams::default()).await?.data, []);
    client.unsubscribe(thread).await?;
    control.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    assert_eq!(control.received::<ThreadStarted>()?, []);
    assert_eq!(control.received::<ThreadClosed>()?, []);
    assert!(
        control
            .record()
            .iter()
            .all(|message| !message.text.contains(&thread.to_string()) || message.method().is_none()),
        "other clients get no notification"
    );
    home.finish().await
}

#[tokio::test]
async fn a_new_thread_is_idle_and_announced_after_the_answer() -> Result<()> {
    let (home, mut other) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?;
    assert_eq!((thread.status, thread.turns.len()), (ThreadStatus::Idle, 0));
    client.next::<ThreadStarted>(|started| started.thread.id == thread.id).await?;
    other.next::<ThreadStarted>(|started| started.thread.id == thread.id).await?;
    let place = |wanted: &dyn Fn(&skein_integration_tests::client::Received) -> bool| {
        client.record().iter().position(wanted)
    };
    let answer =
        place(&|message| message.method().is_none() && message.text.contains(&thread.id.to_string()));
    let announced = place(&|message| message.notifies::<ThreadStarted>());
    assert!(answer < announced, "{answer:?} {announced:?}");
    home.finish().await
}
