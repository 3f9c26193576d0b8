//! What the records of a thread are for a model: who said what, what was called and what came of it. Pure.
//!
//! Items are taken as they were completed. An answer that called tools is told in the words of its provider, with its thoughts:
//! so a request begins with what an earlier one had, which providers remember. What a model thought in other answers is left
//! out: it was never sent, and providers do not want it. What the conversation knows of things that other programs did (a command, a change
//! of a file) is told as a note.

use std::collections::HashMap;

use serde_json::{Map, Value};
use skein_protocol::ids::ItemId;
use skein_protocol::item::{CommandExecutionItem, ThreadItem, ThreadItemBody};
use skein_protocol::response_item::{
    ContentItem, FunctionCallOutputBody, FunctionCallOutputContentItem, InputImageSource, MessagePhase,
    ResponseItem,
};
use skein_protocol::turn::{MediaSource, UserInput};

use super::result;
use crate::policy;
use crate::provider::{AssistantMessage, Callee, Content, Entry, Reasoning, ToolCall, ToolResult, tool_name};
use crate::rollout::record::{ModelAnswer, Record, RecordBody, Said, TakenBack};

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

/// Whom a conversation is told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The provider, by its name in the settings.
    pub provider: String,
    /// The model's name.
    pub model: String,
}

/// The conversation of these records, which are in their order, without what was taken back, as `to` is told it.
#[must_use]
pub fn of(records: &[Record], taken_back: &[TakenBack], to: &Recipient) -> Conversation {
    let mut reader = Reader { to: Some(to), ..Reader::default() };
    let counts = |record: &&Record| !taken_back.iter().any(|cut| cut.holds(record.seq));
    for record in records.iter().filter(counts) {
        reader.take(&record.body);
    }
    reader.told
}

/// Takes the records of a conversation.
#[derive(Debug, Default)]
struct Reader<'a> {
    told: Conversation,
    /// Who gets its own forms back.
    to: Option<&'a Recipient>,
    /// Messages that no answer has named yet: their items, and where they stand.
    messages: Vec<(&'a ItemId, usize)>,
    /// What providers call the calls of items that follow.
    calls: HashMap<&'a ItemId, &'a str>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, body: &'a RecordBody) {
        match body {
            RecordBody::ItemCompleted(completed) => self.take_item(&completed.item),
            RecordBody::ModelAnswer(answer) => self.take_answer(answer),
            RecordBody::ItemsInjected(injected) => {
                self.told.pieces.extend(injected.items.iter().filter_map(of_injected));
            }
            RecordBody::Usage(usage) => {
                let last = usage.usage.last;
                // What a compaction leaves is only estimated, and asks for no other one.
                if last.input_tokens > 0 || last.output_tokens > 0 {
                    self.told.tokens = last.total_tokens;
                }
            }
            RecordBody::Compacted(compacted) => {
                self.messages.clear();
                self.told = summed_up(&mut self.told, &compacted.summary);
            }
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

    /// An item. Of a call that an answer has told there is only the result.
    fn take_item(&mut self, item: &'a ThreadItem) {
        let mut pieces = of_item(item);
        if let Some(id) = self.calls.remove(item.id()) {
            pieces.retain(|piece| !matches!(piece, Piece::Entry(Entry::Call(_))));
            for piece in &mut pieces {
                if let Piece::Entry(Entry::Result(result)) = piece {
                    id.clone_into(&mut result.id);
                }
            }
        }
        let is_text = matches!(item.body, ThreadItemBody::AgentMessage(_) | ThreadItemBody::Plan(_));
        if is_text && !pieces.is_empty() {
            self.messages.push((item.id(), self.told.pieces.len()));
        }
        self.told.pieces.extend(pieces);
    }

    /// An answer in its order. Its texts stand before, as items, and its calls follow.
    fn take_answer(&mut self, answer: &'a ModelAnswer) {
        let mut texts = self.texts_of(answer);
        let own = self.to.is_some_and(|to| to.provider == answer.provider && to.model == answer.model);
        let mut refused = Vec::new();
        for said in &answer.said {
            match said {
                Said::Text { item_id } => self.told.pieces.extend(texts.remove(item_id)),
                Said::Raw { text, item_ids } => {
                    let phase = item_ids.iter().filter_map(|id| texts.remove(id)).find_map(phase_of);
                    let message = AssistantMessage { text: text.clone(), phase };
                    self.told.pieces.push(Piece::Entry(Entry::Assistant(message)));
                }
                Said::Thought { own_form } if own => {
                    let own_form = Some(own_form.clone());
                    let thought = Reasoning { own_form, ..Reasoning::default() };
                    self.told.pieces.push(Piece::Entry(Entry::Reasoning(thought)));
                }
                Said::Thought { .. } => {}
                Said::Call(call) => {
                    if let Some(item) = &call.item_id {
                        self.calls.insert(item, &call.id);
                    }
                    let more = if own { call.more.clone() } else { Map::new() };
                    let callee = Callee::Offered(call.name.clone());
                    let entry = ToolCall { more, ..ToolCall::new(&call.id, callee, &call.arguments) };
                    self.told.pieces.push(Piece::Entry(Entry::Call(entry)));
                    let why = call.refused.as_ref();
                    refused.extend(why.map(|why| Entry::Result(ToolResult::text(&call.id, why, true))));
                }
            }
        }
        self.told.pieces.extend(refused.into_iter().map(Piece::Entry));
    }

    /// Takes the texts of an answer out of where they stand.
    fn texts_of(&mut self, answer: &ModelAnswer) -> HashMap<&'a ItemId, Piece> {
        let named = |id: &ItemId| {
            answer.said.iter().any(|said| match said {
                Said::Text { item_id } => item_id == id,
                Said::Raw { item_ids, .. } => item_ids.contains(id),
                Said::Thought { .. } | Said::Call(_) => false,
            })
        };
        let messages = std::mem::take(&mut self.messages);
        let texts = messages.into_iter().rev().filter(|(id, _)| named(id));
        texts.map(|(id, at)| (id, self.told.pieces.remove(at))).collect()
    }
}

fn phase_of(piece: Piece) -> Option<MessagePhase> {
    if let Piece::Entry(Entry::Assistant(message)) = piece { message.phase } else { None }
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
    let mut reader = Reader::default();
    reader.take(body);
    reader.told.pieces.iter().any(|piece| matches!(piece, Piece::Entry(entry) if is_answer(entry)))
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
    let call = ToolCall::new(&id, callee, arguments);
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
            Some(Piece::Entry(Entry::Call(ToolCall::new(call_id, callee, arguments))))
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
