//! Failing summaries: too much to summarise, half a summary, none; and results that no model has read.

use serde_json::json;
use skein_protocol::notifications::{TurnCompleted, Warning};
use skein_protocol::thread::ThreadCompactStartResponse;
use skein_protocol::turn::{CodexErrorInfo, TurnStatus};
use skein_provider::{
    Callee, Entry, ModelEvent, Prompt, ProviderError, Stopped, TokenUsage, ToolCall, ToolChoice,
};

use super::conversations::{listening, prompt, text};
use super::*;

fn error(info: CodexErrorInfo) -> ProviderError {
    ProviderError { info: Some(info), ..ProviderError::new("it was refused") }
}

fn cut_short() -> ProviderError {
    ProviderError { stopped: Some(Stopped::Length), ..error(CodexErrorInfo::Other) }
}

fn used(input: i64) -> ModelEvent {
    ModelEvent::Usage(TokenUsage { input, ..TokenUsage::default() })
}

fn call(id: usize) -> ModelEvent {
    let callee = Callee::Offered("none".into());
    ModelEvent::ToolCall(ToolCall {
        id: id.to_string(),
        callee,
        arguments: "{}".into(),
        more: serde_json::Map::new(),
    })
}

async fn compact(client: &mut Client, thread: ThreadId) -> TurnStatus {
    let request = client.compact(thread);
    client.answer::<ThreadCompactStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await.turn.status
}

/// Whether this is a request for a summary.
fn is_for_a_summary(prompt: &Prompt) -> bool {
    prompt.tool_choice == ToolChoice::None
}

#[tokio::test(start_paused = true)]
async fn half_a_summary_is_better_than_none() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.will_fail_after(vec![text("half a summ")], cut_short());
    assert_eq!(compact(&mut client, thread).await, TurnStatus::Completed);
    client.turn(thread, "two").await;
    assert!(prompt(&bench)[0].contains("half a summ"), "{:?}", prompt(&bench));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_conversation_stands_for_a_summary_that_the_model_does_not_write() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "my name is Bob").await;
    bench.listener.will_say(Err(error(CodexErrorInfo::ContextWindowExceeded)));
    for _ in 0..2 {
        bench.listener.will_say(Err(cut_short()));
    }
    bench.listener.will_say(Ok(vec![text("  ")]));
    let ended = client.turn(thread, "who am I?").await.turn;
    assert_eq!(ended.status, TurnStatus::Completed, "{:?}", ended.error);
    let prompt = prompt(&bench);
    assert!(prompt[0].contains("User: my name is Bob\n\nAssistant: my name is Bob"), "{prompt:?}");
    assert_eq!(prompt[1..], ["user: who am I?"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_writes_an_empty_summary_is_asked_again_with_less() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    client.turn(thread, "two").await;
    let asked = bench.listener.times_asked();
    bench.listener.will_say(Ok(vec![text("  ")]));
    bench.listener.will_say(Ok(vec![text("in short")]));
    assert_eq!(compact(&mut client, thread).await, TurnStatus::Completed);
    let lengths: Vec<usize> =
        bench.listener.all_asked()[asked..].iter().map(|prompt| prompt.history.len()).collect();
    assert_eq!(lengths, [5, 3]);
    client.turn(thread, "three").await;
    assert!(prompt(&bench)[0].contains("in short"), "{:?}", prompt(&bench));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_asked_of_less_until_the_provider_takes_it() {
    for info in [CodexErrorInfo::BadRequest, CodexErrorInfo::ContextWindowExceeded] {
        let bench = listening();
        let (mut client, thread) = bench.started().await;
        for number in 0..20 {
            client.turn(thread, &format!("{number} {}", "words ".repeat(500))).await;
        }
        bench.listener.will_refuse_above(2_000, error(info.clone()));
        assert_eq!(compact(&mut client, thread).await, TurnStatus::Completed, "{info:?}");
        bench.listener.will_refuse_above(usize::MAX, error(info));
        client.turn(thread, "two").await;
        let prompt = prompt(&bench);
        assert!(prompt[0].contains("was replaced by a summary") && prompt.len() == 2, "{prompt:.200?}");
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_not_of_the_length_fails_the_compaction_and_replaces_nothing() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let asked = bench.listener.times_asked();
    bench.listener.will_say(Err(error(CodexErrorInfo::Unauthorized)));
    assert_eq!(compact(&mut client, thread).await, TurnStatus::Failed);
    assert_eq!(bench.listener.times_asked(), asked + 1);
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench), ["user: one", "assistant: one", "user: two"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_asked_with_the_tools_of_the_turns_and_without_a_choice() {
    let bench = listening();
    let mut client = bench.client();
    let look = json!([{"type": "function", "name": "look", "description": "looks", "inputSchema": {}}]);
    let thread = client.start_with(json!({ "dynamicTools": look })).await;
    bench.listener.will_say(Ok(vec![call(1)]));
    client.turn(thread, "one").await;
    let turns = bench.listener.last_asked();
    assert_eq!((turns.tools.len(), turns.tool_choice), (1, ToolChoice::Auto));
    assert_eq!(compact(&mut client, thread).await, TurnStatus::Completed);
    let summary = bench.listener.last_asked();
    assert_eq!((summary.tools, summary.tool_choice), (turns.tools, ToolChoice::None));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn each_result_is_seen_once_and_a_compaction_that_does_not_help_is_not_repeated() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    for number in 0..12 {
        bench.listener.will_say(Ok(vec![call(number), used(200_000)]));
    }
    bench.listener.say_of_summaries("in short");
    let ended = client.turn(thread, "go on").await.turn;
    assert_eq!(ended.status, TurnStatus::Completed, "{:?}", ended.error);
    client.turn(thread, "and on").await;
    let asked = bench.listener.all_asked();
    let summaries = asked.iter().filter(|prompt| is_for_a_summary(prompt)).count();
    assert_eq!(summaries, 1, "nothing of size has come since");
    for number in 0..12 {
        let is_of = |entry: &Entry| matches!(entry, Entry::Result(result) if result.id == number.to_string());
        let seen =
            asked.iter().filter(|prompt| !is_for_a_summary(prompt) && prompt.history.iter().any(is_of));
        assert!(seen.count() > 0, "nobody has read result {number}");
    }
    let warnings: Vec<_> = client.log.iter().filter_map(Message::params::<Warning>).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("model_auto_compact_token_limit"), "{warnings:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn results_that_do_not_fit_are_summed_up_and_the_turn_goes_on() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    bench.listener.say_of_summaries("in short");
    bench.listener.will_say(Ok(vec![text("I look"), call(1)]));
    bench.listener.will_say(Err(error(CodexErrorInfo::ContextWindowExceeded)));
    client.turn(thread, "zero").await;
    let prompt = prompt(&bench);
    assert_eq!(prompt.len(), 1, "{prompt:?}");
    assert!(prompt[0].contains("in short") && prompt[0].ends_with("zero"), "{prompt:?}");
    bench.finish().await;
}
