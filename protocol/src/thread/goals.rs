//! Goals of threads.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::edits::named;
use crate::ids::ThreadId;

/// A thread's goal and its cost so far. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoal {
    pub created_at: i64,
    pub objective: String,
    pub status: ThreadGoalStatus,
    pub thread_id: ThreadId,
    pub time_used_seconds: i64,
    #[serde(default)]
    pub token_budget: Option<i64>,
    pub tokens_used: i64,
    pub updated_at: i64,
}

/// The state of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadGoalStatus {
    Active,
    Paused,
    Blocked,
    UsageLimited,
    BudgetLimited,
    Complete,
}

/// The origin of a goal's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ThreadGoalMutationOrigin {
    User,
    Automatic,
}

/// Params of `thread/goal/set`: a missing member stays, and a null `tokenBudget` removes the budget.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalSetParams {
    pub objective: Option<String>,
    pub origin: Option<ThreadGoalMutationOrigin>,
    pub status: Option<ThreadGoalStatus>,
    pub thread_id: ThreadId,
    #[serde(default, deserialize_with = "named")]
    #[schemars(with = "Option<i64>")]
    pub token_budget: Option<Option<i64>>,
}

/// Response of `thread/goal/set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalSetResponse {
    pub goal: ThreadGoal,
}

/// Params of `thread/goal/get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalGetParams {
    pub thread_id: ThreadId,
}

/// Response of `thread/goal/get`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadGoalGetResponse {
    pub goal: Option<ThreadGoal>,
}

/// Params of `thread/goal/clear`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalClearParams {
    pub origin: Option<ThreadGoalMutationOrigin>,
    pub thread_id: ThreadId,
}

/// Response of `thread/goal/clear`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadGoalClearResponse {
    pub cleared: bool,
}
