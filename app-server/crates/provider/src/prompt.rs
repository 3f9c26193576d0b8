//! The input of a model: conversation, tools and settings, in no provider's form. Each adapter translates it.

use std::sync::Arc;

use serde_json::{Map, Value};
use skein_protocol::ids::ThreadId;
use skein_protocol::response_item::MessagePhase;
use skein_protocol::settings::{ReasoningEffort, ReasoningSummary};

use super::tool_name;
use crate::policy;

/// A request for one answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The thread. A provider may use it as a cache key.
    pub thread: ThreadId,
    /// The model's name.
    pub model: String,
    /// How to answer.
    pub settings: ModelSettings,
    /// The conversation, oldest first; the model answers its end. An interrupted call has no result. A result may
    /// lack its call if older entries were left out. Each adapter decides how to send those.
    pub history: Vec<Entry>,
    /// The tools that the model may call.
    pub tools: Arc<[ToolSpec]>,
    /// Whether the model may call tools.
    pub tool_choice: ToolChoice,
}

/// Whether a model may call the tools on offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No calls. The tools are sent anyway: the conversation has calls, and the provider's cache begins with them.
    None,
}

impl Prompt {
    /// An estimate of the texts' tokens. Images and thoughts are not counted.
    pub fn estimated_tokens(&self) -> i64 {
        let tool =
            |tool: &ToolSpec| tool.name.len() + tool.description.len() + tool.parameters.to_string().len();
        let bytes = self.settings.instructions.as_ref().map_or(0, String::len)
            + self.tools.iter().map(tool).sum::<usize>()
            + self.history.iter().map(Entry::text_bytes).sum::<usize>();
        i64::try_from(bytes.div_ceil(policy::TOKEN_BYTES)).unwrap_or(i64::MAX)
    }

    /// The texts of the user's last message, one a line.
    pub fn last_words(&self) -> String {
        let said = self.history.iter().rev().find_map(|entry| match entry {
            Entry::User(content) => Some(content.iter().filter_map(Content::as_text).collect::<Vec<_>>()),
            Entry::Developer(_)
            | Entry::Assistant(_)
            | Entry::Reasoning(_)
            | Entry::Call(_)
            | Entry::Result(_) => None,
        });
        said.unwrap_or_default().join("\n")
    }

    /// The results at the end of the conversation, oldest first.
    pub fn last_results(&self) -> Vec<&ToolResult> {
        let results = self.history.iter().rev().map_while(|entry| match entry {
            Entry::Result(result) => Some(result),
            Entry::User(_)
            | Entry::Developer(_)
            | Entry::Assistant(_)
            | Entry::Reasoning(_)
            | Entry::Call(_) => None,
        });
        let mut results: Vec<&ToolResult> = results.collect();
        results.reverse();
        results
    }
}

/// How a model should answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// Instructions for the whole conversation.
    pub instructions: Option<String>,
    /// The reasoning effort, in the provider's words.
    pub effort: Option<ReasoningEffort>,
    /// How much of the reasoning the user sees.
    pub summary: Option<ReasoningSummary>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// A JSON schema for the answer's text.
    pub output_schema: Option<Value>,
    /// The user's limit of an answer, in tokens.
    pub wanted_output: Option<u32>,
    /// The limit for interfaces that require one; the model's own limit if the user sets none.
    pub output: Option<u32>,
    /// Whether the model makes one call at a time.
    pub one_call: bool,
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// The name for the model: 1 to 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// The description for the model.
    pub description: String,
    /// A JSON schema of the arguments, which are an object.
    pub parameters: Value,
}

/// One piece of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A message of the user.
    User(Vec<Content>),
    /// A message of the developer, between the others.
    Developer(String),
    /// A message of the model.
    Assistant(AssistantMessage),
    /// A thought of the model, in this turn or in an answer that called tools.
    Reasoning(Reasoning),
    /// A tool call. Consecutive calls were requested together; each has its result later in the conversation.
    Call(ToolCall),
    /// The result of a call.
    Result(ToolResult),
}

/// A message of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssistantMessage {
    /// The text.
    pub text: String,
    /// The part of the answer, if the provider names one. It goes back to the model with the text.
    pub phase: Option<MessagePhase>,
}

impl From<String> for AssistantMessage {
    fn from(text: String) -> Self {
        Self { text, phase: None }
    }
}

impl From<&str> for AssistantMessage {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Entry {
    fn text_bytes(&self) -> usize {
        let of = |content: &[Content]| content.iter().filter_map(Content::as_text).map(str::len).sum();
        match self {
            Self::User(content) => of(content),
            Self::Developer(text) => text.len(),
            Self::Assistant(message) => message.text.len(),
            Self::Reasoning(_) => 0,
            Self::Call(call) => call.arguments.len(),
            Self::Result(result) => of(&result.content),
        }
    }
}

/// A piece of a user's message or of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// An image.
    Image(Image),
}

impl Content {
    /// The text; `None` for an image.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image(_) => None,
        }
    }
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// An `https:` address, as the client sent it.
    Url(String),
    /// The image itself.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// Its bytes in base64 (RFC 4648, with padding).
        base64: String,
    },
}

impl Image {
    /// The address; a `data:` URL (RFC 2397) for inline data.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
        }
    }
}

/// A model's reasoning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Parts of the summary.
    pub summary: Vec<String>,
    /// Parts of the reasoning itself, if the provider shows it.
    pub content: Vec<String>,
    /// The same in the provider's own form, sealed or signed, to send back unchanged. `None`: not sent back.
    pub own_form: Option<Value>,
}

/// A tool call that the model wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The provider's id of this call, which its result repeats.
    pub id: String,
    /// The tool.
    pub callee: Callee,
    /// The arguments as the model wrote them; usually JSON.
    pub arguments: String,
    /// Members that only the provider knows, such as signatures. They go back unchanged.
    pub more: Map<String, Value>,
}

impl ToolCall {
    /// A call without members of the provider's own.
    pub fn new(id: impl Into<String>, callee: Callee, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), callee, arguments: arguments.into(), more: Map::new() }
    }
}

/// The target of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// The tool offered under this name.
    Offered(String),
    /// A helper's tool, by the helper's own name for it.
    Helper {
        /// The helper.
        server: String,
        /// Its tool.
        tool: String,
    },
}

impl Callee {
    /// The model's name for the tool.
    pub fn name(&self) -> String {
        match self {
            Self::Offered(name) => name.clone(),
            Self::Helper { server, tool } => tool_name::of_helper(server, tool),
        }
    }
}

/// The result of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call's id.
    pub id: String,
    /// The content for the model.
    pub content: Vec<Content>,
    /// Whether the tool reported a failure, or could not be called.
    pub failed: bool,
}

impl ToolResult {
    /// A result of one text.
    pub fn text(id: impl Into<String>, text: impl Into<String>, failed: bool) -> Self {
        Self { id: id.into(), content: vec![Content::Text(text.into())], failed }
    }

    /// All texts, one a line.
    pub fn texts(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(Content::as_text).collect();
        texts.join("\n")
    }
}
