//! The conversation that a model gets: earlier messages, from disk or from memory, and the items that replace them.

use serde_json::{Value, json};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    Error, ItemAgentMessageDelta, ItemCompleted, ItemReasoningSummaryPartAdded,
    ItemReasoningSummaryTextDelta, ItemStarted, TurnCompleted, Warning,
};
use skein_protocol::response_item::MessagePhase;
use skein_protocol::settings::AskForApproval;
use skein_protocol::thread::ThreadInjectItemsResponse;
use skein_protocol::turn::{TurnStartParams, TurnStartResponse, TurnStatus, UserInput};
use skein_provider::{
    AssistantMessage, Callee, Content, Entry, ModelEvent, ProviderError, Reasoning, Thoughts, ToolCall,
};

use super::*;
use crate::thread::command::Edit;

pub(super) fn listening() -> Bench {
    Bench::with(|config| config.model_provider = model::LISTENER.to_owned())
}

pub(super) fn text(text: &str) -> ModelEvent {
    ModelEvent::TextDelta(text.to_owned())
}

/// A conversation as one text for each entry.
fn shown(history: &[Entry]) -> Vec<String> {
    let texts = |content: &[Content]| {
        let texts: Vec<&str> = content.iter().filter_map(Content::as_text).collect();
        texts.join("|")
    };
    let one = |entry: &Entry| match entry {
        Entry::User(content) => format!("user: {}", texts(content)),
        Entry::Developer(text) => format!("developer: {text}"),
        Entry::Assistant(answer) => format!("assistant: {}", answer.text),
        Entry::Reasoning(thought) => format!("thought: {}", thought.summary.join("|")),
        Entry::Call(call) => format!("call: {}", call.callee.name()),
        Entry::Result(result) => format!("result: {}", result.texts()),
    };
    history.iter().map(one).collect()
}

pub(super) fn prompt(bench: &Bench) -> Vec<String> {
    shown(&bench.listener.last_asked().history)
}

#[tokio::test(start_paused = true)]
async fn a_model_gets_earlier_messages_also_after_an_unload() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    client.turn(thread, "two").await;
    let two = ["user: one", "assistant: one", "user: two"];
    assert_eq!(prompt(&bench), two);
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    client.resume(thread).await;
    client.turn(thread, "three").await;
    assert_eq!(prompt(&bench), [two.as_slice(), &["assistant: two", "user: three"]].concat());
    bench.finish().await;
}

#[tokio::test]
async fn earlier_messages_are_read_from_files_too() {
    let bench = Bench::on_files_with(|config| config.model_provider = model::LISTENER.to_owned());
    let (mut client, thread) = bench.started().await;
    for word in ["one", "two", "three"] {
        client.turn(thread, word).await;
    }
    let all = ["user: one", "assistant: one", "user: two", "assistant: two", "user: three"];
    assert_eq!(prompt(&bench), all);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_never_on_disk_has_a_conversation_too() {
    let bench = listening();
    let mut client = bench.client();
    let thread = client.start_ephemeral().await;
    client.turn(thread, "one").await;
    client.turn(thread, "two").await;
    assert_eq!(prompt(&bench), ["user: one", "assistant: one", "user: two"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_does_not_get_reverted_turns() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let second = client.turn(thread, "two").await.turn.id;
    let request = client.ask_revert(thread, &second);
    client.answer::<Value>(request).await.unwrap();
    client.turn(thread, "three").await;
    assert_eq!(prompt(&bench), ["user: one", "assistant: one", "user: three"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn injected_items_reach_the_model_in_their_place() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let items = vec![
        json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "aside"}]}),
        json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be kind"}]}),
        json!({"type": "function_call", "name": "look", "arguments": "{}", "call_id": "c1"}),
        json!({"type": "function_call_output", "call_id": "c1", "output": "seen"}),
        json!({"type": "function_call_output", "call_id": "c2", "output": "of no call"}),
        json!({"type": "something_new"}),
    ];
    let request = client.edit(thread, |reply| Edit::Inject(items, reply));
    client.answer::<ThreadInjectItemsResponse>(request).await.unwrap();
    client.turn(thread, "two").await;
    let prompt = prompt(&bench);
    let put_in = ["user: aside", "developer: be kind", "call: look", "result: seen", "result: of no call"];
    assert_eq!(prompt[2..], [put_in.as_slice(), &["user: two"]].concat());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_starts_again_is_published_and_the_model_gets_the_last_try_only() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let call = ToolCall::new("1", Callee::Offered("none".into()), "{}");
    bench.listener.will_say(Ok(vec![
        text("half a "),
        ModelEvent::Again(ProviderError::new("the stream was cut")),
        text("whole"),
        ModelEvent::ToolCall(call),
    ]));
    client.turn(thread, "one").await;
    let error = client.log.iter().find_map(Message::params::<Error>).expect("the user is notified");
    assert!(error.will_retry && error.error.message.contains("cut"), "{error:?}");
    let expected = ["user: one", "assistant: whole", "call: none", "result: there is no tool named none"];
    assert_eq!(prompt(&bench), expected);
    client.turn(thread, "two").await;
    assert!(!prompt(&bench).iter().any(|entry| entry.contains("half")), "{:?}", prompt(&bench));
    let texts = client.log.iter().filter_map(Message::params::<ItemCompleted>).filter_map(|done| {
        let ThreadItemBody::AgentMessage(message) = done.item.body else { return None };
        Some(message.text)
    });
    assert_eq!(texts.take(2).collect::<Vec<_>>(), ["", "whole"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_answer_are_items_with_their_phases_and_their_last_word() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let whole = |text: &str, phase| AssistantMessage { text: text.into(), phase };
    let (first, second) = (
        whole("I check.", Some(MessagePhase::Commentary)),
        whole("All is well.", Some(MessagePhase::FinalAnswer)),
    );
    let call = ToolCall::new("1", Callee::Offered("none".into()), "{}");
    bench.listener.will_say(Ok(vec![
        ModelEvent::MessageStarted(first.phase),
        text("I chekc."),
        ModelEvent::Message(first.clone()),
        // This answer has no deltas.
        ModelEvent::Message(second.clone()),
        ModelEvent::ToolCall(call),
    ]));
    client.turn(thread, "one").await;
    let message = |item: ThreadItem| {
        let ThreadItemBody::AgentMessage(message) = item.body else { return None };
        Some((message.text, message.phase))
    };
    let started = client.log.iter().filter_map(Message::params::<ItemStarted>);
    let started: Vec<_> = started.filter_map(|begun| message(begun.item)).take(2).collect();
    assert_eq!(started, [(String::new(), first.phase), (String::new(), second.phase)]);
    let done = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let done: Vec<_> = done.filter_map(|done| message(done.item)).take(2).collect();
    assert_eq!(done, [(first.text.clone(), first.phase), (second.text.clone(), second.phase)]);
    let deltas: Vec<String> = client
        .log
        .iter()
        .filter_map(Message::params::<ItemAgentMessageDelta>)
        .map(|delta| delta.delta)
        .collect();
    assert_eq!(deltas[..2], ["I chekc.", "All is well."]);
    let entries = [Entry::Assistant(first), Entry::Assistant(second)];
    assert_eq!(bench.listener.last_asked().history[1..3], entries, "within the turn");
    client.turn(thread, "two").await;
    assert_eq!(bench.listener.last_asked().history[1..3], entries, "in the next turn");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_published() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let thought = Reasoning { content: vec!["hm".into()], ..Reasoning::default() };
    for silent in [vec![], vec![ModelEvent::Reasoning(thought)]] {
        bench.listener.will_say(Ok(silent));
        client.turn(thread, "one").await;
    }
    client.turn(thread, "two").await;
    let warnings: Vec<String> =
        client.log.iter().filter_map(Message::params::<Warning>).map(|warning| warning.message).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.contains("has said nothing")), "{warnings:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn thoughts_of_an_answer_with_calls_are_shown_and_go_back_to_the_model() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let piece =
        |part, text: &str| ModelEvent::ReasoningDelta { of: Thoughts::Summary, part, text: text.into() };
    let whole = Reasoning {
        summary: vec!["first".into(), "second".into()],
        content: Vec::new(),
        own_form: Some(json!({"sealed": "x"})),
    };
    let call = ToolCall::new("1", Callee::Offered("none".into()), "[");
    bench.listener.will_say(Ok(vec![
        piece(0, "fir"),
        piece(0, "st"),
        piece(1, "second"),
        ModelEvent::Reasoning(whole.clone()),
        ModelEvent::ToolCall(call),
    ]));
    client.turn(thread, "one").await;
    assert!(bench.listener.last_asked().history.contains(&Entry::Reasoning(whole)));
    assert_eq!(client.count(Message::is::<ItemReasoningSummaryTextDelta>), 3);
    assert_eq!(client.count(Message::is::<ItemReasoningSummaryPartAdded>), 1);
    let thoughts: Vec<Vec<String>> = client
        .log
        .iter()
        .filter_map(Message::params::<ItemCompleted>)
        .filter_map(|done| {
            let ThreadItemBody::Reasoning(thought) = done.item.body else { return None };
            Some(thought.summary)
        })
        .collect();
    assert_eq!(thoughts, [["first", "second"]]);
    let last = Reasoning { own_form: Some(json!({"sealed": "y"})), ..Reasoning::default() };
    bench.listener.will_say(Ok(vec![ModelEvent::Reasoning(last), text("done")]));
    client.turn(thread, "two").await;
    client.turn(thread, "three").await;
    let sent = prompt(&bench).into_iter().filter(|entry| entry.starts_with("thought")).count();
    assert_eq!(sent, 1, "that of an answer without calls was never sent");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_image_is_a_note_and_the_turn_continues() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    let image = UserInput::LocalImage { detail: None, path: "/nowhere/picture.png".into() };
    let request = client.input_of(thread, vec![UserInput::text("look"), image]);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert!(
        prompt(&bench)[0].starts_with("user: look|[left out: the image /nowhere/picture.png"),
        "{:?}",
        prompt(&bench)
    );
    client.turn(thread, "and now").await;
    assert!(
        prompt(&bench)[0].starts_with("user: look|[left out: the image /nowhere/picture.png"),
        "{:?}",
        prompt(&bench)
    );
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn input_added_to_a_turn_reaches_its_model_with_its_context_and_images() {
    let bench = listening();
    let (mut client, thread) = bench.started().await;
    bench.listener.will_hang_after(vec![text("well")]);
    let request = client.input(thread, "one");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    bench.listener.hangs().await;
    let image = UserInput::LocalImage { detail: None, path: "/nowhere/picture.png".into() };
    let mut params = TurnStartParams::new(thread, vec![UserInput::text("and"), image]);
    let context = json!({"place": {"value": "Ulm", "kind": "application"}});
    params.additional_context = serde_json::from_value(context).ok();
    params.approval_policy = Some(AskForApproval::Never);
    let request = client.start_turn(thread, params);
    client.answer::<TurnStartResponse>(request).await.unwrap();
    bench.listener.resume_hanging();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let prompt = prompt(&bench);
    assert_eq!(prompt[..3], ["user: one", "assistant: well", "developer: place:\nUlm"]);
    assert!(prompt[3].starts_with("user: and|[left out: the image /nowhere/picture.png"), "{prompt:?}");
    assert_eq!(client.resume(thread).await.approval_policy, AskForApproval::Never);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_of_thread_and_turn_reach_the_model() {
    let bench = listening();
    let mut client = bench.client();
    let settings = json!({"baseInstructions": "base", "developerInstructions": "more"});
    let thread = client.start_with(settings).await;
    client.turn(thread, "one").await;
    let asked = bench.listener.last_asked();
    assert_eq!(asked.settings.instructions.as_deref(), Some("base\n\nmore"));
    assert_eq!(asked.thread, thread);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_is_asked_as_often_as_it_calls_and_as_the_settings_allow() {
    for (allowed, asked, status) in [(Some(0), 131, TurnStatus::Completed), (Some(7), 7, TurnStatus::Failed)]
    {
        let bench = Bench::with(|config| {
            config.model_provider = model::LISTENER.to_owned();
            config.budget.turn_rounds = allowed;
            config.budget.ask = Some(false);
        });
        let (mut client, thread) = bench.started().await;
        let callee = Callee::Offered("none".into());
        let call = ToolCall::new("1", callee, "{}");
        for _ in 0..130 {
            bench.listener.will_say(Ok(vec![ModelEvent::ToolCall(call.clone())]));
        }
        let ended = client.turn(thread, "one").await.turn;
        assert_eq!((bench.listener.times_asked(), ended.status), (asked, status));
        assert_eq!(
            ended.error.is_some_and(|error| error.message.contains("budget.turn_rounds")),
            status == TurnStatus::Failed
        );
        bench.finish().await;
    }
}
