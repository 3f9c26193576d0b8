//! A server that drains beside others: its clients and their threads go on meanwhile.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::credentials::bearer;
use skein_integration_tests::home::{Exit, Home, PATIENCE};
use skein_integration_tests::requests::turn_params;
use skein_integration_tests::view::{Kind, Window};
use skein_postgres::testing::TestCluster;
use skein_protocol::extension::{OtherServer, SkeinStatusResponse, ThreadOwner};
use skein_protocol::methods::{ThreadFork, ThreadQueueAdd, TurnStart};
use skein_protocol::thread::{ThreadForkParams, ThreadQueueAddParams, ThreadResumeResponse};
use skein_protocol::turn::{TurnStatus, UserInput};

use super::commands::cluster;
use super::credentials::skein;
use super::links::linked;
use super::nodes::until_last_turn;
use super::texts;

fn owner(shown: ThreadResumeResponse) -> Result<ThreadOwner> {
    shown.skein.and_then(|skein| skein.owner).context("no owner")
}

/// The first has ended by itself.
async fn both_end(mut first: Home, second: Home) -> Result<()> {
    assert_eq!(first.exited(PATIENCE).await?, Exit::Code(0));
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_server_that_drains_gives_idle_threads_away_at_once_and_ends_after_its_turns() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(mut first, mut one), (second, mut other)] = linked(&database).await?;
    let mut bystander = Client::numbered(first.address()).await?;
    let idle = one.start_thread_with("idle").await?;
    let busy = one.start_thread_with("busy").await?;
    other.resume(busy).await?;
    let before = owner(other.resume(idle).await?)?;
    assert_eq!(before.node, "first");
    one.unsubscribe(idle).await?;
    let turn = other.start_turn(busy, "/tool helper hang").await?;

    let others = |status: &SkeinStatusResponse| Some(status.cluster.as_ref()?.others.clone());
    let first_has = |loaded| Some(vec![OtherServer { name: "first".to_owned(), loaded }]);
    other.until_status("it knows both threads", |status| others(status) == first_has(2)).await?;

    let url = database.url();
    let meanwhile = async {
        assert_eq!(bystander.until_end().await?, End::Close(Some(1001)), "it has no thread there");
        other.until_status("it has one of them", |status| others(status) == first_has(1)).await?;
        assert_eq!(other.say(idle, "on").await?, "on");
        let server = async |client: &mut Client, thread| {
            anyhow::Ok(client.loaded_thread(thread).await?.context("loaded")?.server)
        };
        assert_eq!(server(&mut other, idle).await?, None);
        assert_eq!(server(&mut other, busy).await?.as_deref(), Some("first"), "its turn runs there");
        let copy = other.call::<ThreadFork>(ThreadForkParams::of(busy)).await?.thread.id;
        assert_eq!(server(&mut other, copy).await?, None, "no new thread comes to the first");
        ensure!(one.end().is_none(), "its thread is there");
        let (_, shown, _) = cluster(&["status"], &url).await?;
        let nodes = shown["nodes"].as_array().context("servers")?;
        let drains = nodes.iter().find(|node| node["name"] == "first").context("it is there")?;
        assert_eq!((&drains["draining"], &drains["threads"]), (&true.into(), &1.into()), "{shown}");
        // By the link that was opened again.
        other.interrupt_and_wait(busy, &turn).await?;
        assert_eq!(one.until_end().await?, End::Close(Some(1001)));
        assert_eq!(other.say(busy, "on").await?, "on");
        anyhow::Ok(())
    };
    let (drained, meanwhile) = tokio::join!(cluster(&["drain", "first"], &url), meanwhile);
    meanwhile?;
    let (code, outcome, error) = drained?;
    assert_eq!((code, &outcome["node"]), (Some(0), &"first".into()), "{error}");
    assert_eq!(first.exited(PATIENCE).await?, Exit::Code(0));
    let after = owner(other.resume(idle).await?)?;
    assert_eq!(after.node, "second");
    ensure!(after.term > before.term, "{after:?}");
    let started = other.call::<TurnStart>(turn_params(idle, "once more")).await?;
    assert_eq!(started.skein.map(|skein| skein.owner), Some(after));
    other.turn_end(&started.turn.id).await?;
    assert_eq!(texts(&other.read_thread(busy).await?).last().map(String::as_str), Some("on"));
    let (code, _, error) = cluster(&["drain", "first"], &url).await?;
    assert_eq!(code, Some(1));
    ensure!(error.contains("no server with the name first") && error.contains("there are second"), "{error}");
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn the_queue_of_a_thread_goes_on_at_another_server_while_the_first_still_drains() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let (queued, busy) = (one.start_thread_with("queued").await?, one.start_thread_with("busy").await?);
    let turn = one.start_turn(busy, "/tool helper hang").await?;
    let before = one.start_turn(queued, "/stream 80 8 40").await?;
    let add = ThreadQueueAddParams {
        client_user_message_id: "later".to_owned(),
        input: vec![UserInput::text("later")],
        responsesapi_client_metadata: None,
        thread_id: queued,
    };
    one.call::<ThreadQueueAdd>(add).await?;
    let url = database.url();
    let meanwhile = async {
        one.turn_end(&before).await?;
        // Nobody asks for it.
        until_last_turn(&mut other, queued, 3, TurnStatus::Completed).await?;
        assert_eq!(texts(&other.read_thread(queued).await?).last().map(String::as_str), Some("later"));
        ensure!(first.family().helpers.len() == 1, "a turn runs there");
        first.signal(Signal::SIGTERM)?;
        anyhow::Ok(())
    };
    let (drained, meanwhile) = tokio::join!(cluster(&["drain", "first"], &url), meanwhile);
    meanwhile?;
    assert_eq!(drained?.0, Some(0), "a signal ends the time for turns");
    until_last_turn(&mut other, busy, 2, TurnStatus::Interrupted).await?;
    ensure!(other.read_thread(busy).await?.turns[1].id == turn);
    both_end(first, second).await
}

#[tokio::test]
async fn a_turn_that_waits_for_an_answer_moves_while_its_server_still_drains() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let (asks, busy) = (one.start_thread_with("asks").await?, one.start_thread_with("busy").await?);
    let hangs = one.start_turn(busy, "/tool helper hang").await?;
    let mut window = Window::open(Kind::Numbered, second.address(), asks).await?;
    // A client of the first that listens to it would have to leave.
    one.unsubscribe(asks).await?;
    let turn = window.start_turn("/ask Which one?").await?;
    window.until("the question", |view| view.open_question().is_some()).await?;
    let url = database.url();
    let meanwhile = async {
        let is_free = async {
            loop {
                let (_, shown, _) = cluster(&["status"], &url).await?;
                let nodes = shown["nodes"].as_array().context("servers")?;
                if nodes.iter().any(|node| node["name"] == "first" && node["threads"] == 1) {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, is_free).await.context("the first keeps the thread")??;
        other.resume(asks).await?;
        assert_eq!(other.loaded_thread(asks).await?.context("loaded")?.server, None);
        // Perhaps before the window follows the thread at its new server.
        window.answer("the red one").await?;
        window.until("the end of the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
        ensure!(first.family().helpers.len() == 1, "a turn runs there");
        one.interrupt_and_wait(busy, &hangs).await?;
        anyhow::Ok(())
    };
    let (drained, meanwhile) = tokio::join!(cluster(&["drain", "first"], &url), meanwhile);
    meanwhile?;
    assert_eq!(drained?.0, Some(0));
    both_end(first, second).await
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_server_drains_ends_its_connections() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, _other)] = linked(&database).await?;
    let token = first.token("guest", "chat").await?;
    let mut bystander = Client::numbered(first.address()).await?;
    let mut guest = bearer(first.address(), &token).await?;
    let busy = one.start_thread_with("busy").await?;
    guest.resume(busy).await?;
    let turn = one.start_turn(busy, "/tool helper hang").await?;
    let url = database.url();
    let meanwhile = async {
        assert_eq!(bystander.until_end().await?, End::Close(Some(1001)), "it drains");
        skein(&["token", "revoke", "guest", "--store", &url]).await?;
        assert_eq!(guest.until_end().await?, End::Close(Some(1008)));
        one.interrupt_and_wait(busy, &turn).await?;
        anyhow::Ok(())
    };
    let (drained, meanwhile) = tokio::join!(cluster(&["drain", "first"], &url), meanwhile);
    meanwhile?;
    assert_eq!(drained?.0, Some(0));
    both_end(first, second).await
}
