//! Questions to the user: which clients get them, which answers count, and what happens without an answer.

mod away;
mod budgets;
mod kills;
mod listed;
mod restart;

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{agent_text, user_answer};
use skein_protocol::notifications::{ItemStarted, ThreadStatusChanged, TurnCompleted};
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

/// Makes the agent ask.
const ASK: &str = "/ask Which one?";

#[tokio::test]
async fn the_agent_replies_with_the_answer_to_its_question() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let client = &mut clients[0];
    let (id, params) = client.next_request::<Question>().await?;
    assert_eq!((params.thread_id, &params.turn_id), (thread, &turn));
    assert_eq!(params.questions[0].question, "Which one?");
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    client.next::<ThreadStatusChanged>(|changed| changed.status == waits).await?;
    client.answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "the red one")).await?;
    client.resolved(&id).await?;
    let runs = ThreadStatus::Active { active_flags: Vec::new() };
    client.next::<ThreadStatusChanged>(|changed| changed.status == runs).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("the red one"));
    home.finish().await
}

#[tokio::test]
async fn the_first_valid_answer_wins_and_every_client_is_notified() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, params) = clients[1].next_request::<Question>().await?;
    let first = clients[0].answer_next("first").await?;
    assert_eq!(first, id, "all clients get the same id");
    for client in &mut clients {
        client.resolved(&id).await?;
    }
    // Late and repeated answers are ignored.
    clients[1].answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "second")).await?;
    clients[0].answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "again")).await?;
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].reply_text(&turn)?.as_deref(), Some("first"));
    assert_eq!(clients[1].status().await?.turns.running, 0, "the connection is still open");
    home.finish().await
}

#[tokio::test]
async fn an_answer_from_a_client_without_the_question_does_not_count() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, params) = clients[0].next_request::<Question>().await?;
    let [mut other, mut observer] = home.clients().await?;
    observer.observe(thread).await?;
    for client in [&mut other, &mut observer] {
        client.answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "mine")).await?;
        client.refuse_request(&id, "no").await?;
        // A later request on the same connection: the owner has handled the answer by then.
        client.quiesce().await?;
    }
    assert_eq!(home.status().await?.turns.running, 1, "the question still waits");
    clients[0].answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "the real one")).await?;
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].reply_text(&turn)?.as_deref(), Some("the real one"));
    home.finish().await
}

#[tokio::test]
async fn an_observer_gets_no_questions() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let mut observer = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    observer.observe(thread).await?;
    let turn = client.start_turn(thread, "/ask Yes?").await?;
    client.answer_next("yes").await?;
    client.turn_end(&turn).await?;
    observer.turn_end(&turn).await?;
    let asked = observer.record().iter().any(|message| message.method().is_some() && message.id().is_some());
    assert!(!asked);
    home.finish().await
}

#[tokio::test]
async fn errors_resolve_a_question_only_from_all_clients() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[1].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    clients[0].quiesce().await?;
    assert_eq!(home.status().await?.turns.running, 1, "the other client may still answer");
    clients[1].refuse_request(&id, "neither can I").await?;
    clients[1].resolved(&id).await?;
    let end = clients[0].turn_end(&turn).await?;
    assert_eq!(end.status, TurnStatus::Failed);
    assert!(end.error.unwrap().message.contains("cannot show it"));
    home.finish().await
}

#[tokio::test]
async fn an_error_from_one_client_does_not_block_the_other() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    clients[1].answer_next("I can").await?;
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(clients[0].reply_text(&turn)?.as_deref(), Some("I can"));
    home.finish().await
}

#[tokio::test]
async fn an_error_resolves_the_question_when_the_other_client_leaves() -> Result<()> {
    let (home, mut clients, _, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[1].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "cannot show it").await?;
    drop(clients.pop());
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Failed);
    home.finish().await
}

#[tokio::test]
async fn a_question_survives_a_disconnect_and_returns_with_the_same_id() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients.clear();
    let mut client = home.client().await?;
    client.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    client.quiesce().await?;
    assert_eq!(client.loaded().await?, [thread], "the thread waits for a client");
    let resumed = client.resume(thread).await?;
    let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
    assert_eq!(resumed.thread.status, waits);
    assert_eq!(client.answer_next("here again").await?, id);
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("here again"));
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
async fn an_interrupt_resolves_the_question() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].interrupt(thread, &turn).await?;
    clients[0].resolved(&id).await?;
    assert_eq!(clients[0].turn_end(&turn).await?.status, TurnStatus::Interrupted);
    home.finish().await
}

/// A question belongs to the agent's message that will contain the answer. Clients get the item first.
#[tokio::test]
async fn a_question_belongs_to_a_known_item_that_becomes_the_answer() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    client.start_turn(thread, "/ask Which colour?").await?;
    let (id, params) = client.next_request::<Question>().await?;
    let started = client.received::<ItemStarted>()?;
    assert!(started.iter().any(|known| *known.item.id() == params.item_id), "the item is known by then");
    client.answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "blue")).await?;
    client.next::<TurnCompleted>(|_| true).await?;
    let turns = client.read_thread(thread).await?.turns;
    let agent: Vec<_> =
        turns[0].items.iter().filter_map(|item| Some((item.id(), agent_text(item)?))).collect();
    assert_eq!(agent, [(&params.item_id, "blue".to_owned())]);
    home.finish().await
}
