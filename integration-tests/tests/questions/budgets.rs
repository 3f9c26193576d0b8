//! A limit for the use of models, at a running server with a real helper.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::budget::{BudgetScope, SkeinBudgetSetParams};
use skein_protocol::methods::{SkeinBudgetSet, TurnStart};
use skein_protocol::question::QuestionKind;
use skein_protocol::turn::{CodexErrorInfo, TurnStartParams, TurnStatus, UserInput};

use super::listed::all;

/// A call of a tool that nobody has to allow. The model is asked again with its result.
const LOOK: &str = "/tool helper look";

#[tokio::test]
async fn the_question_at_a_limit_survives_a_kill_and_is_answered_by_the_command() -> Result<()> {
    let setup = Home::setup()
        .set("orphans.pending_grace", "0s")
        .set("budget.turn_rounds", 1)
        .helper(Helper::named("helper")?);
    let (mut home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, LOOK).await?;
    let (id, asked) = client.helper_question().await?;
    assert_eq!((asked.server_name.as_str(), asked.turn_id.as_ref()), ("skein", Some(&turn)));
    home.restart_after_kill().await?;
    let mut control = home.client().await?;
    control.until_status("the repair has ended", |status| status.threads.loaded == 0).await?;
    let open = all(&mut control).await?;
    let [question] = open.as_slice() else { panic!("one question: {open:?}") };
    assert_eq!(
        (question.kind, question.thread_id, question.item_id.as_ref()),
        (QuestionKind::Budget, thread, None)
    );
    assert_eq!(skein_protocol::ids::RequestId::Integer(question.id), id);
    assert_eq!(question.params["_meta"]["skein"]["budget"]["scope"], json!("rounds"));
    let shown = home.skein(&["questions"]).await?;
    assert!(shown.contains("This turn has used 1 of 1 rounds (budget"), "{shown}");
    home.skein(&["questions", "answer", &question.id.to_string(), "accept"]).await?;
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    control.until_status("nothing is loaded", |status| status.threads.loaded == 0).await?;
    let read = control.read_thread(thread).await?;
    let ended = read.turns.last().context("a turn")?;
    assert_eq!((&ended.id, ended.status), (&turn, TurnStatus::Completed), "{ended:?}");
    home.finish().await
}

#[tokio::test]
async fn a_spent_thread_begins_no_turn_until_its_limit_is_raised() -> Result<()> {
    let (home, mut client) = Home::setup().set("budget.thread_tokens", 10).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, &"word ".repeat(20)).await?;
    client.turn_end(&turn).await?;
    let more = TurnStartParams::new(thread, vec![UserInput::text("more")]);
    let refused = client.refusal::<TurnStart>(more.clone()).await?;
    assert_eq!(refused.reason(), "budget");
    let set = |thread_tokens| SkeinBudgetSetParams {
        thread_id: thread,
        turn_tokens: None,
        thread_tokens: Some(thread_tokens),
        turn_rounds: None,
    };
    let mut chat = home.client_of("chat").await?;
    assert_eq!(chat.refusal::<SkeinBudgetSet>(set(0)).await?.reason(), "forbidden");
    for bad in [-1, i64::MAX] {
        assert_eq!(client.refusal::<SkeinBudgetSet>(set(bad)).await?.reason(), "badBudget");
    }
    let now = client.call::<SkeinBudgetSet>(set(1_000)).await?.budget;
    let of_thread = now.iter().find(|state| state.scope == BudgetScope::Thread).context("a limit")?;
    assert!(of_thread.limit == 1_000 && (10..1_000).contains(&of_thread.used), "{of_thread:?}");
    let turn = client.call::<TurnStart>(more).await?.turn.id;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn a_turn_at_its_limit_fails_where_nobody_is_asked() -> Result<()> {
    let setup =
        Home::setup().set("budget.turn_rounds", 1).set("budget.ask", false).helper(Helper::named("helper")?);
    let (home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let turn = client.start_turn(thread, LOOK).await?;
    let ended = client.turn_end(&turn).await?;
    let error = ended.error.context("an error")?;
    assert_eq!(ended.status, TurnStatus::Failed);
    assert_eq!(error.codex_error_info, Some(CodexErrorInfo::SessionBudgetExceeded));
    home.finish().await
}
