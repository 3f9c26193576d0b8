//! Read state, goals and settings of threads: every client sees them, after a restart too.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::Home;
use skein_protocol::methods::{
    ConfigBatchWrite, ConfigRead, ConfigValueWrite, ThreadGoalGet, ThreadGoalSet, ThreadList, ThreadRead,
    ThreadReadStateUpdate, ThreadSettingsUpdate,
};
use skein_protocol::notifications::{ThreadGoalUpdated, ThreadReadStateChanged, ThreadSettingsUpdated};
use skein_protocol::thread::{ThreadGoalGetParams, ThreadListParams, ThreadReadParams, ThreadUnreadPosition};

#[tokio::test]
async fn read_state_is_shared_by_all_clients_and_survives_a_restart() -> Result<()> {
    let (mut home, mut client) = Home::setup().start_with_client().await?;
    let mut other = home.client().await?;
    let thread = client.start_thread_with("one").await?;
    let unread = other.next::<ThreadReadStateChanged>(|update| update.thread_id == thread).await?.read_state;
    assert!(matches!(unread.first_unread, Some(ThreadUnreadPosition::Turn { .. })), "{unread:?}");
    let listed = other.call::<ThreadList>(ThreadListParams::default()).await?.read_states;
    assert_eq!(listed.unwrap_or_default().get(&thread.to_string()), Some(&unread));
    let read =
        json!({ "threadId": thread, "expectedRevision": unread.revision, "operation": { "type": "read" } });
    let now = other.call::<ThreadReadStateUpdate>(serde_json::from_value(read.clone())?).await?.read_state;
    assert_eq!(now.first_unread, None);
    client.next::<ThreadReadStateChanged>(|update| update.read_state == now).await?;
    let refused = client.refusal::<ThreadReadStateUpdate>(serde_json::from_value(read)?).await?;
    assert_eq!(refused.data.context("data")?.reason, "readStateConflict");
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let shown =
        client.call::<ThreadRead>(ThreadReadParams { include_turns: false, thread_id: thread }).await?;
    assert_eq!(shown.read_state.and_then(|state| state.first_unread), None);
    home.finish().await
}

#[tokio::test]
async fn a_goal_and_settings_are_kept_with_their_thread() -> Result<()> {
    let (mut home, mut client) =
        Home::setup().set("model_reasoning_effort", "medium").start_with_client().await?;
    let config = client.call::<ConfigRead>(serde_json::from_value(json!({}))?).await?.config;
    assert_eq!(config.model_reasoning_effort.as_deref(), Some("medium"));
    let thread = client.start_thread_with("one").await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(resumed.reasoning_effort.as_deref(), Some("medium"), "the value from the file");
    let goal = json!({ "threadId": thread, "objective": " the moon ", "tokenBudget": 1_000_000 });
    client.call::<ThreadGoalSet>(serde_json::from_value(goal)?).await?;
    client.turn(thread, "two").await?;
    let nearer = client.next::<ThreadGoalUpdated>(|update| update.turn_id.is_some()).await?.goal;
    assert!(nearer.tokens_used > 0 && nearer.objective == "the moon", "{nearer:?}");
    let settings = json!({ "threadId": thread, "effort": "low", "summary": "detailed" });
    client.call::<ThreadSettingsUpdate>(serde_json::from_value(settings)?).await?;
    let update = client.next::<ThreadSettingsUpdated>(|update| update.thread_id == thread).await?;
    assert_eq!(update.thread_settings.effort.as_deref(), Some("low"));
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let kept = client.call::<ThreadGoalGet>(ThreadGoalGetParams { thread_id: thread }).await?.goal;
    assert_eq!(kept.context("a goal")?.tokens_used, nearer.tokens_used);
    // The repair after the kill may load the thread for a moment.
    client.until_status("the thread is not loaded", |status| status.threads.loaded == 0).await?;
    assert_eq!(client.resume(thread).await?.reasoning_effort.as_deref(), Some("low"));
    let bad = json!({ "threadId": thread, "objective": "  " });
    let refused = client.refusal::<ThreadGoalSet>(serde_json::from_value(bad)?).await?;
    assert_eq!(refused.data.context("data")?.reason, "emptyObjective");
    let long = json!({ "threadId": thread, "objective": "x".repeat(20_000) });
    let refused = client.refusal::<ThreadGoalSet>(serde_json::from_value(long)?).await?;
    assert!(refused.message.contains("20000 bytes") && refused.message.contains("16384"), "{refused:?}");
    let data = refused.data.context("data")?;
    assert_eq!((&*data.reason, data.path.as_deref()), ("tooLong", Some("objective")));
    let free = json!({ "threadId": thread, "tokenBudget": null });
    let free = client.call::<ThreadGoalSet>(serde_json::from_value(free)?).await?.goal;
    assert_eq!((free.token_budget, free.tokens_used), (None, nearer.tokens_used));
    home.finish().await
}

#[tokio::test]
async fn settings_written_by_a_client_are_in_the_file_and_in_force() -> Result<()> {
    // Each server has a file of its own.
    let (home, mut client) = Home::setup().alone().set("unload.grace", "1h").start_with_client().await?;
    let read = json!({ "includeLayers": true });
    let before = client.call::<ConfigRead>(serde_json::from_value(read.clone())?).await?;
    let version = before.layers.unwrap_or_default()[0].version.clone();
    let set = json!({ "keyPath": "unload.grace", "mergeStrategy": "replace", "value": "2h", "expectedVersion": version });
    let written = client.call::<ConfigValueWrite>(serde_json::from_value(set.clone())?).await?;
    assert_eq!(written.file_path, home.path().join("config.toml").display().to_string());
    assert!(std::fs::read_to_string(&written.file_path)?.contains("grace = \"2h\""));
    let after = client.call::<ConfigRead>(serde_json::from_value(read.clone())?).await?;
    assert_eq!(after.config.others["unload"]["grace"], json!("7200s"));
    assert_eq!(after.layers.unwrap_or_default()[0].version, written.version);
    let stale = client.refusal::<ConfigValueWrite>(serde_json::from_value(set)?).await?;
    assert_eq!(stale.data.context("data")?.reason, "versionConflict");
    // All edits apply, or none.
    let edits = json!([
        { "keyPath": "model_reasoning_effort", "mergeStrategy": "upsert", "value": "low" },
        { "keyPath": "durability", "mergeStrategy": "replace", "value": "sometimes" },
    ]);
    let wrong =
        client.refusal::<ConfigBatchWrite>(serde_json::from_value(json!({ "edits": edits }))?).await?;
    assert_eq!(wrong.data.context("data")?.reason, "badConfig");
    let now = client.call::<ConfigRead>(serde_json::from_value(read)?).await?;
    assert_eq!(
        (now.config.model_reasoning_effort, now.config.others["durability"].clone()),
        (None, json!("turn"))
    );
    let other =
        json!({ "keyPath": "model", "mergeStrategy": "replace", "value": "m", "filePath": "/etc/passwd" });
    let refused = client.refusal::<ConfigValueWrite>(serde_json::from_value(other)?).await?;
    assert_eq!(refused.data.context("data")?.reason, "otherFile");
    home.finish().await
}

#[tokio::test]
async fn a_write_detects_changes_that_are_not_shown() -> Result<()> {
    let (home, mut client) = Home::setup().alone().set("key", "s3cret").start_with_client().await?;
    let file = home.path().join("config.toml");
    let set = |version: &str| {
        let set = json!({ "keyPath": "trash.keep", "mergeStrategy": "replace", "value": "2h", "expectedVersion": version });
        serde_json::from_value(set)
    };
    let read = serde_json::from_value(json!({ "includeLayers": true }))?;
    let version = client.call::<ConfigRead>(read).await?.layers.unwrap_or_default()[0].version.clone();
    let changed = std::fs::read_to_string(&file)?.replace("s3cret", "other");
    std::fs::write(&file, &changed)?;
    let refused = client.refusal::<ConfigValueWrite>(set(&version)?).await?;
    let now = refused.message.split('"').nth(1).unwrap_or_default().to_owned();
    let data = refused.data.context("data")?;
    assert_eq!((&*data.reason, data.path.as_deref()), ("versionConflict", Some("expectedVersion")));
    assert_eq!(std::fs::read_to_string(&file)?, changed, "the file is unchanged");
    let written = client.call::<ConfigValueWrite>(set(&now)?).await?;
    assert_ne!(written.version, now);
    client.call::<ConfigValueWrite>(set(&written.version)?).await?;
    home.finish().await
}
