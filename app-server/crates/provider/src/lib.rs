//! Models. A provider turns a conversation, the tools on offer and the settings into a stream of events; it knows nothing
//! of threads, connections or files. One file, or folder, a provider.

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
    /// A message begins, of this phase where the provider names one. Text without it begins a message, too.
    MessageStarted(Option<MessagePhase>),
    /// The next piece of the message's text.
    TextDelta(String),
    /// The message is whole. Its text is the provider's last word and replaces the pieces; an empty one leaves them as they are.
    /// Text behind it belongs to the next message.
    Message(AssistantMessage),
    /// The next piece of what the model thinks, for the user.
    ReasoningDelta {
        /// Whether it is of a summary, or of the thoughts themselves.
        of: Thoughts,
        /// Which part of it, counted from 0; a part follows the one before it.
        part: usize,
        /// The piece.
        text: String,
    },
    /// A whole thought. It goes back to the model with the rest of this answer, while the turn lasts.
    Reasoning(Reasoning),
    /// The model wants a tool called. All calls of an answer are carried out together, and the model is asked again with
    /// their results.
    ToolCall(ToolCall),
    /// The model asks the user something, and wants to be asked again with the answer as result.
    Question(String),
    /// What this answer cost.
    Usage(Usage),
    /// The answer broke off and begins anew: nothing that it said before counts.
    Again(ProviderError),
}

/// What a piece of reasoning belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoughts {
    /// The summary that the provider made for the user.
    Summary,
    /// The thoughts themselves.
    Content,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read by the model, from its cache or not.
    pub input: i64,
    /// Of those, from its cache.
    pub cached_input: i64,
    /// Of those, written to its cache.
    pub cache_write_input: i64,
    /// Written by it, its reasoning among it.
    pub output: i64,
    /// Of those, reasoning.
    pub reasoning_output: i64,
}

/// Why a model gave no answer, in words for the user.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What happened, and what to do.
    pub message: String,
    /// The same for programs, as the protocol names it.
    pub info: Option<CodexErrorInfo>,
    /// What the provider said, for whoever looks closer. Without secrets.
    pub details: Option<String>,
    /// Why the answer was over before all was said, where it had begun and was ended on purpose.
    pub stopped: Option<Stopped>,
}

impl ProviderError {
    /// Known by its message only.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), info: None, details: None, stopped: None }
    }
}

/// A model that a provider has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// Its name, as `model` takes it.
    pub id: String,
    /// Its name for people, where the provider has one.
    pub display_name: Option<String>,
}

/// A model behind its adapter.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Streams one answer into `events`, a bounded queue. The end of the future is the end of the answer; it ends
    /// soon after `cancel`, and nothing of it goes on after it was dropped. `Ok` after `cancel` says nothing of the answer,
    /// which may have been cut off anywhere: who cancels asks the token before it takes an answer for whole.
    ///
    /// # Errors
    /// The model gave no answer, or not all of it.
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError>;

    /// Whether it looks at more than what the user said last: at what was said before the turn, and at [`Prompt::tools`].
    /// Where it does not, neither is gathered.
    fn reads_context(&self) -> bool {
        true
    }

    /// How many of [`Prompt::tools`] it takes; `None` is no bound.
    fn most_tools(&self) -> Option<usize> {
        None
    }

    /// Its models. None where it does not list them.
    ///
    /// # Errors
    /// It was asked and did not answer.
    async fn models(&self) -> Result<Option<Vec<ListedModel>>, ProviderError> {
        Ok(None)
    }
}
