//! Threads that another server of the same database takes.

use anyhow::Result;
use skein_integration_tests::home::{Helper, PATIENCE};
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_postgres::testing::TestCluster;
use skein_protocol::methods::{ThreadResume, TurnStart};

use super::{stored_in, texts};

/// The row of another server, which lives.
const LIVES: &str = "insert into nodes (node, name, addr, key_sha256, speaks, state, expires)
  values ('00000000-0000-0000-0000-000000000002', 'another server', '', '', '[1,2)', 'live', now() + interval '1 hour')";

/// It takes every thread, as a claim does.
const TAKES: &str =
    "update heads set owner = '00000000-0000-0000-0000-000000000002', term = term + 1 where seq > 0";

#[tokio::test]
async fn a_thread_that_another_server_takes_ends_with_its_helpers_and_comes_back_when_that_one_has_ended()
-> Result<()> {
    let (cluster, database) = (TestCluster::shared(), TestCluster::shared().database().await);
    let setup = stored_in(&database).helper(Helper::named("helper")?);
    let (home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    assert_eq!(home.family().helpers.len(), 1);
    cluster.run(&database.name, LIVES).await;
    cluster.run(&database.name, TAKES).await;
    let refused = client.refusal::<TurnStart>(turn_params(thread, "too late")).await?;
    assert_eq!(refused.reason(), "notSaved");
    client.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    assert_eq!(client.loaded().await?, []);
    let refused = client.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!((refused.code, refused.reason()), (-32001, "ownerUnreachable"));
    cluster.run(&database.name, "update nodes set state = 'gone' where name = 'another server'").await;
    client.resume(thread).await?;
    assert_eq!(client.say(thread, "on").await?, "on");
    let read = client.read_thread(thread).await?;
    assert!(!texts(&read).contains(&"too late".to_owned()), "{read:?}");
    home.finish().await
}
