//! Turns one item of a thread, or one injected item, into entries for a model. Pure.

use serde_json::Value;
use skein_protocol::item::{CommandExecutionItem, ThreadItem, ThreadItemBody};
use skein_protocol::response_item::{
    ContentItem, FunctionCallOutputBody, FunctionCallOutputContentItem, InputImageSource, MessagePhase,
    ResponseItem,
};
use skein_protocol::turn::{MediaSource, UserInput};
use skein_provider::{AssistantMessage, Callee, Content, Entry, ToolCall, ToolResult, tool_name};

use crate::input;
use crate::policy;
use crate::result;

/// Entries of an item. Files that a message names are not read yet.
pub(crate) fn of_item(item: &ThreadItem) -> Vec<Entry> {
    match &item.body {
        ThreadItemBody::UserMessage(message) => vec![Entry::User(input::content(&message.content))],
        ThreadItemBody::AgentMessage(message) if message.text.is_empty() => Vec::new(),
        ThreadItemBody::AgentMessage(message) => {
            vec![Entry::Assistant(AssistantMessage { text: message.text.clone(), phase: message.phase })]
        }
        ThreadItemBody::Plan(plan) => vec![Entry::Assistant(plan.text.as_str().into())],
        ThreadItemBody::McpToolCall(call) => {
            let callee = Callee::Helper { server: call.server.clone(), tool: call.tool.clone() };
            let (content, failed) = result::of_call(call);
            called(call.id.to_string(), callee, call.arguments.to_string(), content, failed)
        }
        ThreadItemBody::DynamicToolCall(call) => {
            let callee = Callee::Offered(tool_name::of_client(call.namespace.as_deref(), &call.tool));
            let content = result::of_client(call.content_items.as_deref().unwrap_or_default());
            let failed = call.success != Some(true);
            called(call.id.to_string(), callee, call.arguments.to_string(), content, failed)
        }
        ThreadItemBody::CommandExecution(command) => vec![of_command(command)],
        ThreadItemBody::FileChange(change) => {
            let paths: Vec<&str> = change.changes.iter().map(|change| change.path.as_str()).collect();
            vec![note(format!("Files were changed: {}", paths.join(", ")))]
        }
        ThreadItemBody::WebSearch(search) => {
            vec![note(format!("The web was searched for: {}", search.query))]
        }
        ThreadItemBody::HookPrompt(_)
        | ThreadItemBody::FunctionCallOutput(_)
        | ThreadItemBody::Reasoning(_)
        | ThreadItemBody::CollabAgentToolCall(_)
        | ThreadItemBody::SubAgentActivity(_)
        | ThreadItemBody::ImageView(_)
        | ThreadItemBody::Sleep(_)
        | ThreadItemBody::ImageGeneration(_)
        | ThreadItemBody::EnteredReviewMode(_)
        | ThreadItemBody::ExitedReviewMode(_)
        | ThreadItemBody::ContextCompaction(_) => Vec::new(),
    }
}

/// Another program ran this command.
fn of_command(command: &CommandExecutionItem) -> Entry {
    let output = command.aggregated_output.as_deref().unwrap_or_default();
    let output = result::shortened(output, policy::TOOL_RESULT_BYTES);
    note(format!("A command was run: {}\n{output}", command.command))
}

fn called(id: String, callee: Callee, arguments: String, content: Vec<Content>, failed: bool) -> Vec<Entry> {
    let call = ToolCall::new(&id, callee, arguments);
    vec![Entry::Call(call), Entry::Result(ToolResult { id, content, failed })]
}

fn note(text: String) -> Entry {
    Entry::Developer(text)
}

/// An item that a client injects in the format of the Responses API. `None` if a model cannot read it.
pub(crate) fn of_injected(item: &Value) -> Option<Entry> {
    let item: ResponseItem = serde_json::from_value(item.clone()).ok()?;
    match item {
        ResponseItem::Message { content, role, phase, .. } => of_message(&role, phase, content),
        ResponseItem::FunctionCall { arguments, call_id, name, namespace, .. } => {
            let callee = Callee::Offered(tool_name::of_client(namespace.as_deref(), &name));
            Some(Entry::Call(ToolCall::new(call_id, callee, arguments)))
        }
        ResponseItem::FunctionCallOutput { call_id: Some(id), output, .. } => {
            let content = of_output(output);
            Some(Entry::Result(ToolResult { id, content, failed: false }))
        }
        ResponseItem::AdditionalTools { .. }
        | ResponseItem::AgentMessage { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::LocalShellCall { .. }
        | ResponseItem::ToolSearchCall { .. }
        | ResponseItem::FunctionCallOutput { call_id: None, .. }
        | ResponseItem::CustomToolCall { .. }
        | ResponseItem::CustomToolCallOutput { .. }
        | ResponseItem::ToolSearchOutput { .. }
        | ResponseItem::WebSearchCall { .. }
        | ResponseItem::ImageGenerationCall { .. }
        | ResponseItem::Compaction { .. }
        | ResponseItem::ConfigurationUpdate { .. }
        | ResponseItem::CompactionTrigger
        | ResponseItem::ContextCompaction { .. }
        | ResponseItem::Other => None,
    }
}

fn of_message(role: &str, phase: Option<MessagePhase>, content: Vec<ContentItem>) -> Option<Entry> {
    let said: Vec<UserInput> = content.into_iter().filter_map(of_content).collect();
    let texts: Vec<&str> = said.iter().filter_map(UserInput::as_text).collect();
    match role {
        "user" => Some(Entry::User(input::content(&said))),
        "assistant" => Some(Entry::Assistant(AssistantMessage { text: texts.join("\n"), phase })),
        "developer" | "system" => Some(note(texts.join("\n"))),
        _ => None,
    }
}

fn of_content(content: ContentItem) -> Option<UserInput> {
    match content {
        ContentItem::InputText { text } | ContentItem::OutputText { text, .. } => Some(UserInput::text(text)),
        ContentItem::InputImage { detail, source: InputImageSource::ImageUrl(url) } => {
            Some(UserInput::Image { detail, source: MediaSource::Url(url) })
        }
        ContentItem::InputImage { source: InputImageSource::FileId(_), .. }
        | ContentItem::InputAudio { .. } => None,
    }
}

fn of_output(output: FunctionCallOutputBody) -> Vec<Content> {
    match output {
        FunctionCallOutputBody::Text(text) => vec![Content::Text(text)],
        FunctionCallOutputBody::Pieces(pieces) => pieces
            .into_iter()
            .filter_map(|piece| match piece {
                FunctionCallOutputContentItem::InputText { text } => Some(Content::Text(text)),
                FunctionCallOutputContentItem::InputImage { .. }
                | FunctionCallOutputContentItem::InputAudio { .. }
                | FunctionCallOutputContentItem::EncryptedContent { .. } => None,
            })
            .collect(),
    }
}
