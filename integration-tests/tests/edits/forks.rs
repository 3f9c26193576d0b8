//! Threads that begin with the history of another thread.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::agent_text;
use skein_protocol::methods::{ThreadFork, ThreadList};
use skein_protocol::notifications::{ItemAgentMessageDelta, ThreadStarted};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadForkParams, ThreadListParams};
use skein_protocol::turn::TurnStatus;

use super::{converse, ids};

#[tokio::test]
async fn a_fork_is_listed_and_survives_a_kill() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let (thread, turns) = converse(&mut client, &["one", "two"]).await?;
    client.unload(thread, false).await?;
    let params = ThreadForkParams {
        last_turn_id: Some(turns[0].clone()),
        model: Some("another".to_owned()),
        ..ThreadForkParams::of(thread)
    };
    let fork = client.call::<ThreadFork>(params).await?;
    assert_eq!((ids(&fork.thread.turns), fork.model.as_str()), (turns[..1].to_vec(), "another"));
    let id = fork.thread.id;
    client
        .next::<ThreadStarted>(|started| started.thread.id == id && started.thread.turns.is_empty())
        .await?;
    assert_eq!(client.loaded().await?, [id], "the source is not loaded");
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let listed = client.call::<ThreadList>(ThreadListParams::default()).await?.data;
    assert_eq!(listed.iter().map(|thread| thread.id).collect::<Vec<_>>(), [id, thread]);
    assert_eq!((listed[0].forked_from_id, listed[1].forked_from_id), (Some(thread), None));
    assert!(listed[0].created_at >= listed[1].created_at);
    let resumed = client.resume(id).await?;
    assert_eq!((ids(&resumed.thread.turns), resumed.model.as_str()), (turns[..1].to_vec(), "another"));
    let seen = client.turn(id, "further").await?;
    client.unload(id, true).await?;
    let read = client.read_thread(id).await?;
    assert_eq!((ids(&read.turns), read.forked_from_id), (vec![turns[0].clone(), seen.id], Some(thread)));
    assert_eq!(ids(&client.read_thread(thread).await?.turns), turns);
    home.finish().await
}

#[tokio::test]
async fn a_thread_is_forked_while_its_turn_runs() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (thread, _) = converse(&mut client, &["one"]).await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    let mut other = home.client().await?;
    let fork = other.call::<ThreadFork>(ThreadForkParams::of(thread)).await?.thread;
    let last = fork.turns.last().context("the turn that runs")?;
    assert_eq!((&last.id, last.status, &last.error), (&turn, TurnStatus::Interrupted, &None));
    assert!(last.items.iter().all(|item| item.completed_at_ms.is_some()), "{last:?}");
    // The source turn continues.
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("9 ")).await?;
    assert!(other.say(fork.id, "here").await?.contains("here"));
    client.interrupt(thread, &turn).await?;
    let ended = client.turn_end(&turn).await?;
    assert_eq!(ended.status, TurnStatus::Interrupted);
    let whole = client.read_thread(thread).await?;
    assert!(whole.turns[1].items.iter().filter_map(agent_text).any(|text| text.contains("9 ")));
    home.finish().await
}

#[tokio::test]
async fn unsupported_fork_options_are_refused_by_name() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (thread, turns) = converse(&mut client, &["one"]).await?;
    let refused = [
        (json!({ "path": "/somewhere" }), "unsupported", "path"),
        (json!({ "attachToSource": true }), "unsupported", "attachToSource"),
        (json!({ "lastTurnId": turns[0], "beforeTurnId": turns[0] }), "twoBounds", "beforeTurnId"),
        (json!({ "modelProvider": "nobody" }), "noProvider", "modelProvider"),
    ];
    for (mut params, reason, path) in refused {
        params["threadId"] = json!(thread);
        let error = client.call_raw(ThreadFork::INFO.wire, &params).await?.unwrap_err();
        assert_eq!((error.reason(), error.data.as_ref().unwrap().path.as_deref()), (reason, Some(path)));
    }
    let params = ThreadForkParams { before_turn_id: Some("nothing".into()), ..ThreadForkParams::of(thread) };
    assert_eq!(client.refusal::<ThreadFork>(params).await?.reason(), "unknownTurn");
    let empty = client.start_thread().await?.id;
    assert_eq!(client.refusal::<ThreadFork>(ThreadForkParams::of(empty)).await?.reason(), "nothingToFork");
    assert_eq!(client.call::<ThreadList>(ThreadListParams::default()).await?.data.len(), 1);
    home.finish().await
}
