//! Names of loaded and unloaded threads: every client is notified, and names are kept.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::Home;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ThreadFork, ThreadMetadataUpdate, ThreadNameSet, ThreadResume, ThreadSettingsUpdate, ThreadStart,
    TurnStart,
};
use skein_protocol::notifications::ThreadNameUpdated;
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadSetNameParams;
use uuid::Uuid;

use super::listed;

fn name(thread: ThreadId, name: &str) -> ThreadSetNameParams {
    ThreadSetNameParams { name: name.to_owned(), thread_id: thread }
}

#[tokio::test]
async fn every_client_is_notified_of_a_name_and_it_is_kept() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let mut other = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    client.call::<ThreadNameSet>(name(thread, "  Plans  ")).await?;
    for client in [&mut client, &mut other] {
        let update = client.next::<ThreadNameUpdated>(|update| update.thread_id == thread).await?;
        assert_eq!(update.thread_name.as_deref(), Some("Plans"));
    }
    assert_eq!(listed(&mut other, thread).await?.name.as_deref(), Some("Plans"));
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    assert_eq!(client.read_thread(thread).await?.name.as_deref(), Some("Plans"));
    assert_eq!(listed(&mut client, thread).await?.name.as_deref(), Some("Plans"));
    home.finish().await
}

#[tokio::test]
async fn naming_an_unloaded_thread_starts_no_helper_and_leaves_it_unloaded() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    client.unload(thread, false).await?;
    let mut control = home.client_at_owner().await?;
    let before = control.status().await?.helpers.started_total;
    client.call::<ThreadNameSet>(name(thread, "Later")).await?;
    let status = control.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    assert_eq!(status.helpers.started_total, before);
    assert_eq!(listed(&mut client, thread).await?.name.as_deref(), Some("Later"));
    assert_eq!(client.read_thread(thread).await?.name.as_deref(), Some("Later"));
    home.finish().await
}

#[tokio::test]
async fn a_name_needs_a_thread_and_a_visible_character() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let unknown = ThreadId::new(Uuid::now_v7());
    let error = client.refusal::<ThreadNameSet>(name(unknown, "Plans")).await?;
    assert_eq!(error.reason(), "threadNotFound");
    let thread = client.start_thread().await?.id;
    assert_eq!(client.refusal::<ThreadNameSet>(name(thread, " \t ")).await?.reason(), "emptyName");
    home.finish().await
}

#[tokio::test]
async fn texts_in_lists_have_a_length_limit() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let (long, longest) = ("n".repeat(5_000_000), "n".repeat(4_096));
    for (method, path, params) in [
        (ThreadNameSet::INFO.wire, "name", json!({ "threadId": thread, "name": long })),
        (ThreadStart::INFO.wire, "cwd", json!({ "cwd": long })),
        (ThreadStart::INFO.wire, "threadSource", json!({ "threadSource": long })),
        (ThreadStart::INFO.wire, "model", json!({ "model": long })),
        (ThreadFork::INFO.wire, "cwd", json!({ "threadId": thread, "cwd": long })),
        (ThreadResume::INFO.wire, "cwd", json!({ "threadId": thread, "cwd": long })),
        (ThreadSettingsUpdate::INFO.wire, "model", json!({ "threadId": thread, "model": long })),
        (
            ThreadMetadataUpdate::INFO.wire,
            "gitInfo.branch",
            json!({ "threadId": thread, "gitInfo": { "branch": long } }),
        ),
        (
            TurnStart::INFO.wire,
            "cwd",
            json!({ "threadId": thread, "cwd": long, "input": [{ "type": "text", "text": "x" }] }),
        ),
    ] {
        let error = client.call_raw(method, &params).await?.err().context(method)?;
        let data = error.data.clone().context("data")?;
        assert_eq!(
            (error.code, error.reason(), data.path.as_deref()),
            (-32602, "tooLong", Some(path)),
            "{method}"
        );
        assert!(error.message.len() < 200, "{}", error.message);
    }
    client.call::<ThreadNameSet>(name(thread, &longest)).await?;
    assert_eq!(listed(&mut client, thread).await?.name, Some(longest));
    home.finish().await
}
