//! Threads in a PostgreSQL database: what clients see is what they see of threads in files.

mod chaos;
mod commands;
mod credentials;
mod drains;
mod ends;
mod folders;
mod homes;
mod links;
mod migrate;
mod nodes;
mod observers;
mod slow;
mod taken;
mod takeovers;
mod versions;

use anyhow::Result;
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::requests::{agent_text, search_params, user_text};
use skein_postgres::testing::{TestCluster, TestDatabase};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadArchive, ThreadDelete, ThreadFork, ThreadList, ThreadSearch};
use skein_protocol::thread::{
    Thread, ThreadArchiveParams, ThreadDeleteParams, ThreadForkParams, ThreadListParams,
};

/// The settings of a server with this database.
fn stored_in(database: &TestDatabase) -> Setup {
    Home::setup().set("store.url", database.url())
}

/// The texts of all messages of a thread, in their order.
fn texts(thread: &Thread) -> Vec<String> {
    let items = thread.turns.iter().flat_map(|turn| &turn.items);
    items.filter_map(|item| user_text(item).or(agent_text(item))).collect()
}

fn no_file_of_a_thread_is_in(home: &Home) -> Result<()> {
    for folder in ["threads", "archived", "trash", "blobs", "secrets"] {
        let path = home.path().join(folder);
        let is_empty = !path.exists() || std::fs::read_dir(&path)?.next().is_none();
        anyhow::ensure!(is_empty, "{} has files", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn a_thread_is_made_read_listed_searched_moved_forked_and_deleted() -> Result<()> {
    let database = TestCluster::shared().database().await;
    // A page of the search is whole, however slow the machine is.
    let setup = stored_in(&database).set("search.page_time", "60s");
    let (home, mut client) = setup.start_with_client().await?;
    let large = "0123456789".repeat(40_000);
    let first = client.start_thread_with("a needle in the hay").await?;
    let second = client.start_thread_with(&large).await?;
    assert_eq!(client.say(first, "more").await?, "more");

    let ids = |threads: Vec<Thread>| threads.into_iter().map(|thread| thread.id).collect::<Vec<ThreadId>>();
    assert_eq!(ids(client.list_all(ThreadListParams::default()).await?), [second, first]);
    let found = client.call::<ThreadSearch>(search_params("needle")).await?;
    assert_eq!(found.data.iter().map(|found| found.thread.id).collect::<Vec<_>>(), [first]);
    let read = client.read_thread(second).await?;
    assert_eq!(texts(&read), [large.clone(), large], "a large text comes back whole");

    let forked = client
        .call::<ThreadFork>(ThreadForkParams { thread_id: first, ..ThreadForkParams::default() })
        .await?;
    assert_eq!(texts(&forked.thread), texts(&client.read_thread(first).await?));
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: first }).await?;
    client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: second }).await?;
    assert_eq!(ids(client.list_all(ThreadListParams::default()).await?), [forked.thread.id]);
    let archived = ThreadListParams { archived: Some(true), ..ThreadListParams::default() };
    assert_eq!(ids(client.call::<ThreadList>(archived).await?.data), [first]);
    no_file_of_a_thread_is_in(&home)?;
    home.finish().await
}

#[tokio::test]
async fn a_switch_leaves_no_thread_and_no_helper() -> Result<()> {
    use skein_integration_tests::home::{Helper, PATIENCE};

    let database = TestCluster::shared().database().await;
    let (home, mut client) =
        stored_in(&database).helper(Helper::named("helper")?).start_with_client().await?;
    for _ in 0..3 {
        let thread = client.start_thread_with("/tool helper pid").await?;
        assert_eq!(home.family().helpers.len(), 1);
        client.unsubscribe(thread).await?;
        client.thread_closed(thread).await?;
        home.until_drained(PATIENCE).await?;
        assert_eq!(client.loaded().await?, []);
    }
    home.finish().await
}
