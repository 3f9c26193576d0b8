//! History in the form of the model's interface, with members in snake case.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::settings::ReasoningEffort;

/// A piece of history in the form of the model's interface; clients can send it with a resume.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseItem {
    AdditionalTools {
        id: Option<String>,
        role: String,
        tools: Vec<Value>,
    },
    Message {
        content: Vec<ContentItem>,
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        phase: Option<MessagePhase>,
        role: String,
        status: Option<String>,
    },
    AgentMessage {
        author: String,
        content: Vec<AgentMessageInputContent>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        recipient: String,
    },
    Reasoning {
        content: Option<Vec<ReasoningItemContent>>,
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        summary: Vec<ReasoningItemReasoningSummary>,
    },
    LocalShellCall {
        action: LocalShellAction,
        call_id: Option<String>,
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        status: LocalShellStatus,
    },
    FunctionCall {
        arguments: String,
        call_id: String,
        encrypted_content: Option<String>,
        encrypted_function_args: Option<Vec<String>>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        name: String,
        namespace: Option<String>,
        status: Option<String>,
    },
    ToolSearchCall {
        arguments: Value,
        call_id: Option<String>,
        encrypted_content: Option<String>,
        execution: String,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        status: Option<String>,
    },
    FunctionCallOutput {
        call_id: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        name: Option<String>,
        namespace: Option<String>,
        output: FunctionCallOutputBody,
    },
    CustomToolCall {
        call_id: String,
        encrypted_content: Option<String>,
        id: Option<String>,
        input: String,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        name: String,
        namespace: Option<String>,
        status: Option<String>,
    },
    CustomToolCallOutput {
        call_id: String,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        name: Option<String>,
        output: FunctionCallOutputBody,
    },
    ToolSearchOutput {
        call_id: Option<String>,
        execution: String,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        status: String,
        tools: Vec<Value>,
    },
    WebSearchCall {
        action: Option<ResponsesApiWebSearchAction>,
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        status: Option<String>,
    },
    ImageGenerationCall {
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
        result: String,
        revised_prompt: Option<String>,
        status: String,
    },
    Compaction {
        encrypted_content: String,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
    },
    ConfigurationUpdate {
        reasoning: ConfigurationReasoning,
    },
    CompactionTrigger,
    ContextCompaction {
        encrypted_content: Option<String>,
        id: Option<String>,
        internal_chat_message_metadata_passthrough: Option<InternalChatMessageMetadataPassthrough>,
    },
    Other,
}

/// Metadata that travels with a piece of history untouched.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct InternalChatMessageMetadataPassthrough {
    pub turn_id: Option<String>,
}

/// A piece of a message.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentItem {
    InputText {
        text: String,
    },
    InputImage {
        detail: Option<ImageDetail>,
        #[serde(flatten)]
        source: InputImageSource,
    },
    InputAudio {
        #[serde(flatten)]
        source: InputAudioSource,
    },
    OutputText {
        annotations: Option<Vec<Value>>,
        logprobs: Option<Vec<Value>>,
        text: String,
    },
}

/// The source of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputImageSource {
    ImageUrl(String),
    FileId(String),
}

/// The source of an audio clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputAudioSource {
    AudioUrl(String),
    FileId(String),
}

/// The output of a function: a text, or pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FunctionCallOutputBody {
    Text(String),
    Pieces(Vec<FunctionCallOutputContentItem>),
}

/// A piece of the output of a function.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FunctionCallOutputContentItem {
    InputText {
        text: String,
    },
    InputImage {
        detail: Option<ImageDetail>,
        #[serde(flatten)]
        source: InputImageSource,
    },
    InputAudio {
        #[serde(flatten)]
        source: InputAudioSource,
    },
    EncryptedContent {
        encrypted_content: String,
    },
}

/// A piece of a message from one agent to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentMessageInputContent {
    InputText { text: String },
    EncryptedContent { encrypted_content: String },
}

/// A piece of reasoning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReasoningItemContent {
    ReasoningText { text: String },
    Text { text: String },
}

/// A piece of a reasoning summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReasoningItemReasoningSummary {
    SummaryText { text: String },
}

/// A command that a model asked to be run.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LocalShellAction {
    Exec {
        command: Vec<String>,
        env: Option<BTreeMap<String, String>>,
        timeout_ms: Option<u64>,
        user: Option<String>,
        working_directory: Option<String>,
    },
}

/// The state of such a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalShellStatus {
    Completed,
    InProgress,
    Incomplete,
}

/// The action of a model in a web search.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponsesApiWebSearchAction {
    Search { queries: Option<Vec<String>>, query: Option<String> },
    OpenPage { url: Option<String> },
    FindInPage { pattern: Option<String>, url: Option<String> },
    Other,
}

/// A change of the reasoning settings within a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationReasoning {
    pub effort: ReasoningEffort,
}

/// The part of an answer that a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessagePhase {
    Commentary,
    PartialAnswer,
    FinalAnswer,
}

/// The detail in which a model looks at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageDetail {
    Auto,
    Low,
    High,
    Original,
}
