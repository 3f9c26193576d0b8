//! Skein's extensions: the `skein` members of the peer's messages, the methods that begin with `skein/`, and
//! `rpc.discover`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use serde_with::skip_serializing_none;

use crate::budget::BudgetState;
use crate::question::{NeedsYou, WaitingDetails};
use crate::{
    JsonObject,
    ids::{Epoch, EventSeq, RequestId, ThreadId, TurnId},
    methods::ThreadRollback,
    table::Method,
    thread::ThreadStatus,
};

/// Methods of earlier versions of the peer that clients still use.
pub const EARLIER: &[&str] = &[ThreadRollback::INFO.wire];

/// Whether a method or notification is Skein's own. Names that begin with `rpc.` belong to JSON-RPC.
pub fn is_ours(wire: &str) -> bool {
    wire.starts_with("skein/") || wire.starts_with("rpc.") || EARLIER.contains(&wire)
}

/// The point in a thread's history that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadPicture {
    /// The last included number.
    pub seq: EventSeq,
    /// The version of the history.
    pub epoch: Epoch,
}

/// Facts about a thread in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadDetails {
    /// The questions that wait for an answer.
    pub waiting: WaitingDetails,
}

/// The point in a thread's history that an answer shows, and the thread's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadMoment {
    /// The last included number.
    pub seq: EventSeq,
    /// The version of the history.
    pub epoch: Epoch,
    /// The limits that hold for the thread, with their use. Missing if none holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<BudgetState>,
    /// The server that has the thread loaded, where several share a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ThreadOwner>,
}

impl ThreadPicture {
    /// The same point, with a budget.
    pub fn with(self, budget: Vec<BudgetState>) -> ThreadMoment {
        ThreadMoment { seq: self.seq, epoch: self.epoch, budget, owner: None }
    }
}

/// The server that has a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadOwner {
    /// Its name (`--node-name`).
    pub node: String,
    /// The number of this ownership of the thread. Each later one has a greater number.
    pub term: u64,
}

/// Where a turn runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnDetails {
    /// The server that has the thread.
    pub owner: ThreadOwner,
}

/// The budget of a thread, in a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetDetails {
    /// The limits that hold for the thread, with their use.
    pub budget: Vec<BudgetState>,
}

/// The point in a thread's history that an answer to `thread/resume` shows, and the events that follow.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumePicture {
    /// The last included number; with `replayTo` the number that the client named.
    pub seq: EventSeq,
    /// The version of the history.
    pub epoch: Epoch,
    /// The replay: the answer has no turns, and all durable events after `afterSeq` follow, up to this number. Equal
    /// to `afterSeq` if there are none.
    pub replay_to: Option<EventSeq>,
    /// Ids of the server's open requests, which are sent again. All others are void.
    #[serde(default)]
    pub pending_requests: Vec<RequestId>,
    /// The history cannot continue from the client's position: this answer is the full state, and the client's is
    /// void.
    pub gap: Option<ReplayGap>,
    /// The cursor of `thread/turns/list` (newest first) for earlier turns, if `thread.turns` has only the newest.
    pub older_turns: Option<String>,
    /// The limits that hold for the thread, with their use. Missing if none holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<BudgetState>,
    /// The server that has the thread, where several share a database.
    pub owner: Option<ThreadOwner>,
}

impl From<ThreadMoment> for ResumePicture {
    fn from(ThreadMoment { seq, epoch, budget, owner }: ThreadMoment) -> Self {
        let (pending_requests, older_turns) = (Vec::new(), None);
        Self { seq, epoch, replay_to: None, pending_requests, gap: None, older_turns, budget, owner }
    }
}

/// The reason why a history is not replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayGap {
    /// The reason.
    pub reason: GapReason,
}

/// The reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// The history was rewritten, or lost its end.
    OtherEpoch,
    /// The number was never used, or `epoch` is missing.
    UnknownSeq,
    /// The later events are unreadable: the file is damaged.
    Damaged,
    /// Too many later events for a replay.
    TooMany,
    /// The thread has no saved history.
    NotStored,
}

/// Options for `thread/start`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StartOptions {
    /// The id for the new thread. For a thread that was lost with its server before its first message. Refused if the
    /// thread exists.
    pub thread_id: Option<ThreadId>,
}

/// Options for `thread/resume`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResumeOptions {
    /// Watches only: the subscription does not keep the thread loaded and receives no requests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// The last number that the client has seen.
    pub after_seq: Option<EventSeq>,
    /// The version of the history that `afterSeq` belongs to.
    pub epoch: Option<Epoch>,
}

/// Filters of a list beyond the protocol's. Times are Unix seconds, as in the threads of the answer.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListOptions {
    /// Created then or later.
    pub created_since: Option<i64>,
    /// Created before.
    pub created_before: Option<i64>,
    /// Last message then or later.
    pub updated_since: Option<i64>,
    /// Last message before.
    pub updated_before: Option<i64>,
}

/// Details of the threads in memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadedDetails {
    /// One entry for each thread of the answer, in the same order.
    pub threads: Vec<LoadedThread>,
}

/// A position in the catalog, the sequence of the notifications of scope `all` about threads, such as
/// `thread/started`, `thread/status/changed` and `thread/name/updated`. Clients that opted in to `skein/events` find
/// it in these params. Numbers rise; a missing one belongs to a notification that this connection does not receive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPlace {
    /// The number.
    pub catalog_seq: u64,
    /// The server start that the number belongs to.
    pub catalog_epoch: String,
}

/// Params of `skein/catalog/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinCatalogResumeParams {
    /// The number of the client's list: that of the first page of `thread/list`, or the highest `catalogSeq` received
    /// since.
    pub after: u64,
    /// The `catalogEpoch` of the number.
    pub catalog_epoch: String,
}

/// Response of `skein/catalog/resume`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinCatalogResumeResponse {
    /// The newest change. Changes received before this answer are included; those after it are newer.
    pub catalog_seq: u64,
    /// The server start that the numbers belong to.
    pub catalog_epoch: String,
    /// The later changes are no longer known, or the number is of another server start: list again.
    pub too_old: bool,
    /// The later notifications to all connections, in order; empty if `tooOld`.
    pub changes: Vec<CatalogChange>,
    /// The number of questions that wait for the users; `skein/questions/list` has them.
    #[serde(default)]
    pub needs_you: NeedsYou,
}

/// A notification to all connections, as clients that opted in received it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogChange {
    /// The method.
    pub method: String,
    /// The params, with the catalog position in `skein`.
    #[schemars(with = "JsonObject")]
    pub params: Box<RawValue>,
    /// When it was first sent, in Unix milliseconds.
    pub emitted_at_ms: i64,
}

/// The completeness of a list of threads, and its position in the catalog.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListDetails {
    /// The list includes all changes up to this one, and may include newer ones. A change of the index is in the list
    /// before its notification is sent, unless the index is being opened or takes longer than 250 ms.
    #[serde(flatten)]
    pub place: CatalogPlace,
    /// Set while the list is rebuilt: threads may be missing.
    pub indexing: Option<IndexingDetails>,
    /// The questions that wait for the users, in all threads of the home.
    #[serde(default, rename = "needsYou")]
    pub needs_you: NeedsYou,
}

/// The limits of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchDetails {
    /// Set while the list is rebuilt: a missing thread is not found.
    pub indexing: IndexingDetails,
}

/// The progress of the rebuild.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexingDetails {
    /// Histories read.
    pub done: u64,
    /// All known histories.
    pub total: u64,
}

/// A thread in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadedThread {
    /// The thread.
    pub thread_id: ThreadId,
    /// The state of its life.
    pub state: LoadedState,
    /// The status that clients see.
    pub status: ThreadStatus,
    /// Connections that keep it loaded.
    pub subscribers: u64,
    /// Connections that only watch.
    pub observers: u64,
    /// Its helper processes that are alive.
    pub helpers: u64,
    /// The thread is never saved.
    pub ephemeral: bool,
    /// The thread is saved.
    pub materialised: bool,
    /// The name of the server that has it, if it is another one of the cluster. Its connections and helpers are counted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// The state of a loaded thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoadedState {
    /// Its history is being read.
    Loading,
    /// Nothing runs.
    Idle,
    /// A turn runs.
    Running,
    /// Its helpers are ending.
    Unloading,
}

/// Whether a turn is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnSaved {
    /// False if the history could not be written: the turn is lost when the server ends now.
    pub saved: bool,
}

/// The turns that a revert removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertedFrom {
    /// The first removed turn; all later ones are removed, too.
    pub before_turn_id: TurnId,
}

/// The server's extensions of the protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerExtensions {
    /// The server's version.
    pub version: String,
    /// The granted extensions, by name.
    pub extensions: BTreeMap<String, Value>,
}

/// The name of the events extension, in `capabilities.extensions` of `initialize` and in `skein.extensions` of its
/// response.
pub const EVENTS_EXTENSION: &str = "skein/events";

/// The served version of the events extension.
pub const EVENTS_VERSION: u64 = 1;

/// The terms of `skein/events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsExtension {
    /// The served version.
    pub version: u64,
    /// The interval of `skein/heartbeat`, in milliseconds. A client that receives nothing for three intervals has
    /// lost its connection.
    pub heartbeat_ms: u64,
}

/// Params of `skein/heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinHeartbeatNotification {
    /// The server's clock, in Unix milliseconds.
    pub at: i64,
}

/// Params of `skein/stopping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinStoppingNotification {
    /// How long the client waits behind the end of the connection before it connects again, in milliseconds.
    pub retry_after_ms: u64,
}

/// Params of `skein/thread/unload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinThreadUnloadParams {
    /// The thread.
    pub thread_id: ThreadId,
    /// Unloads even an active thread, or one with other subscribers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Response of `skein/thread/unload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinThreadUnloadResponse {
    /// The outcome.
    pub state: UnloadOutcome,
}

/// The outcome of an unload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnloadOutcome {
    /// The thread was unloaded, and all its helpers have stopped.
    Unloaded,
    /// The thread was not loaded.
    NotLoaded,
}

/// Params of `skein/connection/leave`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinConnectionLeaveParams {}

/// Response of `skein/connection/leave`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinConnectionLeaveResponse {
    /// Threads that had no other subscriber.
    pub left: u64,
    /// Of these, the ones still loaded: they take longer, or have a new subscriber.
    pub loaded: u64,
}

/// Params of `skein/quiesce`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuiesceParams {
    /// Lets the owner of this thread panic, as a bug would.
    pub break_off: Option<ThreadId>,
}

/// Response of `skein/quiesce`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinQuiesceResponse {}

/// Params of `rpc.discover`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RpcDiscoverParams {}

/// Response of `rpc.discover`: an OpenRPC document.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RpcDiscoverResponse(#[schemars(with = "JsonObject")] pub Box<RawValue>);

mod admission;
mod cluster;
mod credentials;
mod helpers;
mod status;

pub use admission::*;
pub use cluster::*;
pub use credentials::*;
pub use helpers::*;
pub use status::*;
