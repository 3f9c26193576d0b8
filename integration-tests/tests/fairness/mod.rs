//! A connection or a thread at its worst delays no other client. Its work cannot end before the test allows
//! it: it takes no answers, or continues for ever. Meanwhile the server answers all others. The server has
//! one worker thread, so a task that does not yield blocks everybody.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use skein_integration_tests::client::{Client, Pending};
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::requests::items_params;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    RpcDiscover, ThreadItemsList, ThreadList, ThreadNameSet, ThreadRead, ThreadStart,
};
use skein_protocol::table::Method;
use skein_protocol::thread::{
    SortDirection, ThreadItemsListParams, ThreadListParams, ThreadReadParams, ThreadSetNameParams,
    ThreadStartParams,
};
use skein_protocol::turn::TurnStatus;
use tokio_tungstenite::tungstenite::Message;

/// Concurrent requests of one connection: fewer than its limit.
const UNDER_WAY: usize = 48;
/// Rounds of requests by the well-behaved client.
const ROUNDS: usize = 3;

/// A server with one worker thread. Its room for answers holds two of the largest here, so that a client that takes none
/// is not closed for the announcements behind them, however long the test lasts.
fn lone() -> Setup {
    Home::setup().env("TOKIO_WORKER_THREADS", "1").set("limits.outbox_bytes", 8 << 20)
}

/// A well-behaved client with a small thread.
async fn behaved(home: &Home) -> Result<(Client, ThreadId)> {
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    Ok((client, thread))
}

/// A thread with some 4 MB of text.
async fn large_thread(client: &mut Client) -> Result<ThreadId> {
    let thread = client.start_thread().await?.id;
    for _ in 0..3 {
        client.turn(thread, "/stream 20 60000").await?;
    }
    Ok(thread)
}

/// Everyday requests of a user.
async fn all_is_answered(client: &mut Client, thread: ThreadId) -> Result<()> {
    for _ in 0..ROUNDS {
        client.call::<ThreadList>(ThreadListParams::default()).await?;
        client.read_thread(thread).await?;
        assert_eq!(client.say(thread, "two words").await?, "two words");
        client.status().await?;
    }
    Ok(())
}

/// Sends these requests on a connection that takes no answer, and serves another client before the answers
/// are taken.
async fn beside_answers_that_nobody_takes<M: Method>(
    home: &Home,
    (mut client, thread): (Client, ThreadId),
    params: &M::Params,
    count: usize,
) -> Result<()> {
    let mut mute = Client::narrow(home.address()).await?;
    let mut pending: Vec<Pending<M>> = Vec::new();
    for _ in 0..count {
        pending.push(mute.start_call(params).await?);
    }
    client.until_status("an answer waits", |status| status.outbox_bytes > 0).await?;
    all_is_answered(&mut client, thread).await?;
    // The next answer may not be ready yet. If the link had taken all answers, none would ever wait again.
    client.until_status("an answer still waits", |status| status.outbox_bytes > 0).await?;
    assert_eq!(client.status().await?.refusals.slow_clients, 0);
    for pending in pending {
        mute.answer(pending).await?.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Serves a client beside a neighbour whose work never ends.
async fn beside(
    neighbour: impl Future<Output = Result<()>>,
    (mut client, thread): (Client, ThreadId),
) -> Result<()> {
    tokio::select! {
        ended = neighbour => {
            ended.context("the neighbour")?;
            bail!("the neighbour's work is over before others are served")
        }
        answered = all_is_answered(&mut client, thread) => answered.context("beside the neighbour"),
    }
}

/// Keeps this many requests in flight for ever: after each answer comes the next request.
async fn always_under_way<M: Method>(
    client: &mut Client,
    count: usize,
    mut params: impl FnMut(usize) -> M::Params,
) -> Result<()> {
    let mut waiting = VecDeque::new();
    for number in 0.. {
        waiting.push_back(client.start_call::<M>(&params(number)).await?);
        if waiting.len() == count
            && let Some(first) = waiting.pop_front()
        {
            client.answer(first).await?.map_err(anyhow::Error::msg)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn reads_of_a_large_history_whose_answers_are_never_taken() -> Result<()> {
    let home = lone().start().await?;
    let (mut client, thread) = behaved(&home).await?;
    let thread_id = large_thread(&mut client).await?;
    let params = ThreadReadParams { thread_id, include_turns: true };
    beside_answers_that_nobody_takes::<ThreadRead>(&home, (client, thread), &params, 4).await?;
    home.finish().await
}

#[tokio::test]
async fn pages_of_a_large_history_whose_answers_are_never_taken() -> Result<()> {
    let home = lone().start().await?;
    let (mut client, thread) = behaved(&home).await?;
    let large = large_thread(&mut client).await?;
    // Newest first: the newest turn alone fills a page, and exceeds the room for answers.
    let params = ThreadItemsListParams { sort_direction: Some(SortDirection::Desc), ..items_params(large) };
    beside_answers_that_nobody_takes::<ThreadItemsList>(&home, (client, thread), &params, 8).await?;
    home.finish().await
}

#[tokio::test]
async fn tiny_requests_whose_large_answers_are_never_taken() -> Result<()> {
    let home = lone().start().await?;
    let behaved = behaved(&home).await?;
    beside_answers_that_nobody_takes::<RpcDiscover>(&home, behaved, &Default::default(), UNDER_WAY).await?;
    home.finish().await
}

#[tokio::test]
async fn a_flood_of_pages() -> Result<()> {
    let home = lone().start().await?;
    let behaved = behaved(&home).await?;
    let mut neighbour = home.client().await?;
    let flood = always_under_way::<ThreadList>(&mut neighbour, UNDER_WAY, |_| ThreadListParams::default());
    beside(flood, behaved).await?;
    home.finish().await
}

#[tokio::test]
async fn a_flood_of_long_names() -> Result<()> {
    let home = lone().start().await?;
    let behaved = behaved(&home).await?;
    let mut neighbour = home.client().await?;
    let thread_id = neighbour.start_thread_with("words").await?;
    let long = |number: usize| ["a", "b"][number % 2].repeat(4_096);
    let renamed = |number| ThreadSetNameParams { thread_id, name: long(number) };
    beside(always_under_way::<ThreadNameSet>(&mut neighbour, UNDER_WAY, renamed), behaved).await?;
    home.finish().await
}

#[tokio::test]
async fn a_flood_of_threads_with_long_settings() -> Result<()> {
    let home = lone().start().await?;
    let behaved = behaved(&home).await?;
    let mut neighbour = home.client().await?;
    let long = "settings".repeat(32 << 10);
    let started = |_| ThreadStartParams {
        developer_instructions: Some(long.clone()),
        ephemeral: Some(true),
        ..ThreadStartParams::default()
    };
    beside(always_under_way::<ThreadStart>(&mut neighbour, 4, started), behaved).await?;
    home.finish().await
}

#[tokio::test]
async fn a_flood_of_frames_without_requests() -> Result<()> {
    let home = lone().start().await?;
    let behaved = behaved(&home).await?;
    let mut neighbour = home.client().await?;
    let flood = async {
        loop {
            neighbour.send_raw(r#"{"method":"no/such"}"#).await?;
            neighbour.send_raw(r#"{"id":5,"result":{}}"#).await?;
            neighbour.send_message(Message::Pong("".into())).await?;
        }
    };
    beside(flood, behaved).await?;
    home.finish().await
}

#[tokio::test]
async fn a_turn_that_streams_as_fast_as_it_can() -> Result<()> {
    let home = lone().start().await?;
    let (mut client, thread) = behaved(&home).await?;
    let mut neighbour = home.client().await?;
    let endless = neighbour.start_thread_with("words").await?;
    neighbour.start_turn(endless, "/stream 1000000000 20").await?;
    all_is_answered(&mut client, thread).await?;
    client.unload(endless, true).await?;
    let last = client.read_thread(endless).await?.turns.pop().context("the endless turn")?;
    assert_eq!(last.status, TurnStatus::Interrupted);
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_floods_both_of_its_pipes() -> Result<()> {
    let (home, mut neighbour) =
        lone().zoo("floods-stdout")?.zoo("floods-stderr")?.start_with_client().await?;
    neighbour.start_thread().await?;
    home.until_helpers(2).await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    all_is_answered(&mut client, thread).await?;
    home.finish().await
}
