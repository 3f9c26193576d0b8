//! Builds a request of Messages: alternating turns of user and model, each a list of blocks. Pure.

use serde_json::{Map, Value, json};
use skein_protocol::settings::ReasoningSummary;

use crate::http::form::without_nulls;
use crate::http::ids::Ids;
use crate::http::steps::{
    CallOutcome, ModelPart, NOTHING, PromptStep, arguments, in_turns, steps, with_images_behind, with_more,
};
use crate::spec::ProviderSpec;
use crate::{Content, Image, Prompt, ToolChoice, ToolSpec, policy};

/// The smallest thinking budget, in tokens.
const LEAST_BUDGET: u32 = 1024;
/// The cache type: the provider caches the conversation up to here.
const REMEMBERED: &str = "ephemeral";

const IDS: Ids = Ids::Plain(64);

/// How a model takes its thinking effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    /// Not at all.
    Never,
    /// As a number of tokens.
    Budget,
    /// As a word.
    Effort,
}

pub(crate) fn body(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let settings = &prompt.settings;
    let most = settings.wanted_output.or(spec.max_output_tokens).or(settings.output);
    let most = most.unwrap_or(policy::ANTHROPIC_OUTPUT_TOKENS);
    let steps = with_images_behind(steps(&prompt.history), CallOutcome::failed);
    let (first, steps) = in_turns(settings.instructions.as_deref(), steps);
    let system = system(&first);
    let mut messages = messages(&steps);
    let mut tools: Vec<Value> = prompt.tools.iter().map(tool).collect();
    set_breakpoints(&mut messages);
    if system.is_empty()
        && let Some(tool) = tools.last_mut()
    {
        tool["cache_control"] = json!({ "type": REMEMBERED });
    }
    let forbidden = !tools.is_empty() && prompt.tool_choice == ToolChoice::None;
    without_nulls(json!({
        "model": prompt.model,
        "max_tokens": most,
        "stream": true,
        "output_config": output_config(prompt),
        "thinking": thinking(prompt, most, &messages),
        "service_tier": settings.service_tier,
        "system": (!system.is_empty()).then_some(system),
        "tools": (!tools.is_empty()).then_some(tools),
        "tool_choice": forbidden.then(|| json!({ "type": "none" })),
        "messages": messages,
    }))
}

/// The system blocks, with a cache breakpoint at the end: tools and instructions stay the same between answers.
fn system(first: &[&str]) -> Vec<Value> {
    let mut blocks: Vec<Value> = first.iter().map(|text| text_block(text)).collect();
    if let Some(block) = blocks.last_mut() {
        block["cache_control"] = json!({ "type": REMEMBERED });
    }
    blocks
}

fn tool(tool: &ToolSpec) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters })
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn messages(steps: &[PromptStep<'_>]) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for step in steps {
        let (role, blocks) = match step {
            PromptStep::User(content) => {
                ("user", content.iter().filter_map(|content| block(content)).collect())
            }
            // `in_turns` leaves none; there is no role for it between the others.
            PromptStep::Developer(text) => ("user", vec![text_block(text)]),
            PromptStep::Model(parts) => ("assistant", parts.iter().filter_map(part).collect()),
            PromptStep::Results(outcome) => ("user", outcome.iter().map(result).collect()),
        };
        match turns.last_mut() {
            // Empty turns are refused and would separate their neighbours.
            _ if blocks.is_empty() => {}
            Some((last, there)) if *last == role => there.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

/// Sets cache breakpoints at the ends of the user's last two turns: one for this request, one for the next.
fn set_breakpoints(messages: &mut [Value]) {
    let users = messages.iter_mut().rev().filter(|message| message["role"] == "user").take(2);
    for message in users {
        let last = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut());
        if let Some(block) = last {
            block["cache_control"] = json!({ "type": REMEMBERED });
        }
    }
}

fn part(part: &ModelPart<'_>) -> Option<Value> {
    match part {
        ModelPart::Text(message) => (!message.text.trim().is_empty()).then(|| text_block(&message.text)),
        ModelPart::Thought(thought) => {
            let own = thought.own_form.as_ref();
            // A thought of another provider is not sent.
            own.filter(|own| own["type"] == "thinking" || own["type"] == "redacted_thinking").cloned()
        }
        ModelPart::Call(call) => Some(with_more(
            json!({
                "type": "tool_use",
                "id": IDS.own(&call.id),
                "name": call.callee.name(),
                "input": arguments(call),
            }),
            call,
        )),
    }
}

/// A failed call takes texts only, and at least one; its images follow.
fn result(outcome: &CallOutcome<'_>) -> Value {
    let failed = outcome.failed();
    let taken = outcome.content().iter().filter(|content| !failed || content.as_text().is_some());
    let mut content: Vec<Value> = taken.filter_map(block).collect();
    if failed && content.is_empty() {
        content.push(text_block(if matches!(outcome, CallOutcome::Nothing(_)) {
            NOTHING
        } else {
            "The call failed."
        }));
    }
    json!({ "type": "tool_result", "tool_use_id": IDS.own(outcome.id()), "content": content, "is_error": failed })
}

/// Empty blocks are refused.
fn block(content: &Content) -> Option<Value> {
    match content {
        Content::Text(text) => (!text.trim().is_empty()).then(|| text_block(text)),
        Content::Image(image) => Some(json!({ "type": "image", "source": source(image) })),
    }
}

fn source(image: &Image) -> Value {
    let inline = |media_type: &str, base64: &str| json!({ "type": "base64", "media_type": media_type, "data": base64 });
    match image {
        Image::Data { media_type, base64 } => inline(media_type, base64),
        Image::Url(url) => {
            let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
            data.map_or_else(|| json!({ "type": "url", "url": url }), |(media, base64)| inline(media, base64))
        }
    }
}

fn output_config(prompt: &Prompt) -> Option<Value> {
    let mut config = Map::new();
    let effort = prompt.settings.effort.as_deref().filter(|effort| !is_none(effort));
    if let (Some(effort), Thinking::Effort) = (effort, manner(&prompt.model)) {
        // The smallest effort that has a word.
        let effort = if effort == "minimal" { "low" } else { effort };
        config.insert("effort".to_owned(), json!(effort));
    }
    if let Some(schema) = &prompt.settings.output_schema {
        config.insert("format".to_owned(), json!({ "type": "json_schema", "schema": schema }));
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// Without an effort there is no thinking.
fn thinking(prompt: &Prompt, most: u32, messages: &[Value]) -> Option<Value> {
    let settings = &prompt.settings;
    let effort = settings.effort.as_deref()?;
    match manner(&prompt.model) {
        Thinking::Never => None,
        _ if is_none(effort) => None,
        Thinking::Effort => {
            let shown = settings.summary != Some(ReasoningSummary::None);
            Some(json!({ "type": "adaptive", "display": if shown { "summarized" } else { "omitted" } }))
        }
        Thinking::Budget if calls_without_thoughts(messages) => None,
        Thinking::Budget => {
            let wanted = match effort {
                "minimal" => 1024,
                "low" => 4096,
                "medium" => 8192,
                "high" => 16_384,
                _ => 24_576,
            };
            // The budget counts towards the answer's tokens; leave some for the text.
            let budget = wanted.min(most / 2);
            (budget >= LEAST_BUDGET).then(|| json!({ "type": "enabled", "budget_tokens": budget }))
        }
    }
}

fn is_none(effort: &str) -> bool {
    effort == "none"
}

/// Older models, which take a number, are known by name. Any other model takes the user's effort as a word, if at
/// all.
fn manner(model: &str) -> Thinking {
    let has = |names: &[&str]| names.iter().any(|name| model.contains(name));
    let fourth = ["opus-4", "sonnet-4", "haiku-4"].iter().find_map(|name| Some(model.split_once(name)?.1));
    match fourth {
        Some(rest) if minor(rest) <= 5 => Thinking::Budget,
        None if has(&["claude-3-7", "claude-3.7"]) => Thinking::Budget,
        None if has(&["claude-3", "claude-2", "claude-instant"]) => Thinking::Never,
        Some(_) | None => Thinking::Effort,
    }
}

/// The minor version at the start: `-5-20250929` is 5; nothing, or only a date, is 0.
fn minor(rest: &str) -> u32 {
    let rest = rest.strip_prefix(['-', '.']).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).filter(|digits| digits.len() < 3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Whether the conversation ends with results of calls without a known thought before them. The provider refuses
/// thinking then.
fn calls_without_thoughts(messages: &[Value]) -> bool {
    let [.., model, user] = messages else { return false };
    let kind = |block: &Value, kind: &str| block["type"] == kind;
    let of = |message: &Value| message["content"].as_array().cloned().unwrap_or_default();
    let ends_with_results = of(user).iter().any(|block| kind(block, "tool_result"));
    let thought =
        of(model).first().is_some_and(|block| kind(block, "thinking") || kind(block, "redacted_thinking"));
    ends_with_results && !thought
}
