//! Clients that stay connected while the server of a thread ends, and go on with the next one.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::process::{freeze, wait_until};
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_integration_tests::view::{Kind, Window};
use skein_postgres::testing::TestCluster;
use skein_protocol::methods::{ThreadInjectItems, ThreadResume, TurnStart};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::thread::ThreadInjectItemsParams;
use skein_protocol::turn::TurnStatus;

use super::links::{linked, linked_through_a_proxy, observed};
use super::nodes::{node, until_resumed};
use super::texts;

#[tokio::test]
async fn a_client_stays_when_the_server_of_its_thread_is_killed_in_a_turn() -> Result<()> {
    let database = TestCluster::shared().database().await;
    for kind in [Kind::Plain, Kind::Numbered] {
        let [(mut first, mut one), (second, mut other)] = linked(&database).await?;
        let thread = one.start_thread_with("mine").await?;
        let mut far = Window::open(kind, second.address(), thread).await?;
        let turn = one.start_turn(thread, "/tool helper hang").await?;
        wait_until("the call hangs", PATIENCE, || (first.family().helpers.len() == 1).then_some(())).await?;
        far.until("the turn runs", |view| !view.is_at_rest()).await?;
        let killed = Instant::now();
        first.kill().await?;
        far.until("the end of the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
        eprintln!("the client has the end of the turn {:?} after the kill", killed.elapsed());
        let next = far.start_turn("on").await?;
        far.until("the next turn", |view| view.has_ended(&next) && view.is_at_rest()).await?;
        let read = other.read_thread(thread).await?;
        far.view.same_as_read(&read)?;
        assert_eq!(texts(&read).first().map(String::as_str), Some("mine"));
        assert_eq!(read.turns[1].status, TurnStatus::Interrupted);
        assert_eq!(other.loaded_thread(thread).await?.context("loaded")?.server, None);
        first.finish().await?;
        second.finish().await?;
    }
    Ok(())
}

/// Its sockets stay open, as those of a machine that has lost its power.
#[tokio::test]
async fn a_client_goes_on_while_the_server_of_its_thread_stands_still() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    freeze(first.pid()).await?;
    let stood_still = Instant::now();
    assert_eq!(other.say(thread, "on").await?, "on");
    eprintln!("the next message is answered after {:?}", stood_still.elapsed());
    assert_eq!(other.loaded_thread(thread).await?.context("loaded")?.server, None);
    first.signal(Signal::SIGCONT)?;
    assert_eq!(one.until_end().await?, End::Close(Some(1013)), "its threads are another server's");
    assert_eq!(texts(&other.read_thread(thread).await?), ["mine", "mine", "on", "on"]);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_question_of_a_killed_server_is_put_again_and_its_turn_goes_on() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    let mut far = Window::open(Kind::Numbered, second.address(), thread).await?;
    let turn = one.start_turn(thread, "/ask Which one?").await?;
    far.until("the question", |view| view.open_question().is_some()).await?;
    let asked = far.view.open_question().map(|(id, _)| id.clone());
    first.kill().await?;
    // Its number is that of before.
    far.until("the question again", |view| view.open_question().is_none()).await?;
    far.until("the question again", |view| view.open_question().is_some()).await?;
    assert_eq!(far.view.open_question().map(|(id, _)| id.clone()), asked);
    far.answer("the red one").await?;
    far.until("the end of the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
    ensure!(far.view.last_text().is_some_and(|text| text.contains("the red one")));
    far.view.same_as_read(&other.read_thread(thread).await?)?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn the_clients_of_two_servers_meet_again_at_the_one_that_takes_their_thread() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, mut one), (second, mut other)] = linked(&database).await?;
    let third = node(&database, "third")?.start().await?;
    let mut late = Client::numbered(third.address()).await?;
    late.until_status("it observes both", |status| observed(status) == Some(2)).await?;
    let mut threads = Vec::new();
    for _ in 0..4 {
        let thread = one.start_thread_with("mine").await?;
        let near = Window::open(Kind::Numbered, second.address(), thread).await?;
        let far = Window::open(Kind::Plain, third.address(), thread).await?;
        threads.push([near, far]);
    }
    first.kill().await?;
    for [near, far] in &mut threads {
        let turn = near.start_turn("on").await?;
        for window in [&mut *near, &mut *far] {
            window.until("the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
        }
        let turn = far.start_turn("on").await?;
        for window in [&mut *near, &mut *far] {
            window.until("the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
        }
        near.view.same_as(&far.view)?;
        near.view.same_as_read(&other.read_thread(near.thread()).await?)?;
    }
    first.finish().await?;
    second.finish().await?;
    third.finish().await
}

#[tokio::test]
async fn requests_without_an_answer_are_repeated_or_refused_when_their_server_is_killed() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(mut first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    freeze(first.pid()).await?;
    let message = other.start_call::<TurnStart>(&turn_params(thread, "hello")).await?;
    // Long, so that it is known when it is on its way, and the message before it.
    let words = "word ".repeat(8_000);
    let before = proxy.sent();
    let items = vec![json!({ "type": "message", "role": "user", "content": words })];
    let never =
        other.start_call::<ThreadInjectItems>(&ThreadInjectItemsParams { items, thread_id: thread }).await?;
    proxy.until_sent(before + words.len(), PATIENCE).await?;
    first.kill().await?;
    let refused = other.answer(never).await?.err().context("it may have been done")?;
    assert_eq!(refused.reason(), "serverEnded");
    let turn = other.answer(message).await??.turn.id;
    let ended = other.next::<TurnCompleted>(|ended| ended.turn.id == turn).await?;
    assert_eq!(ended.turn.status, TurnStatus::Completed);
    assert_eq!(texts(&other.read_thread(thread).await?), ["mine", "mine", "hello", "hello"]);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_client_stays_when_the_server_of_its_thread_stops_or_its_link_is_cut() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(mut first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    // Nothing of this one is in the database.
    let new = one.start_thread().await?.id;
    other.resume(new).await?;
    proxy.cut_once();
    assert_eq!(other.say(new, "new").await?, "new");
    assert_eq!(other.say(thread, "cut").await?, "cut");
    other.until_status("it observes the other again", |status| observed(status) == Some(1)).await?;
    for loaded in [thread, new] {
        assert_eq!(other.loaded_thread(loaded).await?.context("loaded")?.server.as_deref(), Some("first"));
    }
    one.close().await?;
    first.stop().await?;
    assert_eq!(other.say(thread, "on").await?, "on");
    assert_eq!(other.loaded_thread(thread).await?.context("loaded")?.server, None);
    assert_eq!(texts(&other.read_thread(thread).await?), ["mine", "mine", "cut", "cut", "on", "on"]);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_thread_is_read_while_its_server_is_looked_for() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    drop(proxy);
    // It has another owner that lives, so its requests wait for that one.
    let waits = other.start_call::<TurnStart>(&turn_params(thread, "hello")).await?;
    assert_eq!(texts(&other.read_thread(thread).await?), ["mine", "mine"]);
    drop(waits);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_client_goes_on_with_a_thread_that_its_living_server_has_lost() -> Result<()> {
    let (cluster, database) = (TestCluster::shared(), TestCluster::shared().database().await);
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("mine").await?;
    other.resume(thread).await?;
    // As if another server had claimed it, and ended.
    cluster.run(&database.name, "update heads set owner = null, term = term + 1 where seq > 0").await;
    let refused = one.refusal::<TurnStart>(turn_params(thread, "too late")).await?;
    assert_eq!(refused.reason(), "notSaved");
    one.thread_closed(thread).await?;
    assert_eq!(other.say(thread, "on").await?, "on");
    assert_eq!(other.loaded_thread(thread).await?.context("loaded")?.server, None);
    assert_eq!(texts(&other.read_thread(thread).await?), ["mine", "mine", "on", "on"]);
    first.finish().await?;
    second.finish().await
}

/// Both reach the database.
#[tokio::test]
async fn a_thread_that_its_clients_leave_alone_goes_to_a_server_that_does_not_reach_its_own() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let (idle, busy) = (one.start_thread_with("idle").await?, one.start_thread_with("busy").await?);
    let hangs = one.start_turn(busy, "/tool helper hang").await?;
    let mut far = Window::open(Kind::Numbered, second.address(), idle).await?;
    drop(proxy);
    let cut = Instant::now();
    assert_eq!(one.until_end().await?, End::Close(Some(1013)), "its thread has moved");
    eprintln!("the thread has moved {:?} after the cut", cut.elapsed());
    assert_eq!(other.loaded_thread(idle).await?.context("loaded")?.server, None);
    let turn = far.start_turn("on").await?;
    far.until("the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
    far.view.same_as_read(&other.read_thread(idle).await?)?;

    // A turn that runs is not interrupted.
    let refused = other.refusal::<ThreadResume>(resume_params(busy)).await?;
    assert_eq!(refused.reason(), "ownerUnreachable");
    second.until_logged("another server is not reached", 1, PATIENCE).await?;
    let mut one = Client::numbered(first.address()).await?;
    one.resume(busy).await?;
    one.interrupt_and_wait(busy, &hangs).await?;
    one.unsubscribe(busy).await?;
    until_resumed(&mut other, busy).await?;
    assert_eq!(other.say(busy, "on").await?, "on");
    first.finish().await?;
    second.finish().await
}
