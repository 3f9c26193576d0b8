//! Threads, and the messages that start, resume, list and name them.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

mod archive;
mod edits;
mod goals;
mod pages;
mod queue;
mod read_state;
mod requests;
mod search;
mod settings;

pub use archive::*;
pub use edits::*;
pub use goals::*;
pub use pages::*;
pub use queue::*;
pub use read_state::*;
pub use requests::*;
pub use search::*;
pub use settings::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::{apply, skip_serializing_none};

use crate::{
    JsonObject,
    extension::ThreadDetails,
    ids::ThreadId,
    settings::{AbsolutePathBuf, AgentPath, LegacyAppPathString, ReasoningEffort, ThreadSource},
    turn::Turn,
};

/// A conversation: an ordered history of turns.
#[apply(Option => #[serde(default)])]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    pub agent_nickname: Option<String>,
    pub agent_role: Option<String>,
    pub attached_to_thread_id: Option<ThreadId>,
    pub can_accept_direct_input: Option<bool>,
    pub cli_version: String,
    pub created_at: i64,
    pub cwd: AbsolutePathBuf,
    pub daybreak_enabled: Option<bool>,
    pub environments: Option<Vec<ThreadEnvironment>>,
    pub ephemeral: bool,
    pub extra: Option<JsonObject>,
    pub forked_from_id: Option<ThreadId>,
    pub git_info: Option<GitInfo>,
    #[serde(default)]
    pub history_mode: ThreadHistoryMode,
    pub id: ThreadId,
    pub model: Option<String>,
    pub model_provider: String,
    pub name: Option<String>,
    pub originator: Option<String>,
    pub parent_thread_id: Option<ThreadId>,
    pub path: Option<String>,
    pub preview: String,
    pub project_id: Option<String>,
    pub reasoning_effort: Option<ReasoningEffort>,
    pub recency_at: Option<i64>,
    pub section: Option<ThreadSection>,
    pub section_entered_at: Option<i64>,
    pub session_id: ThreadId,
    pub source: SessionSource,
    pub status: ThreadStatus,
    pub thread_source: Option<ThreadSource>,
    pub turns: Vec<Turn>,
    pub updated_at: i64,
    /// The questions that wait, in lists and reads of a thread with such questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skein: Option<ThreadDetails>,
}

impl Thread {
    /// A new, idle thread without turns. Its source is `vscode`, the wire's word for clients of an app-server, which
    /// thread pickers filter on. Its history can be read page by page. Times are Unix seconds.
    pub fn new(
        id: ThreadId,
        cwd: impl Into<AbsolutePathBuf>,
        model_provider: impl Into<String>,
        created_at: i64,
    ) -> Self {
        Self {
            agent_nickname: None,
            agent_role: None,
            attached_to_thread_id: None,
            can_accept_direct_input: Some(true),
            cli_version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at,
            cwd: cwd.into(),
            daybreak_enabled: None,
            environments: None,
            ephemeral: false,
            extra: None,
            forked_from_id: None,
            git_info: None,
            history_mode: ThreadHistoryMode::Paginated,
            id,
            model: None,
            model_provider: model_provider.into(),
            name: None,
            originator: None,
            parent_thread_id: None,
            path: None,
            preview: String::new(),
            project_id: None,
            reasoning_effort: None,
            recency_at: Some(created_at),
            section: None,
            section_entered_at: None,
            session_id: id,
            source: SessionSource::VsCode,
            status: ThreadStatus::Idle,
            thread_source: None,
            turns: Vec::new(),
            updated_at: created_at,
            skein: None,
        }
    }
}

/// The status of a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadStatus {
    NotLoaded,
    Idle,
    SystemError,
    Active { active_flags: Vec<ThreadActiveFlag> },
}

/// The reason why an active thread waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadActiveFlag {
    WaitingOnApproval,
    WaitingOnUserInput,
}

/// The way in which a client reads a thread's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadHistoryMode {
    #[default]
    Legacy,
    Paginated,
}

/// The kind of client that created a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionSource {
    Cli,
    #[serde(rename = "vscode")]
    VsCode,
    Exec,
    AppServer,
    Unknown,
    Custom(String),
    SubAgent(SubAgentSource),
}

/// The reason why an agent created a thread.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubAgentSource {
    Review,
    Compact,
    MemoryConsolidation,
    ThreadSpawn {
        agent_nickname: Option<String>,
        agent_path: Option<AgentPath>,
        agent_role: Option<String>,
        depth: i32,
        parent_thread_id: ThreadId,
    },
    Other(String),
}

/// An environment that a thread's turns run in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadEnvironment {
    pub cwd: LegacyAppPathString,
    pub environment_id: String,
    pub runtime_workspace_roots: Vec<LegacyAppPathString>,
}

/// The state of the working directory's repository when the thread began.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GitInfo {
    pub branch: Option<String>,
    pub origin_url: Option<String>,
    pub sha: Option<String>,
}

/// The user's section of the list for a thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSection {
    #[serde(default)]
    pub appearance: Option<ThreadSectionAppearance>,
    pub id: String,
    pub name: String,
}

/// The look of a section.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadSectionAppearance {
    pub color: Option<String>,
    pub icon: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_thread_is_one_that_thread_pickers_show() {
        let id = ThreadId::new(uuid::Uuid::from_u128(1));
        let start = ThreadStartResponse::new(Thread::new(id, "/home", "echo", 5), "echo-1");
        let resume = ThreadResumeResponse::from(start.clone());
        for answer in [json!(start), json!(resume)] {
            let thread = &answer["thread"];
            assert_eq!(thread["source"], "vscode");
            assert_eq!(thread["historyMode"], "paginated");
            assert_eq!(thread["status"], json!({ "type": "idle" }));
            assert_eq!((&thread["id"], &thread["sessionId"]), (&json!(id), &json!(id)));
            assert_eq!((&answer["cwd"], &answer["modelProvider"]), (&json!("/home"), &json!("echo")));
            assert!(
                thread.get("projectId").is_some_and(serde_json::Value::is_null),
                "sent although it is null"
            );
        }
    }
}
