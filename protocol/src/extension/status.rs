//! What the server tells about itself in numbers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::IndexingDetails;

/// Params of `skein/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinStatusParams {}

/// Response of `skein/status`. Counters that end in `Total` rise from the start of the server; all others are the
/// state of the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SkeinStatusResponse {
    /// Version of the server.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The folder that it serves.
    pub home: String,
    /// Where it listens, as a URL; `stdio://` where that is the standard streams of the program that started it.
    pub address: String,
    /// The unix socket at which programs of this machine reach it as well; empty where it has none.
    pub control_socket: String,
    /// When it started, in Unix milliseconds.
    pub started_at_ms: i64,
    /// Name of this start of the server.
    pub boot_id: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Websocket connections.
    pub connections: u64,
    /// Threads in memory.
    pub threads: ThreadCounts,
    /// Helper processes.
    pub helpers: HelperCounts,
    /// Tasks that run.
    pub tasks: u64,
    /// Bytes that wait to be sent, over all connections.
    pub outbox_bytes: u64,
    /// Turns.
    pub turns: TurnCounts,
    /// History files.
    pub store: StoreCounts,
    /// The list of threads.
    pub index: IndexCounts,
    /// The index of what was said.
    pub texts: TextsCounts,
    /// What the start found to be mended.
    pub repair: RepairCounts,
    /// What was refused.
    pub refusals: RefusalCounts,
    /// Clients that came back.
    pub replay: ReplayCounts,
    /// How threads left memory.
    pub unloads: UnloadCounts,
    /// Threads that had to make room for others.
    pub pressure: PressureCounts,
    /// How often the settings were read again.
    pub reloads: ReloadCounts,
    /// Faults of the server that ended one request, one turn or one thread, and nothing else.
    pub panics_total: u64,
    /// Memory.
    pub memory: MemoryCounts,
}

/// Threads in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadCounts {
    /// All of them.
    pub loaded: u64,
    /// Those whose history is being read.
    pub loading: u64,
    /// Those in which nothing runs.
    pub idle: u64,
    /// Those in which a turn runs.
    pub running: u64,
    /// Those whose helpers are ending.
    pub unloading: u64,
    /// Subscriptions that keep a thread loaded.
    pub subscriptions: u64,
    /// Subscriptions that only watch.
    pub observers: u64,
}

/// Helper processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HelperCounts {
    /// Helpers that are alive.
    pub alive: u64,
    /// Guards that are alive.
    pub guards: u64,
    /// Helpers that start.
    pub starting: u64,
    /// Helpers that take calls.
    pub ready: u64,
    /// Helpers that are being ended.
    pub stopping: u64,
    /// Helpers that no thread uses, kept for who comes back (`linger`).
    pub lingering: u64,
    /// Helpers that did not respond, kept for the calls that are under way.
    pub quarantined: u64,
    /// Helpers that were started.
    pub started_total: u64,
    /// Helpers that ended, by themselves or told to.
    pub stopped_total: u64,
    /// Helpers that had to be killed.
    pub killed_total: u64,
    /// How many of those alive are held by which means, such as `guard` or `cgroup`.
    pub containment: BTreeMap<String, u64>,
    /// What holds the next helper that starts.
    pub held: HeldDetails,
    /// How long helpers took to end.
    pub zero: ZeroCounts,
    /// What a former server of this home left, because it was killed together with its guards.
    pub leftovers: LeftoverCounts,
}

/// What holds helpers, as the server's start and the newest helper have found it.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldDetails {
    /// `helpers.containment`.
    pub configured: ContainmentSetting,
    /// What is in force for new helpers; absent where what is demanded cannot be had, and none starts.
    pub in_force: Option<ContainmentRung>,
    /// What would be in force instead if it could be had, the best first, with the reason why it is not.
    pub lacking: Vec<LackDetails>,
    /// Folder of the cgroup in which those of helpers are made; absent where they get none.
    pub cgroup: Option<String>,
    /// Whether the server inherits, and so can end, what a guard leaves that dies before its helper.
    pub subreaper: bool,
}

/// A means of holding helpers that cannot be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LackDetails {
    /// The means.
    pub rung: ContainmentRung,
    /// Why.
    pub reason: String,
    /// What can be done about it.
    pub way_out: String,
}

/// How helpers are to be held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContainmentSetting {
    /// By a cgroup where one can be had, else by the guard alone.
    #[default]
    Auto,
    /// By the guard alone.
    Guard,
    /// By a cgroup and the guard, or not at all.
    Cgroup,
    /// By a PID namespace and the guard, or not at all.
    Namespace,
}

/// A means of holding helpers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContainmentRung {
    /// A process above each helper's, which ends everything below it.
    #[default]
    Guard,
    /// A cgroup for each helper, beside its guard.
    Cgroup,
    /// A PID namespace for each helper, below its guard.
    Namespace,
}

impl ContainmentSetting {
    /// The word in the settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Guard => "guard",
            Self::Cgroup => "cgroup",
            Self::Namespace => "namespace",
        }
    }
}

impl ContainmentRung {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Cgroup => "cgroup",
            Self::Namespace => "namespace",
        }
    }
}

impl fmt::Display for ContainmentSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for ContainmentRung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How long helpers took from being told to end until no process of them was left.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZeroCounts {
    /// Helpers that were told to end and have ended. Those that ended by themselves are not among them.
    pub total: u64,
    /// Milliseconds that the last one took; absent before the first.
    pub last_ms: Option<u64>,
    /// Milliseconds that the longest one took; absent before the first.
    pub max_ms: Option<u64>,
}

/// Processes that a former server left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeftoverCounts {
    /// Whether they have been looked for. No helper starts before.
    pub looked: bool,
    /// Those that were found and are gone.
    pub ended_total: u64,
    /// Those that could not be ended.
    pub left: u64,
}

/// Turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnCounts {
    /// Turns that run.
    pub running: u64,
    /// Turns that began.
    pub started_total: u64,
    /// Turns that ended, in whichever way.
    pub completed_total: u64,
}

/// History files.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreCounts {
    /// Writes.
    pub appends_total: u64,
    /// Syncs.
    pub syncs_total: u64,
    /// Milliseconds that the last one took; absent before the first.
    pub sync_last_ms: Option<u64>,
    /// Milliseconds that the longest one took; absent before the first.
    pub sync_max_ms: Option<u64>,
    /// Writes and syncs that failed.
    pub errors_total: u64,
    /// Records that were given up.
    pub unsaved_records_total: u64,
    /// Files whose end is not known to be closed and indexed.
    pub open_markers: u64,
    /// Files that were opened to be loaded: read to their end, and mended.
    pub loads_total: u64,
    /// Files that were opened to be read without a load.
    pub reads_total: u64,
}

/// The list of threads, as it is kept on disk.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IndexCounts {
    /// Where it is in its life.
    pub state: IndexState,
    /// Milliseconds that its last opening took; absent while it was never opened.
    pub open_ms: Option<u64>,
    /// Bytes of its files, after the last flush.
    pub disk_bytes: u64,
    /// Bytes of its rows and orders, without what their storage costs.
    pub content_bytes: u64,
    /// The first in percent of the second; absent while it is empty.
    pub disk_percent: Option<u64>,
    /// How far its making, or its comparison with the histories, is; absent while neither is under way.
    pub indexing: Option<IndexingDetails>,
}

/// Where the list of threads is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IndexState {
    /// It is being opened: lists wait for it.
    #[default]
    Opening,
    /// It is made from the histories; lists say what is missing.
    Building,
    /// It is made from the histories, in a newer form; lists come from the older one.
    Replacing,
    /// It is complete.
    Ready,
    /// It cannot be had; threads can be read and resumed by id.
    Failed,
}

/// The index of what was said, which makes searches quick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TextsCounts {
    /// Where it is in its life.
    pub state: TextsState,
    /// Threads that it was compared with since the server's first search.
    pub done: u64,
    /// Threads that have changed since it took them in, or have a turn without an end; each search looks at these.
    pub behind: u64,
    /// Bytes of its files, when it became complete last.
    pub disk_bytes: u64,
}

/// Where the index of what was said is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TextsState {
    /// Nobody has searched since the server started, or the settings want none.
    #[default]
    Unused,
    /// It is being made, or compared with the threads; searches look at every thread meanwhile.
    Building,
    /// It is complete.
    Ready,
    /// It cannot be used; searches look at every thread.
    Failed,
}

/// What a server that did not end in order has left to be mended: the threads that were open at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepairCounts {
    /// How far it is as a whole.
    pub state: RepairState,
    /// Threads that were looked at.
    pub done: u64,
    /// Threads that were found open at the start.
    pub total: u64,
    /// Those of them to which the repair has added the end of a turn, or from which it has cut a torn end.
    pub mended: u64,
    /// Those that could not be read or written; the server's log names them. The next start tries again.
    pub failed: u64,
}

/// How far the repair is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RepairState {
    /// It has not begun.
    #[default]
    Scheduled,
    /// It is under way. Threads can be used meanwhile.
    Running,
    /// There is nothing more to look at.
    Complete,
}

/// Params of `skein/repair/updated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinRepairUpdatedNotification {
    /// How far it is.
    pub repair: RepairCounts,
}

/// What was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RefusalCounts {
    /// Requests that were answered with "overloaded".
    pub overloaded: u64,
    /// Connections that were closed because they did not take their messages.
    pub slow_clients: u64,
}

/// Clients that came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplayCounts {
    /// Events that were told again.
    pub events_total: u64,
    /// Histories that could not be continued, and were shown whole.
    pub gaps_total: u64,
}

/// How threads left memory.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UnloadCounts {
    /// Unloads that are done.
    pub total: u64,
    /// Milliseconds that the last one took; absent before the first.
    pub last_ms: Option<u64>,
    /// Milliseconds that the longest one took; absent before the first.
    pub max_ms: Option<u64>,
}

/// Threads that had to make room for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PressureCounts {
    /// Idle threads that were unloaded because of `limits.loaded_threads` or `limits.memory`.
    pub squeezed_total: u64,
    /// Times when a limit was passed and no thread was idle.
    pub unrelieved_total: u64,
}

/// How often the settings were read again (SIGHUP).
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReloadCounts {
    /// Reloads that were taken.
    pub total: u64,
    /// Reloads that found nothing changed.
    pub unchanged_total: u64,
    /// Reloads that changed nothing, because the settings were wrong.
    pub refused_total: u64,
    /// When the last one was taken, in Unix milliseconds; absent before the first.
    pub last_at_ms: Option<u64>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryCounts {
    /// Resident bytes of the server itself.
    pub resident_bytes: u64,
}
