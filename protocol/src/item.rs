//! Items: the visible pieces of a turn.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

mod tool;

pub use tool::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::apply;

use crate::{ids::ItemId, response_item::MessagePhase, settings::LegacyAppPathString, turn::UserInput};

/// A visible piece of a turn.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItem {
    pub completed_at_ms: Option<i64>,
    pub started_at_ms: Option<i64>,
    #[serde(flatten)]
    pub body: ThreadItemBody,
}

/// The kind of item, with the members of the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ThreadItemBody {
    UserMessage(UserMessageItem),
    HookPrompt(HookPromptItem),
    AgentMessage(AgentMessageItem),
    FunctionCallOutput(FunctionCallOutputItem),
    Plan(PlanItem),
    Reasoning(ReasoningItem),
    CommandExecution(CommandExecutionItem),
    FileChange(FileChangeItem),
    // Boxed: twice as large as the others.
    McpToolCall(Box<McpToolCallItem>),
    DynamicToolCall(DynamicToolCallItem),
    CollabAgentToolCall(CollabAgentToolCallItem),
    SubAgentActivity(SubAgentActivityItem),
    WebSearch(WebSearchItem),
    ImageView(ImageViewItem),
    Sleep(SleepItem),
    ImageGeneration(ImageGenerationItem),
    EnteredReviewMode(EnteredReviewModeItem),
    ExitedReviewMode(ExitedReviewModeItem),
    ContextCompaction(ContextCompactionItem),
}

impl ThreadItem {
    /// A message of the user; `client_id` is the client's own id for it.
    pub fn user_message(id: impl Into<ItemId>, content: Vec<UserInput>, client_id: Option<String>) -> Self {
        ThreadItemBody::UserMessage(UserMessageItem { client_id, content, id: id.into() }).into()
    }

    /// A message of the agent.
    pub fn agent_message(id: impl Into<ItemId>, text: impl Into<String>) -> Self {
        ThreadItemBody::AgentMessage(AgentMessageItem {
            delivery: None,
            id: id.into(),
            memory_citation: None,
            moderation: None,
            phase: None,
            questions: None,
            text: text.into(),
        })
        .into()
    }

    /// A helper's tool call that has just started.
    pub fn mcp_tool_call(
        id: impl Into<ItemId>,
        server: impl Into<String>,
        tool: impl Into<String>,
        arguments: Value,
    ) -> Self {
        ThreadItemBody::McpToolCall(Box::new(McpToolCallItem::new(id, server, tool, arguments))).into()
    }

    /// The item's id.
    pub fn id(&self) -> &ItemId {
        match &self.body {
            ThreadItemBody::UserMessage(item) => &item.id,
            ThreadItemBody::HookPrompt(item) => &item.id,
            ThreadItemBody::AgentMessage(item) => &item.id,
            ThreadItemBody::FunctionCallOutput(item) => &item.id,
            ThreadItemBody::Plan(item) => &item.id,
            ThreadItemBody::Reasoning(item) => &item.id,
            ThreadItemBody::CommandExecution(item) => &item.id,
            ThreadItemBody::FileChange(item) => &item.id,
            ThreadItemBody::McpToolCall(item) => &item.id,
            ThreadItemBody::DynamicToolCall(item) => &item.id,
            ThreadItemBody::CollabAgentToolCall(item) => &item.id,
            ThreadItemBody::SubAgentActivity(item) => &item.id,
            ThreadItemBody::WebSearch(item) => &item.id,
            ThreadItemBody::ImageView(item) => &item.id,
            ThreadItemBody::Sleep(item) => &item.id,
            ThreadItemBody::ImageGeneration(item) => &item.id,
            ThreadItemBody::EnteredReviewMode(item) => &item.id,
            ThreadItemBody::ExitedReviewMode(item) => &item.id,
            ThreadItemBody::ContextCompaction(item) => &item.id,
        }
    }
}

impl From<ThreadItemBody> for ThreadItem {
    fn from(body: ThreadItemBody) -> Self {
        Self { completed_at_ms: None, started_at_ms: None, body }
    }
}

/// A message of the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserMessageItem {
    #[serde(default)]
    pub client_id: Option<String>,
    pub content: Vec<UserInput>,
    pub id: ItemId,
}

/// A message of a hook in the user's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookPromptItem {
    pub fragments: Vec<HookPromptFragment>,
    pub id: ItemId,
}

/// A piece of a prompt that a hook added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookPromptFragment {
    pub hook_run_id: String,
    pub text: String,
}

/// A message of the agent.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageItem {
    pub delivery: Option<AgentMessageDelivery>,
    pub id: ItemId,
    pub memory_citation: Option<MemoryCitation>,
    pub moderation: Option<AgentMessageModeration>,
    pub phase: Option<MessagePhase>,
    pub questions: Option<Vec<AsyncUserInputQuestion>>,
    pub text: String,
}

/// An unusual way in which a message reaches the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AgentMessageDelivery {
    Async,
}

/// The result of moderating a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageModeration {
    #[serde(default)]
    pub display: Option<AgentMessageDisplay>,
    pub moderated: bool,
}

/// The display of a moderated message.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessageDisplay {
    pub action: String,
    pub block_type: Option<String>,
    pub check_trusted_contacts: Option<bool>,
    pub cyber_trusted_access: Option<bool>,
}

/// A question that the user may answer later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AsyncUserInputQuestion {
    #[serde(default)]
    pub options: Option<Vec<String>>,
    pub title: String,
}

/// The memories that a message used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryCitation {
    pub entries: Vec<MemoryCitationEntry>,
    pub thread_ids: Vec<String>,
}

/// Lines of a memory file that a message used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryCitationEntry {
    pub line_end: u32,
    pub line_start: u32,
    pub note: String,
    pub path: String,
}

/// A plan that the agent proposes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanItem {
    pub id: ItemId,
    pub text: String,
}

/// The model's reasoning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningItem {
    #[serde(default)]
    pub content: Vec<String>,
    pub id: ItemId,
    #[serde(default)]
    pub summary: Vec<String>,
}

/// An image that the agent looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageViewItem {
    pub id: ItemId,
    pub path: LegacyAppPathString,
}

/// A pause that the agent took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SleepItem {
    pub duration_ms: u64,
    pub id: ItemId,
}

/// The beginning of a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnteredReviewModeItem {
    pub id: ItemId,
    pub review: String,
}

/// The end of a review, with its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExitedReviewModeItem {
    pub id: ItemId,
    pub review: String,
}

/// The place where older history was replaced by a summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextCompactionItem {
    pub id: ItemId,
}
