//! Builds a request of Responses. Pure.

use serde_json::{Map, Value, json};
use skein_protocol::settings::ReasoningSummary;

use crate::http::form::without_nulls;
use crate::http::ids::Ids;
use crate::http::steps::{CallOutcome, ModelPart, PromptStep, arguments_text, steps, with_more};
use crate::spec::ProviderSpec;
use crate::{AssistantMessage, Content, ModelSettings, Prompt, ToolChoice, ToolSpec};

/// Name prefixes of models without reasoning; they refuse a request for it.
const UNTHINKING: [&str; 4] = ["gpt-3", "gpt-4", "chatgpt-", "davinci"];

const IDS: Ids = Ids::Short(64);

pub(crate) fn body(prompt: &Prompt, spec: &ProviderSpec) -> Value {
    let settings = &prompt.settings;
    let thinks = thinks(&prompt.model);
    let mut body = without_nulls(json!({
        "model": prompt.model,
        "instructions": settings.instructions,
        "input": steps(&prompt.history).iter().flat_map(items).collect::<Value>(),
        "store": false,
        "stream": true,
        "include": thinks.then_some(["reasoning.encrypted_content"]),
        "reasoning": if thinks { reasoning(settings) } else { None },
        "service_tier": settings.service_tier,
        "prompt_cache_key": spec.is_openai().then_some(prompt.thread),
        "text": settings.output_schema.as_ref().map(format),
        "max_output_tokens": settings.wanted_output.or(spec.max_output_tokens),
    }));
    if !prompt.tools.is_empty() {
        body["tools"] = prompt.tools.iter().map(tool).collect();
        body["tool_choice"] = tool_choice(prompt.tool_choice);
        body["parallel_tool_calls"] = json!(!settings.one_call);
    }
    body
}

fn tool_choice(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
    }
}

fn thinks(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    // `gpt-5-chat-latest` has none either.
    !UNTHINKING.iter().any(|beginning| name.starts_with(beginning)) && !name.contains("-chat")
}

fn reasoning(settings: &ModelSettings) -> Option<Value> {
    let mut reasoning = Map::new();
    if let Some(effort) = &settings.effort {
        reasoning.insert("effort".to_owned(), json!(effort));
    }
    if let Some(summary) = settings.summary.as_ref().filter(|summary| **summary != ReasoningSummary::None) {
        reasoning.insert("summary".to_owned(), json!(summary));
    }
    (!reasoning.is_empty()).then_some(Value::Object(reasoning))
}

fn format(schema: &Value) -> Value {
    json!({ "format": { "type": "json_schema", "name": "answer", "schema": schema, "strict": true } })
}

fn tool(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": false,
    })
}

fn items(step: &PromptStep<'_>) -> Vec<Value> {
    match step {
        PromptStep::User(content) => vec![json!({
            "type": "message",
            "role": "user",
            "content": content.iter().map(|content| input(content)).collect::<Vec<_>>(),
        })],
        PromptStep::Developer(text) => vec![json!({
            "type": "message",
            "role": "developer",
            "content": [{ "type": "input_text", "text": text }],
        })],
        PromptStep::Model(parts) => parts.iter().filter_map(part).collect(),
        PromptStep::Results(outcome) => outcome.iter().map(output).collect(),
    }
}

fn part(part: &ModelPart<'_>) -> Option<Value> {
    match part {
        ModelPart::Text(message) => Some(assistant(message)),
        // A thought of another provider is not sent.
        ModelPart::Thought(thought) => {
            thought.own_form.as_ref().filter(|own| own["type"] == "reasoning").cloned()
        }
        ModelPart::Call(call) => Some(with_more(
            json!({
                "type": "function_call",
                "call_id": IDS.own(&call.id),
                "name": call.callee.name(),
                "arguments": arguments_text(call),
            }),
            call,
        )),
    }
}

/// A message of the model, with its phase if the provider named one.
fn assistant(message: &AssistantMessage) -> Value {
    let content = json!([{ "type": "output_text", "text": message.text }]);
    let mut written = json!({ "type": "message", "role": "assistant", "content": content });
    if let Some(phase) = message.phase {
        written["phase"] = json!(phase);
    }
    written
}

fn input(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "type": "input_text", "text": text }),
        Content::Image(image) => json!({ "type": "input_image", "image_url": image.url() }),
    }
}

fn output(outcome: &CallOutcome<'_>) -> Value {
    let output = match outcome.has_image() {
        false => json!(outcome.text()),
        true if outcome.failed() => {
            let note = json!({ "type": "input_text", "text": "The call failed:" });
            std::iter::once(note).chain(outcome.content().iter().map(input)).collect()
        }
        true => outcome.content().iter().map(input).collect(),
    };
    json!({ "type": "function_call_output", "call_id": IDS.own(outcome.id()), "output": output })
}
