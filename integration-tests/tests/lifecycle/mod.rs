//! A thread without subscribers is unloaded, and its helpers stop. A subscribed or working thread stays
//! loaded.

mod descriptors;
mod eviction;
mod fresh;
mod keep;
mod refused;
mod reload;
mod settings;
mod short_lived;

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::extension::SkeinStatusResponse;
use skein_protocol::methods::ThreadNameSet;
use skein_protocol::thread::{ThreadSetNameParams, ThreadUnsubscribeStatus};

#[tokio::test]
async fn switching_between_threads_leaves_nothing_behind() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut threads = Vec::new();
    for number in 0..5 {
        let mut client = home.client().await?;
        // A thread left at once may be unloaded before its helper starts; here the helper has answered.
        threads.push(client.start_thread_with("/tool helper pid").await?);
        drop(client);
        control.thread_closed(threads[number]).await?;
    }
    for (number, &thread) in threads.iter().enumerate() {
        let mut client = home.client().await?;
        client.resume(thread).await?;
        let reply = client.say(thread, "/tool helper echo {\"text\":\"there\"}").await?;
        assert_eq!(reply, "there");
        assert_eq!(home.family().helpers.len(), 1, "switch {number}");
        // Half of the clients leave without a close frame.
        if number % 2 == 0 {
            client.close().await?;
        } else {
            drop(client);
        }
        control.thread_closed(thread).await?;
        assert_eq!(control.loaded().await?, [], "switch {number}");
        assert_eq!(home.family().count(), 0, "switch {number}: {:#?}", home.family());
    }
    let status = control.status().await?;
    assert_eq!((status.threads.loaded, status.helpers.alive, status.helpers.guards), (0, 0, 0));
    assert_eq!((status.helpers.started_total, status.helpers.stopped_total), (10, 10));
    assert_eq!(status.unloads.total, 10);
    home.finish().await
}

#[tokio::test]
async fn a_stubborn_helper_and_its_grandchild_are_stopped_in_time() -> Result<()> {
    let (home, mut control) =
        Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    home.until_helpers(2).await?;
    drop(client);
    home.until_drained(PATIENCE).await?;
    control.thread_closed(thread).await?;
    assert_eq!(control.loaded().await?, []);
    assert_eq!(control.status().await?.helpers.killed_total, 1);
    home.finish().await
}

#[tokio::test]
async fn unsubscribing_is_exactly_a_disconnect() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    assert_eq!(client.unsubscribe(thread).await?, ThreadUnsubscribeStatus::Unsubscribed);
    control.thread_closed(thread).await?;
    // Also to the connection that left, because it is no longer subscribed.
    client.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    assert_eq!(client.unsubscribe(thread).await?, ThreadUnsubscribeStatus::NotLoaded);
    home.finish().await
}

#[tokio::test]
async fn unsubscribing_without_a_subscription_reports_it() -> Result<()> {
    let (home, mut owner) = Home::with_client().await?;
    let mut other = home.client().await?;
    let thread = owner.start_thread_with("mine").await?;
    assert_eq!(other.unsubscribe(thread).await?, ThreadUnsubscribeStatus::NotSubscribed);
    assert_eq!(other.loaded().await?, [thread]);
    home.finish().await
}

#[tokio::test]
async fn the_server_does_not_count_a_closed_connection() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(home.client().await?);
    }
    assert_eq!(control.status().await?.connections, 11);
    drop(clients);
    control.until_status("one connection", |status| status.connections == 1).await?;
    home.finish().await
}

#[tokio::test]
async fn a_disconnect_is_handled_even_with_a_full_mailbox() -> Result<()> {
    let (home, mut control) = Home::setup()
        .set("limits.mailbox", 1)
        .set("limits.requests_in_flight", 1_000)
        .start_with_client()
        .await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    for number in 0..500 {
        let name = ThreadSetNameParams { name: format!("name {number}"), thread_id: thread };
        let _unanswered = client.start_call::<ThreadNameSet>(&name).await?;
    }
    drop(client);
    control.thread_closed(thread).await?;
    // Name requests that were still on their way may load the thread once more.
    let gone = |status: &SkeinStatusResponse| status.connections == 1 && status.threads.loaded == 0;
    let status = control.until_status("no connection and no thread", gone).await?;
    assert_eq!((status.threads.subscriptions, status.helpers.alive), (0, 0));
    home.finish().await
}
