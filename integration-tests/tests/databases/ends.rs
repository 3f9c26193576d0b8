//! Ends of the server and of the database.

use std::time::Duration;

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::http::Request;
use skein_integration_tests::requests::turn_params;
use skein_postgres::testing::TestCluster;
use skein_protocol::event::WarningNotification;
use skein_protocol::extension::NodeStanding;
use skein_protocol::methods::TurnStart;
use skein_protocol::notifications::{ItemAgentMessageDelta, TurnCompleted, Warning};
use skein_protocol::turn::TurnStatus;

use super::{stored_in, texts};
use crate::wire::metrics::has_what_the_dashboard_asks_for;

#[tokio::test]
async fn acknowledged_messages_survive_a_kill_and_the_open_turn_is_closed() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (mut home, mut client) = stored_in(&database).start_with_client().await?;
    let thread = client.start_thread_with("first").await?;
    for number in 0..5 {
        client.turn(thread, &format!("words {number}")).await?;
    }
    client.start_turn(thread, "/stream 100000 8 200").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("5 ")).await?;
    let before = client.resume(thread).await?.skein.context("a snapshot")?;
    // The next server of the same home takes the database at once.
    home.restart_after_kill().await?;

    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?;
    let now = resumed.skein.context("a snapshot")?;
    assert_eq!(now.epoch, before.epoch, "the database has lost nothing");
    assert!(now.seq > before.seq);
    assert_eq!(resumed.thread.turns.len(), 7);
    let last = resumed.thread.turns.last().context("a turn")?;
    assert_eq!(last.status, TurnStatus::Interrupted);
    assert!(texts(&resumed.thread).contains(&"words 4".to_owned()));
    assert_eq!(client.say(thread, "on").await?, "on");
    home.finish().await
}

#[tokio::test]
async fn an_orderly_restart_finds_closed_threads() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (mut home, mut client) = stored_in(&database).start_with_client().await?;
    let thread = client.start_thread_with("first").await?;
    home.restart().await?;
    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(texts(&resumed.thread), ["first", "first"]);
    home.finish().await
}

#[tokio::test]
async fn while_the_database_is_away_turns_wait_and_afterwards_all_goes_on() -> Result<()> {
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    let (home, mut client) = stored_in(&database).start_with_client().await?;
    let thread = client.start_thread_with("first").await?;
    cluster.stop();
    let taken = client.start_call::<TurnStart>(&turn_params(thread, "second")).await?;
    let is_of_database = |warning: &WarningNotification| warning.message.contains("database");
    client.next::<Warning>(is_of_database).await?;
    // From here on the thread takes none.
    let refused = client.refusal::<TurnStart>(turn_params(thread, "third")).await?;
    assert_eq!((refused.code, refused.reason()), (-32001, "storeUnavailable"));
    assert!(refused.data.and_then(|data| data.retry_after_ms).is_some());
    assert_eq!(client.loaded().await?, [thread], "requests from memory are answered");
    cluster.start_again();
    let turn = client.answer(taken).await??.turn;
    let end = client.next::<TurnCompleted>(|end| end.turn.id == turn.id).await?;
    assert_eq!((end.turn.status, end.skein), (TurnStatus::Completed, None));
    let answered = async { while client.say(thread, "fourth").await.is_err() {} };
    tokio::time::timeout(PATIENCE, answered).await.context("the thread does not go on")?;
    let read = client.read_thread(thread).await?;
    let texts = texts(&read);
    let count = |text: &str| texts.iter().filter(|found| *found == text).count();
    // Each acknowledged message and its answer.
    assert_eq!(["first", "second", "third", "fourth"].map(count), [2, 2, 0, 2], "{texts:?}");
    home.finish().await
}

/// Waits until the server answers `/readyz` with this status, and returns its words.
pub(super) async fn until_ready_is(home: &Home, status: u16) -> Result<String> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let answered = async {
        loop {
            looks.tick().await;
            let answer = Request::new("GET", "/readyz").send(home.address()).await?;
            if answer.status == status {
                return Ok(answer.body);
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.with_context(|| format!("/readyz is not {status}"))?
}

#[tokio::test]
async fn a_server_says_that_its_database_does_not_answer_and_why_until_it_does() -> Result<()> {
    let cluster = TestCluster::start();
    let database = cluster.database().await;
    let (home, mut client) = stored_in(&database).start_with_client().await?;
    let there = client.status().await?.cluster.context("a cluster")?;
    assert_eq!((there.standing, &there.database.failure), (NodeStanding::Sure, &None));
    assert!(there.database.beat_micros > 0, "{there:?}");
    cluster.stop();
    assert_eq!(until_ready_is(&home, 503).await?, "the database does not answer\n");
    let away = client.status().await?.cluster.context("a cluster")?;
    assert_eq!((away.standing, &away.id, &away.node), (NodeStanding::Doubtful, &there.id, &there.node));
    assert!(away.beat_age_ms >= 2_000 && away.database.failure.is_some(), "{away:?}");
    assert_eq!(Request::new("GET", "/healthz").send(home.address()).await?.status, 200);
    cluster.start_again();
    until_ready_is(&home, 200).await?;
    let back = client.status().await?.cluster.context("a cluster")?;
    assert_eq!((back.standing, back.database.failure), (NodeStanding::Sure, None));
    home.finish().await
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_that_a_server_with_a_database_has() -> Result<()> {
    let (home, _database) = one().await?;
    has_what_the_dashboard_asks_for(home.address(), true).await?;
    home.finish().await
}

/// A test's server, for the servers that are refused.
pub(super) async fn one() -> Result<(Home, skein_postgres::testing::TestDatabase)> {
    let database = TestCluster::shared().database().await;
    Ok((stored_in(&database).start().await?, database))
}
