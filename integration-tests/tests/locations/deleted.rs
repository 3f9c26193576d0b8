//! A deleted thread is gone for good, in every view.

use std::fs;

use anyhow::{Context, Result};
use skein_integration_tests::fixture::remove_index;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_protocol::error::INVALID_REQUEST;
use skein_protocol::methods::{ThreadArchive, ThreadRead, ThreadResume, TurnStart};
use skein_protocol::notifications::{ThreadClosed, ThreadDeleted};
use skein_protocol::thread::{ThreadArchiveParams, ThreadReadParams, ThreadStartParams};

use super::{archive, delete, lists};

/// Number of files in the home's trash.
fn in_trash(home: &Home) -> usize {
    fs::read_dir(home.path().join("trash")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_deleted_thread_cannot_be_found_and_leaves_no_process() -> Result<()> {
    let home = Home::setup().in_files().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let [mut client, mut other] = home.clients().await?;
    let kept = client.start_thread_with("kept").await?;
    client.unload(kept, true).await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    other.resume(thread).await?;
    client.start_turn(thread, "/tool helper hang").await?;
    delete(&mut other, thread).await?;
    assert_eq!(home.family().count(), 0, "{:#?}", home.family());
    for client in [&mut client, &mut other] {
        client.next::<ThreadDeleted>(|deleted| deleted.thread_id == thread).await?;
        client.next::<ThreadClosed>(|closed| closed.thread_id == thread).await?;
    }
    let refused = client.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!(refused.code, INVALID_REQUEST);
    assert_eq!(refused.reason(), "threadNotFound", "clients start a new thread: {refused}");
    let params = ThreadReadParams { include_turns: true, thread_id: thread };
    client.refusal::<ThreadRead>(params).await?;
    client.refusal::<TurnStart>(turn_params(thread, "anybody?")).await?;
    client.refusal::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    assert_eq!(lists(&mut client).await?, [vec![kept], vec![]]);
    assert_eq!((in_trash(&home), home.rollout(thread).exists()), (1, false));
    assert_eq!(client.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn a_deleted_thread_stays_deleted_after_a_restart_and_a_reindex() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let mut threads = Vec::new();
    for number in 0..4 {
        threads.push(client.start_thread_with(&format!("thread {number}")).await?);
    }
    archive(&mut client, threads[1]).await?;
    for deleted in [threads[0], threads[1]] {
        delete(&mut client, deleted).await?;
    }
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    assert_eq!(lists(&mut client).await?, [vec![threads[3], threads[2]], vec![]]);
    home.kill().await?;
    remove_index(&home.path())?;
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(lists(&mut client).await?, [vec![threads[3], threads[2]], vec![]]);
    assert_eq!(in_trash(&home), 2, "kept for a while");
    home.finish().await
}

#[tokio::test]
async fn a_user_can_restore_a_deleted_thread_from_the_trash() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let thread = client.start_thread_with("a slip").await?;
    let turns = client.resume(thread).await?.thread.turns;
    delete(&mut client, thread).await?;
    home.stop().await?;
    let file = fs::read_dir(home.path().join("trash"))?.next().context("a file")??.path();
    fs::rename(file, home.rollout(thread))?;
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(client.resume(thread).await?.thread.turns, turns);
    client.unload(thread, true).await?;
    assert_eq!(lists(&mut client).await?, [vec![thread], vec![]]);
    home.finish().await
}

#[tokio::test]
async fn only_old_files_are_removed_from_the_trash() -> Result<()> {
    let (home, mut client) = Home::setup().in_files().set("trash.keep", "0s").start_with_client().await?;
    let kept = client.start_thread_with("kept").await?;
    let aside = client.start_thread_with("aside").await?;
    archive(&mut client, aside).await?;
    let thread = client.start_thread_with("gone").await?;
    delete(&mut client, thread).await?;
    wait_until("an empty trash", PATIENCE, || (in_trash(&home) == 0).then_some(())).await?;
    assert_eq!(lists(&mut client).await?, [vec![kept], vec![aside]]);
    assert!(home.rollout(kept).exists());
    home.finish().await
}

#[tokio::test]
async fn an_ephemeral_thread_cannot_be_archived_and_is_dropped_by_a_delete() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let thread = client.call::<skein_protocol::methods::ThreadStart>(params).await?.thread.id;
    client.turn(thread, "a title").await?;
    let refused = client.refusal::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    assert_eq!(refused.data.context("a reason")?.reason, "ephemeral");
    delete(&mut client, thread).await?;
    assert_eq!(client.loaded().await?, []);
    assert_eq!(in_trash(&home), 0);
    home.finish().await
}
