//! Threads at one server, as the lists of another one's clients show them.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::process::freeze;
use skein_integration_tests::proxy::Flow;
use skein_postgres::testing::TestCluster;
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{SkeinQuestionsAnswer, SkeinQuestionsList};
use skein_protocol::notifications::{
    SkeinQuestionsChanged, ThreadClosed, ThreadStarted, ThreadStatusChanged,
};
use skein_protocol::question::{SkeinQuestionsAnswerParams, SkeinQuestionsListParams};
use skein_protocol::thread::{ThreadListParams, ThreadStatus};

use super::links::{linked, linked_through_a_proxy, linked_with, observed, until_shown};
use super::nodes::node;

fn runs(thread: ThreadId) -> impl Fn(&ThreadStatusChangedNotification) -> bool {
    move |changed| changed.thread_id == thread && matches!(changed.status, ThreadStatus::Active { .. })
}

fn rests(thread: ThreadId) -> impl Fn(&ThreadStatusChangedNotification) -> bool {
    move |changed| changed.thread_id == thread && changed.status == ThreadStatus::NotLoaded
}

/// The statuses of a thread that a client was told, in their order.
fn statuses_of(client: &Client, thread: ThreadId) -> Result<Vec<ThreadStatus>> {
    let all = client.received::<ThreadStatusChanged>()?.into_iter();
    Ok(all.filter(|changed| changed.thread_id == thread).map(|changed| changed.status).collect())
}

/// How often a client was told that a thread is closed.
fn closings(client: &Client, thread: ThreadId) -> Result<usize> {
    Ok(client.received::<ThreadClosed>()?.iter().filter(|closed| closed.thread_id == thread).count())
}

/// Its status is the same with and without an owner.
#[tokio::test]
async fn a_thread_that_is_unloaded_while_it_waits_for_an_answer_is_loaded_at_no_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let parks = node(&database, "first")?.set("orphans.pending_grace", "0s");
    let [(first, mut one), (second, mut other)] = linked_with(parks, node(&database, "second")?).await?;
    let thread = one.start_thread_with("a thread").await?;
    one.start_turn(thread, "/ask Which one?").await?;
    other.next::<SkeinQuestionsChanged>(|changed| changed.thread_id == thread).await?;
    until_shown(&mut other, thread, |shown| shown.is_some()).await?;
    one.unsubscribe(thread).await?;
    until_shown(&mut other, thread, |shown| shown.is_none()).await?;
    let waits = other.call::<SkeinQuestionsList>(SkeinQuestionsListParams::default()).await?.data;
    let question = waits.first().context("it waits")?;
    ensure!(!question.loaded, "{question:?}");
    let asked = question.params["questions"][0]["id"].as_str().context("its id")?;
    let result = serde_json::json!({ "answers": { asked: { "answers": ["the red one"] } } });
    other.call::<SkeinQuestionsAnswer>(SkeinQuestionsAnswerParams { id: question.id, result }).await?;
    other.next::<ThreadStatusChanged>(rests(thread)).await?;
    let listed = other.list_all(ThreadListParams::default()).await?;
    assert_eq!(listed.iter().map(|listed| &listed.status).collect::<Vec<_>>(), [&ThreadStatus::NotLoaded]);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_client_that_unloads_a_thread_of_another_server_learns_once_that_it_is_closed() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let mut lists = Client::numbered(second.address()).await?;
    let thread = one.start_thread_with("a thread").await?;
    other.resume(thread).await?;
    other.unload(thread, true).await?;
    other.thread_closed(thread).await?;
    lists.thread_closed(thread).await?;
    // Behind both ways by which it could come once more.
    let fence = one.start_thread_with("a fence").await?;
    for client in [&mut lists, &mut other] {
        client.next::<ThreadStarted>(|started| started.thread.id == fence).await?;
        assert_eq!(closings(client, thread)?, 1);
        assert_eq!(statuses_of(client, thread)?.last(), Some(&ThreadStatus::NotLoaded));
    }
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_client_leaves_a_thread_by_its_unload_whatever_link_it_came_by() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    other.resume(thread).await?;
    proxy.set(Flow::Cut);
    other.until_status("the link is cut", |status| observed(status) == Some(0)).await?;
    proxy.set(Flow::Open);
    assert_eq!(other.say(thread, "behind the cut").await?, "behind the cut");
    other.unload(thread, true).await?;
    other.thread_closed(thread).await?;
    other.take_all();
    // The end of the next link brings back only what the client follows.
    let stays = one.start_thread_with("another one").await?;
    other.resume(stays).await?;
    proxy.set(Flow::Cut);
    other.until_status("the link is cut", |status| observed(status) == Some(0)).await?;
    proxy.set(Flow::Open);
    assert_eq!(other.say(stays, "behind the cut").await?, "behind the cut");
    assert_eq!(other.loaded_thread(thread).await?, None);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn clients_of_other_servers_learn_that_no_turn_of_a_killed_server_runs() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    one.start_turn(thread, "/tool helper hang").await?;
    other.next::<ThreadStatusChanged>(runs(thread)).await?;
    other.take_all();
    first.kill().await?;
    other.next::<ThreadStatusChanged>(rests(thread)).await?;
    let listed = other.list_all(ThreadListParams::default()).await?;
    assert_eq!(listed[0].status, ThreadStatus::NotLoaded);
    first.finish().await?;
    second.finish().await
}

/// It ends its threads when it wakes, and says so.
#[tokio::test]
async fn a_server_that_has_stood_still_changes_nothing_of_a_thread_that_another_one_has() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let mut lists = Client::numbered(second.address()).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    freeze(first.pid()).await?;
    assert_eq!(other.say(thread, "on").await?, "on");
    let turn = other.start_turn(thread, "/tool helper hang").await?;
    // The repair of its end may have unloaded the thread before. The answer comes behind that.
    lists.status().await?;
    let closed = closings(&lists, thread)?;
    first.signal(Signal::SIGCONT)?;
    assert_eq!(one.until_end().await?, End::Close(Some(1013)));
    // Behind all that it has announced before.
    let mut back = Client::numbered(first.address()).await?;
    let fence = async {
        loop {
            if let Ok(started) = back.start_thread_with("a fence").await {
                return started;
            }
        }
    };
    let fence = fence.await;
    lists.until_status("it observes the other again", |status| observed(status) == Some(1)).await?;
    lists.next::<ThreadStarted>(|started| started.thread.id == fence).await?;
    let last = statuses_of(&lists, thread)?.pop();
    ensure!(matches!(last, Some(ThreadStatus::Active { .. })), "{:?}", statuses_of(&lists, thread)?);
    assert_eq!(closings(&lists, thread)?, closed);
    other.interrupt_and_wait(thread, &turn).await?;
    first.finish().await?;
    second.finish().await
}

/// It has listed its threads meanwhile, without those of the other server.
#[tokio::test]
async fn a_client_learns_which_threads_run_at_a_server_whose_link_was_cut() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    let turn = one.start_turn(thread, "/tool helper hang").await?;
    other.next::<ThreadStatusChanged>(runs(thread)).await?;
    proxy.set(Flow::Cut);
    until_shown(&mut other, thread, |shown| shown.is_none()).await?;
    let listed = other.list_all(ThreadListParams::default()).await?;
    assert_eq!(listed[0].status, ThreadStatus::NotLoaded, "nobody knows");
    other.take_all();
    proxy.set(Flow::Open);
    other.next::<ThreadStatusChanged>(runs(thread)).await?;
    one.interrupt_and_wait(thread, &turn).await?;
    first.finish().await?;
    second.finish().await
}
