//! What is asked, as Chat Completions wants it. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::http::ids::Ids;
use crate::http::talk::{Came, Part, Step, arguments_text, in_turns, steps, with_more, with_pictures_behind};
use crate::spec::ProviderSpec;
use crate::{Content, Prompt, ToolChoice, ToolSpec};

/// The body of a request.
pub(crate) fn body(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let settings = &prompt.settings;
    let mut body = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    put("model", Some(json!(prompt.model)));
    put("messages", Some(messages(prompt, spec)));
    put("stream", Some(json!(true)));
    put("stream_options", Some(json!({ "include_usage": true })));
    put("tools", (!prompt.tools.is_empty()).then(|| prompt.tools.iter().map(tool).collect()));
    let forbidden = !prompt.tools.is_empty() && prompt.tool_choice == ToolChoice::None;
    put("tool_choice", forbidden.then(|| json!("none")));
    put("reasoning_effort", settings.effort.as_ref().map(|effort| json!(effort)));
    put("service_tier", settings.service_tier.as_ref().map(|tier| json!(tier)));
    put("response_format", settings.output_schema.as_ref().map(format));
    // OpenAI has another word for it, which most others do not know.
    let most = if spec.is_openai() { "max_completion_tokens" } else { "max_tokens" };
    put(most, settings.wanted_output.or(spec.max_output_tokens).map(|most| json!(most)));
    put("prompt_cache_key", spec.is_openai().then(|| json!(prompt.thread)));
    Value::Object(body)
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
    // Results are texts here.
    let steps = with_pictures_behind(steps(&prompt.history), |_| true);
    let (first, steps) = match spec.is_openai() {
        true => (Vec::from_iter(instructions), steps),
        // Templates of models (Gemma, Mistral) fail where roles do not take turns, or the system speaks twice.
        false => in_turns(instructions, steps),
    };
    let first = (!first.is_empty()).then(|| json!({ "role": "system", "content": first.join("\n\n") }));
    let ids = Ids::of_chat(&spec.base_url, &prompt.model);
    first.into_iter().chain(steps.iter().flat_map(|step| of_step(step, ids))).collect()
}

fn of_step(step: &Step<'_>, ids: Ids) -> Vec<Value> {
    match step {
        Step::User(content) => vec![json!({ "role": "user", "content": of_user(content) })],
        // Of OpenAI's only, which takes it anywhere.
        Step::Developer(text) => vec![json!({ "role": "system", "content": text })],
        Step::Model(said) => vec![of_model(said, ids)],
        Step::Results(came) => came.iter().map(|came| of_result(came, ids)).collect(),
    }
}

/// A plain text where it can be one: some servers take nothing else.
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

fn of_model(said: &[Part<'_>], ids: Ids) -> Value {
    let (mut texts, mut calls, mut message) = (Vec::new(), Vec::new(), Map::new());
    message.insert("role".to_owned(), json!("assistant"));
    for part in said {
        match part {
            Part::Text(message) => texts.push(message.text.as_str()),
            Part::Thought(thought) => {
                let own = thought.own_form.as_ref().and_then(super::thought::own);
                super::thought::put(&mut message, own);
            }
            Part::Call(call) => {
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

fn of_result(came: &Came<'_>, ids: Ids) -> Value {
    let text = match came.has_image() {
        true => format!("{}\n(Its pictures are in the next message.)", came.text()).trim().to_owned(),
        false => came.text(),
    };
    json!({ "role": "tool", "tool_call_id": ids.own(came.id()), "content": text })
}
