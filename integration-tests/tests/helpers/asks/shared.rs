//! Questions of a shared helper of 2025-11-25, which do not name their call.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::tool_params;
use skein_protocol::methods::McpServerToolCall;
use skein_protocol::notifications::ItemMcpToolCallProgress;
use skein_protocol::server_requests::McpServerElicitationRequest as Question;
use skein_protocol::table::ServerRequest;
use skein_protocol::turn::TurnStatus;

use super::{accept, form, outcome, outcome_of};

#[tokio::test]
async fn a_shared_helpers_question_goes_to_its_only_caller_and_never_to_one_of_two() -> Result<()> {
    for isolation in ["project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let home = Home::setup().helper(helper).start().await?;
        let [mut one, mut other] = home.clients().await?;
        let (first, second) =
            (one.start_thread_with("words").await?, other.start_thread_with("words").await?);
        // With a single caller, the question belongs to that thread.
        for _ in 0..2 {
            let call =
                one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
            let (id, params) = one.helper_question().await?;
            assert_eq!(params.thread_id, first);
            one.answer_request::<Question>(&id, &accept()).await?;
            assert_eq!(outcome_of(&mut one, call).await?["content"]["name"], "Ada");
            std::mem::swap(&mut one, &mut other);
            let call =
                one.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
            let (id, params) = one.helper_question().await?;
            assert_eq!(params.thread_id, second);
            one.answer_request::<Question>(&id, &accept()).await?;
            assert_eq!(outcome_of(&mut one, call).await?["content"]["name"], "Ada");
            std::mem::swap(&mut one, &mut other);
        }
        assert_eq!(home.family().helpers.len(), 1, "both threads share the helper");
        // An open question stays with its thread when another thread calls.
        let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
        let (id, _) = one.helper_question().await?;
        other.tool(second, "helper", "echo", json!({ "text": "beside" })).await?;
        one.answer_request::<Question>(&id, &accept()).await?;
        one.resolved(&id).await?;
        assert_eq!(outcome_of(&mut one, call).await?["action"], "accept");
        let (before, before_other) = (asked(&one), asked(&other));
        // Both threads call: no client gets the question.
        let hangs = tool_params(second, "helper", "hang", json!({}));
        let hangs = other.start_call::<McpServerToolCall>(&hangs).await?;
        other.quiesce().await?;
        let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
        let refused = outcome_of(&mut one, call).await?;
        assert!(
            refused["message"].as_str().is_some_and(|why| why.contains("several conversations")),
            "{refused}"
        );
        one.quiesce().await?;
        other.quiesce().await?;
        assert_eq!((asked(&one), asked(&other)), (before, before_other));
        drop(hangs);
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_question_about_an_interrupted_call_reaches_no_client() -> Result<()> {
    for isolation in ["thread", "project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let home = Home::setup().helper(helper).start().await?;
        let [mut one, mut other] = home.clients().await?;
        let first = one.start_thread_with("words").await?;
        let second = match isolation {
            "thread" => first,
            _ => other.start_thread_with("words").await?,
        };
        let turn = one.start_turn(first, &format!("/tool helper ask_later {}", form())).await?;
        one.next::<ItemMcpToolCallProgress>(|progress| progress.turn_id == turn).await?;
        one.interrupt_and_wait(first, &turn).await?;
        other.resume(second).await?;
        // The next turn of the same thread, or a turn of another one.
        let turn = other.start_turn(second, "/tool helper ask_now {}").await?;
        assert_eq!(other.turn_end(&turn).await?.status, TurnStatus::Completed);
        let refused = outcome(&other, &turn)?;
        assert!(
            refused["message"].as_str().is_some_and(|why| why.contains("was cancelled")),
            "{isolation}: {refused}"
        );
        one.quiesce().await?;
        assert_eq!((asked(&one), asked(&other)), (0, 0));
        // The helper has answered the interrupted call, so the caller is certain again.
        let turn = other.start_turn(second, &format!("/tool helper ask {}", form())).await?;
        let (id, params) = other.helper_question().await?;
        assert_eq!(params.turn_id.as_ref(), Some(&turn));
        other.answer_request::<Question>(&id, &accept()).await?;
        assert_eq!(other.turn_end(&turn).await?.status, TurnStatus::Completed);
        assert_eq!(outcome(&other, &turn)?["action"], "accept");
        home.finish().await?;
    }
    Ok(())
}

/// Number of questions that this client got.
fn asked(client: &skein_integration_tests::client::Client) -> usize {
    let question =
        |message: &&skein_integration_tests::client::Received| message.method() == Some(Question::INFO.wire);
    client.record().iter().filter(question).count()
}
