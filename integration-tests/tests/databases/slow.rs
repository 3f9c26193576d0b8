//! Clients that read slowly, and servers that stand still.

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::{End, Pending};
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::proxy::{Flow, Proxy};
use skein_integration_tests::requests::turn_params;
use skein_integration_tests::view::{Kind, Leave, Window};
use skein_postgres::testing::TestCluster;
use skein_protocol::methods::{ThreadRead, TurnStart};
use skein_protocol::thread::ThreadReadParams;

use super::links::{linked_through_a_proxy, linked_with};
use super::nodes::node;

/// The server of the thread only waits: it does not know whether the client or the link is slow.
#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_by_the_server_that_it_is_connected_to() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let narrow = |name| {
        let setup = node(&database, name)?.set("limits.outbox_bytes", 64 * 1024);
        anyhow::Ok(setup.set("connections.ping", "1s"))
    };
    let [(first, mut one), (second, mut other)] = linked_with(narrow("first")?, narrow("second")?).await?;
    let mut near = Window::start(Kind::Numbered, first.address()).await?;
    let turn = near.start_turn("words").await?;
    near.until_turn_end(&turn).await?;
    let link = Proxy::start(second.address()).await?;
    let mut far = Window::open(Kind::Numbered, &link.address(), near.thread()).await?;
    link.set(Flow::Stalled);
    near.until_one_is_given_up(&mut other).await?;
    link.set(Flow::Open);
    let end = far.until_closed().await?;
    ensure!(matches!(end, End::Close(Some(1013)) | End::Broken), "the connection has ended with {end:?}");
    ensure!(one.status().await?.refusals.slow_clients == 0, "its thread's server has not judged it");
    far.leave(Leave::Drop).await?;
    far.come_back(&link.address()).await?;
    let last = near.view.turns.last().context("a turn")?.id.clone();
    far.until_turn_end(&last).await?;
    far.view.same_as(&near.view)?;
    drop((near, far, link));
    first.finish_drained().await?;
    second.finish_drained().await
}

/// As that of a machine that stands still. One after the other, the reads would take minutes.
#[tokio::test]
async fn many_requests_wait_together_for_a_server_that_is_silent() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let mut threads = Vec::new();
    for _ in 0..50 {
        threads.push(one.start_thread_with("words").await?);
    }
    proxy.set(Flow::Stalled);
    let mut reads: Vec<Pending<ThreadRead>> = Vec::new();
    for thread_id in threads {
        reads.push(other.start_call(&ThreadReadParams { thread_id, include_turns: true }).await?);
    }
    let answered = async {
        for read in reads {
            ensure!(other.answer(read).await?.is_ok_and(|read| read.thread.turns.len() == 1));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, answered).await.context("the reads wait one after the other")??;
    proxy.set(Flow::Open);
    first.finish().await?;
    second.finish().await
}

/// The requests that wait for a link hold a bounded number of bytes, as those of this server do.
#[tokio::test]
async fn large_requests_are_refused_while_the_server_of_their_thread_takes_none() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("words").await?;
    other.resume(thread).await?;
    proxy.set(Flow::Stalled);
    // More than the sockets take.
    let large = "x".repeat(4 << 20);
    let mut asked: Vec<Pending<TurnStart>> = Vec::new();
    for _ in 0..16 {
        asked.push(other.start_call(&turn_params(thread, &large)).await?);
    }
    let last = asked.pop().context("a request")?;
    let refused = tokio::time::timeout(PATIENCE, other.answer(last)).await.context("it waits, too")??;
    let refused = refused.err().context("it was sent")?;
    ensure!(refused.reason() == "requestsInFlight", "{refused:?}");
    proxy.set(Flow::Open);
    drop((one, other));
    first.finish_drained().await?;
    second.finish_drained().await
}
