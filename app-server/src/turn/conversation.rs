//! What the records of a thread are for a model: who said what, what was called and what came of it. Pure.
//!
//! Items are taken as they were completed. What a model thought is left out: providers want it back within the turn only,
//! and there it never leaves the memory. What the conversation knows of things that other programs did (a command, a change
//! of a file) is told as a note.

use serde_json::Value;
use skein_protocol::item::{CommandExecutionItem, ThreadItem, ThreadItemBody};
use skein_protocol::response_item::{
    ContentItem, FunctionCallOutputBody, FunctionCallOutputContentItem, InputImageSource, MessagePhase,
    ResponseItem,
};
use skein_protocol::turn::{MediaSource, UserInput};

use super::result;
use crate::policy;
use crate::provider::{AssistantMessage, Callee, Content, Entry, ToolCall, ToolResult, tool_name};
use crate::rollout::record::{Record, RecordBody, TakenBack};

/// A piece of a conversation before files that it names are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// What the user said, as the client sent it.
    Said(Vec<UserInput>),
    /// Anything else.
    Entry(Entry),
}

impl Piece {
    fn waits(&self) -> bool {
        match self {
            Self::Said(_) => true,
            Self::Entry(entry) => waits(entry),
        }
    }
}

/// How the message begins that stands for history.
const SUMMARY: &str = "What was said before this message was replaced by a summary of it:\n\n";

/// What a model is told of history that was replaced by `summary`.
#[must_use]
pub fn summary(summary: &str) -> Entry {
    Entry::User(vec![Content::Text(format!("{SUMMARY}{summary}"))])
}

/// Whether it stands for history.
#[must_use]
pub fn is_summary(content: &[Content]) -> bool {
    content.first().and_then(Content::as_text).is_some_and(|text| text.starts_with(SUMMARY))
}

/// What was said, and how much that is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// Oldest first.
    pub pieces: Vec<Piece>,
    /// Tokens that it had when it was last sent; 0 when it was not since a summary replaced what came before.
    pub tokens: i64,
}

/// The conversation of these records, which are in their order, without what was taken back.
#[must_use]
pub fn of(records: &[Record], taken_back: &[TakenBack]) -> Conversation {
    let mut conversation = Conversation::default();
    let counts = |record: &&Record| !taken_back.iter().any(|cut| cut.holds(record.seq));
    for record in records.iter().filter(counts) {
        take(&mut conversation, &record.body);
    }
    conversation
}

fn take(told: &mut Conversation, body: &RecordBody) {
    match body {
        RecordBody::ItemCompleted(completed) => told.pieces.extend(of_item(&completed.item)),
        RecordBody::ItemsInjected(injected) => {
            told.pieces.extend(injected.items.iter().filter_map(of_injected));
        }
        RecordBody::Usage(usage) => told.tokens = usage.usage.last.total_tokens,
        RecordBody::Compacted(compacted) => *told = summed_up(told, &compacted.summary),
        RecordBody::ThreadCreated(_)
        | RecordBody::ThreadOpened(_)
        | RecordBody::ThreadClosed(_)
        | RecordBody::ThreadNamed(_)
        | RecordBody::ThreadMeta(_)
        | RecordBody::ThreadRead(_)
        | RecordBody::ThreadGoal(_)
        | RecordBody::TurnStarted(_)
        | RecordBody::ItemStarted(_)
        | RecordBody::ItemCheckpoint(_)
        | RecordBody::TurnCompleted(_)
        | RecordBody::Reverted(_)
        | RecordBody::Archived(_)
        | RecordBody::Unarchived(_)
        | RecordBody::Forked(_)
        | RecordBody::Imported(_)
        | RecordBody::Unknown(_) => {}
    }
}

/// What is left when a summary replaces what was said: the summary, and what was said last, which nobody had answered. What the
/// request for the summary cost is not what the conversation has now.
fn summed_up(told: &mut Conversation, text: &str) -> Conversation {
    let answered = told.pieces.iter().rposition(|piece| !piece.waits());
    let unanswered = told.pieces.split_off(answered.map_or(0, |last| last + 1));
    let pieces = std::iter::once(Piece::Entry(summary(text))).chain(unanswered).collect();
    Conversation { pieces, tokens: 0 }
}

/// Whether a record answers what stands before it.
#[must_use]
pub fn answers(body: &RecordBody) -> bool {
    let mut told = Conversation::default();
    take(&mut told, body);
    told.pieces.iter().any(|piece| matches!(piece, Piece::Entry(entry) if is_answer(entry)))
}

/// Whether a model has said or done it.
#[must_use]
pub fn is_answer(entry: &Entry) -> bool {
    match entry {
        Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) | Entry::Result(_) => true,
        Entry::User(_) | Entry::Developer(_) => false,
    }
}

/// Whether it is said to a model, by the user or by a client, and nothing that stands for history.
#[must_use]
pub fn waits(entry: &Entry) -> bool {
    let is_summary = matches!(entry, Entry::User(content) if is_summary(content));
    !is_answer(entry) && !is_summary
}

/// What an item says to a model.
fn of_item(item: &ThreadItem) -> Vec<Piece> {
    let entries = match &item.body {
        ThreadItemBody::UserMessage(message) => return vec![Piece::Said(message.content.clone())],
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
    };
    entries.into_iter().map(Piece::Entry).collect()
}

/// A command that another program has run.
fn of_command(command: &CommandExecutionItem) -> Entry {
    let output = command.aggregated_output.as_deref().unwrap_or_default();
    let output = result::shortened(output, policy::TOOL_RESULT_BYTES);
    note(format!("A command was run: {}\n{output}", command.command))
}

fn called(id: String, callee: Callee, arguments: String, content: Vec<Content>, failed: bool) -> Vec<Entry> {
    let call = ToolCall { id: id.clone(), callee, arguments };
    vec![Entry::Call(call), Entry::Result(ToolResult { id, content, failed })]
}

fn note(text: String) -> Entry {
    Entry::Developer(text)
}

/// What a client put in, in the words of the model's interface. What a model cannot be told is passed over.
pub fn of_injected(item: &Value) -> Option<Piece> {
    let item: ResponseItem = serde_json::from_value(item.clone()).ok()?;
    match item {
        ResponseItem::Message { content, role, phase, .. } => of_message(&role, phase, content),
        ResponseItem::FunctionCall { arguments, call_id, name, namespace, .. } => {
            let callee = Callee::Offered(tool_name::of_client(namespace.as_deref(), &name));
            Some(Piece::Entry(Entry::Call(ToolCall { id: call_id, callee, arguments })))
        }
        ResponseItem::FunctionCallOutput { call_id: Some(id), output, .. } => {
            let content = of_output(output);
            Some(Piece::Entry(Entry::Result(ToolResult { id, content, failed: false })))
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

fn of_message(role: &str, phase: Option<MessagePhase>, content: Vec<ContentItem>) -> Option<Piece> {
    let said: Vec<UserInput> = content.into_iter().filter_map(of_content).collect();
    let texts: Vec<&str> = said.iter().filter_map(UserInput::as_text).collect();
    match role {
        "user" => Some(Piece::Said(said)),
        "assistant" => {
            Some(Piece::Entry(Entry::Assistant(AssistantMessage { text: texts.join("\n"), phase })))
        }
        "developer" | "system" => Some(Piece::Entry(note(texts.join("\n")))),
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
