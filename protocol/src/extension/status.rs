//! The server's state in numbers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::budget::BudgetState;
use crate::question::NeedsYou;

use super::{AdmissionCounts, ClusterCounts, IndexingDetails};

/// Params of `skein/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinStatusParams {}

/// Response of `skein/status`. Counters that end in `Total` count from the start of the server; all others are
/// current values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SkeinStatusResponse {
    /// Version of the server.
    pub version: String,
    /// The server's pid.
    pub pid: u32,
    /// The served home.
    pub home: String,
    /// Whether commands use this home without `--home` where `SKEIN_HOME` is not set.
    pub home_is_default: bool,
    /// The listening URL; `stdio://` for the standard streams of the parent program.
    pub address: String,
    /// The unix socket for programs of this machine; empty without one.
    pub control_socket: String,
    /// When the server started, in Unix milliseconds.
    pub started_at_ms: i64,
    /// The id of this server start.
    pub boot_id: String,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Websocket connections.
    pub connections: u64,
    /// Threads in memory.
    pub threads: ThreadCounts,
    /// Helper processes.
    pub helpers: HelperCounts,
    /// Running tasks.
    pub tasks: u64,
    /// Bytes waiting to be sent, over all connections.
    pub outbox_bytes: u64,
    /// Turns.
    pub turns: TurnCounts,
    /// History files.
    pub store: StoreCounts,
    /// The cluster of the server. Missing where threads are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterCounts>,
    /// The list of threads.
    pub index: IndexCounts,
    /// The number of questions that wait for the users; `skein/questions/list` has them.
    #[serde(default)]
    pub needs_you: NeedsYou,
    /// The limit of tokens of a day (UTC), and what all threads have used today. Missing without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_budget: Option<BudgetState>,
    /// The text index of searches.
    pub texts: TextsCounts,
    /// The repair after an unclean end.
    pub repair: RepairCounts,
    /// Refused requests and connections.
    pub refusals: RefusalCounts,
    /// Requests and connections that did not get in.
    #[serde(default)]
    pub admission: AdmissionCounts,
    /// Clients that resumed.
    pub replay: ReplayCounts,
    /// Threads that left memory.
    pub unloads: UnloadCounts,
    /// Threads evicted for others.
    pub pressure: PressureCounts,
    /// Reloads of the settings.
    pub reloads: ReloadCounts,
    /// Panics in the server, each of which ended only one request, turn or thread.
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
    /// Threads that read their history.
    pub loading: u64,
    /// Threads without a running turn.
    pub idle: u64,
    /// Threads with a running turn.
    pub running: u64,
    /// Threads whose helpers are stopping.
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
    /// Running helpers.
    pub alive: u64,
    /// Running guards.
    pub guards: u64,
    /// Starting helpers.
    pub starting: u64,
    /// Helpers that take calls.
    pub ready: u64,
    /// Stopping helpers.
    pub stopping: u64,
    /// Helpers without a thread, kept for its resume (`linger`).
    pub lingering: u64,
    /// Stalled helpers, kept for their running calls.
    pub quarantined: u64,
    /// Started helpers.
    pub started_total: u64,
    /// Helpers that ended, on their own or on request.
    pub stopped_total: u64,
    /// Helpers that had to be killed.
    pub killed_total: u64,
    /// The running helpers by their means of containment, such as `guard` or `cgroup`.
    pub containment: BTreeMap<String, u64>,
    /// The containment of the next helper.
    pub held: HeldDetails,
    /// How long helpers took to stop.
    pub zero: ZeroCounts,
    /// Processes left by a former server of this home that was killed together with its guards.
    pub leftovers: LeftoverCounts,
}

/// The containment of helpers, as found at the server's start and with the newest helper.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HeldDetails {
    /// `helpers.containment`.
    pub configured: ContainmentSetting,
    /// The level for new helpers; absent if the required one is unavailable, and then none starts.
    pub in_force: Option<ContainmentRung>,
    /// Better levels that are unavailable, the best first, with their reasons.
    pub lacking: Vec<LackDetails>,
    /// The parent cgroup of the helpers' cgroups; absent if they get none.
    pub cgroup: Option<String>,
    /// Whether the server adopts, and can stop, processes whose guard died first.
    pub subreaper: bool,
}

/// An unavailable level of containment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LackDetails {
    /// The level.
    pub rung: ContainmentRung,
    /// The reason.
    pub reason: String,
    /// The remedy.
    pub way_out: String,
}

/// The required containment of helpers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContainmentSetting {
    /// A cgroup if available, else the guard alone.
    #[default]
    Auto,
    /// The guard alone.
    Guard,
    /// A cgroup and the guard, or no start.
    Cgroup,
    /// A PID namespace and the guard, or no start.
    Namespace,
}

/// A level of containment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContainmentRung {
    /// A process above each helper that ends everything below it.
    #[default]
    Guard,
    /// A cgroup for each helper, beside its guard.
    Cgroup,
    /// A PID namespace for each helper, below its guard.
    Namespace,
}

impl ContainmentSetting {
    /// The word in the settings.
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

/// How long helpers took from the order to stop until no process was left.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ZeroCounts {
    /// Helpers that stopped on request; those that ended on their own do not count.
    pub total: u64,
    /// Milliseconds of the last stop; absent before the first.
    pub last_ms: Option<u64>,
    /// Milliseconds of the longest stop; absent before the first.
    pub max_ms: Option<u64>,
}

/// Processes left by a former server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeftoverCounts {
    /// Whether the search is done. No helper starts before.
    pub looked: bool,
    /// Processes found and ended.
    pub ended_total: u64,
    /// Processes that could not be ended.
    pub left: u64,
}

/// Turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TurnCounts {
    /// Running turns.
    pub running: u64,
    /// Started turns.
    pub started_total: u64,
    /// Ended turns, in any way.
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
    /// Milliseconds of the last sync; absent before the first.
    pub sync_last_ms: Option<u64>,
    /// Milliseconds of the longest sync; absent before the first.
    pub sync_max_ms: Option<u64>,
    /// Failed writes and syncs.
    pub errors_total: u64,
    /// Records that could not be saved.
    pub unsaved_records_total: u64,
    /// Since when the disk takes no records of a loaded thread, in Unix milliseconds; absent while it takes them.
    pub failing_since_ms: Option<i64>,
    /// Files not yet known to be closed and indexed.
    pub open_markers: u64,
    /// Files opened to load a thread: read to the end, and repaired.
    pub loads_total: u64,
    /// Files opened to be read only.
    pub reads_total: u64,
}

/// The list of threads on disk.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IndexCounts {
    /// The state of its life.
    pub state: IndexState,
    /// Milliseconds of its last opening; absent before the first.
    pub open_ms: Option<u64>,
    /// Bytes of its files, after the last flush.
    pub disk_bytes: u64,
    /// Bytes of its rows and orders, without storage overhead.
    pub content_bytes: u64,
    /// `diskBytes` in percent of `contentBytes`; absent while it is empty.
    pub disk_percent: Option<u64>,
    /// The progress of its rebuild, or of its comparison with the histories; absent without one.
    pub indexing: Option<IndexingDetails>,
}

/// The state of the list of threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IndexState {
    /// Opening; lists wait for it.
    #[default]
    Opening,
    /// Rebuilding from the histories; lists are marked as incomplete.
    Building,
    /// Rebuilding in a newer form; lists come from the older one.
    Replacing,
    /// It is complete.
    Ready,
    /// Unavailable; threads can be read and resumed by id.
    Failed,
}

/// The text index that speeds up searches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TextsCounts {
    /// The state of its life.
    pub state: TextsState,
    /// Threads compared with it since the server's first search.
    pub done: u64,
    /// Threads that changed since, or have a turn without an end; each search reads these.
    pub behind: u64,
    /// Bytes of its files when it was last complete.
    pub disk_bytes: u64,
}

/// The state of the text index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TextsState {
    /// Not used since the server's start, or disabled by the settings.
    #[default]
    Unused,
    /// Being built or compared; searches read every thread meanwhile.
    Building,
    /// It is complete.
    Ready,
    /// Unusable; searches read every thread.
    Failed,
}

/// The repair of threads that were open when the server last ended uncleanly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepairCounts {
    /// The state of the whole repair.
    pub state: RepairState,
    /// Threads checked.
    pub done: u64,
    /// Threads found open at the start.
    pub total: u64,
    /// Threads that got the end of a turn, or lost a torn end.
    pub mended: u64,
    /// Threads that could not be read or written; the server's log names them. The next start tries again.
    pub failed: u64,
}

/// The state of the repair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RepairState {
    /// Not started.
    #[default]
    Scheduled,
    /// Running. Threads can be used meanwhile.
    Running,
    /// Done.
    Complete,
}

/// Params of `skein/repair/updated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinRepairUpdatedNotification {
    /// The progress.
    pub repair: RepairCounts,
}

/// Refused requests and connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RefusalCounts {
    /// Requests that were answered with "overloaded".
    pub overloaded: u64,
    /// Connections that were closed because they did not read their messages.
    pub slow_clients: u64,
}

/// Clients that resumed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplayCounts {
    /// Replayed events.
    pub events_total: u64,
    /// Histories that could not be continued, and were sent whole.
    pub gaps_total: u64,
}

/// Threads that left memory.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UnloadCounts {
    /// Finished unloads.
    pub total: u64,
    /// Milliseconds of the last unload; absent before the first.
    pub last_ms: Option<u64>,
    /// Milliseconds of the longest unload; absent before the first.
    pub max_ms: Option<u64>,
}

/// Threads evicted for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PressureCounts {
    /// Idle threads that were unloaded because of `limits.loaded_threads` or `limits.memory`.
    pub squeezed_total: u64,
    /// Times when a limit was exceeded and no thread was idle.
    pub unrelieved_total: u64,
}

/// Reloads of the settings.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReloadCounts {
    /// Applied reloads.
    pub total: u64,
    /// Reloads that found nothing changed.
    pub unchanged_total: u64,
    /// Reloads refused because the settings were wrong.
    pub refused_total: u64,
    /// When the last reload was applied, in Unix milliseconds; absent before the first.
    pub last_at_ms: Option<u64>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryCounts {
    /// Resident bytes of the server process.
    pub resident_bytes: u64,
}
