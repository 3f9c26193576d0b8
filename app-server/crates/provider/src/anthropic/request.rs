//! What is asked, as Messages wants it: turns of the user and of the model, one after the other, each of blocks. Pure.

use serde_json::{Map, Value, json};
use skein_protocol::settings::ReasoningSummary;

use crate::http::ids::Ids;
use crate::http::talk::{
    Came, NOTHING, Part, Step, arguments, in_turns, steps, with_more, with_pictures_behind,
};
use crate::policy;
use crate::spec::ProviderSpec;
use crate::{Content, Image, Prompt, ToolChoice, ToolSpec};

/// The least that a model can be told to think, in tokens.
const LEAST_BUDGET: u32 = 1024;
/// Up to here the model's provider is to remember the conversation.
const REMEMBERED: &str = "ephemeral";

/// The ids that it takes.
const IDS: Ids = Ids::Plain(64);

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    /// It cannot.
    Never,
    /// By so many tokens.
    Budget,
    /// By a word for the effort.
    Effort,
}

/// The body of a request.
pub(crate) fn body(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let settings = &prompt.settings;
    let most = settings.wanted_output.or(spec.max_output_tokens).or(settings.output);
    let most = most.unwrap_or(policy::ANTHROPIC_OUTPUT_TOKENS);
    let steps = with_pictures_behind(steps(&prompt.history), Came::failed);
    let (first, steps) = in_turns(settings.instructions.as_deref(), steps);
    let system = system(&first);
    let mut messages = messages(&steps);
    let mut tools: Vec<Value> = prompt.tools.iter().map(tool).collect();
    mark(&mut messages);
    if system.is_empty()
        && let Some(tool) = tools.last_mut()
    {
        tool["cache_control"] = json!({ "type": REMEMBERED });
    }
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    let thinking = thinking(prompt, most, &messages);
    put("model", Some(json!(prompt.model)));
    put("max_tokens", Some(json!(most)));
    put("stream", Some(json!(true)));
    put("output_config", output_config(prompt));
    put("thinking", thinking);
    put("service_tier", settings.service_tier.as_ref().map(|tier| json!(tier)));
    put("system", (!system.is_empty()).then(|| json!(system)));
    put("tools", (!tools.is_empty()).then(|| json!(tools)));
    let forbidden = !tools.is_empty() && prompt.tool_choice == ToolChoice::None;
    put("tool_choice", forbidden.then(|| json!({ "type": "none" })));
    put("messages", Some(json!(messages)));
    Value::Object(body)
}

/// What holds for the whole conversation. Its end is a mark: tools and this stay the same from answer to answer.
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

fn messages(steps: &[Step<'_>]) -> Vec<Value> {
    let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
    for step in steps {
        let (role, blocks) = match step {
            Step::User(content) => ("user", content.iter().filter_map(|content| block(content)).collect()),
            // None is left: there is no role for it between the others.
            Step::Developer(text) => ("user", vec![text_block(text)]),
            Step::Model(said) => ("assistant", said.iter().filter_map(part).collect()),
            Step::Results(came) => ("user", came.iter().map(result).collect()),
        };
        match turns.last_mut() {
            // Turns of nothing are refused, and would part those beside them.
            _ if blocks.is_empty() => {}
            Some((last, there)) if *last == role => there.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

/// Marks the ends of the last two turns of the user: what was asked before is found there, and the next answer finds this.
fn mark(messages: &mut [Value]) {
    let users = messages.iter_mut().rev().filter(|message| message["role"] == "user").take(2);
    for message in users {
        let last = message["content"].as_array_mut().and_then(|blocks| blocks.last_mut());
        if let Some(block) = last {
            block["cache_control"] = json!({ "type": REMEMBERED });
        }
    }
}

fn part(part: &Part<'_>) -> Option<Value> {
    match part {
        Part::Text(message) => (!message.text.trim().is_empty()).then(|| text_block(&message.text)),
        Part::Thought(thought) => {
            let own = thought.own_form.as_ref();
            // Of another provider it would be something else.
            own.filter(|own| own["type"] == "thinking" || own["type"] == "redacted_thinking").cloned()
        }
        Part::Call(call) => Some(with_more(
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

/// Of a call that failed texts are taken, and at least one; its pictures stand behind.
fn result(came: &Came<'_>) -> Value {
    let failed = came.failed();
    let taken = came.content().iter().filter(|content| !failed || content.as_text().is_some());
    let mut content: Vec<Value> = taken.filter_map(block).collect();
    if failed && content.is_empty() {
        content.push(text_block(if matches!(came, Came::Nothing(_)) { NOTHING } else { "The call failed." }));
    }
    json!({ "type": "tool_result", "tool_use_id": IDS.own(came.id()), "content": content, "is_error": failed })
}

/// Blocks of nothing are refused.
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
        // The least that there is a word for.
        let effort = if effort == "minimal" { "low" } else { effort };
        config.insert("effort".to_owned(), json!(effort));
    }
    if let Some(schema) = &prompt.settings.output_schema {
        config.insert("format".to_owned(), json!({ "type": "json_schema", "schema": schema }));
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// Nobody thinks unless there is a word about how hard.
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
            // It counts among the tokens of the answer, of which some have to be left.
            let budget = wanted.min(most / 2);
            (budget >= LEAST_BUDGET).then(|| json!({ "type": "enabled", "budget_tokens": budget }))
        }
    }
}

fn is_none(effort: &str) -> bool {
    effort == "none"
}

/// The models that want a number are known by their names, and are no more to come. A model that is not known is one of those
/// to come: it is told only how hard the user wants it to think, if at all.
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

/// What a version goes on with: `-5-20250929` is 5; nothing, or only a date behind any sign, is 0.
fn minor(rest: &str) -> u32 {
    let rest = rest.strip_prefix(['-', '.']).unwrap_or_default();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).filter(|digits| digits.len() < 3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Whether the conversation ends with results of calls that the model did not think before, as far as is known: it cannot
/// be told to think then.
fn calls_without_thoughts(messages: &[Value]) -> bool {
    let [.., model, user] = messages else { return false };
    let kind = |block: &Value, kind: &str| block["type"] == kind;
    let of = |message: &Value| message["content"].as_array().cloned().unwrap_or_default();
    let ends_with_results = of(user).iter().any(|block| kind(block, "tool_result"));
    let thought =
        of(model).first().is_some_and(|block| kind(block, "thinking") || kind(block, "redacted_thinking"));
    ends_with_results && !thought
}
