//! Tool calls in the model's form, and their results. Pure.

use serde_json::{Value, json};
use skein_base::clock::WallMs;
use skein_protocol::ids::ItemId;
use skein_protocol::item::{
    CommandExecutionStatus, DynamicToolCallOutputContentItem, DynamicToolCallStatus, McpToolCallStatus,
    PatchApplyStatus, ThreadItem, ThreadItemBody,
};
use skein_protocol::turn::UserInput;

use super::items;

/// Tools that run a command, in all versions of the peer.
const SHELLS: &[&str] = &["exec_command", "shell", "shell_command", "container.exec", "local_shell"];
/// The beginnings of context that is sent to the model as a user message.
const CONTEXT: &[&str] = &[
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "<skill>",
    "<permissions instructions>",
    "<subagent_notification>",
    "<user_shell_command>",
    "# AGENTS.md instructions for ",
];

/// Whether this is context, not the user's own message.
pub(crate) fn is_context(said: &[UserInput]) -> bool {
    let text = said.iter().find_map(UserInput::as_text).unwrap_or_default().trim_start();
    said.is_empty() || CONTEXT.iter().any(|begin| text.starts_with(begin))
}

/// The item of a call without a result.
pub(crate) fn call(told: &Value, cwd: &str) -> Option<ThreadItem> {
    let id = told.get("call_id").or_else(|| told.get("id")).and_then(Value::as_str)?;
    let name = told.get("name").and_then(Value::as_str).unwrap_or("local_shell");
    let arguments = match told.get("arguments").or_else(|| told.get("input")).or_else(|| told.get("action")) {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    if SHELLS.contains(&name)
        && let Some(command) = arguments.get("cmd").or_else(|| arguments.get("command"))
    {
        let folder = arguments.get("workdir").and_then(Value::as_str).unwrap_or(cwd);
        return items::item(&json!({"type": "CommandExecution", "id": id, "command": command, "cwd": folder,
            "status": "in_progress"}));
    }
    items::item(
        &json!({"type": "DynamicToolCall", "id": id, "tool": name, "namespace": told.get("namespace"),
        "arguments": arguments, "status": "in_progress"}),
    )
}

/// Adds the result to an open call. Other items have their output from their end events.
pub(crate) fn complete(item: &mut ThreadItem, output: &Value, at: WallMs) {
    if !is_open(item) {
        return;
    }
    let text = items::output(output);
    if let ThreadItemBody::CommandExecution(command) = &mut item.body {
        let (exit_code, text) = exit(&text);
        command.status = match exit_code {
            Some(0) | None => CommandExecutionStatus::Completed,
            Some(_) => CommandExecutionStatus::Failed,
        };
        (command.exit_code, command.aggregated_output) = (exit_code, Some(text));
    } else if let ThreadItemBody::DynamicToolCall(call) = &mut item.body {
        let well = output.get("success") != Some(&Value::Bool(false));
        call.status = if well { DynamicToolCallStatus::Completed } else { DynamicToolCallStatus::Failed };
        call.success = Some(well);
        call.content_items = Some(vec![DynamicToolCallOutputContentItem::InputText { text }]);
    }
    item.completed_at_ms = Some(at.0);
}

/// The exit code and the output of a command, from the text for the model.
fn exit(text: &str) -> (Option<i32>, String) {
    // The oldest form: JSON in a text.
    if let Ok(told) = serde_json::from_str::<Value>(text)
        && let Some(output) = told.get("output").and_then(Value::as_str)
    {
        let code =
            told.get("metadata").and_then(|metadata| metadata.get("exit_code")).and_then(Value::as_i64);
        return (code.and_then(|code| i32::try_from(code).ok()), output.to_owned());
    }
    let code = ["Process exited with code ", "Exit code: "].iter().find_map(|words| {
        let line =
            text.lines().take_while(|line| *line != "Output:").find_map(|line| line.strip_prefix(words));
        line?.trim().parse().ok()
    });
    let output = text.split_once("\nOutput:\n").map_or(text, |(_, output)| output);
    (code, output.to_owned())
}

/// Whether no line has ended the item.
pub(crate) fn is_open(item: &ThreadItem) -> bool {
    if let ThreadItemBody::CommandExecution(command) = &item.body {
        command.status == CommandExecutionStatus::InProgress
    } else if let ThreadItemBody::DynamicToolCall(call) = &item.body {
        call.status == DynamicToolCallStatus::InProgress
    } else if let ThreadItemBody::McpToolCall(call) = &item.body {
        call.status == McpToolCallStatus::InProgress
    } else if let ThreadItemBody::FileChange(change) = &item.body {
        change.status == PatchApplyStatus::InProgress
    } else {
        false
    }
}

/// Gives an item its id.
pub(crate) fn name(item: &mut ThreadItem, id: &ItemId) {
    if let Ok(Value::Object(mut members)) = serde_json::to_value(&*item) {
        members.insert("id".to_owned(), id.as_str().into());
        if let Ok(named) = serde_json::from_value(Value::Object(members)) {
            *item = named;
        }
    }
}
