//! The methods about questions and budgets, which are Skein's own.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::budget::{BudgetScope, SkeinBudgetSetParams};
use skein_protocol::methods::{SkeinBudgetSet, SkeinQuestionsAnswer, SkeinQuestionsList};
use skein_protocol::notifications::SkeinQuestionsChanged;
use skein_protocol::question::{NeedsYou, SkeinQuestionsAnswerParams, SkeinQuestionsListParams};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_question_is_listed_announced_and_answered_and_a_budget_is_set() -> Result<()> {
    let home = Home::start().await?;
    let mut client = Client::numbered(home.address()).await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, "/ask Which one?").await?;
    client.next_request::<ItemToolRequestUserInput>().await?;
    let asked = client.next::<SkeinQuestionsChanged>(|changed| changed.thread_id == thread).await?;
    let listed = client.call::<SkeinQuestionsList>(SkeinQuestionsListParams::default()).await?.data;
    let [question] = listed.as_slice() else { panic!("one question: {listed:?}") };
    let [open] = asked.open.as_slice() else { panic!("one question: {asked:?}") };
    assert_eq!((open.id, open.kind, open.asked_at), (question.id, question.kind, question.asked_at));
    assert_eq!((open.expires_at, asked.needs_you.questions), (question.expires_at, 1));
    let part = question.params["questions"][0]["id"].as_str().context("its id")?;
    let result = json!({ "answers": { part: { "answers": ["the red one"] } } });
    client.call::<SkeinQuestionsAnswer>(SkeinQuestionsAnswerParams { id: question.id, result }).await?;
    let answered = client.next::<SkeinQuestionsChanged>(|changed| changed.open.is_empty()).await?;
    assert_eq!(answered.needs_you, NeedsYou::default());
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    let params = SkeinBudgetSetParams {
        thread_id: thread,
        turn_tokens: Some(1_000),
        thread_tokens: None,
        turn_rounds: None,
    };
    let budget = client.call::<SkeinBudgetSet>(params).await?.budget;
    assert_eq!(
        budget.iter().find(|state| state.scope == BudgetScope::Turn).map(|state| state.limit),
        Some(1_000)
    );
    home.finish().await
}
