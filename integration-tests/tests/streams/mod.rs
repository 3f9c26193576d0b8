//! `skein app-server`: the protocol on standard streams, as the server of a home or as a bridge to its
//! server.

mod ends;
mod leaving;
mod settings;
mod takeover;
mod terminal;
mod unread;

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::{Family, wait_until};
use skein_integration_tests::requests::resume_params;
use skein_integration_tests::streams::Streams;
use skein_protocol::extension::SkeinConnectionLeaveParams;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinConnectionLeave, SkeinStatus, ThreadResume, ThreadStart};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::TurnStatus;

const HANGS: &str = "/tool helper hang";

/// A home whose server has stopped.
async fn unserved() -> Result<Home> {
    let mut home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    home.stop().await?;
    Ok(home)
}

/// Waits until the only helper and its grandchild run.
async fn helper_runs(home: &Home, server: u32) -> Result<()> {
    let family = || (Family::of(server, home.tag()).helpers.len() == 2).then_some(());
    wait_until("a helper and its grandchild", PATIENCE, family).await
}

/// Status of the last turn of a thread.
async fn ended_turn(home: &Home, thread: ThreadId) -> Result<TurnStatus> {
    let turns = home.client().await?.read_thread(thread).await?.turns;
    Ok(turns.last().context("a turn")?.status)
}

#[tokio::test]
async fn a_server_on_standard_streams_ends_with_its_input_and_leaves_no_process() -> Result<()> {
    let mut home = unserved().await?;
    let mut streams = Streams::start(&home.path()).await?;
    let thread = streams.hanging_turn(HANGS).await?;
    let server = streams.pid()?;
    helper_runs(&home, server).await?;
    streams.end(PATIENCE).await?;
    assert_eq!(Family::of(server, home.tag()).count(), 0);

    home.start_again().await?;
    assert_eq!(ended_turn(&home, thread).await?, TurnStatus::Interrupted);
    home.finish().await
}

#[tokio::test]
async fn a_bridge_ends_only_the_work_of_its_own_user() -> Result<()> {
    let (home, mut other) =
        Home::setup().alone().helper(Helper::with("helper", &["--stubborn"])?).start_with_client().await?;
    let other_thread = other.start_thread_with("words").await?;
    other.start_turn(other_thread, "/stream 1000000 8 100").await?;
    let mut streams = Streams::start(&home.path()).await?;
    let alone = streams.hanging_turn(HANGS).await?;
    streams.call::<ThreadResume>(resume_params(other_thread)).await?;
    // Guard, helper and grandchild for each thread.
    home.until_helpers(4).await?;
    streams.end(PATIENCE).await?;

    other.until_status("the end of the bridge's own work", |status| status.threads.loaded == 1).await?;
    assert_eq!(other.loaded().await?, [other_thread]);
    assert_eq!(home.family().count(), 3, "the other thread's processes");
    assert_eq!(ended_turn(&home, alone).await?, TurnStatus::Interrupted);
    assert_eq!(ended_turn(&home, other_thread).await?, TurnStatus::InProgress);
    home.finish().await
}

#[tokio::test]
async fn a_server_on_standard_streams_stays_until_its_last_client_leaves() -> Result<()> {
    let mut home = unserved().await?;
    let first = Streams::start(&home.path()).await?;
    let mut second = Streams::start(&home.path()).await?;
    let server = first.pid()?;
    let first = tokio::spawn(first.end(PATIENCE));
    let thread = second.hanging_turn(HANGS).await?;
    assert!(!first.is_finished(), "the other client needs the server");
    helper_runs(&home, server).await?;
    second.end(PATIENCE).await?;
    first.await??;
    assert_eq!(Family::of(server, home.tag()).count(), 0);

    home.start_again().await?;
    assert_eq!(ended_turn(&home, thread).await?, TurnStatus::Interrupted);
    home.finish().await
}

#[tokio::test]
async fn a_line_above_the_limit_is_refused_with_the_limits_name() -> Result<()> {
    let home = Home::setup().set("limits.message_bytes", 65_536).start().await?;
    let mut streams = Streams::start(&home.path()).await?;
    streams
        .say(&json!({"id": 7, "method": SkeinStatus::INFO.wire, "params": {"text": "x".repeat(70_000)}}))
        .await?;
    let (code, stderr, messages) = streams.rest(PATIENCE).await?;
    assert_eq!(code, Some(0), "{stderr}");
    let refused = messages.iter().find(|message| message["error"]["code"] == -32700).context("a refusal")?;
    let text = refused["error"]["message"].to_string();
    assert!(text.contains("limits.message_bytes (65536 bytes)"), "{text}");
    home.finish().await
}

#[tokio::test]
async fn an_empty_input_is_not_an_error() -> Result<()> {
    let home = unserved().await?;
    Streams::silent(&home.path())?.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_client_that_leaves_for_good_ends_its_turns_unless_others_are_subscribed() -> Result<()> {
    let home = Home::start().await?;
    let [mut one, mut other] = home.clients().await?;
    let alone = one.start_thread_with("words").await?;
    one.start_turn(alone, HANGS).await?;
    let both = one.start_thread_with("words").await?;
    one.start_turn(both, "/stream 1000000 8 100").await?;
    other.resume(both).await?;
    let answer = one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams {}).await?;
    assert_eq!((answer.left, answer.loaded), (1, 0));
    assert_eq!(ended_turn(&home, alone).await?, TurnStatus::Interrupted);
    assert_eq!(ended_turn(&home, both).await?, TurnStatus::InProgress);
    // A thread without messages is not kept for a client that left for good.
    one.call::<ThreadStart>(ThreadStartParams::default()).await?;
    let answer = one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams {}).await?;
    assert_eq!((answer.left, answer.loaded), (1, 0));
    let again = one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams {}).await?;
    assert_eq!((again.left, again.loaded), (0, 0));
    // An observer's leave has no effect on the thread.
    one.observe(both).await?;
    other.close().await?;
    let watched = one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams {}).await?;
    assert_eq!((watched.left, watched.loaded), (0, 0));
    assert_eq!(ended_turn(&home, both).await?, TurnStatus::InProgress);
    home.finish().await
}
