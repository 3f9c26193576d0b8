//! Records about the whole thread: its creation, settings, location, origin and goal.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use skein_protocol::budget::ThreadBudget;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::settings::{
    ApprovalsReviewer, AskForApproval, CollaborationMode, DynamicToolSpec, ModeKind, Personality,
    ReasoningSummary, SandboxPolicy,
};
use skein_protocol::thread::{
    GitInfo, SessionSource, ThreadGoalStatus, ThreadReadState, ThreadUnreadPosition,
};
use uuid::Uuid;

use super::Record;
use crate::home::Term;

/// The settings of a thread. Always written whole.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredSettings {
    /// Absolute working directory.
    pub cwd: String,
    /// The model.
    pub model: String,
    /// The model's provider.
    pub model_provider: String,
    /// The reasoning effort, in the provider's words.
    pub reasoning_effort: Option<String>,
    /// The amount of reasoning that the user sees.
    pub reasoning_summary: Option<ReasoningSummary>,
    /// The user's mode. Model and effort stand above; only its instructions stand here.
    pub collaboration_mode: Option<CollaborationMode>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// The policy for asking the user.
    pub approval_policy: Option<AskForApproval>,
    /// The reviewer of approvals.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// The files and networks that commands may touch.
    pub sandbox: Option<SandboxPolicy>,
    /// Instructions in place of the built-in ones.
    pub base_instructions: Option<String>,
    /// Instructions beside them.
    pub developer_instructions: Option<String>,
    /// The tone of the agent.
    pub personality: Option<Personality>,
    /// The limits of its turns for the use of models, where they differ from the server's settings.
    #[serde(skip_serializing_if = "is_default")]
    pub budget: ThreadBudget,
    /// The client's `config`, such as its helpers, without the secrets. Rollouts of earlier versions have them here.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// The secrets of that `config`. No line has them: a store keeps them in a file of their own.
    #[serde(skip)]
    pub secrets: SecretValues,
    /// Tools that the client runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dynamic_tools: Vec<DynamicToolSpec>,
}

fn is_default(budget: &ThreadBudget) -> bool {
    *budget == ThreadBudget::default()
}

/// Secrets by the keys of a `config`. Debug output shows only their count.
#[derive(Clone, Default, PartialEq)]
pub struct SecretValues(pub Map<String, Value>);

impl fmt::Debug for SecretValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretValues").field(&self.0.len()).finish()
    }
}

impl SecretValues {
    /// Adds secrets; a newer one replaces that of the same key.
    pub fn add(&mut self, newer: Map<String, Value>) {
        merge(&mut self.0, newer);
    }

    /// The secrets of records, the newest of each key.
    pub fn of(records: &[Record]) -> Self {
        let mut all = Self::default();
        for settings in records.iter().filter_map(|record| record.body.settings()) {
            all.add(settings.secrets.0.clone());
        }
        all
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

impl StoredSettings {
    /// Whether the agent plans or acts, if the user has chosen.
    pub fn mode(&self) -> Option<ModeKind> {
        self.collaboration_mode.as_ref().map(|chosen| chosen.mode)
    }

    /// The instructions of the user's mode.
    pub fn mode_instructions(&self) -> Option<&str> {
        self.collaboration_mode.as_ref()?.settings.developer_instructions.as_deref()
    }
}

/// `thread.created`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadCreated {
    /// The thread itself: identifies a file that lost its name.
    pub id: ThreadId,
    /// The kind of client that created it.
    pub source: SessionSource,
    /// Its creator, in the client's words.
    pub thread_source: Option<String>,
    /// The client's name.
    pub originator: Option<String>,
    /// The version of the server that created it.
    pub cli_version: String,
    /// The thread that its history began with.
    pub forked_from: Option<ThreadId>,
    /// The repository at that time.
    pub git_info: Option<GitInfo>,
    /// Its settings.
    pub settings: StoredSettings,
}

/// `thread.opened`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadOpened {
    /// The machine's boot id at this load (see `RolloutStore::life`).
    pub boot_id: Uuid,
    /// The owner's term.
    pub term: Term,
    /// The epoch from here on.
    pub epoch: Epoch,
}

/// `thread.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThreadClosed {}

/// `thread.named`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadNamed {
    /// The new name; null removes it.
    pub name: Option<String>,
}

/// `thread.meta`. Missing members stay as they were.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadMeta {
    /// The settings from here on.
    pub settings: Option<StoredSettings>,
    /// The repository from here on; one without members removes the old description.
    pub git_info: Option<GitInfo>,
}

/// `thread.read`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadRead {
    /// The first unread position from here on; everything is read if it is missing.
    pub first_unread: Option<ThreadUnreadPosition>,
    /// A record of that turn. (A line has a member `at` of its own.)
    pub since: Option<EventSeq>,
}

/// The user's read position.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadPosition {
    /// The first unread position.
    pub first_unread: Option<ThreadUnreadPosition>,
    /// A record of that turn. (A line has a member `at` of its own.)
    pub since: Option<EventSeq>,
    /// The record that changed it last; 0 for none.
    pub(crate) revision: EventSeq,
}

impl ReadPosition {
    /// The read state, as clients see it.
    pub fn state(&self) -> ThreadReadState {
        ThreadReadState { first_unread: self.first_unread.clone(), revision: self.revision.to_string() }
    }
}

/// `thread.goal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoalChanged {
    /// The goal from here on; null removes it.
    pub goal: Option<Goal>,
}

/// A thread's goal, and its cost so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// In the user's words.
    pub objective: String,
    /// Its progress.
    pub status: ThreadGoalStatus,
    /// Its token budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<i64>,
    /// Tokens of turns during which it was active.
    pub tokens_used: i64,
    /// Milliseconds of ended turns during which it was active.
    pub time_used_ms: i64,
    /// Its creation, Unix milliseconds.
    pub created_at_ms: i64,
    /// Its last change, Unix milliseconds.
    pub updated_at_ms: i64,
}

/// `archived`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Archived {}

/// `unarchived`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unarchived {}

/// `forked`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forked {
    /// The thread with the records before this one.
    pub from: ThreadId,
    /// The last of them.
    pub up_to: EventSeq,
    /// The epoch from here on.
    pub epoch: Epoch,
    /// The fork's creator, in the client's words, if the client named one.
    pub thread_source: Option<String>,
    /// The client's name.
    pub originator: Option<String>,
}

/// `imported`: directly behind `thread.created`, so that a reader finds it without reading the thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// The name of the source file, or of the newest one.
    pub from: String,
    /// The size of all source files together, bytes.
    pub bytes: u64,
    /// The number of the last imported record.
    pub last: EventSeq,
}
