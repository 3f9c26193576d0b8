//! What the server tells about the processes of its helpers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ids::ThreadId;

/// Params of `skein/helpers/list`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinHelpersListParams {
    /// Only those of this thread; otherwise those of all loaded threads.
    pub thread_id: Option<ThreadId>,
}

/// Response of `skein/helpers/list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinHelpersListResponse {
    /// By thread and name.
    pub data: Vec<HelperDetail>,
}

/// A helper as it is now. One that several threads use is there once.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelperDetail {
    /// The first thread of those that use it. None uses one that is kept for who comes back.
    pub thread_id: Option<ThreadId>,
    /// All threads that use it.
    #[serde(default)]
    pub thread_ids: Vec<ThreadId>,
    /// Who may share it.
    #[serde(default)]
    pub isolation: HelperIsolation,
    /// It did not respond, so another one took its place: it takes no calls, and ends with those that are under way.
    #[serde(default)]
    pub quarantined: bool,
    /// Its name in the configuration.
    pub name: String,
    /// Where in its life it is.
    pub state: HelperState,
    /// Why it does not run.
    pub reason: Option<String>,
    /// The revision of MCP that is spoken with it, once that is known.
    pub protocol_version: Option<String>,
    /// The process that was started, while it runs.
    pub pid: Option<i32>,
    /// It and everything that it started, without the guard; parents before their children.
    pub processes: Vec<HelperProcess>,
    /// Resident memory of them all.
    pub memory_bytes: u64,
    /// Messages that wait because it does not read them.
    pub queued: u64,
    /// Calls that wait for it to start, or to show life.
    pub waiting: u64,
    /// Nothing happens but that it has a connection open: it seems to wait for somebody else.
    #[serde(default)]
    pub waits_for_others: bool,
    /// The last lines that it wrote to stderr.
    pub stderr: String,
}

/// Who shares a helper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HelperIsolation {
    /// Nobody: each thread has its own.
    #[default]
    Thread,
    /// All threads of one working directory.
    Project,
    /// All threads.
    Shared,
}

/// Where in its life a helper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HelperState {
    /// The configuration says so.
    Disabled,
    /// Its process, the handshake, or the listing of its tools is under way.
    Starting,
    /// It takes calls, and none is outstanding.
    Ready,
    /// Calls are outstanding, and it is alive.
    Busy,
    /// Calls are outstanding, and nothing has been a sign of life for `helpers.liveness`.
    Unresponsive,
    /// It failed, and is started again after a while.
    Restarting,
    /// It failed too often, or cannot be started at all; it is tried again when somebody asks for that.
    Broken,
    /// It is being ended.
    Stopping,
    /// It was ended.
    Stopped,
}

impl HelperState {
    /// Whether it has a session: calls can be under way.
    #[must_use]
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
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// What the system calls it; never its arguments, which may be secret.
    pub name: String,
    /// Its resident memory.
    pub memory_bytes: u64,
}
