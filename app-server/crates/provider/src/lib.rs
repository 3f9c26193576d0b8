//! Models. A provider turns a conversation, the tools on offer and the settings into a stream of events. It knows
//! nothing of threads, connections or files. Each provider is one file or folder.

use std::time::Duration;

use async_trait::async_trait;
use skein_protocol::response_item::MessagePhase;
use skein_protocol::turn::CodexErrorInfo;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub mod abilities;
pub mod anthropic;
pub mod echo;
pub mod gone;
pub mod http;
pub(crate) mod known;
pub mod openai_chat;
pub mod openai_responses;
pub mod policy;
pub(crate) mod prompt;
pub mod scripted;
pub mod spec;
pub mod tool_name;

pub use http::form::Stopped;
pub use known::Providers;
pub use prompt::{
    AssistantMessage, Callee, Content, Entry, Image, ModelSettings, Prompt, Reasoning, ToolCall, ToolChoice,
    ToolResult, ToolSpec,
};

/// One event of a model's stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// A message begins; its phase, if the provider names one. Text without this event begins a message, too.
    MessageStarted(Option<MessagePhase>),
    /// The next piece of the message's text.
    TextDelta(String),
    /// The message is complete. A text that is not empty replaces the streamed pieces. Later text belongs to the next
    /// message.
    Message(AssistantMessage),
    /// The next piece of the model's reasoning, for the user.
    ReasoningDelta {
        /// Whether the piece belongs to the summary or to the reasoning itself.
        of: Thoughts,
        /// The index of the part, from 0. Parts arrive in order.
        part: usize,
        /// The piece.
        text: String,
    },
    /// A complete thought. It goes back to the model with the rest of this answer until the turn ends.
    Reasoning(Reasoning),
    /// The model calls a tool. After the answer all its calls run together, and the model is asked again with their
    /// results.
    ToolCall(ToolCall),
    /// The model asks the user a question and expects the answer as a result.
    Question(String),
    /// The cost of this answer.
    Usage(TokenUsage),
    /// The answer broke off and starts again; drop everything before this event.
    Again(ProviderError),
}

/// The kind of a reasoning piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoughts {
    /// The provider's summary for the user.
    Summary,
    /// The reasoning itself.
    Content,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens read by the model, cached ones included.
    pub input: i64,
    /// The part of `input` that came from the provider's cache.
    pub cached_input: i64,
    /// The part of `input` that was written to the provider's cache.
    pub cache_write_input: i64,
    /// Tokens written by the model, reasoning included.
    pub output: i64,
    /// The part of `output` that is reasoning.
    pub reasoning_output: i64,
}

/// The reason why a model gave no answer, in words for the user.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// The problem and its remedy.
    pub message: String,
    /// The same for programs, as the protocol names it.
    pub info: Option<CodexErrorInfo>,
    /// The provider's own message, for a closer look. Contains no secrets.
    pub details: Option<String>,
    /// Why the provider ended an answer on purpose before it was complete.
    pub stopped: Option<Stopped>,
    /// The wait before the next try, with [`ModelEvent::Again`].
    pub wait: Option<Duration>,
}

impl ProviderError {
    /// An error with nothing but a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), info: None, details: None, stopped: None, wait: None }
    }
}

/// A model in a provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// The name that `model` takes.
    pub id: String,
    /// The display name, if the provider has one.
    pub display_name: Option<String>,
}

/// A model behind its adapter.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Streams one answer into `events`, a bounded queue. The answer ends with the future, soon after `cancel`, and
    /// at once when the future is dropped. After `cancel`, `Ok` does not mean a complete answer: check the token
    /// first.
    ///
    /// # Errors
    /// The model gave no answer, or only a part of it.
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError>;

    /// Whether the provider reads more than the user's last message: the earlier conversation and [`Prompt::tools`].
    /// If not, nobody gathers them.
    fn reads_context(&self) -> bool {
        true
    }

    /// The most tools of [`Prompt::tools`] that the provider takes; `None` is no bound.
    fn most_tools(&self) -> Option<usize> {
        None
    }

    /// The provider's models; `None` if it does not list them.
    ///
    /// # Errors
    /// The provider did not answer.
    async fn models(&self) -> Result<Option<Vec<ListedModel>>, ProviderError> {
        Ok(None)
    }
}
