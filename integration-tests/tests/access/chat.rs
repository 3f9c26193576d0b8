//! Connections of the access `chat`: they name no programs, weaken no consent, and write no settings.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::approval::{McpServerElicitationAction as Action, McpServerElicitationRequestResponse};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ConfigRead, ThreadArchive, ThreadFork, ThreadGoalSet, ThreadList, ThreadNameSet, ThreadRead,
    ThreadResume, ThreadSearch, ThreadSettingsUpdate, ThreadStart, ThreadUnarchive, TurnStart,
};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::table::Method;

use super::{about, refused};

/// Keys of a thread's `config` that name programs, addresses, files or variables, or that belong to the server.
fn harmful() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "mcp_servers": { "x": { "command": "/bin/true" } } }), "mcp_servers.x.command"),
        (json!({ "mcp_servers.x.command": "/bin/true" }), "mcp_servers.x.command"),
        (json!({ "mcp_servers": { "x": { "url": "http://127.0.0.1:1" } } }), "mcp_servers.x.url"),
        (json!({ "mcp_servers": { "helper": { "env": { "A": "b" } } } }), "mcp_servers.helper.env.A"),
        (json!({ "mcp_servers": { "helper": { "enabled": false } } }), "mcp_servers.helper.enabled"),
        (json!({ "mcp_servers": {} }), "mcp_servers"),
        (json!({ "model": "echo", "model_providers": { "x": { "name": "x" } } }), "model_providers.x.name"),
        (json!({ "notify": ["/bin/true"] }), "notify"),
        (json!({ "model_instructions_file": "/etc/passwd" }), "model_instructions_file"),
        (json!({ "profile": "other" }), "profile"),
        (json!({ "projects": { "/": { "trust_level": "trusted" } } }), "projects./.trust_level"),
        (json!({ "browser": { "roots": ["/"] } }), "browser.roots"),
        (json!({ "auth.local": "any" }), "auth.local"),
        (json!({ "features": { "anything": true } }), "features.anything"),
        (json!({ "no_such_key": 1 }), "no_such_key"),
    ]
}

#[tokio::test]
async fn chat_sets_no_key_of_config_that_is_not_harmless() -> Result<()> {
    let (home, mut admin, thread) = Home::with_thread().await?;
    admin.turn(thread, "words").await?;
    admin.unload(thread, true).await?;
    let mut chat = home.client_of("chat").await?;
    for (config, key) in harmful() {
        let field = Some(format!("config.{key}"));
        let params = json!({ "config": config });
        assert_eq!(refused::<ThreadStart>(&mut chat, params.clone()).await?, field);
        assert_eq!(refused::<ThreadResume>(&mut chat, about(thread, params.clone())).await?, field);
        assert_eq!(refused::<ThreadFork>(&mut chat, about(thread, params)).await?, field);
    }
    home.until_drained(PATIENCE).await?;
    let harmless = json!({ "config": { "model": "echo", "instructions": "be short" } });
    assert_eq!(refused::<ThreadStart>(&mut chat, harmless.clone()).await?, None);
    assert_eq!(refused::<ThreadFork>(&mut chat, about(thread, harmless)).await?, None);
    home.finish().await
}

/// Weaker settings of a request, and the member that it is refused for, if it is.
fn at_the_start() -> Vec<(Value, Option<&'static str>)> {
    vec![
        (json!({ "approvalPolicy": "never" }), Some("approvalPolicy")),
        (json!({ "approvalPolicy": "untrusted" }), None),
        (json!({ "sandbox": "danger-full-access" }), Some("sandbox")),
        (json!({ "sandbox": "read-only", "approvalPolicy": "never" }), Some("approvalPolicy")),
        (json!({ "sandbox": "read-only" }), None),
        (json!({ "config": { "approval_policy": "never" } }), Some("config.approval_policy")),
        (json!({ "config": { "sandbox_mode": "danger-full-access" } }), Some("config.sandbox_mode")),
    ]
}

fn in_a_thread() -> Vec<(Value, Option<&'static str>)> {
    let sandbox = |policy: Value| json!({ "sandboxPolicy": policy });
    vec![
        (json!({ "approvalPolicy": "never" }), Some("approvalPolicy")),
        (json!({ "approvalPolicy": "on-request" }), None),
        (sandbox(json!({ "type": "dangerFullAccess" })), Some("sandboxPolicy")),
        (sandbox(json!({ "type": "externalSandbox" })), Some("sandboxPolicy")),
        (sandbox(json!({ "type": "readOnly", "networkAccess": true })), Some("sandboxPolicy")),
        (sandbox(json!({ "type": "readOnly" })), None),
    ]
}

async fn weakens_nothing(chat: &mut Client, thread: ThreadId) -> Result<()> {
    for (members, field) in at_the_start() {
        let field = field.map(str::to_owned);
        assert_eq!(refused::<ThreadStart>(chat, members.clone()).await?, field, "{members}");
        assert_eq!(refused::<ThreadResume>(chat, about(thread, members.clone())).await?, field, "{members}");
        assert_eq!(refused::<ThreadFork>(chat, about(thread, members.clone())).await?, field, "{members}");
    }
    for (members, field) in in_a_thread() {
        let field = field.map(str::to_owned);
        let mut params = about(thread, members.clone());
        assert_eq!(refused::<ThreadSettingsUpdate>(chat, params.clone()).await?, field, "{members}");
        params["input"] = json!([{ "type": "text", "text": "words" }]);
        assert_eq!(refused::<TurnStart>(chat, params).await?, field, "{members}");
    }
    Ok(())
}

#[tokio::test]
async fn chat_weakens_neither_policy_nor_sandbox() -> Result<()> {
    let setup = Home::setup().set("sandbox_mode", "workspace-write").helper(Helper::named("helper")?);
    let (home, mut admin) = setup.start_with_client().await?;
    let thread = admin.start_thread_with("words").await?;
    let mut chat = home.client_of("chat").await?;
    weakens_nothing(&mut chat, thread).await?;
    // The refused settings are not in force: the user is asked.
    chat.resume(thread).await?;
    let turn = chat.start_turn(thread, "/tool helper destroy").await?;
    let (id, _) = chat.helper_question().await?;
    chat.answer_request::<Approval>(&id, &answer(Action::Decline, None)).await?;
    chat.turn_end(&turn).await?;
    home.finish().await
}

fn answer(action: Action, persist: Option<&str>) -> McpServerElicitationRequestResponse {
    let meta = persist.map(|persist| json!({ "persist": persist }));
    McpServerElicitationRequestResponse { meta, action, content: None }
}

#[tokio::test]
async fn the_answer_always_of_chat_lasts_for_the_session_and_leaves_the_settings_unchanged() -> Result<()> {
    let (home, mut admin) = Home::with_client().await?;
    let file = home.path().join("config.toml");
    let before = fs::read(&file)?;
    let mut chat = home.client_of("chat").await?;
    let thread = chat.start_thread_with("words").await?;
    for persist in ["always", "forever"] {
        let turn = chat.start_turn(thread, "/tool helper destroy").await?;
        let (id, _) = chat.helper_question().await?;
        chat.answer_request::<Approval>(&id, &answer(Action::Accept, Some(persist))).await?;
        chat.turn_end(&turn).await?;
        if persist == "always" {
            assert_eq!(chat.say(thread, "/tool helper destroy").await?, "done 2", "no question is sent");
            chat.unload(thread, false).await?;
            chat.resume(thread).await?;
        }
    }
    admin.quiesce().await?;
    assert_eq!(fs::read(&file)?, before);
    home.finish().await
}

#[tokio::test]
async fn chat_does_everything_that_a_chat_needs() -> Result<()> {
    let (home, _admin) = Home::with_client().await?;
    let mut chat = home.client_of("chat").await?;
    let thread = chat.start_thread_with("a needle in the hay").await?;
    assert_eq!(chat.say(thread, "/tool helper echo {\"text\":\"made\"}").await?, "made");
    for (method, params) in [
        (ThreadNameSet::INFO.wire, json!({ "threadId": thread, "name": "mine" })),
        (ThreadGoalSet::INFO.wire, json!({ "threadId": thread, "objective": "all of it" })),
        (ThreadList::INFO.wire, json!({})),
        (ThreadRead::INFO.wire, json!({ "threadId": thread, "includeTurns": true })),
        (ThreadSearch::INFO.wire, json!({ "searchTerm": "needle" })),
        (ThreadFork::INFO.wire, json!({ "threadId": thread })),
        (ConfigRead::INFO.wire, json!({})),
        (ThreadArchive::INFO.wire, json!({ "threadId": thread })),
        (ThreadUnarchive::INFO.wire, json!({ "threadId": thread })),
        (ThreadResume::INFO.wire, json!({ "threadId": thread })),
    ] {
        chat.call_raw(method, &params).await?.with_context(|| method)?;
    }
    home.finish().await
}
