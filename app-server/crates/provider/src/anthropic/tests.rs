use serde_json::{Value, json};
use skein_protocol::settings::ReasoningSummary;

use super::MessagesApi;
use super::request::body;
use crate::http::error::ModelError;
use crate::http::form::{Stopped, StreamError};
use crate::http::kind::ErrorKind;
use crate::http::tests::{call, prompt, read, read_data, says_the_same_in_pieces, text};
use crate::spec::{ProviderSpec, WireApi};
use crate::{Content, Entry, Image, ModelEvent, Prompt, Reasoning, Thoughts, TokenUsage, ToolResult};

pub(super) const THOUGHT: &str = include_str!("streams/thought.sse");
pub(super) const CALLS: &str = include_str!("streams/calls.sse");

fn spec() -> ProviderSpec {
    ProviderSpec::new("anthropic", "https://api.anthropic.com/v1", WireApi::Anthropic)
}

fn signed() -> Value {
    json!({ "type": "thinking", "thinking": "hm", "signature": "c2lnbmVk" })
}

#[test]
fn a_conversation_is_asked_with_everything_in_it() {
    let mut prompt = prompt("claude-opus-4-6", signed());
    prompt.settings.effort = Some("high".to_owned());
    prompt.settings.service_tier = Some("auto".to_owned());
    prompt.settings.output_schema = Some(json!({ "type": "object" }));
    let whole: Value = serde_json::from_str(include_str!("requests/whole.json")).unwrap();
    assert_eq!(body(&prompt, &spec()), whole);
}

fn with_effort(model: &str, effort: &str) -> Prompt {
    let mut prompt = prompt(model, signed());
    prompt.settings.effort = Some(effort.to_owned());
    prompt
}

#[test]
fn each_generation_of_models_has_its_own_thinking_params() {
    let asked = |prompt: &Prompt| {
        let body = body(prompt, &spec());
        (body["thinking"].clone(), body["output_config"]["effort"].clone())
    };
    let budget = json!({ "type": "enabled", "budget_tokens": 8192 });
    for model in [
        "claude-sonnet-4-5",
        "claude-sonnet-4",
        "claude-sonnet-4-20250514",
        "claude-opus-4@20250514",
        "anthropic/claude-opus-4.1",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "claude-3-7-sonnet-latest",
    ] {
        assert_eq!(asked(&with_effort(model, "medium")), (budget.clone(), Value::Null), "{model}");
    }
    let adaptive = json!({ "type": "adaptive", "display": "summarized" });
    for model in ["claude-opus-4-6", "claude-opus-4.7", "claude-sonnet-5", "claude-opus-4-10"] {
        assert_eq!(asked(&with_effort(model, "high")), (adaptive.clone(), json!("high")), "{model}");
    }
    // Whether a model that is not known can think is the user's to say.
    assert_eq!(asked(&prompt("glm-4.7", signed())), (Value::Null, Value::Null));
    assert_eq!(asked(&with_effort("claude-3-5-haiku", "medium")), (Value::Null, Value::Null));
    assert_eq!(asked(&with_effort("claude-opus-5", "none")), (Value::Null, Value::Null));
    let mut silent = with_effort("claude-opus-5", "minimal");
    silent.settings.summary = Some(ReasoningSummary::None);
    assert_eq!(asked(&silent), (json!({ "type": "adaptive", "display": "omitted" }), json!("low")));
    // A budget is a part of what the answer may take.
    let small = ProviderSpec { max_output_tokens: Some(4096), ..spec() };
    let asked_of =
        |spec: &ProviderSpec| body(&with_effort("claude-sonnet-4-5", "high"), spec)["thinking"].clone();
    assert_eq!(asked_of(&small), json!({ "type": "enabled", "budget_tokens": 2048 }));
    assert_eq!(asked_of(&ProviderSpec { max_output_tokens: Some(2000), ..spec() }), Value::Null);
    // Calls whose thoughts are lost cannot be followed by others.
    let mut lost = with_effort("claude-sonnet-4-5", "high");
    lost.history.retain(|entry| !matches!(entry, Entry::Reasoning(_)));
    assert_eq!(asked(&lost).0, Value::Null);
}

#[test]
fn turns_follow_each_other_whatever_the_history_has() {
    let mut prompt = prompt("claude-opus-5", signed());
    prompt.settings.instructions = None;
    prompt.history = vec![
        Entry::Developer("first".to_owned()),
        Entry::Assistant("I begin".into()),
        Entry::User(vec![]),
        Entry::Assistant("and go on".into()),
        Entry::Call(call("1", "look", "no object")),
    ];
    let body = body(&prompt, &spec());
    let system = json!([{ "type": "text", "text": "first", "cache_control": { "type": "ephemeral" } }]);
    assert_eq!(body["system"], system);
    let roles: Vec<&str> =
        body["messages"].as_array().unwrap().iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(body["messages"][1]["content"][2]["input"], json!({ "arguments": "no object" }));
    assert_eq!(body["messages"][2]["content"][0]["is_error"], json!(true));
}

#[test]
fn thoughts_come_signed_or_sealed() {
    let (events, result) = read(&MessagesApi, THOUGHT);
    let thinking =
        |text: &str| ModelEvent::ReasoningDelta { of: Thoughts::Summary, part: 0, text: text.to_owned() };
    let own = json!({ "type": "thinking", "thinking": "A greeting", "signature": "c2lnbmVk" });
    let sealed = json!({ "type": "redacted_thinking", "data": "c2VhbGVk" });
    let thought = Reasoning { summary: vec!["A greeting".to_owned()], content: vec![], own_form: Some(own) };
    let usage =
        TokenUsage { input: 75, cached_input: 32, cache_write_input: 30, output: 1186, reasoning_output: 0 };
    assert_eq!(
        events,
        [
            thinking("A gree"),
            thinking("ting"),
            ModelEvent::Reasoning(thought),
            ModelEvent::Reasoning(Reasoning { own_form: Some(sealed), ..Reasoning::default() }),
            text("Grüß"),
            text(" dich 🌍"),
            ModelEvent::Usage(usage),
        ]
    );
    assert_eq!(result, Ok(()));
}

#[test]
fn calls_in_pieces_are_put_together_and_each_has_an_id() {
    let (events, result) = read(&MessagesApi, CALLS);
    assert_eq!(
        events,
        [
            ModelEvent::ToolCall(call("toolu_1", "look", "{\"at\":\"sky\"}")),
            ModelEvent::ToolCall(call("toolu_2", "mcp__files__read", "{}")),
            ModelEvent::ToolCall(call("call_00000000000000000000000000000000_2", "bare", "{\"whole\":true}")),
            ModelEvent::Usage(TokenUsage { input: 10, output: 5, ..TokenUsage::default() }),
        ]
    );
    assert_eq!(result, Ok(()));
}

#[test]
fn the_pieces_of_a_stream_do_not_matter() {
    says_the_same_in_pieces(&MessagesApi, THOUGHT);
    says_the_same_in_pieces(&MessagesApi, CALLS);
}

#[test]
fn an_end_that_is_none_says_why() {
    let stop = |reason: &str| json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 2 } });
    let counted = vec![ModelEvent::Usage(TokenUsage { output: 2, ..TokenUsage::default() })];
    for (reason, why) in [
        ("max_tokens", Stopped::Length),
        ("refusal", Stopped::Refusal),
        ("model_context_window_exceeded", Stopped::Context),
    ] {
        assert_eq!(
            read_data(&MessagesApi, &[stop(reason)]),
            (counted.clone(), Err(ModelError::Stream(StreamError::Stopped(why))))
        );
    }
    assert_eq!(read_data(&MessagesApi, &[stop("end_turn")]), (counted, Ok(())), "without its last word");
    for (kind, about) in [
        ("overloaded_error", ErrorKind::Load),
        ("api_error", ErrorKind::Server),
        ("rate_limit_error", ErrorKind::Rate),
    ] {
        let event = json!({ "type": "error", "error": { "type": kind, "message": "x" } });
        let (_, result) = read_data(&MessagesApi, &[event]);
        let Err(ModelError::Stream(StreamError::Reported(report))) = result else { panic!("{result:?}") };
        assert_eq!(report.about(), about);
    }
    assert_eq!(read(&MessagesApi, "event: ping\ndata: {\"type\":\"ping\"}\n\n").1, Err(ModelError::Cut));
    assert_eq!(
        read(&MessagesApi, "data: {\n\n").1,
        Err(ModelError::Stream(StreamError::Garbage("{".to_owned())))
    );
}

#[test]
fn a_whole_message_at_the_end_wins() {
    let message = json!({
        "content": [
            { "type": "text", "text": "I look." },
            { "type": "tool_use", "id": "a", "name": "look", "input": { "at": "sky" } },
            { "type": "text", "text": "So." },
        ],
        "stop_reason": "tool_use",
        "usage": { "input_tokens": 1, "output_tokens": 2 },
    });
    let stop = json!({ "type": "message_stop", "message": message });
    let called = ModelEvent::ToolCall(call("a", "look", "{\"at\":\"sky\"}"));
    let counted = ModelEvent::Usage(TokenUsage { input: 1, output: 2, ..TokenUsage::default() });
    let (events, result) = read_data(&MessagesApi, std::slice::from_ref(&stop));
    assert_eq!((events, result), (vec![text("I look."), called, text("So."), counted], Ok(())));
    let piece = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "Sou" } });
    let reason = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } });
    let (events, result) = read_data(&MessagesApi, &[piece, reason, stop]);
    assert_eq!((events, result), (vec![text("Sou"), ModelEvent::Message("So.".into())], Ok(())));
}

#[test]
fn a_last_word_without_a_reason_is_a_cut() {
    let begun = json!({ "type": "content_block_start", "index": 0,
        "content_block": { "type": "tool_use", "id": "a", "name": "look", "input": {} } });
    let reason = json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } });
    let stop = json!({ "type": "message_stop" });
    assert_eq!(read_data(&MessagesApi, &[begun.clone(), stop.clone()]), (vec![], Err(ModelError::Cut)));
    assert_eq!(read_data(&MessagesApi, &[begun.clone(), reason.clone()]).0.len(), 1, "no end of its block");
    let whole = vec![ModelEvent::ToolCall(call("a", "look", "{}"))];
    assert_eq!(read_data(&MessagesApi, &[begun, reason, stop]), (whole, Ok(())));
}

#[test]
fn results_of_failed_calls_are_texts_with_their_images_behind() {
    let mut prompt = prompt("claude-opus-5", signed());
    let shown = Content::Image(Image::Url("https://example.org/b.png".to_owned()));
    let outcome = |id: &str, content: Vec<Content>, failed: bool| {
        Entry::Result(ToolResult { id: id.to_owned(), content, failed })
    };
    prompt.history = vec![
        Entry::Call(call("1", "look", "{}")),
        Entry::Call(call("2", "look", "{}")),
        Entry::Call(call("3", "look", "{}")),
        outcome("1", vec![shown.clone()], true),
        outcome("2", vec![shown], false),
        outcome("3", vec![Content::Text(" ".to_owned())], true),
        Entry::User(vec![Content::Text("And now?".to_owned())]),
    ];
    let body = body(&prompt, &spec());
    let blocks = body["messages"][2]["content"].as_array().unwrap();
    let kinds: Vec<&str> = blocks.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_result", "tool_result", "tool_result", "text", "image", "text"]);
    let failed = json!([{ "type": "text", "text": "The call failed." }]);
    assert_eq!((&blocks[0]["content"], &blocks[2]["content"]), (&failed, &failed));
    assert_eq!(blocks[1]["content"][0]["type"], "image");
    assert_eq!(blocks[3]["text"], "Pictures of the call 1:");
}

#[test]
fn a_model_that_may_not_call_is_shown_its_tools_all_the_same() {
    let may = prompt("claude-opus-5", signed());
    assert_eq!(body(&may, &spec()).get("tool_choice"), None);
    let asked = body(&crate::Prompt { tool_choice: crate::ToolChoice::None, ..may }, &spec());
    let none = json!({ "type": "none" });
    assert_eq!((asked["tools"].as_array().map(Vec::len), &asked["tool_choice"]), (Some(1), &none));
}
