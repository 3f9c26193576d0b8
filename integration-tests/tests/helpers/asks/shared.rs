//! Questions of a helper of 2025-11-25 that threads share: it does not say which call they are about.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::tool_params;
use skein_protocol::methods::McpServerToolCall;
use skein_protocol::server_requests::McpServerElicitationRequest as Question;
use skein_protocol::table::ServerRequest;

use super::{accept, form, question, resolved, told_in};

#[tokio::test]
async fn a_shared_helpers_question_goes_to_the_one_thread_that_calls_and_to_nobody_among_two() -> Result<()> {
    for isolation in ["project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let home = Home::setup().helper(helper).start().await?;
        let (mut one, mut other) = (home.client().await?, home.client().await?);
        let (first, second) =
            (one.start_said_thread("words").await?, other.start_said_thread("words").await?);
        // One calls, whichever: it is its question.
        for _ in 0..2 {
            let call =
                one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
            let (id, params) = question(&mut one).await?;
            assert_eq!(params.thread_id, first);
            one.answer_request::<Question>(&id, &accept()).await?;
            assert_eq!(told_in(&mut one, call).await?["content"]["name"], "Ada");
            std::mem::swap(&mut one, &mut other);
            let call =
                one.start_call::<McpServerToolCall>(&tool_params(second, "helper", "ask", form())).await?;
            let (id, params) = question(&mut one).await?;
            assert_eq!(params.thread_id, second);
            one.answer_request::<Question>(&id, &accept()).await?;
            assert_eq!(told_in(&mut one, call).await?["content"]["name"], "Ada");
            std::mem::swap(&mut one, &mut other);
        }
        assert_eq!(home.family().helpers.len(), 1, "they share it");
        let (before, before_other) = (asked(&one), asked(&other));
        // Both call: nobody is asked.
        let hangs = tool_params(second, "helper", "hang", json!({}));
        let hangs = other.start_call::<McpServerToolCall>(&hangs).await?;
        other.quiesce().await?;
        let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
        let refused = told_in(&mut one, call).await?;
        assert!(
            refused["message"].as_str().is_some_and(|why| why.contains("several conversations")),
            "{refused}"
        );
        one.quiesce().await?;
        other.quiesce().await?;
        assert_eq!((asked(&one), asked(&other)), (before, before_other));
        // A question that is open when another thread calls stays with whom it was put to.
        drop((hangs, other));
        let mut other = home.client().await?;
        other.resume(second).await?;
        let call = one.start_call::<McpServerToolCall>(&tool_params(first, "helper", "ask", form())).await?;
        let (id, _) = question(&mut one).await?;
        other.tool(second, "helper", "echo", json!({ "text": "beside" })).await?;
        one.answer_request::<Question>(&id, &accept()).await?;
        resolved(&mut one, &id).await?;
        assert_eq!(told_in(&mut one, call).await?["action"], "accept");
        home.finish().await?;
    }
    Ok(())
}

/// How many questions this client has heard.
fn asked(client: &skein_integration_tests::client::Client) -> usize {
    let question =
        |message: &&skein_integration_tests::client::Received| message.method() == Some(Question::INFO.wire);
    client.record().iter().filter(question).count()
}
