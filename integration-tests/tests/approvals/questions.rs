//! Questions of a model to the user by its tool, and large results.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::turn_params;
use skein_protocol::approval::{ToolRequestUserInputAnswer, ToolRequestUserInputResponse};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::item::{DynamicToolCallStatus, ThreadItemBody};
use skein_protocol::methods::{ThreadStart, TurnStart};
use skein_protocol::notifications::{ItemCompleted, ThreadStatusChanged, TurnCompleted};
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::settings::{CollaborationMode, ModeKind, Settings};
use skein_protocol::thread::{ThreadActiveFlag, ThreadStartParams, ThreadStatus};
use skein_protocol::turn::{TurnStartParams, TurnStatus};

/// A line with one question.
const ASKS: &str =
    "/call request_user_input {\"questions\":[{\"id\":\"a\",\"header\":\"A\",\"question\":\"Which?\"}]}";

/// A thread whose models may ask, and a turn with two questions.
async fn asking(client: &mut Client) -> Result<(ThreadId, TurnId)> {
    let config = json!({ "features": { "default_mode_request_user_input": true } });
    let params = ThreadStartParams { config: config.as_object().cloned(), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    let options =
        json!([{ "label": "Red", "description": "warm" }, { "label": "Blue", "description": "cold" }]);
    let questions = json!({ "questions": [
        { "id": "colour", "header": "Colour", "question": "Which one?", "options": options },
        { "id": "why", "header": "Reason", "question": "Why?", "options": options },
    ] });
    let turn = client.start_turn(thread, &format!("/call request_user_input {questions}")).await?;
    Ok((thread, turn))
}

#[tokio::test]
async fn a_models_questions_come_together_and_are_answered_by_id() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (_, turn) = asking(&mut client).await?;
    let (id, params) = client.next_request::<Question>().await?;
    assert_eq!(params.questions.len(), 2);
    assert_eq!(params.questions[0].options.as_ref().map(Vec::len), Some(2));
    assert!(params.questions[0].is_other);
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    client.next::<ThreadStatusChanged>(|changed| changed.status == waits).await?;
    let answer = |text: &str| ToolRequestUserInputAnswer { answers: vec![text.to_owned()] };
    let answers = BTreeMap::from([("colour".into(), answer("Red")), ("why".into(), answer("so"))]);
    client.answer_request::<Question>(&id, &ToolRequestUserInputResponse { answers }).await?;
    let item = client.next::<ItemCompleted>(|item| *item.item.id() == params.item_id).await?.item;
    let ThreadItemBody::DynamicToolCall(call) = item.body else { panic!("{item:?}") };
    assert_eq!((call.tool.as_str(), call.status), ("request_user_input", DynamicToolCallStatus::Completed));
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let reply: Value = serde_json::from_str(&client.reply_text(&turn)?.context("an answer")?)?;
    let expected = json!({ "colour": { "answers": ["Red"] }, "why": { "answers": ["so"] } });
    assert_eq!(reply, json!({ "answers": expected }));
    home.finish().await
}

#[tokio::test]
async fn the_model_learns_that_no_client_can_show_its_questions() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (thread, turn) = asking(&mut client).await?;
    let (id, _) = client.next_request::<Question>().await?;
    client.refuse_request(&id, "no such dialog").await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert!(client.reply_text(&turn)?.is_some_and(|reply| reply.contains("no such dialog")));
    let reply = client.say(thread, "/call request_user_input {\"questions\":[]}").await?;
    assert!(reply.contains("1 to 3"), "{reply}");
    home.finish().await
}

#[tokio::test]
async fn a_model_without_plan_mode_has_no_question_tool() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let reply = client.say(thread, "/call request_user_input").await?;
    assert!(reply.contains("there is no tool named request_user_input"), "{reply}");
    home.finish().await
}

#[tokio::test]
async fn plan_mode_has_the_question_tool_after_a_reload_but_not_in_an_ephemeral_thread() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let plans = |thread| {
        let settings =
            Settings { developer_instructions: None, model: "echo".into(), reasoning_effort: None };
        let mode = CollaborationMode { mode: ModeKind::Plan, settings };
        TurnStartParams { collaboration_mode: Some(mode), ..turn_params(thread, ASKS) }
    };
    let thread = client.start_thread().await?.id;
    client.call::<TurnStart>(plans(thread)).await?;
    let (id, _) = client.next_request::<Question>().await?;
    client.refuse_request(&id, "not now").await?;
    client.next::<TurnCompleted>(|ended| ended.thread_id == thread).await?;
    client.unload(thread, true).await?;
    client.resume(thread).await?;
    client.start_turn(thread, ASKS).await?;
    let (id, _) = client.next_request::<Question>().await?;
    client.refuse_request(&id, "not now").await?;
    client.next::<TurnCompleted>(|ended| ended.thread_id == thread).await?;
    let ephemeral = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(ephemeral).await?.thread.id;
    let turn = client.call::<TurnStart>(plans(thread)).await?.turn.id;
    client.turn_end(&turn).await?;
    assert!(client.reply_text(&turn)?.is_some_and(|reply| reply.contains("there is no tool")));
    home.finish().await
}

#[tokio::test]
async fn a_model_gets_both_ends_of_a_large_result_and_the_item_has_all_of_it() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let large = format!("BEGIN{}END", "x".repeat(100_000));
    let result = json!({ "result": {
        "content": [{ "type": "text", "text": large }, { "type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo=" }],
        "structuredContent": { "count": 3 },
    } });
    let turn = client.start_turn(thread, &format!("/tool helper result {result}")).await?;
    client.turn_end(&turn).await?;
    let reply = client.reply_text(&turn)?.context("an answer")?;
    assert!(reply.starts_with("BEGIN") && reply.contains("END\n") && reply.len() < 50_000, "{}", reply.len());
    assert!(reply.contains("100008 bytes") && reply.contains("left out here; the user has all of it ...]"));
    assert!(reply.ends_with("[1 more part of the result is left out here; the user has it]"), "{reply}");
    let call = client.tool_calls(&turn)?.pop().and_then(|call| call.result).context("a result")?;
    assert_eq!(call.content[0]["text"], json!(large));
    assert_eq!(call.structured_content, Some(json!({ "count": 3 })));
    home.finish().await
}
