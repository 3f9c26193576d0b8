//! Records that are about the thread as a whole: what it is, what it works with, where it stands, where it comes from.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::settings::{
    ApprovalsReviewer, AskForApproval, CollaborationMode, DynamicToolSpec, ModeKind, Personality,
    ReasoningSummary, SandboxPolicy,
};
use skein_protocol::thread::{
    GitInfo, SessionSource, ThreadGoalStatus, ThreadReadState, ThreadUnreadPosition,
};
use uuid::Uuid;

use crate::home::Term;

/// What a thread works with. Written whole each time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadSettings {
    /// Absolute working directory.
    pub cwd: String,
    /// The model.
    pub model: String,
    /// Its provider.
    pub model_provider: String,
    /// How hard it should think, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// How much of its thoughts the user sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_summary: Option<ReasoningSummary>,
    /// The mode that the user has chosen. Its model and effort are those above; its instructions stand here only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collaboration_mode: Option<CollaborationMode>,
    /// The provider's service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// When the user is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<AskForApproval>,
    /// Who decides on approvals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may touch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxPolicy>,
    /// Instructions in place of the built-in ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<String>,
    /// Instructions beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<String>,
    /// The tone of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// What the client sent as `config`, such as its helpers, without the secrets. Rollouts of earlier versions have them here.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// The secrets of that `config`. They are in no line: a store keeps them in a file of their own.
    #[serde(skip)]
    pub secrets: SecretValues,
    /// The tools that the client carries out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dynamic_tools: Vec<DynamicToolSpec>,
}

/// Secrets by the keys of a `config`. It prints as how many there are.
#[derive(Clone, Default, PartialEq)]
pub struct SecretValues(pub Map<String, Value>);

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretValues").field(&self.0.len()).finish()
    }
}

impl SecretValues {
    /// Adds secrets; a newer one of the same key takes the place.
    pub fn add(&mut self, newer: Map<String, Value>) {
        merge(&mut self.0, newer);
    }
}

fn merge(there: &mut Map<String, Value>, newer: Map<String, Value>) {
    for (key, value) in newer {
        match (there.get_mut(&key), value) {
            (Some(Value::Object(there)), Value::Object(newer)) => merge(there, newer),
            (_, value) => drop(there.insert(key, value)),
        }
    }
}

impl ThreadSettings {
    /// Whether the agent plans or acts, where the user has chosen.
    #[must_use]
    pub fn mode(&self) -> Option<ModeKind> {
        self.collaboration_mode.as_ref().map(|chosen| chosen.mode)
    }

    /// What the mode that the user has chosen adds to the instructions.
    #[must_use]
    pub fn mode_instructions(&self) -> Option<&str> {
        self.collaboration_mode.as_ref()?.settings.developer_instructions.as_deref()
    }
}

/// `thread.created`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadCreated {
    /// The thread itself, so that a file that lost its name can be recognised.
    pub id: ThreadId,
    /// The kind of client that made it.
    pub source: SessionSource,
    /// Who made it, in the client's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_source: Option<String>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator: Option<String>,
    /// The version of the server that made it.
    pub cli_version: String,
    /// The thread whose history it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ThreadId>,
    /// The repository at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
    /// What it works with.
    pub settings: ThreadSettings,
}

/// `thread.opened`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadOpened {
    /// The start of the machine that loaded the thread (see `Home::machine_boot`).
    pub boot_id: Uuid,
    /// Its ownership.
    pub term: Term,
    /// The version of the history from here on.
    pub epoch: Epoch,
}

/// `thread.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThreadClosed {}

/// `thread.named`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadNamed {
    /// The new name; null takes it away.
    pub name: Option<String>,
}

/// `thread.meta`. What is left out stays as it was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadMeta {
    /// The settings from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<ThreadSettings>,
    /// The repository now; one without members takes away what was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_info: Option<GitInfo>,
}

/// `thread.read`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRead {
    /// What is unread from here on; nothing where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_unread: Option<ThreadUnreadPosition>,
    /// A record of that turn. (A line has a member `at` of its own.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<EventSeq>,
}

/// What the user has read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadPosition {
    /// The first thing that is unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_unread: Option<ThreadUnreadPosition>,
    /// A record of that turn. (A line has a member `at` of its own.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<EventSeq>,
    /// The record that has changed it last; 0 for none.
    pub(crate) revision: EventSeq,
}

impl ReadPosition {
    /// As clients see it.
    #[must_use]
    pub fn state(&self) -> ThreadReadState {
        ThreadReadState { first_unread: self.first_unread.clone(), revision: self.revision.to_string() }
    }
}

/// `thread.goal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadGoal {
    /// The goal from here on; null takes it away.
    pub goal: Option<Goal>,
}

/// What a thread is to reach, and what that has taken so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// In the user's words.
    pub objective: String,
    /// How far it is.
    pub status: ThreadGoalStatus,
    /// Tokens that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<i64>,
    /// Tokens of turns while it was active.
    pub tokens_used: i64,
    /// Milliseconds of turns that have ended while it was active.
    pub time_used_ms: i64,
    /// When it was set first, Unix milliseconds.
    pub created_at_ms: i64,
    /// When it was changed last, Unix milliseconds.
    pub updated_at_ms: i64,
}

/// `archived`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Archived {}

/// `unarchived`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unarchived {}

/// `forked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forked {
    /// The thread whose records stand before this one.
    pub from: ThreadId,
    /// The last of them.
    pub up_to: EventSeq,
    /// The version of the history from here on.
    pub epoch: Epoch,
    /// Who made it, in the client's words, where the client said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_source: Option<String>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator: Option<String>,
}

/// `imported`: behind `thread.created`, so that it is found without reading the thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The name of the file that they were made from, or of the newest one.
    pub from: String,
    /// Bytes of all those files together, as they were.
    pub bytes: u64,
    /// The number of the last record that was made from them.
    pub last: EventSeq,
}
