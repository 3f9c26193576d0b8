//! Reverts, forks, metadata and injected items: all clients see the same history, after a kill too.

mod forks;
mod reverts;

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{ThreadInjectItems, ThreadList, ThreadMetadataUpdate};
use skein_protocol::table::Method;
use skein_protocol::thread::{
    ThreadInjectItemsParams, ThreadListParams, ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateParams,
};
use skein_protocol::turn::Turn;

/// A thread with one turn for each of these texts.
async fn converse(client: &mut Client, texts: &[&str]) -> Result<(ThreadId, Vec<TurnId>)> {
    let thread = client.start_thread().await?.id;
    let mut turns = Vec::new();
    for text in texts {
        turns.push(client.turn(thread, text).await?.id);
    }
    Ok((thread, turns))
}

fn ids(turns: &[Turn]) -> Vec<TurnId> {
    turns.iter().map(|turn| turn.id.clone()).collect()
}

#[tokio::test]
async fn repository_metadata_is_kept_and_does_not_reorder_lists() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let (older, _) = converse(&mut client, &["one"]).await?;
    let (newer, _) = converse(&mut client, &["two"]).await?;
    client.unload(older, false).await?;
    let update = |git_info| ThreadMetadataUpdateParams {
        daybreak_enabled: None,
        git_info: Some(git_info),
        project_id: None,
        thread_id: older,
    };
    let main = ThreadMetadataGitInfoUpdateParams {
        branch: Some(Some(" main ".to_owned())),
        sha: Some(Some("abc".to_owned())),
        ..ThreadMetadataGitInfoUpdateParams::default()
    };
    let git = client.call::<ThreadMetadataUpdate>(update(main)).await?.thread.git_info.unwrap();
    assert_eq!((git.branch.as_deref(), git.sha.as_deref()), (Some("main"), Some("abc")));
    let no_sha =
        ThreadMetadataGitInfoUpdateParams { sha: Some(None), ..ThreadMetadataGitInfoUpdateParams::default() };
    client.call::<ThreadMetadataUpdate>(update(no_sha)).await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let listed = client.call::<ThreadList>(ThreadListParams::default()).await?.data;
    assert_eq!(listed.iter().map(|thread| thread.id).collect::<Vec<_>>(), [newer, older]);
    let git = listed[1].git_info.clone().unwrap();
    assert_eq!((git.branch.as_deref(), git.sha), (Some("main"), None));
    let nothing = update(ThreadMetadataGitInfoUpdateParams::default());
    assert_eq!(client.refusal::<ThreadMetadataUpdate>(nothing).await?.reason(), "nothingToChange");
    let project = json!({ "threadId": older, "projectId": "p" });
    let error = client.call_raw(ThreadMetadataUpdate::INFO.wire, &project).await?.unwrap_err();
    assert_eq!(
        (error.reason(), error.data.as_ref().unwrap().path.as_deref()),
        ("unsupported", Some("projectId"))
    );
    home.finish().await
}

#[tokio::test]
async fn injected_items_are_kept_and_invalid_items_are_refused() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let (thread, _) = converse(&mut client, &["one"]).await?;
    client.unload(thread, false).await?;
    let message = json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "so it is" }] });
    let inject = |items| ThreadInjectItemsParams { items, thread_id: thread };
    client.call::<ThreadInjectItems>(inject(vec![message.clone()])).await?;
    assert!(std::fs::read_to_string(home.rollout(thread))?.contains("so it is"));
    assert_eq!(client.read_thread(thread).await?.turns.len(), 1);
    assert_eq!(client.refusal::<ThreadInjectItems>(inject(Vec::new())).await?.reason(), "noItems");
    let bad = inject(vec![message, json!({ "type": "message" })]);
    let error = client.refusal::<ThreadInjectItems>(bad).await?;
    assert_eq!((error.reason(), error.data.as_ref().unwrap().path.as_deref()), ("badItem", Some("items[1]")));
    home.finish().await
}
