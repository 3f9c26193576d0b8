//! Models. A provider turns what the user said into a stream of events; it knows nothing of threads, connections
//! or files. One file a provider.

use async_trait::async_trait;
use serde_json::Value;
use skein_protocol::turn::UserInput;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub mod echo;

/// What a provider is asked.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// The model's name.
    pub model: String,
    /// What the user said, in order: the input of the turn, then what was added while it ran.
    pub input: Vec<UserInput>,
    /// Results of the tool calls that the last answer asked for, in the order of its calls.
    pub results: Vec<ToolResult>,
}

/// What came of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The text a model reads.
    pub text: String,
    /// Whether the tool said that it failed.
    pub failed: bool,
}

/// A tool call that the model wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The helper.
    pub server: String,
    /// Its tool.
    pub tool: String,
    /// The tool's arguments, an object.
    pub arguments: Value,
}

/// One event of a model's stream.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The next piece of the answer's text.
    TextDelta(String),
    /// The model wants tools called, all at once, and to be asked again with their results.
    ToolCalls(Vec<ToolCall>),
    /// The model asks the user something, and wants to be asked again with the answer as result.
    Question(String),
    /// What this answer cost.
    Usage(Usage),
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read by the model.
    pub input: i64,
    /// Written by it.
    pub output: i64,
}

/// Why a model gave no answer, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What happened, and what to do.
    pub message: String,
}

/// A model behind its adapter.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Streams one answer into `events`, a bounded queue. The end of the future is the end of the answer; it ends
    /// soon after `cancel`.
    ///
    /// # Errors
    /// The model gave no answer, or not all of it.
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError>;
}
