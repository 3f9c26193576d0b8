use serde_json::{Value, json};

use super::ChatApi;
use super::request::body;
use crate::http::error::ModelError;
use crate::http::form::{Stopped, StreamError};
use crate::http::kind::ErrorKind;
use crate::http::tests::{call, prompt, read, read_data, says_the_same_in_pieces, text};
use crate::spec::{OPENAI, ProviderSpec, WireApi};
use crate::{Content, Entry, Image, ModelEvent, Reasoning, Thoughts, TokenUsage, ToolResult};

pub(super) const THOUGHT: &str = include_str!("streams/thought.sse");
pub(super) const CALLS: &str = include_str!("streams/calls.sse");

#[test]
fn a_conversation_is_asked_with_everything_in_it() {
    let mut prompt = prompt("m", json!({ "reasoning_content": "hm" }));
    prompt.settings.effort = Some("high".to_owned());
    prompt.settings.service_tier = Some("flex".to_owned());
    prompt.settings.output_schema = Some(json!({ "type": "object" }));
    let spec = ProviderSpec {
        max_output_tokens: Some(9),
        ..ProviderSpec::new("x", "http://127.0.0.1:1/v1", WireApi::Chat)
    };
    let whole: Value = serde_json::from_str(include_str!("requests/whole.json")).unwrap();
    assert_eq!(body(&prompt, &spec), whole);
    let openai = body(&prompt, &ProviderSpec { base_url: OPENAI.to_owned(), ..spec });
    assert_eq!((&openai["max_completion_tokens"], openai.get("max_tokens")), (&json!(9), None));
    assert_eq!(openai["prompt_cache_key"], json!(prompt.thread));
}

fn thought(text: &str, word: &str) -> ModelEvent {
    let own_form = Some(json!({ word: text }));
    ModelEvent::Reasoning(Reasoning { summary: vec![], content: vec![text.to_owned()], own_form })
}

fn thinking(text: &str) -> ModelEvent {
    ModelEvent::ReasoningDelta { of: Thoughts::Content, part: 0, text: text.to_owned() }
}

#[test]
fn thoughts_come_before_the_text() {
    let (events, result) = read(&ChatApi, THOUGHT);
    assert_eq!(
        events,
        [
            thinking("A gree"),
            thinking("ting"),
            thought("A greeting", "reasoning_content"),
            text("Grüß"),
            text(" dich 🌍"),
            ModelEvent::Usage(TokenUsage {
                input: 75,
                cached_input: 32,
                output: 1186,
                reasoning_output: 1024,
                ..TokenUsage::default()
            }),
        ]
    );
    assert_eq!(result, Ok(()));
}

#[test]
fn calls_in_pieces_are_put_together_and_each_has_an_id() {
    let (events, result) = read(&ChatApi, CALLS);
    assert_eq!(
        events,
        [
            ModelEvent::ToolCall(call("call_1", "look", "{\"at\":\"sky\"}")),
            ModelEvent::ToolCall(call("call_2", "mcp__files__read", "{}")),
            ModelEvent::ToolCall(call("call_00000000000000000000000000000000_2", "bare", "{}")),
            ModelEvent::Usage(TokenUsage { input: 10, output: 5, ..TokenUsage::default() }),
        ]
    );
    assert_eq!(result, Ok(()));
}

#[test]
fn the_pieces_of_a_stream_do_not_matter() {
    says_the_same_in_pieces(&ChatApi, THOUGHT);
    says_the_same_in_pieces(&ChatApi, CALLS);
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "delta": delta, "finish_reason": null }] })
}

fn end(reason: &str) -> Value {
    json!({ "choices": [{ "delta": {}, "finish_reason": reason }] })
}

#[test]
fn servers_with_ways_of_their_own_are_understood() {
    // Each call whole, all with number 0, or none at all.
    let whole =
        |id: &str| json!({ "index": 0, "id": id, "function": { "name": "look", "arguments": { "at": id } } });
    let bare = |name: &str| json!({ "function": { "name": name, "arguments": "{}" } });
    let calls = [delta(json!({ "tool_calls": [whole("a"), whole("b")] })), end("stop")];
    let expected =
        ["a", "b"].map(|id| ModelEvent::ToolCall(call(id, "look", &format!("{{\"at\":\"{id}\"}}"))));
    assert_eq!(read_data(&ChatApi, &calls), (expected.to_vec(), Ok(())), "no [DONE], no usage");
    let (events, _) =
        read_data(&ChatApi, &[delta(json!({ "tool_calls": [bare("x"), bare("y")] })), end("tool_calls")]);
    let id = |number| format!("call_00000000000000000000000000000000_{number}");
    assert_eq!(
        events,
        [("x", 0), ("y", 1)].map(|(name, number)| ModelEvent::ToolCall(call(&id(number), name, "{}")))
    );
    // Another word for thoughts; they may be all that there is.
    let (events, _) = read_data(&ChatApi, &[delta(json!({ "reasoning": "hm" })), end("stop")]);
    assert_eq!(events, [thinking("hm"), thought("hm", "reasoning")]);
    // A refusal is said by the model.
    let (events, result) = read_data(&ChatApi, &[delta(json!({ "refusal": "I will not" })), end("stop")]);
    assert_eq!((events, result), (vec![text("I will not")], Ok(())));
}

#[test]
fn an_end_that_is_none_says_why() {
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    let call = delta(
        json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "x", "arguments": "{\"cut" } }] }),
    );
    let (events, result) = read_data(&ChatApi, &[call, end("length"), usage.clone()]);
    let counted = ModelEvent::Usage(TokenUsage { input: 1, output: 2, ..TokenUsage::default() });
    assert_eq!(
        (events, result),
        (vec![counted], Err(ModelError::Stream(StreamError::Stopped(Stopped::Length))))
    );
    let (_, result) = read_data(&ChatApi, &[end("content_filter"), usage]);
    assert_eq!(result, Err(ModelError::Stream(StreamError::Stopped(Stopped::Filter))));
    assert_eq!(read_data(&ChatApi, &[delta(json!({ "content": "a" }))]).1, Err(ModelError::Cut));
    assert_eq!(read(&ChatApi, ": nothing\n\n").1, Err(ModelError::Cut));
    assert_eq!(
        read(&ChatApi, "data: <html>\n\n").1,
        Err(ModelError::Stream(StreamError::Garbage("<html>".to_owned())))
    );
    let (_, result) =
        read_data(&ChatApi, &[json!({ "error": { "message": "x", "code": "context_length_exceeded" } })]);
    let Err(ModelError::Stream(StreamError::Reported(report))) = result else { panic!("{result:?}") };
    assert_eq!(report.about(), ErrorKind::Context);
}

#[test]
fn a_whole_message_wins() {
    let beside =
        |delta: Value, message: Value| json!({ "choices": [{ "delta": delta, "message": message }] });
    let report = |text: &str| json!({ "role": "assistant", "content": text });
    // Each chunk has all that was said so far beside its piece.
    let (events, result) = read_data(
        &ChatApi,
        &[beside(report("Helo"), report("Helo")), beside(report(" you"), report("Hello you")), end("stop")],
    );
    let whole = ModelEvent::Message("Hello you".into());
    assert_eq!((events, result), (vec![text("Helo"), text(" you"), whole], Ok(())));
    // There is nothing else.
    let function = json!({ "name": "look", "arguments": "{}" });
    let message = json!({ "content": "I look.", "tool_calls": [{ "id": "a", "function": function }] });
    let only = json!({ "choices": [{ "message": message, "finish_reason": "tool_calls" }] });
    let expected = [ModelEvent::Message("I look.".into()), ModelEvent::ToolCall(call("a", "look", "{}"))];
    assert_eq!(read_data(&ChatApi, &[only]), (expected.to_vec(), Ok(())));
}

#[test]
fn content_may_be_a_list_of_texts_and_thoughts() {
    let thinks = |text: &str| json!({ "type": "thinking", "thinking": [{ "type": "text", "text": text }] });
    let says = json!({ "type": "text", "text": "Hello" });
    let parts = |parts: Value| delta(json!({ "content": parts }));
    let stream = [
        parts(json!([thinks("A gree")])),
        parts(json!([thinks("ting"), says])),
        parts(json!(" you")),
        end("stop"),
    ];
    let (events, result) = read_data(&ChatApi, &stream);
    let whole = Reasoning { content: vec!["A greeting".to_owned()], ..Reasoning::default() };
    let expected =
        [thinking("A gree"), thinking("ting"), ModelEvent::Reasoning(whole), text("Hello"), text(" you")];
    assert_eq!((events, result), (expected.to_vec(), Ok(())));
}

#[test]
fn a_last_word_without_a_reason_is_a_cut() {
    let call = |arguments: &str| {
        delta(
            json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "x", "arguments": arguments } }] }),
        )
    };
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    for (cut, report) in [
        (vec![delta(json!({ "content": "the answer is not " }))], vec![text("the answer is not ")]),
        (vec![call("")], vec![]),
        (vec![call("{}"), usage], vec![]),
        (vec![], vec![]),
    ] {
        let stream: String = cut.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        assert_eq!(
            read(&ChatApi, &format!("{stream}data: [DONE]\n\n")),
            (report, Err(ModelError::Cut)),
            "{stream}"
        );
    }
}

#[test]
fn arguments_are_an_object_whatever_the_model_wrote() {
    let mut prompt = prompt("m", json!({}));
    let spec = ProviderSpec::new("x", "http://127.0.0.1:1/v1", WireApi::Chat);
    for (wrote, told) in [
        ("{\"b\": 1, \"a\": 2}", "{\"b\": 1, \"a\": 2}"),
        (" ", "{}"),
        ("[1]", "{\"arguments\":\"[1]\"}"),
        ("{\"cut", "{\"arguments\":\"{\\\"cut\"}"),
    ] {
        prompt.history = vec![Entry::Call(call("1", "look", wrote))];
        let body = body(&prompt, &spec);
        assert_eq!(body["messages"][2]["tool_calls"][0]["function"]["arguments"], told);
    }
}

#[test]
fn roles_take_turns_where_servers_want_them_to() {
    let says = |text: &str| Entry::User(vec![Content::Text(text.to_owned())]);
    let picture = Content::Image(Image::Url("https://example.org/a.png".to_owned()));
    let mut prompt = prompt("m", json!({}));
    prompt.history = vec![
        Entry::Developer("first".to_owned()),
        says("one"),
        says("two"),
        Entry::Developer("note".to_owned()),
        Entry::Assistant("I look.".into()),
        Entry::User(vec![]),
        Entry::Call(call("1", "look", "{}")),
        Entry::Result(ToolResult { id: "1".to_owned(), content: vec![picture], failed: false }),
        says("three"),
    ];
    let asked = |spec: &ProviderSpec| body(&prompt, spec)["messages"].as_array().unwrap().clone();
    let roles = |messages: &[Value]| -> Vec<String> {
        messages.iter().map(|message| message["role"].as_str().unwrap().to_owned()).collect()
    };
    let spec = ProviderSpec::new("x", "http://127.0.0.1:1/v1", WireApi::Chat);
    let messages = asked(&spec);
    assert_eq!(roles(&messages), ["system", "user", "assistant", "tool", "user"]);
    assert_eq!(messages[0]["content"], "Be kind.\n\nfirst");
    assert_eq!(messages[1]["content"], "one\n\ntwo\n\n<developer>\nnote\n</developer>");
    let last = messages[4]["content"].as_array().unwrap();
    assert_eq!(last.iter().filter(|part| part["type"] == "image_url").count(), 1);
    assert_eq!(last.last().unwrap()["text"], "three");
    let openai = asked(&ProviderSpec { base_url: OPENAI.to_owned(), ..spec });
    assert_eq!(roles(&openai), ["system", "system", "user", "system", "assistant", "tool", "user"]);
}

/// The next request after an answer, with a result for each call.
fn sent_back(read: &[Value], model: &str) -> Value {
    let (events, result) = read_data(&ChatApi, read);
    assert_eq!(result, Ok(()));
    let mut history = vec![Entry::User(vec![Content::Text("go".to_owned())])];
    let mut results = Vec::new();
    for event in events {
        match event {
            ModelEvent::TextDelta(text) => history.push(Entry::Assistant(text.into())),
            ModelEvent::Message(message) => history.push(Entry::Assistant(message)),
            ModelEvent::Reasoning(thought) => history.push(Entry::Reasoning(thought)),
            ModelEvent::ToolCall(call) => {
                results.push(Entry::Result(ToolResult::text(&call.id, "done", false)));
                history.push(Entry::Call(call));
            }
            ModelEvent::MessageStarted(_)
            | ModelEvent::ReasoningDelta { .. }
            | ModelEvent::Question(_)
            | ModelEvent::Usage(_)
            | ModelEvent::Again(_) => {}
        }
    }
    history.extend(results);
    let mut prompt = prompt(model, json!({}));
    prompt.history = history;
    body(&prompt, &ProviderSpec::new("x", "http://127.0.0.1:1/v1", WireApi::Chat))["messages"].take()
}

#[test]
fn what_only_the_provider_knows_of_a_call_goes_back_as_it_came() {
    let signed = json!({ "google": { "thought_signature": "SIG123" } });
    let call = json!({ "index": 0, "id": "a", "type": "function", "extra_content": signed,
        "function": { "name": "look", "arguments": "{}" } });
    let other = json!({ "index": 1, "id": "b", "function": { "name": "look", "arguments": "{}" } });
    let sent = sent_back(&[delta(json!({ "tool_calls": [call, other] })), end("tool_calls")], "m");
    let calls = &sent[2]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], signed);
    assert_eq!(calls[0].get("index"), None);
    assert_eq!(calls[1].as_object().unwrap().len(), 3, "{calls}");
}

#[test]
fn reasoning_details_go_back_whole_in_their_order() {
    let text = |text: &str| json!({ "type": "reasoning.text", "text": text, "index": 0, "format": "x" });
    let signed = json!({ "type": "reasoning.text", "signature": "S", "index": 0 });
    let sealed = json!({ "type": "reasoning.encrypted", "data": "D", "id": "a" });
    let call = json!({ "index": 0, "id": "a", "function": { "name": "look", "arguments": "{}" } });
    let sent = sent_back(
        &[
            delta(json!({ "reasoning": "hm", "reasoning_details": [text("hm")] })),
            delta(json!({ "reasoning": ", so", "reasoning_details": [text(", so")] })),
            delta(json!({ "reasoning_details": [signed] })),
            delta(json!({ "content": "I look." })),
            delta(json!({ "tool_calls": [call], "reasoning_details": [sealed.clone()] })),
            end("tool_calls"),
        ],
        "m",
    );
    let whole =
        json!({ "type": "reasoning.text", "text": "hm, so", "index": 0, "format": "x", "signature": "S" });
    assert_eq!(sent[2]["reasoning_details"], json!([whole, sealed]));
    assert_eq!((&sent[2]["reasoning"], &sent[2]["content"]), (&json!("hm, so"), &json!("I look.")));
}

#[test]
fn a_model_of_mistral_gets_ids_of_nine_letters_and_digits() {
    let call = json!({ "index": 0, "id": "call_of_another_form", "function": { "name": "look", "arguments": "{}" } });
    let sent = sent_back(&[delta(json!({ "tool_calls": [call] })), end("tool_calls")], "devstral-small");
    let id = sent[2]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert_eq!(sent[3]["tool_call_id"], id);
}

#[test]
fn a_model_that_may_not_call_is_shown_its_tools_all_the_same() {
    let spec = ProviderSpec::new("x", "http://127.0.0.1:1/v1", WireApi::Chat);
    let may = prompt("m", json!({}));
    assert_eq!(body(&may, &spec).get("tool_choice"), None);
    let may_not = crate::Prompt { tool_choice: crate::ToolChoice::None, ..may };
    let asked = body(&may_not, &spec);
    assert_eq!((asked["tools"].as_array().map(Vec::len), &asked["tool_choice"]), (Some(1), &json!("none")));
    let without = crate::Prompt { tools: [].into(), ..may_not };
    assert_eq!(body(&without, &spec).get("tool_choice"), None);
}
