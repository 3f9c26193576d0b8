//! Calls of a model: calls that need the user's approval, calls that the client carries out, and their
//! results for the model.

mod away;
mod client_tools;
mod lasting;
mod policies;
mod questions;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::approval::{
    McpServerElicitationAction as Action, McpServerElicitationRequestBody, McpServerElicitationRequestParams,
    McpServerElicitationRequestResponse,
};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::{ItemCompleted, ItemStarted, ThreadStatusChanged};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

/// A call of a tool whose annotations declare it destructive.
const DESTROY: &str = "/tool helper destroy";

fn decision(action: Action, meta: Option<Value>) -> McpServerElicitationRequestResponse {
    McpServerElicitationRequestResponse { meta, action, content: None }
}

async fn decide(client: &mut Client, id: &RequestId, action: Action) -> Result<()> {
    client.answer_request::<Approval>(id, &decision(action, None)).await
}

/// The meta of the form in the question.
fn meta(params: &McpServerElicitationRequestParams) -> Result<&Value> {
    let McpServerElicitationRequestBody::Form { meta, .. } = &params.request else {
        anyhow::bail!("not a form: {:?}", params.request);
    };
    meta.as_ref().context("a form with meta")
}

/// The helper's own count of executed calls. The client calls the tool directly.
async fn seen(client: &mut Client, thread: ThreadId) -> Result<String> {
    let answer = client.tool(thread, "helper", "look", json!({})).await?;
    Ok(answer.content.iter().filter_map(|block| block["text"].as_str()).collect())
}

fn waits() -> ThreadStatus {
    ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] }
}

#[tokio::test]
async fn a_call_that_the_user_accepts_is_made() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, params) = client.helper_question().await?;
    assert_eq!((params.thread_id, params.turn_id.as_ref()), (thread, Some(&turn)));
    assert_eq!(params.server_name, "helper");
    let known = client.received::<ItemStarted>()?;
    let call = known.iter().find(|item| matches!(item.item.body, ThreadItemBody::McpToolCall(_)));
    let item = call.context("the call is known before the question")?.item.id();
    let meta = meta(&params)?;
    assert_eq!(meta["codex_approval_kind"], "mcp_tool_call");
    assert_eq!((&meta["persist"], &meta["tool_title"]), (&json!(["session", "always"]), &json!("DESTROY")));
    assert_eq!(meta["skein"]["itemId"], json!(item));
    client.next::<ThreadStatusChanged>(|changed| changed.status == waits()).await?;
    assert_eq!(seen(client, thread).await?, "seen 0", "the call is not made before the answer");
    decide(client, &id, Action::Accept).await?;
    client.resolved(&id).await?;
    let runs = ThreadStatus::Active { active_flags: Vec::new() };
    client.next::<ThreadStatusChanged>(|changed| changed.status == runs).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("done 1"));
    assert_eq!(client.tool_calls(&turn)?[0].status, McpToolCallStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn a_call_that_the_user_declines_is_not_made_and_the_turn_goes_on() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    decide(client, &id, Action::Decline).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let call = client.tool_calls(&turn)?.pop().context("the call is complete")?;
    assert_eq!((call.status, call.result), (McpToolCallStatus::Failed, None));
    let reason = call.error.context("why")?.message;
    assert!(reason.contains("the user declined"), "{reason}");
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some(&*reason), "the model gets the same reason");
    assert_eq!(seen(client, thread).await?, "seen 0");
    home.finish().await
}

#[tokio::test]
async fn a_cancel_ends_the_turn() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    decide(client, &id, Action::Cancel).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    let call = client.tool_calls(&turn)?.pop().context("the call is complete")?;
    assert_eq!(call.status, McpToolCallStatus::Failed);
    assert!(call.error.is_some_and(|error| error.message.contains("the user cancelled")));
    assert_eq!(seen(client, thread).await?, "seen 0");
    assert_eq!(client.say(thread, "still here").await?, "still here");
    home.finish().await
}

#[tokio::test]
async fn parallel_calls_get_one_question_each_and_do_not_wait_for_each_other() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let lines = "/tool helper destroy\n/tool helper change\n/tool helper echo {\"text\":\"at once\"}";
    let turn = client.start_turn(thread, lines).await?;
    let mut questions = Vec::new();
    for _ in 0..2 {
        let (id, params) = client.helper_question().await?;
        questions.push((meta(&params)?["tool_name"].as_str().unwrap_or_default().to_owned(), id));
    }
    questions.sort_by(|one, other| one.0.cmp(&other.0));
    let [(change, first), (destroy, second)] = &questions[..] else { panic!("{questions:?}") };
    assert_eq!((change.as_str(), destroy.as_str()), ("change", "destroy"));
    client
        .next::<ItemCompleted>(
            |item| matches!(&item.item.body, ThreadItemBody::McpToolCall(call) if call.tool == "echo"),
        )
        .await?;
    decide(&mut client, first, Action::Accept).await?;
    client
        .next::<ItemCompleted>(
            |item| matches!(&item.item.body, ThreadItemBody::McpToolCall(call) if call.tool == "change"),
        )
        .await?;
    assert_eq!(home.status().await?.turns.running, 1, "the other question is still open");
    decide(&mut client, second, Action::Decline).await?;
    client.turn_end(&turn).await?;
    let reply = client.reply_text(&turn)?.unwrap_or_default();
    let lines: Vec<&str> = reply.lines().collect();
    assert!(lines[0].contains("declined"), "results are in the order of the calls: {lines:?}");
    assert_eq!(&lines[1..], ["done 1", "at once"]);
    home.finish().await
}

#[tokio::test]
async fn one_of_two_clients_decides_and_the_other_is_notified() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, DESTROY).await?;
    let (id, _) = clients[0].helper_question().await?;
    let (same, _) = clients[1].helper_question().await?;
    assert_eq!(id, same);
    clients[0].refuse_request(&id, "cannot show it").await?;
    clients[0].quiesce().await?;
    decide(&mut clients[1], &id, Action::Accept).await?;
    for client in &mut clients {
        client.resolved(&id).await?;
        client.turn_end(&turn).await?;
        assert_eq!(client.reply_text(&turn)?.as_deref(), Some("done 1"));
    }
    home.finish().await
}

#[tokio::test]
async fn a_call_is_not_made_if_no_client_can_ask_the_user() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    client.refuse_request(&id, "no such question is known here").await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let reply = client.reply_text(&turn)?.unwrap_or_default();
    assert!(reply.contains("no client could ask") && reply.contains("no such question"), "{reply}");
    assert_eq!(seen(client, thread).await?, "seen 0");
    home.finish().await
}

#[tokio::test]
async fn an_undecided_answer_is_not_a_consent_and_the_model_learns_it() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let client = &mut clients[0];
    let (id, _) = client.helper_question().await?;
    client.send_raw(&json!({ "id": id, "result": {} }).to_string()).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let reply = client.reply_text(&turn)?.unwrap_or_default();
    assert!(reply.contains("answer was not a consent") && !reply.contains("no client could"), "{reply}");
    assert_eq!(seen(client, thread).await?, "seen 0");
    home.finish().await
}
