//! Decisions that last for the session or for ever: which questions they spare, and when they end.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::resume_params;
use skein_protocol::approval::McpServerElicitationAction as Action;
use skein_protocol::config::{ConfigValueWriteParams, MergeStrategy};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{ConfigValueWrite, ThreadResume, ThreadStart, ThreadUnsubscribe};
use skein_protocol::notifications::ConfigWarning;
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::thread::{ThreadStartParams, ThreadUnsubscribeParams};

use super::{DESTROY, decide, decision};

async fn allow(client: &mut Client, id: &RequestId) -> Result<()> {
    let lasting = decision(Action::Accept, Some(json!({ "persist": "session" })));
    client.answer_request::<Approval>(id, &lasting).await
}

/// Starts a turn with a question, and accepts it once.
async fn is_asked(client: &mut Client, thread: ThreadId) -> Result<()> {
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = client.helper_question().await?;
    decide(client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    Ok(())
}

/// A server whose settings the client writes: each server has a file of its own.
async fn with_settings() -> Result<(Home, Client)> {
    Home::setup().alone().helper(Helper::named("helper")?).start_with_client().await
}

#[tokio::test]
async fn a_session_permission_lasts_until_the_unload() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    allow(client, &id).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 2", "no question is sent");
    let other = client.start_turn(thread, "/tool helper change").await?;
    let (id, _) = client.helper_question().await?;
    decide(client, &id, Action::Accept).await?;
    client.turn_end(&other).await?;
    client.unload(thread, true).await?;
    client.resume(thread).await?;
    is_asked(client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn a_session_permission_ends_with_an_unload_despite_a_resume_during_it() -> Result<()> {
    let home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let client = &mut home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = client.helper_question().await?;
    allow(client, &id).await?;
    client.turn_end(&turn).await?;
    // Such a helper takes a second to stop, and the resume arrives meanwhile.
    drop(client.start_call::<ThreadUnsubscribe>(&ThreadUnsubscribeParams { thread_id: thread }).await?);
    let resume = client.start_call::<ThreadResume>(&resume_params(thread)).await?;
    client.answer(resume).await??;
    is_asked(client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn a_session_permission_does_not_cover_another_program_of_the_same_name() -> Result<()> {
    let (home, mut first) = with_settings().await?;
    let client = &mut first;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = client.helper_question().await?;
    allow(client, &id).await?;
    client.turn_end(&turn).await?;
    for (key, value, asks) in [
        ("mcp_servers.helper.tool_timeout_sec", json!(300), false),
        ("mcp_servers.helper.env.OTHER", json!("1"), true),
    ] {
        let write = ConfigValueWriteParams {
            expected_version: None,
            file_path: None,
            key_path: key.to_owned(),
            merge_strategy: MergeStrategy::Replace,
            value,
        };
        client.call::<ConfigValueWrite>(write).await?;
        if asks {
            is_asked(client, thread).await?;
        } else {
            assert_eq!(client.say(thread, DESTROY).await?, "done 2", "the same program");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_session_permission_releases_waiting_calls_of_the_tool() -> Result<()> {
    let lines = format!("{DESTROY}\n{DESTROY}\n/tool helper change");
    let (home, mut clients, _, turn) = Home::with_turn(1, &lines).await?;
    let client = &mut clients[0];
    let (mut destroys, mut others) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (id, params) = client.helper_question().await?;
        let is_destroy = super::meta(&params)?["tool_name"] == "destroy";
        if is_destroy { &mut destroys } else { &mut others }.push(id);
    }
    allow(client, &destroys[0]).await?;
    for id in &destroys {
        client.resolved(id).await?;
    }
    decide(client, &others[0], Action::Decline).await?;
    client.turn_end(&turn).await?;
    let made = client.tool_calls(&turn)?.iter().filter(|call| call.result.is_some()).count();
    assert_eq!(made, 2);
    home.finish().await
}

async fn allow_always(client: &mut Client, id: &RequestId) -> Result<()> {
    let always = decision(Action::Accept, Some(json!({ "persist": "always" })));
    client.answer_request::<Approval>(id, &always).await
}

fn settings(home: &Home) -> Result<String> {
    Ok(std::fs::read_to_string(home.path().join("config.toml"))?)
}

const APPROVED: &str = "[mcp_servers.helper.tools.destroy]\napproval_mode = \"approve\"";

#[tokio::test]
async fn a_lasting_permission_is_in_the_settings_and_can_be_revoked_there() -> Result<()> {
    let (mut home, mut first) = with_settings().await?;
    let client = &mut first;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let mut other = home.client().await?;
    let beside = other.start_thread_with("words").await?;
    let waits = other.start_turn(beside, DESTROY).await?;
    let (open, _) = other.helper_question().await?;
    let (id, params) = client.helper_question().await?;
    assert_eq!(super::meta(&params)?["persist"], json!(["session", "always"]));
    allow_always(client, &id).await?;
    client.turn_end(&turn).await?;
    // The new settings answer another thread's question about the same tool.
    other.resolved(&open).await?;
    other.turn_end(&waits).await?;
    assert_eq!(other.reply_text(&waits)?.as_deref(), Some("done 1"));
    assert!(settings(&home)?.contains(APPROVED), "{}", settings(&home)?);
    assert_eq!(client.say(thread, DESTROY).await?, "done 2");
    drop((other, first));
    home.restart().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 1", "after a restart too");
    let write = ConfigValueWriteParams {
        expected_version: None,
        file_path: None,
        key_path: "mcp_servers.helper.tools.destroy".to_owned(),
        merge_strategy: MergeStrategy::Replace,
        value: json!(null),
    };
    client.call::<ConfigValueWrite>(write).await?;
    is_asked(&mut client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn a_lasting_permission_for_a_threads_own_helper_lasts_for_the_session_with_a_warning() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let own = json!({ "mcp_servers": { "helper": { "env": { "OTHER": "1" } } } });
    let params = ThreadStartParams { config: own.as_object().cloned(), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    let before = settings(&home)?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, params) = client.helper_question().await?;
    assert_eq!(super::meta(&params)?["persist"], json!("session"), "only the session is offered");
    allow_always(&mut client, &id).await?;
    let update = client.next::<ConfigWarning>(|warning| warning.summary.contains("destroy")).await?;
    assert!(update.summary.contains("until this thread is unloaded"), "{}", update.summary);
    client.turn_end(&turn).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 2", "the permission lasts for the session");
    assert_eq!(settings(&home)?, before);
    home.finish().await
}
