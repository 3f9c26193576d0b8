//! What is asked, as Responses wants it. Pure.

use serde_json::{Map, Value, json};
use skein_protocol::settings::ReasoningSummary;

use crate::http::ids::Ids;
use crate::http::talk::{Came, Part, Step, arguments_text, steps, with_more};
use crate::spec::ProviderSpec;
use crate::{AssistantMessage, Content, ModelSettings, Prompt, ToolChoice, ToolSpec};

/// Models that do not think, by the beginning of their names: they refuse a question that asks for their thoughts.
const UNTHINKING: [&str; 4] = ["gpt-3", "gpt-4", "chatgpt-", "davinci"];

/// The ids that it takes.
const IDS: Ids = Ids::Short(64);

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
    put("instructions", settings.instructions.as_ref().map(|text| json!(text)));
    put("input", Some(steps(&prompt.history).iter().flat_map(items).collect()));
    if !prompt.tools.is_empty() {
        put("tools", Some(prompt.tools.iter().map(tool).collect()));
        put("tool_choice", Some(tool_choice(prompt.tool_choice)));
        put("parallel_tool_calls", Some(json!(!settings.one_call)));
    }
    put("store", Some(json!(false)));
    put("stream", Some(json!(true)));
    if thinks(&prompt.model) {
        put("include", Some(json!(["reasoning.encrypted_content"])));
        put("reasoning", reasoning(settings));
    }
    put("service_tier", settings.service_tier.as_ref().map(|tier| json!(tier)));
    put("prompt_cache_key", spec.is_openai().then(|| json!(prompt.thread)));
    put("text", settings.output_schema.as_ref().map(format));
    put("max_output_tokens", settings.wanted_output.or(spec.max_output_tokens).map(|most| json!(most)));
    Value::Object(body)
}

fn tool_choice(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
    }
}

fn thinks(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    // `gpt-5-chat-latest` does not, either.
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

fn items(step: &Step<'_>) -> Vec<Value> {
    match step {
        Step::User(content) => vec![json!({
            "type": "message",
            "role": "user",
            "content": content.iter().map(|content| input(content)).collect::<Vec<_>>(),
        })],
        Step::Developer(text) => vec![json!({
            "type": "message",
            "role": "developer",
            "content": [{ "type": "input_text", "text": text }],
        })],
        Step::Model(said) => said.iter().filter_map(part).collect(),
        Step::Results(came) => came.iter().map(output).collect(),
    }
}

fn part(part: &Part<'_>) -> Option<Value> {
    match part {
        Part::Text(message) => Some(said(message)),
        // Of another provider it would be something else.
        Part::Thought(thought) => thought.own_form.as_ref().filter(|own| own["type"] == "reasoning").cloned(),
        Part::Call(call) => Some(with_more(
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

/// A message of the model's; its phase goes back to who has named it.
fn said(message: &AssistantMessage) -> Value {
    let content = json!([{ "type": "output_text", "text": message.text }]);
    let mut said = json!({ "type": "message", "role": "assistant", "content": content });
    if let Some(phase) = message.phase {
        said["phase"] = json!(phase);
    }
    said
}

fn input(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({ "type": "input_text", "text": text }),
        Content::Image(image) => json!({ "type": "input_image", "image_url": image.url() }),
    }
}

fn output(came: &Came<'_>) -> Value {
    let output = match came.has_image() {
        false => json!(came.text()),
        true if came.failed() => {
            let said = json!({ "type": "input_text", "text": "The call failed:" });
            std::iter::once(said).chain(came.content().iter().map(input)).collect()
        }
        true => came.content().iter().map(input).collect(),
    };
    json!({ "type": "function_call_output", "call_id": IDS.own(came.id()), "output": output })
}
