//! Steers while the model answers: they reach the model at once.

use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemCompleted, TurnCompleted};
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use skein_provider::{Callee, ModelEvent, Reasoning, Thoughts, TokenUsage, ToolCall};

use super::conversations::{listening, prompt, text};
use super::*;

/// A turn with this partial answer of a model that hangs.
async fn speaking(bench: &Bench, answer: Vec<ModelEvent>) -> (Client, ThreadId, TurnId) {
    let (mut client, thread) = bench.started().await;
    bench.listener.will_hang_after(answer);
    let request = client.input(thread, "one");
    let turn = client.answer::<TurnStartResponse>(request).await.unwrap().turn.id;
    bench.listener.hangs().await;
    (client, thread, turn)
}

async fn add(client: &mut Client, thread: ThreadId, text: &str) {
    let request = client.input(thread, text);
    client.answer::<TurnStartResponse>(request).await.unwrap();
}

/// The texts of the agent's completed messages.
fn texts(client: &Client) -> Vec<String> {
    let items = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let texts = items.filter_map(|done| {
        if let ThreadItemBody::AgentMessage(message) = done.item.body { Some(message.text) } else { None }
    });
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_cut_at_once_and_what_there_is_of_it_stays() {
    let bench = listening();
    let (mut client, thread, _) = speaking(&bench, vec![text("first "), text("words")]).await;
    add(&mut client, thread, "stop").await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(prompt(&bench), ["user: one", "assistant: first words", "user: stop"]);
    assert_eq!(texts(&client), ["first words", "stop"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_cut_too_and_each_addition_reaches_the_model_at_once() {
    let bench = listening();
    let (mut client, thread, _) = speaking(&bench, vec![]).await;
    bench.listener.will_hang_after(vec![]);
    add(&mut client, thread, "and").await;
    bench.listener.hangs().await;
    add(&mut client, thread, "also").await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(bench.listener.times_asked(), 3);
    assert_eq!(prompt(&bench), ["user: one", "user: and", "user: also"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn of_an_answer_that_is_cut_whole_calls_are_made_and_thoughts_and_usage_count() {
    let bench = listening();
    let thought = Reasoning { summary: vec!["hm".into()], ..Reasoning::default() };
    let call = ToolCall {
        id: "1".into(),
        callee: Callee::Offered("none".into()),
        arguments: "{}".into(),
        more: serde_json::Map::new(),
    };
    let answer = vec![
        ModelEvent::Reasoning(thought),
        ModelEvent::ToolCall(call),
        ModelEvent::Usage(TokenUsage { input: 5, ..TokenUsage::default() }),
        ModelEvent::ReasoningDelta { of: Thoughts::Summary, part: 0, text: "and".into() },
    ];
    let (mut client, thread, _) = speaking(&bench, answer).await;
    add(&mut client, thread, "stop").await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let result = "result: there is no tool named none";
    assert_eq!(prompt(&bench), ["user: one", "thought: hm", "call: none", result, "user: stop"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_behind_an_addition_ends_the_turn() {
    let bench = listening();
    let (mut client, thread, turn) = speaking(&bench, vec![text("words")]).await;
    bench.listener.will_hang_after(vec![]);
    add(&mut client, thread, "and").await;
    client.interrupt(thread, &turn);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    assert_eq!(texts(&client), ["words"]);
    bench.finish().await;
}
