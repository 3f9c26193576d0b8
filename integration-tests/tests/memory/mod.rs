//! The server returns memory after a burst.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::process::{resident, wait_until};
use skein_integration_tests::requests::resume_params;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadList, ThreadRead, ThreadResume};
use skein_protocol::thread::{ThreadListParams, ThreadReadParams};

/// Waits until the server has at most 1.2 times as much memory as before.
async fn until_back(home: &Home, before: u64) -> Result<()> {
    let what = format!("resident memory is near {before} bytes again");
    let waited =
        wait_until(&what, PATIENCE, || resident(home.pid()).filter(|now| *now * 5 <= before * 6).map(drop));
    waited.await.map_err(|error| error.context(format!("resident memory is {:?}", resident(home.pid()))))
}

/// The server's memory after it has opened everything that it always has open.
async fn at_rest(home: &Home) -> Result<u64> {
    home.client().await?.call::<ThreadList>(ThreadListParams::default()).await?;
    resident(home.pid()).context("the server's memory")
}

/// A thread with 5 MB of text, after a restart.
async fn large_thread(home: &mut Home) -> Result<ThreadId> {
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    for _ in 0..4 {
        client.turn(thread, "/stream 20 60000").await?;
    }
    home.restart().await?;
    Ok(thread)
}

#[tokio::test]
async fn memory_is_returned_after_many_large_answers() -> Result<()> {
    let mut home = Home::start().await?;
    let thread = large_thread(&mut home).await?;
    let before = at_rest(&home).await?;
    let mut clients: Vec<Client> = try_join_all((0..8).map(|_| home.client())).await?;
    let read = ThreadReadParams { thread_id: thread, include_turns: true };
    try_join_all(clients.iter_mut().map(|client| client.call::<ThreadRead>(read.clone()))).await?;
    let most = resident(home.pid()).context("the server's memory")?;
    ensure!(most > before + (30 << 20), "{before} and {most}: the answers are too small for a result");
    drop(clients);
    until_back(&home, before).await?;
    home.finish().await
}

#[tokio::test]
async fn memory_is_returned_after_clients_that_do_not_read() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let before = at_rest(&home).await?;
    let mut clients: Vec<Client> = try_join_all((0..200).map(|_| Client::narrow(home.address()))).await?;
    for client in &mut clients {
        client.call::<ThreadResume>(resume_params(thread)).await?;
    }
    client.turn(thread, "/stream 100 8000 200").await?;
    let most = resident(home.pid()).context("the server's memory")?;
    ensure!(most > before + (30 << 20), "{before} and {most}: too little data waits for a result");
    drop(clients);
    client.unload(thread, true).await?;
    until_back(&home, before).await?;
    home.finish().await
}
