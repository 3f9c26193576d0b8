//! What a model is asked: the conversation so far, the tools on offer, the settings. In no provider's own form; each
//! adapter makes of it what its interface wants.

use std::sync::Arc;

use serde_json::{Map, Value};
use skein_protocol::ids::ThreadId;
use skein_protocol::response_item::MessagePhase;
use skein_protocol::settings::{ReasoningEffort, ReasoningSummary};

use super::tool_name;
use crate::policy;

/// What a provider is asked: for one answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Whose conversation it is. A provider may use it to find again what it has cached.
    pub thread: ThreadId,
    /// The model's name.
    pub model: String,
    /// How it should answer.
    pub settings: ModelSettings,
    /// The conversation, oldest first. Its end is what the model is to answer. A call may be without a result, where it was
    /// cut off, and a result without its call, where older entries were left out: what comes of them is each adapter's to say.
    pub history: Vec<Entry>,
    /// What the model may call.
    pub tools: Arc<[ToolSpec]>,
    /// Whether it may.
    pub tool_choice: ToolChoice,
}

/// Whether a model may call the tools that it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it wants.
    #[default]
    Auto,
    /// It may not: they are shown because the conversation has calls, and because what a provider remembers begins with them.
    None,
}

impl Prompt {
    /// About how many tokens its texts are. Pictures and thoughts are not counted.
    #[must_use]
    pub fn estimated_tokens(&self) -> i64 {
        let tool =
            |tool: &ToolSpec| tool.name.len() + tool.description.len() + tool.parameters.to_string().len();
        let bytes = self.settings.instructions.as_ref().map_or(0, String::len)
            + self.tools.iter().map(tool).sum::<usize>()
            + self.history.iter().map(Entry::text_bytes).sum::<usize>();
        i64::try_from(bytes.div_ceil(policy::TOKEN_BYTES)).unwrap_or(i64::MAX)
    }

    /// What the user said last: its texts, a line each.
    #[must_use]
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

    /// The results that the conversation ends with, oldest first.
    #[must_use]
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
    /// What holds for the whole conversation.
    pub instructions: Option<String>,
    /// How hard it should think, in the provider's words.
    pub effort: Option<ReasoningEffort>,
    /// How much of its thoughts the user sees.
    pub summary: Option<ReasoningSummary>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// A JSON schema that the answer's text has to meet.
    pub output_schema: Option<Value>,
    /// The most tokens that the user lets an answer take.
    pub wanted_output: Option<u32>,
    /// The same for interfaces that want a bound; what the model writes where the user has none.
    pub output: Option<u32>,
    /// Whether the model is to make one call at a time.
    pub one_call: bool,
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Its name for the model: 1 to 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// A JSON schema of its arguments, which are an object.
    pub parameters: Value,
}

/// One piece of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The user said this.
    User(Vec<Content>),
    /// Who runs the conversation said this, between the others.
    Developer(String),
    /// The model said this.
    Assistant(AssistantMessage),
    /// The model thought this, in an answer of the same turn, or in one that called tools.
    Reasoning(Reasoning),
    /// The model wanted this. Calls that follow each other were wanted together; each has its result behind it, after
    /// other calls or not.
    Call(ToolCall),
    /// This came of a call.
    Result(ToolResult),
}

/// A message of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssistantMessage {
    /// What it says.
    pub text: String,
    /// Which part of the answer it is, where the provider says so. It goes back to the model with the text.
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
    /// Bytes of its texts.
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

/// A piece of what the user said, or of what came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A picture.
    Image(Image),
}

impl Content {
    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image(_) => None,
        }
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Where it is: `https:`, as the client sent it.
    Url(String),
    /// Itself.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// Its bytes in base64 (RFC 4648, with padding).
        base64: String,
    },
}

impl Image {
    /// Its address; a `data:` URL (RFC 2397) where it is the picture itself.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
        }
    }
}

/// What a model thought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Parts of a summary.
    pub summary: Vec<String>,
    /// Parts of the thoughts themselves, where the provider shows them.
    pub content: Vec<String>,
    /// The same in the provider's own form, sealed or signed: it is sent back as it came. None: it is not sent back.
    pub own_form: Option<Value>,
}

/// A tool call that the model wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The provider's name for this call. Its result bears it, too.
    pub id: String,
    /// What is called.
    pub callee: Callee,
    /// The arguments as the model wrote them: JSON, or what it took for JSON.
    pub arguments: String,
    /// Members that only the provider knows, such as signatures. They go back as they came.
    pub more: Map<String, Value>,
}

impl ToolCall {
    /// A call of which the provider says nothing else.
    #[must_use]
    pub fn new(id: impl Into<String>, callee: Callee, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), callee, arguments: arguments.into(), more: Map::new() }
    }
}

/// What a call calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// The tool that was on offer by this name.
    Offered(String),
    /// A helper's tool, named as its helper names it.
    Helper {
        /// The helper.
        server: String,
        /// Its tool.
        tool: String,
    },
}

impl Callee {
    /// The name by which a model knows it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Offered(name) => name.clone(),
            Self::Helper { server, tool } => tool_name::of_helper(server, tool),
        }
    }
}

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call's.
    pub id: String,
    /// What the model reads.
    pub content: Vec<Content>,
    /// Whether the tool said that it failed, or could not be called.
    pub failed: bool,
}

impl ToolResult {
    /// A text.
    #[must_use]
    pub fn text(id: impl Into<String>, text: impl Into<String>, failed: bool) -> Self {
        Self { id: id.into(), content: vec![Content::Text(text.into())], failed }
    }

    /// All of its texts, a line each.
    #[must_use]
    pub fn texts(&self) -> String {
        let texts: Vec<&str> = self.content.iter().filter_map(Content::as_text).collect();
        texts.join("\n")
    }
}
