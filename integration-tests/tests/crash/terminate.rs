//! SIGTERM: clients get a close frame, turns end, no process stays, and the stop keeps its time limit.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Exit, Helper, Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::agent_text;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemStarted};
use skein_protocol::turn::TurnStatus;

/// A drain longer than any test waits.
const LONG_DRAIN: &str = "60s";
/// Limit of a stop that does not wait for [`LONG_DRAIN`]: far shorter than the drain, and far longer than a
/// slow disk needs.
const NO_DRAIN: Duration = Duration::from_secs(20);

/// A server with a long drain for running turns.
async fn patient() -> Result<Home> {
    let setup = Home::setup().helper(Helper::named("helper")?);
    setup.set("shutdown.drain", LONG_DRAIN).set("shutdown.limit", "120s").start().await
}

#[tokio::test]
async fn an_idle_server_stops_at_once_with_a_close_frame() -> Result<()> {
    let mut home = patient().await?;
    let mut client = home.client().await?;
    client.start_thread_with("/tool helper pid").await?;
    home.signal(Signal::SIGTERM)?;
    assert_eq!(client.until_end().await?, End::Close(Some(1001)));
    assert_eq!(home.exited(NO_DRAIN).await?, Exit::Code(0));
    assert_eq!(home.family().count(), 0);
    home.finish().await
}

#[tokio::test]
async fn turns_have_no_longer_than_the_whole_stop() -> Result<()> {
    let setup = Home::setup().helper(Helper::named("helper")?);
    let setup = setup.set("shutdown.drain", "1h").set("shutdown.limit", "3s");
    let (mut home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread().await?.id;
    client.start_turn(thread, "/tool helper hang").await?;
    home.stop().await?;
    home.finish().await
}

#[tokio::test]
async fn a_stop_waits_for_a_short_turn() -> Result<()> {
    let (mut home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/stream 50 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|_| true).await?;
    home.stop().await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.until_end().await?, End::Close(Some(1001)));
    home.finish().await
}

#[tokio::test]
async fn a_stop_interrupts_an_endless_turn_in_time_and_records_it() -> Result<()> {
    let (mut home, mut client) =
        Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start_with_client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    let talking = client.start_thread().await?.id;
    let hangs = client.start_turn(thread, "/tool helper hang").await?;
    client.start_turn(talking, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    home.signal(Signal::SIGTERM)?;
    let ended = client.turn_end(&hangs).await?;
    let why = ended.error.map(|error| error.message);
    assert_eq!(
        (ended.status, why.as_deref()),
        (TurnStatus::Interrupted, Some("the server ended while this turn ran"))
    );
    assert_eq!(client.until_end().await?, End::Close(Some(1001)));
    assert_eq!(home.exited(PATIENCE).await?, Exit::Code(0));
    assert_eq!(home.family().count(), 0, "{:#?}", home.family());
    home.start_again().await?;
    let mut client = home.client().await?;
    let turns = client.read_thread(talking).await?.turns;
    assert_eq!(turns[0].status, TurnStatus::Interrupted);
    assert!(turns[0].items.iter().find_map(agent_text).is_some_and(|text| text.contains("3 ")));
    home.finish().await
}

#[tokio::test]
async fn a_second_signal_shortens_every_wait() -> Result<()> {
    let mut home = patient().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    client.start_turn(thread, "/tool helper hang").await?;
    // Wait for the call, not the message: a call that had not begun would be refused, and the turn would end
    // by itself.
    client.next::<ItemStarted>(|item| matches!(item.item.body, ThreadItemBody::McpToolCall(_))).await?;
    home.signal(Signal::SIGTERM)?;
    // The stop has begun once new connections are refused.
    wait_until("the stop has begun", PATIENCE, || {
        std::net::TcpStream::connect(home.address().trim_start_matches("ws://")).is_err().then_some(())
    })
    .await?;
    home.signal(Signal::SIGTERM)?;
    assert_eq!(home.exited(NO_DRAIN).await?, Exit::Code(0));
    home.until_drained(NO_DRAIN).await?;
    home.start_again().await?;
    let mut client = home.client().await?;
    let turns = client.resume(thread).await?.thread.turns;
    assert_eq!(turns.last().map(|turn| turn.status), Some(TurnStatus::Interrupted));
    home.finish().await
}

#[tokio::test]
async fn a_flooding_helper_does_not_delay_the_stop() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    client.start_turn(thread, "/tool helper stderr_flood {\"bytes\":1000000000000}").await?;
    client.next::<ItemStarted>(|_| true).await?;
    home.stop().await?;
    home.finish().await
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_delay_the_stop() -> Result<()> {
    let mut home = Home::start().await?;
    let mut client = Client::narrow(home.address()).await?;
    let thread = client.start_thread().await?.id;
    client.start_turn(thread, "/stream 3000 2000").await?;
    home.stop().await?;
    drop(client);
    home.finish().await
}

#[tokio::test]
async fn an_orderly_stop_keeps_the_epoch() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let before = client.resume(thread).await?.skein.unwrap();
    home.restart().await?;
    let mut client = home.client().await?;
    let after = client.resume(thread).await?.skein.unwrap();
    assert_eq!(after.epoch, before.epoch);
    assert!(after.seq >= before.seq);
    home.finish().await
}
