//! Builds a request of Chat Completions. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::http::form::without_nulls;
use crate::http::ids::Ids;
use crate::http::steps::{
    CallOutcome, ModelPart, PromptStep, arguments_text, in_turns, steps, with_images_behind, with_more,
};
use crate::spec::ProviderSpec;
use crate::{Content, Prompt, ToolChoice, ToolSpec};

pub(crate) fn body(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let settings = &prompt.settings;
    let has_tools = !prompt.tools.is_empty();
    let forbidden = has_tools && prompt.tool_choice == ToolChoice::None;
    // OpenAI's newer name, which most servers do not know.
    let most = if spec.is_openai() { "max_completion_tokens" } else { "max_tokens" };
    without_nulls(json!({
        "model": prompt.model,
        "messages": messages(prompt, spec),
        "stream": true,
        "stream_options": { "include_usage": true },
        "tools": has_tools.then(|| prompt.tools.iter().map(tool).collect::<Value>()),
        "tool_choice": forbidden.then_some("none"),
        "reasoning_effort": settings.effort,
        "service_tier": settings.service_tier,
        "response_format": settings.output_schema.as_ref().map(format),
        most: settings.wanted_output.or(spec.max_output_tokens),
        "prompt_cache_key": spec.is_openai().then_some(prompt.thread),
    }))
}

fn format(schema: &Value) -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } })
}

fn tool(tool: &ToolSpec) -> Value {
    let function =
        json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
    json!({ "type": "function", "function": function })
}

fn messages(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let instructions = prompt.settings.instructions.as_deref();
    // Results are plain texts in this interface.
    let steps = with_images_behind(steps(&prompt.history), |_| true);
    let (first, steps) = match spec.is_openai() {
        true => (Vec::from_iter(instructions), steps),
        // Templates of models (Gemma, Mistral) fail unless roles alternate, or if there are two system messages.
        false => in_turns(instructions, steps),
    };
    let first = (!first.is_empty()).then(|| json!({ "role": "system", "content": first.join("\n\n") }));
    let ids = Ids::of_chat(&spec.base_url, &prompt.model);
    first.into_iter().chain(steps.iter().flat_map(|step| of_step(step, ids))).collect()
}

fn of_step(step: &PromptStep<'_>, ids: Ids) -> Vec<Value> {
    match step {
        PromptStep::User(content) => vec![json!({ "role": "user", "content": of_user(content) })],
        // OpenAI only; it accepts the role anywhere.
        PromptStep::Developer(text) => vec![json!({ "role": "system", "content": text })],
        PromptStep::Model(parts) => vec![of_model(parts, ids)],
        PromptStep::Results(outcome) => outcome.iter().map(|outcome| of_result(outcome, ids)).collect(),
    }
}

/// A plain text if possible: some servers take nothing else.
fn of_user(content: &[Cow<'_, Content>]) -> Value {
    let texts: Option<Vec<&str>> = content.iter().map(|content| content.as_text()).collect();
    texts.map_or_else(
        || content.iter().map(|content| part(content)).collect(),
        |texts| json!(texts.join("\n\n")),
    )
}

fn part(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "type": "text", "text": text }),
        Content::Image(image) => json!({ "type": "image_url", "image_url": { "url": image.url() } }),
    }
}

fn of_model(parts: &[ModelPart<'_>], ids: Ids) -> Value {
    let (mut texts, mut calls, mut message) = (Vec::new(), Vec::new(), Map::new());
    message.insert("role".to_owned(), json!("assistant"));
    for part in parts {
        match part {
            ModelPart::Text(message) => texts.push(message.text.as_str()),
            ModelPart::Thought(thought) => {
                let own = thought.own_form.as_ref().and_then(super::thought::own);
                super::thought::put(&mut message, own);
            }
            ModelPart::Call(call) => {
                let function = json!({ "name": call.callee.name(), "arguments": arguments_text(call) });
                let written = json!({ "id": ids.own(&call.id), "type": "function", "function": function });
                calls.push(with_more(written, call));
            }
        }
    }
    let content = if texts.is_empty() { Value::Null } else { json!(texts.join("\n\n")) };
    message.insert("content".to_owned(), content);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    Value::Object(message)
}

fn of_result(outcome: &CallOutcome<'_>, ids: Ids) -> Value {
    let text = match outcome.has_image() {
        true => format!("{}\n(Its pictures are in the next message.)", outcome.text()).trim().to_owned(),
        false => outcome.text(),
    };
    json!({ "role": "tool", "tool_call_id": ids.own(outcome.id()), "content": text })
}
