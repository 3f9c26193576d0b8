//! Converts events from before `item_completed` into its items' form. Pure.

use serde_json::{Value, json};
use skein_protocol::turn::UserInput;

use super::items;

/// The item of an event; `None` for an unknown one.
pub(crate) fn item(kind: &str, event: &Value) -> Option<Value> {
    let told = |name: &str| event.get(name).cloned().unwrap_or_default();
    let id = event.get("call_id").or_else(|| event.get("item_id")).cloned().unwrap_or_else(|| "".into());
    Some(match kind {
        "agent_message" => {
            json!({"type": "AgentMessage", "id": id, "content": [told("message")], "phase": told("phase")})
        }
        "agent_reasoning" => json!({"type": "Reasoning", "id": id, "summary_text": [told("text")]}),
        "agent_reasoning_raw_content" => {
            json!({"type": "Reasoning", "id": id, "raw_content": [told("text")]})
        }
        "context_compacted" => json!({"type": "ContextCompaction", "id": id}),
        "view_image_tool_call" => json!({"type": "ImageView", "id": id, "path": told("path")}),
        "web_search_end" => {
            json!({"type": "WebSearch", "id": id, "query": told("query"), "action": told("action")})
        }
        "entered_review_mode" => {
            json!({"type": "EnteredReviewMode", "id": id, "review": told("user_facing_hint").as_str().unwrap_or_default()})
        }
        "exited_review_mode" => json!({"type": "ExitedReviewMode", "id": id, "review": review(event)}),
        "image_generation_end" => renamed(event, "ImageGeneration", id),
        "patch_apply_end" => {
            let status =
                if event.get("success") == Some(&Value::Bool(true)) { "completed" } else { "failed" };
            json!({"type": "FileChange", "id": id, "changes": told("changes"), "status": or(told("status"), status)})
        }
        "exec_command_end" => {
            let well = event.get("exit_code").and_then(Value::as_i64) == Some(0);
            let mut item = renamed(event, "CommandExecution", id);
            item["status"] = or(told("status"), if well { "completed" } else { "failed" });
            item
        }
        "mcp_tool_call_end" => mcp(event, id),
        "dynamic_tool_call_response" => {
            let well = event.get("success") == Some(&Value::Bool(true));
            let mut item = renamed(event, "DynamicToolCall", id);
            item["status"] = if well { "completed" } else { "failed" }.into();
            item
        }
        _ => return None,
    })
}

/// The model's reasoning or web search, if no event has it.
pub(crate) fn response(kind: &str, told: &Value) -> Option<Value> {
    let id = told.get("id").cloned().unwrap_or_else(|| "".into());
    let member = |name: &str| told.get(name).cloned().unwrap_or_default();
    match kind {
        "reasoning" => Some(
            json!({"type": "Reasoning", "id": or(id, ""), "summary_text": member("summary"), "raw_content": member("content")}),
        ),
        "web_search_call" => {
            let query = told.get("action").and_then(|action| action.get("query")).cloned();
            Some(
                json!({"type": "WebSearch", "id": or(id, ""), "query": query.unwrap_or_else(|| "".into()), "action": member("action")}),
            )
        }
        _ => None,
    }
}

pub(crate) fn user(event: &Value) -> Vec<UserInput> {
    let text = event.get("message").and_then(Value::as_str).unwrap_or_default();
    let elements = event.get("text_elements").filter(|elements| elements.is_array());
    let mut pieces =
        vec![json!({"type": "text", "text": text, "text_elements": elements.cloned().unwrap_or(json!([]))})];
    for (name, kind, member) in [
        ("images", "image", "image_url"),
        ("audio", "audio", "audio_url"),
        ("local_images", "local_image", "path"),
        ("local_audio", "local_audio", "path"),
    ] {
        let list = event.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        pieces.extend(list.iter().map(|one| json!({"type": kind, member: one})));
    }
    items::inputs(Some(&Value::Array(pieces)))
}

fn mcp(event: &Value, id: Value) -> Value {
    let called =
        |name: &str| event.get("invocation").and_then(|call| call.get(name)).cloned().unwrap_or_default();
    let result = event.get("result").and_then(|result| result.get("Ok"));
    let error = event.get("result").and_then(|result| result.get("Err")).and_then(Value::as_str);
    let failed = result.is_none_or(|result| result.get("isError") == Some(&Value::Bool(true)));
    json!({
        "type": "McpToolCall", "id": id, "server": called("server"), "tool": called("tool"),
        "arguments": called("arguments"), "status": if failed { "failed" } else { "completed" },
        "result": result, "error": error.map(|message| json!({ "message": message })),
        "duration": event.get("duration"),
    })
}

fn review(event: &Value) -> String {
    let output = event.get("review_output");
    let text = output.and_then(|output| output.get("overall_explanation")).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Renames an event's members to those of an item of this kind.
fn renamed(event: &Value, kind: &str, id: Value) -> Value {
    let mut item = event.as_object().cloned().unwrap_or_default();
    item.insert("type".to_owned(), kind.into());
    item.insert("id".to_owned(), id);
    Value::Object(item)
}

fn or(told: Value, otherwise: &str) -> Value {
    if told.is_string() { told } else { otherwise.into() }
}
