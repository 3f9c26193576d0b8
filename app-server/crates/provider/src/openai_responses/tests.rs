use serde_json::{Value, json};
use skein_protocol::response_item::MessagePhase;
use skein_protocol::settings::ReasoningSummary;

use super::ResponsesApi;
use super::request::body;
use crate::http::error::ModelError;
use crate::http::form::{Stopped, StreamError};
use crate::http::kind::ErrorKind;
use crate::http::tests::{call, prompt, read, read_data, says_the_same_in_pieces, text};
use crate::spec::{OPENAI, ProviderSpec, WireApi};
use crate::{AssistantMessage, Entry, ModelEvent, Reasoning, Thoughts, TokenUsage};

pub(super) const THOUGHT: &str = include_str!("streams/thought.sse");
pub(super) const CALLS: &str = include_str!("streams/calls.sse");

#[test]
fn a_conversation_is_asked_with_everything_in_it() {
    let sealed = json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbGVk" });
    let mut prompt = prompt("gpt-5", sealed.clone());
    prompt.settings.effort = Some("high".to_owned());
    prompt.settings.summary = Some(ReasoningSummary::Auto);
    prompt.settings.service_tier = Some("flex".to_owned());
    prompt.settings.output_schema = Some(json!({ "type": "object" }));
    let spec = ProviderSpec {
        max_output_tokens: Some(9),
        ..ProviderSpec::new("openai", OPENAI, WireApi::Responses)
    };
    let whole: Value = serde_json::from_str(include_str!("requests/whole.json")).unwrap();
    assert_eq!(body(&prompt, &spec), whole);
}

#[test]
fn models_that_do_not_think_are_not_asked_for_their_thoughts() {
    let spec = ProviderSpec::new("x", "http://127.0.0.1/v1", WireApi::Responses);
    for model in ["openai/gpt-4.1", "gpt-5-chat-latest"] {
        let mut prompt = prompt(model, json!({}));
        prompt.settings.effort = Some("low".to_owned());
        let body = body(&prompt, &spec);
        for key in ["include", "reasoning", "prompt_cache_key", "max_output_tokens", "text", "service_tier"] {
            assert_eq!(body.get(key), None, "{model}: {key}");
        }
    }
}

#[test]
fn arguments_that_are_no_object_go_back_in_one() {
    let mut prompt = prompt("gpt-5", json!({}));
    prompt.history = vec![Entry::Call(call("1", "look", "{\"cut"))];
    let body = body(&prompt, &ProviderSpec::new("x", "http://127.0.0.1/v1", WireApi::Responses));
    assert_eq!(body["input"][0]["arguments"], "{\"arguments\":\"{\\\"cut\"}");
}

#[test]
fn thoughts_come_as_a_summary_and_sealed() {
    let (events, result) = read(&ResponsesApi, THOUGHT);
    let of = Thoughts::Summary;
    let own_form = json!({
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{ "type": "summary_text", "text": "A greeting" }, { "type": "summary_text", "text": "in two parts" }],
        "encrypted_content": "c2VhbGVk",
    });
    let summary = vec!["A greeting".to_owned(), "in two parts".to_owned()];
    assert_eq!(
        events,
        [
            ModelEvent::ReasoningDelta { of, part: 0, text: "A greeting".to_owned() },
            ModelEvent::ReasoningDelta { of, part: 1, text: "in two parts".to_owned() },
            ModelEvent::Reasoning(Reasoning { summary, content: vec![], own_form: Some(own_form) }),
            ModelEvent::MessageStarted(None),
            text("Grüß"),
            text(" dich 🌍"),
            ModelEvent::Message("Grüß dich 🌍".into()),
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
fn calls_come_whole_and_each_has_an_id() {
    let (events, result) = read(&ResponsesApi, CALLS);
    assert_eq!(
        events,
        [
            ModelEvent::ToolCall(call("call_1", "look", "{\"at\":\"sky\"}")),
            ModelEvent::ToolCall(call("call_2", "mcp__files__read", "{}")),
            ModelEvent::ToolCall(call("call_00000000000000000000000000000000_3", "bare", "{}")),
            ModelEvent::Usage(TokenUsage { input: 10, output: 5, ..TokenUsage::default() }),
        ]
    );
    assert_eq!(result, Ok(()));
}

#[test]
fn the_pieces_of_a_stream_do_not_matter() {
    says_the_same_in_pieces(&ResponsesApi, THOUGHT);
    says_the_same_in_pieces(&ResponsesApi, CALLS);
}

#[test]
fn an_answer_that_comes_only_whole_is_read() {
    let output = json!([
        { "type": "message", "content": [{ "type": "output_text", "text": "Hello" }] },
        { "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}" },
    ]);
    let (events, _) = read_data(
        &ResponsesApi,
        &[json!({ "type": "response.completed", "response": { "output": output } })],
    );
    assert_eq!(events, [ModelEvent::Message("Hello".into()), ModelEvent::ToolCall(call("c", "look", "{}"))]);
    let item = json!({ "type": "message", "content": [{ "type": "refusal", "refusal": "I will not" }] });
    let (events, _) =
        read_data(&ResponsesApi, &[json!({ "type": "response.output_item.done", "item": item })]);
    assert_eq!(events, [ModelEvent::Message("I will not".into())]);
}

#[test]
fn messages_of_one_answer_are_apart_each_with_its_phase_and_its_last_word() {
    let delta = |text: &str| json!({ "type": "response.output_text.delta", "delta": text });
    let message = |phase: &str, text: &str| json!({ "type": "message", "phase": phase, "content": [{ "type": "output_text", "text": text }] });
    let added = |item: Value| json!({ "type": "response.output_item.added", "item": item });
    let done = |item: Value| json!({ "type": "response.output_item.done", "item": item });
    let (events, _) = read_data(
        &ResponsesApi,
        &[
            added(message("commentary", "")),
            delta("I "),
            delta("chekc."),
            done(message("commentary", "I check.")),
            done(json!({ "type": "reasoning" })),
            added(message("final_answer", "")),
            delta("Done"),
            done(message("final_answer", "Done")),
            done(message("some_new_phase", "Whole.")),
            done(json!({ "type": "message", "content": [] })),
        ],
    );
    let started = |phase| ModelEvent::MessageStarted(Some(phase));
    let whole = |text: &str, phase| ModelEvent::Message(AssistantMessage { text: text.to_owned(), phase });
    let (commentary, last) = (MessagePhase::Commentary, MessagePhase::FinalAnswer);
    let expected = [
        started(commentary),
        text("I "),
        text("chekc."),
        whole("I check.", Some(commentary)),
        ModelEvent::Reasoning(Reasoning::default()),
        started(last),
        text("Done"),
        whole("Done", Some(last)),
        whole("Whole.", None),
        whole("", None),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_message_goes_back_with_its_phase() {
    let mut prompt = prompt("gpt-5", json!({}));
    let report = AssistantMessage { text: "I look.".to_owned(), phase: Some(MessagePhase::Commentary) };
    prompt.history = vec![Entry::Assistant(report), Entry::Assistant("Blue.".into())];
    let body = body(&prompt, &ProviderSpec::new("x", "http://127.0.0.1/v1", WireApi::Responses));
    let input = &body["input"];
    assert_eq!((&input[0]["phase"], input[1].get("phase")), (&json!("commentary"), None));
    assert_eq!(
        (&input[0]["content"][0]["text"], &input[1]["content"][0]["text"]),
        (&json!("I look."), &json!("Blue."))
    );
}

#[test]
fn an_end_that_is_none_says_why() {
    let end = |event: Value| {
        let (events, result) = read_data(&ResponsesApi, &[event]);
        (events, result.expect_err("no end"))
    };
    let incomplete = |reason: &str| {
        json!({ "type": "response.incomplete", "response": {
            "incomplete_details": { "reason": reason },
            "usage": { "input_tokens": 1, "output_tokens": 2 },
        } })
    };
    let usage = ModelEvent::Usage(TokenUsage { input: 1, output: 2, ..TokenUsage::default() });
    assert_eq!(
        end(incomplete("max_output_tokens")),
        (vec![usage.clone()], ModelError::Stream(StreamError::Stopped(Stopped::Length)))
    );
    assert_eq!(
        end(incomplete("content_filter")),
        (vec![usage], ModelError::Stream(StreamError::Stopped(Stopped::Filter)))
    );
    for (event, about) in [
        (
            json!({ "type": "response.failed", "response": { "error": { "code": "server_error", "message": "x" } } }),
            ErrorKind::Server,
        ),
        (
            json!({ "type": "response.failed", "response": { "error": { "code": "context_length_exceeded", "message": "x" } } }),
            ErrorKind::Context,
        ),
        (json!({ "type": "error", "code": "rate_limit_exceeded", "message": "x" }), ErrorKind::Rate),
        (
            json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "x" } }),
            ErrorKind::Request,
        ),
        (json!({ "error": { "message": "x", "code": "insufficient_quota" } }), ErrorKind::Quota),
    ] {
        let ModelError::Stream(StreamError::Reported(report)) = end(event.clone()).1 else {
            panic!("{event}")
        };
        assert_eq!((report.about(), report.message.as_str()), (about, "x"), "{event}");
    }
}

#[test]
fn a_last_word_without_an_end_is_a_cut() {
    let item = json!({ "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}" });
    let item = json!({ "type": "response.output_item.done", "item": item });
    let (_, result) = read(&ResponsesApi, &format!("data: {item}\n\ndata: [DONE]\n\n"));
    assert_eq!(result, Err(ModelError::Cut));
    assert_eq!(read(&ResponsesApi, "data: [DONE]\n\n").1, Err(ModelError::Cut));
    // An end that says itself that it is none.
    let end = |response: Value| {
        read_data(&ResponsesApi, &[json!({ "type": "response.completed", "response": response })]).1
    };
    let incomplete =
        json!({ "status": "incomplete", "incomplete_details": { "reason": "max_output_tokens" } });
    assert_eq!(end(incomplete), Err(ModelError::Stream(StreamError::Stopped(Stopped::Length))));
    assert_eq!(end(json!({ "status": "cancelled" })), Err(ModelError::Cut));
    let failed = end(json!({ "status": "failed", "error": { "code": "server_error", "message": "x" } }));
    assert!(
        matches!(&failed, Err(ModelError::Stream(StreamError::Reported(report))) if report.message == "x"),
        "{failed:?}"
    );
    assert_eq!(end(json!({ "status": "completed" })), Ok(()));
}

#[test]
fn a_stream_that_ends_early_or_is_none_is_known() {
    assert_eq!(read(&ResponsesApi, "data: {\"type\":\"response.created\"}\n\n").1, Err(ModelError::Cut));
    assert_eq!(
        read(&ResponsesApi, "data: what?\n\n").1,
        Err(ModelError::Stream(StreamError::Garbage("what?".to_owned())))
    );
    assert_eq!(
        read(&ResponsesApi, "data: 3\n\n").1,
        Err(ModelError::Stream(StreamError::Garbage("3".to_owned())))
    );
}

#[test]
fn a_model_that_may_not_call_is_shown_its_tools_all_the_same() {
    let spec = ProviderSpec::new("x", "http://127.0.0.1/v1", WireApi::Responses);
    let may_not = crate::Prompt { tool_choice: crate::ToolChoice::None, ..prompt("gpt-5", json!({})) };
    let asked = body(&may_not, &spec);
    assert_eq!((asked["tools"].as_array().map(Vec::len), &asked["tool_choice"]), (Some(1), &json!("none")));
}
