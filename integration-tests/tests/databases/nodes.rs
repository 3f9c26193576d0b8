//! Several servers at one database.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Helper, Home, PATIENCE, Setup};
use skein_integration_tests::process::{Process, wait_until};
use skein_integration_tests::requests::{resume_params, search_params};
use skein_integration_tests::view::{Kind, Window};
use skein_postgres::testing::{CuttingProxy, ProxyCut, TestCluster, TestDatabase};
use skein_protocol::extension::{NodeStanding, SkeinStatusResponse, TextsState};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinQuestionsList, ThreadQueueAdd, ThreadResume, ThreadSearch};
use skein_protocol::notifications::SkeinQuestionsChanged;
use skein_protocol::question::SkeinQuestionsListParams;
use skein_protocol::thread::ThreadQueueAddParams;
use skein_protocol::turn::{TurnStatus, UserInput};

use super::links::{linked, linked_with};
use super::{stored_in, texts};

pub(super) fn node(database: &TestDatabase, name: &str) -> Result<Setup> {
    Ok(named(database, name).helper(Helper::named("helper")?))
}

fn named(database: &TestDatabase, name: &str) -> Setup {
    stored_in(database).set("cluster.node_name", name)
}

/// Two servers of one database, each with a client.
async fn two(database: &TestDatabase) -> Result<[(Home, Client); 2]> {
    let first = node(database, "first")?.start_with_client().await?;
    let second = node(database, "second")?.start_with_client().await?;
    Ok([first, second])
}

/// Resumes a thread once its owner has ended, as a client that tries again.
pub(super) async fn until_resumed(client: &mut Client, thread: ThreadId) -> Result<()> {
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

/// Reads the thread until it has this many turns, and the last one has this status.
pub(super) async fn until_last_turn(
    client: &mut Client,
    thread: ThreadId,
    count: usize,
    status: TurnStatus,
) -> Result<()> {
    let ended = async {
        loop {
            let turns = client.read_thread(thread).await?.turns;
            if turns.len() == count && turns.last().is_some_and(|turn| turn.status == status) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .with_context(|| format!("not {count} turns, or not {status:?}"))?
}

#[tokio::test]
async fn a_message_that_waits_goes_on_at_another_server_when_its_own_stops() -> Result<()> {
    let database = TestCluster::shared().database().await;
    // The stop lets the turn end, and begins no other.
    let (mut first, mut one) = node(&database, "first")?
        .set("shutdown.drain", "1min")
        .set("shutdown.limit", "2min")
        .start_with_client()
        .await?;
    let (second, mut other) = node(&database, "second")?.start_with_client().await?;
    let thread = one.start_thread_with("first").await?;
    one.start_turn(thread, "/stream 80 8 40").await?;
    let input = vec![UserInput::text("second")];
    let add = ThreadQueueAddParams {
        client_user_message_id: "second".to_owned(),
        input,
        responsesapi_client_metadata: None,
        thread_id: thread,
    };
    one.call::<ThreadQueueAdd>(add).await?;
    first.stop().await?;
    until_last_turn(&mut other, thread, 3, TurnStatus::Completed).await?;
    assert_eq!(texts(&other.read_thread(thread).await?).last().map(String::as_str), Some("second"));
    first.finish().await?;
    second.finish().await
}

/// The servers that live, as one of them knows which has a row.
fn nodes(status: &SkeinStatusResponse) -> Option<u64> {
    let sure = status.cluster.as_ref().filter(|cluster| cluster.standing == NodeStanding::Sure);
    sure.map(|cluster| cluster.nodes)
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
    until_last_turn(&mut other, forgotten, 2, TurnStatus::Interrupted).await?;
    let gone = || (!family.all().any(Process::lives)).then_some(());
    wait_until("the helpers of the killed server are gone", PATIENCE, gone).await?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_server_that_alone_does_not_reach_the_database_ends_its_threads_and_takes_them_again_later()
-> Result<()> {
    let database = TestCluster::shared().database().await;
    let (way, lingers) = (CuttingProxy::alone(&database), Helper::named("helper")?.set("linger", "1h"));
    let first = named(&database, "first").set("store.url", way.url(&database)).helper(lingers);
    let [(first, mut one), (second, mut other)] = linked_with(first, node(&database, "second")?).await?;
    let left = one.start_thread_with("/tool helper pid").await?;
    one.unsubscribe(left).await?;
    one.thread_closed(left).await?;
    one.until_status("its helper lingers", |status| status.helpers.lingering == 1).await?;
    let thread = one.start_thread_with("first").await?;
    one.start_turn(thread, "/tool helper hang").await?;
    way.set(ProxyCut::Statements);
    assert_eq!(one.until_end().await?, End::Close(Some(1013)));
    first.until_drained(PATIENCE).await?;
    // Nobody asks for it.
    until_last_turn(&mut other, thread, 2, TurnStatus::Interrupted).await?;
    way.set(ProxyCut::Nothing);
    let mut one = first.client().await?;
    one.until_status("it has a row", |status| nodes(status) == Some(2)).await?;
    until_resumed(&mut one, thread).await?;
    let turn = one.turn(thread, "/tool helper pid").await?;
    assert_eq!((turn.status, other.end()), (TurnStatus::Completed, None));
    first.finish().await?;
    second.finish().await
}

/// Longer than the row of a server lives without a beat, and than one that is in doubt alone keeps its threads.
const OUTAGE_MS: u64 = 8_000;

/// Two servers go on with turns that wait behind an outage.
async fn an_outage_ends_nothing(
    [(first, mut one), (second, mut other)]: [(Home, Client); 2],
    away: impl FnOnce(),
    back: impl FnOnce(),
) -> Result<()> {
    let (mine, yours) = (one.start_thread_with("mine").await?, other.start_thread_with("yours").await?);
    let mut windows = Vec::new();
    for thread in [mine, yours] {
        let mut window = Window::open(Kind::Numbered, second.address(), thread).await?;
        let turn = window.start_turn("/ask Which one?").await?;
        // It is saved by then.
        window.until("the question", |view| view.open_question().is_some()).await?;
        windows.push((window, turn));
    }
    let helpers = || (first.family().helpers.len(), second.family().helpers.len());
    assert_eq!(helpers(), (1, 1));
    away();
    for client in [&mut one, &mut other] {
        let is_long = |status: &SkeinStatusResponse| {
            status.cluster.as_ref().is_some_and(|cluster| cluster.beat_age_ms > OUTAGE_MS)
        };
        client.until_status("the database is away for a while", is_long).await?;
    }
    assert_eq!(helpers(), (1, 1));
    back();
    for client in [&mut one, &mut other] {
        client.until_status("it has its row", |status| nodes(status) == Some(2)).await?;
    }
    // By the link of before.
    for (window, turn) in &mut windows {
        window.answer("the red one").await?;
        window.until("the end of the turn", |view| view.has_ended(turn) && view.is_at_rest()).await?;
        ensure!(window.view.last_text().is_some_and(|text| text.contains("the red one")));
        ensure!(window.is_connected());
    }
    assert_eq!(other.loaded_thread(mine).await?.context("loaded")?.server.as_deref(), Some("first"));
    assert_eq!((one.end(), other.end()), (None, None));
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn an_outage_of_the_database_unloads_no_thread_and_closes_no_client() -> Result<()> {
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    let servers = linked(&database).await?;
    an_outage_ends_nothing(servers, || cluster.stop(), || cluster.start_again()).await
}

/// The last beat of each server may have reached the database, as far as it knows.
#[tokio::test]
async fn a_cut_between_the_database_and_all_servers_unloads_no_thread_and_closes_no_client() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let ways = [CuttingProxy::alone(&database), CuttingProxy::alone(&database)];
    let [first, second] = ["first", "second"].map(|name| node(&database, name));
    let (first, second) =
        (first?.set("store.url", ways[0].url(&database)), second?.set("store.url", ways[1].url(&database)));
    let cut = |cut| ways.iter().for_each(|way| way.set(cut));
    let servers = linked_with(first, second).await?;
    an_outage_ends_nothing(servers, || cut(ProxyCut::Statements), || cut(ProxyCut::Nothing)).await
}
