//! The processes of the server's helpers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ids::ThreadId;

/// Params of `skein/helpers/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinHelpersListParams {
    /// Only those of this thread; without it, those of all loaded threads.
    pub thread_id: Option<ThreadId>,
}

/// Response of `skein/helpers/list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinHelpersListResponse {
    /// By thread and name.
    pub data: Vec<HelperDetail>,
}

/// A helper; one that several threads share is listed once.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelperDetail {
    /// The first thread that uses it; none for a lingering helper.
    pub thread_id: Option<ThreadId>,
    /// All threads that use it.
    #[serde(default)]
    pub thread_ids: Vec<ThreadId>,
    /// The threads that may share it.
    #[serde(default)]
    pub isolation: HelperIsolation,
    /// A stalled helper that was replaced: it takes no new calls and stops after its running ones.
    #[serde(default)]
    pub quarantined: bool,
    /// Its name in the configuration.
    pub name: String,
    /// The state of its life.
    pub state: HelperState,
    /// The reason why it does not run.
    pub reason: Option<String>,
    /// The MCP revision of the session, once known.
    pub protocol_version: Option<String>,
    /// The pid of the started process, while it runs.
    pub pid: Option<i32>,
    /// The process and all its descendants without the guard, parents first.
    pub processes: Vec<HelperProcess>,
    /// Resident memory of these processes.
    pub memory_bytes: u64,
    /// Messages that the helper has not read yet.
    pub queued: u64,
    /// Calls that wait for its start, or for a sign of life.
    pub waiting: u64,
    /// Idle except for an open connection: it seems to wait for another service.
    #[serde(default)]
    pub waits_for_others: bool,
    /// The last lines on stderr.
    pub stderr: String,
}

/// The sharing of a helper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HelperIsolation {
    /// Each thread has its own.
    #[default]
    Thread,
    /// All threads of one working directory.
    Project,
    /// All threads.
    Shared,
}

/// The state of a helper's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HelperState {
    /// Disabled in the settings.
    Disabled,
    /// Starting its process, or in the handshake, or listing tools.
    Starting,
    /// Takes calls; none is outstanding.
    Ready,
    /// Calls are outstanding, and the helper shows life.
    Busy,
    /// Calls are outstanding, and no sign of life for `helpers.liveness`.
    Unresponsive,
    /// Failed; starts again after a while.
    Restarting,
    /// Failed too often, or cannot start; tried again on request.
    Broken,
    /// Stopping.
    Stopping,
    /// Stopped.
    Stopped,
}

impl HelperState {
    /// Whether it has a session, and so maybe running calls.
    pub fn is_up(self) -> bool {
        match self {
            Self::Ready | Self::Busy | Self::Unresponsive => true,
            Self::Disabled
            | Self::Starting
            | Self::Restarting
            | Self::Broken
            | Self::Stopping
            | Self::Stopped => false,
        }
    }
}

/// One process of a helper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelperProcess {
    /// The pid.
    pub pid: i32,
    /// The parent's pid.
    pub parent: i32,
    /// The system's name for it; never its arguments, which may be secret.
    pub name: String,
    /// Its resident memory.
    pub memory_bytes: u64,
}
