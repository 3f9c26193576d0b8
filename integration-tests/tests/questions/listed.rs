//! The questions of all threads in one list, and answers to them without a subscription.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::requests::user_answer;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{SkeinQuestionsAnswer, SkeinQuestionsList, ThreadNameSet, TurnInterrupt};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::question::{
    ListedQuestion, NeedsYou, QuestionKind, SkeinQuestionsAnswerParams, SkeinQuestionsListParams,
    SkeinQuestionsListResponse,
};
use skein_protocol::server_requests::McpServerElicitationRequest as Approval;
use skein_protocol::table::ServerRequest;
use skein_protocol::thread::ThreadSetNameParams;
use skein_protocol::turn::{TurnInterruptParams, TurnStatus};

use super::{ASK, Question};

/// A call of a tool whose annotations declare it destructive.
const DESTROY: &str = "/tool helper destroy";

async fn listed(client: &mut Client, params: SkeinQuestionsListParams) -> Result<SkeinQuestionsListResponse> {
    client.call::<SkeinQuestionsList>(params).await
}

pub(super) async fn all(client: &mut Client) -> Result<Vec<ListedQuestion>> {
    Ok(listed(client, SkeinQuestionsListParams::default()).await?.data)
}

fn answers(id: i64, result: Value) -> SkeinQuestionsAnswerParams {
    SkeinQuestionsAnswerParams { id, result }
}

/// Two threads that wait: one for words, and a later one for the approval of a call.
async fn two_that_wait(home: &Home) -> Result<(ThreadId, ThreadId)> {
    let mut client = home.client().await?;
    let words = client.start_thread_with("words").await?;
    client.start_turn(words, ASK).await?;
    client.next_request::<Question>().await?;
    let approval = client.start_thread_with("words").await?;
    let name = ThreadSetNameParams { name: "remove it".to_owned(), thread_id: approval };
    client.call::<ThreadNameSet>(name).await?;
    client.start_turn(approval, DESTROY).await?;
    client.next_request::<Approval>().await?;
    Ok((words, approval))
}

#[tokio::test]
async fn questions_of_parked_threads_are_listed_after_a_restart_and_answered_without_a_resume() -> Result<()>
{
    // Its threads are loaded where they are answered.
    let setup = Home::setup().alone().set("orphans.pending_grace", "0s").helper(Helper::named("helper")?);
    let (mut home, mut control) = setup.start_with_client().await?;
    let (words, approval) = two_that_wait(&home).await?;
    home.until_drained(PATIENCE).await?;
    home.restart().await?;
    drop(control);
    control = home.client().await?;
    let open = all(&mut control).await?;
    let seen: Vec<_> = open.iter().map(|open| (open.thread_id, open.kind, open.loaded)).collect();
    assert_eq!(seen, [(words, QuestionKind::Input, false), (approval, QuestionKind::Approval, false)]);
    assert_eq!(open[1].thread_name.as_deref(), Some("remove it"));
    assert_eq!(open[1].method, Approval::INFO.wire);
    assert_eq!(open[1].params["_meta"]["skein"]["itemId"], json!(open[1].item_id));
    assert!(open[0].asked_at <= open[1].asked_at && open[0].id < open[1].id);
    let needs_you = control.status().await?.needs_you;
    assert_eq!((needs_you.threads, needs_you.questions, needs_you.oldest_at), (2, 2, Some(open[0].asked_at)));
    let shown = home.skein(&["status"]).await?;
    assert!(shown.contains("2 questions wait in 2 threads, the oldest since 2"), "{shown}");
    let one = SkeinQuestionsListParams { limit: Some(1), ..SkeinQuestionsListParams::default() };
    let first = listed(&mut control, one.clone()).await?;
    let second = listed(&mut control, SkeinQuestionsListParams { cursor: first.next_cursor, ..one }).await?;
    assert_eq!((first.data, second.next_cursor), (vec![open[0].clone()], None));
    assert_eq!(second.data, [open[1].clone()]);
    let of_thread =
        SkeinQuestionsListParams { thread_id: Some(words), ..SkeinQuestionsListParams::default() };
    assert_eq!(listed(&mut control, of_thread).await?.data, [open[0].clone()]);

    control.call::<SkeinQuestionsAnswer>(answers(open[1].id, json!({ "action": "accept" }))).await?;
    let question = open[0].params["questions"][0]["id"].as_str().context("its id")?.to_owned();
    control
        .call::<SkeinQuestionsAnswer>(answers(
            open[0].id,
            serde_json::to_value(user_answer(&question, "red"))?,
        ))
        .await?;
    // A turn can end before the helpers of its thread have begun.
    control.until_status("nothing is loaded", |status| status.threads.loaded == 0).await?;
    home.until_drained(PATIENCE).await?;
    for (thread, said) in [(words, "red"), (approval, "done 1")] {
        let read = control.read_thread(thread).await?;
        let turn = read.turns.last().context("a turn")?;
        assert_eq!(turn.status, TurnStatus::Completed, "{turn:?}");
        assert!(serde_json::to_string(turn)?.contains(said), "{turn:?}");
    }
    assert_eq!(all(&mut control).await?, []);
    assert_eq!(control.status().await?.needs_you, NeedsYou::default());
    home.finish().await
}

#[tokio::test]
async fn a_turn_of_a_parked_thread_is_interrupted_without_a_resume() -> Result<()> {
    let setup = Home::setup().set("orphans.pending_grace", "0s").helper(Helper::named("helper")?);
    let (home, mut control) = setup.start_with_client().await?;
    let (_, thread) = two_that_wait(&home).await?;
    home.until_drained(PATIENCE).await?;
    let turn = control.read_thread(thread).await?.turns.last().context("a turn")?.id.clone();
    let interrupt = |turn_id: &TurnId| TurnInterruptParams { thread_id: thread, turn_id: turn_id.clone() };
    let other = TurnId::from("another".to_owned());
    assert_eq!(control.refusal::<TurnInterrupt>(interrupt(&other)).await?.reason(), "otherTurn");
    control.call::<TurnInterrupt>(interrupt(&turn)).await?;
    control.until_status("only the other thread asks", |status| status.needs_you.questions == 1).await?;
    // The question ends before its turn.
    home.until_drained(PATIENCE).await?;
    control.until_status("nothing is loaded", |status| status.threads.loaded == 0).await?;
    let read = control.read_thread(thread).await?;
    assert_eq!(read.turns.last().map(|turn| turn.status), Some(TurnStatus::Interrupted));
    assert_eq!(control.refusal::<TurnInterrupt>(interrupt(&turn)).await?.reason(), "notLoaded");
    home.finish().await
}

#[tokio::test]
async fn an_answer_of_a_stranger_counts_once_and_a_late_one_learns_who_was_first() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, DESTROY).await?;
    let (asked, _) = clients[0].helper_question().await?;
    let mut stranger = home.client().await?;
    let open = all(&mut stranger).await?;
    let [question] = open.as_slice() else { panic!("one question: {open:?}") };
    assert!(question.loaded && question.thread_id == thread);
    let wrong =
        stranger.refusal::<SkeinQuestionsAnswer>(answers(question.id, json!({ "action": "maybe" }))).await?;
    assert_eq!(wrong.reason(), "invalidResult");
    let unknown = stranger.refusal::<SkeinQuestionsAnswer>(answers(7, json!({}))).await?;
    assert_eq!(unknown.reason(), "unknownQuestion");
    let mut reader = home.client_of("read").await?;
    assert_eq!(all(&mut reader).await?, open, "a reader may look");
    let accept = || answers(question.id, json!({ "action": "accept" }));
    assert_eq!(reader.refusal::<SkeinQuestionsAnswer>(accept()).await?.reason(), "forbidden");
    stranger.call::<SkeinQuestionsAnswer>(accept()).await?;
    clients[0].resolved(&asked).await?;
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(clients[0].reply_text(&turn)?.as_deref(), Some("done 1"), "the call is made once");
    stranger.call::<SkeinQuestionsAnswer>(accept()).await?;
    let late = home
        .client_of("chat")
        .await?
        .refusal::<SkeinQuestionsAnswer>(answers(question.id, json!({ "action": "decline" })))
        .await?;
    assert_eq!(late.reason(), "alreadyAnswered");
    assert!(late.message.contains("has answered question"), "{}", late.message);
    assert_eq!(stranger.received::<TurnCompleted>()?, [], "an answer subscribes nobody");
    home.finish().await
}

#[tokio::test]
async fn a_subscriber_answers_the_question_of_a_thread_that_was_parked_under_it() -> Result<()> {
    let home = Home::setup().set("limits.loaded_threads", 1).start().await?;
    let (mut control, mut client) = (home.client_at_owner().await?, home.client().await?);
    let waits = client.start_thread_with("words").await?;
    let turn = client.start_turn(waits, ASK).await?;
    let (id, params) = client.next_request::<Question>().await?;
    // Another thread needs its place.
    control.start_thread_with("words").await?;
    control.until_status("the thread that waits is parked", |status| status.threads.loaded == 1).await?;
    assert!(!control.loaded().await?.contains(&waits));
    let mine = user_answer(&params.questions[0].id, "still me");
    let mut stranger = home.client().await?;
    stranger.answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "not asked")).await?;
    stranger.quiesce().await?;
    client.answer_request::<Question>(&id, &mine).await?;
    client.resolved(&id).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("still me"));
    home.finish().await
}
