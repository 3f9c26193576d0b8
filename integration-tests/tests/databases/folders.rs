//! Threads whose folder only one of several servers has.

use anyhow::{Context, Result};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::requests::resume_params;
use skein_postgres::testing::TestCluster;
use skein_protocol::extension::{LoadedThread, SkeinConnectionLeaveParams, ThreadOwner};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinConnectionLeave, ThreadFork, ThreadResume, ThreadStart};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::thread::{ThreadForkParams, ThreadStartParams};
use skein_protocol::turn::TurnStatus;

use super::links::{linked, observed, until_given_up, until_shown};
use super::nodes::{node, until_resumed};

/// A folder beside the home of each server: the system leads every process to its own working directory.
const FOLDER: &str = "/proc/self/cwd/project";

fn in_folder() -> ThreadStartParams {
    ThreadStartParams { cwd: Some(FOLDER.to_owned()), ..ThreadStartParams::default() }
}

fn name(owner: Option<ThreadOwner>) -> Result<String> {
    Ok(owner.context("one of several servers has it")?.node)
}

/// The name of the server at which a client's resume of a thread has loaded it.
async fn resumed_at(client: &mut Client, thread: ThreadId) -> Result<String> {
    let resumed = client.call::<ThreadResume>(resume_params(thread)).await?;
    name(resumed.skein.and_then(|skein| skein.owner))
}

#[tokio::test]
async fn a_thread_is_loaded_where_its_folder_is() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, one), (second, mut other)] = linked(&database).await?;
    std::fs::create_dir(first.beside().join("project"))?;
    one.close().await?;

    let started = other.call::<ThreadStart>(in_folder()).await?;
    let thread = started.thread.id;
    assert_eq!(name(started.skein.and_then(|skein| skein.owner))?, "first");
    assert_eq!(other.say(thread, "begin").await?, "begin");
    other.unsubscribe(thread).await?;
    until_given_up(&database, thread).await;

    assert_eq!(resumed_at(&mut other, thread).await?, "first", "also when nobody has loaded it");
    assert_eq!(other.say(thread, "on").await?, "on");
    other.unsubscribe(thread).await?;
    until_given_up(&database, thread).await;
    let params = ThreadForkParams { thread_id: thread, ..ThreadForkParams::default() };
    let fork = other.call::<ThreadFork>(params).await?;
    assert_eq!(name(fork.skein.and_then(|skein| skein.owner))?, "first");
    assert_eq!(other.say(fork.thread.id, "a copy").await?, "a copy");
    other.unsubscribe(fork.thread.id).await?;

    // A client that leaves while its new thread is on its way is not subscribed to it.
    let pending = other.start_call::<ThreadStart>(&in_folder()).await?;
    other.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams::default()).await?;
    let mut at_first = first.client().await?;
    match other.answer(pending).await? {
        Ok(left) => {
            let is_deserted = |loaded: Option<&LoadedThread>| loaded.is_some_and(|it| it.subscribers == 0);
            until_shown(&mut at_first, left.thread.id, is_deserted).await?;
        }
        // The start had come first.
        Err(refused) => assert_eq!(refused.reason(), "withdrawn"),
    }
    at_first.close().await?;

    // Nobody has the folder any more.
    first.stop().await?;
    assert_eq!(resumed_at(&mut other, thread).await?, "second");
    assert_eq!(other.say(thread, "without it").await?, "without it");
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_thread_whose_server_is_killed_goes_on_where_its_folder_is() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, one), (second, mut other)] = linked(&database).await?;
    // A bystander lacks the folder, and looks for threads of servers that have ended as well.
    let (third, bystander) =
        (node(&database, "third")?.start().await?, node(&database, "fourth")?.start().await?);
    other.until_status("it observes all", |status| observed(status) == Some(3)).await?;
    for home in [&first, &third] {
        std::fs::create_dir(home.beside().join("project"))?;
    }
    one.close().await?;
    // The other one with the folder has a thread more.
    let mut at_third = third.client().await?;
    let busy = at_third.start_thread_with("busy").await?;
    other
        .until_status("it knows the thread", |status| {
            let cluster = status.cluster.as_ref();
            cluster.is_some_and(|it| it.others.iter().any(|other| other.name == "third" && other.loaded == 1))
        })
        .await?;
    let started = other.call::<ThreadStart>(in_folder()).await?;
    let thread = started.thread.id;
    assert_eq!(name(started.skein.and_then(|skein| skein.owner))?, "first", "it has fewer threads");
    // The turn goes on at the next server of the thread.
    let turn = other.start_turn(thread, "/ask Which one?").await?;
    other.next_request::<ItemToolRequestUserInput>().await?;

    first.kill().await?;
    let mut late = bystander.client().await?;
    until_resumed(&mut late, thread).await?;
    assert_eq!(resumed_at(&mut late, thread).await?, "third");
    late.answer_next("the red one").await?;
    assert_eq!(other.turn_end(&turn).await?.status, TurnStatus::Completed);
    at_third.unsubscribe(busy).await?;
    first.until_drained(PATIENCE).await?;
    first.finish().await?;
    for home in [bystander, third, second] {
        home.finish().await?;
    }
    Ok(())
}
