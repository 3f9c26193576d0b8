//! Eviction of a subscribed thread, by force or for lack of room: its subscribers are notified, stay
//! subscribed, and load it again with their next request.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::extension::{LoadedState, SkeinStatusResponse, UnloadOutcome};
use skein_protocol::notifications::{ThreadClosed, ThreadStatusChanged};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn after_a_forced_unload_a_subscribers_next_turn_loads_the_thread() -> Result<()> {
    let home = Home::start().await?;
    let [mut control, mut asker, mut other] = home.clients().await?;
    let thread = asker.start_thread_with("/tool helper pid").await?;
    other.resume(thread).await?;
    assert_eq!(asker.unload(thread, true).await?, UnloadOutcome::Unloaded);
    other
        .next::<ThreadStatusChanged>(|p| p.thread_id == thread && p.status == ThreadStatus::NotLoaded)
        .await?;
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    // The unload also ended the asker's own subscription.
    asker.thread_closed(thread).await?;
    assert_eq!(control.status().await?.threads.subscriptions, 1);

    let turn = other.turn(thread, "/tool helper pid").await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!(other.received::<ThreadClosed>()?, [], "a subscribed thread is never closed");
    let loaded = control.loaded_thread(thread).await?.map(|loaded| (loaded.state, loaded.subscribers));
    assert_eq!(loaded, Some((LoadedState::Idle, 1)));
    other.close().await?;
    control.thread_closed(thread).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn above_the_limit_of_loaded_threads_the_longest_idle_ones_are_evicted() -> Result<()> {
    let helper = Helper::named("helper")?;
    let (home, mut control) =
        Home::setup().set("limits.loaded_threads", 3).helper(helper).start_with_client().await?;
    let mut client = home.client().await?;
    let mut threads = Vec::new();
    for number in 0..5 {
        threads.push(client.start_thread_with(&format!("/tool helper pid {{\"n\":{number}}}")).await?);
    }
    let three = |status: &SkeinStatusResponse| status.threads.loaded == 3 && status.threads.unloading == 0;
    let status = control.until_status("three threads are left", three).await?;
    assert_eq!((status.pressure.squeezed_total, status.threads.subscriptions), (2, 5));
    let mut loaded = control.loaded().await?;
    loaded.sort();
    let mut newest = threads[2..].to_vec();
    newest.sort();
    assert_eq!(loaded, newest);
    home.until_helpers(3).await?;
    for thread in &threads[..2] {
        let gone = |p: &ThreadStatusChangedNotification| {
            p.thread_id == *thread && p.status == ThreadStatus::NotLoaded
        };
        client.next::<ThreadStatusChanged>(gone).await?;
        control.thread_closed(*thread).await?;
    }

    // The next turn of an evicted thread loads it again, and evicts the longest idle one.
    assert_eq!(client.turn(threads[0], "/tool helper pid").await?.status, TurnStatus::Completed);
    control.thread_closed(threads[2]).await?;
    control.until_status("three threads are left", three).await?;
    assert_eq!(client.received::<ThreadClosed>()?, [], "a subscribed thread is never closed");
    client.close().await?;
    home.finish_drained().await
}

#[tokio::test]
async fn above_its_memory_limit_the_server_evicts_idle_threads() -> Result<()> {
    let (home, mut client) = Home::setup()
        .set("limits.memory", "1MiB")
        .helper(Helper::named("helper")?)
        .start_with_client()
        .await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    client.next::<ThreadStatusChanged>(|p| p.status == ThreadStatus::NotLoaded).await?;
    home.until_drained(PATIENCE).await?;
    assert_eq!(client.turn(thread, "again").await?.status, TurnStatus::Completed);
    assert!(client.status().await?.pressure.squeezed_total >= 1);
    client.close().await?;
    home.finish().await
}
