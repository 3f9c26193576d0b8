//! Questions to the user: who is asked, whose answer counts, and what becomes of those that nobody answers.

mod away;
mod restart;

use std::collections::BTreeMap;

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::agent_text;
use skein_protocol::approval::{ToolRequestUserInputAnswer, ToolRequestUserInputResponse};
use skein_protocol::ids::RequestId;
use skein_protocol::notifications::{ItemStarted, ServerRequestResolved, ThreadStatusChanged, TurnCompleted};
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

/// What makes the agent ask.
const ASK: &str = "/ask Which one?";

/// The user's one answer to the one question.
fn answer(question: &str, text: &str) -> ToolRequestUserInputResponse {
    let answer = ToolRequestUserInputAnswer { answers: vec![text.to_owned()] };
    ToolRequestUserInputResponse { answers: BTreeMap::from([(question.to_owned(), answer)]) }
}

/// Takes the next question and answers it.
async fn answer_next(client: &mut Client, text: &str) -> Result<RequestId> {
    let (id, params) = client.next_request::<Question>().await?;
    client.answer_request::<Question>(&id, &answer(&params.questions[0].id, text)).await?;
    Ok(id)
}

/// Waits until the question is settled.
async fn resolved(client: &mut Client, id: &RequestId) -> Result<()> {
    client.next::<ServerRequestResolved>(|resolved| resolved.request_id == *id).await?;
    Ok(())
}

#[tokio::test]
async fn the_answer_to_a_question_is_what_the_agent_says() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let client = &mut clients[0];
    let (id, params) = client.next_request::<Question>().await?;
    assert_eq!((params.thread_id, &params.turn_id), (thread, &turn));
    assert_eq!(params.questions[0].question, "Which one?");
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    client.next::<ThreadStatusChanged>(|changed| changed.status == waits).await?;
    client.answer_request::<Question>(&id, &answer(&params.questions[0].id, "the red one")).await?;
    resolved(client, &id).await?;
    let runs = ThreadStatus::Active { active_flags: Vec::new() };
    client.next::<ThreadStatusChanged>(|changed| changed.status == runs).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.said(&turn)?.as_deref(), Some("the red one"));
    home.finish().await
}

#[tokio::test]
async fn the_first_real_answer_wins_and_everybody_hears_that_it_is_settled() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, params) = clients[1].next_request::<Question>().await?;
    let first = answer_next(&mut clients[0], "first").await?;
    assert_eq!(first, id, "the same id for all");
    for client in &mut clients {
        resolved(client, &id).await?;
    }
    // Too late, and a second time: passed over.
    clients[1].answer_request::<Question>(&id, &answer(&params.questions[0].id, "second")).await?;
    clients[0].answer_request::<Question>(&id, &answer(&params.questions[0].id, "again")).await?;
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].said(&turn)?.as_deref(), Some("first"));
    assert_eq!(clients[1].status().await?.turns.running, 0, "the connection lives");
    home.finish().await
}

#[tokio::test]
async fn an_answer_of_somebody_who_was_not_asked_does_not_count() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, params) = clients[0].next_request::<Question>().await?;
    let mut stranger = home.client().await?;
    let mut observer = home.client().await?;
    observer.observe(thread).await?;
    for client in [&mut stranger, &mut observer] {
        client.answer_request::<Question>(&id, &answer(&params.questions[0].id, "mine")).await?;
        client.refuse_request(&id, "no").await?;
        // Behind it in the same connection: the answer was taken, and the owner has handled it.
        client.quiesce().await?;
    }
    assert_eq!(clients[0].status().await?.turns.running, 1, "it still waits");
    clients[0].answer_request::<Question>(&id, &answer(&params.questions[0].id, "the real one")).await?;
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].said(&turn)?.as_deref(), Some("the real one"));
    home.finish().await
}

#[tokio::test]
async fn an_observer_is_never_asked() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let mut observer = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    observer.observe(thread).await?;
    let turn = client.start_turn(thread, "/ask Yes?").await?;
    answer_next(&mut client, "yes").await?;
    client.turn_end(&turn).await?;
    observer.turn_end(&turn).await?;
    let asked = observer.record().iter().any(|message| message.method().is_some() && message.id().is_some());
    assert!(!asked);
    home.finish().await
}

#[tokio::test]
async fn an_error_settles_only_when_all_who_were_asked_have_answered_with_one() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[1].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    clients[0].quiesce().await?;
    assert_eq!(clients[0].status().await?.turns.running, 1, "the other may still answer");
    clients[1].refuse_request(&id, "neither can I").await?;
    resolved(&mut clients[1], &id).await?;
    let end = clients[0].turn_end(&turn).await?;
    assert_eq!(end.status, TurnStatus::Failed);
    assert!(end.error.unwrap().message.contains("cannot show it"));
    home.finish().await
}

#[tokio::test]
async fn an_error_of_one_does_not_stop_the_answer_of_the_other() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    answer_next(&mut clients[1], "I can").await?;
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(clients[0].said(&turn)?.as_deref(), Some("I can"));
    home.finish().await
}

#[tokio::test]
async fn an_error_settles_when_the_only_other_one_leaves() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[1].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    drop(clients.pop());
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Failed);
    home.finish().await
}

#[tokio::test]
async fn a_disconnect_settles_nothing_and_who_resumes_is_asked_again_under_the_same_id() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients.clear();
    let mut client = home.client().await?;
    client.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    client.quiesce().await?;
    assert_eq!(client.loaded().await?, [thread], "it waits for somebody");
    let resumed = client.resume(thread).await?;
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    assert_eq!(resumed.thread.status, waits);
    assert_eq!(answer_next(&mut client, "here again").await?, id);
    client.turn_end(&turn).await?;
    assert_eq!(client.said(&turn)?.as_deref(), Some("here again"));
    home.finish().await
}

#[tokio::test]
async fn an_answer_of_the_wrong_shape_counts_as_an_error() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(1, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].send_raw(&serde_json::json!({ "id": id, "result": { "answers": 7 } }).to_string()).await?;
    let end = clients[0].turn_end(&turn).await?;
    assert_eq!(end.status, TurnStatus::Failed);
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_settles_the_question() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].interrupt(thread, &turn).await?;
    resolved(&mut clients[0], &id).await?;
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Interrupted);
    home.finish().await
}

/// The question belongs to the message that the answer is for, which clients know before they are asked.
#[tokio::test]
async fn a_question_belongs_to_an_item_that_is_known_and_becomes_the_answer() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    client.start_turn(thread, "/ask Which colour?").await?;
    let (id, params) = client.next_request::<Question>().await?;
    let started = client.heard::<ItemStarted>()?;
    assert!(started.iter().any(|known| *known.item.id() == params.item_id), "it is known by then");
    client.answer_request::<Question>(&id, &answer(&params.questions[0].id, "blue")).await?;
    client.next::<TurnCompleted>(|_| true).await?;
    let turns = client.read_thread(thread).await?.turns;
    let agent: Vec<_> =
        turns[0].items.iter().filter_map(|item| Some((item.id(), agent_text(item)?))).collect();
    assert_eq!(agent, [(&params.item_id, "blue".to_owned())]);
    home.finish().await
}
