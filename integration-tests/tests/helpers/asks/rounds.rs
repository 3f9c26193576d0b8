//! Questions of MCP 2026-07-28: a call is answered with them, and made again with what the user said.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::requests::tool_params;
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestBody};
use skein_protocol::error::WireError;
use skein_protocol::extension::{HelperState, SkeinHelpersListParams};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerResourceRead, McpServerToolCall, SkeinHelpersList};
use skein_protocol::notifications::{
    ItemMcpToolCallProgress, McpServerStartupStatusUpdated, ThreadStatusChanged,
};
use skein_protocol::server_requests::McpServerElicitationRequest as Question;
use skein_protocol::table::ServerRequest;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

use super::super::text;
use super::{accept, answer, asks, form, question, resolved, told, told_in};

fn helper() -> Result<Helper> {
    Helper::with("helper", &["--speaks", "2026-07-28"])
}

async fn home() -> Result<(Home, Client, ThreadId)> {
    with(helper()?).await
}

async fn with(helper: Helper) -> Result<(Home, Client, ThreadId)> {
    let home = Home::setup().helper(helper).start().await?;
    let mut client = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    Ok((home, client, thread))
}

/// Whether this client was asked anything so far.
fn was_asked(client: &Client) -> bool {
    client.record().iter().any(|message| message.method() == Some(Question::INFO.wire))
}

/// Until nothing is outstanding at the helper.
async fn until_ready(client: &mut Client) -> Result<()> {
    let mut state = HelperState::Busy;
    for _ in 0..1000 {
        state = client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data[0].state;
        if state == HelperState::Ready {
            return Ok(());
        }
    }
    anyhow::bail!("it is {state:?}")
}

async fn refusal(client: &mut Client, thread: ThreadId, tool: &str, arguments: Value) -> Result<WireError> {
    client.refusal::<McpServerToolCall>(tool_params(thread, "helper", tool, arguments)).await
}

#[tokio::test]
async fn a_turns_call_is_made_again_with_the_users_answer() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, params) = question(&mut client).await?;
    assert_eq!((params.thread_id, params.turn_id.as_ref()), (thread, Some(&turn)));
    assert_eq!(params.server_name, "helper");
    let McpServerElicitationRequestBody::Form { message, requested_schema, .. } = &params.request else {
        panic!("a form: {params:?}")
    };
    assert_eq!(message, "Who are you?");
    assert_eq!(requested_schema.required.as_deref(), Some(&["name".to_owned()][..]));
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] };
    assert!(client.heard::<ThreadStatusChanged>()?.iter().any(|changed| changed.status == waits));
    // While a user thinks nothing is wanted of it, so that it is not held to be silent.
    until_ready(&mut client).await?;
    client.answer_request::<Question>(&id, &accept()).await?;
    resolved(&mut client, &id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(told(&client, &turn)?, json!({ "action": "accept", "content": { "name": "Ada" } }));
    home.finish().await
}

#[tokio::test]
async fn a_decline_a_cancel_and_an_address_are_passed_on() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    for (action, word) in
        [(McpServerElicitationAction::Decline, "decline"), (McpServerElicitationAction::Cancel, "cancel")]
    {
        let call =
            client.start_call::<McpServerToolCall>(&tool_params(thread, "helper", "ask", form())).await?;
        let (id, params) = question(&mut client).await?;
        assert_eq!(params.turn_id, None, "a client has called");
        client.answer_request::<Question>(&id, &answer(action, None)).await?;
        assert_eq!(told_in(&mut client, call).await?, json!({ "action": word }));
    }
    // With an id, and without: not every revision wants one.
    for (id, shown) in [(json!("e1"), "e1"), (Value::Null, "asked")] {
        let mut url = json!({ "mode": "url", "message": "Log in", "url": "https://a.example/in" });
        if !id.is_null() {
            url["elicitationId"] = id;
        }
        let call = tool_params(thread, "helper", "ask", asks("elicitation/create", &url));
        let call = client.start_call::<McpServerToolCall>(&call).await?;
        let (id, params) = question(&mut client).await?;
        let McpServerElicitationRequestBody::Url { url, elicitation_id, .. } = &params.request else {
            panic!("an address: {params:?}")
        };
        assert_eq!((url.as_str(), elicitation_id.as_str()), ("https://a.example/in", shown));
        client.answer_request::<Question>(&id, &answer(McpServerElicitationAction::Accept, None)).await?;
        assert_eq!(told_in(&mut client, call).await?, json!({ "action": "accept" }));
    }
    home.finish().await
}

#[tokio::test]
async fn two_threads_of_one_helper_are_each_asked_their_own_at_the_same_time() -> Result<()> {
    let (home, mut one, first) = with(helper()?.set("isolation", "shared")).await?;
    let mut other = home.client().await?;
    let second = other.start_said_thread("words").await?;
    let turn = one.start_turn(first, &format!("/tool helper ask {}", form())).await?;
    let (asked_first, params) = question(&mut one).await?;
    assert_eq!(params.thread_id, first);
    let call = other.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
    let (asked_second, params) = question(&mut other).await?;
    assert_eq!((params.thread_id, params.turn_id), (second, None));
    assert_eq!(home.family().helpers.len(), 1, "they share it");
    // In the other order, so that one of them would get what is not his.
    other
        .answer_request::<Question>(&asked_second, &answer(McpServerElicitationAction::Decline, None))
        .await?;
    assert_eq!(told_in(&mut other, call).await?, json!({ "action": "decline" }));
    assert_eq!(one.status().await?.turns.running, 1, "the other one still waits");
    one.answer_request::<Question>(&asked_first, &accept()).await?;
    one.turn_end(&turn).await?;
    assert_eq!(told(&one, &turn)?["content"]["name"], "Ada");
    // One of them leaves with its question, and the other's stays.
    one.start_turn(first, &format!("/tool helper ask {}", form())).await?;
    let (asked_first, _) = question(&mut one).await?;
    let call = other.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
    let (asked_second, _) = question(&mut other).await?;
    other.unload(first, true).await?;
    resolved(&mut one, &asked_first).await?;
    other.answer_request::<Question>(&asked_second, &accept()).await?;
    assert_eq!(told_in(&mut other, call).await?["action"], "accept");
    home.finish().await
}

#[tokio::test]
async fn a_call_whose_helper_is_set_apart_while_its_user_thinks_goes_on_with_the_answer() -> Result<()> {
    let helper = helper()?.set("isolation", "shared");
    let home = Home::setup().helper(helper).set("helpers.liveness", "500ms").start().await?;
    let (mut one, mut other) = (home.client().await?, home.client().await?);
    let first = one.start_said_thread("words").await?;
    let second = other.start_said_thread("words").await?;
    let old = other.say(second, "/tool helper pid").await?;
    let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
    let (id, _) = question(&mut one).await?;
    let hangs = other.start_turn(second, "/tool helper hang").await?;
    let told = other.next::<McpServerStartupStatusUpdated>(|told| told.skein.is_some()).await?;
    assert_eq!(told.skein.map(|skein| skein.state), Some(HelperState::Unresponsive));
    let fresh = text(&other.tool(second, "helper", "pid", json!({})).await?);
    assert_ne!(fresh, old);
    other.interrupt(second, &hangs).await?;
    other.turn_end(&hangs).await?;
    assert_eq!(home.family().helpers.len(), 2, "the one that is set apart is kept for the call");
    one.answer_request::<Question>(&id, &accept()).await?;
    assert_eq!(told_in(&mut one, call).await?["content"]["name"], "Ada");
    home.until_helpers(1, PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_ends_the_question_and_the_call_is_not_made_again() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, _) = question(&mut client).await?;
    client.interrupt(thread, &turn).await?;
    resolved(&mut client, &id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    client.answer_request::<Question>(&id, &accept()).await?;
    assert!(!client.say(thread, "/tool helper pid").await?.is_empty());
    // One outside of a turn ends with the connection that called.
    let mut caller = home.client().await?;
    let _call = caller.start_call::<McpServerToolCall>(&tool_params(thread, "helper", "ask", form())).await?;
    let (id, _) = question(&mut client).await?;
    drop(caller);
    resolved(&mut client, &id).await?;
    home.finish().await
}

#[tokio::test]
async fn the_end_of_the_helper_and_its_timeout_end_the_question_with_the_call() -> Result<()> {
    let (home, mut client, thread) = with(helper()?.set("tool_timeout_sec", 1.5)).await?;
    let pid: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    let ask = tool_params(thread, "helper", "ask", form());
    let call = client.start_call::<McpServerToolCall>(&ask).await?;
    let (id, _) = question(&mut client).await?;
    resolved(&mut client, &id).await?;
    assert_eq!(client.answer(call).await?.expect_err("it took too long").reason(), "toolTimedOut");
    let call = client.start_call::<McpServerToolCall>(&ask).await?;
    let (id, _) = question(&mut client).await?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    resolved(&mut client, &id).await?;
    assert_eq!(client.answer(call).await?.expect_err("it is dead").reason(), "helperEnded");
    home.finish().await
}

#[tokio::test]
async fn what_is_declared_is_answered_and_nothing_else_is() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let meta: Value = serde_json::from_str(&text(&client.tool(thread, "helper", "meta", json!({})).await?))?;
    let declared = &meta["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*declared, json!({ "elicitation": { "form": {}, "url": {} }, "roots": {} }), "{meta}");
    let cwd = client.read_thread(thread).await?.cwd;
    let roots = client.tool(thread, "helper", "ask", asks("roots/list", &Value::Null)).await?;
    let roots: Value = serde_json::from_str(&text(&roots))?;
    let uri = roots["roots"][0]["uri"].as_str().context("a root")?;
    assert_eq!(uri.strip_prefix("file://"), Some(&*cwd.to_string()));
    let nested = json!({ "type": "object", "properties": { "a": { "type": "object" } } });
    let nested = json!({ "mode": "form", "message": "?", "requestedSchema": nested });
    let large = json!({ "mode": "url", "message": "x".repeat(300_000), "url": "https://a.example/" });
    for (tool, arguments, said) in [
        (
            "ask",
            asks("sampling/createMessage", &json!({ "messages": [], "maxTokens": 10 })),
            "no model is lent",
        ),
        ("ask", asks("nonsense/now", &json!({})), "nonsense/now is not offered"),
        ("ask", asks("elicitation/create", &json!({ "mode": "form", "message": 7 })), "cannot be read"),
        ("ask", asks("elicitation/create", &nested), "cannot be read"),
        ("ask", asks("elicitation/create", &large), "at most 262144 bytes"),
        ("ask", json!({ "request": 7 }), "cannot be read"),
        ("ask_many", json!({ "count": 9 }), "at most 8 questions"),
    ] {
        let error = refusal(&mut client, thread, tool, arguments).await?;
        assert_eq!(error.reason(), "inputRefused", "{error:?}");
        assert!(error.message.contains(said), "{said}: {error:?}");
    }
    assert!(!was_asked(&client), "nobody is asked what cannot be answered");
    // As many as may be are there at once.
    let many = tool_params(thread, "helper", "ask_many", json!({ "count": 8 }));
    let call = client.start_call::<McpServerToolCall>(&many).await?;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(question(&mut client).await?.0);
    }
    for id in &ids {
        client.answer_request::<Question>(id, &accept()).await?;
    }
    let told = told_in(&mut client, call).await?;
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(8), "{told}");
    home.finish().await
}

#[tokio::test]
async fn a_call_is_made_again_only_so_often_and_tells_its_progress_each_time() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, "/tool helper rounds {\"count\":3}").await?;
    client.turn_end(&turn).await?;
    let said = client.heard::<ItemMcpToolCallProgress>()?;
    let said: Vec<&str> = said.iter().map(|said| said.message.as_str()).collect();
    assert_eq!(said, ["3 left", "2 left", "1 left", "0 left"]);
    assert!(told(&client, &turn)?["roots"]["roots"][0]["uri"].is_string());
    let error = refusal(&mut client, thread, "rounds", json!({ "count": 100 })).await?;
    assert_eq!(error.reason(), "inputRefused");
    assert!(error.message.contains("10 times"), "{error:?}");
    assert!(!client.say(thread, "/tool helper pid").await?.is_empty());
    home.finish().await
}

#[tokio::test]
async fn a_resource_may_ask_before_it_is_read() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let read = json!({ "server": "helper", "threadId": thread, "uri": "memo://asked" });
    let read = client.start_call::<McpServerResourceRead>(&serde_json::from_value(read)?).await?;
    let (id, params) = question(&mut client).await?;
    assert_eq!((params.thread_id, params.turn_id), (thread, None));
    client.answer_request::<Question>(&id, &accept()).await?;
    let read = client.answer(read).await?.map_err(anyhow::Error::msg)?;
    assert!(serde_json::to_string(&read)?.contains("Ada"), "{read:?}");
    home.finish().await
}
