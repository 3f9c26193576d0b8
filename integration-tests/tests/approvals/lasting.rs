//! What the user allows for the session: which calls that spares a question, and when it ends.

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

use super::{DESTROY, asked, calls, decide, decision, resolved};

async fn allow(client: &mut Client, id: &RequestId) -> Result<()> {
    let lasting = decision(Action::Accept, Some(json!({ "persist": "session" })));
    client.answer_request::<Approval>(id, &lasting).await
}

/// Begins a turn that is asked about, and accepts it once.
async fn is_asked(client: &mut Client, thread: ThreadId) -> Result<()> {
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = asked(client).await?;
    decide(client, &id, Action::Accept).await?;
    client.turn_end(&turn).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_allowed_for_the_session_is_asked_again_only_after_an_unload() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = asked(client).await?;
    allow(client, &id).await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 2", "nobody is asked");
    let other = client.start_turn(thread, "/tool helper change").await?;
    let (id, _) = asked(client).await?;
    decide(client, &id, Action::Accept).await?;
    client.turn_end(&other).await?;
    client.unload(thread, true).await?;
    client.resume(thread).await?;
    is_asked(client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn it_ends_with_the_load_also_for_who_resumes_while_the_thread_is_unloaded() -> Result<()> {
    let home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let client = &mut home.client().await?;
    let thread = client.start_said_thread("words").await?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, _) = asked(client).await?;
    allow(client, &id).await?;
    client.turn_end(&turn).await?;
    // Such a helper takes a second to end, and the resume is there at once.
    drop(client.start_call::<ThreadUnsubscribe>(&ThreadUnsubscribeParams { thread_id: thread }).await?);
    let resume = client.start_call::<ThreadResume>(&resume_params(thread)).await?;
    client.answer(resume).await??;
    is_asked(client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn it_is_not_for_another_program_by_the_same_name() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = asked(client).await?;
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
async fn calls_of_the_tool_that_wait_already_are_made_too() -> Result<()> {
    let lines = format!("{DESTROY}\n{DESTROY}\n/tool helper change");
    let (home, mut clients, _, turn) = Home::with_turn(1, &lines).await?;
    let client = &mut clients[0];
    let (mut destroys, mut others) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (id, params) = asked(client).await?;
        let is_destroy = super::meta(&params)?["tool_name"] == "destroy";
        if is_destroy { &mut destroys } else { &mut others }.push(id);
    }
    allow(client, &destroys[0]).await?;
    for id in &destroys {
        resolved(client, id).await?;
    }
    decide(client, &others[0], Action::Decline).await?;
    client.turn_end(&turn).await?;
    let made = calls(client, &turn)?.iter().filter(|call| call.result.is_some()).count();
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
async fn what_is_allowed_for_ever_stands_in_the_settings_and_can_be_taken_back_there() -> Result<()> {
    let (mut home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let mut other = home.client().await?;
    let beside = other.start_said_thread("words").await?;
    let waits = other.start_turn(beside, DESTROY).await?;
    let (open, _) = asked(&mut other).await?;
    let (id, params) = asked(client).await?;
    assert_eq!(super::meta(&params)?["persist"], json!(["session", "always"]));
    allow_always(client, &id).await?;
    client.turn_end(&turn).await?;
    // Another thread's question about the same tool is settled by what the settings say now.
    resolved(&mut other, &open).await?;
    other.turn_end(&waits).await?;
    assert_eq!(other.said(&waits)?.as_deref(), Some("done 1"));
    assert!(settings(&home)?.contains(APPROVED), "{}", settings(&home)?);
    assert_eq!(client.say(thread, DESTROY).await?, "done 2");
    drop((other, clients));
    home.stop().await?;
    home.start_again().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 1", "also after a restart");
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
async fn what_is_allowed_for_ever_of_a_threads_own_helper_holds_for_the_session_and_the_client_hears_so()
-> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let own = json!({ "mcp_servers": { "helper": { "env": { "OTHER": "1" } } } });
    let params = ThreadStartParams { config: own.as_object().cloned(), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    let before = settings(&home)?;
    let turn = client.start_turn(thread, DESTROY).await?;
    let (id, params) = asked(&mut client).await?;
    assert_eq!(super::meta(&params)?["persist"], json!("session"), "only that is offered");
    allow_always(&mut client, &id).await?;
    let told = client.next::<ConfigWarning>(|warning| warning.summary.contains("destroy")).await?;
    assert!(told.summary.contains("until this thread is unloaded"), "{}", told.summary);
    client.turn_end(&turn).await?;
    assert_eq!(client.say(thread, DESTROY).await?, "done 2", "it holds for the session");
    assert_eq!(settings(&home)?, before);
    home.finish().await
}
