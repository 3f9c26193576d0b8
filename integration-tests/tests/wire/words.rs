//! Errors that the peer also has use the peer's text, because clients compare it.

use anyhow::Result;
use serde_json::{Value, json};
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{resume_params, steer_params};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{
    Initialize, McpServerResourceRead, McpServerStatusList, McpServerToolCall, ModelList, ThreadArchive,
    ThreadCompactStart, ThreadDelete, ThreadFork, ThreadGoalClear, ThreadGoalGet, ThreadGoalSet,
    ThreadInjectItems, ThreadItemsList, ThreadList, ThreadLoadedList, ThreadMetadataUpdate, ThreadNameSet,
    ThreadQueueAdd, ThreadQueueDelete, ThreadQueueList, ThreadQueueReorder, ThreadQueueStart,
    ThreadQueueUpdate, ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadRevert, ThreadSearch,
    ThreadSearchOccurrences, ThreadSettingsUpdate, ThreadTurnsList, ThreadUnarchive, TurnInterrupt,
    TurnStart, TurnSteer,
};
use skein_protocol::table::Method;
use skein_protocol::turn::TurnInterruptParams;
use uuid::Uuid;

/// The params of a request beside the thread.
fn params(method: &str, id: &str) -> Value {
    let input = json!([{ "type": "text", "text": "words" }]);
    let mut params = match method {
        m if m == ThreadNameSet::INFO.wire => json!({ "name": "name" }),
        m if m == ThreadMetadataUpdate::INFO.wire => json!({ "gitInfo": { "branch": "main" } }),
        m if m == ThreadReadStateUpdate::INFO.wire => {
            json!({ "expectedRevision": "1", "operation": { "type": "read" } })
        }
        m if m == ThreadSearchOccurrences::INFO.wire => json!({ "searchTerm": "words" }),
        m if m == ThreadGoalSet::INFO.wire => json!({ "objective": "rest" }),
        m if m == ThreadRevert::INFO.wire => json!({ "beforeTurnId": "turn" }),
        m if m == ThreadInjectItems::INFO.wire => {
            json!({ "items": [{ "type": "message", "role": "user", "content": [] }] })
        }
        m if m == TurnStart::INFO.wire => json!({ "input": input }),
        m if m == TurnSteer::INFO.wire => json!({ "expectedTurnId": "turn", "input": input }),
        m if m == TurnInterrupt::INFO.wire => json!({ "turnId": "turn" }),
        m if m == McpServerToolCall::INFO.wire => json!({ "server": "helper", "tool": "pid" }),
        m if m == McpServerResourceRead::INFO.wire => json!({ "server": "helper", "uri": "memo://one" }),
        m if m == ThreadQueueAdd::INFO.wire => json!({ "clientUserMessageId": "m", "input": input }),
        m if m == ThreadQueueUpdate::INFO.wire => json!({ "queuedSubmissionId": "q", "input": input }),
        m if m == ThreadQueueDelete::INFO.wire => json!({ "queuedSubmissionId": "q" }),
        m if m == ThreadQueueReorder::INFO.wire => json!({ "queuedSubmissionIds": [] }),
        _other => json!({}),
    };
    params["threadId"] = id.into();
    params
}

#[tokio::test]
async fn an_unknown_thread_is_refused_with_the_peers_text_of_each_method() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let id = ThreadId::new(Uuid::now_v7()).to_string();
    let no_rollout = format!("no rollout found for thread id {id}");
    let not_loaded = format!("thread not loaded: {id}");
    let not_found = format!("thread not found: {id}");
    let methods = [
        (ThreadFork::INFO, &no_rollout),
        (ThreadArchive::INFO, &no_rollout),
        (ThreadDelete::INFO, &no_rollout),
        (ThreadNameSet::INFO, &no_rollout),
        (ThreadMetadataUpdate::INFO, &no_rollout),
        (ThreadUnarchive::INFO, &format!("no archived rollout found for thread id {id}")),
        (ThreadRead::INFO, &not_loaded),
        (ThreadTurnsList::INFO, &not_loaded),
        (ThreadItemsList::INFO, &not_loaded),
        (ThreadSearchOccurrences::INFO, &not_loaded),
        (ThreadReadStateUpdate::INFO, &not_loaded),
        (ThreadSettingsUpdate::INFO, &not_found),
        (ThreadGoalSet::INFO, &not_found),
        (ThreadGoalGet::INFO, &not_found),
        (ThreadGoalClear::INFO, &not_found),
        (ThreadRevert::INFO, &not_found),
        (ThreadInjectItems::INFO, &not_found),
        (ThreadCompactStart::INFO, &not_found),
        (ThreadQueueAdd::INFO, &not_found),
        (ThreadQueueList::INFO, &not_found),
        (ThreadQueueUpdate::INFO, &not_found),
        (ThreadQueueDelete::INFO, &not_found),
        (ThreadQueueReorder::INFO, &not_found),
        (ThreadQueueStart::INFO, &not_found),
        (TurnStart::INFO, &not_found),
        (TurnSteer::INFO, &not_found),
        (TurnInterrupt::INFO, &not_found),
        (McpServerStatusList::INFO, &not_found),
        (McpServerToolCall::INFO, &not_found),
        (McpServerResourceRead::INFO, &not_found),
    ];
    for (method, expected) in methods {
        let error = client.call_raw(method.wire, &params(method.wire, &id)).await?.unwrap_err();
        assert_eq!(&error.message, expected, "{}", method.wire);
        assert!(error.data.is_some_and(|data| data.hint.is_some()), "{}", method.wire);
        let error = client.call_raw(method.wire, &params(method.wire, "nope")).await?.unwrap_err();
        assert!(error.message.starts_with("invalid thread id: "), "{}: {error}", method.wire);
    }
    let error = client.refusal::<ThreadResume>(resume_params(id.parse()?)).await?;
    assert!(error.message.starts_with(&no_rollout), "{error}");
    home.finish().await
}

#[tokio::test]
async fn a_turn_that_does_not_run_is_refused_with_the_text_that_clients_parse() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let interrupt = |turn: &str| TurnInterruptParams { thread_id: thread, turn_id: TurnId::from(turn) };
    let none = client.refusal::<TurnSteer>(steer_params(thread, "other", "words")).await?;
    assert_eq!(none.message, "no active turn to steer");
    let none = client.refusal::<TurnInterrupt>(interrupt("other")).await?;
    assert_eq!(none.message, "no active turn to interrupt");

    let turn = client.start_turn(thread, "/hang").await?;
    let other = client.refusal::<TurnSteer>(steer_params(thread, "other", "words")).await?;
    assert_eq!(other.message, format!("expected active turn id `other` but found `{turn}`"));
    let other = client.refusal::<TurnInterrupt>(interrupt("other")).await?;
    assert_eq!(other.message, format!("expected active turn id other but found {turn}"));
    let unnamed = client.refusal::<TurnSteer>(steer_params(thread, "", "words")).await?;
    assert_eq!(unnamed.message, "expectedTurnId must not be empty");
    client.interrupt_and_wait(thread, &turn).await?;
    let revert = params(ThreadRevert::INFO.wire, &thread.to_string());
    let unknown = client.call_raw(ThreadRevert::INFO.wire, &revert).await?.unwrap_err();
    assert_eq!(unknown.message, "turn not found: turn");
    home.finish().await
}

#[tokio::test]
async fn other_invalid_requests_are_refused_with_the_peers_text() -> Result<()> {
    let home = Home::start().await?;
    let mut early = skein_integration_tests::client::Client::connect(home.address()).await?;
    let error = early.call_raw(ThreadList::INFO.wire, &json!({})).await?.unwrap_err();
    assert_eq!(error.message, "Not initialized");
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let introduction = json!({ "clientInfo": { "name": "again", "version": "1" } });
    let named = |more: Value| {
        let mut params = json!({ "threadId": thread });
        if let (Some(all), Value::Object(more)) = (params.as_object_mut(), more) {
            all.extend(more);
        }
        params
    };
    let cursor = || json!({ "cursor": "garbage" });
    let no_goal = format!("cannot update goal for thread {thread}: no goal exists");
    let cases = [
        (Initialize::INFO, introduction, "Already initialized"),
        (ThreadList::INFO, cursor(), "invalid cursor: garbage"),
        (ThreadLoadedList::INFO, cursor(), "invalid cursor: garbage"),
        (ModelList::INFO, cursor(), "invalid cursor: garbage"),
        (ThreadTurnsList::INFO, named(cursor()), "invalid cursor: garbage"),
        (ThreadItemsList::INFO, named(cursor()), "invalid cursor: garbage"),
        (ThreadSearch::INFO, json!({ "searchTerm": "" }), "thread/search requires a non-empty searchTerm"),
        (
            ThreadSearchOccurrences::INFO,
            named(json!({ "searchTerm": "" })),
            "thread/searchOccurrences requires a non-empty searchTerm",
        ),
        (ThreadNameSet::INFO, named(json!({ "name": " " })), "thread name must not be empty"),
        (
            ThreadMetadataUpdate::INFO,
            named(json!({})),
            "thread metadata update must include at least one field",
        ),
        (ThreadGoalSet::INFO, named(json!({ "status": "active" })), &no_goal),
        (ThreadGoalSet::INFO, named(json!({ "objective": "" })), "goal objective must not be empty"),
        (ThreadInjectItems::INFO, named(json!({ "items": [] })), "items must not be empty"),
        (
            McpServerToolCall::INFO,
            named(json!({ "server": "nope", "tool": "pid" })),
            "unknown MCP server 'nope'",
        ),
        (ThreadResume::INFO, json!({}), "Invalid request: missing field `threadId`"),
        (
            ThreadReadStateUpdate::INFO,
            named(json!({ "expectedRevision": "x", "operation": { "type": "read" } })),
            "read state changed",
        ),
    ];
    for (method, params, expected) in cases {
        let error = client.call_raw(method.wire, &params).await?.unwrap_err();
        assert_eq!(error.message, expected, "{} {params}", method.wire);
    }
    let error = client.call_raw("thread/fly", &json!({})).await?.unwrap_err();
    assert!(
        error.message.starts_with("Invalid request: unknown variant `thread/fly`, expected one of "),
        "{error}"
    );
    home.finish().await
}
