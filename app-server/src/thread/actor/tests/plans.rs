//! Plan mode: the model's instructions, and its plan as a separate item.

use serde_json::json;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ItemPlanDelta, ItemStarted, TurnCompleted,
};
use skein_protocol::turn::{TurnStartParams, TurnStartResponse, TurnStatus, UserInput};
use skein_provider::{ModelEvent, ProviderError};

use super::conversations::{listening, prompt, text};
use super::*;

/// A turn that switches to this mode.
async fn turn_in(client: &mut Client, thread: skein_protocol::ids::ThreadId, mode: &str, words: &str) {
    let mut params = TurnStartParams::new(thread, vec![UserInput::text(words)]);
    let chosen = json!({"mode": mode, "settings": {"model": "", "developer_instructions": null}});
    params.collaboration_mode = serde_json::from_value(chosen).unwrap();
    let request = client.start_turn(thread, params);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
}

/// The kind and the text of a message or a plan.
fn text_of(item: ThreadItem) -> Option<(&'static str, String)> {
    if let ThreadItemBody::Plan(plan) = item.body {
        return Some(("plan", plan.text));
    }
    let ThreadItemBody::AgentMessage(message) = item.body else { return None };
    Some(("message", message.text))
}

/// The notifications about the model's items, in one word each.
fn shown(client: &Client) -> Vec<String> {
    let one = |message: &Message| {
        if let Some(started) = message.params::<ItemStarted>() {
            return text_of(started.item).map(|(kind, _)| format!("{kind} begins"));
        }
        if let Some(delta) = message.params::<ItemPlanDelta>() {
            return Some(format!("plan: {}", delta.delta));
        }
        if let Some(delta) = message.params::<ItemAgentMessageDelta>() {
            return Some(format!("message: {}", delta.delta));
        }
        let done = message.params::<ItemCompleted>()?;
        text_of(done.item).map(|(kind, text)| format!("{kind} is {text}"))
    };
    client.log.iter().filter_map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_an_item_of_its_own_and_the_model_reads_its_own_words_again() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let pieces = ["Intro.\n", "<prop", "osed_plan>", "\n- 1\n", "- 2\n</propo", "sed_plan>\nOutro"];
    bench.listener.will_say(Ok(pieces.map(text).to_vec()));
    turn_in(&mut client, thread, "plan", "one").await;
    // In the peer's order.
    let expected = [
        "message begins",
        "message: Intro.\n",
        "plan begins",
        "plan: - 1\n",
        "plan: - 2\n",
        "message: Outro",
        "plan is - 1\n- 2\n",
        "message is Intro.\nOutro",
    ];
    assert_eq!(shown(&client), expected);
    client.turn(thread, "two").await;
    let sent = prompt(&bench);
    assert!(sent[0].starts_with("developer: You are in plan mode"), "{sent:?}");
    assert_eq!(sent[1..], ["user: one", &format!("assistant: {}", pieces.concat()), "user: two"]);
    turn_in(&mut client, thread, "default", "three").await;
    assert_eq!(prompt(&bench)[0], "user: one", "plan mode is over");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_alone_has_no_message_and_outside_of_plan_mode_tags_are_text() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let plan = "<proposed_plan>\n- 1\n</proposed_plan>";
    bench.listener.will_say(Ok(vec![text(plan)]));
    turn_in(&mut client, thread, "plan", "one").await;
    assert_eq!(shown(&client), ["plan begins", "plan: - 1\n", "plan is - 1\n"]);
    bench.listener.will_say(Ok(vec![text(plan)]));
    turn_in(&mut client, thread, "default", "two").await;
    assert_eq!(shown(&client).last(), Some(&format!("message is {plan}")));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_an_answer_that_begins_anew_counts_no_more() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    bench.listener.will_say(Ok(vec![
        text("<proposed_plan>\n- ha"),
        ModelEvent::Again(ProviderError::new("cut")),
        text("<proposed_plan>\n- whole\n</proposed_plan>\n"),
    ]));
    turn_in(&mut client, thread, "plan", "one").await;
    let whole: Vec<String> = shown(&client).into_iter().filter(|word| word.contains(" is ")).collect();
    assert_eq!(whole, ["plan is ", "plan is - whole\n"]);
    client.turn(thread, "two").await;
    assert!(!prompt(&bench).iter().any(|entry| entry.contains("- ha")), "{:?}", prompt(&bench));
    bench.finish().await;
}
