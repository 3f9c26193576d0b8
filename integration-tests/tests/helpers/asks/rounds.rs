//! Questions of MCP 2026-07-28: the answer to a call has the questions, and the client repeats the call with
//! the user's replies.

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
use skein_protocol::methods::{
    McpServerResourceRead, McpServerToolCall, SkeinHelpersList, SkeinQuestionsList,
};
use skein_protocol::notifications::{
    ItemMcpToolCallProgress, McpServerStartupStatusUpdated, ThreadStatusChanged,
};
use skein_protocol::question::{QuestionKind, SkeinQuestionsListParams};
use skein_protocol::server_requests::McpServerElicitationRequest as Question;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

use super::super::text;
use super::{accept, answer, asks, form, outcome, outcome_of};

fn helper() -> Result<Helper> {
    Helper::with("helper", &["--speaks", "2026-07-28"])
}

async fn home() -> Result<(Home, Client, ThreadId)> {
    with(helper()?).await
}

async fn with(helper: Helper) -> Result<(Home, Client, ThreadId)> {
    let (home, mut client) = Home::setup().helper(helper).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    Ok((home, client, thread))
}

/// Waits until the helper has no request in flight.
async fn until_ready(client: &mut Client) -> Result<()> {
    let mut state = HelperState::Busy;
    for _ in 0..1000 {
        state = client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data[0].state;
        if state == HelperState::Ready {
            return Ok(());
        }
    }
    anyhow::bail!("the helper is {state:?}")
}

async fn refusal(client: &mut Client, thread: ThreadId, tool: &str, arguments: Value) -> Result<WireError> {
    client.refusal::<McpServerToolCall>(tool_params(thread, "helper", tool, arguments)).await
}

#[tokio::test]
async fn a_turns_call_is_repeated_with_the_users_answer() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, params) = client.helper_question().await?;
    assert_eq!((params.thread_id, params.turn_id.as_ref()), (thread, Some(&turn)));
    assert_eq!(params.server_name, "helper");
    let McpServerElicitationRequestBody::Form { message, requested_schema, .. } = &params.request else {
        panic!("a form: {params:?}")
    };
    assert_eq!(message, "Who are you?");
    assert_eq!(requested_schema.required.as_deref(), Some(&["name".to_owned()][..]));
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] };
    assert!(client.received::<ThreadStatusChanged>()?.iter().any(|changed| changed.status == waits));
    // While the helper waits for the user's answer, silence does not count as a stall.
    until_ready(&mut client).await?;
    client.answer_request::<Question>(&id, &accept()).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(outcome(&client, &turn)?, json!({ "action": "accept", "content": { "name": "Ada" } }));
    home.finish().await
}

#[tokio::test]
async fn a_question_outlives_the_server_without_a_helper_and_its_call_goes_on_in_a_new_process() -> Result<()>
{
    let setup = Home::setup().set("orphans.pending_grace", "0s").helper(helper()?);
    let (mut home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, before) = client.helper_question().await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    client.until_status("the repair parks the thread", |status| status.threads.loaded == 0).await?;
    home.until_drained(PATIENCE).await?;
    let open = client.call::<SkeinQuestionsList>(SkeinQuestionsListParams::default()).await?.data;
    assert_eq!(
        open.iter().map(|open| (open.kind, open.loaded)).collect::<Vec<_>>(),
        [(QuestionKind::Elicitation, false)]
    );
    client.resume(thread).await?;
    let (again, params) = client.helper_question().await?;
    assert_eq!((&again, &params), (&id, &before));
    client.answer_request::<Question>(&id, &accept()).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(outcome(&client, &turn)?, json!({ "action": "accept", "content": { "name": "Ada" } }));
    assert_eq!(client.questions(), 1, "nobody is asked whether to make the call again");
    home.finish().await
}

#[tokio::test]
async fn another_program_of_the_same_name_does_not_get_the_answer() -> Result<()> {
    let (mut home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, _) = client.helper_question().await?;
    home.stop().await?;
    let config = home.path().join("config.toml");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, text.replace("\"--speaks\"", "\"--instructions\", \"other\", \"--speaks\""))?;
    home.start_again().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    assert_eq!(client.helper_question().await?.0, id);
    client.answer_request::<Question>(&id, &accept()).await?;
    client.turn_end(&turn).await?;
    let call = client.tool_calls(&turn)?.pop().context("a complete call")?;
    let error = call.error.context("it failed")?.message;
    assert!(error.contains("have changed the helper helper while it waited"), "{error}");
    home.finish().await
}

#[tokio::test]
async fn a_decline_a_cancel_and_a_url_are_forwarded() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    for (action, word) in
        [(McpServerElicitationAction::Decline, "decline"), (McpServerElicitationAction::Cancel, "cancel")]
    {
        let call =
            client.start_call::<McpServerToolCall>(&tool_params(thread, "helper", "ask", form())).await?;
        let (id, params) = client.helper_question().await?;
        assert_eq!(params.turn_id, None, "a client has called");
        client.answer_request::<Question>(&id, &answer(action, None)).await?;
        assert_eq!(outcome_of(&mut client, call).await?, json!({ "action": word }));
    }
    // With an id, and without: not every revision requires one.
    for (id, shown) in [(json!("e1"), "e1"), (Value::Null, "asked")] {
        let mut url = json!({ "mode": "url", "message": "Log in", "url": "https://a.example/in" });
        if !id.is_null() {
            url["elicitationId"] = id;
        }
        let call = tool_params(thread, "helper", "ask", asks("elicitation/create", &url));
        let call = client.start_call::<McpServerToolCall>(&call).await?;
        let (id, params) = client.helper_question().await?;
        let McpServerElicitationRequestBody::Url { url, elicitation_id, .. } = &params.request else {
            panic!("an address: {params:?}")
        };
        assert_eq!((url.as_str(), elicitation_id.as_str()), ("https://a.example/in", shown));
        client.answer_request::<Question>(&id, &answer(McpServerElicitationAction::Accept, None)).await?;
        assert_eq!(outcome_of(&mut client, call).await?, json!({ "action": "accept" }));
    }
    home.finish().await
}

#[tokio::test]
async fn two_threads_of_one_helper_get_their_own_questions_at_the_same_time() -> Result<()> {
    let (home, mut one, first) = with(helper()?.set("isolation", "shared")).await?;
    let mut other = home.client().await?;
    let second = other.start_thread_with("words").await?;
    let turn = one.start_turn(first, &format!("/tool helper ask {}", form())).await?;
    let (asked_first, params) = one.helper_question().await?;
    assert_eq!(params.thread_id, first);
    let call = other.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
    let (asked_second, params) = other.helper_question().await?;
    assert_eq!((params.thread_id, params.turn_id), (second, None));
    assert_eq!(home.family().helpers.len(), 1, "both threads share the helper");
    // Answered in the other order, so that a mix-up would give one thread the other's answer.
    other
        .answer_request::<Question>(&asked_second, &answer(McpServerElicitationAction::Decline, None))
        .await?;
    assert_eq!(outcome_of(&mut other, call).await?, json!({ "action": "decline" }));
    assert_eq!(one.status().await?.turns.running, 1, "the other thread still waits");
    one.answer_request::<Question>(&asked_first, &accept()).await?;
    one.turn_end(&turn).await?;
    assert_eq!(outcome(&one, &turn)?["content"]["name"], "Ada");
    // One thread leaves with its question, and the other's question stays.
    one.start_turn(first, &format!("/tool helper ask {}", form())).await?;
    let (asked_first, _) = one.helper_question().await?;
    let call = other.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
    let (asked_second, _) = other.helper_question().await?;
    other.unload(first, true).await?;
    one.resolved(&asked_first).await?;
    other.answer_request::<Question>(&asked_second, &accept()).await?;
    assert_eq!(outcome_of(&mut other, call).await?["action"], "accept");
    home.finish().await
}

#[tokio::test]
async fn a_call_continues_with_the_answer_after_its_helper_was_quarantined() -> Result<()> {
    let helper = helper()?.set("isolation", "shared");
    let home = Home::setup().helper(helper).set("helpers.liveness", "500ms").start().await?;
    let [mut one, mut other] = home.clients().await?;
    let first = one.start_thread_with("words").await?;
    let second = other.start_thread_with("words").await?;
    let old = other.say(second, "/tool helper pid").await?;
    let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
    let (id, _) = one.helper_question().await?;
    let hangs = other.start_turn(second, "/tool helper hang").await?;
    let outcome = other.next::<McpServerStartupStatusUpdated>(|outcome| outcome.skein.is_some()).await?;
    assert_eq!(outcome.skein.map(|skein| skein.state), Some(HelperState::Unresponsive));
    let fresh = text(&other.tool(second, "helper", "pid", json!({})).await?);
    assert_ne!(fresh, old);
    other.interrupt_and_wait(second, &hangs).await?;
    assert_eq!(home.family().helpers.len(), 2, "the quarantined helper is kept for the call");
    one.answer_request::<Question>(&id, &accept()).await?;
    assert_eq!(outcome_of(&mut one, call).await?["content"]["name"], "Ada");
    home.until_helpers(1).await?;
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_ends_the_question_and_the_call_is_not_repeated() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, &format!("/tool helper ask {}", form())).await?;
    let (id, _) = client.helper_question().await?;
    client.interrupt(thread, &turn).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    client.answer_request::<Question>(&id, &accept()).await?;
    assert!(!client.say(thread, "/tool helper pid").await?.is_empty());
    // A question outside a turn ends with the connection of the caller.
    let mut caller = home.client().await?;
    let _call = caller.start_call::<McpServerToolCall>(&tool_params(thread, "helper", "ask", form())).await?;
    let (id, _) = client.helper_question().await?;
    drop(caller);
    client.resolved(&id).await?;
    home.finish().await
}

#[tokio::test]
async fn the_helpers_exit_and_the_timeout_end_the_question_with_the_call() -> Result<()> {
    let (home, mut client, thread) = with(helper()?.set("tool_timeout_sec", 1.5)).await?;
    let pid: i32 = client.say(thread, "/tool helper pid").await?.parse()?;
    let ask = tool_params(thread, "helper", "ask", form());
    let call = client.start_call::<McpServerToolCall>(&ask).await?;
    let (id, _) = client.helper_question().await?;
    client.resolved(&id).await?;
    assert_eq!(client.answer(call).await?.expect_err("the call took too long").reason(), "toolTimedOut");
    let call = client.start_call::<McpServerToolCall>(&ask).await?;
    let (id, _) = client.helper_question().await?;
    kill(Pid::from_raw(pid), Signal::SIGKILL)?;
    client.resolved(&id).await?;
    assert_eq!(client.answer(call).await?.expect_err("the helper is dead").reason(), "helperEnded");
    home.finish().await
}

#[tokio::test]
async fn a_helper_with_roots_of_its_own_gets_them() -> Result<()> {
    let setup = Home::setup().helper(helper()?).set("mcp_servers.helper.roots", vec!["/srv".to_owned()]);
    let (home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let roots = client.tool(thread, "helper", "ask", asks("roots/list", &Value::Null)).await?;
    let roots: Value = serde_json::from_str(&text(&roots))?;
    assert_eq!(roots["roots"][0]["uri"], "file:///srv");
    home.finish().await
}

#[tokio::test]
async fn only_declared_requests_are_answered() -> Result<()> {
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
    for (tool, arguments, progress) in [
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
        assert!(error.message.contains(progress), "{progress}: {error:?}");
    }
    assert!(client.questions() == 0, "no client gets an invalid question");
    // The largest allowed number of questions at once.
    let many = tool_params(thread, "helper", "ask_many", json!({ "count": 8 }));
    let call = client.start_call::<McpServerToolCall>(&many).await?;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(client.helper_question().await?.0);
    }
    for id in &ids {
        client.answer_request::<Question>(id, &accept()).await?;
    }
    let outcome = outcome_of(&mut client, call).await?;
    assert_eq!(outcome.as_object().map(serde_json::Map::len), Some(8), "{outcome}");
    home.finish().await
}

#[tokio::test]
async fn a_call_is_repeated_at_most_ten_times_and_reports_progress_each_time() -> Result<()> {
    let (home, mut client, thread) = home().await?;
    let turn = client.start_turn(thread, "/tool helper rounds {\"count\":3}").await?;
    client.turn_end(&turn).await?;
    let progress = client.received::<ItemMcpToolCallProgress>()?;
    let progress: Vec<&str> = progress.iter().map(|progress| progress.message.as_str()).collect();
    assert_eq!(progress, ["3 left", "2 left", "1 left", "0 left"]);
    assert!(outcome(&client, &turn)?["roots"]["roots"][0]["uri"].is_string());
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
    let (id, params) = client.helper_question().await?;
    assert_eq!((params.thread_id, params.turn_id), (thread, None));
    client.answer_request::<Question>(&id, &accept()).await?;
    let read = client.answer(read).await?.map_err(anyhow::Error::msg)?;
    assert!(serde_json::to_string(&read)?.contains("Ada"), "{read:?}");
    home.finish().await
}
