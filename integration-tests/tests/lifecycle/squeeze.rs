//! A subscribed thread that is taken from its subscribers, by force or because room is needed: they see it, stay
//! subscribed, and their next request loads it.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::extension::{LoadedState, SkeinStatusResponse, UnloadOutcome};
use skein_protocol::notifications::{ThreadClosed, ThreadStatusChanged};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_forced_unload_leaves_the_others_subscribed_and_their_next_turn_loads_again() -> Result<()> {
    let home = Home::start().await?;
    let mut control = home.client().await?;
    let mut asker = home.client().await?;
    let mut other = home.client().await?;
    let thread = asker.start_said_thread("/tool helper pid").await?;
    other.resume(thread).await?;
    assert_eq!(asker.unload(thread, true).await?, UnloadOutcome::Unloaded);
    other
        .next::<ThreadStatusChanged>(|p| p.thread_id == thread && p.status == ThreadStatus::NotLoaded)
        .await?;
    control.thread_closed(thread).await?;
    home.until_zero(PATIENCE).await?;
    // The asker's own subscription has ended with it.
    asker.thread_closed(thread).await?;
    assert_eq!(control.status().await?.threads.subscriptions, 1);

    let turn = other.turn(thread, "/tool helper pid").await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!(other.heard::<ThreadClosed>()?, [], "what one shows is never closed");
    let loaded = control.loaded_thread(thread).await?.map(|loaded| (loaded.state, loaded.subscribers));
    assert_eq!(loaded, Some((LoadedState::Idle, 1)));
    other.close().await?;
    control.thread_closed(thread).await?;
    home.until_zero(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn the_longest_idle_threads_make_room_above_the_most_that_may_be_loaded() -> Result<()> {
    let helper = Helper::named("helper")?;
    let home = Home::setup().set("limits.loaded_threads", 3).helper(helper).start().await?;
    let mut control = home.client().await?;
    let mut client = home.client().await?;
    let mut threads = Vec::new();
    for number in 0..5 {
        threads.push(client.start_said_thread(&format!("/tool helper pid {{\"n\":{number}}}")).await?);
    }
    let three = |status: &SkeinStatusResponse| status.threads.loaded == 3 && status.threads.unloading == 0;
    let status = control.until_status("three threads are left", three).await?;
    assert_eq!((status.pressure.squeezed_total, status.threads.subscriptions), (2, 5));
    let mut loaded = control.loaded().await?;
    loaded.sort();
    let mut newest = threads[2..].to_vec();
    newest.sort();
    assert_eq!(loaded, newest);
    home.until_helpers(3, PATIENCE).await?;
    for thread in &threads[..2] {
        let gone = |p: &ThreadStatusChangedNotification| {
            p.thread_id == *thread && p.status == ThreadStatus::NotLoaded
        };
        client.next::<ThreadStatusChanged>(gone).await?;
        control.thread_closed(*thread).await?;
    }

    // The next turn of one that has gone brings it back, and the longest idle one goes for it.
    assert_eq!(client.turn(threads[0], "/tool helper pid").await?.status, TurnStatus::Completed);
    control.thread_closed(threads[2]).await?;
    control.until_status("three threads are left", three).await?;
    assert_eq!(client.heard::<ThreadClosed>()?, [], "what one is subscribed to is never closed");
    client.close().await?;
    home.until_zero(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn above_its_limit_of_memory_the_server_keeps_no_idle_thread() -> Result<()> {
    let home = Home::setup().set("limits.memory", "1MiB").helper(Helper::named("helper")?).start().await?;
    let mut client = home.client().await?;
    let thread = client.start_said_thread("/tool helper pid").await?;
    client.next::<ThreadStatusChanged>(|p| p.status == ThreadStatus::NotLoaded).await?;
    home.until_zero(PATIENCE).await?;
    assert_eq!(client.turn(thread, "again").await?.status, TurnStatus::Completed);
    assert!(client.status().await?.pressure.squeezed_total >= 1);
    client.close().await?;
    home.finish().await
}
