//! Later requests repeat earlier items in the same words, because providers cache a prompt by its beginning.

use serde_json::json;
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use skein_provider::http::steps::steps;
use skein_provider::{Callee, Entry, ModelEvent, Reasoning, ToolCall};

use super::conversations::{listening, text};
use super::*;

/// Arguments that no serializer of ours would write.
const ARGUMENTS: &str = r#"{ "b":1,"a":"x" }"#;

fn call(id: &str, tool: &str) -> ToolCall {
    ToolCall::new(id, Callee::Offered(tool.into()), ARGUMENTS)
}

async fn with_a_tool(client: &mut Client, ephemeral: bool) -> skein_protocol::ids::ThreadId {
    let look = json!({"type": "function", "name": "look", "description": "looks", "inputSchema": {"type": "object"}});
    client.start_with(json!({"dynamicTools": [look], "ephemeral": ephemeral})).await
}

/// One turn: an answer with a thought, a text and three calls, of which one cannot be made, then the answer of the echo. The
/// calls that are made end in the other order.
async fn turn_with_calls(bench: &Bench, client: &mut Client, thread: skein_protocol::ids::ThreadId) {
    bench.listener.will_say(Ok(vec![
        ModelEvent::Reasoning(Reasoning { own_form: Some(json!({"sealed": "x"})), ..Reasoning::default() }),
        text("I look."),
        ModelEvent::ToolCall(call("call_1", "look")),
        ModelEvent::ToolCall(call("call_2", "none")),
        ModelEvent::ToolCall(call("call_3", "look")),
    ]));
    let request = client.input(thread, "one");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    let questions = [client.asked().await, client.asked().await];
    for question in questions.into_iter().rev() {
        client.carries_out(question, &format!("seen by {question}"));
        client.fence(thread).await;
    }
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn the_next_turn_begins_with_what_the_last_request_of_the_turn_before_had() {
    for ephemeral in [false, true] {
        let bench = listening();
        let mut client = bench.client();
        let thread = with_a_tool(&mut client, ephemeral).await;
        turn_with_calls(&bench, &mut client, thread).await;
        let sent = bench.listener.last_asked().history;
        assert!(sent.iter().any(|entry| matches!(entry, Entry::Reasoning(_))), "{sent:?}");
        client.turn(thread, "two").await;
        let again = bench.listener.last_asked().history;
        // The steps that each API makes its messages of.
        let (sent, again) = (steps(&sent), steps(&again));
        assert_eq!(again[..sent.len()], sent);
        bench.finish().await;
    }
}
