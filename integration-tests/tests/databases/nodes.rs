//! Several servers at one database.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Helper, Home, PATIENCE, Setup};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::{resume_params, search_params};
use skein_postgres::testing::{TestCluster, TestDatabase};
use skein_protocol::extension::TextsState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinQuestionsList, ThreadResume, ThreadSearch};
use skein_protocol::notifications::SkeinQuestionsChanged;
use skein_protocol::question::SkeinQuestionsListParams;
use skein_protocol::thread::ThreadListParams;
use skein_protocol::turn::TurnStatus;

use super::{stored_in, texts};

fn node(database: &TestDatabase, name: &str) -> Result<Setup> {
    Ok(stored_in(database).set("cluster.node_name", name).helper(Helper::named("helper")?))
}

/// Two servers of one database, each with a client.
async fn two(database: &TestDatabase) -> Result<[(Home, Client); 2]> {
    let first = node(database, "first")?.start_with_client().await?;
    let second = node(database, "second")?.start_with_client().await?;
    Ok([first, second])
}

/// Resumes a thread once its owner has ended, as a client that tries again.
async fn until_resumed(client: &mut Client, thread: ThreadId) -> Result<()> {
    let resumed = async {
        loop {
            let pending = client.start_call::<ThreadResume>(&resume_params(thread)).await?;
            match client.answer(pending).await? {
                Ok(_) => return Ok(()),
                Err(error) => ensure!(error.reason() == "ownerUnreachable", "{error:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, resumed).await.context("the thread stays with its owner")?
}

#[tokio::test]
async fn a_thread_is_with_one_server_at_a_time_and_the_other_lists_it_and_names_the_owner() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = two(&database).await?;
    let thread = one.start_thread_with("/tool helper pid").await?;
    let listed = other.list_all(ThreadListParams::default()).await?;
    assert_eq!(listed.iter().map(|thread| thread.id).collect::<Vec<_>>(), [thread]);
    let refused = other.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!((refused.code, refused.reason()), (-32001, "ownerUnreachable"));
    ensure!(refused.message.contains("the server first"), "{refused:?}");
    one.unsubscribe(thread).await?;
    one.thread_closed(thread).await?;
    until_resumed(&mut other, thread).await?;
    other.turn(thread, "/tool helper pid").await?;
    assert_eq!((first.family().count(), second.family().helpers.len()), (0, 1));
    assert_eq!(other.until_status("both live", |status| nodes(status) == Some(2)).await?.repair.total, 0);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn the_questions_and_texts_of_one_server_are_found_at_the_other() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = two(&database).await?;
    let found = async |client: &mut Client| -> Result<BTreeSet<ThreadId>> {
        let found = client.call::<ThreadSearch>(search_params("needle")).await?;
        Ok(found.data.iter().map(|found| found.thread.id).collect())
    };
    let before = one.start_thread_with("a needle").await?;
    assert_eq!(found(&mut other).await?, BTreeSet::from([before]));
    other.until_status("its index is ready", |status| status.texts.state == TextsState::Ready).await?;
    let behind = one.start_thread_with("another needle").await?;
    assert_eq!(found(&mut other).await?, BTreeSet::from([before, behind]), "as soon as it is acknowledged");

    let mut other = Client::numbered(second.address()).await?;
    let turn = one.start_turn(behind, "/ask Which needle?").await?;
    let asked = other.next::<SkeinQuestionsChanged>(|changed| changed.thread_id == behind).await?;
    assert_eq!((asked.open.len(), asked.needs_you.questions), (1, 1));
    let listed = other.call::<SkeinQuestionsList>(SkeinQuestionsListParams::default()).await?.data;
    assert_eq!(listed.iter().map(|question| question.thread_id).collect::<Vec<_>>(), [behind]);
    one.interrupt_and_wait(behind, &turn).await?;
    let settled = other.next::<SkeinQuestionsChanged>(|changed| changed.thread_id == behind).await?;
    assert_eq!((settled.open.len(), settled.needs_you.questions), (0, 0));
    first.finish().await?;
    second.finish().await
}

fn nodes(status: &skein_protocol::extension::SkeinStatusResponse) -> Option<u64> {
    status.cluster.as_ref().map(|cluster| cluster.nodes)
}

#[tokio::test]
async fn the_threads_of_a_killed_server_go_on_at_another_with_every_acknowledged_message() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, mut one), (second, mut other)] = two(&database).await?;
    let asked_for = one.start_thread_with("mine").await?;
    let forgotten = one.start_thread_with("another").await?;
    for thread in [asked_for, forgotten] {
        one.start_turn(thread, "/tool helper hang").await?;
    }
    wait_until("both calls hang", PATIENCE, || (first.family().helpers.len() == 2).then_some(())).await?;
    let family = first.family();
    first.kill().await?;
    until_resumed(&mut other, asked_for).await?;
    let read = other.read_thread(asked_for).await?;
    assert_eq!(texts(&read).first().map(String::as_str), Some("mine"));
    assert_eq!(other.say(asked_for, "on").await?, "on");
    // Nobody asks for this one.
    other.until_status("it is looked at", |status| status.repair.done >= 1).await?;
    let read = other.read_thread(forgotten).await?;
    let last = read.turns.last().context("a turn")?;
    assert_eq!(last.status, TurnStatus::Interrupted);
    let gone = || {
        (!family.all().any(|process| skein_integration_tests::process::Process::read(process.pid).is_some()))
            .then_some(())
    };
    wait_until("the helpers of the killed server are gone", PATIENCE, gone).await?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_server_that_does_not_reach_the_database_ends_its_threads_and_takes_them_again_later() -> Result<()>
{
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    let [(first, mut one), (second, mut other)] = two(&database).await?;
    let thread = one.start_thread_with("first").await?;
    one.start_turn(thread, "/tool helper hang").await?;
    cluster.stop();
    for (home, client) in [(&first, &mut one), (&second, &mut other)] {
        assert_eq!(client.until_end().await?, End::Close(Some(1013)));
        home.until_drained(PATIENCE).await?;
    }
    cluster.start_again();
    let mut one = first.client().await?;
    one.until_status("it has a row", |status| nodes(status) == Some(2)).await?;
    until_resumed(&mut one, thread).await?;
    let turns = one.read_thread(thread).await?.turns;
    assert_eq!(turns.last().context("the turn that was cut off")?.status, TurnStatus::Interrupted);
    let turn = one.turn(thread, "/tool helper pid").await?;
    assert_eq!((turn.status, first.family().helpers.len()), (TurnStatus::Completed, 1));
    first.finish().await?;
    second.finish().await
}
